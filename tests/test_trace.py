"""What a run's Python processes opened: real interpreters, each with the real hook."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Track
from gittrack import trace
from gittrack.errors import WriteFailed
from gittrack.git import Repo
from gittrack.trace import Seen

INTERPRETERS = [
    found
    for minor in range(8, 15)
    if (found := shutil.which(f"python3.{minor}"))
    and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0
]


class Ground:
    """A work tree with a few files, and the directory of a running run."""

    def __init__(self, place: Path) -> None:
        self.root, self.live = place / "work", place / "live"
        self.live.mkdir()
        for name in ("data/a.csv", "data/b.csv", "old.bin", "conf.yaml", "sub/a.csv"):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"content of {name}\n" * 3)
            os.utime(path, (1_600_000_000, 1_600_000_000))

    def environment(self, **more: str) -> dict[str, str]:
        env = {**os.environ, **more}
        return {**env, **trace.environment(env, self.live, [self.root])}

    def run(
        self,
        code: str,
        *arguments: str,
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
        check: int = 0,
    ) -> str:
        """Run a program traced -> what it printed; it must print nothing to stderr."""
        done = subprocess.run(
            [python, "-c", textwrap.dedent(code), *arguments],
            cwd=self.root,
            env=env or self.environment(),
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=20,
        )
        assert (done.returncode, done.stderr) == (check, ""), done.stderr
        return done.stdout

    def seen(self, **more: frozenset[str]) -> tuple[list[str], list[str]]:
        found = trace.read(self.live, **more)
        assert found.complete
        return self.names(found.read), self.names(found.written)

    def names(self, paths: tuple[Path, ...]) -> list[str]:
        return [os.fspath(path.relative_to(self.root)) for path in paths]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


# -- what counts as read, and as written --------------------------------------------------------

PROGRAMS: dict[str, tuple[str, list[str], list[str]]] = {
    "read": ("open('data/a.csv').read()", ["data/a.csv"], []),
    "read twice": ("[open('data/a.csv') for _ in 'ab']", ["data/a.csv"], []),
    "bytes": ("open(b'data/a.csv')", ["data/a.csv"], []),
    "path": ("import pathlib; pathlib.Path('data/a.csv').read_text()", ["data/a.csv"], []),
    "path as it is": (
        "import io, pathlib; io.FileIO(pathlib.Path('data/a.csv'))",
        ["data/a.csv"],
        [],
    ),
    "absolute": ("import os; open(os.path.abspath('data/a.csv'))", ["data/a.csv"], []),
    "dots": ("open('sub/../data/./a.csv')", ["data/a.csv"], []),
    "os.open": ("import os; os.open('data/a.csv', os.O_RDONLY)", ["data/a.csv"], []),
    "written": ("open('new.bin', 'w').write('x')", [], ["new.bin"]),
    "exclusive": ("open('new.bin', 'x').write('x')", [], ["new.bin"]),
    "replaced": ("open('old.bin', 'w').write('x')", [], ["old.bin"]),
    "written, then read": ("open('n', 'w').write('x'); open('n').read()", [], ["n"]),
    "read, then written": (
        "open('old.bin').read(); open('old.bin', 'w').write('x')",
        ["old.bin"],
        ["old.bin"],
    ),
    "appended": ("open('old.bin', 'a').write('x')", [], ["old.bin"]),
    "nothing appended": ("open('old.bin', 'a').close()", [], []),
    "updated": (
        "f = open('old.bin', 'r+'); f.write('x'); f.close()",
        ["old.bin"],
        ["old.bin"],
    ),
    "not updated": ("open('old.bin', 'r+').read()", ["old.bin"], []),
    "mapped": (
        "import mmap; f = open('old.bin', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[0:1] = b'x'",
        ["old.bin"],
        ["old.bin"],
    ),
    "written and renamed": (
        "import os; open('t.tmp', 'w').write('x'); os.replace('t.tmp', 'new.bin')",
        [],
        ["new.bin"],
    ),
    "saved again and again": (
        "import os\nfor n in '123':\n  open('t', 'w').write('x'); os.replace('t', 'ck' + n)",
        [],
        ["ck1", "ck2", "ck3"],
    ),
    "written, its directory renamed": (
        "import os; os.mkdir('t'); open('t/a', 'w').write('x'); os.rename('t', 'out')",
        [],
        ["out/a"],
    ),
    "written and removed": (
        "import os; open('t', 'w').write('x'); open('t').read(); os.remove('t')",
        [],
        [],
    ),
    "linked": ("import os; os.link('data/a.csv', 'b')", ["data/a.csv"], ["b"]),
    "copied": ("import shutil; shutil.copy('data/a.csv', 'b')", ["data/a.csv"], ["b"]),
    "copied with its time": (
        "import shutil; shutil.copy2('data/a.csv', 'b')",
        ["data/a.csv"],
        ["b"],
    ),
    "truncated": ("import os; os.truncate('old.bin', 3)", [], ["old.bin"]),
    "mkstemp": (
        "import os, tempfile\nn = tempfile.mkstemp(dir='.')[1]; os.rename(n, 'new.bin')",
        [],
        ["new.bin"],
    ),
    "database": (
        "import sqlite3; c = sqlite3.connect('d.db'); c.execute('create table t (x)')",
        [],
        ["d.db"],
    ),
    "database in memory": ("import sqlite3; sqlite3.connect(':memory:')", [], []),
    "after chdir": (
        "import os; os.chdir('sub'); open('a.csv')\n"
        "os.chdir('../data'); open('a.csv'); open('b.csv')",
        ["data/a.csv", "data/b.csv", "sub/a.csv"],
        [],
    ),
    "after fchdir": (
        "import os; os.fchdir(os.open('sub', os.O_RDONLY)); open('a.csv')",
        ["sub/a.csv"],
        [],
    ),
    "after a chdir that failed": (
        "import os\ntry: os.chdir('nowhere')\nexcept OSError: open('data/a.csv')",
        ["data/a.csv"],
        [],
    ),
    "renamed by descriptor": (
        "import os; open('sub/t', 'w').write('x'); d = os.open('sub', os.O_RDONLY)\n"
        "os.rename('t', 'new', src_dir_fd=d, dst_dir_fd=d)",
        [],
        ["sub/new"],
    ),
    "descriptor": ("import os; os.fdopen(0)", [], []),
    "directory": ("import os; os.listdir('data'); os.open('data', os.O_RDONLY)", [], []),
    "missing": ("try: open('missing')\nexcept OSError: pass", [], []),
    "device": ("open('/dev/null'); open('/dev/zero', 'rb').read(1)", [], []),
    "pipe": ("import os; os.mkfifo('p'); os.open('p', os.O_RDWR)", [], []),
    "elsewhere": ("open('../other', 'w').write('x'); open('/etc/passwd')", [], []),
    "code": ("open('m.py', 'w').write('x = 1'); import m", [], []),
    "through a symlink": (
        "import os; os.symlink('data/a.csv', 'l'); open('l')",
        ["l"],
        [],
    ),
    "written through a symlink": (
        "import os; os.symlink('new.bin', 'l'); open('l', 'w').write('x'); open('new.bin')",
        [],
        ["l"],
    ),
    "through a symlink from elsewhere": (
        "import os; os.symlink(os.getcwd(), '../way'); open('../way/data/a.csv')",
        ["data/a.csv"],
        [],
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_a_program_opened(ground: Ground, name: str) -> None:
    """Read is what was there before; written is what is there afterwards."""
    code, read, written = PROGRAMS[name]
    ground.run(code)
    assert ground.seen() == (read, written)


@pytest.mark.parametrize("name", [n for n in PROGRAMS if "elsewhere" not in n])
def test_many_files_do_not_change_what_is_seen(ground: Ground, name: str) -> None:
    """Beyond the first few, notes go through mapped memory, by another way through the code."""
    code, read, written = PROGRAMS[name]
    before = "for n in range(80):\n try: open(f'none/{n}')\n except OSError: pass\n"
    ground.run(before + code)
    assert ground.seen() == (read, written)


def test_a_name_that_is_no_text(ground: Ground) -> None:
    """Bytes that are not UTF-8, line breaks, and a name like one of our notes."""
    names = [b"caf\xe9", b"a\nb", b"r1 x", b" ", b">"]
    for name in names:
        (ground.root / os.fsdecode(name)).write_text("x")
    many = "[open(f'data/{n}', 'w') for n in range(100)]\n"
    for before in ("", many):
        ground.run(f"{before}for name in {names!r}: open(name); import os; open(os.fsdecode(name))")
        read, _ = ground.seen()
        assert sorted(read) == sorted(os.fsdecode(name) for name in names)


@pytest.mark.parametrize("files", [1, 300])
def test_when_a_file_was_read_is_known(ground: Ground, files: int) -> None:
    """What is written later is not what was read; of quick notes those around tell the time."""
    ground.run(
        f"""
        import time
        for number in range({files}):
            open(f"f{{number}}", "w").close()
        before = time.time_ns()
        open("data/a.csv").close()
        after = time.time_ns()
        open("data/b.csv").close()
        open("last", "w").close()
        open("data/a.csv").close()
        open("times", "w").write(f"{{before}} {{after}}")
        """
    )
    before, after = map(int, (ground.root / "times").read_text().split())
    when = trace.read(ground.live).read_at[ground.root / "data" / "a.csv"]
    assert before <= when and (when <= after or files > 1)
    assert when <= (ground.root / "times").stat().st_mtime_ns + 20_000_000


def test_what_was_read_and_removed_is_told_apart(ground: Ground) -> None:
    """Its content cannot be hashed any more, which somebody has to say."""
    ground.run("import os; open('data/a.csv').read(); os.remove('data/a.csv')")
    found = trace.read(ground.live)
    assert found == Seen(gone=(ground.root / "data/a.csv",), processes=1)


CODE = {
    "train.py": "code",
    "lib.so": "code",
    "run.sh": "code",
    "tool": "code, for it has a shebang",
    "LICENSE": "data",
    "x.dvc": "pointer",
    "dvc.lock": "pointer",
    "nb.ipynb": "code",
    "conf.yaml": "settings",
    "labels.yaml": "data",
    "conf.json": "data",
    ".venv/lib/x.txt": "virtual environment",
    ".git/x": "Git's",
    ".gittrack/x": "ours",
    ".dvc/cache/x": "DVC's",
    "__pycache__/x": "cache",
    "deep/.ipynb_checkpoints/x": "cache",
}


def test_code_is_no_data(ground: Ground) -> None:
    """What the snapshot of the code holds, and what tools make for themselves, is not data."""
    for name in CODE:
        path = ground.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" if name == "tool" else "x")
    (ground.root / ".venv" / "pyvenv.cfg").touch()
    ground.run(f"for name in {list(CODE)!r}: open(name, 'rb').read()")
    read, _ = ground.seen(tracked=frozenset(["conf.yaml", "conf.json"]))
    assert sorted(read) == sorted(name for name, kind in CODE.items() if kind == "data")


def test_a_notebook_that_was_written_is_an_output(ground: Ground) -> None:
    """As nbconvert makes one; the one that it came from is code."""
    ground.run("open('done.ipynb', 'w').write('{}'); open('m.pyc', 'w').write('')")
    assert ground.seen() == ([], ["done.ipynb"])


def test_roots_are_the_work_tree_and_those_configured(repo_dir: Path, tmp_path: Path) -> None:
    """A data disk outside of the repository counts if somebody says so."""
    repo = Repo.open(repo_dir)
    assert trace.roots(repo) == (repo.root,)
    repo.set_config("track.traceRoots", "../disk")
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x.csv").write_text("x")
    live = tmp_path / "live"
    live.mkdir()
    roots = trace.roots(Repo.open(repo_dir))
    env = {**os.environ, **trace.environment(os.environ, live, roots)}
    subprocess.run([sys.executable, "-c", "open('../disk/x.csv')"], cwd=repo_dir, env=env)
    assert [os.path.realpath(path) for path in trace.read(live).read] == [
        os.fspath(tmp_path / "disk" / "x.csv")
    ]


# -- processes and threads ----------------------------------------------------------------------

POOL = """
import multiprocessing, sys
def work(name):
    return len(open(name).read())
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    with multiprocessing.Pool(2) as pool:
        pool.map(work, ["data/a.csv", "data/b.csv", "sub/a.csv"])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_are_seen(ground: Ground, method: str) -> None:
    """Data is mostly read by the workers of a pool, which end without any farewell."""
    (ground.root / "pool.py").write_text(POOL)
    subprocess.run(
        [sys.executable, "-W", "ignore", "pool.py", method],
        cwd=ground.root,
        env=ground.environment(),
        check=True,
    )
    assert ground.seen() == (["data/a.csv", "data/b.csv", "sub/a.csv"], [])


def test_a_fork_ends_without_a_farewell(ground: Ground) -> None:
    """Nothing may wait for the end of a process: `os._exit` is no end."""
    ground.run("""
        import os
        for n in range(100): open(f"made{n}", "w").close()
        if os.fork() == 0:
            open("data/a.csv")
            os._exit(0)
        os.wait()
        open("data/b.csv")
        os._exit(0)
    """)
    read, written = ground.seen()
    assert (read, len(written)) == (["data/a.csv", "data/b.csv"], 100)


def test_steps_in_processes_of_their_own(ground: Ground) -> None:
    """What one step made and the next one read is not an input, also when it was there before."""
    steps = [
        "open('data/a.csv'); open('old.bin', 'w').write('x')",
        "open('old.bin'); open('out', 'w')",
    ]
    ground.run(f"""
        import subprocess, sys
        for step in {steps!r}:
            subprocess.run([sys.executable, "-c", step])
    """)
    assert ground.seen() == (["data/a.csv"], ["old.bin", "out"])


def test_what_a_parent_read_before_its_child_wrote_it(ground: Ground) -> None:
    """The order is that of the clock, not that of the processes."""
    ground.run("""
        import subprocess, sys
        subprocess.run([sys.executable, "-c", "open('old.bin').read()"])
        open("old.bin", "w").write("x")
    """)
    assert ground.seen() == (["old.bin"], ["old.bin"])


@pytest.mark.parametrize("files", [10, 1000])
def test_threads_are_seen(ground: Ground, files: int) -> None:
    """All of them, though they come at the same time."""
    ground.run(f"""
        import threading
        def work(part):
            for n in range({files}):
                open(f"out-{{part}}-{{n}}", "w").close()
        threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """)
    assert len(ground.seen()[1]) == 4 * files


@pytest.mark.parametrize("files", [3, 1000])
def test_a_sigkill_loses_nothing(ground: Ground, files: int) -> None:
    """A run that the kernel kills for its memory has read what it read."""
    ground.run(
        f"""
        import os, signal
        for n in range({files}): open(f"f{{n}}", "w").close()
        open("data/a.csv")
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        check=-signal.SIGKILL,
    )
    read, written = ground.seen()
    assert (read, len(written)) == (["data/a.csv"], files)


# -- that nothing is disturbed ------------------------------------------------------------------


def test_no_module_is_loaded_that_would_not_be_there(ground: Ground) -> None:
    """A program must not depend on us, nor pay for us."""
    code = "import sys; print(sorted(sys.modules), sys.path, sorted(sys.path_importer_cache))"
    assert ground.run(code) == ground.run(code, env=dict(os.environ))


def test_a_sitecustomize_of_the_user_still_runs(ground: Ground, tmp_path: Path) -> None:
    """Whether it is there, fails, or is none: as without us."""
    mine = tmp_path / "mine"
    mine.mkdir()
    code = "import sys; print(sys.path[1:3], sys.modules.get('sitecustomize'))"
    texts = ["import sys; print('here', __file__)", "raise ValueError('mine')", "import nowhere"]
    for text in texts:
        (mine / "sitecustomize.py").write_text(text)
        results = [
            subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
            for env in (
                {**os.environ, "PYTHONPATH": f"{mine}:/nowhere"},
                ground.environment(PYTHONPATH=f"{mine}:/nowhere"),
            )
        ]
        assert results[0].stdout == results[1].stdout and "mine" in results[0].stdout
        assert results[0].stderr == results[1].stderr


def test_a_tool_that_hides_the_sitecustomize_as_we_do(ground: Ground, tmp_path: Path) -> None:
    """As ddtrace and OpenTelemetry do: each puts itself first and calls the next."""
    tool = tmp_path / "tool"
    tool.mkdir()
    (tool / "sitecustomize.py").write_text(
        "import os, sys\n"
        "here = os.path.dirname(__file__)\n"
        "sys.path.remove(here); mine = sys.modules.pop('sitecustomize')\n"
        "try: import sitecustomize\n"
        "except ImportError: sys.modules['sitecustomize'] = mine\n"
        "print('tool')\n"
    )
    env = ground.environment(PYTHONPATH=os.fspath(tool))
    first, second = env["PYTHONPATH"].split(os.pathsep)
    for order in (f"{first}:{second}", f"{second}:{first}"):
        assert ground.run("open('data/a.csv')", env={**env, "PYTHONPATH": order}) == "tool\n"
    assert ground.seen() == (["data/a.csv"], [])


@pytest.mark.parametrize(
    ("given", "rest"), [(None, []), ("", []), ("/a:/b", ["/a", "/b"]), (":/b", ["", "/b"])]
)
def test_the_users_pythonpath_stays(tmp_path: Path, given: str | None, rest: list[str]) -> None:
    """In its order; an empty part means the current directory, so none may be added."""
    env = {} if given is None else {"PYTHONPATH": given}
    added = trace.environment(env, tmp_path, [])
    first, *others = added["PYTHONPATH"].split(":")
    assert (Path(first) / "sitecustomize.py").is_file() and others == rest
    again = trace.environment({**env, **added}, tmp_path, [])
    assert again == added


FAULTS = {
    "the run's directory is gone": "import shutil; shutil.rmtree(os.environ['GITTRACK_TRACE'])",
    "it is a file": (
        "import shutil; t = os.environ['GITTRACK_TRACE']; shutil.rmtree(t); os.mknod(t)"
    ),
    "no descriptors left": (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))\n"
        "keep = []\ntry:\n  while True: keep.append(os.dup(0))\nexcept OSError: os.close(keep[-1])"
    ),
    "no space for a note": (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))"
    ),
    "all descriptors closed": "os.closerange(3, 100)",
    "a path too long": "try: open('x' * 5000)\nexcept OSError: pass",
    "a null byte": "try: open('a\\0b')\nexcept ValueError: pass",
    "a path that fails": (
        "class P:\n  __hash__ = None\n  def __fspath__(self): raise RuntimeError('mine')\n"
        "try: open(P())\nexcept RuntimeError: pass"
    ),
    "events that are not ours": (
        "import sys; sys.audit('open'); sys.audit('open', 1, 2, 3, 4); sys.audit('open', [], 0, '')"
        "; sys.audit('os.rename', None, 3); sys.audit('os.chdir'); sys.audit('os.link', 'a', 'b')"
    ),
    "the working directory is gone": (
        "os.mkdir('w'); os.chdir('w'); os.rmdir('../w')\n"
        "try: open('x')\nexcept OSError: os.chdir('..' if os.path.exists('..') else r)"
    ),
}


@pytest.mark.parametrize("before", ["", "[open(f'many{n}', 'w').close() for n in range(100)]\n"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_ours_is_none_of_the_program(ground: Ground, fault: str, before: str) -> None:
    """An exception in an audit hook would be raised by the user's own `open`."""
    code = f"import os\nr = os.getcwd()\n{before}{FAULTS[fault]}\n"
    code += (
        "os.chdir(r)\nfor n in range(90):\n  with open(f'o{n}', 'w') as f: f.write('12')\n"
        "print(sum(len(open(f'o{n}').read()) for n in range(90)))"
    )
    assert ground.run(code) == "180\n"


def test_descriptors_that_were_closed_are_not_written_to(ground: Ground) -> None:
    """A daemon closes all it has and opens its own; a note in one of these would be a disaster."""
    ground.run("""
        import os
        for n in range(70): open(f"f{n}", "w").close()
        os.closerange(3, 100)
        mine = [open(f"mine{n}", "w+") for n in range(10)]
        for n in range(5000): open(f"some-rather-long-name-of-a-file-{n}", "w").close()
        if os.fork() == 0:
            for n in range(300): open(f"other{n}", "w").close()
            os._exit(0)
        os.wait()
        for file in mine:
            file.write("x")
            file.flush()
    """)
    assert [(ground.root / f"mine{n}").read_text() for n in range(10)] == ["x"] * 10
    assert len(ground.seen()[1]) == 70 + 10 + 5000 + 300


@pytest.mark.parametrize("error", ["TimeoutError", "ValueError", "KeyboardInterrupt"])
def test_an_exception_of_a_signal_handler_gets_through(ground: Ground, error: str) -> None:
    """It may come while the hook is at work, and is meant for the program."""
    out = ground.run(f"""
        import signal, time
        def stop(*_): raise {error}("stop")
        signal.signal(signal.SIGALRM, stop)
        got = lost = 0
        for _ in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0003)
                end = time.monotonic() + 0.1
                while time.monotonic() < end:
                    got += 1
                    try: open(f"none{{got}}")
                    except FileNotFoundError: pass
                lost += 1
            except {error} as error:
                assert str(error) == "stop"
        print(lost)
    """)
    assert int(out) == 0


def test_an_open_within_the_hook_is_not_lost(ground: Ground) -> None:
    """A signal handler may open a file while the hook holds its lock: no hanging, no loss."""
    ground.run("""
        import signal
        count = 0
        def handler(*_):
            global count
            count += 1
            open(f"in{count}", "w").close()
        signal.signal(signal.SIGALRM, handler)
        for n in range(300):
            signal.setitimer(signal.ITIMER_REAL, 0.0001)
            while count <= n:
                open(f"out{n}", "w").close()
        open("last", "w").close()
    """)
    written = ground.seen()[1]
    assert {f"in{n}" for n in range(1, 301)} <= set(written) and "last" in written


def test_too_many_files_are_said_to_be_too_many(ground: Ground) -> None:
    """The notes have a bound; whoever reads them must know that it was reached."""
    notes = ground.live / "trace"
    env = ground.environment()
    with open(notes / "1-aa", "wb") as file:
        file.truncate(65 << 20)
    ground.run("for n in range(100): open(f'f{n}', 'w').close()", env=env)
    found = trace.read(ground.live)
    assert not found.complete and len(found.written) == 64


def test_an_unwritable_directory_is_an_error_before_the_command(tmp_path: Path) -> None:
    """Somebody who asks for a trace and gets none would believe that nothing was read."""
    with pytest.raises(WriteFailed, match="cannot write"):
        trace.environment({}, tmp_path / "missing", [])


def test_a_run_that_was_not_traced_read_nothing(tmp_path: Path) -> None:
    """As little as one whose directory is gone."""
    assert trace.read(tmp_path) == trace.read(tmp_path / "missing") == Seen()


@given(st.binary(max_size=200))
def test_damaged_notes_are_read_as_far_as_they_go(data: bytes) -> None:
    """Whatever a crash has left of them."""
    notes = list(trace._notes(b"c1 /w\0r2 a\0" + data + b"\0r3 /x\0r4 torn"))
    assert notes[0].path == "/w/a"
    assert not any("torn" in note.path for note in notes)


@pytest.mark.parametrize("python", INTERPRETERS)
def test_other_interpreters(ground: Ground, python: str) -> None:
    """The command's interpreter need not be ours, and may be older."""
    for many in (0, 200):
        ground.run(
            f"for n in range({many}): open(f'n{{n}}', 'w').close()\n"
            "import os; os.chdir('data'); open('a.csv'); open(b'b.csv'); os.rename('b.csv', 'c')",
            python=python,
        )
        (ground.root / "data/c").rename(ground.root / "data/b.csv")
    found = trace.read(ground.live)
    assert ground.root / "data/a.csv" in found.read and len(found.written) >= 200


# -- the whole way ------------------------------------------------------------------------------


def test_git_track_run_traces(repo_dir: Path, track: Track) -> None:
    """What the option promises: data that nobody named is in the record."""
    (repo_dir / "in.csv").write_text("1,2\n")
    (repo_dir / "step.py").write_text("open('out.log', 'w').write(open('in.csv').read())\n")
    track(repo_dir, "run", "--trace", "--", sys.executable, "step.py", check=0)
    shown = track(repo_dir, "show", "latest", "--json", check=0).stdout
    assert "in.csv" in shown
