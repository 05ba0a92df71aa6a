"""A text that the user writes in Git's own editor.

Knows how the editor is found and what its failure looks like. What is asked for, whoever asks
knows.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gittrack.git import Repo

__all__ = ["SCISSORS", "above", "edited"]

SCISSORS = "# ------------------------ >8 ------------------------"
"""The line below which nothing is kept, as `git commit --cleanup=scissors` draws it."""


def edited(repo: Repo, form: str, *, what: str) -> str:
    """What becomes of `form` in the editor; `what` is asked for, for messages.

    Raises:
        BadValue: there is no editor, or it failed.
    """
    from gittrack.errors import BadValue, GitFailed

    hint = f"give the {what} with -m."
    try:
        editor = os.fsdecode(repo.git("var", "GIT_EDITOR")).strip()
    except GitFailed as error:
        # A dumb terminal and no editor set.
        raise BadValue(f"no editor for the {what}: {error.message}", hint=hint) from error
    try:
        text = click.edit(form, editor=editor, extension=".txt", require_save=False)
    except (click.ClickException, ValueError) as error:
        # A ValueError: the command has an open quote.
        raise BadValue(f"the editor '{editor}' failed: nothing was written", hint=hint) from error
    return text or ""


def above(text: str) -> str:
    """What stands above the scissors; all of it where somebody took them away."""
    lines = text.split("\n")
    end = lines.index(SCISSORS) if SCISSORS in lines else len(lines)
    return "\n".join(lines[:end]).strip()
