"""Sizes and numbers that other programs give for the same method."""

from copy import deepcopy

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    ElectraConfig,
    ElectraModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
)

from fewtune.base.errors import FewtuneError
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


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("target", ["all", "attention", "mlp"])
@pytest.mark.parametrize("other", ["ia3", "adapter", "ia3+adapter"])
def test_lora_goes_on_every_layer_whatever_else_is_there(other, target, family):
    def count(name):
        model = prepare(tiny(family), parse(name, {"lora_target": target})).model
        return sum(p.numel() for n, p in model.named_parameters() if ".lora_" in n)

    assert count(f"{other}+lora") == count("lora") > 0


def tiny(family) -> PooledModel:
    """Two blocks, width 32."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    made = {
        "bert": lambda: BertModel(BertConfig(vocab_size=60, intermediate_size=64, **sizes)),
        "llama": lambda: LlamaModel(LlamaConfig(vocab_size=60, intermediate_size=64, **sizes)),
        "gpt2": lambda: GPT2Model(GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=4)),
    }
    return PooledModel(made[family](), Pooling(), classes=3).eval()


def test_a_layer_that_peft_passes_over_is_told(monkeypatch):
    from fewtune.methods import peft_parts

    few = peft_parts._aimed
    monkeypatch.setattr(peft_parts, "_aimed", lambda config, layers: few(config, layers[1:]))
    with pytest.raises(FewtuneError, match="PEFT put `lora` on 11 of the 12 layers"):
        prepare(tiny("bert"), parse("lora", {}))


def test_narrow_embeddings_get_narrow_virtual_tokens():
    """ELECTRA's embeddings are narrower than its states."""
    config = ElectraConfig(
        vocab_size=60, embedding_size=16, hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=48,
    )  # fmt: skip
    batch = {"input_ids": torch.arange(8)[None], "attention_mask": torch.ones(1, 8)}
    for name, more in (
        ("prompt", {"prompt_tuning_init": "random"}), ("prompt", {}), ("ptuning", {}),
        ("prefix", {}),
    ):  # fmt: skip
        model = PooledModel(ElectraModel(config), Pooling(), classes=3).eval()
        made = prepare(model, parse(name, {"num_virtual_tokens": 4, **more})).model
        assert made(**batch).shape == (1, 3)
        assert trained(made) > 0


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
