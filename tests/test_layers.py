"""The architecture, held: levels, doors, what each module says about itself.

The levels come from docs/architecture.md, so that the document cannot lie.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "gittrack"
ENTRANCES = {"", "__main__", "tracer.sitecustomize"}
PACKAGES = {"cli", "git", "integrations"}
DOORS = {
    "pygit2": "git",
    "yaml": "formats",
    "tabulate": "report",
    "plotext": "curves",
    "click": "cli",
    "dvc": "depot",
    "configobj": "setup",
    "regex": "expressions",
    "psutil": "vitals",
    "pynvml": "vitals",
    "pandas": "frames",
    "polars": "frames",
    "pyarrow": "parquet",
    "IPython": "notebooks",
    "matplotlib": "pictures",
    "parsimonious": "language",
}


def _name(file: Path) -> str:
    """`refs`, `cli.main`; the package itself is empty, `cli/__init__.py` is `cli`."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(file): file.read_text("utf-8") for file in sorted(PACKAGE.rglob("*.py"))}
INNER = sorted(MODULES.keys() - ENTRANCES)


def _table() -> dict[str, int]:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| \S.* \|$", text, re.MULTILINE)
    assert len(rows) == len({module for _, module in rows})
    return {module: int(level) for level, module in rows}


def _inside_git() -> dict[str, str]:
    """The modules of `git` in the order of the document -> whom they ask."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    return dict(re.findall(r"^\| `(git\.\w+)` \| (\S.*) \| \S.* \|$", text, re.MULTILINE))


LEVELS = _table()
INSIDE_GIT = _inside_git()


def _part(module: str) -> str:
    """The row of the table that a module belongs to."""
    return module.split(".")[0]


# -- what is looked for -------------------------------------------------------------------------


def imports(source: str) -> set[str]:
    """Every module that the source imports anywhere: in functions, under TYPE_CHECKING, by name.

    `from gittrack import git` counts as `gittrack.git`; relative imports keep their dots.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "gittrack":
                found |= {f"gittrack.{alias.name}" for alias in node.names}
            else:
                found.add(module)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            found |= {str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return found


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def wrong_levels(module: str, source: str) -> list[str]:
    """The imports of our own modules that do not go down."""
    wrong = []
    for imported in sorted(imports(source)):
        if imported.startswith("."):
            wrong.append(f"{module} imports {imported}: write the whole name")
        if not imported.startswith("gittrack."):
            continue
        other = imported.removeprefix("gittrack.")
        if _part(other) == "__version__" or _part(module) == _part(other) in PACKAGES:
            continue
        if LEVELS.get(_part(other), 99) >= LEVELS.get(_part(module), -1):
            wrong.append(f"{module} imports {other}")
    return wrong


def wrong_inside_git(module: str, source: str) -> list[str]:
    """What a module of `git` imports, or runs, other than the table of these modules allows."""
    above = set(list(INSIDE_GIT)[: list(INSIDE_GIT).index(module)])
    inside = {name.removeprefix("gittrack.") for name in imports(source)}
    wrong = [
        f"{module} imports {other}"
        for other in sorted(inside)
        if _part(other) == "git" and other not in above
    ]
    if "pygit2" in inside and "libgit2" not in INSIDE_GIT[module]:
        wrong.append(f"{module} imports pygit2")
    if module != "git.executable" and runs_git(source):
        wrong.append(f"{module} runs git")
    return wrong


def wrong_doors(module: str, source: str) -> list[str]:
    """The foreign things that this module must leave to another."""
    wrong = [
        f"{module} imports {imported}, whose door is {DOORS[imported.split('.')[0]]}"
        for imported in sorted(imports(source))
        if DOORS.get(imported.split(".")[0], _part(module)) != _part(module)
    ]
    if _part(module) not in ("git", "whereabouts") and runs_git(source):
        wrong.append(f"{module} runs git")
    return wrong


def runs_git(source: str) -> bool:
    """Whether a command that begins with the word `git` is built here, or a shell gets one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.List | ast.Tuple) and node.elts:
            first: ast.expr = node.elts[0]
        elif isinstance(node, ast.Call) and node.args:
            if not re.match(
                r"(run|Popen|call|check_\w+|system|popen|exec\w+|spawn\w+)$", _called(node)
            ):
                continue
            first = node.args[0]
        else:
            continue
        if isinstance(first, ast.Constant) and re.match(r"git(\s|$)", str(first.value)):
            return True
    return False


def prose(source: str) -> list[str]:
    """The lines of a module's docstring, without blank ones and drawings (indented lines)."""
    said = ast.get_docstring(ast.parse(source)) or ""
    return [line for line in said.split("\n") if line and not line.startswith(" ")]


def exported(source: str) -> list[str] | None:
    """`__all__` as it is written; None if there is none."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def in_order(names: list[str]) -> list[str]:
    """The order that ruff keeps: constants, classes, functions, each by the alphabet."""
    return sorted(names, key=lambda n: (0 if n.isupper() else 1 if n[0].isupper() else 2, n))


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(source: str) -> Iterator[tuple[str, Definition]]:
    """The public functions and classes of a module, and the public methods of those classes."""
    yield from _public(ast.parse(source).body, "")


def _public(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, Definition]]:
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield owner + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body, f"{owner}{node.name}.")


def silent(source: str) -> list[str]:
    """The public functions, classes and methods without a docstring; setters and overloads may."""
    return [
        name
        for name, node in public(source)
        if not ast.get_docstring(node)
        and not any(re.search(r"overload|\.setter", ast.unparse(d)) for d in node.decorator_list)
    ]


def unexported(source: str) -> list[str]:
    """What `__all__` forgets, or claims without there being one of that name."""
    names = set(exported(source) or [])
    there = {name for name, _ in public(source) if "." not in name}
    bound = {
        node.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    brought = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return sorted((there - names) | (names - there - bound - brought))


# -- what must hold -----------------------------------------------------------------------------


def test_every_module_is_in_the_table() -> None:
    """A new module has a level and one job before it has lines."""
    assert {_part(module) for module in INNER} <= LEVELS.keys()


def test_every_row_of_the_table_is_a_module() -> None:
    """The document describes what there is."""
    assert LEVELS.keys() <= {_part(module) for module in INNER}


@pytest.mark.parametrize("module", INNER)
def test_imports_go_down(module: str) -> None:
    """Same level or above would end in one import cycle, as it did elsewhere."""
    assert wrong_levels(module, MODULES[module]) == []


def test_every_module_of_git_is_in_its_table() -> None:
    """And every row is a module."""
    assert INSIDE_GIT.keys() == {m for m in INNER if _part(m) == "git"} - {"git"}


@pytest.mark.parametrize("module", INSIDE_GIT)
def test_inside_git_the_back_ends_stay_apart(module: str) -> None:
    """libgit2 can be replaced only if it is clear what it does."""
    assert wrong_inside_git(module, MODULES[module]) == []
    assert ("libgit2" in INSIDE_GIT[module]) == ("pygit2" in imports(MODULES[module]))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_each_foreign_thing_has_one_door(module: str) -> None:
    """What has one door can be replaced, and its exceptions translated, in one place."""
    assert wrong_doors(module, MODULES[module]) == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_says_what_it_knows(module: str) -> None:
    """Two to eight lines; for an entrance or the module of a command one is enough."""
    least = 1 if module in ENTRANCES or _part(module) == "cli" else 2
    assert least <= len(prose(MODULES[module])) <= 8


@pytest.mark.parametrize("module", [module for module in INNER if module != "cli"])
def test_what_a_module_offers_is_written_at_its_top(module: str) -> None:
    """`__all__` is the module's table of contents: complete, and sorted as ruff sorts."""
    names = exported(MODULES[module])
    assert names is not None
    assert names == in_order(names) and len(names) == len(set(names))
    assert not unexported(MODULES[module])


def test_no_module_is_called_as_something_public() -> None:
    """Importing `gittrack.x` puts a module in place of what `gittrack.x` was before."""
    import gittrack

    assert "start_run" in gittrack.__all__ and not {*gittrack.__all__, "run"} & set(INNER)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_everything_public_has_a_docstring(module: str) -> None:
    """A caller should not have to read the body."""
    assert not silent(MODULES[module])


# -- that the rules can fail --------------------------------------------------------------------

LOWER = "from gittrack.errors import BadName\nimport json\n"


@pytest.mark.parametrize(
    "source",
    [
        "import gittrack.commits",
        "from gittrack.commits import write",
        "from gittrack import runs",
        "from gittrack.names import check",
        "from gittrack.cli.main import main",
        "from gittrack.unheard_of import x",
        "from . import errors",
        "def f():\n    from gittrack.commits import write",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gittrack.report",
        "import importlib\nimportlib.import_module('gittrack.api')",
    ],
)
def test_an_import_that_does_not_go_down_is_seen(source: str) -> None:
    """Wherever it hides."""
    assert wrong_levels("keys", LOWER) == []
    assert len(wrong_levels("keys", LOWER + source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import pygit2",
        "from yaml import CSafeLoader",
        "def f():\n    import tabulate",
        "from plotext import plot",
        "import click.core",
        "import dvc.api",
        "import subprocess\nsubprocess.run(['git', 'gc'])",
        "command = ['git']\ncommand += ['gc']",
        "import os\nos.system('git gc')",
        "import os\nos.execvp('git', x)",
    ],
)
def test_a_second_door_is_seen(source: str) -> None:
    """Wherever it hides."""
    assert wrong_doors("keys", LOWER + "print('git track ls')\n") == []
    assert len(wrong_doors("keys", LOWER + source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import pygit2",
        "from gittrack.git import Repo",
        "from gittrack.git.references import References",
        "from gittrack.git.configuration import Configuration",
        "import subprocess\nsubprocess.run(['git', 'config'])",
    ],
)
def test_a_back_end_that_leaks_is_seen(source: str) -> None:
    """Below the door there are doors too."""
    allowed = LOWER + "from gittrack.git.executable import Executable\n"
    assert wrong_inside_git("git.configuration", allowed) == []
    assert len(wrong_inside_git("git.configuration", allowed + source)) == 1


def test_the_doors_are_where_they_should_be() -> None:
    """Else the rule above would hold of an empty house."""
    assert "pygit2" in imports(MODULES["git.objects"]) and runs_git(MODULES["git.executable"])
    assert "yaml" in imports(MODULES["formats"])
    assert "tabulate" in imports(MODULES["report"])
    assert "plotext" in imports(MODULES["curves"])
    assert "dvc.config" in imports(MODULES["depot"])
    assert "configobj" in imports(MODULES["setup"])
    assert {"pandas", "polars"} <= imports(MODULES["frames"])
    assert {"psutil", "pynvml"} <= imports(MODULES["vitals"])


def test_silence_is_seen() -> None:
    """In methods and properties too, but not in what is private."""
    source = '''
class Open:
    """Said."""
    def told(self): "Said."
    @property
    def untold(self): return 1
    def _inner(self): return 1
class _Closed:
    def free(self): return 1
def said(): "Said."
async def unsaid(): return 1
'''
    assert silent(source) == ["Open.untold", "unsaid"]


def test_a_wrong_list_of_names_is_seen() -> None:
    """Forgotten, invented, in disorder."""
    source = "LIMIT = 1\nclass Zoo: ...\ndef ask(): ...\n"
    assert unexported(source + "__all__ = ['LIMIT', 'Zoo', 'ask']") == []
    assert unexported(source + "__all__ = ['LIMIT', 'Zoo', 'tell']") == ["ask", "tell"]
    assert in_order(["ask", "LIMIT", "Zoo"]) == ["LIMIT", "Zoo", "ask"]
