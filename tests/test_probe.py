"""An interpreter tells its packages once, and again whenever they may have changed."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import site
import sys
import time
from pathlib import Path

import pytest

from gittrack import probe
from gittrack.environment import capture
from pythons import LONG_AGO, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.age()
    return world


def test_packages_are_those_that_the_interpreter_itself_reports(tmp_path: Path) -> None:
    """importlib.metadata is the oracle; the probe reads the metadata by itself, for speed."""
    expected: dict[str, str] = {}
    for found in importlib.metadata.distributions(path=[p for p in sys.path if Path(p).is_dir()]):
        expected.setdefault(found.metadata["Name"], found.version)
    got = capture([sys.executable], env=os.environ, cwd=tmp_path, cache=tmp_path / "cache")
    assert got.packages == expected
    assert got.python == sys.version.split()[0]
    assert list(got.packages) == sorted(got.packages, key=str.lower)


def test_second_time_starts_no_process_and_says_the_same(world: World) -> None:
    """The package list must cost nothing once it is known."""
    world.package("Some_Thing", "1.0")
    world.age()
    assert world.processes() == 1
    assert world.processes() == 0
    assert world.capture() == world.capture()
    assert world.capture().packages == {"Some_Thing": "1.0"}


def test_warm_capture_is_cheap(world: World) -> None:
    """The budget is 1.5 ms of CPU, in the best of many so that a busy machine does not matter."""
    for number in range(300):
        world.package(f"package{number}", "1.0")
    world.age()
    world.capture()
    costs = []
    for _ in range(20):
        start = time.process_time()
        world.capture()
        costs.append(time.process_time() - start)
    assert min(costs) < 0.0015


@pytest.mark.parametrize("change", ["install", "upgrade", "uninstall"])
def test_a_change_of_packages_is_seen(world: World, change: str) -> None:
    """A wrong package list is worse than none: pip's renames show in the directory's time."""
    info = world.package("torch", "2.0")
    world.age()
    assert world.capture().packages == {"torch": "2.0"}
    if change == "install":
        world.package("numpy", "1.26")
        assert world.capture().packages == {"numpy": "1.26", "torch": "2.0"}
    elif change == "upgrade":
        (info / "METADATA").write_text("Name: torch\nVersion: 2.1\n")
        info.rename(world.site / "torch-2.1.dist-info")
        assert world.capture().packages == {"torch": "2.1"}
    else:
        (info / "METADATA").unlink()
        info.rmdir()
        assert world.capture().packages == {}


def test_a_list_taken_while_packages_change_is_not_kept(world: World) -> None:
    """Within one tick of the disk's clock a second change would leave the same time."""
    world.package("torch", "2.0")
    assert world.processes() == 1
    assert world.processes() == 1
    world.age()
    assert (world.processes(), world.processes()) == (1, 0)


def test_a_path_file_edited_in_place_is_seen(world: World, tmp_path: Path) -> None:
    """`conda develop` writes into an existing .pth: no directory changes its time."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    world.package("one", "1", tmp_path / "one")
    world.package("two", "2", tmp_path / "two")
    pth = world.site / "dev.pth"
    pth.write_text(f"{tmp_path / 'one'}\n")
    world.age(pth, tmp_path / "one", tmp_path / "two")
    assert world.capture().packages == {"one": "1"}
    assert world.processes() == 0
    pth.write_text(f"{tmp_path / 'two'}\n")
    assert world.capture().packages == {"two": "2"}


def test_an_editable_egg_info_edited_in_place_is_seen(world: World, tmp_path: Path) -> None:
    """`setup.py develop` rewrites PKG-INFO inside the source tree."""
    info = tmp_path / "src" / "mine.egg-info"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Name: mine\nVersion: 0.1\n")
    pth = world.site / "easy-install.pth"
    pth.write_text(f"{info.parent}\n")
    world.age(pth, info.parent, info / "PKG-INFO")
    assert world.capture().packages == {"mine": "0.1"}
    assert world.processes() == 0
    (info / "PKG-INFO").write_text("Name: mine\nVersion: 0.2\n")
    assert world.capture().packages == {"mine": "0.2"}


def test_a_user_site_that_appears_later_is_seen(world: World, tmp_path: Path) -> None:
    """Before the first `pip install --user` its directory is not on sys.path at all."""
    base = os.path.realpath(sys.executable)
    before = world.capture(base).packages
    assert "late-comer" not in before
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    user = tmp_path / ".local" / "lib" / version / "site-packages"
    if sys.platform == "darwin" or site.ENABLE_USER_SITE is None:
        pytest.skip("the user site lies elsewhere")
    user.mkdir(parents=True)
    world.package("late-comer", "1", user)
    assert world.capture(base).packages["late-comer"] == "1"
    assert "late-comer" not in world.capture(base, "-s").packages
    assert "late-comer" not in world.capture(base, PYTHONNOUSERSITE="1").packages


def test_python_path_is_part_of_the_question(world: World, tmp_path: Path) -> None:
    """The same interpreter has other packages under another PYTHONPATH; -E and -I ignore it."""
    (world.cwd / "extra").mkdir()
    world.package("extra", "1", world.cwd / "extra")
    world.age(world.cwd / "extra")
    assert world.capture().packages == {}
    assert world.capture(PYTHONPATH="extra").packages == {"extra": "1"}
    assert world.capture().packages == {}
    assert world.capture(world.python, "-E", "t.py", PYTHONPATH="extra").packages == {}
    assert world.capture(world.python, "-uI", "t.py", PYTHONPATH="extra").packages == {}
    prefix = ("/usr/bin/env", "PYTHONPATH=extra")
    assert world.capture(*prefix, world.python).packages == {"extra": "1"}


def test_nothing_of_the_users_is_executed_or_believed(world: World) -> None:
    """A json.py beside the script, noise at start-up and exit handlers must not matter."""
    trap = "import os; open(os.path.join(os.path.dirname(__file__), 'executed'), 'w').close()"
    (world.cwd / "json.py").write_text(trap)
    (world.site / "json.py").write_text(trap)
    (world.site / "sitecustomize.py").write_text(
        "import atexit, sys, warnings\n"
        "print('\\x02gittrack{\"packages\": {}}'); sys.stdout.flush()\n"
        "warnings.warn('noise')\n"
        "atexit.register(print, 'gittrack\\x03')\n"
    )
    world.package("torch", "2.0")
    pending = world.begin(world.python, PYTHONPATH=str(world.cwd), PYTHONWARNINGS="error::Warning")
    assert pending.result().packages == {"torch": "2.0"}
    assert pending.fault is None
    assert not list(world.cwd.glob("executed")) and not list(world.site.glob("executed"))


def test_what_lies_in_the_working_directory_is_not_installed(world: World) -> None:
    """`python -c` looks there, which the command may not do."""
    world.package("local", "1", world.cwd)
    world.package("torch", "2.0")
    assert world.capture().packages == {"torch": "2.0"}


def test_broken_metadata_costs_only_itself(world: World) -> None:
    """Half-removed distributions are common, and pip ignores them too."""
    world.package("good", "1.0")
    world.package("~ood", "0.9")
    (world.site / "gone-1.0.dist-info").mkdir()
    (world.package("binary", "3.0") / "METADATA").write_bytes(b"\x00\xff\xfe\n\n")
    (world.package("dir", "1") / "METADATA").unlink()
    (world.site / "dir-1.dist-info" / "METADATA").mkdir()
    (world.site / "flat-2.0.egg-info").write_text("Name: flat\nVersion: 2.0\n")
    latin = world.package("accent", "1") / "METADATA"
    latin.write_bytes(b"Name: caf\xe9\nVersion: 1\n")
    old, new = world.package("twice", "1.10"), world.package("twice", "1.9")
    os.utime(old, ns=(LONG_AGO, LONG_AGO))
    os.utime(new, ns=(LONG_AGO + 10**9, LONG_AGO + 10**9))
    expected = {"binary": "3.0", "caf\ufffd": "1", "flat": "2.0", "good": "1.0", "twice": "1.9"}
    assert world.capture().packages == expected


CORRUPT = {
    "empty": b"",
    "not JSON": b"\x00\xff",
    "deep": b"[" * 100_000,
    "null": b"null",
    "list": b"[1]",
    "huge number": b"1" * 10_000,
}


@pytest.mark.parametrize("content", CORRUPT.values(), ids=CORRUPT.keys())
def test_a_corrupt_cache_is_rebuilt(world: World, content: bytes) -> None:
    """The cache may be deleted or damaged at any time; the answer stays the same."""
    right = world.capture()
    (file,) = world.cache.iterdir()
    file.write_bytes(content)
    assert world.capture() == right
    assert world.processes() == 0


def test_a_cache_of_another_shape_or_cut_anywhere_is_rebuilt(world: World) -> None:
    """No part of the file is trusted for having survived."""
    world.package("torch", "2.0")
    world.age()
    right = world.capture()
    (file,) = world.cache.iterdir()
    whole = file.read_bytes()
    value = json.loads(whole)
    shapes: list[object] = [None, [], {}, {**value["value"], "packages": {"a": 1}}]
    shapes += [{**value["value"], "watched": []}, {**value["value"], "watched": [["/x", None, 1]]}]
    broken = [json.dumps({**value, "value": shape}).encode() for shape in shapes]
    broken += [
        json.dumps({**value, "format": 99}).encode(),
        json.dumps({**value, "key": "x"}).encode(),
    ]
    broken += [whole[:cut] for cut in range(0, len(whole), len(whole) // 7)]
    for content in broken:
        file.write_bytes(content)
        assert world.processes() == 1, content
        assert world.capture() == right


def test_an_unwritable_cache_only_costs_time(world: World, tmp_path: Path) -> None:
    """A read-only repository still gets its packages."""
    (tmp_path / "file").touch()
    world.package("torch", "2.0")
    world.age()
    world.cache = tmp_path / "file" / "cache"
    assert world.capture().packages == {"torch": "2.0"}
    assert world.processes() == 1


def test_a_binary_that_stands_for_another_is_not_remembered(world: World, tmp_path: Path) -> None:
    """The answer's own executable is compared with what was asked."""
    started = time.time_ns()
    python = probe.Python("3", {}, (("/x", [1, 1, 1, LONG_AGO]),))
    answer = probe._Answer(python, "/other/python")
    assert not answer.lasting("/shim/python", started)
    assert answer.lasting("/other/python", started)


FAILING = {
    "exits 3": "#!/bin/sh\nexit 3\n",
    "says nothing": "#!/bin/sh\nexit 0\n",
    "says nonsense": "#!/bin/sh\nprintf '\\002gittrack{\"version\": 3}gittrack\\003'\n",
    "cannot start": "#!/no/such/interpreter\n",
}


@pytest.mark.parametrize("text", FAILING.values(), ids=FAILING.keys())
def test_an_interpreter_that_fails_gives_a_fault(world: World, text: str) -> None:
    """A failed question never gets an empty answer without a word."""
    pending = world.begin(world.script("python", text), "x")
    result = pending.result()
    assert (result.python, result.packages) == (None, {})
    assert str(world.bin / "python") in (pending.fault or "")
    assert result.platform and result.cores and result.memory


def test_the_script_runs_in_old_interpreters() -> None:
    """The command's Python may be much older than the one that gittrack runs in."""
    ast.parse(probe._SCRIPT, feature_version=(3, 4))
    words = {node.id for node in ast.walk(ast.parse(probe._SCRIPT)) if isinstance(node, ast.Name)}
    assert not words & {"print", "nonlocal", "FileNotFoundError", "pathlib"}
    assert probe._SCRIPT.isascii()
