"""What a run ran on: interpreter, packages, machine.

Knows how to find the Python behind a command line, how to ask it for its packages beside the
running command, and when an earlier answer still holds. Refuses to know what the command does:
no environment variable is kept unless it is on `VARIABLES`, and a question that cannot be
answered gives a fault, never a guess.
"""

from __future__ import annotations

import json
import os
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gittrack.records import Environment

__all__ = ["LOCK_FILES", "VARIABLES", "Pending", "begin", "capture", "is_lock_file"]

VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_DEVICE_ORDER",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "LOCAL_RANK",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "RANK",
    "SLURM_JOB_ID",
    "SLURM_NNODES",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TOKENIZERS_PARALLELISM",
    "WORLD_SIZE",
)
"""The environment variables that a record may hold: they change results, and hold no secrets."""

LOCK_FILES = (
    "*conda-lock.yml",
    "Cargo.lock",
    "Manifest.toml",
    "Pipfile.lock",
    "bun.lock",
    "constraints*.txt",
    "environment*.yaml",
    "environment*.yml",
    "flake.lock",
    "go.sum",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "pdm.lock",
    "pixi.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "pylock*.toml",
    "renv.lock",
    "requirements*.lock",
    "requirements*.txt",
    "uv.lock",
    "yarn.lock",
)
"""Shell patterns of the files that pin dependencies, at the work tree's root."""

_PROBE_SECONDS = 20.0
_GPU_SECONDS = 5.0
_FORMAT = 1


def is_lock_file(path: str) -> bool:
    """Tell whether `path`, relative to the work tree's root, pins dependencies there."""
    from fnmatch import fnmatchcase

    return "/" not in path and any(fnmatchcase(path, pattern) for pattern in LOCK_FILES)


def capture(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: str | Path, cache: Path
) -> Environment:
    """Say what `argv` would run on; waits for whatever has to be asked. Never raises."""
    return begin(argv, env=env, cwd=cwd, cache=cache).result()


def begin(argv: Sequence[str], *, env: Mapping[str, str], cwd: str | Path, cache: Path) -> Pending:
    """Start to find out what `argv` runs on; the answer is collected after the command has run.

    `env` and `cwd` are the command's own. Where `cache` holds the packages of its interpreter and
    every file they came from is unchanged, this only calls `stat`; otherwise the interpreter is
    asked by a process of its own session, which runs beside the command and which Ctrl-C does not
    reach. An `nvidia-smi` on PATH is asked likewise, each time: GPUs come and go.

    `cache` is a directory, made when needed; without a usable one everything is asked each time.
    """
    pending = Pending(_Command(tuple(argv), dict(env), os.path.abspath(cwd)), cache)
    pending._ask()
    return pending


class Pending:
    """An environment on its way. Call `result` once the command has ended, or `cancel`.

    Nothing here raises: what could not be found out is left empty, and `fault` says so.
    """

    def __init__(self, command: _Command, cache: Path) -> None:
        self._command, self._cache = command, cache
        self._started = time.time_ns()
        self._target: _Target | None = None
        self._python: _Python | None = None
        self._questions: dict[str, _Question] = {}
        self._faults: list[str] = []
        self._result: Environment | None = None

    @property
    def fault(self) -> str | None:
        """Say what could not be found out, complete once `result` has returned; None if all was."""
        return "; ".join(self._faults) or None

    def result(self) -> Environment:
        """Collect the answers; the same value every time it is called.

        Waits at most 20 s for the interpreter and 5 s for `nvidia-smi`. What did not answer is
        left empty. `lock_files` is for the caller to fill.
        """
        if self._result is None:
            try:
                self._result = self._collect()
            finally:
                self.cancel()
        return self._result

    def cancel(self) -> None:
        """Stop what was started; for a run that will not be recorded."""
        for question in self._questions.values():
            question.stop()
        self._questions.clear()

    def _ask(self) -> None:
        try:
            self._command, self._target = _follow(self._command)
        except _Unknown as unknown:
            self._faults.append(str(unknown))
        if self._target is not None:
            self._python = _remembered(self._cache, self._target.key)
            if self._python is None:
                self._start("python", self._target.question, self._target)
        self._cpu = _cpu(self._cache)
        if self._cpu is None:
            self._start("cpu", ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"))
        smi = _which("nvidia-smi", self._command)
        if smi is not None:
            gpus = "--query-gpu=name,memory.total,driver_version"
            self._start("gpus", (smi, gpus, "--format=csv,noheader"), self._command)

    def _start(
        self, name: str, words: Sequence[str], place: _Command | _Target | None = None
    ) -> None:
        place = place or self._command
        try:
            self._questions[name] = _Question(words, env=place.env, cwd=place.cwd)
        except (OSError, ValueError) as error:
            self._faults.append(f"{words[0]} could not be asked: {error}")

    def _collect(self) -> Environment:
        if "python" in self._questions:
            self._python = self._listen(self._questions["python"])
        found = self._python or _Python(None, {}, ())
        return Environment(
            python=found.version,
            platform=_platform(),
            cpu=self._collect_cpu(),
            cores=_cores(),
            memory=_memory(),
            gpus=self._collect_gpus(),
            packages=found.packages,
            variables=_variables(self._command.env),
        )

    def _listen(self, question: _Question) -> _Python | None:
        assert self._target is not None
        try:
            answer = _parse(question.answer(_PROBE_SECONDS), self._target)
        except _Unknown as unknown:
            self._faults.append(str(unknown))
            return None
        if self._target.key is not None and answer.lasting(self._target, self._started):
            _store(self._cache, self._target.key, answer.python.as_json())
        return answer.python

    def _collect_cpu(self) -> str:
        if "cpu" in self._questions:
            try:
                self._cpu = self._questions["cpu"].answer(_GPU_SECONDS).decode().strip()
                _store(self._cache, _host(), {"cpu": self._cpu})
            except (_Unknown, UnicodeDecodeError):
                pass
        return self._cpu or ""

    def _collect_gpus(self) -> tuple[str, ...]:
        if "gpus" not in self._questions:
            return ()
        try:
            # 6 is its "no devices were found", 9 its "driver is not loaded".
            answer = self._questions["gpus"].answer(_GPU_SECONDS, none=(6, 9))
        except _Unknown as unknown:
            self._faults.append(str(unknown))
            return ()
        lines = answer.decode("utf-8", "replace").splitlines()
        return tuple(line.strip() for line in lines if line.strip())


# The command, and the interpreter behind it ------------------------------------------------------


class _Command(NamedTuple):
    words: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str

    @property
    def name(self) -> str:
        return os.path.basename(self.words[0]) if self.words else ""

    def skip(self, count: int) -> _Command:
        return self._replace(words=self.words[count:])


class _Target(NamedTuple):
    """Whom to ask. `words` start the interpreter; `key` is None where no answer can be kept."""

    words: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    key: str | None
    wrapped: bool = False

    @property
    def question(self) -> tuple[str, ...]:
        # `conda run` refuses newlines and `pixi run` reads quotes: hexadecimal survives both.
        packed = f"exec(bytearray.fromhex('{_PROBE.encode().hex()}').decode())"
        return (*self.words, "-c", packed if self.wrapped else _PROBE)


class _Unknown(Exception):
    """A sentence saying why a question has no answer."""


_PYTHON = re.compile(r"(python|pypy)w?[0-9.]*[a-z]{0,2}(-dbg)?")

_LAUNCHERS: Mapping[str, tuple[frozenset[str], int]] = {
    name: (frozenset(options.split()), own)
    for name, options, own in (
        ("caffeinate", "-t -w", 0),
        ("chrt", "-T -P -D", 1),
        ("flock", "-w -E --timeout --wait --conflict-exit-code", 1),
        ("ionice", "-c -n --class --classdata", 0),
        ("nice", "-n --adjustment", 0),
        ("nohup", "", 0),
        ("numactl", "-i -N -C -m -p --interleave --cpunodebind --physcpubind --membind", 0),
        ("setsid", "", 0),
        ("stdbuf", "-i -o -e --input --output --error", 0),
        ("taskset", "", 1),
        ("time", "-f -o --format --output", 0),
        ("timeout", "-k -s --kill-after --signal", 1),
    )
}
"""Commands that run another: which of their options take a word, how many words are their own."""

_LOOSE_LAUNCHERS = frozenset(
    {"aprun", "gdb", "jsrun", "ltrace", "mpiexec", "mpiexec.hydra", "mpirun", "ncu", "nsys"}
    | {"orterun", "perf", "prterun", "srun", "strace", "valgrind", "xvfb-run"}
)
"""Commands that run another, with more options than a table here could keep up with."""

_UV = (
    "--allow-insecure-host --cache-dir --color --config-file --config-setting --default-index "
    "--directory --env-file --exclude-newer --extra --extra-index-url --find-links --fork-strategy "
    "--group --index --index-strategy --index-url --keyring-provider --link-mode "
    "--no-binary-package --no-build-isolation-package --no-build-package --no-extra --no-group "
    "--only-group --package --prerelease --project --python --python-platform "
    "--python-preference --refresh-package --reinstall-package --resolution --upgrade-package "
    "--with --with-editable --with-requirements -C -P -f -i -p -w"
)
_CONDA = "--cwd --name --prefix -n -p -r --root-prefix"
_WRAPPERS: Mapping[str, frozenset[str]] = {
    name: frozenset(options.split())
    for name, options in (
        ("conda", _CONDA),
        ("hatch", "--env -e --project -p --data-dir --cache-dir --config"),
        ("mamba", _CONDA),
        ("micromamba", _CONDA + " -e --env -a --attach"),
        ("pdm", "--project -p --site-packages --venv"),
        ("pipenv", "--python --pypi-mirror"),
        ("pixi", "--environment -e --manifest-path --color --feature --platform"),
        ("poetry", "--directory -C --project -P"),
        ("rye", "--pyproject"),
        ("uv", _UV),
    )
}
"""Tools whose `run` enters an environment of their choice, with the options that take a word."""


def _follow(command: _Command) -> tuple[_Command, _Target | None]:
    """Go from word to word and script to script until a Python stands there, or nothing does.

    Raises:
        _Unknown: a Python runs, but not one whose packages could be told.
    """
    for _ in range(16):
        onward = _step(command)
        if not isinstance(onward, _Command):
            return command, onward
        command = onward
    return command, None


def _step(command: _Command) -> _Command | _Target | None:
    name = command.name
    if not name:
        return None
    launched = _launched(command)
    if launched is not None:
        return launched
    if name in _WRAPPERS:
        wrapped = _wrapped(command)
        if wrapped is not None:
            return wrapped
    path = _which(command.words[0], command)
    if path is None:
        return None
    head = _head(path)
    if head.startswith(b"#!"):
        return _behind_script(command, path, head)
    if _is_python(name) or _is_python(os.path.basename(os.path.realpath(path))):
        return _direct(command, path)
    return None


def _launched(command: _Command) -> _Command | None:
    if command.name == "env":
        return _after_env(command)
    if command.name in _LAUNCHERS:
        options, own = _LAUNCHERS[command.name]
        return command.skip(_past_options(command.words, 1, options) + own)
    if command.name in _LOOSE_LAUNCHERS:
        return _after_loose(command)
    return None


def _past_options(words: Sequence[str], at: int, with_word: frozenset[str]) -> int:
    """Give the index of the first word from `at` on that belongs to no option."""
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "--":
            return at + 1
        at += 2 if words[at] in with_word else 1
    return at


def _after_env(command: _Command) -> _Command:
    """Do what `env` does: assignments, -i, -u NAME, -C DIR, -S STRING."""
    words, env, cwd = list(command.words[1:]), dict(command.env), command.cwd
    while words:
        word = words.pop(0)
        long, _, value = word.partition("=")
        if word in ("-", "-i", "--ignore-environment"):
            env.clear()
        elif long in ("--unset", "--chdir", "--split-string") or word[:2] in ("-u", "-C", "-S"):
            short = {"--unset": "-u", "--chdir": "-C", "--split-string": "-S"}.get(long, word[:2])
            if not long.startswith("--"):
                value = word[2:]
            if not value and words:
                value = words.pop(0)
            if short == "-u":
                env.pop(value, None)
            elif short == "-C":
                cwd = os.path.join(cwd, value)
            else:
                words[:0] = _split(value)
        elif word.startswith("-"):
            continue
        elif "=" in word:
            env[long] = value
        else:
            words.insert(0, word)
            break
    return _Command(tuple(words), env, cwd)


def _split(text: str) -> list[str]:
    import shlex

    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _after_loose(command: _Command) -> _Command | None:
    """Find the command among options that are not known.

    A word after an option may be its value, so there only a Python or a launcher counts.
    """
    for at, word in enumerate(command.words[1:], 1):
        if word.startswith("--container"):
            raise _Unknown(f"{command.name} runs the command in a container: its packages unknown")
        if word.startswith("-") or "=" in word:
            continue
        inner, before = command.skip(at), command.words[at - 1]
        if _is_python(inner.name) or inner.name in _LAUNCHERS or inner.name in ("env", *_WRAPPERS):
            return inner
        path = _which(word, command)
        may_be_value = at > 1 and before.startswith("-") and "=" not in before
        if path and (not may_be_value or _runs_python(_head(path))):
            return inner
    return _Command((), command.env, command.cwd)


def _runs_python(head: bytes) -> bool:
    return head.startswith(b"#!") and b"python" in head.split(b"\n", 1)[0]


def _wrapped(command: _Command) -> _Target | None:
    """Enter the environment as the command does; None where the tool's verb is not `run`."""
    words, options = command.words, _WRAPPERS[command.name]
    verb = _past_options(words, 1, options)
    if words[verb : verb + 1] != ("run",):
        return None
    at = _past_options(words, verb + 1, options)
    prefix = [word for word in words[:at] if word not in ("-m", "--module", "--")]
    inner = command.skip(at)
    while inner.name == "env" or inner.name in _LAUNCHERS:
        launched = _launched(inner)
        assert launched is not None
        count = len(inner.words) - len(launched.words)
        prefix += inner.words[:count]
        inner = launched
    _refuse_inline(command, inner, prefix)
    python = inner.words[:1] if _is_python(inner.name) else ("python",)
    flags = _flags(inner.words) if _is_python(inner.name) else ()
    return _Target((*prefix, *python, *flags), command.env, command.cwd, None, wrapped=True)


def _refuse_inline(command: _Command, inner: _Command, prefix: Sequence[str]) -> None:
    """A script that lists its own dependencies (PEP 723) gets an environment made for it alone."""
    script = next((word for word in inner.words if not word.startswith("-")), "")
    if _is_python(inner.name):
        return
    inline = "--script" in prefix or "-s" in prefix or "://" in script or inner.words[:1] == ("-",)
    if script.endswith(".py"):
        inline = inline or b"# /// script" in _head(os.path.join(inner.cwd, script), 65536)
    if inline:
        raise _Unknown(
            f"{command.name} makes an environment for {script or 'the script'} alone: "
            "its packages are not listed"
        )


def _behind_script(command: _Command, path: str, head: bytes) -> _Command | _Target | None:
    shim = b"pyenv" in head and os.path.basename(os.path.dirname(path)) == "shims"
    behind = _behind_pyenv(command, path, head) if shim else None
    if behind is not None:
        return behind
    if _is_python(command.name):
        words = (path, *_flags(command.words))
        return _Target(words, command.env, command.cwd, None)
    if shim:
        raise _Unknown(f"pyenv did not tell which version's {command.name} this is")
    line, _, rest = head.partition(b"\n")
    if rest.startswith(b"PK\x03\x04") and b"python" in line:
        raise _Unknown(f"{path} carries packages of its own: they are not listed")
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
    return tuple(_split(where)[:1])


def _behind_pyenv(command: _Command, path: str, head: bytes) -> _Command | None:
    """Follow pyenv's own rules as far as they are plain; None where pyenv itself must be asked.

    The rules: PYENV_VERSION, else the first `.python-version` at or above the directory, else
    `$PYENV_ROOT/version`; the first version in it that has the program.
    """
    if b"PYENV_FILE_ARG" in head:
        raise _Unknown("this old pyenv chooses the version by the script: its packages unknown")
    shims, program = os.path.split(path)
    root = os.path.dirname(shims)
    if command.env.get("PYENV_HOOK_PATH") or _pyenv_hooks(root):
        return None
    for version in _pyenv_versions(command, root):
        if version == "system":
            parts = command.env.get("PATH", os.defpath).split(os.pathsep)
            rest = os.pathsep.join(part for part in parts if part.rstrip("/") != shims)
            found = _which(program, command._replace(env={**command.env, "PATH": rest}))
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
            return _Command((found, *command.words[1:]), env, command.cwd)
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


def _pyenv_versions(command: _Command, root: str) -> list[str]:
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
        line.split() for line in _head(str(path), 65536).decode("utf-8", "replace").split("\n")
    )
    return [line[0] for line in lines if line and not line[0].startswith("#")] or ["system"]


def _direct(command: _Command, path: str) -> _Target:
    flags = _flags(command.words)
    names = ("HOME", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPLATLIBDIR", "PYTHONUSERBASE")
    settings = {name: command.env[name] for name in names if name in command.env}
    extra = command.env.get("PYTHONPATH")
    if extra:
        parts = [os.path.join(command.cwd, part) for part in extra.split(os.pathsep)]
        settings["PYTHONPATH"] = os.pathsep.join(parts)
    words = (path, *flags)
    return _Target(words, command.env, command.cwd, json.dumps([words, settings]))


def _flags(words: Sequence[str]) -> tuple[str, ...]:
    """Keep the interpreter's options that change where it finds packages: -E, -I, -s, -S."""
    found: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if word.startswith("--"):
            continue
        if len(word) < 2 or word[0] != "-" or word[1] in "mc":
            break
        for letter in word[1:]:
            if letter in "WX":
                if word.endswith(letter):
                    next(rest, None)
                break
            if letter in "mc":
                return tuple(found)
            if letter in "EIsS":
                found.append("-" + letter)
    return tuple(found)


def _is_python(name: str) -> bool:
    return _PYTHON.fullmatch(name) is not None


def _which(word: str, command: _Command) -> str | None:
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


def _head(path: str, size: int = 1024) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(size)
    except (OSError, ValueError):
        return b""


# Asking it --------------------------------------------------------------------------------------

_BEGIN, _END = b"\x02gittrack{", b"}gittrack\x03"

# Runs in any Python from 2.7 on, so it reads the metadata itself. It imports from the standard
# library's own directory, so that no json.py or os.py of the user's is executed, takes the state of
# each file before it reads it, and leaves without exit handlers (coverage would write a file).
_PROBE = r"""
import sys
sys.dont_write_bytecode = True
path = sys.path[1:] if sys.path[:1] == [''] else sys.path[:]
sys.path[:] = path
import os
home = os.path.dirname(os.__file__)
sys.path[:] = [p for p in path if p == home or p.endswith('lib-dynload')]
try:
    import json, site
except ImportError:
    sys.path[:] = path
    import json, site

watched = {}
def watch(p):
    try:
        s = os.stat(p)
        watched[p] = [s.st_dev, s.st_ino, s.st_size, getattr(s, 'st_mtime_ns', -1)]
    except (OSError, ValueError):
        watched[p] = None

def fields(p):
    found = {}
    with open(p, 'rb') as f:
        for line in f:
            key, _, value = line.partition(b':')
            key, value = key.lower(), value.strip().decode('utf-8', 'replace')
            if not line.strip() or len(found) == 2:
                break
            if key in (b'name', b'version') and value:
                found.setdefault(key, value)
    return found.get(b'name'), found.get(b'version')

def age(p):
    return os.stat(p).st_mtime

packages, where = {}, {}
def add(d, n, kind):
    p = d if n == 'EGG-INFO' else os.path.join(d, n)
    f = os.path.join(d, n)
    if kind == 'dist-info':
        f = os.path.join(f, 'METADATA')
    elif os.path.isdir(f):
        f = os.path.join(f, 'PKG-INFO')
    if kind != 'dist-info':
        watch(f)
    name, version = fields(f)
    guess = os.path.basename(p).rsplit('.', 1)[0].split('-') + ['']
    name, version = name or guess[0], version or guess[1]
    key = name.lower().replace('_', '-').replace('.', '-')
    if not name or not version:
        return
    if key in where:
        first, other = where[key]
        if other != d or age(first[0]) >= age(p):
            return
        del packages[first[1]]
    where[key] = ((p, name), d)
    packages[name] = version

def scan(d):
    watch(d)
    try:
        names = sorted(os.listdir(d or '.'))
    except OSError:
        return
    for n in names:
        kind = n.rsplit('.', 1)[-1].lower()
        if kind == 'pth':
            watch(os.path.join(d, n))
        elif (kind in ('dist-info', 'egg-info') or n == 'EGG-INFO') and n[0] != '~':
            try:
                add(d, n, kind)
            except (OSError, ValueError):
                pass

exe = os.path.dirname(sys.executable)
for p in (sys.executable, os.path.join(exe, 'pyvenv.cfg'),
          os.path.join(os.path.dirname(exe), 'pyvenv.cfg')):
    watch(p)
for n in ('sitecustomize', 'usercustomize'):
    p = getattr(sys.modules.get(n), '__file__', None)
    if p:
        watch(p)
for d in path:
    if d not in watched:
        scan(d)
try:
    more = list(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        more.append(site.getusersitepackages())
except AttributeError:
    more = []
for d in more:
    if d not in watched:
        watch(d)

version = sys.version.split()[0]
if 't' in getattr(sys, 'abiflags', ''):
    version += 't'
if hasattr(sys, 'pypy_version_info'):
    version += ' (PyPy %d.%d.%d)' % tuple(sys.pypy_version_info[:3])
out = json.dumps({'version': version, 'executable': sys.executable, 'packages': packages,
                  'watched': sorted(watched.items())})
out = b'\x02gittrack' + out.encode('ascii') + b'gittrack\x03'
while out:
    out = out[os.write(1, out):]
os._exit(0)
"""


class _Python(NamedTuple):
    """An interpreter's answer, with the state of every file that it rests on."""

    version: str | None
    packages: Mapping[str, str]
    watched: tuple[tuple[str, list[int] | None], ...]

    def as_json(self) -> dict[str, Any]:
        return {"version": self.version, "packages": self.packages, "watched": self.watched}

    @classmethod
    def from_json(cls, value: Any) -> _Python:
        """Raises ValueError, KeyError or TypeError for anything else than `as_json` gave."""
        version, packages = value["version"], value["packages"]
        watched = tuple((path, state) for path, state in value["watched"])
        texts = [version, *packages, *packages.values(), *(path for path, _ in watched)]
        if not watched or not all(isinstance(text, str) for text in texts):
            raise ValueError("not an interpreter's answer")
        clean = {_clean(name): _clean(packages[name]) for name in sorted(packages, key=str.lower)}
        return cls(version, clean, watched)

    def unchanged(self) -> bool:
        return all(_state(path) == state for path, state in self.watched)


class _Answer(NamedTuple):
    python: _Python
    executable: str

    def lasting(self, target: _Target, started: int) -> bool:
        """Tell whether a later change would be seen, and whether this is about what was asked.

        What changed just before or after the question may change again within one tick of the
        file system's clock; a program that only stands for another may stand for a third tomorrow.
        """
        if os.path.normpath(self.executable) != os.path.normpath(target.words[0]):
            return False
        times = (state[3] for _, state in self.python.watched if state)
        return all(when < started - _tick(when) for when in times)


def _tick(when: int) -> int:
    """Give the file system's granularity in ns: whole seconds betray a coarse clock."""
    return 2_000_000_000 if when % 1_000_000_000 == 0 else 50_000_000


def _parse(output: bytes, target: _Target) -> _Answer:
    start, end = output.rfind(_BEGIN), output.rfind(_END)
    try:
        if start < 0 or end < start:
            raise ValueError("no answer")
        value = json.loads(output[start + len(_BEGIN) - 1 : end + 1])
        return _Answer(_Python.from_json(value), str(value["executable"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _Unknown(f"{target.words[0]} did not tell its packages") from None


class _Question:
    """A process that answers on its standard output, in a session of its own."""

    def __init__(self, words: Sequence[str], *, env: Mapping[str, str], cwd: str) -> None:
        import subprocess

        self._name = words[0]
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            list(words),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def answer(self, seconds: float, none: tuple[int, ...] = ()) -> bytes:
        """Wait for all of it; an exit code in `none` is an empty answer.

        Raises:
            _Unknown: it took longer than `seconds`, or failed.
        """
        import subprocess

        assert self._process is not None
        try:
            output, _ = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise _Unknown(f"{self._name} did not answer within {seconds:g} s") from None
        code = self._process.returncode
        if code in none:
            return b""
        if code != 0:
            raise _Unknown(f"{self._name} failed with exit code {code} when asked")
        return output

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            import signal

            try:
                os.killpg(process.pid, signal.SIGKILL)
            except OSError:
                process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


# Remembering ------------------------------------------------------------------------------------


def _state(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


def _remembered(cache: Path, key: str | None) -> _Python | None:
    if key is None:
        return None
    try:
        python = _Python.from_json(_load(cache, key))
        return python if python.unchanged() else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _load(cache: Path, key: str) -> Any:
    """Give what was stored under `key`; None if nothing was, or nothing that can be read."""
    try:
        with open(_file(cache, key), "rb") as file:
            value = json.loads(file.read())
        fits = value["format"] == _FORMAT and value["key"] == key
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return value["value"] if fits and "value" in value else None


def _store(cache: Path, key: str, value: Mapping[str, Any]) -> None:
    """Keep `value`, whole or not at all; a directory that cannot be written keeps nothing."""
    path = _file(cache, key)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(cache, exist_ok=True)
        with open(temporary, "w", encoding="ascii") as file:
            json.dump({"format": _FORMAT, "key": key, "value": value}, file)
        os.replace(temporary, path)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass


def _file(cache: Path, key: str) -> str:
    # Two keys of one checksum take turns in one file: the key inside decides.
    return os.path.join(cache, f"{zlib.crc32(key.encode('utf-8', 'surrogatepass')):08x}.json")


# The machine ------------------------------------------------------------------------------------


def _platform() -> str:
    """Name system, release, machine and C library, such as `Linux-6.1.0-x86_64-glibc2.36`."""
    name = os.uname()
    try:
        library = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        library = ""
    parts = (name.sysname, name.release, name.machine, library.replace(" ", ""))
    return "-".join(part for part in parts if part)


def _cores() -> int:
    """Count the cores that this process may use, where the system tells, else all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 0


def _memory() -> int:
    """Give the machine's memory in bytes, 0 where unknown; limits of a container are not seen."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _cpu(cache: Path) -> str | None:
    """Give the processor's name, "" where the system has none; None where it must be asked."""
    if os.uname().sysname == "Darwin":
        stored = _load(cache, _host())
        return stored["cpu"] if isinstance(stored, dict) and "cpu" in stored else None
    for line in _head("/proc/cpuinfo", 4096).split(b"\n"):
        field, _, value = line.partition(b":")
        if field.strip() in (b"model name", b"cpu model", b"cpu"):
            return value.strip().decode("utf-8", "replace")
    return ""


def _host() -> str:
    name = os.uname()
    return json.dumps(["cpu", name.nodename, name.release, name.machine])


def _variables(env: Mapping[str, str]) -> dict[str, str]:
    return {name: _clean(env[name]) for name in VARIABLES if name in env}


def _clean(text: str) -> str:
    """Replace what UTF-8 cannot hold: bytes that came in as lone surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
