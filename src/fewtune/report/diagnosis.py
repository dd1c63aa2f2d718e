"""What a finished run's record says went wrong, with the numbers, and what to do next.

Each sign is a small function of what was recorded; RULES is all of them. Thresholds are coarse on
purpose: a sign is worth a sentence only where it is plain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf, isfinite
from statistics import mean, median, stdev
from typing import Any

from fewtune.report import words
from fewtune.report.facts import Facts, happened, part

FEW_STEPS = 20  # with fewer a curve says nothing
NAMED = 5  # rows named in a sentence
SURE, UNLIKELY = 0.9, 0.01  # of another label, and of the one that was written
BOASTS = 0.1  # share of the sure answers that may be wrong beyond what their probabilities say


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that the record shows.

    Attributes:
        code: the rule's name.
        said: a sentence with the numbers.
        do: what to do next, a sentence.
    """

    code: str
    said: str
    do: str


@dataclass(frozen=True)
class Told:
    """The parts of a record that rules look at."""

    facts: Facts

    @cached_property
    def losses(self) -> list[float]:
        """The training loss of every step, in order; what was no number is infinite."""
        steps = {one.fields.get("step"): one for one in happened(self.facts, "step")}
        found = (one.fields.get("loss") for one in steps.values())
        return [one if isinstance(one, int | float) and isfinite(one) else inf for one in found]

    @cached_property
    def comparable(self) -> bool:
        """Whether training losses and held-out losses are of the same kind, and enough of them.

        Of several labels a row, training sums the loss over labels and the score is their mean.
        """
        options = part(self.facts.plan, "train")
        changed = options.get("label_smoothing_factor")
        changed = changed or options.get("class_weights") == "balanced"
        changed = changed or self.facts.task == "multilabel"
        return len(self.losses) >= FEW_STEPS and inf not in self.losses and not changed

    @cached_property
    def tenths(self) -> list[float]:
        """The mean training loss of each tenth of the run."""
        size = len(self.losses) / 10
        return [mean(self.losses[int(k * size) : int((k + 1) * size)]) for k in range(10)]

    @property
    def first(self) -> float:
        """The training loss at the start."""
        return self.tenths[0]

    @property
    def last(self) -> float:
        """The training loss at the end."""
        return self.tenths[-1]

    @cached_property
    def key(self) -> str:
        """What a held-out row's loss is called."""
        return "loss" if self.facts.task == "generate" else "log_loss"

    @cached_property
    def held_out(self) -> float | None:
        """The loss of the scored rows."""
        value = part(part(self.facts.scores, "test"), self.key).get("value")
        return None if value is None else float(value)

    @cached_property
    def blind(self) -> float | None:
        """The loss of who knows nothing of the rows: the untouched model, or class shares."""
        name = "before" if self.facts.task == "generate" else "majority"
        block = part(part(self.facts.scores, "baselines"), name)
        value = part(block, self.key).get("value")
        return None if value is None else float(value)


def diagnose(facts: Facts) -> list[Sign]:
    """Every sign of trouble in a run's record, the gravest first; none is good news."""
    told = Told(facts)
    return [sign for rule in RULES for sign in rule(told)]


Rule = Callable[[Told], Iterator[Sign]]


# ---- the curve of the training loss


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


def rate_too_high(told: Told) -> Iterator[Sign]:
    """The loss is no number, rises, or jumps far above where it began."""
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
    low = min(told.tenths)
    noise = _noise(losses[-len(losses) // 10 :])
    if told.last > 1.3 * low and told.last - low > max(0.1, 3 * noise):
        yield Sign(
            "rate-too-high",
            f"The training loss rose again: {low:.2f} at its lowest, {told.last:.2f} at the end.",
            do,
        )
    elif len(jumps := _jumps(losses, told.first)) >= 2:
        worst = max(losses[k] for k in jumps)
        yield Sign(
            "rate-too-high",
            f"The training loss jumped in {len(jumps)} of {len(losses):,} steps, up to {worst:.2f} "
            f"where it began at {told.first:.2f}.",
            f"{do} A longer --warmup_ratio and a lower --max_grad_norm help too.",
        )


def _noise(losses: list[float]) -> float:
    """The standard error of their mean."""
    return stdev(losses) / len(losses) ** 0.5 if len(losses) > 1 else 0.0


def _jumps(losses: list[float], start: float) -> list[int]:
    """Steps with three times the loss of their neighbours, above where the run began."""
    return [
        k
        for k, loss in enumerate(losses)
        if loss > start and loss > 3 * median(losses[max(0, k - 5) : k + 6])
    ]


def too_few_steps(told: Told) -> Iterator[Sign]:
    """The loss was still falling steeply when the run ended."""
    losses = told.losses
    if len(losses) < 2 * FEW_STEPS or inf in losses or told.last < 0.25 * told.first:
        return
    quarter = losses[-len(losses) // 4 :]
    before, after = quarter[: len(quarter) // 2], quarter[len(quarter) // 2 :]
    drop = mean(before) - mean(after)
    if drop > 0.1 * mean(before) and drop > 3 * (_noise(before) ** 2 + _noise(after) ** 2) ** 0.5:
        yield Sign(
            "too-few-steps",
            f"The training loss still fell by {drop / mean(before):.0%} over the last "
            f"{words.several(len(after), 'step')}, from {mean(before):.2f} to {mean(after):.2f}.",
            "Give more steps: twice the --num_train_epochs.",
        )


def overfitting(told: Told) -> Iterator[Sign]:
    """The rows are known by heart, and others are not."""
    held = told.held_out
    right = part(part(told.facts.scores, "test"), "accuracy").get("value", 0.0)
    if not told.comparable or held is None or right > 0.95:
        return
    if told.last < 0.2 * held and held - told.last > 0.2:
        yield Sign(
            "overfitting",
            f"The training rows are known by heart (loss {told.last:.3f} at the end) and others "
            f"are not ({held:.3f} on the {told.facts.tested_row}s).",
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
    if len(losses) < 3:
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


def hardly_learned(told: Told) -> bool:
    """Whether the training loss ended near that of who knows nothing of the rows."""
    if not told.comparable or not told.blind:
        return False
    return told.last / told.blind > (0.95 if told.facts.task == "generate" else 0.6)


def underfitting(told: Told) -> Iterator[Sign]:
    """Not even the training rows were learned."""
    if hardly_learned(told):
        who = "the untouched model" if told.facts.task == "generate" else "knowing only the shares"
        yield Sign(
            "underfitting",
            f"Even the training rows were hardly learned: their loss ended at {told.last:.2f}, "
            f"where {who} gives {told.blind:.2f}.",
            "Train more of the model (`full`, `lora` with a larger --lora_r), longer "
            "(--num_train_epochs), or with a higher --learning_rate; and look at the labels.",
        )


# ---- the scored rows


def unstable(told: Told) -> Iterator[Sign]:
    """The folds disagree more than chance explains (chi-squared)."""
    counts: dict[int, list[int]] = {}
    for one in told.facts.predictions:
        if one.get("fold"):
            hits = counts.setdefault(one["fold"], [0, 0])
            hits[one.get("prediction") == one.get("label")] += 1
    wrong, right = (sum(one[k] for one in counts.values()) for k in (0, 1))
    if len(counts) < 2 or not wrong or not right:
        return
    from scipy.stats import chi2_contingency

    p = float(chi2_contingency([*counts.values()]).pvalue)
    if p < 0.01:
        shares = [hits / (hits + misses) for misses, hits in counts.values()]
        column = part(told.facts.plan, "data").get("group")
        do = (
            f"The folds hold different values of {column}: expect new ones to differ as much, and "
            "collect rows of more of them."
            if column
            else "Look whether rows come in groups (a machine, a writer, a day) and name their "
            "column with --group; --repeats 3 tries more folds."
        )
        yield Sign(
            "unstable",
            f"The folds disagree more than chance explains: {100 * min(shares):.0f} to "
            f"{100 * max(shares):.0f} % are right ({words.p_value(p)}).",
            do,
        )


def out_of_time(told: Told) -> Iterator[Sign]:
    """Candidates were ahead of the chosen one, beyond chance, when the race's time ran out."""
    chosen = part(told.facts.plan, "chosen")
    found = part(chosen, "race")
    table: list[dict[str, Any]] = next(
        (one["table"] for one in chosen.get("trials") or () if one.get("what") == "methods"), []
    )
    own: dict[str, Any] = next((one for one in table if one["state"] == "chosen"), {})
    ahead = [
        one
        for one in table
        if one["state"] == "out of time" and one.get("low", -inf) > (own.get("gain") or 0.0)
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


def label_noise(told: Told) -> Iterator[Sign]:
    """Labels that a model which did not learn them contradicts with confidence."""
    found: list[tuple[float, str]] = []
    right, expected, rows_sure = 0, 0.0, 0
    for one in told.facts.predictions:
        shares, truth, said = one.get("probability"), one.get("label"), one.get("prediction")
        if isinstance(shares, dict) and isinstance(truth, str) and truth in shares:
            sure = shares.get(str(said), 0.0)
            if sure >= SURE:
                right, expected, rows_sure = right + (said == truth), expected + sure, rows_sure + 1
            if said != truth and sure >= SURE and shares[truth] <= UNLIKELY:
                found.append((sure, f"{one.get('origin')} ({truth}, or {said}?)"))
    # a model that is surer than it is right contradicts labels for no reason
    if found and expected - right <= BOASTS * rows_sure:
        found.sort(reverse=True)
        rows = [origin for _, origin in found]
        more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
        yield Sign(
            "label-noise",
            f"{words.several(len(rows), 'label')} of {len(told.facts.predictions):,} "
            f"{'is' if len(rows) == 1 else 'are'} contradicted with confidence by a model that did "
            f"not learn {'it' if len(rows) == 1 else 'them'}: {', '.join(rows[:NAMED])}{more}.",
            "Read these rows; a wrong label costs more than a missing row.",
        )


def one_answer(told: Told) -> Iterator[Sign]:
    """Nearly every row is given the same class, though the classes are several."""
    rows = [one for one in told.facts.predictions if isinstance(one.get("label"), str)]
    said, truth = ([one.get(key) for one in rows] for key in ("prediction", "label"))
    if len(rows) < 20:
        return
    top = max(set(said), key=said.count)
    if said.count(top) >= 0.98 * len(rows) and truth.count(top) < 0.9 * len(rows):
        yield Sign(
            "one-answer",
            f"{said.count(top):,} of {len(rows):,} rows are given `{top}`, which "
            f"{truth.count(top):,} have.",
            "Look whether the text column is the right one (--text), then at the learning rate.",
        )


def format_suspect(told: Told) -> Iterator[Sign]:
    """What the rows look like to the model is not what one would expect."""
    kept = part(told.facts.scores, "rows").get("kept") or 0
    cut = part(told.facts.scores, "rows").get("truncated") or 0
    if kept and cut > 0.1 * kept:
        yield Sign(
            "format",
            f"{cut:,} of {kept:,} rows ({cut / kept:.0%}) are longer than the model reads and were "
            "cut at the end.",
            "Raise --max_length, or bring what matters to the front of the text.",
        )
    ends = [one.fields.get("ends") for one in happened(told.facts, "encoded")]
    if ends and isinstance(ends[-1], int | float) and ends[-1] < 0.99:
        yield Sign(
            "format",
            f"{1 - ends[-1]:.0%} of the training answers do not end with a token that stops, so "
            "the model does not learn to end there.",
            "Look at the chat template and at --max_length, which may cut the ends off.",
        )


# ---- too much moved


def took_away(told: Told) -> Iterator[Sign]:
    """Training made the model worse than it was without, though it learned its rows."""
    if not told.losses or hardly_learned(told):
        return
    for name in ("probe", "before"):
        found = part(part(part(told.facts.scores, "gain"), "all"), name)
        high = found.get("high")
        if high is not None and high < 0 and (found.get("p") or 0) < 0.05:
            key = told.facts.primary
            less = words.points(key, -found["value"], signed=False)
            yield Sign(
                "moved-too-much",
                f"Training moved the model away from what it knew: {less} worse than "
                f"{words.baseline_name(name)} ({words.p_value(found.get('p'))}).",
                "Use that instead, or train less: `lora`, a third of the --learning_rate, "
                "--wise_ft_alpha 0.5.",
            )
            return


def forgot(told: Told) -> Iterator[Sign]:
    """General texts became unlikely."""
    recall = part(told.facts.scores, "recall")
    change, before = part(recall, "change"), part(recall, "before").get("value")
    if before and (change.get("low") or 0) > 0.03 * before:
        yield Sign(
            "moved-too-much",
            f"Much was forgotten: the loss on general texts rose from {before:.2f} by "
            f"{change['value']:.2f} ({change['low']:.2f} to {change['high']:.2f}) nats a token.",
            "Train less: a third of the --learning_rate, fewer --num_train_epochs, or a smaller "
            "--lora_r.",
        )


RULES: tuple[Rule, ...] = (
    frozen,
    rate_too_high,
    one_answer,
    out_of_time,
    took_away,
    format_suspect,
    underfitting,
    too_few_steps,
    past_the_best,
    overfitting,
    forgot,
    unstable,
    label_noise,
)


def as_json(signs: list[Sign]) -> list[dict[str, Any]]:
    """For `scores.json`."""
    return [{"code": one.code, "message": one.said, "do": one.do} for one in signs]
