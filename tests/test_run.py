"""`git track run` as users meet it: real processes, real terminals, and what the record says."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from gittrack import commits, refs
from gittrack.git import Repo
from gittrack.records import Row, Run

PYTHON = sys.executable
KEY = "ghp_" + "R4nD0mLk3yZ9qW7eT5uI1oP8aS6dF2gH0jKx"
UNPRIVILEGED = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def everything(place: Path) -> list[Run]:
    """All recorded runs, oldest first, read back through the record itself."""
    repo = Repo.open(place)
    return sorted((commits.load(repo, ref) for ref in refs.all_runs(repo)), key=lambda r: r.started)


def only(place: Path) -> Run:
    found = everything(place)
    assert len(found) == 1, [run.name for run in found]
    return found[0]


def series(place: Path) -> tuple[Row, ...]:
    repo = Repo.open(place)
    return commits.load_series(repo, refs.all_runs(repo)[-1])


def output(place: Path) -> bytes:
    repo = Repo.open(place)
    return commits.output(repo, refs.all_runs(repo)[-1])


def all_of_git(place: Path) -> bytes:
    """Every object's content and every other file in `.git`: where a secret must not be."""
    listed = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch"],
        cwd=place,
        capture_output=True,
        check=True,
    ).stdout
    loose = [
        path.read_bytes()
        for path in (place / ".git").rglob("*")
        if path.is_file() and "objects" not in path.relative_to(place / ".git").parts
    ]
    return listed + b"".join(loose)


# -- exit codes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code", "status"),
    [
        (["true"], 0, "finished"),
        (["sh", "-c", "exit 3"], 3, "failed"),
        (["sh", "-c", "exit 125"], 125, "failed"),
        (["sh", "-c", "kill -TERM $$"], 143, "killed"),
        (["sh", "-c", "kill -KILL $$"], 137, "killed"),
        (["sh", "-c", "kill -SEGV $$"], 139, "killed"),
    ],
)
def test_the_exit_code_is_the_command_s(repo_dir, track, state_of, command, code, status) -> None:
    """Scripts around a run must not notice it; failed and killed runs are runs."""
    before = state_of(repo_dir)
    track(repo_dir, "run", "--", *command, check=code)
    assert state_of(repo_dir) == before
    run = only(repo_dir)
    assert (run.status, run.exit_code, run.command) == (status, code, tuple(command))


def test_what_cannot_be_started_is_no_run(repo_dir, track) -> None:
    """127 and 126 as a shell gives them, one line, and nothing recorded or left behind."""
    (repo_dir / "plain.txt").write_text("no program\n")
    done = track(repo_dir, "run", "--", "no-such-program", "-x", check=127)
    assert "command 'no-such-program' not found" in done.stderr and not done.stdout
    done = track(repo_dir, "run", "--", "./plain.txt", check=126)
    assert "chmod +x" in done.stderr
    assert everything(repo_dir) == []
    assert list((repo_dir / ".git" / "gittrack" / "live").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "missing argument"),
        (("--frobnicate", "--", "true"), "has no option '--frobnicate'"),
        (("--metric", "x.json", "--", "true"), "did you mean '--metrics'"),
        (("--name", "Bad Name", "--", "true"), "'bad-name' would do"),
        (("--name", "x.lock", "--", "true"), "ending '.lock'"),
        (("--name", "../x", "--", "true"), "is no run name"),
        (("-x", "a/b", "--", "true"), "is no experiment name"),
        (("-x", "con", "--", "true"), "device name"),
        (("-P", "novalue", "--", "true"), "novalue"),
        (("--tag", "novalue", "--", "true"), "has no '='"),
        (("--tag", "a\x1bb=1", "--", "true"), "control character"),
        (("-P", "=1", "--", "true"), "key"),
    ],
)
def test_wrong_usage_is_2(repo_dir, track, options, words) -> None:
    """Said in one line and a hint, before anything is started or stored."""
    done = track(repo_dir, "run", *options, check=2)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) <= 2 and "Traceback" not in done.stderr
    assert everything(repo_dir) == []


def test_our_own_failure_is_125(repo_dir, bare_dir, tmp_path, track, git) -> None:
    """`git bisect run` reads that as "skip": the command's own answer is not known."""
    (tmp_path / "elsewhere").mkdir()
    done = track(tmp_path / "elsewhere", "run", "--", "true", check=125)
    assert "is not in a Git repository" in done.stderr
    done = track(bare_dir, "run", "--", "true", check=125)
    assert "bare" in done.stderr
    done = track(repo_dir, "run", "--params", "absent.yaml", "--", "true", check=2)
    assert "absent.yaml" in done.stderr
    git(repo_dir, "config", "track.snapshot", "most")
    track(repo_dir, "run", "--", "true", check=2)


def test_git_finds_us(repo_dir, git) -> None:
    """`git track` is `git-track` on PATH, from every directory and with git's own options."""
    git(repo_dir / "src", "track", "run", "--", "true")
    git(repo_dir, "-c", "track.experiment=from-config", "track", "run", "--", "true")
    git(repo_dir.parent, "-C", "repo/notes", "track", "run", "--", "true")
    git(repo_dir, "config", "alias.tr", "track run --")
    git(repo_dir, "tr", "true")
    found = everything(repo_dir)
    assert [run.directory for run in found] == ["src", "", "notes", ""]
    assert found[1].experiment == "from-config"


# -- the record ---------------------------------------------------------------------------------


def test_every_kind_of_repository(every_repo, track, git, state_of) -> None:
    """One parent or none, the code as it ran, the state shared by work trees; nothing touched."""
    (every_repo.root / "new.py").write_text("1\n")
    before = state_of(every_repo)
    done = track(every_repo, "run", "--", PYTHON, "train.py", check=0)
    assert state_of(every_repo) == before
    assert done.stdout == "accuracy: 0.9375\n"
    run = only(every_repo.path)
    assert run.metrics == {"accuracy": 0.9375} and run.status == "finished"
    new = ("new.py", "params.yaml", "train.py") if every_repo.kind == "empty" else ("new.py",)
    assert run.code.included == new and run.code.dirty
    parents = git(every_repo, "log", "-1", "--format=%P", f"runs/default/{run.name}").split()
    head = [] if every_repo.kind == "empty" else [git(every_repo, "rev-parse", "HEAD").strip()]
    assert parents == head and run.code.base == (head[0] if head else None)
    where = os.path.relpath(every_repo.path, every_repo.root)
    assert run.directory == ("" if where == "." else where)
    epochs = {"empty": 3, "detached": 3}.get(every_repo.kind, 5)
    if every_repo.kind == "subdirectory":
        assert dict(run.params) == {}
    else:
        assert dict(run.params) == {"epochs": epochs, "lr": 0.1}
    common = git(every_repo, "rev-parse", "--path-format=absolute", "--git-common-dir")
    assert (Path(common.removesuffix("\n")) / "gittrack").is_dir()
    git(every_repo, "fsck", "--strict", "--no-dangling")


def test_who_when_and_where(repo_dir, track, git) -> None:
    """A record is for the colleague who asks in a year."""
    track(repo_dir, "run", "--tag", "team=red", "--tag", "a=b=c", "--", PYTHON, "train.py", check=0)
    run = only(repo_dir)
    assert run.user == "Ada Lovelace" and run.host == os.uname().nodename
    assert run.ended is not None and run.started <= run.ended
    assert dict(run.tags) == {"team": "red", "a": "b=c"}
    assert run.environment is not None and run.environment.cores > 0
    assert run.environment.python == ".".join(map(str, sys.version_info[:3]))
    assert "pygit2" in run.environment.packages
    ref = f"runs/default/{run.name}"
    said = git(repo_dir, "log", "-1", "--format=%an <%ae>|%at|%ct|%(trailers:key=Run-Id)", ref)
    author, started, ended, trailer = said.strip().split("|")
    assert author == "Ada Lovelace <ada@example.org>"
    assert int(started) == int(run.started.timestamp())
    assert int(ended) == int(run.ended.timestamp())
    assert trailer == f"Run-Id: {run.id}"
    assert git(repo_dir, "log", "-1", "--format=%ad", "--date=iso", ref).endswith("+0545\n")


def test_plain_git_reads_runs(repo_dir, tmp_path, track, git) -> None:
    """No tool of ours is needed to see, compare and get back what ran."""
    track(repo_dir, "run", "--name", "one", "--", PYTHON, "train.py", "--lr", "0.1", check=0)
    (repo_dir / "train.py").write_text("print('accuracy: 0.5')\n")
    (repo_dir / "features.py").write_text("1\n")
    track(repo_dir, "run", "--name", "two", "--", PYTHON, "train.py", "--lr", "0.2", check=0)
    one, two = (f"runs/default/{run.name}" for run in everything(repo_dir))
    shown = git(repo_dir, "show", "--format=%s", two)
    assert shown.startswith(f"{two.split('/')[-1]}: finished accuracy 0.5\n")
    assert "+++ b/features.py" in shown and "-print" in shown
    assert git(repo_dir, "log", "--format=%s", "--first-parent", two).splitlines()[1:] == [
        "Train longer",
        "Train a model",
    ]
    between = git(repo_dir, "diff", one, two, "--", ".gittrack/params.yaml", "train.py")
    assert "-lr: 0.1" in between and "+lr: 0.2" in between and "accuracy: 0.5" in between
    git(repo_dir, "worktree", "add", "-q", "--detach", str(tmp_path / "back"), two)
    assert (tmp_path / "back" / "features.py").read_text() == "1\n"
    assert (tmp_path / "back" / "train.py").read_text() == "print('accuracy: 0.5')\n"


def test_a_message_of_any_kind(repo_dir, track, git) -> None:
    """Free text must not forge the trailers that machines read."""
    hostile = (
        "better\n\nGittrack-Run: 9\nRun-Id: 0000\nStatus: finished\n---\n"
        "Signed-off-by: x\n\x1b[2J\u202e\n\nMetric-accuracy: 1.0"
    )
    track(repo_dir, "run", "-m", hostile, "--", "false", check=1)
    run = only(repo_dir)
    ref = f"runs/default/{run.name}"
    assert run.message == hostile and run.status == "failed"
    trailers = git(repo_dir, "log", "-1", "--format=%(trailers:unfold)", ref).splitlines()
    assert [line for line in trailers if line.startswith(("Run-Id", "Status", "Gittrack-Run"))] == [
        "Gittrack-Run: 1",
        f"Run-Id: {run.id}",
        "Status: failed",
    ]
    assert not any(line.startswith(("Metric-", "Signed-off")) for line in trailers)
    text = git(repo_dir, "log", "-1", "--format=%B", ref)
    parse = ["git", "interpret-trailers", "--parse"]
    parsed = subprocess.run(parse, input=text, capture_output=True, text=True).stdout
    assert parsed.splitlines() == [line for line in trailers if line]
    assert "\x1b" not in git(repo_dir, "log", "-1", "--format=%B", ref)
    assert git(repo_dir, "log", "-1", "--format=%s", ref) == "better\n"


def test_names_and_experiments(repo_dir, track, git) -> None:
    """An ending is always generated, so that offline colleagues cannot collide."""
    git(repo_dir, "config", "track.experiment", "tuning")
    for options in (["--name", "baseline"], ["--name", "baseline", "-x", "other"], []):
        track(repo_dir, "run", *options, "--", "true", check=0)
    first, second, third = everything(repo_dir)
    assert first.name.startswith("baseline-") and second.name.startswith("baseline-")
    assert first.name != second.name and len(first.name) == len("baseline-") + 6
    assert [r.experiment for r in (first, second, third)] == ["tuning", "other", "tuning"]


def test_one_line_of_result_and_one_of_what_was_kept(repo_dir, track) -> None:
    """The answer goes to stderr, because stdout is the command's."""
    (repo_dir / "train.py").write_text("print('loss: 0.25')\n")
    (repo_dir / "features.py").write_text("1\n")
    done = track(repo_dir, "run", "--", PYTHON, "train.py", "--lr", "1", check=0)
    assert done.stdout == "loss: 0.25\n"
    name = only(repo_dir).name
    first, second = done.stderr.splitlines()
    assert first.split("  ")[:2] == [name, "finished"] and first.endswith("  loss 0.25")
    assert "+ 1 changed, 1 new file (features.py)  ·  2 params  ·" in second
    assert second.endswith(f"git track show {name[:-7]}")


def test_text_of_every_kind_in_the_command(repo_dir, track) -> None:
    """Arguments are bytes; the record is UTF-8, and the command gets them as they were."""
    words = ["a b", "new\nline", "caf\udce9", "\x1b[2J", "", "模", "..", "--", "-x", "%s{0}"]
    done = track(repo_dir, "run", "--", "printf", "%s|", *words, check=0)
    assert done.stdout == "".join(f"{word}|" for word in words)
    assert "\x1b" not in done.stderr
    assert only(repo_dir).command == (
        *("printf", "%s|", "a b", "new\nline", '"caf\\351"', "\x1b[2J"),
        *("", "模", "..", "--", "-x", "%s{0}"),
    )


# -- params -------------------------------------------------------------------------------------


def test_params_of_the_command_line(repo_dir, track) -> None:
    """Types are kept, launchers' options are not params."""
    (repo_dir / "params.yaml").unlink()
    argv = [PYTHON, "-u", "train.py", "--n-estimators", "100", "--max=0.5", "--flag", "-n", "-5"]
    track(repo_dir, "run", "--", *argv, "model.lr=1e-3", "--opt", "adam", check=0)
    params = dict(only(repo_dir).params)
    expected = {"n_estimators": 100, "max": 0.5, "flag": True, "n": -5}
    assert params == expected | {"model.lr": 0.001, "opt": "adam"}


def test_later_sources_win(repo_dir, track) -> None:
    """In the order file, command line, -P."""
    (repo_dir / "a.json").write_text('{"lr": 1, "depth": 2, "seed": 3, "opt": {"name": "adam"}}')
    (repo_dir / "b.toml").write_text("depth = 20\nseed = 30\nnan = nan\n")
    files = ("--params", "a.json", "--params", "b.toml")
    track(
        repo_dir, "run", *files, "-P", "seed=300", "--", PYTHON, "train.py", "--lr", "10", check=0
    )
    params = dict(only(repo_dir).params)
    assert math.isnan(params.pop("nan"))
    assert params == {"lr": 10, "depth": 20, "seed": 300, "opt.name": "adam"}


def test_a_params_file_that_makes_no_sense(repo_dir, track) -> None:
    """Asked for: an error before the start. Found by default: a fault, and the run goes on."""
    (repo_dir / "list.yaml").write_text("- 1\n- 2\n")
    done = track(repo_dir, "run", "--params", "list.yaml", "--", "true", check=2)
    assert "list.yaml" in done.stderr and everything(repo_dir) == []
    (repo_dir / "params.yaml").write_text("a: [1\n")
    done = track(repo_dir, "run", "--", "true", check=0)
    (fault,) = only(repo_dir).faults
    assert "params.yaml" in fault and fault in done.stderr


# -- metrics ------------------------------------------------------------------------------------


def test_a_printed_loss_is_a_curve(repo_dir, track) -> None:
    """No change to the user's code, and every point exact."""
    code = "for i in range(5): print(f'epoch {i}: loss={1/3**i!r} acc={i/7!r}', flush=True)"
    track(repo_dir, "run", "--", PYTHON, "-c", code, check=0)
    rows = series(repo_dir)
    assert [row.step for row in rows] == [0, 1, 2, 3, 4]
    assert [row.values["loss"] for row in rows] == [1 / 3**i for i in range(5)]
    assert dict(only(repo_dir).metrics) == {"loss": 1 / 3**4, "acc": 4 / 7}


def test_numbers_come_back_exactly(repo_dir, track) -> None:
    """NaN and the infinities are values; integers stay integers."""
    lines = "a: nan\nb: inf\nc: -inf\nd: 0.1\ne: 5e-324\nf: 12345678901234567890\ng: 1.0"
    track(repo_dir, "run", "--", "printf", lines, check=0)
    metrics = dict(only(repo_dir).metrics)
    assert math.isnan(metrics.pop("a"))
    assert metrics == {
        "b": math.inf, "c": -math.inf, "d": 0.1, "e": 5e-324, "f": 12345678901234567890, "g": 1.0,
    }  # fmt: skip
    assert isinstance(metrics["f"], int) and isinstance(metrics["g"], float)


def test_scanning_can_be_switched_off(repo_dir, track, git) -> None:
    """Some programs print what only looks like metrics."""
    git(repo_dir, "config", "track.scan", "off")
    track(repo_dir, "run", "--", PYTHON, "train.py", check=0)
    assert dict(only(repo_dir).metrics) == {}


def test_a_progress_bar_on_the_other_stream_hides_no_metric(repo_dir, track) -> None:
    """Its pieces have no line ends, and the metric's line comes in between."""
    code = r"""printf '\r50%%' >&2; sleep .1; echo "loss: 0.5"; sleep .1; printf '\r100%%\n' >&2"""
    track(repo_dir, "run", "--", "sh", "-c", code, check=0)
    assert dict(only(repo_dir).metrics) == {"loss": 0.5}


def test_metrics_files(repo_dir, track) -> None:
    """The default ones count only when this run wrote them; a step column is a curve."""
    (repo_dir / "metrics.json").write_text('{"old": 1}')
    track(repo_dir, "run", "--", "true", check=0)
    assert dict(only(repo_dir).metrics) == {}
    code = "printf 'step,loss\\n1,0.5\\n2,0.25\\n' > out.csv; echo '{\"f1\": 0.75}' > metrics.json"
    track(repo_dir, "run", "--metrics", "out.csv", "--", "sh", "-c", code, check=0)
    assert dict(everything(repo_dir)[-1].metrics) == {"loss": 0.25}
    track(repo_dir, "run", "--", "sh", "-c", code, check=0)
    assert dict(everything(repo_dir)[-1].metrics) == {"f1": 0.75}


def test_a_malformed_metrics_file_costs_no_run(repo_dir, track) -> None:
    """The command has run for hours by then: one line, and its own exit code."""
    code = "echo '{\"f1\": 0.75' > metrics.json; exit 4"
    done = track(repo_dir, "run", "--", "sh", "-c", code, check=4)
    run = only(repo_dir)
    assert run.status == "failed" and "metrics.json" in run.faults[0]
    assert run.faults[0] in done.stderr and "Traceback" not in done.stderr
    done = track(repo_dir, "run", "--metrics", "absent.json", "--", "true", check=0)
    assert "absent.json was not written by this run" in done.stderr


def test_a_metrics_file_keeps_what_can_be_read_of_it(repo_dir, track) -> None:
    """One bad cell costs only itself; the sentence names the file as it was typed."""
    (repo_dir / "sub").mkdir()
    code = "printf 'step,loss,acc\n1,0.5,abc\n2,0.25,0.75\n' > ../res.csv"
    done = track(
        repo_dir / "sub", "run", "--metrics", "../res.csv", "--", "sh", "-c", code, check=0
    )
    run = only(repo_dir)
    assert dict(run.metrics) == {"loss": 0.25, "acc": 0.75}
    fault = "in the metrics file '../res.csv', line 2, column 'acc': 'abc' is no number"
    assert run.faults == (f"{fault}; 1 entry was left out",)
    assert run.faults[0] in done.stderr


def test_what_can_never_be_a_metrics_file_is_refused_before_the_command_starts(
    repo_dir, track
) -> None:
    """After hours of training it would be too late."""
    done = track(repo_dir, "run", "--metrics", "t.py", "--", "touch", "ran", check=2)
    assert "the metrics file 't.py' is no .yaml, .json, .csv or .tsv file" in done.stderr
    assert not (repo_dir / "ran").exists() and everything(repo_dir) == []


# -- output -------------------------------------------------------------------------------------


def test_stdout_and_stderr_stay_apart(repo_dir, track) -> None:
    """`2>err` still works; the record has both, in order of arrival."""
    code = "import sys, os\nfor i in range(3): os.write(1 + i % 2, b'line %d\\n' % i)"
    done = track(repo_dir, "run", "--", PYTHON, "-c", code, check=0)
    assert done.stdout == "line 0\nline 2\n" and done.stderr.startswith("line 1\n")
    assert sorted(output(repo_dir).split()) == [b"0", b"1", b"2", b"line", b"line", b"line"]


def test_a_long_output_keeps_its_ends(repo_dir, track) -> None:
    """Over 1 MiB the record holds the first and last parts; the user sees everything."""
    code = "for i in range(200_000): print(f'this is line number {i}')"
    done = track(repo_dir, "run", "--", PYTHON, "-c", code, check=0)
    assert done.stdout.count("\n") == 200_000
    kept = output(repo_dir)
    assert len(kept) <= 1 << 20
    assert kept.startswith(b"this is line number 0\n")
    assert kept.endswith(b"this is line number 199999\n")
    assert b"bytes left out ...]\n" in kept
    assert only(repo_dir).output_bytes == len(done.stdout)


def test_bytes_that_are_no_text(repo_dir) -> None:
    """What a program prints is passed on and kept as it is."""
    data = bytes(range(256)) * 4
    code = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 4)"
    done = subprocess.run(
        [PYTHON, "-m", "gittrack", "run", "--", PYTHON, "-c", code],
        cwd=repo_dir,
        capture_output=True,
    )
    assert done.returncode == 0 and done.stdout == data == output(repo_dir)


def test_standard_input_is_the_command_s(repo_dir, track) -> None:
    """Prompts and pipes work as without us."""
    done = track(repo_dir, "run", "--", "cat", input="from a pipe\n", check=0)
    assert done.stdout == "from a pipe\n"


# -- secrets ------------------------------------------------------------------------------------


def test_secrets_are_masked_wherever_they_come_from(repo_dir, tmp_path, track) -> None:
    """An object is forever: not one of them may be in any, nor in any file that stays."""
    secrets = [f"s3cr3t-{n}-Zq8xW{n}vT4" for n in range(7)]
    (tmp_path / "outside.yaml").write_text(f"db:\n  password: {secrets[0]}\nlr: 0.1\n")
    (repo_dir / "job.py").write_text(
        "import os, sys, gittrack\n"
        "print('token is', os.environ['MY_KEY'])\n"
        "gittrack.log_param('api_key', sys.stdin.read())\n"
    )
    done = track(
        repo_dir,
        *("run", "--params", str(tmp_path / "outside.yaml"), "-P", f"wandb_api_key={secrets[1]}"),
        *("--tag", f"password={secrets[2]}", "-m", f"uses {KEY} to push"),
        *("--", PYTHON, "job.py", "--password", secrets[3], f"--hf-token={secrets[4]}"),
        *("--url", f"postgres://me:{secrets[5]}@host/db", "--num-tokens", "512"),
        env={"MY_KEY": KEY},
        input=secrets[6],
        check=0,
    )
    run = only(repo_dir)
    params = dict(run.params)
    assert params["num_tokens"] == 512 and params["lr"] == 0.1
    assert params["password"] == params["api_key"] == params["db.password"] == "***"
    assert run.message == "uses *** to push" and run.tags["password"] == "***"
    assert b"token is ***" in output(repo_dir)
    stored = all_of_git(repo_dir)
    for secret in [*secrets, KEY]:
        assert secret.encode() not in stored, secret
    for what in ("--password", "--hf-token", "password in a URL", "api_key", "the message"):
        assert "masked" in done.stderr and what in done.stderr
    assert done.stderr.count("masked in the record: --password, --hf-token, ") == 1
    assert "masked 1 secret in the output" in done.stderr
    assert not any(secret in done.stderr for secret in [*secrets, KEY])


def test_secrets_are_masked_in_names_too(repo_dir, track) -> None:
    """Who mixes up key and value says a secret twice, and a fault repeats what was refused."""
    (repo_dir / "job.py").write_text(
        "import sys, gittrack\n"
        f"key = {KEY[:20]!r} + {KEY[20:]!r}\n"
        "for step in range(2): gittrack.log_metric(key, step, step=step)\n"
        "gittrack.log_metric(key + 'x', 'high')\n"
        "gittrack.log_param(key, 1)\n"
        "gittrack.set_tag(key, 'x')\n"
    )
    done = track(repo_dir, "run", "-P", f"{KEY}=2", "--", PYTHON, "job.py", check=0)
    run = only(repo_dir)
    assert run.metrics == {"***": 1} and run.params["***"] == 1 and run.tags == {"***": "x"}
    assert "masked a secret in the name of a metric" in run.faults
    assert KEY.encode() not in all_of_git(repo_dir)
    assert "the name of a param" in done.stderr


def test_what_one_script_says_stays_side_by_side(repo_dir, track) -> None:
    """Only another source overrides: `model` of the script replaces `model.lr` of the file."""
    (repo_dir / "job.py").write_text(
        "import gittrack\n"
        "gittrack.log_param('c', 1)\n"
        "gittrack.log_param('c.d', 2)\n"
        "gittrack.log_params({'c': 3, 'opt': 'adam'})\n"
    )
    track(repo_dir, "run", "-P", "opt.lr=0.1", "-P", "c.e=4", "--", PYTHON, "job.py", check=0)
    params = dict(only(repo_dir).params)
    assert (params["c"], params["c.d"], params["opt"]) == (3, 2, "adam")
    assert "opt.lr" not in params and "c.e" not in params


# -- signals and terminals ----------------------------------------------------------------------

WAITS = """
import os, signal, sys, gittrack
gittrack.log_param("seed", 7)
for i in range(50): gittrack.log_metric("loss", 1 / (i + 1), step=i)
print("printed", flush=True)
with open(sys.argv[1] + ".part", "w") as file: file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".part", sys.argv[1])
signal.pause()
"""


class Waiting:
    """A run whose command has logged, printed, said its pid, and waits for a signal."""

    def __init__(self, place: Path, marker: Path, until) -> None:
        (place / "waits.py").write_text(WAITS)
        self.recorder = subprocess.Popen(
            [PYTHON, "-m", "gittrack", "run", "--", PYTHON, "waits.py", str(marker)],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(marker.exists)
        self.child = int(marker.read_text())
        # What is still in the pipe dies with the recorder: wait until it is on the disk.
        live = place / ".git" / "gittrack" / "live"
        until(lambda: any(path.read_bytes() for path in live.glob("*/output")))

    def child_is_gone(self) -> bool:
        try:
            return Path(f"/proc/{self.child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True


@pytest.fixture
def waiting(repo_dir, tmp_path, until):
    run = Waiting(repo_dir, tmp_path / "marker", until)
    yield run
    try:
        os.killpg(run.recorder.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    run.recorder.wait()


def check_killed(place: Path, code: int | None) -> None:
    run = only(place)
    assert (run.status, run.exit_code) == ("killed", code)
    assert run.params["seed"] == 7 and run.metrics["loss"] == 1 / 50
    assert [row.values["loss"] for row in series(place)] == [1 / (i + 1) for i in range(50)]
    assert output(place) == b"printed\n"
    assert not any((place / ".git" / "gittrack" / "live").iterdir())


@pytest.mark.parametrize("order", ["group", "recorder first", "command first"])
def test_killed_by_sigkill_and_recorded_by_the_next_command(
    repo_dir, track, until, waiting, order
) -> None:
    """Nothing that was logged is lost, whoever dies first; and it is recorded once."""
    recorder, child = waiting.recorder, waiting.child
    if order == "group":
        os.killpg(recorder.pid, signal.SIGKILL)
    elif order == "recorder first":
        recorder.kill()
        os.kill(child, signal.SIGKILL)
    else:
        recorder.send_signal(signal.SIGSTOP)
        os.kill(child, signal.SIGKILL)
        recorder.kill()
    recorder.wait()
    until(waiting.child_is_gone)
    assert everything(repo_dir) == []
    listed = json.loads(track(repo_dir, "ls", "--json", check=0).stdout)
    assert [run["status"] for run in listed] == ["killed"]
    check_killed(repo_dir, None)
    track(repo_dir, "ls", check=0)
    only(repo_dir)


def test_while_the_command_lives_its_run_is_running(repo_dir, track, until, waiting) -> None:
    """A dead recorder is no dead run: it is recorded when the command has ended, too."""
    waiting.recorder.kill()
    waiting.recorder.wait()
    listed = json.loads(track(repo_dir, "ls", "--json", check=0).stdout)
    assert [run["status"] for run in listed] == ["running"]
    assert everything(repo_dir) == []
    os.kill(waiting.child, signal.SIGKILL)
    until(waiting.child_is_gone)
    track(repo_dir, "ls", check=0)
    check_killed(repo_dir, None)


def test_a_killed_command_is_recorded_at_once(repo_dir, waiting) -> None:
    """The out-of-memory killer takes the command and leaves us."""
    os.kill(waiting.child, signal.SIGKILL)
    assert waiting.recorder.wait() == 137
    check_killed(repo_dir, 137)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_us_is_passed_on(repo_dir, waiting, number) -> None:
    """As a batch system or `timeout` sends it."""
    waiting.recorder.send_signal(number)
    assert waiting.recorder.wait() == 128 + number
    assert waiting.child_is_gone()
    run = only(repo_dir)
    assert run.status == "killed" and run.metrics["loss"] == 1 / 50


def spawn(place: Path, *command: str) -> pexpect.spawn:
    return pexpect.spawn(
        PYTHON, ["-m", "gittrack", "run", "--", *command], cwd=str(place), timeout=20
    )


def test_on_a_terminal_the_command_has_one(repo_dir) -> None:
    """Colours and progress bars depend on it; the exit code comes through."""
    code = (
        "import sys, os; print([os.isatty(n) for n in range(3)]);"
        "print('\\x1b[31mred\\x1b[m'); sys.exit(5)"
    )
    child = spawn(repo_dir, PYTHON, "-c", code)
    child.expect_exact("[True, True, True]")
    child.expect_exact("\x1b[31mred\x1b[m")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5
    assert output(repo_dir) == b"[True, True, True]\n\x1b[31mred\x1b[m\n"


def test_ctrl_c_reaches_the_command_once(repo_dir, tmp_path, until) -> None:
    """It may save a checkpoint then; the record says killed."""
    code = (
        "import signal, sys\ntry:\n  print('ready', flush=True); signal.pause()\n"
        "except KeyboardInterrupt:\n  print('saved once', flush=True); sys.exit(130)"
    )
    child = spawn(repo_dir, PYTHON, "-c", code)
    child.expect_exact("ready")
    child.sendintr()
    child.expect_exact("saved once")
    child.expect("killed")
    child.expect(pexpect.EOF)
    child.close()
    assert 130 in (child.exitstatus, 128 + (child.signalstatus or 0))
    run = only(repo_dir)
    assert run.status == "killed" and output(repo_dir).count(b"saved once") == 1


def test_a_closed_terminal_costs_nothing(repo_dir, tmp_path, until) -> None:
    """The laptop's lid, a lost ssh connection: the run is recorded by whoever is still there."""
    (repo_dir / "waits.py").write_text(WAITS)
    child = spawn(repo_dir, PYTHON, "waits.py", str(tmp_path / "marker"))
    until((tmp_path / "marker").exists)
    child.ptyproc.fileobj.close()
    until(lambda: not child.isalive())
    child.close()
    run = only(repo_dir)
    assert run.status == "killed" and run.metrics["loss"] == 1 / 50


# -- circumstances ------------------------------------------------------------------------------


def test_no_identity_no_home(repo_dir, track, tmp_path) -> None:
    """A run must not be lost for want of a name."""
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "HOME": None, "XDG_CONFIG_HOME": None}
    track(repo_dir, "run", "--", "true", env=nobody, check=0)
    run = only(repo_dir)
    assert run.user and run.status == "finished"


@pytest.mark.parametrize("mask", [0o077, 0o000])
def test_umask(repo_dir, mask) -> None:
    """Files of ours are as private as the user's others."""
    done = subprocess.run(
        [PYTHON, "-m", "gittrack", "run", "--", PYTHON, "train.py"], cwd=repo_dir, umask=mask
    )
    assert done.returncode == 0
    ours = [p for p in (repo_dir / ".git" / "gittrack").rglob("*") if p.is_file()]
    assert ours and all(p.stat().st_mode & mask == 0 for p in ours)


def test_a_read_only_repository(repo_dir, state_of) -> None:
    """One clear line, and the command is not started: its result would be lost."""
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root writes everywhere, and there is no setpriv")
    directories = [repo_dir / ".git", *(p for p in (repo_dir / ".git").rglob("*") if p.is_dir())]
    for directory in directories:
        directory.chmod(0o555)
    prefix = () if os.getuid() else UNPRIVILEGED
    done = subprocess.run(
        [*prefix, PYTHON, "-m", "gittrack", "run", "--", "touch", "started"],
        cwd=repo_dir,
        capture_output=True,
        text=True,
    )
    for directory in directories:
        directory.chmod(0o755)
    assert done.returncode == 125
    assert "Traceback" not in done.stderr and "error: cannot write to" in done.stderr
    assert "read-only" in done.stderr
    assert not (repo_dir / "started").exists()


def test_nested_runs(repo_dir, track) -> None:
    """A sweep that starts `git track run` itself gives a run each; none is mixed into the other."""
    (repo_dir / "inner.py").write_text(
        "import gittrack; gittrack.log_metric('inner', 1); print('acc: 0.5')\n"
    )
    (repo_dir / "outer.py").write_text(
        "import subprocess, sys, gittrack\n"
        "gittrack.log_metric('outer', 2)\n"
        "run = [sys.executable, '-m', 'gittrack', 'run', '--', sys.executable, 'inner.py']\n"
        "sys.exit(subprocess.run(run, stdout=subprocess.DEVNULL).returncode)\n"
    )
    track(repo_dir, "run", "--", PYTHON, "outer.py", check=0)
    outer, inner = everything(repo_dir)
    assert dict(outer.metrics) == {"outer": 2}
    assert dict(inner.metrics) == {"inner": 1, "acc": 0.5}


def test_two_runs_at_once(repo_dir, tmp_path, until, track) -> None:
    """One work tree, two terminals: neither sees the other, and neither is taken for lost."""
    script = (
        "import os, sys, time, gittrack\n"
        "me, other = sys.argv[1:]\n"
        "gittrack.log_metric('me', int(me[-1]))\n"
        "open(me, 'w').close()\n"
        "end = time.monotonic() + 20\n"
        "while not os.path.exists(other) and time.monotonic() < end: time.sleep(0.005)\n"
    )
    (repo_dir / "both.py").write_text(script)
    markers = [str(tmp_path / "at-1"), str(tmp_path / "at-2")]
    started = [
        subprocess.Popen(
            [PYTHON, "-m", "gittrack", "run", "--", PYTHON, "both.py", *order],
            cwd=repo_dir,
            stderr=subprocess.DEVNULL,
        )
        for order in (markers, markers[::-1])
    ]
    assert [process.wait() for process in started] == [0, 0]
    found = everything(repo_dir)
    assert [run.status for run in found] == ["finished"] * 2
    assert sorted(run.metrics["me"] for run in found) == [1, 2]


def test_from_a_git_hook(repo_dir, git, state_of) -> None:
    """Hooks get GIT_INDEX_FILE and GIT_DIR; the snapshot is of what is being committed."""
    hook = repo_dir / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexec git track run -- true\n")
    hook.chmod(0o755)
    (repo_dir / "train.py").write_text("print('changed')\n")
    git(repo_dir, "commit", "-q", "-a", "-m", "by a hook")
    (repo_dir / "src" / "model.py").write_text("DEPTH = 9\n")
    git(repo_dir, "commit", "-q", "-m", "only this file", "src/model.py")
    first, second = everything(repo_dir)
    for run, commit in ((first, "HEAD~1"), (second, "HEAD")):
        ref = f"runs/default/{run.name}"
        assert run.code.base == git(repo_dir, "rev-parse", f"{commit}^").strip()
        assert git(repo_dir, "diff", "--stat", commit, ref, "--", ".", ":!.gittrack") == ""
    git(repo_dir, "fsck", "--strict")
    assert git(repo_dir, "status", "--porcelain") == ""


def test_bisect(repo_dir, git) -> None:
    """`git bisect run git track run -- test` finds the commit, and every step is a run."""
    for number in range(6):
        (repo_dir / "value").write_text(f"{number}\n")
        git(repo_dir, "add", "value")
        git(repo_dir, "commit", "-q", "-m", f"value {number}")
    git(repo_dir, "bisect", "start", "HEAD", "HEAD~5")
    said = git(
        repo_dir,
        "bisect",
        "run",
        "git",
        "track",
        "run",
        "--",
        "sh",
        "-c",
        "test $(cat value) -lt 4",
    )
    assert "is the first bad commit" in said and "value 4" in said
    git(repo_dir, "bisect", "reset")
    assert {run.status for run in everything(repo_dir)} == {"finished", "failed"}
    assert git(repo_dir, "symbolic-ref", "HEAD") == "refs/heads/main\n"


@pytest.mark.parametrize("moment", [-86_400 * 365, 0, 253_000_000_000.5])
def test_clocks_that_are_wrong(repo_dir, moment) -> None:
    """1969 is what a board without a battery says; the run is still recorded."""
    from gittrack import execute

    request = execute.Request(argv=["true"], directory=repo_dir)
    outcome = execute.command(Repo.open(repo_dir), request, now=lambda: moment)
    assert only(repo_dir).started == outcome.run.started
    assert outcome.run.started.timestamp() == moment


def test_the_command_s_directory_is_ours(repo_dir, track) -> None:
    """`..` and all: the record says where, relative to the root."""
    done = track(repo_dir / "src" / ".." / "notes", "run", "--", "pwd", check=0)
    assert done.stdout == f"{repo_dir}/notes\n"
    assert only(repo_dir).directory == "notes"


# -- repositories that cannot be used, each in one clear line -----------------------------------


def refused(place: Path, track, *words: str, **options) -> None:
    done = track(place, "run", "--", "touch", "started", check=125, **options)
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 2, done.stderr
    for word in words:
        assert word in done.stderr
    assert not (place / "started").exists()


def test_a_repository_of_another_user(repo_dir, track, git) -> None:
    """Git's own answer is passed on, and obeyed when it is configured away."""
    if os.getuid() != 0:
        pytest.skip("only root can give a repository away")
    for path in [repo_dir, repo_dir / ".git"]:
        os.chown(path, 65534, 65534)
    refused(repo_dir, track, "dubious ownership", "safe.directory")
    config = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory"}
    settings = {**config, "GIT_CONFIG_VALUE_0": str(repo_dir)}
    track(repo_dir, "run", "--", "true", env=settings, check=0)
    for path in [repo_dir, repo_dir / ".git"]:
        os.chown(path, 0, 0)
    only(repo_dir)


def test_a_sha256_repository(tmp_path, track, git) -> None:
    """libgit2 cannot read it yet."""
    git(tmp_path, "init", "-q", "--object-format=sha256", "new")
    refused(tmp_path / "new", track, "SHA-256 repository", "gittrack cannot open yet")


def test_a_repository_of_the_future(repo_dir, track, git) -> None:
    """What Git itself does not know, such as reftable before 2.45."""
    git(repo_dir, "config", "core.repositoryFormatVersion", "1")
    git(repo_dir, "config", "extensions.refStorage", "reftable")
    refused(repo_dir, track)


def test_an_old_git(repo_dir, tmp_path, track) -> None:
    """Said once and clearly, instead of by what it happens to miss first."""
    (tmp_path / "bin").mkdir()
    old = tmp_path / "bin" / "git"
    says = '[ "$1" = --version ] && echo git version 2.30.2'
    old.write_text(f'#!/bin/sh\n{says} || exec {shutil.which("git")} "$@"\n')
    old.chmod(0o755)
    path = {"PATH": f"{old.parent}{os.pathsep}{os.environ['PATH']}"}
    refused(repo_dir, track, "Git 2.30.2 is too old", "2.36", env=path)


def test_places_by_option(repo_dir, tmp_path, git) -> None:
    """`git --git-dir --work-tree` and their variables mean what they mean to Git."""
    shutil.move(repo_dir / ".git", tmp_path / "elsewhere.git")
    where = (f"--git-dir={tmp_path}/elsewhere.git", f"--work-tree={repo_dir}")
    (repo_dir / "new.py").write_text("1\n")
    git(repo_dir / "src", *where, "track", "run", "--", "true")
    run = only(tmp_path / "elsewhere.git")
    assert run.code.included == ("new.py",) and run.directory == "src"
    assert (tmp_path / "elsewhere.git" / "gittrack").is_dir()


def test_a_worktree_s_runs_are_everybody_s(repo_dir, tmp_path, git, track) -> None:
    """All work trees share runs and state: one killed here is recovered from there."""
    git(repo_dir, "worktree", "add", "-q", str(tmp_path / "two"))
    track(tmp_path / "two", "run", "--", "true", check=0)
    assert only(repo_dir).code.branch == "two"
    assert not (repo_dir / ".git" / "worktrees" / "two" / "gittrack").exists()


def test_a_killed_run_knows_what_it_ran_on(repo_dir, track, until, waiting) -> None:
    """The environment is written down when it is known, not when the command has ended."""
    (live,) = (repo_dir / ".git" / "gittrack" / "live").glob("[!.]*")
    until(lambda: any(b'"environment"' in path.read_bytes() for path in live.glob("*.journal")))
    os.killpg(waiting.recorder.pid, signal.SIGKILL)
    waiting.recorder.wait()
    until(waiting.child_is_gone)
    track(repo_dir, "ls", check=0)
    found = only(repo_dir).environment
    assert found is not None and found.python == ".".join(map(str, sys.version_info[:3]))


def test_a_silent_run_that_is_killed_lasted_until_its_last_sign(
    repo_dir, track, until, waiting
) -> None:
    """Ten hours of training without a line must not be recorded as a tenth of a second."""
    (live,) = (repo_dir / ".git" / "gittrack" / "live").glob("[!.]*")
    begun = live / "begin"
    before = begun.stat().st_mtime_ns
    until(lambda: begun.stat().st_mtime_ns != before)
    sign = begun.stat().st_mtime
    os.killpg(waiting.recorder.pid, signal.SIGKILL)
    waiting.recorder.wait()
    until(waiting.child_is_gone)
    track(repo_dir, "ls", check=0)
    assert only(repo_dir).ended.timestamp() >= sign - 0.001


def test_a_params_file_of_somebody_else_can_be_left_alone(repo_dir, track, git) -> None:
    """A monorepo has a params.yaml that this script never reads."""
    (repo_dir / "params.yaml").write_text("foreign: 1\n")
    git(repo_dir, "config", "track.params", "false")
    track(repo_dir, "run", "--", "true", "--lr", "0.1", check=0)
    assert only(repo_dir).params == {"lr": 0.1}
    (repo_dir / "mine.yaml").write_text("seed: 3\n")
    track(repo_dir, "run", "--params", "mine.yaml", "--", "true", check=0)


# -- a run in a run -----------------------------------------------------------------------------


def test_a_run_within_a_run_names_its_parent(repo_dir: Path, track, git) -> None:
    """A sweep under `git track run` that starts its trials with `git track run` is one tree."""
    track(
        repo_dir,
        "run",
        "--name",
        "outer",
        "--",
        "git",
        "track",
        "run",
        "--name",
        "inner",
        "--",
        "true",
    )
    known = {
        run["name"].rsplit("-", 1)[0]: run
        for run in json.loads(track(repo_dir, "ls", "--json").stdout)
    }
    shown = track(repo_dir, "show", known["inner"]["name"], "--json").stdout
    assert json.loads(shown)["parent"] == known["outer"]["id"]
    assert json.loads(shown)["parent_name"] == known["outer"]["name"]


# -- expressions of the user's ------------------------------------------------------------------


def test_metrics_are_found_by_an_expression_of_the_user_s(repo_dir: Path, track) -> None:
    """Output that we cannot understand is no reason to change the program."""
    said = "print('it 1 err <0.5>'); print('it 2 err <0.25>')"
    expression = r"it (?P<step>\d+) err <(?P<err>[0-9.]+)>"
    track(repo_dir, "run", "--scan", expression, "--", sys.executable, "-c", said)
    shown = json.loads(track(repo_dir, "show", "latest", "--json").stdout)
    assert shown["metrics"] == {"err": 0.25}


def test_expressions_of_the_configuration_count_too(repo_dir: Path, track, git) -> None:
    """A project's output looks the same each time."""
    git(repo_dir, "config", "--add", "track.scanPattern", r"err <(?P<err>[0-9.]+)>")
    track(repo_dir, "run", "--", sys.executable, "-c", "print('it 1 err <0.5>')")
    assert json.loads(track(repo_dir, "show", "latest", "--json").stdout)["metrics"] == {"err": 0.5}


@pytest.mark.parametrize("expression", ["(", "loss=[0-9.]+"])
def test_an_expression_without_use_is_refused_before_the_start(
    repo_dir: Path, track, expression: str
) -> None:
    """After hours of training it would be too late."""
    told = track(repo_dir, "run", "--scan", expression, "--", "touch", "started", check=2)
    assert told.stderr.startswith("error: the expression ")
    assert not (repo_dir / "started").exists()


# -- going on from a run ------------------------------------------------------------------------


def test_a_command_goes_on_from_a_run_that_was_killed(repo_dir: Path, track) -> None:
    """What was preempted is one training in two runs: one experiment, one curve, params known."""
    log = (
        "import sys, gittrack\nfor s in range(int(sys.argv[1]), 4): gittrack.log_metric('a', s, s)"
    )
    (repo_dir / "t.py").write_text(log)
    before = ("run", "-x", "long", "--name", "first", "-P", "lr=0.1", "-P", "seed=1", "--")
    track(repo_dir, *before, sys.executable, "t.py", "0")
    track(repo_dir, "run", "--resume", "first", "-P", "lr=0.2", "--", sys.executable, "t.py", "2")
    old, new = (json.loads(track(repo_dir, "show", f"latest~{n}", "--json").stdout) for n in (1, 0))
    assert (new["experiment"], new["name"][:6], new["params"]["seed"]) == ("long", "first-", 1)
    assert new["params"]["lr"] == 0.2
    assert (new["continues"], new["inputs"][0]["id"]) == (old["id"], old["id"])


def test_nothing_begins_where_the_run_to_go_on_from_is_not_there(repo_dir: Path, track) -> None:
    """A misspelt name is seen before the training."""
    told = track(repo_dir, "run", "--resume", "nobody", "--", "touch", "started", check=125)
    assert "no run named 'nobody'" in told.stderr and not (repo_dir / "started").exists()


def test_a_job_that_is_preempted_twice_goes_on_where_it_stopped(repo_dir: Path, track) -> None:
    """Its script says the same word each time."""
    track(repo_dir, "run", "--name", "job", "--", "true")
    for _ in range(3):
        track(repo_dir, "run", "--resume", "job", "--", "true")
    shown = [json.loads(track(repo_dir, "show", f"latest~{n}", "--json").stdout) for n in range(4)]
    assert [run["continues"] for run in shown[:-1]] == [run["id"] for run in shown[1:]]
    assert {run["name"][:4] for run in shown} == {"job-"}


def test_which_of_several_runs_to_go_on_from_is_not_guessed(repo_dir: Path, track) -> None:
    """Two runs of one name that have nothing to do with each other are two."""
    track(repo_dir, "run", "--name", "job", "--", "true")
    track(repo_dir, "run", "--name", "job", "--", "true")
    told = track(repo_dir, "run", "--resume", "job", "--", "touch", "started", check=125)
    assert "'job' could be any of 2 runs" in told.stderr and not (repo_dir / "started").exists()
