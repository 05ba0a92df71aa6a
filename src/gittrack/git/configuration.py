"""What Git's configuration says of this repository, and of who works in it.

Asked of the executable, so that includes, conditions and `git -c` count. Knows none of
gittrack's own settings.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from gittrack.git.executable import Executable, text
from gittrack.git.values import Identity

__all__ = ["Configuration"]


class Configuration(Executable):
    """The settings of a repository, read once."""

    _config: dict[str, str] | None = None

    @property
    def config(self) -> Mapping[str, str]:
        """Git's configuration, the last value of each key; keys as `git config --list` prints them.

        Includes, `git -c` and the environment count, because Git itself reads them.
        """
        if self._config is None:
            self._config = {}
            for item in self.git("config", "--list", "-z", "--includes").split(b"\0"):
                key, _, value = text(item).partition("\n")
                if key:
                    self._config[key] = value
        return self._config

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean setting by Git's rules: `true`, `yes`, `on`, `1` and a bare key are true."""
        value = self.config.get(key)
        if value is None:
            return default
        return value.lower() in ("", "true", "yes", "on", "1")

    def set_config(self, key: str, value: str) -> None:
        """Write one setting of this repository."""
        self.git("config", key, value)
        self._config = None

    def identity(self) -> Identity:
        """Who is working here: Git's environment and settings, else the login name and host.

        A run must not be lost for want of a name, so nothing here fails.
        """
        found = {}
        for part in ("name", "email"):
            found[part] = (
                os.environ.get(f"GIT_AUTHOR_{part.upper()}")
                or self.config.get(f"author.{part}")
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
