"""The runs that answer a question, for whoever takes them all: in parts, with curves and records.

Knows how to go through many runs in little memory, and what type the values of a key have in all of
them. What cannot be read is among the problems. Knows nothing of formats of files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

from gittrack.errors import BrokenRecord, GitFailed, RunNotFound
from gittrack.meter import SILENT, Meter
from gittrack.quoting import utf8

if TYPE_CHECKING:
    from gittrack.origin import Origin
    from gittrack.records import Input, Row, Run
    from gittrack.refs import RunRef
    from gittrack.registry import Version
    from gittrack.search import Question, Search
    from gittrack.summaries import Summary
    from gittrack.vocabulary import Vocabulary
    from gittrack.whereabouts import Place

__all__ = ["Extract", "Kind", "fit", "kind_of"]

Kind: TypeAlias = Literal["boolean", "integer", "number", "text"]
"""The one type of a column: truth values, 64-bit integers, floats, or texts."""

_BATCH = 1000
_KEYS = 16
_WORD = 1 << 63
_MOST_ENVIRONMENTS = 256
_ENVIRONMENT = "environment.yaml"

_Part = TypeVar("_Part")


class _Mark(NamedTuple):
    id: str
    commit: str | None
    experiment: str
    name: str


class Extract:
    """The runs that answer one question; `problems` grows with what could not be read of them."""

    def __init__(self, place: Place, search: Search, question: Question) -> None:
        """Nothing but the question is looked at yet.

        Raises:
            UnknownKey: no run is of the experiment.
            QueryError: the query makes no sense here.
        """
        self.problems: list[BrokenRecord] = list(
            search.find(question._replace(limit=0, counted=False)).problems
        )
        self._place = place
        self._search = search
        self._question = question
        self._marks: list[_Mark] | None = None
        self._built: frozenset[str] | None = None
        self._packages: dict[str, Mapping[str, str]] = {}

    @property
    def vocabulary(self) -> Vocabulary:
        """The keys of all runs of the repository."""
        return self._search.vocabulary

    @property
    def total(self) -> int:
        """How many runs there are."""
        return len(self._found())

    def _found(self) -> list[_Mark]:
        """The runs, found once: those that come later are not among them."""
        if self._marks is None:
            table = self.columns(_Mark._fields)
            self._marks = list(map(_Mark, *(table[name] for name in _Mark._fields)))
        return self._marks

    def columns(self, keys: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Values by full key, as `Search.columns` gives them; `parent` is one, too."""
        if "parent" not in keys:
            return self._search.columns(self._question, keys)
        rest = [key for key in keys if key != "parent"]
        found = self._search.columns(self._question, ["id", *rest])
        known = self._search.index.columns(keys=["id", "parent"], deleted=True)
        parents = dict(zip(known["id"], known["parent"], strict=True))
        alive = {mark.id for mark in self._found() if mark.commit is None}
        parents |= {} if not alive else {run.id: run.parent for run in self._search.by_ids(alive)}
        return {**found, "parent": [parents.get(one) for one in found["id"]]}

    def batches(self) -> Iterator[Sequence[Summary]]:
        """The runs, some at once, in the order of the question; without those that went since."""
        marks = self._found()
        for start in range(0, len(marks), _BATCH):
            part = marks[start : start + _BATCH]
            there = self._search.by_ids({mark.id for mark in part})
            exact = {(run.id, run.commit, run.experiment, run.name): run for run in there}
            # One that was running when it was found may be recorded by now.
            by_id = {run.id: run for run in there}
            found = [exact.get(mark) or by_id.get(mark.id) for mark in part]
            yield [run for run in found if run is not None]

    def kinds(self, *, meter: Meter = SILENT) -> dict[str, Kind]:
        """The type of each param, metric and tag that any of these runs has, by full key, sorted.

        Params come first, then metrics, which are numbers, then tags, which are texts.
        """
        self._found()
        names = self.vocabulary
        keys = [
            f"{group}.{key}" for group in ("params", "metrics", "tags") for key in names.keys(group)
        ]
        found: dict[str, Kind] = {}
        meter.start("looking at types", len(keys), "keys")
        try:
            for start in range(0, len(keys), _KEYS):
                part = keys[start : start + _KEYS]
                for key, values in self.columns(part).items():
                    kind = kind_of(values)
                    if kind is not None:
                        found[key] = "number" if key.startswith("metrics.") else kind
                meter.advance(len(part))
        finally:
            meter.end()
        return found

    def rows(self, run: Summary) -> Sequence[Row]:
        """The curves of a run; none where they cannot be read, which is a problem then.

        Where it logged none there is a row of its last values, as `commits.load_series` has it.
        """
        from gittrack import commits

        if run.commit is not None and commits.CURVES not in self._files(run):
            from gittrack.records import Row

            return (Row(None, run.duration or 0.0, run.metrics),) if run.metrics else ()
        ref = self._ref(run)
        return self._read(
            (lambda: self._origin(run).rows())
            if ref is None
            else (lambda: commits.load_series(self._place.repo, ref)),
            (),
        )

    def inputs(self, run: Summary) -> Sequence[Input]:
        """The runs that a run was built from; none where its record cannot be read."""
        if self._built is None:
            from gittrack.index import open_index

            with open_index(self._place) as index:
                self._built = frozenset(index.inputs())
        if run.commit is not None and run.commit not in self._built:
            return ()
        record = self._record(run)
        return () if record is None else record.inputs

    def packages(self, run: Summary) -> Mapping[str, str]:
        """The packages of a run's environment; none where its record cannot be read."""
        blob = self._files(run).get(_ENVIRONMENT) if run.commit is not None else None
        if run.commit is not None and blob is None:
            return {}
        if blob is None or blob not in self._packages:
            record = self._record(run)
            environment = None if record is None else record.environment
            found = {} if environment is None else environment.packages
            if blob is None or record is None:
                return found
            if len(self._packages) >= _MOST_ENVIRONMENTS:
                self._packages.clear()
            self._packages[blob] = found
        return self._packages[blob]

    def models(self) -> list[tuple[Version, str | None]]:
        """Versions of models, and the id of the run that each is of, None where it is of none.

        Those of other runs than the question's are left out, and where it asks for some runs only,
        those of none, too. A tag that cannot be read is a problem.
        """
        found = self._versions()
        if not found:
            return []
        ours = {mark.commit: mark.id for mark in self._found()}
        some = self._question.query is not None or self._question.experiment is not None
        others = (
            set()
            if some
            else set(self._search.index.columns(keys=["commit"], deleted=True)["commit"])
        )
        return [
            (version, ours.get(version.commit))
            for version in found
            if version.commit in ours or not (some or version.commit in others)
        ]

    def _versions(self) -> list[Version]:
        from gittrack import registry

        known = registry.read(self._place)
        for problem in known.problems:
            if not problem.is_broken:
                continue
            where = problem.tag
            self._complain(BrokenRecord(f"tag {where}: {problem.reason}", where=where))
        return [version for model in known.models.values() for version in model.versions]

    def _record(self, run: Summary) -> Run | None:
        """The record of a run; None where it cannot be read, which is a problem then."""
        from gittrack import commits

        ref = self._ref(run)
        return self._read(
            (lambda: self._origin(run).record())
            if ref is None
            else (lambda: commits.load(self._place.repo, ref)),
            None,
        )

    def _files(self, run: Summary) -> Mapping[str, str]:
        """The files of a run's record and the ids of their blobs; none where nobody can tell."""
        from gittrack import commits

        repo = self._place.repo
        try:
            entry = repo.entry(repo.read_commit(run.commit or "").tree, commits.RECORD)
            found = () if entry is None else repo.tree(entry.id)
            return {os.fsdecode(item.name): item.id for item in found}
        except GitFailed as error:
            self._complain(
                BrokenRecord(f"{run.experiment}/{run.name}: {error.message}", where=run.name)
            )
            return {}

    def _read(self, read: Callable[[], _Part], otherwise: _Part) -> _Part:
        """What is read, or something else where that cannot be: it is broken, or gone meanwhile."""
        try:
            return read()
        except BrokenRecord as error:
            self._complain(error)
        except RunNotFound:
            pass
        return otherwise

    @staticmethod
    def _ref(run: Summary) -> RunRef | None:
        from gittrack.refs import RunRef

        return None if run.commit is None else RunRef(run.experiment, run.name, run.commit)

    def curve(self, metric: str) -> Mapping[str, Sequence[Any]]:
        """What is known of a metric in each run: `run`, `value`, and `relations.EXTREMES`."""
        from gittrack.relations import EXTREMES

        name = 'metrics."' + metric.replace('"', '""') + '"'
        asked = {function: f"{function}({name})" for function in EXTREMES}
        full = f"metrics.{metric}"
        found = self._search.columns(self._question, ["id", full, *asked.values()])
        known = {function: found[text] for function, text in asked.items()}
        return {"run": found["id"], "value": found[full], **known}

    def _origin(self, run: Summary) -> Origin:
        from pathlib import Path

        from gittrack.origin import Origin

        return Origin(run, Path(self._place.root or self._place.git_dir))

    def _complain(self, error: BrokenRecord) -> None:
        if error.message not in {known.message for known in self.problems}:
            self.problems.append(error)


def kind_of(values: Sequence[Any]) -> Kind | None:
    """The one type that all these values can have; None where there are no values.

    Integers that 64 bits do not hold, and integers beside floats, make numbers; a truth value
    beside a number, anything beside a text, and lists and mappings make texts.
    """
    types = set(map(type, values)) - {type(None)}
    if not types:
        return None
    if types == {bool}:
        return "boolean"
    if types == {int}:
        inside = all(-_WORD <= value < _WORD for value in values if value is not None)
        return "integer" if inside else "number"
    return "number" if types <= {int, float} else "text"


def fit(value: Any, kind: Kind) -> Any:
    """A value as one of this type; None stays None. Texts are as JSON writes what is none.

    A number beyond the largest float is an infinity.

    Raises:
        ValueError: it cannot be, because `kind_of` did not see it.
    """
    if value is None:
        return None
    if kind == "text":
        return utf8(value) if isinstance(value, str) else utf8(_json(value))
    if kind == "number":
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if kind_of([value]) != kind:
        raise ValueError(f"{value!r} is no {kind}")
    return value


def _json(value: Any) -> str:
    from gittrack.cells import jsonable

    if isinstance(value, float):
        return repr(value)
    return json.dumps(jsonable(value), ensure_ascii=False)
