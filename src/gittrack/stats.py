"""The memory of hashes: what `stat` says of a file -> the MD5 of its content.

Knows one SQLite file that may vanish at any time. Reads no data, and knows no path of it.
"""

from __future__ import annotations

import os
import stat
import threading
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gittrack.inode import Numbers, numbers, settled

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Stats"]

_VERSION = 1
_LARGEST = 1 << 28
_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    device INTEGER, inode INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER, md5 BLOB,
    PRIMARY KEY (device, inode)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS directories (
    device INTEGER, inode INTEGER, stamp BLOB, md5s BLOB, PRIMARY KEY (device, inode)
);
"""
_MANY = 500


class Stats:
    """Remembers the hashes of files by what `stat` says of them. Disposable; damage means empty.

    Any number of processes and threads may use one at the same time. Nothing here fails: what
    cannot be read is not known, what cannot be written is known to this process alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[tuple[int, int], tuple[Numbers, str]] = {}
        self._directories: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._parents: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._given_up = False
        self._busy = False

    def get(self, status: os.stat_result) -> str | None:
        """The MD5 of the file that `stat` described so; None if it is not known."""
        return self.get_all([numbers(status)])[0]

    def get_all(self, asked: Sequence[Numbers]) -> list[str | None]:
        """The MD5 of each file, None where it is not known."""
        with self._guard():
            new = self._files
            known = {one[:2]: new[one[:2]] for one in asked if one[:2] in new}
            rest = [one for one in asked if one[:2] not in known]
            for start in range(0, len(rest), _MANY):
                known.update(self._stored(rest[start : start + _MANY]))
        found = []
        for one in asked:
            entry = known.get(one[:2])
            found.append(entry[1] if entry and entry[0] == one else None)
        return found

    def _stored(self, asked: Sequence[Numbers]) -> dict[tuple[int, int], tuple[Numbers, str]]:
        inodes: dict[int, list[int]] = {}
        for one in asked:
            inodes.setdefault(one[0], []).append(_signed(one[1]))
        found = {}
        for device, several in inodes.items():
            marks = ",".join("?" * len(several))
            for row in self._ask(
                "SELECT inode, size, mtime, ctime, md5 FROM files"
                f" WHERE device = ? AND inode IN ({marks})",
                (_signed(device), *several),
            ):
                inode, size, mtime, ctime, md5 = row
                if isinstance(md5, bytes) and len(md5) == 16:
                    inode = _unsigned(inode)
                    found[device, inode] = ((device, inode, size, mtime, ctime), md5.hex())
        return found

    def put(self, status: os.stat_result, md5: str, *, when: int) -> None:
        """Remember the MD5 of a file, unless it changed in the minute before `when`.

        What is remembered is trusted, also where content is kept: hence `inode.settled`.

        `status` was the same before and after the file was read, and `when` is the time
        (`time.time_ns`) at, or before, the second look.
        """
        self.put_all([(numbers(status), md5)], when=when)

    def put_all(self, found: Iterable[tuple[Numbers, str]], *, when: int) -> None:
        """Remember many files as `put` does one."""
        with self._guard():
            for one, md5 in found:
                if settled(one, when=when):
                    self._files[one[:2]] = (one, md5)

    def get_directory(self, place: tuple[int, int], stamp: bytes) -> bytes | None:
        """The MD5s of a whole directory, as `put_directory` got them; None if another `stamp`."""
        with self._guard():
            entry = self._directories.get(place)
            if entry is None:
                rows = self._ask(
                    "SELECT stamp, md5s FROM directories WHERE device = ? AND inode = ?",
                    (_signed(place[0]), _signed(place[1])),
                )
                entry = rows[0] if rows else None
        return entry[1] if entry and entry[0] == stamp and isinstance(entry[1], bytes) else None

    def put_directory(self, place: tuple[int, int], stamp: bytes, md5s: bytes) -> None:
        """Remember the MD5s of a directory's files under a stamp made of their `stat` results."""
        with self._guard():
            self._directories[place] = (stamp, md5s)

    def flush(self) -> None:
        """Write down what is new; a failure to write is none."""
        with self._guard():
            if not self._files and not self._directories:
                return
            files = [
                (_signed(one[0]), _signed(one[1]), *one[2:], bytes.fromhex(md5))
                for one, md5 in self._files.values()
            ]
            directories = [
                (_signed(place[0]), _signed(place[1]), *entry)
                for place, entry in self._directories.items()
            ]
            if self._write(files, directories):
                self._files.clear()
                self._directories.clear()

    # -- the file -------------------------------------------------------------------------------

    def _guard(self) -> threading.RLock:
        """What one thread holds at a time; in a child of fork a new one, and a new connection."""
        if self._process != os.getpid():
            # The parent's connection is kept, unused: closing it would undo what it has open.
            self._parents, self._connection = self._connection, None
            self._lock, self._process = threading.RLock(), os.getpid()
        return self._lock

    def _ask(self, question: str, values: Sequence[int]) -> list[Any]:
        connection = None if self._busy else self._open(make=False)
        if connection is None:
            return []
        import sqlite3

        try:
            return connection.execute(question, values).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            self._mend(error)
            return []

    def _write(self, files: list[Any], directories: list[Any]) -> bool:
        import sqlite3

        self._busy = False
        for _ in range(2):
            connection = self._open(make=True)
            if connection is None:
                return False
            try:
                with connection:
                    if self._path.stat().st_size > _LARGEST:
                        connection.execute("DELETE FROM files")
                        connection.execute("DELETE FROM directories")
                    connection.executemany("REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", files)
                    connection.executemany(
                        "REPLACE INTO directories VALUES (?, ?, ?, ?)", directories
                    )
                return True
            except (sqlite3.Error, OverflowError, OSError) as error:
                if not self._mend(error):
                    return False
        return False

    def _open(self, *, make: bool) -> sqlite3.Connection | None:
        """The connection of this process; None where there is no file that can be used."""
        if self._connection is None and not self._given_up:
            self._connection = self._connect(make=make)
            if self._connection is not None:
                weakref.finalize(self, _close, self._connection, os.getpid())
        return self._connection

    def _connect(self, *, make: bool) -> sqlite3.Connection | None:
        try:
            there = stat.S_ISREG(os.lstat(self._path).st_mode)
        except OSError:
            if not make:
                return None
            there = True
        import sqlite3

        try:
            # Never through a symlink, and never a pipe, at which SQLite would wait for ever.
            if not there:
                raise OSError
            if make:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=0.5, check_same_thread=False)
        except (OSError, sqlite3.Error):
            self._given_up = True
            return None
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(f"{_TABLES}PRAGMA user_version = {_VERSION};")
            if version > _VERSION:
                raise sqlite3.OperationalError("readonly: a later gittrack wrote it")
        except sqlite3.Error as error:
            self._connection = connection
            return self._connect(make=True) if self._mend(error) and make else None
        return connection

    def _mend(self, error: Exception) -> bool:
        """After a failure: do without the file, or remove one that is no database of ours.

        True where it was removed, and a new one may be made.
        """
        import sqlite3

        if self._connection is not None:
            self._connection.close()
            self._connection = None
        busy = isinstance(error, sqlite3.OperationalError) and "no such" not in str(error)
        if self._given_up or busy or not isinstance(error, sqlite3.DatabaseError):
            self._busy = "locked" in str(error)
            self._given_up = self._given_up or not self._busy
            return False
        try:
            # The journal first: the next database must not be rolled back with it.
            Path(f"{self._path}-journal").unlink(missing_ok=True)
            self._path.unlink()
        except OSError:
            self._given_up = True
        return not self._given_up


def _signed(number: int) -> int:
    """SQLite's integers have a sign; inode numbers use all 64 bits on some file systems."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _unsigned(number: int) -> int:
    return number + (1 << 64) if number < 0 else number


def _close(connection: sqlite3.Connection, owner: int) -> None:
    """Close what a memory leaves open; in a forked child it is the parent's."""
    if owner == os.getpid():
        connection.close()
