"""Hugging Face's Trainer itself, called back: its trainings are in the record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainings import Trained, train

PROGRAM = """\
import json, os
import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
import gittrack
from gittrack.integrations.transformers import GittrackCallback

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.manual_seed(7)

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 32
    def __getitem__(self, place):
        words = torch.tensor([place % 7, place % 5, place % 3])
        return {"input_ids": words, "labels": torch.tensor(place % 2)}

def made():
    return BertForSequenceClassification(BertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=4, num_labels=2,
    ))

def trainer(name, callback, model=None, callbacks=(), **told):
    arguments = TrainingArguments(**{
        "output_dir": f"out/{name}", "max_steps": 6, "logging_steps": 2, "report_to": "none",
        "per_device_train_batch_size": 8, "use_cpu": True, "hub_token": "hf_" + "aB3dE5gH7" * 4,
        "save_strategy": "no", "disable_tqdm": True, **told,
    })
    return Trainer(
        model=model or made(), args=arguments, train_dataset=Data(), eval_dataset=Data(),
        callbacks=[callback, *callbacks],
    )
"""

RUNS = """
with gittrack.start_run(name="logged"):
    one = trainer("logged", GittrackCallback(log_model="checkpoint"), eval_strategy="steps",
                  eval_steps=2, save_strategy="steps", save_steps=2,
                  load_best_model_at_end=True)
    one.train()
    one.evaluate(metric_key_prefix="eval_last")
    one.predict(Data())
    print("history: " + json.dumps(one.state.log_history))
with gittrack.start_run(name="resumed"):
    trainer("logged", GittrackCallback(), max_steps=8, save_strategy="no").train(
        resume_from_checkpoint="out/logged/checkpoint-4")
with gittrack.start_run(name="hostile"):
    class Odd(BertForSequenceClassification):
        def save_pretrained(self, place, **_):
            raise OSError("no such disk")
    class Words(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            logs["text"] = "none"
    callback = GittrackCallback(log_model=True)
    odd = trainer("hostile", Words(), model=Odd(made().config), callbacks=[callback], max_steps=2)
    odd.train()
class Broken(transformers.TrainerCallback):
    def on_step_end(self, *_, **__):
        raise KeyError("mine")
try:
    with gittrack.start_run(name="failed"):
        trainer("failed", GittrackCallback(), callbacks=[Broken()]).train()
except KeyError as error:
    print("raised", error)
with gittrack.start_run(name="search"):
    search = trainer("search", GittrackCallback(), max_steps=2, logging_steps=1)
    search.model_init = lambda trial: made()
    search.hyperparameter_search(
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2)},
        n_trials=2, backend="optuna", compute_objective=lambda metrics: metrics["eval_loss"],
    )
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("transformers"), PROGRAM + RUNS)


def test_a_training_is_what_the_trainer_logged(trained: Trained) -> None:
    """Each value at its step, under the names of Hugging Face's other integrations."""
    run = trained["logged"]
    (told,) = [line for line in trained.out.splitlines() if line.startswith("history: ")]
    history = json.loads(told.removeprefix("history: "))
    names = {"train/loss": "loss", "eval/loss": "eval_loss", "train/grad_norm": "grad_norm"}
    for ours, theirs in names.items():
        expected = [(row["step"], row[theirs]) for row in history if theirs in row]
        assert trained.curve("logged", ours) == expected and len(expected) >= 3
    assert trained.curve("logged", "test/loss")[0][0] == 6 and "eval/last_loss" in run.metrics
    assert run.metrics["train_runtime"] > 0 and "train/runtime" not in run.metrics
    best = min((row["eval_loss"], row["step"]) for row in history if "eval_loss" in row)
    assert (run.metrics["best_metric"], run.metrics["best_step"]) == best
    assert run.faults == () and run.status == "finished"


def test_what_it_was_told_is_there_without_secrets(trained: Trained) -> None:
    """The arguments as such, the model's own below `model`, and no token of any kind."""
    params = trained["logged"].params
    told = {"max_steps": 6, "per_device_train_batch_size": 8, "model.hidden_size": 8}
    assert told.items() <= params.items() and params["model.parameters"] > 100
    assert not [key for key in params if key.endswith("_token")]
    assert "aB3dE5gH7" not in repr(params) and None not in params.values()


def test_checkpoints_and_the_best_model_are_kept(trained: Trained) -> None:
    """As transformers itself loads them."""
    names = [item.path for item in trained["logged"].artifacts]
    assert names == ["checkpoint-2", "checkpoint-4", "checkpoint-6", "model"]
    model = trained.kept("logged", "model")
    assert json.loads((model / "config.json").read_text())["hidden_size"] == 8
    assert (model / "model.safetensors").stat().st_size > 1000


def test_a_training_that_goes_on_counts_on(trained: Trained) -> None:
    """The step is the trainer's own, which comes back with its checkpoint."""
    run = trained["resumed"]
    assert [step for step, _ in trained.curve("resumed", "train/loss")] == [6, 8]
    assert run.params["resumed_at_step"] == 4 and run.faults == ()


def test_what_goes_wrong_on_our_side_is_a_fault(trained: Trained) -> None:
    """The training goes on, its curves with it."""
    run = trained["hostile"]
    assert run.status == "finished" and len(trained.curve("hostile", "train/loss")) == 1
    assert any("'train/text' not recorded" in fault for fault in run.faults)
    assert any("model not kept: OSError('no such disk')" in fault for fault in run.faults)


def test_what_goes_wrong_in_the_training_goes_through(trained: Trained) -> None:
    """The run is failed, and the script sees its own exception."""
    assert trained["failed"].status == "failed" and "raised 'mine'" in trained.out


def test_each_trial_of_a_search_is_a_run(trained: Trained) -> None:
    """Within the run that searches."""
    whole = trained["search"]
    trials = [run for run in trained.all if run.parent == whole.id]
    assert len(trials) == 2 and {run.status for run in trials} == {"finished"}
    rates = {run.params["learning_rate"] for run in trials}
    assert len(rates) == 2 and {run.params["trial.learning_rate"] for run in trials} == rates
    assert all(run.faults == () for run in [whole, *trials])


def test_without_a_run_the_training_begins_one(tmp_path: Path) -> None:
    """Called `run_name`; in a run of the command it is that."""
    program = PROGRAM + (
        "trainer('one', GittrackCallback(), run_name='My tune', max_steps=2).train()\n"
        "gittrack.log_metric('after', 1)\n"
    )
    for track, source in ((False, "api"), (True, "cli")):
        (run,) = train(tmp_path / source, program, track=track).all
        assert (run.source, run.params["max_steps"], run.metrics["after"]) == (source, 2, 1)
        assert run.name.startswith("my-tune-") != track
