"""IA3: keys, values and the feed-forward part are scaled by learned vectors.

softmax(Q (l_k * K)^T) (l_v * V) and (l_ff * f(W_1 x)) W_2: Liu et al. 2022, arXiv:2205.05638,
section 3.3. The vectors start at 1, so the model begins unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fewtune.methods.peft_parts import InjectedMethod

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


class IA3(InjectedMethod):
    """One learned vector each for keys, values and the feed-forward part of every block."""

    name: ClassVar[str] = "ia3"
    scene: ClassVar[str] = "the fewest trained numbers that still merge"
    answer_rate: ClassVar[float] = 3e-3
    rate: ClassVar[float] = 1e-2
    head_rate: ClassVar[float] = 1e-2
    decays: ClassVar[bool] = False

    def config(self, model: Tunable) -> Any:
        """IA3Config over keys, values and feed-forward outputs."""
        from peft import IA3Config
        from transformers.pytorch_utils import Conv1D

        from fewtune.models.parts import family_of, layers_named

        family = family_of(model.backbone)
        feed_forward = layers_named(model.backbone, (family.feed_forward_out,))
        return IA3Config(
            task_type="FEATURE_EXTRACTION",
            target_modules=layers_named(model.backbone, family.scaled) + feed_forward,
            feedforward_modules=feed_forward,
            fan_in_fan_out=any(isinstance(m, Conv1D) for m in model.backbone.modules()),
        )

    def tensor_marks(self) -> list[str]:
        """The vectors."""
        return [".ia3_l."]

    def config_as_built(self, model: Tunable) -> Any:
        """PEFT's layers hide the plain ones; feed-forward layers are told apart by a flag."""
        from fewtune.methods.peft_parts import inside, tuner_layers

        config = super().config_as_built(model)
        start = len("backbone.")
        config.feedforward_modules = sorted(
            inside(model) + name[start:]
            for name, layer in tuner_layers(model).items()
            if layer.is_feedforward
        )
        return config
