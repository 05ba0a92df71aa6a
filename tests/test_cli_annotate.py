"""The commands that say something of a run, as a user sees them: stdout, stderr, exit code."""

from __future__ import annotations

import os
import shlex
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import gittrack.annotations as annotations
from conftest import _run_track
from gittrack import commits, refs
from gittrack.git import Identity, Repo
from gittrack.records import Run
from gittrack.summaries import Summary
from in_process import track_here


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
OTTER, HERON = "amber-otter-7f3kq2", "blue-heron-q2zm8d"


def record(repo: Repo, *names: str, first: int = 1) -> None:
    for number, name in enumerate(names or (OTTER, HERON), first):
        run = Run(
            id=f"{number:032x}",
            name=name,
            experiment="default",
            status="finished",
            started=NOW + timedelta(minutes=number),
            ended=NOW + timedelta(minutes=number, seconds=1),
            tags={"team": "red"},
        )
        commits.write(repo, run, tree=repo.empty_tree(), author=Identity("Ada", "ada@example.org"))


@pytest.fixture
def place(repo_dir: Path) -> Path:
    """A repository with two runs; nobody's editor."""
    record(Repo.open(repo_dir))
    return repo_dir


def state(place: Path, name: str = OTTER) -> Summary:
    repo = Repo.open(place)
    found = annotations.overlay(repo, commits.listing(repo, refs.all_runs(repo)).runs)
    return next(run for run in found if run.name == name)


def test_tags_are_set_printed_and_taken_away(place: Path, track) -> None:
    """Values may hold '='; without pairs the tags are the answer."""
    done = track(place, "tag", "amber", "team=blue", "formula=a=b", check=0)
    assert (done.stdout, done.stderr) == (f"{OTTER}: team = blue, formula = a=b\n", "")
    assert track(place, "tag", OTTER, check=0).stdout == "formula=a=b\nteam=blue\n"
    done = track(place, "tag", "amber", "-d", "formula", check=0)
    assert done.stdout == f"{OTTER}: formula taken away\n"
    assert state(place).tags == {"team": "blue"}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["tag", OTTER, "team"], 2, "error: 'team' is no KEY=VALUE"),
        (["tag", OTTER, "=x"], 2, "error: a key is empty"),
        (["tag", OTTER, "a\nb=x"], 2, "error: the key"),
        (["tag", OTTER, "-d", "taem"], 2, f"error: '{OTTER}' has no tag 'taem'"),
        (["tag", "nobody", "a=b"], 1, "error: no run named 'nobody'"),
        (["note", OTTER, "-m", " "], 1, "error: the note is empty"),
        (["note", OTTER, "-m", "x", "-F", "y"], 2, "error: -m and -F do not go together"),
        (["note", OTTER, "-F", "absent"], 1, "error: 'absent' cannot be read"),
        # It has no end, and must not be read until there is no memory.
        (["note", OTTER, "-F", "/dev/zero"], 1, "error: '/dev/zero' has more than 1 MiB"),
        (["rename", OTTER, "a\nb"], 1, "error: a title is one line"),
        (["archive", OTTER, "nobody"], 1, "error: no run named 'nobody'"),
        (["rm"], 2, "error: missing argument 'RUN...'"),
        (["rm", "--where", " "], 2, "error: the query is empty: it would mean every run"),
        (["rm", "amber", "--where", "dirty"], 2, "error: --where and RUN do not go together"),
        (["restore", "-n"], 2, "error: missing argument 'RUN...'"),
    ],
)
def test_a_wrong_request_is_one_line_and_changes_nothing(
    place: Path, track, words: list[str], code: int, message: str
) -> None:
    """The exit code tells wrong usage (2) from what could not be met (1)."""
    before = state(place)
    done = track(place, *words, check=code)
    assert done.stdout == "" and done.stderr.startswith(message)
    assert "Traceback" not in done.stderr
    assert state(place) == before


def test_a_near_miss_of_a_tag_is_named(place: Path, track) -> None:
    """A failed question never gets an empty answer."""
    assert "did you mean 'team'?" in track(place, "tag", OTTER, "-d", "taem", check=2).stderr


def test_notes_come_from_an_option_a_file_or_stdin(place: Path, track) -> None:
    """As with `git notes`: -m repeated makes paragraphs."""
    (place / "note.txt").write_text("from a file\n")
    done = track(place, "note", OTTER, "-m", "one", "-m", "two", check=0)
    assert done.stdout == f"{OTTER}: note added\n"
    track(place, "note", OTTER, "-F", "note.txt", check=0)
    track(place, "note", OTTER, "-F", "-", input="from stdin: caf\u00e9\n", check=0)
    assert state(place).notes == ("one\n\ntwo", "from a file", "from stdin: caf\u00e9")


def test_without_text_the_editor_of_git_opens(place: Path) -> None:
    """GIT_EDITOR before VISUAL, as Git chooses; comment lines stay out; empty means no."""
    editor = place.parent / "editor"
    editor.write_text('#!/bin/sh\nprintf "edited\\n" >> "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    env = {"GIT_EDITOR": os.fspath(editor), "VISUAL": "false"}
    _run_track(place, "note", OTTER, env=env, check=0)
    assert state(place).notes == ("edited",)
    done = _run_track(place, "note", OTTER, env={"GIT_EDITOR": "true"}, check=1)
    assert done.stderr.startswith("error: the note is empty")


@pytest.mark.parametrize("editor", ["false", "no-such-editor", "sh 'open", ""])
def test_an_editor_that_fails_is_one_line_and_a_way_out(place: Path, editor: str) -> None:
    """A cluster's node has no editor that works; the note needs none."""
    env = {"GIT_EDITOR": editor or None, "EDITOR": None, "VISUAL": None, "TERM": "dumb"}
    done = _run_track(place, "note", OTTER, env=env, check=1)
    assert done.stdout == "" and done.stderr.startswith("error: ")
    assert done.stderr.endswith("\nhint: give the note with -m.\n")
    assert done.stderr.count("\n") == 2
    assert state(place).notes == ()


def test_a_title_is_given_and_taken_away(place: Path, track) -> None:
    """`rename` changes the title; the name is a ref and stays."""
    done = track(place, "rename", OTTER, "Baseline \x1b[2J100 trees", check=0)
    assert done.stdout == f"{OTTER}: titled 'Baseline \\x1b[2J100 trees'\n"
    assert track(place, "rename", OTTER, "", check=0).stdout == f"{OTTER}: no title\n"
    assert state(place).title is None


def test_archived_and_deleted_runs_come_back(place: Path, track) -> None:
    """Nothing is removed: what one command does another undoes; said twice is no error."""
    done = track(place, "archive", "amber", "blue", check=0)
    assert done.stdout == f"{OTTER}: archived\n{HERON}: archived\n"
    assert state(place).archived and state(place, HERON).archived
    assert track(place, "archive", OTTER, check=0).stdout == f"{OTTER}: archived already\n"
    track(place, "archive", "--undo", "amber", check=0)
    assert not state(place).archived
    done = track(place, "rm", "amber", check=0)
    assert done.stdout == f"{OTTER}: deleted; `git track restore {OTTER}` brings it back\n"
    assert state(place).deleted
    assert track(place, "restore", OTTER, check=0).stdout == f"{OTTER}: restored\n"
    assert not state(place).deleted


def test_a_dry_run_says_of_which_and_changes_nothing(place: Path, track) -> None:
    """Who removes by a prefix looks first."""
    before = state(place)
    done = track(place, "rm", "-n", "amber", "blue", check=0)
    assert done.stdout == f"would delete {OTTER}\nwould delete {HERON}\n"
    done = track(place, "archive", "--undo", "--dry-run", "amber", check=0)
    assert done.stdout == f"{OTTER}: not archived already\n"
    assert state(place) == before


def test_a_query_names_all_runs_that_match(place: Path, track) -> None:
    """What `ls` lists by a query can be put away by it, looked at first; nothing is asked."""
    before = [state(place), state(place, HERON)]
    query = "tags.team = 'red'"
    done = track(place, "rm", "--where", query, "-n", check=0)
    assert done.stdout == (f"would delete {HERON}\nwould delete {OTTER}\n2 runs would be deleted\n")
    assert [state(place), state(place, HERON)] == before
    one = f"name like '{OTTER[:5]}%'"
    assert track(place, "archive", "--where", one, check=0).stdout == "1 run archived\n"
    # Those that are so already are not counted.
    assert track(place, "archive", "--where", query, check=0).stdout == "1 run archived\n"
    done = track(place, "archive", "--undo", "--where", "name like 'blue%'", check=0)
    assert done.stdout == "1 run back from the archive\n"
    done = track(place, "rm", "--where", query, check=0)
    assert done.stdout == (
        "2 runs deleted, 1 of them archived; "
        f"`git track restore {HERON} {OTTER}` brings them back\n"
    )
    assert state(place).deleted and state(place, HERON).deleted
    for words in (["rm"], ["archive"], ["archive", "--undo"]):
        done = track(place, *words, "--where", query, check=0)
        assert (done.stdout, done.stderr) == ("", "no run matches\n")
    done = track(place, "restore", "--where", one, "--dry-run", check=0)
    assert done.stdout == f"would restore {OTTER}\n1 run would be restored\n"
    assert track(place, "restore", "--where", query, check=0).stdout == "2 runs restored\n"
    assert not state(place).deleted and not state(place, HERON).deleted


def test_many_runs_are_had_back_by_the_query(place: Path, track) -> None:
    """Whoever deletes by a query is told how to take it back, and the command works as it is."""
    record(Repo.open(place), *(f"many-{number}-aaaaaa" for number in range(4)), first=7)
    query = "name like 'many-%'"
    done = track(place, "rm", "--where", query, check=0)
    undo = done.stdout.partition("`")[2].partition("`")[0]
    assert undo.startswith("git track restore --where ")
    assert done.stdout.startswith("4 runs deleted; ") and done.stdout.endswith("brings them back\n")
    done = track(place, *shlex.split(undo)[2:], check=0)
    assert done.stdout == "4 runs restored\n"


def test_a_query_that_makes_no_sense_changes_nothing(place: Path, track) -> None:
    """It is shown with the place in it, as by `ls`."""
    for query, said in (("tags.taem = 'red'", "did you mean"), ("tags.team >", "^")):
        done = track(place, "rm", "--where", query, check=2)
        assert done.stdout == "" and said in done.stderr
    assert not state(place).deleted


def test_several_runs_are_all_found_before_one_is_touched(place: Path, track) -> None:
    """A typing error in the third name must not leave two runs deleted."""
    track(place, "rm", OTTER, HERON, "typo", check=1)
    assert not state(place).deleted and not state(place, HERON).deleted


def test_a_bare_repository_is_annotated(bare_dir: Path, track) -> None:
    """A server's clone has no work tree, and needs none for this."""
    record(Repo.open(bare_dir))
    track(bare_dir, "tag", OTTER, "a=b", check=0)
    assert state(bare_dir).tags == {"team": "red", "a": "b"}


def test_no_identity_is_no_obstacle(place: Path, track) -> None:
    """A fresh container has no user.name."""
    env = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_AUTHOR_NAME": None, "EMAIL": None}
    track(place, "note", OTTER, "-m", "anonymous", env=env, check=0)
    assert state(place).notes == ("anonymous",)


def test_a_repository_that_cannot_be_written_is_one_line(place: Path, track) -> None:
    """A file where our directory should be refuses root as well."""
    (place / ".git" / "gittrack").write_text("")
    done = track(place, "tag", OTTER, "a=b", check=1)
    assert done.stdout == "" and done.stderr.startswith("error: cannot write to '")
    assert done.stderr.count("\n") == 2


def test_help_of_every_command_has_an_example(track, place: Path) -> None:
    """The docstring is the help: a line, a blank, examples."""
    for verb in ("tag", "note", "rename", "archive", "rm", "restore"):
        done = track(place, verb, "-h", check=0)
        assert f"$ git track {verb} " in done.stdout


def test_the_lock_of_a_killed_git_needs_no_hand(place: Path, track) -> None:
    """`git notes` was killed while it held our ref: the next one goes on after a moment."""
    track(place, "tag", OTTER, "a=1", check=0)
    repo = Repo.open(place)
    lock = repo.common_dir / f"{annotations.ROOT}{repo.config['track.writer']}.lock"
    lock.touch()
    hour_ago = lock.stat().st_mtime - 3600
    os.utime(lock, (hour_ago, hour_ago))
    track(place, "tag", OTTER, "b=2", check=0)
    assert state(place).tags == {"team": "red", "a": "1", "b": "2"} and not lock.exists()


def test_secrets_are_masked_in_what_is_said(place: Path, track) -> None:
    """Notes are pushed to colleagues as records are."""
    secret = "gh" + "p_" + "a8B3kLm92NqXz71PwRtYv45CdEf60GhJsK2u"
    said = [
        track(place, "tag", OTTER, "password=hunter2", f"note={secret}", f"{secret}=x", check=0),
        track(place, "note", OTTER, "-m", f"it used {secret} to push", check=0),
        track(place, "rename", OTTER, f"with {secret}", check=0),
    ]
    for done in said:
        assert done.stderr == "masked what looks like a secret\n"
        assert secret not in done.stdout and "hunter2" not in done.stdout
    found = state(place)
    assert found.tags == {"team": "red", "password": "***", "note": "***", "***": "x"}
    assert found.notes == ("it used *** to push",) and found.title == "with ***"
    own = (place / ".git" / "gittrack" / "annotations").read_text()
    assert secret not in own and "hunter2" not in own
