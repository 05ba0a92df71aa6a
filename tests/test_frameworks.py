"""What integrations share: a training goes on whatever we do, and settings have a size."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gittrack
from doors import fresh
from gittrack import commits, refs
from gittrack.errors import BadValue
from gittrack.frameworks import bounded, cut, spared
from gittrack.git import Repo
from gittrack.records import Run

ROOT = Path(__file__).parents[1]
INTEGRATIONS = ROOT / "src" / "gittrack" / "integrations"
DOCUMENT = (ROOT / "docs" / "frameworks.md").read_text("utf-8")


@pytest.fixture
def place(tmp_path: Path, git: Any) -> Any:
    """In a repository, as in a process that has logged nothing yet."""
    git(tmp_path, "init", "-q")
    with fresh(tmp_path):
        yield tmp_path


def recorded(place: Path) -> Run:
    repo = Repo.open(place)
    (ref,) = refs.all_runs(repo)
    return commits.load(repo, ref)


class Rude:
    """What raises wherever it is looked at."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    "error, told",
    [
        (BadValue("'x' is no number"), "'x' is no number"),
        (KeyError("deep inside"), "KeyError('deep inside')"),
        (OSError(28, "No space left on device"), "OSError(28, 'No space left on device')"),
        (RuntimeError(Rude()), "of type RuntimeError"),
    ],
)
def test_what_goes_wrong_is_a_fault_and_not_raised(place: Path, error: Any, told: str) -> None:
    """A training of days does not end because a curve could not be kept."""
    with gittrack.start_run():
        with spared("scores not logged"):
            raise error
        gittrack.log_metric("after", 1)
    run = recorded(place)
    assert (run.status, run.metrics) == ("finished", {"after": 1})
    assert run.faults == (f"scores not logged: {told}",)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_who_wants_to_leave_may(error: type[BaseException]) -> None:
    """Ctrl-C is no fault of a scorer."""
    with pytest.raises(error), spared("scores not logged"):
        raise error


def test_a_strict_run_raises(place: Path, git: Any) -> None:
    """`track.strict` is how one finds out what is wrong."""
    git(place, "config", "track.strict", "true")
    with pytest.raises(BadValue), gittrack.start_run(), spared("scores not logged"):
        raise BadValue("'x' is no number")
    assert recorded(place).status == "failed"


def test_without_a_run_it_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody would look for it in a record."""
    with spared("trial 3 not recorded"):
        raise BadValue("it is broken")
    assert capsys.readouterr().err == "gittrack: trial 3 not recorded: it is broken\n"


@pytest.mark.parametrize(
    "value, kept",
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.1, 0.1),
        ("gbtree", "gbtree"),
        ([1, 2], [1, 2]),
        ({"a": (1, "b")}, {"a": [1, "b"]}),
        ("x" * 501, "x" * 497 + "..."),
        ("x" * 500, "x" * 500),
        (list(range(100_000)), "list of 100000 items"),
        ({"a": "x" * 600}, "{'a': '" + "x" * 490 + "..."),
        (Rude(), "Rude"),
        (len, "<built-in function len>"),
    ],
)
def test_a_setting_is_kept_as_far_as_it_is_short(value: Any, kept: Any) -> None:
    """Params are for comparing runs; a pipeline's vocabulary is not."""
    found = cut(value)
    assert found == kept and type(found) is type(kept)


def test_settings_are_not_without_end() -> None:
    """Five hundred are more than anybody compares."""
    assert list(bounded({n: n for n in range(600)})) == [str(n) for n in range(500)]
    assert bounded({"a": "b"}, str.upper) == {"a": "B"}


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_whatever_a_setting_is_it_gives_a_param(value: Any) -> None:
    """Of a size, without raising."""
    found = cut(value)
    assert isinstance(found, (bool, int, float)) or len(str(found)) <= 500


@pytest.mark.parametrize(
    "module, names",
    re.findall(r"^from gittrack\.integrations\.(\w+) import (.+)$", DOCUMENT, re.MULTILINE),
)
def test_what_the_document_imports_is_there(module: str, names: str) -> None:
    """Read, not imported: nobody has all frameworks."""
    source = (INTEGRATIONS / f"{module}.py").read_text("utf-8")
    (offered,) = re.findall(r"^__all__ = (\[[^]]*\])", source, re.MULTILINE)
    assert set(names.split(", ")) <= set(ast.literal_eval(offered))


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL))
def test_the_code_of_the_document_is_python(code: str) -> None:
    """What is copied from it begins to run."""
    compile(code, "docs/frameworks.md", "exec")
