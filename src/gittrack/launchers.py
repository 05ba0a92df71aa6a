"""What stands before the user's program on a command line.

Knows launchers (interpreters, environment tools, schedulers, tracers), how each parses its own
options, and so where that begins which it starts. Refuses to know the disk and the environment:
where only they could tell an option's value from a program, the caller may be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os.path import basename
from typing import Literal, NamedTuple

__all__ = ["Place", "Starts", "Step", "arguments", "is_python", "take"]

Place = Literal["here", "watched", "inside", "untold"]
"""Where a launcher's program runs.

`here`: once, in the environment at hand but for what the options change; `watched`: there too, but
several times or under another program's eyes; `inside`: in an environment that the launcher
chooses; `untold`: the launcher is the interpreter, or its file tells, or it is another machine.
"""

Starts = Literal["command", "script", "module", "text"]
"""What follows a launcher: another command line, or a program of the launcher's language."""

Doubt = Callable[[str], bool]


class Step(NamedTuple):
    """One launcher taken off a command line.

    `own` are its words, without `--` and without the option that asks for a module. `options` are
    what they say, in order, as (name, value): several flags in one word stay together (`-uB`), an
    assignment `A=1` is ("A", "1"), `_` in a long name is `-`. `program` is the script, module or
    text that is started and `rest` its arguments; of a command, `rest` is all of it. Each is empty
    where the words end before it.
    """

    own: tuple[str, ...]
    options: tuple[tuple[str, str | None], ...]
    starts: Starts
    program: str
    rest: tuple[str, ...]
    place: Place


def arguments(argv: Sequence[str]) -> tuple[str, ...]:
    """Cut off everything up to the user's own program; what is left are its arguments.

    Looks through interpreters and launchers, one inside the other. An unknown program is the
    user's own. The text after `bash -c` or `python -c` is the program; it is not looked into.
    """
    words = tuple(argv)
    launcher = _named(words)
    while True:
        step = _Walk(words, launcher, _never).step() if launcher else None
        if step is None:
            return words[1:]
        if step.starts == "command":
            words, launcher = step.rest, _named(step.rest)
        elif step.starts == "module":
            words, launcher = (step.program, *step.rest), _MODULES.get(step.program)
        else:
            return step.rest


def take(argv: Sequence[str], *, runs: Doubt | None = None) -> Step | None:
    """Take the first launcher off a command line; None if its first word starts nothing else.

    That is an unknown program, and a known one that does something else, as `uv pip`. `runs` is
    asked whether a word is a program, where it follows an option that no table here holds.
    """
    words = tuple(argv)
    launcher = _named(words)
    return _Walk(words, launcher, runs or _never).step() if launcher else None


def is_python(word: str) -> bool:
    """Tell whether a command's name or path is an interpreter's: `python`, `pypy3`, `python3.13t`.

    ABI flags and Debian's `-dbg` count; `ipython` is a script, and does not.
    """
    name = basename(word)
    stem = "pypy" if name.startswith("pypy") else "python"
    version = name.removeprefix(stem).removeprefix("w").removesuffix("-dbg")
    abi = version.lstrip("0123456789.")
    return name.startswith(stem) and abi in ("", "d", "m", "t", "u", "dm", "mu", "td", "dmu")


def _named(words: Sequence[str]) -> _Launcher | None:
    name = basename(words[0]) if words else ""
    return _PYTHON if is_python(name) else _LAUNCHERS.get(name)


def _never(_: str) -> bool:
    return False


# The walk.

_SCRIPTS = (".py", ".pyc", ".sh", ".R", ".jl", ".js", ".pl", ".rb", ".jar")


class _Walk:
    """The walk over one launcher's own words."""

    def __init__(self, words: Sequence[str], launcher: _Launcher, runs: Doubt) -> None:
        self.words, self.at = list(words), 1
        self.launcher, self.runs = launcher, runs
        self.values, self.pairs = _set(launcher.values), _set(launcher.pairs)
        self.ends, self.modules = _set(launcher.ends), _set(launcher.modules)
        self.splits = _set(launcher.splits)
        self.flags = None if launcher.flags is None else _set(launcher.flags)
        self.valued = self.values | self.ends | self.modules | self.splits
        self.own = self.words[:1]
        self.options: list[tuple[str, str | None]] = []

    def step(self) -> Step | None:
        verbs, operands, dashed = self.launcher.verbs.split(), self.launcher.operands, False
        while self.at < len(self.words):
            word = self.words[self.at]
            if word == "--" and not verbs and not dashed:
                dashed = True
                self.at += 1
            elif not dashed and self._is_option(word):
                if (step := self._option(word)) is not None:
                    return step
            elif verbs:
                if word not in verbs:
                    return None
                verbs = []
                self._keep()
            elif self.launcher.assignments and "=" in word:
                name, _, value = self._keep().partition("=")
                self.options.append((name, value))
            elif operands:
                operands -= 1
                self._keep()
            else:
                break
        if verbs:
            return None
        return self._started("script", self._next(None)) if self.launcher.script else self._inner()

    def _is_option(self, word: str) -> bool:
        # A lone dash is a script on standard input, but to `env` it is -i.
        return word.startswith("-") and (word != "-" or self.launcher.assignments)

    def _option(self, word: str) -> Step | None:
        flags, name, value = self._split(word)
        self.at += 1
        if flags:
            self.options.append((flags, None))
        if name in self.modules:
            self.own += [flags] if flags else []
            return self._module(value)
        if name in self.splits:
            import shlex

            text = self._next(value)
            try:
                self.words[self.at : self.at] = shlex.split(text)
            except ValueError:
                self.words[self.at : self.at] = text.split()
            return None
        self.own.append(word)
        if name in self.ends:
            return self._started("text", self._next(value))
        if name in self.pairs:
            for _ in range(2 if value is None else 1):
                self._keep()
        elif value is None and self._takes_next(name):
            value = self._keep()
        self.options.append((name, value))
        return None

    def _split(self, word: str) -> tuple[str, str, str | None]:
        """The flags in front of an option in one word, its name, and a value in that word."""
        name, joined, value = word.partition("=")
        if word.startswith("--"):
            return "", name.replace("_", "-"), value if joined else None
        if word in self.valued | self.pairs | (self.flags or frozenset()):
            return "", word, None
        for n, letter in enumerate(word[1:], start=1):
            if "-" + letter in self.valued:
                return word[:n] if n > 1 else "", "-" + letter, word[n + 1 :] or None
            if not letter.isalpha():
                break
        return "", name, value if joined else None

    def _takes_next(self, name: str) -> bool:
        if name in self.values:
            return True
        if self.flags is None or name in self.flags or self.at >= len(self.words):
            return False
        if name[2:] and name[1].isalpha() and not name[2:].strip("0123456789."):
            return False
        following = self.words[self.at]
        if following.startswith("-") or is_python(following):
            return False
        return not (following.endswith(_SCRIPTS) or self.runs(following))

    def _module(self, module: str | None) -> Step | None:
        # torchrun's and accelerate's --module is a flag: the module stands where the script would.
        if module is None and self.flags is not None:
            while self.at < len(self.words) and self.words[self.at].startswith("-"):
                if (step := self._option(self.words[self.at])) is not None:
                    return step
        return self._started("module", self._next(module))

    def _keep(self) -> str:
        """Take the next word as the launcher's own; empty if there is none."""
        self.own += self.words[self.at : self.at + 1]
        return self._next(None)

    def _next(self, text: str | None) -> str:
        """Give `text`, or else take the next word; empty if there is none."""
        if text is not None:
            return text
        self.at += 1
        return self.words[self.at - 1] if self.at <= len(self.words) else ""

    def _started(self, starts: Starts, program: str) -> Step:
        rest = tuple(self.words[self.at :])
        place = self.launcher.place
        return Step(tuple(self.own), tuple(self.options), starts, program, rest, place)

    def _inner(self) -> Step:
        return self._started("command", "")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# The table. Texts, because a set is made only of the launchers that a command line names.


class _Launcher(NamedTuple):
    """How the words after a launcher's name are read, up to the program that it starts.

    `values` are options that take the next word, `pairs` those that take two, `ends` those whose
    value is the program, `modules` those whose value is a Python module, `splits` those whose value
    is a line to be split into further words. `flags`, where given, are the options known to take
    nothing: any other is taken to have a value, unless what follows looks like an option or a
    program. `operands` words stand before the program, after one of `verbs` if there are any.
    The program is a command of its own, or a `script`.
    """

    values: str = ""
    flags: str | None = None
    pairs: str = ""
    ends: str = ""
    modules: str = ""
    splits: str = ""
    verbs: str = ""
    operands: int = 0
    assignments: bool = False
    script: bool = False
    place: Place = "untold"


_PYTHON = _Launcher("-W -X --check-hash-based-pycs", ends="-c", modules="-m", script=True)
_SHELL = _Launcher("-o -O --rcfile --init-file", ends="-c", script=True)
_TORCHRUN = _Launcher(
    flags="--standalone --no-python --use-env --run-path -h --help",
    modules="-m --module",
    script=True,
)
_ACCELERATE = _Launcher(
    flags="--multi-gpu --cpu --mps --tpu --ipex --use-deepspeed --use-fsdp --use-xpu"
    " --use-megatron-lm --use-parallelism-config --quiet -q --debug --no-python"
    " --tpu-use-cluster --tpu-use-sudo --no-tpu-cluster --dynamo-use-fullgraph"
    " --dynamo-use-dynamic -h --help",
    modules="-m --module",
    script=True,
)
_DEEPSPEED = _Launcher(
    flags="--no-python --no-local-rank --no-ssh --no-ssh-check --force-multi --save-pid"
    " --elastic-training --bind-cores-to-rank -h --help",
    modules="--module",
    script=True,
)
_MPI = _Launcher(
    flags="--oversubscribe --nooversubscribe --allow-run-as-root --report-bindings --tag-output"
    " --timestamp-output --display-map --display-allocation --bynode --bycore --byslot"
    " --use-hwthread-cpus --quiet --verbose --nolocal --bind-to-core --bind-to-none --merge"
    " -oversubscribe -nooversubscribe -allow-run-as-root -report-bindings -tag-output"
    " -timestamp-output -display-map -bynode -bycore -byslot -nolocal -bind-to-core -l"
    " -q -v -h --help -genvall -genvnone -envall -envnone -prepend-rank -verbose",
    pairs="--mca -mca --gmca -gmca --prtemca -genv -env --pmixmca",
    place="watched",
)
_SLURM = _Launcher(
    "-A -b -B -c -C -d -D -e -F -G -i -J -L -m -M -n -N -o -p -q -r -S -t -T -w -W -x -a",
    flags="--overlap --exclusive --label --unbuffered --pty --quiet --verbose --no-kill --hold"
    " --overcommit --oversubscribe --contiguous --disable-status --preserve-env --multi-prog"
    " --no-allocation --spread-job --use-min-nodes --requeue --no-requeue --parsable --wait"
    " --reboot --whole --exact --immediate --wait-all-nodes --help --usage --version"
    " -l -u -v -Q -k -K -H -O -s -E -I -X -Z -h -V",
)
_HOROVOD = _Launcher(
    flags="--gloo --mpi --jsrun --verbose --disable-cache --check-build --autotune --no-autotune"
    " --timeline-mark-cycles --tcp --mpi-threads-disable --hierarchical-allreduce -cb -v -h"
)
_UV = _Launcher(
    "--allow-insecure-host --cache-dir --color --config-file --config-setting --default-index"
    " --directory --env-file --exclude-newer --extra --extra-index-url --find-links --fork-strategy"
    " --group --index --index-strategy --index-url --keyring-provider --link-mode"
    " --no-binary-package --no-build-isolation-package --no-build-package --no-extra --no-group"
    " --only-group --package --prerelease --project --python --python-platform"
    " --python-preference --refresh-package --reinstall-package --resolution --upgrade-package"
    " --with --with-editable --with-requirements -C -P -f -i -p -w",
    flags="--frozen --locked --no-sync --isolated --active --no-project --no-dev --only-dev --dev"
    " --all-extras --no-default-groups --all-groups --all-packages --exact --offline --quiet"
    " --verbose --no-config --no-cache --refresh --reinstall --upgrade --managed-python"
    " --no-managed-python --no-editable --no-index --native-tls --no-progress --no-env-file"
    " --script --gui-script --no-build --no-binary --no-sources --compile-bytecode"
    " --no-python-downloads --no-build-isolation --system-certs -s -q -v -n -U -h --help",
    modules="-m --module",
    verbs="run",
    place="inside",
)
_TRACER = _Launcher(
    flags="-q -v -h -f -l -s -n --help --quiet --verbose --native --follow-fork --cpu --trace"
    " --wait-for-client --branch --append -a -p --parallel-mode --timid --version",
    modules="-m --module",
    script=True,
)
_TRACER_RUN = _TRACER._replace(verbs="run")
_GUESS = "-q -v -h --help --quiet --verbose"
_DOCKER = _Launcher(
    flags="-i -t -it -ti -d --rm --init --privileged --tty --interactive --detach --read-only"
    " --oom-kill-disable --publish-all -P --quiet -q --no-healthcheck --sig-proxy",
    verbs="run exec",
    operands=1,
)
_APPTAINER = _Launcher(
    flags="--nv --nvccli --rocm --cleanenv --contain --containall --writable --writable-tmpfs"
    " --no-home --fakeroot --userns --ipc --net --pid --uts --compat -c -C -e -f -i -n -p -u -w",
    verbs="run exec",
    operands=1,
)
_OTHER = _Launcher()


def _here(values: str = "", operands: int = 0) -> _Launcher:
    return _Launcher(values, operands=operands, place="here")


def _watched(values: str = "", flags: str | None = None, verbs: str = "") -> _Launcher:
    return _Launcher(values, flags=flags, verbs=verbs, place="watched")


def _inside(values: str) -> _Launcher:
    return _Launcher(values, verbs="run", place="inside")


_CONDA = "--cwd --name --prefix -n -p -r --root-prefix"
_PROFILE = "-o -s --outfile --sort"

_LAUNCHERS = {
    # one process, here
    "caffeinate": _here("-t -w"),
    "chrt": _here("-T -P -D", operands=1),
    "env": _Launcher(
        "-u --unset -C --chdir", splits="-S --split-string", assignments=True, place="here"
    ),
    "flock": _here("-w -E --timeout --wait --conflict-exit-code", operands=1),
    "ionice": _here("-c -n --class --classdata"),
    "nice": _here("-n --adjustment"),
    "nohup": _here(),
    "numactl": _here(
        "-N -m -C -i -p -w --cpunodebind --membind --physcpubind --interleave --preferred"
    ),
    "setsid": _here(),
    "stdbuf": _here("-i -o -e --input --output --error"),
    "taskset": _here(operands=1),
    "time": _here("-f --format -o --output"),
    "timeout": _here("-k --kill-after -s --signal", operands=1),
    # schedulers, debuggers, profilers
    "aprun": _watched(flags="-q -b -B -v -h -T -R"),
    "gdb": _watched(flags=_GUESS + " --args -args --batch -batch -nx -nh -n -quiet -silent"),
    "jsrun": _watched(flags="-h -V --help --version -i -X"),
    "ltrace": _watched("-e -o -s -p -u -n -a -l -x -D -F -A"),
    "mpiexec": _MPI,
    "mpiexec.hydra": _MPI,
    "mpirun": _MPI,
    "ncu": _watched(flags=_GUESS),
    "nsys": _watched(flags=_GUESS, verbs="profile launch"),
    "orterun": _MPI,
    "perf": _watched(flags="-a -g -d -v -h --all-cpus", verbs="stat record trace"),
    "prterun": _MPI,
    "srun": _SLURM._replace(place="watched"),
    "strace": _watched("-e -o -s -p -u -E -P -a -O -S -I -b -X --output --trace"),
    "valgrind": _watched(),
    "xvfb-run": _watched(
        "-n -s -e -f -p -w --server-num --server-args --error-file --auth-file --wait"
        " --xauth-protocol"
    ),
    # tools that choose an environment
    "conda": _inside(_CONDA),
    "hatch": _inside("--env -e --project -p --data-dir --cache-dir --config"),
    "mamba": _inside(_CONDA),
    "micromamba": _inside(_CONDA + " -e --env -a --attach"),
    "pdm": _inside("--project -p --venv"),
    "pipenv": _inside("--python --pypi-mirror"),
    "pixi": _inside("--environment -e --manifest-path --color --feature --platform"),
    "poetry": _inside("--directory -C --project -P"),
    "rye": _inside("--pyproject"),
    "uv": _UV,
    # their own files tell, or it is not this machine
    "accelerate": _ACCELERATE._replace(verbs="launch"),
    "apptainer": _APPTAINER,
    "bash": _SHELL,
    "builtin": _OTHER,
    "catchsegv": _OTHER,
    "chronic": _OTHER,
    "command": _OTHER,
    "composer": _Launcher(flags=_GUESS, modules="-m --module-mode", script=True),
    "coverage": _TRACER_RUN,
    "dash": _SHELL,
    "debugpy": _TRACER,
    "deepspeed": _DEEPSPEED,
    "docker": _DOCKER,
    "exec": _OTHER,
    "fish": _SHELL,
    "horovodrun": _HOROVOD,
    "ipython": _PYTHON,
    "ipython3": _PYTHON,
    "java": _Launcher(
        "-cp -classpath --class-path -p --module-path",
        ends="-jar",
        script=True,
    ),
    "julia": _Launcher(
        "-t -p -L -J -C -H -m --threads --procs --load --sysimage --module",
        ends="-e -E --eval --print",
        script=True,
    ),
    "kernprof": _TRACER,
    "ksh": _SHELL,
    "memray": _TRACER_RUN,
    "node": _Launcher("-r --require --import --loader", ends="-e -p --eval", script=True),
    "nvprof": _Launcher(flags=_GUESS),
    "perl": _Launcher("-I", ends="-e -E", script=True),
    "podman": _DOCKER,
    "prun": _MPI._replace(place="untold"),
    "py-spy": _Launcher(flags=_TRACER.flags, verbs="record"),
    "pyinstrument": _TRACER,
    "Rscript": _Launcher("-g", ends="-e", script=True),
    "ruby": _Launcher("-I -r", ends="-e", script=True),
    "salloc": _SLURM,
    "sbatch": _SLURM,
    "scalene": _TRACER,
    "sh": _SHELL,
    "singularity": _APPTAINER,
    "sudo": _Launcher("-u -g -h -p -C -D -R -T --user --group", assignments=True),
    "systemd-run": _Launcher(
        flags="--user --scope --wait --pty --pipe --collect --quiet -t -P -G -q --same-dir -d"
    ),
    "torchrun": _TORCHRUN,
    "unbuffer": _OTHER,
    "viztracer": _TRACER,
    "zsh": _SHELL,
}
_MODULES = {
    "accelerate": _LAUNCHERS["accelerate"],
    "accelerate.commands.launch": _ACCELERATE,
    "cProfile": _Launcher(_PROFILE, modules="-m", script=True),
    "coverage": _TRACER_RUN,
    "debugpy": _TRACER,
    "deepspeed.launcher.runner": _DEEPSPEED,
    "kernprof": _TRACER,
    "memory_profiler": _TRACER,
    "memray": _TRACER_RUN,
    "pdb": _Launcher("-c --command", modules="-m", script=True),
    "pipenv": _LAUNCHERS["pipenv"],
    "poetry": _LAUNCHERS["poetry"],
    "profile": _Launcher(_PROFILE, script=True),
    "pyinstrument": _TRACER,
    "scalene": _TRACER,
    "torch.distributed.launch": _TORCHRUN,
    "torch.distributed.run": _TORCHRUN,
    "trace": _TRACER,
    "uv": _UV,
    "viztracer": _TRACER,
}
