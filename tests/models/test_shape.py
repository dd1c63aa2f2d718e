"""What a configuration says of a model is what transformers builds from it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from fewtune.base.errors import UsageError
from fewtune.models.parts import FAMILIES
from fewtune.models.shape import SHAPES, Shape, shape_of

SHARED = Path(__file__).parents[3] / "shared" / "models"
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 90,
    "max_position_embeddings": 40,
}
GROUPED = SMALL | {"num_key_value_heads": 2}
IMAGE = {**SMALL, "image_size": 32, "patch_size": 8}
CONFIGS: dict[str, list[dict[str, Any]]] = {
    "bert": [SMALL, SMALL | {"type_vocab_size": 5}],
    "roberta": [SMALL, SMALL | {"type_vocab_size": 1}],
    "xlm-roberta": [SMALL],
    "electra": [SMALL, SMALL | {"embedding_size": 16}, SMALL | {"embedding_size": 32}],
    "mpnet": [SMALL],
    "distilbert": [
        {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "vocab_size": 90},
    ],
    "gpt2": [
        {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_inner": 48, "vocab_size": 90},
        {"n_embd": 32, "n_layer": 1, "n_head": 4, "vocab_size": 90, "n_positions": 30},
    ],
    "llama": [GROUPED, GROUPED | {"attention_bias": True, "mlp_bias": True}, GROUPED],
    "mistral": [GROUPED],
    "qwen2": [GROUPED, GROUPED | {"tie_word_embeddings": True}],
    "qwen3": [GROUPED, GROUPED | {"head_dim": 16}, GROUPED | {"attention_bias": True}],
    "vit": [IMAGE, IMAGE | {"qkv_bias": False, "image_size": [32, 64]}],
    "deit": [IMAGE],
}
CASES = [(family, given) for family, several in CONFIGS.items() for given in several]


def built(family: str, given: dict[str, Any], causal: bool = False) -> Any:
    """The model without any weights, and its configuration as it is written to disk."""
    config = transformers.AutoConfig.for_model(family, **given)
    kind = transformers.AutoModelForCausalLM if causal else transformers.AutoModel
    with torch.device("meta"):
        return kind.from_config(config), config.to_dict()


def counted(model: Any) -> int:
    return sum(p.numel() for p in model.parameters())


def test_every_family_that_fewtune_knows_has_a_shape_and_is_tried_here() -> None:
    assert set(FAMILIES) <= set(SHAPES) == set(CONFIGS)


@pytest.mark.parametrize(("family", "given"), CASES)
def test_parameters_are_counted_to_the_last_one(family: str, given: dict[str, Any]) -> None:
    model, config = built(family, given)
    assert shape_of(config).backbone_parameters == counted(model)


@pytest.mark.parametrize("family", [name for name, f in FAMILIES.items() if f.causal])
@pytest.mark.parametrize("tied", [True, False])
def test_a_language_models_head_counts_where_it_is_not_the_embeddings(
    family: str, tied: bool
) -> None:
    given = CONFIGS[family][0] | {"tie_word_embeddings": tied}
    model, config = built(family, given, causal=True)
    shape = shape_of(config)
    assert shape.backbone_parameters + shape.head_parameters == counted(model)


@pytest.mark.parametrize("family", CONFIGS)
def test_one_block_more_is_what_a_block_is_said_to_hold(family: str) -> None:
    layers = {"gpt2": "n_layer", "distilbert": "n_layers"}.get(family, "num_hidden_layers")
    given = CONFIGS[family][0]
    small, config = built(family, given | {layers: 2})
    large, _ = built(family, given | {layers: 3})
    assert counted(large) - counted(small) == shape_of(config).block_parameters


def test_a_configuration_that_leaves_numbers_out_has_the_familys_own() -> None:
    # what is written to a config.json is only what was given
    model, _ = built("bert", {})
    assert shape_of({"model_type": "bert", "vocab_size": 30522}).backbone_parameters == counted(
        model
    )


def test_an_unknown_family_is_refused_in_a_sentence_that_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'mamba'.*bert.*qwen2.*vit") as told:
        shape_of({"model_type": "mamba"})
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "broken",
    [
        {"model_type": "llama"},
        {"model_type": "bert", "vocab_size": "many"},
        {"model_type": "bert", "vocab_size": 9, "num_attention_heads": 0},
        {"model_type": "vit", "image_size": [1, 2, 3]},
    ],
)
def test_numbers_that_make_no_model_are_refused_in_a_sentence(broken: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"copy its config\.json again"):
        shape_of(broken)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/models is not there")
def test_the_shared_models_are_known_or_refused_by_name() -> None:
    found: dict[str, Shape] = {}
    refused = []
    for path in sorted(SHARED.glob("*/config.json")):
        config = json.loads(path.read_text("utf-8"))
        if config["model_type"] in SHAPES:
            found[path.parent.name] = shape_of(config)
            continue
        refused.append(path.parent.name)
        with pytest.raises(UsageError, match=config["model_type"]):
            shape_of(config)
    assert refused == ["mobilenet-v2-imagenet"]
    assert len(found) >= 2
    assert found["stories260K"].kv_heads == 4
    assert found["stories260K"].vocabulary == 512
    for name, shape in found.items():
        from safetensors import safe_open

        with safe_open(SHARED / name / "model.safetensors", "numpy") as file:
            sizes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118
        held = sum(int(torch.Size(size).numel()) for size in sizes)
        assert held == shape.backbone_parameters + shape.head_parameters
