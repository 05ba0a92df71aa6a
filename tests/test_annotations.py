"""What is said of runs after they ended: notes in real repositories."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gittrack.annotations as annotations
from gittrack import commits
from gittrack.errors import BadName, BadValue, GitFailed, WriteFailed
from gittrack.events import Change, Event, fold, set_tag, set_title, take_note
from gittrack.git import Identity, Repo
from gittrack.records import Code, Run
from gittrack.summaries import Summary
from sayings import line, many_events

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
ADA = Identity("Ada Lovelace", "ada@example.org")


def fixed() -> Callable[[int], bytes]:
    """Random bytes that are none: 1, 2, 3, ..."""
    state = iter(range(1, 1 << 30))
    return lambda count: next(state).to_bytes(count, "big")


def recorded(repo: Repo, number: int = 1, **fields: object) -> Summary:
    """A finished run in the repository."""
    run = Run(
        id=f"{number:032x}",
        name=f"calm-lynx-{number:06d}",
        experiment="default",
        status="finished",
        started=NOW,
        ended=NOW + timedelta(seconds=1),
        code=Code(base=repo.head()[0]),
        **fields,  # type: ignore[arg-type]
    )
    ref = commits.write(repo, run, tree=repo.empty_tree(), author=ADA)
    return commits.listing(repo, [ref]).runs[0]


def say(repo: Repo, run: Summary, *changes: Change, random: object = os.urandom) -> None:
    annotations.append(repo, run, changes, now=NOW, random=random)  # type: ignore[arg-type]


def seen(repo: Repo, run: Summary) -> Summary:
    return annotations.overlay(repo, [run])[0]


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    return Repo.open(repo_dir)


# -- in a repository ----------------------------------------------------------------------------


def test_what_is_said_is_seen(repo: Repo) -> None:
    """Title, tags, notes, archive and deletion reach the summary; the record's tags give way."""
    run = recorded(repo, tags={"team": "red", "kept": "yes", "gone": "x"}, title="Before")
    assert seen(repo, run) == run
    say(
        repo, run, set_tag("team", "blue"), set_tag("gone", None), take_note("caf\u00e9\nau lait"),
        set_title("After"), Change("archive"), Change("delete"),
    )  # fmt: skip
    after = seen(Repo.open(repo.root or ""), run)
    assert after.tags == {"team": "blue", "kept": "yes"}
    assert after.notes == ("caf\u00e9\nau lait",)
    assert (after.title, after.archived, after.deleted) == ("After", True, True)
    say(repo, run, set_title(""), Change("unarchive"), Change("restore"))
    after = seen(repo, run)
    assert (after.title, after.archived, after.deleted) == (None, False, False)
    assert annotations.problems(repo) == []


def test_what_is_said_of_many_runs_is_said_of_all_or_none(repo: Repo, git) -> None:
    """`rm` of thousands of runs is one change: one commit of notes, and no half."""
    runs = [recorded(repo, number) for number in range(1, 151)]
    say(repo, runs[0], set_tag("a", "1"))
    # One run stands under two names, and hears it twice.
    asked = [(run, [Change("archive"), set_tag("b", "2")]) for run in [*runs, runs[1]]]
    annotations.append_all(repo, asked, now=NOW, random=os.urandom)
    after = annotations.overlay(repo, runs)
    assert all(run.archived and run.tags["b"] == "2" for run in after)
    assert after[0].tags == {"a": "1", "b": "2"} and annotations.problems(repo) == []
    ref = annotations.ROOT + repo.config["track.writer"]
    assert git(repo.root, "rev-list", "--count", ref).strip() == "2"
    (repo.state / "annotations").unlink()
    assert annotations.overlay(repo, runs) == after
    whole = [(run, [Change("delete")]) for run in runs[:9]]
    with pytest.raises(BadValue):
        one_too_long = (runs[9], [take_note("x" * (1 << 20))])
        annotations.append_all(repo, [*whole, one_too_long], now=NOW, random=os.urandom)
    with pytest.raises(BadValue, match="still running"):
        going_on = replace(runs[9], commit=None)
        annotations.append_all(repo, [*whole, (going_on, [])], now=NOW, random=os.urandom)
    assert annotations.overlay(repo, runs) == after
    annotations.append_all(repo, [], now=NOW, random=os.urandom)


def test_the_note_is_lines_that_plain_git_shows(repo: Repo, git) -> None:
    """`git log --notes='runs/*'` is the door for those without gittrack; the format is fixed."""
    run = recorded(repo)
    say(repo, run, set_tag("a", "\u00fc"), random=fixed())
    say(repo, run, Change("archive"), random=lambda count: b"\x09" * count)
    writer = git(repo.root, "config", "track.writer").strip()
    assert writer == "ada-lovelace-000001"
    shown = git(repo.root, "notes", f"--ref=runs/{writer}", "show", run.commit)
    at = '"at":"2026-01-31T12:00:00.000000Z","by":"Ada Lovelace"'
    assert shown == (
        f'1 {2:032x} {1:032x} {{{at},"key":"a","value":"\\u00fc","what":"tag"}}\n'
        f'2 {"09" * 16} {1:032x} {{{at},"what":"archive"}}\n'
    )
    assert "archive" in git(repo.root, "log", "-1", "--notes=runs/*", f"runs/default/{run.name}")


def test_the_run_itself_and_the_work_tree_stay_as_they_were(repo: Repo, git) -> None:
    """A run is written once; annotating must touch neither HEAD, index, work tree nor its ref."""

    def look() -> list[object]:
        return [
            git(repo.root, "for-each-ref", "refs/heads", "refs/runs"),
            git(repo.root, "status", "--porcelain"),
            (repo.git_dir / "index").read_bytes(),
            (repo.git_dir / "logs" / "HEAD").read_bytes(),
        ]

    run = recorded(repo)
    before = look()
    say(repo, run, take_note("x"))
    assert look() == before


def test_remarks_by_people_are_shown_and_kept(repo: Repo, git) -> None:
    """Somebody may write a note with plain Git into any of our refs, our own included."""
    run = recorded(repo)
    say(repo, run, take_note("ours"))
    own = git(repo.root, "config", "track.writer").strip()
    git(repo.root, "notes", f"--ref=runs/{own}", "append", "-m", "looks odd", run.commit)
    git(repo.root, "notes", "--ref=runs/bob", "add", "-m", "I like it", run.commit)
    say(repo, run, take_note("again"))
    assert seen(repo, run).notes == ("ours", "again", "looks odd", "I like it")
    assert "looks odd" in git(repo.root, "notes", f"--ref=runs/{own}", "show", run.commit)


def test_events_of_another_run_and_damaged_ones_are_ignored_and_reported(repo: Repo, git) -> None:
    """A note can be copied to a wrong commit; a line can be cut."""
    run = recorded(repo)
    note = line(1, 1, "delete", run=2) + "\n" + line(1, 2, "archive")[:-1]
    git(repo.root, "notes", "--ref=runs/bob", "add", "-m", note, run.commit)
    assert seen(repo, run) == run
    first, second = annotations.problems(repo)
    assert first == f"runs/default/{run.name}: 1 events ignored: they name another run"
    assert second.startswith(f"runs/default/{run.name}: bob: a damaged event: '1 000")


def test_a_huge_note_is_reported_and_does_not_hide_the_others(repo: Repo, git) -> None:
    """400 KB on the wire can be 400 MB."""
    run, other = recorded(repo), recorded(repo, 2)
    say(repo, other, take_note("fine"))
    huge = repo.write_blob(b"\0" * (2 << 20))
    git(repo.root, "notes", "--ref=runs/bob", "add", "-C", huge, run.commit)
    assert seen(repo, other).notes == ("fine",)
    assert seen(repo, run) == run
    (problem,) = annotations.problems(repo)
    assert "too large" in problem and run.commit is not None and run.commit[:12] in problem


def test_an_overwritten_notes_ref_loses_none_of_our_events(repo: Repo, git) -> None:
    """The common refspec `+refs/notes/*:refs/notes/*` replaces our ref by the remote's."""
    one, two = recorded(repo), recorded(repo, 2)
    say(repo, one, take_note("first"))
    say(repo, two, take_note("second"))
    ref = annotations.ROOT + git(repo.root, "config", "track.writer").strip()
    git(repo.root, "update-ref", "-d", ref)
    assert git(repo.root, "for-each-ref", "refs/notes") == ""
    assert seen(repo, one).notes == ("first",)
    say(repo, two, take_note("third"))
    (repo.state / "annotations").unlink()
    assert seen(repo, one).notes == ("first",)
    assert seen(repo, two).notes == ("second", "third")


@pytest.mark.parametrize("cut", range(1, 120, 17))
def test_a_torn_line_of_our_own_file_costs_only_itself(repo: Repo, cut: int) -> None:
    """A crash in the middle of writing: the next event must not be glued to the torn one."""
    run = recorded(repo)
    say(repo, run, take_note("first"))
    own = repo.state / "annotations"
    own.write_bytes(own.read_bytes() + own.read_bytes()[:cut])
    say(repo, run, take_note("second"))
    repo.delete_refs(repo.refs("refs/notes/"))
    assert seen(repo, run).notes == ("first", "second")


def test_what_was_kept_but_not_noted_counts_and_is_put_into_the_note(repo: Repo) -> None:
    """A crash between our file and the note: said is said."""
    run, other = recorded(repo), recorded(repo, 2)
    say(repo, run, take_note("first"))
    with (repo.state / "annotations").open("a") as own:
        own.write(f"{run.commit} {line(2, 77, 'note', value='crashed')}\n")
    assert seen(repo, run).notes == ("first", "crashed")
    say(repo, other, take_note("elsewhere"))
    (repo.state / "annotations").unlink()
    assert seen(repo, run).notes == ("first", "crashed")


def test_two_writers_merge_by_cat_sort_uniq_into_the_union(repo: Repo, git) -> None:
    """Where two clones share a writer, Git's own merge of notes must lose and invent nothing."""
    run = recorded(repo)
    git(repo.root, "config", "track.writer", "ada-1")
    say(repo, run, take_note("one"), set_tag("k", "1"))
    git(repo.root, "config", "track.writer", "bob-1")
    bob = Repo.open(repo.root or "")
    say(bob, run, take_note("two"), set_tag("k", "2"))
    apart = seen(bob, run)
    assert apart.notes == ("one", "two") and apart.tags == {"k": "2"}
    git(repo.root, "notes", "--ref=runs/ada-1", "merge", "-q", "-s", "cat_sort_uniq", "runs/bob-1")
    git(repo.root, "update-ref", "-d", "refs/notes/runs/bob-1")
    (repo.state / "annotations").unlink()
    assert seen(Repo.open(repo.root or ""), run) == apart


@given(st.lists(st.tuples(st.integers(0, 2), many_events), max_size=4))
@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_splitting_over_refs_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, git, parts: list[tuple[int, list[Event]]]
) -> None:
    """Which ref holds a line must not matter: people rename writers, and merge."""
    root = tmp_path_factory.mktemp("split")
    git(root, "init", "-q")
    repo = Repo.open(root)
    run = recorded(repo)
    assert run.commit is not None
    for number, events in parts:
        data = "".join(found.line + "\n" for found in reversed(events)).encode()
        if data:
            ref = f"{annotations.ROOT}writer-{number}"
            notes = repo.notes(ref)
            before = repo.read_blob(notes[run.commit], limit=1 << 20) if notes else b""
            repo.set_note(ref, run.commit, data + before, ADA)
    state = fold(found for _, events in parts for found in events)
    after = seen(repo, run)
    assert (after.archived, after.deleted, after.notes) == (
        state.archived,
        state.deleted,
        state.notes,
    )


RACER = """
import os, sys
from datetime import datetime, timezone
import gittrack.annotations as annotations
from gittrack import refs, commits
from gittrack.events import take_note
from gittrack.git import Repo
repo = Repo.open(sys.argv[1])
run = commits.listing(repo, refs.all_runs(repo)).runs[0]
print("ready", flush=True)
sys.stdin.readline()
for n in range(6):
    annotations.append(repo, run, [take_note(f"{sys.argv[2]}.{n}")],
                       now=datetime.now(timezone.utc), random=os.urandom)
"""


def test_writers_at_the_same_time_lose_nothing(repo: Repo) -> None:
    """Read, change, write under one lock; the writer's name is made up once."""
    run = recorded(repo)
    command = [sys.executable, "-c", RACER, os.fspath(repo.root or "")]
    pipe = subprocess.PIPE
    children = [subprocess.Popen([*command, str(n)], stdin=pipe, stdout=pipe) for n in range(4)]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    for child in children:
        child.communicate()
    wanted = sorted(f"{child}.{n}" for child in range(4) for n in range(6))
    assert sorted(seen(repo, run).notes) == wanted
    assert len(repo.refs(annotations.ROOT)) == 1
    (repo.state / "annotations").unlink()
    assert sorted(seen(repo, run).notes) == wanted


def test_a_thousand_notes_are_read_once_each_and_by_no_process_of_their_own(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ls` reads all annotations each time."""
    base = [recorded(repo)]
    entries, summaries = {}, []
    for number in range(1000):
        commit = f"{number:040x}"
        text = line(1, number, "tag", run=number, key="k", value=str(number))
        entries[commit] = (repo.write_blob(text.encode()), 0o100644)
        summaries.append(
            Summary(id=f"{number:032x}", name=f"n-{number}", experiment="e", status="finished",
                    started=NOW, commit=commit)
        )  # fmt: skip
    fans: dict[str, dict[str, tuple[str, int]]] = {}
    for commit, entry in entries.items():
        fans.setdefault(commit[:2], {})[commit[2:]] = entry
    tree = repo.write_tree({fan: (repo.write_tree(inner), 0o040000) for fan, inner in fans.items()})
    made = repo.write_commit(tree=tree, parents=[], message="x", author=ADA, started=0, ended=0)
    repo.set_ref(annotations.ROOT + "bob", made)
    calls: list[str] = []
    for name in ("read_blob", "git"):
        original = getattr(Repo, name)

        def counted(*given: Any, name: str = name, original: Any = original, **more: Any) -> Any:
            calls.append(name)
            return original(*given, **more)

        monkeypatch.setattr(Repo, name, counted)
    found = annotations.overlay(repo, base + summaries)
    assert [run.tags for run in found[1:]] == [{"k": str(n)} for n in range(1000)]
    assert calls.count("read_blob") == 1000
    assert calls.count("git") <= 2


# -- repositories that resist -------------------------------------------------------------------


def test_every_kind_of_repository_takes_annotations(every_repo) -> None:
    """They need objects and refs, and neither an index nor a work tree."""
    repo = Repo.open(every_repo.path)
    run = recorded(repo)
    say(repo, run, take_note("here too"))
    assert seen(Repo.open(every_repo.path), run).notes == ("here too",)


def test_a_bare_repository_takes_annotations(bare_dir: Path) -> None:
    """A server's clone has no work tree."""
    repo = Repo.open(bare_dir)
    run = recorded(repo)
    say(repo, run, take_note("here too"))
    assert seen(repo, run).notes == ("here too",)


def test_no_identity_is_no_obstacle(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git refuses to write a note without a name; we have a login name."""
    run = recorded(repo)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    say(Repo.open(repo.root or ""), run, take_note("anonymous"))
    assert seen(repo, run).notes == ("anonymous",)


def test_a_repository_that_cannot_be_written_changes_nothing(repo: Repo) -> None:
    """The state directory is a file: as good as read-only, also for root."""
    run = recorded(repo)
    repo.state.write_text("")
    with pytest.raises(WriteFailed, match="cannot write to"):
        say(repo, run, take_note("x"))
    assert seen(repo, run) == run


def test_a_note_that_git_refuses_is_not_said(repo: Repo) -> None:
    """All or nothing: what the user was told has failed must not show up later."""
    run = recorded(repo)
    say(repo, run, take_note("first"))
    (ref,) = repo.refs(annotations.ROOT)
    lock = repo.common_dir / (ref.name + ".lock")
    lock.mkdir()
    os.utime(lock, (0, 0))
    with pytest.raises(GitFailed):
        say(repo, run, take_note("second"))
    assert seen(repo, run).notes == ("first",)
    lock.rmdir()
    say(repo, run, take_note("third"))
    assert seen(repo, run).notes == ("first", "third")


def test_a_notes_ref_in_our_way_is_named(repo: Repo, git) -> None:
    """`git notes --ref=runs add` makes refs/notes/runs, beneath which there can be nothing."""
    run = recorded(repo)
    git(repo.root, "notes", "--ref=runs", "add", "-m", "x", run.commit)
    with pytest.raises(WriteFailed, match="in the way") as caught:
        say(repo, run, take_note("x"))
    assert caught.value.hint is not None and "git update-ref" in caught.value.hint


@pytest.mark.parametrize(("name", "slug"), [
    ("Ada Lovelace", "ada-lovelace"), ("\u6a21", "writer"), ("CON", "writer"),
    ("x" * 90, "x" * 40), ("ada.lock", "writer"), ("../../heads/main", "heads-main"),
])  # fmt: skip
def test_a_writer_is_a_good_ref_whatever_the_user_is_called(
    repo: Repo, git, name: str, slug: str
) -> None:
    """The user's name is free text, the writer a ref; work trees of one clone share it."""
    git(repo.root, "config", "user.name", name)
    made = annotations.writer(Repo.open(repo.root or ""), random=fixed())
    assert made == f"{slug}-000001"
    git(repo.root, "check-ref-format", annotations.ROOT + made)
    git(repo.root, "worktree", "add", "-q", "../linked")
    linked = Repo.open((repo.root or Path()).parent / "linked")
    assert annotations.writer(linked, random=os.urandom) == made


def test_a_bad_writer_setting_is_refused(repo: Repo, git) -> None:
    """A ref outside of ours must not be written because a setting says so."""
    run = recorded(repo)
    git(repo.root, "config", "track.writer", "../heads/main")
    with pytest.raises(BadName, match="no writer name"):
        say(Repo.open(repo.root or ""), run, take_note("x"))


def test_a_running_run_cannot_be_annotated(repo: Repo) -> None:
    """There is no commit yet that a note could stand on."""
    run = Summary(id="0" * 32, name="n", experiment="e", status="running", started=NOW)
    with pytest.raises(BadValue, match="still running"):
        say(repo, run, take_note("x"))
