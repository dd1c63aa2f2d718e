"""LoRA: h = W x + (alpha/r) B A x, eq. (3) of Hu et al. 2021, arXiv:2106.09685.

W (out, in) frozen, A (r, in), B (out, r) = 0 at the start. rsLoRA scales by alpha/sqrt(r)
(arXiv:2312.03732), DoRA trains magnitude and direction apart (arXiv:2402.09353), PiSSA starts from
the principal singular vectors of W (arXiv:2404.02948), LoRA+ gives B a higher rate
(arXiv:2402.12354).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from fewtune.base.options import option
from fewtune.methods.peft_parts import InjectedMethod, tuner_layers
from fewtune.methods.space import Span

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


class LoRA(InjectedMethod):
    """Low-rank updates beside the frozen linear layers of every block."""

    name: ClassVar[str] = "lora"
    scene: ClassVar[str] = "larger models, one GPU; merges without a trace"
    rate: ClassVar[float] = 1e-3
    head_rate: ClassVar[float] = 1e-2
    passes: ClassVar[float] = 6

    lora_r: Annotated[int, Span(2, 32, log=True)] = option(8, "rank of the update", ge=1)
    lora_alpha: float | None = option(None, "scale of the update; default 2r", gt=0)
    lora_dropout: float = option(0.0, "dropout before A", ge=0, lt=1)
    lora_target: Literal["all", "attention", "mlp"] = option("all", "which linear layers")
    use_rslora: bool = option(False, "scale by alpha/sqrt(r)")
    use_dora: bool = option(False, "train magnitude and direction apart")
    init_lora_weights: Literal["default", "pissa"] = option("default", "how A and B start")
    loraplus_lr_ratio: float = option(1.0, "rate of B over the rate of A", ge=1)

    @property
    def restores(self) -> bool:
        """Not PiSSA, which moves part of W into A and B: switched off, the rest of W is left."""
        return self.init_lora_weights != "pissa"

    def config(self, model: Tunable) -> Any:
        """LoraConfig over the chosen linear layers."""
        from peft import LoraConfig
        from transformers.pytorch_utils import Conv1D

        pissa = self.init_lora_weights == "pissa"
        return LoraConfig(
            task_type="FEATURE_EXTRACTION",
            r=self.lora_r,
            lora_alpha=self.lora_alpha or 2 * self.lora_r,  # type: ignore[arg-type]  # a float is fine
            lora_dropout=self.lora_dropout,
            use_rslora=self.use_rslora,
            use_dora=self.use_dora,
            init_lora_weights="pissa" if pissa else True,
            target_modules=self._targets(model),
            fan_in_fan_out=any(isinstance(m, Conv1D) for m in model.backbone.modules()),
        )

    def attach(self, model: Tunable) -> Tunable:
        """Inject; for PiSSA remember the start, which the export subtracts again."""
        model = super().attach(model)
        if self.init_lora_weights == "pissa":
            for layer in lora_layers(model).values():
                layer.pissa_start = (
                    layer.lora_A["default"].weight.detach().clone().cpu(),
                    layer.lora_B["default"].weight.detach().clone().cpu(),
                )
        return model

    def scale(self, model: Tunable, by: float) -> bool:
        """alpha/r times `by`; not with DoRA or PiSSA, where 0 is not the base."""
        if self.use_dora or not self.restores:
            return False
        for layer in lora_layers(model).values():
            usual = getattr(layer, "usual_scaling", None) or dict(layer.scaling)
            layer.usual_scaling = usual
            layer.scaling = {name: value * by for name, value in usual.items()}
        return True

    def rate_factor(self, parameter: str) -> float:
        """LoRA+ : B trains faster than A."""
        return self.loraplus_lr_ratio if ".lora_B." in parameter else 1.0

    def tensor_marks(self) -> list[str]:
        """A, B and DoRA's magnitudes."""
        return [".lora_A.", ".lora_B.", ".lora_magnitude_vector"]

    def exported(self, model: Tunable) -> tuple[Any, dict[str, Any]]:
        """For PiSSA a plain LoRA of rank 2r over the untouched W: B A - B0 A0."""
        config, tensors = super().exported(model)
        if self.init_lora_weights != "pissa":
            return config, tensors
        import torch

        for name, layer in tuner_layers(model).items():
            a = layer.lora_A["default"].weight.detach().cpu()
            b = layer.lora_B["default"].weight.detach().cpu()
            a_start, b_start = layer.pissa_start
            key = name.removeprefix("backbone.")
            tensors[f"{key}.lora_A.weight"] = torch.cat([a, a_start])
            tensors[f"{key}.lora_B.weight"] = torch.cat([b, -b_start], dim=1)
        config.r, config.init_lora_weights = 2 * self.lora_r, True
        config.lora_alpha *= math.sqrt(2) if self.use_rslora else 2
        return config, tensors

    def _targets(self, model: Tunable) -> list[str]:
        from fewtune.models.parts import family_of, layers_named, linear_layers

        every = linear_layers(model.backbone) or [n[9:] for n in tuner_layers(model)]
        family = family_of(model.backbone)
        feed_forward = layers_named(
            model.backbone,
            (family.feed_forward_in, family.feed_forward_out, "mlp.up_proj"),
        )
        if self.lora_target == "mlp":
            return feed_forward
        return every if self.lora_target == "all" else sorted(set(every) - set(feed_forward))


def lora_layers(model: Tunable) -> dict[str, Any]:
    """PEFT's layers in a model that hold an A and a B, by name; those of `ia3` hold neither."""
    return {name: one for name, one in tuner_layers(model).items() if hasattr(one, "lora_A")}
