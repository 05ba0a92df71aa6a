"""What `--out` keeps: what the run wrote, under its path, and nothing else."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack import artifacts
from gittrack.cache import Cache
from gittrack.errors import BadPath, UsageError, WriteFailed

Keep = Callable[..., artifacts.Collected]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", sync=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "work"
    (place / "sub").mkdir(parents=True)
    return place


def names(found: artifacts.Collected) -> list[str]:
    return [kept.path for kept in found.artifacts]


def test_files_directories_and_patterns_are_kept_by_their_paths(cache: Cache, root: Path) -> None:
    """Names are those of the work tree, wherever the command ran."""
    outs = artifacts.plan(["model.bin", "../plots", "*.txt"], directory=root / "sub", root=root)
    (root / "sub" / "model.bin").write_bytes(b"weights")
    (root / "plots" / "a").mkdir(parents=True)
    (root / "plots" / "a" / "b.png").write_bytes(b"png")
    (root / "sub" / "ä b.txt").write_text("text")
    found = artifacts.collect(cache, outs, root=root)
    assert names(found) == ["plots", "sub/model.bin", "sub/ä b.txt"]
    assert found.faults == ()
    plots, model, _ = found.artifacts
    assert plots.md5.endswith(".dir") and plots.nfiles == 1
    assert cache.read(model.md5, limit=100) == b"weights" and model.size == 7


def test_what_the_run_did_not_write_is_not_its_artifact(cache: Cache, root: Path) -> None:
    """The model of an earlier run would pass for this one's."""
    (root / "old.bin").write_bytes(b"old")
    (root / "again.bin").write_bytes(b"same")
    outs = artifacts.plan(["old.bin", "again.bin"], directory=root, root=root)
    (root / "again.bin").write_bytes(b"same")
    found = artifacts.collect(cache, outs, root=root)
    assert names(found) == ["again.bin"]
    assert found.faults == (
        "not kept: 'old.bin': it was there before, and this run did not write it",
    )


def test_what_a_pattern_names_besides_goes_without_saying(cache: Cache, root: Path) -> None:
    """The models of other steps lie in the same directory: that is no fault of this run."""
    for name in ("old.bin", "older.bin", "asked.txt"):
        (root / name).write_text(name)
    outs = artifacts.plan(["*.bin", "o*", "*.txt", "asked.txt"], directory=root, root=root)
    (root / "new.bin").write_text("new")
    found = artifacts.collect(cache, outs, root=root)
    assert names(found) == ["new.bin"]
    untouched = "it was there before, and this run did not write it"
    assert found.faults == (
        f"not kept: 'o*': all of {untouched}",
        f"not kept: '*.txt': all of {untouched}",
        f"not kept: 'asked.txt': {untouched}",
    )


def test_a_directory_is_written_when_any_file_in_it_is(cache: Cache, root: Path) -> None:
    """Deleting one is writing it, too."""
    (root / "d" / "e").mkdir(parents=True)
    for name in ("a", "e/b"):
        (root / "d" / name).write_text(name)
    outs = artifacts.plan(["d"], directory=root, root=root)
    assert names(artifacts.collect(cache, outs, root=root)) == []
    (root / "d" / "e" / "b").unlink()
    found = artifacts.collect(cache, outs, root=root)
    assert names(found) == ["d"] and found.artifacts[0].nfiles == 1


def test_a_copy_with_the_old_times_counts_as_written(cache: Cache, root: Path) -> None:
    """`cp -p` and rsync set the time of the content back; the change time tells."""
    path = root / "model.bin"
    path.write_bytes(b"a")
    before = path.stat()
    outs = artifacts.plan(["model.bin"], directory=root, root=root)
    path.write_bytes(b"b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert names(artifacts.collect(cache, outs, root=root)) == ["model.bin"]


def test_what_is_missing_is_said(cache: Cache, root: Path) -> None:
    """A name with a typo must not go unnoticed until somebody needs the model."""
    outs = artifacts.plan(["none.bin", "*.none"], directory=root, root=root)
    found = artifacts.collect(cache, outs, root=root)
    assert found.faults == (
        "not kept: there is no 'none.bin'",
        "not kept: there is no '*.none'",
    )


def test_what_lies_inside_of_another_is_kept_once(cache: Cache, root: Path) -> None:
    """DVC refuses outputs that overlap."""
    outs = artifacts.plan(["d/*", "d", "d/a", "d-x"], directory=root, root=root)
    (root / "d").mkdir()
    (root / "d" / "a").write_text("a")
    (root / "d-x").write_text("x")
    found = artifacts.collect(cache, outs, root=root)
    assert names(found) == ["d", "d-x"] and found.faults == ()


def test_a_name_with_pattern_characters_that_exists_is_itself(cache: Cache, root: Path) -> None:
    """`m[1].bin` is what some tools write for a second download."""
    (root / "m[1].bin").write_text("a")
    (root / "m1.bin").write_text("b")
    outs = artifacts.plan(["m[1].bin"], directory=root, root=root)
    (root / "m[1].bin").write_text("c")
    assert names(artifacts.collect(cache, outs, root=root)) == ["m[1].bin"]


@pytest.mark.parametrize("word", ["../x", "/etc/passwd", "sub/../../x", ".git/config", "../*.bin"])
def test_what_lies_elsewhere_is_refused_before_the_command_starts(root: Path, word: str) -> None:
    """Nothing outside of the work tree, nothing of Git's own."""
    with pytest.raises(BadPath, match=r"--out|git"):
        artifacts.plan([word], directory=root, root=root)


@pytest.mark.parametrize("word", ["", ".", "sub/.."])
def test_the_whole_work_tree_is_no_artifact(root: Path, word: str) -> None:
    """It would hold the repository itself."""
    with pytest.raises(UsageError):
        artifacts.plan([word], directory=root, root=root)


def test_one_bad_file_does_not_cost_the_others(cache: Cache, root: Path) -> None:
    """A training of days has ended; what can be kept is kept."""
    outs = artifacts.plan(["good", "pipe", "link", "id_rsa"], directory=root, root=root)
    (root / "good").write_text("a")
    os.mkfifo(root / "pipe")
    (root / "link").symlink_to("nowhere")
    (root / "id_rsa").write_text("a key")
    found = artifacts.collect(cache, outs, root=root)
    assert names(found) == ["good"]
    assert [fault.split("'")[1] for fault in found.faults] == ["id_rsa", "link", "pipe"]
    assert "secret" in found.faults[0]


def test_what_looks_like_a_secret_is_not_kept(cache: Cache, root: Path) -> None:
    """Artifacts go to a data remote, where others read them: one rule, however they are kept."""
    outs = artifacts.plan(["sd", "id_rsa", "set.ini", "good"], directory=root, root=root)
    (root / "sd").mkdir()
    (root / "sd" / ".env").write_text("x")
    (root / "id_rsa").write_text("x")
    (root / "set.ini").write_text(
        "\naws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYzz9+3kLmQ2Xa\n"
    )
    (root / "good").mkdir()
    (root / "good" / ".env").symlink_to(root)
    found = artifacts.collect(cache, outs, root=root)
    assert names(found) == ["good"]
    more = "(gittrack.log_artifact(..., allow_secret=True) keeps it)"
    assert found.faults == (
        f"not kept: 'id_rsa': its name looks like that of a secret {more}",
        f"not kept: 'sd': 'sd/.env' looks like a secret {more}",
        "not kept: 'set.ini': line 2 looks like a secret (value of aws_secret_access_key) " + more,
    )
    assert not any(cache.path(md5).read_bytes() == b"x" for md5, _ in cache.objects())


def test_of_a_lost_run_what_was_written_later_is_not_kept(cache: Cache, root: Path) -> None:
    """It may be another run's: the lost one ended at its last sign of life."""
    outs = artifacts.plan(["early", "late"], directory=root, root=root)
    now = time.time()
    for name, moment in (("early", now - 1000), ("late", now + 1000)):
        (root / name).write_text(name)
        os.utime(root / name, (moment, moment))
    found = artifacts.collect(cache, outs, root=root, latest=now)
    assert names(found) == ["early"]
    assert found.faults == ("not kept: 'late': it was written again after the run was lost",)


def test_of_a_lost_run_what_was_moved_there_later_is_not_kept(cache: Cache, root: Path) -> None:
    """`mv`, `cp -p` and rsync bring the old time of the content along."""
    outs = artifacts.plan(["model", "d"], directory=root, root=root)
    (root / "d").mkdir()
    for name in ("model", "d/a"):
        (root / name).write_text("another's")
        os.utime(root / name, (1000, 1000))
    lost = time.time() - 60
    found = artifacts.collect(cache, outs, root=root, started=lost - 60, latest=lost)
    assert names(found) == [] and len(found.faults) == 2


def test_a_work_tree_behind_a_symbolic_link(cache: Cache, root: Path, tmp_path: Path) -> None:
    """On macOS /tmp is one; people write either path."""
    (tmp_path / "alias").symlink_to(root)
    outs = artifacts.plan(
        [str(tmp_path / "alias" / "m.bin")], directory=tmp_path / "alias", root=root
    )
    (root / "m.bin").write_text("a")
    assert names(artifacts.collect(cache, outs, root=tmp_path / "alias")) == ["m.bin"]


# -- links into the cache -----------------------------------------------------------------------


@pytest.fixture
def linked(cache: Cache, root: Path) -> Callable[[str, str], bytes]:
    """Put an object into the work tree by a kind of link -> its bytes."""

    def link(name: str, kind: str) -> bytes:
        data = f"bytes of {name}".encode()
        (root / name).parent.mkdir(exist_ok=True)
        other = Cache(cache.directory, links=(kind,), sync=False)
        other.place(other.add_bytes(data).md5, root / name)
        os.utime(root / name, ns=(10**18, 10**18))
        return data

    return link


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_a_link_into_the_cache_becomes_a_file_before_a_run_writes_to_it(
    cache: Cache, root: Path, linked: Callable[[str, str], bytes], kind: str
) -> None:
    """Else the step fails, or as root damages the object that earlier runs count on."""
    data = [linked(name, kind) for name in ("m.bin", "out/m.txt", "other.bin")]
    outs = artifacts.plan(["m.bin", "ou*"], directory=root, root=root)
    freed = tuple(str(root / name) for name in ("m.bin", "out/m.txt"))
    assert artifacts.free(cache, outs) == freed
    assert artifacts.free(cache, outs) == ()
    for path, content in zip(map(Path, freed), data, strict=False):
        seen = path.lstat()
        assert path.read_bytes() == content and seen.st_mtime_ns == 10**18
        assert seen.st_nlink == 1 and not path.is_symlink() and seen.st_mode & 0o200
        path.write_text("new")
    assert (root / "other.bin").is_symlink() or (root / "other.bin").stat().st_nlink == 2
    for md5, _ in cache.objects():
        cache.check(md5)
    assert sorted(found.name for found in root.rglob("*")) == [
        "m.bin", "m.txt", "other.bin", "out", "sub",
    ]  # fmt: skip


def test_other_links_stay(cache: Cache, root: Path) -> None:
    """They are the user's; equal bytes in the cache make nobody an object."""
    (root / "a").write_text("a")
    os.link(root / "a", root / "b")
    cache.add(root / "a")
    (root / "c").symlink_to("a")
    (root / "d").symlink_to("sub")
    (root / "e").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    names = ("a", "b", "c", "d", "e", "pipe", "none")
    outs = artifacts.plan(names, directory=root, root=root)
    before = [(path.name, path.lstat()) for path in sorted(root.iterdir())]
    assert artifacts.free(cache, outs) == ()
    assert [(path.name, path.lstat()) for path in sorted(root.iterdir())] == before


def test_a_link_whose_object_is_gone_is_removed(
    cache: Cache, root: Path, linked: Callable[[str, str], bytes]
) -> None:
    """`open(path, "w")` would put other bytes under the object's name."""
    linked("out/m.bin", "symlink")
    (md5,) = (md5 for md5, _ in cache.objects())
    cache.discard(md5)
    outs = artifacts.plan(["out"], directory=root, root=root)
    assert artifacts.free(cache, outs) == ()
    (root / "out" / "m.bin").write_text("new")
    assert list(cache.objects()) == []


def test_a_link_that_cannot_be_replaced_is_an_error(
    cache: Cache, root: Path, linked: Callable[[str, str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command would fail there, hours later; the link is as it was."""
    linked("m.bin", "hardlink")
    outs = artifacts.plan(["m.bin"], directory=root, root=root)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(WriteFailed, match=r"m\.bin.*No space left"):
        artifacts.free(cache, outs)
    assert sorted(found.name for found in root.iterdir()) == ["m.bin", "sub"]
    assert (root / "m.bin").stat().st_nlink == 2
