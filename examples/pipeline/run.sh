#!/bin/sh
# The whole chain. A step whose code, params and data are as they were is not run again.
set -eu

step() {
    name=$1
    shift
    git track run --reuse --name "$name" "$@"
}

step load --code load.py --out data/raw.csv -- python load.py
for variant in scaled binned; do
    step "$variant" --code "$variant.py" --code prepare.py --data data/raw.csv \
        --out "data/$variant.csv" --out "steps/$variant.joblib" -- python "$variant.py"
    step "train-$variant" --code train.py --data "data/$variant.csv" --data "steps/$variant.joblib" \
        --out "models/$variant.joblib" -- python train.py --features "$variant"
done
