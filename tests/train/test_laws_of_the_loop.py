"""What the loop promises: exact accumulation, a trunk that changes nothing, honest endings."""

from dataclasses import replace
from itertools import count

import pytest
import torch
from fits import assert_same, log_loss_of, losses, make_fit, told, weights
from tiny_models import LABELS

from fewtune.base.errors import FewtuneError
from fewtune.tasks.classify import Classify
from fewtune.train.loop import run_fit
from fewtune.train.work import FeatureRows, WholeRows

FAMILIES = ("bert", "gpt2", "llama", "distilbert")
#: A large epsilon, because with the usual one Adam's first steps follow the gradient's sign, and
#: the sign of one that is zero but for rounding (a key's bias) is anybody's.
SMOOTH = {"adam_epsilon": 1e-2, "warmup_ratio": 0.0}


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "class weights"])
@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_four_unequal_passes_make_the_step_of_one_whole_batch(bases, tmp_path, family, weighted):
    task = Classify(tuple(LABELS), (0.2, 1.0, 5.0) if weighted else None)
    how = {"rows": 11, "steps": 1, "task": task, **SMOOTH}
    whole = make_fit(bases[family], tmp_path / "a", per_device_train_batch_size=11, **how)
    cut = make_fit(
        bases[family],
        tmp_path / "b",
        per_device_train_batch_size=3,
        gradient_accumulation_steps=4,
        **how,
    )
    start = weights(whole)
    assert_same(start, weights(cut))
    (one,), (other,) = ([e for e in told(fit) if e.name == "step"] for fit in (whole, cut))
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-5)
    moved = max((weights(whole)[name] - start[name]).abs().max() for name in start)
    assert moved > 1e-3
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(cut)[name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cached_trunk_changes_no_weight(bases, tmp_path, family):
    made = {}
    for cache in (True, False):
        fit = make_fit(
            bases[family], tmp_path / str(cache), "freeze", steps=9, cache_trunk=cache, **SMOOTH
        )
        assert isinstance(fit.work, WholeRows)
        assert (fit.work.first, fit.work.trunk is not None) == ((1, True) if cache else (0, False))
        made[cache] = (losses(told(fit)), weights(fit))
    assert made[True][0] == pytest.approx(made[False][0], abs=1e-5)
    for name, tensor in made[True][1].items():
        torch.testing.assert_close(tensor, made[False][1][name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_head_on_cached_features_learns_what_it_learns_on_the_whole_model(
    bases, tmp_path, family, monkeypatch
):
    monkeypatch.setitem(__import__("fits").SMALL, "freeze", {"layers": 0})
    cached = make_fit(bases[family], tmp_path / "a", "freeze", steps=9)
    whole = make_fit(bases[family], tmp_path / "b", "freeze", steps=9, cache_trunk=False)
    assert isinstance(cached.work, FeatureRows)
    # features have no lengths, so their order is another one: one batch of all rows has none
    for fit in (cached, whole):
        told(
            replace(fit, options=fit.options.model_copy(update={"per_device_train_batch_size": 12}))
        )
    for name, tensor in weights(cached).items():
        torch.testing.assert_close(tensor, weights(whole)[name], rtol=1e-5, atol=1e-5)


def test_frozen_blocks_are_back_in_their_place_after_the_fit(bert, tmp_path):
    fit = make_fit(bert, tmp_path, "freeze", steps=2)
    names = [name for name, _ in fit.model.named_parameters()]
    told(fit)
    assert [name for name, _ in fit.model.named_parameters()] == names


def test_validation_sees_the_whole_model_while_a_trunk_is_cached(bert, tmp_path):
    """The blocks' stand-ins hold training rows and must be out of the way."""
    scores = {}
    for cache in (True, False):
        fit = make_fit(bert, tmp_path / str(cache), "freeze", steps=6, cache_trunk=cache)
        fit = replace(fit, validate=log_loss_of(bert)(fit))
        scores[cache] = [e["scores"]["log_loss"] for e in told(fit) if e.name == "validated"]
    assert len(scores[True]) == 2  # once an epoch of three steps
    assert scores[True] == pytest.approx(scores[False], abs=1e-4)


def watched(bert, folder, values, **train):
    """A fit whose validation gives the values in turn."""
    turn = iter(values)
    return make_fit(bert, folder, validate=lambda: {"log_loss": next(turn)}, eval_steps=1, **train)


def test_it_stops_when_patience_is_out_and_keeps_the_best_weights(bert, tmp_path):
    fit = watched(
        bert,
        tmp_path,
        [0.9, 0.5, 0.6, 0.7, 0.4],
        steps=9,
        early_stopping_patience=2,
        load_best_model_at_end=True,
    )
    kept, events = {}, []
    for event in run_fit(fit):
        events.append(event)
        if event.name == "validated":
            kept[event["step"]] = weights(fit)
    names = [event.name for event in events]
    assert names == ["step", "validated"] * 4 + ["stopped", "trained"]
    stopped = next(event for event in events if event.name == "stopped")
    assert stopped["step"] == 4
    assert stopped["reason"] == "log_loss has not improved since step 2"
    assert events[-1]["best_step"] == 2
    assert_same(weights(fit), kept[2])


def test_without_keeping_the_best_the_last_weights_stay(bert, tmp_path):
    fit = watched(bert, tmp_path, [0.1, 0.2, 0.3], steps=3)
    plain = make_fit(bert, tmp_path / "plain", steps=3)
    told(fit), told(plain)
    assert_same(weights(fit), weights(plain))  # watching changes nothing


def test_a_rising_metric_is_watched_upwards(bert, tmp_path):
    turn = iter([0.1, 0.9, 0.2])
    fit = make_fit(
        bert,
        tmp_path,
        steps=3,
        validate=lambda: {"accuracy": next(turn)},
        eval_steps=1,
        metric_for_best_model="accuracy",
        load_best_model_at_end=True,
    )
    assert told(replace(fit, better=1))[-1]["best_step"] == 2


def test_a_loss_that_is_no_number_is_told_with_step_and_checkpoint(bert, tmp_path):
    passes = count(1)

    class Broken(Classify):
        def loss(self, logits, targets):
            total, weight = super().loss(logits, targets)
            return (total * float("nan") if next(passes) == 5 else total), weight

    fit = make_fit(bert, tmp_path, steps=9, task=Broken(tuple(LABELS)), save_steps=2)
    with pytest.raises(FewtuneError) as caught:
        told(fit)
    message = str(caught.value)
    assert "not a number at step 5 of 9" in message
    assert "the last good checkpoint is step-000004" in message
    assert "learning_rate below 0.005" in message
    assert "\n" not in message


def test_a_half_written_checkpoint_is_not_called_the_last_good_one(bert, tmp_path):
    (tmp_path / "step-000007.unfinished").mkdir()

    class Broken(Classify):
        def loss(self, logits, targets):
            return logits.sum() * float("nan"), torch.tensor(1.0)

    with pytest.raises(FewtuneError, match="there is no checkpoint yet"):
        told(make_fit(bert, tmp_path, steps=9, task=Broken(tuple(LABELS))))


def test_a_loss_that_is_no_number_at_once_says_that_there_is_no_checkpoint(bert, tmp_path):
    class Broken(Classify):
        def loss(self, logits, targets):
            return logits.sum() * float("inf"), torch.tensor(1.0)

    with pytest.raises(FewtuneError, match="step 1 of 9; there is no checkpoint yet"):
        told(make_fit(bert, tmp_path, steps=9, task=Broken(tuple(LABELS))))


def test_dropout_is_another_noise_at_every_step_and_the_same_for_a_seed(bert, tmp_path):
    def run(name, **how):
        return losses(told(make_fit(bert, tmp_path / name, steps=3, **how)))

    quiet, noisy = run("a"), run("b", dropout=0.3)
    assert noisy != pytest.approx(quiet, abs=1e-3)
    assert run("c", dropout=0.3) == noisy
    assert run("d", dropout=0.3, seed=1) != noisy


@pytest.mark.parametrize("family", FAMILIES)
def test_without_dropout_training_mode_computes_what_evaluation_does(bases, tmp_path, family):
    fit = make_fit(bases[family], tmp_path)
    batch = bases[family].batch()
    with torch.no_grad():
        assert torch.equal(fit.model.train()(**batch), fit.model.eval()(**batch))


def test_the_epoch_that_is_told_and_the_tokens_add_up(bert, tmp_path):
    fit = make_fit(bert, tmp_path, steps=6)
    events = told(fit)
    assert [e["epoch"] for e in events if e.name == "step"][2::3] == [1.0, 2.0]
    assert events[-1]["tokens"] == 2 * int(fit.work.lengths.sum())


def test_a_step_s_loss_falls_over_the_fit(bert, tmp_path):
    seen = losses(told(make_fit(bert, tmp_path, steps=30)))
    assert sum(seen[-3:]) < 0.3 * sum(seen[:3])
