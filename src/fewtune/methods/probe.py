"""The probe: logistic regression on the frozen encoder's pooled features, as the head.

Alain and Bengio 2016, arXiv:1610.01644; the start of LP-FT, Kumar et al. 2022, arXiv:2202.10054.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fewtune.methods.whole import WholeModel

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


class Probe(WholeModel):
    """Fit the head on frozen features; nothing else changes and no step is taken."""

    name: ClassVar[str] = "probe"
    scene: ClassVar[str] = "seconds on a laptop; the one to beat where classes are topics"
    needs_steps: ClassVar[bool] = False

    def attach(self, model: Tunable) -> Tunable:
        """Nothing: the head's start is the fit."""
        return model
