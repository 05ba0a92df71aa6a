"""Event files are read as their own writers wrote them, and none of them is believed."""

from __future__ import annotations

import json
import math
import os
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.summary import Writer
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from gittrack import story, tfevents, tfproto
from gittrack.errors import BadFile

STARTED = 1_700_000_000.0
FLOAT, DOUBLE, STRING = 1, 2, 7


def simple(tag: str, value: float, **more: Any) -> Any:
    return Summary.Value(tag=tag, simple_value=value, **more)


def tensor(tag: str, plugin: str | None = "scalars", dims: Sequence[int] = (), **more: Any) -> Any:
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in dims])
    metadata = None
    if plugin is not None:
        data = SummaryMetadata.PluginData(plugin_name=plugin)
        metadata = SummaryMetadata(plugin_data=data)
    return Summary.Value(tag=tag, tensor=TensorProto(tensor_shape=shape, **more), metadata=metadata)


def event(*values: Any, step: int = 1, after: float = 1.0) -> Any:
    return Event(wall_time=STARTED + after, step=step, summary=Summary(value=values))


def written(place: Path, *events: Any) -> Path:
    """An event file, by TensorBoard's own writer."""
    writer = EventFileWriter(str(place))
    for one in events:
        writer.add_event(one)
    writer.close()
    [path] = place.glob("events*")
    return path


def framed(record: bytes) -> bytes:
    """A record with checksums that are right, whatever it holds."""
    length = struct.pack("<Q", len(record))
    check = struct.Struct("<I").pack
    return length + check(tfproto.checksum(length)) + record + check(tfproto.checksum(record))


def rows(path: Path) -> list[tuple[int | None, dict[str, Any]]]:
    found, faults = tfevents.read(path, started=STARTED)
    assert faults == []
    return [(row.step, dict(row.values)) for row in found]


# -- what writers write -------------------------------------------------------------------------

POINTS = st.lists(
    st.tuples(
        st.sampled_from(["loss", "val/acc", "Größe"]),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(width=32),
        st.floats(0, 1e6),
        st.booleans(),
    ),
    max_size=8,
)


@given(POINTS)
@settings(deadline=None, max_examples=60)
def test_every_scalar_comes_back_as_it_was_written(points: list[Any]) -> None:
    """Old writers have simple values, new ones tensors; both to the last bit."""
    events = [
        event(
            simple(tag, value) if old else tensor(tag, dtype=FLOAT, float_val=[value]),
            step=step,
            after=after,
        )
        for tag, step, value, after, old in points
    ]
    with tempfile.TemporaryDirectory() as place:
        found, faults = tfevents.read(written(Path(place), *events), started=STARTED)
    told = [(row.step, key, value) for row in found for key, value in row.values.items()]
    assert faults == []
    assert repr(told) == repr([(step, tag, value) for tag, step, value, _, _ in points])


def test_tensorboards_own_summary_writer_is_understood(tmp_path: Path) -> None:
    """The one that needs no TensorFlow, with its first record and its metadata."""
    began = time.time()
    writer = Writer(str(tmp_path))
    for step in range(3):
        writer.add_scalar("loss", 0.5 / (step + 1), step)
    writer.close()
    [path] = tfevents.found(tmp_path, began)
    found, faults = tfevents.read(path, started=began)
    assert faults == []
    assert [row.step for row in found] == [0, 1, 2]
    assert [row.values["loss"] for row in found] == pytest.approx([0.5, 0.25, 1 / 6])
    assert all(0 <= row.time < 20 for row in found)


def test_scalars_of_one_step_share_a_row(tmp_path: Path) -> None:
    """A table of curves has a line for a step, not for each number."""
    path = written(
        tmp_path,
        event(simple("loss", 1), simple("acc", 2), step=1),
        event(simple("lr", 3), step=1),
        event(simple("loss", 4), step=1),
        event(simple("loss", 5), step=2),
    )
    assert rows(path) == [
        (1, {"loss": 1, "acc": 2, "lr": 3}),
        (1, {"loss": 4}),
        (2, {"loss": 5}),
    ]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (tensor("x", dtype=FLOAT, float_val=[0.5]), 0.5),
        (tensor("x", dtype=FLOAT, tensor_content=struct.pack("<f", 0.25)), 0.25),
        (tensor("x", dtype=FLOAT), 0.0),
        (tensor("x", dtype=DOUBLE, double_val=[0.1]), 0.1),
        (tensor("x", dtype=DOUBLE, tensor_content=struct.pack("<d", 0.1)), 0.1),
        (tensor("x", dtype=3, int_val=[-7]), -7),
        (tensor("x", dtype=4, tensor_content=b"\xff"), 255),
        (tensor("x", dtype=9, int64_val=[-(2**62)]), -(2**62)),
        (tensor("x", dtype=19, half_val=[0x3800]), 0.5),
        (tensor("x", dtype=22, uint32_val=[2**32 - 1]), 2**32 - 1),
        (tensor("x", dtype=23, uint64_val=[2**64 - 1]), 2**64 - 1),
        (tensor("x", plugin=None, dtype=FLOAT, float_val=[0.5]), 0.5),
        (simple("x", math.inf), math.inf),
    ],
)
def test_each_kind_of_number_is_exact(value: Any, number: Any, tmp_path: Path) -> None:
    """A writer may choose any of the types that TensorFlow has for numbers."""
    assert repr(rows(written(tmp_path, event(value)))) == repr([(1, {"x": number})])


@pytest.mark.parametrize(
    "value",
    [
        tensor("x", "text", dtype=STRING, string_val=[b"hello"]),
        tensor("x", "hparams", dtype=FLOAT, float_val=[0.0]),
        tensor("x", "histograms", dims=[2, 3], dtype=DOUBLE, double_val=[0.0] * 6),
        tensor("x", "scalars", dims=[1], dtype=FLOAT, float_val=[0.0]),
        tensor("x", "scalars", dtype=STRING, string_val=[b"1"]),
        tensor("x", "scalars", dtype=10, bool_val=[True]),
        tensor("x", "scalars", dtype=14, half_val=[1]),
        Summary.Value(tag="x", image=Summary.Image(height=1, width=1, encoded_image_string=b"x")),
        Summary.Value(tag="x"),
        Summary.Value(),
    ],
)
def test_other_summaries_are_no_metrics(value: Any, tmp_path: Path) -> None:
    """Texts, pictures, distributions: one false metric costs more trust than a missing one."""
    assert rows(written(tmp_path, event(value), event(simple("y", 1)))) == [(1, {"y": 1})]


def test_only_the_first_value_of_a_tag_says_whose_it_is(tmp_path: Path) -> None:
    """TensorFlow leaves the metadata out afterwards, and hparams look like a zero."""
    later = {"plugin": None, "dtype": FLOAT, "float_val": [1.0]}
    path = written(
        tmp_path,
        event(tensor("h", "hparams", dtype=FLOAT), tensor("s", dtype=FLOAT), step=1),
        event(tensor("h", **later), tensor("s", **later), step=2),
    )
    assert rows(path) == [(1, {"s": 0.0}), (2, {"s": 1.0})]


# -- what is torn, damaged or made to hurt ------------------------------------------------------


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    path = written(
        tmp_path,
        event(simple("loss", 0.5), step=1),
        event(tensor("acc", dtype=FLOAT, float_val=[0.25]), step=2, after=2),
        event(simple("loss", 0.125), simple("b", 1), step=3, after=3),
    )
    return path.read_bytes()


def test_a_file_cut_anywhere_keeps_the_records_before(whole: bytes, tmp_path: Path) -> None:
    """Writers are killed in the middle of a record every day: that is nothing to complain of."""
    path = tmp_path / "cut.tfevents"
    path.write_bytes(whole)
    full, seen = rows(path), set()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        found = rows(path)
        assert found == full[: len(found)]
        seen.add(len(found))
    assert seen == {0, 1, 2} and len(full) == 3


def test_no_flipped_bit_makes_a_wrong_point(whole: bytes, tmp_path: Path) -> None:
    """A bad disk may cost points, and is told of; it invents none."""
    path = tmp_path / "flipped.tfevents"
    path.write_bytes(whole)
    full, _ = tfevents.read(path, started=STARTED)
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        found, faults = tfevents.read(path, started=STARTED)
        assert found == full[: len(found)]
        assert len(found) < len(full) and len(faults) == 1


HUGE = b"\xff" * 9 + b"\x01"


@pytest.mark.parametrize(
    "record",
    [
        b"\x2a",
        b"\x2a" + HUGE,
        b"\x2a\x05ab",
        b"\xff" * 30,
        b"\x07\x00",
        b"\x0b",
        b"\x09\x00",
        b"\x28\x01",
        b"\x0a\x01a\x12\x00",
        b"\x2a\x04\x0a\x02\x0a\x05",
        b"\x2a\x06\x0a\x04\x0a\x02\xff\xfe",
        b"\x2a\x05\x0a\x03\x12\x01a",
        b"\x2a\x09\x0a\x07\x42\x05\x08\x01\x2a\x01a",
    ],
    ids=repr,
)
def test_an_event_that_makes_no_sense_costs_only_itself(record: bytes, tmp_path: Path) -> None:
    """Its checksum is right, so what follows is as good as before."""
    good = event(simple("loss", 1)).SerializeToString()
    path = tmp_path / "odd.tfevents"
    path.write_bytes(framed(good) + framed(record) + framed(good))
    found, faults = tfevents.read(path, started=STARTED)
    assert [dict(row.values) for row in found] == [{"loss": 1}, {"loss": 1}]
    assert [fault.partition("tfevents', ")[2] for fault in faults] == ["an event makes no sense"]


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=400)
def test_no_record_breaks_the_reader(record: bytes) -> None:
    """Whoever can write a file below the work tree decides what stands in it."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "any.tfevents"
        path.write_bytes(framed(record) + record)
        tfevents.read(path, started=STARTED)


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 2**40, tfevents.LARGEST_RECORD + 1, 100])
def test_a_length_that_lies_takes_no_memory(length: int, tmp_path: Path) -> None:
    """A record may claim 16 exabytes; only what the file has can be there."""
    header = struct.pack("<Q", length)
    good = framed(event(simple("loss", 1)).SerializeToString())
    path = tmp_path / "liar.tfevents"
    path.write_bytes(good + header + struct.pack("<I", tfproto.checksum(header)) + b"x" * 50)
    assert rows(path) == [(1, {"loss": 1})]


def test_a_large_record_is_passed_over_unread(tmp_path: Path) -> None:
    """A graph of 2 GB lies before the scalars of some files; this one is a hole in the disk."""
    good = framed(event(simple("loss", 1)).SerializeToString())
    length = struct.pack("<Q", 1 << 31)
    path = tmp_path / "large.tfevents"
    with path.open("wb") as file:
        file.write(good + length + struct.pack("<I", tfproto.checksum(length)))
        file.seek((1 << 31) + 4, os.SEEK_CUR)
        file.write(good)
    began = time.monotonic()
    assert rows(path) == [(1, {"loss": 1})] * 2
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("tag", ["", "a\nb", "x" * 300, "\x1b[2J"])
def test_a_name_that_no_metric_can_have_is_left_out_and_said(tag: str, tmp_path: Path) -> None:
    """The grammar of keys is one, wherever a key comes from."""
    path = written(tmp_path, event(simple(tag, 1), simple("good", 2)), event(simple(tag, 1)))
    found, faults = tfevents.read(path, started=STARTED)
    assert [dict(row.values) for row in found] == [{"good": 2}]
    assert len(faults) == 1 and "key" in faults[0] and faults[0].endswith("(2 times)")
    assert "\x1b" not in faults[0] and "\n" not in faults[0]


@pytest.mark.parametrize("wall", [math.nan, math.inf, -math.inf, 0.0, -1e300])
def test_a_time_that_cannot_be_is_the_start(wall: float, tmp_path: Path) -> None:
    """Clocks of other machines; no point is lost for that."""
    one = Event(wall_time=wall, step=1, summary=Summary(value=[simple("x", 1)]))
    [row], _ = tfevents.read(written(tmp_path, one), started=STARTED)
    assert row.time == 0.0


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    """Opening a named pipe would wait for ever for somebody to write into it."""
    path = tmp_path / "x.tfevents"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(BadFile):
        tfevents.read(path, started=STARTED)
    found, [fault] = tfevents.gather([path], started=STARTED)
    assert found == [] and fault.startswith("metrics not read: ")


# -- several files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("places", "keys"),
    [
        (["."], ["x"]),
        (["logs/version_0"], ["x"]),
        (["logs/train", "logs/validation"], ["train/x", "validation/x"]),
        (["runs/a", "runs/a/val"], ["x", "val/x"]),
        (["runs/a", "runs/a/1700000000.123"], ["x", "x"]),
        (["a/b/c", "a/d"], ["b/c/x", "d/x"]),
    ],
)
def test_directories_come_before_names_as_tensorboard_shows_them(
    places: list[str], keys: list[str], tmp_path: Path
) -> None:
    """Keras writes train/ and validation/ with the same names in both."""
    paths = []
    for n, place in enumerate(places):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        path = tmp_path / place / f"events.out.tfevents.{n}"
        path.write_bytes(framed(event(simple("x", n), after=n).SerializeToString()))
        paths.append(path)
    found, faults = tfevents.gather(paths, started=STARTED)
    assert faults == []
    assert [key for row in found for key in row.values] == keys


def test_the_rows_of_several_files_are_in_order_of_time(tmp_path: Path) -> None:
    """A job that was begun again in the same run writes a second file."""
    paths = []
    for n in (2, 1, 3):
        path = tmp_path / f"{n}.tfevents"
        path.write_bytes(framed(event(simple("x", n), step=n, after=n).SerializeToString()))
        paths.append(path)
    found, _ = tfevents.gather(paths, started=STARTED)
    assert [(row.step, row.time) for row in found] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert tfevents.gather([], started=STARTED) == ([], [])


# -- where they are found -----------------------------------------------------------------------


def put(place: Path, name: str = "events.out.tfevents.host", at: float | None = None) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    path = place / name
    path.write_bytes(b"")
    if at is not None:
        os.utime(path, (at, at))
    return path


def test_only_what_was_made_and_written_since_is_found(tmp_path: Path) -> None:
    """Last week's files lie beside today's, and some were only touched."""
    since = STARTED
    new = put(tmp_path / "b", at=since + 5)
    dated = put(tmp_path / "a", f"events.out.tfevents.{int(since) + 1}.host.1.0", at=since + 5)
    put(tmp_path / "c", at=since - 60)
    put(tmp_path / "of the run before", at=since - 0.1)
    put(tmp_path / "its name", f"events.out.tfevents.{int(since) - 1}.host", at=since)
    put(tmp_path / "d", f"events.out.tfevents.{int(since) - 60}.host", at=since + 5)
    put(tmp_path / "e", "metrics.json", at=since + 5)
    assert tfevents.found(tmp_path, since) == [dated, new]


def test_it_is_not_looked_for_everywhere(tmp_path: Path) -> None:
    """A work tree holds environments of 50,000 files, and links that lead out of it."""
    outside = tmp_path / "outside"
    put(outside)
    root = tmp_path / "root"
    seen = put(root / "runs" / "a")
    for hidden in (".git", ".venv", "node_modules", "__pycache__", "mine"):
        put(root / hidden / "x")
    put(root / "environment" / "lib")
    (root / "environment" / "pyvenv.cfg").touch()
    put(root.joinpath(*"abcdefghijkl"))
    (root / "link").symlink_to(outside)
    (root / "events.tfevents.link").symlink_to(seen)
    os.mkfifo(root / "fifo.tfevents")
    assert tfevents.found(root, 0.0, ignore=("mine",)) == [seen]
    assert tfevents.found(root / "nowhere", 0.0) == []


def test_a_word_for_metrics_files_may_mean_event_files(tmp_path: Path) -> None:
    """--metrics takes a directory of them, a pattern, or one."""
    one, two = (
        put(tmp_path / "runs" / "a", "1.tfevents"),
        put(tmp_path / "runs" / "b", "2.tfevents"),
    )
    put(tmp_path / "runs" / "b", "other.json")
    asked = {
        "runs": [one, two],
        "runs/": [one, two],
        "runs/*": [one, two],
        "runs/b/*": [two],
        "runs/**/*.tfevents": [one, two],
        "runs/a/1.tfevents": [one],
        "later/": [],
        "later.tfevents": [],
    }
    for word, paths in asked.items():
        assert tfevents.is_asked(word, directory=tmp_path)
        assert tfevents.named(word, 0.0, directory=tmp_path) == paths
        assert tfevents.named(word, time.time() + 60, directory=tmp_path) == []
    for word in ("metrics.json", "m[1].csv", "out", "runs/b/other.json"):
        assert not tfevents.is_asked(word, directory=tmp_path)


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        (["torch", "TensorBoard"], True),
        (["tensorboardX"], True),
        (["tensorflow-cpu"], True),
        (["torch", "numpy"], False),
        ([], False),
    ],
)
def test_whether_an_interpreter_can_write_them(packages: list[str], expected: bool) -> None:
    """Nobody else's work tree is walked through."""
    assert story.may_write_event_files(packages) is expected


# -- in a run -----------------------------------------------------------------------------------

WRITER = """\
import sys
from tensorboard.summary import Writer
for part in ("train", "validation"):
    writer = Writer(f"{sys.argv[1]}/{part}")
    for step in range(3):
        writer.add_scalar("loss", 1 / (step + 1), step)
    writer.close()
"""


@pytest.mark.parametrize("asked", [(), ("--metrics", "out")], ids=["unasked", "asked"])
def test_the_scalars_that_a_run_writes_are_its_metrics(repo_dir, track, asked) -> None:
    """Somebody who logs to TensorBoard changes nothing."""
    (repo_dir / "w.py").write_text(WRITER)
    (repo_dir / "out").mkdir()
    track(repo_dir, "run", *asked, "--", sys.executable, "w.py", "out")
    known = json.loads(track(repo_dir, "show", "latest", "--json").stdout)
    assert known["metrics"] == pytest.approx({"train/loss": 1 / 3, "validation/loss": 1 / 3})


def test_event_files_are_left_alone_where_that_is_set(repo_dir, track, git) -> None:
    """Who keeps both may want one of each."""
    git(repo_dir, "config", "track.tensorboard", "false")
    (repo_dir / "w.py").write_text(WRITER)
    track(repo_dir, "run", "--", sys.executable, "w.py", "out")
    assert json.loads(track(repo_dir, "show", "latest", "--json").stdout)["metrics"] == {}


def test_event_files_that_do_not_come_are_a_fault(repo_dir, track) -> None:
    """A wrong directory is seen at once, and not after a month."""
    told = track(repo_dir, "run", "--metrics", "out/", "--", "true")
    assert "no event file of this run lies in out/" in told.stderr
