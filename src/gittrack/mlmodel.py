"""An artifact directory with MLflow's `MLmodel` file: flavours, signature, what it needs.

Reads that file and those of its requirements out of the cache, with bounds, because anybody may
have written them; nothing of the model itself is loaded. The format is that of
`mlflow.models.Model` (MLflow 1 to 3). Knows nothing of the registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import commits, data, formats, setup
from gittrack.cache import Cache, open_cache
from gittrack.errors import BadFile, GittrackError
from gittrack.git import Repo
from gittrack.manifest import Member
from gittrack.meter import SILENT, Meter
from gittrack.quoting import one_line
from gittrack.records import Artifact, Run
from gittrack.refs import RunRef

__all__ = ["Package", "fault", "flavors", "read"]

_FILE = "MLmodel"
_LARGEST = 1 << 20
_MOST = 1000
_LONGEST = 300
_REQUIREMENTS = ("requirements.txt", "conda.yaml", "python_env.yaml")
_DEEPEST = 8


class Package(NamedTuple):
    """What a model in MLflow's form says of itself; every text is one line, and short.

    `flavors` are the libraries that can load it, each with its version, None if that is not said.
    `inputs`, `outputs` and `params` are the signature, one text each (`alcohol: double`,
    `threshold: double = 0.5`), None without a signature. `requirements` are lines as in
    requirements.txt. `size` is that of the directory in bytes, None if only a part of an artifact
    was looked at.
    """

    flavors: Mapping[str, str | None]
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...] | None
    params: tuple[str, ...] | None
    requirements: tuple[str, ...]
    python: str | None
    model_uuid: str | None
    mlflow_version: str | None
    size: int | None


def read(
    repo: Repo,
    ref: RunRef,
    artifact: str,
    *,
    fetch: bool = False,
    remote: str | None = None,
    meter: Meter = SILENT,
) -> Package | None:
    """What the artifact of a run, or a directory in one, says of itself; None if it is no package.

    A package is a directory with a file `MLmodel` in it. With `fetch`, what is not in the cache
    comes from the data remote, `remote` or the default one: the listing and these few small files,
    not the model.

    Raises:
        DataMissing: it is not in the cache, nor anywhere else that is asked.
        BadFile: its `MLmodel` or its requirements cannot be read, or are too large.
        DataFailed, DataDamaged, BrokenRecord: as `retrieve.load` does.
    """
    run = commits.load(repo, ref)
    artifact = artifact.rstrip("/")
    kept = _holding(run, artifact)
    if kept is None:
        return None
    shelf = _Shelf(repo, fetch, remote, meter)
    files = shelf.files(kept, artifact)
    if _FILE not in files:
        return None
    told = _mapping(shelf.text(files[_FILE]), f"{artifact}/{_FILE}")
    needs = {name: shelf.text(files[name]) for name in _REQUIREMENTS if name in files}
    return _package(told, needs, artifact, kept.size if kept.path == artifact else None)


def flavors(repo: Repo, run: Run, artifact: str) -> tuple[str, ...]:
    """The names of the libraries that can load an artifact of a run, sorted.

    None of them where it is no package of MLflow's, or where it is not at hand or cannot be read:
    this is for what is said in passing, and never fails because of what was kept.
    """
    return _seen(repo, run, artifact)[0]


def fault(repo: Repo, run: Run, artifact: str) -> str | None:
    """Why `flavors` gives none where there is a file `MLmodel`, in a sentence; None if it can."""
    return _seen(repo, run, artifact)[1]


def _seen(repo: Repo, run: Run, artifact: str) -> tuple[tuple[str, ...], str | None]:
    kept = _holding(run, artifact)
    if kept is None:
        return (), None
    shelf = _Shelf(repo, False, None, SILENT)
    is_package = False
    try:
        files = shelf.files(kept, artifact)
        if _FILE not in files:
            return (), None
        is_package = True
        told = _mapping(shelf.text(files[_FILE]), f"{artifact}/{_FILE}")
        return tuple(sorted(_flavors(told))), None
    except GittrackError as error:
        return (), error.message if is_package else None


def _holding(run: Run, artifact: str) -> Artifact | None:
    """The directory of a run that is `artifact`, or in which that lies."""
    for kept in run.artifacts:
        if kept.nfiles is not None and (artifact + "/").startswith(kept.path + "/"):
            return kept
    return None


class _Shelf:
    """Small objects out of the cache, fetched first where that is wanted."""

    def __init__(self, repo: Repo, fetch: bool, remote: str | None, meter: Meter) -> None:
        self._repo = repo
        self._fetch = fetch
        self._remote = remote
        self._meter = meter
        self._setup = setup.read(repo)
        self._cache: Cache = open_cache(repo, self._setup)

    def files(self, kept: Artifact, artifact: str) -> dict[str, str]:
        """The files right in a directory by name -> md5; those of its directories are left out."""
        self._have(kept.md5, {})
        inner = (artifact + "/").removeprefix(kept.path + "/")
        members: Sequence[Member] = self._cache.members(kept.md5)
        below = ((one.path.removeprefix(inner), one) for one in members)
        return {
            name: one.md5 for name, one in below if one.path == inner + name and "/" not in name
        }

    def text(self, md5: str) -> bytes:
        """The bytes of a small file.

        Raises:
            BadFile: it is larger than 1 MiB.
        """
        self._have(md5, {md5: _LARGEST})
        return self._cache.read(md5, limit=_LARGEST)

    def _have(self, md5: str, most: Mapping[str, int]) -> None:
        if self._fetch:
            own = not md5.endswith(".dir")
            data.fetch(
                self._repo,
                self._setup,
                [md5],
                remote=self._remote,
                files=own,
                most=most,
                meter=self._meter,
            )


def _mapping(text: bytes, where: str) -> Mapping[str, Any]:
    told = formats.load_untrusted(text, where)
    if not isinstance(told, Mapping):
        raise BadFile(f"{where}: not a mapping", path=where)
    return told


def _package(
    told: Mapping[str, Any], needs: Mapping[str, bytes], artifact: str, size: int | None
) -> Package:
    signature = told.get("signature")
    parts: Mapping[str, Any] = signature if isinstance(signature, Mapping) else {}
    where = f"{artifact}/{_FILE}"
    found = _flavors(told)
    environment = _yaml(needs, "python_env.yaml", artifact)
    python = _text(environment.get("python")) or found.get("python_function")
    return Package(
        found,
        _signed(parts.get("inputs"), where),
        _signed(parts.get("outputs"), where),
        _signed(parts.get("params"), where),
        _requirements(needs, environment, artifact),
        python,
        _text(told.get("model_uuid")),
        _text(told.get("mlflow_version")),
        size,
    )


def _text(value: object) -> str | None:
    """A value as one short line; None for what is no plain value."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return None
    line = one_line(str(value).strip())
    return line[:_LONGEST] or None


# -- flavours -------------------------------------------------------------------------------------


def _flavors(told: Mapping[str, Any]) -> dict[str, str | None]:
    found = told.get("flavors")
    if not isinstance(found, Mapping):
        return {}
    named = [(_text(name), settings) for name, settings in list(found.items())[:_MOST]]
    return {name: _version(name, settings) for name, settings in named if name}


def _version(name: str, settings: object) -> str | None:
    """The version of a flavour: its settings call it `sklearn_version`, `xgb_version`, ..."""
    if not isinstance(settings, Mapping):
        return None
    key = "python_version" if name == "python_function" else f"{name}_version"
    if key not in settings:
        others = [other for other in settings if str(other).endswith("_version")]
        if len(others) != 1 or name == "python_function":
            return None
        key = others[0]
    return _text(settings[key])


# -- the signature --------------------------------------------------------------------------------


def _signed(stored: object, where: str) -> tuple[str, ...] | None:
    """A part of the signature, which is JSON in a text, as lines; None if there is none."""
    if not isinstance(stored, str):
        return None
    import json

    try:
        columns = json.loads(stored)
        if not isinstance(columns, list):
            raise BadFile(f"{where}: its signature is no list", path=where)
        lines = [_column(one) for one in columns[:_MOST] if isinstance(one, Mapping)]
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{where}: its signature is no JSON", path=where) from error
    left = len(columns) - _MOST
    return (*lines, f"... and {left:,} more") if left > 0 else tuple(lines)


def _column(column: Mapping[str, Any]) -> str:
    """A column, tensor or param as a line: `x: double`, `x: long, optional`, `p: double = 0.5`."""
    text = _kind(column, 0)
    name = column.get("name")
    if isinstance(name, (str, int)):
        text = f"{name}: {text}"
    if column.get("required") is False or column.get("optional") is True:
        text += ", optional"
    if "default" in column:
        text += f" = {_default(column['default'])}"
    line = one_line(text)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _kind(column: Mapping[str, Any], depth: int) -> str:
    """The type: of arrays, objects and maps what is in them, too."""
    kind = str(column.get("type", "any"))[:_LONGEST]
    if depth > _DEEPEST:
        return kind
    tensor = column.get("tensor-spec")
    if isinstance(tensor, Mapping):
        return f"tensor of {tensor.get('dtype', 'any')} {_shape(tensor.get('shape'))}".rstrip()
    inner = column.get("items", column.get("values"))
    if isinstance(inner, Mapping):
        return f"{kind} of {_kind(inner, depth + 1)}"
    members = column.get("properties")
    if isinstance(members, Mapping):
        said = [
            f"{name}: {_kind(one, depth + 1)}"
            for name, one in list(members.items())[:_MOST]
            if isinstance(one, Mapping)
        ]
        return f"{kind} ({', '.join(said)})"
    shape = column.get("shape")
    return f"{kind} {_shape(shape)}" if isinstance(shape, list) else kind


def _shape(shape: object) -> str:
    if not isinstance(shape, list):
        return ""
    return f"({', '.join(str(one)[:20] for one in shape[:16])})"


def _default(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)[:_LONGEST]


# -- what it needs --------------------------------------------------------------------------------


def _requirements(
    needs: Mapping[str, bytes], environment: Mapping[str, Any], artifact: str
) -> tuple[str, ...]:
    """What requirements.txt says; else conda.yaml; else python_env.yaml."""
    if "requirements.txt" in needs:
        return _lines(needs["requirements.txt"].decode("utf-8", "replace").splitlines())
    told = _yaml(needs, "conda.yaml", artifact).get("dependencies")
    if isinstance(told, list):
        pip = [one.get("pip") for one in told if isinstance(one, Mapping)]
        return _lines([*(one for one in told if isinstance(one, str)), *_flat(pip)])
    stated = environment.get("dependencies")
    return _lines(_flat([stated]))


def _flat(lists: Iterable[object]) -> list[str]:
    return [one for many in lists if isinstance(many, list) for one in many if isinstance(one, str)]


def _lines(found: Iterable[str]) -> tuple[str, ...]:
    lines = (_text(line) for line in found)
    kept = [line for line in lines if line and not line.startswith("#")]
    left = len(kept) - _MOST
    return (*kept[:_MOST], f"... and {left:,} more") if left > 0 else tuple(kept)


def _yaml(needs: Mapping[str, bytes], name: str, artifact: str) -> Mapping[str, Any]:
    if name not in needs:
        return {}
    told = formats.load_untrusted(needs[name], f"{artifact}/{name}")
    return told if isinstance(told, Mapping) else {}
