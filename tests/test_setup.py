"""DVC's set-up as DVC itself reads it, and begun as `dvc init` begins it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gittrack import glimpse, groundwork, setup
from gittrack.cache import Cache, open_cache
from gittrack.errors import BadFile, UnsupportedRepository, WriteFailed
from gittrack.git import Repo

LEVELS = ("system", "user", "config", "config.local")

REMOTE = "[core]\n    remote = {0}\n['remote \"{0}\"']\n    url = {1}\n"

# What stands in each file -> asked of DVC and of us.
CASES: Mapping[str, Mapping[str, str]] = {
    "nothing": {},
    "empty": {"config": "", "config.local": "\n"},
    "relative": {"config": "[cache]\n    dir = ../../shared\n"},
    "absolute": {"config": "[cache]\n    dir = /srv/dvc cache\n"},
    "home": {"config": "[cache]\n    dir = ~/objects\n"},
    "comment": {"config": "# a\n[cache]  # b\n    dir = x # not part\n"},
    "quoted": {"config": "[cache]\n    dir = 'a, b # c'\n"},
    "links": {"config": "[cache]\n    type = symlink\n"},
    "several links": {"config": '[cache]\n    type = "reflink,hardlink, copy"\n'},
    "listed links": {"config": "[cache]\n    type = hardlink,copy\n"},
    "layers": {
        "system": "[cache]\n    type = copy\n    dir = one\n",
        "user": "[cache]\n    dir = two\n" + REMOTE.format("u", "s3://u/x"),
        "config": "[cache]\n    dir = three\n" + REMOTE.format("r", "../out"),
        "config.local": "[cache]\n    dir = four\n['remote \"r\"']\n    url = s3://own\n",
    },
    "only the user's": {"user": REMOTE.format("u", "gs://b") + "[cache]\n    dir = sub\n"},
    "relative remote": {"config": REMOTE.format("near", "../../near")},
    "remote in capitals": {
        "config": "[core]\n    remote = Mine\n['remote \"Mine\"']\nurl = s3://m"
    },
    "upper keys": {"config": "[CACHE]\n    DIR = up\n"},
    "file url": {"config": REMOTE.format("f", "file:///srv/x")},
    "spaces": {"config": "[ 'remote \"a b\"' ]\n url = /x y\n[core]\nremote = a b\n"},
    "not utf-8 safe": {"config": "[cache]\n    dir = caché\n"},
    "state": {"config": "[core]\n    site_cache_dir = /srv/site\n"},
}

BEGIN = """
import pathlib, sys
from gittrack import groundwork
from gittrack.git import Repo
print(*groundwork.initialize(Repo.open(pathlib.Path(sys.argv[1]))), sep="\\n", end="")
"""

ASK = """
import json, os, sys
from dvc.config import Config
from dvc.dirs import global_config_dir, system_config_dir
answers = {}
for name, place in json.load(sys.stdin).items():
    os.environ["DVC_SYSTEM_CONFIG_DIR"] = os.path.join(place, "system")
    os.environ["DVC_GLOBAL_CONFIG_DIR"] = os.path.join(place, "user")
    config = Config(os.path.join(place, "repo", ".dvc"))
    answers[name] = {
        "dir": config["cache"].get("dir"),
        "type": config["cache"].get("type"),
        "remote": config["core"].get("remote"),
        "site": config["core"].get("site_cache_dir"),
        "remotes": {name: found["url"] for name, found in config["remote"].items()},
    }
for name in ("DVC_SYSTEM_CONFIG_DIR", "DVC_GLOBAL_CONFIG_DIR"):
    del os.environ[name]
for change in ({}, {"XDG_CONFIG_HOME": "/h/x", "XDG_CONFIG_DIRS": "/a/b:/c"}):
    os.environ.update(change)
    answers[json.dumps(change)] = [system_config_dir(), global_config_dir()]
print(json.dumps(answers))
"""

World = Callable[[str, Mapping[str, str]], Path]


def lay_out(place: Path, files: Mapping[str, str]) -> Path:
    """Write the files of a case -> the repository, which is no Git one yet."""
    for level in ("system", "user"):
        (place / level).mkdir(parents=True)
    (place / "repo" / ".dvc").mkdir(parents=True)
    for name, text in files.items():
        inner = Path(name, "config") if name in ("system", "user") else Path("repo", ".dvc", name)
        (place / inner).write_text(text, "utf-8")
    return place / "repo"


@pytest.fixture(scope="session")
def dvc_says(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Every case laid out once, and DVC's answer to it: `place` is where."""
    top = tmp_path_factory.mktemp("cases")
    places = {name: top / str(number) for number, name in enumerate(CASES)}
    for name, place in places.items():
        lay_out(place, CASES[name])
        subprocess.run(["git", "init", "-q"], cwd=place / "repo", check=True)
    given = {name: str(place) for name, place in places.items()}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK],
        input=json.dumps(given),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return {"places": places, **json.loads(done.stdout)}


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which the real `dvc init` was run."""
    root = tmp_path_factory.mktemp("begun")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dvc", "init", "-q"],
        cwd=root,
        env={**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".git/site")},
        check=True,
    )
    return root


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "system"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "user"))


def write(file: Path, text: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def put(cache: Path, content: bytes) -> str:
    """Store an object as DVC lays it out -> its MD5."""
    md5 = hashlib.md5(content).hexdigest()
    file = cache / "files" / "md5" / md5[:2] / md5[2:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(0o444)
    return md5


def contents(cache: Path) -> dict[str, bytes]:
    """The objects of a cache by name."""
    files = (cache / "files" / "md5").glob("??/*")
    return {file.parent.name + file.name: file.read_bytes() for file in files}


# -- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_every_layer_is_read_as_dvc_reads_it(
    name: str, dvc_says: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever moves between both tools must find the same cache and the same remote."""
    place = dvc_says["places"][name]
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(place / "system"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(place / "user"))
    found, says = setup.read(Repo.open(place / "repo")), dvc_says[name]
    assert found.directory == place / "repo" / ".dvc"
    assert str(found.cache) == (says["dir"] or str(place / "repo" / ".dvc" / "cache"))
    assert list(found.links) == (says["type"] or ["reflink", "copy"])
    assert found.remotes == says["remotes"]
    assert found.remote == says["remote"] and found.site == says["site"]
    assert found.former is None


@pytest.mark.parametrize("change", [{}, {"XDG_CONFIG_HOME": "/h/x", "XDG_CONFIG_DIRS": "/a/b:/c"}])
def test_the_users_and_the_systems_files_lie_where_dvc_looks(
    change: Mapping[str, str], dvc_says: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remote that is set for all projects counts here, too."""
    for name in ("DVC_SYSTEM_CONFIG_DIR", "DVC_GLOBAL_CONFIG_DIR"):
        monkeypatch.delenv(name)
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    assert [str(place) for place in glimpse.config_dirs()] == dvc_says[json.dumps(change)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[cache\n", "line 1"),
        ("[core]\nremote = x\nremote = y\n", "line 3"),
        ("[cache]\n\n    type = hardlnk\n", "line 3: type is 'hardlnk', which is not of reflink"),
        ("[cache]\n    dir = a, b\n", "line 2: dir is 'a, b', which is no directory"),
        ("[cache]\n    dir = ssh://host/x\n", "line 2: dir is 'ssh://host/x'"),
        ("[cache]\n    type = \n", "line 2: type is ''"),
        ("['remote \"a\"']\n    url = x, y\n", "line 2: url is 'x, y', which is no address"),
        ("[cache]\n dir = %(none)s\n", "config"),
        ("[a]\n[[[b]]]\n", "line 2"),
        ("[cache]\n dir = 'open\n", "line 2"),
        ("[cache]\n dir = '''open\n", "line 2"),
        ("\x1b[2J = \n[", "line 2"),
    ],
)
def test_a_broken_file_is_named_with_its_line(repo_dir: Path, text: str, words: str) -> None:
    """One line that leads to the fault, and no escape sequence in it."""
    write(repo_dir / ".dvc" / "config", text)
    with pytest.raises(BadFile) as caught:
        setup.read(Repo.open(repo_dir))
    assert words in caught.value.message and ".dvc/config" in caught.value.message
    assert caught.value.message.isprintable()


def test_bytes_that_are_no_text_are_named_too(repo_dir: Path) -> None:
    """And so is a file of absurd size."""
    file = write(repo_dir / ".dvc" / "config.local")
    file.write_bytes(b"[cache]\n dir = caf\xe9\n")
    with pytest.raises(BadFile, match=r"config\.local, line 2: not UTF-8"):
        setup.read(Repo.open(repo_dir))
    file.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(BadFile, match="larger than 1 MB"):
        setup.read(Repo.open(repo_dir))


def test_without_dvc_objects_lie_in_the_git_directory(repo_dir: Path, tmp_path: Path) -> None:
    """Nothing has to be set up; a cache that the user set for all projects counts all the same."""
    repo = Repo.open(repo_dir)
    found = setup.read(repo)
    assert found.directory is None and found.cache == repo.state / "dvc"
    write(tmp_path / "user" / "config", "[cache]\n dir = /srv/all\n")
    assert setup.read(repo).cache == Path("/srv/all")


def test_a_bare_repository_has_no_project_of_its_own(bare_dir: Path, tmp_path: Path) -> None:
    """A remote of the user's serves it."""
    write(tmp_path / "user" / "config", REMOTE.format("u", "s3://b"))
    found = setup.read(Repo.open(bare_dir))
    assert (found.directory, found.remote) == (None, "u")
    assert found.cache == Repo.open(bare_dir).state / "dvc"


def test_a_project_above_or_the_only_one_below_counts(repo_dir: Path, git) -> None:
    """`dvc init --subdir`, and a Git repository inside a DVC project."""
    for name in ("one", "two"):
        write(repo_dir / name / ".dvc" / "config")
        git(repo_dir, "add", f"{name}/.dvc/config")
        found = setup.read(Repo.open(repo_dir))
        only = name == "one"
        assert found.directory == (repo_dir / "one" / ".dvc" if only else None)
        assert found.cache == (
            found.directory / "cache" if only else Repo.open(repo_dir).state / "dvc"
        )
    write(repo_dir.parent / ".dvc" / "config")
    assert setup.read(Repo.open(repo_dir)).directory == repo_dir.parent / ".dvc"
    write(repo_dir / ".dvc" / "config")
    assert setup.read(Repo.open(repo_dir)).directory == repo_dir / ".dvc"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a directory away")
def test_a_strangers_project_above_is_not_believed(repo_dir: Path) -> None:
    """Anybody can make a /tmp/.dvc that names a cache of theirs."""
    above = write(repo_dir.parent / ".dvc" / "config").parent
    assert setup.read(Repo.open(repo_dir)).directory == above
    os.chown(above, 12345, 12345)
    assert setup.read(Repo.open(repo_dir)).directory is None


def test_all_work_trees_of_a_clone_share_one_cache(repo_dir: Path, git) -> None:
    """`git worktree remove` deletes ignored files, and a cache of its own would be one."""
    linked = repo_dir.parent / "linked"
    git(repo_dir, "worktree", "add", "-q", str(linked))
    state = Repo.open(repo_dir).state
    assert setup.read(Repo.open(linked)).cache == state / "dvc"
    write(linked / ".dvc" / "config")
    assert setup.read(Repo.open(linked)).cache == state / "dvc"
    write(repo_dir / ".dvc" / "config")
    for place in (repo_dir, linked):
        assert setup.read(Repo.open(place)).cache == repo_dir / ".dvc" / "cache"
    write(repo_dir / ".dvc" / "config.local", "[cache]\n dir = /srv/objects\n")
    for place in (repo_dir, linked):
        assert setup.read(Repo.open(place)).cache == Path("/srv/objects")
    write(linked / ".dvc" / "config.local", "[cache]\n dir = own\n")
    assert setup.read(Repo.open(linked)).cache == linked / ".dvc" / "own"


def test_a_project_below_the_root_has_one_cache_too(repo_dir: Path, git) -> None:
    """As `dvc init --subdir` makes it."""
    write(repo_dir / "sub" / ".dvc" / "config")
    git(repo_dir, "add", "sub")
    git(repo_dir, "commit", "-q", "-m", "sub")
    linked = repo_dir.parent / "linked"
    git(repo_dir, "worktree", "add", "-q", str(linked))
    for place in (repo_dir, linked):
        assert setup.read(Repo.open(place)).cache == repo_dir / "sub" / ".dvc" / "cache"
    opened = Repo.open(linked)
    assert setup.is_apart(opened, setup.read(opened))
    (said,) = groundwork.initialize(opened)
    assert str(repo_dir / "sub" / ".dvc" / "cache") in said
    assert not setup.is_apart(opened, setup.read(opened))


def test_reading_loads_neither_dvc_nor_a_parser_for_nothing(repo_dir: Path) -> None:
    """A run with data must begin quickly; most projects say nothing in their configuration."""
    write(repo_dir / ".dvc" / "config")
    code = (
        "import sys; from gittrack import setup; from gittrack.git import Repo\n"
        "setup.read(Repo.open()); assert 'gittrack.setup' in sys.modules\n"
        "print([name for name in ('dvc', 'configobj', 'platformdirs') if name in sys.modules])"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.check_output(run, cwd=repo_dir, text=True) == "[]\n"
    write(repo_dir / ".dvc" / "config", "[core]\n remote = x\n")
    assert subprocess.check_output(run, cwd=repo_dir, text=True) == "['configobj']\n"


# -- what a run's tree says ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "url", "more", "kept"),
    [
        ("team", "s3://bucket/a-b_c", "", True),
        ("team", "s3://bucket", "    endpointurl = http://127.0.0.1:9000\n    region = eu\n", True),
        ("team", "ssh://me@host:22/srv", "", True),
        ("team", "/srv/dvc", "", False),
        ("team", "../near", "", False),
        ("team", "file:///srv/dvc", "", False),
        ("team", "https://me:pass@host/x", "", False),
        ("team", "https://host/x?sig=abc", "", False),
        ("team", "s3://b/ghp_" + "R7bXq2LmVt9KzWp4YcNs8HdJf3GuAe6TiQo1", "", False),
        ("team", "'s3://b/a, b'", "", False),
        ("te am", "s3://bucket", "", False),
    ],
)
def test_a_runs_tree_says_where_the_bytes_are_and_no_secret(
    repo_dir: Path, name: str, url: str, more: str, kept: bool
) -> None:
    """A commit is for everybody: an address that means the same everywhere, and no way in."""
    secret = "    access_key_id = AKIAIOSFODNN7EXAMPLE\n    profile = mine\n"
    write(repo_dir / ".dvc" / "config.local", REMOTE.format(name, url) + more + secret)
    repo = Repo.open(repo_dir)
    said = setup.config_for_run(repo, setup.read(repo))
    assert said == ((REMOTE.format(name, url) + more).encode() if kept else b"")


def test_what_a_runs_tree_says_is_read_back(repo_dir: Path) -> None:
    """By us, and as CASES tell, so by DVC: it is of the form that DVC itself writes."""
    write(repo_dir / ".dvc" / "config.local", REMOTE.format("team", "s3://bucket/x"))
    repo = Repo.open(repo_dir)
    before = setup.read(repo)
    said = setup.config_for_run(repo, before)
    assert said
    (repo_dir / ".dvc" / "config.local").rename(repo_dir / ".dvc" / "config")
    (repo_dir / ".dvc" / "config").write_bytes(said)
    assert setup.read(repo) == before


def test_without_a_default_remote_a_runs_tree_says_nothing(repo_dir: Path) -> None:
    """An empty file is a project to DVC."""
    write(repo_dir / ".dvc" / "config", "['remote \"a\"']\n    url = s3://a\n")
    repo = Repo.open(repo_dir)
    assert setup.config_for_run(repo, setup.read(repo)) == b""


# -- beginning ----------------------------------------------------------------------------------


def test_what_is_made_is_what_dvc_init_makes(repo_dir: Path, begun: Path, git) -> None:
    """Byte for byte, so that stock DVC finds nothing to mend; but nothing is staged."""
    index = (repo_dir / ".git" / "index").read_bytes()
    said = groundwork.initialize(Repo.open(repo_dir))
    names = git(begun, "ls-files").split()
    assert names == [".dvc/.gitignore", ".dvc/config", ".dvcignore"]
    for name in names:
        assert (repo_dir / name).read_bytes() == (begun / name).read_bytes(), name
        assert (repo_dir / name).stat().st_mode == (begun / name).stat().st_mode
    assert (repo_dir / ".git" / "index").read_bytes() == index
    assert git(repo_dir, "status", "--porcelain") == "?? .dvc/\n?? .dvcignore\n"
    assert len(said) == 1 and said[0].startswith(f"set up DVC in {repo_dir}/.dvc, unstaged")
    assert groundwork.initialize(Repo.open(repo_dir)) == ()


def test_kept_objects_move_into_dvcs_cache(repo_dir: Path) -> None:
    """Stock DVC finds them there; a run under way may go on writing where they were."""
    repo = Repo.open(repo_dir)
    old = setup.read(repo).cache
    for number in range(20):
        put(old, b"object %d" % number)
    before = contents(old)
    done = groundwork.initialize(repo)
    assert done[1] == f"moved 20 objects into {repo_dir}/.dvc/cache"
    new = setup.read(repo)
    assert new.cache == repo_dir / ".dvc" / "cache" and contents(new.cache) == before
    late = put(old, b"a late one")
    assert (
        contents(new.cache) == {**before, late: b"a late one"} and setup.read(repo).former is None
    )


def test_objects_from_before_a_dvc_init_are_found_and_moved(repo_dir: Path) -> None:
    """The user ran `dvc init` alone: the kept objects are not forgotten."""
    repo = Repo.open(repo_dir)
    md5 = put(repo.state / "dvc", b"early")
    write(repo_dir / ".dvc" / "config")
    assert setup.read(repo).former == repo.state / "dvc"
    assert groundwork.initialize(repo) == (f"moved 1 object into {repo_dir}/.dvc/cache",)
    assert setup.read(repo).former is None
    assert contents(repo_dir / ".dvc" / "cache") == {md5: b"early"}


@pytest.mark.parametrize("survived", range(6))
def test_a_move_that_is_interrupted_loses_nothing_and_goes_on(
    repo_dir: Path, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every step each object is whole in one of both places."""
    repo = Repo.open(repo_dir)
    for number in range(4):
        put(repo.state / "dvc", b"object %d" % number)
    before = contents(repo.state / "dvc")
    real, left = os.replace, survived

    def failing(source: Any, target: Any) -> None:
        nonlocal left
        if left == 0:
            raise OSError(28, "No space left on device")
        left -= 1
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(WriteFailed, match="No space left"):
        groundwork.initialize(repo)
    monkeypatch.undo()
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(repo_dir / "none"))
    found = setup.read(repo)
    now = {md5: data for place in found.formers for md5, data in contents(place).items()}
    assert {**now, **contents(repo_dir / ".dvc" / "cache")} == before
    cache = open_cache(repo, found)
    assert {md5: cache.read(md5, limit=99) for md5 in before} == before
    groundwork.initialize(repo)
    assert contents(repo_dir / ".dvc" / "cache") == before
    assert not list(repo_dir.rglob("*.new-*"))


def test_a_cache_made_again_while_it_is_moved_is_moved_too(
    repo_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that keeps beside `init` makes the directory again, just before its link is there."""
    repo = Repo.open(repo_dir)
    old = repo.state / "dvc"
    kept = {put(old, b"before"): b"before"}
    late = Cache(old)
    real = os.symlink

    def link(source: Any, target: Any) -> None:
        if len(kept) < 4:
            content = b"late %d" % len(kept)
            kept[late.add_bytes(content).md5] = content
        real(source, target)

    monkeypatch.setattr(os, "symlink", link)
    groundwork.initialize(repo)
    assert len(kept) == 4 and contents(repo_dir / ".dvc" / "cache") == kept
    assert old.is_symlink() and setup.read(repo).formers == ()
    assert groundwork.initialize(repo) == ()


def test_whoever_keeps_while_objects_move_tries_again(
    repo_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its unfinished file went aside with the directory; the run must not lose an artifact."""
    repo = Repo.open(repo_dir)
    old = open_cache(repo, setup.read(repo))
    source = repo_dir / "data"
    source.mkdir()
    for number in range(3):
        (source / str(number)).write_bytes(b"%d" % number)
    real, done = os.rename, []

    def rename(*words: Any, **named: Any) -> None:
        if not done and os.path.basename(words[0]).startswith("tmp-gittrack-"):
            done.append(True)
            groundwork.initialize(repo)
        real(*words, **named)

    monkeypatch.setattr(os, "rename", rename)
    got = old.add(source)
    new = open_cache(repo, setup.read(repo))
    assert done and old.directory != new.directory
    assert old.holds(got.md5) and new.holds(got.md5) and len(contents(new.directory)) == 4
    assert setup.read(repo).formers == () and not list(new.leftovers())


def test_what_is_not_moved_yet_is_read_placed_and_checked(repo_dir: Path) -> None:
    """`init` of a large cache takes a while, or is interrupted: nothing is missing meanwhile."""
    repo = Repo.open(repo_dir)
    source = repo_dir / "data"
    source.mkdir()
    (source / "a").write_bytes(b"aside")
    old = open_cache(repo, setup.read(repo))
    md5 = old.add(source).md5
    (inner,) = old.members(md5)
    os.rename(repo.state / "dvc", repo.state / "dvc.aside")
    write(repo_dir / ".dvc" / "config", "[cache]\n type = symlink\n")
    for cache in (old, open_cache(repo, setup.read(repo))):
        assert cache.holds(md5) and cache.missing([md5]) == [] and cache.size(inner.md5) == 5
        cache.check(inner.md5)
        assert cache.members(md5) == (inner,)
        cache.place(inner.md5, repo_dir / "out")
        assert (repo_dir / "out").read_bytes() == b"aside" and not (repo_dir / "out").is_symlink()
        assert cache.discard(inner.md5) is None and cache.holds(md5)


def test_what_a_cleaning_took_aside_is_moved_as_what_it_is(repo_dir: Path) -> None:
    """A cleaning that was killed, or is at work, may put it back: it is no leftover."""
    repo = Repo.open(repo_dir)
    md5 = put(repo.state / "dvc", b"aside")
    (file,) = (repo.state / "dvc" / "files" / "md5").glob("??/*")
    file.rename(file.with_name(f"tmp-gittrack-gone-{'a' * 12}-{file.name}"))
    (file.parent / "tmp-gittrack-unfinished").write_bytes(b"as")
    groundwork.initialize(repo)
    assert contents(repo_dir / ".dvc" / "cache") == {md5: b"aside"}
    assert setup.read(repo).formers == ()


def test_a_cache_named_anew_gets_what_the_former_one_held(repo_dir: Path, tmp_path: Path) -> None:
    """And a run that began before writes there too: its name for the cache leads on."""
    repo = Repo.open(repo_dir)
    groundwork.initialize(repo)
    old = open_cache(repo, setup.read(repo))
    md5 = Cache(repo.state / "dvc").add_bytes(b"first").md5
    write(repo_dir / ".dvc" / "config", f"[cache]\n dir = {tmp_path}/shared\n")
    assert groundwork.initialize(repo) == (f"moved 1 object into {tmp_path}/shared",)
    late = Cache(repo.state / "dvc").add_bytes(b"late").md5
    assert contents(tmp_path / "shared") == {md5: b"first", late: b"late"}
    assert old.directory == repo_dir / ".dvc" / "cache" and old.holds(md5)


def test_two_at_once_set_up_once(repo_dir: Path) -> None:
    """The second waits for the first and finds nothing to do."""
    repo = Repo.open(repo_dir)
    md5s = {put(repo.state / "dvc", b"%d" % number): b"%d" % number for number in range(200)}
    words = [sys.executable, "-c", BEGIN, str(repo_dir)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(len(child.communicate()[0].splitlines()) for child in both)
    assert said == [0, 2] and contents(repo_dir / ".dvc" / "cache") == md5s


def test_objects_move_to_another_disk(repo_dir: Path, tmp_path: Path) -> None:
    """A shared cache often is one; a rename does not reach it."""
    shared = Path("/dev/shm") / f"gittrack-test-{os.getpid()}"
    if not shared.parent.is_dir() or shared.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    repo = Repo.open(repo_dir)
    md5 = put(repo.state / "dvc", b"far")
    write(repo_dir / ".dvc" / "config", f"[cache]\n dir = {shared}\n")
    try:
        assert groundwork.initialize(repo) == (f"moved 1 object into {shared}",)
        assert contents(shared) == {md5: b"far"}
        assert (repo.state / "dvc").resolve() == shared and setup.read(repo).former is None
        assert (shared / "files" / "md5" / md5[:2] / md5[2:]).stat().st_mode & 0o777 == 0o444
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def test_of_two_copies_the_whole_one_stays(repo_dir: Path) -> None:
    """A torn object in the way must not win, nor be overwritten by one that is worse."""
    repo = Repo.open(repo_dir)
    old, new = repo.state / "dvc", repo_dir / ".dvc" / "cache"
    write(repo_dir / ".dvc" / "config")
    for content, torn in ((b"first", new), (b"second", old), (b"same", None)):
        for cache in (old, new):
            md5 = put(cache, content)
            if cache == torn:
                file = cache / "files" / "md5" / md5[:2] / md5[2:]
                file.chmod(0o644)
                file.write_bytes(b"x")
    groundwork.initialize(repo)
    assert sorted(contents(new).values()) == [b"first", b"same", b"second"]


def test_a_torn_copy_of_the_same_size_does_not_cost_the_good_one(repo_dir: Path) -> None:
    """Same size proves nothing: what lies in the way may be all zeros after a power cut."""
    repo = Repo.open(repo_dir)
    old, new = repo.state / "dvc", repo_dir / ".dvc" / "cache"
    write(repo_dir / ".dvc" / "config")
    put(old, b"good")
    md5 = put(new, b"good")
    torn = new / "files" / "md5" / md5[:2] / md5[2:]
    torn.chmod(0o644)
    torn.write_bytes(b"\0\0\0\0")
    groundwork.initialize(repo)
    assert contents(new) == {md5: b"good"}


def test_what_a_killed_move_to_another_disk_leaves_is_swept(
    repo_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that was killed has a name by which a cleaning of the cache knows it."""
    repo = Repo.open(repo_dir)
    md5 = put(repo.state / "dvc", b"far")
    write(repo_dir / ".dvc" / "config")
    real = os.replace

    def apart(source: Any, target: Any) -> None:
        if os.path.basename(source) == md5[2:]:
            raise OSError(errno.EXDEV, "another disk")
        real(source, target)

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
        raise Killed

    monkeypatch.setattr(os, "replace", apart)
    monkeypatch.setattr(shutil, "copystat", killed)
    with pytest.raises(Killed):
        groundwork.initialize(repo)
    monkeypatch.undo()
    cache = Cache(repo_dir / ".dvc" / "cache")
    left = [path.read_bytes() for path, _ in cache.leftovers()]
    assert left == [b"far"] and not list(cache.objects())


def test_a_cache_that_was_deleted_does_not_block_the_next(repo_dir: Path) -> None:
    """Removing `.dvc` takes one back to the beginning."""
    repo = Repo.open(repo_dir)
    repo.state.mkdir()
    groundwork.initialize(repo)
    assert (repo.state / "dvc").is_symlink()
    shutil.rmtree(repo_dir / ".dvc")
    found = setup.read(repo)
    assert found.cache == repo.state / "dvc" and not found.cache.is_symlink()
    put(found.cache, b"again")


def test_a_linked_work_tree_tells_dvc_of_the_shared_cache(repo_dir: Path, git) -> None:
    """Stock DVC there finds what was kept anywhere in the clone."""
    linked = repo_dir.parent / "linked"
    git(repo_dir, "worktree", "add", "-q", str(linked))
    repo = Repo.open(linked)
    md5 = put(repo.state / "dvc", b"kept")
    groundwork.initialize(repo)
    assert setup.read(repo).cache == repo.state / "dvc"
    text = (linked / ".dvc" / "config.local").read_text()
    assert text == f'[cache]\n    dir = "{repo.state}/dvc"\n'
    assert git(linked, "status", "--porcelain") == "?? .dvc/\n?? .dvcignore\n"
    assert contents(repo.state / "dvc") == {md5: b"kept"}
    assert groundwork.initialize(repo) == ()


def test_a_project_in_a_linked_work_tree_keeps_what_it_has(repo_dir: Path, git) -> None:
    """A cache or a setting of its own is nobody else's to change."""
    linked = repo_dir.parent / "linked"
    git(repo_dir, "worktree", "add", "-q", str(linked))
    repo, local = Repo.open(linked), linked / ".dvc" / "config.local"
    write(linked / ".dvc" / "config", "[cache]\n dir = mine\n")
    assert groundwork.initialize(repo) == () and not local.exists()
    write(linked / ".dvc" / "config")
    put(linked / ".dvc" / "cache", b"own")
    assert groundwork.initialize(repo) == () and not local.exists()
    (linked / ".dvc" / "cache").rename(linked / "away")
    (said,) = groundwork.initialize(repo)
    assert said == f"told DVC there of the cache of all work trees, {repo.state}/dvc"
    assert local.exists() and groundwork.initialize(repo) == ()


def test_an_interrupted_beginning_is_completed(repo_dir: Path) -> None:
    """The configuration comes last: without it the work is not done."""
    write(repo_dir / ".dvc" / ".gitignore", "/mine\n")
    groundwork.initialize(Repo.open(repo_dir))
    assert (repo_dir / ".dvc" / ".gitignore").read_text() == "/mine\n"
    assert (repo_dir / ".dvc" / "config").read_bytes() == b""
    assert (repo_dir / ".dvcignore").exists()


def test_a_bare_repository_and_an_ignored_dvc_are_refused(repo_dir: Path, bare_dir: Path) -> None:
    """As `dvc init` refuses them, with what helps."""
    with pytest.raises(UnsupportedRepository, match="bare") as bare:
        groundwork.initialize(Repo.open(bare_dir))
    assert bare.value.hint and "worktree" in bare.value.hint
    write(repo_dir / ".gitignore", ".*\n")
    with pytest.raises(UnsupportedRepository, match="Git ignores"):
        groundwork.initialize(Repo.open(repo_dir))
    assert not (repo_dir / ".dvc").exists()


def test_a_read_only_work_tree_is_one_line(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is half made."""

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(WriteFailed, match="Permission denied"):
        groundwork.initialize(Repo.open(repo_dir))
    assert not (repo_dir / ".dvc").exists()
