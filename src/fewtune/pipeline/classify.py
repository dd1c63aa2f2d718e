"""The stages of a run that learns labels, one a row or several, between its rows and its scores."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from fewtune.base.events import Event
from fewtune.methods import METHODS
from fewtune.methods.artefact import About
from fewtune.pipeline.baselines import baselines, probe_start
from fewtune.pipeline.curve_price import INSTEAD
from fewtune.pipeline.extra import extra_rows
from fewtune.pipeline.job import races
from fewtune.pipeline.language import foreign
from fewtune.pipeline.learning import learn_curve_alone
from fewtune.pipeline.memory import footprint
from fewtune.pipeline.out_of_fold import write_out_of_fold
from fewtune.pipeline.race import Raced, race, reserved_tokens
from fewtune.pipeline.run import Run
from fewtune.pipeline.setting import FITS, setting_of
from fewtune.pipeline.thresholds import decide, decide_ngrams, fit_tfidf, texts
from fewtune.tasks import LABELLED
from fewtune.tasks.labelled import Labelled

if TYPE_CHECKING:
    from fewtune.models.probe import Probe
    from fewtune.train.bench import Bench, Examples
    from fewtune.trials.runners import Entrant

CHECKED = 64  # training rows that the saved model must answer as the trained one did


def classify(run: Run) -> Iterator[Event]:
    """Choose, fit and save; then everything that is said about the test rows.

    The test rows are read once, after the artefact is saved, by the baselines too: training starts
    seconds earlier, and nothing seen on them can have changed it.
    """
    from fewtune.pipeline.folded import finish_on_folds
    from fewtune.pipeline.scoring import finish

    task, desk, raced = task_of(run), None, None
    if run.method.needs_model:
        desk = yield from _set_up(run, task)
    if desk and races(run.job):
        raced = yield from race(run, desk.bench, desk.examples)
    if desk and run.method.needs_model:
        task = yield from _tune(run, desk, raced)
    else:
        task = yield from _count(run, task, raced)
    if raced and not run.data.test:
        yield from finish_on_folds(run, task, raced)
        return
    if raced:
        write_out_of_fold(run, raced)
    else:
        begun, targets = perf_counter(), task.targets(run.data.train)
        yield from learn_curve_alone(run, task, partial(_entrants, run, desk, task), targets)
        run.seconds["learning_curve"] = perf_counter() - begun
    yield from baselines(run, task_of(run), *((desk.bench, desk.probe) if desk else ()))
    yield from finish(run, task)


def task_of(run: Run) -> Labelled:
    """The task with the labels and class weights of the training rows."""
    options = run.job.train
    task = LABELLED[run.job.task].of_rows(
        run.data.labels,
        run.data.train,
        options.class_weights == "balanced",
        options.label_smoothing_factor,
    )
    return task.looking_for(run.job.evaluate.positive)


def _count(run: Run, task: Labelled, raced: Raced | None) -> Generator[Event, None, Labelled]:
    """The candidate without a neural model."""
    begun = perf_counter()
    run.seconds["before_first_step"] = begun - run.begun
    model = fit_tfidf(run, task)
    if raced:
        model = model.at(run.chosen[FITS]["temperature"])
    task = decide_ngrams(run, task)
    run.seconds["train"] = perf_counter() - begun
    run.facts["trainable"] = run.facts["total"] = model.weight.size + model.bias.size
    run.facts["answers"] = model.probabilities(texts(run.data.train[:CHECKED]))

    def write(place: Path) -> About:
        model.save(place)
        about = About(task.name, run.method.spell(), run.method.model_dump(), **task.telling())
        about.write(place)
        return about

    yield from run.save(write)
    return task


def _entrants(run: Run, desk: Desk | None, task: Labelled) -> list[Entrant]:
    """A named method, and the cheap one whose learning curve may stand in for its own."""
    from fewtune.trials.entrants import Contender, entrant_of
    from fewtune.trials.runners import Entrant

    read = texts(run.data.train)
    if desk is None:

        def count(learned: np.ndarray, held: np.ndarray) -> np.ndarray:
            model = fit_tfidf(run, task, learned)
            return task.choice.logits(model.probabilities([read[k] for k in held]))

        return [Entrant(run.method.spell(), count)]
    setting = setting_of(run, desk.bench, desk.examples)
    named = {run.method.spell(): run.method, INSTEAD: METHODS[INSTEAD]()}
    return [entrant_of(setting, read, Contender(name, one)) for name, one in named.items()]


@dataclass
class Desk:
    """A neural run's rows on a pretrained encoder, and the probe that heads start from."""

    bench: Bench
    examples: Examples
    probe: Probe


def _set_up(run: Run, task: Labelled) -> Generator[Event, None, Desk]:
    """Tokens and features of the training rows, once for all candidates."""
    from fewtune.train.bench import Bench

    assert run.source is not None
    job, reserved = run.job, reserved_tokens(run)
    kept = run.source, task, job.model, job.train, run.seed, reserved, run.chosen
    bench = Bench(*kept, keep=run.keep_measured)
    examples = bench.examples(run.data.train)
    yield from run.truncated("train", examples.rows.truncated)
    yield from foreign(job.model.model, run.data.train, examples.rows.ids, bench.tokenizer)
    return Desk(bench, examples, probe_start(run, bench, examples))


def _tune(run: Run, desk: Desk, raced: Raced | None) -> Generator[Event, None, Labelled]:
    """Plan, fit and artefact of a neural candidate."""
    from fewtune.train.classifier import Classifier

    job, method, bench, examples = run.job, run.method, desk.bench, desk.examples
    extra = yield from extra_rows(run, bench, examples)
    yield from decide(run, bench, examples)
    if extra is not None:
        examples = examples.and_also(extra)
    candidate = Classifier(bench, method)
    starts_at_zero = job.train.start_head == "zero" and method.needs_steps
    start = desk.probe if extra is None else probe_start(run, bench, examples)
    candidate.start(None if starts_at_zero else method.head_start(start))
    run.facts["trainable"], run.facts["total"] = candidate.counts()
    recipe = run.decide(len(examples), len(desk.examples))
    if method.needs_steps:
        candidate.measure(examples.rows.lengths)
    yield from run.planned(recipe)
    begun = perf_counter()
    run.seconds["before_first_step"] = begun - run.begun
    if method.needs_steps:
        fit = candidate.fit(examples, recipe, run.folder.checkpoints, run.data.valid)
        for event in footprint(run, candidate, examples.rows, recipe, fit):
            if event.name == "trained":
                run.facts |= {key: event[key] for key in ("tokens", "moved")}
            yield event
        if raced:
            candidate.calibrate(run.chosen[FITS]["temperature"])
    run.seconds["train"] = perf_counter() - begun
    if raced:
        some = np.arange(min(CHECKED, len(run.data.train)))
        run.facts["answers"] = candidate.exactly(examples.rows.take(some))
    yield from run.save(candidate.save)
    return bench.task
