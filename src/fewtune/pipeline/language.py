"""Whether the base model reads the language of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.choose.rules import STRANGE
from fewtune.data.near import is_chinese
from fewtune.data.row import Row
from fewtune.models.named import READ_CHINESE


def unknown_share(ids: Sequence[np.ndarray], tokenizer: Any) -> float:
    """Share of tokens that the tokenizer does not know; a padding token may stand for them."""
    missing = tokenizer.unk_token_id
    if missing is None or missing == tokenizer.eos_token_id:
        return 0.0
    every = np.concatenate(ids)
    return float((every == missing).mean())


def foreign(
    model: str, rows: Sequence[Row], ids: Sequence[np.ndarray], tokenizer: Any
) -> Iterator[Event]:
    """A warning where the model does not know many of the rows' tokens."""
    unknown = unknown_share(ids, tokenizer)
    if unknown <= STRANGE:
        return
    chinese = 2 * sum(is_chinese(row["text"]) for row in rows) > len(rows)
    advice = "one that reads their language (--model)"
    if chinese:
        advice = f"one that reads Chinese (--model {READ_CHINESE[0]})"
    yield tell(
        "warned",
        message=f"{model} does not know {unknown:.0%} of the tokens of the training rows, so what "
        f"it and a probe on it reach says little; choose {advice}.",
    )
