"""BitFit: only bias terms train. Ben Zaken et al. 2022, arXiv:2106.10199, section 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fewtune.methods.base import turn_on
from fewtune.methods.whole import WholeModel

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


class BitFit(WholeModel):
    """Train the bias terms of the backbone: about 0.1 % of its weights."""

    name: ClassVar[str] = "bitfit"
    scene: ClassVar[str] = "encoders with biases, very little data"
    answer_rate: ClassVar[float] = 5e-4
    rate: ClassVar[float] = 3e-3
    head_rate: ClassVar[float] = 1e-2
    least_steps: ClassVar[int] = 30

    def refuses(self, model: Tunable) -> str | None:
        """Llama and its kin have no biases."""
        if any(n.endswith("bias") for n, _ in model.backbone.named_parameters()):
            return None
        kind = type(model.backbone).__name__
        return f"{kind} has no bias terms, so there is nothing to train; try `lora` or `ia3`."

    def attach(self, model: Tunable) -> Tunable:
        """Turn on every bias of the backbone."""
        turn_on(model.backbone, lambda name: name.endswith("bias"))
        return model
