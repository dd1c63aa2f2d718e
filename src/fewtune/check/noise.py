"""Labels that the rest of the data contradicts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fewtune.base.errors import shortened
from fewtune.check.finding import Finding, share
from fewtune.check.look import Look
from fewtune.data.splits import stratified_folds

FOLDS = 5
SURE = 0.8  # calibrated probability of another label
UNLIKELY = 0.05  # and of the row's own
SETTINGS = (1.0, 10.0, 100.0)


def noise(look: Look) -> Iterator[Finding]:
    """Rows whose label is all but excluded by a probe that did not see them.

    Confident learning in its simplest form (Northcutt et al. 2021, arXiv:1911.00068): out-of-fold
    probabilities at the temperature that suits them best. A label is doubted only where another one
    is likely and its own unlikely, for hard rows are not wrong rows.
    """
    from fewtune.models.probe import out_of_fold

    index = {label: k for k, label in enumerate(look.labels)}
    targets = np.array([index[row["label"]] for row in look.train])
    folds = stratified_folds([row["label"] for row in look.train], FOLDS, 0)
    if not all(len(fold) for fold in folds):
        return  # fewer rows than folds
    features = look.features[: len(look.train)]
    _, shares = out_of_fold(features, targets, len(index), folds, SETTINGS)
    held = np.concatenate(folds)
    own = shares[held, targets[held]]
    doubted = held[(shares[held].max(1) > SURE) & (own < UNLIKELY)]
    if not len(doubted):
        return
    ranked = doubted[np.argsort(shares[doubted, targets[doubted]], kind="stable")]
    first = look.train[ranked[0]]
    likely = look.labels[int(shares[ranked[0]].argmax())]
    yield Finding(
        "label-noise",
        "note",
        f"{share(len(ranked), len(held))} of the labels are contradicted by all other rows: "
        f"{first.origin} says {shortened(first['label'])} and looks like {shortened(likely)}.",
        "Read them, the most doubtful first; relabel what is wrong and leave what is hard.",
        tuple(look.train[k].origin for k in ranked),
    )
