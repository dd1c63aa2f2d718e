"""Prefix tuning: learned keys and values before every layer's own.

head = Attn(x W_q, [P_k; C W_k], [P_v; C W_v]), eq. (5) of He et al. 2022 for Li and Liang 2021,
arXiv:2101.00190. P_k, P_v (virtual tokens, width) per layer, optionally made by a small network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fewtune.base.options import option
from fewtune.methods.soft_prompt import SoftPrompt

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


class Prefix(SoftPrompt):
    """Learned keys and values in every layer."""

    name: ClassVar[str] = "prefix"
    scene: ClassVar[str] = "one model, tasks switched per request"
    answer_rate: ClassVar[float] = 1e-2
    rate: ClassVar[float] = 3e-2
    in_sequence: ClassVar[bool] = False
    forward_options: ClassVar[str] = ", use_cache=True"

    prefix_projection: bool = option(False, "make the prefix by a two-layer network")
    encoder_hidden_size: int | None = option(
        None, "width of that network; default the model's", ge=1
    )

    def refuses(self, model: Tunable) -> str | None:
        """Families whose forward has no room for past keys and values."""
        from fewtune.models.parts import family_of

        if family_of(model.backbone).takes_prefix:
            return None
        kind = type(model.backbone).__name__
        return (
            f"{kind} takes no past keys and values, so there is nowhere to put a prefix; "
            "try `ptuning` or `lora`."
        )

    def config(self, model: Tunable) -> Any:
        """PrefixTuningConfig."""
        from peft import PrefixTuningConfig

        shape = self.shape(model)
        width: Any = self.encoder_hidden_size or shape["token_dim"]
        return PrefixTuningConfig(
            **shape, prefix_projection=self.prefix_projection, encoder_hidden_size=width
        )
