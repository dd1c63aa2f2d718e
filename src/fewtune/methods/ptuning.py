"""P-tuning: virtual tokens made by a small prompt encoder. Liu et al. 2021, arXiv:2103.10385.

p_i = MLP(e_i) or MLP(BiLSTM(e)_i), eq. (4); e (virtual tokens, width).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fewtune.base.options import option
from fewtune.methods.soft_prompt import SoftPrompt

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


class PTuning(SoftPrompt):
    """Virtual tokens before the text, made by a prompt encoder."""

    name: ClassVar[str] = "ptuning"
    scene: ClassVar[str] = "one model, tasks switched per request; steadier than `prompt`"
    answer_rate: ClassVar[float] = 3e-4
    rate: ClassVar[float] = 1e-3

    encoder_reparameterization_type: Literal["MLP", "LSTM"] = option("MLP", "the prompt encoder")
    encoder_hidden_size: int | None = option(
        None, "width of that network; default the model's", ge=1
    )

    def config(self, model: Tunable) -> Any:
        """PromptEncoderConfig."""
        from peft import PromptEncoderConfig

        shape = self.shape(model)
        return PromptEncoderConfig(
            **shape,
            encoder_reparameterization_type=self.encoder_reparameterization_type,
            encoder_hidden_size=self.encoder_hidden_size or shape["token_dim"],
        )
