from __future__ import annotations

import importlib.metadata
import json
import os
import site
import sys
import time
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import environment
from gittrack.environment import Pending, begin, capture, is_lock_file
from gittrack.records import Environment

STARTED: list[tuple[str, ...]] = []


def _note_process(event: str, details: tuple[object, ...]) -> None:
    if event == "subprocess.Popen":
        STARTED.append(tuple(details[1]))  # type: ignore[arg-type]


sys.addaudithook(_note_process)
LONG_AGO = 1_600_000_000_123_456_789


class World:
    """A virtual environment, a directory to work in and a cache, all old enough to be believed."""

    def __init__(self, root: Path) -> None:
        self.cache, self.cwd, self.bin = root / "cache", root / "work", root / "bin"
        self.cwd.mkdir()
        self.bin.mkdir()
        venv.EnvBuilder(symlinks=True).create(root / "venv")
        self.python = root / "venv" / "bin" / "python"
        self.site = next((root / "venv" / "lib").glob("python*")) / "site-packages"
        self.env = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(root)}

    def package(self, name: str, version: str, where: Path | None = None) -> Path:
        info = (where or self.site) / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        return info

    def script(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def age(self, *more: Path) -> None:
        for path in (self.site, self.site.parent.parent.parent / "pyvenv.cfg", *more):
            os.utime(path, ns=(LONG_AGO, LONG_AGO))

    def begin(self, *argv: str | Path, **env: str) -> Pending:
        words = [str(word) for word in argv]
        return begin(words, env={**self.env, **env}, cwd=self.cwd, cache=self.cache)

    def capture(self, *argv: str | Path, **env: str) -> Environment:
        return self.begin(*(argv or (self.python, "train.py")), **env).result()

    def processes(self, *argv: str | Path, **env: str) -> int:
        """Count what one more capture starts."""
        before = len(STARTED)
        self.capture(*argv, **env)
        return len(STARTED) - before


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
    base = getattr(sys, "_base_executable", sys.executable)
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


COMMANDS: list[tuple[str, tuple[str, ...] | None]] = [
    ("python train.py", ("BIN/python",)),
    ("BIN/python -u -sE -W ignore -m x -I", ("BIN/python", "-s", "-E")),
    ("python -Wignore -Es x.py", ("BIN/python", "-E", "-s")),
    ("../bin/python x", ("CWD/../bin/python",)),
    ("python3.99 x", None),
    ("echo python", None),
    ("sh -c python", None),
    ("", None),
    ("nice -n 5 python x", ("BIN/python",)),
    ("nohup nice -19 timeout -k 5 --signal=INT 10 python -I x", ("BIN/python", "-I")),
    ("timeout 5 echo python", None),
    ("taskset -c 0-3 stdbuf -oL -e 0 python x", ("BIN/python",)),
    ("env A=1 -u B -C / --unset=C python x", ("BIN/python",)),
    ("env -S 'python -s' x", ("BIN/python", "-s")),
    ("srun --gres gpu:1 -n 4 -J test python x", ("BIN/python",)),
    ("mpirun -np 4 tool python", ("BIN/python", "-s")),
    ("mpirun -np 4 --bind-to=core tool", ("BIN/python", "-s")),
    ("mpirun -np 4 echo python", None),
    ("mpirun --flag tool", ("BIN/python", "-s")),
    ("tool --lr 1", ("BIN/python", "-s")),
    ("envtool", ("BIN/python",)),
    ("longtool", ("BIN/python",)),
    ("relativetool", ("BIN/python",)),
    ("shelltool", None),
    ("loop", None),
]


@pytest.mark.parametrize(("line", "expected"), COMMANDS)
def test_the_interpreter_behind_a_command_line(
    world: World, line: str, expected: tuple[str, ...] | None
) -> None:
    """Launchers and console scripts are how Python is mostly started; a wrong guess is a lie."""
    import shlex

    (world.bin / "python").symlink_to(world.python)
    world.script("tool", f"#!{world.bin}/python -s\nimport x\n")
    world.script("envtool", "#!/usr/bin/env python\nimport x\n")
    world.script("longtool", f"#!/bin/sh\n'''exec' \"{world.bin}/python\" \"$0\" \"$@\"\n' '''\n")
    world.script(
        "relativetool",
        '#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")"/\'python\' "$0" "$@"\n',
    )
    world.script("shelltool", "#!/bin/sh\npython x\n")
    world.script("loop", f"#!{world.bin}/loop\n")
    words = tuple(shlex.split(line.replace("BIN", str(world.bin))))
    command = environment._Command(words, world.env, str(world.cwd))
    _, target = environment._follow(command)
    if expected is None:
        assert target is None
    else:
        assert target is not None and target.key is not None
        places = {"BIN": str(world.bin), "CWD": str(world.cwd)}
        first, *flags = expected
        place, _, rest = first.partition("/")
        assert target.words == (f"{places[place]}/{rest}", *flags)


WRAPPED = [
    ("uv run python -s x.py", "uv run python -s"),
    ("uv --directory D run --with numpy -m pytest", "uv --directory D run --with numpy python"),
    ("uv run -- pytest -x", "uv run python"),
    ("poetry run train", "poetry run python"),
    (
        "conda run -n ml --no-capture-output python3.12 x",
        "conda run -n ml --no-capture-output python3.12",
    ),
    ("pixi run -e cuda env A=1 python x", "pixi run -e cuda env A=1 python"),
    ("nice pipenv run nice python x", "pipenv run nice python"),
]


@pytest.mark.parametrize(("line", "expected"), WRAPPED)
def test_a_wrapper_is_asked_as_the_command_asks_it(world: World, line: str, expected: str) -> None:
    """Only the tool knows which environment it enters, and it may change its mind each time."""
    command = environment._Command(tuple(line.split()), world.env, str(world.cwd))
    _, target = environment._follow(command)
    assert target is not None and target.key is None
    assert target.words == tuple(expected.split())
    assert not set('\n"') & set(target.question[-1])


def test_a_stand_in_for_uv_leads_to_its_environment(world: World) -> None:
    """The stand-in does what `uv run` does: it puts a virtual environment in front of PATH."""
    world.package("torch", "2.0")
    world.script("uv", f'#!/bin/sh\nshift\nPATH={world.python.parent}:$PATH exec "$@"\n')
    world.age()
    assert world.capture("uv", "run", "train.py").packages == {"torch": "2.0"}
    assert world.processes("uv", "run", "train.py") == 1
    (world.cwd / "inline.py").write_text("# /// script\n# dependencies = ['rich']\n# ///\n")
    pending = world.begin("uv", "run", "inline.py")
    assert pending.result().packages == {}
    assert "inline.py" in (pending.fault or "")


UNKNOWN = {
    "srun --container-image=x python t.py": "container",
    "bundle": "carries packages of its own",
}


@pytest.mark.parametrize(("line", "says"), UNKNOWN.items())
def test_an_interpreter_that_is_elsewhere_gives_a_fault(world: World, line: str, says: str) -> None:
    """A container's or a bundle's packages are not this machine's."""
    (world.bin / "python").symlink_to(world.python)
    world.script("bundle", "#!/usr/bin/env python\nPK\x03\x04")
    pending = world.begin(*line.split())
    result = pending.result()
    assert (result.python, result.packages) == (None, {})
    assert says in (pending.fault or "")


def _pyenv(world: World, root: Path) -> None:
    for name in ("1.0", "2.0"):
        (root / "versions" / name / "bin").mkdir(parents=True)
    venv.EnvBuilder(symlinks=True).create(root / "versions" / "2.0")
    (root / "versions" / "1.0" / "bin" / "python").symlink_to(world.python)
    tool = root / "versions" / "2.0" / "bin" / "tool"
    tool.write_text("#!/usr/bin/env python\n")
    tool.chmod(0o755)
    (root / "shims").mkdir()
    for name in ("python", "tool"):
        shim = root / "shims" / name
        shim.write_text(f'#!/bin/sh\n# pyenv\nPATH={root}/versions/2.0/bin exec {name} "$@"\n')
        shim.chmod(0o755)
    world.env["PATH"] = f"{root / 'shims'}:{world.env['PATH']}"


def _words(world: World, *argv: str, **env: str) -> tuple[str, ...] | None:
    command = environment._Command(argv, {**world.env, **env}, str(world.cwd))
    _, target = environment._follow(command)
    return None if target is None else target.words


def test_a_stand_in_for_pyenv_is_followed_by_its_rules(world: World, tmp_path: Path) -> None:
    """A shim is a shell script, the same for every version: its own time says nothing."""
    root = tmp_path / "pyenv"
    _pyenv(world, root)
    one, two = (str(root / "versions" / name / "bin" / "python") for name in ("1.0", "2.0"))
    (root / "version").write_text("# all\n\n1.0 # global\n")
    assert _words(world, "python", "x") == (one,)
    (tmp_path / ".python-version").write_text("python-2.0\n")
    assert _words(world, "python", "x") == (two,)
    (tmp_path / ".python-version").write_text("2.0\n")
    assert _words(world, "python", "x") == (two,)
    (world.cwd / ".python-version").write_text("1.0\n2.0\n")
    assert _words(world, "python", "x") == (one,)
    assert _words(world, "tool", "x") == (two,)
    assert _words(world, "python", "x", PYENV_VERSION="2.0") == (two,)
    (world.bin / "python").symlink_to(world.python)
    assert _words(world, "python", "x", PYENV_VERSION="system") == (str(world.bin / "python"),)


def test_a_shim_without_plain_rules_is_asked_each_time(world: World, tmp_path: Path) -> None:
    """A version prefix is for pyenv to resolve; nothing of the answer may be kept."""
    _pyenv(world, tmp_path / "pyenv")
    (tmp_path / ".python-version").write_text("2\n")
    assert world.capture("python", "x").python == sys.version.split()[0]
    assert (world.processes("python", "x"), world.cache.exists()) == (1, False)
    pending = world.begin("tool", "x")
    assert pending.result().python is None
    assert "pyenv" in (pending.fault or "")


def test_a_binary_that_stands_for_another_is_not_remembered(world: World, tmp_path: Path) -> None:
    """The answer's own executable is compared with what was asked."""
    started = time.time_ns()
    python = environment._Python("3", {}, (("/x", [1, 1, 1, LONG_AGO]),))
    answer = environment._Answer(python, "/other/python")
    shim = environment._Target(("/shim/python",), {}, "/", "key")
    itself = environment._Target(("/other/python",), {}, "/", "key")
    assert not answer.lasting(shim, started)
    assert answer.lasting(itself, started)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interpreter_that_never_answers_is_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's record may not wait for ever; what the wrapper started must go as well."""
    monkeypatch.setattr(environment, "_PROBE_SECONDS", 0.2)
    ready = world.cwd / "pid"
    os.mkfifo(ready)
    stand_in = f"#!/bin/sh\nsleep 1000 &\necho $! > {ready}\nwait\n"
    pending = world.begin(world.script("python", stand_in), "x")
    grandchild = int(ready.read_text())
    assert os.getsid(grandchild) != os.getsid(0)
    result = pending.result()
    assert (result.python, result.packages) == (None, {})
    assert "did not answer within" in (pending.fault or "")
    assert pending.result() is result
    deadline = time.monotonic() + 5
    while _alive(grandchild) and _state(grandchild) != "Z" and time.monotonic() < deadline:
        os.sched_yield()
    assert not _alive(grandchild) or _state(grandchild) == "Z"


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


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


def test_a_directory_that_is_not_there_gives_a_fault(world: World, tmp_path: Path) -> None:
    """The command will not start either; the record of that must still be written."""
    missing = tmp_path / "missing"
    pending = begin([str(world.python)], env=world.env, cwd=missing, cache=world.cache)
    assert pending.result().python is None
    assert pending.fault


def test_cancel_leaves_no_process(world: World) -> None:
    """A command that could not be started has no record to wait for."""
    pending = world.begin(world.python)
    process = pending._questions["python"]._process
    assert process is not None
    pending.cancel()
    assert process.returncode is not None


GPUS = [
    ("echo 'A100, 81920 MiB, 535.1'; echo; echo 'A100, 81920 MiB, 535.1'", 2, None),
    ("echo no devices; exit 6", 0, None),
    ("exit 9", 0, None),
    ("echo trouble; exit 15", 0, "exit code 15"),
    ("exec sleep 1000", 0, "did not answer"),
]


@pytest.mark.parametrize(("stand_in", "count", "fault"), GPUS)
def test_a_stand_in_for_nvidia_smi_tells_the_gpus(
    world: World, monkeypatch: pytest.MonkeyPatch, stand_in: str, count: int, fault: str | None
) -> None:
    """A stand-in, since the hardware is not here; no driver and no device are no fault."""
    monkeypatch.setattr(environment, "_GPU_SECONDS", 0.3)
    world.script("nvidia-smi", f"#!/bin/sh\n{stand_in}\n")
    pending = world.begin("true")
    assert pending.result().gpus == ("A100, 81920 MiB, 535.1",) * count
    assert (fault or "") in (pending.fault or "") and bool(fault) == bool(pending.fault)


def test_variables_are_only_those_listed_and_as_the_command_sees_them(world: World) -> None:
    """Environment variables hold secrets; `env X=1` in front of the command sets some."""
    result = world.capture(
        *("env", "OMP_NUM_THREADS=4", "-u", "RANK", "true"),
        OMP_NUM_THREADS="8",
        RANK="1",
        API_KEY="secret",
        PYTHONHASHSEED=os.fsdecode(b"\xff"),
    )
    assert result.variables == {"OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "\ufffd"}


def test_the_machine_is_described(world: World) -> None:
    """Cores are those that this process may use, memory is in bytes."""
    result = world.capture("true")
    name = os.uname()
    assert result.platform.startswith(f"{name.sysname}-{name.release}-{name.machine}")
    assert 0 < result.cores <= (os.cpu_count() or 0)
    assert result.memory > 2**26
    assert (result.python, result.packages, result.lock_files) == (None, {}, {})


LOCKS = {
    "uv.lock": True,
    "requirements.txt": True,
    "requirements-dev.txt": True,
    "requirements.in": False,
    "conda-lock.yml": True,
    "environment.yml": True,
    "environment.gpu.yaml": True,
    "pylock.toml": True,
    "Pipfile.lock": True,
    "pipfile.lock": False,
    "sub/uv.lock": False,
    "my-requirements.txt": False,
    "": False,
}


@pytest.mark.parametrize(("path", "expected"), LOCKS.items())
def test_lock_files_are_known_by_name_at_the_root(path: str, expected: bool) -> None:
    """A lock file of some other project deeper in the tree says nothing about this run."""
    assert is_lock_file(path) is expected


VOCABULARY = """
    env nice timeout -n -S -u -C -- - --unset --chdir= A=1 uv run conda srun mpirun --x=1
    python -m -sE -W -X 5 ./x.py true
"""
WORDS = st.one_of(
    st.sampled_from(VOCABULARY.split()), st.just("a\0\udcff\ud800"), st.text(max_size=8)
)
EMPTY: Mapping[str, str] = {"PATH": "/usr/bin:/bin"}


@settings(deadline=None)
@given(st.lists(WORDS, max_size=8))
def test_any_command_line_is_followed_to_an_end(words: list[str]) -> None:
    """What cannot be understood must not keep the command from being recorded."""
    try:
        environment._follow(environment._Command(tuple(words), EMPTY, "/"))
    except environment._Unknown as unknown:
        assert str(unknown)
