"""Train a small network with Accelerate: `log_with="gittrack"`.

`accelerate launch --cpu --num_processes 2 train.py` trains in two processes, which are one run.
"""

import argparse

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from sklearn.datasets import load_digits
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import gittrack.integrations.accelerate  # noqa: F401 - so that "gittrack" is known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hidden", type=int, default=32, help="units of the hidden layer")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()

    accelerator = Accelerator(log_with="gittrack", cpu=True)
    accelerator.init_trackers(
        "digits",
        config=vars(options),
        init_kwargs={"gittrack": {"name": f"hidden-{options.hidden}"}},
    )
    set_seed(7)
    x, y = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y))
    model = torch.nn.Sequential(
        torch.nn.Linear(64, options.hidden), torch.nn.ReLU(), torch.nn.Linear(options.hidden, 10)
    )
    model, optimizer, loader = accelerator.prepare(
        model,
        torch.optim.Adam(model.parameters(), lr=options.lr),
        DataLoader(data, 64, shuffle=True),
    )
    step = 0
    for epoch in range(options.epochs):
        for images, digits in loader:
            guess = model(images)
            loss = functional.cross_entropy(guess, digits)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            accuracy = (guess.argmax(1) == digits).float().mean()
            accelerator.log({"loss": loss, "accuracy": accuracy, "epoch": epoch}, step=step)
            step += 1
    accelerator.end_training()


if __name__ == "__main__":
    main()
