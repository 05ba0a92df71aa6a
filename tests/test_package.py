"""The wheel: what a user installs, built from this checkout and opened."""

from __future__ import annotations

import configparser
import email.message
import email.parser
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import gittrack

ROOT = Path(__file__).parents[1]
MAN = sorted(page.name for page in (ROOT / "man").glob("*.[1-9]"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built once; without the network where the build backend is at hand."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out)]
    if importlib.util.find_spec("hatchling"):
        command.append("--no-build-isolation")
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def files(wheel: Path) -> dict[str, bytes]:
    """Every file of the wheel by its name."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def _one(files: dict[str, bytes], ending: str) -> str:
    """The text of the one file whose name ends so."""
    found = [name for name in files if name.endswith(ending)]
    assert len(found) == 1, f"{ending}: {found}"
    return files[found[0]].decode("utf-8")


@pytest.fixture(scope="session")
def metadata(files: dict[str, bytes]) -> email.message.Message:
    """The wheel's METADATA, parsed."""
    return email.parser.Parser().parsestr(_one(files, ".dist-info/METADATA"))


def test_every_module_is_in_it_and_nothing_else(files: dict[str, bytes]) -> None:
    """A test or a script in site-packages would shadow somebody's own."""
    package = ROOT / "src" / "gittrack"
    modules = {f"gittrack/{file.relative_to(package).as_posix()}" for file in package.rglob("*.py")}
    inside = {name for name in files if re.match(r"gittrack/.*\.py$", name)}
    assert inside == modules
    foreign = [
        name
        for name in files
        if not re.match(r"gittrack/|gittrack-[^/]+\.(dist-info|data/data/share/man/man1)/", name)
    ]
    assert foreign == []
    assert not any(re.search(r"(^|/)(tests?/|conftest|__pycache__)", name) for name in files)


def test_it_says_that_it_is_typed(files: dict[str, bytes]) -> None:
    """Without py.typed (PEP 561) type checkers ignore every annotation."""
    assert "gittrack/py.typed" in files


def test_the_licence_comes_along(files: dict[str, bytes], metadata: email.message.Message) -> None:
    """Apache 2.0 asks for its text in every copy."""
    assert metadata["License-Expression"] == "Apache-2.0"
    assert _one(files, ".dist-info/licenses/LICENSE") == (ROOT / "LICENSE").read_text("utf-8")


def test_the_manual_pages_come_along(files: dict[str, bytes]) -> None:
    """Git answers `git track --help` by `man git-track`."""
    assert "git-track.1" in MAN
    shipped = {name.rsplit("/", 1)[1]: files[name] for name in files if "/share/man/man1/" in name}
    assert shipped == {page: (ROOT / "man" / page).read_bytes() for page in MAN}


def test_both_commands_are_installed(files: dict[str, bytes]) -> None:
    """`git track` is Git calling `git-track`; `gittrack` is for who types it as one word."""
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(_one(files, ".dist-info/entry_points.txt"))
    assert parser.sections() == [
        "console_scripts",
        "lightning.pytorch.callbacks_factory",
        "pytorch_lightning.callbacks_factory",
    ]
    for group, module in zip(
        parser.sections()[1:], ("lightning", "pytorch_lightning"), strict=True
    ):
        assert dict(parser[group]) == {"gittrack": f"gittrack.integrations.{module}:callbacks"}
    assert dict(parser["console_scripts"]) == {
        "git-track": "gittrack.cli.main:main",
        "gittrack": "gittrack.cli.main:main",
    }


def test_the_installed_package_runs(wheel: Path, tmp_path: Path) -> None:
    """From the wheel alone: an editable install would hide a module that was left out."""
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path)
    say = "import gittrack, gittrack.cli.main as m; print(gittrack.__file__, callable(m.main))"
    done = subprocess.run(
        [sys.executable, "-c", say],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{tmp_path / 'gittrack' / '__init__.py'} True\n", done.stderr


def test_there_is_one_version(metadata: email.message.Message) -> None:
    """Package, module and change log must not tell three stories."""
    headings = re.findall(r"^## \[?([^\s\]]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert [metadata["Version"], *headings[:1]] == [gittrack.__version__] * 2


def test_what_is_needed_is_said(metadata: email.message.Message) -> None:
    """Users get what they need to run it, and nothing that only its developers need."""
    lines = metadata.get_all("Requires-Dist", [])
    needed = {re.split(r"[^\w-]", line, maxsplit=1)[0] for line in lines if "extra ==" not in line}
    assert needed == {
        "click", "configobj", "dvc", "packaging", "parsimonious", "pathspec", "platformdirs",
        "plotext", "psutil", "pygit2", "pyyaml", "regex", "semantic-version", "tabulate",
        "tomli", "tqdm",
    }  # fmt: skip
    assert any(line.startswith("nvidia-ml-py") and "'gpu'" in line for line in lines)
    assert metadata["Requires-Python"] == ">=3.10"


def test_no_trace_of_where_it_was_built(files: dict[str, bytes]) -> None:
    """A path of the builder's machine in a release helps nobody."""
    assert [name for name, data in files.items() if os.fsencode(ROOT) in data] == []
