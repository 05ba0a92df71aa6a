"""`lineage` and `ls --stale`, by the real command in real repositories."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pydot
import pytest

from conftest import Git, Track
from gittrack import refs
from gittrack.cli.lineage import _as_dot, _tree
from gittrack.cli.output import Screen
from gittrack.git import Repo
from gittrack.lineage import of_run
from gittrack.records import Artifact, Input
from in_process import track_here
from summaries import HOSTILE, UNSAFE
from test_index import given, record, say
from test_lineage import many


@pytest.fixture(scope="module")
def track() -> Track:
    """The command in this process: it reads, and that it starts is shown elsewhere."""
    return track_here


def pipeline(place: Path) -> dict[str, str]:
    """load -> process -> train, which reads labels.csv, too; train ran twice -> ids of commits."""
    load = record(
        place, 1, "load-fox-91abm4", data={"data/raw.csv": "r"}, id="a" * 32,
        kept={"data/train.csv": "t", "data/test.csv": "e"}, command=("python", "load.py", "a b"),
    )  # fmt: skip
    source = Input(load.short, "a" * 32, load.commit)
    process = record(
        place, 2, "process-elk-222222", data={"data/train.csv": "t"}, kept={"w/a.npz": "a"},
        inputs=(source,), command=("python", "process.py"),
    )  # fmt: skip
    for number, name in ((3, "train-crow-5hk2tz"), (4, "train-crane-5hk2tv")):
        record(
            place, number, name, inputs=(given(process, 2), source),
            data={"w/a.npz": "a", "data/test.csv": "e", "labels.csv": "l"}, kept={"m": "m"},
            command=("python", "train.py"), metrics={"accuracy": 0.98},
            status="finished" if number == 4 else "failed",
        )  # fmt: skip
    return {ref.name.partition("-")[0]: ref.commit for ref in refs.all_runs(Repo.open(place))}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline, with its data in the work tree."""
    root = tmp_path_factory.mktemp("world") / "r"
    (root / "data" / "inner").mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    (root / "data" / "raw.csv").write_text("1,2\n")
    (root / "load-fox").write_text("a file that is called as a run is\n")
    pipeline(root)
    return root


UP = """\
train-crane-5hk2tv  python train.py  accuracy 0.98
├─ labels.csv  6c00000
├─ process-elk-222222  python process.py  (w/a.npz)
│  └─ load-fox-91abm4  python load.py 'a b'  (data/train.csv)
│     └─ data/raw.csv  7200000
└─ load-fox-91abm4  python load.py 'a b'  (data/test.csv)  (see above)
"""
BELOW = """\
{0}├─ train-crane-5hk2tv  python train.py  (data/test.csv)
{0}├─ process-elk-222222  python process.py  (data/train.csv)
{0}│  ├─ train-crane-5hk2tv  python train.py  (w/a.npz)
{0}│  └─ train-crow-5hk2tz  failed  older  python train.py  (w/a.npz)
{0}└─ train-crow-5hk2tz  failed  older  python train.py  (data/test.csv)
"""
DOWN = "load-fox-91abm4  python load.py 'a b'\n" + BELOW.format("")
RAW = "└─ load-fox-91abm4  python load.py 'a b'  (data/raw.csv)\n" + BELOW.format("   ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), UP),
        (("train-crane",), UP),
        (("train-crane", "--up"), UP),
        (("latest",), UP),
        (("load", "--down"), DOWN),
        (("load-fox", "--down"), DOWN),
        (("data/raw.csv",), "data/raw.csv  3ecfad7\n" + RAW),
        (("./data/raw.csv", "--down"), "data/raw.csv  3ecfad7\n" + RAW),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_tree(place: Path, track: Track, words: tuple[str, ...], expected: str) -> None:
    """What is shared is drawn once; of a file without a maker the other way is shown."""
    done = track(place, "lineage", *words, check=0)
    assert (done.stdout, done.stderr) == (expected, "")


def test_a_file_that_runs_made_is_followed_up(place: Path, track: Track) -> None:
    """By the content that it has now, or by its path."""
    done = track(place, "lineage", "m", check=0)
    first, second = done.stdout.splitlines()[:2]
    assert (first, second) == ("m", "└─ train-crane-5hk2tv  python train.py  (m)")
    assert done.stderr == "'m' was found by its path: it is not here\n"
    (place / "m").write_text("another model")
    done = track(place, "lineage", "./m", check=0)
    assert done.stdout.startswith("m  189fd04\n└─ train-crane")
    assert done.stderr == "'m' was found by its path: its content is another one now\n"
    done = track(place, "lineage", "m", "--down", check=0)
    assert (done.stdout, done.stderr) == ("m  189fd04\n", "no run here read 'm'\n")
    done = track(place, "lineage", "data/raw.csv", "--up", check=0)
    assert done.stderr == "no run here made 'data/raw.csv'; --down shows what was made from it\n"
    (place / "m").unlink()


def test_a_file_is_found_by_its_content_wherever_it_lies(repo_dir: Path, track: Track) -> None:
    """A model that was renamed is the same model."""
    for name, weights in (("model.bin", b"weights and biases"), ("flag", b"1\n")):
        artifact = hashlib.md5(weights).hexdigest()
        kept = Artifact(name, artifact, len(weights))
        record(repo_dir, len(name), f"{name[:4]}-aaaaaa", artifacts=(kept,))
        (repo_dir / f"renamed.{name}").write_bytes(weights)
    done = track(repo_dir, "lineage", "renamed.model.bin", check=0)
    assert done.stderr == ""
    assert "└─ mode-aaaaaa  python mode.py  (model.bin)" in done.stdout
    done = track(repo_dir, "lineage", "renamed.flag", check=1)
    assert "no run here read or kept 'renamed.flag'" in done.stderr


def test_paths_from_a_directory_further_down(place: Path, track: Track) -> None:
    """As Git takes them: from where the user stands."""
    inner = place / "data" / "inner"
    expected = "data/raw.csv  3ecfad7\n" + RAW
    assert track(inner, "lineage", "../raw.csv", check=0).stdout == expected
    assert track(place, "lineage", str(place / "data" / "raw.csv"), check=0).stdout == expected
    whole = track(inner, "lineage", "..", "--down", check=0).stdout
    assert whole.startswith("data  ") and "load-fox-91abm4" in whole
    # Not there any more: as the record spells it.
    gone = track(inner, "lineage", "w/a.npz", "--down", check=0).stdout
    assert gone.startswith("w/a.npz\n├─ train-crane")


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (("nope",), 1, "no run named 'nope' in this repository", "`git track ls` lists"),
        (("./nope",), 1, "there is no './nope', and no run here read or kept one", "show RUN"),
        (("data/inner",), 1, "no run here read or kept 'data/inner'", "run --data data/inner --"),
        (("train",), 1, "'train' could be any of 2 runs", "train-crane-5hk2tv"),
        (("best:nope",), 2, "no run has a metric 'nope'", "ls --all-columns"),
        (("--up", "--down"), 2, "--up and --down do not go together", "lineage -h"),
        (("--dot", "--json"), 2, "do not go together", "lineage -h"),
        (("",), 1, "no run named ''", "ls"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_answered(
    place: Path, track: Track, words: tuple[str, ...], code: int, message: str, hint: str
) -> None:
    """A failed question never gets an empty answer."""
    done = track(place, "lineage", *words, check=code)
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert message in first and hint in second


def test_a_repository_without_runs(repo_dir: Path, bare_dir: Path, track: Track) -> None:
    """The first thing that somebody may try."""
    done = track(repo_dir, "lineage", check=1)
    assert "no runs" in done.stderr
    record(bare_dir, 1, "one-aaaaaa", data={"a": "a"})
    assert track(bare_dir, "lineage", check=0).stdout.startswith("one-aaaaaa")
    assert track(bare_dir, "lineage", "a", "--down", check=0).stdout.startswith("a\n└─ one-aaaaaa")


def test_runs_that_are_missing_deleted_or_of_other_experiments(
    repo_dir: Path, track: Track, git: Git
) -> None:
    """Said where they stand, with the command that helps."""
    load = record(repo_dir, 1, "load-aaaaaa", kept={"a": "a"}, experiment="other")
    there = given(load, 1)
    away = Input("runs/other/away-aaaaaa", "f" * 32, "e" * 40)
    record(repo_dir, 2, "train-aaaaaa", inputs=(there, away), data={"a": "a"})
    say(Repo.open(repo_dir), "load-aaaaaa", "delete")
    done = track(repo_dir, "lineage", "train", check=0)
    assert done.stdout == (
        "default/train-aaaaaa  python train.py\n"
        "├─ other/load-aaaaaa  deleted  python load.py  (a)\n"
        "└─ other/away-aaaaaa  not here\n"
    )
    assert done.stderr == ""
    git(repo_dir, "remote", "add", "hub", "nowhere")
    done = track(repo_dir, "lineage", "train", check=0)
    assert done.stderr == "git fetch hub 'refs/runs/*:refs/runs/*' brings all runs\n"


# -- for programs -------------------------------------------------------------------------------


def test_json_has_nodes_and_edges_from_cause_to_effect(place: Path, track: Track) -> None:
    """The same graph whichever way it is asked for."""
    up = json.loads(track(place, "lineage", "train-crane", "--json", check=0).stdout)
    down = json.loads(track(place, "lineage", "load-fox-", "--down", "--json", check=0).stdout)
    assert (up["direction"], down["direction"]) == ("up", "down")
    nodes = {node["key"]: node for node in up["nodes"]}
    assert nodes[up["root"]]["name"] == "train-crane-5hk2tv"
    assert [node["kind"] for node in up["nodes"]].count("file") == 2
    named = {
        (nodes[edge["source"]].get("name", "file"), nodes[edge["target"]]["name"], *edge["paths"])
        for edge in up["edges"]
    }
    assert named == {
        ("load-fox-91abm4", "process-elk-222222", "data/train.csv"),
        ("load-fox-91abm4", "train-crane-5hk2tv", "data/test.csv"),
        ("process-elk-222222", "train-crane-5hk2tv", "w/a.npz"),
        ("file", "train-crane-5hk2tv", "labels.csv"),
        ("file", "load-fox-91abm4", "data/raw.csv"),
    }
    (load,) = (node for node in down["nodes"] if node["key"] == down["root"])
    assert load == {
        "key": load["commit"], "kind": "run", "experiment": "default", "name": "load-fox-91abm4",
        "commit": load["commit"], "id": "a" * 32, "status": "finished", "older": False,
        "started": "2026-01-01T12:01:00.000000Z", "command": ["python", "load.py", "a b"],
        "archived": False, "deleted": False,
    }  # fmt: skip


def parsed(text: str) -> pydot.Dot:
    """What a reader of Graphviz's language makes of it; it warns about what itself is built of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pydot.dot_parser
    found = pydot.graph_from_dot_data(text)
    assert found is not None and len(found) == 1
    return found[0]


def test_dot_is_read_by_graphviz(place: Path, track: Track) -> None:
    """Arrows go from cause to effect."""
    graph = parsed(track(place, "lineage", "train-crane", "--dot", check=0).stdout)
    labels = {str(node.get_name()): node.get("label") for node in graph.get_nodes()}
    arrows = {
        (labels[str(edge.get_source())], labels[str(edge.get_destination())])
        for edge in graph.get_edges()
    }
    assert (r'"data/raw.csv\n7200000"', r'''"load-fox-91abm4\npython load.py 'a b'"''') in arrows
    assert len(arrows) == 5


# What one_line does not touch, and Graphviz, a shell or a page would.
QUOTES = ('a"b', "a\\", 'a\\"b', "<b>x</b>", "a];}", "a -> b", "\\n", "a\\N")


@pytest.mark.parametrize("text", [*HOSTILE, *QUOTES], ids=repr)
def test_hostile_names_are_written_and_not_obeyed(repo_dir: Path, text: str) -> None:
    """Paths, commands and names of inputs come from whoever wrote the run."""
    repo = Repo.open(repo_dir)
    path = text.replace("\x00", "").replace("\ud800", "") or "x"
    ref = record(
        repo, 1, "one-aaaaaa", command=("python", path),
        data={path: "a"}, inputs=(Input(f"runs/default/{path}", "f" * 32, "e" * 40, path),),
    )  # fmt: skip
    graph = of_run(repo, ref.commit, "up")
    lines = list(_tree(repo, graph, Screen(None, 24, False)))
    assert len(lines) == 3
    assert not UNSAFE.search("".join(lines))
    dot = _as_dot(graph)
    assert not UNSAFE.search(dot)
    read = parsed(dot)
    assert len(read.get_edges()) == 2 and len(read.get_nodes()) == 3


def test_nothing_is_cut_in_a_pipe_and_no_line_is_wider_than_a_terminal(place: Path) -> None:
    """A long command must not break the tree."""
    repo = Repo.open(place)
    ref = next(ref for ref in refs.all_runs(repo) if "crane" in ref.name)
    graph = of_run(repo, ref.commit, "up")
    drawn = list(_tree(repo, graph, Screen(40, 24, False)))
    assert max(map(len, drawn)) == 40
    colored = list(_tree(repo, graph, Screen(40, 24, True)))
    assert colored[0].startswith("\x1b[1mtrain-crane-5hk2tv\x1b[m  python")
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in colored] == drawn
    assert "".join(line + "\n" for line in _tree(repo, graph, Screen(None, 24, False))) == UP


def test_two_thousand_runs_are_drawn(repo_dir: Path, track: Track) -> None:
    """A chain as deep as that has no place on the stack."""
    repo = Repo.open(repo_dir)
    repo.sync(False)
    many(repo, [[] if number == 0 else [number - 1] for number in range(2000)])
    done = track(repo_dir, "lineage", check=0)
    assert len(done.stdout.splitlines()) == 2000
    assert len(json.loads(track(repo_dir, "lineage", "--json", check=0).stdout)["edges"]) == 1999


# -- ls --stale -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline after `load` ran again on other data."""
    root = tmp_path_factory.mktemp("behind") / "r"
    root.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    pipeline(root)
    record(
        root, 9, "load-elk-22aaaa", command=("python", "load.py", "a b"),
        data={"data/raw.csv": "n"}, kept={"data/train.csv": "new", "data/test.csv": "e"},
    )  # fmt: skip
    return root


def test_ls_stale_lists_what_fell_behind_and_why(behind: Path, track: Track) -> None:
    """`test.csv` is what it was: what read only that is up to date."""
    done = track(behind, "ls", "--stale", "--columns", "name,status", check=0)
    assert done.stdout == (
        "NAME                STATUS    STALE\n"
        "train-crane-5hk2tv  finished  process-elk-222222 is stale\n"
        "train-crow-5hk2tz   failed    run again as train-crane-5hk2tv\n"
        "process-elk-222222  finished  load-elk-22aaaa is newer\n"
    )
    assert done.stderr.startswith("3 runs")


def test_ls_stale_as_data(behind: Path, track: Track) -> None:
    """Scripts run again what is stale."""
    found = json.loads(track(behind, "ls", "--stale", "--json", check=0).stdout)
    why = {run["name"]: run["stale"] for run in found}
    assert why["process-elk-222222"]["newer"]["run"] == "runs/default/load-elk-22aaaa"
    assert why["process-elk-222222"]["input"]["id"] == "a" * 32
    assert why["train-crow-5hk2tz"]["again"]["run"] == "runs/default/train-crane-5hk2tv"
    assert why["train-crane-5hk2tv"]["newer"] is why["train-crane-5hk2tv"]["again"] is None
    assert all("" not in run["tags"] for run in found)
    plain = json.loads(track(behind, "ls", "--json", check=0).stdout)
    assert len(plain) == 5 and "stale" not in plain[0]
    rows = track(behind, "ls", "--stale", "--csv", check=0).stdout.splitlines()
    assert rows[0].endswith(",stale") and rows[1].endswith("process-elk-222222 is stale")
    table = track(behind, "ls", "--stale", "--md", check=0).stdout
    assert re.search(r"\| STALE +\|$", table.splitlines()[0])


def test_ls_stale_goes_with_the_other_options(behind: Path, track: Track) -> None:
    """It is one more filter."""
    done = track(behind, "ls", "--stale", "-n", "1", "--sort", "name", check=0)
    assert done.stdout.splitlines()[1].startswith("process-elk")
    assert "1 of 3 runs" in done.stderr


def test_where_nothing_is_stale(place: Path, repo_dir: Path, track: Track) -> None:
    """Said as what it is, and not as if there were no runs."""
    done = track(place, "ls", "--stale", check=0)
    assert "train-crow" in done.stdout or done.stderr == "no run is stale\n"
    done = track(repo_dir, "ls", "--stale", check=0)
    assert done.stderr == "no runs yet: git track run -- COMMAND records one\n"


# -- completion ---------------------------------------------------------------------------------


def completed(where: Path, words: str, current: str) -> set[str]:
    """What our completion offers to a shell."""
    env = {"GITTRACK_WORDS": words, "GITTRACK_CURRENT": current}
    done = subprocess.run(
        [sys.executable, "-m", "gittrack"], cwd=where, capture_output=True, text=True,
        env=os.environ | env | {"_GIT_TRACK_COMPLETE": "answer_bash"},
    )  # fmt: skip
    return set(done.stdout.split())


def test_runs_and_files_are_completed(place: Path, git: Git) -> None:
    """Either may stand there."""
    assert completed(place, "lineage ", "load") == {"load-fox-91abm4", "load-fox"}
    assert completed(place, "lineage ", "data/") == {"data/raw.csv", "data/inner/"}
    assert completed(place, "lineage ", "dat") == {"data/"}
    assert "train-crane-5hk2tv" in completed(place, "lineage ", "")
    assert completed(place, "ls --st", "--st") == {"--stale"}
    assert completed(place, "lineage ", "nowhere/") == set()


def test_the_content_is_remembered(place: Path, track: Track) -> None:
    """A file of gigabytes is hashed once, and not at each question."""
    track(place, "lineage", "data/raw.csv", check=0)
    assert any((place / ".git" / "gittrack").rglob("md5*"))
