"""Train a small network with Lightning: a logger logs hyperparameters, curves, the checkpoint."""

import argparse

import lightning
import torch
from sklearn.datasets import load_digits
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, random_split

from gittrack.integrations.lightning import GittrackLogger


class Digits(lightning.LightningModule):
    def __init__(self, hidden: int, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 10)
        )

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        loss = functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        guess = self.layers(batch[0])
        self.log("val_loss", functional.cross_entropy(guess, batch[1]))
        self.log("val_accuracy", (guess.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=32, help="units of the hidden layer")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()

    lightning.seed_everything(7, verbose=False)
    x, y = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y))
    train, test = random_split(data, [0.75, 0.25])
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=options.epochs,
        log_every_n_steps=10,
        logger=GittrackLogger("digits", f"hidden-{options.hidden}", log_model=True),
        callbacks=[lightning.pytorch.callbacks.ModelCheckpoint(monitor="val_loss")],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Digits(options.hidden, options.lr), DataLoader(train, 64), DataLoader(test, 256))


if __name__ == "__main__":
    main()
