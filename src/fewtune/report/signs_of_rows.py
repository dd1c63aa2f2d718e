"""Signs in the rows and their labels: folds that differ, doubtful labels, one answer, cut texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fewtune.base.errors import shortened
from fewtune.report import words
from fewtune.report.facts import happened, part
from fewtune.report.signs import Sign, Told

NAMED = 5  # rows named in a sentence
SURE, UNLIKELY = 0.9, 0.01  # of another label, and of the one that was written
CHANCE = 0.01  # of as many contradictions as are told, where no label is wrong
BOASTS = 0.1  # share of the sure answers that may be wrong beyond what their probabilities say


def unstable(told: Told) -> Iterator[Sign]:
    """The folds disagree more than chance explains (chi-squared)."""
    counts: dict[int, list[int]] = {}
    for one in told.facts.out_of_fold or told.facts.predictions:
        if one.get("fold"):
            hits = counts.setdefault(one["fold"], [0, 0])
            hits[_answer(one, "prediction") == _answer(one, "label")] += 1
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


def label_noise(told: Told) -> Iterator[Sign]:
    """Labels that a model which did not learn them contradicts with confidence."""
    learned, scored = told.facts.out_of_fold, told.facts.predictions
    beside = f" {told.facts.tested_row}s" if learned else ""
    for rows, what in ((learned, " training rows"), (scored, beside)):
        suspects, by_chance = _contradicted(rows)
        if suspects:
            named = ", ".join(suspects[:NAMED])
            more = f" and {len(suspects) - NAMED} more" if len(suspects) > NAMED else ""
            are, them = ("is", "it") if len(suspects) == 1 else ("are", "them")
            yield Sign(
                "label-noise",
                f"{words.several(len(suspects), 'label')} of {len(rows):,}{what} {are} "
                f"contradicted with confidence by a model that did not learn {them}, where "
                f"{by_chance:.1f} would be if all were right: {named}{more}.",
                "Read these rows; a wrong label costs more than a missing row.",
            )


def _contradicted(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], float]:
    """Where the doubtful labels stand, what they are and what was answered, the unlikeliest first;
    and how many as unlikely there would be, by the model's probabilities, if all were right."""
    found: list[tuple[float, str]] = []
    rare: list[float] = []  # what a sure model leaves to each class that it finds unlikely
    right, expected, rows_sure = 0, 0.0, 0
    for one in rows:
        shares, truth, said = one.get("probability"), one.get("label"), one.get("prediction")
        if isinstance(shares, dict) and isinstance(truth, str) and truth in shares:
            sure = shares.get(str(said), 0.0)
            if sure >= SURE:
                right, expected, rows_sure = right + (said == truth), expected + sure, rows_sure + 1
                rare += [one for one in shares.values() if one <= UNLIKELY]
            if said != truth and sure >= SURE and shares[truth] <= UNLIKELY:
                found.append((shares[truth], f"{one.get('origin')} ({truth}, or {said}?)"))
    # a model that is surer than it is right contradicts labels for no reason
    if expected - right > BOASTS * rows_sure:
        return [], 0.0
    found.sort()
    count, by_chance = _beyond_chance([share for share, _ in found], rare)
    return [origin for _, origin in found[:count]], by_chance


def _beyond_chance(unlikely: Sequence[float], rare: Sequence[float]) -> tuple[int, float]:
    """How many of the unlikeliest labels are more than right ones would give, and those.

    Of right labels so many have a probability of q or less as all such probabilities add up to
    (Poisson, at a level divided by the number of q that are looked at).

    Args:
        unlikely: probabilities of the doubted labels, ascending.
        rare: of every sure row those of all unlikely classes.
    """
    import numpy as np
    from scipy.stats import poisson

    ordered = np.sort(rare)
    sums = np.concatenate([[0.0], ordered.cumsum()])
    by_chance = sums[np.searchsorted(ordered, unlikely, side="right")]
    chances = poisson.sf(np.arange(len(unlikely)), by_chance)
    (beyond,) = np.nonzero(chances <= CHANCE / max(1, len(unlikely)))
    return (int(beyond[-1]) + 1, float(by_chance[beyond[-1]])) if len(beyond) else (0, 0.0)


def one_answer(told: Told) -> Iterator[Sign]:
    """Nearly every row is given the same class, or the same classes, though truth has several."""
    rows = [one for one in told.facts.predictions if isinstance(one.get("label"), str | list)]
    said, truth = ([_answer(one, key) for one in rows] for key in ("prediction", "label"))
    if len(rows) < 20:
        return
    ((top, often),) = Counter(said).most_common(1)
    true = truth.count(top)
    if often >= 0.98 * len(rows) and true < 0.9 * len(rows):
        asked = "question's column (--map)" if told.writes else "text column (--text)"
        nothing = "no answer" if told.writes else "no label"
        given = shortened(", ".join(top) if isinstance(top, tuple) else top) if top else nothing
        yield Sign(
            "one-answer",
            f"{often:,} of {len(rows):,} rows are given {given}, which {true:,} have.",
            f"Look whether the {asked} is the right one, then at "
            f"{'what the model answers' if told.facts.searched else 'the learning rate'}.",
        )


def _answer(row: Mapping[str, Any], key: str) -> Any:
    """What a row has or is given; of several labels their order says nothing."""
    found = row.get(key)
    return tuple(sorted(found)) if isinstance(found, list) else found


def format_suspect(told: Told) -> Iterator[Sign]:
    """What the rows look like to the model is not what one would expect."""
    kept = part(told.facts.scores, "rows").get("kept") or 0
    cut = part(told.facts.scores, "rows").get("truncated") or 0
    if kept and cut > 0.1 * kept:
        cut_how, shorter = "were cut at the end", "bring what matters to the front of the text"
        if told.writes:
            cut_how = "lost their oldest turns, the middle of the prompt or the end of the answer"
            shorter = "shorten prompts and dialogues"
        yield Sign(
            "format",
            f"{cut:,} of {kept:,} rows ({cut / kept:.0%}) are longer than the model reads and "
            f"{cut_how}.",
            f"Raise --max_length, or {shorter}.",
        )
    ends = [one.fields.get("ends") for one in happened(told.facts, "encoded")]
    if ends and isinstance(ends[-1], int | float) and ends[-1] < 0.99:
        yield Sign(
            "format",
            f"{1 - ends[-1]:.0%} of the training answers do not end with a token that stops, so "
            "the model does not learn to end there.",
            "Look at the chat template and at --max_length, which may cut the ends off.",
        )
