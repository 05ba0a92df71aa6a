"""A file or directory of the user's: there whole or not at all, overwriting nothing unasked.

Knows temporary places beside the target, and renaming. Knows nothing of what is delivered.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gittrack.errors import BadPath, WriteFailed

__all__ = ["directory", "file"]

_PREFIX = ".gittrack-"


@contextmanager
def file(target: str | os.PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the `with` block ends well.

    With `force` it takes the place of a file that is there; until then that one stays. A symbolic
    link is followed.

    Raises:
        BadPath: there is something already, a directory, or (forced, too) no regular file.
        WriteFailed: the disk is full, or refuses; so for OSErrors in the block.
    """
    path = Path(os.path.realpath(target))
    if path.is_dir():
        raise BadPath(f"'{target}' is a directory", path=str(target))
    if path.exists() and not path.is_file():
        # Whoever may write to /dev would put a file in the place of a device.
        raise BadPath(
            f"'{target}' is no regular file",
            path=str(target),
            hint="`-` as a name is standard output, where the format has that.",
        )
    if not force and os.path.lexists(path):
        raise _there(target)
    with _beside(path, target) as place:
        made = place / path.name
        yield made
        _sync(made)
        if force:
            os.replace(made, path)
        else:
            _move(made, path, target)


@contextmanager
def directory(
    target: str | os.PathLike[str], *, force: bool = False, ours: Callable[[Path], str | None]
) -> Iterator[Path]:
    """A directory to fill, which becomes `target` when the `with` block ends well.

    An empty directory may be there before. With `force` another one, of which `ours` says None;
    else it says which of its files it would be a pity to lose.

    Raises:
        BadPath, WriteFailed: as `file`.
    """
    path = Path(os.path.realpath(target))
    former = os.path.lexists(path)
    if former and not path.is_dir():
        raise BadPath(f"'{target}' is no directory", path=str(target))
    filled = former and any(path.iterdir())
    if filled and not force:
        raise _there(target)
    if filled and (other := ours(path)) is not None:
        raise BadPath(
            f"'{target}' holds what no export wrote: '{other}'",
            path=str(target),
            hint="name another directory.",
        )
    with _beside(path, target) as place:
        made = place / "new"
        made.mkdir()
        yield made
        if not filled:
            # Replaces an empty directory, and fails where it is empty no more.
            os.rename(made, path)
            return
        aside = place / "former"
        os.rename(path, aside)
        try:
            os.rename(made, path)
        except BaseException:
            os.rename(aside, path)
            raise


def _there(target: str | os.PathLike[str]) -> BadPath:
    return BadPath(
        f"'{os.fspath(target)}' is there already",
        path=os.fspath(target),
        hint="--force overwrites it.",
    )


@contextmanager
def _beside(path: Path, target: str | os.PathLike[str]) -> Iterator[Path]:
    """A private directory beside `path`, on the same file system; gone afterwards."""
    try:
        place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=path.parent))
    except OSError as error:
        raise _refused(target, error) from error
    try:
        yield place
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _refused(target, error) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(place)


def _refused(target: str | os.PathLike[str], error: OSError) -> WriteFailed:
    return WriteFailed(f"cannot write '{os.fspath(target)}': {error.strerror or error}")


def _sync(made: Path) -> None:
    descriptor = os.open(made, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move(made: Path, path: Path, target: str | os.PathLike[str]) -> None:
    """Rename where nothing is yet, even if it came this moment."""
    try:
        os.link(made, path)
    except FileExistsError:
        raise _there(target) from None
    except OSError:
        # A file system without hard links.
        if os.path.lexists(path):
            raise _there(target) from None
        os.rename(made, path)
