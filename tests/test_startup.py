"""What is loaded before anything is done: the cheapest part of every command, and soon the dearest.

`git track -h` has its own list in test_cli_main.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_STANDARD = frozenset(sys.stdlib_module_names)

_ASKED = "asking completing main output"
_INDEX = "atoms index meter rows stamps tables ties"
_GIT = (
    "commits comparison configuration executable notes objects opening references values worktrees"
)


def _within(package: str, words: str) -> set[str]:
    return {f"{package}.{word}" for word in words.split()}


ASKING = {
    "gittrack",
    "gittrack.atoms",
    "gittrack.cells",
    "gittrack.cli",
    "gittrack.cli.asking",
    "gittrack.cli.completing",
    "gittrack.cli.main",
    "gittrack.cli.output",
    "gittrack.errors",
    "gittrack.figures",
    "gittrack.index",
    "gittrack.keys",
    "gittrack.meter",
    "gittrack.quoting",
    "gittrack.rows",
    "gittrack.stamps",
    "gittrack.summaries",
    "gittrack.tables",
    "gittrack.ties",
    "gittrack.vocabulary",
    "gittrack.whereabouts",
}
LISTING = ASKING | {
    "gittrack.access",
    "gittrack.cli.footer",
    "gittrack.cli.keys",
    "gittrack.cli.ls",
    "gittrack.cli.progress",
    "gittrack.report",
    "gittrack.search",
}
QUERYING = LISTING | {
    "gittrack.binding",
    "gittrack.clauses",
    "gittrack.conditions",
    "gittrack.constants",
    "gittrack.expressions",
    "gittrack.frozen",
    "gittrack.language",
    "gittrack.routines",
    "gittrack.scalars",
    "gittrack.syntax",
    "gittrack.terms",
    "gittrack.tokens",
}
CATALOGUING = ASKING | {
    "gittrack.access",
    "gittrack.catalog",
    "gittrack.chronicle",
    "gittrack.cli.footer",
    "gittrack.cli.model",
    "gittrack.cli.model_ls",
    "gittrack.cli.model_show",
    "gittrack.cli.progress",
    "gittrack.cli.standing",
    "gittrack.descriptions",
    "gittrack.inscriptions",
    "gittrack.inventory",
    "gittrack.registry",
    "gittrack.report",
    "gittrack.semver",
    "gittrack.versions",
    "gittrack.tagging",
    "gittrack.tags",
}
CITING = {"gittrack.cli.show", "gittrack.exports", "gittrack.glimpse"}
SHOWING = ASKING | {
    "gittrack.access",
    "gittrack.annotations",
    "gittrack.cli.diff",
    "gittrack.cli.show",
    "gittrack.cli.subject",
    "gittrack.commits",
    "gittrack.events",
    "gittrack.formats",
    "gittrack.git",
    "gittrack.git.commits",
    "gittrack.git.comparison",
    "gittrack.git.configuration",
    "gittrack.git.executable",
    "gittrack.git.notes",
    "gittrack.git.objects",
    "gittrack.git.opening",
    "gittrack.git.references",
    "gittrack.git.values",
    "gittrack.git.worktrees",
    "gittrack.ledger",
    "gittrack.message",
    "gittrack.names",
    "gittrack.record",
    "gittrack.records",
    "gittrack.refs",
    "gittrack.revisions",
    "gittrack.roster",
    "gittrack.series",
    "gittrack.tsv",
    "gittrack.words",
}


def loaded(code: str, *arguments: str, place: Path) -> set[str]:
    """The modules that a fresh interpreter holds after `code`."""
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        f"try:\n    {code}\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "print(*set(sys.modules) - before, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=place,
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stderr.strip().split("\n")[-1].split())


def foreign(names: set[str]) -> set[str]:
    """The packages among them that are neither ours nor Python's."""
    tops = {name.split(".")[0] for name in names}
    return {top for top in tops - _STANDARD - {"gittrack"} if not top.startswith("_")}


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] == "gittrack"}


_MAIN = "from gittrack.cli.main import main; main()"


def test_importing_gittrack_loads_nothing_but_itself(tmp_path: Path) -> None:
    """A training script imports it at its top, in each of its worker processes."""
    assert loaded("import gittrack", place=tmp_path) == {"gittrack", "__future__"}


@pytest.mark.parametrize(
    ("words", "allowed", "packages"),
    [
        (("ls",), LISTING, {"click"}),
        (("ls", "status = 'finished'"), QUERYING, {"click", "parsimonious", "regex"}),
        (
            ("ls", "started > '2 weeks ago'"),
            QUERYING | {"gittrack.dates"},
            {"click", "parsimonious", "regex"},
        ),
        (("model", "ls"), CATALOGUING, {"click"}),
        (("model", "show", "churn"), CATALOGUING, {"click"}),
        (("model", "show", "churn@v1.0.0"), CATALOGUING | CITING, {"click"}),
        (("model", "show", "churn@latest", "--json"), CATALOGUING | CITING, {"click"}),
        (("show", "latest"), SHOWING, {"click", "pygit2", "cffi", "yaml", "cython_runtime"}),
    ],
    ids=["ls", "query", "moment", "model-ls", "model-show", "version", "version-json", "show"],
)
def test_reading_loads_only_what_is_listed(
    words: tuple[str, ...], allowed: set[str], packages: set[str], recorded: Path
) -> None:
    """libgit2, YAML, tables, plots and DVC each cost what a listing of any runs may cost in all."""
    loaded(_MAIN, "ls", place=recorded)
    found = loaded(_MAIN, *words, place=recorded)
    assert ours(found) <= allowed
    assert foreign(found) <= packages


def test_recording_a_command_loads_nothing_that_only_a_script_needs(recorded: Path) -> None:
    """`git track run` stands before every command of a sweep; half of it is what it imports."""
    found = loaded(_MAIN, "run", "--", "true", place=recorded)
    needless = ("api", "appender", "dialects", "glance", "lifetime", "live", "tfevents", "tfproto")
    assert not found & {f"gittrack.{name}" for name in needless}
    assert foreign(found) <= {"click", "pygit2", "cffi", "yaml", "cython_runtime"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two runs, the first a model's version: a reader has something to read."""
    place = tmp_path_factory.mktemp("recorded")
    (place / "train.py").write_text('print("accuracy: 0.9")\n')
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Begin"]):
        subprocess.run(["git", *words], cwd=place, check=True)
    made = "run --out model.py -- cp train.py model.py"
    for command in (made, "model register latest churn", "run -- true"):
        done = subprocess.run(
            [sys.executable, "-m", "gittrack", *command.split()], cwd=place, capture_output=True
        )
        assert done.returncode == 0, done.stderr
    # What changed a moment ago is looked at again, and read with libgit2.
    for directory in (place / ".git" / "refs" / "runs").rglob("."):
        os.utime(directory, (1_700_000_000, 1_700_000_000))
    subprocess.run([sys.executable, "-m", "gittrack", "ls"], cwd=place, check=True)
    return place
