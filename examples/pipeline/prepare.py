"""What both variants share: fit a step on the training rows, keep it and what it makes of them."""

from pathlib import Path

import joblib
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.model_selection import train_test_split


def prepare(name: str, step: TransformerMixin) -> None:
    """Fit `step`; write data/<name>.csv (all rows, a column `part`) and steps/<name>.joblib."""
    raw = pd.read_csv("data/raw.csv")
    rows, target = raw.drop(columns="target"), raw["target"]
    training, _ = train_test_split(raw.index, test_size=0.25, random_state=0, stratify=target)
    step.set_output(transform="pandas").fit(rows.loc[training])
    made = step.transform(rows)
    made["target"] = target
    made["part"] = ["train" if index in training else "test" for index in raw.index]
    for directory in ("data", "steps"):
        Path(directory).mkdir(exist_ok=True)
    made.to_csv(f"data/{name}.csv", index=False)
    joblib.dump(step, f"steps/{name}.joblib")
