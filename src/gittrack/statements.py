"""What a script says of a run while it goes on, turned into events: params, metrics, tags, steps.

Knows what may be said, and what is a fault of the run instead. Files it hands on. Knows nothing of
how a run begins and ends, nor of how a file is kept.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import count
from typing import Any, TypeAlias

from gittrack import keys
from gittrack.active import Active, remark
from gittrack.errors import BadName, BadValue, GittrackError, UsageError
from gittrack.foreign import converted, number, plain, shown, whole_number
from gittrack.quoting import utf8
from gittrack.summaries import Number, Value
from gittrack.views import Config, Summary, merge

__all__ = ["Statements"]

_Path: TypeAlias = str | os.PathLike[str]

_PLAIN = frozenset([int, float])


class Statements(ABC):
    """What is said of one run; in its journal when a call returns. Threads may share it.

    A value of a wrong kind never raises, unless the run is strict: it is a fault of the run.
    """

    def __init__(self, to: Active) -> None:
        self._to = to
        self._params: dict[str, Value] = {}
        self._tags: dict[str, str] = {}
        self._summary: dict[str, Any] = {}
        self._changed: set[str] = set()
        self._settings: dict[str, Any] | None = None
        self._next = int(to.begin.get("last_step", -1)) + 1
        self._steps = count(self._next)

    @property
    def params(self) -> dict[str, Value]:
        """The params it began with, and those that this process logged; flat."""
        return {**self._to.begin.get("params", {}), **self._params}

    @property
    def metrics(self) -> dict[str, Number]:
        """The last value of each metric that this process logged."""
        return {**self._to.latest, **{k: v for k, v in self._summary.items() if _is_number(v)}}

    @property
    def tags(self) -> dict[str, str]:
        """The tags it began with, and those that this process set."""
        return {**self._to.begin.get("tags", {}), **self._tags}

    @property
    def config(self) -> Config:
        """Its params, nested, to be read and set: `run.config.opt.lr = 0.1`."""
        return Config(self._tree, self._configure)

    @property
    def summary(self) -> Summary:
        """The last values of its metrics; what is set here is recorded instead of them."""
        return Summary(lambda: {**self._to.latest, **self._summary}, self._summarize)

    @property
    def step(self) -> int:
        """The step that the next `log` without one gets."""
        return self._next

    # -- params, metrics, tags ------------------------------------------------------------------

    def log_param(self, key: str, value: Any) -> Any:
        """Record one param; see `gittrack.log_param`."""
        self.log_params({key: value})
        return value

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record several params at once; see `gittrack.log_param`."""
        good = self._record(_mapping(params, "log_params"))
        if self._settings is not None:
            merge(self._settings, keys.nest(good))

    def _record(self, params: Mapping[Any, Any], *, may_change: bool = False) -> dict[str, Value]:
        """Record params -> those that could be, flat."""
        good: dict[str, Value] = {}
        for key, value in params.items():
            try:
                leaves = keys.flatten({_key(key): converted(plain, value)})
                good.update({keys.check_key(name): leaf for name, leaf in leaves.items()})
            except GittrackError as error:
                self._wrong(error, f"param {shown(key)} not recorded: {error.message}")
        if good:
            if not may_change:
                self._say_changes(good)
            self._to.append({"params": good})
            self._params.update(good)
        return good

    def _say_changes(self, good: Mapping[str, Value]) -> None:
        """A param that the script logs with another value than before: said once for each."""
        for key in good.keys() & self._params.keys() - self._changed:
            before, value = self._params[key], good[key]
            if before == value or repr(before) == repr(value):
                continue
            self._changed.add(key)
            sentence = f"param {shown(key)} was {shown(before)}, and then {shown(value)}"
            self._wrong(BadValue(sentence), f"{sentence}: the last value counts")

    def log_metric(
        self, key: str, value: Number, step: int | None = None, timestamp: int | None = None
    ) -> None:
        """Record one point of a metric, now; see `gittrack.log_metric`."""
        if timestamp is None:
            self._to.log_metric(key, value, step)
        else:
            self._log_timed({key: value}, step, timestamp)

    def log_metrics(
        self,
        metrics: Mapping[str, Number],
        step: int | None = None,
        timestamp: int | None = None,
    ) -> None:
        """Record a point of several metrics; see `gittrack.log_metric`."""
        if timestamp is None:
            self._to.log_metrics(_mapping(metrics, "log_metrics"), step)
        else:
            self._log_timed(_mapping(metrics, "log_metrics"), step, timestamp)

    def _log_timed(self, values: Mapping[str, Any], step: object, timestamp: object) -> None:
        """Points whose time the script says: rare, so that they may take the long way."""
        good: dict[str, Number] = {}
        for key, value in values.items():
            try:
                good[_key(key)] = converted(number, value)
            except GittrackError as error:
                self._wrong(error, f"metric {shown(key)} not recorded: {error.message}")
        event: dict[str, Any] = {"metrics": good}
        for name, given in (("step", step), ("timestamp", timestamp)):
            exact = None if given is None else converted(whole_number, given)
            if exact is not None and -(2**63) <= exact < 2**63:
                event.update({"step": exact} if name == "step" else {"t": exact / 1000})
            elif given is not None:
                told = f"{name} {shown(given)} of metric {', '.join(map(shown, good))}"
                self._wrong(BadValue(f"{told} is no whole number"), f"{told} is not recorded")
        if good:
            self._to.append(event)
            self._to.latest.update(good)

    def set_tag(self, key: str, value: Any) -> None:
        """Set a tag; see `gittrack.set_tag`."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set several tags at once; see `gittrack.set_tag`."""
        good = {}
        for key, value in _mapping(tags, "set_tags").items():
            try:
                good[_key(key)] = utf8(converted(str, value))
            except GittrackError as error:
                self._wrong(error, f"tag {shown(key)} not set: {error.message}")
        if good:
            self._to.append({"tags": good})
            self._tags.update(good)

    def log(
        self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None
    ) -> None:
        """Record what belongs to one step: numbers, figures, images, tables; see `gittrack.log`."""
        at = self._at(step, commit)
        numbers = dict(_mapping(data, "log"))
        if not _PLAIN.issuperset(map(type, numbers.values())):
            numbers = self._sorted_out(numbers, at)
        if numbers:
            self._to.log_metrics(numbers, at)

    def _at(self, step: int | None, commit: bool | None) -> Any:
        """The step that is meant; without one they count up, unless more of this one is to come."""
        if step is None:
            if commit is False:
                return self._next
            at = next(self._steps)
            self._next = at + 1
            return at
        try:
            exact = converted(whole_number, step)
        except GittrackError:
            exact = None
        if exact is not None and exact >= self._next:
            self._next = exact + 1 if commit else exact
            self._steps = count(self._next)
        return step

    def _sorted_out(self, data: Mapping[str, Any], step: object) -> dict[str, Any]:
        """The numbers among what `log` was given; the rest is kept as what it is, or a fault."""
        numbers: dict[str, Any] = {}
        for key, value in self._flat(data).items():
            if isinstance(value, str):
                self._wrong(
                    BadValue(f"{shown(key)} is text"),
                    f"log: {shown(key)} is text, no metric; set_tag, the summary or log_text "
                    "keeps it",
                )
            elif isinstance(value, Mapping):
                continue
            elif not self._keep_logged(value, f"{key}/{step}"):
                numbers[key] = value
        return numbers

    def _flat(self, data: Mapping[Any, Any]) -> dict[str, Any]:
        """The values by dotted keys; what cannot be a key costs its own value only."""
        flat: dict[str, Any] = {}
        for key, value in data.items():
            try:
                flat.update(converted(keys.flatten, {_key(key): value}))
            except GittrackError as error:
                self._wrong(error, f"{shown(key)} not recorded: {error.message}")
        return flat

    def _keep_logged(self, value: Any, name: str) -> bool:
        """Keep what `log` was given, if it is anything that a file can hold."""
        from gittrack import media

        files = []
        try:
            files = converted(lambda given: media.kept(given, name), value)
            for how, content, called in files:
                name = called
                self._keep(how, content, called)
        except GittrackError as error:
            self._wrong(error, f"artifact {shown(name)} not kept: {error.message}")
            return True
        return bool(files)

    # -- files ----------------------------------------------------------------------------------

    def log_artifact(
        self,
        local_path: _Path,
        to: _Path | None = None,
        *,
        name: _Path | None = None,
        artifact_path: _Path | None = None,
        allow_secret: bool = False,
    ) -> None:
        """Keep a file or directory; see `gittrack.log_artifact`."""
        called = _called(local_path, to, name, artifact_path)
        self._keep("log_artifact", local_path, called, allow_secret=allow_secret)

    def log_artifacts(
        self, local_dir: _Path, artifact_path: _Path | None = None, *, allow_secret: bool = False
    ) -> None:
        """Keep each file of a directory; see `gittrack.log_artifacts`."""
        self._keep("log_artifacts", local_dir, artifact_path, allow_secret=allow_secret)

    def save(
        self,
        glob_str: _Path | None = None,
        base_path: _Path | None = None,
        policy: str = "live",
    ) -> list[str]:
        """Keep each file that a pattern finds; see `gittrack.save`."""
        if policy == "end":
            raise UsageError("save(policy='end'): a file is kept as it is now; save it at the end")
        if glob_str is None:
            return []
        from glob import glob

        pattern = os.fsdecode(glob_str)
        found = sorted(glob(pattern)) or [pattern]
        for path in found:
            name = None if base_path is None else os.path.relpath(path, os.fsdecode(base_path))
            self._keep("log_artifact", path, name)
        if policy == "live":
            remark("save", "save keeps files as they are now; call it again where they change")
        return found

    def log_text(self, text: str, artifact_file: _Path, *, allow_secret: bool = False) -> None:
        """Keep a text as a file; see `gittrack.log_text`."""
        self._keep("log_text", text, artifact_file, allow_secret=allow_secret)

    def log_dict(
        self, dictionary: Any, artifact_file: _Path, *, allow_secret: bool = False
    ) -> None:
        """Keep nested values as YAML or JSON; see `gittrack.log_dict`."""
        self._keep("log_dict", dictionary, artifact_file, allow_secret=allow_secret)

    def log_figure(
        self,
        figure: Any,
        artifact_file: _Path,
        *,
        save_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a figure of matplotlib or plotly; see `gittrack.log_figure`."""
        self._keep("log_figure", figure, artifact_file, save_kwargs=save_kwargs)

    def log_image(
        self,
        image: Any,
        artifact_file: _Path | None = None,
        key: str | None = None,
        step: int | None = None,
    ) -> None:
        """Keep an image of PIL or an array; see `gittrack.log_image`."""
        if (artifact_file is None) == (key is None):
            raise UsageError("log_image takes either a name for the file, or a key and a step")
        from gittrack.media import bare

        self._keep("log_image", bare(image), artifact_file or f"{key}/{step or 0}.png")

    def log_table(self, data: Any, artifact_file: _Path, *, allow_secret: bool = False) -> None:
        """Keep a table; see `gittrack.log_table`."""
        self._keep("log_table", data, artifact_file, allow_secret=allow_secret)

    def log_input(
        self, dataset: Any, context: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> None:
        """Record data that the run reads; see `gittrack.log_input`."""
        self._keep("log_input", dataset, context, tags)

    # -- config and summary ---------------------------------------------------------------------

    def _tree(self) -> dict[str, Any]:
        if self._settings is None:
            self._settings = keys.nest(self.params)
        return self._settings

    def _configure(self, values: dict[str, Any], may_change: bool) -> None:
        self._record(values, may_change=may_change)

    def _summarize(self, values: Mapping[str, Any]) -> None:
        """Last values that the script sets itself: numbers are metrics', texts are tags."""
        numbers: dict[str, Number] = {}
        texts: dict[str, Any] = {}
        for key, value in self._flat(values).items():
            try:
                if isinstance(value, (str, bool)):
                    texts[key] = value
                else:
                    numbers[_key(key)] = converted(number, value)
            except GittrackError as error:
                self._wrong(error, f"summary {shown(key)} not recorded: {error.message}")
        if numbers:
            self._to.append({"summary": numbers})
        if texts:
            self.set_tags(texts)
        self._summary.update({**numbers, **texts})

    # -- what others do -------------------------------------------------------------------------

    @abstractmethod
    def _keep(self, how: str, *args: Any, **options: Any) -> None:
        """Hand a file, or what becomes one, to the function of `keeping` or `sources`."""

    def _wrong(self, error: GittrackError, sentence: str) -> None:
        if self._to.strict:
            raise error
        self._to.fault(sentence)


def _mapping(given: Any, what: str) -> Mapping[Any, Any]:
    if not isinstance(given, Mapping):
        raise BadValue(f"{what} takes a mapping of names to values, not a {type(given).__name__}")
    return given


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise BadName(f"a key is a string, not {type(key).__name__}")
    return keys.check_key(key)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _called(
    path: _Path, to: _Path | None, name: _Path | None, directory: _Path | None
) -> _Path | None:
    """The name to keep a file under: as it is said, or within a directory.

    Raises:
        UsageError: it is said in two ways.
    """
    if sum(said is not None for said in (to, name, directory)) > 1:
        raise UsageError("log_artifact takes a name, or an artifact_path to put it into; not both")
    if to is not None and _has_suffix(path) and not _has_suffix(to) and os.path.isfile(path):
        directory = to
    if directory is None or not os.fsdecode(directory):
        return to if name is None else name
    return os.path.join(
        os.fsdecode(directory), os.path.basename(os.path.abspath(os.fsdecode(path)))
    )


def _has_suffix(path: _Path) -> bool:
    return bool(os.path.splitext(os.fsdecode(path))[1])
