"""Runs that are named by what the registry says of them, with a ref and without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import Track
from gittrack import commits, lineage, recorded, revisions
from gittrack.errors import BadPath, BrokenRecord, GittrackError, ModelNotFound, RunNotFound
from gittrack.git import Identity, Repo
from gittrack.records import Artifact, Data, Input
from gittrack.refs import RunRef
from in_process import track_here
from recorded_runs import NOON, record
from registered import OTHER, RUN, Wine
from remotes import directory_config, set_up

_ADA = Identity("Ada Lovelace", "ada@example.org")


@pytest.fixture
def track() -> Track:
    """`track(place, *arguments)`, in this process."""
    return track_here


@pytest.fixture
def wine(repo_dir: Path, tmp_path: Path) -> Wine:
    """Version 1.0.0, the champion, and 1.2.0 in production; a newer run that is no version."""
    made = Wine(repo_dir, tmp_path / "scratch")
    made.register("1.0.0")
    made.register("1.2.0", on=OTHER)
    made.tag("wine#production#1", on=OTHER, version="1.2.0", previous="none")
    made.tag("wine#champion#2", version="1.0.0", kind="alias", previous="none")
    record(repo_dir, 99_999, "newest-run-zzzzzz")
    return made


@pytest.fixture
def clone(wine: Wine, tmp_path: Path, git: Any) -> Repo:
    """What `git clone` brings: commits and tags, and no ref of a run."""
    git(tmp_path, "clone", "-q", str(wine.root), "clone")
    assert git(tmp_path / "clone", "for-each-ref", "refs/runs") == ""
    return Repo.open(tmp_path / "clone")


NAMED = [
    ("wine@v1.0.0", RUN),
    ("wine@1.0.0", RUN),
    ("wine@champion", RUN),
    ("wine@1.2.0", OTHER),
    ("wine@production", OTHER),
    ("wine@latest", OTHER),
    ("wine#production#1", OTHER),
    ("tags/wine@v1.0.0", RUN),
    ("refs/tags/wine#champion#2", RUN),
    ("wine@v1.0.0^{commit}", RUN),
]


@pytest.mark.parametrize(("selector", "name"), NAMED)
def test_a_version_is_a_name_of_its_run(wine: Wine, selector: str, name: str) -> None:
    """DESIGN 5: versions and stages stand wherever RUN does; a newer run on the branch does not."""
    found = revisions.resolve(Repo.open(wine.root), selector)
    assert found == RunRef("default", name, wine.commits[name])


@pytest.mark.parametrize(("selector", "name"), NAMED)
def test_a_plain_clone_knows_the_same_run(
    wine: Wine, clone: Repo, selector: str, name: str
) -> None:
    """Tags are all that `git clone` brings, and all that is needed: the run is its commit."""
    found = revisions.resolve(clone, selector)
    assert found == RunRef("default", name, wine.commits[name])
    assert commits.load(clone, found).name == name


@pytest.mark.parametrize(
    "way", ["{}", "default/{}", "runs/default/{}", "refs/runs/default/{}", "{commit}", "{short}"]
)
def test_what_a_clone_prints_of_a_run_names_it_there(wine: Wine, clone: Repo, way: str) -> None:
    """`git track show wine@production` ends with a command that has the run's own name."""
    commit = wine.commits[RUN]
    said = way.format(RUN, commit=commit, short=commit[:10])
    assert revisions.resolve(clone, said) == RunRef("default", RUN, commit)


def test_a_branch_at_a_runs_commit_is_that_run(wine: Wine, clone: Repo, git: Any) -> None:
    """Not the newest run of a parent, which would be another one without a word."""
    root = Path(str(clone.root))
    git(root, "branch", "try", wine.commits[RUN])
    assert revisions.resolve(clone, "try").name == RUN
    # The same where other runs have refs.
    record(root, 7, "local-run-aaaaaa")
    for selector in ("try", "wine@v1.0.0", wine.commits[RUN][:12]):
        assert revisions.resolve(clone, selector).name == RUN
    assert revisions.resolve(clone, "main").name == "local-run-aaaaaa"


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("wien@production", "did you mean 'wine'?"),
        ("nothing-like-it@v1.0.0", "`git track model ls`"),
        ("wine@staging", "it has champion, production, v1.2.0, v1.0.0."),
        ("wine@9.9.9", "there is no '9.9.9' of 'wine'"),
        ("wine", "'wine' is a model: `wine@champion` is a run."),
        ("plain@latest", "which is no run"),
        ("plain@v1.0.0", "which is no run"),
        ("plain#dev#1", "which is no run"),
    ],
)
def test_what_the_registry_does_not_have_is_never_another_run(
    wine: Wine, clone: Repo, git: Any, selector: str, said: str
) -> None:
    """A tag of another tool may be on code: the newest run of a parent would be a silent lie."""
    for repo in (Repo.open(wine.root), clone):
        for name in ("plain@v1.0.0", "plain#dev#1"):
            git(Path(str(repo.root)), "tag", "-a", "-m", "by hand", name, "main")
        with pytest.raises(RunNotFound) as caught:
            revisions.resolve(repo, selector)
        assert said in f"{caught.value.message} {caught.value.hint}"
        assert isinstance(caught.value, ModelNotFound) is selector.startswith(("wi", "no")) & (
            "@" in selector
        )


def test_a_branch_that_looks_like_a_version_is_a_branch(wine: Wine, git: Any) -> None:
    """Models go before revisions where there is such a model; else Git's own names stay."""
    git(wine.root, "branch", "ada@feature", "main")
    git(wine.root, "branch", "wine@production", "main")
    repo = Repo.open(wine.root)
    assert revisions.resolve(repo, "ada@feature").name == "newest-run-zzzzzz"
    assert revisions.resolve(repo, "wine@production").name == OTHER
    assert revisions.resolve(repo, "heads/wine@production").name == "newest-run-zzzzzz"
    assert revisions.resolve(repo, "HEAD@{0}").name == "newest-run-zzzzzz"


def test_a_tag_that_does_not_count_is_a_name_of_its_commit(wine: Wine, git: Any) -> None:
    """`wine@v3.0.0` as a lightweight tag registers nothing, but it is on this very run."""
    git(wine.root, "tag", "wine@v3.0.0", wine.commits[RUN])
    git(wine.root, "tag", "-a", "-m", "no more", "wine@deprecated", wine.commits[OTHER])
    repo = Repo.open(wine.root)
    assert revisions.resolve(repo, "wine@v3.0.0").name == RUN
    assert revisions.resolve(repo, "wine@deprecated").name == OTHER


def test_one_experiment_only(wine: Wine, clone: Repo) -> None:
    """Who asks within an experiment gets no run of another."""
    for repo in (Repo.open(wine.root), clone):
        assert revisions.resolve(repo, "wine@production", experiment="default").name == OTHER
        with pytest.raises(RunNotFound):
            revisions.resolve(repo, "wine@production", experiment="trees")


def test_versions_are_ends_of_ranges(wine: Wine, clone: Repo) -> None:
    """In a clone nobody knows what lies between: that is said."""
    repo = Repo.open(wine.root)
    names = {ref.name for ref in revisions.resolve_many(repo, ["wine@1.0.0..wine@1.0.0"])}
    assert names == {RUN}
    with pytest.raises(RunNotFound, match="has no ref"):
        revisions.resolve_many(clone, ["wine@1.0.0.."])
    both = revisions.resolve_many(clone, ["wine@1.0.0", "wine@production", "wine@champion"])
    assert [ref.name for ref in both] == [RUN, OTHER]


def test_a_deleted_run_is_still_what_was_registered(wine: Wine, track: Any) -> None:
    """Deleting hides a run from listings; what is in production does not become another."""
    track(wine.root, "rm", OTHER, check=0)
    assert revisions.resolve(Repo.open(wine.root), "wine@production").name == OTHER


def test_every_kind_of_repository_knows_versions(every_repo: Any, git: Any) -> None:
    """Bare, a work tree of another, packed, shallow: tags are read wherever Git reads them."""
    record(every_repo.path, 1, "calm-lynx-aaaaaa")
    git(
        every_repo.path,
        "tag",
        "-a",
        "-m",
        "x",
        "eu=churn/a@v1.0.0",
        "runs/default/calm-lynx-aaaaaa",
    )
    git(every_repo.path, "update-ref", "-d", "refs/runs/default/calm-lynx-aaaaaa")
    repo = Repo.open(every_repo.path)
    for selector in ("eu:churn/a@latest", "eu:churn/a@v1.0.0", "eu=churn/a@v1.0.0"):
        assert revisions.resolve(repo, selector).name == "calm-lynx-aaaaaa"


@pytest.mark.parametrize(
    "selector",
    ["wine@", "@v1.0.0", "wine@@production", "wine@v1.0.0@x", "wine@--all", "-wine@latest",
     "wine@$(id)", "wine@\x1b[2J", "wine@pro\nduction", "wine@" + "9" * 5_000, "wine@v1.0.0~999",
     "w" * 5_000 + "@latest", "wine#production", "wine#production#0", "\udcff@latest"],
)  # fmt: skip
def test_what_looks_like_a_version_and_is_none_names_no_run(wine: Wine, selector: str) -> None:
    """Whatever is typed, or comes from a file of somebody's: one error, and quickly."""
    with pytest.raises(RunNotFound) as caught:
        revisions.resolve(Repo.open(wine.root), selector)
    assert caught.value.selector in selector


# -- what the commit says -------------------------------------------------------------------------


def test_a_commit_says_which_run_it_is(wine: Wine, clone: Repo, git: Any) -> None:
    """By its record; a commit of the user's, or one with a run's words alone, is none."""
    assert commits.identify(clone, wine.commits[RUN]) == RunRef("default", RUN, wine.commits[RUN])
    assert commits.identify(clone, git(wine.root, "rev-parse", "main").strip()) is None
    message = git(wine.root, "show", "-s", "--format=%B", wine.commits[RUN])
    git(wine.root, "commit", "-q", "--allow-empty", "-m", message)
    picked = git(wine.root, "rev-parse", "HEAD").strip()
    assert commits.identify(Repo.open(wine.root), picked) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"name: x", b"name: [x]\nexperiment: default", b"name: ../x\nexperiment: default",
     b"name: !!python/object/apply:os.system [id]", b"{" * 100_000, b"\xff\0"],
)  # fmt: skip
def test_a_record_that_makes_no_sense_is_a_broken_run(
    repo_dir: Path, git: Any, content: bytes
) -> None:
    """A clone's commits are hostile until read: one line says which commit, and nothing runs."""
    repo = Repo.open(repo_dir)
    record(repo_dir, 1, "calm-lynx-aaaaaa")
    message = git(repo_dir, "show", "-s", "--format=%B", "runs/default/calm-lynx-aaaaaa")
    inner = repo.write_tree({"run.yaml": (repo.write_blob(content), 0o100644)})
    commit = repo.write_commit(
        tree=repo.write_tree({".gittrack": (inner, 0o040000)}), parents=[], message=message,
        author=_ADA, started=NOON.timestamp(), ended=NOON.timestamp(),
    )  # fmt: skip
    git(repo_dir, "tag", "-a", "-m", "evil", "evil@v1.0.0", commit)
    with pytest.raises(BrokenRecord) as caught:
        revisions.resolve(repo, "evil@v1.0.0")
    assert commit[:12] in caught.value.message and "\n" not in caught.value.message
    assert "runs//" not in f"{caught.value.message} {caught.value.hint}"


# -- the verbs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["show", "wine@production"],
        ["show", "--json", "wine@1.0.0"],
        ["diff", "wine@production", "wine@champion"],
        ["logs", "wine@production"],
        ["lineage", "wine@production"],
        ["lineage", "--down", "wine@production"],
        ["lineage", "--json", "wine@production"],
        ["plot", "loss", "wine@production", "wine@champion"],
        ["checkout", "wine@production", "--worktree", "../tree"],
        ["tag", "wine@production", "seen=yes"],
    ],
    ids=lambda words: " ".join(words),
)
def test_every_verb_takes_a_version_in_a_plain_clone(
    repo_dir: Path, tmp_path: Path, git: Any, track: Any, words: list[str]
) -> None:
    """The colleague who only cloned is the one who asks what is in production."""
    from gittrack.records import Row

    made = Wine(repo_dir, tmp_path / "scratch")
    for number, name in ((1, "plotted-run-aaaaaa"), (2, "plotted-run-bbbbbb")):
        record(
            repo_dir, number, name, [Row(n, float(n), {"loss": 1 / (n + 1)}) for n in range(3)],
            metrics={"loss": 0.3}, command=("python", "train.py"),
        )  # fmt: skip
        made.commits[name] = git(repo_dir, "rev-parse", f"runs/default/{name}").strip()
        made.md5s[name], made.ids[name] = "1" * 32, f"{number:032x}"
    made.register("1.0.0", on="plotted-run-aaaaaa")
    made.register("1.2.0", on="plotted-run-bbbbbb")
    made.tag("wine#production#1", on="plotted-run-bbbbbb", version="1.2.0")
    made.tag("wine#champion#2", on="plotted-run-aaaaaa", version="1.0.0", kind="alias")
    git(tmp_path, "clone", "-q", str(repo_dir), "clone")
    done = track(tmp_path / "clone", *words, check=0)
    if words[0] in ("show", "diff", "lineage", "tag"):
        assert "plotted-run-bbbbbb" in done.stdout or "plotted-run-aaaaaa" in done.stdout


def test_files_come_from_the_data_remote_into_a_plain_clone(
    repo_dir: Path, tmp_path: Path, git: Any, track: Any
) -> None:
    """`git track get wine@production` needs the tags and the data remote, and nothing else."""
    set_up(repo_dir, directory_config(tmp_path / "store"))
    git(repo_dir, "add", ".dvc")
    git(repo_dir, "commit", "-q", "-m", "Use DVC")
    made = Wine(repo_dir, tmp_path / "scratch")
    made.register("1.0.0")
    track(repo_dir, "send", RUN, check=0)
    git(tmp_path, "clone", "-q", str(repo_dir), "clone")
    done = track(tmp_path / "clone", "get", "wine@latest", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clone" / "out" / "model.joblib").read_text() == RUN


def test_a_clone_without_the_content_says_what_would_help(clone: Repo, track: Any) -> None:
    """No data remote is set: the way to set one is the hint."""
    done = track(clone.root, "get", "wine@production", check=1)
    assert "no data remote is set" in done.stderr and "dvc remote add" in done.stderr


def test_lineage_of_a_run_without_a_ref(repo_dir: Path, tmp_path: Path, git: Any) -> None:
    """What it read is in its record; the run that made it is not here, and is named."""
    record(repo_dir, 1, "load-fox-aaaaaa", artifacts=(Artifact("a.csv", "1" * 32, 20),))
    source = git(repo_dir, "rev-parse", "runs/default/load-fox-aaaaaa").strip()
    record(
        repo_dir, 2, "train-fox-aaaaaa", command=("python", "train.py"),
        inputs=(Input("runs/default/load-fox-aaaaaa", f"{1:032x}", source, "a.csv"),),
        data=(Data("a.csv", "1" * 32, 20), Data("b.csv", "2" * 32, 20)),
    )  # fmt: skip
    commit = git(repo_dir, "rev-parse", "runs/default/train-fox-aaaaaa").strip()
    whole = lineage.of_run(Repo.open(repo_dir), commit, "up")
    git(repo_dir, "tag", "-a", "-m", "x", "fox@v1.0.0", commit)
    git(tmp_path, "clone", "-q", str(repo_dir), "clone")
    clone = Repo.open(tmp_path / "clone")
    graph = lineage.of_run(clone, commit, "up")
    assert graph.nodes[commit] == whole.nodes[commit]
    missing = [node.missing for node in graph.nodes.values() if node.missing]
    assert [one.run for one in missing] == ["runs/default/load-fox-aaaaaa"]
    assert {node.path for node in graph.nodes.values() if node.path} == {"b.csv"}
    assert len(graph.links) == len(whole.links) == 2
    with pytest.raises(RunNotFound):
        lineage.of_run(clone, git(repo_dir, "rev-parse", "main").strip(), "up")


def test_python_reads_and_loads_by_version(wine: Wine, clone: Repo) -> None:
    """`get_run` and `load_artifact` go the same way as the commands."""
    for repo in (Repo.open(wine.root), clone):
        run = recorded.find(repo, "wine@production")
        assert (run.name, run.commit) == (OTHER, wine.commits[OTHER])
        assert [kept.path for kept in run.artifacts] == ["model.joblib"]
        with pytest.raises(BadPath):
            run.load_artifact("nothing")
    path = recorded.find(Repo.open(wine.root), "wine@production").load_artifact("model.joblib")
    assert path.read_text() == OTHER


def test_a_run_of_another_tools_tag_is_loaded_by_its_commit(
    wine: Wine, tmp_path: Path, git: Any
) -> None:
    """Without our trailers no tag says the run's name, and its own commit still does."""
    git(wine.root, "tag", "-a", "-m", "by gto", "cork@v1.0.0", wine.commits[RUN])
    for name in git(wine.root, "tag", "--list", "wine*").split():
        git(wine.root, "tag", "-d", name)
    git(tmp_path, "clone", "-q", str(wine.root), "clone")
    run = recorded.find(Repo.open(tmp_path / "clone"), "cork@latest")
    assert run.name == RUN
    with pytest.raises(GittrackError, match="not in the cache"):
        run.load_artifact("model.joblib")


def test_a_misspelt_model_is_an_error_in_json_commands_too(wine: Wine, track: Any) -> None:
    """A program sees exit code 1 and no document."""
    done = track(wine.root, "show", "--json", "wine@nobody", check=1)
    assert done.stdout == "" and "it has champion, production" in done.stderr
    told = json.loads(track(wine.root, "show", "--json", "wine@1.0.0", check=0).stdout)
    assert RUN in json.dumps(told)
