"""What a run ran on: interpreter, packages, machine.

Knows the machine, and how to ask what must be asked beside the running command. Refuses to know
what the command does: no environment variable is kept unless it is on `VARIABLES`, and a question
that cannot be answered gives a fault, never a guess.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gittrack import probe
from gittrack.interpreter import Command, Target, beginning, find, which
from gittrack.probe import Python, Question, Unknown
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
    pending = Pending(Command(tuple(argv), dict(env), os.path.abspath(cwd)), cache)
    pending._ask()
    return pending


class Pending:
    """An environment on its way. Call `result` once the command has ended, or `cancel`.

    Nothing here raises: what could not be found out is left empty, and `fault` says so.
    """

    def __init__(self, command: Command, cache: Path) -> None:
        self._command, self._cache = command, cache
        self._started = time.time_ns()
        self._target: Target | None = None
        self._python: Python | None = None
        self._questions: dict[str, Question] = {}
        self._faults: list[str] = []
        self._result: Environment | None = None

    @property
    def fault(self) -> str | None:
        """Say what could not be found out, complete once `result` has returned; None if all was."""
        return "; ".join(self._faults) or None

    @property
    def is_ready(self) -> bool:
        """Whether `result` will not wait; at once where nothing had to be asked."""
        return all(question.is_done for question in self._questions.values())

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
            self._command, self._target = find(self._command)
        except Unknown as unknown:
            self._faults.append(str(unknown))
        target = self._target
        if target is not None:
            if target.key is not None:
                self._python = probe.remembered(self._cache, target.key)
            if self._python is None:
                words = probe.asking(target.words, packed=target.wrapped)
                self._start("python", words, target)
        self._cpu = _cpu(self._cache)
        if self._cpu is None:
            self._start("cpu", ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"))
        smi = which("nvidia-smi", self._command)
        if smi is not None:
            gpus = "--query-gpu=name,memory.total,driver_version"
            self._start("gpus", (smi, gpus, "--format=csv,noheader"), self._command)

    def _start(
        self, name: str, words: Sequence[str], place: Command | Target | None = None
    ) -> None:
        place = place or self._command
        try:
            self._questions[name] = Question(words, env=place.env, cwd=place.cwd)
        except (OSError, ValueError) as error:
            self._faults.append(f"{words[0]} could not be asked: {error}")

    def _collect(self) -> Environment:
        if "python" in self._questions:
            self._python = self._listen(self._questions["python"])
        found = self._python or Python(None, {}, ())
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

    def _listen(self, question: Question) -> Python | None:
        target = self._target
        assert target is not None
        try:
            output = question.answer(_PROBE_SECONDS)
            return probe.learn(
                self._cache,
                target.key,
                asked=target.words[0],
                output=output,
                started=self._started,
            )
        except Unknown as unknown:
            self._faults.append(str(unknown))
            return None

    def _collect_cpu(self) -> str:
        if "cpu" in self._questions:
            try:
                self._cpu = self._questions["cpu"].answer(_GPU_SECONDS).decode().strip()
                probe.store(self._cache, _host(), {"cpu": self._cpu})
            except (Unknown, UnicodeDecodeError):
                pass
        return self._cpu or ""

    def _collect_gpus(self) -> tuple[str, ...]:
        if "gpus" not in self._questions:
            return ()
        try:
            # 6 is its "no devices were found", 9 its "driver is not loaded".
            answer = self._questions["gpus"].answer(_GPU_SECONDS, none=(6, 9))
        except Unknown as unknown:
            self._faults.append(str(unknown))
            return ()
        lines = answer.decode("utf-8", "replace").splitlines()
        return tuple(line.strip() for line in lines if line.strip())


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
        stored = probe.load(cache, _host())
        return stored["cpu"] if isinstance(stored, dict) and "cpu" in stored else None
    for line in beginning("/proc/cpuinfo", 4096).split(b"\n"):
        field, _, value = line.partition(b":")
        if field.strip() in (b"model name", b"cpu model", b"cpu"):
            return value.strip().decode("utf-8", "replace")
    return ""


def _host() -> str:
    name = os.uname()
    return json.dumps(["cpu", name.nodename, name.release, name.machine])


def _variables(env: Mapping[str, str]) -> dict[str, str]:
    return {name: probe.clean(env[name]) for name in VARIABLES if name in env}
