"""Sizes and numbers that other programs give for the same method."""

from copy import deepcopy

import pytest
import torch
from transformers import BertConfig, BertModel

from fewtune.methods import parse
from fewtune.methods.base import prepare
from fewtune.methods.lora import LoRA
from fewtune.methods.peft_parts import tuner_layers
from fewtune.models.pooled import PooledModel, Pooling

#: all-MiniLM-L6-v2's.
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}


def bert(**sizes) -> PooledModel:
    config = BertConfig(intermediate_size=4 * sizes["hidden_size"], vocab_size=100, **sizes)
    return PooledModel(BertModel(config), Pooling(), classes=3).eval()


def trained(model: PooledModel) -> int:
    """Trained numbers, those of the head left out."""
    return sum(p.numel() for p in model.backbone.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        # AdapterHub's counts for the same sizes
        ("adapter", {"adapter_type": "houlsby", "reduction_factor": 16}, 226_080),
        ("adapter", {"adapter_type": "pfeiffer", "reduction_factor": 16}, 113_040),
        ("adapter", {"adapter_type": "parallel", "reduction_factor": 16}, 113_040),
        # a block: four layers of 384 -> 384, two of 384 <-> 1536, each r (in + out)
        ("lora", {"lora_r": 8}, 6 * 8 * (4 * 768 + 2 * 1920)),
        # a block: keys and values of 384, feed-forward of 1536
        ("ia3", {}, 6 * (2 * 384 + 1536)),
        ("prompt", {"num_virtual_tokens": 20}, 20 * 384),
        ("prefix", {"num_virtual_tokens": 20}, 20 * 6 * 2 * 384),
        ("probe", {}, 0),
        # a block: four layers of 384 -> 384, two of 384 <-> 1536 and two norms, all with biases
        ("freeze", {}, 2 * (4 * 385 * 384 + 385 * 1536 + 1537 * 384 + 4 * 384)),
        ("freeze", {"layers": 0}, 0),
    ],
)
def test_minilm_trains_as_many_numbers_as_the_papers_say(name, options, count):
    model = prepare(bert(**MINILM), parse(name, options)).model
    assert trained(model) == count


def test_freezing_keeps_something_frozen_where_blocks_are_few():
    shallow = bert(hidden_size=24, num_hidden_layers=2, num_attention_heads=2)
    model = prepare(shallow, parse("freeze", {})).model
    first, last = model.backbone.encoder.layer
    assert not any(p.requires_grad for p in first.parameters())
    assert all(p.requires_grad for p in last.parameters())


def test_adapters_start_as_the_identity():
    model, ids = bert(hidden_size=32, num_hidden_layers=2, num_attention_heads=4), torch.arange(8)
    batch = {"input_ids": ids[None], "attention_mask": torch.ones(1, 8)}
    base = model.features(**batch)
    for kind in ("houlsby", "pfeiffer", "parallel"):
        adapted = prepare(deepcopy(model), parse("adapter", {"adapter_type": kind})).model
        assert torch.equal(adapted.features(**batch), base), kind


@pytest.mark.parametrize("use_rslora", [False, True])
def test_pissa_is_exported_as_a_plain_lora_of_twice_the_rank(use_rslora):
    base = bert(hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
    method = LoRA(lora_r=4, init_lora_weights="pissa", use_rslora=use_rslora)
    model = prepare(deepcopy(base), method).model
    with torch.no_grad():  # as if trained
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    config, tensors = method.exported(model)
    assert config.r == 8
    scale = config.lora_alpha / (config.r**0.5 if use_rslora else config.r)
    for name, layer in tuner_layers(model).items():
        key = name.removeprefix("backbone.")
        a, b = tensors[f"{key}.lora_A.weight"], tensors[f"{key}.lora_B.weight"]
        plain = base.get_submodule(name).weight + scale * b @ a
        acts = layer.base_layer.weight + layer.get_delta_weight("default")
        torch.testing.assert_close(plain, acts, rtol=0, atol=1e-5)
