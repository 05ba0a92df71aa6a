"""`git track run` with data and artifacts, as users meet it: real processes, a real cache."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track, World
from gittrack import commits, refs
from gittrack.git import Repo
from gittrack.records import Run

PYTHON = sys.executable


def newest(place: Path) -> Run:
    repo = Repo.open(place)
    found = [commits.load(repo, ref) for ref in refs.all_runs(repo)]
    return max(found, key=lambda run: run.started)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def cached(place: Path, digest: str) -> Path:
    return place / ".git" / "gittrack" / "dvc" / "files" / "md5" / digest[:2] / digest[2:]


@pytest.fixture
def wine(repo_dir: Path, git: Git) -> Path:
    """A repository with data that Git ignores, and a script that makes a model of it."""
    (repo_dir / ".gitignore").write_text("data/\n*.bin\n")
    (repo_dir / "data").mkdir()
    (repo_dir / "data" / "raw.csv").write_text("a,b\n1,2\n")
    (repo_dir / "fit.py").write_text(
        "import pathlib, sys\n"
        "text = pathlib.Path('data/raw.csv').read_bytes()\n"
        "pathlib.Path('model.bin').write_bytes(text[::-1])\n"
        "sys.exit(int(sys.argv[1]) if sys.argv[1:] else 0)\n"
    )
    git(repo_dir, "add", ".")
    git(repo_dir, "commit", "-qm", "fit")
    return repo_dir


def test_what_was_read_and_kept_is_part_of_the_run(wine: Path, track: Track) -> None:
    """Months later: which data, and the very bytes of the model."""
    done = track(
        wine, "run", "--data", "data/raw.csv", "--out", "model.bin", "--", PYTHON, "fit.py", check=0
    )
    run = newest(wine)
    (data,), (kept,) = run.data, run.artifacts
    assert (data.path, data.md5, data.size) == ("data/raw.csv", md5(b"a,b\n1,2\n"), 8)
    assert not (data.modified or data.changed or data.pointer)
    assert (kept.path, kept.md5, kept.size) == ("model.bin", md5(b"\n2,1\nb,a"), 8)
    assert cached(wine, kept.md5).read_bytes() == b"\n2,1\nb,a"
    assert f"  data/raw.csv {data.md5[:7]} (8 B)  \u00b7  kept model.bin (8 B)\n" in done.stderr
    assert (
        "'data/raw.csv' is not under DVC: its hash is kept, its content is not "
        "(keep it: git track init, then dvc add data/raw.csv)\n"
    ) in done.stderr


def test_the_work_tree_stays_as_it_was(
    wine: Path, track: Track, state_of: Callable[[Path], Any]
) -> None:
    """No `.dvc` appears, nothing is staged, no file changes its time or mode."""
    before = state_of(wine)
    track(wine, "run", "--data", "data", "--out", "new.bin", "--", "touch", "new.bin", check=0)
    (wine / "new.bin").unlink()
    after = state_of(wine)
    assert {k: v for k, v in after.items() if v[2] or "new.bin" in k} == {
        k: v for k, v in before.items() if v[2] or "new.bin" in k
    }


def test_plain_git_and_dvc_see_the_pointers(wine: Path, track: Track, git: Git) -> None:
    """The run's tree is a DVC project with a stock pointer in it."""
    track(wine, "run", "--out", "model.bin", "--", PYTHON, "fit.py", check=0)
    commit = newest(wine).commit
    assert commit is not None
    listed = git(wine, "ls-tree", "-r", "--name-only", commit).split("\n")
    assert ".dvc/config" in listed and ".gittrack/artifacts/model.bin.dvc" in listed
    pointer = git(wine, "show", f"{commit}:.gittrack/artifacts/model.bin.dvc")
    assert pointer.startswith("outs:\n") and "hash: md5" in pointer and "path: model.bin" in pointer


def test_data_and_artifacts_are_no_code(wine: Path, track: Track, git: Git) -> None:
    """What is hashed and kept need not be in Git a second time, nor does it make the tree dirty."""
    (wine / "notes.csv").write_text("1")
    track(wine, "run", "--data", "notes.csv", "--out", "out.txt", "--", "touch", "out.txt", check=0)
    run = newest(wine)
    assert run.code.included == () and not run.code.dirty
    track(wine, "run", "--out", "out.txt", "--", "sh", "-c", "echo 1 >out.txt", check=0)
    assert newest(wine).code.included == ("notes.csv",)


def test_data_that_changes_meanwhile_is_said(wine: Path, track: Track) -> None:
    """The result is of neither version."""
    done = track(
        wine, "run", "--data", "data/raw.csv", "--", "sh", "-c", "echo 3 >>data/raw.csv", check=0
    )
    (data,) = newest(wine).data
    assert data.changed and data.md5 == md5(b"a,b\n1,2\n")
    assert "'data/raw.csv' changed while the run ran" in done.stderr


def test_a_failed_run_keeps_what_it_wrote(wine: Path, track: Track) -> None:
    """The last checkpoint is what one wants of it."""
    track(wine, "run", "--out", "model.bin", "--", PYTHON, "fit.py", "3", check=3)
    run = newest(wine)
    assert run.status == "failed" and [kept.path for kept in run.artifacts] == ["model.bin"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--data", "none.csv"), "none.csv"),
        (("--data", ""), "no path"),
        (("--data", "/etc/passwd"), "/etc/passwd"),
        (("--data", "../elsewhere"), "elsewhere"),
        (("--data", "pipe"), "pipe"),
        (("--data", "link"), "link"),
        (("--out", "../x"), "../x"),
        (("--out", ""), "empty"),
        (("--out", ".git/x"), ".git"),
        (("--input", "nobody"), "nobody"),
        (("--code", "trian.py"), "trian.py"),
    ],
)
def test_a_bad_path_is_refused_before_the_command_starts(
    wine: Path, track: Track, options: tuple[str, ...], words: str
) -> None:
    """One line that names it; the command does not run, and nothing is recorded."""
    os.mkfifo(wine / "pipe")
    (wine / "link").symlink_to("nowhere")
    done = track(wine, "run", *options, "--", "touch", "ran")
    assert done.returncode == (2 if words in ("empty", "trian.py") else 125)
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: ") and words in lines[0] and len(lines) <= 2
    assert not (wine / "ran").exists() and refs.all_runs(Repo.open(wine)) == []
    assert not list((wine / ".git" / "gittrack").glob("live/*"))


def test_a_killed_run_keeps_what_it_wrote(
    wine: Path, track: Track, until: Callable[..., None]
) -> None:
    """The next command gathers it; what was written later belongs to somebody else."""
    program = "import time; open('model.bin', 'w').write('half'); open('on', 'w'); time.sleep(60)"
    recorder = subprocess.Popen(
        [PYTHON, "-m", "gittrack", "run", "--data", "data/raw.csv", "--out", "*.bin",
         "--", PYTHON, "-c", program],
        cwd=wine, start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until((wine / "on").exists)
    os.killpg(recorder.pid, signal.SIGKILL)
    recorder.wait()
    late = wine / "late.bin"
    late.write_text("later")
    ahead = late.stat().st_mtime + 60
    os.utime(late, (ahead, ahead))
    track(wine, "ls", check=0)
    run = newest(wine)
    assert run.status == "killed" and [d.path for d in run.data] == ["data/raw.csv"]
    assert [(kept.path, kept.md5) for kept in run.artifacts] == [("model.bin", md5(b"half"))]
    assert any("'late.bin'" in fault for fault in run.faults)


def test_inputs_are_found_by_content_and_by_hand(wine: Path, track: Track) -> None:
    """Load, process, train become one graph, with no id typed by anyone."""
    (wine / "data" / "raw.csv").write_text("a,b\n" + "1,2\n" * 10)
    (wine / "data" / "raw.csv").write_text("a,b\n" + "1,2\n" * 4)
    track(wine, "run", "--name", "load", "--out", "model.bin", "--", PYTHON, "fit.py", check=0)
    load = newest(wine)
    (wine / "model.bin").rename(wine / "data" / "renamed")
    track(wine, "run", "--data", "data/renamed", "--", "true", check=0)
    reader = newest(wine)
    assert [(i.id, i.commit, i.path) for i in reader.inputs] == [
        (load.id, load.commit, "model.bin")
    ]
    track(wine, "run", "--input", "load", "--", "true", check=0)
    assert [i.id for i in newest(wine).inputs] == [load.id]


def test_the_same_bytes_are_stored_once(wine: Path, track: Track) -> None:
    """A hundred runs of one model are one file."""
    for name in ("a.bin", "b.bin"):
        track(wine, "run", "--out", name, "--", "sh", "-c", f"echo same >{name}", check=0)
    found = [p for p in (wine / ".git/gittrack/dvc/files").rglob("*") if p.is_file()]
    assert found == [cached(wine, md5(b"same\n"))]


def test_in_a_linked_work_tree_and_a_subdirectory(
    wine: Path, tmp_path: Path, track: Track, git: Git
) -> None:
    """One cache for all work trees; names are those of the work tree, wherever one stands."""
    git(wine, "worktree", "add", "-q", str(tmp_path / "there"), "-b", "there")
    place = tmp_path / "there" / "notes"
    (place / "x.csv").write_text("1")
    track(place, "run", "--data", "x.csv", "--out", "m.bin", "--", "touch", "m.bin", check=0)
    run = newest(wine)
    assert [d.path for d in run.data] == ["notes/x.csv"]
    assert [a.path for a in run.artifacts] == ["notes/m.bin"]
    assert cached(wine, run.artifacts[0].md5).is_file()


def test_in_every_kind_of_repository(every_repo: World, track: Track) -> None:
    """Empty, detached, with spaces in its path, shallow, packed: data is data."""
    if every_repo.kind == "bare":
        done = track(every_repo, "run", "--out", "m", "--", "touch", "m", check=125)
        assert "bare" in done.stderr
        return
    (every_repo.path / "in.csv").write_text("1")
    track(every_repo, "run", "--data", "in.csv", "--out", "m.bin", "--", "touch", "m.bin", check=0)
    run = newest(every_repo.root)
    assert [d.path.rpartition("/")[2] for d in run.data] == ["in.csv"]
    assert [a.path.rpartition("/")[2] for a in run.artifacts] == ["m.bin"]


def test_a_full_cache_costs_the_artifact_and_not_the_run(wine: Path, track: Track) -> None:
    """Training took days; what it printed and logged is recorded all the same."""
    (wine / ".git" / "gittrack").mkdir(exist_ok=True)
    (wine / ".git" / "gittrack" / "dvc").write_text("no directory")
    done = track(wine, "run", "--out", "model.bin", "--", PYTHON, "fit.py", check=0)
    run = newest(wine)
    assert run.status == "finished" and run.artifacts == ()
    assert any("model.bin" in fault for fault in run.faults) and "not kept" in done.stderr


def test_traced_files_are_data_and_offers(wine: Path, track: Track) -> None:
    """Nobody typed a path: what Python opened is known; code and settings are code."""
    (wine / "fit.py").write_text(
        "import model, json\n"
        "open('data/raw.csv').read()\n"
        "open('params.yaml').read()\n"
        "open('model.bin', 'w').write('m')\n"
        "open('model.bin').read()\n"
        "open('plot.bin', 'w').write('p')\n"
        "open('data/raw.csv').close()\n"
        "open('data/log.csv').read(); open('data/log.csv', 'w').write('new')\n"
    )
    (wine / "data" / "log.csv").write_text("old")
    (wine / "model.py").write_text("")
    done = track(wine, "run", "--trace", "--out", "model.bin", "--", PYTHON, "fit.py", check=0)
    run = newest(wine)
    assert [(d.path, d.md5) for d in run.data] == [("data/raw.csv", md5(b"a,b\n1,2\n"))]
    assert [a.path for a in run.artifacts] == ["model.bin"]
    offer = "written, not kept: data/log.csv, plot.bin (--out data/log.csv keeps it)"
    assert offer in done.stderr
    assert run.faults == (
        "'data/log.csv' was read and then written again: what was read is not known",
    )


def test_a_trace_of_nothing_is_said(wine: Path, track: Track) -> None:
    """A command in another language reads data that nobody notices."""
    done = track(wine, "run", "--trace", "--", "cat", "data/raw.csv", check=0)
    assert "nothing was traced: no Python process" in done.stderr
    assert newest(wine).data == ()


def test_a_traced_run_that_is_killed_has_its_data(
    wine: Path, track: Track, until: Callable[..., None]
) -> None:
    """What was opened before a SIGKILL is known after it."""
    program = "import time; open('data/raw.csv').read(); open('on', 'w'); time.sleep(60)"
    recorder = subprocess.Popen(
        [PYTHON, "-m", "gittrack", "run", "--trace", "--", PYTHON, "-c", program],
        cwd=wine, start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until((wine / "on").exists)
    os.killpg(recorder.pid, signal.SIGKILL)
    recorder.wait()
    track(wine, "ls", check=0)
    run = newest(wine)
    assert run.status == "killed" and [d.path for d in run.data] == ["data/raw.csv"]


def test_a_plain_run_loads_nothing_of_all_this(repo_dir: Path) -> None:
    """Who keeps no data pays nothing for it."""
    program = (
        "import sys; from gittrack.cli.main import main\n"
        "try: main(['run', '--', 'true'])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [PYTHON, "-c", program], cwd=repo_dir, capture_output=True, text=True, check=True
    )
    heavy = {"cache", "hashing", "setup", "inputs", "artifacts", "harvest", "index", "lineage"}
    loaded = set(done.stdout.split())
    assert "gittrack.execute" in loaded
    assert not {f"gittrack.{name}" for name in heavy} & loaded
    assert not {"dvc", "configobj", "sqlite3", "tqdm"} & loaded


LOGGER = """
import json, os, zlib
from gittrack import active
for told in {events}:
    active.append(told)
"""


def test_what_no_record_can_hold_is_left_out_and_said(wine: Path, track: Track) -> None:
    """A name too deep, one that overlaps, or nonsense must not cost the run."""
    digest = "0" * 32
    names = ["a", "a/b", "d/" * 1500 + "x", "../x", "b.dvc/c", "b", "n" * 250, "fine"]
    events = [{"artifact": {"path": name, "md5": digest, "size": 1}} for name in names]
    events += [{"artifact": {"path": "odd", "colour": 1}}, {"artifact": 7}]
    track(wine, "run", "--", PYTHON, "-c", LOGGER.format(events=events), check=0)
    run = newest(wine)
    assert [kept.path for kept in run.artifacts] == ["a", "b", "fine"]
    assert len(run.faults) == 6
    assert track(wine, "show", "latest", check=0).stderr == ""


def test_too_many_artifacts_are_left_out(wine: Path, track: Track, git: Git) -> None:
    """The record stays readable; a directory is the way to keep more."""
    git(wine, "config", "track.fsync", "false")
    program = (
        "from gittrack import active\n"
        "for n in range(10003):\n"
        "    active.append({'artifact': {'path': f'f{n:05}', 'md5': '0' * 32, 'size': 1}})\n"
    )
    track(wine, "run", "--", PYTHON, "-c", program, check=0)
    run = newest(wine)
    assert len(run.artifacts) == 10_000
    assert run.faults == ("3 artifacts not recorded: there are 10,000 already",)


def test_names_with_odd_characters_come_back(wine: Path, track: Track) -> None:
    """Quotes, blanks, control characters, any script: a name is a name."""
    names = ['we"ird.txt', "ä 日本.txt", "tab\tx.txt", "back\\slash.txt", "'.txt", "-dash.txt"]
    for name in names:
        (wine / name).unlink(missing_ok=True)
    words = [word for name in names for word in ("--out", f"./{name}")]
    program = "import sys; [open(n, 'w').write(n) for n in sys.argv[1:]]"
    track(wine, "run", *words, "--", PYTHON, "-c", program, *names, check=0)
    assert sorted(kept.path for kept in newest(wine).artifacts) == sorted(names)
    track(wine, "get", "latest", "-o", "back", check=0)
    assert {path.name: path.read_text() for path in (wine / "back").iterdir()} == {
        name: name for name in names
    }


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_a_link_into_the_cache_is_not_written_through(
    wine: Path, track: Track, git: Git, kind: str
) -> None:
    """The next run writes its own file, and the object of the last one stays what it was."""
    track(wine, "init", check=0)
    (wine / ".dvc" / "config").write_text(f"[cache]\n    type = {kind}\n")
    for text in ("one", "two"):
        track(wine, "run", "--out", "m.bin", "--", "sh", "-c", f"echo {text} >m.bin", check=0)
        (wine / "m.bin").unlink()
        track(wine, "get", "latest", check=0)
        assert (wine / "m.bin").is_symlink() or (wine / "m.bin").stat().st_nlink == 2
    program = "open('m.bin', 'w').write('three')"
    track(wine, "run", "--out", "m.bin", "--", PYTHON, "-c", program, check=0)
    for place, text in (("latest~2", "one\n"), ("latest~1", "two\n"), ("latest", "three")):
        track(wine, "get", place, "-o", f"back/{place}", check=0)
        assert (wine / "back" / place / "m.bin").read_text() == text
