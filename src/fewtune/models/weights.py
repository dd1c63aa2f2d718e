"""One weights format for whatever was trained: tensors by name in a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from fewtune.base.errors import FewtuneError
from fewtune.base.files import write_atomic


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters that need gradients, on the CPU, by name."""
    return {
        name: parameter.detach().cpu().clone().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors atomically."""
    write_atomic(path, save(dict(tensors), metadata=metadata))


def load_trained(model: nn.Module, path: Path) -> None:
    """Put saved tensors into a model that was built the same way.

    Raises:
        FewtuneError: names or shapes differ; every mismatch is told at once.
    """
    put_trained(model, load_file(str(path)), str(path))


@torch.no_grad()
def put_trained(model: nn.Module, saved: Mapping[str, Tensor], source: str) -> None:
    """Like `load_trained`, from tensors in memory; `source` names them in an error."""
    here = {name: p for name, p in model.named_parameters() if p.requires_grad}
    wrong = [f"  only in the file: {name}" for name in saved.keys() - here.keys()]
    wrong += [f"  not in the file: {name}" for name in here.keys() - saved.keys()]
    wrong += [
        f"  {name}: file {tuple(saved[name].shape)}, model {tuple(here[name].shape)}"
        for name in saved.keys() & here.keys()
        if saved[name].shape != here[name].shape
    ]
    if wrong:
        raise FewtuneError("\n".join([f"{source} does not fit this model:", *sorted(wrong)]))
    for name, parameter in here.items():
        parameter.copy_(saved[name])
