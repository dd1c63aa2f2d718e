"""What is put under the laws: every method, its variants, every pair of methods."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from fewtune.methods import METHODS, Method, parse

#: Options that make a method fit a model of width 32; a method without an entry has its defaults.
SMALL: dict[str, dict[str, Any]] = {
    "freeze": {"layers": 1},
    "prompt": {"num_virtual_tokens": 4},
    "ptuning": {"num_virtual_tokens": 4},
    "prefix": {"num_virtual_tokens": 4},
    "adapter": {"reduction_factor": 4},
    "lora": {"lora_r": 2},
}


@dataclass(frozen=True)
class Case:
    """A method as spelled on the command line, with its options."""

    name: str
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """The small sizes of every part, then the case's own options."""
        small = [SMALL.get(part, {}) for part in self.name.split("+")]
        return {k: v for options in [*small, self.more] for k, v in options.items()}

    @property
    def method(self) -> Method:
        """The method itself."""
        return parse(self.name, self.options)

    def __str__(self) -> str:
        more = ",".join(f"{key}={value}" for key, value in self.more.items())
        return f"{self.name}({more})" if more else self.name


NEURAL = [name for name, method in METHODS.items() if method.needs_model]
TRAINED = [name for name in NEURAL if METHODS[name].needs_steps]
ALONE = [Case(name) for name in NEURAL]
VARIANTS = [
    Case("freeze", {"layers": 0}),
    Case("lora", {"use_dora": True}),
    Case("lora", {"use_rslora": True}),
    Case("lora", {"init_lora_weights": "pissa"}),
    Case("lora", {"init_lora_weights": "pissa", "use_rslora": True}),
    Case("lora", {"lora_target": "attention"}),
    Case("lora", {"lora_target": "mlp"}),
    Case("lora", {"loraplus_lr_ratio": 8}),
    Case("adapter", {"adapter_type": "houlsby", "non_linearity": "gelu"}),
    Case("adapter", {"adapter_type": "parallel", "adapter_scale": 2}),
    Case("prefix", {"prefix_projection": True}),
    Case("ptuning", {"encoder_reparameterization_type": "LSTM"}),
    Case("prompt", {"prompt_tuning_init": "random"}),
    Case("prompt", {"prompt_tuning_init": "text", "prompt_tuning_init_text": "pump door lamp"}),
]
HYBRIDS = [
    Case("lora+adapter"),
    Case("lora+freeze"),
    Case("lora+prefix"),
    Case("adapter+bitfit"),
    Case("prompt+ia3"),
    Case("lora+bitfit"),
    Case("lora+bitfit+prompt"),
    Case("freeze+adapter+lora", {"adapter_type": "parallel"}),
]
#: Pairs in both orders would double the work; HYBRIDS holds the orders that people write.
PAIRS = [Case(f"{a}+{b}") for a, b in combinations(TRAINED, 2)]
EVERYWHERE = [*ALONE, *VARIANTS, *HYBRIDS]
PAIRED_ON = ("bert",)
