"""Predict with whatever is in production: in this repository, or in any plain clone of it."""

import sys

import joblib
from sklearn.datasets import load_wine

import gittrack

version = gittrack.model(sys.argv[1] if len(sys.argv) > 1 else "wine@production")
forest = joblib.load(version.path())
guessed = forest.predict(load_wine().data[:5])
print(f"{version.name}@v{version.version}: {guessed.tolist()}")
