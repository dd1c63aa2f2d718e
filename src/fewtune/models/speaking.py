"""Answers, token by token, with a cache: in batches of like length, as if each row were alone.

Rows are padded on the left and told their positions, virtual tokens stand directly before a row's
first token, and finished rows leave the batch, so that one long answer does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewtune.models.batches import by_length
from fewtune.models.causal import CausalModel
from fewtune.models.chat import stop_ids
from fewtune.models.decoding import DecodingOptions
from fewtune.models.device import Machine, frozen_in_bf16, placed
from fewtune.models.head import head_of
from fewtune.models.ladder import in_halves, watched

ROWS = 64  # in a batch of short prompts
TOKENS = 16_384  # in a batch, answers not counted

Text = Callable[[Sequence[int]], str]


@dataclass(frozen=True, slots=True)
class Said:
    """An answer.

    Attributes:
        ids: its tokens, without the one that ended it.
        stopped: True where the model ended it itself, False where it was cut off.
    """

    ids: list[int]
    stopped: bool


@dataclass(frozen=True)
class Speaker:
    """A language model and how it is to answer.

    Attributes:
        stop_ids: tokens that end an answer.
        text: tokens as text, for stop strings.
        pad: the token that padding is written with.
        positions: the most tokens of prompt and answer together.
        silent: tokens that are never said (a model's own `suppress_tokens`).
    """

    model: CausalModel
    machine: Machine
    stop_ids: Sequence[int]
    text: Text
    pad: int
    positions: int
    silent: Sequence[int] = ()

    def answers(
        self, prompts: Sequence[np.ndarray], decoding: DecodingOptions, seed: int = 0
    ) -> list[Said]:
        """Answers in the prompts' order.

        What a row is answered does not depend on the rows beside it: it has its own random numbers.

        Args:
            prompts: token ids, each (tokens,) and not empty.
        """
        found: dict[int, Said] = {}
        for said in self.batches(prompts, decoding, seed):
            found |= said
        return [found[k] for k in range(len(prompts))]

    def batches(
        self,
        prompts: Sequence[np.ndarray],
        decoding: DecodingOptions,
        seed: int = 0,
        known: Collection[int] = (),
    ) -> Iterator[dict[int, Said]]:
        """The same as they come, by the prompts' numbers.

        Args:
            known: numbers that are answered already; the others stay in the batches that they
                would have been in, for rounding depends on a batch's size.
        """
        lengths = np.array([len(one) for one in prompts])

        def said_by(rows: np.ndarray) -> dict[int, Said]:
            batch = _Batch.of(self, [prompts[k] for k in rows], decoding, seed, rows.tolist())
            for _ in batch.steps():
                pass
            return batch.said()

        with watched(self.model):
            batches = by_length(lengths, ROWS, TOKENS)
            left = [np.array([k for k in one.tolist() if k not in known]) for one in batches]
            for _, said in in_halves((one for one in left if len(one)), said_by, "generation"):
                yield said

    def stream(self, prompt: np.ndarray, decoding: DecodingOptions, seed: int = 0) -> Iterator[int]:
        """One answer, token by token."""
        batch = _Batch.of(self, [prompt], decoding, seed, [0])
        for tokens in batch.steps():
            yield from tokens.values()


def speaker_of(model: CausalModel, tokenizer: Any, machine: Machine) -> Speaker:
    """A model with its tokenizer's stop tokens and its own `generation_config`'s."""
    own = model.whole().generation_config
    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    return Speaker(
        model,
        machine,
        stop_ids(tokenizer, ends),
        lambda ids: tokenizer.decode(ids, skip_special_tokens=True),
        tokenizer.pad_token_id,
        model.positions,
        own.suppress_tokens or (),
    )


@dataclass
class _Row:
    """A row on its way."""

    number: int
    prompt: np.ndarray
    draw: torch.Generator
    ids: list[int] = field(default_factory=list)
    stopped: bool = False


@dataclass
class _Batch:
    """Rows that are answered side by side. `alive` are those still in the cache."""

    speaker: Speaker
    decoding: DecodingOptions
    rows: list[_Row]
    alive: list[_Row]

    @classmethod
    def of(
        cls,
        speaker: Speaker,
        prompts: Sequence[np.ndarray],
        decoding: DecodingOptions,
        seed: int,
        numbers: Sequence[int],
    ) -> _Batch:
        """A batch before its first step."""
        rows = [
            _Row(number, prompt, torch.Generator().manual_seed(seed * 1_000_003 + number))
            for number, prompt in zip(numbers, prompts, strict=True)
        ]
        return cls(speaker, decoding, rows, list(rows))

    def said(self) -> dict[int, Said]:
        """What every row said, by its number."""
        return {row.number: Said(row.ids, row.stopped) for row in self.rows}

    @torch.inference_mode()
    def steps(self) -> Iterator[dict[int, int]]:
        """Say one token for every row that is not done; gives them by row number."""
        model, machine = self.speaker.model, self.speaker.machine
        placed(model.eval(), machine)
        head = head_of(model, machine)
        with frozen_in_bf16(model, machine):
            with machine.autocast():
                states, cache, mask = self._read()
            for _ in range(self.decoding.max_new_tokens):
                tokens = self._choose(head(states).cpu())
                yield self._take(tokens)
                keep = [k for k, row in enumerate(self.alive) if not self._done(row)]
                if not keep:
                    return
                chosen = torch.tensor([self.alive[k].ids[-1] for k in keep])[:, None]
                mask = self._leave(keep, cache, mask)
                with machine.autocast():
                    states, cache, mask = self._next(chosen, cache, mask)

    def _read(self) -> tuple[Tensor, Any, Tensor]:
        """Run the prompts: the last states (rows, width), the cache, the mask over all of it."""
        backbone, device = self.speaker.model.backbone, self.speaker.machine.device
        ids, mask = self._left_padded()
        opening = getattr(backbone, "opening", None)
        vectors, cache = opening(len(ids)) if opening else (None, None)
        base: Any = backbone.base if opening else backbone
        given: dict[str, Any] = {"input_ids": ids.to(device)}
        if vectors is not None:
            embedded = base.get_input_embeddings()(ids.to(device))
            given = {"inputs_embeds": _behind(embedded, mask, vectors)}
            mask = torch.cat([mask, mask.new_ones(len(mask), vectors.shape[1])], dim=1).sort(1)[0]
        if cache is not None:
            mask = torch.cat([mask.new_ones(len(mask), cache.get_seq_length()), mask], dim=1)
        return self._run(base, given, cache, mask)

    def _next(self, ids: Tensor, cache: Any, mask: Tensor) -> tuple[Tensor, Any, Tensor]:
        backbone = self.speaker.model.backbone
        base = backbone.base if hasattr(backbone, "opening") else backbone
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        return self._run(base, {"input_ids": ids.to(self.speaker.machine.device)}, cache, mask)

    def _run(
        self, base: Any, given: dict[str, Any], cache: Any, mask: Tensor
    ) -> tuple[Tensor, Any, Tensor]:
        from fewtune.models.roomy import with_room

        device = self.speaker.machine.device
        count = next(iter(given.values())).shape[1]
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -count:]
        out = base(
            **given,
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            past_key_values=cache,
            use_cache=True,
        )
        return out.last_hidden_state[:, -1], with_room(out.past_key_values), mask

    def _left_padded(self) -> tuple[Tensor, Tensor]:
        longest = max(len(row.prompt) for row in self.rows)
        ids = np.full((len(self.rows), longest), self.speaker.pad, dtype=np.int64)
        mask = np.zeros((len(self.rows), longest), dtype=np.int64)
        for at, row in enumerate(self.rows):
            ids[at, longest - len(row.prompt) :] = row.prompt
            mask[at, longest - len(row.prompt) :] = 1
        return torch.from_numpy(ids), torch.from_numpy(mask)

    def _choose(self, logits: Tensor) -> list[int]:
        """The next token of every row that is in the cache."""
        if len(self.speaker.silent):
            logits[:, list(self.speaker.silent)] = -torch.inf
        decoding = self.decoding
        if decoding.repetition_penalty != 1:
            for at, row in enumerate(self.alive):
                seen = [*row.prompt.tolist(), *row.ids]
                _hold_back(logits[at], seen, decoding.repetition_penalty)
        if decoding.temperature == 0:
            return logits.argmax(1).tolist()
        logits = _sharpened(logits, decoding)
        chances = logits.softmax(1)
        return [
            int(torch.multinomial(chances[at], 1, generator=row.draw))
            for at, row in enumerate(self.alive)
        ]

    def _take(self, tokens: Sequence[int]) -> dict[int, int]:
        """Write the tokens down; those that end an answer are not part of it."""
        given = {}
        for row, token in zip(self.alive, tokens, strict=True):
            if token in self.speaker.stop_ids:
                row.stopped = True
                continue
            row.ids.append(token)
            given[row.number] = token
            if self.decoding.stops and self._at_stop_text(row):
                row.stopped = True
        return given

    def _at_stop_text(self, row: _Row) -> bool:
        return any(stop in self.speaker.text(row.ids) for stop in self.decoding.stops)

    def _done(self, row: _Row) -> bool:
        used = self.speaker.model.taken_positions + len(row.prompt) + len(row.ids)
        full = used >= self.speaker.positions
        return row.stopped or full or len(row.ids) >= self.decoding.max_new_tokens

    def _leave(self, keep: list[int], cache: Any, mask: Tensor) -> Tensor:
        """Take finished rows out of the cache."""
        if len(keep) < len(self.alive):
            self.alive = [self.alive[k] for k in keep]
            at = torch.tensor(keep)
            cache.batch_select_indices(at.to(self.speaker.machine.device))
            mask = mask[at]
        return mask


def _behind(embedded: Tensor, mask: Tensor, vectors: Tensor) -> Tensor:
    """Left-padded embeddings with virtual tokens before each row's first token.

    Args:
        embedded: (rows, tokens, width).
        mask: (rows, tokens).
        vectors: (rows, virtual tokens, width).
    """
    rows = []
    for one, first, virtual in zip(embedded, (mask == 0).sum(1).tolist(), vectors, strict=True):
        rows.append(torch.cat([one[:first], virtual.to(one.dtype), one[first:]]))
    return torch.stack(rows)


def _hold_back(logits: Tensor, seen: Sequence[int], penalty: float) -> None:
    """Keskar et al. 2019, arXiv:1909.05858, section 4.1: seen tokens lose, whatever their sign."""
    at = torch.tensor(sorted(set(seen)))
    own = logits[at]
    logits[at] = torch.where(own > 0, own / penalty, own * penalty)


def _sharpened(logits: Tensor, decoding: DecodingOptions) -> Tensor:
    """Temperature, then what may be sampled at all, by transformers' own warpers."""
    from transformers.generation import logits_process as warpers

    chain: list[Any] = [warpers.TemperatureLogitsWarper(float(decoding.temperature))]
    if decoding.top_k:
        chain.append(warpers.TopKLogitsWarper(decoding.top_k))
    if decoding.top_p and decoding.top_p < 1:
        chain.append(warpers.TopPLogitsWarper(decoding.top_p))
    if decoding.min_p:
        chain.append(warpers.MinPLogitsWarper(decoding.min_p))
    none = torch.zeros(len(logits), 0, dtype=torch.long)
    for warp in chain:
        logits = warp(none, logits)
    return logits


@torch.inference_mode()
def answer_losses(
    model: CausalModel, rows: Any, machine: Machine, size: int = 64
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How well a model expects the learned tokens of rows.

    Args:
        rows: `Marked`.

    Returns:
        Of each row the summed loss in nats, the number of learned tokens, and how many of them were
        the model's first choice; each (rows,).
    """
    from fewtune.models.answer_loss import answer_scores

    placed(model.eval(), machine)
    head = head_of(model, machine)
    loss, count, right = (np.zeros(len(rows)) for _ in range(3))

    def scored(chosen: np.ndarray) -> tuple[np.ndarray, Tensor, Tensor]:
        ids, mask = (t.to(machine.device) for t in rows.batch(chosen))
        at, targets, _ = rows.targets(chosen)
        states = model.features(ids, mask)[at[:, 0], at[:, 1]]
        each, hit = answer_scores(head, states, targets.to(machine.device))
        return chosen[at[:, 0].numpy()], each.double().cpu(), hit.cpu()

    with frozen_in_bf16(model, machine), machine.autocast(), watched(model):
        batches = by_length(rows.lengths, size)
        for _, (owner, each, hit) in in_halves(batches, scored, "evaluation"):
            np.add.at(loss, owner, each.numpy())
            np.add.at(right, owner, hit.numpy())
            np.add.at(count, owner, 1)
    return loss, count, right
