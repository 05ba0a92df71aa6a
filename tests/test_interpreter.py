"""The Python behind a command line is found, or said not to be."""

from __future__ import annotations

import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.interpreter import Command, find
from gittrack.probe import Unknown, asking
from pythons import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.age()
    return world


COMMANDS: list[tuple[str, tuple[str, ...] | None]] = [
    ("python train.py", ("BIN/python",)),
    ("BIN/python -u -sE -W ignore -m x -I", ("BIN/python", "-s", "-E")),
    ("python -Wignore -Es x.py", ("BIN/python", "-E", "-s")),
    ("../bin/python x", ("CWD/../bin/python",)),
    ("python3.99 x", None),
    ("echo python", None),
    ("sh -c python", None),
    ("", None),
    ("nice -n 5 python x", ("BIN/python",)),
    ("nohup nice -19 timeout -k 5 --signal=INT 10 python -I x", ("BIN/python", "-I")),
    ("timeout 5 echo python", None),
    ("taskset -c 0-3 stdbuf -oL -e 0 python x", ("BIN/python",)),
    ("env A=1 -u B -C / --unset=C python x", ("BIN/python",)),
    ("env -S 'python -s' x", ("BIN/python", "-s")),
    ("srun --gres gpu:1 -n 4 -J test python x", ("BIN/python",)),
    ("mpirun -np 4 tool python", ("BIN/python", "-s")),
    ("mpirun -np 4 --bind-to=core tool", ("BIN/python", "-s")),
    ("mpirun -np 4 echo python", None),
    ("mpirun --flag tool", ("BIN/python", "-s")),
    ("tool --lr 1", ("BIN/python", "-s")),
    ("envtool", ("BIN/python",)),
    ("longtool", ("BIN/python",)),
    ("relativetool", ("BIN/python",)),
    ("shelltool", None),
    ("loop", None),
    ("sudo python x", None),
    ("docker run image python x", None),
    ("env -S 'nice -n 5' python -Is x", ("BIN/python", "-I", "-s")),
    ("gdb -batch -ex run --args python x", ("BIN/python",)),
]


@pytest.mark.parametrize(("line", "expected"), COMMANDS)
def test_the_interpreter_behind_a_command_line(
    world: World, line: str, expected: tuple[str, ...] | None
) -> None:
    """Launchers and console scripts are how Python is mostly started; a wrong guess is a lie."""
    import shlex

    (world.bin / "python").symlink_to(world.python)
    world.script("tool", f"#!{world.bin}/python -s\nimport x\n")
    world.script("envtool", "#!/usr/bin/env python\nimport x\n")
    world.script("longtool", f"#!/bin/sh\n'''exec' \"{world.bin}/python\" \"$0\" \"$@\"\n' '''\n")
    world.script(
        "relativetool",
        '#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")"/\'python\' "$0" "$@"\n',
    )
    world.script("shelltool", "#!/bin/sh\npython x\n")
    world.script("loop", f"#!{world.bin}/loop\n")
    words = tuple(shlex.split(line.replace("BIN", str(world.bin))))
    command = Command(words, world.env, str(world.cwd))
    _, target = find(command)
    if expected is None:
        assert target is None
    else:
        assert target is not None and target.key is not None
        places = {"BIN": str(world.bin), "CWD": str(world.cwd)}
        first, *flags = expected
        place, _, rest = first.partition("/")
        assert target.words == (f"{places[place]}/{rest}", *flags)


def test_what_env_changes_is_what_the_interpreter_sees(world: World) -> None:
    """Packages depend on PYTHONPATH, HOME and the directory: asked elsewhere, they are others."""
    line = "env A=1 nice env -u A B=2 -C sub -i C=3 PATH=/p true"
    command, target = find(Command(tuple(line.split()), {"A": "0", "D": "4"}, str(world.cwd)))
    assert target is None
    assert command == Command(("true",), {"C": "3", "PATH": "/p"}, str(world.cwd / "sub"))
    for dash in ("-", "-i", "--ignore-environment"):
        command, _ = find(Command(("env", dash, "--", "B=2", "true"), {"A": "0"}, "/"))
        assert (command.words, dict(command.env)) == (("true",), {"B": "2"})


WRAPPED = [
    ("uv run python -s x.py", "uv run python -s"),
    ("uv --directory D run --with numpy -m pytest", "uv --directory D run --with numpy python"),
    ("uv run -- pytest -x", "uv run python"),
    ("uv run --no-such-option train x", "uv run --no-such-option python"),
    ("uv run mpirun -np 2 train", "uv run python"),
    ("poetry run train", "poetry run python"),
    (
        "conda run -n ml --no-capture-output python3.12 x",
        "conda run -n ml --no-capture-output python3.12",
    ),
    ("pixi run -e cuda env A=1 python x", "pixi run -e cuda env A=1 python"),
    ("nice pipenv run nice python x", "pipenv run nice python"),
]


@pytest.mark.parametrize(("line", "expected"), WRAPPED)
def test_a_wrapper_is_asked_as_the_command_asks_it(world: World, line: str, expected: str) -> None:
    """Only the tool knows which environment it enters, and it may change its mind each time."""
    command = Command(tuple(line.split()), world.env, str(world.cwd))
    _, target = find(command)
    assert target is not None and target.key is None
    assert target.words == tuple(expected.split())
    assert target.wrapped and not set('\n"') & set(asking(target.words, packed=True)[-1])


def test_a_stand_in_for_uv_leads_to_its_environment(world: World) -> None:
    """The stand-in does what `uv run` does: it puts a virtual environment in front of PATH."""
    world.package("torch", "2.0")
    world.script("uv", f'#!/bin/sh\nshift\nPATH={world.python.parent}:$PATH exec "$@"\n')
    world.age()
    assert world.capture("uv", "run", "train.py").packages == {"torch": "2.0"}
    assert world.processes("uv", "run", "train.py") == 1
    (world.cwd / "inline.py").write_text("# /// script\n# dependencies = ['rich']\n# ///\n")
    pending = world.begin("uv", "run", "inline.py")
    assert pending.result().packages == {}
    assert "inline.py" in (pending.fault or "")


UNKNOWN = {
    "srun --container-image=x python t.py": "container",
    "bundle": "carries packages of its own",
}


@pytest.mark.parametrize(("line", "says"), UNKNOWN.items())
def test_an_interpreter_that_is_elsewhere_gives_a_fault(world: World, line: str, says: str) -> None:
    """A container's or a bundle's packages are not this machine's."""
    (world.bin / "python").symlink_to(world.python)
    world.script("bundle", "#!/usr/bin/env python\nPK\x03\x04")
    pending = world.begin(*line.split())
    result = pending.result()
    assert (result.python, result.packages) == (None, {})
    assert says in (pending.fault or "")


def _pyenv(world: World, root: Path) -> None:
    for name in ("1.0", "2.0"):
        (root / "versions" / name / "bin").mkdir(parents=True)
    venv.EnvBuilder(symlinks=True).create(root / "versions" / "2.0")
    (root / "versions" / "1.0" / "bin" / "python").symlink_to(world.python)
    tool = root / "versions" / "2.0" / "bin" / "tool"
    tool.write_text("#!/usr/bin/env python\n")
    tool.chmod(0o755)
    (root / "shims").mkdir()
    for name in ("python", "tool"):
        shim = root / "shims" / name
        shim.write_text(f'#!/bin/sh\n# pyenv\nPATH={root}/versions/2.0/bin exec {name} "$@"\n')
        shim.chmod(0o755)
    world.env["PATH"] = f"{root / 'shims'}:{world.env['PATH']}"


def _words(world: World, *argv: str, **env: str) -> tuple[str, ...] | None:
    command = Command(argv, {**world.env, **env}, str(world.cwd))
    _, target = find(command)
    return None if target is None else target.words


def test_a_stand_in_for_pyenv_is_followed_by_its_rules(world: World, tmp_path: Path) -> None:
    """A shim is a shell script, the same for every version: its own time says nothing."""
    root = tmp_path / "pyenv"
    _pyenv(world, root)
    one, two = (str(root / "versions" / name / "bin" / "python") for name in ("1.0", "2.0"))
    (root / "version").write_text("# all\n\n1.0 # global\n")
    assert _words(world, "python", "x") == (one,)
    (tmp_path / ".python-version").write_text("python-2.0\n")
    assert _words(world, "python", "x") == (two,)
    (tmp_path / ".python-version").write_text("2.0\n")
    assert _words(world, "python", "x") == (two,)
    (world.cwd / ".python-version").write_text("1.0\n2.0\n")
    assert _words(world, "python", "x") == (one,)
    assert _words(world, "tool", "x") == (two,)
    assert _words(world, "python", "x", PYENV_VERSION="2.0") == (two,)
    (world.bin / "python").symlink_to(world.python)
    assert _words(world, "python", "x", PYENV_VERSION="system") == (str(world.bin / "python"),)


def test_a_shim_without_plain_rules_is_asked_each_time(world: World, tmp_path: Path) -> None:
    """A version prefix is for pyenv to resolve; nothing of the answer may be kept."""
    _pyenv(world, tmp_path / "pyenv")
    (tmp_path / ".python-version").write_text("2\n")
    assert world.capture("python", "x").python == sys.version.split()[0]
    assert (world.processes("python", "x"), world.cache.exists()) == (1, False)
    pending = world.begin("tool", "x")
    assert pending.result().python is None
    assert "pyenv" in (pending.fault or "")


VOCABULARY = """
    env nice timeout -n -S -u -C -- - --unset --chdir= A=1 uv run conda srun mpirun --x=1
    python -m -sE -W -X 5 ./x.py true
"""


WORDS = st.one_of(
    st.sampled_from(VOCABULARY.split()), st.just("a\0\udcff\ud800"), st.text(max_size=8)
)


EMPTY: Mapping[str, str] = {"PATH": "/usr/bin:/bin"}


@settings(deadline=None)
@given(st.lists(WORDS, max_size=8))
def test_any_command_line_is_followed_to_an_end(words: list[str]) -> None:
    """What cannot be understood must not keep the command from being recorded."""
    try:
        find(Command(tuple(words), EMPTY, "/"))
    except Unknown as unknown:
        assert str(unknown)
