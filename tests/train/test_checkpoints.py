"""Interrupted at any step and continued, a fit ends with the same bits."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from fits import assert_same, log_loss_of, losses, make_fit, stopped_after, told, weights

from fewtune.base import files
from fewtune.base.errors import FewtuneError, Interrupted
from fewtune.train import checkpoint
from fewtune.train.loop import run_fit

STEPS = 7
CASES = [
    ("full", {}),
    ("full", {"bf16": True}),
    ("full", {"dropout": 0.1}),
    ("full", {"average_last": 5, "gradient_accumulation_steps": 2, "steps": 5}),
    ("full", {"wise_ft_alpha": 0.5, "average_last": 2}),
    ("freeze", {}),
    ("freeze", {"bf16": True}),
    ("prefix", {}),
    ("lora", {"dropout": 0.1}),
    ("lora+adapter", {"dropout": 0.1}),
    ("lora+adapter", {"bf16": True}),
]


def named(case):
    method, how = case
    return " ".join([method, *(f"{k}={v}" for k, v in how.items())])


@pytest.mark.parametrize(("method", "how"), CASES, ids=map(named, CASES))
def test_interrupted_at_every_step_and_continued_is_bit_identical(bert, tmp_path, method, how):
    how = {"steps": STEPS, "save_steps": 1} | how
    whole = make_fit(bert, tmp_path / "whole", method, **how)
    wanted = losses(told(whole))
    seen = []
    for step in range(1, how["steps"]):
        fit = make_fit(bert, tmp_path / "cut", method, **how)
        events = run_fit(fit)
        for event in events:
            seen += [event["loss"]] if event.name == "step" else []
            if event.name == "checkpoint" and event["step"] == step:
                break
        events.close()
    last = make_fit(bert, tmp_path / "cut", method, **how)
    seen += losses(told(last))
    assert seen == wanted
    assert_same(weights(last), weights(whole))


def test_steps_after_the_last_checkpoint_are_done_again(bert, tmp_path):
    whole = make_fit(bert, tmp_path / "a", steps=STEPS, save_steps=3)
    told(whole)
    stopped_after(make_fit(bert, tmp_path / "b", steps=STEPS, save_steps=3), "step", 5)
    last = make_fit(bert, tmp_path / "b", steps=STEPS, save_steps=3)
    assert [e["step"] for e in told(last) if e.name == "step"] == [4, 5, 6, 7]
    assert_same(weights(last), weights(whole))


def test_a_fit_whose_last_step_is_saved_takes_no_step_again(bert, tmp_path):
    whole = make_fit(bert, tmp_path, steps=4, save_steps=2)
    told(whole)
    again = make_fit(bert, tmp_path, steps=4, save_steps=2)
    assert [event.name for event in told(again)] == ["trained"]
    assert_same(weights(again), weights(whole))


def watched(bert, folder):
    fit = make_fit(
        bert, folder, steps=9, eval_steps=1, save_steps=1, load_best_model_at_end=True,
        early_stopping_patience=2,
    )  # fmt: skip
    return replace(fit, validate=log_loss_of(bert)(fit))


@pytest.mark.parametrize("step", [1, 2, 4])
def test_the_best_weights_survive_an_interruption(bert, tmp_path, step):
    whole = watched(bert, tmp_path / "a")
    end = told(whole)[-1]
    assert end["best_step"] > step or step == 4
    stopped_after(watched(bert, tmp_path / "b"), "checkpoint", step)
    again = watched(bert, tmp_path / "b")
    assert told(again)[-1].fields | {"seconds": 0} == end.fields | {"seconds": 0}
    assert_same(weights(again), weights(whole))


def test_patience_that_ran_out_before_the_interruption_stays_out(bert, tmp_path):
    """The checkpoint of the last step was written, and the end was not told any more."""
    values = [0.5, 0.6, 0.7, 0.1, 0.1]

    def fit():
        turn = iter(values)
        return make_fit(
            bert, tmp_path, steps=5, eval_steps=1, save_steps=1, early_stopping_patience=2,
            validate=lambda: {"log_loss": next(turn)},
        )  # fmt: skip

    stopped_after(fit(), "checkpoint", 3)
    del values[:3]
    assert [event.name for event in told(fit())] == ["stopped", "trained"]


def newest(folder):
    return sorted(p.name for p in folder.iterdir())


def test_only_the_newest_checkpoint_stays(bert, tmp_path):
    told(make_fit(bert, tmp_path, steps=5, save_steps=1))
    assert newest(tmp_path) == ["step-000005"]


def test_the_old_checkpoint_goes_only_after_the_new_one_is_whole(bert, tmp_path, monkeypatch):
    seen = []
    remove = checkpoint._remove

    def watching(folder):
        names = newest(tmp_path)
        seen.append(names)
        assert (tmp_path / names[-1] / "progress.json").exists()
        remove(folder)

    monkeypatch.setattr(checkpoint, "_remove", watching)
    told(make_fit(bert, tmp_path, steps=3, save_steps=1))
    assert seen == [["step-000001", "step-000002"], ["step-000002", "step-000003"]]


class Killed(BaseException):
    """As if the process ended here."""


#: What a checkpoint's writing goes through, in this order; a kill may fall on each.
MOMENTS = ["save_file", "write_json", "_sync_tree", "replace", "_remove", "rmtree"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_while_a_checkpoint_is_written_costs_steps_and_nothing_else(
    bert, tmp_path, monkeypatch, moment
):
    whole = make_fit(bert, tmp_path / "a", steps=STEPS, save_steps=2)
    told(whole)
    folder = tmp_path / "b"
    stopped_after(make_fit(bert, folder, steps=STEPS, save_steps=2), "checkpoint", 2)

    def kill(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patched:
        # a killed process does not tidy up
        patched.setattr(files, "_remove", lambda path: None)
        where = {"_sync_tree": files, "replace": files.os}
        patched.setattr(where.get(moment, checkpoint), moment, kill)
        with pytest.raises(Killed):
            told(make_fit(bert, folder, steps=STEPS, save_steps=2))
    assert any(not name.endswith(files.UNFINISHED) for name in newest(folder))
    again = make_fit(bert, folder, steps=STEPS, save_steps=2)
    told(again)
    assert_same(weights(again), weights(whole))
    assert newest(folder) == ["step-000006"]  # nothing half written is left behind


def test_a_checkpoint_that_was_being_written_is_ignored(bert, tmp_path):
    half = tmp_path / f"step-000004{files.UNFINISHED}"
    half.mkdir()
    (half / "progress.json").write_text('{"step": 4')
    plain, fit = make_fit(bert, tmp_path / "a", steps=3), make_fit(bert, tmp_path, steps=3)
    assert [e["step"] for e in told(fit) if e.name == "step"] == [1, 2, 3]
    told(plain)
    assert_same(weights(fit), weights(plain))


def test_a_full_disk_is_a_sentence_and_the_older_checkpoint_stays(bert, tmp_path, monkeypatch):
    stopped_after(make_fit(bert, tmp_path, steps=4, save_steps=1), "checkpoint", 2)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(FewtuneError, match=r"step 3 could not be written.*No space left"):
        told(make_fit(bert, tmp_path, steps=4, save_steps=1))
    assert newest(tmp_path) == ["step-000002"]


def test_a_checkpoint_of_another_method_is_refused_with_every_mismatch(bert, tmp_path):
    stopped_after(make_fit(bert, tmp_path, "lora", steps=4, save_steps=1), "checkpoint", 1)
    with pytest.raises(FewtuneError, match=r"only in the file: .*lora_A"):
        told(make_fit(bert, tmp_path, "freeze", steps=4))


def test_saving_a_checkpoint_changes_nothing(bert, tmp_path):
    often = make_fit(bert, tmp_path / "a", "lora", steps=5, dropout=0.1, save_steps=1)
    never = make_fit(bert, tmp_path / "b", "lora", steps=5, dropout=0.1)
    told(often), told(never)
    assert_same(weights(often), weights(never))


def test_a_prefix_is_kept_with_the_network_that_makes_it(bert, tmp_path):
    stopped_after(make_fit(bert, tmp_path, "prefix", steps=2, save_steps=1), "checkpoint", 1)
    from safetensors.torch import load_file

    saved = load_file(tmp_path / "step-000001" / "weights.safetensors")
    assert any("transform" in name for name in saved)


def test_ctrl_c_finishes_the_step_and_saves_it(bert, tmp_path):
    whole = make_fit(bert, tmp_path / "a", steps=6)
    told(whole)
    before = signal.getsignal(signal.SIGINT)
    fit = make_fit(bert, tmp_path / "b", steps=6)
    names = []

    def listen():
        for event in run_fit(fit):
            names.append(event.name)
            if event.name == "step" and event["step"] == 3:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped after step 3 of 6, all saved"):
        listen()
    assert names == ["step"] * 3 + ["checkpoint"]
    assert signal.getsignal(signal.SIGINT) is before
    again = make_fit(bert, tmp_path / "b", steps=6)
    assert [e["step"] for e in told(again) if e.name == "step"] == [4, 5, 6]
    assert_same(weights(again), weights(whole))


def test_moments_are_kept_by_the_parameter_s_name(bert, tmp_path):
    stopped_after(make_fit(bert, tmp_path, steps=2, save_steps=1), "checkpoint", 1)
    from safetensors.torch import load_file

    moments = load_file(tmp_path / "step-000001" / "optimiser.safetensors")
    assert {name.split("|")[0] for name in moments} == {"step", "exp_avg", "exp_avg_sq"}
    assert torch.equal(moments["step|head.weight"], torch.tensor(1.0))
