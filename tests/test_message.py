"""The commit message of a run: Git reads its trailers, we read its summary, nobody else's words."""

from __future__ import annotations

import subprocess
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack import commits, message
from gittrack.errors import BrokenRecord
from gittrack.git import Identity, Repo
from gittrack.records import Code, Input, Run
from gittrack.summaries import Summary

START = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)
hostile = st.one_of(
    st.sampled_from(
        [
            *("---", "Status: finished", "Gittrack-Run: 9", "Gittrack-Summary: {}"),
            *("a\n\nRun-Id: x", "\r", "# comment", "x\n---\ny", "-- >8 --", "acc:"),
            *("\x1b[2J", "a\0b", "Metric-a: 5"),
        ]
    ),
    st.text(st.characters(exclude_categories=()), max_size=15),
)  # fmt: skip
keys = st.one_of(
    st.sampled_from(["lr", "a.b", "A.b", "a b", "a:b", "-", "=", "caf\u00e9", "x" * 250]),
    st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=6),
)
numbers = st.one_of(st.floats(), st.integers(), st.just(10**400))
param_values = st.one_of(numbers, st.booleans(), st.none(), hostile, st.lists(st.integers()))
runs_ = st.builds(
    Run,
    id=st.just("0123456789abcdef" * 2),
    name=st.just("calm-lynx-0xw8nc"),
    experiment=st.just("default"),
    status=st.sampled_from(["finished", "failed", "killed"]),
    started=st.just(START),
    ended=st.sampled_from([None, START + timedelta(seconds=1.5)]),
    exit_code=st.sampled_from([None, 0, 1]),
    title=st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1)),
    message=st.one_of(st.none(), hostile),
    command=st.lists(hostile, max_size=3).map(tuple),
    user=st.sampled_from(["", "Ada", "\u6a21"]),
    code=st.sampled_from([Code(), Code(base="0" * 40, branch="main", dirty=True)]),
    params=st.dictionaries(keys, param_values, max_size=5),
    metrics=st.dictionaries(keys, numbers, max_size=5),
    inputs=st.sampled_from([(), (Input("b-000000", "1" * 32, "2" * 40, "m.bin"),)]),
    tags=st.dictionaries(keys, hostile, max_size=2),
)


def trailers(text: str) -> list[str]:
    lines = text.split("\n")
    while lines[-1] == "":
        lines.pop()
    return lines[len(lines) - lines[::-1].index("") :]


@given(runs_)
@settings(deadline=None, max_examples=80)
def test_git_reads_every_trailer_that_we_write(run: Run) -> None:
    """One bad token voids the whole block, and a `---` line ends the message."""
    text = message.compose(run)
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse"],
        input=text.encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().splitlines(keepends=False) == trailers(text)
    assert trailers(text)[0] == "Gittrack-Run: 1"
    assert message.is_run(text)


@pytest.mark.parametrize(
    "text", ["x\n---\ny", "---", "x\n\nStatus: x", "Gittrack-Run: 9", "x\n---"]
)
def test_nobodys_words_hide_or_forge_a_trailer(text: str) -> None:
    """Git takes a `---` line for the end of the message, and the text is the user's own."""
    run = Run(id="0" * 32, name="n-000000", experiment="e", status="failed", started=START,
              message=text)  # fmt: skip
    whole = message.compose(run)
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=whole.encode(), capture_output=True
    )
    assert done.stdout.decode().splitlines() == trailers(whole)
    assert not any(line.startswith(("---", "Gittrack-Run: 9")) for line in whole.split("\n"))


@given(runs_)
@settings(deadline=None, max_examples=200)
def test_the_summary_says_what_the_record_says_or_nothing(run: Run) -> None:
    """The cold index trusts it: a value that JSON cannot say exactly leaves it out."""
    found = message.summary(
        message.compose(run), experiment=run.experiment, name=run.name, commit="3" * 40
    )
    if found is not None:
        wanted = replace(commits.summarize(run), commit="3" * 40)
        assert spelled(found) == spelled(wanted)


def spelled(found: Summary) -> list[str]:
    """Every field as text, so that NaN equals itself and 1 differs from 1.0."""
    values = [getattr(found, field.name) for field in fields(found)]
    return [repr(sorted(v.items()) if isinstance(v, dict) else v) for v in values]


def test_an_ordinary_run_has_a_summary() -> None:
    """Or else the property above holds of nothing."""
    run = Run(id="0" * 32, name="n-000000", experiment="e", status="finished", started=START,
              ended=START, exit_code=0, params={"lr": 0.1, "name": "\u00fc"},
              metrics={"loss": float("nan"), "acc": 1}, code=Code(dirty=True))  # fmt: skip
    found = message.summary(message.compose(run), experiment="e", name="n-000000", commit="3" * 40)
    assert found is not None
    assert (found.exit_code, found.params, found.dirty) == (0, {"lr": 0.1, "name": "\u00fc"}, True)
    assert repr(found.metrics["loss"]) == "nan" and found.metrics["acc"] == 1


def test_for_each_ref_is_a_table(tmp_path: Path, git) -> None:
    """Plain Git lists metrics without us: the reason for trailers."""
    git(tmp_path, "init", "-q")
    repo = Repo.open(tmp_path)
    run = Run(id="0" * 32, name="n-000000", experiment="e", status="finished", started=START,
              metrics={"acc": 0.98, "a.b": 1, "A-b": 2}, message="Try\n\nStatus: of the art",
              command=("python", "a\nb"))  # fmt: skip
    commits.write(repo, run, tree=repo.empty_tree(), author=Identity("Ada", "ada@example.org"))

    def shown(key: str) -> str:
        # Git 2.39 mixes up two such fields in one format.
        form = f"%(contents:subject)|%(contents:trailers:key={key},valueonly,separator=)"
        return git(tmp_path, "for-each-ref", f"--format={form}", "refs/runs")

    assert shown("Metric-acc") == "Try|0.98\n"
    assert shown("Status") == "Try|finished\n"
    assert shown("Metric-a-b") == "Try|\n"


def test_at_most_32_scalars_of_each_kind() -> None:
    """A thousand params must not drown the message; the summary has them all."""
    run = Run(id="0" * 32, name="n-000000", experiment="e", status="finished", started=START,
              params={f"p{n}": n for n in range(40)})  # fmt: skip
    assert sum(line.startswith("Param-") for line in message.compose(run).split("\n")) == 32


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=40))
def test_a_damaged_summary_is_broken_and_nothing_worse(noise: bytes) -> None:
    """Whatever was fetched, a listing goes on with the next run."""
    line = noise.decode("latin-1").replace("\n", " ")
    text = f"x\n\nGittrack-Run: 1\nGittrack-Summary: {line}\n"
    with pytest.raises(BrokenRecord):
        message.summary(text, experiment="e", name="n", commit="3" * 40)


GOOD = '"id":"x","status":"finished","started":"2026-01-01T00:00:00Z"'


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "1",
        "[" * 100_000,
        GOOD,
        "{" + GOOD.replace("2026-01", "2026-99") + "}",
        "{" + GOOD.replace("finished", "exploded") + "}",
        "{" + GOOD.replace('"x"', "1") + "}",
        "{" + GOOD + ',"metrics":{"a":"x"}}',
        "{" + GOOD + ',"metrics":{"a":true}}',
        "{" + GOOD + ',"metrics":{"a":' + "9" * 5000 + "}}",
        "{" + GOOD + ',"metrics":[1]}',
        "{" + GOOD + ',"params":[]}',
        "{" + GOOD + ',"tags":{"a":1}}',
        "{" + GOOD + ',"command":[1]}',
    ],
    ids=lambda line: line[-30:],
)
def test_a_summary_of_wrong_types_is_broken(line: str) -> None:
    """A table must not meet a list where it expects a number."""
    text = f"x\n\nGittrack-Run: 1\nGittrack-Summary: {line}\n"
    with pytest.raises(BrokenRecord) as caught:
        message.summary(text, experiment="e", name="n", commit="3" * 40)
    assert len(caught.value.message) <= 300


def test_a_newer_format_is_refused() -> None:
    """A reader that guesses would show wrong values."""
    with pytest.raises(BrokenRecord, match="its format is '2'"):
        message.summary("x\n\nGittrack-Run: 2\n", experiment="e", name="n", commit="3" * 40)


@given(st.datetimes(timezones=st.just(timezone.utc), min_value=datetime(1970, 1, 1)))
@settings(deadline=None)
def test_moments_come_back_to_the_microsecond(moment: datetime) -> None:
    """Times are compared with those in the YAML."""
    assert message.parse_time(message.time_text(moment)) == moment


def test_inputs_are_read_back_from_the_trailers() -> None:
    """The index needs them of every run; an artifact's path is in the record alone."""
    one, other = Input("runs/a/b-000000", "1" * 32, "2" * 40, "m"), Input("c", "3" * 32, "4" * 64)
    run = Run(id="0" * 32, name="n", experiment="e", status="finished", started=START)
    run = replace(run, inputs=(one, replace(one, path="n"), other))
    assert message.inputs(message.compose(run)) == (replace(one, path=None), other)
    assert message.inputs(message.compose(replace(run, inputs=()))) == ()
    for bad in ("Input: a b", "Input: a b --output=x", "Input:  b " + "2" * 40):
        assert message.inputs(f"x\n\nGittrack-Run: 1\n{bad}\n") is None
