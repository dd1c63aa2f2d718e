"""Freezing: the head, and the last blocks if wanted, train on a frozen trunk.

Yosinski et al. 2014, arXiv:1411.1792, on which layers transfer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from fewtune.base.options import option
from fewtune.methods.base import turn_on
from fewtune.methods.space import Space, Span
from fewtune.methods.whole import WholeModel

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable

USUAL = 2  # blocks


class Freeze(WholeModel):
    """Train the head and the last `layers` blocks; with 0 a new head trains alone."""

    name: ClassVar[str] = "freeze"
    scene: ClassVar[str] = "little data, little hardware: the frozen part is computed once"
    answer_rate: ClassVar[float] = 3e-5
    narrower: ClassVar[float] = 0.75

    layers: Annotated[int | None, Span(0, 6)] = option(
        None, "how many of the last blocks train; two, or half of fewer than four", ge=0
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

    def space(self, rows: int, width: int | None, blocks: int) -> Space:
        """No more blocks than there are; one at least where no new head trains."""
        found = super().space(rows, width, blocks)
        low = 0 if width is None else 1
        return found | {"layers": replace(found["layers"], low=low, high=min(6, blocks))}

    def usual(self, name: str, width: int | None) -> float | None:
        """Of `layers` what None stands for."""
        if name == "layers" and self.layers is None:
            return USUAL
        return super().usual(name, width)

    def count(self, model: Tunable) -> int:
        """How many blocks train: with two a small encoder gained 2.4 points over its probe, and
        the head alone is what `probe` fits in seconds (docs/log.md).
        """
        from fewtune.models.parts import blocks_of

        if self.layers is not None:
            return self.layers
        return min(USUAL, max(1, len(blocks_of(model.backbone)) // 2))
