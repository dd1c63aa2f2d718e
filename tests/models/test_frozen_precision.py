"""Frozen matrices in bfloat16, for a while or for good: the same arithmetic."""

import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))

from tiny_models import build_speaker

from fewtune.methods import parse
from fewtune.methods.base import prepare
from fewtune.models.device import Machine, frozen_in_bf16, round_frozen
from fewtune.models.load import find, load_causal
from fewtune.models.options import ModelOptions

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
