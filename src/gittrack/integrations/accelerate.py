"""Accelerate's tracker `gittrack`: once this is imported, `Accelerator(log_with="gittrack")` works.

Knows what a tracker is asked for. The main process alone logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from accelerate import tracking
from accelerate.tracking import GeneralTracker, on_main_process

from gittrack.frameworks import bounded, spared
from gittrack.keys import flatten
from gittrack.live import Run, current, start
from gittrack.views import settings

__all__ = ["GittrackTracker"]


class GittrackTracker(GeneralTracker):
    """Log to the current run; without one, begin one, which `Accelerator.end_training` ends.

    `run_name`, the project's name, is the experiment of a run that it begins; what else is given
    (`init_kwargs={"gittrack": {...}}`) is what `gittrack.start_run` takes: `name`, `message`,
    `params`, `tags`, `nested`, `parent`, `resume`.

    Raises:
        GittrackError: when trackers are initialized: no run is under way, and none can begin.
    """

    name = "gittrack"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, run_name: str, **options: Any) -> None:
        super().__init__()
        self._asked = {"experiment": run_name, **options}
        self._run: Run | None = None
        self._own = False

    @on_main_process
    def start(self) -> None:
        """Find the run, or begin it."""
        around = None if self._asked.get("nested") else current()
        self._own = around is None
        self._run = around or start(**self._asked)

    @property
    def tracker(self) -> Run | None:
        """The run; None in other processes than the main one."""
        return self._run

    @on_main_process
    def store_init_configuration(self, values: Any) -> None:
        """Log the configuration as params."""
        with spared("configuration not logged"):
            self._there().config.update(bounded(flatten(settings(values))), True)

    @on_main_process
    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Log numbers, also nested, as metrics, and texts as tags."""
        with spared("values not logged"):
            run, flat = self._there(), flatten(values)
            texts = {key: value for key, value in flat.items() if isinstance(value, str)}
            numbers = {key: value for key, value in flat.items() if key not in texts}
            if texts:
                run.set_tags(texts)
            if numbers:
                run.log_metrics(numbers, step)

    @on_main_process
    def log_images(
        self, values: Mapping[str, Iterable[Any]], step: int | None = None, **_: Any
    ) -> None:
        """Keep images as artifacts, `<key>/<step>/<place>.png`."""
        with spared("images not kept"):
            for key, images in values.items():
                for place, image in enumerate(images):
                    self._there().log_image(image, f"{key}/{step or 0}/{place}.png")

    @on_main_process
    def log_table(
        self,
        table_name: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
        **_: Any,
    ) -> None:
        """Keep a table, given as a DataFrame or as columns and rows: `<name>/<step>.csv`."""
        with spared(f"table {table_name} not kept"):
            rows = [dict(zip(columns or (), row, strict=True)) for row in data or ()]
            table = rows if dataframe is None else dataframe
            self._there().log_table(table, f"{table_name}/{step or 0}.csv")

    @on_main_process
    def finish(self) -> None:
        """End the run, if this began it."""
        if self._own and self._run is not None:
            self._run.end()

    def _there(self) -> Run:
        if self._run is None:
            self.start()
        assert self._run is not None
        return self._run


# Older versions have no register: there, `log_with=GittrackTracker("project")` works.
if hasattr(tracking, "register_tracker_class"):
    tracking.register_tracker_class(GittrackTracker)
