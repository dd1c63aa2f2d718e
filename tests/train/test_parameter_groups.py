"""AdamW's groups: whose rate, what decays, how gradients are finished."""

import pytest
import torch
from fits import make_fit

from fewtune.methods import parse
from fewtune.methods.base import prepare
from fewtune.train.optimiser import Rates, finish_gradients, make_optimiser, set_rates
from fewtune.train.options import TrainOptions


def groups_of(fit, method="full", **options):
    """name -> (peak rate, weight decay)."""
    prepared = prepare(fit.model, parse(method, options))
    parts = {part.name: 1e-3 * (1 + k) for k, part in enumerate(parse(method, options).parts())}
    optimiser = make_optimiser(prepared, Rates(0.5, parts), TrainOptions(weight_decay=0.1), "cpu")
    names = {id(p): name for name, p in prepared.model.named_parameters()}
    found = {
        names[id(p)]: (group["peak"], group["weight_decay"])
        for group in optimiser.param_groups
        for p in group["params"]
    }
    return prepared, optimiser, found


@pytest.fixture
def fresh(bert, tmp_path):
    """An untrained fit's model, to prepare anew."""
    return make_fit(bert, tmp_path, "probe", cache_trunk=False)


@pytest.mark.parametrize("method", ["full", "lora+adapter", "bitfit", "prefix"])
def test_everything_that_trains_is_in_exactly_one_group(fresh, method):
    prepared, optimiser, found = groups_of(fresh, method)
    trained = {n for n, p in prepared.model.named_parameters() if p.requires_grad}
    assert found.keys() == trained
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(trained)


def test_decay_is_on_matrices_only(fresh):
    prepared, _, found = groups_of(fresh, "full")
    shapes = {name: p.ndim for name, p in prepared.model.named_parameters()}
    assert {decay for name, (_, decay) in found.items() if shapes[name] > 1} == {0.1}
    assert {decay for name, (_, decay) in found.items() if shapes[name] == 1} == {0.0}


def test_vectors_that_start_at_one_do_not_decay(fresh):
    """PEFT keeps IA3's as matrices of one row or column; so are A and B of rank 1, which start
    at 0."""
    _, _, found = groups_of(fresh, "ia3")
    decay = {name: one for name, (_, one) in found.items()}
    assert {one for name, one in decay.items() if ".ia3_l." in name} == {0.0}
    assert decay["head.weight"] == 0.1


def test_matrices_of_one_row_decay(fresh):
    _, _, found = groups_of(fresh, "lora", lora_r=1)
    assert {one for name, (_, one) in found.items() if ".lora_" in name} == {0.1}


def test_the_head_has_its_own_rate_and_each_part_has_its_own(fresh):
    _, _, found = groups_of(fresh, "lora+adapter")
    rates = {name: peak for name, (peak, _) in found.items()}
    assert rates["head.weight"] == rates["head.bias"] == 0.5
    assert {r for name, r in rates.items() if ".lora_" in name} == {1e-3}
    assert {r for name, r in rates.items() if ".bottleneck." in name} == {2e-3}


def test_loraplus_gives_b_a_higher_rate(fresh):
    _, _, found = groups_of(fresh, "lora", loraplus_lr_ratio=8)
    assert {peak for name, (peak, _) in found.items() if ".lora_A." in name} == {1e-3}
    assert {peak for name, (peak, _) in found.items() if ".lora_B." in name} == {8e-3}


def test_every_group_follows_the_schedule_from_its_own_peak(fresh):
    _, optimiser, _ = groups_of(fresh, "lora+adapter")
    set_rates(optimiser, 0.25)
    assert all(group["lr"] == 0.25 * group["peak"] for group in optimiser.param_groups)


def gradients(*values):
    return [torch.tensor(one) for one in values]


def test_summed_gradients_become_a_mean_and_the_norm_is_that_of_the_mean():
    found = gradients([3.0, 0.0], [4.0])
    assert finish_gradients(found, 5.0, 0) == pytest.approx(1.0)
    torch.testing.assert_close(found, gradients([0.6, 0.0], [0.8]))


def test_clipping_is_that_of_pytorch_on_the_divided_gradients():
    ours, theirs = gradients([30.0, -7.0], [40.0]), []
    for one in gradients([30.0, -7.0], [40.0]):
        theirs.append(torch.nn.Parameter(torch.zeros_like(one)))
        theirs[-1].grad = one / 2.0
    norm = finish_gradients(ours, 2.0, 1.0)
    assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, 1.0).item())
    torch.testing.assert_close(ours, [parameter.grad for parameter in theirs])


def test_small_gradients_are_not_clipped():
    found = gradients([0.3])
    assert finish_gradients(found, 1.0, 1.0) == pytest.approx(0.3)
    torch.testing.assert_close(found, gradients([0.3]))
