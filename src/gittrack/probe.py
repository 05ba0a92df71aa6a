"""Asking an interpreter for its version and packages, and remembering what it said.

Knows the script that it runs, how to read the answer, and when an earlier answer still holds.
Refuses to know how the interpreter was found. A question that cannot be answered raises.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "Python",
    "Question",
    "Unknown",
    "asking",
    "clean",
    "learn",
    "load",
    "remembered",
    "store",
]

_FORMAT = 1
_BEGIN, _END = b"\x02gittrack{", b"}gittrack\x03"

# Runs in any Python from 2.7 on, so it reads the metadata itself. It imports from the standard
# library's own directory, so that no json.py or os.py of the user's is executed, takes the state of
# each file before it reads it, and leaves without exit handlers (coverage would write a file).
_SCRIPT = r"""
import sys
sys.dont_write_bytecode = True
path = sys.path[1:] if sys.path[:1] == [''] else sys.path[:]
sys.path[:] = path
import os
home = os.path.dirname(os.__file__)
sys.path[:] = [p for p in path if p == home or p.endswith('lib-dynload')]
try:
    import json, site
except ImportError:
    sys.path[:] = path
    import json, site

watched = {}
def watch(p):
    try:
        s = os.stat(p)
        watched[p] = [s.st_dev, s.st_ino, s.st_size, getattr(s, 'st_mtime_ns', -1)]
    except (OSError, ValueError):
        watched[p] = None

def fields(p):
    found = {}
    with open(p, 'rb') as f:
        for line in f:
            key, _, value = line.partition(b':')
            key, value = key.lower(), value.strip().decode('utf-8', 'replace')
            if not line.strip() or len(found) == 2:
                break
            if key in (b'name', b'version') and value:
                found.setdefault(key, value)
    return found.get(b'name'), found.get(b'version')

def age(p):
    return os.stat(p).st_mtime

packages, where = {}, {}
def add(d, n, kind):
    p = d if n == 'EGG-INFO' else os.path.join(d, n)
    f = os.path.join(d, n)
    if kind == 'dist-info':
        f = os.path.join(f, 'METADATA')
    elif os.path.isdir(f):
        f = os.path.join(f, 'PKG-INFO')
    if kind != 'dist-info':
        watch(f)
    name, version = fields(f)
    guess = os.path.basename(p).rsplit('.', 1)[0].split('-') + ['']
    name, version = name or guess[0], version or guess[1]
    key = name.lower().replace('_', '-').replace('.', '-')
    if not name or not version:
        return
    if key in where:
        first, other = where[key]
        if other != d or age(first[0]) >= age(p):
            return
        del packages[first[1]]
    where[key] = ((p, name), d)
    packages[name] = version

def scan(d):
    watch(d)
    try:
        names = sorted(os.listdir(d or '.'))
    except OSError:
        return
    for n in names:
        kind = n.rsplit('.', 1)[-1].lower()
        if kind == 'pth':
            watch(os.path.join(d, n))
        elif (kind in ('dist-info', 'egg-info') or n == 'EGG-INFO') and n[0] != '~':
            try:
                add(d, n, kind)
            except (OSError, ValueError):
                pass

exe = os.path.dirname(sys.executable)
for p in (sys.executable, os.path.join(exe, 'pyvenv.cfg'),
          os.path.join(os.path.dirname(exe), 'pyvenv.cfg')):
    watch(p)
for n in ('sitecustomize', 'usercustomize'):
    p = getattr(sys.modules.get(n), '__file__', None)
    if p:
        watch(p)
for d in path:
    if d not in watched:
        scan(d)
try:
    more = list(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        more.append(site.getusersitepackages())
except AttributeError:
    more = []
for d in more:
    if d not in watched:
        watch(d)

version = sys.version.split()[0]
if 't' in getattr(sys, 'abiflags', ''):
    version += 't'
if hasattr(sys, 'pypy_version_info'):
    version += ' (PyPy %d.%d.%d)' % tuple(sys.pypy_version_info[:3])
out = json.dumps({'version': version, 'executable': sys.executable, 'packages': packages,
                  'watched': sorted(watched.items())})
out = b'\x02gittrack' + out.encode('ascii') + b'gittrack\x03'
while out:
    out = out[os.write(1, out):]
os._exit(0)
"""


def asking(words: Sequence[str], *, packed: bool) -> tuple[str, ...]:
    """Give the command line that asks the interpreter which `words` start.

    `packed` writes the script without quotes and line breaks.
    """
    # `conda run` refuses newlines and `pixi run` reads quotes: hexadecimal survives both.
    script = f"exec(bytearray.fromhex('{_SCRIPT.encode().hex()}').decode())" if packed else _SCRIPT
    return (*words, "-c", script)


class Unknown(Exception):
    """A sentence saying why a question has no answer."""


class Python(NamedTuple):
    """An interpreter's answer, with the state of every file that it rests on."""

    version: str | None
    packages: Mapping[str, str]
    watched: tuple[tuple[str, list[int] | None], ...]

    def as_json(self) -> dict[str, Any]:
        """Give what `from_json` reads."""
        return {"version": self.version, "packages": self.packages, "watched": self.watched}

    @classmethod
    def from_json(cls, value: Any) -> Python:
        """Read what `as_json` gave.

        Raises:
            ValueError, KeyError, TypeError: it is anything else.
        """
        version, packages = value["version"], value["packages"]
        watched = tuple((path, state) for path, state in value["watched"])
        texts = [version, *packages, *packages.values(), *(path for path, _ in watched)]
        if not watched or not all(isinstance(text, str) for text in texts):
            raise ValueError("not an interpreter's answer")
        names = sorted(packages, key=str.lower)
        return cls(version, {clean(name): clean(packages[name]) for name in names}, watched)

    def unchanged(self) -> bool:
        """Tell whether every file is as it was when the interpreter was asked."""
        return all(_state(path) == state for path, state in self.watched)


class _Answer(NamedTuple):
    python: Python
    executable: str

    def lasting(self, asked: str, started: int) -> bool:
        """Tell whether a later change would be seen, and whether this is about what was asked.

        What changed just before or after the question may change again within one tick of the
        file system's clock; a program that only stands for another may stand for a third tomorrow.
        """
        if os.path.normpath(self.executable) != os.path.normpath(asked):
            return False
        times = (state[3] for _, state in self.python.watched if state)
        return all(when < started - _tick(when) for when in times)


def _tick(when: int) -> int:
    """Give the file system's granularity in ns: whole seconds betray a coarse clock."""
    return 2_000_000_000 if when % 1_000_000_000 == 0 else 50_000_000


def _parse(output: bytes, asked: str) -> _Answer:
    start, end = output.rfind(_BEGIN), output.rfind(_END)
    try:
        if start < 0 or end < start:
            raise ValueError("no answer")
        value = json.loads(output[start + len(_BEGIN) - 1 : end + 1])
        return _Answer(Python.from_json(value), str(value["executable"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unknown(f"{asked} did not tell its packages") from None


class Question:
    """A process that answers on its standard output, in a session of its own."""

    def __init__(self, words: Sequence[str], *, env: Mapping[str, str], cwd: str) -> None:
        import subprocess

        self._name = words[0]
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            list(words),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def is_done(self) -> bool:
        """Whether it has ended, so that `answer` will not wait."""
        return self._process is None or self._process.poll() is not None

    def answer(self, seconds: float, none: tuple[int, ...] = ()) -> bytes:
        """Wait for all of it; an exit code in `none` is an empty answer.

        Raises:
            Unknown: it took longer than `seconds`, or failed.
        """
        import subprocess

        assert self._process is not None
        try:
            output, _ = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise Unknown(f"{self._name} did not answer within {seconds:g} s") from None
        code = self._process.returncode
        if code in none:
            return b""
        if code != 0:
            raise Unknown(f"{self._name} failed with exit code {code} when asked")
        return output

    def stop(self) -> None:
        """Kill it and whatever it started; nothing if it has been stopped before."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            import signal

            try:
                os.killpg(process.pid, signal.SIGKILL)
            except OSError:
                process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


# Remembering ------------------------------------------------------------------------------------


def _state(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


def remembered(cache: Path, key: str) -> Python | None:
    """Give an earlier answer if every file that it rests on is unchanged."""
    try:
        python = Python.from_json(load(cache, key))
        return python if python.unchanged() else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def learn(cache: Path, key: str | None, *, asked: str, output: bytes, started: int) -> Python:
    """Read the answer of the interpreter `asked`, and keep it under `key` if a change would show.

    `started` is the time in ns before the question.

    Raises:
        Unknown: `output` holds no answer.
    """
    answer = _parse(output, asked)
    if key is not None and answer.lasting(asked, started):
        store(cache, key, answer.python.as_json())
    return answer.python


def load(cache: Path, key: str) -> Any:
    """Give what was stored under `key`; None if nothing was, or nothing that can be read."""
    try:
        with open(_file(cache, key), "rb") as file:
            value = json.loads(file.read())
        fits = value["format"] == _FORMAT and value["key"] == key
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return value["value"] if fits and "value" in value else None


def store(cache: Path, key: str, value: Mapping[str, Any]) -> None:
    """Keep `value`, whole or not at all; a directory that cannot be written keeps nothing."""
    path = _file(cache, key)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(cache, exist_ok=True)
        with open(temporary, "w", encoding="ascii") as file:
            json.dump({"format": _FORMAT, "key": key, "value": value}, file)
        os.replace(temporary, path)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass


def _file(cache: Path, key: str) -> str:
    # Two keys of one checksum take turns in one file: the key inside decides.
    return os.path.join(cache, f"{zlib.crc32(key.encode('utf-8', 'surrogatepass')):08x}.json")


def clean(text: str) -> str:
    """Replace what UTF-8 cannot hold: bytes that came in as lone surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
