"""Freezing: the head, and the last blocks if wanted, train on a frozen trunk.

Yosinski et al. 2014, arXiv:1411.1792, on which layers transfer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fewtune.base.options import option
from fewtune.methods.base import turn_on
from fewtune.methods.whole import WholeModel

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


class Freeze(WholeModel):
    """Train a new head and the last `layers` blocks; 0 trains the head alone."""

    name: ClassVar[str] = "freeze"
    scene: ClassVar[str] = "little data, little hardware: the frozen part is computed once"
    answer_rate: ClassVar[float] = 3e-5
    narrower: ClassVar[float] = 0.75

    layers: int | None = option(
        None, "how many of the last blocks train; none, or two where there is no new head", ge=0
    )

    def refuses(self, model: Tunable) -> str | None:
        """More blocks than there are."""
        from fewtune.models.parts import blocks_of

        total = len(blocks_of(model.backbone))
        if not model.head_is_new and not self.count(model):
            return (
                "the model brings its own head, so with layers=0 nothing would train; "
                "give --layers 1 or more, or try `lora`."
            )
        if (self.layers or 0) > total:
            return (
                f"the model has {total} blocks; got layers={self.layers}, so give {total} or fewer."
            )
        return None

    def attach(self, model: Tunable) -> Tunable:
        """Turn on the last blocks and the norms behind them."""
        from fewtune.models.parts import in_last_blocks

        turn_on(model.backbone, in_last_blocks(model.backbone, self.count(model)).__contains__)
        return model

    def count(self, model: Tunable) -> int:
        """How many blocks train."""
        return self.layers if self.layers is not None else 0 if model.head_is_new else 2
