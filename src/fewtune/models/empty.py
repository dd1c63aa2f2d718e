"""A model of its sizes alone: every tensor on torch's meta device, which has shapes and no numbers.

A 7B model is there in a tenth of a second and takes no memory; no weight is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fewtune.models.load import import_transformers, loading
from fewtune.models.source import Source

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


def config_for(source: Source) -> Any:
    """transformers' configuration of a pretrained folder.

    Raises:
        FewtuneError: config.json does not describe a model.
    """
    transformers = import_transformers()
    with loading(source.folder, "configuration"):
        return transformers.AutoConfig.from_pretrained(source.folder)


def shallow(config: Any, blocks: int, vocabulary: int) -> Any:
    """The configuration with fewer blocks and tokens: for timing steps."""
    from copy import deepcopy

    cut = deepcopy(config)
    cut.num_hidden_layers = blocks
    if getattr(cut, "layer_types", None):
        cut.layer_types = cut.layer_types[:blocks]
    if getattr(cut, "max_window_layers", None):
        cut.max_window_layers = min(cut.max_window_layers, blocks)
    cut.vocab_size = min(cut.vocab_size, vocabulary)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if isinstance(number := getattr(cut, name, None), int):
            setattr(cut, name, min(number, cut.vocab_size - 1))
    return cut


def build(config: Any, source: Source, classes: int | None, attention: str = "eager") -> Tunable:
    """A model of random numbers, or on `torch.device("meta")` of none at all.

    Args:
        config: transformers' configuration.
        source: of its pooling.
        classes: of a new head; None for a language model with its own.
    """
    transformers = import_transformers()
    from fewtune.models.causal import CausalModel
    from fewtune.models.pooled import PooledModel

    config.use_cache = False
    if classes is None:
        whole = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
        return CausalModel(whole)
    backbone = transformers.AutoModel.from_config(config, attn_implementation=attention)
    return PooledModel(backbone, source.pooling, classes)


def empty(source: Source, classes: int | None) -> Tunable:
    """The model of a folder on the meta device; its weights are not looked for."""
    import torch

    config = config_for(source)
    with torch.device("meta"):
        return build(config, source, classes).eval()
