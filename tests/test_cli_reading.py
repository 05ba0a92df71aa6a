"""`ls`, `show`, `diff`, `plot`, `logs` and completion, by the real command in real repositories."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pexpect
import pytest

from gittrack import commits, setup
from gittrack.annotations import append
from gittrack.cache import open_cache
from gittrack.events import Change
from gittrack.git import Repo
from gittrack.records import Artifact, Code, Data, Environment, Input, Row, Run
from in_process import track_here
from recorded_runs import found


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


_made = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "generate.py"))
generate, AUTHOR, START = _made["generate"], _made["AUTHOR"], _made["START"]


def record(place: Path, number: int, name: str, **more: Any) -> None:
    """Write a run that began `number` minutes after noon."""
    repo = Repo.open(place)
    started = START + timedelta(minutes=number)
    fields: dict[str, Any] = {
        "id": f"{number:032x}", "experiment": "default", "status": "finished", "started": started,
        "ended": started, "code": Code(base=repo.head()[0]),
    }  # fmt: skip
    parts = {key: more.pop(key) for key in ("rows", "system", "cells") if key in more}
    made = Run(name=name, **fields | more)
    commits.write(repo, made, tree=repo.empty_tree(), author=AUTHOR, **parts)


def say(place: Path, name: str, what: str) -> None:
    """Annotate the run of this name."""
    repo = Repo.open(place)
    run = next(r for r in found(repo, deleted=True).runs if r.name == name)
    append(repo, run, [Change(what)], now=START, random=os.urandom)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Sixty runs with curves; `world.made` are they, oldest first."""

    class World:
        path = tmp_path_factory.mktemp("world") / "r"
        made = generate(path, runs=60, params=3, metrics=3, points=20)

    return World


def on_terminal(place: Path, *arguments: str, rows: int = 100, columns: int = 100) -> str:
    """What a person sees, without colours; the pager is `cat`, and says so in front."""
    env = os.environ | {"GIT_PAGER": "sed s/^/PAGED:/", "LINES": str(rows), "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "gittrack", *arguments]
    text = pexpect.run(
        " ".join(f"'{word}'" for word in command), cwd=str(place), env=env, timeout=30,
        dimensions=(rows, columns),
    )  # fmt: skip
    return re.sub("\x1b\\[[0-9;]*m", "", text.decode().replace("\r\n", "\n"))


def test_ls_in_a_pipe_has_every_run_and_iso_times(world: Any, track: Any) -> None:
    """The answer to stdout, the talk to stderr."""
    done = track(world.path, "ls", check=0)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [run.name for run in reversed(world.made)]
    assert re.search(r"2026-01-01T12:59:\d\dZ", lines[1])
    assert done.stderr.startswith("60 runs")


def test_ls_on_a_terminal_is_short_and_says_what_it_left_out(world: Any) -> None:
    """The newest fifty, ages, the columns that fit."""
    lines = on_terminal(world.path, "ls", columns=70).splitlines()
    assert len(lines) == 52
    assert max(map(len, lines)) <= 70
    assert lines[0].split()[:3] == ["NAME", "AGE", "STATUS"]
    assert lines[-1].startswith("50 of 60 runs (-n shows more) · too narrow for ")


@pytest.mark.parametrize("columns", [20, 40, 60, 100, 200])
def test_what_ls_says_beneath_the_table_fits_the_terminal(world: Any, columns: int) -> None:
    """A line that the terminal breaks in the middle of a word is hard to read."""
    lines = on_terminal(world.path, "ls", columns=columns).splitlines()
    assert max(map(len, lines[51:])) <= columns
    assert lines[51].startswith("50 of 60 runs (-n s")


def test_a_long_answer_goes_through_gits_pager(world: Any) -> None:
    """And a short one does not."""
    assert on_terminal(world.path, "ls", rows=20).startswith("PAGED:NAME")
    assert on_terminal(world.path, "ls", "-n", "3", rows=20).startswith("NAME")


def test_ls_in_a_pipe_leaves_out_what_nobody_could_read(repo_dir: Path, track: Any) -> None:
    """Ninety columns are a line that wraps around five times; what is left out is named."""
    for number in range(3):
        params = {f"p{number}{key:02}": key for key in range(30)}
        name = f"a-{number}aaaaa"
        record(repo_dir, number, name, experiment=f"e{number}", params=params, metrics={"auc": 0.5})
    done = track(repo_dir, "ls", check=0)
    head = done.stdout.splitlines()[0].split()
    assert [title for title in head if title[0] == "p"] == [f"p0{key:02}" for key in range(12)]
    assert "3 runs · 78 more columns: p012, p013, " in done.stderr
    assert "p023, ... (--columns, --all-columns)" in done.stderr
    for option, count in (("--all-columns", 90), ("--csv", 90), ("--md", 90)):
        head = track(repo_dir, "ls", option, check=0).stdout.splitlines()[0]
        assert len(re.findall(r"\bp\d{3}\b", head)) == count
    head = track(repo_dir, "ls", "--sort", "p229", check=0).stdout.splitlines()[0].split()
    assert "p229" in head


def test_ls_sorts_and_limits(world: Any, track: Any) -> None:
    """Sort first, then take: the best five, not the newest five in order."""
    done = track(world.path, "ls", "--sort", "-accuracy", "-n", "5", "--json", check=0)
    values = [run["metrics"]["accuracy"] for run in json.loads(done.stdout)]
    best = sorted((run.metrics["accuracy"] for run in world.made), reverse=True)
    assert values == best[:5]


def test_ls_of_one_experiment(world: Any, track: Any) -> None:
    """A misspelt one is an error, never an empty table."""
    done = track(world.path, "ls", "-x", "group-1", "--json", check=0)
    assert {run["experiment"] for run in json.loads(done.stdout)} == {"group-1"}
    done = track(world.path, "ls", "-x", "gruop-1", check=2)
    assert "did you mean 'group-1'?" in done.stderr
    done = track(world.path, "ls", "--columns", "name,acuracy", check=2)
    assert "did you mean 'metrics.accuracy' (metric, 60 runs)?" in done.stderr


def test_a_name_is_checked_against_all_runs(repo_dir: Path, track: Any) -> None:
    """The newest run may be the one that lacks the column: that is no misspelling."""
    record(repo_dir, 1, "old-aaaaaa", params={"depth": 3}, metrics={"acc": 0.5})
    record(repo_dir, 2, "gone-aaaaaa", params={"width": 3})
    record(repo_dir, 3, "new-aaaaaa", experiment="trees")
    say(repo_dir, "gone-aaaaaa", "archive")
    for limit in (["-n", "1"], ["-x", "trees", "--sort", "acc"]):
        done = track(repo_dir, "ls", *limit, "--columns", "name,depth", check=0)
        rows = [line.split() for line in done.stdout.splitlines()]
        assert rows == [["NAME", "depth"], ["new-aaaaaa", "·"]]
    track(repo_dir, "ls", "--columns", "width", check=0)
    for arguments in (["--columns", "dpeth"], ["--sort", "dpeth"]):
        done = track(repo_dir, "ls", "-n", "1", *arguments, check=2)
        assert "did you mean 'params.depth' (param, 1 run)?" in done.stderr


def test_what_ls_sorts_by_has_a_column(repo_dir: Path, track: Any) -> None:
    """An order whose reason is not shown looks like none; narrow terminals keep it."""
    for number, name in enumerate(("a-aaaaaa", "b-bbbbbb")):
        record(
            repo_dir, number, name, tags={"team": "red"},
            metrics={f"m{n}": n + number for n in range(9)} | {"zzz": 1},
        )  # fmt: skip
    for key in ("zzz", "-zzz", "team", "branch"):
        text = track(repo_dir, "ls", "--sort", key, check=0).stdout
        assert key.strip("-").lower() in text.splitlines()[0].lower().split()
    assert "zzz" in on_terminal(repo_dir, "ls", "--sort", "zzz", columns=40).splitlines()[0]
    assert "zzz" not in track(repo_dir, "ls", check=0).stdout


def test_deleted_and_archived_runs_are_marked(repo_dir: Path, track: Any) -> None:
    """Among others they look like runs that count."""
    for number, name in enumerate(("a-aaaaaa", "b-bbbbbb", "c-cccccc")):
        record(repo_dir, number, name)
    say(repo_dir, "a-aaaaaa", "archive")
    say(repo_dir, "a-aaaaaa", "delete")
    say(repo_dir, "b-bbbbbb", "archive")

    def statuses(*arguments: str) -> list[str]:
        table = track(repo_dir, "ls", "--columns", "status", *arguments, check=0).stdout
        return [line.strip("| ") for line in table.splitlines()]

    assert statuses("--deleted")[1:] == ["finished", "finished (archived, deleted)"]
    assert statuses("--archived", "--md")[2:] == ["finished", "finished (archived)"]
    assert statuses("--deleted", "--csv")[1:] == ["finished", "finished"]


def test_ls_says_what_it_hides_where_it_shows_nothing(repo_dir: Path, track: Any) -> None:
    """`--archived shows more` where there are none sends the user in a circle."""
    new = "no runs yet: git track run -- COMMAND records one\n"
    assert track(repo_dir, "ls", check=0).stderr == new
    assert track(repo_dir, "ls", "--deleted", check=0).stderr == new
    record(repo_dir, 1, "a-aaaaaa")
    record(repo_dir, 2, "b-bbbbbb")
    say(repo_dir, "a-aaaaaa", "archive")
    say(repo_dir, "b-bbbbbb", "archive")
    assert track(repo_dir, "ls", check=0).stderr == "no runs (--archived shows more)\n"
    say(repo_dir, "b-bbbbbb", "delete")
    both = "no runs (--archived and --deleted show more)\n"
    assert track(repo_dir, "ls", check=0).stderr == both
    say(repo_dir, "a-aaaaaa", "delete")
    assert (
        track(repo_dir, "ls", "-x", "default", check=0).stderr == "no runs (--deleted shows more)\n"
    )


def test_the_table_comes_before_the_talk(world: Any) -> None:
    """`git track ls 2>&1 | head -1` asks for the heading."""
    done = subprocess.run(
        [sys.executable, "-m", "gittrack", "ls"], cwd=world.path,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0].startswith("NAME") and lines[-1].startswith("60 runs")


@pytest.mark.parametrize(
    "arguments", [["ls", "--json", "--csv"], ["ls", "--md", "--json"],
                  ["plot", "loss", "--csv", "--json"]],
)  # fmt: skip
def test_two_formats_are_wrong_usage(world: Any, track: Any, arguments: list[str]) -> None:
    """One of them would be overruled in silence."""
    done = track(world.path, *arguments, check=2)
    first, second = arguments[-2:]
    assert done.stderr.startswith(f"error: {first} and {second} do not go together\n")


def test_ls_without_runs(repo_dir: Path, track: Any) -> None:
    """Nothing to list is no error; JSON is still a document."""
    done = track(repo_dir, "ls", check=0)
    assert done.stdout == ""
    assert "git track run -- COMMAND" in done.stderr
    assert json.loads(track(repo_dir, "ls", "--json", check=0).stdout) == []


def test_json_has_every_float_exactly(world: Any, track: Any) -> None:
    """What was logged comes back."""
    read = json.loads(track(world.path, "ls", "--json", check=0).stdout)
    assert [run["metrics"] for run in reversed(read)] == [dict(r.metrics) for r in world.made]


def test_show_is_the_latest_run(world: Any, track: Any) -> None:
    """Everything, in full precision."""
    last = world.made[-1]
    text = track(world.path, "show", check=0).stdout
    for word in (last.name, last.status, last.id, "Ada Lovelace@engine", "python train.py"):
        assert word in text
    assert repr(last.metrics["accuracy"]) in text
    read = json.loads(track(world.path, "show", "--json", check=0).stdout)
    assert (read["id"], read["params"]) == (last.id, dict(last.params))
    assert track(world.path, "logs", check=0).stdout.startswith("accuracy: ")


def test_diff_of_two_runs(world: Any, track: Any) -> None:
    """Values side by side, the delta behind; the JSON says the same."""
    one, two = world.made[-2:]
    text = track(world.path, "diff", check=0).stdout
    assert text.split()[:2] == [one.name, two.name]
    read = json.loads(track(world.path, "diff", one.name, two.name, "--json", check=0).stdout)
    line = read["metrics"]["different"]["accuracy"]
    assert line["values"] == {r.name: r.metrics["accuracy"] for r in (one, two)}
    assert line["delta"] == two.metrics["accuracy"] - one.metrics["accuracy"]
    track(world.path, "diff", "latest", "latest", "--exit-code", check=0)
    track(world.path, "diff", "--exit-code", check=1)


def test_diff_of_a_run_that_stands_twice(world: Any, track: Any, git: Any) -> None:
    """Two names of one run are no bug of ours, but the reader should know."""
    one, two = world.made[-2:]
    done = track(world.path, "diff", "latest", two.name, "latest~1", check=0)
    assert done.stdout.split()[:3] == [two.name, two.name, one.name]
    cells = re.search(r"  accuracy +(\S+) +(\S+) +(\S+)", done.stdout)
    assert cells is not None and cells[1] == cells[2] != cells[3]
    assert done.stderr == f"note: 'latest' and '{two.name}' are the same run ({two.name})\n"


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (3, 0, "3 only in a-aaaaaa (--json lists them)"),
        (0, 107, "107 only in b-bbbbbb (--json lists them)"),
        (1, 30, "29 differ (--json lists them)"),
        (1, 3, ""),
    ],
)
def test_diff_counts_packages_that_are_too_many(
    repo_dir: Path, track: Any, one: int, other: int, said: str
) -> None:
    """A run without an environment says nothing of each package of the other."""
    for number, (name, count) in enumerate((("a-aaaaaa", one), ("b-bbbbbb", other))):
        packages = {f"p{n}": "1" for n in range(count)}
        record(repo_dir, number, name, environment=Environment(packages=packages))
    text = track(repo_dir, "diff", "a-a", "b-b", check=0).stdout
    line = next(line for line in text.splitlines() if line.startswith("packages"))
    assert line.removeprefix("packages").strip() == said
    assert ("  p2" in text) is not bool(said)


def test_plot_draws_and_gives_the_points(world: Any, track: Any) -> None:
    """The last point of a curve is the run's metric."""
    last = world.made[-1]
    text = track(world.path, "plot", "accuracy", "latest~1..latest", check=0).stdout
    assert "┌" in text and last.name in text
    read = json.loads(track(world.path, "plot", "accuracy", "--json", check=0).stdout)
    assert read[0]["points"][-1]["value"] == last.metrics["accuracy"]
    assert len(read[0]["points"]) == 20
    done = track(world.path, "plot", "acuracy", check=2)
    assert "did you mean 'accuracy'?" in done.stderr


def test_plot_says_once_how_many_runs_lack_the_metric(repo_dir: Path, track: Any) -> None:
    """A line for each buries the picture."""
    record(repo_dir, 0, "a-aaaaaa", metrics={"auc": 0.5})
    for number in range(1, 9):
        record(repo_dir, number, f"b{number}-bbbbbb", metrics={"loss": 0.5})
    done = track(repo_dir, "plot", "auc", "..", check=0)
    assert done.stderr == "warning: 8 of 9 runs have no 'auc'\n"
    done = track(repo_dir, "plot", "auc", "..latest~7", check=0)
    assert done.stderr == "warning: b1-bbbbbb has no metric 'auc'\n"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_plot_says_how_few_samples_there_are(repo_dir: Path, track: Any, count: int) -> None:
    """A curve of two points looks like one of a machine at work; they begin after ten seconds."""
    samples = tuple(Row(None, 10.0 + 5 * n, {"cpu": 50.0}) for n in range(count))
    record(repo_dir, 0, "a-aaaaaa", system=samples)
    done = track(repo_dir, "plot", "system/cpu", check=0)
    said = {
        1: "a-aaaaaa  system/cpu 50.0  (one sample, the first at 10 s)\n",
        2: "note: a-aaaaaa has 2 samples of system/cpu, the first at 10 s\n",
        3: "",
    }[count]
    assert (done.stdout if count == 1 else done.stderr) == said


def test_reading_changes_nothing(world: Any, track: Any, git: Any) -> None:
    """A question leaves no trace in the repository."""

    def state() -> tuple[str, str, str]:
        return (
            git(world.path, "for-each-ref"),
            git(world.path, "status", "--porcelain"),
            git(world.path, "count-objects"),
        )

    before = state()
    for words in (["ls"], ["show", "-p"], ["diff", "--code"], ["plot", "loss"], ["logs"]):
        track(world.path, *words, check=0)
    assert state() == before


def completed(place: Path, line: str) -> set[str]:
    """What a real bash offers at the end of a line."""
    function = "_git_track" if line.startswith("git ") else "_gittrack_line"
    script = (
        f'eval "$({sys.executable} -m gittrack completion bash)"\n'
        f'git-track() {{ {sys.executable} -m gittrack "$@"; }}\n'
        f"COMP_LINE='{line}' COMP_POINT={len(line)}; {function}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=place, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("git track sh", {"show"}),
        ("git-track sh", {"show"}),
        ("git track diff latest~1 late", {"latest"}),
        ("git track plot acc", {"accuracy"}),
        ("git track ls --columns name,metrics.a", {"name,metrics.accuracy"}),
        ("git track ls --columns name,ac", {"name,accuracy"}),
        ("git track ls --sort acc", {"accuracy"}),
        ("git track ls --sort -acc", {"-accuracy"}),
        ("git track ls --sort +acc", {"+accuracy"}),
        ("git track ls --sort -metrics.acc", {"-metrics.accuracy"}),
        ("git track ls -x group-", {"group-1", "group-2"}),
        ("git track show bes", {"best:"}),
        # Readline keeps what stands before the colon.
        ("git track show best:a", {"accuracy"}),
        ("git track show worst:", {"accuracy", "f1", "loss"}),
        ("git track diff mai", {"main"}),
        ("git track show group-", {"group-1/", "group-2/"}),
        ("git track run -- sh", set()),
        ("git track run -- python --na", set()),
        ("git track ls --all", {"--all-columns"}),
    ],
)
def test_completion_in_a_real_bash(world: Any, line: str, expected: set[str]) -> None:
    """`_git_track` is what Git's own completion calls for `git track <TAB>`."""
    assert completed(world.path, line) == expected


def test_runs_are_completed_wherever_they_stand(repo_dir: Path, git: Any) -> None:
    """Deleted runs for `restore` only, refs that are no runs nowhere."""
    record(repo_dir, 1, "amber-aaaaaa")
    record(repo_dir, 2, "amber-bbbbbb", experiment="trees")
    record(repo_dir, 3, "amber-gone-cccccc")
    say(repo_dir, "amber-gone-cccccc", "delete")
    git(repo_dir, "update-ref", "refs/runs/default/amber-notours-dddddd", "HEAD")
    alive = {"amber-aaaaaa", "amber-bbbbbb"}
    for verb in ("show", "diff", "plot m", "logs", "tag", "note", "rename", "archive", "rm"):
        assert completed(repo_dir, f"git track {verb} amb") == alive, verb
    assert completed(repo_dir, "git track show latest..amb") == {f"latest..{n}" for n in alive}
    assert completed(repo_dir, "git track restore ") == {"amber-gone-cccccc"}
    assert completed(repo_dir, "git track show trees/a") == {"trees/amber-bbbbbb"}


def test_a_key_of_two_meanings_is_completed_in_full(repo_dir: Path) -> None:
    """What completion offers must not be refused as ambiguous."""
    record(repo_dir, 1, "a-aaaaaa", params={"lr": 1, "k": 1}, metrics={"lr": 1, "loss": 2})
    assert completed(repo_dir, "git track ls --columns l") == {"loss"}
    assert completed(repo_dir, "git track ls --columns p") == {"params.lr", "params.k", "parent"}
    assert completed(repo_dir, "git track ls --columns params.l") == {"params.lr"}


def test_show_counts_new_files_once(repo_dir: Path, track: Any) -> None:
    """They have a line of their own."""
    (repo_dir / "new1.py").write_text("x")
    (repo_dir / "new2.py").write_text("x")
    (repo_dir / "train.py").write_text("print('other')\n")
    track(repo_dir, "run", "--", "true", check=0)
    text = track(repo_dir, "show", check=0).stdout
    code = next(line for line in text.splitlines() if line.startswith("  code "))
    assert code.endswith("2 new files (--patch shows it)")
    assert text.count("new1.py") == 1 and "new files   new1.py, new2.py\n" in text
    assert track(repo_dir, "diff", "latest", "latest", check=0).stderr.startswith("note: ")


def test_show_before_the_first_commit(tmp_path: Path, track: Any, git: Any) -> None:
    """`no commit on main` would be a reproach."""
    git(tmp_path, "init", "-q", "-b", "main")
    track(tmp_path, "run", "--", "true", check=0)
    text = track(tmp_path, "show", check=0).stdout
    assert "\n  code        no commit yet, on main\n" in text


def test_a_patch_without_its_base_says_what_is_missing(
    repo_dir: Path, track: Any, git: Any, tmp_path: Path
) -> None:
    """In a shallow clone the record is there and the commit beneath it is not."""
    record(repo_dir, 1, "calm-lynx-0xw8nc")
    base = git(repo_dir, "rev-parse", "--short=7", "HEAD").strip()
    git(repo_dir, "commit", "-q", "--allow-empty", "-m", "Later")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", repo_dir.as_uri(), str(shallow))
    git(shallow, "fetch", "-q", "--depth=1", "origin", "refs/runs/*:refs/runs/*")
    assert "calm-lynx-0xw8nc" in track(shallow, "show", check=0).stdout
    for more in ((), ("--json",)):
        done = track(shallow, "show", "--patch", *more, check=1)
        assert f"the base commit {base} is not here" in done.stderr
        assert "git fetch --unshallow" in done.stderr


# -- data and artifacts ---------------------------------------------------------------------------

HERE, GONE = "5d41402abc4b2a76b9719d911017c592", "1" * 32


def block(text: str, title: str) -> list[str]:
    """The lines beneath a title, up to the next one."""
    lines = text.splitlines()
    start = lines.index(title) + 1
    stop = next((n for n in range(start, len(lines)) if not lines[n].startswith(" ")), len(lines))
    return lines[start:stop]


def test_show_names_what_was_read_and_kept(repo_dir: Path, track: Any) -> None:
    """Path, content and size; what was odd about it; whether the bytes are on this machine."""
    repo = Repo.open(repo_dir)
    assert open_cache(repo, setup.read(repo)).add_bytes(b"hello").md5 == HERE
    read = (
        Data("data/train.csv", "3" * 32, 1_234_567, pointer="data/train.csv.dvc", modified=True),
        Data("/srv/raw", "4" * 32 + ".dir", 999, 1, changed=True),
    )
    kept = (Artifact("model.joblib", HERE, 5), Artifact("deep/plots", GONE + ".dir", 4100, 12))
    given = (Input("load-fox-91abm4", "a" * 32, "b" * 40, "data/raw.parquet"),)
    record(repo_dir, 1, "calm-lynx-0xw8nc", data=read, artifacts=kept, inputs=given)
    text = track(repo_dir, "show", check=0).stdout
    assert block(text, "data") == [
        "  /srv/raw        4444444   999 B  (1 file, changed while it ran)",
        "  data/train.csv  3333333  1.2 MB  (data/train.csv.dvc, modified)",
    ]
    assert block(text, "artifacts") == [
        "  deep/plots    1111111  4.1 kB  (12 files, not here)",
        "  model.joblib  5d41402     5 B",
        "  git track get calm-lynx-0xw8nc brings what is not here",
    ]
    assert block(text, "inputs") == ["  load-fox-91abm4:data/raw.parquet  aaaaaaa"]
    read_back = json.loads(track(repo_dir, "show", "--json", check=0).stdout)
    assert [item["here"] for item in read_back["artifacts"]] == [False, True]
    assert [item["md5"] for item in read_back["data"]] == ["4" * 32 + ".dir", "3" * 32]
    assert read_back["inputs"][0]["path"] == "data/raw.parquet"


def test_diff_names_the_runs_that_were_read(repo_dir: Path, track: Any) -> None:
    """Ids of 32 digits say nothing to anybody; programs get both."""
    for number, source in ((1, "load-fox-91abm4"), (2, "load-elk-22abcd")):
        given = (Input(f"runs/default/{source}", f"{number:032x}", "b" * 40, "raw.csv"),)
        record(repo_dir, number, f"calm-lynx-{number}xw8nc", inputs=given)
    text = track(repo_dir, "diff", check=0).stdout
    assert "  raw.csv           load-fox-91abm4    load-elk-22abcd\n" in text
    told = json.loads(track(repo_dir, "diff", "--json", check=0).stdout)["inputs"]["different"]
    assert told["raw.csv"]["values"]["calm-lynx-1xw8nc"] == [
        {"run": "load-fox-91abm4", "id": f"{1:032x}"}
    ]


def test_show_of_a_directory_that_is_here_in_part(repo_dir: Path, track: Any) -> None:
    """A listing without its files is no directory."""
    repo = Repo.open(repo_dir)
    cache = open_cache(repo, setup.read(repo))
    place = repo_dir.parent / "d"
    place.mkdir()
    for name in "ab":
        (place / name).write_text(name)
    kept = cache.add(place)
    record(repo_dir, 1, "a-aaaaaa", artifacts=(Artifact("d", kept.md5, kept.size, kept.nfiles),))
    assert "not here" not in track(repo_dir, "show", check=0).stdout
    cache.path(cache.add(place / "a").md5).unlink()
    assert "(2 files, not here)" in track(repo_dir, "show", check=0).stdout
    cache.path(kept.md5).unlink()
    cache.path(kept.md5).write_text("[]")
    assert "(2 files, not here)" in track(repo_dir, "show", check=0).stdout


def test_show_where_the_set_up_of_dvc_is_broken(repo_dir: Path, track: Any) -> None:
    """The record is whole: only where the bytes are, nobody can tell."""
    (repo_dir / ".dvc").mkdir()
    (repo_dir / ".dvc" / "config").write_text("[core\n")
    record(repo_dir, 1, "a-aaaaaa", artifacts=(Artifact("m", GONE, 5),))
    done = track(repo_dir, "show", check=0)
    assert block(done.stdout, "artifacts") == ["  m  1111111  5 B"]
    assert done.stderr.startswith("warning: ") and "config" in done.stderr
    (item,) = json.loads(track(repo_dir, "show", "--json", check=0).stdout)["artifacts"]
    assert item["here"] is None


def test_show_counts_what_is_too_much_to_read(repo_dir: Path, track: Any) -> None:
    """A trace may notice thousands of files; JSON has them all."""
    read = tuple(Data(f"d{n:04d}", GONE, n) for n in range(500))
    record(repo_dir, 1, "a-aaaaaa", data=read)
    shown = block(track(repo_dir, "show", check=0).stdout, "data")
    assert len(shown) == 41 and shown[-1] == "  and 460 more (--json lists them)"
    assert len(json.loads(track(repo_dir, "show", "--json", check=0).stdout)["data"]) == 500


def test_a_hostile_path_is_no_way_to_the_terminal(repo_dir: Path, track: Any) -> None:
    """Records come from others."""
    path = "a\x1b[2J\u202e\nb"
    read = (Data(path, GONE, 5, pointer=path),)
    record(repo_dir, 1, "a-aaaaaa", data=read)
    record(repo_dir, 2, "b-bbbbbb", data=(Data(path, "2" * 32, 5),))
    for words in (["show", "a-aaaaaa"], ["diff", "a-a", "b-b"]):
        text = track(repo_dir, *words, check=0).stdout
        assert "\\x1b[2J\\u202e\\n" in text and not set(text) & {"\x1b", "\u202e"}


def test_diff_shows_which_content_differs(repo_dir: Path, track: Any) -> None:
    """A row for each path that differs, nothing for the others."""
    one = (Data("same.csv", "5" * 32, 9), Data("train.csv", "3f2a91c" + "0" * 25, 1_234_567))
    two = (
        Data("same.csv", "5" * 32, 9),
        Data("train.csv", "88c01d2" + "0" * 25, 999, changed=True),
    )
    record(repo_dir, 1, "a-aaaaaa", data=one, artifacts=(Artifact("model.bin", GONE, 4_100_000),))
    record(repo_dir, 2, "b-bbbbbb", data=two)
    text = track(repo_dir, "diff", "a-a", "b-b", check=0).stdout
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    assert rows[1:5] == [
        ["data"],
        ["train.csv", "3f2a91c 1.2 MB", "88c01d2 999 B changed"],
        ["artifacts"],
        ["model.bin", "1111111 4.1 MB", "·"],
    ]
    read = json.loads(track(repo_dir, "diff", "a-a", "b-b", "--json", check=0).stdout)
    assert read["data"]["same"] == 1
    assert read["artifacts"]["different"] == {
        "model.bin": {"values": {"a-aaaaaa": {"md5": GONE, "size": 4_100_000}}}
    }
    track(repo_dir, "diff", "a-a", "b-b", "--exit-code", check=1)


def test_diff_of_equal_data_says_so_once(repo_dir: Path, track: Any) -> None:
    """In the line of all that is the same."""
    for number, name in enumerate(("a-aaaaaa", "b-bbbbbb")):
        record(
            repo_dir, number, name, data=(Data("d", GONE, 5),),
            artifacts=(Artifact("m", HERE, 5),), params={"lr": number},
        )  # fmt: skip
    text = track(repo_dir, "diff", "a-a", "b-b", check=0).stdout
    assert text.splitlines()[-1].split("   ")[0].strip() == "outcome, data, artifacts, code"


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [(20, 0, ""), (21, 0, "21 only in a-aaaaaa"), (21, 21, "21 differ")],
)
def test_diff_counts_files_that_are_too_many(
    repo_dir: Path, track: Any, one: int, other: int, said: str
) -> None:
    """Up to twenty they are listed, even where one run alone has any."""
    for number, (name, count) in enumerate((("a-aaaaaa", one), ("b-bbbbbb", other))):
        read = tuple(Data(f"d{n}", f"{number + 1}" * 32, 5) for n in range(count))
        record(repo_dir, number, name, data=read)
    text = track(repo_dir, "diff", "a-a", "b-b", check=0).stdout
    line = next(line for line in text.splitlines() if line.startswith("data"))
    assert line.removeprefix("data").strip() == (said and f"{said} (--json lists them)")
    assert ("  d3" in text) is not bool(said)


def test_what_gittrack_added_for_dvc_is_no_code(repo_dir: Path, track: Any) -> None:
    """Neither `show` nor `diff` says that the user made `.dvc/config`; of one that he made, yes."""
    repo = Repo.open(repo_dir)
    base = repo.head()[0] or ""
    blob = (repo.write_blob(b""), 0o100644)

    def made(number: int, name: str, **dvc: tuple[str, int]) -> None:
        inner = {".dvc": (repo.write_tree(dvc), 0o040000)} if dvc else {}
        entries = {"new.py": blob, **inner}
        tree = repo.write_tree(entries, base=repo.read_commit(base).tree)
        fields: dict[str, Any] = {"status": "finished", "started": START, "ended": START}
        code = Code(base=base, dirty=True, included=("new.py",))
        run = Run(id=f"{number:032x}", name=name, experiment="default", code=code, **fields)
        commits.write(repo, run, tree=tree, author=AUTHOR)

    made(1, "none-aaaaaa")
    made(2, "own-aaaaaa", config=blob)
    made(3, "user-aaaaaa", config=blob, **{".gitignore": blob})
    for words in ("show own", "show own -p", "diff none own", "diff none own --code"):
        assert ".dvc" not in track(repo_dir, *words.split(), check=0).stdout
    track(repo_dir, "diff", "none", "own", "--exit-code", check=0)
    assert "+ 1 new file (" in track(repo_dir, "show", "own", check=0).stdout
    for words in ("show user -p", "diff none user", "diff own user --code"):
        assert ".dvc/.gitignore" in track(repo_dir, *words.split(), check=0).stdout
    for words in ("show user", "show user -p", "diff none user", "diff none user --code"):
        assert ".dvc/config" in track(repo_dir, *words.split(), check=0).stdout


@pytest.mark.parametrize(
    ("notebook", "cells", "expected"),
    [
        ("a/b.ipynb", "# %% [1]\n1\n\n# %% [4]\n# %%\n2\n\n", ["a/b.ipynb", "2 cells"]),
        (None, "# %% [1]\n1\n\n", ["1 cell"]),
        ("\x1b[2J.ipynb", "", ["\\x1b[2J.ipynb"]),
        (None, "", []),
    ],
)  # fmt: skip
def test_show_names_the_notebook_and_the_way_to_its_cells(
    repo_dir: Path, track: Any, git: Any, notebook: str | None, cells: str, expected: list[str]
) -> None:
    """The notebook on disk is not what ran; the way to what did is one that plain Git knows."""
    code = Code(base=Repo.open(repo_dir).head()[0], notebook=notebook)
    record(repo_dir, 0, "a-aaaaaa", code=code, source="api", cells=cells)
    text = track(repo_dir, "show", check=0).stdout
    found = re.findall(r"^  (?:notebook|cells) +(.*)$", text, re.MULTILINE)
    assert [line.partition(" (")[0] for line in found] == expected
    if cells:
        _, show, what = found[-1].partition(" (")[2].rstrip(")").split(" ")
        assert git(repo_dir, show, what) == cells
