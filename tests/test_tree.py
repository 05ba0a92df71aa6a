"""`git track ls --tree`: nested runs under their parents, and the lines that are drawn for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Track
from gittrack.cli.tree import walk
from test_index import record

TREE = {"root": ["a", "b"], "a": ["a1", "a2"], "a2": ["deep"], "b": ["b1"]}


def test_the_lines_are_those_of_tree() -> None:
    """Whoever knows the output of `tree` reads this one, too."""
    drawn = [lead + node for node, lead in walk(["root", "other"], lambda n: TREE.get(n, []))]
    assert drawn == [
        "root",
        "├─ a",
        "│  ├─ a1",
        "│  └─ a2",
        "│     └─ deep",
        "└─ b",
        "   └─ b1",
        "other",
    ]


@given(st.lists(st.integers(0, 100), max_size=60))
@settings(deadline=None)
def test_every_node_is_drawn_once_below_its_parent(parents: list[int]) -> None:
    """Whatever the shape: the corner of a node stands under the name of its parent."""
    children: dict[int, list[int]] = {}
    for node, parent in enumerate(parents, 1):
        children.setdefault(parent % node, []).append(node)
    lines = list(walk([0], lambda node: children.get(node, [])))
    assert sorted(node for node, _ in lines) == list(range(len(parents) + 1))
    depth = {0: 0}
    for node, lead in lines:
        if node:
            depth[node] = depth[parents[node - 1] % node] + 1
        assert len(lead) == 3 * depth[node]


def test_a_chain_of_thousands_is_drawn_in_a_bounded_width() -> None:
    """Neither the stack nor the memory may depend on how deep somebody nests."""
    lines = list(walk([0], lambda node: [node + 1] if node < 5000 else []))
    assert len(lines) == 5001 and max(len(lead) for _, lead in lines) < 200


def nested(place: Path) -> None:
    """A sweep with two trials, one of which has a fold; a run beside it; one without its parent."""
    record(place, 1, "sweep-aaaaaa", id="a" * 32, metrics={"loss": 1.0})
    record(
        place,
        2,
        "trial-bbbbbb",
        id="b" * 32,
        parent="a" * 32,
        parent_name="p",
        metrics={"loss": 0.5},
    )
    record(place, 3, "alone-cccccc", id="c" * 32, metrics={"loss": 0.7})
    record(
        place,
        4,
        "trial-dddddd",
        id="d" * 32,
        parent="a" * 32,
        parent_name="p",
        metrics={"loss": 0.9},
    )
    record(
        place,
        5,
        "fold-eeeeee",
        id="e" * 32,
        parent="b" * 32,
        parent_name="p",
        metrics={"loss": 0.4},
    )
    record(
        place,
        6,
        "orphan-ffffff",
        id="f" * 32,
        parent="0" * 32,
        parent_name="p",
        metrics={"loss": 0.3},
    )


def test_children_stand_under_their_parents_any_depth(repo_dir: Path, track: Track) -> None:
    """Of twenty trials of a sweep one wants to see which sweep they are of."""
    nested(repo_dir)
    text = track(repo_dir, "ls", "--tree", "--columns", "name,loss", check=0).stdout
    assert text.splitlines() == [
        "NAME               loss",
        "orphan-ffffff       0.3",
        "alone-cccccc        0.7",
        "sweep-aaaaaa        1.0",
        "├─ trial-dddddd     0.9",
        "└─ trial-bbbbbb     0.5",
        "   └─ fold-eeeeee   0.4",
    ]


def test_sorting_is_among_siblings(repo_dir: Path, track: Track) -> None:
    """The best trial of the worst sweep stays in its sweep."""
    nested(repo_dir)
    text = track(repo_dir, "ls", "--tree", "--sort", "loss", "--columns", "name", check=0).stdout
    assert text.splitlines()[1:] == [
        "orphan-ffffff",
        "alone-cccccc",
        "sweep-aaaaaa",
        "├─ trial-bbbbbb",
        "│  └─ fold-eeeeee",
        "└─ trial-dddddd",
    ]


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_data_has_plain_names_in_the_order_of_the_tree(
    repo_dir: Path, track: Track, form: str
) -> None:
    """Lines are for people; a program takes the parent's id."""
    nested(repo_dir)
    text = track(repo_dir, "ls", "--tree", form, check=0).stdout
    assert "─" not in text
    if form == "--json":
        found = json.loads(text)
        assert [run["name"][:5] for run in found] == [
            "orpha", "alone", "sweep", "trial", "trial", "fold-",
        ]  # fmt: skip
        assert found[5]["parent"] == "b" * 32 and found[2]["parent"] is None


def test_a_limit_never_leaves_a_child_without_its_parent(repo_dir: Path, track: Track) -> None:
    """`-n` counts lines from the top, and a parent stands above its children."""
    nested(repo_dir)
    text = track(repo_dir, "ls", "--tree", "-n", "4", "--columns", "name", check=0).stdout
    assert text.splitlines()[3:] == ["sweep-aaaaaa", "├─ trial-dddddd"]


def test_runs_that_are_each_others_parents_are_shown_once(repo_dir: Path, track: Track) -> None:
    """A record may say anything; a listing must end, and hide nothing."""
    record(repo_dir, 7, "self-aaaaaa", id="a" * 32, parent="a" * 32, parent_name="p")
    record(repo_dir, 2, "hen-bbbbbb", id="b" * 32, parent="c" * 32, parent_name="p")
    record(repo_dir, 3, "egg-cccccc", id="c" * 32, parent="b" * 32, parent_name="p")
    record(repo_dir, 4, "twin-dddddd", id="d" * 32)
    record(repo_dir, 5, "twin-eeeeee", id="d" * 32, parent="d" * 32, parent_name="p")
    record(repo_dir, 6, "child-ffffff", id="f" * 32, parent="d" * 32, parent_name="p")
    text = track(repo_dir, "ls", "--tree", "--columns", "name", check=0).stdout
    found = [line.split()[-1] for line in text.splitlines()[1:]]
    assert sorted(found) == sorted(
        ["self-aaaaaa", "hen-bbbbbb", "egg-cccccc", "twin-dddddd", "twin-eeeeee", "child-ffffff"]
    )
    assert found[0] == "self-aaaaaa"
    assert "└─ hen-bbbbbb" in text or "└─ egg-cccccc" in text


def test_the_whole_command_on_a_running_parent(repo_dir: Path, track: Track) -> None:
    """A run begun inside a run is its child."""
    track(repo_dir, "run", "--name", "outer", "--", "git-track", "run", "--name", "inner", "true")
    text = track(repo_dir, "ls", "--tree", "--columns", "name", check=0).stdout
    outer, inner = text.splitlines()[1:3]
    assert outer.startswith("outer-") and inner.startswith("└─ inner-")
