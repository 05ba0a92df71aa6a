"""Which files DVC does not see: its own rules, and those of `.dvcignore`.

Knows DVC's way with rules from several directories. Lists nothing itself.

Source: dvc/ignore.py and dvc/pathspec_math.py of DVC 3, followed where they differ from Git.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from gittrack.errors import BadPath

__all__ = ["FILE", "Ignores", "of"]

FILE = ".dvcignore"

_NEVER = frozenset((".git",))
_NEVER_ENTERED = frozenset((".git", ".hg", ".dvc"))


class Ignores:
    """The rules that hold in one directory; paths are relative to the root of the rules, with `/`.

    Immutable: `entering` gives those of a directory below.
    """

    def __init__(self, rules: tuple[str, ...] = ()) -> None:
        self._rules = rules
        self._tests = _compiled(rules) if rules else ()

    @property
    def plain(self) -> bool:
        """Whether there are no rules but DVC's own."""
        return not self._rules

    def file(self, path: str, name: str) -> bool:
        """Whether DVC skips the file at `path`, in a directory that it does not skip."""
        return name in _NEVER if not self._tests else self._matches(path, directory=False)

    def directory(self, path: str, name: str) -> bool:
        """Whether DVC skips the directory at `path`, in one that it does not skip."""
        return name in _NEVER_ENTERED if not self._tests else self._matches(path, directory=True)

    def _matches(self, path: str, *, directory: bool) -> bool:
        for test, ignore, directories_only in self._tests:
            if directories_only and not directory:
                continue
            if test.match(path) or (directory and test.match(path + "/")):
                return ignore
        return False

    def entering(self, directory: str, place: str) -> Ignores:
        """The rules in the directory `place`, which is at `directory` relative to the root.

        Raises:
            BadPath: its `.dvcignore` cannot be read.
        """
        file = f"{directory}/{FILE}" if directory else FILE
        if self.file(file, FILE):
            return self
        own = _read(os.path.join(place, FILE))
        if not own:
            return self
        moved = [_moved(rule, directory) for rule in own] if directory else own
        return Ignores((*(self._rules or _OWN), *moved))


_OWN = (".hg/", ".git/", ".git", ".dvc/")


def of(path: str) -> tuple[Ignores, str]:
    """The rules above `path`, and what it is called by them: relative to DVC's root, with `/`.

    The root is the nearest directory above with a `.dvc`, else with a `.git`, else the one that
    `path` is in.

    Raises:
        BadPath: a `.dvcignore` cannot be read.
    """
    whole = os.path.abspath(path)
    root = _root(whole)
    parts = os.path.relpath(whole, root).split(os.sep)
    found = Ignores()
    place, below = root, ""
    for part in parts:
        found = found.entering(below, place)
        place, below = os.path.join(place, part), f"{below}/{part}" if below else part
    return found, below


def _root(path: str) -> str:
    above = parent = os.path.dirname(path)
    git = None
    while True:
        if os.path.isdir(os.path.join(above, ".dvc")):
            return above
        if git is None and os.path.lexists(os.path.join(above, ".git")):
            git = above
        higher = os.path.dirname(above)
        if higher == above:
            return git or parent
        above = higher


def _read(file: str) -> list[str]:
    try:
        with open(file, encoding="utf-8") as lines:
            return [rule for line in lines if (rule := line.strip()) and rule[0] != "#"]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise BadPath(f"cannot read '{file}': {reason}", path=file) from error


def _moved(rule: str, directory: str) -> str:
    """The rule of a directory as one of the root (`change_rule` in dvc/pathspec_math.py)."""
    negated = rule.startswith("!")
    rule = rule.removeprefix("!")
    anchored = "/" in rule[:-1] and not rule.startswith("**/")
    rule = rule.removeprefix("/" if anchored else "**/").removeprefix("\\")
    return f"{'!/' if negated else ''}{directory}/{'' if anchored else '**/'}{rule}"


def _compiled(rules: Iterable[str]) -> tuple[tuple[re.Pattern[str], bool, bool], ...]:
    """The rules as (expression, ignores?, directories only?), the last first, neighbours joined."""
    from itertools import groupby

    tests = []
    for (ignore, directories_only), group in groupby(_expressions(rules), lambda one: one[1:]):
        tests.append((re.compile("|".join(one[0] for one in group)), ignore, directories_only))
    return tuple(reversed(tests))


def _expressions(rules: Iterable[str]) -> list[tuple[str, bool, bool]]:
    try:
        from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern as Pattern
    except ImportError:  # pathspec before 1.0
        from pathspec.patterns import GitWildMatchPattern as Pattern  # type: ignore[attr-defined]
    found = []
    for rule in rules:
        try:
            expression, ignore = Pattern.pattern_to_regex(rule)
        except ValueError as error:
            raise BadPath(
                f"'{FILE}' has the rule {rule[:60]!r}, which is no pattern", path=FILE
            ) from error
        if expression is not None and ignore is not None:
            # The name of the group would stand there more than once.
            unnamed = re.sub(r"\(\?P<\w+>", "(?:", expression)
            found.append((f"(?:{unnamed})", ignore, rule.endswith("/")))
    return found
