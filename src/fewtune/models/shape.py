"""What a configuration says of a model's size: enough to count its parameters and its memory.

Nothing is loaded and nothing of torch is imported, so a 7B configuration answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fewtune.base.errors import UsageError

MPNET_BUCKETS = 32  # of its relative positions, where the configuration does not say
DEIT_TOKENS = 2  # class and distillation; a ViT has the class token alone


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a transformer.

    Attributes:
        family: `config.model_type`.
        layers: transformer blocks.
        width: of the states between the blocks.
        heads: of attention; `kv_heads` those of keys and values, `head_dim` the width of one.
        inner: width inside the feed-forward part; `gated` where it has a gate beside it.
        vocabulary: tokens; 0 for images.
        positions: learned ones, or for rotary models the longest text.
        tied: whether a language model's head is its embeddings.
        type_vocabulary: token types, 0 without.
        dropout: between the layers, as the configuration has it (fewtune sets its own).
        embedded: width of the word embeddings, where it is not `width`.
        causal: whether it is a language model with a head over the vocabulary.
        qkv_bias: whether queries, keys and values have biases; `out_bias` of the layer behind
            them, `inner_bias` of the feed-forward part.
        query_norms: whether queries and keys are normalised by head.
        pooler: whether a dense layer stands behind the first token.
        patch: numbers in one image patch (channels x side x side), 0 for text.
    """

    family: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    gated: bool
    vocabulary: int
    positions: int
    tied: bool
    type_vocabulary: int
    dropout: float
    embedded: int = 0
    causal: bool = False
    qkv_bias: bool = True
    out_bias: bool = True
    inner_bias: bool = True
    query_norms: bool = False
    pooler: bool = False
    patch: int = 0

    @property
    def rotary(self) -> bool:
        """Whether positions are turned into keys and queries (and norms have no bias)."""
        return self.gated

    @property
    def query_width(self) -> int:
        """Width of all queries together."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all keys together."""
        return self.kv_heads * self.head_dim

    @property
    def block_matrices(self) -> int:
        """Numbers in the linear layers of one block, biases left out."""
        attention = self.width * (2 * self.query_width + 2 * self.kv_width)
        return attention + (3 if self.gated else 2) * self.width * self.inner

    @property
    def block_parameters(self) -> int:
        """Parameters of one block."""
        biases = self.qkv_bias * (self.query_width + 2 * self.kv_width)
        biases += self.out_bias * self.width
        biases += self.inner_bias * (self.width + (1 + self.gated) * self.inner)
        norms = 2 * self.width if self.rotary else 4 * self.width
        return self.block_matrices + biases + norms + 2 * self.head_dim * self.query_norms

    @property
    def embedding_parameters(self) -> int:
        """Parameters before the first block."""
        if self.patch:
            tokens = DEIT_TOKENS if self.family == "deit" else 1
            return (self.patch + 1) * self.width + (tokens + self.positions) * self.width
        size = self.embedded or self.width
        count = self.vocabulary * size
        if self.rotary:
            return count
        count += (self.positions + self.type_vocabulary) * size
        if self.family == "gpt2":
            return count
        count += 2 * size + (size + 1) * self.width * (size != self.width)
        return count + MPNET_BUCKETS * self.heads * (self.family == "mpnet")

    @property
    def after_parameters(self) -> int:
        """Parameters behind the last block: norm and pooler, a language model's head left out."""
        norm = self.width if self.rotary else 2 * self.width * (self.causal or self.patch > 0)
        return norm + self.pooler * (self.width + 1) * self.width

    @property
    def head_parameters(self) -> int:
        """Parameters of a language model's head beside the embeddings; 0 where they are tied."""
        return 0 if self.tied or not self.causal else self.vocabulary * self.width

    @property
    def backbone_parameters(self) -> int:
        """Parameters without any head."""
        blocks = self.layers * self.block_parameters
        return self.embedding_parameters + blocks + self.after_parameters

    @property
    def table(self) -> int:
        """Numbers in the word embeddings, 0 for images."""
        return self.vocabulary * (self.embedded or self.width)


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape that a `config.json` describes.

    Args:
        config: as a mapping; what it leaves out has the family's default.

    Raises:
        UsageError: a family that is not in SHAPES, or numbers that make no model.
    """
    family = str(config.get("model_type", ""))
    if family not in SHAPES:
        raise UsageError(
            f"model: the family {family!r} has no known shape, so its memory cannot be told "
            f"beforehand; known are {', '.join(SHAPES)}."
        )
    try:
        return SHAPES[family](family, config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"model: the configuration of this {family} makes no model ({error!r}); copy its "
            "config.json again from where it came."
        ) from error


def _encoder(family: str, config: Mapping[str, Any]) -> Shape:
    """BERT and its kin."""
    width, heads = int(config.get("hidden_size", 768)), int(config.get("num_attention_heads", 12))
    embedded = int(config.get("embedding_size") or width) if family == "electra" else width
    types = {"mpnet": 0, "bert": 2, "electra": 2}.get(family, 1)
    return Shape(
        family=family,
        layers=int(config.get("num_hidden_layers", 12)),
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        inner=int(config.get("intermediate_size", 4 * width)),
        gated=False,
        vocabulary=int(config["vocab_size"]),
        positions=int(config.get("max_position_embeddings", 512)),
        tied=True,
        type_vocabulary=types and int(config.get("type_vocab_size", types)),
        dropout=float(config.get("hidden_dropout_prob", 0.1)),
        embedded=embedded,
        pooler=family != "electra",
    )


def _distilbert(family: str, config: Mapping[str, Any]) -> Shape:
    width, heads = int(config.get("dim", 768)), int(config.get("n_heads", 12))
    return Shape(
        family=family,
        layers=int(config.get("n_layers", 6)),
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        inner=int(config.get("hidden_dim", 4 * width)),
        gated=False,
        vocabulary=int(config["vocab_size"]),
        positions=int(config.get("max_position_embeddings", 512)),
        tied=True,
        type_vocabulary=0,
        dropout=float(config.get("dropout", 0.1)),
        embedded=width,
    )


def _gpt2(family: str, config: Mapping[str, Any]) -> Shape:
    width, heads = int(config.get("n_embd", 768)), int(config.get("n_head", 12))
    return Shape(
        family=family,
        layers=int(config.get("n_layer", 12)),
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        inner=int(config.get("n_inner") or 4 * width),
        gated=False,
        vocabulary=int(config["vocab_size"]),
        positions=int(config.get("n_positions", 1024)),
        tied=bool(config.get("tie_word_embeddings", True)),
        type_vocabulary=0,
        dropout=float(config.get("resid_pdrop", 0.1)),
        embedded=width,
        causal=True,
    )


def _gated(family: str, config: Mapping[str, Any]) -> Shape:
    """Llama and its kin: rotary positions, a gate, norms without bias."""
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    attention_bias = bool(config.get("attention_bias", False))
    return Shape(
        family=family,
        layers=int(config["num_hidden_layers"]),
        width=width,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or (128 if family == "qwen3" else width // heads)),
        inner=int(config["intermediate_size"]),
        gated=True,
        vocabulary=int(config["vocab_size"]),
        positions=int(config.get("max_position_embeddings", 2048)),
        tied=bool(config.get("tie_word_embeddings", False)),
        type_vocabulary=0,
        dropout=float(config.get("attention_dropout", 0.0)),
        embedded=width,
        causal=True,
        qkv_bias=family == "qwen2" or attention_bias,
        out_bias=family != "qwen2" and attention_bias,
        inner_bias=bool(config.get("mlp_bias", False)),
        query_norms=family == "qwen3",
    )


def _image(family: str, config: Mapping[str, Any]) -> Shape:
    """Vision transformers; `positions` are the patches and the tokens before them."""
    width, heads = int(config.get("hidden_size", 768)), int(config.get("num_attention_heads", 12))
    tall, wide = _pair(config.get("image_size", 224))
    patch_tall, patch_wide = _pair(config.get("patch_size", 16))
    patches = (tall // patch_tall) * (wide // patch_wide)
    return Shape(
        family=family,
        layers=int(config.get("num_hidden_layers", 12)),
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        inner=int(config.get("intermediate_size", 4 * width)),
        gated=False,
        vocabulary=0,
        positions=patches + (DEIT_TOKENS if family == "deit" else 1),
        tied=True,
        type_vocabulary=0,
        dropout=float(config.get("hidden_dropout_prob", 0.0)),
        qkv_bias=bool(config.get("qkv_bias", True)),
        pooler=True,
        patch=int(config.get("num_channels", 3)) * patch_tall * patch_wide,
    )


def _pair(size: Any) -> tuple[int, int]:
    """Height and width, where one number may stand for both."""
    tall, wide = (size, size) if isinstance(size, int) else size
    return int(tall), int(wide)


#: How a family's configuration is read, by `model_type`.
SHAPES: dict[str, Callable[[str, Mapping[str, Any]], Shape]] = {
    "bert": _encoder,
    "roberta": _encoder,
    "xlm-roberta": _encoder,
    "electra": _encoder,
    "mpnet": _encoder,
    "distilbert": _distilbert,
    "gpt2": _gpt2,
    "llama": _gated,
    "mistral": _gated,
    "qwen2": _gated,
    "qwen3": _gated,
    "vit": _image,
    "deit": _image,
}
