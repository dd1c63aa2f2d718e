"""Dice that belong to a text: what is drawn for it does not depend on the texts beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fewtune.base.files import fingerprint


class Dice:
    """A logits processor of `generate`: noise under which the greatest logit is a fair draw.

    argmax(log p + g) with Gumbel's noise g = -log e, e exponential, draws from p. transformers'
    own sampling takes one stream of random numbers for a whole batch, so that a row would change
    with its neighbours; here each row has a stream.
    """

    def __init__(self, texts: Sequence[str], seed: int) -> None:
        """
        Args:
            texts: one a row of the batch.
            seed: with the text it decides what is drawn.
        """
        self._streams = [
            torch.Generator().manual_seed(int(fingerprint(text, str(seed)), 16) >> 1)
            for text in texts
        ]

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (rows, vocabulary) with noise; those of minus infinity stay so."""
        size = scores.shape[1]
        noise = [torch.empty(size).exponential_(generator=one) for one in self._streams]
        tiny = torch.finfo(torch.float32).tiny  # the logarithm of nothing would be chosen for ever
        drawn = torch.stack(noise).clamp(min=tiny).log()
        return scores.float() - drawn.to(scores.device)
