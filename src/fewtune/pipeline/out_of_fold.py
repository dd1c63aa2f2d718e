"""What a race's winner answered to the training rows, each by a fit that did not learn it.

Where rows are held out the scores are of those, and this is all that says of a training row whether
a model would have labelled it as it is labelled.
"""

from __future__ import annotations

import json

import numpy as np

from fewtune.base.files import write_atomic
from fewtune.pipeline.race import Raced
from fewtune.pipeline.run import Run
from fewtune.pipeline.scoring import predictions
from fewtune.pipeline.thresholds import kept
from fewtune.record.trouble import writing
from fewtune.report.facts import OUT_OF_FOLD


def write_out_of_fold(run: Run, raced: Raced) -> None:
    """One line a training row that a fold holds out, as in predictions.jsonl, with its fold."""
    winner = raced.outcome.winner
    if winner not in raced.outcome.answers:
        return  # there was no time to see a candidate to its end
    probabilities = raced.probabilities(winner)
    task = raced.task.at(kept(run, run.method.spell()))
    lines = []
    for number, held in enumerate(raced.first_folds, 1):
        rows = [run.data.train[k] for k in np.sort(held)]
        found = task.answered(probabilities[np.sort(held)])
        lines += [one | {"fold": number} for one in predictions(rows, found, task)]
    place = run.folder.path / OUT_OF_FOLD
    told = "".join(json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n" for one in lines)
    with writing(place):
        write_atomic(place, told)
