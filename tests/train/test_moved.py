"""How far a fit moved each part, what no gradient reached, and the same on a resume."""

from dataclasses import replace

import pytest
import torch
from fits import make_fit, stopped_after, told, weights

from fewtune.train.moved import HEAD, SAMPLE, Start
from fewtune.train.optimiser import Rates


def moved(fit):
    return told(fit)[-1]["moved"]


@pytest.mark.parametrize(
    ("method", "parts"),
    [("full", {"full"}), ("lora", {"lora"}), ("prefix", {"prefix"}), ("freeze", {"freeze"}),
     ("lora+adapter", {"lora", "adapter"}), ("bitfit", {"bitfit"})],
)  # fmt: skip
def test_every_part_that_trains_moves_and_is_told_apart(bert, tmp_path, method, parts):
    found = moved(make_fit(bert, tmp_path, method, steps=4))
    assert found.keys() == {*parts, HEAD}
    assert all(one["gradient"] and one["change"] > 1e-4 for one in found.values())


def test_the_change_is_that_of_the_weights(bert, tmp_path):
    fit = make_fit(bert, tmp_path, steps=4, wise_ft_alpha=0.5, average_last=2)
    start = weights(fit)
    found, end = moved(fit), weights(fit)
    for part, names in (
        (HEAD, [name for name in start if name.startswith("head.")]),
        ("full", [name for name in start if not name.startswith("head.")]),
    ):
        shift = sum(float((end[name] - start[name]).square().sum()) for name in names) ** 0.5
        size = sum(float(start[name].square().sum()) for name in names) ** 0.5
        assert found[part]["change"] == pytest.approx(shift / size, rel=0.05)  # of a sample
        assert not found[part]["from_zero"]


def test_a_rate_of_nothing_moves_nothing(bert, tmp_path):
    for method in ("full", "lora"):  # LoRA's B begins at zero
        fit = make_fit(bert, tmp_path / method, method, steps=4)
        still = replace(fit, rates=Rates(1e-2, {method: 1e-12}))
        found = moved(still)
        assert found[method]["change"] < 1e-6
        assert found[method]["gradient"]
        assert found[HEAD]["change"] > 1e-3


def test_what_no_gradient_reaches_is_told_though_weight_decay_moves_it(bert, tmp_path):
    fit = make_fit(bert, tmp_path, steps=4, weight_decay=0.5)
    backbone = [one for name, one in fit.model.named_parameters() if not name.startswith("head.")]
    for parameter in backbone:
        parameter.register_hook(torch.zeros_like)
    found = moved(fit)
    assert found["full"]["change"] > 1e-4
    assert not found["full"]["gradient"]
    assert found[HEAD]["gradient"]


def test_a_head_that_began_at_zero_has_no_size_of_its_own(bert, tmp_path):
    fit = make_fit(bert, tmp_path, steps=4)
    for parameter in fit.prepared.model.head.parameters():
        torch.nn.init.zeros_(parameter)
    found = moved(fit)
    assert found[HEAD]["from_zero"]
    assert found[HEAD]["change"] > 1


@pytest.mark.parametrize("method", ["full", "lora+adapter"])
def test_a_resumed_fit_tells_the_same(bert, tmp_path, method):
    whole = moved(make_fit(bert, tmp_path / "a", method, steps=5))
    stopped_after(make_fit(bert, tmp_path / "b", method, steps=5, save_steps=1), "checkpoint", 3)
    assert moved(make_fit(bert, tmp_path / "b", method, steps=5)) == whole


def test_large_tensors_are_remembered_in_part(bert, tmp_path):
    fit = make_fit(bert, tmp_path)
    fit.model.head.weight = torch.nn.Parameter(torch.zeros(SAMPLE, 16))  # columns by even distances
    start = Start.of(fit.prepared)
    assert all(len(one) <= SAMPLE for one in start.seen.values())
    with torch.no_grad():
        fit.model.head.weight[:, 3] = 1.0
    found = start.moved(torch.optim.AdamW(fit.model.parameters()))[HEAD]
    assert found["change"] == pytest.approx((1 / 16) ** 0.5 / 1e-3, rel=0.05)
