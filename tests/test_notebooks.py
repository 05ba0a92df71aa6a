"""The notebook that a process runs: its path, its cells, those to come. With the real IPython."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conftest import Git
from gittrack import listing, notebooks

SESSION = """\
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in json.loads(sys.argv[1]):
    shell.run_cell(cell, store_history=True)
"""


def session(
    *cells: str, place: Path | None = None, env: Mapping[str, str] | None = None
) -> list[str]:
    """What a session of IPython of its own prints that runs these cells."""
    home = os.environ["HOME"]
    done = subprocess.run(
        [sys.executable, "-c", SESSION, json.dumps(cells)],
        capture_output=True,
        text=True,
        cwd=place,
        env={**os.environ, "IPYTHONDIR": home, **(env or {})},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


HERE = "from gittrack import notebooks; n = notebooks.here()"


def test_a_script_is_no_notebook_and_pays_nothing() -> None:
    """IPython takes longer to load than a run to begin."""
    program = (
        "import sys; from gittrack.notebooks import here; print(here(), 'IPython' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "None False\n"


def test_a_script_that_only_imports_ipython_is_no_notebook() -> None:
    """Many libraries do, for their progress bars."""
    program = "import IPython; from gittrack.notebooks import here; print(here())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "None\n"


def test_half_an_import_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be at it when the run begins."""
    monkeypatch.setitem(sys.modules, "IPython", type(sys)("IPython"))
    assert notebooks.here() is None


def test_the_cells_so_far_are_there_as_they_were_typed() -> None:
    """The running one too; magic as magic, one that ran twice twice, empty ones not."""
    said = session("x = 1", "%time x", "  ", "x = 1", f"{HERE}\nprint(n.cells())")
    assert said[-1] == str(
        [(1, "x = 1"), (2, "%time x"), (3, "x = 1"), (4, f"{HERE}\nprint(n.cells())")]
    )


def test_cells_to_come_are_told_until_nobody_wants_them() -> None:
    """With the number under which they stand among the cells, before they run."""
    said = session(
        f"{HERE}\nseen = []; stop = n.watch(lambda *cell: seen.append(cell))",
        "1 / 1",
        "raise SystemError",
        "stop(); stop()",
        "2 / 2",
        "print(seen)",
        "print(set(seen) <= set(n.cells()))",
    )
    assert said[-2:] == [
        str([(2, "1 / 1"), (3, "raise SystemError"), (4, "stop(); stop()")]),
        "True",
    ]


def test_what_a_front_end_runs_silently_is_no_cell() -> None:
    """Completion and variable explorers run code all the time."""
    said = session(
        f"{HERE}\nseen = []; stop = n.watch(lambda *cell: seen.append(cell))",
        "get_ipython().run_cell('quiet = 1', silent=True)\n"
        "get_ipython().run_cell('unstored = 1', store_history=False);",
        "print(len(seen), n.cells()[-1][0])",
    )
    assert said[-1] == "2 3"


def test_a_watcher_that_fails_does_not_stop_the_cell() -> None:
    """Logging never stands in the way."""
    said = session(f"{HERE}\nn.watch(lambda *cell: 1 / 0)", "print('ran')")
    assert "ran" in said


def test_a_cell_of_megabytes_is_kept_in_part() -> None:
    """Somebody pasted the data into it."""
    said = session(
        HERE,
        f"get_ipython().run_cell('# ' + 'x' * {notebooks.LONGEST}, True)",
        "print(repr(n.cells()[2][1][-30:]))",
    )
    assert said[-1].endswith("\\n# ... and 2 more characters'")


@pytest.mark.parametrize(
    ("mine", "environment", "path"),
    [
        ({}, {}, None),
        ({"__vsc_ipynb_file__": "/w/a b.ipynb"}, {}, "/w/a b.ipynb"),
        ({"PAPERMILL_INPUT_PATH": "in.ipynb"}, {}, "{here}/in.ipynb"),
        ({}, {"JPY_SESSION_NAME": "/w/train.ipynb"}, "/w/train.ipynb"),
        ({"__vsc_ipynb_file__": "/v.ipynb"}, {"JPY_SESSION_NAME": "/j.ipynb"}, "/v.ipynb"),
        ({}, {"JPY_SESSION_NAME": "/w/console-1"}, None),
        ({"__vsc_ipynb_file__": 3}, {}, None),
        ({"__vsc_ipynb_file__": "/w/\x1b[2J.ipynb"}, {}, None),
        ({"__vsc_ipynb_file__": "/w/a\nb.ipynb"}, {}, None),
        ({}, {"JPY_SESSION_NAME": "study/__notebook__.ipynb"}, "{here}/__notebook__.ipynb"),
        ({}, {"JPY_SESSION_NAME": "study/gone.ipynb"}, "{here}/study/gone.ipynb"),
        ({}, {"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, "{here}/__notebook__.ipynb"),
    ],
)
def test_the_path_is_the_one_that_the_front_end_says(
    mine: Mapping[str, Any], environment: Mapping[str, str], path: str | None, tmp_path: Path
) -> None:
    """IPython itself does not know it; a console has none, and a wrong one helps nobody."""
    os.chdir(tmp_path)
    Path("__notebook__.ipynb").touch()
    assert notebooks._path(mine, environment) == (path and path.replace("{here}", os.getcwd()))


def test_the_path_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    """VS Code says it with the first cell, papermill with a cell of its own."""
    said = session(
        f"{HERE}\nprint(n.path)", "__vsc_ipynb_file__ = '/w/x.ipynb'", "print(n.path)",
        place=tmp_path,
    )  # fmt: skip
    assert said[-2:] == ["None", "/w/x.ipynb"]


@pytest.mark.parametrize(
    ("path", "root", "said"),
    [
        ("{top}/study/a/train.ipynb", "{top}/study", "a/train.ipynb"),
        ("{top}/link/train.ipynb", "{top}/study", "a/train.ipynb"),
        ("{top}/study/a/train.ipynb", "{top}/link", "train.ipynb"),
        ("{top}/study2/train.ipynb", "{top}/study", "{top}/study2/train.ipynb"),
        ("{top}/study/a/train.ipynb", None, "{top}/study/a/train.ipynb"),
        (None, "{top}/study", None),
    ],
)
def test_the_path_is_told_within_the_work_tree(
    path: str | None, root: str | None, said: str | None, tmp_path: Path
) -> None:
    """A record names no directory of somebody's home if it can help it."""
    (tmp_path / "study" / "a").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "study" / "a")
    place = [text and text.replace("{top}", str(tmp_path)) for text in (path, root, said)]

    class Shell:
        user_ns = {"__vsc_ipynb_file__": place[0]}

    assert notebooks.Notebook(Shell()).path_within(place[1]) == place[2]


def test_a_terminal_of_ipython_has_cells_and_no_path(tmp_path: Path) -> None:
    """What is typed there is in no file at all."""
    said = session(f"{HERE}\nprint(n.path, len(n.cells()))", place=tmp_path)
    assert said == ["None 1"]


# -- in a real notebook -------------------------------------------------------------------------

EXAMPLE = Path(__file__).parents[1] / "examples" / "notebook"

EXECUTE = """\
import json, sys
import nbformat
from nbclient import NotebookClient
book = nbformat.read(sys.argv[1], as_version=4)
where = {"metadata": {"path": "."}}
NotebookClient(book, timeout=120, allow_errors=True, resources=where).execute()
print(json.dumps({cell["id"]: cell.get("outputs", []) for cell in book.cells}))
"""


def execute(place: Path, name: str) -> dict[str, list[Any]]:
    """The outputs of a notebook's cells, by their ids, from a real kernel that then ends.

    A process of its own, because what Jupyter warns of is not ours to mend.
    """
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, name],
        cwd=place,
        capture_output=True,
        text=True,
        env={**os.environ, "JPY_SESSION_NAME": str(place / name)},
    )
    assert done.returncode == 0, done.stderr
    outputs: dict[str, list[Any]] = json.loads(done.stdout)
    return outputs


def repository(place: Path, git: Git) -> Path:
    git(place, "init", "-q")
    git(place, "add", ".")
    git(place, "commit", "-qm", "A notebook")
    return place


@pytest.fixture(scope="module")
def example(
    tmp_path_factory: pytest.TempPathFactory, git: Git
) -> tuple[Path, dict[str, list[Any]]]:
    """The example in a repository, executed: where, and its outputs."""
    place = tmp_path_factory.mktemp("notebook") / "work"
    shutil.copytree(EXAMPLE, place)
    return place, execute(repository(place, git), "train.ipynb")


def shown(outputs: list[Any]) -> str:
    """What a cell shows as HTML."""
    assert [one["output_type"] for one in outputs] == ["execute_result"]
    html: str = outputs[0]["data"]["text/html"]
    return html


def test_a_notebook_shows_its_run(example: tuple[Path, dict[str, list[Any]]]) -> None:
    """While it is under way and when it is recorded: values, and a curve of each metric."""
    _, outputs = example
    errors = [one for cell in outputs.values() for one in cell if one["output_type"] == "error"]
    assert errors == []
    for cell, status in (("show", "running"), ("recorded", "finished")):
        html = shown(outputs[cell])
        assert f">{status}</span>" in html and html.count("<svg") == 2
        assert "alpha" in html and "train_accuracy" in html
    assert "metrics.accuracy" in shown(outputs["runs"])
    assert "finished" in outputs["end"][0]["text"]


def test_a_notebooks_run_names_it_and_has_its_cells(
    example: tuple[Path, dict[str, list[Any]]], git: Git
) -> None:
    """Those before the run began too: without them the others make no sense."""
    place, _ = example
    run = listing.get_run(directory=place)
    assert (run.status, run.experiment, run.source) == ("finished", "notebook", "api")
    assert run.code.notebook == "train.ipynb"
    assert [step for step, _, _ in run.series("accuracy")] == list(range(20))
    kept = git(place, "show", f"{run.commit}:.gittrack/cells.py")
    told = json.loads((place / "train.ipynb").read_text())["cells"]
    typed = ["".join(cell["source"]) for cell in told if cell["cell_type"] == "code"]
    until = next(n for n, cell in enumerate(typed) if cell == "gittrack.end_run()") + 1
    assert kept == "".join(f"# %% [{n}]\n{cell}\n\n" for n, cell in enumerate(typed[:until], 1))


KEY = "ghp_" + "R4nD0mLk3yZ9qW7eT5uI1oP8aS6dF2gH0jKx"
ROUGH = {
    "begin": "import gittrack\nrun = gittrack.start_run()\nrun",
    "secret": f"token = '{KEY}'",
    "wrong": "1 / 0",
    "hostile": "gittrack.set_tag('<script>', '</script><img src=x onerror=alert(1)>')",
    "say": "print('hello from a cell')\ngittrack.log_metric('loss', float('nan'))",
    "again": "run",
}


def test_a_notebook_that_is_closed_in_the_middle(tmp_path: Path, git: Git) -> None:
    """A cell that fails ends nothing, the kernel's end ends the run; no secret is kept."""
    cells = [
        {"cell_type": "code", "id": key, "source": text, "metadata": {}, "outputs": [],
         "execution_count": None}
        for key, text in ROUGH.items()
    ]  # fmt: skip
    book = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "rough.ipynb").write_text(json.dumps(book))
    outputs = execute(repository(tmp_path, git), "rough.ipynb")
    assert outputs["wrong"][0]["ename"] == "ZeroDivisionError"
    html = shown(outputs["again"])
    assert "&lt;script&gt;" in html and "<img" not in html and "<script" not in html
    run = listing.get_run(directory=tmp_path)
    assert run.status == "finished" and run.code.notebook == "rough.ipynb"
    assert "hello from a cell" in run.output()
    kept = git(tmp_path, "show", f"{run.commit}:.gittrack/cells.py")
    assert KEY not in kept and "***" in kept
    assert kept.count("# %% ") == len(ROUGH)
