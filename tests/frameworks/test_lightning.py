"""Lightning itself, under both of its names: its trainings are in the record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainings import Trained, train

PROGRAM = """\
import json, logging, sys, types
import torch
import PACKAGE as L
from PACKAGE.callbacks import LearningRateMonitor, ModelCheckpoint
import gittrack
from gittrack.integrations.MODULE import GittrackLogger

logging.getLogger("PACKAGE").setLevel("ERROR")
torch.manual_seed(7)
x = torch.randn(64, 4)
data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))

class Net(L.LightningModule):
    def __init__(self, lr=0.1, opt=None, net=None, deep=None):
        super().__init__()
        self.save_hyperparameters(ignore=[])
        self.layer = torch.nn.Linear(4, 1)
        self.seen = []
    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss)
        self.seen.append((self.trainer.global_step, loss.item()))
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))
    def test_step(self, batch, index):
        self.log("test_loss", 0.5)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)
    def train_dataloader(self):
        return torch.utils.data.DataLoader(data, 16)
    def val_dataloader(self):
        return torch.utils.data.DataLoader(data, 32)
    test_dataloader = val_dataloader

class Broken(Net):
    def training_step(self, batch, index):
        raise KeyError("mine")

def trainer(**told):
    return L.Trainer(**{
        "max_epochs": 2, "log_every_n_steps": 2, "accelerator": "cpu", "logger": False,
        "enable_progress_bar": False, "enable_model_summary": False,
        "enable_checkpointing": False, **told,
    })
"""

RUNS = """
net = Net(opt={"name": "sgd", "betas": (0.9, 0.99)}, net=torch.nn.Linear(2, 2), deep="x" * 900)
logger = GittrackLogger("wine", "logged", tags={"kind": "small"}, log_model=True)
one = trainer(logger=logger, enable_checkpointing=True, callbacks=[
    ModelCheckpoint(monitor="val_loss", filename="best-{epoch}"), LearningRateMonitor(),
])
one.fit(net)
one.test(net, verbose=False)
print(json.dumps({"seen": net.seen, "best": one.checkpoint_callback.best_model_path}))
trainer(logger=GittrackLogger(name="second", prefix="fine", log_model="all"),
        enable_checkpointing=True,
        callbacks=[ModelCheckpoint(save_top_k=-1, filename="{epoch}")]).fit(Net())
trainer(max_epochs=1).fit(Net(), ckpt_path=None)
trainer(logger=GittrackLogger(name="quick"), fast_dev_run=True).fit(Net())
failing = GittrackLogger(name="failed")
try:
    trainer(logger=failing).fit(Broken())
except KeyError as error:
    print("raised", error)
trainer(logger=failing, max_epochs=1).fit(Net())
gittrack.end_run()
with gittrack.start_run(name="joined"):
    joined = trainer(max_epochs=1)
    joined.fit(Net(lr=0.2))
    joined.test(Net(), verbose=False)
    print(joined.loggers, joined.default_root_dir)
joined.test(Net(), verbose=False)
with gittrack.start_run(name="once"):
    trainer(logger=GittrackLogger(name="ignored"), max_epochs=1).fit(Net())
with gittrack.start_run(name="caught"):
    try:
        trainer().fit(Broken())
    except KeyError:
        trainer(max_epochs=1).fit(Net())
with gittrack.start_run(name="hostile"):
    class Odd(Net):
        def training_step(self, batch, index):
            self.log("n" * 300, 1.0)
            return super().training_step(batch, index)
    class Gone(ModelCheckpoint):
        def _save_checkpoint(self, trainer, path):
            super()._save_checkpoint(trainer, path)
    trainer(logger=GittrackLogger(), max_epochs=1).fit(Odd())
"""


@pytest.fixture(
    scope="module",
    params=[("lightning", "lightning.pytorch"), ("pytorch_lightning", "pytorch_lightning")],
    ids=["lightning", "pytorch_lightning"],
)
def words(request: pytest.FixtureRequest) -> str:
    """The script's beginning, for one of the two packages."""
    module, package = request.param
    return PROGRAM.replace("MODULE", module).replace("PACKAGE", package)


@pytest.fixture(scope="module")
def trained(words: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("lightning"), words + RUNS)


def test_a_logger_logs_what_the_module_logs(trained: Trained) -> None:
    """By the trainer's step, with the epoch; and what the module was made with, in params."""
    run = trained["logged"]
    seen = json.loads(trained.out.splitlines()[0])["seen"]
    assert (run.experiment, run.tags["kind"], run.status) == ("wine", "small", "finished")
    assert trained.curve("logged", "train_loss") == [tuple(point) for point in seen[1::2]]
    assert [step for step, _ in trained.curve("logged", "val_loss")] == [3, 7]
    assert [value for _, value in trained.curve("logged", "epoch")][-1] == 2
    assert run.metrics["test_loss"] == 0.5 and run.metrics["lr-SGD"] == 0.1
    assert run.params["lr"] == 0.1 and run.params["opt.name"] == "sgd"
    assert run.params["opt.betas"] == [0.9, 0.99]
    assert str(run.params["net"]).startswith("Linear(in_features=2")
    assert len(str(run.params["deep"])) == 500
    assert run.faults == ()


def test_the_best_checkpoint_is_kept(trained: Trained) -> None:
    """That which Lightning calls so, whole; and it lies where the logger said."""
    best = Path(json.loads(trained.out.splitlines()[0])["best"])
    (kept,) = trained["logged"].artifacts
    assert kept.path == f"checkpoints/{best.name}"
    assert trained.kept("logged", kept.path).read_bytes() == (trained.place / best).read_bytes()
    assert best.parent == Path("lightning_logs", "wine", trained["logged"].name, "checkpoints")


def test_each_checkpoint_is_kept_where_that_was_asked_for(trained: Trained) -> None:
    """And the prefix stands before each metric."""
    run = trained["second"]
    assert [item.path for item in run.artifacts] == [
        "checkpoints/epoch=0.ckpt", "checkpoints/epoch=1.ckpt",
    ]  # fmt: skip
    assert len(trained.curve("second", "fine/train_loss")) == 4


def test_the_next_logger_begins_another_run(trained: Trained) -> None:
    """As each logger of Lightning's has a version of its own; without one, nothing is logged."""
    assert [run.name.rpartition("-")[0] for run in trained.all] == [
        "logged", "second", "failed", "failed", "joined", "once", "caught", "hostile",
    ]  # fmt: skip


def test_a_training_that_fails_is_a_failed_run(trained: Trained) -> None:
    """The script sees its own exception; the same logger goes on with another run."""
    first, second = [run for run in trained.all if run.name.startswith("failed-")]
    assert first.status == "failed" and second.status == "finished"
    assert "raised 'mine'" in trained.out and second.metrics["epoch"] == 0


def test_a_run_under_way_is_logged_to_unasked(trained: Trained) -> None:
    """By the callback that every trainer gets; the trainer is as it was when it is done."""
    run = trained["joined"]
    assert run.params["lr"] == 0.2 and run.metrics["test_loss"] == 0.5
    assert [step for step, _ in trained.curve("joined", "train_loss")] == [1, 3]
    assert f"[] {trained.place}" in trained.out.splitlines()
    assert run.faults == () and run.artifacts == ()


def test_nothing_is_logged_twice(trained: Trained) -> None:
    """Where the trainer has a logger of ours the callback keeps still."""
    assert [step for step, _ in trained.curve("once", "train_loss")] == [1, 3]
    assert trained["once"].faults == ()


def test_a_failure_that_the_script_caught_is_not_the_runs(trained: Trained) -> None:
    """Whose run it is decides; the trainer after it is logged as well."""
    assert trained["caught"].status == "finished"
    assert [step for step, _ in trained.curve("caught", "train_loss")] == [1, 3]


def test_what_goes_wrong_on_our_side_is_a_fault(trained: Trained) -> None:
    """A name that no metric can have costs its own values."""
    run = trained["hostile"]
    assert run.status == "finished" and len(trained.curve("hostile", "train_loss")) == 2
    assert any("300 characters" in fault for fault in run.faults)


def test_the_command_is_joined_by_the_trainer(words: str, tmp_path: Path) -> None:
    """`git track run -- python train.py` needs no change of the script; without it, nothing is."""
    program = words + "trainer().fit(Net())\n"
    (run,) = train(tmp_path / "tracked", program, track=True).all
    assert run.params["lr"] == 0.1 and run.metrics["epoch"] == 1 and run.faults == ()
    assert train(tmp_path / "alone", program).all == []


def test_a_trainer_with_a_default_logger_logs_once(words: str, tmp_path: Path) -> None:
    """TensorBoard's event files are read as well: the same curve comes from both."""
    done = train(tmp_path, words + "trainer(logger=True).fit(Net())\n", track=True)
    (run,) = done.all
    name = run.name.rpartition("-")[0]
    assert [step for step, _ in done.curve(name, "train_loss")] == [1, 3, 5, 7]
    assert [step for step, _ in done.curve(name, "val_loss")] == [3, 7]


def test_two_ranks_are_one_run(words: str, tmp_path: Path) -> None:
    """Lightning starts the second process itself; the first one logs."""
    program = words + (
        "trainer(logger=GittrackLogger(name='ranks', log_model=True), devices=2, strategy='ddp',\n"
        "        enable_checkpointing=True, log_every_n_steps=1).fit(Net())\n"
    )
    (run,) = (done := train(tmp_path, program)).all
    assert run.status == "finished" and run.faults == ()
    assert len(done.curve("ranks", "train_loss")) == 4 and len(run.artifacts) == 1
