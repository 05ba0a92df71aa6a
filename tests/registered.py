"""Registries for tests: versions of runs, and what became of them, as tags made by plain Git."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gittrack import commits, inscriptions
from gittrack.git import Repo
from remotes import keep, record

RUN = "calm-lynx-0xw8nc"
OTHER = "bold-crow-2q7kzd"


class Wine:
    """A repository with two runs, and tags made by plain Git with the messages that ours have."""

    def __init__(self, root: Path, scratch: Path, things: Mapping[str, Any] | None = None) -> None:
        """`things` are what each run keeps; by default a file that differs."""
        self.root = root
        repo = Repo.open(root)
        self.commits: dict[str, str] = {}
        self.md5s: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        for name in (RUN, OTHER):
            kept = keep(repo, scratch / name, things or {"model.joblib": name})
            self.md5s[name] = kept[0].md5
            ref = record(repo, name, artifacts=kept)
            self.commits[name] = str(ref.commit)
            self.ids[name] = commits.load(repo, ref).id

    def tag(self, name: str, on: str = RUN, body: str = "", **trailers: str) -> None:
        """Tag a run, or another of `commits`; `artifact_hash` is the trailer `Artifact-Hash`."""
        said = [(key.replace("_", "-").title(), value) for key, value in trailers.items()]
        message = inscriptions.compose(f"About {name}", body, said)
        done = subprocess.run(
            ["git", "tag", "-a", "--cleanup=verbatim", "-F", "-", name, self.commits[on]],
            cwd=self.root, input=message, text=True, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def register(
        self, version: str, on: str = RUN, artifact: str = "model.joblib", **more: str
    ) -> None:
        """Register a version with the trailers that tell of its run."""
        self.tag(
            f"wine@v{version}", on, version=version, artifact=artifact,
            artifact_hash=self.md5s[on], run=f"default/{on}", run_id=self.ids[on], **more,
        )  # fmt: skip
