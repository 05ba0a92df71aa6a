"""docs/sql.md: every table and column as they are, every example run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from conftest import Git, Track
from gittrack import whereabouts
from gittrack.extracts import Extract
from gittrack.relations import RELATIONS, Relation
from gittrack.search import Question, open_search
from gittrack.selection import Selection
from recorded_runs import various

TEXT = (Path(__file__).parents[1] / "docs" / "sql.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```sql\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    root = tmp_path_factory.mktemp("sql-docs") / "repo"
    root.mkdir()
    git(root, "init", "-q")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    various(root)
    git(root, "tag", "-a", "-m", "First", "churn@v1.0.0", "runs/default/amber-otter-aaaaaa")
    git(root, "tag", "-a", "-m", "Gone", "churn@v1.0.0!", "runs/default/amber-otter-aaaaaa")
    git(root, "tag", "-a", "-m", "Next", "churn@v1.1.0", "runs/sweep-2/calm-lynx-cccccc")
    return root


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: str(relation.name))
def test_the_document_has_every_column(relation: Relation) -> None:
    """In the words that `git track sql` has for them."""
    section = re.search(rf"^### {relation.name}\n(.*?)(?=^##)", TEXT, re.DOTALL | re.MULTILINE)
    assert section is not None
    rows = re.findall(r"^\| `(.+)` \| (.*) \| (.*) \|$", section[1], re.MULTILINE)
    assert rows == [(c.name, c.type.lower() or "any", c.about) for c in relation.columns]
    assert relation.about.lower() in section[1].lower()


def test_the_document_has_no_other_table() -> None:
    """What is gone must go there, too."""
    sections = re.findall(r"^### (\w+)$", TEXT, re.MULTILINE)
    assert sections == [relation.name for relation in RELATIONS]


@pytest.mark.parametrize("statement", EXAMPLES)
def test_an_example_finds_something(place: Path, statement: str) -> None:
    """An example that finds nothing may be wrong without anybody seeing it."""
    here = whereabouts.find(str(place))
    with open_search(here) as search, Selection(Extract(here, search, Question())) as selection:
        assert list(selection.ask(statement).rows)


def test_the_commands_run(place: Path, track: Track) -> None:
    """As they stand, `report.sql` being the first example."""
    (place / "report.sql").write_text(EXAMPLES[0])
    (block,) = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert len(block.splitlines()) == 4
    for line in block.splitlines():
        words = shlex.split(re.sub(r" > \S+$", "", line))
        assert words[:2] == ["git", "track"]
        assert track(place, *words[2:], check=0).stdout
