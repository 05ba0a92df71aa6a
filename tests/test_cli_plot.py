"""`git track plot` into a file, of several metrics, of the runs that match, by the real command."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from conftest import _run_track
from gittrack import commits
from gittrack.git import Identity, Repo
from gittrack.records import Code, Row, Run
from in_process import track_here
from recorded_runs import NOON, record


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


ADA = Identity("Ada Lovelace", "ada@example.org")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, git: Any) -> Path:
    """Three runs with curves that differ in their learning rate, one with a single point."""
    place = tmp_path_factory.mktemp("plot")
    git(place, "init", "-q", ".")
    for number in range(3):
        rows = [Row(n, n * 0.5, {"loss": 2.0 ** -(n + number), "$acc_x$": n / 9, "a,b": n})
                for n in range(12)]  # fmt: skip
        params = {"lr": 0.1 * (number + 1), "_opt$": "adam", "seed": number // 2, "size": 3}
        run = Run(
            id=f"{number:032x}", name=f"run{number}-aaaaaa", experiment="default", started=NOON,
            status="finished", ended=NOON, params=params, metrics=rows[-1].values, code=Code(),
        )  # fmt: skip
        repo = Repo.open(place)
        system = [Row(None, 10.0 + n, {"cpu": 50.0 + n}) for n in range(4)]
        commits.write(repo, run, tree=repo.empty_tree(), author=ADA, rows=rows, system=system)
    record(place, 3, "last-aaaaaa", [Row(1, 1.0, {"once": 0.5, "zero": 0.0})],
           metrics={"once": 0.5, "zero": 0.0})  # fmt: skip
    return place


def texts(path: Path) -> list[str]:
    """What is written in an SVG."""
    root = ElementTree.parse(path).getroot()
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


ALL = ("run0", "run1", "run2")


def test_a_picture_names_the_runs_by_what_differs(world: Path, track: Any, tmp_path: Path) -> None:
    """Params that all runs have alike tell nothing; the success is one line."""
    path = tmp_path / "loss.svg"
    done = track(world, "plot", "loss", *ALL, "-o", str(path), check=0)
    assert (done.stdout, done.stderr) == ("", f"{path}: loss of 3 runs\n")
    said = texts(path)
    curves = {"run0-aaaaaa  lr 0.1  seed 0", "run2-aaaaaa  lr 0.3  seed 1"}
    assert {"loss", "step"} | curves <= set(said)
    assert os.listdir(tmp_path) == ["loss.svg"]
    assert oct(path.stat().st_mode & 0o777) == oct(0o666 & ~_umask())


def _umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before


def test_the_legend_in_the_terminal_says_the_same(world: Path, track: Any) -> None:
    """One preparation for both."""
    text = track(world, "plot", "loss", *ALL, "--log", check=0).stdout
    assert "run1-aaaaaa  lr 0.2  seed 0" in text
    assert [mark for mark in ("1", "0.1", "0.01") if f"{mark}┤" in text]


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("pdf", b"%PDF"),
                                               ("SVG", b"<?xml")])  # fmt: skip
def test_the_name_says_what_kind_of_picture(
    world: Path, track: Any, tmp_path: Path, suffix: str, begin: bytes
) -> None:
    """In any case."""
    path = tmp_path / f"a.{suffix}"
    track(world, "plot", "loss", "run0", "-o", str(path), check=0)
    assert path.read_bytes().startswith(begin)


def test_several_metrics_are_several_panels(world: Path, track: Any, tmp_path: Path) -> None:
    """With commas between them; a name with `$` and `_` is a name, one with a comma too."""
    path = tmp_path / "both.svg"
    words = ("--x", "time", "--smooth", "0.9", "-o", str(path))
    track(world, "plot", "loss,$acc_x$,system/cpu", *ALL, *words, check=0)
    said = texts(path)
    assert {"loss", "$acc_x$", "system/cpu (%)", "time (seconds)"} <= set(said)
    assert said.count("run0-aaaaaa  lr 0.1  seed 0") == 1
    text = track(world, "plot", "loss,$acc_x$", "run0", check=0).stdout
    assert text.count("┌") == 2 and "\n$acc_x$\n" in text
    assert "a,b\n" in track(world, "plot", "a,b", "run0", check=0).stdout


def test_data_of_several_metrics_is_told_apart(world: Path, track: Any) -> None:
    """By a column of names; that of one metric keeps the metric's own column."""
    done = track(world, "plot", "loss,$acc_x$", "run0", "--csv", check=0)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 24
    assert rows[0] == {
        "run": "run0-aaaaaa", "metric": "loss", "step": "0", "time": "0.0", "value": "1.0",
    }  # fmt: skip
    done = track(world, "plot", "loss", "run0", "--csv", check=0)
    assert done.stdout.splitlines()[0] == "run,step,time,loss"
    found = json.loads(track(world, "plot", "loss,$acc_x$", "run0", "--json", check=0).stdout)
    assert [(one["metric"], len(one["points"])) for one in found] == [("loss", 12), ("$acc_x$", 12)]


def test_a_picture_is_the_same_each_time(world: Path, tmp_path: Path) -> None:
    """So that it can be committed; whoever reads the old one meanwhile reads it to its end."""
    # In processes of their own, which number and hash things differently.
    path = tmp_path / "a.svg"
    _run_track(world, "plot", "loss", *ALL, "-o", str(path), check=0)
    first = path.read_bytes()
    path.write_text("other")
    with path.open() as old:
        _run_track(world, "plot", "loss", *ALL, "-o", str(path), check=0)
        assert old.read() == "other"
    assert path.read_bytes() == first


def test_a_link_stays_a_link_and_a_device_a_device(world: Path, track: Any, tmp_path: Path) -> None:
    """What it names is written."""
    (tmp_path / "real.svg").write_text("old")
    (tmp_path / "link.svg").symlink_to("real.svg")
    track(world, "plot", "loss", "run0", "-o", str(tmp_path / "link.svg"), check=0)
    assert (tmp_path / "link.svg").is_symlink()
    assert (tmp_path / "real.svg").read_text().startswith("<?xml")
    os.mkfifo(tmp_path / "pipe.svg")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe.svg")], stdout=subprocess.PIPE)
    track(world, "plot", "loss", "run0", "-o", str(tmp_path / "pipe.svg"), check=0)
    assert reader.communicate(timeout=20)[0].startswith(b"<?xml")
    assert (tmp_path / "pipe.svg").is_fifo()


def test_what_cannot_be_written_leaves_what_was_there(
    world: Path, track: Any, tmp_path: Path
) -> None:
    """No half a picture, no file beside it; the message names the file that was asked for."""
    missing = tmp_path / "missing" / "a.svg"
    done = track(world, "plot", "loss", "run0", "-o", str(missing), check=1)
    assert done.stderr == f"error: {missing}: No such file or directory\n"
    (tmp_path / "dir.svg").mkdir()
    done = track(world, "plot", "loss", "run0", "-o", str(tmp_path / "dir.svg"), check=1)
    assert done.stderr == f"error: {tmp_path / 'dir.svg'}: Is a directory\n"
    path = tmp_path / "old.svg"
    path.write_text("old")
    command = f"ulimit -f 1; exec {sys.executable} -m gittrack plot loss run0 -o {path}"
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; {command}"], cwd=world, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr == f"error: {path}: File too large\n"
    assert path.read_text() == "old" and sorted(os.listdir(tmp_path)) == ["dir.svg", "old.svg"]


def test_without_matplotlib_the_extra_is_named(world: Path, tmp_path: Path) -> None:
    """And nothing is written; the terminal needs none."""
    code = (
        "import sys; sys.modules['matplotlib'] = None; "
        "from gittrack.cli.main import main; main(sys.argv[1:])"
    )
    words = ["plot", "loss", "run0"]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "a.png")], cwd=world, capture_output=True, text=True
    )
    assert done.returncode == 1 and not os.listdir(tmp_path)
    assert done.stderr == (
        "error: matplotlib is not installed\nhint: pip install 'gittrack[plot]'\n"
    )
    assert "┌" in subprocess.run(command, cwd=world, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["loss", "-o", "loss.gif"], 2, "what kind of picture 'loss.gif' is to be is not known"),
        (["loss", "-o", "loss"], 2, "its name should end in .svg, .png, .pdf."),
        (["loss", "-o", "a.svg", "--json"], 2, "--json and -o do not go together"),
        (["loss", "run0", "--where", "lr > 1"], 2, "--where and RUN do not go together"),
        (["loss", "run0", "--smooth", "1"], 2, "1.0 is not in the range"),
        (["once", "-o", "a.svg"], 1, "no run has a curve of 'once', so there is no picture"),
        (["los", "run0", "-o", "a.svg"], 2, "did you mean 'loss'?"),
        (["loss,los", "run0"], 2, "run0-aaaaaa has no metric 'los'"),
        ([",", "run0"], 2, "metrics"),
        ([",".join(f"m{n}" for n in range(21)), "run0"], 2, "21 metrics cannot be drawn together"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    world: Path, track: Any, words: list[str], code: int, said: str
) -> None:
    """And no file appears."""
    before = sorted(os.listdir(world))
    done = track(world, "plot", *words, check=code)
    assert done.stderr.startswith("error: ") and said in done.stderr
    assert sorted(os.listdir(world)) == before


def test_values_that_a_logarithmic_scale_has_not_are_counted(world: Path, track: Any) -> None:
    """A curve with a hole would be taken for the whole."""
    done = track(world, "plot", "$acc_x$", "run0", "--log", check=0)
    assert done.stderr == (
        "note: 1 point of '$acc_x$' is not above 0, and so not on a logarithmic scale\n"
    )


def test_the_runs_that_match_are_drawn(world: Path, track: Any) -> None:
    """Instead of a list of names."""
    done = track(world, "plot", "loss", "--where", "lr < 0.25", "--json", check=0)
    assert sorted(one["run"] for one in json.loads(done.stdout)) == ["run0-aaaaaa", "run1-aaaaaa"]
    done = track(world, "plot", "loss", "--where", "lr > 9", check=1)
    assert done.stderr == "error: no recorded run matches\n"
