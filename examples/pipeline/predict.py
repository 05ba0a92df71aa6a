"""Predict from raw rows with a model file: python predict.py models/scaled.joblib data/raw.csv."""

import sys

import joblib
import pandas as pd

model, rows = joblib.load(sys.argv[1]), pd.read_csv(sys.argv[2])
found = model.predict(rows.drop(columns="target", errors="ignore"))
print(f"benign: {int(found.sum())} of {len(found)}")
if "target" in rows:
    print(f"accuracy: {(found == rows['target']).mean():.4f}")
