"""What a data remote lacks of runs: all that others need, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gittrack import commits, data, refs, setup, shipment
from gittrack.errors import DataFailed
from gittrack.git import Repo
from gittrack.records import Artifact, Data
from gittrack.refs import RunRef
from remotes import cache_of, directory_config, keep, record, set_up

THINGS = {"model.bin": "m" * 100, "out": {"a.csv": "one\n", "b.csv": "two\n"}}
GONE = "1" * 32


@pytest.fixture
def repo(repo_dir: Path, tmp_path: Path) -> Repo:
    """With a directory as data remote."""
    set_up(repo_dir, directory_config(tmp_path / "store"))
    return Repo.open(repo_dir)


def packed(repo: Repo, found: Sequence[RunRef] = ()) -> shipment.Shipment:
    listed = commits.listing(repo, found or refs.all_runs(repo)).runs
    return shipment.pack(repo, setup.read(repo), listed)


def objects(place: Path) -> set[str]:
    return {f.parent.name + f.name for f in (place / "files" / "md5").glob("??/*")}


def test_what_runs_kept_and_what_they_read_goes(repo: Repo, tmp_path: Path) -> None:
    """Of data, what the cache has: the rest was never anything but a hash."""
    kept = keep(repo, tmp_path / "made", THINGS)
    raw = cache_of(repo).add_bytes(b"raw").md5
    record(repo, "a-aaaaaa", artifacts=kept[:1], data=(Data("raw.csv", raw, 3),))
    record(repo, "b-aaaaaa", artifacts=kept[1:], data=(Data("plain.csv", GONE, 3),))
    found = packed(repo)
    assert (found.objects, found.absent) == (3, {})
    assert (len(found.lacking.md5s), found.lacking.remote) == (5, "store")
    sizes = [cache_of(repo).size(md5) for md5 in found.lacking.md5s]
    assert found.lacking.size == sum(size or 0 for size in sizes)
    assert data.carry(repo, setup.read(repo), found.lacking) == data.Sent(
        5, found.lacking.size, "store"
    )
    assert objects(tmp_path / "store") == set(found.lacking.md5s) >= {raw, kept[0].md5}
    assert packed(repo).lacking == data.Lacking("store")


def test_a_directory_of_which_a_file_is_gone_stays(repo: Repo, tmp_path: Path) -> None:
    """A listing at the remote says that all its files are there; its other files go."""
    model, out = keep(repo, tmp_path / "made", THINGS)
    ref = record(repo, "a-aaaaaa", artifacts=(model, out, Artifact("lost.bin", GONE, 4)))
    one, two = (member.md5 for member in cache_of(repo).members(out.md5))
    cache_of(repo).discard(one)
    found = packed(repo, [ref])
    assert found.absent == {"a-aaaaaa": ["lost.bin", "out"]}
    assert set(found.lacking.md5s) == {model.md5, two}
    assert set(found.lacking.absent) == {GONE, one}


def test_what_the_remote_alone_has_is_not_absent(repo: Repo, tmp_path: Path) -> None:
    """As for a colleague's runs in a clone that fetched no data."""
    kept = keep(repo, tmp_path / "made", THINGS)
    ref = record(repo, "a-aaaaaa", artifacts=kept)
    data.carry(repo, setup.read(repo), packed(repo).lacking)
    for md5, _ in list(cache_of(repo).objects()):
        cache_of(repo).discard(md5)
    found = packed(repo, [ref])
    assert (found.lacking, found.absent, found.objects) == (data.Lacking("store"), {}, 2)


def test_what_is_no_hash_hinders_nothing(repo: Repo, tmp_path: Path) -> None:
    """The summary of a run is what a stranger's commit says of itself."""
    from dataclasses import replace

    (model,) = keep(repo, tmp_path / "made", {"model.bin": "m"})
    ref = record(repo, "a-aaaaaa", artifacts=(model,))
    (good,) = commits.listing(repo, [ref]).runs
    odd = replace(good, name="b", artifacts={"x": "../../x"}, data={"y": "/etc/passwd"})
    found = shipment.pack(repo, setup.read(repo), [good, odd])
    assert found.lacking.md5s == (model.md5,) and found.absent == {"b": ["x"]}


def test_without_a_remote_nothing_is_asked_for_nothing(repo_dir: Path, tmp_path: Path) -> None:
    """And something is refused, with how much stays here alone."""
    repo = Repo.open(repo_dir)
    record(repo, "a-aaaaaa")
    assert packed(repo).objects == 0
    record(repo, "b-aaaaaa", artifacts=keep(repo, tmp_path / "made", THINGS))
    with pytest.raises(DataFailed, match="no data remote is set: 238 B in 4 objects stay"):
        packed(repo)
