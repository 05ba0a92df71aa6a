"""Prepare the raw data, variant one: every measurement with mean 0 and deviation 1."""

from prepare import prepare
from sklearn.preprocessing import StandardScaler

prepare("scaled", StandardScaler())
