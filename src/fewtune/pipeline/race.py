"""The race of a run: which methods, on which folds, for how long; and what its end decides."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.events import Event
from fewtune.methods import parse
from fewtune.pipeline.contenders import contenders_of
from fewtune.pipeline.extra import setting_of
from fewtune.pipeline.run import Run
from fewtune.pipeline.thresholds import keep, texts

if TYPE_CHECKING:
    from fewtune.tasks.labelled import Labelled
    from fewtune.train.bench import Bench, Examples
    from fewtune.trials.entrants import Contender, LabelJudge
    from fewtune.trials.race import Outcome

FITS = "race"  # the folder of the fits, in the run's; and what of it stands in the plan


@dataclass(frozen=True)
class Raced:
    """What a race came to.

    Attributes:
        task: what was asked of the candidates.
        judge: by which they were compared.
        folds: on which, held-out positions of the training rows.
        targets: of those rows.
    """

    outcome: Outcome
    task: Labelled
    judge: LabelJudge
    folds: list[np.ndarray]
    targets: np.ndarray

    def probabilities(self, name: str) -> np.ndarray:
        """An entrant's calibrated answers, (rows, classes), NaN where it has none."""
        answers = self.outcome.answers[name]
        known = np.flatnonzero(np.isfinite(answers).all(axis=1))
        found = np.full_like(answers, np.nan)
        found[known] = self.judge.probabilities(answers[known], known)
        return found

    def temperature(self, name: str) -> float:
        """What an entrant's logits are divided by."""
        answers = self.outcome.answers[name]
        known = np.flatnonzero(np.isfinite(answers).all(axis=1))
        return self.judge.temperature(answers[known], known)

    @cached_property
    def chosen_by_fold(self) -> list[str]:
        """Of each fold of the first repeat the entrant chosen without a look at its rows."""
        from fewtune.trials.race import cross_choices

        once: list[np.ndarray] = []
        for held in self.folds:
            once.append(held)
            if sum(map(len, once)) == len(self.targets):
                break
        return cross_choices(self.outcome.losses, self.outcome.cost, once)


def race(run: Run, bench: Bench, examples: Examples) -> Generator[Event, None, Raced]:
    """Hold the race, or replay it from the fits on disk; afterwards the run's method is chosen."""
    from fewtune.trials.entrants import LabelJudge, entrants_of
    from fewtune.trials.fits import FitsOnDisk
    from fewtune.trials.race import Race

    contenders = _contenders(run)
    setting = setting_of(run, bench, examples)
    judge = LabelJudge(bench.task.choice, examples.targets)
    rivals = Race(
        entrants_of(setting, contenders, texts(run.data.train)),
        setting.folds,
        len(examples),
        judge,
        FitsOnDisk(run.folder.path / FITS),
        run.chosen[FITS]["budget"],
    )
    outcome = yield from rivals.run()
    raced = Raced(outcome, bench.task, judge, setting.folds, examples.targets)
    winner = next(one for one in contenders if one.name == outcome.winner)
    if "winner" not in run.chosen[FITS]:
        _write_down(run, winner, raced)
    run.method = winner.method
    run.job = replace(run.job, train=winner.options(run.job.train))
    bench.train = run.job.train
    return raced


def _contenders(run: Run) -> list[Contender]:
    """Who runs, written down before the race: a resumed one is held between the same."""
    from fewtune.trials.entrants import Contender

    if FITS not in run.chosen:
        found, budget = contenders_of(run)
        run.chosen[FITS] = {"budget": budget, "contenders": [_as_json(one) for one in found]}
        _write_plan(run)
    return [
        Contender(
            one["name"], parse(one["method"], one["options"]), dict(one["train"]), one["seconds"]
        )
        for one in run.chosen[FITS]["contenders"]
    ]


def _as_json(one: Contender) -> Mapping[str, Any]:
    return {
        "name": one.name,
        "method": one.method.spell(),
        "options": {k: v for p in one.method.parts() for k, v in p.model_dump().items()},
        "train": dict(one.train),
        "seconds": one.seconds,
    }


def _write_down(run: Run, winner: Contender, raced: Raced) -> None:
    """The end of the race into the plan: winner, temperature, thresholds, the reason."""
    outcome = raced.outcome
    told = {"winner": winner.name, "seconds": round(outcome.seconds, 3)}
    if winner.method.needs_steps and winner.method.needs_model:
        told["temperature"] = raced.temperature(winner.name)
    run.chosen[FITS] |= told
    run.method = winner.method
    run.tried("methods", outcome.table, True)
    run.reasons.append(_reason(raced))
    keep(
        run,
        raced.task,
        winner.method.spell(),
        raced.probabilities(winner.name),
        raced.targets,
        raced.folds,
    )
    _write_plan(run)


def _reason(raced: Raced) -> str:
    """Why the winner was chosen, with the numbers."""
    outcome = raced.outcome
    lines = {line["name"]: line for line in outcome.table}
    own, best = lines[outcome.winner], lines[outcome.leader]
    ran = [line for line in outcome.table if line["rows"]]
    said = (
        f"`{outcome.winner}`: log-loss {own['log_loss']:.3f}, {own['accuracy']:.1%} right on "
        f"{own['folds']} folds of the training rows"
    )
    if outcome.winner == outcome.leader:
        return f"{said}, the best of {len(ran)} candidates."
    return (
        f"{said}; the best of {len(ran)} candidates, `{outcome.leader}` ({best['log_loss']:.3f}), "
        f"is ahead by less than a standard error and takes {best['seconds']:.1f} s a fold where "
        f"this takes {own['seconds']:.1f} s."
    )


def _write_plan(run: Run) -> None:
    plan = run.folder.plan | {"chosen": dict(run.chosen), "reasons": list(run.reasons)}
    if "winner" in run.chosen.get(FITS, {}):
        own = {k: v for p in run.method.parts() for k, v in p.model_dump().items()}
        plan["method"] = {"name": run.method.spell(), **own}
    run.folder.write_plan(plan)
