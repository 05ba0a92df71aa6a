"""What the files of a running run tell: the run as it would be recorded, and its curves.

Knows the events of a journal and which source of a metric counts. Touches no Git, writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gittrack import fitting, message, names, params, weaving
from gittrack.errors import GittrackError
from gittrack.journal import Story, loss
from gittrack.lines import Reader
from gittrack.quoting import one_line
from gittrack.records import Artifact, Code, Data, Environment, Input, Row, Run, Skipped
from gittrack.series import Table
from gittrack.summaries import Number, Status, Value

__all__ = [
    "cells",
    "experiment",
    "may_write_event_files",
    "plain_artifact",
    "plain_code",
    "plain_data",
    "plain_environment",
    "stamp",
    "system_rows",
    "tell",
    "told_data",
]

_BEYOND_MEASURE = 1e30


def tell(story: Story, *, log_size: int, last_sign: float) -> tuple[Run, Table]:
    """The run that a story tells, and its curves.

    One without an end was killed when it last gave a sign (`last_sign`, seconds since the epoch).
    A metric that the script logged itself is not taken from its files or its output again.
    """
    begin = story.begin
    end = next((event for event in reversed(story.events) if "end" in event), None)
    status = _status(story, end)
    started = begin["started"]
    ended = max(started, float(end["t"]) if end else last_sign)
    faults = [*begin["faults"], *(e["fault"] for e in story.events if "fault" in e)]
    if story.damaged:
        lines = "line was" if story.damaged == 1 else "lines were"
        faults.append(f"{story.damaged} damaged journal {lines} left out")
    lost = sum(event.get("dropped", 0) for event in story.events)
    faults += [loss(lost)] if lost > 0 else []
    rows, more = _curves(story, started, ended)
    logged = _agreed(story, "params", faults)
    said: dict[str, Value] = fitting.values(params.merge(begin["params"], logged), "params", faults)
    tags = fitting.values({**begin["tags"], **_agreed(story, "tags", faults)}, "tags", faults)
    group, group_title, refusal = experiment(story)
    faults += [refusal] if refusal else []
    run = Run(
        id=begin["id"],
        name=begin["name"],
        title=fitting.text(_last(story, "title", begin.get("title")), fitting.LONGEST_TITLE),
        experiment=group,
        experiment_title=fitting.text(group_title, fitting.LONGEST_TITLE),
        source=begin.get("source", "cli"),
        parent=begin.get("parent"),
        parent_name=begin.get("parent_name"),
        continues=begin.get("continues"),
        status=status,
        started=message.moment(started),
        ended=message.moment(ended),
        exit_code=end["end"][1] if end else None,
        # What the user said counts, then what the script says.
        message=fitting.text(begin["message"] or _last(story, "message", None)),
        command=tuple(begin["command"]),
        directory=begin["directory"],
        user=begin["user"],
        host=begin["host"],
        code=replace(
            _code(begin["code"]), notebook=_last(story, "notebook", begin.get("notebook"))
        ),
        data=_told_data(story),
        artifacts=_told_artifacts(story, faults),
        inputs=_told_inputs(story),
        # One that chose inputs itself may choose others another time.
        fingerprint=None if any("inputs" in e for e in story.events) else begin.get("fingerprint"),
        params=said,
        metrics=fitting.values({**rows.last(), **_summary(story)}, "metrics", faults),
        environment=_told_environment(story),
        tags=tags,
        faults=(*faults, *more),
        output_bytes=log_size,
    )
    return run, rows


def _status(story: Story, end: Mapping[str, Any] | None) -> Status:
    """How it ended; where the command itself ended well, in the script's own word."""
    if end is None:
        return "killed"
    status: Status = end["end"][0]
    said = _last(story, "status", None)
    return said if status == "finished" and said in ("failed", "killed") else status


def _last(story: Story, key: str, otherwise: Any) -> Any:
    return next((event[key] for event in reversed(story.events) if key in event), otherwise)


def experiment(story: Story) -> tuple[str, str | None, str | None]:
    """The group that a run belongs to, its title, and why it is not the one that the script named.

    What the user said counts, then what the script says.
    """
    begin = story.begin
    asked = (begin["experiment"], begin.get("experiment_title"))
    event = next((e for e in reversed(story.events) if "experiment" in e), None)
    if event is None or event["experiment"] == begin["experiment"]:
        told = asked[1] if event is None else event.get("experiment_title") or asked[1]
        return asked[0], told, None
    if begin.get("experiment_given"):
        return *asked, (
            f"the script's experiment '{one_line(str(event['experiment']))[:80]}' is not taken: "
            f"the run was started in '{begin['experiment']}'"
        )
    try:
        return names.check(event["experiment"], "experiment"), event.get("experiment_title"), None
    except GittrackError as error:
        return *asked, f"the script's experiment is not taken: {error.message}"


def _summary(story: Story) -> dict[str, Number]:
    """What the script wants to stand as the last values of metrics."""
    said: dict[str, Number] = {}
    for event in story.events:
        said.update(event.get("summary", {}))
    return said


def system_rows(story: Story) -> list[Row]:
    """The samples of system metrics, one row each; times are seconds since the start.

    What is no finite number under a plain name is left out, whoever wrote it: it would make the
    table unreadable.
    """
    started = story.begin["started"]
    return [
        Row(None, max(0.0, round(event.get("t", started) - started, 6)), values)
        for event in story.events
        if (values := _measured(event.get("system")))
    ]


def _measured(told: object) -> dict[str, Number]:
    return {
        key: value
        for key, value in (told.items() if isinstance(told, dict) else ())
        if isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) < _BEYOND_MEASURE
        and key.isascii()
        and key.isidentifier()
    }


def cells(story: Story) -> str:
    """The cells of a notebook as they ran, in the percent format that editors read."""
    found = [cell for event in story.events for cell in event.get("cells", ())]
    return "".join(f"# %% [{number}]\n{source.rstrip()}\n\n" for number, source in found)


def _code(told: Mapping[str, Any]) -> Code:
    return Code(
        base=told["base"],
        branch=told["branch"],
        dirty=told["dirty"],
        included=tuple(told["included"]),
        skipped=tuple(Skipped(*item) for item in told["skipped"]),
        hidden=tuple(Skipped(*item) for item in told["hidden"]),
    )


def _told_data(story: Story) -> tuple[Data, ...]:
    """What was read, by path; what is known later counts."""
    told = {item["path"]: item for item in story.begin.get("data", ())}
    for event in story.events:
        told.update({item["path"]: item for item in event.get("data", ())})
    return tuple(told_data(told[path]) for path in sorted(told))


def _told_artifacts(story: Story, faults: list[str]) -> tuple[Artifact, ...]:
    """What was kept, by path, the last of a path; what no record can hold is left out.

    DVC refuses outputs that overlap, and with them every pointer of the run.
    """
    told = {
        str(event["artifact"].get("path")): event["artifact"]
        for event in story.events
        if isinstance(event.get("artifact"), dict)
    }
    if not told:
        return ()
    from gittrack.manifest import MOST_ARTIFACTS, check_artifact

    kept: dict[str, Artifact] = {}
    for path in sorted(told):
        if len(kept) >= MOST_ARTIFACTS:
            left = len(told) - MOST_ARTIFACTS
            faults.append(f"{left} artifacts not recorded: there are {MOST_ARTIFACTS:,} already")
            break
        try:
            check_artifact(path)
            other = _in_the_way(kept, path)
            reason = None if other is None else f"it overlaps '{one_line(other)[:80]}'"
            if reason is None:
                kept[path] = Artifact(**told[path])
        except (GittrackError, TypeError) as error:
            reason = error.message if isinstance(error, GittrackError) else "it makes no sense"
        if reason is not None:
            faults.append(f"artifact '{one_line(path)[:80]}' not recorded: {reason}")
    return tuple(kept.values())


def _told_inputs(story: Story) -> tuple[Input, ...]:
    """The runs that it was told to be built on, each artifact of one once."""
    told = [*story.begin.get("inputs", ())]
    for event in story.events:
        told += event.get("inputs", ())
    found = {(item["id"], item.get("path")): Input(**item) for item in told}
    return tuple(found.values())


def _in_the_way(kept: Mapping[str, Artifact], path: str) -> str | None:
    """The artifact that `path` lies inside of, or whose pointer stands where a directory must."""
    parts = path.split("/")
    for count in range(1, len(parts)):
        above = "/".join(parts[:count])
        if above in kept:
            return above
        if above.endswith(".dvc") and above[:-4] in kept:
            return above[:-4]
    return None


def told_data(told: Mapping[str, Any]) -> Data:
    """What was read, from what an event says of it."""
    return Data(**told)


def plain_data(item: Data) -> dict[str, Any]:
    """What was read, as an event carries it."""
    return asdict(item)


def plain_artifact(kept: Artifact) -> dict[str, Any]:
    """What was kept, as an event carries it."""
    return asdict(kept)


def _told_environment(story: Story) -> Environment | None:
    told = next((e["environment"] for e in story.events if "environment" in e), None)
    return None if told is None else Environment(**{**told, "gpus": tuple(told["gpus"])})


def _agreed(story: Story, key: str, faults: list[str]) -> dict[str, Value]:
    """What was said last under each name; where ranks differ, what the lowest of them said."""
    ranks: dict[int, dict[str, Value]] = {}
    for event in story.events:
        said = event.get(key)
        if isinstance(said, dict):
            ranks.setdefault(event.get("rank") or 0, {}).update(said)
    agreed: dict[str, Value] = {}
    differing: set[str] = set()
    for _, said in sorted(ranks.items()):
        for name, value in said.items():
            # Not `!=`: a NaN differs from itself.
            if name in agreed and repr(agreed[name]) != repr(value):
                differing.add(name)
            agreed.setdefault(name, value)
    if differing:
        named = ", ".join(f"'{one_line(name)[:80]}'" for name in sorted(differing)[:10])
        faults.append(f"ranks differ in the {key} {named}: those of the lowest rank count")
    return agreed


def _curves(story: Story, started: float, ended: float) -> tuple[Table, list[str]]:
    """All that was measured: logged by the script, else in a metrics file, else in the output."""
    logs, scans = [*story.logs], [*story.scanned]
    told = [event for event in story.events if "metrics" in event]
    if told:
        reader = Reader()
        for event in told:
            reader.take({**event})
        reader.done()
        logs.append(reader.said)
        scans.append(reader.scanned)
    written, faults = _from_files(story, started, ended)
    logged = weaving.weave(logs, started)
    said = set(logged.metrics())
    tables = [logged]
    for table in (Table.of(written), weaving.weave(scans, started)):
        names = set(table.metrics())
        if names & said:
            table = table.mapped(_unless(said))
        tables.append(table)
        said = said | names
    return weaving.merged(tables), [*faults, *weaving.misnamed([*logs, *scans])]


def _unless(said: Set[str]) -> Callable[[str], str | None]:
    return lambda name: None if name in said else name


def _from_files(story: Story, started: float, ended: float) -> tuple[list[Row], list[str]]:
    """Metrics of the files that the run wrote; what makes no sense in them is a fault."""
    rows: list[Row] = []
    faults = []
    where = story.begin.get("where", "")
    for name, before in story.begin["files"].items():
        if story.begin["asked"] and _means_event_files(name, where):
            continue
        path = Path(where, name)
        after = stamp(path)
        if not after or after == before or int(after.split()[2]) / 1e9 > ended + 1:
            if story.begin["asked"]:
                faults.append(f"metrics not read: {name} was not written by this run")
            continue
        from gittrack import metrics

        try:
            found, left_out = metrics.from_file(
                name, time=round(ended - started, 6), directory=where
            )
        except GittrackError as error:
            faults.append(f"metrics not read: {error.message}")
        else:
            rows += found
            faults += left_out
    for found, left_out in _from_event_files(story, started, where):
        rows += found
        faults += left_out
    return rows, faults


def _means_event_files(name: str, where: str) -> bool:
    from gittrack import tfevents

    return tfevents.is_asked(name, directory=where)


def _from_event_files(
    story: Story, started: float, where: str
) -> Iterator[tuple[list[Row], list[str]]]:
    """Scalars of TensorBoard's event files: those asked for, else all that the run wrote."""
    asked = [name for name in story.begin["files"] if story.begin["asked"]]
    there = _told_environment(story)
    if not asked:
        wanted = there is not None and story.begin.get("tensorboard")
        if there is None or not wanted or not may_write_event_files(there.packages):
            return
    from gittrack import tfevents

    if not asked:
        yield tfevents.gather(tfevents.found(where, started), started=started)
        return
    for name in asked:
        if not tfevents.is_asked(name, directory=where):
            continue
        paths = tfevents.named(name, started, directory=where)
        if not paths:
            yield [], [f"metrics not read: no event file of this run lies in {name}"]
        yield tfevents.gather(paths, started=started)


def may_write_event_files(packages: Iterable[str]) -> bool:
    """Whether an interpreter with these distributions can write TensorBoard's event files."""
    return any(name.lower().startswith(("tensorboard", "tensorflow")) for name in packages)


def plain_environment(found: Environment) -> dict[str, Any]:
    """An environment as an event carries it."""
    return {
        "python": found.python,
        "platform": found.platform,
        "cpu": found.cpu,
        "cores": found.cores,
        "memory": found.memory,
        "gpus": list(found.gpus),
        "packages": dict(found.packages),
        "lock_files": dict(found.lock_files),
        "variables": dict(found.variables),
    }


def plain_code(code: Code) -> dict[str, Any]:
    """A snapshot's description as the beginning of a journal carries it."""
    return {
        "base": code.base,
        "branch": code.branch,
        "dirty": code.dirty,
        "included": list(code.included),
        "skipped": [[item.path, item.reason] for item in code.skipped],
        "hidden": [[item.path, item.reason] for item in code.hidden],
    }


def stamp(path: Path) -> str:
    """What changes whenever a file is written; empty if there is none."""
    try:
        seen = path.stat()
    except OSError:
        return ""
    return f"{seen.st_ino} {seen.st_size} {seen.st_mtime_ns}"
