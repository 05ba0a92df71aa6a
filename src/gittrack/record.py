"""The record of a run: what stands in which file of `.gittrack/`, and back.

Knows the files and their fields. Knows nothing of Git, nor of where the files come from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, get_args

from gittrack import formats, message, series
from gittrack.errors import BadFile, BadName, BadPath
from gittrack.git import is_id
from gittrack.keys import flatten, nest
from gittrack.quoting import one_line
from gittrack.records import Artifact, Code, Data, Environment, Input, Row, Run, Skipped
from gittrack.summaries import Number, Status

__all__ = [
    "ARTIFACTS",
    "LOG_LIMIT",
    "Mask",
    "decode",
    "encode",
    "log_excerpt",
    "read_log",
    "write_masked",
]

ARTIFACTS = "artifacts/"
"""Where the pointers to artifacts stand, below `.gittrack/`."""

LOG_LIMIT = 1 << 20
"""How much of the output a record holds, in bytes."""

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_MD5 = re.compile(r"[0-9a-f]{32}(?:\.dir)?")
_POINTER = ".dvc"
_HALF = LOG_LIMIT // 2 - 64
_MARGIN = 64 << 10


def encode(
    run: Run,
    *,
    rows: Sequence[Row] = (),
    system: Sequence[Row] = (),
    log: bytes = b"",
    cells: str = "",
) -> dict[str, bytes]:
    """The record's files, by their paths in `.gittrack/`.

    `system` are samples of system metrics, `cells` those of a notebook.
    """
    files = {"run.yaml": formats.dump(_run_fields(run))}
    if run.params:
        files["params.yaml"] = formats.dump(nest(run.params))
    if run.metrics:
        files["metrics.yaml"] = formats.dump(run.metrics)
    table = series.Table.of(rows)
    if series.worth_keeping(table) or len(table.metrics()) > len(run.metrics):
        files["metrics.tsv"] = series.dump(table)
    if system:
        files["system.tsv"] = series.dump(system)
    if run.environment is not None:
        files["environment.yaml"] = formats.dump(_environment_fields(run.environment))
    if run.data:
        files["data.yaml"] = formats.dump({item.path: _data_fields(item) for item in run.data})
    for kept in run.artifacts:
        files[f"{ARTIFACTS}{kept.path}{_POINTER}"] = formats.dump({"outs": [_out_fields(kept)]})
    if log:
        files["output.log"] = log_excerpt(log)
    if cells:
        files["cells.py"] = cells.encode("utf-8", "backslashreplace")
    listed = _dvc_fields(files, table, run)
    if listed:
        files["dvc.yaml"] = formats.dump(listed)
    return files


def log_excerpt(log: bytes) -> bytes:
    """The output as the record keeps it: whole, or its first and last half MiB with a line between.

    Cut at line breaks where there are some near.
    """
    if len(log) <= LOG_LIMIT:
        return log
    end = _head_end(log[:_HALF])
    start = len(log) - _HALF + _tail_start(log[-_HALF:])
    return log[:end] + _left_out(start - end) + log[start:]


class Mask(Protocol):
    """Gives `data[start:end]` without secrets, and their count; sees what stands around, too."""

    def __call__(self, data: bytes, start: int, end: int) -> tuple[bytes, int]: ...


def read_log(path: Path, *, mask: Mask) -> tuple[bytes, int, int]:
    """The masked excerpt of an output in a file, the size of the whole, how much was masked.

    Empty if there is none. Reads little more than the record keeps, however long the file is: so
    much that a secret across a cut is seen whole.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= LOG_LIMIT:
                data = file.read(size)
                text, hidden = mask(data, 0, len(data))
                return text, size, hidden
            head = file.read(_HALF + _MARGIN)
            file.seek(size - _HALF - _MARGIN)
            tail = file.read(_HALF + _MARGIN)
    except OSError:
        return b"", 0, 0
    end = _head_end(head[:_HALF])
    start = _MARGIN + _tail_start(tail[_MARGIN:])
    left_out = size - end - (len(tail) - start)
    first, before = mask(head, 0, end)
    last, after = mask(tail, start, len(tail))
    return first + _left_out(left_out) + last, size, before + after


def write_masked(source: Path, target: Path, *, mask: Mask) -> None:
    """Copy an output to `target` without its secrets, a piece at a time.

    A piece is masked with what stands around it in sight, so that nothing is cut in two.

    Raises:
        OSError: one cannot be read, or the other written.
    """
    with open(source, "rb") as file, open(target, "wb") as out:
        size = os.fstat(file.fileno()).st_size
        done = 0
        while done < size:
            start = max(0, done - _MARGIN)
            file.seek(start)
            window = file.read(done - start + LOG_LIMIT + _MARGIN)
            end = min(done + LOG_LIMIT, size)
            if end < size:
                # At a line's end, where there is one near: what is masked may be a line long.
                end = done + (_last_line_end(window[done - start : end - start]) or end - done)
            out.write(mask(window, done - start, end - start)[0])
            done = end


def _last_line_end(data: bytes) -> int:
    return data.rfind(b"\n", max(0, len(data) - _MARGIN)) + 1


def _head_end(head: bytes) -> int:
    return head.rfind(b"\n") + 1 or len(head)


def _tail_start(tail: bytes) -> int:
    start = tail.find(b"\n") + 1
    return start if start < len(tail) else 0


def _left_out(count: int) -> bytes:
    return b"[... %d bytes left out ...]\n" % count


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if v is not None and v not in ("", (), {}, [])}


def _run_fields(run: Run) -> dict[str, Any]:
    return {"format": message.FORMAT} | _present(
        {
            "id": run.id,
            "name": run.name,
            "title": run.title,
            "experiment": run.experiment,
            "experiment_title": run.experiment_title,
            "status": run.status,
            "exit_code": run.exit_code,
            "started": message.time_text(run.started),
            "ended": None if run.ended is None else message.time_text(run.ended),
            "message": run.message,
            "command": run.command,
            "directory": run.directory,
            "user": run.user,
            "host": run.host,
            "code": _code_fields(run.code),
            "inputs": [
                _present({"run": i.run, "id": i.id, "commit": i.commit, "path": i.path})
                for i in run.inputs
            ],
            "parent": run.parent,
            "parent_name": run.parent_name,
            "continues": run.continues,
            "fingerprint": run.fingerprint,
            "tags": dict(run.tags),
            "faults": run.faults,
            "output": {"bytes": run.output_bytes} if run.output_bytes else None,
            "source": run.source,
        }
    )


def _code_fields(code: Code) -> dict[str, Any]:
    untracked = _present({"included": code.included, "skipped": _reasons(code.skipped)})
    return {"dirty": code.dirty} | _present(
        {
            "base": code.base,
            "branch": code.branch,
            "notebook": code.notebook,
            "untracked": untracked,
            "hidden": _reasons(code.hidden),
        }
    )


def _reasons(skipped: Iterable[Skipped]) -> dict[str, str]:
    return {item.path: item.reason for item in skipped}


def _environment_fields(environment: Environment) -> dict[str, Any]:
    return _present(
        {
            "python": environment.python,
            "platform": environment.platform,
            "cpu": environment.cpu,
            "cores": environment.cores or None,
            "memory": environment.memory or None,
            "gpus": environment.gpus,
            "packages": dict(environment.packages),
            "lock_files": dict(environment.lock_files),
            "variables": dict(environment.variables),
        }
    )


def _data_fields(item: Data) -> dict[str, Any]:
    return {"md5": item.md5, "size": item.size} | _present(
        {
            "nfiles": item.nfiles,
            "dvc": item.pointer,
            "modified": item.modified or None,
            "changed": item.changed or None,
        }
    )


def _out_fields(kept: Artifact) -> dict[str, Any]:
    """An output as `dvc add` writes it into a `.dvc` file (dvc.org/doc, .dvc files)."""
    fields = {"md5": kept.md5, "size": kept.size, "hash": "md5", "path": _basename(kept.path)}
    return fields | _present({"nfiles": kept.nfiles})


def _basename(path: str) -> str:
    return path.rpartition("/")[2]


def _dvc_fields(files: Mapping[str, bytes], table: series.Table, run: Run) -> dict[str, Any]:
    """What stock DVC needs to find params, metrics, curves and artifacts (dvc.org/doc, dvc.yaml).

    DVC names artifacts with lower-case letters, digits, `-` and `/` only.
    """
    plots = []
    if "metrics.tsv" in files:
        timed = table.unstepped()
        for metric in sorted(table.metrics().keys() & run.metrics.keys()):
            x = "time" if metric in timed else "step"
            plots.append({metric: {"x": x, "y": {"metrics.tsv": series.column(metric)}}})
    return _present(
        {
            "params": [name for name in ("params.yaml",) if name in files],
            "metrics": [name for name in ("metrics.yaml",) if name in files],
            "plots": plots,
            "artifacts": _artifact_names(run.artifacts),
        }
    )


def _artifact_names(artifacts: Sequence[Artifact]) -> dict[str, Any]:
    """Name -> path; where two names would be one, neither is given."""
    named: dict[str, list[str]] = {}
    for kept in artifacts:
        name = re.sub(r"[^a-z0-9/]+", "-", kept.path.lower()).strip("-/")
        if re.match(r"[a-z]", name):
            named.setdefault(name, []).append(kept.path)
    return {n: {"path": f"{ARTIFACTS}{paths[0]}"} for n, paths in named.items() if len(paths) == 1}


def decode(
    files: Mapping[str, bytes], *, experiment: str, name: str, commit: str | None = None
) -> Run:
    """Read a record's files back, as far as they make up a `Run`; files not known are ignored.

    Raises:
        BadFile: one is missing, malformed, or of a newer format; `path` is its name.
    """
    fields = _mapping(files, "run.yaml")
    if not fields:
        raise BadFile("run.yaml: it is missing or empty", path="run.yaml")
    if fields.get("format") != message.FORMAT:
        raise BadFile(
            f"run.yaml: its format is {str(fields.get('format'))[:20]!r}, "
            f"this gittrack reads {message.FORMAT}",
            path="run.yaml",
            hint="upgrade gittrack.",
        )
    part = "params.yaml"
    try:
        params = flatten(_mapping(files, part))
        part = "metrics.yaml"
        metrics = {key: _number(value) for key, value in _mapping(files, part).items()}
        part = "environment.yaml"
        where = _mapping(files, part)
        environment = _environment(_Fields(where)) if part in files else None
        part = "data.yaml"
        data = tuple(_data(path, found) for path, found in _mapping(files, part).items())
        kept = []
        for part in sorted(name for name in files if name.startswith(ARTIFACTS)):
            kept.append(_artifact(part, _mapping(files, part)))
        part = "run.yaml"
        return _run(
            _Fields(fields),
            params=params,
            metrics=metrics,
            environment=environment,
            data=data,
            artifacts=tuple(kept),
            experiment=experiment,
            name=name,
            commit=commit,
        )
    except (BadName, BadPath, TypeError, ValueError, KeyError) as error:
        reason = str(error.args[0] if error.args else error)[:200]
        raise BadFile(f"{one_line(part)}: {reason}", path=part) from error


def _mapping(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    value = formats.load_untrusted(files.get(name, b""), name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadFile(f"{name}: it is no mapping", path=name)
    return value


class _Fields:
    """A mapping read with expected types; a missing key gives the default, a wrong one raises."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, key: str, default: str = "") -> str:
        found = self.maybe(key, str)
        return default if found is None else str(found)

    def maybe(self, key: str, kind: type) -> Any:
        found = self._values.get(key)
        wrong = not isinstance(found, kind) or (kind is int and isinstance(found, bool))
        if found is not None and wrong:
            raise TypeError(f"{key} is no {kind.__name__}: {str(found)[:60]!r}")
        return found

    def object_id(self, key: str) -> str | None:
        """An id of Git's: it will be handed to Git, so nothing else may pass for one."""
        found = self.maybe(key, str)
        if found is not None and not is_id(found):
            raise ValueError(f"{key} is no object id: {found[:60]!r}")
        return None if found is None else str(found)

    def run_id(self, key: str) -> str | None:
        """A run's id: 32 hexadecimal digits."""
        found = self.maybe(key, str)
        if found is not None and not _RUN_ID.fullmatch(found):
            raise ValueError(f"{key} is no run id: {found[:60]!r}")
        return None if found is None else str(found)

    def md5(self, key: str) -> str:
        """A hash of DVC's: it will become a path in a cache, so nothing else may pass for one."""
        found = self.need(key)
        if not _MD5.fullmatch(found):
            raise ValueError(f"{key} is no md5: {found[:60]!r}")
        return found

    def count(self, key: str) -> int:
        """A number of bytes or files."""
        found = self.maybe(key, int)
        if found is None or found < 0:
            raise ValueError(f"{key} is no size: {str(found)[:60]!r}")
        return int(found)

    def need(self, key: str) -> str:
        found = self.maybe(key, str)
        if found is None:
            raise KeyError(f"{key} is missing")
        return str(found)

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.maybe(key, list) or []
        if not all(isinstance(item, str) for item in found):
            raise TypeError(f"{key} is no list of strings")
        return tuple(found)

    def inner(self, key: str) -> _Fields:
        return _Fields(self.maybe(key, dict) or {})

    def inners(self, key: str) -> list[_Fields]:
        found = self.maybe(key, list) or []
        if not all(isinstance(item, dict) for item in found):
            raise TypeError(f"{key} is no list of mappings")
        return [_Fields(item) for item in found]

    def strings(self, key: str) -> dict[str, str]:
        found = self.maybe(key, dict) or {}
        if not all(isinstance(value, str) for value in found.values()):
            raise TypeError(f"{key} has a value that is no string")
        return found


def _run(
    fields: _Fields,
    *,
    params: Mapping[str, Any],
    metrics: Mapping[str, Number],
    environment: Environment | None,
    data: tuple[Data, ...],
    artifacts: tuple[Artifact, ...],
    experiment: str,
    name: str,
    commit: str | None,
) -> Run:
    status = fields.need("status")
    if status not in get_args(Status):
        raise ValueError(f"status is {status[:40]!r}")
    ended = fields.maybe("ended", str)
    return Run(
        id=fields.run_id("id") or fields.need("id"),
        name=name,
        experiment=experiment,
        status=status,  # type: ignore[arg-type]
        started=message.parse_time(fields.need("started")),
        ended=None if ended is None else message.parse_time(ended),
        exit_code=fields.maybe("exit_code", int),
        title=fields.maybe("title", str),
        experiment_title=fields.maybe("experiment_title", str),
        message=fields.maybe("message", str),
        command=fields.texts("command"),
        directory=fields.text("directory"),
        user=fields.text("user"),
        host=fields.text("host"),
        code=_code(fields.inner("code")),
        params=params,
        metrics=metrics,
        environment=environment,
        data=data,
        artifacts=artifacts,
        inputs=tuple(
            Input(
                i.need("run"),
                i.run_id("id") or i.need("id"),
                i.object_id("commit") or i.need("commit"),
                i.maybe("path", str),
            )
            for i in fields.inners("inputs")
        ),
        parent=fields.run_id("parent"),
        parent_name=fields.maybe("parent_name", str),
        continues=fields.run_id("continues"),
        fingerprint=fields.run_id("fingerprint"),
        tags=fields.strings("tags"),
        faults=fields.texts("faults"),
        source=fields.text("source", "cli"),
        output_bytes=fields.inner("output").maybe("bytes", int) or 0,
        commit=commit,
    )


def _code(fields: _Fields) -> Code:
    untracked = fields.inner("untracked")
    return Code(
        base=fields.object_id("base"),
        branch=fields.maybe("branch", str),
        notebook=fields.maybe("notebook", str),
        dirty=bool(fields.maybe("dirty", bool)),
        included=untracked.texts("included"),
        skipped=tuple(Skipped(k, v) for k, v in untracked.strings("skipped").items()),
        hidden=tuple(Skipped(k, v) for k, v in fields.strings("hidden").items()),
    )


def _environment(fields: _Fields) -> Environment:
    return Environment(
        python=fields.maybe("python", str),
        platform=fields.text("platform"),
        cpu=fields.text("cpu"),
        cores=fields.maybe("cores", int) or 0,
        memory=fields.maybe("memory", int) or 0,
        gpus=fields.texts("gpus"),
        packages=fields.strings("packages"),
        lock_files=fields.strings("lock_files"),
        variables=fields.strings("variables"),
    )


def _data(path: str, found: object) -> Data:
    if not path or not isinstance(found, dict):
        raise TypeError(f"{path[:60]!r} is no mapping")
    fields = _Fields(found)
    return Data(
        path,
        fields.md5("md5"),
        fields.count("size"),
        None if fields.maybe("nfiles", int) is None else fields.count("nfiles"),
        pointer=fields.maybe("dvc", str),
        modified=bool(fields.maybe("modified", bool)),
        changed=bool(fields.maybe("changed", bool)),
    )


def _artifact(file: str, found: dict[str, Any]) -> Artifact:
    """What a pointer says; its `path` must be its own name, or DVC would write somewhere else."""
    from gittrack import manifest

    path = manifest.check_artifact(file.removeprefix(ARTIFACTS).removesuffix(_POINTER))
    outs = _Fields(found).inners("outs")
    if len(outs) != 1:
        raise ValueError(f"it has {len(outs)} outputs, not one")
    if (named := outs[0].need("path")) != _basename(path):
        raise ValueError(f"its path is {named[:60]!r}, not its own name")
    nfiles = None if outs[0].maybe("nfiles", int) is None else outs[0].count("nfiles")
    return Artifact(path, outs[0].md5("md5"), outs[0].count("size"), nfiles)


def _number(value: object) -> Number:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{str(value)[:60]!r} is no number")
    return value
