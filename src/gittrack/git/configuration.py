"""What Git's configuration says of this repository, and of who works in it.

Asked of the executable, so that includes, conditions and `git -c` count. Knows none of
gittrack's own settings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Literal

from gittrack.errors import GitFailed, UsageError
from gittrack.git.executable import Executable, text
from gittrack.git.values import Identity

__all__ = ["Configuration"]

_NO_MOMENT = 1 << 62
_DAY = 86400


class Configuration(Executable):
    """The settings of a repository, read once."""

    _config: dict[str, str] | None = None
    _bare: frozenset[str] = frozenset()
    _every: Mapping[str, tuple[str, ...]] = {}

    @property
    def config(self) -> Mapping[str, str]:
        """Git's configuration, the last value of each key; keys as `git config --list` prints them.

        Includes, `git -c` and the environment count, because Git itself reads them.
        """
        if self._config is None:
            self._config = {}
            bare: set[str] = set()
            every: dict[str, tuple[str, ...]] = {}
            for item in self.git("config", "--list", "-z", "--includes").split(b"\0"):
                key, equals, value = text(item).partition("\n")
                if key:
                    self._config[key] = value
                    every[key] = (*every.get(key, ()), value)
                    (bare.discard if equals else bare.add)(key)
            self._bare = frozenset(bare)
            self._every = every
        return self._config

    def config_all(self, key: str) -> tuple[str, ...]:
        """Every value of a setting that may be given several times, in the order of the files.

        An empty value throws away those before it, as Git has it for its own such settings. `key`
        as in `config`.
        """
        values = self._every.get(key, ()) if key in self.config else ()
        last = max((i for i, value in enumerate(values) if not value), default=-1)
        return values[last + 1 :]

    def seconds(self, name: str, *, default: float, least: float = 0) -> float:
        """A setting that is a time in seconds, from `least` to a day; `name` as a user writes it.

        Raises:
            UsageError: the value is no such number.
        """
        text = self.config.get(name.lower(), str(default))
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not least <= value <= _DAY:
            span = f"from {least:g} to a day" if least else "up to a day"
            raise UsageError(
                f"{name} is {text[:60]!r}, not a number of seconds {span}",
                hint=f"`git config {name} {default:g}`",
            )
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean setting by Git's rules (git-config(1)): a bare key is true, an empty one false.

        Raises:
            UsageError: the value is none of `true`, `yes`, `on`, `false`, `no`, `off`, an integer.
        """
        value = self.config.get(key)
        if value is None:
            return default
        if key in self._bare or value.lower() in ("true", "yes", "on"):
            return True
        if value.lower() in ("", "false", "no", "off"):
            return False
        if number := re.fullmatch(r"\s*[+-]?([0-9]+)[kKmMgG]?", value):
            return int(number[1]) != 0
        raise UsageError(
            f"bad boolean config value {value[:60]!r} for '{key}'", hint="set it to true or false."
        )

    def expiry(self, key: str, *, default: str) -> float:
        """A point in time as Git sets one (`gc.pruneExpire`): what is older may go.

        Seconds since the epoch; `never` is 0, `now` infinite. `default` is in Git's words, too.

        Raises:
            UsageError: Git does not understand the value.
        """
        words = ("--type=expiry-date", "--default", default, "--get", key)
        try:
            moment = int(self.git("config", *words))
        except GitFailed as error:
            value = self.config.get(key.lower(), "")
            raise UsageError(
                f"bad date {value[:60]!r} for '{key}'",
                hint="set it in Git's words: '2.weeks.ago', 'now', 'never'.",
            ) from error
        return moment if moment < _NO_MOMENT else float("inf")

    def set_config(self, key: str, value: str) -> None:
        """Write one setting of this repository."""
        self.git("config", key, value)
        self._config = None

    def identity(self, role: Literal["author", "committer"] = "author") -> Identity:
        """Who is working here: Git's environment and settings, else the login name and host.

        Git takes the committer for whoever makes a tag. A run must not be lost for want of a name,
        so nothing here fails.
        """
        found = {}
        for part in ("name", "email"):
            found[part] = (
                os.environ.get(f"GIT_{role.upper()}_{part.upper()}")
                or self.config.get(f"{role}.{part}")
                or self.config.get(f"user.{part}")
            )
        login = _login()
        name = _clean_identity(found["name"] or login) or "unknown"
        email = _clean_identity(found["email"] or f"{login}@{os.uname().nodename}")
        return Identity(name, email)


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())


def _clean_identity(text: str) -> str:
    """What Git keeps of a name: no angle brackets, no line breaks (ident.c); always UTF-8."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c for c in text if c not in "<>\n\0").strip(" .,:;\"\\'")
