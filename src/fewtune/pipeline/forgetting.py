"""What a language model forgot: its loss on general texts before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.base.files import found
from fewtune.data.columns import Role
from fewtune.data.dialogue import waiting
from fewtune.data.ledger import Unusable
from fewtune.data.read import read_rows
from fewtune.data.row import Origin, Row
from fewtune.evaluate.answers import Likelihood, boiled
from fewtune.evaluate.change import forgets
from fewtune.evaluate.generate import gain, score
from fewtune.evaluate.overlap import rouge
from fewtune.evaluate.passages import passages, prompts
from fewtune.evaluate.texts import characters
from fewtune.methods.base import Method
from fewtune.methods.voice import Voice
from fewtune.models.decoding import DecodingOptions

if TYPE_CHECKING:
    from torch import Tensor

    from fewtune.models.batches import Marked
    from fewtune.models.divergence import States

FEWEST = 10  # general texts that the untouched model knows, below which nothing is said
UNKNOWN = (
    "the untouched model finds the general texts less likely than guessing, so there is nothing "
    "that it could forget of them; give texts of its own kind (--general FILE)."
)
ANSWERED = 48  # tokens of an answer to a general prompt
SHOWN = 6  # of those answers kept
SCALES = (0.25, 0.5, 0.75)  # between the base and the whole of what was learned

Losses = tuple[np.ndarray, np.ndarray, np.ndarray]  # as `Voice.losses` gives them


def general_rows(path: str | None) -> list[Row]:
    """Texts that have nothing to do with the task: the user's, or fewtune's own passages.

    Raises:
        UsageError: there is no such file, or no column of texts.
        FewtuneError: no row of it holds a text.
    """
    if path:
        from fewtune.data.options import DataOptions

        return read_rows(found(path, "general"), [Role("text")], DataOptions()).rows
    texts = passages("both")
    return [Row(Origin("general", k), {"text": text}) for k, text in enumerate(texts, 1)]


def general_losses(voice: Voice, general: Sequence[Row]) -> Losses:
    """A model's losses on general texts."""
    return voice.losses(first_parts(voice, general))


def first_parts(voice: Voice, general: Sequence[Row]) -> Marked:
    """General texts as tokens; of a long one, its first part says enough."""
    rows = voice.encode(general).rows
    return rows.take(np.unique(np.asarray(rows.rows), return_index=True)[1])


def known(before: Losses, vocabulary: int) -> list[int]:
    """Positions of the texts that the untouched model finds likelier than guessing does.

    The others are none that it could forget.
    """
    return np.flatnonzero(before[0] < before[1] * np.log(vocabulary)).tolist()


def recalled(now: Losses, before: Losses, known: Sequence[int], seed: int) -> dict[str, Any]:
    """How the loss on the known texts changed; positive means that something was forgotten.

    Returns:
        `passages` (how many count) and `known`; where they are enough also `loss`, `before`,
        `change` with their intervals, and `p`.
    """
    if len(known) < FEWEST:
        return {"passages": len(known), "known": False}
    ours, base = (
        boiled(likelihood=Likelihood(*(one[list(known)] for one in part))) for part in (now, before)
    )
    change = gain(ours, {"before": base}, "", "loss", seed=seed)
    return {
        "passages": len(known),
        "known": True,
        "loss": score(ours, seed=seed)["loss"],
        "before": score(base, seed=seed)["loss"],
        "change": {"value": -change["value"], "low": -change["high"], "high": -change["low"]},
        "p": change["p"],
    }


def drifted(
    voice: Voice, base: Voice, method: Method, general: Sequence[Row], seed: int
) -> dict[str, Any]:
    """How far the tuned model's next-token shares and its answers have moved from the base's.

    Args:
        voice: the tuned model.
        base: the untouched one; the same model, switched off, where the method can do that. It is
            left switched off.
        general: texts that the untouched model knows.

    Returns:
        `divergence`: KL(base || tuned) in nats a token; where the chat template takes general
        prompts, `overlap` of the answers to them (ROUGE-L by characters, 1 where they are the
        same) and `answers`: some of them.
    """
    from fewtune.models.divergence import divergence
    from fewtune.models.head import head_of

    same = base.model is voice.model

    def states(on: bool) -> States:
        def make(ids: Tensor, mask: Tensor) -> Tensor:
            if same:
                method.switch(voice.model, on)
            return (voice if on else base).model.features(ids, mask)

        return make

    rows = first_parts(voice, general)
    heads = head_of(base.model, base.machine), head_of(voice.model, voice.machine)
    total, count = divergence(
        rows, voice.machine, (states(False), heads[0]), (states(True), heads[1])
    )
    found: dict[str, Any] = {"divergence": float(total.sum() / count.sum())}
    asked = [text for text in prompts("both") if _can_be_asked(voice, text)]
    if not asked:
        return found
    talks, decoding = [waiting(text) for text in asked], DecodingOptions(max_new_tokens=ANSWERED)
    if same:
        method.switch(voice.model, True)
    after = [one.text for one in voice.answer(talks, decoding, seed)]
    if same:
        method.switch(voice.model, False)
    before = [one.text for one in base.answer(talks, decoding, seed)]
    overlap = [rouge(new, old, characters)[-1] for new, old in zip(after, before, strict=True)]
    shown = list(zip(asked, before, after, strict=True))[:SHOWN]
    answers = [{"text": a, "before": b, "prediction": c} for a, b, c in shown]
    return found | {"overlap": float(np.mean(overlap)), "answers": answers}


def _can_be_asked(voice: Voice, text: str) -> bool:
    """Whether the chat template takes a question alone; some insist on a system text."""
    try:
        voice.look_at(waiting(text))
    except Unusable:
        return False
    return True


def curve(
    voice: Voice, method: Method, rows: Marked, general: Sequence[Row]
) -> list[dict[str, float]]:
    """The task's loss beside that on general texts, with less and less of what was learned.

    Returns:
        `scale`, `loss` and `general` (nats a token) at some scales between 0 and 1; nothing where
        the method cannot be scaled. The model is left as it was.
    """
    found: list[dict[str, float]] = []
    if len(general) < FEWEST:
        return found
    for by in SCALES:
        if not method.scale(voice.model, by):
            break
        own, other = voice.losses(rows), general_losses(voice, general)
        found.append({"scale": by, "loss": _mean(own), "general": _mean(other)})
    method.scale(voice.model, 1.0)
    return found


def _mean(losses: Losses) -> float:
    return float(losses[0].sum() / losses[1].sum())


def told(scores: dict[str, Any], method: Method) -> Iterator[Event]:
    """What the user should know of it."""
    recall = scores["recall"]
    if not recall["known"]:
        yield tell("warned", message=UNKNOWN)
        return
    yield tell("recalled", **{k: recall[k] for k in ("passages", "loss", "before", "change")})
    change = recall["change"]
    if forgets(change):
        whole = [one.name for one in method.parts() if one.trains_words]
        other = f", `lora` in place of `{whole[0]}`" if whole else ""
        message = (
            f"the loss on general texts rose by {change['value']:.2f} nats a token "
            f"({change['low']:.2f} to {change['high']:.2f}): the model forgets what it knew. A "
            f"lower learning_rate, fewer epochs{other} or --replay FILE forget less."
        )
        scores["warnings"].append(message)
        yield tell("warned", message=message)
