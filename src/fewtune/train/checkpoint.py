"""Checkpoints: whole or absent, and enough to go on as if nothing had happened.

The order of rows and the noise of a step are pure functions of the seed and the step's number, so
a checkpoint holds no generator's state: trained tensors (raw, a prefix with its network), the
optimiser's moments, the running mean, the best weights so far, and a few numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fewtune.base.errors import FewtuneError
from fewtune.base.files import UNFINISHED, replacing, write_json
from fewtune.models.saving import saving
from fewtune.models.weights import put_trained, trained_tensors
from fewtune.train.average import Average

NUMBERS = ("step", "best", "best_step", "since_best", "tokens")  # of Progress, kept as JSON


@dataclass
class Progress:
    """Where a fit stands.

    Attributes:
        step: optimiser steps taken.
        best: the watched metric at its best, and `best_step` when that was.
        since_best: evaluations since then.
        best_weights: trained tensors at that step, where the best are kept.
        average: mean of the snapshots so far.
        tokens: real tokens that went through training so far.
    """

    step: int = 0
    best: float | None = None
    best_step: int = 0
    since_best: int = 0
    tokens: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    average: Average = field(default_factory=Average)


def save_checkpoint(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write `step-N` beside the older one, then remove the older one."""
    target = folder / f"step-{progress.step:06d}"
    # not by asdict, which would copy every tensor
    numbers = {name: getattr(progress, name) for name in NUMBERS}
    numbers["averaged"] = progress.average.count
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with saving(), replacing(target) as place:
            place.mkdir()
            save_file(trained_tensors(model), place / "weights.safetensors")
            save_file(_moments(model, optimiser), place / "optimiser.safetensors")
            for name, tensors in (
                ("best", progress.best_weights),
                ("average", progress.average.mean),
            ):
                if tensors:
                    save_file(_on_cpu(tensors), place / f"{name}.safetensors")
            write_json(place / "progress.json", numbers)
    except OSError as error:
        before = checkpoints_in(folder)
        kept = f"{before[-1].name} is whole" if before else "there is none before it"
        raise FewtuneError(
            f"the checkpoint of step {progress.step} could not be written to {folder} "
            f"({error.strerror or error}); {kept}. Make room and resume."
        ) from error
    for old in checkpoints_in(folder)[:-1]:
        _remove(old)
    for half in folder.glob(f"step-*{UNFINISHED}"):  # of a process that was killed meanwhile
        rmtree(half)


def load_checkpoint(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer
) -> Progress | None:
    """Put the newest whole checkpoint into model and optimiser; None where there is none."""
    found = checkpoints_in(folder)
    if not found:
        return None
    place = found[-1]
    put_trained(model, load_file(place / "weights.safetensors"), str(place))
    _put_moments(model, optimiser, load_file(place / "optimiser.safetensors"))
    numbers: dict[str, Any] = json.loads((place / "progress.json").read_text("utf-8"))
    averaged = numbers.pop("averaged")
    device = next(model.parameters()).device
    tensors = {
        name: {key: value.to(device) for key, value in load_file(path).items()}
        for name in ("best", "average")
        if (path := place / f"{name}.safetensors").exists()
    }
    return Progress(
        **numbers,
        best_weights=tensors.get("best", {}),
        average=Average(averaged, tensors.get("average", {})),
    )


def checkpoints_in(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first; a name that is still being written is not one."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.glob("step-*") if not p.name.endswith(UNFINISHED))


def _moments(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        f"{key}|{names[id(parameter)]}": value.detach().cpu().contiguous()
        for parameter, state in optimiser.state.items()
        for key, value in state.items()
    }


def _put_moments(
    model: nn.Module, optimiser: torch.optim.Optimizer, saved: dict[str, Tensor]
) -> None:
    parameters = dict(model.named_parameters())
    for key_and_name, value in saved.items():
        key, _, name = key_and_name.partition("|")
        parameter = parameters[name]
        # AdamW's step counter lives where the fused kernel wants it
        optimiser.state[parameter][key] = value.to(parameter.device)


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}


def _remove(folder: Path) -> None:
    # renamed first, so that a kill in the middle leaves nothing that looks whole
    gone = folder.rename(folder.with_name(folder.name + UNFINISHED))
    rmtree(gone)
