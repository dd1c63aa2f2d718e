"""Bottleneck adapters.

h -> h + W_up f(W_down h) behind attention and feed-forward part: Houlsby et al. 2019,
arXiv:1902.00751, section 2.1; behind the feed-forward part only: Pfeiffer et al. 2021,
arXiv:2005.00247; beside it, h -> FFN(x) + s W_up f(W_down x): He et al. 2022, arXiv:2110.04366,
table 1. W_down (bottleneck, width), W_up (width, bottleneck) = 0 at the start, so the model begins
unchanged.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from fewtune.base.options import option
from fewtune.methods.base import Method, replace, turn_on
from fewtune.methods.parts_file import load_parts, parts_code, save_parts
from fewtune.methods.space import Span

if TYPE_CHECKING:
    from fewtune.methods.artefact import About
    from fewtune.models.tunable import Tunable


class Adapter(Method):
    """Small bottleneck layers between the frozen ones."""

    name: ClassVar[str] = "adapter"
    scene: ClassVar[str] = "one base, many exchangeable parts"
    answer_rate: ClassVar[float] = 3e-4
    adds_parts: ClassVar[bool] = True
    rate: ClassVar[float] = 1e-3
    head_rate: ClassVar[float] = 1e-2
    least_steps: ClassVar[int] = 30

    adapter_type: Literal["houlsby", "pfeiffer", "parallel"] = option(
        "pfeiffer", "where the adapters stand"
    )
    reduction_factor: Annotated[int, Span(4, 64, log=True)] = option(
        16, "width of the model over width of the bottleneck", ge=1
    )
    non_linearity: Literal["relu", "gelu", "silu", "tanh"] = option(
        "relu", "the function in the bottleneck"
    )
    adapter_scale: float = option(1.0, "what the adapter's output is multiplied by", gt=0)

    def attach(self, model: Tunable) -> Tunable:
        """Wrap the chosen layers of every block."""
        from fewtune.methods.bottleneck import ParallelAdapter, SerialAdapter, Tap
        from fewtune.models.parts import blocks_of, config_of, family_of

        backbone = model.backbone
        family, width = family_of(backbone), config_of(backbone).hidden_size
        made: dict[str, Any] = {
            "width": width,
            "bottleneck": max(1, width // self.reduction_factor),
            "function": self.non_linearity,
            "scale": self.adapter_scale,
        }
        for block in blocks_of(backbone):
            out = block.get_submodule(family.feed_forward_out)
            if self.adapter_type == "parallel":
                tap = Tap(block.get_submodule(family.feed_forward_in))
                replace(block, family.feed_forward_in, tap)
                replace(block, family.feed_forward_out, ParallelAdapter(out, tap, **made))
                continue
            replace(block, family.feed_forward_out, SerialAdapter(out, **made))
            if self.adapter_type == "houlsby":
                attention = block.get_submodule(family.attention_out)
                replace(block, family.attention_out, SerialAdapter(attention, **made))
        turn_on(backbone, lambda name: ".bottleneck." in name)
        return model

    def switch(self, model: Tunable, on: bool) -> None:
        """Let every adapter pass its input through, or work again."""
        from fewtune.methods.bottleneck import SerialAdapter

        for module in model.modules():
            if isinstance(module, SerialAdapter):
                module.active = on

    def scale(self, model: Tunable, by: float) -> bool:
        """The adapters' output times `by`."""
        from fewtune.methods.bottleneck import SerialAdapter

        for module in model.modules():
            if isinstance(module, SerialAdapter):
                module.scale = self.adapter_scale * by
        return True

    def save(self, model: Tunable, folder: Path, about: About) -> None:
        """No library holds these: fewtune's own weights file."""
        save_parts(model, folder, about)

    def load(self, folder: Path, about: About) -> Tunable:
        """Base, attach, load."""
        return load_parts(self, folder, about)

    def code(self, about: About) -> str:
        """Needs fewtune itself."""
        return parts_code(about)
