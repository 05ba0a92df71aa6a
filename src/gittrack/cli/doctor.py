"""`git track doctor`: what is wrong or risky, and what mends it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gittrack.cli.output import json_option, wants_color

if TYPE_CHECKING:
    from gittrack.doctor import Finding

__all__ = ["doctor"]

_COLORS = {"wrong": "1;31", "risky": "1;33", "note": "1", "ok": "32"}


@click.command()
@click.option("--deep", is_flag=True, help="Read all of the data cache, ask the data remote.")
@click.option("-v", "--verbose", is_flag=True, help="Also say what is all right.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, deep: bool, verbose: bool, as_json: bool) -> None:
    """Say what is wrong or risky here, and what mends it.

    Looked at are the repository, the runs and notes in it, its remotes, the set-up of DVC, the
    data cache and this machine; with --deep also what the data remote lacks. The exit code is 1 if
    something is wrong, 0 if things are risky at most; a note is a fact to know, with nothing to
    mend. Nothing is changed.

    \b
        $ git track doctor
        $ git track doctor --deep --json
    """
    found = _findings(deep)
    shown = [one for one in found if verbose or one.severity != "ok"]
    if as_json:
        import json

        click.echo(json.dumps([one._asdict() for one in (found if verbose else shown)], indent=2))
    else:
        _print(shown)
    if any(one.severity == "wrong" for one in found):
        ctx.exit(1)


def _findings(deep: bool) -> list[Finding]:
    from gittrack import doctor as door
    from gittrack.cli.progress import bar
    from gittrack.errors import RepositoryError
    from gittrack.git import Repo

    try:
        repo = Repo.open()
    except RepositoryError as error:
        return [door.from_error("repository", error)]
    with bar() as meter:
        return list(door.examine(repo, now=time.time(), deep=deep, meter=meter))


def _print(shown: Sequence[Finding]) -> None:
    import sys

    from gittrack.quoting import one_line

    color = wants_color(sys.stdout)
    for one in shown:
        label = (
            f"\x1b[{_COLORS[one.severity]}m{one.severity}:\x1b[m" if color else f"{one.severity}:"
        )
        click.echo(f"{label} {one_line(one.what)}", color=True)
        if one.mend:
            click.echo(f"  mend: {one_line(one.mend)}")
    click.echo(_verdict(shown))


def _verdict(shown: Sequence[Finding]) -> str:
    wrong, risky = (sum(one.severity == kind for one in shown) for kind in ("wrong", "risky"))
    if not wrong and not risky:
        return "nothing is wrong"
    parts = [f"{wrong} wrong" if wrong else "nothing is wrong"]
    return ", ".join([*parts, *([f"{risky} risky"] if risky else [])])
