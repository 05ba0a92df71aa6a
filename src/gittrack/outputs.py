"""Values handed to the next step of a pipeline, in the forms that CI hosts read.

Knows how no value, whoever wrote it, can set another one. GitHub: the file of `GITHUB_OUTPUT`,
`key=value` lines or here-documents whose end nobody can guess. GitLab: a `dotenv` report, which has
one line a value. Writes no file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gittrack.quoting import one_line, printable, utf8

__all__ = ["dotenv", "github"]


def github(values: Mapping[str, str], *, mark: Callable[[], str]) -> str:
    """The lines to append to the file of step outputs; control characters are escaped.

    `mark` gives the end of a here-document, another one each time, that no value can foresee.
    """
    return "".join(_github(key, printable(utf8(value)), mark) for key, value in values.items())


def _github(key: str, value: str, mark: Callable[[], str]) -> str:
    if "\n" not in value:
        return f"{key}={value}\n"
    end = mark()
    while end in value:
        end = mark()
    return f"{key}<<{end}\n{value}\n{end}\n"


def dotenv(values: Mapping[str, str]) -> str:
    """A file of variables, `KEY=value`, each value on one line.

    A `$` is doubled, which is how GitLab is told not to put a variable's value there.
    """
    lines = []
    for key, value in values.items():
        line = one_line(utf8(" ".join(value.split())))
        lines.append(f"{key}={line.replace('$', '$$')}\n")
    return "".join(lines)
