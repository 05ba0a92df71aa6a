"""Accelerate itself, tracked: its trainings are in the record."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from trainings import Trained, train

PROGRAM = """\
import os, sys
import numpy, torch
from accelerate import Accelerator
import gittrack
import gittrack.integrations.accelerate
from gittrack.integrations.accelerate import GittrackTracker

def train(accelerator, steps=3):
    torch.manual_seed(7)
    model = torch.nn.Linear(2, 1)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    for step in range(steps):
        loss = model(torch.ones(4, 2)).square().mean()
        accelerator.backward(loss)
        optimizer.step()
        accelerator.log({"train": {"loss": loss}, "lr": 0.1}, step=step)
        accelerator.print(loss.item())
"""

RUNS = """
accelerator = Accelerator(log_with="gittrack", cpu=True)
accelerator.init_trackers(
    "My project",
    config={"lr": 0.1, "opt": {"name": "sgd", "betas": (0.9, 0.99)}, "deep": "x" * 900},
    init_kwargs={"gittrack": {"name": "logged", "tags": {"kind": "small"}}},
)
train(accelerator)
run = accelerator.get_tracker("gittrack", unwrap=True)
assert run is gittrack.active_run()
run.log_metric("mine", 3)
tracker = accelerator.get_tracker("gittrack")
tracker.log({"stage": "late", "odd": object()})
tracker.log_images({"shade": [numpy.zeros((4, 4)), numpy.ones((4, 4))]}, step=2)
tracker.log_table("seen", columns=["a", "b"], data=[[1, 2], [3, 4]], step=2)
tracker.log_table("torn", columns=["a", "b"], data=[[1]])
accelerator.end_training()
assert gittrack.active_run() is None
with gittrack.start_run(name="joined"):
    accelerator = Accelerator(log_with=GittrackTracker("ignored"), cpu=True)
    accelerator.init_trackers("ignored", config={"lr": 0.5})
    train(accelerator)
    accelerator.end_training()
    gittrack.log_metric("after", 1)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("accelerate"), PROGRAM + RUNS)


def test_a_tracker_begins_a_run_and_ends_it(trained: Trained) -> None:
    """The project is its experiment; values are exact, though they are tensors with gradients."""
    run = trained["logged"]
    assert (run.experiment, run.tags["kind"], run.status) == ("my-project", "small", "finished")
    printed = [float(line) for line in trained.out.splitlines()[:3]]
    assert trained.curve("logged", "train.loss") == list(enumerate(printed))
    assert run.params["opt.name"] == "sgd" and run.params["opt.betas"] == [0.9, 0.99]
    assert len(str(run.params["deep"])) == 500 and run.metrics["mine"] == 3


def test_what_is_no_number_is_kept_as_what_it_is(trained: Trained) -> None:
    """Texts are tags, images and tables artifacts; what is none of them is a fault."""
    run = trained["logged"]
    assert run.tags["stage"] == "late"
    names = [item.path for item in run.artifacts]
    assert names == ["seen/2.csv", "shade/2/0.png", "shade/2/1.png"]
    with trained.kept("logged", "seen/2.csv").open() as table:
        assert list(csv.reader(table)) == [["a", "b"], ["1", "2"], ["3", "4"]]
    assert [fault.partition(":")[0] for fault in run.faults] == [
        "metric 'odd' not recorded", "table torn not kept",
    ]  # fmt: skip


def test_a_run_under_way_is_joined_and_goes_on(trained: Trained) -> None:
    """Whoever began it ends it."""
    run = trained["joined"]
    assert run.params["lr"] == 0.5 and run.metrics["after"] == 1 and run.faults == ()
    assert len(trained.curve("joined", "train.loss")) == 3


def test_the_command_is_joined(tmp_path: Path) -> None:
    """And ends when the command does."""
    program = PROGRAM + (
        "accelerator = Accelerator(log_with='gittrack', cpu=True)\n"
        "accelerator.init_trackers('tuned')\n"
        "train(accelerator)\naccelerator.end_training()\ngittrack.log_metric('after', 1)\n"
    )
    (run,) = train(tmp_path, program, track=True).all
    assert run.source == "cli" and run.metrics["after"] == 1 and "train.loss" in run.metrics
