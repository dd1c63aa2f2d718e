"""The stages of a run that learns labels, one a row or several, between its rows and its scores."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from time import perf_counter

from fewtune.base.events import Event
from fewtune.methods.artefact import About
from fewtune.pipeline.baselines import baselines, probe_start
from fewtune.pipeline.extra import extra_rows
from fewtune.pipeline.run import Run
from fewtune.pipeline.thresholds import decide, decide_ngrams, fit_tfidf
from fewtune.tasks import LABELLED
from fewtune.tasks.labelled import Labelled


def classify(run: Run) -> Iterator[Event]:
    """Plan, fit and save; then everything that is said about the test rows.

    The test rows are read once, after the artefact is saved, by the baselines too: training starts
    seconds earlier, and nothing seen on them can have changed it.
    """
    from fewtune.pipeline.scoring import finish

    task = task_of(run)
    task = yield from (_neural if run.method.needs_model else _ngrams)(run, task)
    yield from finish(run, task)


def task_of(run: Run) -> Labelled:
    """The task with the labels and class weights of the training rows."""
    options = run.job.train
    return LABELLED[run.job.task].of_rows(
        run.data.labels,
        run.data.train,
        options.class_weights == "balanced",
        options.label_smoothing_factor,
    )


def _ngrams(run: Run, task: Labelled) -> Generator[Event, None, Labelled]:
    """The candidate without a neural model."""
    begun = perf_counter()
    run.seconds["before_first_step"] = begun - run.begun
    model = fit_tfidf(run, task)
    task = decide_ngrams(run, task)
    run.seconds["train"] = perf_counter() - begun
    run.facts["trainable"] = run.facts["total"] = model.weight.size + model.bias.size

    def write(place: Path) -> About:
        model.save(place)
        about = About(task.name, run.method.spell(), run.method.model_dump(), **task.telling())
        about.write(place)
        return about

    yield from run.save(write)
    yield from baselines(run, task)
    return task


def _neural(run: Run, task: Labelled) -> Generator[Event, None, Labelled]:
    """Plan, fit and artefact of a neural candidate."""
    from fewtune.train.bench import Bench
    from fewtune.train.classifier import Classifier

    assert run.source is not None
    job, method = run.job, run.method
    reserved = method.reserved_tokens
    bench = Bench(run.source, task, job.model, job.train, run.seed, reserved, run.chosen)
    examples = bench.examples(run.data.train)
    yield from run.truncated("train", examples.rows.truncated)
    probe = probe_start(run, bench, examples)
    extra = yield from extra_rows(run, bench, examples)
    yield from decide(run, bench, examples)
    if extra is not None:
        examples = examples.and_also(extra)
    candidate = Classifier(bench, method)
    starts_at_zero = job.train.start_head == "zero" and method.needs_steps
    start = probe if extra is None else probe_start(run, bench, examples)
    candidate.start(None if starts_at_zero else method.head_start(start))
    run.facts["trainable"], run.facts["total"] = candidate.counts()
    recipe = run.decide(len(examples))
    if method.needs_steps:
        candidate.measure(examples.rows.lengths)
    yield from run.planned(recipe)
    begun = perf_counter()
    run.seconds["before_first_step"] = begun - run.begun
    if method.needs_steps:
        for event in candidate.fit(examples, recipe, run.folder.checkpoints, run.data.valid):
            if event.name == "trained":
                run.facts["tokens"] = event["tokens"]
            yield event
    run.seconds["train"] = perf_counter() - begun
    yield from run.save(candidate.save)
    del candidate  # what is told from here on is told of the saved model
    yield from baselines(run, task, bench, probe)
    return bench.task
