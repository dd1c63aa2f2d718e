"""The rate over the steps, and the steps whose weights are averaged."""

import math
from types import SimpleNamespace

import pytest
import torch
from fits import make_fit, told, weights
from torch import nn

from fewtune.models.weights import trained_tensors
from fewtune.train.average import END, Average, snapshot_steps
from fewtune.train.loop import run_fit
from fewtune.train.schedule import factor


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (10, 1), (100, 10), (7, 7)])
def test_the_rate_warms_up_then_never_rises_and_never_is_zero(kind, steps, warmup):
    rates = [factor(kind, step, steps, warmup) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert max(rates) == 1  # the peak is reached


def test_linear_and_cosine_end_near_zero_and_meet_half_way():
    for kind in ("linear", "cosine"):
        assert factor(kind, 50, 100, 0) == pytest.approx(0.5)
        assert factor(kind, 99, 100, 0) < 0.02
    assert factor("constant", 99, 100, 0) == 1


def test_the_rates_that_are_told_are_the_schedule_s(bert, tmp_path):
    fit = make_fit(bert, tmp_path, steps=10, warmup_ratio=0.2, lr_scheduler_type="cosine")
    seen = [event["learning_rate"] for event in told(fit) if event.name == "step"]
    assert seen == pytest.approx([1e-2 * factor("cosine", s, 10, 2) for s in range(10)])


@pytest.mark.parametrize(("steps", "count"), [(100, 5), (40, 5), (7, 5), (3, 5), (1, 5), (50, 1)])
def test_snapshots_lie_in_the_last_fifth_and_hold_the_last_step(steps, count):
    found = snapshot_steps(steps, count)
    assert steps in found
    assert 1 <= len(found) <= count
    assert all(steps - math.ceil(END * steps) <= step <= steps and step > 0 for step in found)


def test_no_snapshots_are_taken_when_none_are_asked_for():
    assert snapshot_steps(100, 0) == set()


def test_the_average_is_the_mean_of_what_was_added_and_leaves_frozen_tensors_out():
    model = nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    average = Average()
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(model.weight, value)
        average.add(model)
    assert average.mean.keys() == {"weight"}
    torch.testing.assert_close(average.mean["weight"], torch.full((1, 2), 3.0))


def test_the_model_ends_with_the_mean_of_its_last_snapshots(bert, tmp_path):
    fit = make_fit(bert, tmp_path, steps=10, average_last=2)
    kept = []
    for event in run_fit(fit):
        if event.name == "step" and event["step"] in snapshot_steps(10, 2):
            kept.append(weights(fit))
        if event.name == "trained":
            assert event["averaged"] == 2
    assert len(kept) == 2
    for name, tensor in trained_tensors(fit.model).items():
        torch.testing.assert_close(tensor, (kept[0][name] + kept[1][name]) / 2)


def test_the_final_weights_lie_between_start_and_mean(bert, tmp_path):
    fit = make_fit(bert, tmp_path, steps=6, average_last=2, wise_ft_alpha=0.25)
    start, kept = weights(fit), []
    for event in run_fit(fit):
        if event.name == "step" and event["step"] in snapshot_steps(6, 2):
            kept.append(weights(fit))
    for name, tensor in trained_tensors(fit.model).items():
        end = (kept[0][name] + kept[1][name]) / 2
        torch.testing.assert_close(tensor, 0.75 * start[name] + 0.25 * end)


def test_one_snapshot_is_no_average():
    """A run of one step keeps its weights as they are."""
    average = Average()
    average.add(SimpleNamespace(named_parameters=list))  # type: ignore[arg-type]
    assert average.count == 1
