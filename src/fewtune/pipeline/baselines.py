"""The baselines that every run is set beside, on the same test rows."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import TYPE_CHECKING

from fewtune.base.events import Event, tell
from fewtune.data.holdout import folds_of
from fewtune.pipeline.thresholds import decide_ngrams, fit_tfidf, keep, kept, texts
from fewtune.tasks.labelled import Labelled

if TYPE_CHECKING:
    import numpy as np

    from fewtune.models.probe import Probe
    from fewtune.pipeline.run import Run
    from fewtune.train.bench import Bench, Examples

FOLDS = 5  # of the training rows, on which the probe's penalty is chosen


def baselines(
    run: Run, task: Labelled, bench: Bench | None = None, probe: Probe | None = None
) -> Iterator[Event]:
    """Each baseline's answers on the test rows, the cheapest first.

    The method itself is not among them: it is scored from its saved artefact.

    Args:
        bench, probe: of a neural candidate, after its fit.
    """
    begun = perf_counter()
    own = run.method.spell()
    targets = task.targets(run.data.train)
    always = task.majority(targets, len(targets))
    always_task = task.decided_on(always, targets, "common")
    yield _scored(run, always_task, "majority", task.majority(targets, len(run.data.test)))
    if own != "tfidf":
        found = fit_tfidf(run, task).probabilities(texts(run.data.test))
        yield _scored(run, decide_ngrams(run, task), "tfidf", found)
    if bench and probe:
        yield from _neural_baselines(run, bench, probe)
    run.seconds["baselines"] = perf_counter() - begun


def probe_start(run: Run, bench: Bench, examples: Examples) -> Probe:
    """The probe: its one number is chosen on folds, written down and replayed on a resume.

    It is a baseline, the head's start, and the whole of the method `probe`. One penalty for all
    data would not do: noisy labels want a strong one (MaintNet: accuracy .669 at C = 1, .612 at
    30), many clean classes a weak one (BANKING77: .844 at 1, .877 at 30).
    """
    if "probe_c" not in run.chosen:
        folds = folds_of(run.data.train, FOLDS, run.seed)
        tried, answers = bench.try_probes(examples, folds)
        settings = [one.c for one in tried]
        run.chosen |= {"probe_c": tried[0].c, "probe_temperature": tried[0].temperature}
        keep(run, bench.task, "probe", answers, examples.targets, folds)
        run.reasons.append(
            f"probe: C = {tried[0].c:g} has the lowest log-loss ({tried[0].log_loss:.3f}) of "
            f"{len(tried)} settings from {min(settings):g} to {max(settings):g} on {len(folds)} "
            "folds of the training rows, each at its best temperature."
        )
    return bench.probe_at(examples, run.chosen["probe_c"], run.chosen["probe_temperature"])


def _neural_baselines(run: Run, bench: Bench, probe: Probe) -> Iterator[Event]:
    """The probe, and the untouched model where its own head knows the classes."""
    from fewtune.models.own_head import answers_before

    assert run.source is not None
    test = bench.encode(run.data.test)
    yield from run.truncated("test", test.truncated)
    task = bench.task
    if run.method.spell() != "probe":
        found = bench.probe_probabilities(probe, test)
        yield _scored(run, task.at(kept(run, "probe")), "probe", found)
    before = answers_before(
        run.source, test, task.labels, bench.machine, task.choice, run.job.model
    )
    if before is not None:
        yield _scored(run, task.at(None), "before", before)


def _scored(run: Run, task: Labelled, name: str, found: np.ndarray) -> Event:
    """Keep a baseline's answers, and tell how often all of a row is right."""
    run.baselines[name] = task.answered(found)
    right = task.right(found, run.data.test)
    return tell("baseline", baseline=name, accuracy=float(right.mean()))
