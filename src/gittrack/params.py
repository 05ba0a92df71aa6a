"""What a command line and params files say the parameters are.

Knows options, overrides, launchers and the types of words; reads a file when it is given one.
Refuses to know what the program makes of its arguments: a default that was never said is no
param, and the argument list in the record is the authority. Masking is done before, by `secrets`.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from gittrack.errors import BadFile, BadName, UsageError
from gittrack.keys import check_key, flatten, nest
from gittrack.records import Value

__all__ = [
    "LARGEST_FILE",
    "LARGEST_VALUE",
    "arguments",
    "flatten",
    "from_assignments",
    "from_command",
    "from_file",
    "load",
    "merge",
    "nest",
    "parse_json",
    "parse_value",
    "read",
]

LARGEST_FILE = 8 << 20
"""Bytes that a params file may have."""

LARGEST_VALUE = 10_000
"""Characters of a list or mapping that is still taken apart."""

_DEEPEST = 20


# What a word means.

_INT = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(
    r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", flags=re.ASCII
)
_MOST_DIGITS = 4300
_WORDS: Mapping[str, Value] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "None"), None),
    **dict.fromkeys(("nan", "NaN", ".nan"), float("nan")),
    **dict.fromkeys(("inf", ".inf", "Infinity"), float("inf")),
    **dict.fromkeys(("-inf", "-.inf", "-Infinity"), float("-inf")),
}
_SPECIAL_TOKEN = re.compile(r"\[[A-Z][A-Z0-9_]*\]")


def parse_value(text: str) -> Value:
    """Read one word of a command line as the value it stands for.

    An int, a float (`1e-3`, `nan`, `-inf`), `true` or `false`, `null` or `None`; a list or mapping
    as JSON, Python or Hydra write it (`[1, 2]`, `{'a': 1}`, `[conv, relu]`). All else is the text
    exactly as given: `007`, `+5`, `1_000`, `0x10`, `NO`, `none`, `~`, `12:30:45`, `2024-01-01`,
    `(1, 2)`, a token like `[PAD]`, and any number that a float would turn into infinity or zero.
    """
    if text[:1] in ("[", "{") and text[-1:] in ("]", "}"):
        return _parse_collection(text)
    return _parse_scalar(text)


def _parse_scalar(text: str) -> Value:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text) if len(text.lstrip("-")) <= _MOST_DIGITS else text
    if _FLOAT.fullmatch(text):
        number = float(text)
        return text if _overflowed(number) or _underflowed(number, text) else number
    return text


def _overflowed(number: float) -> bool:
    return number in (float("inf"), float("-inf"))


def _underflowed(number: float, text: str) -> bool:
    return number == 0 and re.search("[1-9]", re.split("[eE]", text)[0]) is not None


def _parse_collection(text: str) -> Value:
    if len(text) > LARGEST_VALUE or _SPECIAL_TOKEN.fullmatch(text):
        return text
    parser = _Collection(text)
    try:
        value = parser.value(0)
        return value if parser.at == len(text) else text
    except ValueError:
        return text


class _Collection:
    """A reader of lists and mappings, in JSON's, Python's and Hydra's spelling at once.

    One grammar for the three, so that a bare `0x10` or `007` is text inside a list as outside.
    """

    _SPACE = re.compile(r"\s*")
    _QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\['\\])*'")
    _BARE = re.compile(r"[^\s\[\]{}(),\"']+")
    _BARE_KEY = re.compile(r"[^\s\[\]{}(),\"':]+")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def value(self, depth: int) -> Value:
        if depth > _DEEPEST:
            raise ValueError("too deep")
        if self._take("["):
            return self._items("]", lambda: self.value(depth + 1))
        if self._take("{"):
            return self._mapping(lambda: self._pair(depth))
        return self._word(self._BARE)

    def _mapping(self, pair: Callable[[], tuple[str, Value]]) -> dict[str, Value]:
        pairs = self._items("}", pair)
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            raise ValueError("a key stands twice")
        return mapping

    def _pair(self, depth: int) -> tuple[str, Value]:
        start = self.at
        key = self._word(self._BARE_KEY)
        if not isinstance(key, str):
            key = self.text[start : self.at]
        if not self._take(":"):
            raise ValueError("no colon")
        return key, self.value(depth + 1)

    def _items(self, end: str, item: Callable[[], Any]) -> list[Any]:
        items: list[Any] = []
        while not self._take(end):
            items.append(item())
            if not self._take(","):
                if not self._take(end):
                    raise ValueError("no comma")
                return items
        return items

    def _word(self, bare: re.Pattern[str]) -> Value:
        if quoted := self._QUOTED.match(self.text, self.at):
            self._move(quoted.end())
            return _unquote(quoted.group())
        if word := bare.match(self.text, self.at):
            self._move(word.end())
            return _parse_scalar(word.group())
        raise ValueError("no value")

    def _take(self, char: str) -> bool:
        if not self.text.startswith(char, self.at):
            return False
        self._move(self.at + 1)
        return True

    def _move(self, to: int) -> None:
        space = self._SPACE.match(self.text, to)
        # Space after the last bracket is part of a text, not of a list.
        self.at = space.end() if space and space.end() < len(self.text) else to


def _unquote(quoted: str) -> str:
    if quoted[0] == '"':
        return str(json.loads(quoted, strict=False))
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])


# Where the user's program begins.


@dataclass(frozen=True, slots=True)
class _Launcher:
    """How the words after a launcher's name are read, up to the program that it starts.

    `values` are options that take the next word, `pairs` those that take two, `ends` those after
    whose value the arguments begin, `module` those whose value is a Python module. `flags`, where
    given, are the options known to take nothing: any other is taken to have a value, unless what
    follows looks like an option or a script. `operands` words stand before the program, after one
    of the words `verbs` if there are any. The program is a command of its own, or a `script`.
    """

    values: frozenset[str] = frozenset()
    flags: frozenset[str] | None = None
    pairs: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()
    module: frozenset[str] = frozenset()
    verbs: tuple[str, ...] = ()
    operands: int = 0
    assignments: bool = False
    script: bool = False


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PYTHON = _Launcher(
    values=_set("-W -X --check-hash-based-pycs"), ends=_set("-c"), module=_set("-m"), script=True
)
_SHELL = _Launcher(values=_set("-o -O --rcfile --init-file"), ends=_set("-c"), script=True)
_TORCHRUN = _Launcher(
    flags=_set("--standalone --no-python --use-env --run-path -h --help"),
    module=_set("-m --module"),
    script=True,
)
_ACCELERATE = _Launcher(
    flags=_set(
        "--multi-gpu --cpu --mps --tpu --ipex --use-deepspeed --use-fsdp --use-xpu"
        " --use-megatron-lm --use-parallelism-config --quiet -q --debug --no-python"
        " --tpu-use-cluster --tpu-use-sudo --no-tpu-cluster --dynamo-use-fullgraph"
        " --dynamo-use-dynamic -h --help"
    ),
    module=_set("-m --module"),
    verbs=("launch",),
    script=True,
)
_DEEPSPEED = _Launcher(
    flags=_set(
        "--no-python --no-local-rank --no-ssh --no-ssh-check --force-multi --save-pid"
        " --elastic-training --bind-cores-to-rank -h --help"
    ),
    module=_set("--module"),
    script=True,
)
_MPI = _Launcher(
    flags=_set(
        "--oversubscribe --nooversubscribe --allow-run-as-root --report-bindings --tag-output"
        " --timestamp-output --display-map --display-allocation --bynode --bycore --byslot"
        " --use-hwthread-cpus --quiet --verbose --nolocal --bind-to-core --bind-to-none --merge"
        " -oversubscribe -nooversubscribe -allow-run-as-root -report-bindings -tag-output"
        " -timestamp-output -display-map -bynode -bycore -byslot -nolocal -bind-to-core -l"
        " -q -v -h --help -genvall -genvnone -envall -envnone -prepend-rank -verbose"
    ),
    pairs=_set("--mca -mca --gmca -gmca --prtemca -genv -env --pmixmca"),
)
_SLURM = _Launcher(
    values=_set(
        "-A -b -B -c -C -d -D -e -F -G -i -J -L -m -M -n -N -o -p -q -r -S -t -T -w -W -x -a"
    ),
    flags=_set(
        "--overlap --exclusive --label --unbuffered --pty --quiet --verbose --no-kill --hold"
        " --overcommit --oversubscribe --contiguous --disable-status --preserve-env --multi-prog"
        " --no-allocation --spread-job --use-min-nodes --requeue --no-requeue --parsable --wait"
        " --reboot --whole --exact --immediate --wait-all-nodes --help --usage --version"
        " -l -u -v -Q -k -K -H -O -s -E -I -X -Z -h -V"
    ),
)
_HOROVOD = _Launcher(
    flags=_set(
        "--gloo --mpi --jsrun --verbose --disable-cache --check-build --autotune --no-autotune"
        " --timeline-mark-cycles --tcp --mpi-threads-disable --hierarchical-allreduce -cb -v -h"
    )
)
_UV = _Launcher(
    flags=_set(
        "--frozen --locked --no-sync --isolated --active --no-project --no-dev --only-dev --dev"
        " --all-extras --no-default-groups --all-groups --all-packages --exact --offline --quiet"
        " --verbose --no-config --no-cache --refresh --reinstall --upgrade --managed-python"
        " --no-managed-python --no-editable --no-index --native-tls --no-progress --no-env-file"
        " --script --gui-script --no-build --no-binary --no-sources --compile-bytecode"
        " --no-python-downloads --no-build-isolation --system-certs -s -q -v -n -U -h --help"
    ),
    module=_set("-m --module"),
    verbs=("run",),
)
_RUN = _Launcher(
    values=_set(
        "-n --name -p --prefix --cwd -e --environment --manifest-path --python -C -P --directory"
    ),
    verbs=("run",),
)
_TRACER = _Launcher(
    flags=_set(
        "-q -v -h -f -l -s -n --help --quiet --verbose --native --follow-fork --cpu --trace"
        " --wait-for-client --branch --append -a -p --parallel-mode --timid --version"
    ),
    module=_set("-m --module"),
    script=True,
)
_GUESS = _Launcher(flags=_set("-q -v -h --help --quiet --verbose"))
_DOCKER = _Launcher(
    flags=_set(
        "-i -t -it -ti -d --rm --init --privileged --tty --interactive --detach --read-only"
        " --oom-kill-disable --publish-all -P --quiet -q --no-healthcheck --sig-proxy"
    ),
    verbs=("run", "exec"),
    operands=1,
)
_APPTAINER = _Launcher(
    flags=_set(
        "--nv --nvccli --rocm --cleanenv --contain --containall --writable --writable-tmpfs"
        " --no-home --fakeroot --userns --ipc --net --pid --uts --compat -c -C -e -f -i -n -p -u -w"
    ),
    verbs=("run", "exec"),
    operands=1,
)
_NSIGHT = _Launcher(flags=_GUESS.flags, verbs=("profile", "launch"))
_PERF = _Launcher(flags=_set("-a -g -d -v -h --all-cpus"), verbs=("stat", "record"))

_LAUNCHERS: Mapping[str, _Launcher] = {
    "env": _Launcher(values=_set("-u --unset -C --chdir"), assignments=True),
    "nice": _Launcher(values=_set("-n --adjustment")),
    "ionice": _Launcher(values=_set("-c -n --class --classdata")),
    "chrt": _Launcher(operands=1),
    "time": _Launcher(values=_set("-f --format -o --output")),
    "timeout": _Launcher(values=_set("-k --kill-after -s --signal"), operands=1),
    "taskset": _Launcher(operands=1),
    "numactl": _Launcher(
        values=_set(
            "-N -m -C -i -p -w --cpunodebind --membind --physcpubind --interleave --preferred"
        )
    ),
    "stdbuf": _Launcher(values=_set("-i -o -e --input --output --error")),
    "xvfb-run": _Launcher(
        values=_set(
            "-n -s -e -f -p -w --server-num --server-args --error-file --auth-file --wait"
            " --xauth-protocol"
        )
    ),
    "flock": _Launcher(values=_set("-w -E --timeout --conflict-exit-code"), operands=1),
    "sudo": _Launcher(values=_set("-u -g -h -p -C -D -R -T --user --group"), assignments=True),
    "strace": _Launcher(values=_set("-e -o -s -p -u -E -P -a -O -S -I -b -X --output --trace")),
    "perf": _PERF,
    "nsys": _NSIGHT,
    "ncu": _GUESS,
    "nvprof": _GUESS,
    "systemd-run": _Launcher(
        flags=_set("--user --scope --wait --pty --pipe --collect --quiet -t -P -G -q --same-dir -d")
    ),
    "docker": _DOCKER,
    "podman": _DOCKER,
    "singularity": _APPTAINER,
    "apptainer": _APPTAINER,
    "uv": _UV,
    "hatch": _RUN,
    "torchrun": _TORCHRUN,
    "accelerate": _ACCELERATE,
    "deepspeed": _DEEPSPEED,
    "horovodrun": _HOROVOD,
    "composer": _Launcher(flags=_GUESS.flags, module=_set("-m --module_mode"), script=True),
    "Rscript": _Launcher(values=_set("-g"), ends=_set("-e"), script=True),
    "julia": _Launcher(
        values=_set("-t -p -L -J -C -H -m --threads --procs --load --sysimage --module"),
        ends=_set("-e -E --eval --print"),
        script=True,
    ),
    "node": _Launcher(
        values=_set("-r --require --import --loader"), ends=_set("-e -p --eval"), script=True
    ),
    "perl": _Launcher(values=_set("-I"), ends=_set("-e -E"), script=True),
    "ruby": _Launcher(values=_set("-I -r"), ends=_set("-e"), script=True),
    "java": _Launcher(
        values=_set("-cp -classpath --class-path -p --module-path"),
        ends=_set("-jar"),
        script=True,
    ),
    "coverage": _Launcher(flags=_TRACER.flags, module=_TRACER.module, verbs=("run",), script=True),
    "kernprof": _TRACER,
    "scalene": _TRACER,
    "pyinstrument": _TRACER,
    "viztracer": _TRACER,
    "debugpy": _TRACER,
    "memray": _Launcher(flags=_TRACER.flags, module=_TRACER.module, verbs=("run",), script=True),
    "py-spy": _Launcher(flags=_TRACER.flags, verbs=("record",)),
    **dict.fromkeys(("mpirun", "mpiexec", "mpiexec.hydra", "orterun", "prun", "jsrun"), _MPI),
    **dict.fromkeys(("srun", "sbatch", "salloc"), _SLURM),
    **dict.fromkeys(("nohup", "setsid", "caffeinate", "unbuffer", "chronic"), _Launcher()),
    **dict.fromkeys(("exec", "command", "builtin", "catchsegv", "valgrind"), _Launcher()),
    **dict.fromkeys(("poetry", "pipenv", "pdm", "rye", "pixi"), _RUN),
    **dict.fromkeys(("conda", "mamba", "micromamba"), _RUN),
    **dict.fromkeys(("bash", "sh", "dash", "zsh", "ksh", "fish"), _SHELL),
}
_MODULES: Mapping[str, _Launcher] = {
    "torch.distributed.run": _TORCHRUN,
    "torch.distributed.launch": _TORCHRUN,
    "accelerate.commands.launch": _Launcher(
        flags=_ACCELERATE.flags, module=_ACCELERATE.module, script=True
    ),
    "deepspeed.launcher.runner": _DEEPSPEED,
    "cProfile": _Launcher(values=_set("-o -s --outfile --sort"), module=_set("-m"), script=True),
    "profile": _Launcher(values=_set("-o -s --outfile --sort"), script=True),
    "pdb": _Launcher(values=_set("-c --command"), module=_set("-m"), script=True),
    "trace": _TRACER,
    "memory_profiler": _TRACER,
    **{
        name: _LAUNCHERS[name]
        for name in ("accelerate", "coverage", "kernprof", "scalene", "debugpy", "memray")
    },
    **{name: _LAUNCHERS[name] for name in ("pyinstrument", "viztracer", "poetry", "pipenv", "uv")},
}
_PYTHONS = re.compile(r"(?:python|pypy|pythonw|ipython)[0-9.]*t?d?")
_SCRIPT = re.compile(r".+\.(?:py|pyc|sh|R|jl|js|pl|rb|jar)|(?:.*/)?(?:python|pypy)[0-9.]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def arguments(argv: Sequence[str]) -> tuple[str, ...]:
    """Cut off everything up to the user's own program; what is left are its arguments.

    Looks through interpreters and launchers, one inside the other. An unknown program is the
    user's own. The text after `bash -c` or `python -c` is the program; it is not looked into.
    """
    at = 0
    while at < len(argv):
        launcher = _launcher(argv[at])
        at += 1
        if launcher is None:
            break
        begin = _Approach(argv, at, launcher).walk()
        if begin is None:
            break
        at, more = begin
        if not more:
            break
    return tuple(argv[at:])


def _launcher(word: str) -> _Launcher | None:
    name = os.path.basename(word)
    return _PYTHON if _PYTHONS.fullmatch(name) else _LAUNCHERS.get(name)


class _Approach:
    """The walk over one launcher's own words."""

    def __init__(self, argv: Sequence[str], at: int, launcher: _Launcher) -> None:
        self.argv = argv
        self.at = at
        self.launcher = launcher
        self.verbs = launcher.verbs
        self.operands = launcher.operands

    def walk(self) -> tuple[int, bool] | None:
        """Where to go on, and whether another command begins there rather than arguments.

        None if the launcher turns out to be the program itself, as `uv pip`.
        """
        while self.at < len(self.argv):
            word = self.argv[self.at]
            if word == "--" and not self.verbs:
                self.at += 1
                self.launcher = _Launcher(script=self.launcher.script)
            elif word.startswith("-") and word != "-":
                if (end := self._option(word)) is not None:
                    return end
            elif self.verbs:
                if word not in self.verbs:
                    return None
                self.verbs = ()
                self.at += 1
            elif self.launcher.assignments and _ASSIGNMENT.match(word):
                self.at += 1
            elif self.operands:
                self.operands -= 1
                self.at += 1
            else:
                return (self.at + 1, False) if self.launcher.script else (self.at, True)
        return self.at, False

    def _option(self, word: str) -> tuple[int, bool] | None:
        name, joined, attached = self._split(word)
        self.at += 1
        if name in self.launcher.ends:
            return self.at + (not joined), False
        if name in self.launcher.module:
            return self._module(attached if joined else None)
        if name in self.launcher.pairs:
            self.at += 1 if joined else 2
        elif not joined and self._takes_next(name):
            self.at += 1
        return None

    def _split(self, word: str) -> tuple[str, bool, str]:
        """An option's name, whether its value is in the same word, and that value."""
        if word.startswith("--"):
            name, joined, attached = word.partition("=")
            return name.replace("_", "-"), bool(joined), attached
        known = self.launcher.values | self.launcher.ends | self.launcher.module
        if word in known | self.launcher.pairs or word in (self.launcher.flags or ()):
            return word, False, ""
        for n, letter in enumerate(word[1:], start=2):
            if "-" + letter in known:
                return "-" + letter, bool(word[n:]), word[n:]
            if not letter.isalpha():
                break
        name, joined, attached = word.partition("=")
        return name, bool(joined), attached

    def _takes_next(self, name: str) -> bool:
        if name in self.launcher.values:
            return True
        flags = self.launcher.flags
        if flags is None or name in flags or self.at >= len(self.argv):
            return False
        if re.fullmatch(r"-[A-Za-z][0-9.]+", name):
            return False
        following = self.argv[self.at]
        return not following.startswith("-") and not _SCRIPT.fullmatch(following)

    def _module(self, attached: str | None) -> tuple[int, bool] | None:
        # torchrun's and accelerate's --module is a flag: the module stands where the script would.
        if self.launcher.flags is not None and attached is None:
            while self.at < len(self.argv) and self.argv[self.at].startswith("-"):
                if (end := self._option(self.argv[self.at])) is not None:
                    return end
        module = attached
        if module is None:
            module = self.argv[self.at] if self.at < len(self.argv) else ""
            self.at += 1
        inner = _MODULES.get(module)
        if inner is None:
            return self.at, False
        return _Approach(self.argv, self.at, inner).walk() or (self.at, False)


# What the arguments say.

_DASH_NUMBER = re.compile(r"-(?:\.?[0-9]|\.?inf\b|nan\b|Infinity\b)")
_OVERRIDE = re.compile(r"\+{0,2}([A-Za-z_][\w./@\[\]-]*)=(.*)", flags=re.DOTALL)
_OPTION = re.compile(r"--?([A-Za-z0-9_][^=\s]*)(?:=(.*))?", flags=re.DOTALL)
_ATTACHED = re.compile(r"-[A-Za-z][0-9.]+")
_HYDRA_FLAGS = _set("-m --multirun -r --run --resolve")


def from_command(argv: Sequence[str]) -> dict[str, Value]:
    """Read the params that a command line gives to the program that it runs.

    Options (`--lr 0.1`, `--lr=0.1`, `-n 5`, `-lr 0.1`, `--flag`) and Hydra's overrides
    (`model.lr=0.1`, `+a=1`, `++a=1`); `--n-estimators` is `n_estimators`. What the launchers
    before the program get is none (`arguments`). These are decisions, because only the program
    knows its grammar:

    - an option takes the next word unless that starts with a dash that begins no number; a lone
      dash (standard input) is taken; without a value it is True, and `--no-x` is `no_x`: True;
    - it takes one word only: of `--layers 64 64 32` the param is 64;
    - an option given again makes the list of its values; the last of several overrides holds;
    - `-n5` could be a cluster of flags: it is no param, and takes no word;
    - after `--` nothing is one.

    Never raises: a word that cannot be a key is none, bytes that are not UTF-8 are escaped.
    """
    params: dict[str, Value] = {}
    repeated: set[str] = set()
    words = [_text(word) for word in arguments(argv)]
    at = 0
    while at < len(words) and words[at] != "--":
        word = words[at]
        at += 1
        if override := _OVERRIDE.fullmatch(word):
            if _is_key(override[1]):
                params[override[1]] = parse_value(override[2])
                repeated.discard(override[1])
            continue
        option = None if _is_value(word) or _ATTACHED.fullmatch(word) else _OPTION.fullmatch(word)
        if not option:
            continue
        value: Value = True
        if option[2] is not None:
            value = parse_value(option[2])
        elif at < len(words) and _follows(word, words[at]):
            value = parse_value(words[at])
            at += 1
        key = option[1].replace("-", "_")
        if _is_key(key):
            _add(params, key, value, repeated)
    return params


def _add(params: dict[str, Value], key: str, value: Value, repeated: set[str]) -> None:
    if key not in params:
        params[key] = value
    elif key in repeated:
        params[key] = [*params[key], value]
    else:
        params[key] = [params[key], value]
        repeated.add(key)


def _is_value(word: str) -> bool:
    return not word.startswith("-") or word == "-" or _DASH_NUMBER.match(word) is not None


def _follows(option: str, word: str) -> bool:
    if option in _HYDRA_FLAGS and _OVERRIDE.fullmatch(word):
        return False
    return _is_value(word)


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except BadName:
        return False
    return True


def _text(word: str) -> str:
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def from_assignments(assignments: Iterable[str]) -> dict[str, Value]:
    """Read `key=value` texts; of one key given twice, the last holds.

    Raises:
        UsageError: a text has no `=`.
        BadName: a key is none (`keys.check_key`).
    """
    params: dict[str, Value] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(
                f"the param {assignment!r} has no value", hint="give it as key=value, as lr=0.1"
            )
        params[check_key(key.strip())] = parse_value(_text(value))
    return params


def merge(*sources: Mapping[str, Value]) -> dict[str, Value]:
    """Lay flat sources over one another: the later one wins, by dotted key.

    A later `model` replaces an earlier `model.lr`, and the other way round. Within one source both
    may stand, as Hydra's `model=resnet model.lr=0.1`.
    """
    merged: dict[str, Value] = {}
    for source in sources:
        above = {key[:n] for key in source for n, char in enumerate(key) if char == "."}
        for key in [key for key in merged if key in above or _under(key, source)]:
            del merged[key]
        merged.update(source)
    return merged


def _under(key: str, source: Mapping[str, Value]) -> bool:
    return any(key[:n] in source for n, char in enumerate(key) if char == "." and n)


# What a file says.


def from_file(path: str | os.PathLike[str]) -> dict[str, Value]:
    """Read the params of a YAML, JSON or TOML file, told apart by suffix; dates become ISO text.

    An empty YAML or TOML file has no params.

    Raises:
        BadFile: it is missing, too big, not UTF-8, of another kind, broken, or not a mapping.
    """
    name = os.fspath(path)
    content = load(name, "params", LARGEST_FILE)
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise BadFile(
            f"the params file '{name}' holds {_kind(content)}, not a mapping",
            path=name,
            hint="write it as key: value",
        )
    try:
        return {check_key(key): _plain(value) for key, value in flatten(content).items()}
    except BadName as error:
        raise BadFile(f"in the params file '{name}', {error.message}", path=name, hint=error.hint)
    except RecursionError as error:
        raise _too_deep(name, "params") from error


def load(path: str, what: str, largest: int) -> Any:
    """Read a YAML, JSON or TOML file into plain values; `what` names its role in messages.

    Raises:
        BadFile: it is missing, over `largest` bytes, not UTF-8, of another kind, or broken.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in (".yaml", ".yml", ".json", ".toml"):
        raise BadFile(
            f"the {what} file '{path}' is of no kind that gittrack reads",
            path=path,
            hint="name it .yaml, .json or .toml for what it holds",
        )
    data = read(path, what, largest)
    if suffix in (".yaml", ".yml"):
        from gittrack.formats import load_untrusted

        return load_untrusted(data, where=path)
    text = decode(data, path, what)
    return parse_json(text, path, what) if suffix == ".json" else _parse_toml(text, path, what)


def read(path: str, what: str, largest: int) -> bytes:
    """Read a whole ordinary file.

    Raises:
        BadFile: it is missing, unreadable, no ordinary file, or over `largest` bytes.
    """
    try:
        status = os.stat(path)
        # A named pipe would wait for a writer for ever.
        if not stat.S_ISREG(status.st_mode):
            raise BadFile(f"the {what} file '{path}' is no ordinary file", path=path)
        with open(path, "rb") as file:
            data = file.read(largest + 1)
    except FileNotFoundError as error:
        raise BadFile(
            f"there is no {what} file '{path}'", path=path, hint="paths are relative to here"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadFile(f"cannot read the {what} file '{path}': {reason}", path=path) from error
    if len(data) > largest:
        raise BadFile(
            f"the {what} file '{path}' is larger than {largest >> 20} MB",
            path=path,
            hint=f"is it really a {what} file",
        )
    return data


def decode(data: bytes, path: str, what: str) -> str:
    """Read bytes as UTF-8, with or without a byte order mark.

    Raises:
        BadFile: they are not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadFile(
            f"the {what} file '{path}' is not UTF-8 (line {line})",
            path=path,
            hint="save it as UTF-8",
        ) from error


def parse_json(text: str, path: str, what: str) -> Any:
    """Read JSON as it is written in practice: with NaN and infinities, but no key twice.

    Raises:
        BadFile: it is no JSON, a key stands twice in one mapping, or a number is out of range.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise BadFile(
            f"the {what} file '{path}' is no JSON: {error.msg} (line {error.lineno})", path=path
        ) from error
    except RecursionError as error:
        raise _too_deep(path, what) from error
    except ValueError as error:
        raise BadFile(f"in the {what} file '{path}', {error}", path=path) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return mapping


def _finite(text: str) -> float:
    number = float(text)
    if _overflowed(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _parse_toml(text: str, path: str, what: str) -> dict[str, Any]:
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise _too_deep(path, what) from error
    except ValueError as error:
        reason = str(error).replace("\n", " ")
        raise BadFile(f"the {what} file '{path}' is no TOML: {reason}", path=path) from error


def _too_deep(path: str, what: str) -> BadFile:
    return BadFile(
        f"the {what} file '{path}' nests too deep", path=path, hint="flatten it: a.b.c: value"
    )


def _plain(value: Any) -> Value:
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", int: "a number"}
    return names.get(type(value), "a number" if isinstance(value, float) else "something else")
