"""Write the raw data: 569 breast tumours, 30 measurements, malignant (0) or benign (1)."""

from pathlib import Path

from sklearn.datasets import load_breast_cancer

table = load_breast_cancer(as_frame=True).frame
Path("data").mkdir(exist_ok=True)
table.to_csv("data/raw.csv", index=False)
