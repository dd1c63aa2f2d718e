"""Freezing: the head, and the last blocks if wanted, train on a frozen trunk.

Yosinski et al. 2014, arXiv:1411.1792, on which layers transfer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fewtune.base.options import option
from fewtune.methods.base import turn_on
from fewtune.methods.whole import WholeModel

if TYPE_CHECKING:
    from fewtune.models.pooled import PooledModel


class Freeze(WholeModel):
    """Train the head and the last `layers` blocks; 0 trains the head alone."""

    name: ClassVar[str] = "freeze"
    scene: ClassVar[str] = "little data, little hardware: the frozen part is computed once"

    layers: int = option(0, "how many of the last blocks train", ge=0)

    def refuses(self, model: PooledModel) -> str | None:
        """More blocks than there are."""
        from fewtune.models.parts import blocks_of

        total = len(blocks_of(model.backbone))
        if self.layers > total:
            return (
                f"the model has {total} blocks; got layers={self.layers}, so give {total} or fewer."
            )
        return None

    def attach(self, model: PooledModel) -> PooledModel:
        """Turn on the last blocks and the norms behind them."""
        from fewtune.models.parts import in_last_blocks

        turn_on(model.backbone, in_last_blocks(model.backbone, self.layers).__contains__)
        return model
