"""What a script says of its run, as mappings: `config` holds its params, `summary` last values.

Both are read and changed by item and by attribute. Knows how they nest, which objects hold
settings, and what MLflow's scripts ask of a run. Whoever makes one says where values stand and whom
to tell of new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from gittrack.errors import BadValue, GittrackError
from gittrack.foreign import shown
from gittrack.summaries import Number, Value

__all__ = ["Config", "RunData", "RunInfo", "Summary", "merge", "settings"]

_DEEPEST = 20


def settings(given: Any) -> dict[str, Any]:
    """The settings that an object holds: a mapping, an `argparse.Namespace`, a dataclass, a model.

    Raises:
        BadValue: it holds none.
    """
    if isinstance(given, Mapping):
        return dict(given)
    if is_dataclass(given) and not isinstance(given, type):
        return asdict(given)
    if callable(getattr(given, "model_dump", None)):
        return dict(given.model_dump())
    if hasattr(given, "__dict__") and not isinstance(given, type) and not callable(given):
        return {key: value for key, value in vars(given).items() if not key.startswith("_")}
    raise BadValue(
        f"a config is a mapping, a dataclass or a namespace, not a {type(given).__name__}"
    )


class _View(MutableMapping[str, Any]):
    """A mapping whose items are attributes too, where no method is called so."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except (KeyError, GittrackError) as error:
            # The error of a run that is missing tells what to do, as the attribute that is.
            said = error.message if isinstance(error, GittrackError) else f"there is no '{name}'"
            raise AttributeError(said) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delitem__(self, key: str) -> None:
        raise TypeError("what was recorded of a run stays: give it another value")


class Config(_View):
    """The params of a run. Nested mappings are views of their own: `config.opt.lr = 0.1`."""

    __slots__ = ("_path", "_tell", "_tree")
    _tree: Callable[[], dict[str, Any]]
    _tell: Callable[[dict[str, Any], bool], None]
    _path: tuple[str, ...]

    def __init__(
        self,
        tree: Callable[[], dict[str, Any]],
        tell: Callable[[dict[str, Any], bool], None],
        path: tuple[str, ...] = (),
    ) -> None:
        """See `tree()`, where the nested values stand; `tell(values, whether they may change)`."""
        object.__setattr__(self, "_tree", tree)
        object.__setattr__(self, "_tell", tell)
        object.__setattr__(self, "_path", path)

    def __getitem__(self, key: str) -> Any:
        value = self._here()[key]
        if isinstance(value, dict):
            return Config(self._tree, self._tell, (*self._path, key))
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __iter__(self) -> Iterator[str]:
        return iter(self._here())

    def __len__(self) -> int:
        return len(self._here())

    def __repr__(self) -> str:
        return repr(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """A copy as plain nested dicts."""
        copy: dict[str, Any] = _copied(self._here())
        return copy

    def setdefaults(self, given: Any = None) -> None:
        """Record the settings that are not there yet."""
        found = {} if given is None else settings(given)
        self.update({key: value for key, value in found.items() if key not in self})

    def update(
        self, given: Any = None, allow_val_change: bool | None = None, /, **more: Any
    ) -> None:
        """Record settings, at once: a mapping, a dataclass, an `argparse.Namespace`, keywords.

        Another value for a param is its value from now on, and a fault of the run unless
        `allow_val_change`.

        Raises:
            BadValue: `given` is none of these.
        """
        allow = more.pop("allow_val_change", allow_val_change)
        values = {**({} if given is None else settings(given)), **more}
        values = {_spelled(key): _copied(value) for key, value in values.items()}
        if not values:
            return
        merge(self._here(), values)
        whole: dict[str, Any] = values
        for part in reversed(self._path):
            whole = {part: whole}
        self._tell(whole, bool(allow))

    def _here(self) -> dict[str, Any]:
        node: dict[str, Any] = self._tree()
        for part in self._path:
            node = node[part]
        return node


def _copied(value: Any, depth: int = 0) -> Any:
    if isinstance(value, Config):
        return value.as_dict()
    if isinstance(value, Mapping):
        if depth > _DEEPEST:  # it may hold itself
            return shown(value)
        return {_spelled(key): _copied(item, depth + 1) for key, item in value.items()}
    return value


def _spelled(key: object) -> str:
    """A key as text, whatever its own `str` does: no setting may end a training."""
    try:
        return str(key)
    except Exception:
        return shown(key)


def merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Lay nested values over others, key by key."""
    for key, value in values.items():
        inner = into.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            merge(inner, value)
        else:
            into[key] = _copied(value)


class Summary(_View):
    """The last value of each metric of a run; one that is set here is recorded in its place."""

    __slots__ = ("_tell", "_values")
    _values: Callable[[], Mapping[str, Any]]
    _tell: Callable[[dict[str, Any]], None]

    def __init__(
        self,
        values: Callable[[], Mapping[str, Any]],
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        """See `values()`; `tell(values)` is called with those that are set."""
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_tell", tell)

    def __getitem__(self, key: str) -> Any:
        return self._values()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._tell({key: value})

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __repr__(self) -> str:
        return repr(dict(self._values()))

    def update(self, given: Any = None, /, **more: Any) -> None:
        """Set several values at once."""
        self._tell({**({} if given is None else settings(given)), **more})


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as MLflow's `run.info` names it; times in milliseconds since the epoch."""

    run_id: str
    run_name: str
    experiment_id: str
    status: str
    start_time: int | None
    end_time: int | None
    user_id: str
    lifecycle_stage: str = "active"


@dataclass(frozen=True, slots=True)
class RunData:
    """What was logged so far, as MLflow's `run.data` has it; params keep their types."""

    params: Mapping[str, Value]
    metrics: Mapping[str, Number]
    tags: Mapping[str, str]
