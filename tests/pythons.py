"""A world with an interpreter of its own, for the tests of what a run ran on."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

from gittrack.environment import Pending, begin
from gittrack.records import Environment

STARTED: list[tuple[str, ...]] = []


def _note_process(event: str, details: tuple[object, ...]) -> None:
    if event == "subprocess.Popen":
        STARTED.append(tuple(details[1]))  # type: ignore[arg-type]


sys.addaudithook(_note_process)
LONG_AGO = 1_600_000_000_123_456_789


class World:
    """A virtual environment, a directory to work in and a cache, all old enough to be believed."""

    def __init__(self, root: Path) -> None:
        self.cache, self.cwd, self.bin = root / "cache", root / "work", root / "bin"
        self.cwd.mkdir()
        self.bin.mkdir()
        venv.EnvBuilder(symlinks=True).create(root / "venv")
        self.python = root / "venv" / "bin" / "python"
        self.site = next((root / "venv" / "lib").glob("python*")) / "site-packages"
        self.env = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(root)}

    def package(self, name: str, version: str, where: Path | None = None) -> Path:
        info = (where or self.site) / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        return info

    def script(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def age(self, *more: Path) -> None:
        for path in (self.site, self.site.parent.parent.parent / "pyvenv.cfg", *more):
            os.utime(path, ns=(LONG_AGO, LONG_AGO))

    def begin(self, *argv: str | Path, **env: str) -> Pending:
        words = [str(word) for word in argv]
        return begin(words, env={**self.env, **env}, cwd=self.cwd, cache=self.cache)

    def capture(self, *argv: str | Path, **env: str) -> Environment:
        return self.begin(*(argv or (self.python, "train.py")), **env).result()

    def processes(self, *argv: str | Path, **env: str) -> int:
        """Count what one more capture starts."""
        before = len(STARTED)
        self.capture(*argv, **env)
        return len(STARTED) - before
