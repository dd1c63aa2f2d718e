"""The last stages of a generation run: answers of the reloaded artefact and of its baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fewtune.base.events import Event, tell
from fewtune.data.dialogue import as_text
from fewtune.data.ledger import Unusable
from fewtune.evaluate.answers import Sums
from fewtune.evaluate.change import generation_verdict
from fewtune.evaluate.generate import gain, score
from fewtune.evaluate.named import resolve_metrics
from fewtune.methods.predictor import load_voice
from fewtune.methods.voice import Voice
from fewtune.pipeline import forgetting
from fewtune.pipeline.ending import ended, recorded
from fewtune.pipeline.hearing import Asked, Heard, asked_rows, few_shot, hear, looked_up, sums_of
from fewtune.pipeline.parted import answer_slices, by_group, group_of
from fewtune.tasks.generate import Generate

if TYPE_CHECKING:
    from fewtune.models.causal import CausalModel
    from fewtune.pipeline.run import Run
    from fewtune.train.answers import AnswerBench

ENOUGH = 0.5  # share of answers that end by themselves, below which a warning is due


def finish(run: Run, bench: AnswerBench) -> Iterator[Event]:
    """Score the saved artefact and the baselines on the test rows, and write everything down."""
    from fewtune.pipeline.generate import set_aside

    begun = perf_counter()
    encoding = bench.encode(run.data.test)
    yield from set_aside(run, "test", run.data.test, encoding)
    if note := by_group(run.data.test, run.job.data.group):
        yield tell("warned", message=note)
    options, train = run.job.generate, run.data.train
    test = asked_rows(
        run.data.test, encoding.rows, bench.tokenizer, run.job.decoding,
        options.answered_rows, run.seed,
    )  # fmt: skip
    general = forgetting.general_rows(options.general)
    voice = load_voice(run.folder.model, run.chosen.get("device", "auto"), run.chosen.get("bf16"))
    drift: dict[str, Any] = {}
    heard = {"test": hear(voice, test, run.seed)}
    yield _told(heard["test"], run.method.spell(), test)
    now = forgetting.general_losses(voice, general)
    with _untouched(run, bench, voice) as before:
        heard["before"] = hear(before, test, run.seed)
        yield _told(heard["before"], "before", test)
        then = forgetting.general_losses(before, general)
        if test.talks and options.examples:
            try:
                heard["few_shot"] = few_shot(before, train, test, options.examples, run.seed)
                yield _told(heard["few_shot"], "few_shot", test)
            except Unusable as refused:
                message = f"the baseline with examples in its prompt is left out: {refused.reason}."
                yield tell("warned", message=message)
        known = forgetting.known(then, len(bench.tokenizer))
        texts = [general[k] for k in known]
        if len(known) >= forgetting.FEWEST:
            drift = forgetting.drifted(voice, before, run.method, texts, run.seed)
    scaled = forgetting.curve(voice, run.method, test.marked, texts)
    if test.talks:
        heard["nearest"] = Heard(replies=looked_up(train, test))
    run.folder.write_predictions(_predictions(test, heard))
    recall = forgetting.recalled(now, then, known, run.seed)
    scored = _scored(run, test, heard) | {"recall": recall | drift | {"curve": scaled}}
    scores = recorded(run, scored, answered=len(test.talks))
    run.seconds["evaluate"] = perf_counter() - begun
    yield from forgetting.told(scores, run.method)
    yield from _endless(run, scores)
    yield from ended(run, scores)


def _endless(run: Run, scores: dict[str, Any]) -> Iterator[Event]:
    """A warning where most answers do not end: what a user notices first, and no loss tells."""
    stops = scores["test"].get("stops")
    if stops is None or stops["high"] >= ENOUGH:
        return
    part = "" if any(one.trains_words for one in run.method.parts()) else (
        f" `{run.method.spell()}` trains no word of the vocabulary, so an end token that the base "
        "model never used stays unlikely: choose a model that was taught to end its answers (chat "
        "or instruct), or `--method full`."
    )  # fmt: skip
    message = (
        f"only {stops['value']:.0%} of the answers end by themselves, the others are cut off at "
        f"the limit.{part} `--stop TEXT` ends them when asked."
    )
    scores["warnings"].append(message)
    yield tell("warned", message=message)


@contextmanager
def _untouched(run: Run, bench: AnswerBench, voice: Voice) -> Iterator[Voice]:
    """The base: the tuned model with its parts switched off, else another copy."""
    method = run.method
    if method.restores:
        method.switch(voice.model, False)
        try:
            yield voice
        finally:
            method.switch(voice.model, True)
    else:
        base: CausalModel = bench.take_base()
        yield bench.voice(base.requires_grad_(False))


def _told(heard: Heard, system: str, test: Asked) -> Event:
    return tell("answered", system=system, rows=len(test.talks), seconds=heard.seconds)


def _predictions(test: Asked, heard: dict[str, Heard]) -> Iterator[dict[str, Any]]:
    """One object an answered row, in the file's order."""
    before = heard["before"].replies
    for k, row in enumerate(test.talks):
        own = heard["test"].replies[k]
        yield {
            "prediction": own.text,
            "label": test.references[k],
            "before": before[k].text,
            "origin": str(row.origin),
            "stopped": own.stopped,
            "text": as_text(test.questions[k]),
            **group_of(row),
        }


def _scored(run: Run, test: Asked, heard: dict[str, Heard]) -> dict[str, Any]:
    """What the answers to the test rows are worth, and what was there before."""
    options, seed, method = run.job.evaluate, run.seed, run.method.spell()
    own = resolve_metrics(options.metric)
    sums = {name: sums_of(test, one, own) for name, one in heard.items()}
    blocks = {name: score(one, options, seed) for name, one in sums.items()}
    ours, others = sums.pop("test"), sums
    over = partial(gain, ours, others, method, resamples=options.bootstrap, seed=seed)
    better, gains = over(Generate.primary), _gains(over, ours)
    scored = len({*test.marked.rows})  # those of which nothing was left to answer are not
    return {
        "primary": Generate.primary,
        "scored": scored,
        "test": blocks["test"],
        "baselines": {name: blocks[name] for name in others},
        "gain": better,
        "gains": gains,
        "verdict": generation_verdict(
            method, scored, blocks["test"], blocks["before"], better, gains=gains
        ),
        "slices": answer_slices(
            run.data.test, test.marked, heard["test"].likelihood, run.job.data.group, seed
        ),
    }


def _gains(over: Callable[[str], dict[str, Any]], ours: Mapping[str, Sums]) -> dict[str, Any]:
    """The gain over the best baseline by other metrics, each paired on the same rows."""
    told = ("exact_match", "number_match", "rougeL", "rougeL_characters", "bleu", "chrf")
    return {name: found for name in told if name in ours and (found := over(name))}
