"""Nothing is written outside of a directory, whatever lies in it or happens meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gittrack.enclosure import Enclosure
from gittrack.errors import BadPath, WriteFailed


def write(place: Enclosure, path: str) -> None:
    opened, name = place.parent(path)
    made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, dir_fd=opened)
    os.write(made, b"new")
    os.close(made)


def test_directories_are_made_down_to_a_file(tmp_path: Path) -> None:
    """The root too; looking makes none."""
    with Enclosure(tmp_path / "x" / "y") as place:
        assert place.look("a/b/c") is None
        assert not (tmp_path / "x").exists()
        write(place, "a/b/c")
        write(place, "a/b/d")
        write(place, "e")
        place.make("empty/directory")
        seen = place.look("a/b/c")
        assert seen is not None and seen.st_size == 3
    assert (tmp_path / "x/y/a/b/c").read_text() == "new"
    assert (tmp_path / "x/y/empty/directory").is_dir()


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "/tmp/x", ".git/config", "a/.GIT/x", "a\\..\\..\\x", "", ".", "a//b"],
)
def test_a_path_that_leads_out_is_refused(path: str, tmp_path: Path) -> None:
    """Before any system call."""
    with Enclosure(tmp_path / "root") as place:
        for ask in (place.look, place.parent, place.make, place.link):
            with pytest.raises(BadPath):
                ask(path)
        with pytest.raises(BadPath), place.reading(path):
            pass
    assert os.listdir(tmp_path) == []


def test_no_symlink_is_followed(tmp_path: Path) -> None:
    """Neither above a file nor as the file itself."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "file").symlink_to(tmp_path / "outside" / "secret")
    with Enclosure(root) as place:
        for ask in (place.look, place.parent):
            with pytest.raises(BadPath, match="symlink"):
                ask("link/secret")
        with pytest.raises(BadPath, match="symlink"):
            place.make("link/more")
        with place.reading("file") as opened:
            assert opened is None
        assert place.link("file") == str(tmp_path / "outside" / "secret")
        assert place.link("nothing") == ""
    assert os.listdir(tmp_path / "outside") == ["secret"]


def test_a_symlink_that_comes_after_the_look_changes_nothing(tmp_path: Path) -> None:
    """The directory that was opened is written to, wherever its name leads by then."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    with Enclosure(root) as place:
        opened, name = place.parent("sub/file")
        (root / "sub").rename(root / "moved")
        (root / "sub").symlink_to(outside)
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=opened))
        with pytest.raises(BadPath):
            place.parent("sub/deeper/file")
    assert os.listdir(outside) == []
    assert os.listdir(root / "moved") == ["file"]


def test_the_root_itself_may_be_a_symlink(tmp_path: Path) -> None:
    """It is the user's own word."""
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    with Enclosure(tmp_path / "root") as place:
        write(place, "a/b")
    assert (tmp_path / "real/a/b").exists()


def test_a_file_where_a_directory_should_be_is_said(tmp_path: Path) -> None:
    """Root or below."""
    (tmp_path / "file").write_text("x")
    with Enclosure(tmp_path) as place, pytest.raises(BadPath, match="no directory"):
        place.parent("file/x")
    with Enclosure(tmp_path / "file") as place, pytest.raises(BadPath, match="no directory"):
        place.parent("x")


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    """A pipe would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").write_text("x")
    with Enclosure(tmp_path) as place:
        for name, plain in (("pipe", False), ("plain", True), ("none", False)):
            with place.reading(name) as opened:
                assert (opened is not None) is plain


def test_what_the_system_refuses_is_one_error(tmp_path: Path) -> None:
    """A name that no file system takes stands for all of them."""
    with Enclosure(tmp_path) as place, pytest.raises(WriteFailed, match="too long"):
        place.parent("x" * 300 + "/y")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Ten thousand files, one directory open at a time."""
    before = len(os.listdir("/dev/fd"))
    with Enclosure(tmp_path) as place:
        for number in range(50):
            write(place, f"{number}/a/b")
            assert place.look(f"{number}/c") is None
        assert len(os.listdir("/dev/fd")) == before + 1
    assert len(os.listdir("/dev/fd")) == before
