"""`--reuse`: what was done is not done again, and only what was."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track
from gittrack import reuse
from gittrack.errors import UsageError
from gittrack.git import Repo
from gittrack.records import Data

STEP = "import pathlib, sys; pathlib.Path('out.txt').write_text(open('in.txt').read().upper())"


@pytest.fixture
def step(repo_dir: Path, git: Git, track: Track) -> Any:
    """Run the step `shout`, which makes out.txt of in.txt -> its name and whether it was reused."""
    (repo_dir / "in.txt").write_text("a")
    (repo_dir / "shout.py").write_text(STEP)
    (repo_dir / ".gitignore").write_text("in.txt\nout.txt\n")
    git(repo_dir, "add", ".")
    git(repo_dir, "commit", "-qm", "shout")

    def run(*options: str, command: tuple[str, ...] = ("shout.py",)) -> tuple[str, bool]:
        done = track(
            repo_dir, "run", "--reuse", "--data", "in.txt", "--out", "out.txt", *options,
            "--", sys.executable, *command, check=0,
        )  # fmt: skip
        first = done.stderr.split("\n")[0].split()
        return first[0], first[1] == "reused"

    return run


def listed(track: Track, place: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(track(place, "ls", "--json", check=0).stdout)
    return found


def test_the_same_again_is_the_run_that_was(step: Any, repo_dir: Path, track: Track) -> None:
    """No second run exists, and its file is there as if the command had run."""
    name, reused = step()
    assert not reused
    (repo_dir / "out.txt").unlink()
    assert step() == (name, True)
    assert (repo_dir / "out.txt").read_text() == "A"
    assert len(listed(track, repo_dir)) == 1


@pytest.mark.parametrize("change", ["code", "data", "params", "words"])
def test_whatever_goes_in_makes_it_another(step: Any, repo_dir: Path, change: str) -> None:
    """A result of other code, data or params would be a wrong answer that looks right."""
    name, _ = step()
    if change == "code":
        (repo_dir / "shout.py").write_text(STEP + "  # louder")
    elif change == "data":
        (repo_dir / "in.txt").write_text("b")
    options = ("-P", "x=1") if change == "params" else ()
    command = ("shout.py", "--twice") if change == "words" else ("shout.py",)
    other, reused = step(*options, command=command)
    assert not reused and other != name
    if change == "data":
        (repo_dir / "in.txt").write_text("a")
        assert step() == (name, True)
        assert (repo_dir / "out.txt").read_text() == "A"


def test_only_the_code_that_counts_counts(step: Any, repo_dir: Path) -> None:
    """Else editing one step of a chain would run them all again."""
    name, _ = step("--code", "shout.py")
    (repo_dir / "train.py").write_text("print('another step')")
    assert step("--code", "shout.py") == (name, True)
    assert step()[1] is False
    (repo_dir / "shout.py").write_text(STEP + "\n")
    assert step("--code", "shout.py")[1] is False


def test_the_code_that_counts_may_be_configured(step: Any, repo_dir: Path, git: Git) -> None:
    """`track.code` stands for `--code`, and may be given several times."""
    git(repo_dir, "config", "--add", "track.code", "shout.py")
    git(repo_dir, "config", "--add", "track.code", "src")
    name, _ = step()
    (repo_dir / "train.py").write_text("print('another step')")
    assert step() == (name, True)
    (repo_dir / "src" / "model.py").write_text("DEPTH = 4")
    assert step()[1] is False


def test_failed_and_deleted_runs_do_not_count(step: Any, repo_dir: Path, track: Track) -> None:
    """A failure may be gone by now, and who deleted a run does not want its result."""
    fails = ("-c", "raise SystemExit(3)")
    for _ in range(2):
        track(repo_dir, "run", "--reuse", "--", sys.executable, *fails, check=3)
    assert len(listed(track, repo_dir)) == 2
    name, _ = step()
    track(repo_dir, "rm", name, check=0)
    again, reused = step()
    assert not reused and again != name


def test_a_run_without_its_files_cannot_stand_in(step: Any, repo_dir: Path) -> None:
    """It is run again, and the reason is said."""
    name, _ = step()
    (repo_dir / "out.txt").unlink()
    for path in (repo_dir / ".git" / "gittrack" / "dvc" / "files").rglob("*"):
        if path.is_file():
            path.unlink()
    again, reused = step()
    assert not reused and again != name
    assert (repo_dir / "out.txt").read_text() == "A"


def test_a_path_that_is_no_code_is_an_error(repo_dir: Path) -> None:
    """A typo would make every run the same as every other."""
    repo = Repo.open(repo_dir)
    tree = repo.read_commit(repo.git("rev-parse", "HEAD").decode().strip()).tree
    with pytest.raises(UsageError, match=r"no 'trian.py' in the code"):
        reuse.fingerprint(
            repo, tree=tree, code=["trian.py"], command=["x"], directory="", params={}, data=()
        )


def test_a_fingerprint_is_of_everything_that_goes_in(repo_dir: Path) -> None:
    """1 and '1', 1 and 1.0 and True are different params."""
    repo = Repo.open(repo_dir)
    tree = repo.read_commit(repo.git("rev-parse", "HEAD").decode().strip()).tree

    def made(**changed: Any) -> str:
        known: dict[str, Any] = {
            "tree": tree, "code": [], "command": ["a", "b"], "directory": "", "params": {"x": 1},
            "data": [Data("d", "0" * 32, 1)],
        }  # fmt: skip
        return reuse.fingerprint(repo, **(known | changed))

    others = [
        made(tree=repo.empty_tree()), made(code=["src"]), made(command=["a b"]),
        made(directory="src"), made(params={"x": "1"}), made(params={"x": 1.0}),
        made(params={"x": True}), made(params={}), made(data=()),
        made(data=[Data("d", "1" * 32, 1)]), made(data=[Data("e", "0" * 32, 1)]),
    ]  # fmt: skip
    assert made() == made() and len({made(), *others}) == len(others) + 1
    assert made(code=["src", "train.py"]) == made(code=["train.py", "src", "src"])


def made(track: Track, place: Path, *words: str) -> tuple[str, list[str]]:
    """Run with --reuse -> `reused` or the status, and the lines that follow."""
    done = track(place, "run", "--reuse", *words, check=0)
    lines = done.stderr.splitlines()
    return lines[0].split()[1], [line.strip() for line in lines[1:]]


def test_a_run_that_did_not_keep_it_cannot_stand_in(
    step: Any, repo_dir: Path, track: Track
) -> None:
    """The file in the work tree would be another run's."""
    words = ("--data", "in.txt", "--", sys.executable, "shout.py")
    assert made(track, repo_dir, *words)[0] == "finished"
    name, reused = step()
    assert not reused and (repo_dir / "out.txt").read_text() == "A"
    assert step() == (name, True)
    for status in ("finished", "finished"):
        found, lines = made(track, repo_dir, "--out", "none", "--", "true")
        assert found == status and "not kept: there is no 'none'" in lines


def test_what_a_traced_run_read_must_be_the_same(repo_dir: Path, step: Any, track: Track) -> None:
    """Its data was never named, and is on record all the same."""
    words = ("--trace", "--out", "out.txt", "--", sys.executable, "shout.py")
    assert made(track, repo_dir, *words)[0] == "finished"
    assert made(track, repo_dir, *words)[0] == "reused"
    (repo_dir / "in.txt").write_text("b")
    found, lines = made(track, repo_dir, *words)
    assert found == "finished" and (repo_dir / "out.txt").read_text() == "B"
    assert any("'in.txt' is another one now: run again" in line for line in lines)
    assert made(track, repo_dir, *words[1:])[0] == "finished"


def test_data_that_changed_meanwhile_spoils_the_run(
    repo_dir: Path, step: Any, track: Track
) -> None:
    """Its result is of neither version."""
    words = ("--data", "in.txt", "--", "sh", "-c", "echo b >in.txt")
    assert made(track, repo_dir, *words)[0] == "finished"
    (repo_dir / "in.txt").write_text("a")
    found, lines = made(track, repo_dir, *words)
    assert found == "finished" and any("changed while it ran" in line for line in lines)


def test_inputs_by_hand_count_and_those_a_script_chose_prevent(
    repo_dir: Path, step: Any, track: Track
) -> None:
    """`best:acc` may be another run tomorrow."""
    first, _ = step()
    other = made(track, repo_dir, "--name", "other", "--", "true")[0]
    assert other == "finished"
    for name in (first, "other"):
        assert made(track, repo_dir, "--input", name, "--", "echo")[0] == "finished"
        assert made(track, repo_dir, "--input", name, "--", "echo")[0] == "reused"
    script = f"import gittrack; gittrack.load_artifact({first!r}, 'out.txt')"
    for _ in range(2):
        assert made(track, repo_dir, "--", sys.executable, "-c", script)[0] == "finished"


def test_what_a_reused_run_is_not_is_said(repo_dir: Path, step: Any, track: Track) -> None:
    """Another experiment, and words that go nowhere."""
    step()
    words = ("-x", "other", "-m", "try", "--data", "in.txt", "--out", "out.txt")
    found, lines = made(track, repo_dir, *words, "--", sys.executable, "shout.py")
    assert found == "reused"
    assert "it is a run of the experiment 'default', not of 'other'" in lines
    assert "nothing new is recorded: -m and --tag were not used" in lines
    assert "there again: out.txt (1 B)" in lines


def test_a_run_of_somebody_else_is_not_believed(
    repo_dir: Path, step: Any, track: Track, git: Git
) -> None:
    """Who can push a run could put any file into our work tree; `track.reuseFetched` allows it."""
    step()
    (repo_dir / ".git" / "gittrack" / "own").unlink()
    assert step()[1] is False
    (repo_dir / ".git" / "gittrack" / "own").unlink()
    git(repo_dir, "config", "track.reuseFetched", "true")
    assert step()[1] is True


@pytest.mark.parametrize("kind", ["untracked", "masked", "off", "tracked", "assumed"])
def test_what_is_not_on_record_cannot_be_the_same(
    repo_dir: Path, git: Git, track: Track, kind: str
) -> None:
    """Code that the snapshot leaves out, words that are masked: have they changed? Nobody knows."""
    words: list[str] = ["--", "true"]
    if kind == "untracked":
        (repo_dir / "big.dat").write_bytes(bytes(2 << 20))
    elif kind == "masked":
        words += ["--password=first111-Xy7"]
    elif kind == "assumed":
        git(repo_dir, "update-index", "--assume-unchanged", "train.py")
    else:
        git(repo_dir, "config", "track.snapshot", kind)
        (repo_dir / "train.py").write_text("print(1)")
    for _ in range(2):
        found, lines = made(track, repo_dir, *words)
        assert found == "finished"
        assert any(line.startswith("nothing can be reused: ") for line in lines)
    if kind != "masked" and kind != "off":
        assert made(track, repo_dir, "--code", "src", *words)[0] == "finished"
        assert made(track, repo_dir, "--code", "src", *words)[0] == "reused"


def test_the_executable_bit_is_code(repo_dir: Path, git: Git, track: Track) -> None:
    """Whether a script can be run at all hangs on it."""
    words = ("--code", "train.py", "--", "true")
    assert made(track, repo_dir, *words)[0] == "finished"
    (repo_dir / "train.py").chmod(0o755)
    assert made(track, repo_dir, *words)[0] == "finished"
    assert made(track, repo_dir, *words)[0] == "reused"


def test_a_damaged_file_is_made_anew(repo_dir: Path, step: Any) -> None:
    """The cache has other bytes than it says; the command has the right ones."""
    step()
    (kept,) = [p for p in (repo_dir / ".git/gittrack/dvc/files").rglob("*") if p.is_file()]
    kept.chmod(0o644)
    kept.write_text("Z")
    (repo_dir / "out.txt").unlink()
    assert step()[1] is False and (repo_dir / "out.txt").read_text() == "A"
    (repo_dir / "out.txt").unlink()
    assert step()[1] is True and (repo_dir / "out.txt").read_text() == "A"


@pytest.mark.parametrize(
    ("path", "pattern", "fits"),
    [
        ("/r/a.pkl", "/r/*.pkl", True), ("/r/sub/a.pkl", "/r/*.pkl", False),
        ("/r/sub/a.pkl", "/r/**/*.pkl", True), ("/r/a.pkl", "/r/**/*.pkl", True),
        ("/r/m[1].bin", "/r/m[1].bin", True), ("/r/m1.bin", "/r/m[1].bin", True),
        ("/r/out/x", "/r/out", True), ("/r/out/x/y", "/r/o*", True), ("/r/output", "/r/out", False),
        ("/r/.hidden", "/r/*", False), ("/r/.hidden", "/r/.h*", True),
    ],
)  # fmt: skip
def test_patterns_mean_what_they_mean_to_the_shell(path: str, pattern: str, fits: bool) -> None:
    """Else a file of the user's would be written over, or one of the run's not put back."""
    assert reuse._named(path, [pattern]) is fits


def test_files_beside_what_is_put_back_are_said(repo_dir: Path, track: Track) -> None:
    """The next step reads a mix that no run made; nobody's file is removed for that."""
    words = ("--out", "out", "--", "sh", "-c", "rm -rf out; mkdir out; echo 1 >out/a")
    assert made(track, repo_dir, *words)[0] == "finished"
    assert made(track, repo_dir, *words)[1][-1].startswith("there again: out (1 file")
    (repo_dir / "out" / "mine").write_text("x")
    found, lines = made(track, repo_dir, *words)
    assert found == "reused" and (repo_dir / "out" / "mine").read_text() == "x"
    assert "'out' also holds files that this run did not keep" in lines
