"""`git track logs`: what a run wrote to the terminal, or writes."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import click
from click.shell_completion import CompletionItem

from gittrack.cli.completing import run_names
from gittrack.cli.main import open_repo
from gittrack.cli.output import Screen, page, say, screen

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.refs import RunRef

__all__ = ["drawn", "logged", "logs"]

_BLOCK = 1 << 16
_PAUSE = 0.2
_LOOK_EVERY = 1.0
_PATIENCE = 1.0
_NOTHING, _NOTHING_YET = "has no output", "has no output yet"
_LONGEST = 64 << 10


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What names a run, the running ones first."""
    from gittrack.cli.completing import running_names

    return [*running_names(ctx, param, incomplete), *run_names(ctx, param, incomplete)]


@click.command()
@click.argument("selector", metavar="[RUN]", required=False, shell_complete=_names)
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with what a running run writes, until it ends."
)
@click.option(
    "-n", "--lines", "count", type=click.IntRange(min=0), metavar="N", help="Only the last N lines."
)
@click.pass_context
def logs(ctx: click.Context, selector: str | None, follow: bool, count: int | None) -> None:
    """Print what a run wrote to the terminal.

    Without RUN the newest that is running, else the latest one. A terminal gets what 'git track
    show --log RUN' shows, a file or a pipe every byte: of a very long output the whole, if it is
    here ('git track get' fetches it). While a run is running its output is as it was printed; what
    looks like a secret is masked when it is recorded.

    \b
    $ git track logs
    $ git track logs amber-otter -n 20
    $ git track logs -f
    """
    from gittrack import commits, revisions

    repo = open_repo(ctx)
    shown = screen()
    alive = revisions.running_one(repo, selector)
    if alive is not None:
        directory = repo.state / "live" / alive.name
        try:
            with open(directory / "output", "rb") as file:
                if not follow and not os.fstat(file.fileno()).st_size:
                    say(f"{alive.name} {_NOTHING_YET}")
                _pass_on(file, directory if follow else None, count, shown)
            return
        except FileNotFoundError:
            # It has been recorded since.
            selector = alive.name
    ref = revisions.resolve(repo, selector or "latest")
    if not commits.output(repo, ref):
        say(f"{ref.name} {_NOTHING}")
    if not shown.is_terminal:
        _copy(repo, ref, count)
    elif count is None and not follow:
        page(repo, logged(repo, ref, shown))
    else:
        text = logged(repo, ref, shown)
        click.echo(text if count is None else _last(text, count), nl=False, color=True)


def _copy(repo: Repo, ref: RunRef, count: int | None) -> None:
    """Write the output to stdout byte for byte; the whole of it where this clone has it."""
    import io

    from gittrack import commits

    whole = _whole_output(repo, ref)
    try:
        if whole is None:
            raise FileNotFoundError
        with open(whole, "rb") as file:
            _pass_on(file, None, count, Screen(None, 0, False))
    except FileNotFoundError:
        _pass_on(io.BytesIO(commits.output(repo, ref)), None, count, Screen(None, 0, False))


def _last(text: str, count: int) -> str:
    lines = text.removesuffix("\n").split("\n")
    return text[sum(len(line) + 1 for line in lines[: max(0, len(lines) - count)]) :]


# -- a run that is running ------------------------------------------------------------------------


class _Sink(Protocol):
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


def _pass_on(file: BinaryIO, directory: Path | None, count: int | None, shown: Screen) -> None:
    """Print a file from its last `count` lines on, and what is written to it as long as it may be.

    `directory` is that of the run which writes it, None for one look. The open file outlives the
    directory: what was written last is read from it even where the run has been recorded since.
    """
    file.seek(0 if count is None else _start_of_last(file, count))
    sink: _Sink = _Lines() if shown.is_terminal else _Bytes()
    looked = -_LOOK_EVERY
    patience = time.monotonic() + _PATIENCE
    is_silent = directory is not None
    while True:
        # First: what was written before the end is read below.
        over = directory is None or not directory.exists()
        if directory is not None and not over and time.monotonic() - looked >= _LOOK_EVERY:
            from gittrack import sessions

            over = sessions.is_lost(directory)
            looked = time.monotonic()
        while data := file.read(_BLOCK):
            sink.write(data)
        is_silent = is_silent and not file.tell()
        if directory is not None and is_silent and (over or time.monotonic() >= patience):
            say(f"{directory.name} {_NOTHING if over else _NOTHING_YET}")
            is_silent = False
        if over:
            sink.close()
            return
        _wait(_PAUSE)


def _start_of_last(file: BinaryIO, count: int) -> int:
    """Where the last `count` lines begin; a last one without an end counts."""
    end = file.seek(0, os.SEEK_END)
    if count == 0 or end == 0:
        return end
    # The newline at the very end belongs to the last line.
    place, left = end - 1, count
    while place > 0:
        start = max(0, place - _BLOCK)
        file.seek(start)
        block = file.read(place - start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            left -= 1
            if not left:
                return start + at + 1
        place = start
    return 0


def _wait(seconds: float) -> None:
    """Wait; where nobody reads our stdout any more, that ends it, as a write would.

    Raises:
        BrokenPipeError: the reader has gone.
    """
    import select

    poller = select.poll()
    poller.register(1, 0)
    events = poller.poll(seconds * 1000)
    if any(flags & (select.POLLERR | select.POLLHUP) for _, flags in events):
        raise BrokenPipeError(errno.EPIPE, "nobody reads any more")
    if events:
        time.sleep(seconds)


class _Bytes:
    """Every byte, for a file or a pipe."""

    def write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        sys.stdout.buffer.flush()


class _Lines:
    """Lines for a terminal, as `logged` has them; one that is not whole yet is drawn anew."""

    def __init__(self) -> None:
        self._rest = b""
        self._drawn = False
        self._draws = os.environ.get("TERM", "dumb") != "dumb"

    def write(self, data: bytes) -> None:
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        self._rest = self._rest[-_LONGEST:]
        self._show(_readable(whole + newline), redraw=True)

    def close(self) -> None:
        text = _readable(self._rest)
        self._show(text + "\n" if text else "", redraw=False)

    def _show(self, text: str, *, redraw: bool) -> None:
        from gittrack.cells import cut

        before = "\r\x1b[K" if self._drawn else ""
        width = screen().width or 80
        rest = cut(_readable(self._rest).replace("\t", " "), width - 1)
        rest = rest if redraw and self._draws else ""
        self._drawn = bool(rest)
        sys.stdout.write(before + text + rest)
        sys.stdout.flush()


# -- a run that is recorded -----------------------------------------------------------------------


def _whole_output(repo: Repo, ref: RunRef) -> Path | None:
    """Where the cache would have the whole of a long output; None if the record has all of it."""
    from gittrack import commits

    kept = next((a for a in commits.load(repo, ref).artifacts if a.path == commits.OUTPUT), None)
    if kept is None:
        return None
    from gittrack import setup
    from gittrack.cache import open_cache

    return open_cache(repo, setup.read(repo)).path(kept.md5)


def logged(repo: Repo, ref: RunRef, shown: Screen) -> str:
    """What a run wrote, as the screen wants it."""
    from gittrack import commits

    return drawn(commits.output(repo, ref), shown)


def drawn(data: bytes, shown: Screen) -> str:
    """Output as the screen wants it."""
    # What a progress bar overwrote is of no use to a reader; a file gets it all the same.
    return _readable(data) if shown.is_terminal else data.decode("utf-8", "backslashreplace")


def _readable(data: bytes) -> str:
    from gittrack.quoting import printable

    lines = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n").split("\n")
    return printable("\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines))
