"""What people say of models and versions, and how it comes back whatever happened to the notes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Track
from gittrack import descriptions, events, ledger, registry, whereabouts
from gittrack.errors import BadValue, WriteFailed
from gittrack.git import Repo
from gittrack.registry import Registry
from in_process import track_here

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def track() -> Track:
    """`track(place, *arguments)`, in this process."""
    return track_here


@pytest.fixture
def wine(repo_dir: Path, git: Any) -> Path:
    """A model with two versions, and another with one."""
    for name in ("wine@v1.0.0", "wine@v1.1.0", "cork@v0.1.0"):
        git(repo_dir, "tag", "-a", "-m", f"About {name}", name)
    return repo_dir


def known(root: Path) -> Registry:
    return registry.read(whereabouts.find(root))


def read(root: Path) -> dict[str, str]:
    return dict(descriptions.read(whereabouts.find(root), known(root)))


def say(root: Path, name: str, text: str) -> None:
    there = known(root)
    about = registry.find_version(there, name) if "@" in name else there.models[name]
    descriptions.describe(Repo.open(root), about, text, now=NOW, random=os.urandom)


def notes(root: Path, git: Any) -> list[str]:
    return str(git(root, "for-each-ref", "--format=%(refname)", descriptions.ROOT)).split()


# -- reading --------------------------------------------------------------------------------------


def test_what_was_said_last_counts(wine: Path) -> None:
    """Of a model and of a version each; an empty text takes it away."""
    assert read(wine) == {}
    say(wine, "wine", "Quality from chemistry.\n\n# Notes\nTwo lines.\n")
    say(wine, "wine@1.1.0", "first")
    say(wine, "wine@1.1.0", "second")
    say(wine, "cork", "x")
    told = {"wine": "Quality from chemistry.\n\n# Notes\nTwo lines.", "wine@v1.1.0": "second"}
    assert read(wine) == told | {"cork": "x"}
    say(wine, "cork", "")
    assert read(wine) == told


def test_plain_git_shows_it(wine: Path, git: Any) -> None:
    """DESIGN, tenet 5: a note on the version's tag, that of a model on its lowest version's."""
    say(wine, "wine", "Quality.")
    say(wine, "wine@1.1.0", "Better.")
    [ref] = notes(wine, git)
    for tag, text in (("wine@v1.0.0", "Quality."), ("wine@v1.1.0", "Better.")):
        assert text in git(wine, "notes", "--ref", ref, "show", tag)
    assert git(wine, "rev-parse", "wine@v1.0.0") in [
        f"{line.split()[1]}\n" for line in git(wine, "notes", "--ref", ref, "list").splitlines()
    ]


def test_the_order_of_writers_is_that_of_their_counters(
    wine: Path, tmp_path: Path, git: Any
) -> None:
    """Two clones say something of one model; both see the same, whoever's note came when."""
    git(tmp_path, "clone", "-q", str(wine), "other")
    other = tmp_path / "other"
    say(wine, "wine", "from here")
    git(other, "fetch", "-q", "origin", "refs/notes/models/*:refs/notes/models/*")
    say(other, "wine", "from there")
    git(wine, "fetch", "-q", str(other), "refs/notes/models/*:refs/notes/models/*")
    assert len(notes(wine, git)) == 2
    assert read(wine) == read(other) == {"wine": "from there"}
    say(wine, "wine", "once more")
    assert read(wine) == {"wine": "once more"}


def test_it_does_not_matter_which_version_was_first(wine: Path, git: Any) -> None:
    """A colleague registers a lower version, or one is taken back: the model is the same one."""
    say(wine, "wine", "Quality.")
    git(wine, "tag", "-a", "-m", "older", "wine@v0.9.0")
    assert read(wine) == {"wine": "Quality."}
    say(wine, "wine", "Quality, again.")
    git(wine, "tag", "-d", "wine@v0.9.0")
    assert read(wine) == {"wine": "Quality, again."}


def test_a_fetch_that_overwrites_the_notes_takes_nothing_away(
    wine: Path, tmp_path: Path, git: Any
) -> None:
    """`+refs/notes/*:refs/notes/*` is a common refspec; our own lines are kept beside it."""
    say(wine, "wine", "Quality.")
    say(wine, "cork", "Size.")
    for ref in notes(wine, git):
        git(wine, "update-ref", "-d", ref)
    assert read(wine) == {"wine": "Quality.", "cork": "Size."}
    say(wine, "wine@1.0.0", "x")
    (wine / ".git" / "gittrack" / descriptions.OWN).unlink()
    assert read(wine) == {"wine": "Quality.", "cork": "Size.", "wine@v1.0.0": "x"}


def test_packed_notes_of_a_bare_clone_are_read(wine: Path, tmp_path: Path, git: Any) -> None:
    """Where there is neither a directory of refs nor a file of ours."""
    say(wine, "wine", "Quality.")
    git(tmp_path, "clone", "-q", "--mirror", str(wine), "bare.git")
    bare = tmp_path / "bare.git"
    git(bare, "pack-refs", "--all")
    place = whereabouts.find(bare)
    assert descriptions.read(place, registry.read(place)) == {"wine": "Quality."}


def test_remarks_and_damage_hide_nothing(wine: Path, git: Any) -> None:
    """People write into notes with `git notes append`; a line is lost, not the note."""
    say(wine, "wine", "Quality.")
    [ref] = notes(wine, git)
    git(wine, "notes", "--ref", ref, "append", "-m", "2 a remark", "wine@v1.0.0")
    git(wine, "notes", "--ref", "refs/notes/models/bob", "add", "-m", f"2 {'0' * 32} {'0' * 32} {{",
        "wine@v1.1.0")  # fmt: skip
    git(wine, "update-ref", "refs/notes/models/tree", "HEAD")
    (wine / ".git" / "gittrack" / descriptions.OWN).unlink()
    assert read(wine) == {"wine": "Quality."}


def test_a_huge_note_is_left_alone(wine: Path, git: Any, tmp_path: Path) -> None:
    """A note of a hostile remote may be 400 MB of one letter in 400 kB: it is not even opened."""
    say(wine, "wine", "Quality.")
    [ref] = notes(wine, git)
    line = git(wine, "notes", "--ref", ref, "show", "wine@v1.0.0").splitlines()[0]
    huge = tmp_path / "huge"
    huge.write_text(
        line.replace("Quality.", "evil").replace("1 ", "2 ", 1) + "\n" + "x" * (2 << 20)
    )
    blob = git(wine, "hash-object", "-w", str(huge)).strip()
    git(wine, "notes", "--ref", "refs/notes/models/evil", "add", "-C", blob, "wine@v1.0.0")
    assert read(wine) == {"wine": "Quality."}


def test_a_note_whose_blob_is_missing_hides_no_other(wine: Path, git: Any) -> None:
    """A partial clone, or a damaged one: what can be read is."""
    say(wine, "wine", "Quality.")
    git(wine, "notes", "--ref", "refs/notes/models/bob", "add", "-m", "x", "wine@v1.1.0")
    blob = git(wine, "notes", "--ref", "refs/notes/models/bob", "list", "wine@v1.1.0").strip()
    path = wine / ".git" / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.unlink()
    (wine / ".git" / "gittrack" / descriptions.OWN).unlink()
    assert read(wine) == {"wine": "Quality."}


_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)


@settings(max_examples=12, deadline=None)
@given(texts=st.lists(_TEXTS, min_size=1, max_size=3))
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: Sequence[str]
) -> None:
    """Line ends, quotes, escapes and other alphabets; by Git and by libgit2 alike."""
    root = tmp_path_factory.mktemp("any")
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"],
                  ["tag", "-a", "-m", "x", "wine@v1.0.0"]):  # fmt: skip
        subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)
    for text in texts:
        say(root, "wine", text)
    last = texts[-1].strip()
    assert read(root) == ({"wine": last} if last else {})
    place = whereabouts.find(root)
    slow = {event.line for event in descriptions._slowly(place)}
    assert slow == {event.line for event in descriptions._events(place)}


# -- what it costs --------------------------------------------------------------------------------


def loaded(root: Path) -> tuple[set[str], str]:
    code = (
        "import sys\nfrom gittrack import descriptions, registry, whereabouts\n"
        "place = whereabouts.find('.')\nknown = registry.read(place)\nbefore = {*sys.modules}\n"
        "asked = []\nask = type(place).ask\n"
        "type(place).ask = lambda self, *words: asked.append(words) or ask(self, *words)\n"
        "told = descriptions.read(place, known)\n"
        "print(len(told), len(asked), *({*sys.modules} - before))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True
    )
    told, asked, *modules = done.stdout.split()
    return set(modules), f"{told} told, {asked} asked"


def test_where_nothing_was_said_nothing_is_asked(wine: Path, git: Any) -> None:
    """`git track model ls` reads this each time: no process, no module."""
    assert loaded(wine) == (set(), "0 told, 0 asked")
    git(wine, "notes", "add", "-m", "another note", "HEAD")
    git(wine, "update-ref", "refs/notes/modelsother", "HEAD")
    git(wine, "pack-refs", "--all")
    assert loaded(wine) == (set(), "0 told, 0 asked")


def test_what_was_said_is_read_without_libgit2(wine: Path) -> None:
    """Two questions to Git, however many notes there are."""
    for name in ("wine", "cork", "wine@1.0.0"):
        say(wine, name, "text")
    modules, asked = loaded(wine)
    assert asked == "3 told, 2 asked"
    assert not modules & {"pygit2", "yaml", "subprocess", "gittrack.git", "gittrack.ledger"}


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["# pack-refs with: peeled fully-peeled sorted ", "{} refs/notes/models/a"], True),
        (["# pack-refs with: peeled fully-peeled sorted ", "{} refs/heads/a", "^{}",
          "{} refs/notes/models/a", "{} refs/tags/x"], True),
        (["# pack-refs with: peeled fully-peeled sorted ", "{} refs/tags/x",
          "{} refs/notes/models/a"], False),
        (["{} refs/tags/x", "{} refs/notes/models/a"], True),
        (["# pack-refs with: peeled fully-peeled sorted ", "{} refs/notes/models0"], False),
        ([], False),
    ],
)  # fmt: skip
def test_packed_refs_are_read_as_far_as_needed(lines: list[str], found: bool) -> None:
    """Refs of runs come after notes, and there may be 100,000 of them."""
    data = [line.format("1" * 40).encode() + b"\n" for line in lines]
    assert descriptions._is_packed(data) is found


def test_the_bound_is_that_of_all_notes() -> None:
    """Spelled twice, because the ledger loads libgit2."""
    assert descriptions._LARGEST == ledger.LARGEST


# -- writing --------------------------------------------------------------------------------------


def test_too_long_a_text_is_refused(wine: Path) -> None:
    """A description is no manual: 32 KiB."""
    with pytest.raises(BadValue):
        say(wine, "wine", "x" * (32 << 10) + "y")
    say(wine, "wine", "x" * (32 << 10))
    assert len(read(wine)["wine"]) == 32 << 10


def test_a_ref_in_the_way_is_said_to_be(wine: Path, git: Any) -> None:
    """`git notes --ref models add` makes it."""
    git(wine, "notes", "--ref", "models", "add", "-m", "x", "HEAD")
    with pytest.raises(WriteFailed, match="refs/notes/models is in the way"):
        say(wine, "wine", "x")
    assert read(wine) == {}


def test_a_tag_of_a_model_may_be_said_in_the_same_way(wine: Path) -> None:
    """Room for what MLflow calls tags of models: other verbs change no description."""
    say(wine, "wine", "Quality.")
    model = known(wine).models["wine"]
    repo = Repo.open(wine)
    about = descriptions._about("wine")
    entry = ledger.Entry(
        about,
        model.versions[-1].registered.id,
        [events.set_tag("team", "red")],
        "wine",
        None,
        "wine",
    )
    book = ledger.Ledger(descriptions.ROOT, descriptions.OWN, on_commits=False)
    book.append(repo, [entry], now=NOW, random=os.urandom)
    assert read(wine) == {"wine": "Quality."}
    state = ledger.state_of(about, book.gather(repo, None, []).values())
    assert (state.tags, state.description, state.top) == ({"team": "red"}, "Quality.", 2)


def test_both_kinds_of_notes_keep_out_of_each_others_way(wine: Path, track: Any, git: Any) -> None:
    """A run's note and a model's description have one writer and two refs."""
    track(wine, "run", "--", "true", check=0)
    track(wine, "note", "latest", "-m", "a run", check=0)
    say(wine, "wine", "a model")
    track(wine, "tag", "latest", "a=b", check=0)
    roots = {ref.split("/")[2] for ref in git(wine, "for-each-ref", "--format=%(refname)",
                                              "refs/notes").split()}  # fmt: skip
    assert roots == {"runs", "models"}
    assert "a run" in track(wine, "show", "latest", check=0).stdout
    assert read(wine) == {"wine": "a model"}


# -- the verb -------------------------------------------------------------------------------------


def test_the_verb_writes_prints_and_takes_away(wine: Path, track: Any) -> None:
    """What was said already is not said again."""

    def done(*words: str) -> str:
        return str(track(wine, "model", "describe", *words, check=0).stdout)

    assert done("wine", "-m", "Quality.", "-m", "# How") == "wine is described\n"
    assert done("wine", "--show") == "Quality.\n\n# How\n"
    assert done("wine", "-m", "Quality.\n\n# How") == "wine is described so already\n"
    assert done("wine@1.1.0", "-m", "Better.") == "wine@v1.1.0 is described\n"
    assert done("wine@latest", "--show") == "Better.\n"
    assert done("wine", "-m", "") == "wine has no description any more\n"
    assert done("wine", "-m", "") == "wine has no description\n"
    gone = track(wine, "model", "describe", "wine", "--show", check=1)
    assert gone.stdout == "" and "git track model describe" in gone.stderr
    own = (wine / ".git" / "gittrack" / descriptions.OWN).read_text()
    assert own.count("\n") == 3


def test_the_editor_begins_with_what_is_there(wine: Path, track: Any, tmp_path: Path) -> None:
    """Headings of Markdown begin with `#`, so only what is below the scissors is left out."""
    script = tmp_path / "editor"
    script.write_text("#!/bin/sh\ncat \"$1\" >> seen\nprintf '# Card\\ntext\\n' > new\n"
                      'cat "$1" >> new; cp new "$1"\n')  # fmt: skip
    script.chmod(0o755)
    track(wine, "model", "describe", "wine", "-m", "old", check=0)
    track(wine, "model", "describe", "wine", env={"GIT_EDITOR": str(script)}, check=0)
    assert read(wine) == {"wine": "# Card\ntext\nold"}
    assert (wine / "seen").read_text().startswith("old\n\n# ----")
    failed = track(wine, "model", "describe", "wine", env={"GIT_EDITOR": "false"}, check=1)
    assert "nothing was written" in failed.stderr
    assert read(wine) == {"wine": "# Card\ntext\nold"}


def test_the_verb_reads_files(wine: Path, track: Any) -> None:
    """A model card lies in the repository; `-` is stdin."""
    (wine / "card.md").write_text("# Wine\n\nBy chemistry.\n")
    track(wine, "model", "describe", "wine", "-F", "card.md", check=0)
    track(wine, "model", "describe", "cork", "-F", "-", input="Size.\n", check=0)
    assert read(wine) == {"wine": "# Wine\n\nBy chemistry.", "cork": "Size."}
    (wine / "card.md").write_bytes(b"\xff")
    assert "UTF-8" in track(wine, "model", "describe", "wine", "-F", "card.md", check=1).stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["wien", "-m", "x"], 1, "did you mean 'wine'?"),
        (["wine@9.9.9", "-m", "x"], 1, "v1.1.0"),
        (["wine~1", "-m", "x"], 2, "no name for a model"),
        (["wine", "-m", "x", "--show"], 2, "do not go together"),
        (["wine", "-m", "x", "-F", "y"], 2, "do not go together"),
        (["wine", "-F", "nothing"], 1, "cannot be read"),
        (["wine", "-F", "/dev/zero"], 1, "has more than 1 MiB"),
        (["wine", "-m", "x" * 33_000], 1, "at most 32768"),
    ],
)
def test_what_the_verb_refuses(
    wine: Path, track: Any, git: Any, words: list[str], code: int, said: str
) -> None:
    """One line, the right exit code, no note left behind."""
    done = track(wine, "model", "describe", *words, check=code)
    assert said in done.stderr and "Traceback" not in done.stderr and done.stdout == ""
    assert notes(wine, git) == []


def test_a_hostile_description_reaches_no_terminal(wine: Path, track: Any) -> None:
    """A colleague's notes are as hostile as a colleague's runs."""
    say(wine, "wine", "a\x1b[2Jb\x1b]0;t\x07c")
    shown = track(wine, "model", "describe", "wine", "--show", check=0).stdout
    assert "\x1b" not in shown and "\x07" not in shown


def test_a_secret_is_masked(wine: Path, track: Any) -> None:
    """As in notes on runs; and that is said."""
    secret = "gh" + "p_" + "a8B3kLm92NqXz71PwRtYv45CdEf60GhJsK2u"
    done = track(wine, "model", "describe", "wine", "-m", f"it needs {secret}", check=0)
    assert "masked" in done.stderr and secret not in read(wine)["wine"]


def test_how_others_get_it_is_said(wine: Path, tmp_path: Path, track: Any, git: Any) -> None:
    """Notes are on no branch: `git push` alone leaves them here."""
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    git(wine, "remote", "add", "origin", str(tmp_path / "hub.git"))
    said = track(wine, "model", "describe", "wine", "-m", "x", check=0).stderr.strip()
    command = said.partition("only here so far: ")[2]
    assert command.startswith("git push origin refs/notes/models/")
    git(wine, *command.split()[1:])
    assert notes(tmp_path / "hub.git", git) == notes(wine, git)
