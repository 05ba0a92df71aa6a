"""Files that a script keeps: in the cache before the run says so, and never in training's way."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import gittrack
from doors import fresh
from gittrack import active, commits, journal, keeping, renderings, revisions, setup
from gittrack.active import Active
from gittrack.cache import Cache, open_cache
from gittrack.errors import (
    BadPath,
    BadValue,
    NoActiveRun,
    NotARepository,
    RunNotFound,
    WriteFailed,
)
from gittrack.git import Repo
from gittrack.records import Run


class Kept:
    """A run in the middle of its life, seen from outside: what it has said, and its cache."""

    def __init__(self, top: Path) -> None:
        self.root, self.live, self.cache = top / "work", top / "live", Cache(top / "cache")
        self.root.mkdir(parents=True)
        self.live.mkdir()
        known = {
            "id": os.urandom(16).hex(),
            "where": str(self.root),
            "directory": "",
            "cache": {
                "dir": str(top / "cache"),
                "links": ["reflink", "copy"],
                "stats": str(top / "stats.sqlite"),
                "sync": False,
            },
        }
        (self.live / "begin").write_bytes(journal.frame(known))

    def events(self) -> list[dict[str, Any]]:
        found, damaged = journal.logged(self.live)
        assert damaged == 0
        return [{key: value for key, value in event.items() if key != "t"} for event in found]

    @property
    def artifacts(self) -> dict[str, dict[str, Any]]:
        """What the last of each name says."""
        told = [event["artifact"] for event in self.events() if "artifact" in event]
        return {item["path"]: item for item in told}

    @property
    def faults(self) -> list[str]:
        return [event["fault"] for event in self.events() if "fault" in event]

    def read(self, name: str) -> bytes:
        """The bytes of a file, as the cache has them."""
        told = self.artifacts[name]
        data = self.cache.read(told["md5"], limit=1 << 30)
        assert hashlib.md5(data).hexdigest() == told["md5"] and len(data) == told["size"]
        return data


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Inside of a run that was started at the top of its work tree."""
    made = Kept(tmp_path)
    with fresh(made.root):
        monkeypatch.setenv(journal.RUN_VARIABLE, str(made.live))
        yield made


# -- files and directories ----------------------------------------------------------------------


def test_a_file_is_in_the_cache_when_the_call_returns(run: Kept) -> None:
    """A checkpoint is overwritten a second later: what was logged stays as it was."""
    path = run.root / "model.pt"
    for epoch in range(3):
        path.write_bytes(b"epoch %d" % epoch)
        gittrack.log_artifact(path, f"checkpoints/{epoch}.pt")
    path.unlink()
    assert [run.read(f"checkpoints/{epoch}.pt") for epoch in range(3)] == [
        b"epoch 0",
        b"epoch 1",
        b"epoch 2",
    ]
    assert run.faults == []


def test_the_bytes_are_there_before_the_run_says_so(
    run: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed between the two leaves an object too many, never a run without its file."""
    there: list[bool] = []
    real = Active.append

    def watched(self: Active, event: dict[str, Any]) -> None:
        there.append(run.cache.holds(event["artifact"]["md5"]))
        real(self, event)

    monkeypatch.setattr(Active, "append", watched)
    (run.root / "out").mkdir()
    (run.root / "out" / "a").write_text("a")
    gittrack.log_artifact("out")
    gittrack.log_text("b", "b.txt")
    assert there == [True, True]


def test_the_last_content_under_a_name_is_the_artifact(run: Kept) -> None:
    """And the one before is still in the cache, until a cleaning takes what nobody names."""
    path = run.root / "model.pt"
    path.write_text("first")
    gittrack.log_artifact(path)
    first = run.artifacts["model.pt"]["md5"]
    path.write_text("second")
    gittrack.log_artifact(path)
    assert run.read("model.pt") == b"second"
    assert run.cache.holds(first)


def test_a_directory_is_one_artifact(run: Kept) -> None:
    """Ten thousand files are one pointer."""
    (run.root / "out" / "deep").mkdir(parents=True)
    (run.root / "out" / "a").write_text("a")
    (run.root / "out" / "deep" / "b").write_text("bb")
    gittrack.log_artifact("out/")
    told = run.artifacts["out"]
    assert (told["nfiles"], told["size"], told["md5"][-4:]) == (2, 3, ".dir")
    assert [member.path for member in run.cache.members(told["md5"])] == ["a", "deep/b"]
    assert run.cache.holds(told["md5"])


def test_what_the_user_has_stays_as_it_was(run: Kept) -> None:
    """A hard link to the cache would make the user's file read-only, or the object writable."""
    path = run.root / "model.pt"
    path.write_text("weights")
    before = path.stat()
    gittrack.log_artifact(path)
    path.write_text("WEIGHTS")
    assert run.read("model.pt") == b"weights"
    after = path.stat()
    assert (before.st_mode, before.st_ino, before.st_nlink) == (
        after.st_mode,
        after.st_ino,
        after.st_nlink,
    )


@pytest.mark.parametrize(
    ("place", "path", "name", "called"),
    [
        (".", "model.pt", None, "model.pt"),
        (".", "./out/../model.pt", None, "model.pt"),
        ("out", "deep/m.pt", None, "out/deep/m.pt"),
        ("out", "../model.pt", None, "model.pt"),
        (".", "out/", None, "out"),
        ("out", ".", None, "out"),
        ("..", "elsewhere/m.pt", None, "m.pt"),
        (".", "../elsewhere", None, "elsewhere"),
        (".", "link.pt", None, "link.pt"),
        (".", "model.pt", "best.pt", "best.pt"),
        (".", "out/deep/m.pt", "models/", "models/m.pt"),
        (".", "out", "kept/", "kept/out"),
        (".", ".", "all", "all"),
    ],
)
def test_a_name_is_the_path_in_the_repository(
    run: Kept, monkeypatch: pytest.MonkeyPatch, place: str, path: str, name: str | None, called: str
) -> None:
    """Wherever the script stands when it logs; outside of it, only the last part says something."""
    for file in ("model.pt", "out/deep/m.pt", "../elsewhere/m.pt"):
        target = run.root / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("x")
    (run.root / "link.pt").symlink_to("../elsewhere/m.pt")
    monkeypatch.chdir(run.root / place)
    gittrack.log_artifact(path, name)
    gittrack.log_artifact(os.path.abspath(path), name)
    assert list(run.artifacts) == [called] and run.faults == []


def test_a_name_seen_through_a_link_to_the_repository(run: Kept, tmp_path: Path) -> None:
    """As /tmp is one on macOS, and home directories on many a cluster."""
    (run.root / "model.pt").write_text("x")
    (tmp_path / "shortcut").symlink_to(run.root)
    gittrack.log_artifact(tmp_path / "shortcut" / "model.pt")
    assert list(run.artifacts) == ["model.pt"]


def test_a_run_that_was_started_in_a_subdirectory(run: Kept) -> None:
    """Names are seen from the top of the repository, whatever directory the run belongs to."""
    (known,), _ = journal.unframe((run.live / "begin").read_bytes())
    known |= {"where": str(run.root / "notes" / "ideas"), "directory": "notes/ideas"}
    (run.live / "begin").write_bytes(journal.frame(known))
    (run.root / "notes" / "ideas").mkdir(parents=True)
    (run.root / "notes" / "m.pt").write_text("x")
    gittrack.log_artifact("notes/m.pt")
    assert list(run.artifacts) == ["notes/m.pt"]


# -- what can never work ------------------------------------------------------------------------


def _nothing(root: Path) -> str:
    return "missing.pt"


def _pipe(root: Path) -> str:
    os.mkfifo(root / "pipe")
    return "pipe"


def _broken(root: Path) -> str:
    (root / "link").symlink_to("nowhere")
    return "link"


def _cycle(root: Path) -> str:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    return "a"


def _null(root: Path) -> str:
    return "a\0b"


def _device(root: Path) -> str:
    return "/dev/null"


def _top(root: Path) -> str:
    return "."


def _gits(root: Path) -> str:
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("x")
    return ".git/config"


@pytest.mark.parametrize(
    "make",
    [_nothing, _pipe, _broken, _cycle, _null, _device, _top, _gits],
    ids=lambda f: f.__name__,
)
def test_a_path_that_cannot_be_kept_is_raised(run: Kept, make: Callable[[Path], str]) -> None:
    """A typing error that costs nothing but a line in the log costs the model of a night."""
    path = make(run.root)
    with pytest.raises(BadPath) as caught:
        gittrack.log_artifact(path)
    assert "\n" not in caught.value.message and caught.value.message.isprintable()
    assert run.events() == []


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", ".git/hooks/x", "a\\..\\b", "a\0b", "caf\udce9"],
)
def test_a_name_that_could_lead_elsewhere_is_raised(run: Kept, name: str) -> None:
    """Whoever gets the run writes a file of this name."""
    (run.root / "a").write_text("x")
    for call in (
        lambda: gittrack.log_artifact("a", name),
        lambda: gittrack.log_text("x", name),
        lambda: gittrack.log_dict({}, name),
    ):
        with pytest.raises(BadPath):
            call()
    assert run.events() == []


def test_an_empty_name_is_called_so(run: Kept) -> None:
    """As a variable of a script may be; a suffix that is missing is not the matter."""
    (run.root / "a").write_text("x")
    for call in (
        lambda: gittrack.log_artifact("a", ""),
        lambda: gittrack.log_text("x", ""),
        lambda: gittrack.log_dict({}, ""),
        lambda: gittrack.log_table([], ""),
        lambda: gittrack.log_figure(None, ""),
        lambda: gittrack.load_artifact("latest", ""),
    ):
        with pytest.raises(BadPath, match=r"^the name of an artifact is empty$"):
            call()
    assert run.events() == []


@pytest.mark.parametrize(
    ("most", "more"),
    [("a/" * 31 + "b", "a/" * 32 + "b"), ("n" * 240, "n" * 241), ("ü" * 120, "ü" * 121)],
)
def test_a_name_that_is_too_long_is_raised(run: Kept, most: str, more: str) -> None:
    """Its pointer, four characters longer, is a file that everybody's disk must take."""
    gittrack.log_text("x", most)
    with pytest.raises(BadPath, match="too long"):
        gittrack.log_text("x", more)
    assert list(run.artifacts) == [most]


def test_a_loop_that_keeps_too_much_is_a_fault(run: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each artifact is a pointer in Git; a directory of as many files is a single one."""
    from gittrack import keeping

    monkeypatch.setattr(keeping, "MOST_ARTIFACTS", 3)
    for number in (0, 1, 2, 3, 0, 4):
        gittrack.log_text("x", str(number))
    assert list(run.artifacts) == ["0", "1", "2"] and len(run.faults) == 2
    assert "a directory is kept as one" in run.faults[0]


@pytest.mark.parametrize(
    ("first", "second"),
    [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a"), ("a", "a.dvc/b"), ("a.dvc/b", "a")],
)
def test_names_that_lie_inside_of_each_other_are_raised(run: Kept, first: str, second: str) -> None:
    """DVC refuses outputs that overlap, and a file cannot be a directory."""
    gittrack.log_text("x", first)
    with pytest.raises(BadPath, match="inside of the other"):
        gittrack.log_text("y", second)
    for fine in (first, "ab", "a.txt", "b"):
        gittrack.log_text("z", fine)
    assert set(run.artifacts) == {first, "ab", "a.txt", "b"}


@pytest.mark.parametrize(
    "call",
    [
        lambda: gittrack.log_text(b"x", "x.txt"),  # type: ignore[arg-type]
        lambda: gittrack.log_dict("x", "x.json"),
        lambda: gittrack.log_table("x", "x.csv"),
        lambda: gittrack.log_table([], "x.xlsx"),
        lambda: gittrack.log_figure([1], "x.png"),
    ],
)
def test_what_is_of_the_wrong_kind_is_raised(run: Kept, call: Callable[[], None]) -> None:
    """It fails at the first call as at the last."""
    with pytest.raises(BadValue):
        call()
    assert run.events() == []


def test_outside_of_a_run(run: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nowhere to keep it for; at the outer door a run of the script's own begins."""
    gittrack.log_text("x", "before.txt")
    active._close()
    monkeypatch.delenv(journal.RUN_VARIABLE)
    (run.root / "a").write_text("x")
    for call in (
        lambda: keeping.log_artifact("a"),
        lambda: keeping.log_artifacts(run.root),
        lambda: keeping.log_text("x", "x"),
        lambda: keeping.log_dict({}, "x.json"),
        lambda: keeping.log_table([], "x.csv"),
    ):
        with pytest.raises(NoActiveRun, match="git track run"):
            call()


def test_a_run_whose_directory_is_removed_ends_no_training(run: Kept) -> None:
    """Somebody tidied up, or the run was recorded while this process still worked."""
    gittrack.log_text("x", "before.txt")
    shutil.rmtree(run.live)
    (run.root / "a").write_text("x")
    gittrack.log_artifact("a")
    gittrack.log_text("x", "x")
    gittrack.log_metric("m", 1)


def test_after_the_end_nothing_is_kept_and_nothing_raises(
    run: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    """A callback that comes late finds its run recorded: that is said, once."""
    gittrack.log_text("x", "before.txt")
    now = active.require()
    active.leave(now)
    for _ in range(2):
        keeping.log_text("y", "after.txt", run=now)
    assert list(run.artifacts) == ["before.txt"]
    assert "has ended" in (said := capsys.readouterr().err) and said.count("\n") == 1


# -- directories of files, and pictures ---------------------------------------------------------


def test_the_files_of_a_directory_are_artifacts_of_their_own(run: Kept) -> None:
    """As in MLflow: called as they are seen from the directory, in another one if that is asked."""
    for name in ("out/a.txt", "out/deep/b.txt", "out/deep/id_rsa"):
        (run.root / name).parent.mkdir(parents=True, exist_ok=True)
        (run.root / name).write_text(name)
    (run.root / "out" / "gone").symlink_to("nowhere")
    gittrack.log_artifacts("out")
    assert sorted(run.artifacts) == ["a.txt", "deep/b.txt"]
    assert len(run.faults) == 2 and "id_rsa" in run.faults[1]
    gittrack.log_artifacts(run.root / "out", "states")
    assert sorted(run.artifacts)[2:] == ["states/a.txt", "states/deep/b.txt"]
    for wrong in ("out/a.txt", "nothing"):
        with pytest.raises(BadPath):
            gittrack.log_artifacts(wrong)


@pytest.mark.parametrize(
    ("shape", "dtype", "mode"),
    [
        ((4, 6), "uint8", "L"),
        ((4, 6, 1), "int64", "L"),
        ((4, 6, 3), "uint8", "RGB"),
        ((4, 6, 4), "float32", "RGBA"),
        ((4, 6), "bool", "L"),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_an_array_is_a_picture(
    run: Kept, shape: tuple[int, ...], dtype: str, mode: str, suffix: str
) -> None:
    """Every pixel comes back; PNG is written without PIL, so that a bare machine can do it."""
    numpy = pytest.importorskip("numpy")
    pil = pytest.importorskip("PIL.Image")
    counted = numpy.arange(math.prod(shape)).reshape(shape)
    pixels = {"bool": counted % 2 == 0, "float32": counted / 255}.get(dtype, counted).astype(dtype)
    gittrack.log_image(pixels, f"a.{suffix}")
    assert run.faults == []
    seen = pil.open(io.BytesIO(run.read(f"a.{suffix}")))
    expected = counted if dtype != "bool" else pixels * 255
    assert seen.mode == mode
    assert (numpy.asarray(seen).reshape(shape) == expected).all()


def test_floats_are_the_nearest_of_256_shades(run: Kept) -> None:
    """Cut off, white would be reached by 1.0 alone."""
    numpy, pil = pytest.importorskip("numpy"), pytest.importorskip("PIL.Image")
    gittrack.log_image(numpy.array([[0.0, 0.001, 0.003, 0.999, 1.0]]), "a.png")
    seen = numpy.asarray(pil.open(io.BytesIO(run.read("a.png"))))
    assert seen.tolist() == [[0, 0, 1, 255, 255]]


@pytest.mark.parametrize(
    "make",
    [
        lambda n: n.zeros(3),
        lambda n: n.zeros((2, 2, 2)),
        lambda n: n.zeros((0, 4)),
        lambda n: "text",
        lambda n: [[1, 2]],
    ],
)
def test_what_is_no_picture_is_raised(run: Kept, make: Callable[[Any], Any]) -> None:
    """Its type or shape is wrong at the first step as at the last."""
    with pytest.raises(BadValue):
        gittrack.log_image(make(pytest.importorskip("numpy")), "a.png")


def test_values_that_no_picture_has_are_a_fault(run: Kept) -> None:
    """Content, unlike type and shape, changes while a training goes on."""
    numpy = pytest.importorskip("numpy")
    for number, value in enumerate((1.5, -0.1, math.nan, 300, -1)):
        gittrack.log_image(numpy.full((2, 2), value), f"{number}.png")
    assert run.artifacts == {} and len(run.faults) == 5


# -- what goes wrong with the machine -----------------------------------------------------------


@pytest.mark.parametrize("error", [WriteFailed("cannot write: No space left"), OSError(28, "full")])
def test_a_full_disk_never_ends_a_training(
    run: Kept,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    """It is said once, is a fault of the run each time, and what comes later is kept."""

    def full(*_: object, **__: object) -> None:
        raise error

    (run.root / "a").write_text("x")
    with monkeypatch.context() as patched:
        patched.setattr(Cache, "add", full)
        patched.setattr(Cache, "add_bytes", full)
        gittrack.log_artifact("a")
        gittrack.log_text("x", "b")
    assert [fault.split(":")[0] for fault in run.faults] == [
        "artifact 'a' not kept",
        "artifact 'b' not kept",
    ]
    assert capsys.readouterr().err.count("\n") == 1
    gittrack.log_text("x", "b/c")
    assert list(run.artifacts) == ["b/c"], "what was not kept has not taken the name"


def test_a_cache_that_cannot_be_written(run: Kept) -> None:
    """A shared one that is gone, or another user's."""
    run.cache.directory.write_text("in the way")
    gittrack.log_text("x", "a.txt")
    assert len(run.faults) == 1 and run.artifacts == {}
    assert str(run.cache.directory) in run.faults[0]


def test_what_is_inside_a_directory_is_a_fault(run: Kept) -> None:
    """A socket that some library left in the output directory must not end the training."""
    (run.root / "out").mkdir()
    os.mkfifo(run.root / "out" / "pipe")
    gittrack.log_artifact("out")
    assert run.artifacts == {} and len(run.faults) == 1
    assert run.faults[0].startswith("artifact 'out' not kept: ")


# -- secrets ------------------------------------------------------------------------------------

TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5"


@pytest.mark.parametrize("name", [".env", "id_rsa", ".netrc", "credentials.json", "server.pem"])
def test_a_file_that_looks_like_a_secret_is_left_out(run: Kept, name: str) -> None:
    """By its own name, whatever it is to be called, or by the name that it gets."""
    (run.root / name).write_text("x")
    (run.root / "a").write_text("x")
    gittrack.log_artifact(name)
    gittrack.log_artifact(name, "settings.txt")
    gittrack.log_artifact("a", name)
    gittrack.log_text("x", name)
    assert run.artifacts == {} and len(run.faults) == 4
    assert all("allow_secret=True" in fault for fault in run.faults)
    gittrack.log_artifact(name, allow_secret=True)
    assert list(run.artifacts) == [name]


def test_a_directory_with_a_secret_in_it_is_left_out(run: Kept) -> None:
    """One that is named, so that it can be moved away."""
    (run.root / "out" / "deep").mkdir(parents=True)
    (run.root / "out" / "tokenizer.json").write_text("x")
    gittrack.log_artifact("out")
    assert list(run.artifacts) == ["out"]
    (run.root / "out" / "deep" / ".env").write_text("x")
    gittrack.log_artifact("out", "again")
    assert list(run.artifacts) == ["out"] and "'out/deep/.env'" in run.faults[0]


def test_a_file_whose_content_looks_secret_is_left_out(run: Kept) -> None:
    """It is still where it was; the line is named, never the secret."""
    (run.root / "notes.txt").write_text(f"hello\ntoken {TOKEN}\n")
    gittrack.log_artifact("notes.txt")
    assert run.artifacts == {} and "line 2" in run.faults[0] and TOKEN not in run.faults[0]


def test_what_is_made_here_is_masked(run: Kept) -> None:
    """A table of answers is nowhere else: all of it is kept but the secret."""
    gittrack.log_text(f"a {TOKEN} b", "a.txt")
    gittrack.log_dict({"password": "hunter2x9", "lr": 0.1}, "b.json")
    gittrack.log_table([{"answer": TOKEN, "n": 1}], "c.csv")
    assert run.read("a.txt") == b"a *** b"
    assert json.loads(run.read("b.json")) == {"password": "***", "lr": 0.1}
    assert run.read("c.csv") == b"answer,n\n***,1\n"
    assert len(run.faults) == 3
    gittrack.log_text(TOKEN, "d.txt", allow_secret=True)
    assert run.read("d.txt") == TOKEN.encode() and len(run.faults) == 3


# -- texts and nested values --------------------------------------------------------------------


class Array:
    """What a NumPy array or scalar looks like from outside."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def tolist(self) -> Any:
        return self.inner


@given(st.text(st.characters(codec="utf-8"), max_size=30))
@settings(deadline=None, max_examples=30)
def test_a_text_is_kept_to_the_letter(tmp_path_factory: Any, text: str) -> None:
    """Line ends of other systems too."""
    made = Kept(tmp_path_factory.mktemp("run"))
    os.environ[journal.RUN_VARIABLE] = str(made.live)
    try:
        gittrack.log_text(text, "a.txt", allow_secret=True)
    finally:
        active._close()
        del os.environ[journal.RUN_VARIABLE]
    assert made.read("a.txt") == text.encode()


def test_a_text_with_bytes_in_it_gives_them_back(run: Kept) -> None:
    """As `os.listdir` names a file that is not UTF-8."""
    gittrack.log_text("caf\udce9", "a.txt")
    assert run.read("a.txt") == b"caf\xe9"
    gittrack.log_text("\ud800", "b.txt")
    assert list(run.artifacts) == ["a.txt"] and len(run.faults) == 1


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**1023), 2**1023)
    | st.floats()
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])), inner)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc"), VALUES, max_size=3), st.randoms())
@settings(deadline=None, max_examples=100)
def test_nested_values_come_back_exactly(value: dict[str, Any], random: Any) -> None:
    """Every float to its last bit; and equal values are equal bytes, stored once."""
    shuffled = dict(random.sample(sorted(value.items(), key=repr), len(value)))
    data = renderings.document(value, "json")()
    assert data == renderings.document(shuffled, "json")()
    assert repr(json.loads(data)) == repr(json.loads(json.dumps(value, sort_keys=True)))
    data = renderings.document(value, "yaml")()
    assert data == renderings.document(shuffled, "yml")()


def test_names_may_be_paths(run: Kept) -> None:
    """Who composes them with pathlib need not turn them into text."""
    (run.root / "m.pt").write_text("x")
    gittrack.log_artifact(Path("m.pt"), Path("models") / "m.pt")
    gittrack.log_dict({}, Path("a") / "b.yaml")
    assert list(run.artifacts) == ["models/m.pt", "a/b.yaml"] and run.read("a/b.yaml") == b"{}\n"


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.YML", "a", "a.txt"])
def test_the_suffix_says_the_format(run: Kept, name: str) -> None:
    """YAML or else JSON, as MLflow has it."""
    value = {"b": [1, 2.5, None], "a": {"x": True, "y": "no"}}
    gittrack.log_dict(value, name)
    text = run.read(name).decode()
    if name.lower().endswith(("yaml", "yml")):
        assert yaml.safe_load(text) == value and text.startswith("a:\n")
    else:
        assert json.loads(text) == value and text.startswith('{\n  "a": ')


def test_foreign_values_become_plain_ones(run: Kept) -> None:
    """A configuration holds NumPy scalars, paths, sets and functions."""
    value = {
        "array": Array([[1, 2], [3, 4.5]]),
        "many": Array(list(range(5000))),
        "scalar": Array(0.1),
        "inner": (Array([1]), {3, 1}),
        "path": Path("a/b"),
        "function": Kept.read,
        "thing": object(),
        7: "seven",
    }
    gittrack.log_dict(value, "a.json")
    assert run.faults == []
    assert json.loads(run.read("a.json")) == {
        "array": [[1, 2], [3, 4.5]],
        "many": list(range(5000)),
        "scalar": 0.1,
        "inner": [[1], [1, 3]],
        "path": "a/b",
        "function": f"{__name__}.Kept.read",
        "thing": "<class 'object'>",
        "7": "seven",
    }


def test_values_that_cannot_be_written_are_a_fault(run: Kept) -> None:
    """What training computes must not end it."""

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no")

    loop: dict[str, Any] = {}
    loop["me"] = loop
    gittrack.log_dict(loop, "loop.json")
    gittrack.log_dict({"bad": Bad()}, "bad.json")
    gittrack.log_dict({"large": 10**5000}, "large.yaml")
    assert len(run.faults) == 3 and run.artifacts == {}


# -- tables -------------------------------------------------------------------------------------

ROWS = [{"step": 1, "loss": 0.1}, {"step": 2, "loss": math.nan, "note": 'a "b",\nc'}]
COLUMNS = {"step": [1, 2], "loss": Array([0.1, math.nan]), "note": (None, 'a "b",\nc')}


@pytest.mark.parametrize("table", [ROWS, COLUMNS], ids=["rows", "columns"])
@pytest.mark.parametrize("name", ["t.csv", "t"])
def test_a_table_is_csv(run: Kept, table: Any, name: str) -> None:
    """With a header, and an empty cell where a row has nothing."""
    gittrack.log_table(table, name)
    rows = list(csv.reader(io.StringIO(run.read(name).decode(), newline="")))
    assert rows == [["step", "loss", "note"], ["1", "0.1", ""], ["2", "nan", 'a "b",\nc']]
    assert b"\r" not in run.read(name)


@pytest.mark.parametrize("table", [ROWS, COLUMNS], ids=["rows", "columns"])
def test_a_table_is_tsv(run: Kept, table: Any) -> None:
    """As metrics files of DVC often are: the name says what separates."""
    gittrack.log_table(table, "t.tsv")
    text = run.read("t.tsv").decode()
    assert text.startswith("step\tloss\tnote\n1\t0.1\t\n")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t"))
    assert rows[1:] == [["1", "0.1", ""], ["2", "nan", 'a "b",\nc']]


@pytest.mark.parametrize("table", [ROWS, COLUMNS], ids=["rows", "columns"])
def test_a_table_is_json(run: Kept, table: Any) -> None:
    """A list of rows, which anything reads."""
    gittrack.log_table(table, "t.json")
    first, second = json.loads(run.read("t.json"))
    assert first == {"step": 1, "loss": 0.1, "note": None}
    assert math.isnan(second.pop("loss")) and second == {"step": 2, "note": 'a "b",\nc'}


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ([], ""),
        ({}, ""),
        ({"a": []}, "a\n"),
        ({"a": 1, "b": 2}, "a,b\n1,2\n"),
        ([{"a": [1, 2]}, {"b": {"x": 1}}], 'a,b\n"[1, 2]",\n,"{""x"": 1}"\n'),
    ],
)
def test_odd_tables(run: Kept, table: Any, text: str) -> None:
    """Empty ones, one row as MLflow takes it, cells that are lists."""
    gittrack.log_table(table, "t.csv")
    assert run.read("t.csv").decode() == text


@pytest.mark.parametrize("table", [[1, 2], {"a": [1], "b": [1, 2]}, {"a": [1], "b": 2}])
def test_a_ragged_table_is_a_fault(run: Kept, table: Any) -> None:
    """How long a column is, training decides."""
    gittrack.log_table(table, "t.csv")
    assert run.artifacts == {} and len(run.faults) == 1


def test_a_table_logged_again_replaces_it(run: Kept) -> None:
    """As everything else does under a name; rows are not appended."""
    gittrack.log_table({"a": [1]}, "t.csv")
    gittrack.log_table({"a": [2]}, "t.csv")
    assert run.read("t.csv") == b"a\n2\n"


def test_a_data_frame(run: Kept) -> None:
    """Floats exactly; the index only where it says something; what is missing is null."""
    pandas = pytest.importorskip("pandas")
    third = 0.1 + 0.2
    frame = pandas.DataFrame({"x": [third, None], "y": ["a", "b"]})
    gittrack.log_table(frame, "plain.csv")
    gittrack.log_table(frame, "plain.tsv")
    assert run.read("plain.tsv") == run.read("plain.csv").replace(b",", b"\t")
    gittrack.log_table(frame.set_index("y"), "named.csv")
    gittrack.log_table(frame, "plain.json")
    gittrack.log_table(frame.set_index("y"), "named.json")
    gittrack.log_table(frame["y"], "series.csv")
    assert run.faults == []
    assert run.read("plain.csv") == b"x,y\n0.30000000000000004,a\n,b\n"
    assert run.read("named.csv") == b"y,x\na,0.30000000000000004\nb,\n"
    assert json.loads(run.read("plain.json")) == [{"x": third, "y": "a"}, {"x": None, "y": "b"}]
    assert json.loads(run.read("named.json")) == [{"y": "a", "x": third}, {"y": "b", "x": None}]
    assert run.read("series.csv") == b"y\na\nb\n"


def test_parquet(run: Kept) -> None:
    """Where pandas can; where it cannot, the first call says what is missing."""
    pandas = pytest.importorskip("pandas")
    if not any(map(renderings._is_installed, ("pyarrow", "fastparquet"))):
        with pytest.raises(BadValue, match="pyarrow"):
            gittrack.log_table({"a": [1]}, "t.parquet")
        return
    gittrack.log_table({"a": [1, 2]}, "t.parquet")
    found = pandas.read_parquet(io.BytesIO(run.read("t.parquet")))
    assert found.to_dict("list") == {"a": [1, 2]}


# -- figures ------------------------------------------------------------------------------------


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """matplotlib without a screen."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([1, 2, 3])
    yield figure, axes
    pyplot.close("all")


@pytest.mark.parametrize(
    ("name", "magic"),
    [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF"), ("a.jpg", b"\xff\xd8\xff")],
)
def test_a_figure_of_matplotlib(run: Kept, drawing: Any, name: str, magic: bytes) -> None:
    """In the format of the name, from the figure or the axes that seaborn gives back."""
    figure, axes = drawing
    gittrack.log_figure(figure, name)
    gittrack.log_figure(axes, f"axes/{name}")
    assert run.faults == []
    assert run.read(name).startswith(magic) and run.read(f"axes/{name}").startswith(magic)


def test_the_same_figure_is_stored_once(run: Kept, drawing: Any) -> None:
    """And `save_kwargs` reach matplotlib."""
    for name in ("a.png", "b.png"):
        gittrack.log_figure(drawing[0], name)
    gittrack.log_figure(drawing[0], "c.png", save_kwargs={"dpi": 20})
    sizes = [run.artifacts[name] for name in ("a.png", "b.png", "c.png")]
    assert sizes[0]["md5"] == sizes[1]["md5"] != sizes[2]["md5"]
    assert sizes[2]["size"] < sizes[0]["size"]


def test_a_figure_that_cannot_be_drawn_is_a_fault(run: Kept, drawing: Any) -> None:
    """What stands in a title comes from training; its format does not."""
    drawing[1].set_title("$\\frac{1}{$")
    gittrack.log_figure(drawing[0], "a.png")
    assert run.artifacts == {} and "ValueError" in run.faults[0] and "\n" not in run.faults[0]
    for name in ("a.xyz", "a"):
        with pytest.raises(BadValue, match=r"\.png"):
            gittrack.log_figure(drawing[0], name)


def test_an_image_of_pil(run: Kept) -> None:
    """What cannot be said in a format is a fault; a format that nobody knows is raised."""
    image = pytest.importorskip("PIL.Image").new("RGBA", (4, 4))
    gittrack.log_figure(image, "a.png")
    assert run.read("a.png").startswith(b"\x89PNG")
    gittrack.log_figure(image, "a.jpg")
    assert len(run.faults) == 1 and list(run.artifacts) == ["a.png"]
    with pytest.raises(BadValue, match=r"\.png"):
        gittrack.log_figure(image, "a.xyz")


def test_a_figure_of_plotly(run: Kept) -> None:
    """HTML and JSON need nothing else; and they are the same each time."""
    graphs = pytest.importorskip("plotly.graph_objects")
    for number in range(2):
        figure = graphs.Figure(data=[{"type": "bar", "y": [1, 2]}])
        gittrack.log_figure(figure, f"{number}.html")
        gittrack.log_figure(figure, f"{number}.json")
    assert run.faults == []
    assert run.read("0.html") == run.read("1.html") and b"<html" in run.read("0.html")
    assert run.read("0.json") == run.read("1.json") and json.loads(run.read("0.json"))["data"]
    if not renderings._is_installed("kaleido"):
        with pytest.raises(BadValue, match="kaleido"):
            gittrack.log_figure(figure, "a.png")


# -- threads, and what it costs -----------------------------------------------------------------


def test_threads_keep_files_at_the_same_time(run: Kept) -> None:
    """Each its own, and some the same."""
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(10):
                gittrack.log_text(f"{number} {step}", f"{number}/{step}.txt")
                gittrack.log_text(f"{step}", f"same/{step}.txt")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and run.faults == [] and len(run.artifacts) == 70
    for number in range(6):
        assert run.read(f"{number}/9.txt") == f"{number} 9".encode()


def test_keeping_loads_no_library_and_no_git(run: Kept) -> None:
    """A training that logs a text must not import pandas, DVC or pygit2 for it."""
    code = """
import sys
import gittrack
gittrack.log_text("x", "x.txt")
gittrack.log_dict({"a": 1}, "a.json")
gittrack.log_table([{"a": 1}], "a.csv")
open("file", "w").close()
gittrack.log_artifact("file")
heavy = {"pygit2", "dvc", "dvc_data", "pandas", "numpy", "matplotlib", "PIL", "plotly", "yaml",
         "click", "configobj", "subprocess", "asyncio"}
print(sorted(heavy & {name.split(".")[0] for name in sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert len(run.artifacts) == 4


# -- in a real run ------------------------------------------------------------------------------


def recorded(track: Any, place: Path, code: str, exit_code: int = 0) -> Run:
    (place / "script.py").write_text(code)
    track(place, "run", "--", sys.executable, "script.py", check=exit_code)
    repo = Repo.open(place)
    return commits.load(repo, revisions.resolve(repo, "latest"))


def content(place: Path, run: Run, name: str) -> bytes:
    """What the cache of the repository has of an artifact."""
    repo = Repo.open(place)
    (told,) = (item for item in run.artifacts if item.path == name)
    return open_cache(repo, setup.read(repo)).read(told.md5, limit=1 << 20)


def test_what_a_script_keeps_is_recorded(repo_dir: Path, track: Any) -> None:
    """From the script to the record, named from the top of the repository."""
    code = """
import gittrack, pathlib
pathlib.Path("out").mkdir()
for epoch in range(3):
    pathlib.Path("out/model.pt").write_text(f"epoch {epoch}")
    gittrack.log_artifact("out/model.pt")
    gittrack.log_artifact("out/model.pt", f"checkpoints/{epoch}.pt")
gittrack.log_artifact("out", "all/")
gittrack.log_dict({"a": 1}, "a.yaml")
"""
    run = recorded(track, repo_dir, code)
    names = ["a.yaml", "all/out", *(f"checkpoints/{n}.pt" for n in range(3)), "out/model.pt"]
    assert [item.path for item in run.artifacts] == names and run.faults == ()
    assert content(repo_dir, run, "out/model.pt") == b"epoch 2"
    assert content(repo_dir, run, "checkpoints/0.pt") == b"epoch 0"


@pytest.mark.parametrize("method", ["fork", "spawn", "subprocess"])
def test_worker_processes_keep_files_too(repo_dir: Path, track: Any, method: str) -> None:
    """Ranks that each save a shard, and scripts that a script starts, in another directory."""
    code = f"""
import multiprocessing, os, subprocess, sys, gittrack

def work(rank):
    for step in range(5):
        gittrack.log_text(f"{{rank}} {{step}}", f"shards/{{rank}}.txt")
        gittrack.log_text("same", "same.txt")

if __name__ == "__main__":
    gittrack.log_text("main", "main.txt")
    if {method!r} == "subprocess":
        code = "import sys; sys.path.insert(0, {str(repo_dir)!r}); import script; script.work("
        children = [subprocess.Popen([sys.executable, "-c", f"{{code}}{{rank}})"], cwd="/")
                    for rank in range(3)]
        assert all(child.wait() == 0 for child in children)
    else:
        context = multiprocessing.get_context({method!r})
        children = [context.Process(target=work, args=(rank,)) for rank in range(3)]
        for child in children: child.start()
        for child in children: child.join()
        assert all(child.exitcode == 0 for child in children)
"""
    run = recorded(track, repo_dir, code)
    names = ["main.txt", "same.txt", *(f"shards/{rank}.txt" for rank in range(3))]
    assert [item.path for item in run.artifacts] == names and run.faults == ()
    for rank in range(3):
        assert content(repo_dir, run, f"shards/{rank}.txt") == f"{rank} 4".encode()


@pytest.mark.parametrize(
    ("ending", "code", "status"),
    [("raise ValueError", 1, "failed"), ("os.kill(os.getpid(), 9)", 137, "killed")],
)
def test_what_was_kept_stays_however_it_ends(
    repo_dir: Path, track: Any, ending: str, code: int, status: str
) -> None:
    """The best checkpoint of a run that crashed is often what one wants of it."""
    script = f"import os, gittrack\ngittrack.log_text('best', 'model.txt')\n{ending}\n"
    run = recorded(track, repo_dir, script, code)
    assert run.status == status and content(repo_dir, run, "model.txt") == b"best"


def test_a_disk_that_takes_no_more_never_ends_a_training(repo_dir: Path, track: Any) -> None:
    """The system refuses large files: the checkpoint is missing, said, and nothing else is."""
    code = """
import resource, gittrack
open("model.pt", "wb").write(bytes(1_000_000))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
gittrack.log_artifact("model.pt")
gittrack.log_text("x" * 1_000_000, "long.txt")
gittrack.log_text("short", "short.txt")
gittrack.log_metric("m", 1)
"""
    run = recorded(track, repo_dir, code)
    assert [item.path for item in run.artifacts] == ["short.txt"] and run.metrics == {"m": 1}
    assert [fault[: fault.index(" not kept")] for fault in run.faults] == [
        "artifact 'model.pt'",
        "artifact 'long.txt'",
    ]
    repo = Repo.open(repo_dir)
    for md5, _ in open_cache(repo, setup.read(repo)).objects():
        open_cache(repo, setup.read(repo)).check(md5)


def test_names_that_overlap_between_processes(repo_dir: Path, track: Any) -> None:
    """Neither process knows of the other; the record keeps one, and says what it left out."""
    code = """
import subprocess, sys, gittrack
gittrack.log_text("x", "a")
subprocess.run([sys.executable, "-c", "import gittrack; gittrack.log_text('y', 'a/b')"], check=True)
"""
    run = recorded(track, repo_dir, code)
    assert [item.path for item in run.artifacts] == ["a"]
    assert len(run.faults) == 1 and "'a/b'" in run.faults[0]


def test_an_artifact_of_another_run_is_found(
    repo_dir: Path, track: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of a run, and in one, which then has the other as its input."""
    first = recorded(
        track,
        repo_dir,
        "import os, gittrack\nos.mkdir('out')\nopen('out/a.txt', 'w').write('a')\n"
        "gittrack.log_artifact('out')\ngittrack.log_text('hello', 'model.txt')\n"
        "gittrack.log_metric('acc', 1)\n",
    )
    monkeypatch.chdir(repo_dir / "src")
    path = gittrack.load_artifact("best:acc", "model.txt")
    assert path.read_text() == "hello" and path.name == "model.txt"
    assert (gittrack.load_artifact(first.name, "out") / "a.txt").read_text() == "a"
    monkeypatch.chdir("/")
    assert gittrack.load_artifact("latest", "model.txt", repo=repo_dir).read_text() == "hello"
    with pytest.raises(NotARepository):
        gittrack.load_artifact("latest", "model.txt")
    with pytest.raises(RunNotFound):
        gittrack.load_artifact("nothing", "model.txt", repo=repo_dir)
    with pytest.raises(BadPath):
        gittrack.load_artifact("latest", "nothing.txt", repo=repo_dir)


def test_a_run_that_loads_an_artifact_has_the_other_as_input(
    repo_dir: Path, track: Any, run: Kept
) -> None:
    """Who says which run it reads from need not say it again; wherever the script stands."""
    other = recorded(track, repo_dir, "import gittrack; gittrack.log_text('hello', 'model.txt')\n")
    (known,), _ = journal.unframe((run.live / "begin").read_bytes())
    (run.live / "begin").write_bytes(journal.frame(known | {"where": str(repo_dir)}))
    assert gittrack.load_artifact("latest", "model.txt").read_text() == "hello"
    told = {"run": f"runs/default/{other.name}", "id": other.id, "commit": other.commit}
    assert run.events() == [{"inputs": [told | {"path": "model.txt"}]}]
