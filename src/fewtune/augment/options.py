"""What the user says about augmentation."""

from __future__ import annotations

from typing import Any

from fewtune.base.options import Options, option


class AugmentOptions(Options):
    """Which recipes make new training rows, and from what."""

    augment: str | list[Any] | None = option(
        None,
        "recipes with commas between, or a YAML list; `auto`: `train` tries all on folds and keeps "
        "what helps, `augment` runs all",
    )
    augment_copies: int = option(1, "new rows of each recipe for a training row", ge=1, le=20)
    lexicon: str | None = option(
        None, "file of synonyms: WordNet's dict folder, cilin, two columns"
    )
    augment_model: str | None = option(
        None, "model that recipes ask: an encoder for other words, a causal one for texts"
    )
    augment_endpoint: str | None = option(
        None, "OpenAI-compatible server that writes rows: URL, or URL#MODEL"
    )
    augment_calls: int = option(500, "most texts that a model writes", ge=1)
    translators: str | None = option(
        None, "two translation models for back-translation, there and back: FOLDER,FOLDER"
    )
    protect: str | None = option(None, "file of words that are never changed, one a line")
