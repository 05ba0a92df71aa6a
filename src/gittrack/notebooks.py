"""The notebook, or interactive session, that this process runs the cells of. The door to IPython.

Knows where IPython keeps its cells, and by what the front ends name a file: VS Code, Jupyter,
papermill, Kaggle. Imports nothing: where IPython is not loaded already there is no notebook. Knows
nothing of runs, nor of what becomes of the cells.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["LONGEST", "Notebook", "here"]

LONGEST = 1 << 20
"""Characters of a cell that are kept."""

_NAMED = ("__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH")
"""Variables among the user's own by which VS Code and papermill say what they run."""

_KAGGLE = "__notebook__.ipynb"


class Notebook:
    """A session of IPython: a kernel behind a notebook, or a terminal."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    @property
    def path(self) -> str | None:
        """The absolute path of the notebook; None in a terminal, or where nobody says it."""
        try:
            mine = self._shell.user_ns
        except AttributeError:
            mine = {}
        return _path(mine, os.environ)

    def path_within(self, root: str | os.PathLike[str] | None) -> str | None:
        """Its path below `root` with `/`; as it is where it lies outside, or there is no root."""
        path = self.path
        if path is None or root is None:
            return path
        real, top = os.path.realpath(path), os.path.realpath(root)
        if os.path.commonpath([real, top]) != top:
            return path
        return os.path.relpath(real, top).replace(os.sep, "/")

    def cells(self) -> list[tuple[int, str]]:
        """The cells that ran so far, the running one too: their numbers and sources as typed.

        A number is IPython's: a cell that ran twice is there twice. Of a cell of more than
        `LONGEST` characters the first ones.
        """
        return [
            (number, _bounded(source))
            for number, source in enumerate(self._typed())
            if isinstance(source, str) and source.strip()
        ]

    def watch(self, on_cell: Callable[[int, str], None]) -> Callable[[], None]:
        """Call `on_cell(number, source)` when a cell is about to run -> what ends that.

        Only for cells that IPython counts: what a front end runs silently is none. What `on_cell`
        raises IPython prints; the cell runs all the same.
        """

        def about_to_run(info: Any) -> None:
            source = getattr(info, "raw_cell", None)
            if isinstance(source, str) and source.strip() and getattr(info, "store_history", True):
                # Where it will stand among the cells; `execution_count` differs with the version.
                on_cell(len(self._typed()), _bounded(source))

        def unwatch() -> None:
            try:
                self._shell.events.unregister("pre_run_cell", about_to_run)
            except (AttributeError, ValueError):
                # The session has let go of it already.
                pass

        self._shell.events.register("pre_run_cell", about_to_run)
        return unwatch

    def _typed(self) -> list[Any]:
        history = getattr(self._shell, "history_manager", None)
        return list(getattr(history, "input_hist_raw", ()))


def here() -> Notebook | None:
    """The notebook that this process runs; None in a script. Costs nothing without IPython."""
    loaded = sys.modules.get("IPython")
    if loaded is None:
        return None
    try:
        shell = loaded.get_ipython()
    except AttributeError:
        # Another thread is importing it: nobody has begun a session yet.
        return None
    return None if shell is None else Notebook(shell)


def _path(mine: Mapping[str, Any], environment: Mapping[str, str]) -> str | None:
    """The path that the front end has left among the user's variables, or in the environment."""
    said = [mine.get(name) for name in _NAMED]
    # Jupyter's server names a session so; that of a console is no file.
    said.append(environment.get("JPY_SESSION_NAME"))
    if "KAGGLE_KERNEL_RUN_TYPE" in environment and os.path.isfile(_KAGGLE):
        said.append(_KAGGLE)
    for path in said:
        if isinstance(path, str) and path.endswith(".ipynb") and path.isprintable():
            return _found(path)
    return None


def _found(path: str) -> str:
    """The absolute path: one that is not seen from here may be seen from where a server stands."""
    beside = os.path.abspath(os.path.basename(path))
    if not os.path.isabs(path) and not os.path.exists(path) and os.path.exists(beside):
        return beside
    return os.path.abspath(path)


def _bounded(source: str) -> str:
    if len(source) <= LONGEST:
        return source
    return f"{source[:LONGEST]}\n# ... and {len(source) - LONGEST:,} more characters"
