"""Functions over Git and lineage in a query: which runs they find, and what they refuse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gittrack import commits, whereabouts
from gittrack.errors import GitFailed, GittrackError, RunNotFound, UnknownKey, UsageError
from gittrack.git import Identity, Repo
from gittrack.index import open_index
from gittrack.records import Artifact, Code, Data, Environment, Input, Run
from gittrack.refs import RunRef
from gittrack.topology import functions
from summaries import NOON

ADA = Identity("Ada Lovelace", "ada@example.org")
FILE, DIRECTORY = 0o100644, 0o40000


class World:
    """A repository whose runs are asked for by their names, each of them without its ending."""

    def __init__(self, place: Path) -> None:
        self.repo = Repo.open(place)
        self.repo.sync(False)
        self.runs: dict[str, RunRef] = {}

    def record(
        self, name: str, *, base: str | None = None, tree: str | None = None, **more: Any
    ) -> RunRef:
        """A run on a commit (None: on HEAD), with the code of a tree (None: of that commit)."""
        number = len(self.runs) + 1
        base = self.repo.resolve(base or "HEAD")
        assert base is not None
        data = [Data(path, md5, 9) for path, md5 in more.pop("data", {}).items()]
        kept = [Artifact(path, md5, 9) for path, md5 in more.pop("kept", {}).items()]
        packages = more.pop("packages", None)
        run = Run(
            id=f"{number:032x}", name=f"{name}-aaaaaa", experiment="default", status="finished",
            started=NOON + timedelta(minutes=number), ended=NOON + timedelta(minutes=number),
            code=Code(base=base, dirty=tree is not None), data=tuple(data), artifacts=tuple(kept),
            environment=None if packages is None else Environment(packages=packages), **more,
        )  # fmt: skip
        code = tree or self.repo.read_commit(base).tree
        ref = commits.write(self.repo, run, tree=code, author=ADA)
        self.runs[name] = ref
        return ref

    def tree(self, files: Mapping[str, str | None], base: str = "HEAD") -> str:
        """The tree of a commit with these files put in, or where None, taken out."""
        commit = self.repo.resolve(base)
        assert commit is not None
        tree = self.repo.read_commit(commit).tree
        for path, text in files.items():
            tree = self._with(tree, path.split("/"), text)
        return tree

    def _with(self, tree: str | None, parts: list[str], text: str | None) -> str:
        name, *rest = parts
        if rest:
            entry = None if tree is None else self.repo.entry(tree, name)
            inner = self._with(None if entry is None else entry.id, rest, text)
            return self.repo.write_tree({name: (inner, DIRECTORY)}, tree)
        blob = "" if text is None else self.repo.write_blob(text.encode())
        return self.repo.write_tree({name: (blob, FILE)}, tree)

    def ask(self, name: str, *arguments: str) -> set[str]:
        """The runs that a function finds."""
        with open_index(whereabouts.of(self.repo)) as index:
            found = functions(whereabouts.of(self.repo), index)(name, arguments)
            bases = {
                run: self.repo.read_commit(ref.commit).parents[0] for run, ref in self.runs.items()
            }
        known = {run: ref.commit for run, ref in self.runs.items()}
        of_runs = {"commit": known, "base": bases}[found.key]
        return {run for run, commit in of_runs.items() if commit in found.values}


@pytest.fixture
def world(repo_dir: Path) -> World:
    return World(repo_dir)


# -- commits ------------------------------------------------------------------------------------


@pytest.fixture
def branches(world: World, git: Any) -> World:
    """A run on each commit of `main` and of `topic`, which left it at the first."""
    place = world.repo.root
    git(place, "checkout", "-q", "-b", "topic", "HEAD~1")
    git(place, "commit", "-q", "--allow-empty", "-m", "Try trees")
    git(place, "tag", "v1")
    git(place, "checkout", "-q", "main")
    for name, base in {"root": "main~1", "main": "main", "topic": "topic"}.items():
        world.record(name, base=base)
    return world


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("main..topic", {"topic"}),
        ("topic..main", {"main"}),
        ("main...topic", {"main", "topic"}),
        ("main~1..topic", {"topic"}),
        ("topic..", {"main"}),
        ("..topic", {"topic"}),
        ("...v1", {"main", "topic"}),
        ("main..main", set()),
        ("main..main~1", set()),
        ("refs/heads/main..refs/tags/v1", {"topic"}),
    ],
)
def test_commits_in_a_range(branches: World, text: str, expected: set[str]) -> None:
    """The commit that a run's code stood on; an empty range is no error."""
    assert branches.ask("commit", text) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("mian..topic", "'mian' is no commit", "did you mean 'main'"),
        ("main..zzzzzz", "'zzzzzz' is no commit", "git branch"),
        ("main", "'main' is no range", "A..B"),
        ("main....topic", "is no range", "A..B"),
        ("a..b..c", "is no range", "A..B"),
        ("--all..main", "'--all' is no commit", "git branch"),
        ("^main..topic", "is no commit", None),
        ("main..\x1b[2J", "is no commit", None),
        ("main:train.py..topic", "is no commit", None),
    ],
)
def test_no_range(branches: World, text: str, message: str, hint: str | None) -> None:
    """A question that cannot be answered is no empty answer."""
    with pytest.raises(UsageError, match=message) as caught:
        branches.ask("commit", text)
    assert "\x1b" not in str(caught.value) and "\n" not in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


# -- code ---------------------------------------------------------------------------------------


@pytest.fixture
def changed(world: World) -> World:
    """Runs whose code is that of their base but for one thing."""
    world.record("same")
    changes: dict[str, dict[str, str | None]] = {
        "model": {"src/model.py": "DEPTH = 5\n"},
        "new": {"src/trees.py": "x\n"},
        "gone": {"src/model.py": None},
        "other": {"train.py": "print(1)\n"},
    }
    for name, files in changes.items():
        world.record(name, tree=world.tree(files))
    world.record("before", base="HEAD~1")
    return world


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/model.py", {"model", "gone"}),
        ("./src//model.py", {"model", "gone"}),
        ("notes/../src/model.py", {"model", "gone"}),
        ("src", {"model", "new", "gone"}),
        ("src/", {"model", "new", "gone"}),
        ("src/trees.py", {"new"}),
        ("params.yaml", set()),
        ("notes/ideas/first.md", set()),
        (".", {"model", "new", "gone", "other"}),
    ],
)
def test_touched_code_differs_from_its_base(changed: World, path: str, expected: set[str]) -> None:
    """A file or a directory, changed, new or removed; each run beside its own base."""
    assert changed.ask("touches", path) == expected


@pytest.mark.parametrize(
    ("path", "run", "expected"),
    [
        ("src/model.py", "model", {"same", "new", "gone", "other", "before"}),
        ("src/model.py", "same-aaaaaa", {"model", "gone"}),
        ("params.yaml", "same", {"before"}),
        ("src/trees.py", "new", {"same", "model", "gone", "other", "before"}),
        (".", "before", {"same", "model", "new", "gone", "other"}),
        ("src", "latest", {"model", "new", "gone"}),
    ],
)
def test_touched_code_differs_from_another_run(
    changed: World, path: str, run: str, expected: set[str]
) -> None:
    """Whatever either of them stood on."""
    assert changed.ask("touches", path, run) == expected


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("../secret",), UsageError, "leads out of the repository"),
        (("src/../../x",), UsageError, "leads out of the repository"),
        (("/etc/passwd",), UsageError, "no path within the repository"),
        ((".gittrack/run.yaml",), UsageError, "is no code"),
        (("src/../.gittrack",), UsageError, "is no code"),
        (("src/modle.py",), UnknownKey, "no run's code has 'src/modle.py'"),
        (("src/model.py/x",), UnknownKey, "no run's code has"),
        (("x\x00y",), UsageError, "NUL"),
        (("",), UsageError, "empty"),
        (("src", "nobody"), RunNotFound, "nobody"),
        (("src", "same", "x"), UsageError, "takes 1 or 2 arguments, not 3"),
        ((), UsageError, "takes 1 or 2 arguments, not 0"),
    ],
)
def test_no_path(
    changed: World, arguments: tuple[str, ...], kind: type[GittrackError], message: str
) -> None:
    """One line that says what is wrong."""
    with pytest.raises(kind, match=message) as caught:
        changed.ask("touches", *arguments)
    assert "\n" not in caught.value.message


def test_a_mode_is_part_of_the_code(world: World) -> None:
    """A script that became executable has changed."""
    head = world.repo.resolve("HEAD")
    assert head is not None
    entry = world.repo.entry(head, "train.py")
    assert entry is not None
    tree = world.repo.write_tree({"train.py": (entry.id, 0o100755)}, world.tree({}))
    world.record("executable", tree=tree)
    assert world.ask("touches", "train.py") == {"executable"}


def test_a_base_that_is_not_here_is_an_error(world: World, git: Any, tmp_path: Path) -> None:
    """In a shallow clone nobody can tell what a run changed."""
    world.record("first", base="HEAD~1", tree=world.tree({"src/model.py": "x"}))
    place = tmp_path / "shallow"
    source = Path(str(world.repo.root)).as_uri()
    git(tmp_path, "clone", "-q", "--depth", "1", source, str(place))
    git(place, "fetch", "-q", "--depth", "1", "origin", "+refs/runs/*:refs/runs/*")
    with pytest.raises(GitFailed, match=r"what run [0-9a-f]{7} changed.*its base"):
        World(place).ask("touches", "src/model.py")


# -- lineage ------------------------------------------------------------------------------------


@pytest.fixture
def graph(world: World) -> World:
    """load -> clean -> train -> test, load -> other, and lone beside them."""

    def given(name: str, *, by_id: bool = False) -> Input:
        ref = world.runs[name]
        number = list(world.runs).index(name) + 1
        return Input(ref.short, f"{number:032x}", "f" * 40 if by_id else ref.commit, None)

    world.record("load")
    world.record("clean", inputs=(given("load"),))
    world.record("other", inputs=(given("load"),))
    world.record("train", inputs=(given("clean", by_id=True), given("load")))
    world.record("test", inputs=(given("train"),))
    world.record("lone")
    return world


@pytest.mark.parametrize(
    ("name", "run", "expected"),
    [
        ("ancestor", "test", {"train", "clean", "load"}),
        ("ancestor", "load", set()),
        ("ancestor", "lone-aaaaaa", set()),
        ("descendant", "load", {"clean", "other", "train", "test"}),
        ("descendant", "clean", {"train", "test"}),
        ("descendant", "test", set()),
    ],
)
def test_relatives(graph: World, name: str, run: str, expected: set[str]) -> None:
    """However far away, by commit or by id, never the run itself."""
    assert graph.ask(name, run) == expected


@pytest.mark.parametrize("name", ["ancestor", "descendant"])
def test_relatives_of_nobody(graph: World, name: str) -> None:
    """A run that is not there has no relatives, and that is not the answer."""
    with pytest.raises(RunNotFound, match="no run named 'nobody'"):
        graph.ask(name, "nobody")


# -- files --------------------------------------------------------------------------------------


@pytest.fixture
def files(world: World) -> World:
    """Runs that read and kept what their names say."""
    world.record("raw", data={"data/raw.csv": "aa11" + "0" * 28}, kept={"model.pt": "1" * 32})
    world.record("all", data={"data": "bb22" + "0" * 28 + ".dir"}, kept={"out/model.bin": "2" * 32})
    models = {"models": "3" * 32 + ".dir"}
    world.record("old", data={"data/raw.csv": "aa22" + "0" * 28}, kept=models)
    world.record("far", data={"/mnt/x.csv": "cc33" + "0" * 28})
    world.record("none")
    return world


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("data/raw.csv", {"raw", "all", "old"}),
        ("data/", {"raw", "all", "old"}),
        ("./data//raw.csv", {"raw", "all", "old"}),
        ("/mnt/x.csv", {"far"}),
        ("md5:aa11" + "0" * 28, {"raw"}),
        ("md5:aa", {"raw", "old"}),
        ("md5:BB22" + "0" * 28 + ".dir", {"all"}),
        ("md5:bb22", {"all"}),
        ("md5:dddd", set()),
    ],
)
def test_what_runs_read(files: World, what: str, expected: set[str]) -> None:
    """A file, the directory that it is in, or its bytes."""
    assert files.ask("reads", what) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("name", "=", "data/raw.csv"), {"raw", "old"}),
        (("name", "=", "data"), {"all"}),
        (("name", "=", "nothing"), set()),
        (("name", "!=", "data"), {"raw", "old", "far"}),
        (("name", "like", "%.csv"), {"raw", "old", "far"}),
        (("name", "like", "DATA%"), set()),
        (("name", "ilike", "DATA%"), {"raw", "all", "old"}),
        (("name", "in", "data", "/mnt/x.csv"), {"all", "far"}),
        (("name", "not in", "data", "/mnt/x.csv"), {"raw", "old"}),
        (("digest", "=", "aa11" + "0" * 28), {"raw"}),
        (("digest", "=", "aa11"), set()),
    ],
)
def test_data_sets_in_the_words_of_mlflow(
    files: World, asked: tuple[str, ...], expected: set[str]
) -> None:
    """The name is the path, letter for letter, the digest the whole MD5."""
    assert files.ask("dataset", *asked) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("model.*", {"raw", "all"}),
        ("model.pt", {"raw"}),
        ("out/*", {"all"}),
        ("*/model.bin", {"all"}),
        ("models/", {"old"}),
        ("m*", {"raw", "all", "old"}),
        ("*.onnx", set()),
        ("[", None),
    ],
)
def test_what_runs_kept(files: World, pattern: str, expected: set[str] | None) -> None:
    """By the whole path, or where the pattern has no slash, by the name."""
    if expected is not None:
        assert files.ask("keeps", pattern) == expected
    else:
        assert files.ask("keeps", pattern) == set()


@pytest.mark.parametrize(
    ("name", "what", "kind", "message", "hint"),
    [
        ("reads", "dta/raw.csv", UnknownKey, "no run reads 'dta/raw.csv'", "'data/raw.csv'"),
        ("reads", "md5:xyz", UsageError, "no hash", "digits"),
        ("reads", "md5:", UsageError, "no hash", "digits"),
        ("reads", ".", UsageError, "names no file", None),
        ("keeps", "modle.pt", UnknownKey, "no run kept 'modle.pt'", "'model.pt'"),
        ("keeps", "[x" * 15_000, UsageError, "more than 1,000 characters", None),
    ],
)
def test_files_that_nobody_knows(
    files: World, name: str, what: str, kind: type[GittrackError], message: str, hint: str | None
) -> None:
    """A name that is misspelt is no name to which nothing answers."""
    with pytest.raises(kind, match=message) as caught:
        files.ask(name, what)
    assert hint is None or hint in str(caught.value.hint)


# -- packages -----------------------------------------------------------------------------------


@pytest.fixture
def packages(world: World) -> World:
    """Runs with packages, one in a version that is none, one with none at all."""
    world.record("old", packages={"numpy": "1.26.4", "Scikit_Learn": "1.4.0"})
    world.record("new", packages={"NumPy": "2.1.0rc1", "torch": "2.1.0+cu118"})
    world.record("odd", packages={"numpy": "unknown"})
    world.record("none")
    return world


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("numpy", {"old", "new", "odd"}),
        ("numpy<2", {"old"}),
        ("NUMPY >= 2.0", {"new"}),
        ("numpy>=1,<3", {"old", "new"}),
        ("numpy>3", set()),
        ("scikit-learn~=1.4", {"old"}),
        ("torch==2.1.0", {"new"}),
        ("torch==2.1.0+cu118", {"new"}),
        ("torch!=2.1.*", set()),
    ],
)
def test_packages_that_runs_used(packages: World, what: str, expected: set[str]) -> None:
    """Names as PEP 503 compares them, versions as pip does, pre-releases among them."""
    assert packages.ask("uses", what) == expected


@pytest.mark.parametrize(
    ("what", "kind", "message", "hint"),
    [
        ("nunpy<2", UnknownKey, "no run used a package 'nunpy'", "'numpy'"),
        ("numpy<<2", UsageError, "names no package", "numpy<2"),
        ("<2", UsageError, "names no package", "numpy<2"),
        ("numpy[extra]", UsageError, "is more than a package", "numpy<2"),
        ("numpy; python_version < '3'", UsageError, "is more than a package", "numpy<2"),
        ("numpy @ https://x.org/y.whl", UsageError, "is more than a package", "numpy<2"),
    ],
)
def test_no_package(
    packages: World, what: str, kind: type[GittrackError], message: str, hint: str
) -> None:
    """One line, and how to write it."""
    with pytest.raises(kind, match=message) as caught:
        packages.ask("uses", what)
    assert hint in str(caught.value.hint) and "\n" not in caught.value.message


# -- all of them --------------------------------------------------------------------------------


def test_a_function_that_is_none(world: World) -> None:
    """The message lists those that are."""
    with pytest.raises(UsageError, match="no function 'eval'") as caught:
        world.ask("eval", "1")
    assert "touches()" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "argument"),
    [("touches", "train.py"), ("reads", "x"), ("keeps", "x"), ("uses", "x"), ("commit", "..")],
)
def test_without_runs_nothing_is_found(world: World, name: str, argument: str) -> None:
    """There is nobody yet who could know a name."""
    assert world.ask(name, argument) == set()


def test_what_was_asked_is_remembered(changed: World) -> None:
    """A function that stands twice in a query costs once."""
    with open_index(whereabouts.of(changed.repo)) as index:
        find = functions(whereabouts.of(changed.repo), index)
        assert find("touches", ("src",)) is find("touches", ("src",))
        assert find("touches", ("src",)) is not find("touches", ("train.py",))
