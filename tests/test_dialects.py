"""Scripts as MLflow's and W&B's users write them, with nothing but the import replaced."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gittrack
from conftest import Track
from doors import fresh
from gittrack import commits, refs
from gittrack.errors import UsageError
from gittrack.git import Repo
from gittrack.records import Run

Script = Callable[..., dict[str, Run]]


@pytest.fixture
def script(repo_dir: Path) -> Script:
    """Run Python code as a script there -> its runs, by what stands before their suffix."""

    def run(code: str, *words: str, inside: bool = False, code_expected: int = 0) -> dict[str, Run]:
        (repo_dir / "script.py").write_text(code)
        python = [sys.executable, "-W", "error", "script.py", *words]
        command = [sys.executable, "-m", "gittrack", "run", "--", *python] if inside else python
        done = subprocess.run(command, cwd=repo_dir, capture_output=True, text=True)
        assert done.returncode == code_expected, done.stdout + done.stderr
        repo = Repo.open(repo_dir)
        loaded = [commits.load(repo, ref) for ref in refs.all_runs(repo)]
        return {run.name.rpartition("-")[0]: run for run in loaded}

    return run


def alone(found: dict[str, Run]) -> Run:
    (run,) = found.values()
    return run


# -- MLflow -------------------------------------------------------------------------------------

QUICK_START = """
import os
from random import randint, random

from gittrack import log_artifacts, log_metric, log_param

if __name__ == "__main__":
    log_param("config_value", randint(0, 100))
    for offset in range(3):
        log_metric("foo", random() + offset)
    log_metric("accuracy 2", random())
    os.makedirs("outputs", exist_ok=True)
    with open("outputs/test.txt", "w") as file:
        file.write("hello")
    log_artifacts("outputs")
"""


@pytest.mark.parametrize("inside", [False, True])
def test_the_first_steps_of_mlflow(script: Script, inside: bool) -> None:
    """Bare verbs without a run: one is there when the script ends, however it was started."""
    run = alone(script(QUICK_START, inside=inside))
    assert run.status == "finished" and run.faults == ()
    assert 0 <= run.params["config_value"] <= 100 and 2 <= run.metrics["foo"] < 3
    assert "accuracy 2" in run.metrics
    assert [item.path for item in run.artifacts] == ["test.txt"]


FLUENT = """
import sys
import gittrack as mlflow

mlflow.set_experiment("MLflow Quickstart")
alpha = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5
with mlflow.start_run(run_name="elastic net", description="a first try") as run:
    mlflow.log_params({"alpha": alpha, "solver": "lbfgs"})
    assert mlflow.log_param("l1_ratio", 0.25) == 0.25
    for epoch in range(3):
        mlflow.log_metric(key="quality", value=2 * epoch, step=epoch)
    mlflow.log_metrics({"rmse": 0.7, "mae": 0.5}, step=3)
    mlflow.set_tag("Training Info", "Basic model for iris data")
    mlflow.set_tags({"engineering": "ML Platform", "release": 2})
    mlflow.log_dict({"classes": ["a", "b"]}, "labels.json")
    mlflow.log_text("notes", "notes/readme.txt")
    mlflow.log_table({"id": [1, 2], "score": [0.5, 0.75]}, artifact_file="scores.json")
    with open("plain.txt", "w") as file:
        file.write("x")
    mlflow.log_artifact("plain.txt", artifact_path="files")
    mlflow.log_artifact(local_path="plain.txt")
    assert mlflow.active_run().info.run_id == run.info.run_id
    assert run.info.status == "RUNNING" and run.info.experiment_id == "mlflow-quickstart"
    assert run.data.params["alpha"] == alpha and run.data.metrics["mae"] == 0.5
    for child in range(2):
        with mlflow.start_run(nested=True, run_name=f"child{child}"):
            mlflow.log_metric("n", child)
assert mlflow.active_run() is None

mlflow.start_run(tags={"kind": "bare"}, run_name="bare")
mlflow.end_run("FAILED")
try:
    with mlflow.start_run(run_name="broken"):
        raise ValueError("diverged")
except ValueError:
    pass
"""


def test_the_verbs_of_mlflow(script: Script) -> None:
    """Names, keywords and what they give back."""
    found = script(FLUENT, "0.75")
    run = found["elastic-net"]
    assert (run.title, run.message, run.status) == ("elastic net", "a first try", "finished")
    assert (run.experiment, run.experiment_title) == ("mlflow-quickstart", "MLflow Quickstart")
    expected = {"alpha": 0.75, "solver": "lbfgs", "l1_ratio": 0.25}
    assert {key: run.params[key] for key in expected} == expected
    assert dict(run.metrics) == {"quality": 4, "rmse": 0.7, "mae": 0.5}
    assert dict(run.tags) == {
        "Training Info": "Basic model for iris data", "engineering": "ML Platform", "release": "2",
    }  # fmt: skip
    assert [item.path for item in run.artifacts] == [
        "files/plain.txt", "labels.json", "notes/readme.txt", "plain.txt", "scores.json"
    ]  # fmt: skip
    assert [found[f"child{n}"].parent for n in range(2)] == [run.id] * 2
    assert (found["bare"].status, dict(found["bare"].tags)) == ("failed", {"kind": "bare"})
    assert found["broken"].status == "failed" and len(found) == 5
    assert all(run.faults == () for run in found.values())


def test_the_verbs_of_mlflow_within_a_command(script: Script) -> None:
    """`git track run -- python train.py` records the first run of the script as its own."""
    found = script(FLUENT, inside=True)
    (whole,) = [run for run in found.values() if run.source == "cli"]
    assert whole.title == "elastic net" and whole.metrics["quality"] == 4
    assert whole.experiment == "mlflow-quickstart" and whole.status == "finished"
    assert found["child0"].parent == found["bare"].parent == whole.id


VERBS = {
    "start_run": (
        "run_id experiment_id run_name nested parent_run_id tags description log_system_metrics"
    ),
    "end_run": "status",
    "active_run": "",
    "set_experiment": "experiment_name experiment_id",
    "log_param": "key value synchronous",
    "log_params": "params synchronous run_id",
    "log_metric": "key value step timestamp synchronous run_id",
    "log_metrics": "metrics step timestamp synchronous run_id",
    "log_artifact": "local_path artifact_path run_id",
    "log_artifacts": "local_dir artifact_path run_id",
    "log_dict": "dictionary artifact_file run_id",
    "log_text": "text artifact_file run_id",
    "log_figure": "figure artifact_file save_kwargs",
    "log_image": "image artifact_file key step synchronous",
    "log_table": "data artifact_file run_id",
    "log_input": "dataset context tags",
    "set_tag": "key value synchronous",
    "set_tags": "tags synchronous",
    "init": "project config name tags notes group job_type entity id resume mode reinit",
    "log": "data step commit",
    "finish": "exit_code",
}


@pytest.mark.parametrize("verb", VERBS)
def test_arguments_are_called_as_there(verb: str) -> None:
    """Scripts name them."""
    assert set(VERBS[verb].split()) <= set(inspect.signature(getattr(gittrack, verb)).parameters)


# -- W&B ----------------------------------------------------------------------------------------

WANDB = """
import random
import gittrack as wandb

wandb.login()
run = wandb.init(
    entity="my-awesome-team-name",
    project="my-awesome-project",
    config={"learning_rate": 0.02, "architecture": "CNN", "epochs": 10},
)
offset = random.random() / 5
for epoch in range(2, run.config["epochs"]):
    acc = 1 - 2**-epoch - random.random() / epoch - offset
    run.log({"acc": acc, "loss": 1 - acc})
run.finish()
"""


@pytest.mark.parametrize("inside", [False, True])
def test_the_first_steps_of_wandb(script: Script, inside: bool) -> None:
    """A project, a config, points that count themselves."""
    run = alone(script(WANDB, inside=inside))
    assert run.experiment == "my-awesome-project" and run.status == "finished"
    told = {key: run.params[key] for key in ("learning_rate", "architecture", "epochs")}
    assert told == {"learning_rate": 0.02, "architecture": "CNN", "epochs": 10}
    assert run.metrics["acc"] == 1 - run.metrics["loss"]
    assert dict(run.tags) == {"entity": "my-awesome-team-name"}


MODULE = """
import argparse
import gittrack as wandb

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
with wandb.init(
    project="p", config=parser.parse_args(), name="sunny day 3", tags=["baseline", "v1"],
    notes="why", group="folds", job_type="train", mode="online", save_code=True,
):
    assert wandb.run.name.startswith("sunny-day-3-")
    wandb.config.update({"optimizer": {"name": "adam"}})
    wandb.config.batch_size = 32
    for step in range(3):
        wandb.log({"train/loss": 1 / (step + 1), "val": {"acc": step}}, step=10 * step)
    wandb.log({"epoch": 1}, commit=False)
    wandb.log({"other": 2})
    wandb.summary["best_acc"] = 0.9
    wandb.run.summary["comment"] = "nice"
assert wandb.run is None

first = wandb.init(name="first")
second = wandb.init(name="second", reinit=True)
assert wandb.init(reinit="return_previous") is second
try:
    wandb.init()
except Exception as error:
    print(type(error).__name__)
wandb.finish(exit_code=3)
assert (first.status, second.status) == ("finished", "failed")
"""


def test_the_verbs_of_wandb(script: Script) -> None:
    """The module's own config, summary and log, and runs that make room for others."""
    found = script(MODULE, "--lr", "0.5")
    run = found["sunny-day-3"]
    assert (run.title, run.message, run.experiment) == ("sunny day 3", "why", "p")
    expected = {"lr": 0.5, "optimizer.name": "adam", "batch_size": 32}
    assert {key: run.params[key] for key in expected} == expected
    assert dict(run.metrics) == {
        "train/loss": 1 / 3, "val.acc": 2, "epoch": 1, "other": 2, "best_acc": 0.9
    }  # fmt: skip
    assert dict(run.tags) == {
        "baseline": "true", "v1": "true", "group": "folds", "job_type": "train", "comment": "nice"
    }  # fmt: skip
    assert found["first"].status == "finished"
    assert (found["second"].status, found["second"].exit_code) == ("failed", 3)
    assert run.faults == () and len(found) == 3


RESUME = """
import gittrack as wandb
for resume in ("allow", "must", True, None):
    with wandb.init(id="night 7", resume=resume) as run:
        wandb.log({"a": 1})
        print(run.step)
    if resume is None: continue
try:
    wandb.init(id="another", resume="must")
except Exception as error:
    print(type(error).__name__)
with wandb.init(resume=run.name) as run:
    print(run.step)
for wrong in ({"resume": "auto"}, {"id": "x y", "resume": True, "resume_from": "never"}):
    try:
        wandb.init(**wrong)
    except Exception as error:
        print(type(error).__name__)
"""


def test_a_run_of_ones_own_id_goes_on(script: Script, repo_dir: Path) -> None:
    """A job that is preempted starts the same script again, with the same id."""
    script(RESUME)
    repo = Repo.open(repo_dir)
    runs = sorted(
        (commits.load(repo, ref) for ref in refs.all_runs(repo)), key=lambda run: run.started
    )
    assert all(run.name.startswith("night-7-") for run in runs) and len(runs) == 5
    ids = [run.id for run in runs]
    assert [run.continues for run in runs] == [None, ids[0], ids[1], None, ids[3]]


# -- what cannot be honoured --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gittrack.init(fork_from="a"), "resume="),
        (lambda: gittrack.init(settings={"disable_code": True}), "track.snapshot"),
        (lambda: gittrack.init(unheard_of=1), "unheard_of="),
        (lambda: gittrack.init(mode="shared"), "shared"),
        (lambda: gittrack.init(save_code=False), "track.snapshot"),
        (lambda: gittrack.init(resume=True), "id="),
        (lambda: gittrack.define_metric("loss", summary="min"), "run.summary['loss']"),
        (lambda: gittrack.disable_system_metrics_logging(), "track.system false"),
        (lambda: gittrack.Image([], masks={"a": 1}), "masks="),
        (lambda: gittrack.Histogram(), "values"),
        (lambda: gittrack.start_run(log_system_metrics=False), "track.system"),
        (lambda: gittrack.start_run(name="a", run_name="b"), "twice"),
        (lambda: gittrack.start_run(experiment="a", experiment_id="b"), "twice"),
        (lambda: gittrack.set_experiment(), "name"),
        (lambda: gittrack.set_experiment(""), "empty"),
        (lambda: gittrack.log_metric("a", 1, synchronous=False), "synchronous"),
        (lambda: gittrack.log_params({}, synchronous=False), "synchronous"),
    ],
)
def test_what_means_nothing_here_is_an_error_that_says_so(
    tmp_path: Path, call: Callable[[], object], words: str
) -> None:
    """Never silently ignored: a script that asks for something does not get something else."""
    with fresh(tmp_path), pytest.raises(UsageError) as caught:
        call()
    assert words in str(caught.value)


def test_what_asks_for_nothing_is_taken() -> None:
    """None is everybody's way to say so."""
    assert gittrack.login(key=None) is True
    with pytest.raises(TypeError):
        gittrack.log_metric("a", 1, model_id="m")  # type: ignore[call-arg]


@pytest.mark.parametrize("again", [1, 3])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gittrack.set_tracking_uri("http://localhost:5000"), "set_tracking_uri has no"),
        (lambda: gittrack.set_registry_uri("sqlite:///a.db"), "recorded in this repository"),
        (lambda: gittrack.enable_system_metrics_logging(), "track.system"),
        (lambda: gittrack.set_system_metrics_sampling_interval(1), "track.system"),
        (lambda: gittrack.set_system_metrics_samples_before_logging(1), "track.system"),
        (lambda: gittrack.set_system_metrics_node_id("a"), "machine"),
        (lambda: gittrack.login(key="secret"), "login has no effect"),
        (lambda: gittrack.define_metric("val/*", step_metric="epoch"), "define_metric has no"),
        (lambda: gittrack.define_metric("loss", summary="last"), "define_metric has no"),
        (lambda: gittrack.watch(object(), log="all"), "Histogram"),
        (lambda: gittrack.unwatch(), "unwatch"),
        (lambda: gittrack.teardown(), "finish()"),
    ],
)
def test_what_there_is_nothing_to_do_for_is_said_once(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    call: Callable[[], object],
    words: str,
    again: int,
) -> None:
    """Servers, accounts, displays: the line may stay in the script, and hides nothing."""
    with fresh(tmp_path):
        for _ in range(again):
            call()
    out, said = capsys.readouterr()
    assert said.startswith("gittrack: ") and words in said and said.count("\n") == 1
    assert "secret" not in said and out == ""


def test_of_several_ranks_the_first_one_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of 64 processes would say it 64 times."""
    for rank, lines in (("1", 0), ("0", 1)):
        monkeypatch.setenv("RANK", rank)
        with fresh(tmp_path):
            gittrack.set_tracking_uri("a")
        assert capsys.readouterr().err.count("\n") == lines


def test_where_runs_are_is_a_text() -> None:
    """Scripts print it."""
    assert gittrack.get_tracking_uri() == gittrack.get_registry_uri() == "gittrack:."


ONLY_THE_IMPORT = """
import os
import gittrack as mlflow
import gittrack as wandb

mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "http://localhost:5000"))
mlflow.enable_system_metrics_logging()
print("tracking:", mlflow.get_tracking_uri())
wandb.login(key="abc", relogin=True)
run = wandb.init(
    project="ppo", dir="/tmp/logs", settings=wandb.Settings(start_method="fork"), save_code=True,
    anonymous="allow", monitor_gym=True, sync_tensorboard=True, force=True,
)
run.define_metric("val/*", step_metric="epoch")
wandb.define_metric("epoch")
run.watch(object(), log_freq=100)
wandb.watch(object())
os.mkdir("out")
for name in "ab":
    open(f"out/{name}.bin", "w").write(name)
assert wandb.save("out/*.bin") == ["out/a.bin", "out/b.bin"]
run.save("out/a.bin", base_path="out", policy="now")
run.log({
    "rows": wandb.Table(columns=["x", "y"], data=[[1, "one"], [2, "two"]]),
    "weights": wandb.Histogram([0, 0, 1, float("nan")], num_bins=2),
    "picture": wandb.Image("out/a.bin", caption="the first"),
    "loss": 1,
})
print(run.url)
assert run.url == run.get_url() == f"refs/runs/ppo/{run.name}"
run.finish()
wandb.teardown()
"""


@pytest.mark.parametrize("inside", [False, True])
def test_a_script_whose_import_alone_was_changed(
    script: Script, repo_dir: Path, inside: bool
) -> None:
    """All that there is in scripts of others and means nothing here, in one."""
    run = alone(script(ONLY_THE_IMPORT, inside=inside))
    assert run.faults == () and dict(run.metrics) == {"loss": 1}
    assert [kept.path for kept in run.artifacts] == [
        "a.bin", "out/a.bin", "out/b.bin", "picture/0.bin", "picture/0.txt", "rows/0.csv",
        "weights/0.csv",
    ]  # fmt: skip

    def read(name: str) -> str:
        return gittrack.load_artifact(run.name, name, repo=repo_dir).read_text()

    assert read("rows/0.csv") == "x,y\n1,one\n2,two\n"
    assert read("weights/0.csv") == "from,to,count\n0.0,0.5,2\n0.5,1.0,1\nnan,nan,1\n"
    assert read("picture/0.txt") == "the first\n" and read("picture/0.bin") == "a"


def test_what_runs_of_others_have_says_what_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is only misspelt Python completes."""
    with fresh(tmp_path):
        run = gittrack.init(mode="disabled")
        run.log_code(".")
        run.mark_preempting()
        assert capsys.readouterr().err.count("has no effect") == 2
        with pytest.raises(AttributeError, match=r"'Run' .* no attribute 'dir': .*log_artifact"):
            _ = run.dir  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match=r"no attribute 'log_metirc'$") as raised:
            _ = run.log_metirc  # type: ignore[attr-defined]
        assert (raised.value.name, raised.value.obj) == ("log_metirc", run)
        assert not hasattr(run, "_repr_png_")
        run.finish()


def test_settings_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script that is switched off by them records nothing; the rest is said."""
    with fresh(tmp_path):
        assert gittrack.init(settings={"mode": "disabled"}).is_disabled
        assert capsys.readouterr().err == ""
        run = gittrack.init(settings=gittrack.Settings(mode="disabled", silent=True))
        assert run.is_disabled and run.url is None
        assert "init(settings=) has no effect" in capsys.readouterr().err
        run.finish()


@pytest.mark.parametrize("begin", ["start_run()", "init()"])
def test_two_runs_at_once_are_refused(script: Script, begin: str) -> None:
    """With the hint how to have them; the first one goes on."""
    found = script(f"""
import gittrack
from gittrack.errors import RunActive
run = gittrack.{begin}
for again in (gittrack.start_run, gittrack.init):
    try: again()
    except RunActive as error: assert run.name in str(error) and error.hint
    else: raise SystemExit(9)
gittrack.log_metric("m", 1)
""")
    assert alone(found).metrics == {"m": 1}


def test_a_joined_run_makes_room_too(script: Script) -> None:
    """Within `git track run`, the second `init` of a script is a run within the command's."""
    found = script("""
import gittrack
first = gittrack.init(config={"lr": 1})
try: gittrack.init()
except gittrack.errors.RunActive: print("active")
second = gittrack.init(name="second", mode="disabled")
third = gittrack.init(name="third", reinit=True)
gittrack.log({"a": 1})
""".replace("import gittrack\n", "import gittrack, gittrack.errors\n"), inside=True)  # fmt: skip
    third = found.pop("third")
    whole = alone(found)
    assert third.parent == whole.id and third.metrics == {"a": 1}
    assert whole.metrics == {} and whole.params["lr"] == 1


def test_a_config_of_a_file(script: Script, repo_dir: Path) -> None:
    """W&B takes the path of a YAML file; keys can be picked."""
    (repo_dir / "defaults.yaml").write_text("lr: 0.1\nopt: {name: adam}\nseed: 1\n")
    run = alone(
        script("""
import gittrack
gittrack.init(config="defaults.yaml", config_exclude_keys=["seed"])
assert gittrack.config.opt.name == "adam"
""")
    )
    assert run.params["lr"] == 0.1 and run.params["opt.name"] == "adam"
    assert "seed" not in run.params


def test_a_notebook_ends_the_run_before(repo_dir: Path, track: Track) -> None:
    """A cell that is run again begins again."""
    pytest.importorskip("IPython")
    code = """
import gittrack
first = gittrack.init(name="first")
second = gittrack.init(name="second")
print(first.status, second.status)
gittrack.finish()
"""
    (repo_dir / "cell.ipy").write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "cell.ipy"],
        cwd=repo_dir, capture_output=True, text=True, env={**os.environ, "IPYTHONDIR": str(
            repo_dir.parent / "ipython")},
    )  # fmt: skip
    assert "finished running" in done.stdout, done.stdout + done.stderr
    listed = track(repo_dir, "ls", "--csv", check=0).stdout
    assert "first-" in listed and "second-" in listed
