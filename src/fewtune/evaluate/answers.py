"""What a system wrote for the rows of a test set, boiled down to sums for every metric.

A metric is a function of sums over the rows, so a resample costs a matrix product and cuts no text
again. `loss` and `perplexity` are per token of the references; `bleu` and `chrf` go from 0 to 100
as the field reports them; all others are rates in 0..1, but for `length_ratio`, 1 where answers
are as long as their references. What a metric of one's own is, its function says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fewtune.base.errors import FewtuneError
from fewtune.evaluate.intervals import Draws, sum_draws
from fewtune.evaluate.metrics import METRICS, Floats
from fewtune.evaluate.named import TextMetric
from fewtune.evaluate.numbers import number_match
from fewtune.evaluate.overlap import OF_CHARACTERS, ROUGE, Corpus, bleu, chrf, mostly_chinese, rouge
from fewtune.evaluate.texts import characters, exact_match, repetition, words
from fewtune.evaluate.units import Units

SHARE = (0.0, 1.0)
NATS = METRICS["log_loss"].range  # of a loss, where too few rows say nothing of it
LONGEST = 10.0  # times its reference: likewise of `length_ratio`, which has no upper end


@dataclass(frozen=True)
class Answer:
    """What a model wrote for one row.

    Attributes:
        text: without what marks its end.
        reference: what was expected.
        stopped: it ended by itself, not at the limit of tokens.
        tokens: how many it produced.
    """

    text: str
    reference: str
    stopped: bool
    tokens: int


@dataclass(frozen=True, eq=False)
class Likelihood:
    """How likely a model found the references of n rows, given each token's true predecessors."""

    nll: ArrayLike  # (n,) nats, summed over a reference's tokens
    tokens: ArrayLike  # (n,) tokens of the reference
    right: ArrayLike  # (n,) how many of them were the likeliest


@dataclass(frozen=True, eq=False)
class Sums:
    """A metric of n rows.

    Attributes:
        rows: (n, k) what every row adds to k sums; all 0 where it does not count.
        function: (R, k) sums -> (R,) the metric, NaN where undefined.
        range: its smallest and largest value; None where nobody knows.
        bounded: the range is the metric's own, no stand-in for few rows.
        higher_is_better: None for what is neither.
        yes_or_no: every row is 0 or 1.
        behind: how many rows really stand behind the metric; None for all.
        units: of the rows; None where every row is one.
    """

    rows: Floats
    function: Callable[[Floats], Floats]
    range: tuple[float, float] | None = SHARE
    bounded: bool = True
    higher_is_better: bool | None = True
    yes_or_no: bool = False
    behind: float | None = None
    units: Units | None = None

    @property
    def counted(self) -> Any:
        """(n,) which rows count."""
        return self.rows.any(axis=1)

    @property
    def each(self) -> Floats:
        """(n,) the metric of every row alone, NaN where undefined."""
        return self.function(self.rows)

    def draws(self, count: int, seed: int) -> Draws:
        """The metric with its resamples."""
        return sum_draws(self.rows, self.function, count, seed, self.units)


def ratio(sums: Floats) -> Floats:
    """(R, 2) -> (R,): the first sum by the second."""
    empty = np.full(len(sums), np.nan)
    return np.divide(sums[:, 0], sums[:, 1], out=empty, where=sums[:, 1] > 0)


def _mean(values: ArrayLike, **known: Any) -> Sums:
    """A mean over rows; NaN does not count."""
    scores = np.asarray(values, dtype=np.float64)
    counts = ~np.isnan(scores)
    return Sums(np.stack([np.where(counts, scores, 0.0), counts], axis=1), ratio, **known)


def shares(right: ArrayLike) -> Sums:
    """The share of rows that are right, of (rows,) yes and no."""
    return _mean(right, yes_or_no=True)


def boiled(
    answers: Sequence[Answer] = (),
    likelihood: Likelihood | None = None,
    own: Mapping[str, TextMetric] | None = None,
    units: Units | None = None,
) -> dict[str, Sums]:
    """Boil texts and likelihoods down to what the metrics need.

    Args:
        answers: n, or none where nothing was generated.
        likelihood: of the same rows' references, or None where the model does not tell.
        own: metrics of one's own by name, from `resolve_metrics`.
        units: of the rows.

    Returns:
        metric -> its sums, in the order of reports. Absent are metrics of what was not given;
        `number_match` where under half of the references hold a number (rows without one do not
        count); ROUGE by characters unless the references are mostly Chinese.

    Raises:
        FewtuneError: no rows, a loss that is not a number, or no number from a metric of one's own.
        ValueError: answers and likelihood are not about equally many rows.
    """
    found = _of_tokens(likelihood) if likelihood is not None else {}
    if answers:
        found |= _of_texts(answers)
        texts = [(one.text, one.reference) for one in answers]
        for name, metric in (own or {}).items():
            found[name] = _mean([metric(*pair) for pair in texts], range=None, bounded=False)
    sizes = {len(one.rows) for one in found.values()}
    if len(sizes) > 1:
        raise ValueError(f"answers and likelihood of {sorted(sizes)} rows do not fit")
    if sizes <= {0}:
        raise FewtuneError("There are no rows to score; give at least one row with an answer.")
    return {name: replace(sums, units=units) for name, sums in found.items()}


def _of_tokens(likelihood: Likelihood) -> dict[str, Sums]:
    given = (likelihood.nll, likelihood.tokens, likelihood.right)
    nll, tokens, right = (np.asarray(one, dtype=np.float64) for one in given)
    bad = np.flatnonzero(~np.isfinite(nll))
    if len(bad):
        raise FewtuneError(
            f"The losses of {len(bad)} of {len(nll)} rows are not numbers (first: row "
            f"{bad[0] + 1}), so there is nothing to score; the weights have probably diverged: "
            "try a smaller learning_rate."
        )
    loss = Sums(np.stack([nll, tokens], axis=1), ratio, NATS, False, higher_is_better=False)
    return {"loss": loss, "token_accuracy": Sums(np.stack([right, tokens], axis=1), ratio)}


def _of_texts(answers: Sequence[Answer]) -> dict[str, Sums]:
    texts, references = [one.text for one in answers], [one.reference for one in answers]
    pairs = list(zip(texts, references, strict=True))
    numbers = np.array([number_match(*pair) for pair in pairs], dtype=np.float64)  # None is NaN
    found = {"exact_match": _mean([exact_match(*pair) for pair in pairs], yes_or_no=True)}
    if 2 * np.isfinite(numbers).sum() >= len(pairs):
        found["number_match"] = _mean(numbers, yes_or_no=True)
    found["bleu"] = _of_corpus(bleu(texts, references))
    found |= _rouges(pairs, words, "")
    if mostly_chinese(references):
        found |= _rouges(pairs, characters, OF_CHARACTERS)
    found["chrf"] = _of_corpus(chrf(texts, references))
    found["stops"] = _mean([one.stopped for one in answers], yes_or_no=True)
    found["repetition"] = _mean([repetition(text) for text in texts], higher_is_better=False)
    lengths = np.array([[len(text), len(reference)] for text, reference in pairs], dtype=float)
    found["length_ratio"] = Sums(lengths, ratio, (0.0, LONGEST), False, higher_is_better=None)
    return found


def _of_corpus(one: Corpus) -> Sums:
    return Sums(one.rows, one.function, (0.0, 100.0))


def _rouges(
    pairs: Sequence[tuple[str, str]], cut: Callable[[str], list[str]], ending: str
) -> dict[str, Sums]:
    values = np.array([rouge(*pair, cut) for pair in pairs])  # (n, 3)
    return {name + ending: _mean(values[:, k]) for k, name in enumerate(ROUGE)}
