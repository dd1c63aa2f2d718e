"""How sure the model is, and whether it is right as often: calibration, and who should look again.

All from predictions.jsonl alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, pi
from typing import Any

from fewtune.base.amounts import percent
from fewtune.report import words
from fewtune.report.evidence import classified
from fewtune.report.facts import Facts

LEAST = 20  # scored rows, below which neither picture says anything
STEP = 0.05  # of the share handed to a person
MOST = 0.8  # the largest share drawn
TOLD = 0.2  # the share that the sentence is about


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about the same certainty.

    Attributes:
        sure: their mean probability, 0..1.
        right: the share that is right, with its 95 % interval `low` to `high` (Wilson).
        rows: how many they are.
    """

    sure: float
    right: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left when the least certain rows go to a person.

    Attributes:
        share: of all rows, that goes to a person.
        rows: how many are left; `right` of them, as a share, with its interval.
        caught: how many of the wrong answers went to the person.
    """

    share: float
    rows: int
    right: float
    low: float
    high: float
    caught: int


Answer = tuple[float, bool]  # how sure, whether right


def answers(facts: Facts) -> list[Answer]:
    """Of every scored row with probabilities how sure the model is, and whether it is right.

    Of several labels a row is as sure as its least sure decision.
    """
    found = []
    for one in classified(facts):
        sure = _sure(one)
        if sure is not None and one.get("label") is not None:
            found.append((sure, _same(one["prediction"], one["label"])))
    return found


def _sure(one: Mapping[str, Any]) -> float | None:
    shares, said = one.get("probability"), one.get("prediction")
    if not isinstance(shares, dict) or not shares:
        return None
    if isinstance(said, list):
        return min((p if label in said else 1 - p) for label, p in shares.items())
    return shares.get(str(said))


def _same(said: Any, truth: Any) -> bool:
    return {*said} == {*truth} if isinstance(truth, list) else bool(said == truth)


def decisions(facts: Facts) -> list[Answer]:
    """What calibration is about: answers; of several labels every label of every row."""
    return [one for row in _by_row(facts) for one in row]


def has_sets(facts: Facts) -> bool:
    """Whether a scored row has a set of labels."""
    return any(isinstance(one.get("label"), list) for one in classified(facts))


def _by_row(facts: Facts) -> list[list[Answer]]:
    """The decisions of each row: of several labels how likely each is, and whether it belongs."""
    if not has_sets(facts):
        return [[one] for one in answers(facts)]
    return [
        [(share, label in one["label"]) for label, share in one["probability"].items()]
        for one in classified(facts)
        if isinstance(one.get("label"), list) and one.get("probability")
    ]


# ---- calibration


def bins(found: Sequence[Answer]) -> list[Bin]:
    """Answers by certainty, in the bins of the calibration error, the empty ones left out."""
    from fewtune.evaluate.intervals import wilson
    from fewtune.evaluate.metrics import BINS

    groups: dict[int, list[Answer]] = {}
    for sure, right in found:
        groups.setdefault(max(0, ceil(sure * BINS) - 1), []).append((sure, right))
    told = []
    for _, group in sorted(groups.items()):
        share = sum(right for _, right in group) / len(group)
        low, high = wilson(share, len(group))
        told.append(Bin(sum(sure for sure, _ in group) / len(group), share, low, high, len(group)))
    return told


def calibration_error(found: Sequence[Bin]) -> float:
    """The mean distance of certainty from the share that is right, over all answers."""
    return sum(one.rows * abs(one.sure - one.right) for one in found) / sum(b.rows for b in found)


def calibrated_words(facts: Facts) -> str:
    """Whether the model is as sure as it is right, with the numbers; empty for too few rows."""
    if len(answers(facts)) < LEAST:
        return ""
    rows = _by_row(facts)
    found = [one for row in rows for one in row]
    sure, right = (_percent(sum(one[k] for one in found) / len(found)) for k in (0, 1))
    groups = bins(found)
    error = calibration_error(groups)
    off, of_labels = _off(rows), has_sets(facts)
    if abs(off.mean) <= off.noise and error <= _by_chance(groups) * off.wider:
        judged = "as sure as it should be, within chance."
    else:
        judged = _off_of_labels(rows) if of_labels else _off_of_answers(off)
    what, are = ("Labels", "belong to their row") if of_labels else ITS_ANSWERS
    return (
        f"{what} have a probability of {sure} on average, and {right} {are}: {judged} "
        f"The calibration error is {error:.3f}."
    )


ITS_ANSWERS = "Its answers", "of them are right"
MIXED = "on average as sure as it should be, too sure of some and too cautious of others."


def _off_of_answers(off: Off) -> str:
    if abs(off.mean) <= off.noise:
        return MIXED
    if off.mean > 0:
        return "it is too sure; read its probabilities as upper bounds."
    return "it is too cautious; it is right more often than it says."


def _off_of_labels(rows: Sequence[Sequence[Answer]]) -> str:
    """A probability near 0 is as sure as one near 1: what counts is how far it is from a half."""
    firm = _off([[_likelier(one) for one in row] for row in rows])
    if abs(firm.mean) > firm.noise:
        if firm.mean > 0:
            return "it is too sure, of yes and of no; the truth is nearer to 50 %."
        return "it is too cautious, of yes and of no; the truth is farther from 50 %."
    off = _off(rows)
    if abs(off.mean) > off.noise:
        return f"it finds labels {'likelier' if off.mean > 0 else 'less likely'} than they are."
    return MIXED


def _likelier(one: Answer) -> Answer:
    """How sure a decision on a label is, and whether that is right."""
    share, belongs = one
    return (share, belongs) if share >= 0.5 else (1 - share, not belongs)


@dataclass(frozen=True, slots=True)
class Off:
    """How far decisions are surer than they are right.

    Attributes:
        mean: over all decisions; below 0 they are too cautious.
        noise: what chance alone stays within, 95 %.
        wider: how much wider that is than if the decisions of a row had nothing in common.
    """

    mean: float
    noise: float
    wider: float


def _off(rows: Sequence[Sequence[Answer]]) -> Off:
    """By whole rows, for the labels of a row come together."""
    found = [one for row in rows for one in row]
    alone = sum(sure * (1 - sure) for sure, _ in found) ** 0.5
    beyond = [sum(sure - right for sure, right in row) for row in rows]
    spread = alone
    if len(found) > len(rows):
        spread = sum(one**2 for one in beyond) ** 0.5 or alone
    wider = max(1.0, spread / alone) if alone else 1.0
    return Off(sum(beyond) / len(found), 1.96 * spread / len(found), wider)


def _by_chance(found: Sequence[Bin]) -> float:
    """The calibration error that answers exactly as sure as they are right stay below, 19 times
    of 20: the sum over bins of the distance of a share from its expectation (half-normal)."""
    rows = sum(one.rows for one in found)
    spreads = [one.rows * one.sure * (1 - one.sure) for one in found]
    middle = (2 / pi) ** 0.5 * sum(one**0.5 for one in spreads)
    return (middle + 1.645 * ((1 - 2 / pi) * sum(spreads)) ** 0.5) / rows


# ---- who should look again


def kept_when(found: Sequence[Answer], share: float) -> Kept:
    """The rest when a share of the rows, the least certain, goes to a person."""
    from fewtune.evaluate.intervals import wilson

    ranked = sorted(found, key=lambda one: -one[0])
    rows = len(ranked) - round(share * len(ranked))
    last = ranked[rows - 1][0]
    surer = [right for sure, right in ranked if sure > last]
    equal = [right for sure, right in ranked if sure == last]
    # of equally sure rows none comes first: as many are right as in the mean
    hits = sum(surer) + (rows - len(surer)) * sum(equal) / len(equal)
    wrong = len(ranked) - sum(right for _, right in ranked)
    low, high = wilson(hits / rows, rows)
    return Kept(share, rows, hits / rows, low, high, round(wrong - (rows - hits)))


def rejection(found: Sequence[Answer]) -> list[Kept]:
    """The same for every share from none to MOST; nothing for too few rows."""
    if len(found) < LEAST:
        return []
    return [kept_when(found, STEP * k) for k in range(round(MOST / STEP) + 1)]


def rejection_words(facts: Facts) -> str:
    """What it is worth that a person looks at the least certain rows; empty for too few."""
    found = answers(facts)
    if len(found) < LEAST:
        return ""
    all_, rest = kept_when(found, 0.0), kept_when(found, TOLD)
    wrong = round((1 - all_.right) * len(found))
    right = "have all their labels right" if has_sets(facts) else "are right"
    if not wrong:
        return f"All {len(found):,} rows {right}, so none need go to a person."
    return (
        f"If the least certain {_percent(TOLD)} go to a person, {_percent(rest.right)} "
        f"({100 * rest.low:.0f} to {100 * rest.high:.0f}) of the rest {right}, instead of "
        f"{_percent(all_.right)}: {words.count(rest.caught)} of {words.several(wrong, 'mistake')} "
        f"{'is' if 1 in (rest.caught, wrong) else 'are'} among those that a person sees."
    )


def _percent(share: float) -> str:
    return f"{percent(share, 0)} %"
