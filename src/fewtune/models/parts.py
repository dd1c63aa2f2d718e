"""Where the parts of a pretrained model are: one row a family.

A family is named by `config.model_type`. Paths are relative: `blocks` to the model, the others to
one block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from fewtune.base.errors import FewtuneError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Family:
    """Names of a family's parts.

    `attention_out` and `feed_forward_out` are the linear layers that write to the residual stream;
    `feed_forward_in` is the first layer of the feed-forward part (a parallel adapter reads its
    input); `scaled` are the layers that IA3 scales beside it (keys and values); `after_blocks` are
    the norms behind the last block; `causal` models are pooled at the last token; `takes_prefix`
    says whether the forward takes past keys and values.
    """

    blocks: str
    attention_out: str
    feed_forward_in: str
    feed_forward_out: str
    scaled: tuple[str, ...]
    after_blocks: tuple[str, ...] = ()
    causal: bool = False
    takes_prefix: bool = True


_BERT = Family(
    "encoder.layer",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
    ("attention.self.key", "attention.self.value"),
)
_LLAMA = Family(
    "layers",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.down_proj",
    ("self_attn.k_proj", "self_attn.v_proj"),
    ("norm",),
    causal=True,
)

FAMILIES: dict[str, Family] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "distilbert": Family(
        "transformer.layer",
        "attention.out_lin",
        "ffn.lin1",
        "ffn.lin2",
        ("attention.k_lin", "attention.v_lin"),
        takes_prefix=False,
    ),
    "mpnet": Family(
        "encoder.layer",
        "attention.attn.o",
        "intermediate.dense",
        "output.dense",
        ("attention.attn.k", "attention.attn.v"),
        takes_prefix=False,
    ),
    "gpt2": Family(
        "h", "attn.c_proj", "mlp.c_fc", "mlp.c_proj", ("attn.c_attn",), ("ln_f",), causal=True
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
}


def config_of(backbone: nn.Module) -> Any:
    """The pretrained model's configuration, through whatever wraps it."""
    return backbone.config


def family_of(backbone: nn.Module) -> Family:
    """The family of a transformers model.

    Raises:
        FewtuneError: the family has no row in FAMILIES.
    """
    kind = config_of(backbone).model_type
    if kind not in FAMILIES:
        raise FewtuneError(
            f"{type(backbone).__name__} is of the family {kind!r}, which fewtune does not know; "
            f"it knows {', '.join(FAMILIES)}. A family is one row in models/parts.py."
        )
    return FAMILIES[kind]


def blocks_of(backbone: nn.Module) -> nn.ModuleList:
    """The list of transformer blocks, first to last, through whatever wraps the model."""
    path = family_of(backbone).blocks
    found = (m for name, m in backbone.named_modules() if f".{name}".endswith(f".{path}"))
    return cast("nn.ModuleList", next(found))


def in_last_blocks(backbone: nn.Module, count: int) -> set[str]:
    """Names of the parameters in the last `count` blocks and in the norms behind them."""
    if count == 0:
        return set()
    family = family_of(backbone)
    total = len(blocks_of(backbone))
    wanted = [f"{family.blocks}.{i}." for i in range(max(0, total - count), total)]
    wanted += [f"{name}." for name in family.after_blocks]
    return {name for name, _ in backbone.named_parameters() if name.startswith(tuple(wanted))}


def lowest_trained_block(backbone: nn.Module) -> int:
    """Index of the first block that needs a gradient; 0 where the embeddings do.

    The number of blocks, where only parts behind the blocks are trained.
    """
    family = family_of(backbone)
    lowest: int = config_of(backbone).num_hidden_layers
    for name, parameter in backbone.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith(f"{family.blocks}."):
            lowest = min(lowest, int(name.removeprefix(f"{family.blocks}.").split(".")[0]))
        elif not name.startswith((*family.after_blocks, "pooler")):
            return 0  # the embeddings, or a soft prompt around the whole model
    return lowest


def linear_layers(backbone: nn.Module) -> list[str]:
    """Full names of the linear layers in the blocks, those of added parts left out.

    A layer that another part has wrapped keeps its place in the list under its present name.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    start = f"{family_of(backbone).blocks}."
    return [
        name
        for name, module in backbone.named_modules()
        if name.startswith(start)
        and isinstance(module, (nn.Linear, Conv1D))
        and ".bottleneck." not in name
    ]


def layers_named(backbone: nn.Module, names: tuple[str, ...]) -> list[str]:
    """Of the linear layers, those that stand at one of the paths `names` within their block."""
    dots = family_of(backbone).blocks.count(".") + 2  # `encoder.layer.0.` has three
    return [
        name
        for name in linear_layers(backbone)
        # compared as a whole: "output.dense" must not also mean "attention.output.dense"
        if _as_pretrained(name).split(".", dots)[-1] in names
    ]


def _as_pretrained(name: str) -> str:
    """A layer's name before other parts wrapped it: adapters as `inner`, PEFT as `base_layer`."""
    plain = name.removesuffix(".inner").removesuffix(".base_layer")
    return name if plain == name else _as_pretrained(plain)
