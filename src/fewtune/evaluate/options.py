"""What the user says about scoring."""

from __future__ import annotations

from fewtune.base.options import Options, option


class EvaluateOptions(Options):
    """How predictions are scored."""

    positive: str | None = option(None, "of two classes, the one F1 is also told for")
    bootstrap: int = option(1000, "resamples of the test rows behind every interval", ge=100)
    metric: str | None = option(
        None, "metrics of your own for generated texts, package.module.function, commas between"
    )
