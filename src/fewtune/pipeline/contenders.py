"""Who runs in the race of a run, and how long it may take: what the plan proposes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewtune.base.amounts import seconds_of
from fewtune.choose.proposal import ALWAYS, Proposed, candidates, rank
from fewtune.methods import METHODS, parse
from fewtune.methods.base import options_of
from fewtune.pipeline.run import Run
from fewtune.tasks.generate import Generate

if TYPE_CHECKING:
    from fewtune.trials.entrants import Contender

LEAST = 60.0  # seconds of a race that nobody gave a budget
#: Passes of `full` whose time a race may take: those of ten passes as the usual trainer makes them
#: (float32, random batches; benchmarks/speed), which is what people wait for today.
PASSES = 50
USUAL = "full"
#: Seconds of a race for answers that nobody gave a budget. There is no probe to fall back on, and a
#: race between models of billions of weights would take days where `lora` alone takes an hour.
LONGEST = 1200.0


def contenders_of(run: Run) -> tuple[list[Contender], float, bool]:
    """The candidates that the plan ranks first, the seconds of the race, and whether they may be
    passed so that one candidate at least is seen to its end.

    The seconds are the user's, else those of PASSES passes of `full` on this machine, and a minute
    at least. Baselines come first: gains are told over the first of them.
    """
    ranked = _ranked(run)
    chosen = [one for one in candidates(ranked) if _may_run(run, one)]
    chosen.sort(key=lambda one: [*ALWAYS[::-1]].index(one.method) if one.method in ALWAYS else 9)
    budget = run.job.trials.budget
    answers = run.job.task == Generate.name
    if budget:
        given = seconds_of(budget)
    else:
        given = min(max(LEAST, _usual_seconds(ranked)), LONGEST if answers else float("inf"))
    return [_contender(one) for one in chosen], given, not budget and not answers


def _ranked(run: Run) -> list[Proposed]:
    """As `fewtune plan` has them."""
    from fewtune.pipeline.facts import facts_of, timed
    from fewtune.pipeline.machine import hardware_of

    facts, source = facts_of(run.job, run.data, hardware_of(run.job.model, None))
    return rank(timed(facts, source, False))


def _may_run(run: Run, one: Proposed) -> bool:
    """N-grams cannot learn the rows of recipes and of self-training."""
    extra = run.job.augment.augment or run.job.trials.unlabelled
    method = METHODS.get(one.method)
    return method is not None and (method.needs_model or not extra)


def _usual_seconds(ranked: list[Proposed]) -> float:
    one = next((one for one in ranked if one.method == USUAL and one.seconds), None)
    if one is None or one.seconds is None:
        return LEAST
    return one.seconds * PASSES / one.decided["num_train_epochs"]


def _contender(one: Proposed) -> Contender:
    from fewtune.trials.entrants import Contender

    own = options_of(METHODS.values())
    method = parse(one.method, {k: v for k, v in one.options.items() if k in own})
    train = {k: v for k, v in one.options.items() if k not in own}
    return Contender(one.name, method, train, one.seconds or 0.0)
