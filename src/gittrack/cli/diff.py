"""`git track diff`: what differs between runs, their code included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.completing import run_names
from gittrack.cli.main import open_repo
from gittrack.cli.output import Command, Screen, json_option, page, say, screen

if TYPE_CHECKING:
    from gittrack.difference import Difference, Line, Part
    from gittrack.git import Repo
    from gittrack.refs import RunRef

__all__ = ["changes", "diff", "difference_options", "patch", "present", "stat"]

Change = tuple[str, str, int, int]

_MOST_FILES = 6
_MOST_COUNTED = 20
_CONTENTS = ("data", "artifacts")


def difference_options(command: Command) -> Command:
    """Add what commands that compare runs take: `--code` and `--exit-code`."""
    command = click.option(
        "--exit-code", is_flag=True, help="End with 1 if anything differs, 0 if nothing."
    )(command)
    return click.option("--code", is_flag=True, help="Show how the code differs, as a patch.")(
        command
    )


@click.command()
@click.argument("selectors", metavar="[RUN]...", nargs=-1, shell_complete=run_names)
@difference_options
@json_option
@click.pass_context
def diff(
    ctx: click.Context, selectors: Sequence[str], code: bool, exit_code: bool, as_json: bool
) -> None:
    """Show what differs between runs.

    One RUN is compared with the latest, none means the latest two. A branch stands for the newest
    run made from it. Several runs are compared side by side; their code with the first one's.

    \b
    $ git track diff blue amber
    $ git track diff main feature --code
    $ git track diff latest~1 latest --exit-code
    """
    from gittrack import revisions

    repo = open_repo(ctx)
    selectors = _completed(selectors)
    found = [revisions.resolve(repo, selector) for selector in selectors]
    differs = present(repo, found, code=code, as_json=as_json)
    for note in _repeated(selectors, found):
        say(note)
    if exit_code and differs:
        ctx.exit(1)


def present(repo: Repo, found: Sequence[RunRef], *, code: bool, as_json: bool) -> bool:
    """Print what differs between runs -> whether anything does; with `code` only that, as a patch.

    Raises:
        BrokenRecord: one cannot be read.
    """
    from gittrack import commits
    from gittrack.difference import compare

    compared = compare([commits.load(repo, ref) for ref in found])
    code_changes = [_changes(repo, found[0], ref) for ref in found[1:]]
    shown = screen()
    if code and not as_json:
        page(repo, "".join(_patch(repo, found[0], ref, shown) for ref in found[1:]))
    elif as_json:
        from gittrack import exports

        page(repo, exports.as_json(_fields(compared, found, code_changes)))
    else:
        page(repo, _drawn(compared, code_changes, shown))
    return not compared.empty or any(code_changes)


def _completed(selectors: Sequence[str]) -> Sequence[str]:
    if len(selectors) > 1:
        return selectors
    return (*(selectors or ["latest~1"]), "latest")


def _repeated(selectors: Sequence[str], found: Sequence[RunRef]) -> list[str]:
    """A sentence for each selector that names a run which one before it has named."""
    first: dict[RunRef, str] = {}
    notes = []
    for selector, ref in zip(selectors, found, strict=True):
        if ref in first:
            notes.append(f"note: '{first[ref]}' and '{selector}' are the same run ({ref.name})")
        first.setdefault(ref, selector)
    return notes


def _changes(repo: Repo, old: RunRef, new: RunRef) -> list[Change]:
    return changes(repo, old.commit, new.commit, old, new)


def _patch(repo: Repo, old: RunRef, new: RunRef, shown: Screen) -> str:
    return patch(repo, old.commit, new.commit, old, new, color=shown.color)


def changes(repo: Repo, old: str, new: str, *refs: RunRef) -> list[Change]:
    """The files of code that differ between two commits; `refs` are the runs among these."""
    from gittrack import commits

    found = repo.changes(old, new, without=commits.RECORD)
    if any(path.startswith(".dvc/") for _, path, _, _ in found):
        from gittrack.checkout import own_files

        own = own_files(repo, *refs)
        found = [change for change in found if change[1] not in own]
    return found


def patch(repo: Repo, old: str, new: str, *refs: RunRef, color: bool) -> str:
    """How the code differs between two commits; `refs` are the runs among these."""
    from gittrack import commits
    from gittrack.checkout import own_files

    option = "--color=always" if color else "--color=never"
    data = repo.patch(old, new, option, without=commits.RECORD, also=own_files(repo, *refs))
    return data.decode("utf-8", "backslashreplace")


def stat(changes: Iterable[Change]) -> str:
    """Changed files on one line: `features.py (new), train.py +3 -1`."""
    texts = []
    for letter, path, added, removed in changes:
        if letter == "A":
            texts.append(f"{path} (new)")
        elif letter == "D":
            texts.append(f"{path} (gone)")
        elif added < 0:
            texts.append(f"{path} (binary)")
        else:
            counts = [f"+{added}" if added else "", f"-{removed}" if removed else ""]
            texts.append(" ".join([path, *filter(None, counts)]))
    more = len(texts) - _MOST_FILES
    return ", ".join(texts[:_MOST_FILES]) + (f", {more} more files" if more > 0 else "")


def _fields(
    compared: Difference, found: Sequence[RunRef], changes: Sequence[Sequence[Change]]
) -> dict[str, Any]:
    made: dict[str, Any] = {"runs": [ref.short for ref in found]}
    for part in compared.parts:
        made[part.name] = {
            "different": {
                line.key: {"values": line.values}
                | ({"delta": line.delta} if line.delta is not None else {})
                for line in part.lines
            },
            "same": part.same,
        }
    made["code"] = [
        [
            {"status": letter, "path": path, "added": added, "removed": removed}
            for letter, path, added, removed in part
        ]
        for part in changes
    ]
    return made


# -- drawing --------------------------------------------------------------------------------------

_CELL = 32


def _drawn(compared: Difference, changes: Sequence[Sequence[Change]], shown: Screen) -> str:
    """A column per run beneath its name; parts in which nothing differs share the last line."""
    from gittrack.cells import align, bold, width_of

    rows: list[tuple[str, list[str], str]] = []
    for part in compared.parts:
        lines = _worth_showing(part, compared)
        if counted := _counted(part):
            rows.append((part.name, [], f"{counted} (--json lists them)"))
        elif lines:
            rows.append((part.name, [], ""))
            rows += [_row(line, compared.runs, _WRITERS.get(part.name, _text)) for line in lines]
    code = [stat(part) for part in changes]
    head = max([16, *(width_of(key) for key, _, _ in rows)])
    widths = [
        max([len(name), *(width_of(cells[n]) for _, cells, _ in rows if cells)])
        for n, name in enumerate(compared.runs)
    ]
    names = [
        bold(align(name, width, right=True), shown.color)
        for name, width in zip(compared.runs, widths, strict=True)
    ]
    text = ["   ".join([" " * head, *names])]
    for key, cells, delta in rows:
        columns = [align(c, w, right=True) for c, w in zip(cells, widths, strict=False)]
        text.append("   ".join([align(key, head), *columns, delta]).rstrip())
    text += _code_lines(code, compared.runs, head)
    same = [part.name for part in compared.parts if part.same and not part.lines]
    if not any(code):
        same.append("code")
    if same:
        text.append(", ".join(same).ljust(head) + "   same")
    return "\n".join(line.rstrip() for line in text) + "\n"


def _worth_showing(part: Part, compared: Difference) -> Sequence[Line]:
    """All lines, but no command where the params say already what differs in it."""
    if part.name != "outcome" or not compared.part("params").lines:
        return part.lines
    return [line for line in part.lines if line.key != "command"]


def _counted(part: Part) -> str:
    """What is said of packages or files instead of listing them, empty where that tells more."""
    if part.name not in ("packages", *_CONTENTS) or not part.lines:
        return ""
    many = len(part.lines) > _MOST_COUNTED
    having = list(dict.fromkeys(name for line in part.lines for name in line.values))
    if len(having) == 1 and not part.same and (many or part.name == "packages"):
        return f"{len(part.lines)} only in {having[0]}"
    return f"{len(part.lines)} differ" if many else ""


def _row(
    line: Line, names: Sequence[str], write: Callable[[Any], str]
) -> tuple[str, list[str], str]:
    from gittrack.cells import ABSENT, cut, is_number, numbers, plain

    key = "  " + cut(plain(line.key), 40)
    values = [line.values.get(name, None) for name in names]
    there = [name in line.values for name in names]
    if all(map(is_number, line.values.values())):
        # A run asked for twice stands in two columns, and once among the values.
        drawn = iter(numbers([line.values[name] for name in names if name in line.values]))
        cells = [next(drawn) if name in line.values else ABSENT for name in names]
        if len({*cells}) < len({*line.values.values()}):
            cells = [plain(v) if known else ABSENT for v, known in zip(values, there, strict=True)]
    else:
        cells = [
            cut(write(value), _CELL) if known else ABSENT
            for value, known in zip(values, there, strict=True)
        ]
    return key, cells, _delta(line)


def _text(value: Any) -> str:
    from gittrack.cells import plain
    from gittrack.quoting import command_line

    if isinstance(value, tuple):
        return command_line(value)
    return plain(value)


def _content(value: Any) -> str:
    """What is at a path: `3f2a91c 1.2 MB`."""
    from gittrack.cells import size

    changed = " changed" if value.get("changed") else ""
    return f"{value['md5'][:7]} {size(value['size'])}{changed}"


def _sources(value: Any) -> str:
    """Which runs something was read of."""
    from gittrack.cells import plain

    return ", ".join(plain(source.run) for source in value)


_WRITERS = {"data": _content, "artifacts": _content, "inputs": _sources}


def _delta(line: Line) -> str:
    from gittrack.cells import cell

    if line.delta is None:
        return ""
    text = cell(line.delta)
    return text if text.startswith("-") else f"+{text}"


def _code_lines(code: Sequence[str], names: Sequence[str], head: int) -> list[str]:
    if len(code) == 1:
        return [f"{'code':<{head}}   {code[0]}   (--code shows it)"] if code[0] else []
    lines = [f"  {name}: {text}" for name, text in zip(names[1:], code, strict=True) if text]
    return [f"code, against {names[0]} (--code shows it)", *lines] if lines else []
