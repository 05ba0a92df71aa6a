"""docs/query.md: each example is asked of the runs that it shows, and finds what it says."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from gittrack.tokens import FUNCTIONS
from gittrack.vocabulary import ALIASES, ATTRIBUTES
from questions import Known, find, refusal
from summaries import run

TEXT = (Path(__file__).parents[1] / "docs" / "query.md").read_text("utf-8")
RAW = {"data/raw.csv": "5d41402abc4b2a76b9719d911017c592"}
COMMITS = {"amber": "3d02a6c" + "0" * 33, "blue": "b" * 40, "calm": "c" * 40}
ANSWERS = {
    ("commit", ("main..topic",)): ["blue", "calm"],
    ("touches", ("src/model.py",)): ["blue"],
    ("touches", ("src/model.py", "latest")): ["blue", "calm"],
    ("ancestor", ("dusk",)): ["amber"],
    ("descendant", ("amber",)): ["dusk"],
    ("keeps", ("model.*",)): ["amber"],
    ("uses", ("numpy<2",)): ["amber", "dusk"],
}
LOSS = {
    "first": 0.9, "last": 0.2, "min": 0.1, "max": 0.9, "count": 3,
    "first_step": 0, "last_step": 2, "min_step": 1, "max_step": 0,
}  # fmt: skip


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [cell.strip().replace("\\|", "|") for cell in cells]


def _value(cell: str) -> Any:
    if cell in ("true", "false"):
        return cell == "true"
    for number in (int, float):
        try:
            return number(cell)
        except ValueError:
            pass
    return cell


def _run(titles: list[str], line: str) -> Any:
    fields: dict[str, Any] = {"params": {}, "metrics": {}, "tags": {}}
    for title, cell in zip(titles, _cells(line), strict=True):
        group, dot, key = title.partition(".")
        if cell != "·":
            (fields[group] if dot else fields)[key if dot else title] = _value(cell)
    began = datetime.fromisoformat(fields["started"]).replace(tzinfo=timezone.utc)
    lasted = fields.pop("duration", None)
    name = fields.pop("name")
    more = {
        "started": began,
        "ended": None if lasted is None else began + timedelta(seconds=lasted),
        "id": f"id of {name}",
        "user": "ada",
        "base": COMMITS.get(name, "e" * 40),
        "branch": "topic" if name in ("blue", "calm") else "main",
        "data": RAW if name in ("amber", "blue") else {},
    }
    return run(name, **(fields | more))


LINES = TEXT.split("\n")
TOP = next(n for n, line in enumerate(LINES) if line.startswith("| name |"))
RUNS = [_run(_cells(LINES[TOP]), line) for line in LINES[TOP + 2 : LINES.index("", TOP)]]


class _Functions(Known):
    def __call__(self, name: str, arguments: tuple[str, ...]) -> Any:
        if name not in ("reads", "dataset"):
            ids = frozenset(f"id of {found}" for found in ANSWERS[name, arguments])
            return super().__call__("reads", tuple(RAW)).changed(values=ids)
        return super().__call__(name, arguments)


def _examples() -> list[tuple[str, str]]:
    rows = [_cells(line) for line in LINES if line.startswith(("| `", "| |"))]
    return [(re.sub(r"^`+ ?(.*?) ?`+$", r"\1", row[0]), row[1]) for row in rows]


@pytest.mark.parametrize(("query", "finds"), _examples())
def test_an_example_finds_what_it_says(query: str, finds: str) -> None:
    """The documentation cannot lie."""
    functions = _Functions(RUNS)
    assert ", ".join(find(query, RUNS, functions, {"amber": {"val/loss": LOSS}})) == finds


@pytest.mark.parametrize(
    ("query", "said"), re.findall(r'^\$ git track ls "(.*)"\n((?:(?!\$|```).*\n)+)', TEXT, re.M)
)
def test_an_error_is_what_it_says(query: str, said: str) -> None:
    """Word for word, carets and all."""
    assert f"error: {refusal(query, RUNS)}\n" == said


def test_everything_is_shown() -> None:
    """Each function and attribute that the language has."""
    assert len(_examples()) > 60 and len(RUNS) == 5
    said = set(re.findall(r"\w+", " ".join(re.findall(r"`+(.+?)`+", TEXT))))
    assert set(FUNCTIONS) - said == set()
    assert set(ATTRIBUTES) - {"notes"} - said == set()
    assert set(ALIASES) - said == set()


def test_what_a_run_is_about_is_found_by_git(repo_dir: Path, track: Any, git: Any) -> None:
    """The query language does not know it, so the page says who does: with this very command."""
    (command,) = re.findall(r"^\$ git (log .+)$", TEXT, re.MULTILINE)
    words = shlex.split(command)
    about = words[words.index("--grep") + 1]
    git(repo_dir, "commit", "-q", "--allow-empty", "-m", "Begin")
    for text in ("first try", f"the same with {about}"):
        track(repo_dir, "run", "-m", text, "--", "true", check=0)
    found = git(repo_dir, *words, "--format=%s")
    assert found.split("\n") == [f"the same with {about}", ""]
