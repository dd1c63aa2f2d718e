"""Does augmentation help? Each recipe on folds of the training rows, kept only beyond noise."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fewtune.base.errors import FewtuneError, Interrupted
from fewtune.base.events import Event, tell
from fewtune.data.row import Row
from fewtune.models.probe import Probe
from fewtune.train.bench import Bench
from fewtune.trials.folds import Line, Setting, Trial, compared, on_folds, probe_of

#: New rows from some rows, none like those to avoid: (rows, avoid) -> made, by origin and recipe.
Make = Callable[[Sequence[Row], Sequence[Row]], Sequence[Row]]


@dataclass(frozen=True)
class Outcome:
    """What trying the recipes came to.

    Attributes:
        table: a line a recipe, as `compared` has them; the first is without augmentation.
        kept: recipes with a gain beyond noise.
        without: recipes that made no row on any fold, and so could not be tried.
        best: the trial of what the final fit learns; None where it learns from several recipes,
            which were not tried together.
    """

    table: list[Line]
    kept: list[str]
    without: list[str]
    best: Trial | None


def try_recipes(
    setting: Setting, rows: Sequence[Row], recipes: Mapping[str, Make]
) -> Generator[Event, None, Outcome]:
    """Fit with and without the rows that each recipe makes from a fold's training rows.

    Args:
        rows: the training rows, in the order of the setting's examples.
        recipes: by name.
    """
    trials = [(yield from on_folds(setting, "without augmentation"))]
    counts, without = [0], []
    for name, make in recipes.items():
        extra, count = [], 0
        for held in setting.folds:
            train = np.setdiff1d(np.arange(len(rows)), held)
            learned = [rows[k] for k in train]
            made = make(learned, [rows[k] for k in held])
            probe = probe_of(setting, setting.examples.take(train))
            kept = still_true(setting.bench, probe, learned, made)
            # no row is not asked about: tokenizers do not take an empty list
            none = setting.examples.take(train[:0])
            extra.append(setting.bench.examples(kept) if kept else none)
            count += len(kept)
        if not count:
            without.append(name)
            continue
        try:
            trials.append((yield from on_folds(setting, name, extra)))
        except Interrupted:
            raise
        except FewtuneError as error:  # a rate at which the loss is no number, and the like
            yield tell("warned", message=f"augment: {name} is left out, for a fit failed: {error}")
            continue
        counts.append(round(count / len(setting.folds)))
    table = compared(trials, counts)
    kept_names = [line["name"] for line in table if line["better"]]
    yield tell("tried", what="augmentation", table=table, kept=kept_names)
    learned = [one for one in trials if one.name in kept_names] or trials[:1]
    return Outcome(table, kept_names, without, learned[0] if len(learned) == 1 else None)


def still_true(
    bench: Bench, probe: Probe, parents: Sequence[Row], made: Sequence[Row]
) -> list[Row]:
    """The new rows whose label the probe does not contradict.

    The probe errs on hard rows, and dropping those would leave the easy ones; so its vote counts
    only where it changed: of some class, what it says of the new text is neither what the label
    says nor what it said of the parent.
    """
    if not made:
        return []
    task = bench.task
    found = probe.probabilities(bench.examples([*parents, *made]).features)
    answers = task.choice.chosen(found)  # (rows, classes)
    before = {row.origin: one for row, one in zip(parents, answers, strict=False)}
    truth = task.ones(task.targets(made))
    return [
        row
        for row, now, ones in zip(made, answers[len(parents) :], truth, strict=True)
        if not ((now != ones) & (now != before[row.origin])).any()
    ]
