"""Scripts that train with a framework, as real processes, and what is recorded of them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from gittrack import commits, keeping, names, refs
from gittrack.git import Repo
from gittrack.records import Run

__all__ = ["Trained", "train"]


def train(place: Path, program: str, *, track: bool = False, code: int = 0) -> Trained:
    """Run a script in a new repository, by `git track run` if asked -> what is recorded."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "-q"], cwd=place, check=True)
    (place / "train.py").write_text(textwrap.dedent(program))
    before = [sys.executable, "-m", "gittrack", "run", "--"] if track else []
    done = subprocess.run(
        [*before, sys.executable, "-W", "ignore", "train.py"],
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return Trained(place, done.stdout, done.stderr)


class Trained:
    """The runs of a repository, by the names that the script gave them."""

    def __init__(self, place: Path, out: str, err: str) -> None:
        self.place, self.out, self.err = place, out, err
        self.repo = Repo.open(place)
        self.all = sorted(
            (commits.load(self.repo, ref) for ref in refs.all_runs(self.repo)),
            key=lambda run: run.started,
        )

    def __getitem__(self, name: str) -> Run:
        (run,) = [run for run in self.all if names.SUFFIX.sub("", run.name) == name]
        return run

    def curve(self, name: str, metric: str) -> list[tuple[int | None, float]]:
        """The steps and values of a metric."""
        called = self[name].name
        (ref,) = [ref for ref in refs.all_runs(self.repo) if ref.name == called]
        rows = commits.load_series(self.repo, ref)
        return [(row.step, row.values[metric]) for row in rows if metric in row.values]

    def kept(self, name: str, artifact: str) -> Path:
        """Where an artifact of a run lies."""
        return keeping.load_artifact(self[name].name, artifact, repo=self.place)
