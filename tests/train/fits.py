"""Fits of tiny models: everything between a base on disk and `run_fit`, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from tiny_models import LABELS, MAX_LENGTH, TARGETS, TEXTS, Base
from torch import Tensor

from fewtune.base.events import Event
from fewtune.methods import parse
from fewtune.methods.base import prepare
from fewtune.models.device import Machine
from fewtune.models.infer import logits
from fewtune.models.modes import set_dropout
from fewtune.models.weights import trained_tensors
from fewtune.tasks.classify import Classify
from fewtune.train.loop import Fit, run_fit
from fewtune.train.optimiser import Rates
from fewtune.train.options import TrainOptions
from fewtune.train.work import plan_work

SMALL: dict[str, dict[str, Any]] = {
    "lora+adapter": {"lora_r": 2, "reduction_factor": 4},
    "prefix": {"num_virtual_tokens": 4, "prefix_projection": True},
    "freeze": {"layers": 1},
    "lora": {"lora_r": 2, "lora_dropout": 0.1},
}


def make_fit(
    base: Base,
    folder: Path,
    method: str = "full",
    *,
    steps: int = 6,
    rows: int = 12,
    bf16: bool = False,
    dropout: float = 0.0,
    seed: int = 0,
    task: Classify | None = None,
    validate: Callable[[], dict[str, float]] | None = None,
    texts: Sequence[str] = TEXTS,
    **train: Any,
) -> Fit:
    """A fit on the first `rows` rows; the head starts at random, so that every part gets a gradient
    at the first step."""
    torch.manual_seed(0)
    model = deepcopy(base.model)
    set_dropout(model, dropout)
    prepared = prepare(model, parse(method, SMALL.get(method, {})))
    torch.nn.init.normal_(prepared.model.head.weight)
    task = task or Classify(tuple(LABELS))
    machine = Machine("cpu", bf16)
    options = TrainOptions(
        **{"per_device_train_batch_size": 4, "average_last": 0, "weight_decay": 0.01} | train
    )
    encoded = task.encode(texts[:rows], base.tokenizer, MAX_LENGTH)
    work = plan_work(
        prepared.model,
        encoded,
        TARGETS.numpy()[:rows],
        task.loss,
        machine,
        options.cache_trunk,
        folder,
    )
    parts = {part.name: 5e-3 for part in parse(method, SMALL.get(method, {})).parts()}
    return Fit(prepared, work, options, steps, Rates(1e-2, parts), machine, seed, folder, validate)


def told(fit: Fit) -> list[Event]:
    """Run to the end."""
    return list(run_fit(fit))


def stopped_after(fit: Fit, event: str, step: int) -> None:
    """Run until an event of a step was told, and leave, as a kill would."""
    events = run_fit(fit)
    for one in events:
        if one.name == event and one["step"] == step:
            break
    events.close()


def weights(fit: Fit) -> dict[str, Tensor]:
    """What was trained."""
    return trained_tensors(fit.model)


def losses(events: Sequence[Event]) -> list[float]:
    """The loss of every step."""
    return [event["loss"] for event in events if event.name == "step"]


def log_loss_of(base: Base) -> Callable[[Fit], Callable[[], dict[str, float]]]:
    """A validation on all rows, for a fit that is made already."""

    def bind(fit: Fit) -> Callable[[], dict[str, float]]:
        rows = Classify(tuple(LABELS)).encode(TEXTS, base.tokenizer, MAX_LENGTH)

        def scores() -> dict[str, float]:
            found = torch.from_numpy(logits(fit.model, rows, fit.machine))
            each = torch.nn.functional.cross_entropy(found, TARGETS)
            right = (found.argmax(1) == TARGETS).float().mean()
            return {"log_loss": each.item(), "accuracy": right.item()}

        return scores

    return bind


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """Bit by bit."""
    assert a.keys() == b.keys()
    differing = [name for name in a if not torch.equal(a[name], b[name])]
    assert not differing
