"""Where an answer goes: the terminal's size and colours, the pager, the options for its format.

The answer goes to stdout, talk about it to stderr. Knows nothing of runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, TypeVar

import click

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.whereabouts import Place

__all__ = [
    "Screen",
    "form_option",
    "format_options",
    "json_option",
    "page",
    "page_data",
    "say",
    "screen",
    "wants_color",
]

_USUAL = 80, 24

Command = TypeVar("Command", bound=Callable[..., Any])


class Screen(NamedTuple):
    """What stands behind stdout: `width` is None where it is no terminal, and nothing is cut."""

    width: int | None
    height: int
    color: bool

    @property
    def is_terminal(self) -> bool:
        """Whether people read it, rather than programs."""
        return self.width is not None


def screen() -> Screen:
    """Look at stdout; Git's pager, which shows what we write on a terminal, counts as one."""
    piped = os.environ.get("GIT_PAGER_IN_USE", "").lower() in ("1", "true")
    terminal = _is_terminal(sys.stdout) or piped
    color = wants_color(sys.stdout, piped)
    if not terminal:
        return Screen(None, _USUAL[1], color)
    columns, lines = _size()
    return Screen(columns, lines, color)


def _size() -> tuple[int, int]:
    """Columns and lines of the terminal as `shutil` finds them, which takes long to load."""
    told = [os.environ.get(name, "") for name in ("COLUMNS", "LINES")]
    given = [int(text) if text.isdecimal() else 0 for text in told]
    seen: tuple[int, int] = (0, 0)
    if not all(given) and sys.__stdout__ is not None:
        try:
            seen = os.get_terminal_size(sys.__stdout__.fileno())
        except (OSError, ValueError):
            pass
    columns, lines = (a or b or c for a, b, c in zip(given, seen, _USUAL, strict=True))
    return columns, lines


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def wants_color(stream: TextIO | None, piped: bool = False) -> bool:
    """Whether to colour what goes there: a terminal, no `NO_COLOR` (no-color.org), not dumb."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return piped or _is_terminal(stream)


def say(text: str) -> None:
    """Talk about the answer: one line to stderr, made safe for a terminal.

    What was answered so far is written first: both may end in one pipe.
    """
    from gittrack.quoting import printable

    if sys.stdout is not None:
        sys.stdout.flush()
    click.echo(printable(text), err=True)


def page(where: Repo | Place, text: str) -> None:
    """Print the answer, by Git's pager where stdout is a terminal and the answer is longer."""
    fits = not _is_terminal(sys.stdout) or text.count("\n") < screen().height
    pager = "" if fits else _pager(where)
    if pager in ("", "cat"):
        click.echo(text, nl=False, color=True)
        return
    _run_pager(pager, text)


def page_data(where: Repo | Place, text: str) -> None:
    """Print data: byte for byte into a file or a pipe, made safe where it is a terminal."""
    if screen().is_terminal:
        from gittrack.quoting import printable

        text = printable(text.replace("\r\n", "\n"))
    page(where, text)


def _pager(where: Repo | Place) -> str:
    """Git's choice, and `pager.track` before it: a boolean, or a pager of its own."""
    from gittrack import whereabouts

    place = where if isinstance(where, whereabouts.Place) else whereabouts.of(where)
    chosen = place.setting("pager.track")
    if chosen is not None and chosen.lower() in ("false", "no", "off", "0"):
        return ""
    if chosen is not None and chosen.lower() not in ("", "true", "yes", "on", "1"):
        return chosen
    # The order of git_pager() in Git's pager.c; what it was built with, Git alone knows.
    for own in (os.environ.get("GIT_PAGER"), place.setting("core.pager"), os.environ.get("PAGER")):
        if own is not None:
            return own.strip()
    return place.repo.git("var", "GIT_PAGER").decode("utf-8", "surrogateescape").strip()


def _run_pager(pager: str, text: str) -> None:
    import subprocess

    # The defaults of Git itself (PAGER_ENV in its Makefile).
    env = {"LESS": "FRX", "LV": "-c", **os.environ}
    data = text.encode("utf-8", "backslashreplace")
    child = subprocess.Popen(["sh", "-c", pager], stdin=subprocess.PIPE, env=env)
    while True:
        try:
            child.communicate(data)
            return
        except KeyboardInterrupt:
            # The pager has its own use for Ctrl-C; we go when it goes.
            data = b""


def json_option(command: Command) -> Command:
    """Add `--json` to a command, as the flag `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, nothing left out.")(
        command
    )


def format_options(command: Command) -> Command:
    """Add `--json`, `--csv` and `--md` to a command that prints a table, as `form`."""
    for form, text in (
        ("md", "Print a Markdown table."),
        ("csv", "Print CSV (RFC 4180), numbers in full."),
        ("json", "Print JSON, nothing left out."),
    ):
        command = form_option(form, text)(command)
    return command


def form_option(form: str, text: str) -> Callable[[Command], Command]:
    """An option `--FORM`, of which a command takes at most one, as its argument `form`."""

    def take(ctx: click.Context, param: click.Parameter, chosen: bool) -> None:
        before = ctx.params.setdefault("form", None)
        if chosen and before is not None:
            raise click.UsageError(f"--{before} and --{form} do not go together", ctx)
        if chosen:
            ctx.params["form"] = form

    # Options that share a destination would overrule each other in silence.
    return click.option(f"--{form}", is_flag=True, expose_value=False, callback=take, help=text)
