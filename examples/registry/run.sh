#!/usr/bin/env bash
# From two trainings to a model in production, and back: each command as it would be typed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

git track run --name stump --out model.joblib -- python train.py --n-estimators 1
git track run --name forest --out model.joblib -- python train.py --n-estimators 100

git track model register forest:model.joblib wine -m 'A forest of 100 trees'
git track model promote wine@v1.0.0 staging
git track model promote wine@v1.0.0 production --require 'accuracy >= 0.95' --reason 'Passed the audit.'

# A version that is not good enough does not get there,
git track model register stump:model.joblib wine --bump minor -m 'One tree, which is fast'
if git track model promote wine@v1.1.0 production --require 'accuracy >= 0.95'; then exit 1; fi
# unless nobody asks; and then there is a way back.
git track model promote wine@v1.1.0 production --reason 'It has to be fast.'
git track model rollback wine production --reason 'Growers complained.'

git track model ls
git track model history wine
