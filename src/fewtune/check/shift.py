"""Whether training and test rows come from one source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from fewtune.base.errors import shortened
from fewtune.check.finding import Finding, several
from fewtune.check.look import Look
from fewtune.data.splits import stratified_folds

LEAST = 20  # rows on the smaller side; fewer tell nothing
MOST = 2000  # rows of a side; more make it slower and no surer
LEVEL = 0.001  # a rule that looks at every file must not cry often
FAR = 0.6  # share of pairs told apart (AUC) that matters


def train_test(look: Look) -> Iterator[Finding]:
    """Training against validation and test rows, by a classifier two-sample test."""
    train = [k for k, (part, _) in enumerate(look.rows) if part == "train"]
    for part in ("valid", "test"):
        other = [k for k, (own, _) in enumerate(look.rows) if own == part]
        found = apart(look.features, train, other)
        if found:
            area, p = found
            yield Finding(
                "shift-train-test",
                "warning",
                f"training and {part} rows can be told apart {area:.0%} of the time (50 % is "
                f"chance, p = {p:.1g}), so a score on the {part} rows is one on other data.",
                "Look at what differs (source, time, length); split one whole at random, or train "
                "on rows like those to come.",
                tuple(look.rows[k][1].origin for k in other[:20]),
                count=len(other),
            )


def by_source(look: Look) -> Iterator[Finding]:
    """Training rows of one source against the others'."""
    if not look.options.source:
        return
    sources = [str(row.get("source", "")) for row in look.train]
    names = [name for name, count in Counter(sources).most_common() if count >= LEAST]
    for name in names:
        own = [k for k, one in enumerate(sources) if one == name]
        found = apart(look.features, own, [k for k, one in enumerate(sources) if one != name])
        if found:
            area, p = found
            yield Finding(
                "shift-source",
                "note",
                f"the {several(len(own), 'row')} whose {look.options.source} is "
                f"{shortened(name)} can be "
                f"told from the others {area:.0%} of the time (p = {p:.1g}).",
                f"Test on a {look.options.source} that does not train (--group), for new ones "
                "will differ as much.",
                tuple(look.train[k].origin for k in own[:20]),
                count=len(own),
            )


def apart(
    features: np.ndarray, first: Sequence[int], second: Sequence[int]
) -> tuple[float, float] | None:
    """Classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545).

    Args:
        features: (rows, width).
        first, second: positions of the two samples.

    Returns:
        The area under the ROC curve out of fold and its p value (Mann-Whitney), where the samples
        differ enough to matter; None otherwise.
    """
    from scipy.stats import mannwhitneyu

    from fewtune.models.probe import out_of_fold

    if min(len(first), len(second)) < LEAST:
        return None
    draw = np.random.default_rng(0)
    sides = [draw.permutation(np.array(side))[:MOST] for side in (first, second)]
    chosen = np.concatenate(sides)
    targets = np.repeat([0, 1], [len(side) for side in sides])
    folds = stratified_folds([str(one) for one in targets], 5, 0)
    weights = len(targets) / (2 * np.bincount(targets))
    _, shares = out_of_fold(features[chosen], targets, 2, folds, (0.3, 3.0), weights)
    seconds, firsts = shares[targets == 1, 1], shares[targets == 0, 1]
    test = mannwhitneyu(seconds, firsts, alternative="greater")
    area = float(test.statistic) / (len(seconds) * len(firsts))
    return (area, float(test.pvalue)) if area > FAR and test.pvalue < LEVEL else None
