"""What a run kept comes back: byte for byte, inside of the target only, nothing lost for it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gittrack import commits, data, manifest, placing, retrieve, setup
from gittrack.errors import BadFile, BadPath, DataDamaged, DataMissing
from gittrack.git import Repo
from gittrack.manifest import Member
from gittrack.records import Artifact, Data
from gittrack.refs import RunRef
from remotes import cache_of, directory_config, fill, keep, record, set_up

THINGS: Mapping[str, Any] = {
    "model.joblib": "the model\n",
    "models/first.pt": "first\n",
    "models/second.pt": "second\n",
    "processed": {"train.csv": "a,b\n", "deep/er/test.csv": "c,d\n", "deep/x.csv": "a,b\n"},
}


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    return Repo.open(repo_dir)


@pytest.fixture
def run(repo: Repo, tmp_path: Path) -> RunRef:
    """A run that kept `THINGS`."""
    kept = keep(repo, tmp_path / "made", THINGS)
    return record(repo, "calm-lynx-0xw8nc", artifacts=kept)


def get(repo: Repo, run: RunRef, *names: str, **options: Any) -> dict[str, str]:
    """The outcomes of `retrieve.get`."""
    return {item.name: item.outcome for item in retrieve.get(repo, run, names, **options)}


def files(top: Path) -> dict[str, str]:
    return {
        os.path.relpath(os.path.join(here, name), top): Path(here, name).read_text()
        for here, _, names in os.walk(top)
        for name in names
    }


ALL = {
    "model.joblib": "the model\n",
    "models/first.pt": "first\n",
    "models/second.pt": "second\n",
    "processed/train.csv": "a,b\n",
    "processed/deep/er/test.csv": "c,d\n",
    "processed/deep/x.csv": "a,b\n",
}


# -- what a name means --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), set(ALL)),
        ((".",), set(ALL)),
        (("model.joblib",), {"model.joblib"}),
        (("./models/",), {"models/first.pt", "models/second.pt"}),
        (("models/first.pt", "model.joblib"), {"models/first.pt", "model.joblib"}),
        (("processed/train.csv",), {"processed/train.csv"}),
        (("processed/deep",), {"processed/deep/er/test.csv", "processed/deep/x.csv"}),
        (("processed/deep", "processed"), {name for name in ALL if name.startswith("proc")}),
    ],
)
def test_a_name_is_an_artifact_or_what_lies_in_one(
    names: tuple[str, ...], expected: set[str], repo: Repo, run: RunRef, tmp_path: Path
) -> None:
    """Each file comes under the path that it was kept under."""
    get(repo, run, *names, target=tmp_path / "out")
    assert files(tmp_path / "out") == {name: ALL[name] for name in expected}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("models/*", {"models/first.pt", "models/second.pt"}),
        ("*.pt", {"models/first.pt", "models/second.pt"}),
        ("model.job[kl]ib", {"model.joblib"}),
        ("processed/*.csv", {name for name in ALL if name.startswith("proc")}),
        ("processed/deep/?.csv", {"processed/deep/x.csv"}),
        ("proc*", {name for name in ALL if name.startswith("proc")}),
        ("[ab]*", {"[ab]*"}),
    ],
)
def test_a_pattern_names_what_it_describes(
    name: str, expected: set[str], repo: Repo, tmp_path: Path
) -> None:
    """In quotes, as `git ls-files` takes them; what is called exactly so comes first."""
    texts = {"[ab]*": "odd\n", "a": "a\n"}
    kept = keep(repo, tmp_path / "made", {**THINGS, **texts})
    run = record(repo, "calm-lynx-0xw8nc", artifacts=kept)
    get(repo, run, name, target=tmp_path / "out")
    assert files(tmp_path / "out") == {name: {**ALL, **texts}[name] for name in expected}


def test_a_pattern_that_describes_nothing_is_an_error(
    repo: Repo, run: RunRef, tmp_path: Path
) -> None:
    """Never an empty answer; and a script that loads one artifact names it."""
    for name in ("*.none", "none/*", "model.joblib/*", "processed/*/none"):
        with pytest.raises(BadPath, match="kept no"):
            get(repo, run, name, target=tmp_path / "out")
    with pytest.raises(BadPath, match="kept no"):
        retrieve.load(repo, run, "model.*")


def test_a_pattern_fetches_no_listing_that_it_cannot_describe(
    sent: RunRef, repo: Repo, tmp_path: Path
) -> None:
    """A directory of a million files may be among the artifacts."""
    get(repo, sent, "models/*", target=tmp_path / "out")
    assert not any(md5.endswith(".dir") for md5, _ in cache_of(repo).objects())
    get(repo, sent, "processed/t*", target=tmp_path / "out")
    assert (tmp_path / "out" / "processed" / "train.csv").read_text() == "a,b\n"


def test_an_answer_says_what_and_how_much(repo: Repo, run: RunRef, tmp_path: Path) -> None:
    """A part of a directory has the hash that it would have by itself."""
    out = tmp_path / "out"
    found = retrieve.get(repo, run, ["processed/deep", "model.joblib"], target=out)
    members = [Member("er/test.csv", cache_of(repo).add_bytes(b"c,d\n").md5),
               Member("x.csv", cache_of(repo).add_bytes(b"a,b\n").md5)]  # fmt: skip
    model = cache_of(repo).add_bytes(b"the model\n").md5
    assert found == (
        retrieve.Retrieved(
            "processed/deep", out / "processed/deep", manifest.digest(members), 8, 2, "new"
        ),
        retrieve.Retrieved("model.joblib", out / "model.joblib", model, 10, None, "new"),
    )


@pytest.mark.parametrize("name", ["nothing", "model", "processed/nothing", "model.joblib/x"])
def test_an_unknown_name_is_an_error_with_the_known_ones(
    name: str, repo: Repo, run: RunRef, tmp_path: Path
) -> None:
    """Never an empty answer."""
    with pytest.raises(BadPath, match=f"'calm-lynx-0xw8nc' kept no '{name}'") as no:
        get(repo, run, "model.joblib", name, target=tmp_path / "out")
    assert "it kept model.joblib, models/first.pt" in str(no.value.hint)
    assert not (tmp_path / "out").exists()


def test_a_run_without_artifacts_is_an_error(repo: Repo, tmp_path: Path) -> None:
    """Nothing was kept, and `get` cannot make it up."""
    with pytest.raises(BadPath, match="kept no artifacts"):
        get(repo, record(repo, "bold-crow-0xw8nc"), target=tmp_path)


# -- what is there already ----------------------------------------------------------------------


def test_the_same_content_is_left_alone(repo: Repo, run: RunRef, tmp_path: Path) -> None:
    """Its time too: make and its like go by that."""
    out = tmp_path / "out"
    get(repo, run, target=out)
    for here, _, names in os.walk(out):
        for name in names:
            os.utime(Path(here, name), (1, 1))
    again = get(repo, run, target=out)
    assert set(again.values()) == {"up to date"}
    assert {Path(out, name).stat().st_mtime for name in ALL} == {1}
    (out / "models/first.pt").unlink()
    assert get(repo, run, target=out)["models/first.pt"] == "new"


def test_different_files_stay_and_nothing_is_written(
    repo: Repo, run: RunRef, tmp_path: Path
) -> None:
    """One error names them all, before anything else is done; --force replaces them."""
    out = tmp_path / "out"
    mine = {"model.joblib": "my model!\n", "processed/train.csv": "mine\n", "other": "mine\n"}
    fill(out, mine)
    with pytest.raises(BadPath) as no:
        get(repo, run, target=out)
    said = f"'{out}/model.joblib', '{out}/processed/train.csv' exist with other contents"
    assert no.value.message == f"{said}; nothing was written"
    assert "--force" in str(no.value.hint)
    assert files(out) == mine
    assert get(repo, run, target=out, force=True) == {
        "model.joblib": "replaced",
        "models/first.pt": "new",
        "models/second.pt": "new",
        "processed": "replaced",
    }
    assert files(out) == {**ALL, "other": "mine\n"}


def test_a_directory_in_the_way_stays_even_with_force(
    repo: Repo, run: RunRef, tmp_path: Path
) -> None:
    """What is in it is more than one file."""
    fill(tmp_path / "out" / "model.joblib", {"mine": "x"})
    with pytest.raises(BadPath, match=r"a directory is in the way of .*model\.joblib'"):
        get(repo, run, target=tmp_path / "out", force=True)
    assert files(tmp_path / "out") == {"model.joblib/mine": "x"}


def test_a_dry_run_writes_nothing(repo: Repo, run: RunRef, tmp_path: Path) -> None:
    """And says the same as the real one."""
    out = fill(tmp_path / "out", {"model.joblib": "mine\n"})
    said = get(repo, run, target=out, force=True, dry_run=True)
    assert files(out) == {"model.joblib": "mine\n"}
    with pytest.raises(BadPath):
        get(repo, run, target=out, dry_run=True)
    assert get(repo, run, target=out, force=True) == said


def test_a_file_that_appears_meanwhile_stays(
    repo: Repo, run: RunRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetching takes long, and people go on working."""
    out, fetch = tmp_path / "out", data.fetch

    def slow(*arguments: Any, **options: Any) -> Any:
        found = fetch(*arguments, **options)
        if options.get("files", True):
            fill(out, {"model.joblib": "mine\n"})
        return found

    monkeypatch.setattr(data, "fetch", slow)
    with pytest.raises(BadPath, match="exists with another content"):
        get(repo, run, "model.joblib", target=out)
    assert files(out) == {"model.joblib": "mine\n"}


def test_two_that_get_the_same_at_once_both_have_it(
    repo: Repo, run: RunRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that comes later finds what it was about to write."""
    out, fetch = tmp_path / "out", data.fetch

    def slow(*arguments: Any, **options: Any) -> Any:
        found = fetch(*arguments, **options)
        if options.get("files", True):
            fill(out, ALL)
        return found

    monkeypatch.setattr(data, "fetch", slow)
    get(repo, run, target=out)
    assert files(out) == ALL


def test_what_a_killed_get_left_is_swept(repo: Repo, run: RunRef, tmp_path: Path) -> None:
    """In each directory that is written to; what another one is making stays."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    own = placing._unfinished()
    left = own.replace(f"-{os.getpid()}-", f"-{child}-")
    for name in (own, left):
        for place in (tmp_path / "out", tmp_path / "out" / "models", tmp_path / "out" / "else"):
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_text("half")
    get(repo, run, "model.joblib", "models", target=tmp_path / "out")
    assert {name for name in files(tmp_path / "out") if "tmp-" in name} == {
        own,
        f"models/{own}",
        f"else/{own}",
        f"else/{left}",
    }


def test_an_empty_directory_comes_back_empty(repo: Repo, tmp_path: Path) -> None:
    """A directory of no files is one."""
    made = tmp_path / "made" / "0"
    made.mkdir(parents=True)
    found = cache_of(repo).add(made)
    kept = Artifact("nothing", found.md5, found.size, found.nfiles)
    run = record(repo, "calm-lynx-0xw8nc", artifacts=(kept,))
    assert get(repo, run, target=tmp_path / "out") == {"nothing": "new"}
    assert os.listdir(tmp_path / "out" / "nothing") == []
    assert get(repo, run, target=tmp_path / "out") == {"nothing": "up to date"}


# -- links --------------------------------------------------------------------------------------


def test_the_caller_may_choose_the_kind_of_link(repo: Repo, tmp_path: Path) -> None:
    """What the next step is going to write to must not be the object itself."""
    assert repo.root is not None
    set_up(repo.root, "[cache]\n    type = symlink\n")
    kept = keep(repo, tmp_path / "made", THINGS)
    run = record(repo, "bold-crow-0xw8nc", artifacts=kept)
    get(repo, run, target=tmp_path / "one")
    get(repo, run, target=tmp_path / "two", links=("reflink", "copy"))
    assert (tmp_path / "one" / "model.joblib").is_symlink()
    path = tmp_path / "two" / "model.joblib"
    assert not path.is_symlink() and path.stat().st_nlink == 1 and path.stat().st_mode & 0o200


@pytest.mark.parametrize("kind", ["hardlink", "symlink", "copy"])
def test_links_are_made_only_where_the_configuration_says_so(
    kind: str, repo: Repo, tmp_path: Path
) -> None:
    """Whoever writes into a link writes into the cache; DVC's default is a copy of one's own."""
    set_up(repo.root, f"[cache]\n    type = {kind}\n")
    kept = keep(repo, tmp_path / "made", THINGS)
    run = record(repo, "calm-lynx-0xw8nc", artifacts=kept)
    out = tmp_path / "out"
    get(repo, run, target=out)
    assert files(out) == ALL
    object_ = cache_of(repo).path(kept[0].md5)
    seen = os.lstat(out / "model.joblib")
    assert stat.S_ISLNK(seen.st_mode) == (kind == "symlink")
    assert (seen.st_ino == os.stat(object_).st_ino) == (kind == "hardlink")
    assert set(get(repo, run, target=out).values()) == {"up to date"}


def test_by_default_a_file_is_ones_own(repo: Repo, run: RunRef, tmp_path: Path) -> None:
    """It can be written to, and the cache does not change."""
    get(repo, run, target=tmp_path / "out")
    with open(tmp_path / "out" / "model.joblib", "a") as file:
        file.write("mine\n")
    shutil.rmtree(tmp_path / "out")
    get(repo, run, target=tmp_path / "out")
    assert files(tmp_path / "out") == ALL


# -- where the content comes from ---------------------------------------------------------------


@pytest.fixture
def sent(repo: Repo, tmp_path: Path) -> RunRef:
    """A run whose artifacts are in a data remote, and no longer in the cache."""
    set_up(repo.root, directory_config(tmp_path / "store"))
    kept = keep(repo, tmp_path / "made", THINGS)
    run = record(repo, "calm-lynx-0xw8nc", artifacts=kept)
    data.send(repo, setup.read(repo), [item.md5 for item in kept])
    shutil.rmtree(cache_of(repo).directory)
    return run


def test_what_is_not_here_comes_from_the_remote(repo: Repo, sent: RunRef, tmp_path: Path) -> None:
    """Only what was asked for."""
    get(repo, sent, "processed/deep", target=tmp_path / "out")
    assert set(files(tmp_path / "out").values()) == {"c,d\n", "a,b\n"}
    assert len(list(cache_of(repo).objects())) == 3
    get(repo, sent, target=tmp_path / "out")
    assert files(tmp_path / "out") == ALL


@pytest.mark.parametrize("name", ["model.joblib", "processed"])
@pytest.mark.parametrize("here", [False, True])
def test_what_is_larger_than_its_record_says_is_refused(
    repo: Repo, sent: RunRef, tmp_path: Path, name: str, here: bool
) -> None:
    """Somebody else's run may say 6 bytes for what fills the disk."""
    if here:
        get(repo, sent, target=tmp_path / "before")
    kept = {item.path: item for item in commits.load(repo, sent).artifacts}
    lies = replace(kept[name], size=kept[name].size - 1)
    run = record(repo, "odd-lynx-0xw8nd", artifacts=[lies])
    with pytest.raises(DataDamaged, match=f"'{name}' has|no more than"):
        get(repo, run, target=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_fetched_for_what_would_not_be_written(
    repo: Repo, sent: RunRef, tmp_path: Path
) -> None:
    """An hour of waiting for an error is an hour too long; a listing is all that is needed."""
    fill(tmp_path / "out", {"model.joblib": "mine\n"})
    with pytest.raises(BadPath, match="nothing was written"):
        get(repo, sent, target=tmp_path / "out")
    get(repo, sent, target=tmp_path / "out", force=True, dry_run=True)
    assert [md5[-4:] for md5, _ in cache_of(repo).objects()] == [".dir"]


def test_what_nobody_has_is_said_and_nothing_is_written(
    repo: Repo, sent: RunRef, tmp_path: Path
) -> None:
    """Half of an answer would be taken for all of it."""
    shutil.move(tmp_path / "store", tmp_path / "away")
    fill(tmp_path / "store", {"files/md5/ab/c": "x"})
    with pytest.raises(
        DataMissing, match=r"^'processed': [0-9a-f]{32}\.dir is neither in the cache"
    ):
        get(repo, sent, target=tmp_path / "out")
    shutil.rmtree(tmp_path / "store")
    shutil.move(tmp_path / "away", tmp_path / "store")
    md5 = cache_of(repo).add_bytes(b"first\n").md5
    cache_of(repo).discard(md5)
    (tmp_path / "store" / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    with pytest.raises(DataMissing) as no:
        get(repo, sent, target=tmp_path / "out")
    assert no.value.md5s == (md5,)
    assert no.value.message.startswith(f"'models/first.pt': {md5} is neither in the cache")
    assert not (tmp_path / "out").exists()


def test_a_damaged_object_is_fetched_anew(repo: Repo, sent: RunRef, tmp_path: Path) -> None:
    """It is noticed, and never written to the target."""
    get(repo, sent, target=tmp_path / "first")
    for content in (b"the model\n", b"c,d\n"):
        object_ = cache_of(repo).path(cache_of(repo).add_bytes(content).md5)
        object_.chmod(0o644)
        object_.write_bytes(bytes(len(content)))
    get(repo, sent, target=tmp_path / "out")
    assert files(tmp_path / "out") == ALL


def test_a_damaged_object_that_nobody_has_is_named(repo: Repo, run: RunRef, tmp_path: Path) -> None:
    """By its hash, and not written."""
    md5 = cache_of(repo).add_bytes(b"the model\n").md5
    cache_of(repo).path(md5).chmod(0o644)
    cache_of(repo).path(md5).write_bytes(b"the modem\n")
    with pytest.raises(DataDamaged, match=md5):
        get(repo, run, "model.joblib", target=tmp_path / "out")
    assert not (tmp_path / "out" / "model.joblib").exists()


# -- hostile records and places -----------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", ".git/hooks/post-checkout", "a/../../x", "..\\x", ".GIT/config"]
)
def test_a_hostile_path_is_never_written(
    path: str, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it stands in a record, of whose reader this does not think well, or in a listing."""
    content = cache_of(repo).add_bytes(b"hostile").md5
    good = record(repo, "bold-crow-0xw8nc", artifacts=(Artifact("x", content, 7),))
    bad = replace(commits.load(repo, good), artifacts=(Artifact(path, content, 7),))
    with monkeypatch.context() as patched, pytest.raises(BadPath):
        patched.setattr(commits, "load", lambda repo, ref: bad)
        get(repo, good, target=tmp_path / "out")
    with monkeypatch.context() as patched, pytest.raises(BadPath):
        patched.setattr(commits, "load", lambda repo, ref: bad)
        retrieve.load(repo, good, "")
    listing = json.dumps([{"md5": content, "relpath": path}]).encode()
    name = manifest.name(listing)
    fill(cache_of(repo).path(name).parent, {cache_of(repo).path(name).name: listing})
    run = record(repo, "calm-lynx-0xw8nc", artifacts=(Artifact("d", name, 7, 1),))
    with pytest.raises(BadFile):
        get(repo, run, target=tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "x").exists()


def test_an_artifact_inside_of_another_is_written_once(repo: Repo, tmp_path: Path) -> None:
    """`--out runs` and a checkpoint in it that was logged too; unless they do not agree."""
    both = {"runs": {"last.pt": "last\n", "log": "x"}, "runs/last.pt": "last\n"}
    run = record(repo, "calm-lynx-0xw8nc", artifacts=keep(repo, tmp_path / "made", both))
    assert get(repo, run, target=tmp_path / "out") == {"runs": "new", "runs/last.pt": "new"}
    kept = keep(repo, tmp_path / "other", {**both, "runs/last.pt": "other\n"})
    run = record(repo, "bold-crow-0xw8nc", artifacts=kept)
    with pytest.raises(BadPath, match=r"two different contents for 'runs/last\.pt'"):
        get(repo, run, target=tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_no_symlink_in_the_target_is_followed(repo: Repo, run: RunRef, tmp_path: Path) -> None:
    """Above a file it is an error; in a file's place, with --force, it goes and not its goal."""
    outside = fill(tmp_path / "outside", {"mine": "mine\n"})
    out = tmp_path / "out"
    out.mkdir()
    (out / "models").symlink_to(outside)
    (out / "model.joblib").symlink_to(outside / "mine")
    with pytest.raises(BadPath, match="symlink"):
        get(repo, run, "models", target=out, force=True)
    with pytest.raises(BadPath, match="another content"):
        get(repo, run, "model.joblib", target=out)
    get(repo, run, "model.joblib", target=out, force=True)
    assert files(outside) == {"mine": "mine\n"}
    assert not (out / "model.joblib").is_symlink()


def test_git_has_its_own_directory(repo: Repo, run: RunRef, tmp_path: Path, git: Any) -> None:
    """Whatever it is called, and by whichever way."""
    bare = tmp_path / "shop.git"
    git(repo.root, "clone", "-q", "--bare", ".", str(bare))
    (tmp_path / "way").symlink_to(repo.git_dir)
    for target in (repo.git_dir, repo.git_dir / "hooks", tmp_path / "way", tmp_path / ".git/x"):
        with pytest.raises(BadPath, match="Git's own directory"):
            get(repo, run, target=target)
    with pytest.raises(BadPath, match="Git's own directory"):
        retrieve._check_target(Repo.open(bare), bare / "hooks")


# -- data ---------------------------------------------------------------------------------------


@pytest.fixture
def reader(repo: Repo, tmp_path: Path) -> RunRef:
    """A run that read a file and a directory that are in the cache, and one that is not."""
    kept = keep(repo, tmp_path / "made", {"raw.csv": "raw\n", "images": {"a.png": "a"}})
    read = [Data(f"data/{item.path}", item.md5, item.size, item.nfiles) for item in kept]
    read.append(Data("data/lost.csv", "0" * 32, 7))
    read.append(Data("/elsewhere/x.csv", kept[0].md5, 4))
    odd = cache_of(repo).add_bytes(b"odd\n").md5
    read.append(Data('"caf\\351.csv"', odd, 4))
    return record(repo, "calm-lynx-0xw8nc", data=tuple(read))


def test_data_comes_back_where_it_was(repo: Repo, reader: RunRef, tmp_path: Path) -> None:
    """What nobody has is said; what lay outside of the work tree is not written."""
    out = tmp_path / "out"
    found = retrieve.get_data(repo, reader, root=out)
    assert {item.name: item.outcome for item in found} == {
        "data/raw.csv": "new",
        "data/images": "new",
        "data/lost.csv": "missing",
        '"caf\\351.csv"': "new",
    }
    assert files(out) == {
        "data/raw.csv": "raw\n",
        "data/images/a.png": "a",
        os.fsdecode(b"caf\xe9.csv"): "odd\n",
    }


def test_data_that_is_named_must_come(repo: Repo, reader: RunRef, tmp_path: Path) -> None:
    """It was asked for."""
    found = retrieve.get_data(repo, reader, ["data/raw.csv"], root=tmp_path / "out")
    assert [(item.name, item.outcome) for item in found] == [("data/raw.csv", "new")]
    with pytest.raises(DataMissing):
        retrieve.get_data(repo, reader, ["data/lost.csv"], root=tmp_path / "out")
    with pytest.raises(BadPath, match="outside of the work tree"):
        retrieve.get_data(repo, reader, ["/elsewhere/x.csv"], root=tmp_path / "out")
    with pytest.raises(BadPath, match=r"read no data 'data/other\.csv'"):
        retrieve.get_data(repo, reader, ["data/other.csv"], root=tmp_path / "out")


# -- at hand ------------------------------------------------------------------------------------


def test_an_artifact_is_at_hand_under_its_own_name(repo: Repo, run: RunRef) -> None:
    """Libraries look at suffixes; nothing is copied; twice it is the same place."""
    place = retrieve.load(repo, run, "model.joblib")
    assert (place.name, place.read_text()) == ("model.joblib", "the model\n")
    assert os.path.samefile(
        place, cache_of(repo).path(cache_of(repo).add_bytes(b"the model\n").md5)
    )
    assert retrieve.load(repo, run, "model.joblib") == place
    directory = retrieve.load(repo, run, "processed")
    expected = {
        name.removeprefix("processed/"): text for name, text in ALL.items() if name[0:2] == "pr"
    }
    assert directory.name == "processed" and files(directory) == expected
    assert retrieve.load(repo, run, "processed/deep/x.csv").read_text() == "a,b\n"
    assert files(retrieve.load(repo, run, "processed/deep")) == {
        "er/test.csv": "c,d\n",
        "x.csv": "a,b\n",
    }
    with pytest.raises(BadPath, match="a directory of several"):
        retrieve.load(repo, run, "models")


def test_what_is_at_hand_is_checked_and_mended(repo: Repo, sent: RunRef) -> None:
    """A model must be the one that was recorded, or none; a shelf that was meddled with is new."""
    place = retrieve.load(repo, sent, "processed")
    (place / "train.csv").unlink()
    object_ = cache_of(repo).path(cache_of(repo).add_bytes(b"c,d\n").md5)
    object_.chmod(0o644)
    object_.write_bytes(b"d,c\n")
    assert files(retrieve.load(repo, sent, "processed")) == {
        "train.csv": "a,b\n",
        "deep/er/test.csv": "c,d\n",
        "deep/x.csv": "a,b\n",
    }
    shutil.rmtree(cache_of(repo).directory)
    assert retrieve.load(repo, sent, "model.joblib").read_text() == "the model\n"


class Watch:
    """A meter that remembers every piece that it is told of."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int | None]] = []
        self.pieces: list[int] = []

    def start(self, what: str, total: int | None, unit: str = "B") -> None:
        self.told.append((what, total))

    def advance(self, count: int) -> None:
        self.pieces.append(count)

    def end(self) -> None:
        pass


def test_a_directory_of_many_files_has_progress(repo: Repo, tmp_path: Path) -> None:
    """Ten thousand files take seconds: the bytes that were written add up to all."""
    kept = keep(repo, tmp_path / "made", {"many": {f"{n}.txt": f"{n}" for n in range(500)}})
    run = record(repo, "calm-lynx-0xw8nc", artifacts=kept)
    watch = Watch()
    retrieve.get(repo, run, target=tmp_path / "out", meter=watch)
    assert watch.told == [("writing", kept[0].size)] and sum(watch.pieces) == kept[0].size
    assert len(files(tmp_path / "out")) == 500


@pytest.mark.parametrize("link", ["copy", "reflink", "hardlink", "symlink", "hardlink,copy"])
def test_one_large_file_has_progress(
    repo: Repo, tmp_path: Path, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It moves while the bytes are copied or compared, and ends at their number, not beyond."""
    if link == "hardlink,copy":
        monkeypatch.setattr(os, "link", refusing)
    kept = keep(repo, tmp_path / "made", {"big.bin": b"0123456789abcdef" * (1 << 17)})
    run = record(repo, "calm-lynx-0xw8nc", artifacts=kept)
    watch, links = Watch(), [*link.split(","), "copy"]
    retrieve.get(repo, run, target=tmp_path / "out", links=links, meter=watch)
    assert watch.told == [("writing", 1 << 21)] and sum(watch.pieces) == 1 << 21
    assert len(watch.pieces) >= 8


def refusing(*_: object, **__: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")
