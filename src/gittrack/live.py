"""The run that a script logs to while it goes on, as one object; which run that is, and its start.

Knows what may be said of a run, and turns it into events. Knows nothing of how a run is recorded,
nor which words other trackers use: `api` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from gittrack import active, names
from gittrack.active import Active
from gittrack.errors import BadValue, NoActiveRun, UsageError
from gittrack.foreign import converted, shown
from gittrack.formalities import Formalities
from gittrack.inheritance import inherited
from gittrack.quoting import one_line, utf8
from gittrack.statements import Statements
from gittrack.summaries import Number, Status
from gittrack.views import Config, RunData, RunInfo, Summary, settings

if TYPE_CHECKING:
    from gittrack.refs import RunRef

__all__ = [
    "Run",
    "config",
    "current",
    "disable",
    "find",
    "now",
    "require",
    "set_experiment",
    "start",
    "summary",
    "undoable",
]

Function = TypeVar("Function", bound=Callable[..., Any])

_runs: dict[Path, Run] = {}
"""The runs of this process as objects, those that have ended until another begins."""

_LONGEST_TITLE = 1000

_beginning = RLock()
_last: Active | None = None
_off: Active | None = None
_experiment: str | None = None


class Run(Statements, Formalities):
    """A run while it goes on: what is said to it is in its journal when the call returns.

    As a context manager it ends with the block, `failed` if that raises. As a decorator, `@run`
    made by `start`, it is taken back, and each call of the function is a run of its own. Threads
    may share it. After its end, what is said is not recorded, which is said once on stderr.
    """

    def __init__(self, to: Active) -> None:
        super().__init__(to)
        self._again: Callable[[], Run] | None = None
        self._before: Active | None = None
        self._moved: str | None = None
        self._begun = False
        self._status: Status = "running"
        self._ended: float | None = None
        self._ref: RunRef | None = None

    # -- what it is -----------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """32 hexadecimal digits, the run's own for ever."""
        return str(self._to.begin.get("id", ""))

    @property
    def name(self) -> str:
        """What the run is called; setting it gives the run a title."""
        return self._to.name

    @name.setter
    def name(self, title: str) -> None:
        try:
            self._to.append({"title": converted(_title, title)})
        except BadValue as error:
            self._wrong(error, f"title {shown(title)} not taken: {error.message}")

    @property
    def experiment(self) -> str:
        """The name of the experiment that it belongs to."""
        begin = self._to.begin
        moved = None if begin.get("experiment_given") else self._moved
        return moved or str(begin.get("experiment", ""))

    project = experiment

    @property
    def url(self) -> str | None:
        """Its full ref, which there is once it has ended; None where nothing is recorded."""
        return None if self.is_disabled else f"refs/runs/{self.experiment}/{self.name}"

    def get_url(self) -> str | None:
        """As `url`."""
        return self.url

    @property
    def status(self) -> Status:
        """`running` until it is ended by this object."""
        return self._status

    @property
    def is_begun(self) -> bool:
        """Whether this process began or joined it by `start`, rather than just logged to it."""
        return self._begun

    @property
    def is_joined(self) -> bool:
        """Whether another process began it, and ends it."""
        return not self._to.owned and not self.is_disabled

    @property
    def is_disabled(self) -> bool:
        """Whether nothing of it is recorded."""
        return isinstance(self._to, _Nowhere)

    @property
    def info(self) -> RunInfo:
        """What it is called and how it stands, as MLflow names it."""
        begin = self._to.begin
        started = begin.get("started")
        return RunInfo(
            run_id=self.id,
            run_name=self.name,
            experiment_id=self.experiment,
            status=self._status.upper(),
            start_time=None if started is None else int(started * 1000),
            end_time=None if self._ended is None else int(self._ended * 1000),
            user_id=str(begin.get("user", "")),
        )

    @property
    def data(self) -> RunData:
        """What was logged so far."""
        return RunData(self.params, self.metrics, self.tags)

    def __repr__(self) -> str:
        return f"<Run {self.name} ({self._status})>"

    def _repr_html_(self) -> str:
        from gittrack import portrait

        if self._ref is None:
            return portrait.of_live(self._to.directory, self.metrics)
        from gittrack import commits
        from gittrack.git import Repo

        repo = Repo.open(self._to.begin["where"])
        return portrait.html(commits.load(repo, self._ref), commits.load_series(repo, self._ref))

    # -- its end --------------------------------------------------------------------------------

    def end(
        self,
        status: Status | None = None,
        *,
        exit_code: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """End the run: it is recorded when this returns. A second time does nothing.

        Without `status` it is `finished`, unless `exit_code` or `error` say otherwise. Of a run
        that another process began, only this process's part ends, and its status is noted.
        """
        if self._to.ended:
            return
        if self.is_disabled:
            self._to.ended = True
            return
        import time

        from gittrack import lifetime

        self._status = status or _verdict(exit_code, error)
        self._ended = time.time()
        self._ref = lifetime.end(self._to, status=status, exit_code=exit_code, error=error)

    def finish(self, exit_code: int | None = None) -> None:
        """End the run, `failed` where the exit code is not 0; W&B's word for `end`."""
        self.end(exit_code=exit_code)

    def __enter__(self) -> Run:
        self._again = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(error=error)

    def __call__(self, function: Function) -> Function:
        """Decorate a function: this run is taken back, and each call is a run like it."""
        from gittrack import decoration

        again = self._again
        if again is None or self._to.ended:
            raise UsageError(f"run {self.name} goes on already, and can decorate no function")
        _take_back(self)
        return decoration.within(function, again)

    def _keep(self, how: str, *args: Any, **options: Any) -> None:
        from gittrack import keeping, sources

        if not self.is_disabled:
            module = sources if how == "log_input" else keeping
            getattr(module, how)(*args, **options, run=self._to)


class _Nowhere(Active):
    """A run of which nothing is recorded."""

    def __init__(self) -> None:
        begin = {"id": "", "name": "disabled", "params": {}, "tags": {}}
        super().__init__(Path(os.devnull), begin, owned=False)

    def log_metric(self, key: str, value: Number, step: int | None = None) -> None:
        self.latest[key] = value

    def log_metrics(self, values: Mapping[str, Number], step: int | None = None) -> None:
        self.latest.update(values)

    def append(self, event: Mapping[str, Any]) -> None:
        pass

    def fault(self, sentence: str) -> None:
        pass


def _verdict(code: int | None, error: BaseException | None) -> Status:
    if isinstance(error, KeyboardInterrupt):
        return "killed"
    if isinstance(error, SystemExit):
        return "failed" if error.code else "finished"
    if error is not None and not isinstance(error, GeneratorExit):
        return "failed"
    return "failed" if code else "finished"


# -- which run it is ----------------------------------------------------------------------------


def start(
    *,
    experiment: str | None = None,
    name: str | None = None,
    message: str | None = None,
    params: Any = None,
    tags: Mapping[str, Any] | None = None,
    nested: bool = False,
    parent: str | None = None,
    resume: str | None = None,
    directory: Path | None = None,
) -> Run:
    """Begin a run of this process, or join the one that it was started in (`lifetime.start`).

    `experiment` and `name` are free texts: what no name can hold is their title. `params` may be
    nested, a dataclass or a namespace.

    Raises:
        GittrackError: as `lifetime.start` says; BadValue: `params` hold no settings.
    """
    global _last, _off
    from gittrack import lifetime

    given = {} if params is None else settings(params)
    labels = {} if tags is None else settings(tags)
    group = _experiment if experiment is None else _without_secrets(str(experiment))
    slug = None if group is None else names.slug(str(group))
    prefix, title = _named(name)
    to = lifetime.start(
        experiment=slug,
        experiment_title=None if slug == group else _title(group),
        name=prefix,
        title=title,
        message=None if message is None else str(message),
        nested=nested,
        parent=None if parent is None else str(parent),
        resume=None if resume is None else str(resume),
        directory=directory,
    )
    for place in [place for place, run in _runs.items() if run._to.ended]:
        _runs.pop(place, None)
    run = _of(to)
    run._before, _last, _off = _last, to, None
    run._moved = slug if run.is_joined else None
    run._begun = True
    if given:
        run.config.update(given)
    if labels:
        run.set_tags(labels)
    return run


def undoable(begin: Callable[[], Run]) -> Run:
    """Begin a run that can decorate a function: it is taken back then, and `begin` called instead.

    Raises:
        GittrackError: as `begin` says.
    """
    run = begin()
    run._again = begin
    return run


def _take_back(run: Run) -> None:
    global _last, _off
    run._again = None
    if run._to is _off:
        _off = None
        return
    from gittrack import lifetime

    _last = run._before
    _runs.pop(run._to.directory, None)
    lifetime.discard(run._to)


def _named(text: object) -> tuple[str | None, str | None]:
    """The beginning of a run's name that a free text makes, and the text itself if it is more."""
    if text is None or not str(text).strip():
        return None, None
    said = _without_secrets(str(text))
    prefix = names.suggest(said) or None
    return prefix, None if prefix == said else _title(said)


def _title(text: object) -> str:
    """A free text as a title: one line that can be printed, and holds no secret."""
    return utf8(one_line(" ".join(_without_secrets(str(text)).split())))[:_LONGEST_TITLE]


def _without_secrets(text: str) -> str:
    """A text of which a name is made: no record that is masked later takes back a ref."""
    from gittrack import secrets

    return secrets.mask_words(text)


def set_experiment(title: str) -> str:
    """Name the experiment of the runs that begin from now on, and of a joined one -> its name.

    Raises:
        BadName: it is empty.
    """
    global _experiment
    title = _without_secrets(title)
    slug = names.slug(title)
    _experiment = title
    joined = active.current()
    if joined is not None and not joined.owned:
        told = None if slug == title else _title(title)
        joined.append({"experiment": slug, "experiment_title": told})
        _of(joined)._moved = slug
    return slug


def disable() -> Run:
    """Have everything that is logged go nowhere, until this run ends, or another begins."""
    global _off
    _off = _Nowhere()
    return _of(_off)


def current() -> Run | None:
    """The run that this context logs to, None if there is none."""
    to = _here()
    return None if to is None else _of(to)


def require() -> Run:
    """The run that this context logs to; begun, if the process has had none.

    Raises:
        GittrackError: it cannot begin: this is no Git repository, for example.
    """
    return _of(now())


def find(id: str) -> Run | None:
    """A run that is under way in this process, by its id."""
    here = current()
    known = [*_runs.values(), *([] if here is None else [here])]
    return next((run for run in known if run.id == id and not run._to.ended), None)


def now() -> Active:
    """As `require`, for what only logs: a process whose run has ended gets that one."""
    return _here() or _first()


def _here() -> Active | None:
    if _off is not None and not _off.ended:
        return _off
    return active.current()


def _first() -> Active:
    with _beginning:
        found = active.current() or _last
        if found is None and (named := inherited()):
            # What a process logs to a run that is over is not the beginning of another.
            known = _runs.get(Path(named))
            return known._to if known is not None else active.require()
        return found or start()._to


def _of(to: Active) -> Run:
    run = _runs.get(to.directory)
    if run is not None and run._to is to:
        return run
    with _beginning:
        run = _runs.get(to.directory)
        if run is None or run._to is not to:
            run = _runs[to.directory] = Run(to)
        return run


def _current() -> Run:
    run = current()
    if run is None:
        raise NoActiveRun("no run is active: gittrack.init() or start_run() begins one")
    return run


config: Config = Config(lambda: _current()._tree(), lambda *said: _current()._configure(*said))
"""The params of the current run, nested; see `Run.config`."""

summary: Summary = Summary(lambda: _current().summary, lambda values: _current()._summarize(values))
"""The last values of the current run's metrics; see `Run.summary`."""


def _after_fork() -> None:
    global _beginning
    # A thread of the parent's may have held it; that thread is not here.
    _beginning = RLock()


os.register_at_fork(after_in_child=_after_fork)
