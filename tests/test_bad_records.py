"""Broken and hostile runs among good ones: one line each, the others listed, nothing executed."""

from __future__ import annotations

import re
import resource
import runpy
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path

import pytest

from gittrack.git import Repo

_made = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "generate.py"))
generate = _made["generate"]

GOOD = b"""format: 1
id: 00000000000000000000000000000bad
name: bad-run-aaaaaa
experiment: default
status: finished
started: "2026-01-02T00:00:00.000000Z"
ended: "2026-01-02T00:00:05.000000Z"
"""
MESSAGE = b"bad-run-aaaaaa: finished\n\nGittrack-Run: 1\nRun-Id: 0bad\nStatus: finished\n"


class Forge:
    """Raw objects in a repository, as a hostile remote could have sent them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *arguments: str, input: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, input=input, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def put(self, kind: str, data: bytes) -> str:
        """Write an object past all checks, as `git hash-object --literally` would."""
        head = f"{kind} {len(data)}".encode() + b"\0"
        digest = sha1(head + data).hexdigest()
        place = self.root / ".git" / "objects" / digest[:2] / digest[2:]
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            place.write_bytes(zlib.compress(head + data))
        return digest

    def zeros(self, count: int) -> str:
        """A blob of zeros, made without holding it in memory."""
        head, chunk = f"blob {count}".encode() + b"\0", bytes(1 << 20)
        digest, packer = sha1(head), zlib.compressobj(1)
        packed = [packer.compress(head)]
        for _ in range(count >> 20):
            digest.update(chunk)
            packed.append(packer.compress(chunk))
        place = self.root / ".git" / "objects" / digest.hexdigest()[:2] / digest.hexdigest()[2:]
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"".join(packed) + packer.flush())
        return digest.hexdigest()

    def tree(self, *entries: tuple[str, bytes, str]) -> str:
        parts = [
            f"{mode} ".encode() + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries
        ]
        return self.put("tree", b"".join(parts))

    def commit(self, tree: str, message: bytes = MESSAGE, extra: bytes = b"") -> str:
        who = b"M <m@example.org> 1767312000 +0000"
        head = b"tree " + tree.encode() + b"\nauthor " + who + b"\ncommitter " + who + b"\n" + extra
        return self.put("commit", head + b"\n" + message)

    def record(self, files: dict[str, bytes], mode: str = "100644") -> str:
        entries = [
            (mode, name.encode(), self.put("blob", data)) for name, data in sorted(files.items())
        ]
        return self.tree(("40000", b".gittrack", self.tree(*entries)))

    def ref(self, target: str, name: str = "refs/runs/default/bad-run-aaaaaa") -> None:
        place = self.root / ".git" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(target + "\n")


def files(**more: bytes | None) -> dict[str, bytes]:
    made = {"run.yaml": GOOD} | {f"{name}.yaml": data for name, data in more.items()}
    return {name: data for name, data in made.items() if data is not None}


def params(data: bytes) -> Callable[[Forge], str]:
    return lambda forge: forge.commit(forge.record(files(params=data)))


def run_yaml(data: bytes | None) -> Callable[[Forge], str]:
    return lambda forge: forge.commit(forge.record(files(run=data)))


def laughs() -> bytes:
    lines = [b"a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9)]
    return b"\n".join(lines)


def merges() -> bytes:
    lines = [b"a0: &a0 {k: 1}"]
    lines += [b"a%d: &a%d {<<: [*a%d, *a%d]}" % (n, n, n - 1, n - 1) for n in range(1, 31)]
    return b"\n".join(lines)


def missing_blob(forge: Forge) -> str:
    record = forge.tree(("100644", b"run.yaml", "1" * 40))
    return forge.commit(forge.tree(("40000", b".gittrack", record)))


def zero_blob(forge: Forge) -> str:
    there = (("100644", b"params.yaml", forge.zeros(400 << 20)),)
    record = forge.tree(*there, ("100644", b"run.yaml", forge.put("blob", GOOD)))
    return forge.commit(forge.tree(("40000", b".gittrack", record)))


def missing_tree(forge: Forge) -> str:
    return forge.commit("2" * 40)


def odd_mode(mode: str) -> Callable[[Forge], str]:
    return lambda forge: forge.commit(forge.record(files(), mode))


def empty_object(forge: Forge) -> str:
    blob = forge.put("blob", GOOD + b"# torn")
    (forge.root / ".git" / "objects" / blob[:2] / blob[2:]).write_bytes(b"")
    record = forge.tree(("100644", b"run.yaml", blob))
    return forge.commit(forge.tree(("40000", b".gittrack", record)))


def no_directory(forge: Forge) -> str:
    return forge.commit(forge.tree(("100644", b".gittrack", forge.put("blob", b"x"))))


def summary(text: bytes) -> Callable[[Forge], str]:
    message = MESSAGE + b"Gittrack-Summary: " + text + b"\n"
    return lambda forge: forge.commit(forge.record(files(run=b"[")), message)


def newer(forge: Forge) -> str:
    return forge.commit(forge.record(files()), MESSAGE.replace(b"Run: 1", b"Run: 2"))


def huge_message(forge: Forge) -> str:
    return forge.commit(forge.record(files()), MESSAGE + b"X: " + b"x" * (5 << 20) + b"\n")


BROKEN: dict[str, Callable[[Forge], str]] = {
    "python object": params(b"a: !!python/object/apply:os.system [touch pwned]"),
    "explicit tag": params(b"a: !!binary aGk="),
    "alias bomb": params(laughs()),
    "merge bomb": params(merges()),
    "100,000 brackets": params(b"a: " + b"[" * 100_000),
    "5,000 balanced brackets": params(b"a: " + b"[" * 5000 + b"]" * 5000),
    "repeated key": params(b"lr: 1\nlr: 2\n"),
    "integer of 100,000 digits": params(b"a: " + b"9" * 100_000),
    "hexadecimal of a million digits": params(b"a: 0x" + b"f" * 1_000_000),
    "beyond a float": params(b"a: 1.0e+999"),
    "120,000 keys": params(b"".join(b"k%d: 1\n" % n for n in range(120_000))),
    "two documents": params(b"a: 1\n---\nb: 2\n"),
    "not UTF-8": params(b"a: \xff\xfe\n"),
    "UTF-16": params("a: 1\n".encode("utf-16")),
    "NUL": params(b"a: \0\n"),
    "a list": params(b"- 1\n- 2\n"),
    "400 MB of zeros": zero_blob,
    "metric that is a text": lambda f: f.commit(f.record(files(metrics=b"acc: high\n"))),
    "no run.yaml": run_yaml(None),
    "empty run.yaml": run_yaml(b""),
    "broken run.yaml": run_yaml(b"{"),
    "newer record": run_yaml(GOOD.replace(b"format: 1", b"format: 2")),
    "odd status": run_yaml(GOOD.replace(b"finished", b"married")),
    "odd time": run_yaml(GOOD.replace(b"2026-01-02T00:00:00.000000Z", b"yesterday")),
    "missing blob": missing_blob,
    "missing tree": missing_tree,
    "symbolic link": odd_mode("120000"),
    "submodule": odd_mode("160000"),
    "mode 777777": odd_mode("777777"),
    "zero-length object": empty_object,
    "record that is a file": no_directory,
    "summary that is no JSON": summary(b"{"),
    "summary that is a list": summary(b"[]"),
    "summary nested deep": summary(b"[" * 60_000),
    "summary with a long number": summary(b'{"id":' + b"9" * 10_000 + b"}"),
    "5 MB message": huge_message,
}


def bounded(place: Path, *arguments: str, seconds: int = 2) -> subprocess.CompletedProcess[str]:
    """The real command in 200 MB of data and 2 s of CPU time; what exceeds them is killed."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (200 << 20, 200 << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    return subprocess.run(
        [sys.executable, "-m", "gittrack", *arguments],
        cwd=place, capture_output=True, text=True, preexec_fn=limit, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("origin") / "r"
    generate(place, runs=3, experiments=1, params=2, metrics=2)
    return place


@pytest.fixture
def world(origin: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(origin, tmp_path / "r", symlinks=True))


def named(kind: str) -> str:
    return f"bad-{[*BROKEN, *READABLE].index(kind)}-aaaaaa"


def plant(place: Path, kinds: dict[str, Callable[[Forge], str]]) -> Path:
    forge = Forge(place)
    for kind, make in kinds.items():
        forge.ref(make(forge), f"refs/runs/default/{named(kind)}")
    return place


@pytest.fixture(scope="module")
def broken(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("broken") / "r"
    shutil.copytree(origin, place, symlinks=True)
    return plant(place, BROKEN)


@pytest.fixture(scope="module")
def odd(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("odd") / "r"
    shutil.copytree(origin, place, symlinks=True)
    return plant(place, READABLE)


def test_each_bad_run_costs_one_line_and_hides_no_other(broken: Path) -> None:
    """All kinds of broken runs at once, the three good ones among them."""
    listed = bounded(broken, "ls", seconds=20)
    assert listed.returncode == 0, listed.stderr
    assert len(re.findall("^\\S+-\\S+-\\S+  ", listed.stdout, re.MULTILINE)) == 3
    for kind in BROKEN:
        (line,) = [text for text in listed.stderr.splitlines() if f"/{named(kind)}:" in text]
        assert line.startswith("warning: ")
        assert len(line) < 400
    assert "Traceback" not in listed.stderr


@pytest.mark.parametrize("kind", list(BROKEN))
def test_a_bad_run_asked_for_is_one_error(broken: Path, kind: str) -> None:
    """Within 2 s and 200 MB; the message names the run, nothing in it is executed."""
    shown = bounded(broken, "show", named(kind))
    assert shown.returncode == 1, shown.stderr
    assert named(kind) in shown.stderr.split("\n")[0]
    assert shown.stderr.count("\n") <= 2
    assert "Traceback" not in shown.stderr
    assert not (broken / "pwned").exists()


@pytest.mark.parametrize("arguments", [("diff",), ("show", "--json"), ("plot", "acc")])
def test_no_reader_trips_over_a_bad_run(broken: Path, arguments: tuple[str, ...]) -> None:
    """All of them read a record through the same function."""
    done = bounded(broken, *arguments, named("alias bomb"))
    assert done.returncode == 1
    assert named("alias bomb") in done.stderr.split("\n")[0]


def test_a_newer_run_is_named(world: Path) -> None:
    """A colleague with a newer gittrack pushed it."""
    forge = Forge(world)
    forge.ref(newer(forge))
    done = bounded(world, "ls")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)
    assert "its format is '2'" in done.stderr


READABLE: dict[str, Callable[[Forge], str]] = {
    "unknown encoding": lambda f: f.commit(f.record(files()), MESSAGE, b"encoding klingon\n"),
    "encoding rot13": lambda f: f.commit(f.record(files()), MESSAGE, b"encoding rot13\n"),
    "unknown file": lambda f: f.commit(f.record(files(unheard=b"[[["))),
    "entry that leaves the tree": lambda f: f.commit(
        f.tree(
            ("100644", b"../x", f.put("blob", b"x")),
            ("40000", b".gittrack", f.tree(("100644", b"run.yaml", f.put("blob", GOOD)))),
        )
    ),
    "yaml 1.1 traps": params(b"a: NO\nb: 12:30:45\nc: 1e3\nd: ~\ne: 1_000\nf: 2024-01-01\n"),
    "odd keys": params(b'__class__: 1\n__proto__: 2\n"%s": 3\n"{0}": 4\n"; DROP TABLE runs": 5\n'),
    "infinities": params(b"a: .nan\nb: .inf\nc: -.inf\n"),
    "escape sequences": params(b'"\\e[2J": "\\e]0;x\\a"\nb: "\\u202e"\nc: "\\u009b1m"\n'),
    "a long value": params(b"a: " + b"x" * 1_000_000),
    "a huge metric": lambda f: f.commit(f.record(files(metrics=b"acc: " + b"9" * 4000))),
}


@pytest.mark.parametrize(
    "arguments",
    [(), ("--all-columns",), ("--json",), ("--md",), ("--sort", "-params.lr")],
    ids=" ".join,
)
def test_odd_runs_are_listed_like_others(odd: Path, arguments: tuple[str, ...]) -> None:
    """What is only strange is no error; nothing raw reaches the terminal."""
    done = bounded(odd, "ls", *arguments, seconds=10)
    assert done.returncode == 0, done.stderr
    assert not UNSAFE.search(done.stdout + done.stderr)
    assert [kind for kind in READABLE if named(kind) not in done.stdout] == []


@pytest.mark.parametrize("kind", list(READABLE))
def test_odd_runs_are_shown_like_others(odd: Path, kind: str) -> None:
    """A file in an unknown encoding or a key named `__class__` is nobody's fault."""
    for arguments in (("show",), ("diff", "latest~12")):
        done = bounded(odd, *arguments, named(kind))
        assert done.returncode == 0, (arguments, done.stderr)
        assert not UNSAFE.search(done.stdout + done.stderr)


UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")

UGLY = (
    "refs/runs/default/-dash", "refs/runs/default/;id", "refs/runs/default/$(id)",
    "refs/runs/default/`id`", "refs/runs/default/<b>", "refs/runs/HEAD/x",
    "refs/runs/default/a\u202eb", "refs/runs/default/\u0430mber", "refs/runs/default/" + "x" * 200,
    "refs/runs/default/🎉", "refs/runs/Default/Upper", "refs/runs/deep/er/run", "refs/runs/flat",
    "refs/runs/default/con", "refs/runs/default/caf\udce9",
)  # fmt: skip


@pytest.mark.parametrize("name", UGLY, ids=[f"ref{n}" for n in range(len(UGLY))])
def test_refs_that_are_not_ours_are_ignored(world: Path, name: str) -> None:
    """Others use refs/runs/ too, and Git accepts nearly any name."""
    forge = Forge(world)
    forge.ref(forge.commit(forge.record(files())), name)
    done = bounded(world, "ls")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 4
    assert bounded(world, "show", "latest").returncode == 0


def test_a_ref_whose_commit_is_no_run_is_ignored(world: Path) -> None:
    """A colleague's script may keep other things there; asked for by name, we say what it is."""
    forge = Forge(world)
    forge.ref(forge.git("rev-parse", "HEAD"))
    done = bounded(world, "ls")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)
    shown = bounded(world, "show", "bad-run-aaaaaa")
    assert shown.returncode == 1
    assert "is not a run that gittrack recorded" in shown.stderr


@pytest.mark.parametrize("text", ["", "1234", "0" * 40, "f" * 40, "ref: refs/runs/default/gone"])
def test_a_torn_ref_hides_no_other(world: Path, text: str) -> None:
    """What a crash or a full disk leaves behind."""
    Forge(world).ref(text)
    done = bounded(world, "ls")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


def test_the_good_runs_alone_are_fine(world: Path) -> None:
    """Without this, the tests above could pass for the wrong reason."""
    done = bounded(world, "ls")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)
    assert "warning" not in done.stderr
    assert Repo.open(world).refs("refs/runs/")


SUMMARIES = {
    "{": "Expecting property name",
    "[]": "'[]' is no mapping",
    "{}": "it has no 'id'",
    "[" * 60_000: "it is nested too deep",
    '{"id":"x","status":"finished","started":"2026-01-02T00:00:00Z","tags":[1]}': "is no mapping",
    '{"id":1}': "'1' is no text",
}


@pytest.mark.parametrize("text", SUMMARIES, ids=lambda text: text[:30])
def test_a_damaged_summary_hides_no_good_record(world: Path, text: str) -> None:
    """The YAML is the authority: the run is listed, annotated, and the damage said in words."""
    forge = Forge(world)
    said = MESSAGE + b"Gittrack-Summary: " + text.encode() + b"\n"
    forge.ref(forge.commit(forge.record(files()), said))
    listed = bounded(world, "ls")
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 5)
    (line,) = [line for line in listed.stderr.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: runs/default/bad-run-aaaaaa: its summary is damaged (")
    assert SUMMARIES[text] in line and line.endswith("; its record was read instead")
    assert not re.search("Error|object|NoneType", line)
    assert bounded(world, "tag", "bad-run", "a=b").returncode == 0
    assert bounded(world, "rm", "bad-run").returncode == 0
    assert bounded(world, "show", "bad-r").returncode == 1
