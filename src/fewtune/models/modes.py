"""How a pretrained model runs: dropout, and what is kept for the gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewtune.base.errors import UsageError

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


def set_dropout(model: Tunable, share: float) -> None:
    """Every dropout of the pretrained model, those inside attention too."""
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        for name in ("attention_dropout", "dropout_prob"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, share)


def recompute_activations(model: Tunable) -> None:
    """Keep only what enters each block and compute the rest again for the gradients.

    Raises:
        UsageError: the model cannot, in a sentence.
    """
    if getattr(model.backbone, "forward_options", {}).get("use_cache"):
        raise UsageError(
            "gradient_checkpointing: a prefix is a filled cache, which is lost where activations "
            "are computed again; leave it out, or try `ptuning`."
        )
    for module in model.modules():
        if getattr(module, "supports_gradient_checkpointing", False):
            module.gradient_checkpointing_enable()  # type: ignore[operator]
            # it has embeddings ask for gradients, which then go back through frozen blocks too;
            # only reentrant checkpoints need that
            module.disable_input_require_grads()  # type: ignore[operator]
            return
    kind = type(model.backbone).__name__
    raise UsageError(
        f"gradient_checkpointing: {kind} cannot compute activations again; leave it out, or lower "
        "per_device_train_batch_size."
    )
