"""Frozen matrices in bfloat16, for a while or for good: the same arithmetic."""

import sys
from copy import deepcopy
from pathlib import Path

import pytest
import safetensors.torch
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))

from tiny_models import build_speaker

from fewtune.methods import parse
from fewtune.methods.base import prepare
from fewtune.models.device import Machine, frozen_in_bf16, round_frozen
from fewtune.models.footprint import resident
from fewtune.models.load import load_causal
from fewtune.models.options import ModelOptions
from fewtune.models.source import find

LOW = Machine("cpu", bf16=True)


@pytest.fixture(params=["gpt2", "llama"])
def lora(request, tmp_path):
    build_speaker(request.param, tmp_path)
    options = ModelOptions(model=str(tmp_path))
    return prepare(load_causal(find(options), options), parse("lora", {"lora_r": 2})).model


def logits(model):
    ids = torch.tensor([[3, 4, 5, 6], [5, 6, 7, 8]])
    with torch.no_grad(), LOW.autocast():
        return model(ids, torch.ones_like(ids))


def test_rounding_for_good_computes_what_rounding_for_a_while_does(lora):
    good = deepcopy(lora)
    round_frozen(good, LOW)
    with frozen_in_bf16(lora, LOW):
        expected = logits(lora)
    assert torch.equal(logits(good), expected)
    assert torch.equal(logits(lora), expected), "autocast rounds alike"


def test_frozen_matrices_are_halved_and_what_trains_stays(lora):
    before = {name: p.dtype for name, p in lora.named_parameters()}
    round_frozen(lora, LOW)
    rounded = {n for n, p in lora.named_parameters() if p.dtype != before[n]}
    assert rounded
    for name, parameter in lora.named_parameters():
        if name in rounded:
            assert parameter.dtype == torch.bfloat16
            assert not parameter.requires_grad
        elif parameter.ndim == 2 and not parameter.requires_grad:
            assert "wte" in name or "wpe" in name or "embed" in name or "head" in name


def test_float32_machines_round_nothing(lora):
    round_frozen(lora, Machine("cpu", bf16=False))
    assert all(p.dtype == torch.float32 for p in lora.parameters())


def test_a_matrix_that_is_rounded_for_good_is_not_held_in_float32_too(tmp_path):
    """Weights are mapped from their file, where the pages read so far would stay."""
    model = torch.nn.Sequential(torch.nn.Linear(4096, 4096, bias=False), torch.nn.Linear(2, 2))
    safetensors.torch.save_file(model.state_dict(), tmp_path / "weights.safetensors")
    mapped = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    model.load_state_dict(mapped, assign=True)
    model.requires_grad_(False)
    expected = model[0].weight.detach().to(torch.bfloat16, copy=True)  # every page is read
    before = resident()
    del mapped
    round_frozen(model, LOW)
    gone = before - resident()
    # more where the rounded copy found room in memory that the process held already
    assert gone > 0.8 * 4096 * 4096 * (4 - 2)
    assert torch.equal(model[0].weight, expected)


def test_a_matrix_that_something_else_shares_keeps_its_numbers():
    shared = torch.nn.Parameter(torch.randn(64, 4096), requires_grad=False)
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(4096, 64), "b": torch.nn.Embedding(64, 4096)})
    model["a"].weight = model["b"].weight = shared
    before = shared.detach().clone()
    alone = torch.nn.Parameter(shared.data, requires_grad=False)  # another name of the same memory
    model["c"] = torch.nn.Module()
    model["c"].weight = alone
    model.requires_grad_(False)
    round_frozen(model, LOW)
    assert torch.equal(alone, before)
