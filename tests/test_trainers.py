"""What well-known programs really printed, read as the metrics that it states."""

from __future__ import annotations

from typing import Any

import pytest

from gittrack.scanner import Scanner

Rows = list[tuple[int | None, dict[str, Any]]]


def scan(output: str | bytes, size: int = 1 << 20) -> Rows:
    data = output.encode() if isinstance(output, str) else output
    scanner, rows = Scanner(), []
    for start in range(0, len(data), size):
        rows += scanner.feed(data[start : start + size], 1.0)
    rows += scanner.close(2.0)
    return [(row.step, dict(row.values)) for row in rows]


KERAS_3 = (
    "Epoch 1/2\n"
    "\r\x1b[1m1/2\x1b[0m \x1b[32m━━━━━━━━━━\x1b[0m\x1b[37m━━━━━━━━━━\x1b[0m \x1b[1m0s\x1b[0m"
    " 51ms/step - accuracy: 0.4688 - loss: 0.8462" + "\b" * 71 + "\r\x1b[1m2/2\x1b[0m "
    "\x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m0s\x1b[0m 5ms/step"
    " - accuracy: 0.5000 - loss: 0.8463 - val_accuracy: 0.2500 - val_loss: 0.9244\n"
    "Epoch 2/2\n"
    "\r\x1b[1m2/2\x1b[0m \x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m1s\x1b[0m"
    " 11ms/step - accuracy: 0.7500 - loss: 1.5e-03 - val_accuracy: nan - val_loss: 0.9211\n"
    "\r\x1b[1m2/2\x1b[0m \x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m0s\x1b[0m"
    " 2ms/step - accuracy: 0.1000 - loss: 0.8547\n"
)
KERAS_QUIET = (
    "Epoch 1/2\n2/2 - 0s - 11ms/step - accuracy: 0.5000 - loss: 0.8402\n"
    "Epoch 2/2\n2/2 - 0s - 3ms/step - accuracy: 0.5000 - loss: 0.8373\n"
)
KERAS_2 = (
    "Epoch 1/2\n"
    "2/2 [==============================] - 1s 150ms/step - loss: 0.5 - val_loss: 0.25\n"
    "Epoch 2/2\n"
    "\r1/2 [==============>...............] - ETA: 0s - loss: 9.0\b\b\b\r"
    "2/2 [==============================] - 0s 12ms/step - loss: 0.4 - val_loss: 0.2\n"
)
XGBOOST = (
    "[0]\ttrain-logloss:0.43905\ttrain-auc:1.00000\teval-logloss:0.5\n"
    "[1]\ttrain-logloss:0.30165\ttrain-auc:1.00000\teval-logloss:0.25\n"
)
XGBOOST_FOLDS = "[0]\ttrain-logloss:0.44421+0.00855\ttest-logloss:0.45686+0.00387\n"
LIGHTGBM = (
    "[LightGBM] [Info] Number of positive: 88, number of negative: 112\n"
    "[LightGBM] [Info] Total Bins 343\n"
    "[LightGBM] [Info] Start training from score -0.241162\n"
    "[LightGBM] [Warning] No further splits with positive gain, best gain: -inf\n"
    "[1]\ttraining's binary_logloss: 0.590931\tvalid_1's auc: 1\n"
    "Training until validation scores don't improve for 5 rounds\n"
    "[2]\ttraining's binary_logloss: 0.513557\tvalid_1's auc: 1\n"
    "Did not meet early stopping. Best iteration is:\n"
    "[1]\ttraining's binary_logloss: 0.590931\tvalid_1's auc: 1\n"
)
LIGHTGBM_FOLDS = "[1]\tvalid's binary_logloss: 0.590931 + 1.11022e-16\n"
FASTAI = (
    "epoch     train_loss  valid_loss  accuracy  time    \n"
    "\rEpoch 1/2 : |████----| 50.00% [5/10 00:01<00:01 0.9]\r"
    "0         0.912345    0.812345    0.500000  00:03     \n"
    "1         0.712345    0.612345    0.750000  01:03     \n"
)
BOOSTING = (
    "      Iter       Train Loss      OOB Improve   Remaining Time \n"
    "         1           1.1741           0.1918            0.00s\n"
    "        10           1.0432           0.1787            1.20m\n"
    "Done after 10 rounds of 5 trees\n"
)
SGD = (
    "-- Epoch 1\n"
    "Norm: 64.70, NNZs: 5, Bias: -0.187857, T: 200, Avg. loss: 1.171846\n"
    "Total training time: 0.00 seconds.\n"
)
MLP = "Iteration 1, loss = 0.64002587\nValidation score: 0.650000\n"
KMEANS = (
    "Initialization complete\nIteration 0, inertia 1201.6468597979897.\n"
    "Iteration 1, inertia 850.5.\nConverged at iteration 1: strict convergence.\n"
)
SEARCH = "[CV 1/2] END .........................alpha=0.1;, score=0.940 total time=   0.0s\n"
TRAINER_5 = (
    "\r 25%|██▌       | 2/8 [00:00<00:00, 316.86it/s]\r         \r"
    "{'loss': '1.489', 'grad_norm': '3.626', 'learning_rate': '4.375e-05', 'epoch': '0.5'}\n"
    "\r        \r\x1b[A"
    "{'eval_loss': '1.864', 'eval_samples_per_second': '1.395e+04', 'epoch': '1'}\n"
)
TRAINER_4 = "{'loss': 1.489, 'grad_norm': 3.626, 'learning_rate': 4.375e-05, 'epoch': 0.5}\n"
_BAR = "\rEpoch {0}: {1:3}%|#####     | {2}/4 [00:00<00:00, 473.60it/s, {3}]"
LIGHTNING_BARS = (
    "Sanity Checking: |          | 0/? [00:00<?, ?it/s]\r"
    + _BAR.format(0, 50, 2, "v_num=0, train_loss=0.990")
    + _BAR.format(0, 100, 4, "v_num=0, train_loss=0.330")
    + "\nValidation DataLoader 0: 100%|######| 4/4 [00:00<00:00, 1496.63it/s]\x1b[A\n"
    + _BAR.format(1, 100, 4, "v_num=0, train_loss=0.281, val_loss=0.234")
    + "\n"
    + _BAR.format(1, 100, 4, "v_num=0, train_loss=0.281, val_loss=0.234")
    + "\n"
)
LIGHTNING_TABLE = """\
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃        Test metric        ┃       DataLoader 0        ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━┩
│         test_acc          │            1.0            │
│         test_loss         │    0.16714775562286377    │
└───────────────────────────┴───────────────────────────┘
"""
LIGHTNING_PLAIN = (
    "─" * 60 + "\n       Test metric             DataLoader 0\n" + "─" * 60 + "\n"
    "        test_loss           0.16714775562286377\n" + "─" * 60 + "\n"
)
LIGHTNING_MODEL = """\
┏━━━┳━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━┓
┃   ┃ Name ┃ Type   ┃ Params ┃ Mode  ┃
┡━━━╇━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━┩
│ 0 │ l    │ Linear │      5 │ train │
└───┴──────┴────────┴────────┴───────┘
"""
ULTRALYTICS = (
    "\n      Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size\n"
    "\r        1/2      2.29G      1.163      2.898      1.237         13        640:"
    "  50%|█████     | 2/4 [00:01<00:00,  3.53it/s]"
    "\r        1/2      2.29G      1.176      2.761      1.238         34        640:"
    " 100%|██████████| 4/4 [00:01<00:00,  3.53it/s]\n"
    "\r                 Class     Images  Instances      Box(P          R      mAP50"
    "  mAP50-95): 100%|██████████| 2/2 [00:00<00:00,  5.28it/s]\n"
    "                   all          4         17      0.608      0.538      0.61      0.442\n"
    "                person          3         10      0.108      0.138      0.11      0.142\n"
    "\n      Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size\n"
    "        2/2      2.29G      1.076      2.661      1.138         34        640:"
    " 100%|██████████| 4/4 [00:01<00:00,  3.53it/s]\n"
)
TQDM = (
    "\r 50%|#####     | 5/10 [00:01<00:01, 5.0it/s, loss=0.9]"
    "\r100%|##########| 10/10 [00:02<00:00, 5.0it/s, loss=0.25, lr=1e-3]\n"
    "Downloading: 100%|##########| 3.2M/3.2M [00:00<00:00, 12.3MB/s]\n"
)

LOGGED = {"loss": 1.489, "grad_norm": 3.626, "learning_rate": 4.375e-05, "epoch": 0.5}
PRINTED: dict[str, tuple[str, str]] = {
    "keras 3": (
        KERAS_3,
        "[(1, {'accuracy': 0.5, 'loss': 0.8463, 'val_accuracy': 0.25, 'val_loss': 0.9244}), "
        "(2, {'accuracy': 0.75, 'loss': 0.0015, 'val_accuracy': nan, 'val_loss': 0.9211})]",
    ),
    "keras, one line an epoch": (
        KERAS_QUIET,
        "[(1, {'accuracy': 0.5, 'loss': 0.8402}), (2, {'accuracy': 0.5, 'loss': 0.8373})]",
    ),
    "keras 2": (
        KERAS_2,
        "[(1, {'loss': 0.5, 'val_loss': 0.25}), (2, {'loss': 0.4, 'val_loss': 0.2})]",
    ),
    "keras evaluates": ("2/2 - 0s - 3ms/step - loss: 0.8\n", "[]"),
    "xgboost": (
        XGBOOST,
        "[(0, {'train-logloss': 0.43905, 'train-auc': 1.0, 'eval-logloss': 0.5}), "
        "(1, {'train-logloss': 0.30165, 'train-auc': 1.0, 'eval-logloss': 0.25})]",
    ),
    "xgboost, folds": (
        XGBOOST_FOLDS,
        "[(0, {'train-logloss-mean': 0.44421, 'train-logloss-std': 0.00855, "
        "'test-logloss-mean': 0.45686, 'test-logloss-std': 0.00387})]",
    ),
    "lightgbm": (
        LIGHTGBM,
        "[(1, {'training-binary_logloss': 0.590931, 'valid_1-auc': 1}), "
        "(2, {'training-binary_logloss': 0.513557, 'valid_1-auc': 1})]",
    ),
    "lightgbm, folds": (
        LIGHTGBM_FOLDS,
        "[(1, {'valid-binary_logloss-mean': 0.590931, 'valid-binary_logloss-std': 1.11022e-16})]",
    ),
    "boosting, twice": (XGBOOST + XGBOOST.replace("0.", "1."), "4"),
    "fastai": (
        FASTAI,
        "[(0, {'train_loss': 0.912345, 'valid_loss': 0.812345, 'accuracy': 0.5}), "
        "(1, {'train_loss': 0.712345, 'valid_loss': 0.612345, 'accuracy': 0.75})]",
    ),
    "gradient boosting": (
        BOOSTING,
        "[(1, {'Train_Loss': 1.1741, 'OOB_Improve': 0.1918}), "
        "(10, {'Train_Loss': 1.0432, 'OOB_Improve': 0.1787})]",
    ),
    "sgd": (
        SGD,
        "[(1, {'Norm': 64.7, 'NNZs': 5, 'Bias': -0.187857, 'T': 200, 'Avg_loss': 1.171846})]",
    ),
    "mlp": (MLP, "[(1, {'loss': 0.64002587}), (1, {'Validation_score': 0.65})]"),
    "k-means": (KMEANS, "[(0, {'inertia': 1201.6468597979897}), (1, {'inertia': 850.5})]"),
    "grid search": (SEARCH, "[]"),
    "trainer 5": (
        TRAINER_5,
        f"[(None, {LOGGED}), "
        "(None, {'eval_loss': 1.864, 'eval_samples_per_second': 13950.0, 'epoch': 1.0})]",
    ),
    "trainer 4": (TRAINER_4, f"[(None, {LOGGED})]"),
    "lightning, bars": (
        LIGHTNING_BARS,
        "[(0, {'train_loss': 0.33}), (1, {'train_loss': 0.281, 'val_loss': 0.234})]",
    ),
    "lightning, table": (
        LIGHTNING_TABLE,
        "[(None, {'test_acc': 1.0}), (None, {'test_loss': 0.16714775562286377})]",
    ),
    "lightning, without rich": (LIGHTNING_PLAIN, "[(None, {'test_loss': 0.16714775562286377})]"),
    "lightning, the model": (LIGHTNING_MODEL, "[]"),
    "ultralytics": (
        ULTRALYTICS,
        "[(1, {'box_loss': 1.176, 'cls_loss': 2.761, 'dfl_loss': 1.238}), "
        "(1, {'P': 0.608, 'R': 0.538, 'mAP50': 0.61, 'mAP50-95': 0.442}), "
        "(2, {'box_loss': 1.076, 'cls_loss': 2.661, 'dfl_loss': 1.138})]",
    ),
    "tqdm": (TQDM, "[(None, {'loss': 0.25, 'lr': 0.001})]"),
}


@pytest.mark.parametrize("name", PRINTED)
def test_what_they_print_is_understood(name: str) -> None:
    """Taken from real runs: most scripts print through one of these, and need no line changed."""
    output, rows = PRINTED[name]
    found = scan(output)
    assert (str(len(found)) if rows.isdigit() else repr(found)) == rows


@pytest.mark.parametrize("size", [1, 7, 64])
def test_how_it_is_cut_changes_nothing(size: int) -> None:
    """A table spans many reads of the pipe, and a whole read is scanned by another way."""
    for output, _ in PRINTED.values():
        assert repr(scan(output, size)) == repr(scan(output))


@pytest.mark.parametrize(
    "output",
    [
        "[3]\tsome words: 5 of them\n",
        "[3]\ta:0.5\tb\n",
        "[3] a:0.5 and b\n",
        "[3]\n",
        "3/5 files done - 2s - all: 5\n",
        "3/5 - 0s - 3ms/step\n",
        "Epoch 1/2\n3/5 - 0s - 3ms/step - loss: 5 - done\n",
        "Epoch 1/2\n3/5 - 0s - 3ms/step - loss: 5 - loss: 6\n",
        "100%|####| 3/4 [00:01<00:00, 5it/s, loss=0.5]\n",
        "100%|####| 4/4 [00:01<00:00, 5it/s, file=a.txt]\n",
        "100%|####| 4/4 [00:01<00:00, 5it/s, loss=0.5, on x]\n",
        "epoch  of the dinosaurs\n65  0.5 1\n",
        "epoch  train_loss\n0 words\n1 2 3\nx 0.5\n1.5 0.5\n-1 0.5\n0 0.5s\n",
        "step  by  step\none  2  3\n",
        "class  size\nall  5\n",
        "Test metric  value\nloss  0.5\n",
        "{'a': '1', 'b': '2'}\n",
        "{'loss': 'high', 'epoch': '1'}\n",
        "{'loss': '1', 'epoch': '1', 'loss': '2'}\n",
        "Iteration 3, inertia unknown.\n",
        "│ a │ 5 │\n",
    ],
)
def test_what_only_looks_like_them_is_no_metric(output: str) -> None:
    """One false metric costs more trust than one that is missed."""
    assert scan(output) == []


def test_a_table_ends_where_its_rows_do() -> None:
    """Two numbers in a line are no row, hours after a heading."""
    heading, prose = "epoch  train_loss\n", "some words\n"
    assert scan(heading + prose * 10 + "1 0.5\n") == [(1, {"train_loss": 0.5})]
    assert scan(heading + prose * 30 + "1 0.5\n") == []


def test_hours_of_rounds_take_no_memory() -> None:
    """What was printed is remembered to know the best round again, up to a limit."""
    scanner = Scanner()
    for n in range(100_010):
        scanner._trainers.read(f"[{n}]\ta:0.5")
    assert len(scanner._trainers._rounds) <= 100_000
