"""The Python behind a command line.

Knows how to find an interpreter behind launchers, scripts and pyenv's shims, on the disk and in
the environment that the command itself will see. Refuses to know what an interpreter says when it
is asked (`probe`), and to guess: a Python that cannot be told for sure raises.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gittrack.launchers import Step, is_python, take
from gittrack.probe import Unknown

__all__ = ["Command", "Target", "beginning", "find", "which"]


class Command(NamedTuple):
    """A command line, the environment and the directory that it runs in."""

    words: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str

    @property
    def name(self) -> str:
        """The first word without its directory; empty if there is none."""
        return os.path.basename(self.words[0]) if self.words else ""


class Target(NamedTuple):
    """Whom to ask. `words` start the interpreter; `key` is None where no answer can be kept.

    `wrapped` says that they go through a tool which may read quotes and line breaks its own way.
    """

    words: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    key: str | None
    wrapped: bool = False


def find(command: Command) -> tuple[Command, Target | None]:
    """Go from word to word and script to script until a Python stands there, or nothing does.

    Raises:
        Unknown: a Python runs, but not one whose packages could be told.
    """
    for _ in range(16):
        onward = _step(command)
        if not isinstance(onward, Command):
            return command, onward
        command = onward
    return command, None


def _step(command: Command) -> Command | Target | None:
    if not command.words:
        return None
    step = take(command.words, runs=partial(_runs, command))
    if step is not None and step.place in ("here", "watched"):
        return _launched(command, step)
    if step is not None and step.place == "inside":
        return _wrapped(command)
    path = which(command.words[0], command)
    if path is None:
        return None
    head = beginning(path)
    if head.startswith(b"#!"):
        return _behind_script(command, path, head)
    if is_python(path) or is_python(os.path.realpath(path)):
        return _direct(command, path)
    return None


def _runs(command: Command, word: str) -> bool:
    """Tell whether a word that may be an option's value is rather a Python program."""
    step = take((word, "run"))
    if is_python(word) or (step is not None and step.place != "untold"):
        return True
    path = which(word, command)
    first = beginning(path).split(b"\n", 1)[0] if path else b""
    return first.startswith(b"#!") and b"python" in first


def _launched(command: Command, step: Step) -> Command:
    """Do what the launcher does to its program: `env` alone changes what it runs in."""
    name = os.path.basename(step.own[0])
    if any(option.startswith("--container") for option, _ in step.options):
        raise Unknown(f"{name} runs the command in a container: its packages unknown")
    env, cwd = dict(command.env), command.cwd
    for option, value in step.options if name == "env" else ():
        if option in ("-", "-i", "--ignore-environment"):
            env.clear()
        elif option in ("-u", "--unset"):
            env.pop(value or "", None)
        elif option in ("-C", "--chdir"):
            cwd = os.path.join(cwd, value or "")
        elif not option.startswith("-"):
            env[option] = value or ""
    return Command(step.rest, env, cwd)


def _wrapped(command: Command) -> Target:
    """Enter the environment as the command does."""
    # In doubt a word is the program: taken for an option's value, it would be run by the question.
    step = take(command.words, runs=lambda _: True)
    assert step is not None
    prefix = list(step.own)
    inner = (step.program, *step.rest) if step.starts == "module" else step.rest
    while (nested := take(inner)) is not None and nested.place == "here":
        prefix += nested.own
        inner = nested.rest
    if inner and is_python(inner[0]):
        python = (inner[0], *_flags(inner))
    else:
        _refuse_inline(command, inner, prefix)
        python = ("python",)
    return Target((*prefix, *python), command.env, command.cwd, None, wrapped=True)


def _refuse_inline(command: Command, inner: Sequence[str], prefix: Sequence[str]) -> None:
    """A script that lists its own dependencies (PEP 723) gets an environment made for it alone."""
    script = next((word for word in inner if not word.startswith("-")), "")
    inline = "--script" in prefix or "-s" in prefix or "://" in script or inner[:1] == ("-",)
    if script.endswith(".py"):
        inline = inline or b"# /// script" in beginning(os.path.join(command.cwd, script), 65536)
    if inline:
        name = os.path.basename(command.words[0])
        raise Unknown(
            f"{name} makes an environment for {script or 'the script'} alone: "
            "its packages are not listed"
        )


def _behind_script(command: Command, path: str, head: bytes) -> Command | Target | None:
    shim = b"pyenv" in head and os.path.basename(os.path.dirname(path)) == "shims"
    behind = _behind_pyenv(command, path, head) if shim else None
    if behind is not None:
        return behind
    if is_python(command.name):
        words = (path, *_flags(command.words))
        return Target(words, command.env, command.cwd, None)
    if shim:
        raise Unknown(f"pyenv did not tell which version's {command.name} this is")
    line, _, rest = head.partition(b"\n")
    if rest.startswith(b"PK\x03\x04") and b"python" in line:
        raise Unknown(f"{path} carries packages of its own: they are not listed")
    words = _shebang(line, rest, path)
    return command._replace(words=(*words, path, *command.words[1:])) if words else None


def _shebang(line: bytes, rest: bytes, path: str) -> tuple[str, ...]:
    """Split as the kernel does: the interpreter, and all that follows as one word."""
    words = tuple(os.fsdecode(word.strip()) for word in line[2:].strip().split(None, 1))
    if not words or os.path.basename(words[0]) not in ("sh", "bash"):
        return words
    # pip and uv write this where a shebang line would be too long or has to be relative.
    trick = re.match(rb"'''exec' (.+) \"\$0\" \"\$@\"", rest)
    if trick is None:
        return ()
    where = os.fsdecode(trick[1])
    if "$0" in where:
        beside = os.path.dirname(os.path.realpath(path) if "realpath" in where else path)
        return (os.path.join(beside, re.split(r"[/\"']+", where.rstrip("\"'"))[-1]),)
    return _first_word(where)


def _first_word(text: str) -> tuple[str, ...]:
    import shlex

    try:
        return tuple(shlex.split(text)[:1])
    except ValueError:
        return tuple(text.split()[:1])


def _behind_pyenv(command: Command, path: str, head: bytes) -> Command | None:
    """Follow pyenv's own rules as far as they are plain; None where pyenv itself must be asked.

    The rules: PYENV_VERSION, else the first `.python-version` at or above the directory, else
    `$PYENV_ROOT/version`; the first version in it that has the program.
    """
    if b"PYENV_FILE_ARG" in head:
        raise Unknown("this old pyenv chooses the version by the script: its packages unknown")
    shims, program = os.path.split(path)
    root = os.path.dirname(shims)
    if command.env.get("PYENV_HOOK_PATH") or _pyenv_hooks(root):
        return None
    for version in _pyenv_versions(command, root):
        if version == "system":
            parts = command.env.get("PATH", os.defpath).split(os.pathsep)
            rest = os.pathsep.join(part for part in parts if part.rstrip("/") != shims)
            found = which(program, command._replace(env={**command.env, "PATH": rest}))
            if found is None:
                continue
            return command._replace(words=(found, *command.words[1:]))
        home = os.path.join(root, "versions", version)
        if not os.path.isdir(home):
            home = os.path.join(root, "versions", version.removeprefix("python-"))
        if "/" in version or not os.path.isdir(home):
            return None
        found = os.path.join(home, "bin", program)
        if os.access(found, os.X_OK):
            bin_first = os.path.dirname(found) + os.pathsep + command.env.get("PATH", os.defpath)
            env = {**command.env, "PATH": bin_first, "PYENV_VERSION": version}
            return Command((found, *command.words[1:]), env, command.cwd)
    return None


def _pyenv_hooks(root: str) -> bool:
    """Tell whether a plugin may choose otherwise; those of pyenv-virtualenv only look further."""
    try:
        names = [name for name in os.listdir(f"{root}/plugins") if name != "pyenv-virtualenv"]
    except OSError:
        names = []
    places = (root, *(f"{root}/plugins/{name}/etc" for name in names))
    kinds = ("version-name", "which")
    return any(os.path.isdir(f"{at}/pyenv.d/{kind}") for at in places for kind in kinds)


def _pyenv_versions(command: Command, root: str) -> list[str]:
    chosen = command.env.get("PYENV_VERSION")
    if chosen:
        return chosen.split(":")
    for start in dict.fromkeys((command.env.get("PYENV_DIR") or command.cwd, command.cwd)):
        for directory in (Path(start), *Path(start).parents):
            versions = _version_file(directory / ".python-version")
            if versions is not None:
                return versions
    return _version_file(Path(root, "version")) or ["system"]


def _version_file(path: Path) -> list[str] | None:
    """Give the first word of each line, an empty file meaning the system's; None if absent."""
    if not path.is_file():
        return None
    lines = (
        line.split() for line in beginning(str(path), 65536).decode("utf-8", "replace").split("\n")
    )
    return [line[0] for line in lines if line and not line[0].startswith("#")] or ["system"]


def _direct(command: Command, path: str) -> Target:
    flags = _flags(command.words)
    names = ("HOME", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPLATLIBDIR", "PYTHONUSERBASE")
    settings = {name: command.env[name] for name in names if name in command.env}
    extra = command.env.get("PYTHONPATH")
    if extra:
        parts = [os.path.join(command.cwd, part) for part in extra.split(os.pathsep)]
        settings["PYTHONPATH"] = os.pathsep.join(parts)
    words = (path, *flags)
    return Target(words, command.env, command.cwd, json.dumps([words, settings]))


def _flags(words: Sequence[str]) -> tuple[str, ...]:
    """Keep the interpreter's options that change where it finds packages: -E, -I, -s, -S."""
    step = take(("python", *words[1:]))
    said = [name for name, _ in step.options if not name.startswith("--")] if step else []
    return tuple("-" + letter for word in said for letter in word if letter in "EIsS")


def which(word: str, command: Command) -> str | None:
    """Find an executable as execvp would, symlinks left alone: a virtual environment is one."""
    path = command.env.get("PATH", os.defpath)
    places = [""] if "/" in word else path.split(os.pathsep)
    for place in places if word else ():
        candidate = os.path.join(command.cwd, place, word)
        try:
            if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
                return candidate
        except ValueError:
            continue
    return None


def beginning(path: str, size: int = 1024) -> bytes:
    """Read the first bytes of a file; none if it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(size)
    except (OSError, ValueError):
        return b""
