"""The last stages of a generation run: answers of the reloaded artefact and of its baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.base.files import at
from fewtune.data.columns import Role
from fewtune.data.dialogue import Message, as_text
from fewtune.data.read import read_rows
from fewtune.data.row import Origin, Row
from fewtune.evaluate.answers import Answer, Likelihood, Sums, boiled
from fewtune.evaluate.change import generation_verdict
from fewtune.evaluate.generate import gain, score
from fewtune.evaluate.named import resolve_metrics
from fewtune.evaluate.passages import passages
from fewtune.methods.predictor import load_voice
from fewtune.methods.voice import Reply, Voice
from fewtune.models.decoding import DecodingOptions
from fewtune.pipeline.scoring import peak_memory, write_card
from fewtune.report.page import write_report
from fewtune.tasks.generate import Generate, asked

if TYPE_CHECKING:
    from fewtune.models.batches import Marked
    from fewtune.models.causal import CausalModel
    from fewtune.pipeline.run import Run
    from fewtune.train.answers import AnswerBench

LEVEL = 0.05
FEWEST = 10  # general texts that the untouched model knows, below which nothing is said
UNKNOWN = (
    "the untouched model finds the general texts less likely than guessing, so there is nothing "
    "that it could forget of them; give texts of its own kind (--general FILE)."
)
NOTABLE = 0.1  # nats a token on general passages: the change from which forgetting is told


@dataclass
class Heard:
    """What one system said of the test rows.

    Attributes:
        likelihood: of every test row's answers; None where the system has none.
        replies: to the rows that are answered.
    """

    likelihood: Likelihood | None = None
    replies: Sequence[Reply] = ()
    general: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    seconds: float = 0.0


@dataclass
class Test:
    """The test rows as they are asked.

    Attributes:
        marked: rows as tokens, those with something to score.
        talks: those that are answered, with their questions and references.
    """

    rows: Sequence[Row]
    marked: Marked
    talks: Sequence[Row]
    questions: Sequence[tuple[Message, ...]] = field(default_factory=tuple)
    references: Sequence[str] = field(default_factory=tuple)
    decoding: DecodingOptions = field(default_factory=DecodingOptions)


def finish(run: Run, bench: AnswerBench) -> Iterator[Event]:
    """Score the saved artefact and the baselines on the test rows, and write everything down."""
    from fewtune.pipeline.generate import set_aside

    begun = perf_counter()
    encoding = bench.encode(run.data.test)
    yield from set_aside(run, "test", run.data.test, encoding)
    test = _test(run, bench, encoding.rows)
    run.facts["vocabulary"] = len(bench.tokenizer)
    general = general_rows(run.job.generate.general)
    voice = load_voice(run.folder.model, run.chosen.get("device", "auto"), run.chosen.get("bf16"))
    heard = {"test": _heard(voice, test, general, run.seed)}
    yield _told(heard["test"], run.method.spell(), test)
    with _untouched(run, bench, voice) as before:
        heard["before"] = _heard(before, test, general, run.seed)
        yield _told(heard["before"], "before", test)
        if test.talks and run.job.generate.examples:
            heard["few_shot"] = _few_shot(before, run, test)
            yield _told(heard["few_shot"], "few_shot", test)
    if test.talks:
        heard["nearest"] = Heard(replies=_nearest(run.data.train, test))
    run.folder.write_predictions(_predictions(test, heard))
    scores = _scores(run, test, heard)
    run.seconds["evaluate"] = perf_counter() - begun
    yield from _recalled(scores)
    yield tell("scored", scores=scores["test"], gain=scores["gain"])
    run.seconds["total"] = perf_counter() - run.begun
    scores["seconds"] = {name: round(value, 3) for name, value in run.seconds.items()}
    run.folder.write_scores(scores)
    write_card(run, scores)
    # a run is finished when all of it is there, so the report says so a moment before
    write_report(run.folder, "finished")
    yield tell("finished", verdict=scores["verdict"], seconds=run.seconds["total"])


def _test(run: Run, bench: AnswerBench, marked: Marked) -> Test:
    """Which rows are scored, which are answered, and how long an answer may be."""
    rows = run.data.test
    marked = marked.take(np.flatnonzero(marked.learned)) if len(marked) else marked
    scored = sorted(set(marked.rows))
    talks = [k for k in scored if "messages" in rows[k].fields]
    most = run.job.generate.answered_rows
    if len(talks) > most:
        draw = np.random.Generator(np.random.PCG64(run.seed))
        talks = sorted(draw.choice(talks, most, replace=False).tolist())
    pairs = [asked(rows[k]) for k in talks]
    references = [reference for _, reference in pairs]
    longest = max((len(bench.tokenizer(one)["input_ids"]) for one in references), default=0)
    most_tokens = min(run.job.decoding.max_new_tokens, 2 * longest + 16)
    return Test(
        rows,
        marked,
        [rows[k] for k in talks],
        [question for question, _ in pairs],
        references,
        run.job.decoding.model_copy(update={"max_new_tokens": most_tokens}),
    )


def general_rows(path: str | None) -> list[Row]:
    """Texts that have nothing to do with the task: the user's, or fewtune's own passages."""
    if path:
        from fewtune.data.options import DataOptions

        return read_rows(at(path), [Role("text")], DataOptions()).rows
    texts = passages("both")
    return [Row(Origin("general", k), {"text": text}) for k, text in enumerate(texts, 1)]


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


def _heard(voice: Voice, test: Test, general: Sequence[Row], seed: int) -> Heard:
    """How likely a model finds the rows, what it answers, how it does on general texts."""
    begun = perf_counter()
    known = voice.losses(test.marked)
    replies: Sequence[Reply] = ()
    if test.talks:
        tools = [row.get("tools") for row in test.talks]
        replies = voice.answer(test.questions, test.decoding, seed, tools)
    texts = voice.losses(_one_each(voice.encode(general).rows))
    return Heard(Likelihood(*known), replies, texts, perf_counter() - begun)


def _one_each(rows: Marked) -> Marked:
    """Of every general text its first part: so many tokens say enough."""
    return rows.take(np.unique(np.asarray(rows.rows), return_index=True)[1])


def _few_shot(voice: Voice, run: Run, test: Test) -> Heard:
    """The untouched model with the nearest training rows before each question."""
    begun = perf_counter()
    pool = [asked(row) for row in run.data.train if "messages" in row.fields]
    near = nearest_rows([as_text(q) for q, _ in pool], test.questions, run.job.generate.examples)
    questions = []
    for question, found in zip(test.questions, near, strict=True):
        head = question[:1] if question[0].role == "system" else ()
        shown: list[Message] = []
        for k in reversed(found):  # the nearest stands directly before the question
            turns, answer = pool[k]
            shown += [one for one in turns if one.role != "system"][-1:]
            shown.append(Message("assistant", answer))
        questions.append((*head, *shown, *question[len(head) :]))
    replies = voice.answer(questions, test.decoding, run.seed)
    return Heard(replies=replies, seconds=perf_counter() - begun)


def _nearest(train: Sequence[Row], test: Test) -> list[Reply]:
    """The answer of the training row whose question is nearest: what looking up would give."""
    pool = [asked(row) for row in train if "messages" in row.fields]
    near = nearest_rows([as_text(question) for question, _ in pool], test.questions, 1)
    return [Reply(pool[found[0]][1], 0, True) for found in near]


def nearest_rows(
    known: Sequence[str], questions: Sequence[Sequence[Message]], count: int
) -> list[list[int]]:
    """For each question the nearest known texts by TF-IDF of character n-grams, nearest first."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    index = vectors.fit_transform(known)
    cosine = (vectors.transform([as_text(one) for one in questions]) @ index.T).toarray()
    return np.argsort(-cosine, axis=1, kind="stable")[:, :count].tolist()


def _told(heard: Heard, system: str, test: Test) -> Event:
    return tell("answered", system=system, rows=len(test.talks), seconds=heard.seconds)


def _predictions(test: Test, heard: dict[str, Heard]) -> Iterator[dict[str, Any]]:
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
        }


def _sums(test: Test, heard: Heard, own: Any) -> dict[str, Sums]:
    found = boiled(likelihood=heard.likelihood) if heard.likelihood else {}
    if heard.replies:
        answers = [
            Answer(reply.text, reference, reply.stopped, reply.tokens)
            for reply, reference in zip(heard.replies, test.references, strict=True)
        ]
        found |= boiled(answers, own=own)
    return found


def _scores(run: Run, test: Test, heard: dict[str, Heard]) -> dict[str, Any]:
    """The block that `train --json` prints and `scores.json` holds."""
    options, seed, method = run.job.evaluate, run.seed, run.method.spell()
    own = resolve_metrics(options.metric)
    sums = {name: _sums(test, one, own) for name, one in heard.items()}
    blocks = {name: score(one, options, seed) for name, one in sums.items()}
    ours, others = sums.pop("test"), sums
    better = gain(ours, others, method, Generate.primary, seed=seed)
    counts = {part: len(run.data.part(part)) for part in ("train", "valid", "test")}
    baselines = {name: blocks[name] for name in others}
    return {
        "run": str(run.folder.path),
        "task": Generate.name,
        "method": method,
        "primary": Generate.primary,
        "rows": run.data.ledger.counts() | counts | {"answered": len(test.talks)},
        "test": blocks["test"],
        "baselines": baselines,
        "gain": better,
        "gains": _gains(ours, others, method, seed),
        "verdict": generation_verdict(
            method, len(test.marked), blocks["test"], blocks["before"], better
        ),
        "recall": _recall(heard, run.facts["vocabulary"], seed),
        "seconds": {},
        "peak_memory_bytes": peak_memory(),
        "trainable_parameters": run.facts["trainable"],
        "total_parameters": run.facts["total"],
        "train": {"tokens": run.facts.get("tokens", 0)},
        "warnings": list(run.warnings),
    }


def _gains(
    ours: dict[str, Sums], others: dict[str, dict[str, Sums]], method: str, seed: int
) -> dict[str, Any]:
    """The gain over the best baseline by other metrics, each paired on the same rows."""
    told = ("exact_match", "number_match", "rougeL", "bleu", "chrf")
    return {
        name: found
        for name in told
        if name in ours and (found := gain(ours, others, method, name, seed=seed))
    }


def _recall(heard: dict[str, Heard], vocabulary: int, seed: int) -> dict[str, Any]:
    """How the loss on general texts changed; positive means that something was forgotten.

    A text that the untouched model finds less likely than guessing is none that it could forget.
    """
    now, before = heard["test"].general, heard["before"].general
    assert now is not None
    assert before is not None
    known = np.flatnonzero(before[0] < before[1] * np.log(vocabulary))
    if len(known) < FEWEST:
        return {"passages": len(known), "known": False}
    now, before = ([one[known] for one in part] for part in (now, before))
    ours, base = boiled(likelihood=Likelihood(*now)), boiled(likelihood=Likelihood(*before))
    change = gain(ours, {"before": base}, "", "loss", seed=seed)
    scores = score(ours, seed=seed), score(base, seed=seed)
    return {
        "passages": len(known),
        "known": True,
        "loss": scores[0]["loss"],
        "before": scores[1]["loss"],
        "change": {"value": -change["value"], "low": -change["high"], "high": -change["low"]},
        "p": change["p"],
    }


def _recalled(scores: dict[str, Any]) -> Iterator[Event]:
    recall = scores["recall"]
    if not recall["known"]:
        yield tell("warned", message=UNKNOWN)
        return
    yield tell("recalled", **{k: recall[k] for k in ("passages", "loss", "before", "change")})
    if recall["change"]["low"] > 0 and recall["change"]["value"] > NOTABLE:
        message = (
            f"the loss on general texts rose by {recall['change']['value']:.2f} nats a token "
            f"({recall['change']['low']:.2f} to {recall['change']['high']:.2f}): the model forgets "
            "what it knew. A lower learning_rate, fewer epochs, or `lora` in place of `full` "
            "forget less."
        )
        scores["warnings"].append(message)
        yield tell("warned", message=message)
