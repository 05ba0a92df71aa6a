"""`git track sql` in a real repository: what it prints, in each form, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track
from gittrack.records import Environment
from gittrack.relations import RELATIONS
from in_process import track_here
from recorded_runs import record, various


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    root = tmp_path_factory.mktemp("sql") / "repo"
    root.mkdir()
    git(root, "init", "-q")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    various(root)
    return root


def test_without_a_statement_it_lists_the_tables(place: Path, track: Track) -> None:
    """The documentation is at hand where the question is typed."""
    told = track(place, "sql", check=0).stdout
    for relation in RELATIONS:
        assert f"{relation.name}: {relation.about}\n" in told
        for column in relation.columns:
            assert column.about in told
    listed = json.loads(track(place, "sql", "--json", check=0).stdout)
    assert [row["column"] for row in listed if row["table"] == "tags"] == ["run", "key", "value"]


def test_rows_stand_in_aligned_columns(place: Path, track: Track) -> None:
    """Like every table of ours."""
    told = track(
        place, "sql", "select name, exit_code, title from runs order by started limit 4", check=0
    )
    assert told.stdout == (
        "name                exit_code  title\n"
        "amber-otter-aaaaaa          0  ·\n"
        "blue-heron-bbbbbb           0  ·\n"
        "calm-lynx-cccccc            0  ·\n"
        "deep-newt-dddddd            1  ·\n"
    )
    assert told.stderr == ""


@pytest.mark.parametrize(
    ("form", "out"), [((), "name\n"), (("--csv",), "name\r\n"), (("--json",), "[]\n")]
)
def test_no_rows_is_an_answer_that_is_said(
    place: Path, track: Track, form: tuple[str, ...], out: str
) -> None:
    """A heading by itself looks like something that went wrong."""
    told = track(place, "sql", "select name from runs where exit_code > 7", *form, check=0)
    assert (told.stdout.replace("\r", ""), told.stderr) == (out.replace("\r", ""), "no rows\n")
    assert track(place, "sql", "select name from runs", "-n", "0", *form, check=0).stderr != (
        "no rows\n"
    )


def test_json_keeps_types_and_names(place: Path, track: Track) -> None:
    """A program gets each value as it is, and no column is lost to its namesake."""
    statement = """
        select m.run, r.id as run, value, null, 9e999 big, x'00ff'
        from metrics m join runs r on r.id = m.run
        where key = 'loss' order by r.started limit 1
    """
    (row,) = json.loads(track(place, "sql", statement, "--json", check=0).stdout)
    one = f"{1:032x}"
    assert row == {
        "run": one, "run:1": one, "value": 0.2, "null": None, "big": "Infinity",
        "x'00ff'": "x'00ff'",
    }  # fmt: skip
    assert json.loads(track(place, "sql", "select 1 where 0", "--json", check=0).stdout) == []


def test_csv_is_written_row_by_row_with_formulas_disarmed(place: Path, track: Track) -> None:
    """What a spreadsheet would run begins with an apostrophe, as everywhere."""
    told = track(
        place, "sql", "select key, value from params where key like 'gr%'", "--csv", check=0
    )
    assert list(csv.reader(io.StringIO(told.stdout))) == [
        ["key", "value"],
        ["größe 'x'", "'=1+1"],
    ]


def test_markdown_is_escaped(place: Path, track: Track) -> None:
    """A tag must not become markup where it is pasted."""
    told = track(place, "sql", "select '<b>*x*' as [a|b]", "--md", check=0).stdout
    assert "&lt;b&gt;\\*x\\*" in told
    assert "a\\|b" in told


def test_n_limits_rows_and_says_so(place: Path, track: Track) -> None:
    """A part is never shown as if it were the whole."""
    told = track(place, "sql", "select name from runs", "-n", "2", check=0)
    assert len(told.stdout.splitlines()) == 3
    assert told.stderr == "the first 2 rows (-n shows more)\n"
    told = track(place, "sql", "select name from runs", "-n", "2", "--csv", check=0)
    assert len(told.stdout.splitlines()) == 3
    assert track(place, "sql", "select 1 x", "-n", "1", check=0).stderr == ""
    assert track(place, "sql", "select 1 x", "-n", "9" * 30, check=0).stdout == "x\n1\n"


@pytest.mark.parametrize("form", ["--csv", "--json", "--md"])
def test_a_standard_output_that_is_closed_is_written_nothing(place: Path, form: str) -> None:
    """`>&-`: Python has no `sys.stdout` then."""
    done = subprocess.run(
        [f"{sys.executable} -m gittrack sql 'select 1' {form} >&-"],
        shell=True, cwd=place, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_statement_comes_from_a_file_or_standard_input(
    place: Path, track: Track, tmp_path: Path
) -> None:
    """Long ones are not typed."""
    file = tmp_path / "a b.sql"
    file.write_text("-- Wie viele?\nselect count(*) as n\nfrom runs", "utf-8")
    assert track(place, "sql", "--file", str(file), check=0).stdout == "n\n6\n"
    told = track(place, "sql", "--file", "-", input="select 7 as n", check=0)
    assert told.stdout == "n\n7\n"
    track(place, "sql", "select 1", "--file", str(file), check=2)
    track(place, "sql", "--file", str(tmp_path / "none"), check=2)
    file.write_bytes(b"select '\xff'")
    assert "not UTF-8" in track(place, "sql", "--file", str(file), check=2).stderr


def test_experiments_narrow_the_runs_that_all_tables_show(place: Path, track: Track) -> None:
    """By name or by title, as in a listing."""
    statement = "select (select count(*) from runs) r, count(distinct run) p from params"
    for experiment in ("sweep-2", "Sweep Nº 2"):
        told = track(place, "sql", statement, "-x", experiment, "--csv", check=0)
        assert told.stdout.split() == ["r,p", "2,2"]
    assert "no run is of experiment" in track(place, "sql", statement, "-x", "swep", check=2).stderr


def test_a_query_narrows_the_runs_that_all_tables_show(place: Path, track: Track) -> None:
    """A mistake in it is told as everywhere, even where no table is read."""
    statement = "select (select count(*) from runs) r, count(distinct run) p from params"
    query = "params.fast or metrics.acc > 0.8"
    told = track(place, "sql", statement, "--where", query, "--csv", check=0)
    assert told.stdout.split() == ["r,p", "3,3"]
    told = track(place, "sql", "select 1", "--where", "metrics.ac > 0.8", check=2)
    assert "metrics.ac > 0.8\n    ^^^^^^^^^^" in told.stderr


def test_curves_packages_and_inputs_are_read_from_records(place: Path, track: Track) -> None:
    """The whole way, from the commit to the row."""

    def told(statement: str) -> list[list[str]]:
        return list(
            csv.reader(io.StringIO(track(place, "sql", statement, "--csv", check=0).stdout))
        )

    assert told("select step, value from series where key = 'acc' and step > 2 order by step") == [
        ["step", "value"], ["3", "0.3"], ["4", "0.4"],
    ]  # fmt: skip
    assert told(
        "select first, min, max, count, max_step from metrics "
        f"where key = 'loss' and run = '{1:032x}'"
    )[1] == ["1.0", "0.2", "1.0", "5", "0"]
    assert told("select name, version from packages order by name")[1:] == [
        ["numpy", "2.0.1"],
        ["torch", "2.6"],
    ]
    assert told("select o.name, i.path from inputs i join runs o on o.id = i.input")[1:] == [
        ["amber-otter-aaaaaa", "model.bin"]
    ]
    assert told("select path, md5 from data union all select path, md5 from artifacts")[1:] == [
        ["data/raw.csv", "1" * 32], ["model.bin", "2" * 32],
    ]  # fmt: skip


def test_annotations_and_running_runs_are_seen_deleted_ones_on_request(
    repo_dir: Path, track: Track
) -> None:
    """The tables show runs as they stand, not as they were recorded."""
    record(repo_dir, 1, "amber-otter-aaaaaa")
    record(repo_dir, 2, "blue-heron-bbbbbb")
    track(repo_dir, "tag", "amber-otter-aaaaaa", "stage=prod", check=0)
    track(repo_dir, "rename", "amber-otter-aaaaaa", "The good one", check=0)
    track(repo_dir, "archive", "amber-otter-aaaaaa", check=0)
    track(repo_dir, "rm", "blue-heron-bbbbbb", check=0)
    statement = """
        select r.name, title, archived, deleted, t.value
        from runs r left join tags t on t.run = r.id order by r.name
    """
    told = track(repo_dir, "sql", statement, "--csv", check=0).stdout.splitlines()[1:]
    assert told == ["amber-otter-aaaaaa,The good one,1,0,prod"]
    told = track(repo_dir, "sql", statement, "--csv", "--deleted", check=0).stdout.splitlines()[1:]
    assert told[1] == "blue-heron-bbbbbb,,0,1,"
    inner = [
        sys.executable,
        "-m",
        "gittrack",
        "sql",
        'select status from runs where "commit" is null',
    ]
    told = track(repo_dir, "run", "--", *inner, check=0).stdout
    assert told.splitlines()[:2] == ["status", "running"]


def test_a_repository_without_runs_has_empty_tables(repo_dir: Path, track: Track) -> None:
    """Nothing is wrong with it."""
    assert track(repo_dir, "sql", "select count(*) as n from runs", check=0).stdout == "n\n0\n"
    assert track(repo_dir, "sql", "select max from metrics", check=0).stdout == "max\n"


@pytest.mark.parametrize(
    ("statement", "code"), [("select nmae from runs", 2), ("delete from runs", 2), ("", 2)]
)
def test_a_mistake_ends_with_usage(place: Path, track: Track, statement: str, code: int) -> None:
    """Two lines on stderr, nothing on stdout."""
    told = track(place, "sql", statement, check=code)
    assert told.stdout == ""
    assert told.stderr.startswith("error: ") and "\nhint: " in told.stderr


def test_ctrl_c_ends_a_statement_that_would_never_end(place: Path) -> None:
    """SQLite computes without Python, which would see the signal much later."""
    endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select max(x) from n"
    child = subprocess.Popen(
        [sys.executable, "-m", "gittrack", "sql", endless],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        end = time.monotonic() + 20
        while not _computes(child.pid) and time.monotonic() < end:
            time.sleep(0.05)
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 130
        assert time.monotonic() - began < 3
        assert child.communicate()[1] == b""
    finally:
        child.kill()
        child.communicate()


def _computes(pid: int) -> bool:
    """Whether a process has used so much time that it must be past its beginning."""
    import psutil

    return sum(psutil.Process(pid).cpu_times()[:2]) > 2


def test_a_broken_record_is_said_and_the_others_are_shown(
    repo_dir: Path, track: Track, git: Git
) -> None:
    """One bad run does not hide the rest."""
    known = Environment(packages={"numpy": "2.0"})
    record(repo_dir, 1, "amber-otter-aaaaaa", environment=known)
    record(repo_dir, 2, "blue-heron-bbbbbb", environment=known)
    ref = "refs/runs/default/blue-heron-bbbbbb"
    blob = git(repo_dir, "rev-parse", f"{ref}:.gittrack/run.yaml").strip()
    loose = repo_dir / ".git" / "objects" / blob[:2] / blob[2:]
    os.chmod(loose, 0o600)
    loose.write_bytes(b"")
    told = track(repo_dir, "sql", "select count(*) as n from packages", check=0)
    assert told.stdout == "n\n1\n"
    assert told.stderr.startswith("warning: runs/default/blue-heron-bbbbbb: ")


# -- models ---------------------------------------------------------------------------------------

_FIRST_RUN, _SECOND_RUN, _DELETED = (
    "runs/default/amber-otter-aaaaaa",
    "runs/default/blue-heron-bbbbbb",
    "runs/sweep-2/calm-lynx-cccccc",
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, git: Git, track: Track) -> Path:
    """Versions on runs, one taken back, one of no run, one of a deleted run; and odd tags."""
    root = tmp_path_factory.mktemp("models") / "repo"
    root.mkdir()
    git(root, "init", "-q")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    various(root)
    annotated = {
        "churn@v1.0.0": _FIRST_RUN,
        "churn@v1.1.0": _SECOND_RUN,
        "churn@v1.1.0!": _SECOND_RUN,
        "team/fraud@v2.0.0-rc.1": _FIRST_RUN,
        "models=eu@v0.1.0": "HEAD",
        "gone@v1.0.0": _DELETED,
        # Not ours: another form, a tree, a tag of a tag, hostile names.
        "churn#production#1": _FIRST_RUN,
        "churn@deprecated": _FIRST_RUN,
        "churn@v2": _FIRST_RUN,
        "v1.0.0": "HEAD",
        "tree@v1.0.0": "HEAD^{tree}",
        "nested@v1.0.0": "churn@v1.0.0",
        "x'); drop table runs; --@v1.0.0".replace(" ", "_"): _FIRST_RUN,
        "größe@v1.0.0": _FIRST_RUN,
        "=1+1@v1.0.0": _FIRST_RUN,
    }
    for name, target in annotated.items():
        git(root, "tag", "-a", "-m", "Words", name, target)
    git(root, "tag", "light@v1.0.0", _FIRST_RUN)
    track(root, "rm", "calm-lynx-cccccc", check=0)
    return root


def models(place: Path, track: Track, *more: str) -> list[tuple[str, str | None, int]]:
    statement = "select * from models order by tag"
    done = track(place, "sql", statement, "--json", *more, check=0)
    assert done.stderr == ("" if json.loads(done.stdout) else "no rows\n")
    return [(row["tag"], row["run"], row["deregistered"]) for row in json.loads(done.stdout)]


def test_versions_are_what_annotated_tags_say(registry: Path, track: Track, git: Git) -> None:
    """As GTO reads them: nobody else's tag is a model, none of ours is lost."""
    assert models(registry, track) == [
        ("churn@v1.0.0", f"{1:032x}", 0),
        ("churn@v1.1.0", f"{2:032x}", 1),
        ("models=eu@v0.1.0", None, 0),
        ("team/fraud@v2.0.0-rc.1", f"{1:032x}", 0),
    ]
    statement = "select model, version, \"commit\", registered from models where tag like 'mod%'"
    (row,) = json.loads(track(registry, "sql", statement, "--json", check=0).stdout)
    assert (row["model"], row["version"]) == ("models:eu", "0.1.0")
    assert row["commit"] == git(registry, "rev-parse", "HEAD").strip()
    seconds = int(git(registry, "tag", "-l", "models=*", "--format=%(taggerdate:unix)"))
    expected = datetime.fromtimestamp(seconds, timezone.utc)
    assert row["registered"] == f"{expected:%Y-%m-%dT%H:%M:%S}.000000Z"


def test_versions_are_those_of_the_runs_that_are_asked_for(registry: Path, track: Track) -> None:
    """All tables show the same runs; a version of none belongs to no query."""
    ones = models(registry, track, "--where", "name = 'blue-heron-bbbbbb'")
    assert ones == [("churn@v1.1.0", f"{2:032x}", 1)]
    assert models(registry, track, "-x", "2024") == []
    assert ("gone@v1.0.0", f"{3:032x}", 0) in models(registry, track, "--deleted")


def test_a_tag_that_cannot_be_read_is_said(repo_dir: Path, track: Track, git: Git) -> None:
    """It may have been a version; the others are there."""
    record(repo_dir, 1, "amber-otter-aaaaaa")
    for name in ("churn@v1.0.0", "churn@v1.1.0"):
        git(repo_dir, "tag", "-a", "-m", name, name, _FIRST_RUN)
    broken = git(repo_dir, "rev-parse", "churn@v1.1.0").strip()
    loose = repo_dir / ".git" / "objects" / broken[:2] / broken[2:]
    os.chmod(loose, 0o600)
    loose.write_bytes(b"")
    told = track(repo_dir, "sql", "select version from models", check=0)
    assert told.stdout == "version\n1.0.0\n"
    assert told.stderr.startswith("warning: tag churn@v1.1.0: ")
