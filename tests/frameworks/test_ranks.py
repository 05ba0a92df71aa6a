"""torchrun, its ranks and the workers of a DataLoader, as real processes: they are one run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gittrack import commits, refs
from gittrack.git import Repo
from gittrack.records import Run
from trainings import train

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

RANKS = """\
import torch
import torch.distributed as dist
import gittrack

dist.init_process_group("gloo")
rank = dist.get_rank()
BEGIN
for step in range(20):
    total = torch.tensor(float(rank + step))
    gittrack.log_metric("local", total, step=step)
    dist.all_reduce(total)
    if rank == 0:
        gittrack.log_metric("total", total, step=step)
gittrack.log_metric(f"only{rank}", rank)
dist.barrier()
dist.destroy_process_group()
"""

ACCELERATED = """\
from accelerate import Accelerator
import gittrack.integrations.accelerate

accelerator = Accelerator(log_with="gittrack", cpu=True)
accelerator.init_trackers("ranks", config={"lr": 0.1})
for step in range(5):
    accelerator.log({"loss": float(step)}, step=step)
accelerator.wait_for_everyone()
accelerator.end_training()
"""


def launch(place: Path, program: str, *before: str) -> tuple[Repo, list[Run]]:
    """Two ranks of a script in a new repository -> what is recorded."""
    subprocess.run(["git", "init", "-q", str(place)], check=True)
    (place / "train.py").write_text(program)
    done = subprocess.run(
        [*before, *TORCHRUN, "train.py"], cwd=place, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    repo = Repo.open(place)
    return repo, [commits.load(repo, ref) for ref in refs.all_runs(repo)]


@pytest.mark.parametrize("tracked", [True, False], ids=["tracked", "own"])
def test_the_ranks_of_torchrun_are_one_run(tmp_path: Path, tracked: bool) -> None:
    """Begun by the command, or by the first rank and joined by the other: each curve is whole."""
    before = [sys.executable, "-m", "gittrack", "run", "--"] if tracked else []
    begin = "" if tracked else 'gittrack.start_run(name="ranks", params={"ranks": 2})'
    repo, (run,) = launch(tmp_path, RANKS.replace("BEGIN", begin), *before)
    assert run.status == "finished" and run.faults == ()
    assert run.source == ("cli" if tracked else "api")
    (ref,) = refs.all_runs(repo)
    rows = list(commits.load_series(repo, ref))
    curves = {name for row in rows for name in row.values}
    assert {"total", "only0"} < curves
    kept = [name for name in curves if "local" in name]
    points = sorted(
        (row.values[name] - (row.step or 0), row.step)
        for row in rows for name in kept if name in row.values
    )  # fmt: skip
    assert points == [(float(rank), step) for rank in range(2) for step in range(20)]
    assert [row.values["total"] for row in rows if "total" in row.values] == [
        2.0 * step + 1 for step in range(20)
    ]
    assert any("only1" in name for name in curves)


def test_the_main_process_of_accelerate_logs_alone(tmp_path: Path) -> None:
    """Each point once."""
    repo, (run,) = launch(tmp_path, ACCELERATED)
    assert run.experiment == "ranks" and run.params["lr"] == 0.1 and run.status == "finished"
    rows = list(commits.load_series(repo, refs.all_runs(repo)[0]))
    assert [(row.step, row.values["loss"]) for row in rows if "loss" in row.values] == [
        (step, float(step)) for step in range(5)
    ]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("track", [True, False], ids=["tracked", "own"])
def test_the_workers_of_a_loader_log_to_the_run(tmp_path: Path, method: str, track: bool) -> None:
    """However they are started; they end without Python's usual end of a process."""
    program = f"""
        import gittrack, torch

        class Data(torch.utils.data.Dataset):
            def __len__(self):
                return 12
            def __getitem__(self, place):
                gittrack.log_metric("read", place, step=place)
                return torch.tensor(float(place))

        if __name__ == "__main__":
            gittrack.log_param("workers", 2)
            loader = torch.utils.data.DataLoader(
                Data(), 3, num_workers=2, multiprocessing_context="{method}")
            for step, batch in enumerate(loader):
                gittrack.log_metric("batch", batch.sum(), step=step)
        """
    done = train(tmp_path, program, track=track)
    (run,) = done.all
    name = run.name.rpartition("-")[0]
    assert run.status == "finished" and run.faults == () and run.params["workers"] == 2
    assert sorted(done.curve(name, "read")) == [(place, float(place)) for place in range(12)]
    assert [value for _, value in done.curve(name, "batch")] == [3.0, 12.0, 21.0, 30.0]


def test_tensors_of_one_element_are_numbers(tmp_path: Path) -> None:
    """Of any type and shape, with a gradient too, exactly; of more, a fault that says so."""
    program = """
        import gittrack, torch

        with gittrack.start_run(name="numbers"):
            for step, value in enumerate([
                torch.tensor(0.1), torch.tensor([0.1], dtype=torch.float64),
                torch.tensor([[0.1]], dtype=torch.bfloat16, requires_grad=True),
                torch.tensor(0.1, dtype=torch.float16, requires_grad=True) * 2,
                torch.nn.Parameter(torch.tensor(3.0)), torch.tensor(2**62),
                torch.tensor(float("nan")).abs(), torch.tensor(1, dtype=torch.uint8),
            ]):
                gittrack.log_metric("value", value, step=step)
                print(repr(value.item()))
            loss = torch.tensor(1.5, requires_grad=True)
            gittrack.log_metrics({"loss": loss}, step=torch.tensor(4))
            gittrack.log({"nested": {"loss": torch.tensor(2.5)}})
            gittrack.log_metric("several", torch.ones(3))
            gittrack.log_metric("flag", torch.tensor(True))
            gittrack.log_metric("complex", torch.tensor(1j))
            gittrack.log_metric("meta", torch.ones((), device="meta"))
        """
    done = train(tmp_path, program)
    told = [repr(value) for _, value in done.curve("numbers", "value")]
    assert [float(value) for value in told if value != "nan"] == [
        float(line) for line in done.out.splitlines() if line != "nan"
    ]
    assert "4611686018427387904" in told and len(told) == 8
    run = done["numbers"]
    assert done.curve("numbers", "loss") == [(4, 1.5)] and run.metrics["nested.loss"] == 2.5
    wrong = [fault.split("'")[1] for fault in run.faults]
    assert wrong == ["several", "flag", "complex", "meta"]
    assert "log its mean" in run.faults[0]
