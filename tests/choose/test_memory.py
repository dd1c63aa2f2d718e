"""The memory of a step is what its tensors take: told beforehand, and counted on real steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.memory.counter import LiveBytes
from benchmarks.memory.made import (
    FAMILIES,
    Case,
    attached,
    cached_tokens,
    fit_of,
    fresh,
    rows_of,
)

from fewtune.choose.kept import KINDS
from fewtune.choose.memory import Memory, Step, predict
from fewtune.models.shape import SHAPES, shape_of
from fewtune.train.loop import run_fit

CLOSE = 0.15  # share of what is counted by which the closed form may be off
SIZES: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4,
    "intermediate_size": 256, "vocab_size": 120, "max_position_embeddings": 80,
}  # fmt: skip
GROUPED = SIZES | {"num_key_value_heads": 2, "tie_word_embeddings": True}
CONFIGS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra", "mpnet"), SIZES),
    "distilbert": {"dim": 64, "n_layers": 4, "n_heads": 4, "hidden_dim": 256, "vocab_size": 120},
    "gpt2": {"n_embd": 64, "n_layer": 4, "n_head": 4, "vocab_size": 120},
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), GROUPED),
    "vit": SIZES | {"image_size": 48, "patch_size": 8},
}
ENDS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
OPTIONS: dict[str, dict[str, Any]] = {
    "freeze": {"layers": 2},
    "prompt": {"prompt_tuning_init": "random", "num_virtual_tokens": 4},
    "prefix": {"num_virtual_tokens": 4},
    "houlsby": {"adapter_type": "houlsby"},
}
SPEAKS = ("gpt2", "llama", "mistral", "qwen2", "qwen3")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def case_of(family: str, method: str, **more: Any) -> Case:
    attention = "eager" if family == "mpnet" else "sdpa"
    case = Case(
        name=family,
        config={"model_type": family, **CONFIGS[family], **ENDS},
        method={"houlsby": "adapter"}.get(method, method),
        rows=8,
        length=37 if family == "vit" else 40,
        options=OPTIONS.get(method, {}),
        answers=10 if family in SPEAKS else 0,
        attention=attention,
    )
    return replace(case, **more)


def counted(case: Case, folder: Path) -> tuple[int, Memory]:
    """Most bytes of live tensors during a real fit, and what was told of it."""
    model, rows = fresh(case), rows_of(case)
    with LiveBytes() as counter:
        prepared = attached(case, model)
        counter.add_model(prepared.model)
        fit = fit_of(case, prepared, rows, folder)
        step = case.step(prepared.model, cached_tokens(case, fit.work))
        counter.peak = counter.now
        for _ in run_fit(fit):
            pass
    return counter.peak, predict(case.shape, step)


def test_every_family_with_a_shape_is_counted() -> None:
    assert set(KINDS) == set(SHAPES)
    assert set(SHAPES) - set(CONFIGS) == {"deit"}  # a ViT with one token more
    assert set(FAMILIES) <= set(CONFIGS)


@pytest.mark.parametrize("method", ["full", "lora", "adapter", "freeze"])
@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_takes_what_was_told(family: str, method: str, tmp_path: Path) -> None:
    real, told = counted(case_of(family, method), tmp_path)
    assert told.peak == pytest.approx(real, rel=CLOSE)


@pytest.mark.parametrize("family", ["bert", "gpt2", "qwen2"])
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize(
    "how",
    [
        {"bf16": True},
        {"bf16": True, "attention": "eager"},
        {"attention": "eager", "dropout": 0.1},
        {"bf16": True, "dropout": 0.1},
        {"checkpointing": True},
        {"bf16": True, "checkpointing": True},
        {"accumulation": 2},
    ],
    ids=lambda how: " ".join(f"{name}={value}" for name, value in how.items()),
)
def test_every_way_to_compute_takes_what_was_told(
    family: str, method: str, how: dict[str, Any], tmp_path: Path
) -> None:
    real, told = counted(case_of(family, method, **how), tmp_path)
    assert told.peak == pytest.approx(real, rel=CLOSE)


@pytest.mark.parametrize("method", ["bitfit", "ia3", "prompt", "prefix", "lora+adapter"])
def test_the_other_methods_take_what_was_told(method: str, tmp_path: Path) -> None:
    real, told = counted(case_of("bert", method), tmp_path)
    assert told.peak == pytest.approx(real, rel=CLOSE)


@pytest.mark.parametrize("method", ["lora+ia3", "lora+adapter"])
def test_hybrids_that_answer_take_what_was_told(method: str, tmp_path: Path) -> None:
    real, told = counted(case_of("qwen2", method, bf16=True), tmp_path)
    assert told.peak == pytest.approx(real, rel=CLOSE)


@pytest.mark.parametrize("family", ["bert", "qwen2"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_without_the_cache_no_gradient_goes_through_frozen_blocks(
    family: str, checkpointing: bool, tmp_path: Path
) -> None:
    case = case_of(family, "freeze", rows=16, caches=False, checkpointing=checkpointing)
    real, told = counted(case, tmp_path)
    assert told.peak == pytest.approx(real, rel=CLOSE)


# ---- the form itself

BERT = shape_of({"model_type": "bert", "vocab_size": 30522})
STEP = Step(rows=16, length=128, trained=BERT.backbone_parameters)
QWEN = shape_of(
    {
        "model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944,
        "vocab_size": 152064,
    }
)  # fmt: skip


def test_gradients_and_activations_are_not_there_together() -> None:
    memory = Memory(weights=10, gradients=7, optimiser=20, activations=5, logits=1, kept=3)
    assert memory.peak == 10 + 20 + 3 + 7
    assert replace(memory, held=2).peak == 10 + 20 + 3 + 8
    assert replace(memory, loading=50).peak == 50
    assert replace(memory, process=9).total == 40 + 9


def test_what_saves_memory_is_told_to_save_it() -> None:
    usual = predict(BERT, STEP)
    lighter = [
        replace(STEP, rows=8),
        replace(STEP, length=64),
        replace(STEP, checkpointing=True),
        replace(STEP, dtype="bfloat16"),
        replace(STEP, trained=300_000, parts=("lora",)),
        replace(STEP, trained=14_000_000, parts=("freeze",), lowest_trained_block=10),
    ]
    for step in lighter:
        assert predict(BERT, step).peak < usual.peak, step
    for step in (
        replace(STEP, dropout=0.1),
        replace(STEP, attention="eager"),
        replace(STEP, copies=1),
        replace(STEP, accumulation=2),
    ):
        assert predict(BERT, step).peak > usual.peak, step


def test_a_frozen_base_is_held_once_in_bfloat16_or_twice_beside_its_copy() -> None:
    step = Step(rows=1, length=64, trained=20_000_000, parts=("lora",), dtype="bfloat16", answers=8)
    both = predict(QWEN, step).weights
    alone = predict(QWEN, replace(step, base_dtype="bfloat16")).weights
    assert both - alone == 4 * QWEN.layers * QWEN.block_matrices


def test_loading_in_float32_is_part_of_the_peak() -> None:
    step = Step(rows=1, length=8, trained=0, parts=("lora",), dtype="bfloat16", answers=1)
    memory = predict(QWEN, replace(step, base_dtype="bfloat16"))
    assert memory.loading == 4 * (QWEN.backbone_parameters + QWEN.head_parameters)
    assert memory.peak >= memory.loading > 28e9


def test_every_part_is_told_by_name() -> None:
    told = predict(BERT, STEP).as_json()
    assert {"weights", "gradients", "optimiser", "activations", "logits", "peak"} <= told.keys()
    assert all(isinstance(value, int) for value in told.values())
