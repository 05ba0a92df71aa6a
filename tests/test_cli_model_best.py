"""`git track model best`, in this process: environments that choose for themselves."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import recorded_runs
from conftest import Git, Track
from gittrack import semver
from gittrack.records import Artifact, Data
from in_process import track_here

_TRAIN = """\
import json, sys
rows = open("data/wine.csv").read().split()
f1 = float(sys.argv[1])
json.dump({"f1": f1}, open("metrics.json", "w"))
json.dump({"rows": len(rows), "f1": f1}, open("model.json", "w"))
"""

_DOCUMENT = Path(__file__).parents[1] / "docs" / "registry.md"
_BEGINS = "```ini\n# .gittrackconfig\n"


def _rules() -> str:
    """The file of rules that the document shows last."""
    return _DOCUMENT.read_text().rpartition(_BEGINS)[2].partition("```")[0]


# -- the story ------------------------------------------------------------------------------------


class _Team:
    """A project whose models go to an integration and a production environment."""

    def __init__(self, place: Path, git: Git) -> None:
        self.place, self.git = place, git
        (place / "data").mkdir()
        (place / "data/wine.csv").write_text("1,2\n3,4\n")
        (place / "train.py").write_text(_TRAIN)
        (place / ".gitignore").write_text("model.json\nmetrics.json\n")
        (place / ".gittrackconfig").write_text(_rules())
        git(place, "add", "-A")
        git(place, "commit", "-q", "-m", "Train on wines")

    def track(self, *words: str, check: int = 0) -> str:
        done = track_here(self.place, *words, check=check)
        return done.stdout if check == 0 else done.stdout + done.stderr

    def train(self, name: str, f1: float, version: str) -> None:
        self.track(
            "run", "--name", name, "--data", "data/wine.csv", "--out", "model.json",
            "--", "python", "train.py", str(f1),
        )  # fmt: skip
        self.track("model", "register", name, "wine", "--version", version)

    def best(self, stage: str, *more: str, check: int = 0) -> str:
        return self.track(
            "model", "best", "wine", "--metric", "f1", "--promote", stage, *more, check=check
        )

    def holders(self) -> dict[str, str]:
        told = json.loads(
            self.track("model", "best", "wine", "--metric", "f1", "--json", "--any-data")
        )
        held = [told["winner"], *told["others"]]
        return {one["stage"]: one["version"] for one in held if one["stage"]}


def test_integration_goes_ahead_and_production_stays_within_its_range(
    repo_dir: Path, tmp_path: Path, git: Git
) -> None:
    """The rule that this is for: PROD may only choose among versions up to 1.x while INT tests 2.x,
    and each says why it chose as it did."""
    team = _Team(repo_dir, git)
    team.train("oak", 0.91, "1.0.0")
    team.train("elm", 0.93, "1.1.0")
    team.train("fir", 0.96, "2.0.0")
    team.train("ash", 0.97, "2.1.0")

    told = team.best("integration")
    assert told.startswith("wine@v2.1.0  ash-")
    assert "f1 0.97  (highest of 4)" in told
    assert told.endswith("wine@v2.1.0 now holds integration (before: nobody)\n")

    told = team.best("production")
    head, titles, *rows, last = told.splitlines()
    assert head.startswith("wine@v1.1.0  elm-") and head.endswith("f1 0.93  (highest of 2)")
    assert titles.split() == ["NAME", "RUN", "f1", "WHY", "NOT"]
    reasons = {row.split()[0]: row.split(None, 3)[3] for row in rows}
    assert reasons == {
        "wine@v1.0.0": "0.91, lower than 0.93",
        "wine@v2.1.0": "not within <2.0 (track.stage.production.allow)",
        "wine@v2.0.0": "not within <2.0 (track.stage.production.allow)",
    }
    assert last == "wine@v1.1.0 now holds production (before: nobody)"
    assert team.holders() == {"integration": "2.1.0", "production": "1.1.0"}

    # Nobody gets around the rule by name.
    told = team.track("model", "promote", "wine@v2.1.0", "production", check=1)
    assert "not within '<2.0'" in told

    # Again: nothing new, and nothing is written.
    before = git(repo_dir, "for-each-ref", "refs/tags")
    assert team.best("production").endswith("wine@v1.1.0 holds production already\n")
    assert git(repo_dir, "for-each-ref", "refs/tags") == before

    # A better 1.x comes, then one on other data, which proves nothing.
    team.train("yew", 0.95, "1.2.0")
    (repo_dir / "data/wine.csv").write_text("5,6\n")
    git(repo_dir, "commit", "-q", "-a", "-m", "Other wines")
    team.train("bay", 0.99, "1.3.0")
    told = team.best("production", "--reason", "nightly")
    assert told.startswith("wine@v1.2.0  yew-") and "on the data of wine@v1.1.0" in told
    assert "other data: data/wine.csv " in told
    assert told.endswith("wine@v1.2.0 now holds production (before: v1.1.0)\n")

    # It is slow, it turns out.
    told = team.track("model", "rollback", "wine", "production", "--reason", "Too slow.")
    assert "v1.1.0 (before: v1.2.0)" in told
    assert team.holders() == {"integration": "2.1.0", "production": "1.1.0"}

    # What was decided stands in tags that everybody gets, with what was seen by whom and why.
    clone = tmp_path / "clone"
    git(repo_dir, "clone", "-q", str(repo_dir), str(clone))
    assert git(clone, "for-each-ref", "refs/runs") == ""
    words = git(clone, "tag", "-l", "--format=%(contents)", "wine#production#*")
    assert "Require: metrics.f1 >= 0.9 and not dirty (metrics.f1 = 0.95, dirty = false)" in words
    assert "Reason: nightly" in words

    # A clone that has nothing but tags chooses the same, on the same grounds.
    here, there = (
        json.loads(track_here(place, "model", "best", "wine", "--metric", "f1", "--allow", "<=1",
                         "--like", "wine@production", "--json", check=0).stdout)
        for place in (repo_dir, clone)
    )  # fmt: skip
    assert here == there
    assert here["winner"]["version"] == "1.2.0"

    # The next night does not choose what was rolled back, there neither; somebody may, by its name.
    git(clone, "config", "user.name", "Grace")
    for place in (repo_dir, clone):
        told = track_here(
            place, "model", "best", "wine", "--metric", "f1", "--promote", "production", check=0
        )
        assert told.stdout.endswith("wine@v1.1.0 holds production already\n")
        [row] = [line for line in told.stdout.splitlines() if line.startswith("wine@v1.2.0")]
        assert re.search(
            r" rolled back from production on 20\d\d-\d\d-\d\d by \S.*: Too slow\.$", row
        )
    told = track_here(clone, "model", "promote", "wine@v1.2.0", "production", check=0)
    assert told.stdout == "wine@v1.2.0 now holds production (before: v1.1.0)\n"
    again = track_here(
        clone, "model", "best", "wine", "--metric", "f1", "--promote", "production", check=0
    )
    assert again.stdout.endswith("wine@v1.2.0 holds production already\n")
    done = track_here(clone, "model", "best", "wine", "--metric", "f1", "--among", "", check=1)
    assert "git fetch origin 'refs/runs/*:refs/runs/*'" in done.stderr
    assert "git push --atomic origin 'wine#production#" in told.stderr


@pytest.mark.parametrize(("text", "version", "within"), [
    ("<=1", "1.9.9", True), ("<=1", "0.9.0", True), ("<=1", "2.0.0", False),
    ("<2.0", "2.0.0-rc.1", False), ("<2.0", "1.9.0-rc.1", True),
    ("1", "1.9.0-rc.1", True), ("^1", "1.0.0-rc.1", False), (">=1,<2", "1.0.0-rc.1", False),
    ("^1.2", "1.1.9", False), ("^1.2", "1.2.0", True), (">=1.2,<2", "2.0.0", False),
    (">=2.0.0-rc.1", "2.0.0-rc.2", True), (">=2.0.0-rc.1", "3.1.0", True),
])  # fmt: skip
def test_the_document_says_what_ranges_hold(text: str, version: str, within: bool) -> None:
    """Whoever writes a rule reads it there."""
    assert f"`{text}`" in _DOCUMENT.read_text()
    assert semver.is_within(version, text) is within


# -- single answers -------------------------------------------------------------------------------

_DATA = (Data("data/train.csv", "3" * 32, 10),)
_KEPT = (Artifact("model.bin", "2" * 32, 20),)
_RUNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("amber-otter-aaaaaa", {"metrics": {"f1": 0.91, "loss": 0.3}}),
    ("blue-heron-bbbbbb", {"metrics": {"f1": 0.93, "loss": 0.2}}),
    ("calm-lynx-cccccc", {"metrics": {"f1": 0.89, "loss": 0.1}, "params": {"lr": 0.1}}),
    ("deep-newt-dddddd", {"metrics": {"f1": 0.99}, "status": "failed", "exit_code": 1}),
    ("eager-crab-eeeeee", {"metrics": {"f1": 0.95}, "data": (Data("x.csv", "8" * 32, 1),)}),
    ("fond-wolf-ffffff", {"metrics": {"f1": float("nan")}}),
    ("grand-mole-gggggg", {}),
)

Best = Callable[..., Any]


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory, git: Git, track: Track) -> Path:
    """Seven runs, of which the first three are versions 1.x of the model `m`."""
    place = tmp_path_factory.mktemp("seed")
    git(place, "init", "-q", ".")
    git(place, "commit", "-q", "--allow-empty", "-m", "Begin")
    for number, (name, more) in enumerate(_RUNS):
        recorded_runs.record(place, number, name, **{"data": _DATA, "artifacts": _KEPT, **more})
    for number, (name, _) in enumerate(_RUNS[:3]):
        track(place, "model", "register", name, "m", "--version", f"1.{number}.0", check=0)
    return place


@pytest.fixture
def repo(seed: Path, tmp_path: Path) -> Path:
    """A repository like `seed`, to be written to."""
    return Path(shutil.copytree(seed, tmp_path / "repo"))


@pytest.fixture
def best(repo: Path) -> Best:
    """`best(*words)` asks in `repo`."""
    return lambda *words, **more: track_here(repo, "model", "best", *words, **more)


def test_the_best_version_and_why_not_the_others(best: Best) -> None:
    """One line says who, a table why nobody else; nothing is written unasked."""
    done = best("m", "--metric", "f1", check=0)
    assert done.stdout == (
        "m@v1.1.0  blue-heron-bbbbbb  f1 0.93  (highest of 3, on the data of m@v1.2.0)\n"
        "NAME      RUN                   f1  WHY NOT\n"
        "m@v1.0.0  amber-otter-aaaaaa  0.91  0.91, lower than 0.93\n"
        "m@v1.2.0  calm-lynx-cccccc    0.89  0.89, lower than 0.93\n"
    )
    assert done.stderr == ""


def test_the_best_of_all_runs_is_registered(best: Best, repo: Path, git: Git) -> None:
    """Among runs each has its reason, too, and the winner gets the next number."""
    words = ("m", "--metric", "f1", "--among", "f1 is not null or lr is null", "--like", "amber")
    tags = git(repo, "tag")
    planned = best(*words, "--allow", "<=1", "--max", "-n", check=0).stdout
    assert git(repo, "tag") == tags
    assert planned.splitlines() == [
        "m@v1.1.0  blue-heron-bbbbbb  f1 0.93  (highest of 3, on the data of amber-otter-aaaaaa)",
        "NAME               RUN                   f1  WHY NOT",
        "m@v1.0.0           amber-otter-aaaaaa  0.91  0.91, lower than 0.93",
        "m@v1.2.0           calm-lynx-cccccc    0.89  0.89, lower than 0.93",
        "eager-crab-eeeeee  eager-crab-eeeeee   0.95  other data: x.csv, not read by"
        " amber-otter-aaaaaa, and 1 more",
        "grand-mole-gggggg  grand-mole-gggggg      ·  no f1",
        "fond-wolf-ffffff   fond-wolf-ffffff     nan  f1 is NaN",
        "deep-newt-dddddd   deep-newt-dddddd    0.99  not finished (failed)",
    ]
    words = ("m", "--metric", "f1", "--among", "", "--any-data", "--bump", "minor")
    assert best(*words, "--allow", "<1.3", check=0).stdout.startswith("m@v1.1.0  blue-heron")
    told = best(*words, "-n", "--promote", "staging", check=0).stdout
    assert told.startswith("eager-crab-eeeeee  f1 0.95  (highest of 4, whatever the data)\n")
    assert told.endswith(
        "m@v1.3.0 would be eager-crab-eeeeee\nm@v1.3.0 would hold staging (before: nobody)\n"
    )
    assert git(repo, "tag") == tags
    told = best(*words, "--promote", "staging", check=0).stdout
    assert told.endswith(
        "m@v1.3.0 is eager-crab-eeeeee\nm@v1.3.0 now holds staging (before: nobody)\n"
    )
    assert git(repo, "tag").split() == [
        *tags.split()[:0],
        "m#staging#1",
        *tags.split(),
        "m@v1.3.0",
    ]
    assert best(*words, "--promote", "staging", check=0).stdout.endswith(
        "m@v1.3.0 holds staging already\n"
    )


def test_a_first_version_may_come_of_it(best: Best, repo: Path, git: Git) -> None:
    """The nightly job of a new project has no model yet."""
    done = best("new", "--metric", "loss", "--min", "--among", "loss > 0", check=0)
    assert "new@v1.0.0 is calm-lynx-cccccc\n" in done.stdout
    assert "Artifact: model.bin" in git(repo, "tag", "-l", "--format=%(contents)", "new@v1.0.0")
    done = best("other", "--metric", "f1", "--among", "f1 > 0.92", "--artifact", "no.bin", check=1)
    assert "error: 'eager-crab-eeeeee' kept no 'no.bin'" in done.stderr
    assert "new" in git(repo, "tag") and "other" not in git(repo, "tag")


def test_a_gate_that_is_not_passed_leaves_all_as_it_was(best: Best, repo: Path, git: Git) -> None:
    """Neither a stage nor a version: the best is not always good enough. Who it was is told."""
    tags = git(repo, "tag")
    for name, among in (("m", ()), ("new", ("--among", "f1 < 0.92"))):
        words = (name, "--metric", "f1", *among, "--promote", "production")
        for dry in ((), ("-n",)):
            done = best(*words, *dry, "--require", "metrics.f1 >= 0.99", check=1)
            assert "does not meet metrics.f1 >= 0.99 (metrics.f1 = 0.9" in done.stderr
            assert "f1 0.9" in done.stdout.splitlines()[0]
    done = best("m", "--metric", "f1", "--promote", "production", "--require", "f1 > 1", "--json",
                check=1)  # fmt: skip
    told = json.loads(done.stdout)
    assert told["promote"] is None and told["refused"].endswith("f1 > 1 (metrics.f1 = 0.93)")
    assert git(repo, "tag") == tags


def test_a_reason_too_long_for_a_tag_makes_no_version(best: Best, repo: Path, git: Git) -> None:
    """A version without the stage that it was chosen for is half of what was asked for."""
    tags = git(repo, "tag")
    for length in (32_000, 40_000):
        best("new", "--metric", "f1", "--among", "f1 < 0.92", "--promote", "production",
             "--reason", "y" * length, check=2)  # fmt: skip
        assert git(repo, "tag") == tags


def test_nobody_may_win(best: Best, repo: Path) -> None:
    """Then the exit code says so, and the table and the JSON why."""
    done = best("m", "--metric", "f1", "--allow", ">=3", check=1)
    assert done.stdout.count("not within >=3") == 3
    assert done.stderr == "error: none of 3 can be the best of 'm' by f1\n"
    done = best("m", "--metric", "f1", "--like", "eager-crab", check=1)
    assert "--any-data" in done.stderr
    done = best("m", "--metric", "f1", "--allow", ">=3", "--json", check=1)
    told = json.loads(done.stdout)
    assert told["winner"] is None and {one["reason"] for one in told["others"]} == {
        "not within >=3"
    }
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        track_here(repo, "model", "unregister", f"m@v{version}", check=0)
    done = best("m", "--metric", "f1", check=1)
    assert "error: nobody stands for 'm'" in done.stderr


@pytest.mark.parametrize("width", [100, 50, 30, 10])
def test_no_terminal_is_too_narrow_for_the_reasons(best: Best, width: int) -> None:
    """Runs and values go first; a reason would rather take two lines."""
    env = {"COLUMNS": str(width), "GIT_PAGER_IN_USE": "1", "NO_COLOR": "1", "GIT_PAGER": "cat"}
    told = best("m", "--metric", "f1", check=0, env=env).stdout
    assert "0.91, lower than 0.93" in told and "m@v1.0.0" in told
    assert ("amber-otter-aaaaaa" in told) is (width == 100)


def test_json_says_all_of_it(best: Best) -> None:
    """A pipeline goes on with the winner; names are those of other commands."""
    told = json.loads(
        best("m", "--metric", "f1", "--promote", "production", "--json", check=0).stdout
    )
    assert sorted(told) == [
        "data", "lowest", "metric", "model", "others", "promote", "refused", "register", "winner",
    ]  # fmt: skip
    assert (told["model"], told["metric"], told["lowest"]) == ("m", "metrics.f1", False)
    assert told["data"] == {"of": "m@v1.2.0", "files": {"data/train.csv": "3" * 32}}
    winner = told["winner"]
    commit = winner.pop("commit")
    assert len(commit) == 40
    assert winner == {
        "version": "1.1.0", "tag": "m@v1.1.0", "stage": None, "value": 0.93, "reason": None,
        "run": {
            "id": f"{1:032x}", "name": "blue-heron-bbbbbb", "experiment": "default",
            "status": "finished",
        },
    }  # fmt: skip
    assert [one["version"] for one in told["others"]] == ["1.0.0", "1.2.0"]
    assert told["register"] is None and told["refused"] is None
    assert told["promote"]["status"] == "done"
    assert told["promote"]["tags"] == ["m#production#1"]
    assert told["promote"]["version"]["stage"] == "production"


def test_the_archive_is_no_candidate_but_may_be_named(best: Best, repo: Path) -> None:
    """Whoever archived it does not want it back because a number is higher."""
    track_here(repo, "model", "archive", "m@v1.1.0", check=0)
    done = best("m", "--metric", "f1", check=0)
    assert done.stdout.startswith("m@v1.0.0  amber-otter-aaaaaa  f1 0.91")
    assert "m@v1.1.0  blue-heron-bbbbbb  0.93  archived\n" in done.stdout
    track_here(repo, "rm", "amber-otter", check=0)
    done = best("m", "--metric", "f1", check=0)
    assert "amber-otter-aaaaaa  0.91  deleted\n" in done.stdout


def test_runs_that_were_archived_do_not_stand(best: Best, repo: Path) -> None:
    """As in `git track best`; a version does, whose run was only tidied away."""
    words = ("m", "--metric", "f1", "--among", "f1 > 0.8", "--any-data", "-n")
    assert best(*words, check=0).stdout.startswith("eager-crab-eeeeee")
    track_here(repo, "archive", "eager-crab", "blue-heron", check=0)
    told = best(*words, check=0).stdout
    assert told.startswith("m@v1.0.0") and "eager-crab" not in told and "m@v1.1.0" not in told
    assert best("m", "--metric", "f1", check=0).stdout.startswith("m@v1.1.0")


def test_the_direction_is_that_of_other_commands(best: Best, git: Git, repo: Path) -> None:
    """A loss is taken for what it sounds like only if somebody says so, and a note asks."""
    done = best("m", "--metric", "loss", check=0)
    assert done.stdout.startswith("m@v1.0.0") and "--lowest takes the lowest" in done.stderr
    git(repo, "config", "track.lowest", "*loss")
    done = best("m", "--metric", "loss", check=0)
    assert done.stdout.startswith("m@v1.2.0  calm-lynx-cccccc  loss 0.1  (lowest of 3")
    assert "0.3, higher than 0.1" in done.stdout and done.stderr == ""
    assert best("m", "--metric", "loss", "--max", check=0).stdout.startswith("m@v1.0.0")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("m",), 2, "--metric"),
        (("m", "--metric", "f2"), 2, "did you mean 'metrics.f1'"),
        (("m", "--metric", "f1", "--allow", "new"), 2, "'new' is no range of versions"),
        (("m", "--metric", "f1", "--allow", ""), 2, "is no range of versions"),
        (("m", "--metric", "f1", "--min", "--max"), 2, "do not go together"),
        (("m", "--metric", "f1", "--like", "amber", "--any-data"), 2, "do not go together"),
        (("m", "--metric", "f1", "--like", "nobody"), 1, "no run named 'nobody'"),
        (("m", "--metric", "f1", "--require", "f1 > 0"), 2, "--require goes with --promote"),
        (("m", "--metric", "f1", "--reason", "x"), 2, "--reason goes with --promote"),
        (("m", "--metric", "f1", "--archive-existing"), 2, "--archive-existing goes with"),
        (("m", "--metric", "f1", "--bump", "minor"), 2, "--bump goes with --among"),
        (("m", "--metric", "f1", "--no-artifact"), 2, "--no-artifact goes with --among"),
        (("m", "--metric", "f1", "--artifact", "x"), 2, "--artifact goes with --among"),
        (("m", "--metric", "f1", "--promote", "1.0"), 2, "is no name for a stage"),
        (("m", "--metric", "f1", "--promote", "Prod!"), 2, "is no name for a stage"),
        (("m", "--metric", "f1", "--promote", "production", "--require", " "), 2, "is blank"),
        (("m", "--metric", "f1", "--among", "f1 >"), 2, "the query ends"),
        (("m", "--metric", "f1", "--among", "nix > 1"), 2, "no param, metric, tag or attribute"),
        (("n", "--metric", "f1"), 1, "there is no model 'n'"),
        (("m@v1.0.0", "--metric", "f1"), 2, "'m@v1.0.0' is no name for a model"),
        (("a..b", "--metric", "f1", "--among", ""), 2, "'a..b' is no name for a model"),
        (("\x1b[2J", "--metric", "f1", "--among", ""), 2, "is no name for a model"),
        (("m", "--metric", "lr", "--among", "f1 > 0.92"), 1, "none of 3 can be the best"),
        (("m", "--metric", "status"), 2, "is no number"),
        (("m", "--metric", "f1", "--among", "f1 > 2"), 1, "error: no run matches"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_what_makes_no_sense_is_an_error(
    best: Best, repo: Path, git: Git, words: tuple[str, ...], code: int, said: str
) -> None:
    """One line and the right exit code; nothing is written, no escape reaches the terminal."""
    tags = git(repo, "tag")
    done = best(*words, check=code)
    assert said in done.stderr and "\x1b" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert git(repo, "tag") == tags


def test_a_deprecated_model_gets_no_more(best: Best, repo: Path) -> None:
    """Who is best may be asked, but nothing is decided for it."""
    track_here(repo, "model", "deprecate", "m", check=0)
    assert best("m", "--metric", "f1", check=0).stdout.startswith("m@v1.1.0")
    done = best("m", "--metric", "f1", "--promote", "production", check=1)
    assert "deprecated" in done.stderr and done.stdout.startswith("m@v1.1.0")
