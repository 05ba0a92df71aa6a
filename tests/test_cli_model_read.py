"""`git track model ls`, `show`, `history`, `diff`, `fetch`, `path` and `lineage` of a model.

In this process: that they work as one of their own `test_cli_model` and `test_registry_tools` show.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from conftest import Track
from gittrack import tables
from gittrack.cli.model_promote import rollback
from in_process import track_here
from recorded_runs import record

TRAIN = """\
import sys
from pathlib import Path

trees = int(sys.argv[1])
Path("model.txt").write_text(f"{trees} trees")
print("accuracy:", 0.5 + trees / 100)
print("f1: 0.25")
"""


@pytest.fixture(scope="module")
def track() -> Track:
    """`track(place, *arguments)`, in this process."""
    return track_here


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, git: Any, track: Any) -> Path:
    """Model `wine`: 1.0.0 went to production, 1.1.0 replaced it, was rolled back and archived.

    2.0.0 was taken back; `old` is deprecated.
    """
    top = tmp_path_factory.mktemp("read")
    root = top / "repo"
    root.mkdir()
    git(root, "init", "-q", ".")
    (root / "train.py").write_text(TRAIN)
    (root / "data.csv").write_text("1,2\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Begin")
    for trees in ("10", "20", "30"):
        words = ("--data", "data.csv", "--out", "model.txt", "--", "python", "train.py", trees)
        track(root, "run", "--name", f"trees-{trees}", *words, check=0)

    def model(*words: str) -> None:
        track(root, "model", *words, check=0)

    model("register", "trees-10", "wine", "-m", "first try")
    model("register", "trees-20", "wine", "--bump", "minor")
    model("register", "trees-30", "wine", "--bump", "major")
    model("promote", "wine@v1.0.0", "staging")
    model("promote", "wine@v1.0.0", "production", "--require", "accuracy > 0.5", "--reason", "ok")
    model("promote", "wine@v1.1.0", "production", "--reason", "better")
    model("alias", "wine@v1.1.0", "champion")
    model("rollback", "wine", "production", "--reason", "oops")
    model("archive", "wine@v1.1.0")
    model("unregister", "wine@v2.0.0", "--reason", "bad")
    model("register", "trees-20", "old")
    model("deprecate", "old", "--reason", "use wine")
    return root


@pytest.fixture(scope="module")
def clone(world: Path, git: Any) -> Path:
    """A clone by plain Git: the tags, no ref of a run, nothing in the cache."""
    root = world.parent / "clone"
    git(world, "clone", "-q", "--no-local", ".", str(root))
    assert "refs/runs" not in git(root, "for-each-ref")
    return root


@pytest.fixture(scope="module")
def disputed(tmp_path_factory: pytest.TempPathFactory, git: Any) -> Path:
    """Production of `churn` was given to 1.0.0 by somebody who did not know that 1.1.0 had it."""
    root = tmp_path_factory.mktemp("disputed")
    git(root, "init", "-q", ".")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    record(root, 1, "amber-otter-aaaaaa", metrics={"acc": 0.5})
    run = "runs/default/amber-otter-aaaaaa"
    other = git(root, "rev-parse", "HEAD").strip()
    for name, on, previous in (
        ("churn@v1.0.0", run, ""), ("churn@v1.1.0", other, ""),
        ("churn#production#1", other, "none"), ("churn#staging#2", run, "none"),
        ("churn#production#3", run, "none"), ("churn#qa#4", other, "none"),
    ):  # fmt: skip
        trailers = f"Reason: \x1b]0;x\x07because\nPrevious: {previous}"
        git(root, "tag", "-a", "-m", f"\x1b[2J{name}\n\n{trailers}", name, on)
    env = {"GIT_COMMITTER_NAME": "\x1b[31mEve\u202e", "GIT_COMMITTER_EMAIL": "e\x07@x"}
    subprocess.run(
        ["git", "tag", "-a", "-m", "x", "churn#canary#7", other],
        cwd=root, env={**os.environ, **env}, check=True,
    )  # fmt: skip
    git(root, "tag", "churn@v3.0.0", run)
    git(root, "tag", "churn@v1.x", run)
    return root


def shown(text: str) -> list[list[str]]:
    """The cells of a table, dates and people left out."""
    dated = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "DATE", text)
    return [re.split(r"  +", line.strip()) for line in dated.splitlines() if line]


# -- ls -------------------------------------------------------------------------------------------


def test_the_board_is_the_same_in_every_clone(world: Path, clone: Path, track: Any) -> None:
    """Who is in production must not depend on whether runs were fetched."""
    done = track(world, "model", "ls", check=0)
    assert shown(done.stdout) == [
        ["MODEL", "LATEST", "PRODUCTION", "ALIASES", "METRIC", "WHEN", "BY"],
        ["wine", "v1.1.0", "v1.0.0", "champion v1.1.0", "accuracy 0.6", "DATE", "Ada Lovelace"],
    ]
    assert done.stderr == "1 model · 1 deprecated (--all)\n"
    assert track(clone, "model", "ls", check=0).stdout == done.stdout
    every = track(world, "model", "ls", "--all", check=0)
    assert [line[0] for line in shown(every.stdout)] == ["MODEL", "old (deprecated)", "wine"]
    assert every.stderr == "2 models\n"


@pytest.mark.parametrize("words", [("ls",), ("ls", "--json"), ("show", "wine")])
def test_why_it_is_slow_is_said(
    world: Path, tmp_path: Path, track: Any, words: tuple[str, ...]
) -> None:
    """As `git track ls` says it: without an index all runs are read each time, and somebody could
    mend that."""
    good = track(world, "model", *words, check=0)
    root = Path(shutil.copytree(world, tmp_path / "repo", symlinks=True))
    index = root / ".git/gittrack" / tables.NAME
    index.unlink()
    index.mkdir()
    done = track(root, "model", *words, check=0)
    warning, _, rest = done.stderr.partition("\n")
    assert warning.startswith("warning: the index '") and "which makes this slow" in warning
    assert (done.stdout, rest) == (good.stdout, good.stderr)


def test_models_are_named_or_described(world: Path, track: Any) -> None:
    """A name that fits nothing is an error: an empty table would look like an answer."""
    assert "wine" in track(world, "model", "ls", "w*", check=0).stdout
    assert "old (deprecated)" in track(world, "model", "ls", "old", check=0).stdout
    done = track(world, "model", "ls", "wina", check=1)
    assert done.stderr == "error: there is no model 'wina'\nhint: did you mean 'wine'?\n"
    done = track(world, "model", "ls", "x*", check=1)
    assert done.stderr.startswith("error: no model is like 'x*'\n") and done.stdout == ""


def test_the_board_for_programs(world: Path, track: Any) -> None:
    """JSON has all of it, CSV a column for each stage, Markdown what people see."""
    done = track(world, "model", "ls", "--all", "--json", check=0)
    old, wine = json.loads(done.stdout)
    assert wine["stages"] == {"production": "1.0.0"} and wine["aliases"] == {"champion": "1.1.0"}
    assert wine["metric"] == {"name": "accuracy", "value": 0.6, "version": "1.0.0"}
    assert wine["changed"]["tag"] == "wine@v2.0.0!" and old["deprecated"]["reason"] == "use wine"
    rows = list(csv.DictReader(io.StringIO(track(world, "model", "ls", "--csv", check=0).stdout)))
    assert [(row["model"], row["production"], row["archived"]) for row in rows] == [
        ("wine", "1.0.0", "1.1.0")
    ]
    assert track(world, "model", "ls", "--md", check=0).stdout.count("|") > 10


def test_a_contested_stage_that_nobody_holds_has_a_column(
    tmp_path: Path, track: Any, git: Any
) -> None:
    """Who looks for production must not read that there is none, and nothing else."""
    git(tmp_path, "init", "-q", ".")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Begin")
    for name, previous in (
        ("churn@v1.0.0", ""), ("churn#production#1", "churn#production#9"), ("churn#qa#2", "none"),
    ):  # fmt: skip
        git(tmp_path, "tag", "-a", "-m", f"It is so\n\nPrevious: {previous}", name)
    rows = shown(track(tmp_path, "model", "ls", check=0).stdout)
    assert rows[0][:4] == ["MODEL", "LATEST", "PRODUCTION", "QA"]
    assert rows[1][:4] == ["churn", "v1.0.0", "nobody*", "v1.0.0"]


def test_an_empty_registry_says_how_it_is_filled(repo_dir: Path, track: Any) -> None:
    """The first thing that many a user does is to look."""
    said = "no models yet: git track model register RUN NAME registers one\n"
    done = track(repo_dir, "model", "ls", check=0)
    assert (done.stdout, done.stderr) == ("", said)
    done = track(repo_dir, "model", "ls", "--json", check=0)
    assert (done.stdout, done.stderr) == ("[]\n", said)
    assert track(repo_dir, "model", "history", check=0).stderr == said
    assert track(repo_dir, "model", "ls", "--problems", check=0).stderr == "no tag is ignored\n"
    done = track(repo_dir, "model", "show", "churn", check=1)
    assert done.stderr.startswith("error: there is no model 'churn'\n")


def test_a_tag_whose_file_is_torn_is_a_problem(repo_dir: Path, git: Any, track: Any) -> None:
    """After a power cut Git leaves it out, and the board is that of the tags before it."""
    git(repo_dir, "tag", "-a", "-m", "x", "churn@v1.0.0")
    for name in ("churn#production#1", "churn@v1.1.0", "fix#1", "release"):
        (repo_dir / ".git/refs/tags" / name).write_bytes(b"")
    told = json.loads(track(repo_dir, "model", "ls", "--problems", "--json", check=0).stdout)
    assert [(one["tag"], one["is_broken"]) for one in told] == [
        ("churn#production#1", True), ("churn@v1.1.0", True),
    ]  # fmt: skip
    assert told[0]["reason"] == "its file is damaged, and Git leaves it out"


def test_what_is_contested_and_what_is_ignored_is_said(disputed: Path, track: Any) -> None:
    """Both would be taken for the truth in silence."""
    done = track(disputed, "model", "ls", check=0)
    assert "v1.0.0*" in done.stdout and "v1.1.0*" not in done.stdout
    assert done.stderr == (
        "1 model · 2 tags are ignored (--problems)\n"
        "* contested: production of churn: git track model history churn\n"
    )
    problems = track(disputed, "model", "ls", "--problems", check=0)
    assert [line[0] for line in shown(problems.stdout)] == ["TAG", "churn@v1.x", "churn@v3.0.0"]
    told = json.loads(track(disputed, "model", "ls", "--problems", "--json", check=0).stdout)
    assert [one["tag"] for one in told] == ["churn@v1.x", "churn@v3.0.0"]
    done = track(disputed, "model", "history", "churn", check=0)
    why = (
        "churn#production#3: Ada Lovelace gave v1.0.0 production when nobody held it;"
        " v1.1.0 did by then (Ada Lovelace)"
    )
    assert f"* contested: {why}\n" in done.stderr
    done = track(disputed, "model", "show", "churn", check=0)
    assert "contested\n  production: churn#production#3" in done.stdout
    assert "--again decides anew" in done.stdout


@pytest.mark.parametrize(
    "words",
    [("ls",), ("ls", "--problems"), ("history",), ("show", "churn"), ("show", "churn@v1.0.0")],
    ids=" ".join,
)
def test_hostile_texts_do_not_reach_the_terminal(
    words: tuple[str, ...], disputed: Path, track: Any
) -> None:
    """Anybody may have written a tag's message, or called themselves as they like."""
    for form in ([], ["--json"]):
        done = track(disputed, "model", *words, *form, check=0)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout + done.stderr)


@pytest.mark.parametrize("width", [20, 70])
def test_a_narrow_terminal_keeps_what_matters(world: Path, track: Any, width: int) -> None:
    """The model and who is in production go last."""
    env = {"GIT_PAGER_IN_USE": "1", "COLUMNS": str(width), "NO_COLOR": "1"}
    lines = track(world, "model", "ls", env=env, check=0).stdout.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("MODEL  LATEST")
    for words in (("show", "wine"), ("show", "wine@v1.0.0")):
        lines = track(world, "model", *words, env=env, check=0).stdout.splitlines()
        assert lines[0].startswith("wine")


# -- show -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [30, 40, 60, 80])
def test_a_narrow_terminal_sees_what_was_decided(world: Path, track: Any, width: int) -> None:
    """A history of dates alone tells nothing; what there is no room for is named."""
    env = {"GIT_PAGER_IN_USE": "1", "COLUMNS": str(width), "NO_COLOR": "1"}
    for words in ([], ["wine"], ["wine", "--full"])[width < 40 :]:
        head, *lines = track(world, "model", "history", *words, env=env).stdout.splitlines()
        assert head.split()[-1] in ("WHAT", "BY", "WHY") and " WHAT" in head
        assert max(map(len, [head, *lines])) <= width
        assert "WHY" in head or "narrow for" in lines[-1] or "more columns" in lines[-1]


def test_a_model_is_shown_with_all_its_versions(world: Path, clone: Path, track: Any) -> None:
    """In a plain clone as well, where the runs are only behind their tags."""
    done = track(world, "model", "show", "wine", check=0)
    lines = done.stdout.splitlines()
    assert lines[0] == "wine  2 versions, 1 taken back"
    assert re.fullmatch(r"  production  v1.0.0  \S+ (now|ago) by Ada Lovelace: oops", lines[1])
    assert lines[2:4] == ["  archived    v1.1.0", "  champion    v1.1.0  (alias)"]
    table = [[*line[:3], *line[-2:]] for line in shown("\n".join(lines[4:]))]
    assert [line[0] for line in table] == ["VERSION", "v2.0.0", "v1.1.0", "v1.0.0"]
    assert table[1][1] == "(taken back)" and table[2][1:3] == ["archived", "champion"]
    assert table[3][3:] == ["0.6", "0.25"] or table[3][3:] == ["0.60", "0.25"]
    there = track(clone, "model", "show", "wine", check=0).stdout
    assert there.splitlines()[5:] == lines[5:]
    few = track(world, "model", "show", "wine", "-n", "0", check=0).stdout
    # Who holds something is always there.
    heads = [line[0] for line in shown(few)[4:]]
    assert heads == ["VERSION", "v1.1.0", "v1.0.0", "and 1 more (-n shows them)"]


def test_everything_of_a_version_is_shown(world: Path, track: Any) -> None:
    """Why it is where it is, and what it is made of."""
    text = track(world, "model", "show", "wine@production", check=0).stdout
    for part in (
        "wine@v1.0.0  production\n", "  message     first try\n", "  reason      oops\n",
        "  run         default/trees-10-", "metrics\n  accuracy  0.6\n", "data\n  data.csv  ",
        "artifact\n  model.txt  ", "  in the cache\n", "history\n  production back to v1.0.0",
        "next\n  git track model path wine@v1.0.0\n",
    ):  # fmt: skip
        assert part in text, part
    earlier = track(world, "model", "show", "wine@champion", check=0).stdout
    assert earlier.startswith("wine@v1.1.0  archived  (champion)\n")
    assert "v1.1.0 to production (before: v1.0.0)" in earlier
    gone = track(world, "model", "show", "wine@v2.0.0", check=0).stdout
    assert gone.startswith("wine@v2.0.0  taken back\n") and "  taken back  " in gone
    old = track(world, "model", "show", "old@latest", check=0).stdout
    assert "  deprecated  " in old and "promote" not in old


def test_a_version_for_programs(world: Path, clone: Path, track: Any) -> None:
    """The same document in a plain clone, but for where the artifact is."""
    told = json.loads(track(world, "model", "show", "wine@v1.0.0", "--json", check=0).stdout)
    assert told["artifact"]["path"] == "model.txt" and told["artifact"]["size"] == 8
    assert told["here"] is True and told["stage"] == "production"
    assert [one["action"] for one in told["history"]][-1] == "register"
    there = json.loads(track(clone, "model", "show", "wine@v1.0.0", "--json", check=0).stdout)
    assert there.pop("here") is False and told.pop("here") is True
    assert there == told
    whole = json.loads(track(world, "model", "show", "wine", "--json", check=0).stdout)
    assert [one["version"] for one in whole["versions"]] == ["2.0.0", "1.1.0", "1.0.0"]
    assert whole["versions"][2]["metrics"] == {"accuracy": 0.6, "f1": 0.25}


def test_a_version_is_the_same_from_the_index_and_from_its_commit(
    world: Path, clone: Path, track: Any
) -> None:
    """Where a ref leads to the run nothing is opened: nobody must see a difference."""
    for which in ("wine@production", "wine@champion", "wine@v2.0.0", "old@latest"):
        here, there = (
            track(root, "model", "show", which, check=0).stdout.splitlines()
            for root in (world, clone)
        )
        place = here.index("artifact") + 1
        assert here.pop(place).endswith("  8 B  in the cache")
        assert there.pop(place).endswith("  8 B  not here")
        assert there.pop(place).endswith("brings it from the data remote")
        assert here == there


def test_what_the_tag_does_not_say_is_looked_up_in_the_record(
    world: Path, track: Any, git: Any
) -> None:
    """Tags of other tools have no size; one with another hash is not believed in that either."""
    run, md5 = git(world, "rev-list", "-1", "wine@v1.0.0").strip(), "9" * 32
    for number, more in enumerate(("", f"\nArtifact-Hash: {md5}\nArtifact-Size: 1", "\nRun: x")):
        name = f"bare@v1.{number}.0"
        git(world, "tag", "-a", "-m", f"It is so\n\nArtifact: model.txt{more}", name, run)
        try:
            done = track(world, "model", "show", name, "--json", check=0)
        finally:
            git(world, "tag", "-d", name)
        told = json.loads(done.stdout)
        assert told["artifact"]["size"] == 8 and told["artifact"]["md5"] != md5
        assert told["here"] is True and len(told["doubts"]) == (number == 1)


def test_what_is_not_there_is_an_error_with_candidates(world: Path, track: Any) -> None:
    """Nobody in a stage, no such version, no such model: each says what there is."""
    for words in (("show", "wine@staging"), ("diff", "wine@staging", "wine@v1.0.0"),
                  ("path", "wine@staging"), ("fetch", "wine@staging")):  # fmt: skip
        done = track(world, "model", *words, check=1)
        assert done.stderr.splitlines() == [
            "error: no version of 'wine' holds 'staging' now",
            "hint: it has archived, champion, production, v1.1.0, v1.0.0.",
        ]
        assert done.stdout == ""
    done = track(world, "model", "show", "wine@v9.0.0", check=1)
    assert done.stderr.startswith("error: there is no 'v9.0.0' of 'wine'\n")


def test_a_package_of_mlflow_is_shown_with_its_signature(repo_dir: Path, track: Any) -> None:
    """What it takes, gives and needs, which whoever serves it has to know."""
    shutil.copytree(Path(__file__).parent / "data" / "mlflow" / "pyfunc", repo_dir / "given")
    track(repo_dir, "run", "--out", "model", "--", "cp", "-r", "given", "model", check=0)
    track(repo_dir, "model", "register", "latest", "churn", check=0)
    text = track(repo_dir, "model", "show", "churn@latest", check=0).stdout
    assert (
        "package\n  flavors       python_function 3.11.7\n  inputs        alcohol: double" in text
    )
    told = json.loads(track(repo_dir, "model", "show", "churn@latest", "--json", check=0).stdout)
    assert told["artifact"]["flavors"] == ["python_function"]
    assert told["package"]["outputs"] == ["alcohol: double"]


# -- history --------------------------------------------------------------------------------------


def test_the_history_tells_decisions_and_their_consequences(world: Path, track: Any) -> None:
    """In the order in which they count, the latest first."""
    done = track(world, "model", "history", "wine", check=0)
    assert [line[1] for line in shown(done.stdout)] == [
        "WHAT", "v2.0.0 taken back", "v1.1.0 archived",
        "production back to v1.0.0 (before: v1.1.0)",
        "champion points at v1.1.0", "v1.1.0 to production (before: v1.0.0)",
        "v1.0.0 to production (before: nobody); left staging", "v1.0.0 to staging (before: nobody)",
        "v2.0.0 registered", "v1.1.0 registered", "v1.0.0 registered",
    ]  # fmt: skip
    assert done.stderr == "10 changes\n"
    full = track(world, "model", "history", "wine", "--full", check=0).stdout
    assert "v1.0.0 left production; because of wine#production#4" in full
    assert len(full.splitlines()) > len(done.stdout.splitlines())
    few = track(world, "model", "history", "-n", "2", check=0)
    assert len(few.stdout.splitlines()) == 3 and "2 changes of 12 (-n shows more)" in few.stderr
    assert {line[1] for line in shown(track(world, "model", "history").stdout)} == {
        "MODEL", "wine", "old",
    }  # fmt: skip


def test_the_history_for_programs(world: Path, track: Any) -> None:
    """What follows from a decision stands in it, with `--full` beside it."""
    told = json.loads(track(world, "model", "history", "wine", "--json", check=0).stdout)
    back = next(one for one in told if one["restores"])
    assert back["words"] == "production back to v1.0.0 (before: v1.1.0)"
    assert [one["tag"] for one in back["consequences"]] == ["wine#production!#8"]
    asked = next(one for one in told if one["require"])
    assert asked["reason"] == "ok" and "accuracy" in asked["require"]
    full = json.loads(track(world, "model", "history", "wine", "--json", "--full").stdout)
    assert len(full) == len(told) + sum(len(one["consequences"]) for one in told)


# -- diff -----------------------------------------------------------------------------------------


def test_versions_are_compared_as_their_runs(world: Path, clone: Path, track: Any) -> None:
    """With the code of `git track diff`, in a plain clone too."""
    done = track(world, "model", "diff", "wine@production", "wine@champion", check=0)
    assert "accuracy" in done.stdout and "+0.1" in done.stdout and "model.txt" in done.stdout
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == [
        "wine@production is wine@v1.0.0 (production)", "wine@champion is wine@v1.1.0 (archived)",
    ]  # fmt: skip
    there = track(clone, "model", "diff", "wine@production", "wine@champion", check=0)
    assert there.stdout == done.stdout
    both = ("wine@v1.0.0", "wine@v1.0.0", "--exit-code")
    assert track(world, "model", "diff", *both, check=0).stdout
    track(world, "model", "diff", "wine@v1.0.0", "wine@v1.1.0", "--exit-code", check=1)
    track(world, "model", "diff", "wine@v1.0.0", check=2)
    told = track(world, "model", "diff", "wine@v1.0.0", "wine@v1.1.0", "--json", check=0)
    assert json.loads(told.stdout)["metrics"]["different"]["accuracy"]["delta"] > 0.09


def test_dates_that_no_calendar_has_are_shown_somehow(tmp_path: Path, track: Any, git: Any) -> None:
    """The last second of the year 9999 is in the next year further east; others have no tagger."""
    git(tmp_path, "init", "-q", ".")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Begin")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    for name, tagger in (
        ("far@v1.0.0", "tagger Ada <a@example.org> 253402300799 +0000\n"),
        ("far#production#1", "tagger Ada <a@example.org> 253402300799 +0000\n"),
        ("non@v1.0.0", ""),
    ):
        text = f"object {commit}\ntype commit\ntag {name}\n{tagger}\nIt is so\n"
        made = subprocess.run(
            ["git", "hash-object", "--literally", "-w", "--stdin", "-t", "tag"],
            cwd=tmp_path, input=text, capture_output=True, text=True, check=True,
        )  # fmt: skip
        git(tmp_path, "update-ref", f"refs/tags/{name}", made.stdout.strip())
    for words in (("ls",), ("history",), ("show", "far"), ("show", "far@production")):
        done = track(tmp_path, "model", *words, check=0)
        assert "9999-12-31" in done.stdout or words == ("show", "far")
    text = track(tmp_path, "model", "show", "non@v1.0.0", check=0).stdout
    assert "registered  (nobody knows when) by somebody\n" in text


# -- files ----------------------------------------------------------------------------------------


def test_the_path_of_a_version_can_be_read_at_once(world: Path, track: Any) -> None:
    """One line on stdout and nothing else: `joblib.load` of it works, wherever one stands."""
    done = track(world, "model", "path", "wine@production", check=0)
    assert done.stderr == "" and done.stdout.endswith("\n") and done.stdout.count("\n") == 1
    found = Path(done.stdout[:-1])
    assert found.is_absolute() and found.read_text() == "10 trees"
    done = track(world, "model", "path", "old", check=0)
    assert Path(done.stdout[:-1]).read_text() == "20 trees"
    assert done.stderr.startswith("warning: old is deprecated, ")
    assert done.stderr.endswith(" by Ada Lovelace: use wine\n")
    done = track(world, "model", "path", "wine@v2.0.0", check=0)
    assert done.stderr.startswith("warning: wine@v2.0.0 was taken back, ")
    assert done.stderr.endswith(" by Ada Lovelace: bad\n")


def test_a_plain_clone_gives_the_file_that_predicts(
    world: Path, clone: Path, track: Any, tmp_path: Path
) -> None:
    """The tags came with `git clone`, the bytes come from the data remote."""
    done = track(clone, "model", "path", "wine@production", check=1)
    assert done.stdout == "" and "no data remote is set" in done.stderr
    store = tmp_path / "store"
    for place in (world, clone):
        config = place / ".dvc" / "config.local"
        config.parent.mkdir(exist_ok=True)
        before = config.read_text() if config.exists() else ""
        remote = f"[core]\n    remote = there\n['remote \"there\"']\n    url = {store}\n"
        config.write_text(before + remote)
    track(world, "send", "--all", check=0)
    done = track(clone, "model", "path", "wine@production", check=0)
    assert Path(done.stdout[:-1]).read_text() == "10 trees"
    done = track(clone, "model", "fetch", "wine@champion", "-o", str(tmp_path / "out"), check=0)
    assert (tmp_path / "out" / "model.txt").read_text() == "20 trees"
    assert "model.txt" in done.stdout


def test_a_version_is_written_into_a_directory(world: Path, track: Any, tmp_path: Path) -> None:
    """As `git track get` does: what is there and different stays unless it is forced."""
    (tmp_path / "model.txt").write_text("mine")
    done = track(world, "model", "fetch", "wine@v1.0.0", "-o", str(tmp_path), check=1)
    assert "--force" in done.stderr and (tmp_path / "model.txt").read_text() == "mine"
    words = ("wine@v1.0.0", "-o", str(tmp_path), "--force", "--json")
    (told,) = json.loads(track(world, "model", "fetch", *words, check=0).stdout)
    assert told["outcome"] == "replaced" and told["version"] == "1.0.0"
    assert (tmp_path / "model.txt").read_text() == "10 trees"


def test_a_version_without_a_file_says_so(disputed: Path, track: Any) -> None:
    """By GTO, or registered without an artifact."""
    done = track(disputed, "model", "path", "churn@v1.0.0", check=1)
    assert done.stderr.startswith("error: churn@v1.0.0 names no artifact\n")
    done = track(disputed, "model", "path", "churn@v1.1.0", check=1)
    assert "which is no run" in done.stderr and done.stdout == ""
    done = track(disputed, "model", "diff", "churn@v1.0.0", "churn@v1.1.0", check=1)
    assert "which is no run" in done.stderr


# -- lineage --------------------------------------------------------------------------------------


def test_the_lineage_of_a_model_begins_with_it(world: Path, clone: Path, track: Any) -> None:
    """What is in production, since when and why, and below it what it came from."""
    done = track(world, "lineage", "wine@production", check=0)
    head, run, data = done.stdout.splitlines()
    assert re.fullmatch(r"wine@v1\.0\.0 production  since [\d:]+, 'oops'", head)
    assert run.startswith("└─ trees-10-") and run.endswith("accuracy 0.6  f1 0.25")
    assert data.startswith("   └─ data.csv  ")
    there = track(clone, "lineage", "wine@production", check=0).stdout
    assert there.splitlines()[0] == head and there.splitlines()[2] == data
    latest = track(world, "lineage", "wine", check=0).stdout
    assert latest.startswith("wine@v1.1.0 archived, champion  since ")
    told = json.loads(track(world, "lineage", "wine@production", "--json", check=0).stdout)
    assert told["model"]["version"] == "1.0.0" and told["model"]["commit"] == told["root"]
    assert (
        '"wine@v1.0.0" [shape=component];' in track(world, "lineage", "wine@v1.0.0", "--dot").stdout
    )
    done = track(world, "lineage", "wine@staging", check=1)
    assert done.stderr.startswith("error: no version of 'wine' holds 'staging' now\n")


@pytest.fixture(autouse=True)
def untouched(world: Path, git: Any) -> Iterator[None]:
    """Looking changes no ref, whatever is looked at."""
    before = git(world, "for-each-ref")
    yield
    assert git(world, "for-each-ref") == before


def test_a_rollback_is_not_offered_the_archive(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any number of versions are archived: there is no former holder to go back to."""
    monkeypatch.chdir(world)
    stage = rollback.params[1]
    offered = [one.value for one in stage.shell_complete(click.Context(rollback), "")]
    assert "production" in offered and "archived" not in offered
