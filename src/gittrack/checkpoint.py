"""A run as it stands, published while it runs: one commit on `refs/gittrack/live/*`, moved along.

Knows when such a ref may be moved and when it must go. What the commit holds, `recovery` knows; who
sends it to others is no matter of this module.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack import recovery, refs
from gittrack.errors import GittrackError
from gittrack.git import Repo
from gittrack.refs import LiveRef

if TYPE_CHECKING:
    import subprocess

__all__ = ["publish", "spawn"]

_started: dict[Path, subprocess.Popen[bytes]] = {}
"""The last publisher that this process started for each run."""


def publish(repo: Repo, directory: Path, *, now: Callable[[], float] = time.time) -> LiveRef | None:
    """Commit the running run as it stands, and point its own ref there; nothing else is touched.

    The commit has the tree and the record of a finished run, with the status `running`, masked as
    ever, its curves thinned. One at a time for each run, whoever asks: None where another process
    is at it, or where the run has just been recorded.

    Raises:
        WriteFailed: something could not be stored.
        RunChanged: somebody else moved the ref meanwhile.
    """
    with _alone(directory) as alone:
        if not alone:
            return None
        repo.sync(repo.flag("track.fsync", default=True))
        before = {there.run.experiment: there for there in _of(repo, directory.name)}
        run = recovery.store_as_it_stands(repo, directory, at=now())
        if run is None or run.commit is None:
            return None
        there = before.pop(run.experiment, None)
        made = refs.publish_live(
            repo,
            experiment=run.experiment,
            name=run.name,
            commit=run.commit,
            before=None if there is None else there.run.commit,
        )
        # It may have been recorded meanwhile, and then nobody comes any more to take this away; or
        # it may have gone over to another experiment.
        over = not directory.exists() or refs.find(repo, run.experiment, run.name) is not None
        gone = [*before.values(), *([made] if over else [])]
        refs.drop_live(repo, gone)
        return None if over else made


def spawn(repo: Repo, directory: Path) -> bool:
    """Publish a run in a process of its own, at low priority -> whether one was started.

    None is where the one before is still at it. Costs the caller the start of a process; may be
    called from any thread, one at a time. Never raises.
    """
    import subprocess

    before = _started.get(directory)
    if before is not None and before.poll() is None:
        return False
    env = {name: value for name, value in os.environ.items() if name not in _PLACES}
    env["GIT_DIR"] = os.fspath(repo.git_dir.absolute())
    if repo.root is not None:
        env["GIT_WORK_TREE"] = os.fspath(repo.root)
    start = os.path.abspath(repo.root or repo.git_dir)
    try:
        _started[directory] = subprocess.Popen(
            [sys.executable, "-m", "gittrack.checkpoint", start, os.path.abspath(directory)],
            env=env,
            # Not where the user stands: `-m` looks for modules there.
            cwd=repo.state,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    return True


_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GITTRACK_RUN")


def _of(repo: Repo, name: str) -> list[LiveRef]:
    return [there for there in refs.live(repo) if there.run.name == name]


@contextmanager
def _alone(directory: Path) -> Iterator[bool]:
    """Whether we are the only one to publish this run, until the end of the block.

    The lock is the directory's own, so that nothing new lies in it: a file there would be a sign
    of life. A file system that cannot do that leaves it to the ref, which only one can move.
    """
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        yield True
    finally:
        os.close(handle)


def _main(start: str, directory: str) -> None:
    os.nice(10)
    try:
        publish(Repo.open(start), Path(directory))
    except (GittrackError, OSError):
        # The next minute brings another try, and nobody listens to us here.
        sys.exit(1)


if __name__ == "__main__":
    _main(*sys.argv[1:3])
