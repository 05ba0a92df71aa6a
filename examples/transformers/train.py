"""Train a small transformer with Hugging Face's Trainer: a callback logs it all.

The model is built from a configuration and the data are random, so that nothing is downloaded.
"""

import argparse

import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import gittrack
from gittrack.integrations.transformers import GittrackCallback


class Words(Dataset):
    """Sequences of words; the question is whether there are more even ones than odd ones."""

    def __init__(self, count: int, seed: int) -> None:
        chance = torch.Generator().manual_seed(seed)
        self.words = torch.randint(0, 20, (count, 9), generator=chance)

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        words = self.words[place]
        return {"input_ids": words, "labels": ((words % 2).sum() < 5).long()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hidden", type=int, default=32, help="the width of the model")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()

    torch.manual_seed(7)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=20,
            hidden_size=options.hidden,
            intermediate_size=options.hidden,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16,
        )
    )
    arguments = TrainingArguments(
        output_dir="checkpoints",
        num_train_epochs=options.epochs,
        per_device_train_batch_size=32,
        learning_rate=3e-3,
        logging_steps=5,
        eval_strategy="epoch",
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    with gittrack.start_run(run_name=f"hidden-{options.hidden}"):
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=Words(1000, seed=0),
            eval_dataset=Words(200, seed=1),
            callbacks=[GittrackCallback(log_model=True)],
        )
        trainer.train()


if __name__ == "__main__":
    main()
