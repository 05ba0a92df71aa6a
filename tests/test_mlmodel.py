"""Models in MLflow's form: what is read of them, and what nobody can do to whoever reads.

The files in data/mlflow were written by MLflow 3.17 itself, `save_model` with a signature.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gittrack import commits, data, formats, mlmodel, setup
from gittrack.errors import BadFile, DataMissing
from gittrack.git import Repo
from gittrack.refs import RunRef
from remotes import cache_of, directory_config, keep, record, set_up

REAL = Path(__file__).parent / "data" / "mlflow"
Files = Mapping[str, Any]


def real(name: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (REAL / name).iterdir()}


def written(**told: Any) -> dict[str, bytes]:
    return {"MLmodel": formats.dump(told)}


class Kept:
    """A repository with a run that kept things."""

    def __init__(self, root: Path, scratch: Path, things: Files) -> None:
        self.repo = Repo.open(root)
        kept = keep(self.repo, scratch, things)
        self.ref: RunRef = record(self.repo, "calm-lynx-0xw8nc", artifacts=kept)
        self.run = commits.load(self.repo, self.ref)

    def read(self, artifact: str = "model", **more: Any) -> mlmodel.Package | None:
        return mlmodel.read(self.repo, self.ref, artifact, **more)

    def flavors(self, artifact: str = "model") -> tuple[str, ...]:
        return mlmodel.flavors(self.repo, self.run, artifact)


@pytest.fixture
def kept(repo_dir: Path, tmp_path: Path) -> Any:
    """`kept(model=...)` is a run that kept these."""
    return lambda **things: Kept(repo_dir, tmp_path / "scratch", things)


# -- what MLflow wrote ----------------------------------------------------------------------------


def test_a_model_that_mlflow_saved_is_read_whole(kept: Any) -> None:
    """Whoever deploys must see what it takes, without loading what could run code."""
    found = kept(model=real("sklearn")).read()
    assert found == mlmodel.Package(
        flavors={"python_function": "3.11.7", "sklearn": "1.9.1"},
        inputs=("alcohol: double", "proline: long"),
        outputs=("tensor of int64 (-1)",),
        params=("threshold: double = 0.5",),
        requirements=tuple((REAL / "sklearn" / "requirements.txt").read_text().split()),
        python="3.11.7",
        model_uuid="865c97f33c2847df9650067a883f8266",
        mlflow_version="3.17.2",
        size=sum(map(len, real("sklearn").values())),
    )


def test_a_model_of_ones_own_python_says_its_params(kept: Any) -> None:
    """Lists have a shape."""
    found = kept(model=real("pyfunc")).read()
    assert found.flavors == {"python_function": "3.11.7"}
    assert found.params == ("threshold: double = 0.5", 'names: string (-1) = ["a", "b"]')


def test_a_directory_inside_of_an_artifact_may_be_the_model(kept: Any) -> None:
    """`git track run --out out` keeps whatever a training put there."""
    inner = {f"best/{name}": content for name, content in real("sklearn").items()}
    made = kept(out={**inner, "best/data/MLmodel": b"no", "plot.svg": b"<svg/>"})
    found = made.read("out/best/")
    assert found.flavors["sklearn"] == "1.9.1" and found.size is None
    assert made.flavors("out/best") == ("python_function", "sklearn")
    assert made.read("out") is None and made.flavors("out") == ()


def test_of_two_whose_names_begin_alike_the_one_that_is_asked_for_is_read(kept: Any) -> None:
    """`model` stands before `model2`."""
    made = kept(model=real("sklearn"), model2=real("pyfunc"))
    assert made.flavors("model2") == ("python_function",)
    assert made.read("model2").params == made.read("model2/").params != made.read("model").params


@pytest.mark.parametrize("artifact", ["file", "plain", "nothing", "model/MLmodel", "mod", ""])
def test_what_is_no_such_directory_is_no_model(kept: Any, artifact: str) -> None:
    """A name that begins alike is another artifact's."""
    made = kept(file=b"1", plain={"weights": b"1"}, model=real("sklearn"))
    assert made.read(artifact) is None and made.flavors(artifact) == ()


def test_what_only_the_data_remote_has_is_fetched_if_that_is_wanted(
    kept: Any, repo_dir: Path, tmp_path: Path
) -> None:
    """The model itself may have gigabytes, and stays where it is."""
    set_up(repo_dir, directory_config(tmp_path / "store"))
    made = kept(model={**real("sklearn"), "model.skops": b"weights"})
    cache = cache_of(made.repo)
    weights = next(m for m in cache.members(made.run.artifacts[0].md5) if m.path == "model.skops")
    data.send(made.repo, setup.read(made.repo), [made.run.artifacts[0].md5])
    shutil.rmtree(cache.directory)
    assert made.flavors() == ()
    with pytest.raises(DataMissing):
        made.read()
    found = made.read(fetch=True)
    assert found is not None and found.flavors["sklearn"] == "1.9.1"
    assert made.flavors() == ("python_function", "sklearn")
    assert cache_of(made.repo).missing([weights.md5]) == [weights.md5]


# -- other forms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stored, line",
    [
        ({"type": "double"}, "double"),
        ({"type": "long", "name": "x", "required": False}, "x: long, optional"),
        ({"type": "long", "name": "x", "optional": True}, "x: long, optional"),
        ({"type": "array", "items": {"type": "string"}, "name": "tags"}, "tags: array of string"),
        (
            {"type": "object", "name": "m", "properties": {"role": {"type": "string"}}},
            "m: object (role: string)",
        ),
        ({"type": "map", "values": {"type": "long"}, "name": "n"}, "n: map of long"),
        (
            {"type": "tensor", "name": "a", "tensor-spec": {"dtype": "float32", "shape": [-1, 28]}},
            "a: tensor of float32 (-1, 28)",
        ),
        ({"name": "k", "type": "long", "default": None, "shape": None}, "k: long = null"),
        ({"name": 0, "type": "double"}, "0: double"),
        ({}, "any"),
        ({"type": "x" * 999, "name": "\x1b[2J\n\u202e"}, None),
    ],
)
def test_each_kind_of_column_is_a_line(kept: Any, stored: Any, line: str | None) -> None:
    """As in `mlflow.types.schema`; and of anything else something short that is safe to print."""
    text = json.dumps([stored])
    found = kept(model=written(flavors={}, signature={"inputs": text})).read()
    assert (found.outputs, found.params) == (None, None)
    (shown,) = found.inputs
    assert shown == line or (line is None and len(shown) <= 300 and shown.isprintable())


@pytest.mark.parametrize(
    "flavor, settings, version",
    [
        ("xgboost", {"xgb_version": "2.1", "data": "model.xgb"}, "2.1"),
        ("lightgbm", {"lgb_version": "4.5"}, "4.5"),
        ("pytorch", {"pytorch_version": "2.5", "model_data": "data"}, "2.5"),
        ("python_function", {"cloudpickle_version": "3"}, None),
        ("a", {"b_version": "1", "c_version": "2"}, None),
        ("a", None, None),
        ("a", {"a_version": ["1"]}, None),
    ],
)
def test_the_version_of_a_flavor_is_found(
    kept: Any, flavor: str, settings: Any, version: str | None
) -> None:
    """Each flavour calls it otherwise; a guess among several would be wrong half the time."""
    found = kept(model=written(flavors={flavor: settings})).read()
    assert found.flavors == {flavor: version} and found.inputs is None


@pytest.mark.parametrize(
    "files, needs, python",
    [
        ({"requirements.txt": "a==1\n\n# no\nb\n"}, ("a==1", "b"), None),
        (
            {"conda.yaml": "dependencies:\n- python=3.12\n- pip:\n  - a==1\n"},
            ("python=3.12", "a==1"),
            None,
        ),
        ({"python_env.yaml": "python: 3.12.1\ndependencies: [a, b]\n"}, ("a", "b"), "3.12.1"),
        ({"conda.yaml": "dependencies: 3\n", "python_env.yaml": "[]"}, (), None),
        ({}, (), None),
    ],
)
def test_requirements_are_had_from_whichever_file_there_is(
    kept: Any, files: Files, needs: tuple[str, ...], python: str | None
) -> None:
    """Old versions of MLflow wrote conda.yaml alone."""
    found = kept(model={**written(flavors={}), **files}).read()
    assert (found.requirements, found.python) == (needs, python)


# -- hostile files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "flavors: !!python/object/apply:os.system [id]",
        "[" * 100_000,
        "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [" + "*a," * 100 + "]\nc: [" + "*b," * 100 + "]",
        "- 1",
        "3",
        "\x00",
        "flavors: {}\n#" + "x" * (2 << 20),
        "signature:\n  inputs: 'no json'",
        "signature:\n  inputs: '{}'",
        "signature:\n  inputs: '" + "[" * 100_000 + "'",
        'signature:\n  params: \'[{"default": ' + "[" * 900 + "]" * 900 + "}'",
        "signature:\n  inputs: '[" + "9" * 5000 + "]'",
        "flavors: {a: 1}\nflavors: {b: 1}",
    ],
)
def test_a_hostile_model_is_an_error_that_names_it(kept: Any, text: str) -> None:
    """Anybody whose run is pulled can have written it; and the registration goes on without."""
    made = kept(model={"MLmodel": text})
    with pytest.raises(BadFile, match=r"model/MLmodel|more than 1,048,576 bytes"):
        made.read()
    assert isinstance(made.flavors(), tuple)


@pytest.mark.parametrize(
    "told",
    [
        {"flavors": [1, 2], "signature": [], "model_uuid": {"a": 1}, "mlflow_version": True},
        {"flavors": {"\x1b[2J\n": {}}, "signature": {"inputs": 3, "outputs": None}},
        {"signature": {"inputs": json.dumps([3, None, [], {"type": {"type": {}}}, "\ud800"])}},
        {"signature": {"inputs": json.dumps([{"properties": {"a": {"items": {}}}}] * 3000)}},
        {"flavors": {f"f{n}": None for n in range(3000)}, "signature": {"inputs": "[NaN]"}},
        {"model_uuid": "u" * 5000},
        {},
    ],
)
def test_whatever_is_in_it_comes_out_short_and_printable(kept: Any, told: Any) -> None:
    """It is shown on a terminal."""
    found = kept(model={**written(**told), "requirements.txt": b"\xff\x1b[2J\n" * 3000}).read()
    lines = [*found.flavors, *(found.inputs or ()), *found.requirements, found.model_uuid or ""]
    assert all(len(line) <= 300 and line.isprintable() for line in lines)
    assert len(found.flavors) <= 1000 and len(found.inputs or ()) <= 1001
    assert len(found.requirements) == 1001 and found.requirements[-1] == "... and 2,000 more"


def test_that_a_package_cannot_be_understood_is_said_where_it_is_registered(
    kept: Any, repo_dir: Path, track: Any
) -> None:
    """MLflow will not load it either; a version without flavours looks as if it had none."""
    made = kept(model={"MLmodel": "flavors: ["}, good=real("sklearn"), plain={"a": b"1"})
    assert "MLmodel" in (mlmodel.fault(made.repo, made.run, "model") or "")
    for artifact in ("good", "plain", "nothing"):
        assert mlmodel.fault(made.repo, made.run, artifact) is None
    said = track(repo_dir, "model", "register", f"{made.ref.name}:model", "wine", check=0)
    assert "warning: its flavors are not known: model/MLmodel: " in said.stderr
    assert said.stdout.startswith("wine@v1.0.0 is ")
    said = track(repo_dir, "model", "register", f"{made.ref.name}:good", "fine", check=0)
    assert "warning" not in said.stderr
