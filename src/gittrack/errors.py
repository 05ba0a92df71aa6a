"""The exceptions that gittrack raises on purpose, one class for each situation to react to.

    GittrackError                 the request could not be met (exit code 1)
    +-- UsageError                the request itself is malformed (exit code 2)
    |   +-- BadName               a run, experiment, tag or key that the grammar refuses
    |   +-- UnknownKey            a param, metric, column or attribute that no run has
    |   `-- QueryError            a query that makes no sense, with the place in its text
    +-- RepositoryError           the repository cannot be used
    |   +-- NotARepository        no Git repository here
    |   +-- UnsupportedRepository a kind that gittrack cannot open, or cannot do this in
    |   +-- UntrustedRepository   Git refuses it: another user owns it
    |   `-- GitTooOld             the installed Git lacks what gittrack needs
    +-- GitFailed                 a git command or libgit2 said no
    +-- WriteFailed               the record could not be written (disk full, read-only)
    +-- RunNotFound               no run answers to this selector
    |   `-- ModelNotFound         no model, version or stage does
    +-- AmbiguousRun              more than one does
    +-- RunExists                 the ref is taken
    +-- RunChanged                a ref no longer points where we saw it
    +-- VersionExists             the version is registered already, or the run is
    +-- StageRefused              a rule of the stage, or its condition, is not met
    +-- RegistryChanged           somebody else decided meanwhile
    +-- BrokenRecord              a run commit whose record cannot be read
    +-- BadFile                   a file of params, metrics or pointers that cannot be understood
    +-- BadPath                   a path to data or an artifact that cannot be used
    +-- DataMissing               content that neither the cache nor a data remote has
    +-- DataDamaged               content that is not what its hash says
    +-- DataFailed                DVC, or a data remote, refused
    +-- CannotClean               what is not needed any more cannot be known for certain
    +-- BadValue                  a value that cannot be recorded
    +-- NoActiveRun               logging outside of a run
    +-- LibraryMissing            an optional library is not installed
    +-- RunActive                 a run is under way where another was to begin
    `-- CommandNotStarted         the command to record could not be executed (126, 127)

The message says what happened to which thing; the hint says which command helps.
Nothing here prints: `gittrack.cli` does.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AmbiguousRun",
    "BadFile",
    "BadName",
    "BadPath",
    "BadValue",
    "BrokenRecord",
    "CannotClean",
    "CommandNotStarted",
    "DataDamaged",
    "DataFailed",
    "DataMissing",
    "GitFailed",
    "GitTooOld",
    "GittrackError",
    "LibraryMissing",
    "ModelNotFound",
    "NoActiveRun",
    "NotARepository",
    "QueryError",
    "RegistryChanged",
    "RepositoryError",
    "RunActive",
    "RunChanged",
    "RunExists",
    "RunNotFound",
    "StageRefused",
    "UnknownKey",
    "UnsupportedRepository",
    "UntrustedRepository",
    "UsageError",
    "VersionExists",
    "WriteFailed",
]


class GittrackError(Exception):
    """Something that the user can understand and act upon."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint is not None and hasattr(self, "add_note"):
            # Since Python 3.11 a traceback ends with it.
            self.add_note(f"hint: {hint}")


class UsageError(GittrackError):
    """The request is malformed, whatever the repository holds."""

    exit_code = 2


class BadName(UsageError):
    """A name that the grammar of runs, experiments, tags or keys refuses."""


class UnknownKey(UsageError):
    """A param, metric, column or attribute that no run has; `key` is what was asked for."""

    def __init__(self, message: str, *, key: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.key = key


class QueryError(UsageError):
    """A query that makes no sense: `reason` is why, `text[start:end]` what it is about.

    The message is the reason and, beneath, the query on one line with carets under the place; of a
    long query only what stands around it.
    """

    def __init__(
        self, reason: str, *, text: str, start: int, end: int, hint: str | None = None
    ) -> None:
        super().__init__(f"{reason}\n{_pointed(text, start, end)}", hint=hint)
        self.reason = reason
        self.text = text
        self.start = start
        self.end = end


_WIDEST = 72
_BEFORE = 30


def _pointed(text: str, start: int, end: int) -> str:
    """Two lines: what stands around a place, each character as a terminal can show it; carets."""
    first = 0 if len(text) <= _WIDEST else max(0, start - _BEFORE)
    last = min(len(text), first + _WIDEST)
    shown, carets = ("...", "   ") if first else ("", "")
    for place in range(first, last):
        char = text[place]
        char = char if char.isprintable() else ascii(char)[1:-1]
        shown += char
        carets += (" " if place < start else "^" if place < end else "") * _columns(char)
    if "^" not in carets:
        carets += "^"
    return f"    {shown}{'...' if last < len(text) else ''}\n    {carets.rstrip()}"


def _columns(char: str) -> int:
    if char.isascii():
        return len(char)
    from unicodedata import combining, east_asian_width

    return 0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1


class RepositoryError(GittrackError):
    """The repository cannot be used as it is."""


class NotARepository(RepositoryError):
    """There is no Git repository at or above the directory."""


class UnsupportedRepository(RepositoryError):
    """The repository is of a kind in which this cannot be done."""


class UntrustedRepository(RepositoryError):
    """Git refuses the repository because somebody else owns it; the message is Git's own."""


class GitTooOld(RepositoryError):
    """The installed Git is older than the oldest that gittrack supports."""


class GitFailed(GittrackError):
    """A git command or libgit2 refused; `stderr` is its own words."""

    def __init__(self, message: str, *, stderr: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.stderr = stderr


class WriteFailed(GittrackError):
    """The record could not be written; nothing of it exists."""


class RunNotFound(GittrackError):
    """No run answers to `selector`."""

    def __init__(self, message: str, *, selector: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.selector = selector


class ModelNotFound(RunNotFound):
    """No model, version or stage answers to `selector`."""


class VersionExists(GittrackError):
    """A version that is registered already, or a run that is a version of the model already."""


class StageRefused(GittrackError):
    """A stage that a rule, or a condition that was named, does not let a version have."""


class RegistryChanged(GittrackError):
    """What a decision was about is not as it was when it was made; `git track model promote
    --again` decides upon what is there now."""


class AmbiguousRun(GittrackError):
    """More than one run answers to `selector`; `candidates` are their names."""

    def __init__(
        self, message: str, *, selector: str, candidates: Sequence[str], hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.selector = selector
        self.candidates = tuple(candidates)


class RunExists(GittrackError):
    """A ref of this name exists already; `commit` is where it points."""

    def __init__(self, message: str, *, commit: str) -> None:
        super().__init__(message)
        self.commit = commit


class RunChanged(GittrackError):
    """A ref is not where the caller saw it; somebody else changed it first."""


class BrokenRecord(GittrackError):
    """A run commit whose record cannot be read; `where` is its ref or commit."""

    def __init__(self, message: str, *, where: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.where = where


class BadFile(GittrackError):
    """A file of params, metrics or pointers that cannot be understood; `path` is the file."""

    def __init__(self, message: str, *, path: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class BadPath(GittrackError):
    """A path to data or an artifact that cannot be used: missing, a device, outside, hostile."""

    def __init__(self, message: str, *, path: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class DataMissing(GittrackError):
    """Content that is neither in the cache nor, as far as was asked, in a data remote."""

    def __init__(self, message: str, *, md5s: Sequence[str], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.md5s = tuple(md5s)


class DataDamaged(GittrackError):
    """Content under the hash `md5` that has another one."""

    def __init__(self, message: str, *, md5: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.md5 = md5


class DataFailed(GittrackError):
    """DVC or a data remote refused; what was carried before stays."""


class CannotClean(GittrackError):
    """What is not needed any more cannot be known for certain; nothing was removed."""


class BadValue(GittrackError):
    """A value that cannot be recorded, such as a metric that is no number."""


class NoActiveRun(GittrackError):
    """Something was logged where no run is active."""


class LibraryMissing(GittrackError):
    """What was asked for takes an optional library, `library`, which is not installed."""

    def __init__(self, message: str, *, library: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.library = library


class RunActive(GittrackError):
    """A run is under way in this process; `name` is its name."""

    def __init__(self, message: str, *, name: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.name = name


class CommandNotStarted(GittrackError):
    """The command could not be executed; `exit_code` is the shell's: 127 not found, 126 refused."""

    def __init__(self, message: str, *, exit_code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
