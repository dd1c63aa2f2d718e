"""A fit's decided numbers."""

from __future__ import annotations

from dataclasses import dataclass

from fewtune.train.options import TrainOptions


@dataclass(frozen=True, slots=True)
class Usual:
    """How long a fit to so many rows is where nobody says.

    Attributes:
        rows: of the fit.
        epochs: passes over them, as `steps` optimiser steps at the fit's batch.
    """

    rows: int
    epochs: float
    steps: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """Decided numbers of one fit.

    Attributes:
        options: TrainOptions without a None where a number is needed.
        steps: optimiser steps.
        head: the head's peak rate; `parts`: each part's, by method name.
        reasons: why, one sentence a choice that was ours.
        usual: the length of the same fit by default, whatever was asked for.
    """

    options: TrainOptions
    steps: int
    head: float
    parts: dict[str, float]
    reasons: tuple[str, ...]
    usual: Usual
