"""What a traced command's interpreters run as they start: it notes which files they open.

Knows audit events, and how to write them down so that a SIGKILL does not undo it; what they mean
is the business of `gittrack.trace`. Keeps out of the way: imports what every interpreter has
loaded, keeps no descriptor, lets no exception out, and runs the sitecustomize that it hides. For
Python 3.8 and later; older ones can read it, and it notes nothing.
"""

import _signal  # type: ignore[import-not-found]
import _thread
import os
import sys
import time

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

_PLAIN_OPENS = 64  # of so many a process opens and closes its file; then it maps a part of it
_FIRST_BLOCK = 1 << 18
_LAST_BLOCK = 1 << 23
_LIMIT = 1 << 26  # bytes of all processes together
_WHOLE = os.O_TRUNC | os.O_EXCL
_CODE = (".pyc", ".py", ".so")
_OTHERS = frozenset(("os.chdir", "os.rename", "os.link", "os.truncate", "sqlite3.connect"))
_ENCODING = sys.getfilesystemencoding()
_UTF8 = _ENCODING.lower() in ("utf-8", "utf8")

_clock = getattr(time, "time_ns", time.time)
_directory = ""
_file = ""
_noted = 0
_lost = False
_lock = _thread.allocate_lock()
_later: "list[tuple[str, tuple[Any, ...]]]" = []

# What this process need not note again: what it opened at all, and for writing; paths as they were
# given, so that each working directory has sets of its own.
_known: "set[str]" = set()
_written: "set[str]" = set()
_places: "dict[str, tuple[set[str], set[str]]]" = {}
_place: "str | None" = None

# Mapped memory outlives a SIGKILL, and costs a tenth of a write. The mappings are never let go:
# each has a descriptor, and a program that closed all of them may have given its number away.
_mappings: "list[Any]" = []
_block: "Callable[[bytes], object] | None" = None
_put: "Callable[[bytes], object] | None" = None


def _hook(event: str, args: "tuple[Any, ...]") -> None:
    try:
        if event == "open":
            path, _, flags = args
            if type(path) is str:
                try:
                    if flags & 3:
                        if path in _written:
                            return
                        if _put is not None and flags & _WHOLE:
                            _put(b"w%d %b\0" % (_clock(), path.encode()))
                            _written.add(path)
                            return
                    elif path in _known:
                        return
                    elif _put is not None:
                        _put(b"R%b\0" % path.encode())
                        _known.add(path)
                        return
                except ValueError as error:
                    # The block is full, or the path is not UTF-8.
                    if not _is_ours(error):
                        raise
        elif event not in _OTHERS:
            return
        _note(event, args)
    except Exception as error:
        if not _is_ours(error):
            raise


def _is_ours(error: Exception) -> bool:
    """Tell an exception of ours from that of a signal handler, which came while we were at it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is None or trace.tb_frame.f_globals is globals()


def _note(event: str, args: "tuple[Any, ...]") -> None:
    # Never wait: the lock may be held by this very thread, which a signal handler interrupted.
    if not _directory:
        return
    if not _lock.acquire(False):
        _later.append((event, args))
        return
    try:
        _take(event, args)
        while _later:
            _take(*_later.pop(0))
    finally:
        _lock.release()


def _take(event: str, args: "tuple[Any, ...]") -> None:
    global _put, _place, _known, _written
    if event == "os.chdir":
        # The event comes before the change: where we are then is asked when it matters.
        _place = _put = None
        _known, _written = set(), set()
        return
    if event == "os.rename" or event == "os.link":
        source, target = _path(args[0], args[2]), _path(args[1], args[3])
        if source and target:
            _settle()
            _moved(source, target, event == "os.link")
    else:
        path = _path(args[0])
        if path and not path.endswith(_CODE):
            _settle()
            if event == "open":
                _opened(path, args[2])
            elif event == "os.truncate":
                _wrote(b"a", path)
            else:
                _connected(path)
    _put = _block if _UTF8 and _place else None


def _path(given: "Any", base: int = -1) -> "str | None":
    """Give the path as text, as the system would take it; None for a descriptor."""
    if type(given) is int:
        return None
    if type(given) is not str:
        try:
            given = os.fsdecode(given)
        except Exception:
            return None
    if base != -1 and given[:1] != "/":
        given = "/".join((os.readlink(f"/proc/self/fd/{base}"), given))
    return str(given)


def _settle() -> None:
    """Find out where we are, if that may have changed, and which paths are known there."""
    global _place, _known, _written
    if _place is not None:
        return
    try:
        place = os.getcwd()
    except OSError as error:
        if not _is_ours(error):
            raise
        place = ""
    if len(_places) > 100:
        _places.clear()
    _known, _written = _places.setdefault(place, (_known, _written))
    _log(b"c", place)
    _place = place


def _opened(path: str, flags: int) -> None:
    if not flags & 3:
        _read(path)
    elif path not in _written:
        whole = flags & _WHOLE
        if flags & os.O_RDWR and not whole and not flags & os.O_APPEND and _holds(path):
            _read(path)
        _wrote(b"w" if whole else b"a", path)


def _holds(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except OSError as error:
        if not _is_ours(error):
            raise
        return False


def _read(path: str) -> None:
    if path not in _known:
        _log(b"r", path)
        _known.add(path)


def _wrote(kind: bytes, path: str) -> None:
    if path not in _written:
        _log(kind, path)
        _written.add(path)
        _known.add(path)


def _moved(source: str, target: str, stays: bool) -> None:
    if stays:
        _read(source)
    if target not in _written or source not in _written:
        _log(b"m", source, target)
        _written.add(target)
        _known.add(target)


def _connected(path: str) -> None:
    query = ""
    if path[:5] == "file:":
        path, _, query = path[5:].partition("?")
        if path[:2] == "//":
            path = "/" + path[2:].partition("/")[2]
    if path in ("", ":memory:") or "mode=memory" in query:
        return
    if _holds(path):
        _read(path)
    if "mode=ro" not in query and "immutable=1" not in query:
        _wrote(b"a", path)


def _log(kind: bytes, path: str, target: "str | None" = None) -> None:
    line = b"%b%d %b\0" % (kind, _clock(), path.encode(_ENCODING, "surrogateescape"))
    if target is not None:
        line += b">%b\0" % target.encode(_ENCODING, "surrogateescape")
    if _noted == _PLAIN_OPENS:
        _map()
    while _block is not None:
        try:
            _block(line)
            return
        except ValueError as error:
            if not _is_ours(error):
                raise
            _map()
    _append(line)


def _append(line: bytes) -> None:
    global _directory, _file, _noted, _lost
    if not _file:
        _file = f"{_directory}/{os.getpid()}-{os.urandom(4).hex()}"
    # Else the events of these very calls would be noted.
    _written.add(_file)
    if _lost:
        line = b"\1\0!\0" + line
    _lost = True
    try:
        descriptor = os.open(_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except FileNotFoundError as error:
        if _is_ours(error):
            _directory = ""  # the run has been recorded
        raise
    try:
        _lost = os.write(descriptor, line) != len(line)
    finally:
        os.close(descriptor)
    _noted += 1


def _map() -> None:
    """Give the file another part to be written through memory, each twice as long as before."""
    global _block, _put, _noted, _directory
    _block = _put = None
    _noted = _PLAIN_OPENS + 1
    if _size() > _LIMIT:
        _append(b"!\0")
        _directory = ""
        return
    # An exception that a signal handler raises within an import may get lost there.
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        import mmap

        length = min(_FIRST_BLOCK << len(_mappings), _LAST_BLOCK)
        _written.add(_file)
        descriptor = os.open(_file, os.O_RDWR | os.O_CLOEXEC)
        try:
            start = -(-os.fstat(descriptor).st_size // mmap.ALLOCATIONGRANULARITY)
            start *= mmap.ALLOCATIONGRANULARITY
            # Memory that has no room on the disk behind it kills the program that writes there.
            os.posix_fallocate(descriptor, start, length)
            mapping = mmap.mmap(descriptor, length, offset=start)
        finally:
            os.close(descriptor)
        _mappings.append(mapping)
        mapping.write(b"t%d \0" % _clock())
        # Without the lock of the interpreter two threads would write to the same place.
        if getattr(sys, "_is_gil_enabled", lambda: True)():
            _block = mapping.write
    except ImportError:
        pass
    except Exception as error:
        # No room, or no such thing on this system: one line after the other, then.
        if not _is_ours(error):
            raise
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)


def _size() -> int:
    with os.scandir(_directory) as entries:
        return sum(entry.stat().st_size for entry in entries)


def _forked() -> None:
    """Begin a file of its own; what the parent has noted need not be noted again."""
    global _file, _noted, _lost, _lock, _place, _block, _put
    _file, _noted, _lost = "", 0, False
    _place = _block = _put = None
    _later.clear()
    _lock = _thread.allocate_lock()


def _install() -> None:
    global _directory
    _directory = os.environ.get("GITTRACK_TRACE", "")
    if not _directory or not hasattr(sys, "addaudithook"):
        return
    os.register_at_fork(after_in_child=_forked)
    sys.addaudithook(_hook)


def _leave() -> None:
    """Take us out of the way, as if this directory had never been there."""
    here = os.path.dirname(__file__)
    sys.path[:] = [place for place in sys.path if place != here]
    sys.path_importer_cache.pop(here, None)
    sys.modules.pop(__name__, None)


try:
    _install()
except Exception:
    pass
_leave()
# Where there is none, the exception goes to who asked for it, as it would without us.
__import__("sitecustomize")
