"""The module around PEFT's virtual tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class SoftPrompted(nn.Module):
    """A backbone behind PEFT's virtual tokens; `active` False is the plain backbone.

    PEFT's own `disable_adapter` raises UnboundLocalError on encoders (peft 0.21), so the switch is
    here. Its positions are right for right-padded batches only; Tunable hands it no others.
    """

    def __init__(self, peft_model: nn.Module, **forward_options: bool) -> None:
        super().__init__()
        self.peft_model = peft_model
        self.active = True
        self.forward_options = forward_options

    @property
    def config(self) -> Any:
        """The pretrained model's configuration."""
        return self.base.config

    @property
    def base(self) -> nn.Module:
        """The backbone itself, with whatever else stands in it."""
        return self.peft_model.get_base_model()  # type: ignore[operator]

    def opening(self, rows: int) -> tuple[Tensor | None, Any]:
        """What stands before every row: embeddings, or a filled cache.

        Returns:
            (rows, virtual tokens, width) or None, and transformers' cache or None.
        """
        if not self.active:
            return None, None
        prompt = self.peft_model.get_prompt(batch_size=rows)  # type: ignore[operator]
        return (None, prompt) if self.forward_options.get("use_cache") else (prompt, None)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        """transformers' output; states of prompt methods hold the virtual tokens first."""
        if not self.active:
            return self.base(input_ids=input_ids, attention_mask=attention_mask)
        return self.peft_model(
            input_ids=input_ids, attention_mask=attention_mask, **self.forward_options
        )


@torch.no_grad()
def nearest_words(backbone: SoftPrompted, tokenizer: Any, count: int = 3) -> list[list[dict]]:
    """For each virtual token the vocabulary's nearest words by cosine, nearest first."""
    prompt = backbone.peft_model.get_prompt(batch_size=1)[0].float()  # type: ignore[operator]
    words: Tensor = backbone.peft_model.word_embeddings.weight.float()  # type: ignore[assignment,union-attr]
    cosine = nn.functional.normalize(prompt, dim=-1) @ nn.functional.normalize(words, dim=-1).T
    values, ids = cosine.topk(count, dim=1)  # (virtual tokens, count)
    return [
        [
            {"word": _word(tokenizer, i), "cosine": round(v, 3)}
            for i, v in zip(row_ids, row_values, strict=True)
        ]
        for row_ids, row_values in zip(ids.tolist(), values.tolist(), strict=True)
    ]


def _word(tokenizer: Any, number: int) -> str:
    """A token as people read it; by its own name where it is a blank, or half a letter."""
    said = tokenizer.decode([number]).strip()
    return said if said and "\ufffd" not in said else str(tokenizer.convert_ids_to_tokens(number))
