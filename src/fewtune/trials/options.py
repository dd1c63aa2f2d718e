"""What the user says about trials."""

from __future__ import annotations

from typing import Literal

from fewtune.base.options import Options, option


class TrialOptions(Options):
    """What is tried on folds of the training rows."""

    folds: int = option(5, "folds of the training rows in a trial", ge=2, le=20)
    repeats: int = option(1, "how many times the folds are dealt anew and tried", ge=1, le=20)
    thresholds: Literal["common", "class", "half"] = option(
        "common",
        "of several labels a row: one threshold for all, one for each, or 0.5; chosen on folds",
    )
    unlabelled: str | None = option(
        None, "file with rows without labels, for self-training; used only if folds show a gain"
    )
    self_training_rounds: int = option(3, "most rounds of self-training", ge=1, le=10)
    self_training_confidence: float = option(
        0.8, "least calibrated probability of a row that is taken", gt=0, lt=1
    )
