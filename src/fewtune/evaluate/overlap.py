"""What an answer shares with its reference: ROUGE row by row, BLEU and chrF over all rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fewtune.data.near import is_chinese
from fewtune.evaluate.metrics import Floats
from fewtune.evaluate.texts import words

ROUGE = ("rouge1", "rouge2", "rougeL")
OF_CHARACTERS = "_characters"  # after the name of a ROUGE by characters


def mostly_chinese(references: Sequence[str]) -> bool:
    """Whether the references of a data set are Chinese, taken together.

    >>> mostly_chinese(["是", "否"]), mostly_chinese(["yes", "no", "是"])
    (True, False)
    """
    return is_chinese("".join("".join(one.split()) for one in references))


def rouge(answer: str, reference: str, cut: Callable[[str], list[str]] = words) -> list[float]:
    """ROUGE-1, ROUGE-2 and ROUGE-L of an answer, each an F1 in 0..1 (Lin 2004).

    Args:
        answer: what was produced.
        reference: what was expected.
        cut: `texts.words` (no stemming) or `texts.characters`.

    >>> rouge("the pump is hot", "the pump failed")[0]
    0.5714285714285715
    """
    ours, theirs = cut(answer), cut(reference)
    found = _rouge_scorer().score(theirs, ours)
    return [found["rouge1"].fmeasure, found["rouge2"].fmeasure, _rouge_l(ours, theirs)]


class _Cut:
    """The tokenizer that rouge-score is given: the texts come cut, for its own drops Chinese."""

    @staticmethod
    def tokenize(pieces: list[str]) -> list[str]:
        return pieces


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rouge2"], tokenizer=_Cut)


def _rouge_l(answer: Sequence[str], reference: Sequence[str]) -> float:
    # rouge-score's own fills a table in Python: 1.8 s for 1,000 rows of 100 words, and 25 times
    # that for 500; this is 0.05 s and the same to the last digit
    longest = common(answer, reference)
    return 2 * longest / (len(answer) + len(reference)) if longest else 0.0


def common(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence, a bit for each piece of the first.

    Hyyrö 2004, "Bit-parallel LCS-length computation revisited".

    >>> common("the old pump is hot".split(), "the pump was hot".split())
    3
    """
    places: dict[str, int] = defaultdict(int)
    for k, piece in enumerate(first):
        places[piece] |= 1 << k
    every = (1 << len(first)) - 1
    left = every
    for piece in second:
        shared = left & places.get(piece, 0)
        left = ((left + shared) | (left - shared)) & every
    return len(first) - left.bit_count()


@dataclass(frozen=True, eq=False)
class Corpus:
    """A metric of sacrebleu as sums over rows: its counts of every row, and what they come to.

    Attributes:
        rows: (n, k) the counts.
        function: (R, k) sums -> (R,) the metric, 0..100.
    """

    rows: Floats
    function: Callable[[Floats], Floats]


def bleu(answers: Sequence[str], references: Sequence[str]) -> Corpus:
    """Corpus BLEU with sacrebleu's `zh` tokenizer for Chinese references, else `13a`, 0..100."""
    from sacrebleu.metrics import BLEU

    tokenizer = "zh" if mostly_chinese(references) else "13a"
    return _corpus(BLEU(tokenize=tokenizer, force=True), answers, references)


def chrf(answers: Sequence[str], references: Sequence[str]) -> Corpus:
    """Corpus chrF (character sequences up to 6, beta 2, no words), 0..100."""
    from sacrebleu.metrics import CHRF

    return _corpus(CHRF(), answers, references)


def _corpus(metric: Any, answers: Sequence[str], references: Sequence[str]) -> Corpus:
    # sacrebleu's own resampling stands on these two; a resample sums counts and cuts no text again
    counts = metric._extract_corpus_statistics(answers, [references])

    def of_sums(sums: Floats) -> Floats:
        return np.array([metric._compute_score_from_stats(one).score for one in sums.tolist()])

    return Corpus(np.array(counts, dtype=np.float64), of_sums)
