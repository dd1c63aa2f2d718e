"""Batches without padding waste."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of rows, and what padding is written with.

    `ids[i]` is a (tokens of row i) int64 array; `truncated` the rows that were cut to `max_length`.
    """

    ids: Sequence[np.ndarray]
    pad: int
    truncated: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, (rows,)."""
        return np.fromiter((len(row) for row in self.ids), dtype=np.int64, count=len(self.ids))

    def take(self, rows: Sequence[int] | np.ndarray) -> Encoded:
        """Some of the rows."""
        return Encoded([self.ids[i] for i in rows], self.pad)

    def batch(self, rows: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor]:
        """Right-padded `input_ids` and `attention_mask`, (rows, longest of them)."""
        chosen = [self.ids[i] for i in rows]
        longest = max(len(row) for row in chosen)
        ids = np.full((len(chosen), longest), self.pad, dtype=np.int64)
        mask = np.zeros((len(chosen), longest), dtype=np.int64)
        for at, row in enumerate(chosen):
            ids[at, : len(row)] = row
            mask[at, : len(row)] = 1
        return torch.from_numpy(ids), torch.from_numpy(mask)


@dataclass(frozen=True, slots=True)
class Marked(Encoded):
    """Rows of which only some tokens are learned.

    `weights[i]` is a (tokens of row i) float32 array: how much each token counts as a target, 0
    where it is only read; `rows[i]` the data row that row i was made from.
    """

    weights: Sequence[np.ndarray] = ()
    rows: Sequence[int] = ()

    def take(self, rows: Sequence[int] | np.ndarray) -> Marked:
        """Some of the rows."""
        return Marked(
            [self.ids[i] for i in rows],
            self.pad,
            (),
            [self.weights[i] for i in rows],
            [self.rows[i] for i in rows],
        )

    def and_also(self, other: Marked) -> Marked:
        """These rows, then the other's."""
        return Marked(
            [*self.ids, *other.ids],
            self.pad,
            (),
            [*self.weights, *other.weights],
            [*self.rows, *other.rows],
        )

    @property
    def learned(self) -> np.ndarray:
        """Targets of each row, (rows,)."""
        return np.array([int((w[1:] > 0).sum()) for w in self.weights], dtype=np.int64)

    def targets(self, rows: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """What a batch of these rows predicts.

        Returns:
            (targets, 2) row and position in the batch of the states that predict, (targets,) the
            token ids that come next, and (targets,) how much each counts.
        """
        at, ids, counts = [], [], []
        for number, row in enumerate(rows):
            places = np.flatnonzero(self.weights[row][1:] > 0)
            at.append(np.stack([np.full(len(places), number), places], axis=1))
            ids.append(self.ids[row][places + 1])
            counts.append(self.weights[row][places + 1])
        return (
            torch.from_numpy(np.concatenate(at)),
            torch.from_numpy(np.concatenate(ids)),
            torch.from_numpy(np.concatenate(counts).astype(np.float32)),
        )


def by_length(lengths: np.ndarray, rows_per_batch: int, tokens: int = 4096) -> list[np.ndarray]:
    """Row indices in batches of like length, longest first, so that what will not fit fails first.

    Args:
        lengths: (rows,) tokens.
        rows_per_batch: most rows in a batch of short texts.
        tokens: most tokens in a batch; a longer row stands alone.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        size = max(1, min(rows_per_batch, tokens // longest))
        batches.append(order[start : start + size])
        start += size
    return batches
