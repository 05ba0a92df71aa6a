"""What the user asked for by name: there whole or not at all, and nothing overwritten unasked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gittrack import delivery
from gittrack.errors import BadPath, GittrackError, WriteFailed


@pytest.fixture(autouse=True)
def nothing_is_left_over(tmp_path: Path) -> Iterator[None]:
    """However it ends, temporary places are gone."""
    yield
    assert not list(tmp_path.glob(".*"))


def _nothing_foreign(directory: Path) -> str | None:
    return None


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    """A reader never sees half of it."""
    target = tmp_path / "a b ü"
    with delivery.file(target) as path:
        path.write_text("one")
        assert not target.exists()
    assert target.read_text() == "one"
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """Whether that is nothing, or what is to be overwritten."""
    target = tmp_path / "x"
    for force in (False, True):
        with pytest.raises(KeyboardInterrupt), delivery.file(target, force=force) as path:
            path.write_text("half")
            raise KeyboardInterrupt
    assert not target.exists()
    target.write_text("old")
    with pytest.raises(ValueError), delivery.file(target, force=True) as path:
        path.write_text("half")
        raise ValueError
    assert target.read_text() == "old"


def test_only_force_overwrites(tmp_path: Path) -> None:
    """A name mistyped must not cost a file."""
    target = tmp_path / "x"
    target.write_text("old")
    with pytest.raises(BadPath, match="is there already"), delivery.file(target):
        pytest.fail("it was begun")
    with delivery.file(target, force=True) as path:
        path.write_text("new")
    assert target.read_text() == "new"


def test_what_comes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Between the question whether it is there and the end an export may take minutes."""
    target = tmp_path / "x"
    with pytest.raises(BadPath, match="is there already"), delivery.file(target) as path:
        path.write_text("new")
        target.write_text("somebody else's")
    assert target.read_text() == "somebody else's"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["pipe", "link"])
def test_nothing_takes_the_place_of_what_is_no_file(tmp_path: Path, force: bool, name: str) -> None:
    """`--force` means a file: as root, an export to /dev/null would do away with it for all."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with (
        pytest.raises(BadPath, match="is no regular file"),
        delivery.file(tmp_path / name, force=force),
    ):
        pytest.fail("it was begun")
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Its target is what was meant."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with delivery.file(tmp_path / "link", force=True) as path:
        path.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_place_that_cannot_be_is_said(tmp_path: Path) -> None:
    """Before any work is done."""
    (tmp_path / "file").touch()
    cases: list[tuple[Path, type[GittrackError]]] = [
        (tmp_path, BadPath),
        (tmp_path / "none" / "x", WriteFailed),
        (tmp_path / "file" / "x", WriteFailed),
    ]
    for target, kind in cases:
        with pytest.raises(kind), delivery.file(target):
            pytest.fail("it was begun")
    with (
        pytest.raises(BadPath),
        delivery.directory(tmp_path / "file", force=True, ours=_nothing_foreign),
    ):
        pytest.fail("it was begun")


def test_a_system_that_refuses_is_told_with_the_target(tmp_path: Path) -> None:
    """The temporary name says nothing to anybody."""
    with (
        pytest.raises(WriteFailed, match=r"cannot write '.*/x': No space left"),
        delivery.file(tmp_path / "x"),
    ):
        raise OSError(28, "No space left on device", "/some/temporary")


def test_a_directory_is_there_when_it_is_whole(tmp_path: Path) -> None:
    """An empty one may have been made for it."""
    for name in ("new", "empty"):
        target = tmp_path / name
        if name == "empty":
            target.mkdir()
        with delivery.directory(target, ours=_nothing_foreign) as path:
            (path / "part").write_text("one")
            assert not target.exists() or not any(target.iterdir())
        assert (target / "part").read_text() == "one"


def test_a_directory_is_replaced_as_a_whole_and_only_if_it_is_ours(tmp_path: Path) -> None:
    """Parts of the former one among the new ones would be read as rows."""
    target = tmp_path / "x"
    target.mkdir()
    (target / "former").touch()
    with pytest.raises(BadPath, match="already"), delivery.directory(target, ours=_nothing_foreign):
        pytest.fail("it was begun")
    with (
        pytest.raises(BadPath, match="'former'"),
        delivery.directory(target, force=True, ours=lambda _: "former"),
    ):
        pytest.fail("it was begun")
    with (
        pytest.raises(ValueError),
        delivery.directory(target, force=True, ours=_nothing_foreign) as path,
    ):
        (path / "part").touch()
        raise ValueError
    assert os.listdir(target) == ["former"]
    with delivery.directory(target, force=True, ours=_nothing_foreign) as path:
        (path / "part").touch()
    assert os.listdir(target) == ["part"]
