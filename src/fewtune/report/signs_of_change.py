"""Signs in what training changed: worse than before, something forgotten, a race cut short."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, inf
from typing import Any

from fewtune.base.race_state import RaceState
from fewtune.evaluate.change import forgets
from fewtune.evaluate.verdict import LEVEL
from fewtune.report import words
from fewtune.report.facts import part
from fewtune.report.signs import Sign, Told, called, hardly_learned


def out_of_time(told: Told) -> Iterator[Sign]:
    """Candidates were ahead of the chosen one, beyond chance, when the race's time ran out."""
    chosen = part(told.facts.plan, "chosen")
    found = part(chosen, "race")
    table: list[dict[str, Any]] = next(
        (one["table"] for one in chosen.get("trials") or () if one.get("what") == "methods"), []
    )
    own: dict[str, Any] = next((one for one in table if one["state"] == RaceState.CHOSEN), {})
    ahead = [
        one
        for one in table
        if one["state"] == RaceState.LATE and one.get("low", -inf) > (own.get("gain") or 0.0)
    ]
    if not ahead or not own:
        return
    folds = own["folds"]
    more = sum(one["seconds"] * (folds - one["folds"]) for one in ahead)
    last = max(one["seconds"] for one in ahead) * folds / max(1, folds - 1)
    minutes = ceil((float(found.get("budget") or 0.0) + more + last) / 60)
    names = words.listed([f"`{one['name']}`" for one in ahead])
    yield Sign(
        "out-of-time",
        f"{names} {'was' if len(ahead) == 1 else 'were'} ahead of `{own['name']}` on the folds "
        "that there was time for.",
        f"Give the race more time: --budget {minutes}m.",
    )


def took_away(told: Told) -> Iterator[Sign]:
    """Training made the model worse than it was without, though it learned its rows."""
    if not told.losses or hardly_learned(told):
        return
    if told.still and told.still.keys() == told.moved.keys():  # what is worse was so before
        return
    for name in ("probe", "before"):
        found = part(part(part(told.facts.scores, "gain"), "all"), name)
        high = found.get("high")
        if high is not None and high < 0 and (found.get("p") or 0) < LEVEL:
            key = told.facts.primary
            less = words.points(key, -found["value"], signed=False)
            halfway = "fewer --num_train_epochs" if told.writes else "--wise_ft_alpha 0.5"
            yield Sign(
                "moved-too-much",
                f"Training moved the model away from what it knew{_how_far(told)}: {less} worse "
                f"than {words.baseline_name(name)} ({words.p_value(found.get('p'))}).",
                f"Use that instead, or train less: `lora`, a third of the --learning_rate, "
                f"{halfway}.",
            )
            return


def _how_far(told: Told) -> str:
    """By how much of their size the parts moved; what began at zero has none to tell it by."""
    found = [
        f"{called(name)} by {words.share(one['change'])}"
        for name, one in told.moved.items()
        if not one["from_zero"]
    ]
    return f" (the weights of {words.listed(found)})" if found else ""


def forgot(told: Told) -> Iterator[Sign]:
    """General texts became unlikely."""
    recall = part(told.facts.scores, "recall")
    change, before = part(recall, "change"), part(recall, "before").get("value")
    if before and forgets(change):
        yield Sign(
            "moved-too-much",
            f"Much was forgotten{_how_far(told)}: the loss on general texts rose from "
            f"{before:.2f} by {change['value']:.2f} ({change['low']:.2f} to {change['high']:.2f}) "
            "nats a token.",
            "Train less: a third of the --learning_rate, fewer --num_train_epochs, or a smaller "
            "--lora_r.",
        )
