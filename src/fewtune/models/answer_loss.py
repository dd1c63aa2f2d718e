"""Cross-entropy behind a language model's head, without ever holding the logits of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fewtune.models.head import Head

CHUNK = 2**24  # logits held at once; 64 MiB in float32
ROWS = 8192  # of the head whose gradient is summed at once


class AnswerLoss(torch.autograd.Function):
    """Summed, weighted -log softmax(W h + b)[target], chunk by chunk of positions.

    The gradient is made in the forward pass, while a chunk's logits are there: with p the softmax,
    dL/dh = weight (p - onehot) W, dL/dW = weight (p - onehot)^T h. So a step holds one chunk of
    logits, where the usual path holds those of all positions three times (values, log-softmax and
    gradient).
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        counts: Tensor,
    ) -> Tensor:
        """The summed loss, a scalar in float32.

        Args:
            states: (positions, width).
            weight: (vocabulary, width).
            bias: (vocabulary,) or None.
            targets: (positions,) token ids.
            counts: (positions,) how much each counts.
        """
        wants_states, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        to_states = torch.empty_like(states) if wants_states else None
        # summed in float32: in bfloat16 a chunk's small share is rounded off what is there already
        exact = torch.float32
        to_weight = torch.zeros_like(weight, dtype=exact) if wants_weight else None
        to_bias = torch.zeros_like(bias, dtype=exact) if wants_bias and bias is not None else None
        for at in range(0, len(states), size := max(1, CHUNK // len(weight))):
            here = slice(at, at + size)
            logits = nn.functional.linear(states[here], weight, bias).float()
            log_sum = logits.logsumexp(1, keepdim=True)
            own = logits.gather(1, targets[here, None])
            total += ((log_sum - own).squeeze(1) * counts[here]).sum()
            if not (wants_states or wants_weight or wants_bias):
                continue
            wrong = logits.sub_(log_sum).exp_()  # the softmax, in the logits' own memory
            wrong.scatter_add_(1, targets[here, None], torch.full_like(own, -1.0))
            wrong *= counts[here, None]
            low = wrong.to(states.dtype)
            if to_states is not None:
                to_states[here] = low @ weight.to(low.dtype)
            if to_weight is not None:
                _add_product(to_weight, low, states[here])
            if to_bias is not None:
                to_bias += wrong.sum(0)
        to_weight = None if to_weight is None else to_weight.to(weight.dtype)
        to_bias = None if to_bias is None or bias is None else to_bias.to(bias.dtype)
        ctx.save_for_backward(*(t for t in (to_states, to_weight, to_bias) if t is not None))
        ctx.has = (to_states is not None, to_weight is not None, to_bias is not None)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients that the forward pass made, scaled by what comes from above."""
        (above,) = grads
        saved = iter(ctx.saved_tensors)
        found = [next(saved) * above if there else None for there in ctx.has]
        return *found, None, None


def _add_product(total: Tensor, one: Tensor, other: Tensor) -> None:
    """`total += one.T @ other`, some rows at once: the product, and its copy in the total's
    precision, would each be as large as the head.
    """
    for first in range(0, len(total), ROWS):
        rows = slice(first, first + ROWS)
        total[rows] += one[:, rows].T @ other


def answer_loss(head: Head, states: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """Summed loss of some positions.

    Args:
        head: as `head_of` gives it.
        states: (positions, width), what the head reads.
        targets: (positions,) token ids.
        counts: (positions,) float32, how much each counts.
    """
    weight, bias = head.weight, head.bias
    if torch.is_autocast_enabled(states.device.type):
        low = torch.get_autocast_dtype(states.device.type)
        states, weight = states.to(low), weight.to(low)
        bias = None if bias is None else bias.to(low)
    return AnswerLoss.apply(states, weight, bias, targets, counts)


@torch.no_grad()
def answer_scores(head: Head, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Of each position the loss in nats and whether the head's first choice is the target.

    Args:
        states: (positions, width).
        targets: (positions,) token ids.

    Returns:
        (positions,) float32 and (positions,) bool.
    """
    losses, right = [], []
    for at in range(0, len(states), size := max(1, CHUNK // len(head.weight))):
        logits = head(states[at : at + size])
        own = targets[at : at + size]
        losses.append(nn.functional.cross_entropy(logits, own, reduction="none"))
        right.append(logits.argmax(1) == own)
    if not losses:
        return states.new_zeros(0), torch.zeros(0, dtype=torch.bool)
    return torch.cat(losses), torch.cat(right)
