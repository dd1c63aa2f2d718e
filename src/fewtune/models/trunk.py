"""The cached frozen trunk: what enters the lowest trained block, computed once per row.

Blocks below the lowest trained one give the same states at every epoch, so they run once. During
training they are replaced by stand-ins: the first ones pass their input on, the last one hands out
the stored states. Everything else of the model's own forward (masks, positions, rotary tables) runs
as it always does, so this works for every family whose blocks are a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fewtune.models.batches import Encoded, by_length
from fewtune.models.device import Machine, frozen_in_bf16, placed
from fewtune.models.ladder import in_halves, watched
from fewtune.models.parts import blocks_of, config_of
from fewtune.models.tunable import Tunable

IN_MEMORY = 2 * 2**30  # bytes; a larger cache is memory-mapped


class Trunk:
    """States entering block `first` for every row, without padding.

    `states` is (all tokens, width), in bfloat16 where the machine computes in it; `starts`
    (rows + 1) says where each row's tokens begin.
    """

    def __init__(self, first: int, lengths: np.ndarray, states: Tensor) -> None:
        self.first = first
        self.starts = np.concatenate([[0], np.cumsum(lengths)])
        self.states = states
        self._stand_in = Replay()
        self.in_tuples = False  # MPNet's blocks give their states in a tuple

    @property
    def bytes(self) -> int:
        """Size of the cache."""
        return self.states.numel() * self.states.element_size()

    def choose(self, rows: Sequence[int] | np.ndarray, device: str) -> None:
        """Load the states of the rows that the next forward pass will see."""
        lengths = self.starts[np.asarray(rows) + 1] - self.starts[rows]
        padded = self.states.new_zeros(len(rows), int(lengths.max()), self.states.shape[1])
        for at, row in enumerate(rows):
            padded[at, : lengths[at]] = self.states[self.starts[row] : self.starts[row + 1]]
        self._stand_in.states = padded.to(device)

    @contextmanager
    def replaying(self, model: Tunable) -> Iterator[None]:
        """Within, the blocks below `first` are the stand-ins."""
        blocks = blocks_of(model.backbone)
        kept = [blocks[i] for i in range(self.first)]
        self._stand_in.in_tuples = self.in_tuples
        for i in range(self.first - 1):
            blocks[i] = Pass(self.in_tuples)
        blocks[self.first - 1] = self._stand_in
        try:
            yield
        finally:
            for i, block in enumerate(kept):
                blocks[i] = block


class Pass(nn.Module):
    """A block that does nothing."""

    def __init__(self, in_tuples: bool = False) -> None:
        super().__init__()
        self.in_tuples = in_tuples

    def forward(self, states: Tensor, *args, **kwargs) -> Tensor | tuple[Tensor]:
        """(batch, tokens, width), unchanged."""
        return (states,) if self.in_tuples else states


class Replay(Pass):
    """A block whose output is known."""

    states: Tensor

    def forward(self, states: Tensor, *args, **kwargs) -> Tensor | tuple[Tensor]:
        """The stored states in the precision the model is in."""
        return super().forward(self.states.to(states.dtype))


@torch.no_grad()
def fill_trunk(model: Tunable, rows: Encoded, first: int, machine: Machine, folder: Path) -> Trunk:
    """Run the blocks below `first` over all rows.

    Args:
        model: prepared for training; nothing below `first` needs a gradient.
        first: the lowest trained block, at least 1.
        folder: where a cache too large for memory is mapped.
    """
    lengths = rows.lengths
    width = config_of(model.backbone).hidden_size
    dtype = torch.bfloat16 if machine.bf16 else torch.float32
    states = _room(int(lengths.sum()), width, dtype, folder)
    trunk = Trunk(first, lengths, states)
    placed(model.eval(), machine)
    block = blocks_of(model.backbone)[first - 1]
    with (
        frozen_in_bf16(model, machine),
        machine.autocast(),
        watched(model),
        _catching(block) as caught,
    ):

        def states_of(chosen: np.ndarray) -> Tensor:
            caught.clear()  # a pass cut short leaves its own
            ids, mask = (t.to(machine.device) for t in rows.batch(chosen))
            model(ids, mask)
            found = caught.pop()
            trunk.in_tuples = isinstance(found, tuple)
            return found[0] if isinstance(found, tuple) else found

        for chosen, found in in_halves(by_length(lengths, 64), states_of, "the cached trunk"):
            for row, one in zip(chosen, found, strict=True):
                at = slice(trunk.starts[row], trunk.starts[row + 1])
                states[at] = one[: lengths[row]].to(dtype).cpu()
    return trunk


@contextmanager
def _catching(block: nn.Module) -> Iterator[list[Tensor | tuple[Tensor]]]:
    caught: list[Tensor | tuple[Tensor]] = []
    handle = block.register_forward_hook(lambda _module, _args, output: caught.append(output))
    try:
        yield caught
    finally:
        handle.remove()


def _room(tokens: int, width: int, dtype: torch.dtype, folder: Path) -> Tensor:
    """Memory for the states; beyond IN_MEMORY bytes a file of the run that the system pages."""
    if tokens * width * dtype.itemsize <= IN_MEMORY:
        return torch.empty(tokens, width, dtype=dtype)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "trunk.cache"
    flat = torch.from_file(str(path), shared=True, size=tokens * width, dtype=dtype)
    path.unlink()  # the mapping stays; nothing is left behind when the process ends
    return flat.view(tokens, width)
