"""Tiny pretrained models, one a family, each in a folder with a tokenizer of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from torch import Tensor

from fewtune.models.load import load_pooled, load_tokenizer
from fewtune.models.options import ModelOptions
from fewtune.models.pooled import PooledModel
from fewtune.models.source import find

LABELS = ["pump", "door", "lamp"]
#: Rows of unequal length, one with a word that no vocabulary has.
ROWS = [
    ("the pump leaks oil", "pump"),
    ("the front door of the cabin does not close in cold weather", "door"),
    ("lamp flickers", "lamp"),
    ("oil pressure at the pump is low after a short run", "pump"),
    ("door jams", "door"),
    ("the lamp above the front desk went dark again", "lamp"),
    ("pump motor is hot", "pump"),
    ("lock of the door turns but the door stays open", "door"),
    ("lamp dark in zeppelin", "lamp"),
    ("after cold weather the pump does not run and the motor is dark with oil", "pump"),
    ("the door lock is cold", "door"),
    ("new lamp is dark after a day", "lamp"),
]
TEXTS = [text for text, _ in ROWS]
TARGETS = torch.tensor([LABELS.index(label) for _, label in ROWS])
MAX_LENGTH = 24
WORDS = sorted({word for text in TEXTS for word in text.split()} - {"zeppelin"})

BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>"}  # <pad> is number 1
LLAMA = {"unk": "<unk>", "bos": "<s>", "eos": "</s>", "pad": "<pad>"}
GPT2 = {"unk": "<unk>", "eos": "<|endoftext|>"}  # no padding token: the end token is borrowed

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
GROUPED = SIZES | {"num_key_value_heads": 2}


@dataclass(frozen=True)
class Tiny:
    """What makes one tiny model: configuration, special tokens, and how it is pooled.

    Without `pooling` the folder is a plain Hugging Face one, and the family decides.
    """

    config: type
    sizes: dict[str, Any]
    special: dict[str, str]
    pooling: str | None = None
    normalize: bool = False


TINY = {
    "bert": Tiny(transformers.BertConfig, SIZES, BERT),
    "roberta": Tiny(transformers.RobertaConfig, SIZES, ROBERTA, "cls"),
    "distilbert": Tiny(
        transformers.DistilBertConfig,
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 64},
        BERT,
        "mean",
        normalize=True,
    ),
    "mpnet": Tiny(transformers.MPNetConfig, SIZES, ROBERTA, "max"),
    "gpt2": Tiny(
        transformers.GPT2Config, {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}, GPT2
    ),
    "llama": Tiny(transformers.LlamaConfig, GROUPED, LLAMA),
    "qwen2": Tiny(transformers.Qwen2Config, GROUPED, LLAMA, "lasttoken", normalize=True),
    # heads wider than width / heads, as in the released Qwen3
    "qwen3": Tiny(transformers.Qwen3Config, GROUPED | {"head_dim": 16}, LLAMA),
}


def tokenizer_of(tiny: Tiny) -> transformers.PreTrainedTokenizerFast:
    """By words or, where transformers insists on it, by bytes; encoders mark start and end."""
    special = tiny.special
    names = {f"{kind}_token": token for kind, token in special.items()}
    if tiny.config is transformers.Qwen2Config:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=list(special.values()),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(TEXTS, trainer)
        return transformers.Qwen2Tokenizer(tokenizer_object=tokenizer, **names)
    ids = {word: i for i, word in enumerate([*special.values(), *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=special["unk"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if "cls" in special:
        cls, sep = special["cls"], special["sep"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}", special_tokens=[(cls, ids[cls]), (sep, ids[sep])]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **names
    )


def build(tiny: Tiny, folder: Path) -> None:
    """Write model, tokenizer and, where the pooling is told, sentence-transformers' files."""
    tokenizer = tokenizer_of(tiny)
    torch.manual_seed(0)
    config = tiny.config(
        **tiny.sizes,
        vocab_size=len(tokenizer),
        initializer_range=0.2,  # ten times the usual, so that attention is not uniform
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if tiny.pooling is None:
        return
    kinds = ["Transformer", "Pooling", *["Normalize"] * tiny.normalize]
    modules = [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{kind}" if i else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    key = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps(
            {
                "word_embedding_dimension": 32,
                f"pooling_mode_{key.get(tiny.pooling, tiny.pooling)}": True,
            }
        )
    )


def build_speaker(family: str, folder: Path, **more: Any) -> None:
    """Write a whole language model; GPT-2's head is tied to its embeddings, the others' is not."""
    tiny = TINY[family]
    tokenizer = tokenizer_of(tiny)
    torch.manual_seed(0)
    config = tiny.config(
        **tiny.sizes | more,
        vocab_size=len(tokenizer),
        initializer_range=0.2,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=family == "gpt2",
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Base:
    """A tiny model on disk as fewtune loads it; `model` is the original that copies are made of."""

    family: str
    folder: Path
    tokenizer: Any
    model: PooledModel

    @classmethod
    def made(cls, family: str, folder: Path) -> Base:
        """Build, find and load."""
        build(TINY[family], folder)
        options = ModelOptions(model=str(folder))
        source = find(options)
        return cls(family, folder, load_tokenizer(source), load_pooled(source, 3, options))

    def batch(self, texts: list[str] = TEXTS, **how: Any) -> dict[str, Tensor]:
        """Token ids and mask, each (rows, tokens)."""
        made = self.tokenizer(texts, padding=True, return_tensors="pt", **how)
        return {"input_ids": made["input_ids"], "attention_mask": made["attention_mask"]}
