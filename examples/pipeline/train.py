"""Train on prepared data; keep preparation and model as one, which predicts from raw rows."""

import argparse
from pathlib import Path

import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline

parser = argparse.ArgumentParser()
parser.add_argument("--features", default="scaled")
parser.add_argument("--c", type=float, default=1.0)
options = parser.parse_args()

table = pd.read_csv(f"data/{options.features}.csv")
rows, target = table.drop(columns=["part", "target"]), table["target"]
train, test = table["part"] == "train", table["part"] == "test"
model = LogisticRegression(C=options.c, max_iter=1000).fit(rows[train], target[train])
found = model.predict(rows[test])
print(f"accuracy: {accuracy_score(target[test], found):.4f}")
print(f"f1: {f1_score(target[test], found):.4f}")

Path("models").mkdir(exist_ok=True)
step = joblib.load(f"steps/{options.features}.joblib")
joblib.dump(make_pipeline(step, model), f"models/{options.features}.joblib")
