"""The record: what is written is what is read, canonical, and readable by stock DVC."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import commits, record
from gittrack.errors import BadFile
from gittrack.git import Identity, Repo
from gittrack.records import Artifact, Code, Data, Environment, Input, Row, Run, Skipped
from gittrack.secrets import mask_text

START = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=10)
some = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=10)
keys = st.one_of(
    st.sampled_from(["lr", "a", "a.b", "a.b.c", "a..b", ".a", "a.", "null", "1", "NO", "<<", "="]),
    st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=6),
)
numbers = st.one_of(st.floats(allow_nan=False), st.integers())
values = st.recursive(
    st.one_of(numbers, st.booleans(), st.none(), text),
    lambda v: st.lists(v, max_size=2),
    max_leaves=4,
)
paths = st.dictionaries(some, some, max_size=2)
skipped = paths.map(lambda found: tuple(Skipped(k, v) for k, v in sorted(found.items())))
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
FILE = Data("", MD5, 0, modified=True, pointer="data.dvc")
FOLDER = Data("", f"{MD5}.dir", 2**40, nfiles=10**6, changed=True)
KEPT = Artifact("models/net.pt", f"{MD5}.dir", 3, nfiles=2)
runs_ = st.builds(
    Run,
    id=st.just("0123456789abcdef" * 2),
    name=st.just("calm-lynx-0xw8nc"),
    experiment=st.just("default"),
    status=st.sampled_from(["finished", "failed", "killed"]),
    started=st.just(START),
    ended=st.sampled_from([None, START + timedelta(seconds=1.5)]),
    exit_code=st.sampled_from([None, 0, 1, 255]),
    title=st.one_of(st.none(), some),
    experiment_title=st.one_of(st.none(), some),
    message=st.one_of(st.none(), some),
    command=st.lists(text, max_size=3).map(tuple),
    directory=text,
    user=text,
    host=text,
    code=st.builds(
        Code,
        base=st.sampled_from([None, "0" * 40]),
        branch=st.one_of(st.none(), some),
        dirty=st.booleans(),
        included=st.lists(some, max_size=2).map(tuple),
        skipped=skipped,
        hidden=skipped,
    ),
    params=st.dictionaries(keys, values, max_size=5),
    metrics=st.dictionaries(keys, numbers, max_size=4),
    environment=st.one_of(
        st.none(),
        st.builds(
            Environment, python=st.sampled_from([None, "3.11.7"]), platform=text, cpu=text,
            cores=st.integers(0, 8), memory=st.integers(0, 2**40), gpus=st.just(("A100", "A100")),
            packages=paths, lock_files=paths, variables=paths,
        ),
        st.just(Environment()),
    ),
    inputs=st.sampled_from(
        [(), (Input("b", "1" * 32, "2" * 40), Input("c", "3" * 32, "4" * 40, "m"))]
    ),
    data=st.dictionaries(some, st.sampled_from([FILE, FOLDER]), max_size=2).map(
        lambda found: tuple(
            replace(item, path=path) for path, item in sorted(found.items())
        )
    ),
    artifacts=st.sampled_from([(), (KEPT,), (Artifact("a", MD5, 0), KEPT)]),
    fingerprint=st.sampled_from([None, "7" * 32]),
    parent=st.sampled_from([None, "1" * 32]),
    continues=st.sampled_from([None, "1" * 32]),
    tags=st.dictionaries(keys, text, max_size=2),
    faults=st.lists(text, max_size=2).map(tuple),
    source=st.sampled_from(["cli", "api"]),
    output_bytes=st.integers(0, 2**40),
)  # fmt: skip


@given(runs_)
@settings(deadline=None, max_examples=200)
def test_what_is_encoded_is_decoded(run: Run) -> None:
    """Nothing logged is lost, and nothing comes back as another type."""
    back = record.decode(record.encode(run), experiment=run.experiment, name=run.name)
    assert back == run
    for before, after in ((run.params, back.params), (run.metrics, back.metrics)):
        assert {k: repr(v) for k, v in before.items()} == {k: repr(v) for k, v in after.items()}


@given(runs_)
@settings(deadline=None, max_examples=50)
def test_equal_runs_give_equal_bytes(run: Run) -> None:
    """Objects are shared only between equal bytes; the order of logging is no content."""

    def turned(found: Mapping[str, Any]) -> dict[str, Any]:
        return dict(reversed(list(found.items())))

    other = replace(
        run, params=turned(run.params), metrics=turned(run.metrics), tags=turned(run.tags)
    )
    assert record.encode(other) == record.encode(run)


HEAD = (
    b"format: 1\nid: 0123456789abcdef0123456789abcdef\nstatus: finished\n"
    b"started: 2026-01-01T00:00:00Z\n"
)
POINTER = "artifacts/a/b.dvc"
FILES = ("run.yaml", "params.yaml", "metrics.yaml", "environment.yaml", "data.yaml", POINTER)
DAMAGE = [
    *(b"", b"[]", b"1", b"a: [", b"a: {b: 1}", b"packages: 1", b"gpus: [1]", b"\xff", b"a: x"),
    *(
        b"format: 1\nid: 1",
        HEAD,
        HEAD + b"command: [1]",
        HEAD + b"inputs: [{}]",
        HEAD + b"code: {base: --output=x}",
        HEAD + b"parent: --x",
        HEAD + b'inputs: [{run: a, id: "1", commit: --output=x}]',
        b"a.b: 1\na: {b: 1}",
        b"a: {md5: ../x, size: 1}",
        b"a: {md5: d41d8cd98f00b204e9800998ecf8427e, size: -1}",
        b"outs: []",
        b"outs: [{md5: d41d8cd98f00b204e9800998ecf8427e, size: 0, path: ../b}]",
    ),
    *(
        HEAD + b"code: 1",
        HEAD + b"output: {bytes: x}",
        HEAD.replace(b"2026-", b"x"),
        b"cores: true",
    ),
]


@given(st.dictionaries(st.sampled_from(FILES), st.sampled_from(DAMAGE), min_size=1))
def test_a_damaged_record_is_a_bad_file_or_still_a_run(damage: dict[str, bytes]) -> None:
    """Whatever was fetched: one kind of error that names the file, and no other."""
    good = Run(id="0" * 32, name="n", experiment="e", status="finished", started=START)
    try:
        found = record.decode({**record.encode(good), **damage}, experiment="e", name="n")
        assert isinstance(found, Run)
    except BadFile as error:
        assert error.path in FILES and error.message.startswith(error.path)


def test_a_long_output_keeps_its_first_and_last_lines() -> None:
    """A traceback stands at the end, the settings at the beginning."""
    log = b"".join(b"line %d\n" % number for number in range(300_000))
    kept = record.log_excerpt(log)
    assert len(kept) <= record.LOG_LIMIT
    head, _, rest = kept.partition(b"[... ")
    count, _, tail = rest.partition(b" bytes left out ...]\n")
    assert log.startswith(head) and log.endswith(tail) and tail.startswith(b"line ")
    assert len(head) + int(count) + len(tail) == len(log)
    assert record.log_excerpt(log[: record.LOG_LIMIT]) == log[: record.LOG_LIMIT]
    assert len(record.log_excerpt(b"x" * (3 << 20))) <= record.LOG_LIMIT


@pytest.mark.parametrize("before", [" ", "\n"])
@pytest.mark.parametrize("offset", [-80, -45, -39, -20, -1, 0, 1, 30])
def test_a_secret_across_a_cut_is_masked_whole(tmp_path: Path, before: str, offset: int) -> None:
    """Half a key is most of a key, and a value whose name was cut off is still one."""
    half = (record.LOG_LIMIT // 2) - 64
    secret = "gh" + "p_" + "a8B3kLm92NqXz71PwRtYv45CdEf60GhJsK2u"
    path = tmp_path / "output"
    for word in (secret, f"password: {secret[4:]}"):
        head = "x" * (half + offset - 1) + before + word + " "
        tail = " " + word + before + "y" * (half + offset - 1)
        whole = head.encode() + b"z" * 300_000 + tail.encode()
        path.write_bytes(whole)
        kept, size, hidden = record.read_log(path, mask=mask_text)
        assert size == len(whole) and len(kept) <= record.LOG_LIMIT
        pieces = [secret[n : n + 6].encode() for n in range(4, len(secret) - 6)]
        assert not any(piece in kept for piece in pieces)
        assert hidden == kept.count(b"***")
        assert hidden or offset >= -1 or before == "\n"


def test_a_masked_excerpt_is_cut_where_any_other_is(tmp_path: Path) -> None:
    """Masking changes lengths; the count of bytes left out is that of the output."""
    lines = b"".join(b"line %d\n" % number for number in range(300_000))
    for size in (0, 5, record.LOG_LIMIT, record.LOG_LIMIT + 1, len(lines)):
        (tmp_path / "output").write_bytes(lines[:size])
        kept = (record.log_excerpt(lines[:size]), size, 0)
        assert record.read_log(tmp_path / "output", mask=mask_text) == kept
    assert record.read_log(tmp_path / "none", mask=mask_text) == (b"", 0, 0)


def test_stock_dvc_reads_two_runs(tmp_path: Path, git) -> None:
    """Readable without us: DVC finds params, metrics and curves of a run ref by itself."""
    env = {**os.environ, "DVC_NO_ANALYTICS": "1"}

    def dvc(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "--json" in words else done.stdout

    git(tmp_path, "init", "-q")
    dvc("init", "-q")
    git(tmp_path, "commit", "-q", "-m", "dvc")
    repo = Repo.open(tmp_path)
    base = repo.head()[0]
    assert base is not None
    tree = repo.read_commit(base).tree
    for number, (name, lr, acc) in enumerate((("a-000000", 0.1, 0.5), ("b-000000", 0.2, 0.75))):
        run = Run(id=f"{number:032x}", name=name, experiment="e", status="finished", started=START,
                  ended=START, code=Code(base=base), params={"opt.lr": lr, "opt.name": "NO"},
                  metrics={"acc": acc})  # fmt: skip
        rows = [Row(step, float(step), {"acc": acc - (1 - step) / 4}) for step in range(2)]
        commits.write(repo, run, tree=tree, author=Identity("Ada", "ada@example.org"), rows=rows)
    pair = ("runs/e/a-000000", "runs/e/b-000000")
    metrics = dvc("metrics", "diff", "--json", *pair)
    assert metrics == {".gittrack/metrics.yaml": {"acc": {"old": 0.5, "new": 0.75, "diff": 0.25}}}
    params = dvc("params", "diff", "--json", *pair)
    (lr,) = params[".gittrack/params.yaml"].values()
    assert (lr["old"], lr["new"]) == (0.1, 0.2)
    plots = json.dumps(dvc("plots", "diff", "--json", *pair))
    assert all(ref in plots for ref in pair) and "0.75" in plots and "0.25" in plots


@pytest.mark.parametrize("data", [b"format: 2\n", b"format: '1'\n", b"id: x\n"])
def test_a_newer_format_is_refused(data: bytes) -> None:
    """A reader that guesses would show wrong values."""
    with pytest.raises(BadFile, match=r"^run\.yaml: its format is"):
        record.decode({"run.yaml": data}, experiment="e", name="n")


def test_files_that_are_not_known_are_ignored() -> None:
    """A later version may add some."""
    run = Run(id="0" * 32, name="n", experiment="e", status="finished", started=START)
    files = {**record.encode(run), "new.yaml": b"\xff"}
    assert record.decode(files, experiment="e", name="n") == run
