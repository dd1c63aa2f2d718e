"""Full fine-tuning: every weight trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fewtune.methods.base import turn_on
from fewtune.methods.whole import WholeModel

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


class Full(WholeModel):
    """Train every weight."""

    name: ClassVar[str] = "full"
    trains_words: ClassVar[bool] = True
    rate: ClassVar[float] = 2e-4
    passes: ClassVar[float] = 6
    least_steps: ClassVar[int] = 30
    alpha: ClassVar[float] = 0.5
    scene: ClassVar[str] = "small encoders, and wherever data and memory allow it"
    answer_rate: ClassVar[float] = 2e-5
    narrower: ClassVar[float] = 0.75

    def attach(self, model: Tunable) -> Tunable:
        """Turn every gradient on."""
        turn_on(model, lambda _: True)
        return model
