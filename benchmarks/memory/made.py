"""Models of a given shape with random weights, and a fit on random rows, as fewtune makes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from benchmarks.samples import WORK
from torch import Tensor, nn

from fewtune.choose.memory import Step
from fewtune.methods import parse
from fewtune.methods.base import Method, Prepared, prepare
from fewtune.models.attention import set_attention
from fewtune.models.batches import Encoded, Marked
from fewtune.models.causal import CausalModel
from fewtune.models.device import Machine, round_frozen
from fewtune.models.load import load_causal, load_pooled
from fewtune.models.modes import recompute_activations, set_dropout
from fewtune.models.options import ModelOptions
from fewtune.models.parts import FAMILIES, Family, blocks_of, lowest_trained_block
from fewtune.models.pooled import PooledModel
from fewtune.models.pooling import Pooling
from fewtune.models.shape import Shape, shape_of
from fewtune.models.source import Source
from fewtune.models.trunk import fill_trunk
from fewtune.tasks.classify import Classify
from fewtune.train.answers import AnswerRows
from fewtune.train.loop import Fit
from fewtune.train.optimiser import Rates
from fewtune.train.options import TrainOptions
from fewtune.train.work import Work, plan_work

CLASSES = 10
BATCHES = 2  # of rows in the data: the cache of a frozen trunk holds them all
STEPS = 2  # the optimiser's states are there from the second one on

#: Vision transformers, which no task of fewtune trains yet.
FAMILIES.setdefault(
    "vit",
    Family(
        "layers",
        "attention.o_proj",
        "mlp.fc1",
        "mlp.fc2",
        ("attention.k_proj", "attention.v_proj"),
        ("layernorm",),
        takes_prefix=False,
    ),
)


@dataclass(frozen=True)
class Case:
    """One fit to measure.

    Attributes:
        name: of a configuration in settings.yaml.
        config: of the model, as `config.json` has it.
        method: as spelled; `options` of it.
        rows, length: of a batch.
        answers: learned tokens a row, 0 for a classifier.
        caches: whether frozen blocks run once.
    """

    name: str
    config: dict[str, Any]
    method: str
    rows: int
    length: int
    options: dict[str, Any]
    answers: int = 0
    bf16: bool = False
    attention: str = "sdpa"
    dropout: float = 0.0
    checkpointing: bool = False
    accumulation: int = 1
    caches: bool = True

    @property
    def key(self) -> str:
        """What tells it from the others."""
        more = "".join(
            f" {word}"
            for word, there in (
                ("bf16", self.bf16),
                (self.attention, self.attention != "sdpa"),
                (f"dropout {self.dropout:g}", self.dropout),
                ("checkpointing", self.checkpointing),
                (f"accumulation {self.accumulation}", self.accumulation > 1),
                ("no cache", not self.caches),
            )
            if there
        )
        return f"{self.name} {self.method} {self.rows}x{self.length}{more}"

    @property
    def shape(self) -> Shape:
        """What the memory is predicted from."""
        return shape_of(self.config)

    @property
    def tuned(self) -> Method:
        """The method."""
        return parse(self.method, self.options)

    @property
    def machine(self) -> Machine:
        """The arithmetic."""
        return Machine("cpu", self.bf16)

    def step(self, model: nn.Module, cached_tokens: int) -> Step:
        """What is predicted from, all known before anything runs."""
        method, backbone = self.tuned, model.backbone
        part = method.parts()[0]
        rounded = self.answers > 0 and not method.needs_exact_base
        return Step(
            rows=self.rows,
            length=self.length,
            trained=sum(p.numel() for p in model.parameters() if p.requires_grad),
            parts=tuple(one.name for one in method.parts()),
            answers=self.rows * self.answers,
            dtype="bfloat16" if self.bf16 else "float32",
            base_dtype="bfloat16" if self.bf16 and rounded else "float32",
            checkpointing=self.checkpointing,
            dropout=self.dropout,
            attention=self.attention,
            lowest_trained_block=lowest_trained_block(backbone),
            accumulation=self.accumulation,
            cached_tokens=cached_tokens,
            rank=getattr(part, "lora_r", 8),
            bottleneck=self.shape.width // getattr(part, "reduction_factor", 16),
            virtual_tokens=part.reserved_tokens,
            read_rows=min(64, self.rows * self.accumulation * BATCHES) if cached_tokens else 0,
        )


class ImageModel(PooledModel):
    """Images in place of tokens, pooled by the mean of the patches."""

    def features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Of pixels (images, channels, height, width)."""
        states = self.backbone(pixel_values=input_ids).last_hidden_state
        return self.pooling(states, attention_mask)


class Images(Encoded):
    """Random images in place of rows of tokens."""

    def __init__(self, count: int, side: int, tokens: int) -> None:
        draw = np.random.Generator(np.random.PCG64(0))
        super().__init__([np.zeros(tokens, dtype=np.int64)] * count, 0)
        object.__setattr__(self, "pixels", draw.random((count, 3, side, side), "f4"))

    __slots__ = ("pixels",)

    def batch(self, rows: Any) -> tuple[Tensor, Tensor]:
        """Pixels and a mask of ones."""
        pixels = torch.from_numpy(self.pixels[np.asarray(rows)])
        return pixels, torch.ones(len(pixels), len(self.ids[0]), dtype=torch.long)


def folder_of(case: Case) -> Path:
    """The model on disk, made where it is not there."""
    folder = WORK / "memory" / case.name
    if not (folder / "config.json").exists():
        config = transformers.AutoConfig.for_model(**case.config)
        kind = transformers.AutoModelForCausalLM if case.answers else transformers.AutoModel
        kind.from_config(config).save_pretrained(folder)
    return folder


def load(case: Case) -> PooledModel | CausalModel:
    """As fewtune loads it."""
    folder = folder_of(case)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    source = Source(folder, config, Pooling("mean"), case.length, case.length)
    options = ModelOptions(model=str(folder), attention=case.attention)
    if case.answers:
        return load_causal(source, options)
    if "image_size" in config:
        backbone = transformers.AutoModel.from_pretrained(
            folder, dtype=torch.float32, attn_implementation=case.attention
        )
        return ImageModel(backbone, source.pooling, CLASSES).eval()
    return load_pooled(source, CLASSES, options)


def fresh(case: Case) -> PooledModel | CausalModel:
    """Never on a disk; for small cases."""
    config = transformers.AutoConfig.for_model(**case.config)
    config.use_cache = False
    if case.answers:
        return CausalModel(transformers.AutoModelForCausalLM.from_config(config)).eval()
    kind = ImageModel if "image_size" in case.config else PooledModel
    backbone = transformers.AutoModel.from_config(config)
    return kind(backbone, Pooling("mean"), CLASSES).eval()


def attached(case: Case, model: Any) -> Prepared:
    """The method on the model, as a candidate does it."""
    torch.manual_seed(0)
    set_dropout(model, case.dropout)
    method = case.tuned
    prepared = prepare(model, method)
    if case.checkpointing:
        recompute_activations(prepared.model)
    if case.answers and not method.needs_exact_base:
        round_frozen(prepared.model, case.machine)
    set_attention(prepared.model, case.attention)
    return prepared


def rows_of(case: Case) -> Encoded:
    """Random rows of the same length, one of them a little shorter."""
    count = case.rows * case.accumulation * BATCHES
    if "image_size" in case.config:
        return Images(count, case.config["image_size"], case.length)
    draw = np.random.Generator(np.random.PCG64(0))
    most = case.config["vocab_size"]
    lengths = [case.length - (k % case.rows == 1) for k in range(count)]
    ids = [draw.integers(5, most, size) for size in lengths]
    if not case.answers:
        return Encoded(ids, 0)
    weights = [np.zeros(size, dtype=np.float32) for size in lengths]
    for one in weights:
        one[-case.answers :] = 1
    return Marked(ids, 0, (), weights, list(range(count)))


def fit_of(case: Case, prepared: Prepared, rows: Encoded, folder: Path) -> Fit:
    """A fit of STEPS steps."""
    model = prepared.model
    options = TrainOptions(
        per_device_train_batch_size=case.rows,
        gradient_accumulation_steps=case.accumulation,
        average_last=0,
        save_steps=10**9,
    )
    parts = {part.name: 1e-4 for part in case.tuned.parts()}
    return Fit(
        prepared, _work(case, model, rows, folder), options, STEPS, Rates(1e-3, parts),
        case.machine, 0, folder,
    )  # fmt: skip


def _work(case: Case, model: Any, rows: Encoded, folder: Path) -> Work:
    if not case.answers:
        task = Classify(tuple(map(str, range(CLASSES))))
        targets = np.arange(len(rows)) % CLASSES
        return plan_work(model, rows, targets, task.loss, case.machine, case.caches, folder)
    first = lowest_trained_block(model.backbone)
    cached = case.caches and 0 < first <= len(blocks_of(model.backbone))
    trunk = fill_trunk(model, rows, first, case.machine, folder) if cached else None
    return AnswerRows(model, rows, case.machine, trunk)


def cached_tokens(case: Case, work: Work) -> int:
    """Tokens of all rows, where the trunk is cached."""
    return int(work.lengths.sum()) if work.cached_bytes and work.first else 0


def tiny(case: Case) -> Case:
    """The same kind of case on next to nothing."""
    sizes: dict[str, Any] = {
        "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
        "num_key_value_heads": 1, "intermediate_size": 64, "vocab_size": 100,
        "n_embd": 32, "n_layer": 3, "n_head": 2, "image_size": 32,
    }  # fmt: skip
    config = {key: sizes.get(key, value) for key, value in case.config.items()}
    length = 5 if "image_size" in config else 24
    answers = min(case.answers, 8)
    return replace(
        case, name=f"tiny-{case.name}", config=config, rows=2, length=length, answers=answers
    )
