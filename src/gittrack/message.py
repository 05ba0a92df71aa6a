"""The message of a run's commit: a subject for people, trailers for Git, a summary for listings.

Knows the text and how to read it back. The YAML in the commit's tree is the authority; this is its
excerpt.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, get_args

from gittrack.errors import BrokenRecord
from gittrack.figures import short, time_text
from gittrack.quoting import command_line, one_line, printable, utf8
from gittrack.records import Input, Run
from gittrack.summaries import Number, Status, Summary

__all__ = [
    "FORMAT",
    "check_format",
    "compose",
    "excerpt",
    "inputs",
    "is_run",
    "moment",
    "parse_time",
    "scalars",
    "short",
    "summary",
    "time_text",
]

FORMAT = 1
_MARK = "Gittrack-Run: "
_SUMMARY = "Gittrack-Summary: "
_INPUT = "Input: "
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MOST_TRAILERS = 32
_LONGEST_VALUE = 200
_LONGEST_SUMMARY = 64 << 10
_SOURCE = "cli"  # what a summary that names none means
_STATUSES = get_args(Status)
_KINDS = {str: "text", int: "integer", bool: "boolean", list: "list", dict: "mapping"}
_TRAILER = re.compile(r"[A-Za-z0-9-]+[ \t]*:|---")


def compose(run: Run) -> str:
    """The commit message of a run.

    Subject, the user's own text, the command, then one paragraph of trailers. The summary is left
    out above 64 KB, or where JSON could not say it exactly.
    """
    parts = [_subject(run)]
    if run.command:
        parts.append("    " + command_line(run.command))
    parts.append("\n".join(_trailers(run)))
    return "\n\n".join(parts) + "\n"


def _subject(run: Run) -> str:
    if run.message and run.message.strip():
        return _own_words(run.message)
    leading = ", ".join(f"{k} {short(v)}" for k, v in sorted(run.metrics.items())[:4])
    return one_line(f"{run.name}: {run.status} {leading}".rstrip())


def _own_words(text: str) -> str:
    """The user's text, with nothing in it that Git or we could take for a trailer."""
    lines = printable(utf8(text.replace("\r\n", "\n"))).strip().split("\n")
    kept = [line.rstrip() for line in lines]
    kept[1:] = ["  " + line if _TRAILER.match(line) else line for line in kept[1:]]
    if _TRAILER.match(kept[0]) and kept[0].lower().startswith(("gittrack-", "run-id", "---")):
        kept[0] = "  " + kept[0]
    return "\n".join(kept)


def _trailers(run: Run) -> Iterator[str]:
    yield f"{_MARK}{FORMAT}"
    yield f"Run-Id: {run.id}"
    yield f"Experiment: {run.experiment}"
    yield f"Status: {run.status}"
    # A run of which several artifacts were read is one input here.
    for given in dict.fromkeys((i.run, i.id, i.commit) for i in run.inputs):
        yield _INPUT + one_line(" ".join(given))
    yield from scalars("Param", run.params)
    yield from scalars("Metric", run.metrics)
    text = _summary_text(run)
    if text is not None:
        yield _SUMMARY + text


def scalars(kind: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Single values as trailers `KIND-KEY: VALUE`, at most 32, in the order of their keys.

    Git compares keys of trailers without case, so look-alikes both stay out.
    """
    keys: dict[str, list[str]] = {}
    for name in sorted(values):
        token = re.sub(r"[^A-Za-z0-9-]", "-", name)
        keys.setdefault(token.lower(), []).append(name)
    written = 0
    for names in keys.values():
        text = _scalar(values[names[0]])
        if len(names) == 1 and text is not None and written < _MOST_TRAILERS:
            written += 1
            yield f"{kind}-{re.sub(r'[^A-Za-z0-9-]', '-', names[0])}: {text}"


def _scalar(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        text = utf8(value)
        good = text.strip() == text and 0 < len(text) <= _LONGEST_VALUE and one_line(text) == text
        return text if good else None
    return None


def _summary_text(run: Run) -> str | None:
    known: dict[str, Any] = {
        "id": run.id,
        "status": run.status,
        "started": time_text(run.started),
        "ended": None if run.ended is None else time_text(run.ended),
        "exit_code": run.exit_code,
        "title": run.title,
        "experiment_title": run.experiment_title,
        "user": utf8(run.user),
        "command": [utf8(word) for word in run.command],
        "base": run.code.base,
        "branch": None if run.code.branch is None else utf8(run.code.branch),
        "dirty": run.code.dirty or None,
        # Runs written before there was a name for it stay as they were, byte for byte.
        "parent": run.parent if run.parent_name else None,
        "params": dict(run.params),
        "metrics": {k: _json_number(v) for k, v in run.metrics.items()},
        "tags": dict(run.tags),
        "source": None if run.source == _SOURCE else run.source,
        "fingerprint": run.fingerprint,
        "data": {item.path: item.md5 for item in run.data},
        "artifacts": {kept.path: kept.md5 for kept in run.artifacts},
    }
    kept = {k: v for k, v in known.items() if v is not None and v not in ("", [], {})}
    try:
        text = json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False)
        if "\\ud" in text:
            # Pairs are fine; a lone surrogate cannot be UTF-8, and this raises.
            json.dumps(kept, ensure_ascii=False).encode()
    except (ValueError, TypeError):
        # A param that is no JSON, such as NaN, would come back as something else.
        return None
    return text if len(text) <= _LONGEST_SUMMARY else None


def _json_number(value: Number) -> Number | str:
    """JSON has no NaN: the names that protobuf's JSON mapping gives them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def is_run(message: str) -> bool:
    """Whether a commit message carries our mark in its last paragraph."""
    return any(line.startswith(_MARK) for line in _last_paragraph(message))


def inputs(message: str) -> tuple[Input, ...] | None:
    """The input runs that a run's trailers name, without paths; None where one makes no sense."""
    found = []
    for line in _last_paragraph(message):
        if line.startswith(_INPUT):
            words = line[len(_INPUT) :].rsplit(" ", 2)
            if len(words) != 3 or not all(words) or not _COMMIT.fullmatch(words[2]):
                return None
            found.append(Input(*words))
    return tuple(found)


def check_format(message: str, where: str) -> None:
    """Make sure that our mark is of a format that we read; `where` is the run's short ref.

    Raises:
        BrokenRecord: it is of a newer one.
    """
    for line in _last_paragraph(message):
        if line.startswith(_MARK) and line != f"{_MARK}{FORMAT}":
            raise BrokenRecord(
                f"{where}: its format is {line[len(_MARK) :][:20]!r}, this gittrack reads {FORMAT}",
                where=where,
                hint="upgrade gittrack.",
            )


def _last_paragraph(message: str) -> list[str]:
    return message.rstrip("\n").rpartition("\n\n")[2].split("\n")


def summary(message: str, *, experiment: str, name: str, commit: str) -> Summary | None:
    """What a run's commit message says of it; None if it has no summary and the YAML must be read.

    Raises:
        BrokenRecord: the mark is of a newer format, or the summary is damaged.
    """
    where = f"runs/{experiment}/{name}"
    check_format(message, where)
    lines = _last_paragraph(message)
    text = next((line[len(_SUMMARY) :] for line in lines if line.startswith(_SUMMARY)), None)
    if text is None:
        return None
    try:
        return _parse_summary(_typed(json.loads(text), dict), experiment, name, commit)
    except KeyError as error:
        reason = f"it has no {error}"
    except RecursionError:
        reason = "it is nested too deep"
    except (ValueError, TypeError) as error:
        reason = str(error)
    raise BrokenRecord(f"{where}: its summary is damaged ({reason[:200]})", where=where)


def excerpt(message: str) -> tuple[dict[str, Any], tuple[Input, ...]] | None:
    """What a run's commit message says of it, as it says it, and its inputs, if nothing is odd.

    The short way for many runs: times are texts, and what is left out is as `summary` has it. None
    where `is_run`, `summary` and `inputs` have to be asked.
    """
    text = message.rstrip("\n")
    start = max(text.rfind("\n\n"), 0)
    mark = text.find("\n" + _MARK, start)
    place = text.find("\n" + _SUMMARY, start)
    if mark < 0 or place < 0 or not text.startswith(f"{FORMAT}\n", mark + 1 + len(_MARK)):
        return None
    if text.find("\n" + _MARK, mark + 1) > 0:
        return None
    given = inputs(text) if text.find("\n" + _INPUT, start) > 0 else ()
    end = text.find("\n", place + 1)
    try:
        known = json.loads(text[place + 1 + len(_SUMMARY) : None if end < 0 else end])
        return (known, given) if given is not None and _is_usual(known) else None
    except (ValueError, TypeError, RecursionError):
        return None


def _is_usual(known: Any) -> bool:
    """Whether a summary has what `summary` asks of it; names for numbers become numbers."""
    if type(known) is not dict or type(known.get("started")) is not str or "id" not in known:
        return False
    if known.get("status") not in _STATUSES:
        return False
    if not _fits(tuple(known), tuple(map(type, known.values()))):
        return False
    for key in ("tags", "data", "artifacts"):
        if key in known and set(map(type, known[key].values())) - _TEXT:
            return False
    if set(map(type, known.get("command", ()))) - _TEXT:
        return False
    metrics = known.get("metrics", {})
    if set(map(type, metrics.values())) - _NUMBERS:
        known["metrics"] = {key: _number(value) for key, value in metrics.items()}
    return True


@lru_cache(maxsize=16)
def _fits(keys: tuple[str, ...], kinds: tuple[type, ...]) -> bool:
    """Whether these keys have values of their types; the runs of an experiment are much alike."""
    if not _SAID_LATER.isdisjoint(keys):
        return False
    return all(kind is _EXACT.get(key, kind) for key, kind in zip(keys, kinds, strict=True))


_SAID_LATER = frozenset(["archived", "deleted", "notes"])
_TEXT, _NUMBERS = frozenset([str]), frozenset([int, float])
_EXACT: Mapping[str, type] = {
    **dict.fromkeys(("id", "status", "started", "ended", "title", "experiment_title"), str),
    **dict.fromkeys(("user", "base", "branch", "parent", "fingerprint", "source"), str),
    **dict.fromkeys(("params", "metrics", "tags", "data", "artifacts"), dict),
    "exit_code": int,
    "command": list,
    "dirty": bool,
}


def _parse_summary(known: dict[str, Any], experiment: str, name: str, commit: str) -> Summary:
    ended = known.get("ended")
    return Summary(
        id=_typed(known["id"], str),
        name=name,
        experiment=experiment,
        status=_status(known["status"]),
        started=parse_time(known["started"]),
        ended=None if ended is None else parse_time(ended),
        exit_code=_optional(known.get("exit_code"), int),
        title=_optional(known.get("title"), str),
        experiment_title=_optional(known.get("experiment_title"), str),
        user=_typed(known.get("user", ""), str),
        command=tuple(_typed(word, str) for word in _typed(known.get("command", []), list)),
        base=_optional(known.get("base"), str),
        branch=_optional(known.get("branch"), str),
        dirty=_typed(known.get("dirty", False), bool),
        parent=_optional(known.get("parent"), str),
        params=_typed(known.get("params", {}), dict),
        metrics={k: _number(v) for k, v in _typed(known.get("metrics", {}), dict).items()},
        tags={k: _typed(v, str) for k, v in _typed(known.get("tags", {}), dict).items()},
        fingerprint=_optional(known.get("fingerprint"), str),
        data={k: _typed(v, str) for k, v in _typed(known.get("data", {}), dict).items()},
        artifacts={k: _typed(v, str) for k, v in _typed(known.get("artifacts", {}), dict).items()},
        source=_typed(known.get("source", _SOURCE), str),
        commit=commit,
    )


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{str(value)[:40]!r} is no {_KINDS[kind]}")
    return value


def _optional(value: Any, kind: type) -> Any:
    return None if value is None else _typed(value, kind)


def _status(value: object) -> Status:
    if value not in _STATUSES:
        raise ValueError(f"no status: {str(value)[:40]!r}")
    return value  # type: ignore[return-value]


def _number(value: object) -> Number:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(str(value))
    raise TypeError(f"{str(value)[:40]!r} is no number")


def moment(seconds: float) -> datetime:
    """Seconds since the epoch as a moment in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def parse_time(text: object) -> datetime:
    """Read such a moment back.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str) or not text.endswith("Z"):
        raise ValueError(f"no moment in UTC: {str(text)[:40]!r}")
    # fromisoformat is ten times faster than strptime; before Python 3.11 it knows no Z.
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)
