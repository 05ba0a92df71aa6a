"""What stands beneath a table of runs: how many there are, and what there was no room for."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["counted", "foot"]

_NAMED = 12


def counted(shown: int, total: int, exact: bool, *, matched: bool) -> str:
    """How many runs there are, and how many of them are in the table."""
    runs = f"{'' if exact else 'more than '}{total:,} run{'s' * (total != 1)}"
    if matched:
        runs += " match" + "es" * (total == 1)
    return runs if shown == total and exact else f"{shown:,} of {runs} (-n shows more)"


def foot(
    count: str,
    dropped: Sequence[str],
    *,
    hides: bool,
    width: int | None,
    more: str = " (--columns)",
) -> str:
    """What is not in the table, on as many lines as the terminal's width makes of it.

    `more` says what shows the columns that were `dropped`.
    """
    parts = [count]
    if dropped:
        parts.append(_too_narrow(dropped, width and width - len(parts[0]) - 3, more))
    if hides:
        parts.append("params that never vary are hidden (--all-columns)")
    if width is None:
        return " · ".join(parts)
    from gittrack.cells import cut, width_of

    lines = parts[:1]
    for text in parts[1:]:
        joined = f"{lines[-1]} · {text}"
        if width_of(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(text)
    return "\n".join(cut(line, width) for line in lines)


def _too_narrow(dropped: Sequence[str], width: int | None, more: str) -> str:
    """Which columns there was no place for: the first six of them, or as many as fit."""
    from gittrack.cells import width_of

    number = f"{len(dropped)} more column{'s' * (len(dropped) != 1)}"
    if width is None:
        names = ", ".join([*dropped[:_NAMED], *["..."][: len(dropped) > _NAMED]])
        return f"{number}: {names} (--columns, --all-columns)"
    for count in range(min(6, len(dropped)), 0, -1):
        others = ", ..." if len(dropped) > count else ""
        text = f"too narrow for {', '.join(dropped[:count])}{others}{more}"
        if width_of(text) <= width:
            return text
    return f"{number}{more}"
