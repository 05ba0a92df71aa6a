"""What a run meets outside of itself: where it is started, and secrets in what it is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gittrack import commits, revisions
from gittrack.git import Repo

# In two parts: this file itself would not get into a snapshot otherwise.
_TOKEN = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"


def script(repo_dir: Path, text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=repo_dir, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def everything(repo_dir: Path) -> str:
    """All commits of runs, their refs, messages and records."""
    listed = ["git", "for-each-ref", "--format=%(refname)", "refs/runs", "refs/gittrack"]
    names = subprocess.run(listed, cwd=repo_dir, capture_output=True, text=True).stdout.split()
    told = [*names]
    for name in names:
        for part in (name, f"{name}:.gittrack/run.yaml"):
            shown = subprocess.run(
                ["git", "show", part], cwd=repo_dir, capture_output=True, text=True
            )
            told.append(shown.stdout)
    return "\n".join(told)


def test_no_name_and_no_title_holds_a_secret(repo_dir: Path) -> None:
    """A ref cannot be masked afterwards, and it is what is pushed first."""
    said = script(
        repo_dir,
        "import gittrack\n"
        f"t = {_TOKEN.partition('A')[0]!r} + {'A' + _TOKEN.partition('A')[2]!r}\n"
        "run = gittrack.init(name='title ' + t, project='project ' + t)\n"
        "run.name = 'other ' + t\n"
        "run.finish()\n"
        "gittrack.set_experiment('next ' + t)\n"
        "gittrack.start_run(run_name='it ' + t)\n",
    )
    told = said + everything(repo_dir)
    assert "other ***" in told
    assert _TOKEN not in told and _TOKEN.lower() not in told


def test_outside_of_the_work_tree_is_not_called_bare(repo_dir: Path, tmp_path: Path) -> None:
    """Whoever names the work tree knows that there is one, and is told where to stand."""
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        ["git", f"--git-dir={repo_dir}/.git", f"--work-tree={repo_dir}", "track", "run", "true"],
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 125
    assert "this directory is not in the work tree of" in done.stderr
    assert "bare" not in done.stderr


def test_what_cannot_be_spelled_ends_no_training(repo_dir: Path) -> None:
    """A key or a title whose own `str` raises is a fault of the run at most."""
    said = script(
        repo_dir,
        "import gittrack\n"
        "class Mute:\n"
        "    def __str__(self):\n"
        "        raise RuntimeError('boom')\n"
        "    __repr__ = __str__\n"
        "run = gittrack.init()\n"
        "run.config[Mute()] = 1\n"
        "run.config.update({'a': {Mute(): 2}})\n"
        "run.name = Mute()\n"
        "print(dict(run.params))\n",
    )
    assert "'of type Mute': 1, 'a.of type Mute': 2" in said
    assert "title of type Mute not taken" in said


def test_ten_thousand_faults_leave_a_record_that_can_be_read(repo_dir: Path) -> None:
    """What goes wrong at each step of a training is said once, the rest counted; and bounded."""
    script(
        repo_dir,
        "import gittrack\n"
        "with gittrack.start_run(run_name='many'):\n"
        "    for i in range(10_000):\n"
        "        gittrack.log_metric('m', f'bad {i}')\n"
        "        gittrack.log_metric('n', 'always the same')\n"
        "        gittrack.active_run()._to.fault(f'long {i} ' + 'x' * 3000)\n"
        "    print('ghp_' + 'A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8')\n",
    )
    repo = Repo.open(repo_dir)
    said = commits.load(repo, revisions.resolve(repo, "many")).faults
    assert len(said) == len({*said}) <= 210
    assert max(map(len, said)) <= 1000
    assert sum("'always the same'" in sentence for sentence in said) == 1
    assert "19,802 more faults are left out" in said
    assert said[-1] == "masked 1 secret in the output"


def test_the_latest_run_is_the_running_one_where_there_is_no_other(repo_dir: Path) -> None:
    """Somebody's first run is under way, and they ask for its output."""
    said = script(
        repo_dir,
        "import gittrack, subprocess, sys\n"
        "run = gittrack.start_run()\n"
        "print('hello', flush=True)\n"
        "words = [sys.executable, '-m', 'gittrack', 'logs', 'latest']\n"
        "done = subprocess.run(words, capture_output=True, text=True)\n"
        "print('said', repr(done.stdout), done.stderr)\n",
    )
    assert "said 'hello" in said


def test_whatever_is_logged_the_record_can_be_read(repo_dir: Path) -> None:
    """A run that nobody can open is a run lost, and one large value is enough for that."""
    script(
        repo_dir,
        "import gittrack\n"
        "with gittrack.init(name='large', notes='n' * 3_000_000) as run:\n"
        "    run._to.append({'title': 't' * 10_000_000})  # as another language may\n"
        "    gittrack.log_param('small', 'y')\n"
        "    gittrack.log_param('a.' * 100 + 'deep', 'y')\n"
        "    gittrack.log_param('text', 'y' * 10_000_000)\n"
        "    gittrack.log_param('list', list(range(2_000_000)))\n"
        "    gittrack.log_params({f'p{i}': 'y' * 1000 for i in range(9000)})\n"
        "    gittrack.set_tag('tag', 'y' * 10_000_000)\n"
        "    gittrack.set_tags({f't{i}': 'y' * 1000 for i in range(9000)})\n"
        "    gittrack.log_metrics({f'{i}' + 'm' * 240: 2**1000 + i for i in range(20_000)})\n",
    )
    repo = Repo.open(repo_dir)
    run = commits.load(repo, revisions.resolve(repo, "large"))
    assert run.params["small"] == "y" and {"text", "list"}.isdisjoint(run.params)
    assert run.params["a." * 100 + "deep"] == "y"
    assert len(run.params) > 5000 and len(run.tags) > 3000 and len(run.metrics) > 9000
    assert run.message is not None and run.message.startswith("nnn")
    said = [fault for fault in run.faults if fault.startswith("too large for a record")]
    assert [fault.partition("its ")[2].partition(":")[0] for fault in said] == [
        "params", "tags", "metrics"
    ]  # fmt: skip


def test_a_line_of_result_holds_what_a_terminal_may_show(repo_dir: Path) -> None:
    """A key that another language wrote into its journal comes to the terminal first here."""
    said = script(
        repo_dir,
        "import gittrack\n"
        "with gittrack.start_run() as run:\n"
        "    run._to.append({'summary': {'a\\x1b[2J': 1, 'b\\n': 2, 'c' * 250: 3}})\n",
    )
    assert "a\\x1b[2J 1  b\\n 2  ccc" in said
    assert "\x1b" not in said and len(said.splitlines()) == 1 and len(said) < 200
