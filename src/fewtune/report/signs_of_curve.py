"""Signs in the curve of the losses: nothing moved, a rate too high, too few or too many steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import inf
from statistics import mean, median, stdev

from fewtune.report import words
from fewtune.report.facts import happened, part
from fewtune.report.signs import FEW_STEPS, Sign, Told, called, hardly_learned
from fewtune.report.signs_of_change import forgot, took_away


def frozen(told: Told) -> Iterator[Sign]:
    """Nothing could move: no gradient came, or the rate was nought."""
    steps = [*happened(told.facts, "step")]
    norms = [one.fields.get("grad_norm") for one in steps]
    rates = [one.fields.get("learning_rate") for one in steps]
    if norms and all(one == 0 for one in norms):
        yield Sign(
            "frozen",
            f"No gradient reached what trains in any of {words.several(len(norms), 'step')}: the "
            "model is as it was.",
            "Choose another --method, and report this with the run folder: it should not happen.",
        )
    elif rates and all(one == 0 for one in rates):
        yield Sign(
            "frozen",
            f"The learning rate was 0 in all {len(rates):,} steps: the model is as it was.",
            "Leave out --learning_rate, so that the method's measured default is used.",
        )
    else:
        yield from _part_frozen(told, len(steps))


def _part_frozen(told: Told, steps: int) -> Iterator[Sign]:
    """A part of the model is as it was, though it was to train and the run took its steps."""
    unreached = [called(name) for name, one in told.moved.items() if not one["gradient"]]
    if unreached:
        yield Sign(
            "frozen",
            f"No gradient reached {words.listed(unreached)} in any of "
            f"{words.several(steps, 'step')}, while the rest trained.",
            "Choose another --method, and report this with the run folder: it should not happen.",
        )
    elif told.still:
        how = [f"{called(name)} ({change:.1g} of its size)" for name, change in told.still.items()]
        yield Sign(
            "frozen",
            f"In {words.several(steps, 'step')} nothing moved of {words.listed(how)}.",
            _faster(told),
        )


def _faster(told: Told) -> str:
    """What to do about the rate of those that did not move."""
    given = part(told.facts.plan, "options")
    names = {"head_learning_rate": "head" in told.still, "learning_rate": True}
    for name, matters in names.items():
        if matters and name in given:
            return f"Leave out --{name}, so that the method's measured default is used."
    return "Give a higher --learning_rate."


def rate_too_high(told: Told) -> Iterator[Sign]:
    """The loss is no number, rises, or jumps far above where it began."""
    do = "Lower --learning_rate to a third."
    if "learning_rate" in part(told.facts.plan, "options"):
        do = "Lower --learning_rate to a third, or leave it out for the method's measured default."
    losses = told.losses
    if inf in losses:
        bad = losses.count(inf)
        yield Sign(
            "rate-too-high",
            f"The training loss was no number in {words.several(bad, 'step')} of {len(losses):,}.",
            do,
        )
        return
    if len(losses) < FEW_STEPS:
        return
    low, of, each = min(told.tenths), told.summed or 1, told.each
    if told.last > 1.3 * low and told.last - low > max(0.1, 4 * _between_tenths(losses)):
        yield Sign(
            "rate-too-high",
            f"The training loss rose again: {low / of:.2f}{each} at its lowest, "
            f"{told.last / of:.2f} at the end.",
            do,
        )
    elif len(jumps := _jumps(losses, told.first)) >= 2:
        worst = max(losses[k] for k in jumps)
        yield Sign(
            "rate-too-high",
            f"The training loss jumped in {len(jumps)} of {len(losses):,} steps, up to "
            f"{worst / of:.2f}{each} where it began at {told.first / of:.2f}.",
            f"{do} A longer --warmup_ratio and a lower --max_grad_norm help too.",
        )


def _noise(losses: list[float]) -> float:
    """The standard error of their mean."""
    return stdev(losses) / len(losses) ** 0.5 if len(losses) > 1 else 0.0


def _between_tenths(losses: list[float]) -> float:
    """The standard error of the difference of two tenths' means.

    From the differences of neighbours in the second half, whose trend falls out: the last tenth of
    thirty steps is three losses, by chance as good as equal, and the lowest tenth of ten is a
    choice. With four of it as the limit, steady losses that vary by 30 % "rose" in less than 1 of
    100 runs of 20 to 60 steps; by three of the last tenth's own they did in 16 to 33.
    """
    half = losses[len(losses) // 2 :]
    apart = [after - before for before, after in pairwise(half)]
    return stdev(apart) / (len(losses) / 10) ** 0.5


def _jumps(losses: list[float], start: float) -> list[int]:
    """Steps with three times the loss of their neighbours, above where the run began."""
    return [
        k
        for k, loss in enumerate(losses)
        if loss > start and loss > 3 * median(losses[max(0, k - 5) : k + 6])
    ]


def too_few_steps(told: Told) -> Iterator[Sign]:
    """Far fewer were asked for than suits the rows, or the loss was still falling at the end."""
    losses = told.losses
    if not losses or inf in losses or _wants_less(told):
        return
    if len(losses) >= FEW_STEPS and told.last < 0.25 * told.first:  # there is little left to learn
        return
    asked = [*_fewer_than_usual(told)]
    yield from asked or _still_falling(told)


def _wants_less(told: Told) -> bool:
    """Whether another sign asks for less training, which more steps would contradict."""
    rules = (overfitting, past_the_best, took_away, forgot)
    return any(True for rule in rules for _ in rule(told))


def _fewer_than_usual(told: Told) -> Iterator[Sign]:
    """Less than half of the steps that the method takes by default, because the user said so.

    It needs no curve, which is what a run of few steps does not have.
    """
    given = part(told.facts.plan, "options")
    flags = [f"--{name}" for name in ("max_steps", "num_train_epochs") if name in given]
    plans = [one.fields.get("usual") for one in happened(told.facts, "planned")]
    usual, steps = plans[-1] if plans else None, len(told.losses)
    if not flags or not usual or 2 * steps >= usual["steps"]:
        return
    if any(happened(told.facts, "stopped")):  # it ended by itself, and says why
        return
    passes = steps * usual["epochs"] / usual["steps"]
    measured = "" if told.writes else "measured "
    yield Sign(
        "too-few-steps",
        f"{words.several(steps, 'step')} {'is' if steps == 1 else 'are'} {passes:.2g} passes over "
        f"{words.several(usual['rows'], 'row')}, where the {measured}default of "
        f"`{told.facts.method}` is {usual['epochs']:.3g} passes ({usual['steps']:,} steps).",
        f"Leave out {words.listed(flags)}.",
    )


def _still_falling(told: Told) -> Iterator[Sign]:
    """The loss fell steeply when the run ended."""
    losses = told.losses
    if len(losses) < 2 * FEW_STEPS:
        return
    quarter = losses[-len(losses) // 4 :]
    before, after = quarter[: len(quarter) // 2], quarter[len(quarter) // 2 :]
    drop, of = mean(before) - mean(after), told.summed or 1
    if drop > 0.1 * mean(before) and drop > 3 * (_noise(before) ** 2 + _noise(after) ** 2) ** 0.5:
        yield Sign(
            "too-few-steps",
            f"The training loss still fell by {drop / mean(before):.0%} over the last "
            f"{words.several(len(after), 'step')}, from {mean(before) / of:.2f}{told.each} to "
            f"{mean(after) / of:.2f}.",
            f"Give more steps: twice the {_longer(told)}.",
        )


def _longer(told: Told) -> str:
    """The option that decides how long the run was."""
    by_steps = "max_steps" in part(told.facts.plan, "options")
    return "--max_steps" if by_steps else "--num_train_epochs"


def _by_heart(told: Told) -> bool:
    """Whether the training rows are explained and the scored ones are not."""
    held = told.held_out
    metric = "micro_f1" if told.several else "accuracy"
    right = part(part(told.facts.scores, "test"), metric).get("value", 0.0)
    if not told.comparable or held is None or right > 0.95:
        return False
    # rare labels bring the mean over labels near nought, so the distance is a whole row's
    return told.ended < 0.2 * held and told.summed * (held - told.ended) > 0.2


def overfitting(told: Told) -> Iterator[Sign]:
    """The rows are known by heart, and others are not."""
    if _by_heart(told):
        yield Sign(
            "overfitting",
            f"The training rows are known by heart (loss {told.ended:.3f}{told.each} at the "
            f"end) and others are not ({told.held_out:.3f} on the {told.facts.tested_row}s).",
            "More rows help most; else new ones (--augment auto), fewer --num_train_epochs, or a "
            "method that trains less (`lora`, `probe`).",
        )


def past_the_best(told: Told) -> Iterator[Sign]:
    """The validation loss rose again, and the last weights were kept."""
    seen = [
        (one.fields.get("step"), part(one.fields, "scores").get(told.key))
        for one in happened(told.facts, "validated")
    ]
    losses = [(loss, step) for step, loss in seen if isinstance(loss, int | float)]
    kept = any(one.fields.get("best_step") for one in happened(told.facts, "trained"))
    if len(losses) < 3 or kept:
        return
    best, at = min(losses)
    last = losses[-1][0]
    if last > 1.15 * best and last - best > 0.05:
        yield Sign(
            "overfitting",
            f"The validation loss was lowest at step {at} ({best:.3f}) and {last:.3f} at the end.",
            "Keep the best weights (--load_best_model_at_end) or stop in time "
            "(--early_stopping_patience 3).",
        )


def underfitting(told: Told) -> Iterator[Sign]:
    """Not even the training rows were learned."""
    if hardly_learned(told):
        who = "the untouched model" if told.writes else "knowing only the shares"
        what = "answers" if told.writes else "labels"
        yield Sign(
            "underfitting",
            "Even the training rows were hardly learned: their loss ended at "
            f"{told.ended:.2f}{told.each}, where {who} gives {told.blind:.2f}.",
            "Train more of the model (`full`, `lora` with a larger --lora_r), longer "
            f"(--num_train_epochs), or with a higher --learning_rate; and look at the {what}.",
        )
