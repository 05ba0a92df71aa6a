"""Lineage: equal bytes link runs, links are followed, and what fell behind is known."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given as given_values
from hypothesis import settings
from hypothesis import strategies as st

from gittrack import cache, commits, manifest, refs, setup
from gittrack.errors import RunNotFound
from gittrack.git import Repo
from gittrack.lineage import Graph, Stale, Way, inputs_of, of_file, of_run, stale
from gittrack.records import Artifact, Data, Input, Run
from gittrack.refs import RunRef
from test_index import ADA, NOON, given, md5, record, say


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    found = Repo.open(repo_dir)
    found.sync(False)
    return found


def read(path: str, text: str, size: int = 99) -> Data:
    """That this text was read from this path."""
    return Data(path, md5(text), size)


def names(found: Sequence[Input]) -> list[str]:
    return [one.run.rpartition("/")[2] for one in found]


# -- inputs of a new run ------------------------------------------------------------------------


def test_the_run_that_kept_the_same_bytes_is_an_input(repo: Repo) -> None:
    """With no id typed by anyone: load, process and train become one graph."""
    load = record(repo, 1, "load-aaaaaa", kept={"out/a.csv": "a", "out/b.csv": "b"})
    found = inputs_of(repo, [read("x/b.csv", "b"), read("c.csv", "c"), read("out/a.csv", "a")])
    assert found == (given(load, 1, "out/b.csv"), given(load, 1, "out/a.csv"))
    assert inputs_of(repo, [read("c.csv", "c")]) == inputs_of(repo, []) == ()


def test_each_artifact_stands_once(repo: Repo) -> None:
    """However many files were copies of it."""
    load = record(repo, 1, "load-aaaaaa", kept={"a": "a"})
    found = inputs_of(repo, [read("a", "a"), read("b", "a")])
    assert found == (given(load, 1, "a"),)


def test_empty_files_lead_nowhere(repo: Repo) -> None:
    """All empty files have the same bytes, and nobody's."""
    empty = hashlib.md5(b"").hexdigest()
    record(repo, 1, "load-aaaaaa", artifacts=(Artifact("a", empty, 0), Artifact("b", "e" * 32, 0)))
    assert inputs_of(repo, [Data("a", empty, 0), Data("b", "e" * 32, 0)]) == ()
    assert inputs_of(repo, [Data("a", empty, 1)]) == ()


@pytest.mark.parametrize(
    ("other", "chosen"),
    [
        ({"number": 2}, "other-aaaaaa"),
        ({"number": 0}, "load-aaaaaa"),
        ({"number": 2, "path": "elsewhere"}, "load-aaaaaa"),
        ({"number": 2, "status": "failed"}, "load-aaaaaa"),
        ({"number": 2, "status": "failed", "alone": True}, "other-aaaaaa"),
        ({"number": 20}, "load-aaaaaa"),
        ({"number": 20, "alone": True}, None),
        ({"number": 1}, "load-aaaaaa"),
    ],
    ids=[
        "later", "earlier", "another path", "failed", "failed but alone", "after the reader",
        "after the reader but alone", "at once",
    ],
)  # fmt: skip
def test_of_several_candidates_the_likeliest(
    repo: Repo, other: dict[str, object], chosen: str | None
) -> None:
    """The one that a user would say; it is the same on every machine."""
    more = dict(other)
    number, path = int(str(more.pop("number"))), str(more.pop("path", "a.csv"))
    if not more.pop("alone", False):
        record(repo, 1, "load-aaaaaa", kept={"a.csv": "a"})
    record(repo, number, "other-aaaaaa", kept={path: "a"}, **more)
    before = NOON + timedelta(minutes=10)
    found = inputs_of(repo, [read("a.csv", "a")], before=before)
    assert names(found) == ([chosen] if chosen else [])


def test_a_run_that_read_the_same_bytes_did_not_make_them(repo: Repo) -> None:
    """`cp d/raw d/clean` kept the bytes of d/raw: raw would come from what was made of it."""
    record(repo, 1, "clean-aaaaaa", data={"d/raw": "r"}, kept={"d/clean": "r"})
    assert inputs_of(repo, [read("d/raw", "r")]) == ()
    assert inputs_of(repo, [read("elsewhere", "r")]) == ()
    assert names(inputs_of(repo, [read("d/clean", "r")])) == ["clean-aaaaaa"]
    raw = of_file(repo, "d/raw", md5("r"), "up")
    assert raw is not None and len(raw.nodes) == 1
    record(repo, 0, "load-aaaaaa", kept={"download": "r"})
    assert names(inputs_of(repo, [read("d/raw", "r")])) == ["load-aaaaaa"]
    assert names(inputs_of(repo, [read("d/clean", "r")])) == ["clean-aaaaaa"]


def test_a_run_that_left_its_data_as_it_was_did_not_make_it(repo: Repo) -> None:
    """It sorted a file that was sorted: the run before it is what the bytes came from."""
    record(repo, 1, "load-aaaaaa", kept={"d.csv": "d"})
    record(repo, 2, "sort-aaaaaa", data={"d.csv": "d"}, kept={"d.csv": "d"})
    assert names(inputs_of(repo, [read("d.csv", "d")])) == ["load-aaaaaa"]


def test_a_copied_directory_is_of_who_made_it(repo: Repo) -> None:
    """Also where one file of it is read; one that was brought there came from who brought it."""
    folder = keep_folder(repo, {"a.csv": "a", "labels.csv": "l"})
    record(repo, 1, "load-aaaaaa", folders={"d/raw": folder})
    copied = Data("d/raw", folder, 99, 2)
    copy = Artifact("copy/raw", folder, 99, 2)
    started = NOON + timedelta(minutes=2)
    run = Run(
        id="2" * 32, name="copy-aaaaaa", experiment="default", status="finished", started=started,
        ended=started, data=(copied,), artifacts=(copy,),
    )  # fmt: skip
    commits.write(repo, run, tree=repo.empty_tree(), author=ADA)
    assert names(inputs_of(repo, [read("d/raw/a.csv", "a"), copied])) == ["load-aaaaaa"]
    record(repo, 3, "process-aaaaaa", data={"labels.csv": "l"}, folders={"processed": folder})
    found = inputs_of(repo, [read("processed/labels.csv", "l")])
    assert names(found) == ["process-aaaaaa"]


@pytest.mark.parametrize(("size", "found"), [(15, ["load-aaaaaa"]), (16, ["load-aaaaaa"] * 2)])
def test_tiny_content_counts_only_under_its_name(repo: Repo, size: int, found: list[str]) -> None:
    """`1` and `done` are made again and again, by runs that have nothing to do with each other."""
    record(repo, 1, "load-aaaaaa", kept={"out/flag": "1", "out/other": "2"})
    wanted = [read("elsewhere/flag", "1", size), read("out/another", "2", size)]
    assert names(inputs_of(repo, wanted)) == found
    record(repo, 2, "train-aaaaaa", data={"out/flag": "1"})
    down = of_file(repo, "new", md5("1"), "down", size=size)
    assert (down is None) == (size == 15)
    up = of_file(repo, "new/other", md5("2"), "up", size=size)
    assert drawn(up) == {("load", "new/other", "out/other")}


def test_a_tiny_file_in_a_directory_is_found_by_its_path(repo: Repo) -> None:
    """Another run kept the same few bytes by themselves, under another name."""
    folder = keep_folder(repo, {"flag": "1"})
    record(repo, 1, "load-aaaaaa", folders={"data": folder})
    record(repo, 2, "other-aaaaaa", kept={"done": "1"})
    assert names(inputs_of(repo, [read("data/flag", "1", 2)])) == ["load-aaaaaa"]


def test_deleted_runs_are_no_inputs(repo: Repo) -> None:
    """Who deleted a run does not want to meet it again."""
    record(repo, 1, "load-aaaaaa", kept={"a.csv": "a"})
    assert inputs_of(repo, [read("a.csv", "a")])
    say(repo, "load-aaaaaa", "delete")
    assert inputs_of(repo, [read("a.csv", "a")]) == ()


def keep_folder(repo: Repo, members: dict[str, str]) -> str:
    """Put a directory's listing into the cache -> its hash."""
    listing = manifest.encode(manifest.Member(path, md5(text)) for path, text in members.items())
    store = cache.open_cache(repo, setup.read(repo))
    name = hashlib.md5(listing).hexdigest()
    place = store.path(name + ".dir")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(listing)
    return name + ".dir"


def test_a_file_inside_a_directory_that_a_run_kept(repo: Repo) -> None:
    """`process` keeps a directory, `train` reads one file of it."""
    folder = keep_folder(repo, {"train.csv": "t", "inner/test.csv": "e"})
    load = record(repo, 1, "load-aaaaaa", folders={"data/processed": folder})
    whole = given(load, 1, "data/processed")
    for path, text in (
        ("data/processed/train.csv", "t"),
        ("data/processed/inner/test.csv", "e"),
        ("elsewhere/processed/train.csv", "t"),
    ):
        assert inputs_of(repo, [read(path, text)]) == (whole,)
    assert inputs_of(repo, [Data("elsewhere", folder, 99, 2)]) == (whole,)
    for path, text in (
        ("data/processed/train.csv", "other"),
        ("data/train.csv", "t"),
        ("data/processed/test.csv", "e"),
        ("processed", "t"),
    ):
        assert inputs_of(repo, [read(path, text)]) == ()


def test_a_listing_that_is_not_here_or_damaged_finds_nothing(repo: Repo) -> None:
    """A colleague's directory may not have been fetched: no reason to lose a run."""
    folder = keep_folder(repo, {"train.csv": "t"})
    record(repo, 1, "load-aaaaaa", folders={"data": folder, "other": "0" * 32 + ".dir"})
    store = cache.open_cache(repo, setup.read(repo))
    store.path(folder).write_bytes(b"[{]")
    wanted = [read("data/train.csv", "t"), read("other/train.csv", "t")]
    assert inputs_of(repo, wanted) == ()


def test_history_does_not_make_it_slower(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the directories called so, only the listings of the last ones are read."""
    for number in range(40):
        record(repo, number, f"load-{number:06}", folders={"data": f"{number:032x}.dir"})
    asked: list[str] = []

    def watched(self: cache.Cache, name: str) -> tuple[manifest.Member, ...]:
        asked.append(name)
        return ()

    monkeypatch.setattr(cache.Cache, "members", watched)
    inputs_of(repo, [read("data/a", "a"), read("data/b", "b")])
    assert asked == [f"{number:032x}.dir" for number in range(39, 23, -1)]


# -- graphs -------------------------------------------------------------------------------------


def drawn(graph: Graph | None) -> set[tuple[str, str, str]]:
    """The links of a graph, with names of runs and files instead of keys."""
    assert graph is not None

    def name(key: str) -> str:
        node = graph.nodes[key]
        if node.run is not None:
            return node.run.name.removesuffix("-aaaaaa")
        return f"?{node.missing.id[-1]}" if node.missing is not None else str(node.path)

    return {(name(link.source), name(link.target), ",".join(link.paths)) for link in graph.links}


@pytest.fixture
def chain(repo: Repo) -> dict[str, RunRef]:
    """raw.csv -> load -> process, and both -> train, which reads labels.csv, too."""
    load = record(repo, 1, "load-aaaaaa", data={"raw.csv": "r"}, kept={"a": "a", "b": "b"})
    process = record(
        repo, 2, "process-aaaaaa", data={"a": "a"}, kept={"c": "c"}, inputs=(given(load, 1, "a"),)
    )
    train = record(
        repo, 3, "train-aaaaaa", data={"c": "c", "b": "b", "labels.csv": "l"}, kept={"m": "m"},
        inputs=(given(process, 2, "c"), given(load, 1)),
    )  # fmt: skip
    return {"load": load, "process": process, "train": train}


UP = {
    ("raw.csv", "load", "raw.csv"), ("load", "process", "a"), ("process", "train", "c"),
    ("load", "train", "b"), ("labels.csv", "train", "labels.csv"),
}  # fmt: skip
DOWN = {("load", "process", "a"), ("load", "train", "b"), ("process", "train", "c")}


def test_up_and_down_a_chain(repo: Repo, chain: dict[str, RunRef]) -> None:
    """Load, process, train: one graph, whatever end it is asked from."""
    assert drawn(of_run(repo, chain["train"].commit, "up")) == UP
    assert drawn(of_run(repo, chain["load"].commit, "down")) == DOWN
    assert drawn(of_run(repo, chain["train"].commit, "down")) == set()
    assert len(of_run(repo, chain["train"].commit, "up").nodes) == 5


def test_what_must_be_run_again_when_a_file_changes(repo: Repo, chain: dict[str, RunRef]) -> None:
    """By its path, whatever is in it now; by its bytes, wherever they lie now."""
    expected = {("raw.csv", "load", "raw.csv"), *DOWN}
    assert drawn(of_file(repo, "raw.csv", md5("changed"), "down")) == expected
    assert drawn(of_file(repo, "raw.csv", None, "down")) == expected
    moved = drawn(of_file(repo, "moved.csv", md5("r"), "down"))
    assert moved == {("moved.csv", "load", "raw.csv"), *DOWN}
    assert of_file(repo, "unheard-of", md5("unheard of"), "down") is None


def test_what_made_a_file(repo: Repo, chain: dict[str, RunRef]) -> None:
    """By its bytes, and only where nobody has them by its path."""
    by_bytes = of_file(repo, "copy", md5("m"), "up")
    assert drawn(by_bytes) == {("train", "copy", "m"), *UP}
    assert by_bytes is not None and not by_bytes.by_path
    by_path = of_file(repo, "m", md5("changed"), "up")
    assert drawn(by_path) == {("train", "m", "m"), *UP}
    assert by_path is not None and by_path.by_path
    assert drawn(of_file(repo, "raw.csv", md5("r"), "up")) == set()


def test_runs_of_one_step_newest_first(repo: Repo, chain: dict[str, RunRef]) -> None:
    """What was run ten times has to be run once again; the other steps come before the old ones."""
    load = chain["load"]
    for number in (5, 6):
        record(
            repo, number, f"train-{number}aaaaa", data={"b": "b"}, inputs=(given(load, 1),),
            command=("python", "train.py"),
        )  # fmt: skip
    graph = of_run(repo, load.commit, "down")
    below = [graph.nodes[key] for key, _ in graph.steps()[load.commit]]
    assert [(node.run.name, node.older) for node in below if node.run] == [
        ("train-6aaaaa", False), ("process-aaaaaa", False), ("train-5aaaaa", True),
        ("train-aaaaaa", True),
    ]  # fmt: skip


def test_what_was_made_from_an_older_run_and_made_again_is_older(repo: Repo) -> None:
    """Where `ls --stale` says `run again as`; what nobody made again still has to be."""
    load = record(repo, 1, "load-aaaaaa", kept={"a": "a"})
    for number in (2, 5):
        process = record(
            repo, number, f"process{number}-aaaaaa", data={"a": "a"}, kept={"b": f"b{number}"},
            inputs=(given(load, 1, "a"),), command=("process",),
        )  # fmt: skip
        for step in ("train", "report")[: 1 if number == 5 else 2]:
            record(
                repo, number + (step == "train"), f"{step}{number}-aaaaaa", command=(step,),
                data={"b": f"b{number}"}, inputs=(given(process, number, "b"),),
            )  # fmt: skip
    graph = of_run(repo, load.commit, "down")
    older = {node.run.name: node.older for node in graph.nodes.values() if node.run}
    assert older == {
        "load-aaaaaa": False, "process5-aaaaaa": False, "process2-aaaaaa": True,
        "train5-aaaaaa": False, "train2-aaaaaa": True, "report2-aaaaaa": False,
    }  # fmt: skip


def test_runs_that_are_not_here_and_runs_that_moved(repo: Repo, chain: dict[str, RunRef]) -> None:
    """filter-repo gives every commit another id: the run's own id finds it; else it is missing."""
    (load,) = (r for r in refs.all_runs(repo) if r.name == "load-aaaaaa")
    refs.delete(repo, [load])
    graph = of_run(repo, chain["train"].commit, "up")
    assert ("?1", "process", "") in drawn(graph)
    record(repo, 1, "load-aaaaaa", kept={"a": "a", "b": "b"}, user="somebody else")
    moved = of_run(repo, chain["train"].commit, "up")
    assert ("load", "process", "a") in drawn(moved)
    (moved_to,) = (r for r in refs.all_runs(repo) if r.name == "load-aaaaaa")
    assert moved_to.commit != load.commit
    assert drawn(of_run(repo, moved_to.commit, "down")) == DOWN


def test_deleted_runs_are_behind_and_not_ahead(repo: Repo, chain: dict[str, RunRef]) -> None:
    """What a model came from stays true; what to run again is another question."""
    say(repo, "process-aaaaaa", "delete")
    up = of_run(repo, chain["train"].commit, "up")
    assert drawn(up) == UP
    assert up.nodes[chain["process"].commit].run.deleted  # type: ignore[union-attr]
    assert drawn(of_run(repo, chain["load"].commit, "down")) == {("load", "train", "b")}


def test_runs_that_name_each_other_and_themselves(repo: Repo) -> None:
    """By commit it cannot happen; by id, anybody can write it."""
    nowhere = "0" * 40
    for number, other in ((1, 2), (2, 1), (3, 3)):
        named = Input("runs/default/x", f"{other:032x}", nowhere, None)
        record(repo, number, f"n{number}-aaaaaa", inputs=(named,))
    for ref in refs.all_runs(repo):
        ways: tuple[Way, ...] = ("up", "down")
        for way in ways:
            graph = of_run(repo, ref.commit, way)
            assert len(graph.nodes) == (1 if ref.name.startswith("n3") else 2)
    assert stale(repo) == {}


def test_a_commit_that_is_no_run(repo: Repo) -> None:
    """The caller learns it; an empty graph would say that it came from nothing."""
    with pytest.raises(RunNotFound, match="no run that can be read"):
        of_run(repo, repo.head()[0] or "", "up")


def many(repo: Repo, edges: Sequence[Sequence[int]]) -> list[RunRef]:
    """Runs of which each has those of these numbers as inputs, recorded as one pack."""
    made: list[RunRef] = []
    tree = repo.empty_tree()
    repo.state.mkdir(exist_ok=True)
    with repo.packed():
        for number, sources in enumerate(edges):
            started = NOON + timedelta(seconds=number)
            run = Run(
                id=f"{number:032x}", name=f"r{number}-aaaaaa", experiment="default",
                status="finished", started=started, ended=started, command=(str(number),),
                inputs=tuple(given(made[source], source) for source in sources),
            )  # fmt: skip
            commit = commits.store(repo, run, tree=tree, author=ADA)
            made.append(RunRef("default", run.name, commit))
    refs.create_many(repo, made)
    return made


@pytest.mark.parametrize("shape", ["deep", "wide"])
def test_two_thousand_runs(repo: Repo, shape: str) -> None:
    """No recursion, and no question for each run."""
    count = 2000
    edges = [[] if n == 0 else [n - 1] if shape == "deep" else [0] for n in range(count)]
    made = many(repo, edges)
    began = time.process_time()
    assert len(of_run(repo, made[0].commit, "down").nodes) == count
    up = of_run(repo, made[-1].commit, "up")
    assert len(up.nodes) == (count if shape == "deep" else 2)
    assert stale(repo) == {}
    assert time.process_time() - began < 20


# -- what has fallen behind -----------------------------------------------------------------------


def reasons(repo: Repo) -> dict[str, tuple[str, str | None, str | None]]:
    """Why which run is stale, by names."""

    def short(run: object) -> str | None:
        return None if run is None else str(run.name).removesuffix("-aaaaaa")  # type: ignore[attr-defined]

    every = {ref.commit: ref.name.removesuffix("-aaaaaa") for ref in refs.all_runs(repo)}
    return {
        every[commit]: (short(why.input) or "", short(why.newer), short(why.again))
        for commit, why in stale(repo).items()
    }


def again(repo: Repo, number: int, text: str, **more: object) -> RunRef:
    """Run the first step again."""
    fields = {"kept": {"a": text, "b": "b"}, "command": ("python", "load.py")} | more
    return record(repo, number, f"load{number}-aaaaaa", **fields)


def test_nothing_is_stale_in_a_chain_that_ran_once(repo: Repo, chain: object) -> None:
    """Else the mark would mean nothing."""
    assert stale(repo) == {}


def test_a_newer_input_makes_stale_and_so_on_down(repo: Repo, chain: object) -> None:
    """Process read `a`, which is another one now; train read what process made."""
    again(repo, 7, "new")
    assert reasons(repo) == {
        "process": ("load", "load7", None),
        "train": ("process", None, None),
    }


@pytest.mark.parametrize(
    "more",
    [
        {"status": "failed"}, {"status": "killed"}, {"experiment": "other"},
        {"command": ("python", "load.py", "--year", "2019")}, {"kept": {"a": "a", "b": "b"}},
        {"kept": {"moved": "a", "b": "b", "c": "c"}},
    ],
    ids=["failed", "killed", "experiment", "command", "same bytes", "same bytes elsewhere"],
)  # fmt: skip
def test_what_makes_nothing_stale(repo: Repo, chain: object, more: dict[str, object]) -> None:
    """Another step, one that made nothing, or one after which nothing is different."""
    again(repo, 7, "new", **more)
    assert stale(repo) == {}


@pytest.mark.parametrize("what", ["delete", "archive"])
def test_runs_that_are_put_away_make_nothing_stale(repo: Repo, chain: object, what: str) -> None:
    """The newest run may have been a mistake; then the one before it counts again."""
    again(repo, 7, "new")
    assert reasons(repo)
    say(repo, "load7-aaaaaa", what)
    assert stale(repo) == {}


def test_what_was_run_again_says_so(repo: Repo, chain: object) -> None:
    """The old ones stay what they are; the new ones are up to date."""
    load = again(repo, 7, "new")
    process = record(
        repo, 8, "process8-aaaaaa", data={"a": "new"}, kept={"c": "new c"},
        inputs=(given(load, 7),), command=("python", "process.py"),
    )  # fmt: skip
    assert reasons(repo) == {
        "process": ("load", "load7", "process8"),
        "train": ("process", "process8", None),
    }
    record(
        repo, 9, "train9-aaaaaa", data={"c": "new c", "b": "b"}, command=("python", "train.py"),
        inputs=(given(process, 8), given(load, 7)),
    )  # fmt: skip
    assert reasons(repo)["train"] == ("process", "process8", "train9")
    assert "train9" not in reasons(repo)


def test_a_step_that_was_run_again_with_the_same_result(repo: Repo, chain: object) -> None:
    """Only comments changed in process.py: its new run is up to date, and so is train."""
    load = again(repo, 7, "new")
    record(
        repo, 8, "process8-aaaaaa", data={"a": "new"}, kept={"c": "c"}, inputs=(given(load, 7),),
        command=("python", "process.py"),
    )  # fmt: skip
    assert reasons(repo) == {"process": ("load", "load7", "process8")}


def test_a_step_that_reads_what_it_made_before(repo: Repo) -> None:
    """Training goes on from the last checkpoint: every run is newer than its input."""
    first = record(repo, 1, "one-aaaaaa", kept={"m": "1"}, command=("train",))
    second = record(
        repo, 2, "two-aaaaaa", data={"m": "1"}, kept={"m": "2"}, command=("train",),
        inputs=(given(first, 1),),
    )  # fmt: skip
    record(repo, 3, "three-aaaaaa", data={"m": "2"}, command=("train",), inputs=(given(second, 2),))
    assert stale(repo) == {}


def test_an_input_by_hand_without_any_bytes(repo: Repo) -> None:
    """--input says it: then a newer run of that step is reason enough."""
    first = record(repo, 1, "one-aaaaaa", command=("one",))
    record(repo, 2, "two-aaaaaa", inputs=(given(first, 1),))
    assert stale(repo) == {}
    newer = record(repo, 3, "one3-aaaaaa", command=("one",))
    (why,) = stale(repo).values()
    assert isinstance(why, Stale) and why.newer is not None and why.newer.commit == newer.commit


@settings(deadline=None, max_examples=15)
@given_values(
    st.lists(st.lists(st.integers(0, 7), max_size=3), min_size=2, max_size=8),
    st.lists(st.sampled_from(["load", "train"]), min_size=8, max_size=8),
)
def test_any_graph_comes_to_an_end(
    tmp_path_factory: pytest.TempPathFactory, edges: list[list[int]], steps: list[str]
) -> None:
    """Up and down see the same links, and nothing that is stale has only inputs that are not."""
    place = tmp_path_factory.mktemp("graph")
    subprocess.run(["git", "init", "-q"], cwd=place, check=True)
    repo = Repo.open(place)
    repo.sync(False)
    made: list[RunRef] = []
    for number, sources in enumerate(edges):
        known = [source for source in dict.fromkeys(sources) if source < number]
        inputs = tuple(given(made[source], source) for source in known)
        made.append(
            record(repo, number, f"r{number}-aaaaaa", command=(steps[number],), inputs=inputs)
        )
    up = {link for ref in made for link in of_run(repo, ref.commit, "up").links}
    down = {link for ref in made for link in of_run(repo, ref.commit, "down").links}
    assert up == down
    behind = stale(repo)
    for why in behind.values():
        assert why.newer is not None or why.input.commit in behind
