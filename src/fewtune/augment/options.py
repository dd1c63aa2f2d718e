"""What the user says about augmentation."""

from __future__ import annotations

from typing import Any

from fewtune.base.options import Options, option


class AugmentOptions(Options):
    """Which recipes make new training rows, and from what."""

    augment: str | list[Any] | None = option(
        None, "recipes with commas between, `auto` to try all on folds, or a YAML list"
    )
    augment_copies: int = option(1, "new rows of each recipe for a training row", ge=1, le=20)
    lexicon: str | None = option(
        None, "file of synonyms: WordNet's dict folder, cilin, two columns"
    )
    protect: str | None = option(None, "file of words that are never changed, one a line")
