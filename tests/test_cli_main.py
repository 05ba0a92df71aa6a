"""The command line as a whole: verbs, errors, exit codes, streams, what starting it costs."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from gittrack.cli.main import VERBS, cli

COMMAND = [sys.executable, "-m", "gittrack"]


def loaded(place: Path, *arguments: str) -> set[str]:
    """Top-level modules and modules of ours that are loaded when the command has ended."""
    program = (
        "import sys\n"
        "from gittrack.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "names = {n if n.startswith('gittrack') else n.split('.')[0] for n in sys.modules}\n"
        "print(*sorted(names), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=place, capture_output=True, text=True
    )
    return set(done.stderr.strip().split("\n")[-1].split())


def plain() -> set[str]:
    """What `import click` alone loads, with what Python loads for itself."""
    program = "import click, sys; print(*{n.split('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return set(done.stdout.split())


# -- what it costs to start -------------------------------------------------------------------


@pytest.mark.parametrize("words", [("-h",), ("model", "-h")], ids=" ".join)
def test_help_loads_click_and_nothing_heavy(repo_dir: Path, words: tuple[str, ...]) -> None:
    """`git track -h` is to answer in 1.5 times the time of `import click`."""
    there = loaded(repo_dir, *words)
    ours = {name for name in there if name.startswith("gittrack")}
    assert ours == {
        "gittrack", "gittrack.cli", "gittrack.cli.main", "gittrack.cli.output", "gittrack.errors",
        *(f"gittrack.cli.{name}" for name in words[:-1]),
    }  # fmt: skip
    others = there - plain() - ours
    # shutil (for the terminal's width) with its compressors, and click's own text wrapping.
    assert others <= {
        "_bz2", "_compression", "_heapq", "_locale", "_lzma", "bz2", "difflib", "fnmatch", "gc",
        "heapq", "locale", "lzma", "shutil", "textwrap", "zlib",
    }  # fmt: skip


def test_listing_loads_what_it_needs(repo_dir: Path, track: Any) -> None:
    """A listing that is warm has 1.5 times `import click, sqlite3`: nothing of Git, YAML, HTTP.

    One of models has 2.5 times that, of which Git itself takes the most.
    """
    track(repo_dir, "run", "--", "true", check=0)
    track(repo_dir, "model", "register", "latest", "churn", "--no-artifact", check=0)
    loaded(repo_dir, "ls")
    heavy = {
        "asyncio", "cffi", "dvc", "http", "importlib.metadata", "multiprocessing", "parsimonious",
        "plotext", "pygit2", "regex", "shutil", "socketserver", "subprocess", "tabulate", "tomllib",
        "unittest", "wcwidth", "yaml",
    }  # fmt: skip
    ours = {"execute", "git", "lineage", "message", "params", "process", "records", "revisions"}
    for words in (("ls",), ("model", "ls"), ("model", "show", "churn")):
        there = loaded(repo_dir, *words)
        assert {"gittrack.report", "sqlite3"} <= there, words
        assert not there & heavy - plain(), words
        assert not {f"gittrack.{name}" for name in ours} & there, words


def test_loading_the_command_line_leaves_the_collector_as_it_was() -> None:
    """It is off while that loads, which must not last: a process that trains would fill up."""
    program = (
        "import gc, sys\nif sys.argv[1] == '0':\n    gc.disable()\n"
        "import gittrack.cli.main\nprint(gc.isenabled(), gc.get_threshold()[0] < 100_000)"
    )
    for was, told in (("1", "True True"), ("0", "False True")):
        done = subprocess.run(
            [sys.executable, "-c", program, was], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == told


# -- verbs and help ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(VERBS))
def test_the_table_says_what_the_command_says(name: str) -> None:
    """The overview is written down apart so that it loads nothing; it must not drift."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").split("\n")[0].strip() == VERBS[name].line


@pytest.mark.parametrize("name", list(VERBS))
def test_every_option_is_explained_and_every_verb_has_an_example(name: str) -> None:
    """The docstring is the help."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert "$ " in (command.help or "")
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help and param.help.endswith("."), param.name


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_goes_to_stdout(repo_dir: Path, track: Any, word: str) -> None:
    """`git track ls -h | less` is an answer."""
    for arguments in ((word,), ("ls", word)):
        done = track(repo_dir, *arguments, check=0)
        assert "Usage: git track" in done.stdout
        assert done.stderr == ""


def test_no_verb_is_wrong_usage(repo_dir: Path, track: Any) -> None:
    """Help, but not an answer: scripts must notice."""
    done = track(repo_dir, check=2)
    assert done.stdout == ""
    assert "Verbs:" in done.stderr


def test_version(tmp_path: Path, track: Any) -> None:
    """Works outside a repository."""
    from gittrack import __version__

    assert track(tmp_path, "--version", check=0).stdout == f"gittrack {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("lss",), "'lss' is no verb of git track", "did you mean 'git track ls'?"),
        (("zzzz",), "'zzzz' is no verb of git track", "'git track -h' lists the verbs."),
        (("ls", "--colums", "a"), "'git track ls' has no option '--colums'", "'--columns'"),
        (("ls", "-n", "x"), "'x' is not a valid integer range", "'git track ls -h'"),
        (("plot",), "missing argument 'METRIC", "'git track plot -h'"),
        (("-C", "nowhere", "ls"), "cannot change to 'nowhere'", ""),
    ],
)
def test_wrong_usage_is_two_lines_and_exit_2(
    repo_dir: Path, track: Any, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    """In the same style as every other error, with what was probably meant."""
    done = track(repo_dir, *arguments, check=2)
    lines = done.stderr.splitlines()
    assert done.stdout == ""
    assert lines[0].startswith("error: ") and message in lines[0]
    assert hint in "".join(lines[1:])
    assert len(lines) <= 2


def test_an_error_of_ours_is_two_lines_and_exit_1(repo_dir: Path, track: Any) -> None:
    """Message and hint apart, nothing on stdout."""
    done = track(repo_dir, "show", "nosuch", check=1)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: no run named 'nosuch' in this repository",
        "hint: there are no runs yet: `git track run -- COMMAND`.",
    ]


def test_hostile_words_of_the_user_are_escaped(repo_dir: Path, track: Any) -> None:
    """An argument pasted from somewhere must not reach the terminal raw."""
    for arguments in (("\x1b]0;x\x07",), ("show", "\x1b[2J\u202e"), ("ls", "--sort", "\x9b1m")):
        done = track(repo_dir, *arguments)
        assert done.returncode in (0, 1, 2)
        assert not set("\x1b\x07\x9b\u202e") & set(done.stderr)


def test_a_name_without_end_does_not_fill_the_screen(repo_dir: Path, track: Any) -> None:
    """A file pasted as an argument is answered with a reason that can be found."""
    name = "x" * 30_000
    for words in (("show", name), ("ls", f"commit in {name}..HEAD"), ("ls", "--sort", name)):
        done = track(repo_dir, *words)
        assert 10 < len(done.stderr) < 500 and "xxx...xxx" in done.stderr


def test_outside_a_repository(tmp_path: Path, track: Any) -> None:
    """Git's habit: say where one looked."""
    for verb in ("ls", "show", "diff"):
        done = track(tmp_path, verb, check=1)
        assert "is not in a Git repository" in done.stderr
        assert "git init" in done.stderr


def test_dash_c_twice_goes_on_from_the_first(repo_dir: Path, track: Any) -> None:
    """As in git(1)."""
    outside = repo_dir.parent
    done = track(outside, "-C", repo_dir.name, "-C", "src", "ls", check=0)
    assert "no runs yet" in done.stderr


def test_git_finds_the_command(repo_dir: Path) -> None:
    """`git track` is `git-track` on PATH; Git passes the exit code on."""
    done = subprocess.run(["git", "track", "nosuch"], cwd=repo_dir, capture_output=True, text=True)
    assert done.returncode == 2
    assert "is no verb" in done.stderr


# -- bugs, signals, streams -------------------------------------------------------------------

BUG = """\
import sys
import gittrack.git
def broken(*args):
    raise {error}
gittrack.git.Repo.open = broken
from gittrack.cli.main import main
main(["show"])
"""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            "RuntimeError('boom\\x1b[2J')",
            70,
            "error: a bug in gittrack: RuntimeError: boom\\x1b[2J",
        ),
        ("MemoryError()", 70, "error: a bug in gittrack: MemoryError:"),
        ("RecursionError('deep')", 70, "error: a bug in gittrack: RecursionError: deep"),
        ("KeyboardInterrupt()", 130, ""),
        ("OSError(28, 'No space left', 'a/b')", 1, "error: a/b: No space left"),
        ("PermissionError(13, 'Permission denied', b'c')", 1, "error: c: Permission denied"),
        ("OSError(24, 'x')", 1, "error: too many open files"),
        ("OSError(9, 'x')", 70, "error: a bug in gittrack: OSError: [Errno 9] x"),
        ("OSError('y')", 70, "error: a bug in gittrack: OSError: y"),
    ],
)
def test_a_bug_is_said_to_be_one(repo_dir: Path, error: str, code: int, said: str) -> None:
    """No traceback for users; one for those who ask."""
    command = [sys.executable, "-c", BUG.format(error=error)]
    done = subprocess.run(command, cwd=repo_dir, capture_output=True, text=True)
    assert (done.returncode, done.stderr.split("\n")[0]) == (code, said)
    assert "Traceback" not in done.stderr
    if code == 70:
        env = os.environ | {"GITTRACK_TRACEBACK": "1"}
        done = subprocess.run(command, cwd=repo_dir, capture_output=True, text=True, env=env)
        assert "Traceback" in done.stderr


def test_a_reader_that_goes_ends_us_as_it_ends_git(repo_dir: Path) -> None:
    """`git track -h | head -1` prints no error."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, "-h"], cwd=repo_dir, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert done.returncode == -signal.SIGPIPE
    assert done.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("-h",), ("ls",), ("ls", "--json"), ("show",), ("logs",)])
def test_a_full_disk_under_stdout_is_an_error(
    repo_dir: Path, track: Any, arguments: tuple[str, ...], unbuffered: str
) -> None:
    """Half a table with exit code 0 would be believed, and a bug it is not."""
    track(repo_dir, "run", "--", "sh", "-c", "seq 20000", check=0)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=repo_dir, stdout=full, stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.decode() == (
        f"error: cannot write to standard output: {os.strerror(errno.ENOSPC)}\n"
    )


@pytest.mark.parametrize(("verb", "code"), [(("ls",), 1), (("run", "--", "true"), 125)])
def test_a_directory_that_is_gone_is_said_to_be(
    repo_dir: Path, verb: tuple[str, ...], code: int
) -> None:
    """A checkout in another terminal takes the directory away under the shell."""
    here = shlex.join([*COMMAND, *verb])
    done = subprocess.run(
        ["sh", "-c", f"mkdir gone && cd gone && rmdir ../gone && {here}"],
        cwd=repo_dir, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()) == (
        code,
        [
            "error: the current directory does not exist any more",
            "hint: `cd` to one that does.",
        ],
    )


@pytest.mark.parametrize("limit", range(6, 15))
def test_a_limit_of_open_files_is_no_bug_and_not_the_command_s(repo_dir: Path, limit: int) -> None:
    """One clear line, however far we came; `git bisect run` skips at 125."""
    for verb, code in ((("ls",), 1), (("run", "--", "true"), 125)):
        here = shlex.join([*COMMAND, *verb])
        done = subprocess.run(
            ["sh", "-c", f"ulimit -n {limit}; exec {here}"],
            cwd=repo_dir, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            assert done.returncode == code, done.stderr
            first = done.stderr.splitlines()[0]
            assert "too many open files" in first.lower() and "execute" not in first
        else:
            assert limit > 6 if verb == ("ls",) else limit > 8


def test_closed_streams(repo_dir: Path) -> None:
    """What is opened next gets the number of a closed stream; nothing may land in it."""
    for closing in (">&-", "<&-", "2>&-", "<&- >&- 2>&-"):
        command = f'"{sys.executable}" -m gittrack ls {closing}'
        done = subprocess.run(["sh", "-c", command], cwd=repo_dir, capture_output=True, text=True)
        assert done.returncode == 0, (closing, done.stderr)
        assert "Error" not in done.stderr


def test_an_encoding_without_the_character_costs_no_answer(repo_dir: Path, track: Any) -> None:
    """`PYTHONIOENCODING=ascii` and the C locale are found on clusters."""
    done = track(repo_dir, "show", "modèle·", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert done.returncode == 1
    assert "mod\\xe8le" in done.stderr


def test_errors_are_coloured_on_a_terminal_only(repo_dir: Path) -> None:
    """And never under NO_COLOR."""
    import pexpect

    for env, colored in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        text, code = pexpect.run(
            f'"{sys.executable}" -m gittrack show nosuch', cwd=str(repo_dir), withexitstatus=True,
            env=os.environ | env,
        )  # fmt: skip
        assert code == 1
        assert (b"\x1b[1;31merror:" in text) is colored


# -- what a run says at its end -----------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_could_not_be_passed_on_is_said(repo_dir: Path, track: Any) -> None:
    """The command ended well and its file is empty; the record has what is missing."""
    command = [*COMMAND, "run", "--", "seq", "100000"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, cwd=repo_dir, stdout=full, stderr=subprocess.PIPE, text=True
        )  # fmt: skip
    said = f"  588895 bytes of its output could not be passed on: {os.strerror(errno.ENOSPC)}"
    assert done.returncode == 0
    assert said in done.stderr.splitlines()
    assert len(track(repo_dir, "logs", check=0).stdout) == 588895


def test_a_reader_that_left_is_not_said(repo_dir: Path) -> None:
    """`git track run -- seq 100000 | head -1` loses nothing that anybody wanted."""
    line = shlex.join([*COMMAND, "run", "--", "seq", "100000"]) + " | head -1"
    done = subprocess.run(["sh", "-c", line], cwd=repo_dir, capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert "git track show" in done.stderr and "passed on" not in done.stderr


def test_the_hint_at_the_end_names_one_run(repo_dir: Path, track: Any) -> None:
    """Of two runs with `--name w`, `git track show w` could mean either."""
    for _ in range(2):
        done = track(repo_dir, "run", "--name", "w", "--", "true", check=0)
        hint = done.stderr.split("git track ")[1].split()
        assert hint[0] == "show" and hint[1].startswith("w-")
        track(repo_dir, *hint, check=0)
