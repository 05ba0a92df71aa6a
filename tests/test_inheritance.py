"""Which run a child process logs to, by whatever method it was started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gittrack.inheritance import hand_down, inherited
from gittrack.journal import RUN_VARIABLE
from scripts import do

_PROGRAM = """\
from gittrack.inheritance import hand_down, inherited

def tell(depth=0):
    if not depth:
        print(inherited(), os.environ.get("GITTRACK_RUN"), flush=True)
        return
    begin(tell, depth - 1)

def begin(function, *given):
    child = multiprocessing.Process(target=function, args=given)
    child.start()
    child.join()

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    begin(tell)
    for named in ("one", "two"):
        hand_down(named)
        begin(tell)
        begin(tell, 1)
    hand_down(None)
    begin(tell)
"""

METHODS = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


@METHODS
def test_children_are_told_the_run_of_now(method: str, tmp_path: Path) -> None:
    """A fork server keeps the environment that it began with: its children would log elsewhere."""
    said, _ = do(tmp_path, _PROGRAM, method)
    assert said.splitlines() == ["None None", *["one one"] * 2, *["two two"] * 2, "None None"]


@METHODS
def test_what_a_child_is_told_is_once_and_for_all(method: str, tmp_path: Path) -> None:
    """A run that a worker begins of its own, or a variable that it sets, is not undone."""
    program = """\
    from gittrack.inheritance import hand_down, inherited

    def work():
        said = [inherited()]
        hand_down("mine")
        said.append(inherited())
        os.environ["GITTRACK_RUN"] = "theirs"
        print(*said, inherited())

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        hand_down("one")
        child = context.Process(target=work)
        child.start()
        child.join()
        print(inherited())
    """
    assert do(tmp_path, program, method)[0] == "one mine theirs\none\n"


@METHODS
def test_a_pool_logs_to_the_run_under_way(method: str, repo_dir: Path) -> None:
    """Not to the one before, nor each worker to a run of its own."""
    program = """\
    import gittrack

    def work(number):
        gittrack.log_metric(f"m{number}", number)

    def all(*numbers):
        with multiprocessing.Pool(2) as pool:
            pool.map(work if numbers else abs, numbers or [1], chunksize=1)
            pool.close()
            pool.join()

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        all()
        for numbers in ((1, 2, 3), (4, 5)):
            with gittrack.start_run():
                all(*numbers)
        assert len(gittrack.runs()) == 2
        print(*sorted(sorted(run.metrics) for run in gittrack.runs()))
    """
    said, _ = do(repo_dir, program, method)
    assert said == "['m1', 'm2', 'm3'] ['m4', 'm5']\n"


def test_outside_of_multiprocessing_it_is_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell, a launcher or the user says."""
    monkeypatch.delitem(sys.modules, "multiprocessing.process", raising=False)
    monkeypatch.setenv(RUN_VARIABLE, "/a/run")
    assert inherited() == "/a/run"
    hand_down("/another")
    assert os.environ[RUN_VARIABLE] == "/another"
    hand_down(None)
    hand_down(None)
    assert inherited() is None and RUN_VARIABLE not in os.environ
