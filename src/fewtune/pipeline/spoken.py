"""What the candidates of a comparison write and forget, each asked once after its first fold."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.data.ledger import Unusable
from fewtune.evaluate.answers import Answer, boiled
from fewtune.evaluate.generate import score
from fewtune.evaluate.options import EvaluateOptions
from fewtune.pipeline import forgetting
from fewtune.pipeline.comparing import ASIDE
from fewtune.pipeline.entries import ROWS
from fewtune.pipeline.hearing import Asked, asked_rows
from fewtune.trials.answer_entrants import BEFORE
from fewtune.trials.aside import Aside, Said

if TYPE_CHECKING:
    from fewtune.methods.voice import Voice
    from fewtune.models.batches import Marked
    from fewtune.pipeline.lineup import LineUp
    from fewtune.pipeline.run import Run
    from fewtune.train.answers import AnswerBench

FEWEST = 5  # answers; fewer say nothing of who writes better
TIMED = 4  # answers by which the pace is known
SECONDS, SHARE = 300.0, 0.2  # of writing by all candidates, and of a seed's budget, if there is one
METRICS = ("exact_match", "number_match", "rougeL", "rougeL_characters", "chrf")


@dataclass(frozen=True)
class Spoken:
    """What is told of it.

    Attributes:
        aside: what everybody is asked.
        references: what should be answered.
        known: positions of the general texts that the untouched model could forget.
        options: resamples.
        took: seconds until the untouched model was asked.
    """

    aside: Aside
    references: list[str]
    known: list[int]
    options: EvaluateOptions
    took: float = 0.0

    def line(self, name: str) -> dict[str, Any]:
        """Of one candidate `forgets` and `written`; None and nothing where it was not asked.

        Returns:
            `forgets`: the change of the loss on general texts, positive where something was
            forgotten, as `forgetting.recalled` has it; `written`: metric -> score of the answers.
        """
        said, base = self.aside.read(name), self.aside.read(BEFORE)
        if said is None or base is None:
            return dict(NOTHING)
        return {"forgets": self._forgets(said, base, name), "written": self._written(said)}

    def told(self, names: Iterable[str]) -> dict[str, Any]:
        """How it was done: texts, rows, most tokens, and the seconds of all."""
        seconds = [self.aside.seconds(one) for one in (BEFORE, *names)]
        return {
            "passages": len(self.known) if len(self.known) >= forgetting.FEWEST else 0,
            "rows": len(self.references),
            "tokens": self.aside.decoding.max_new_tokens,
            "seconds": round(sum(seconds), 3),
        }

    def _forgets(self, said: Said, base: Said, name: str) -> dict[str, Any] | None:
        if name == BEFORE or not np.isfinite(said.general).all():
            return None
        now, then = (
            (one.general[:, 0], one.general[:, 1], one.general[:, 2]) for one in (said, base)
        )
        found = forgetting.recalled(now, then, self.known, self.aside.seed)
        return {**found["change"], "p": found["p"]} if found["known"] else None

    def _written(self, said: Said) -> dict[str, Any]:
        if not said.replies:
            return {}
        answers = [
            Answer(reply.text, reference, reply.stopped, reply.tokens)
            for reply, reference in zip(said.replies, self.references, strict=True)
        ]
        found = score(boiled(answers), self.options, self.aside.seed)
        return {name: found[name] for name in METRICS if name in found}


NOTHING: dict[str, Any] = {"forgets": None, "written": {}}


def spoken(
    run: Run, lineup: LineUp, bench: AnswerBench, rows: Marked, held: np.ndarray
) -> Generator[Event, None, Spoken]:
    """Decide what everybody is asked, and ask the untouched model.

    Args:
        rows: the training rows as tokens.
        held: positions of those of the first fold.
    """
    begun, job, voice = perf_counter(), lineup.job, bench.voice(bench.base)
    general = forgetting.general_rows(job.generate.general)
    asked = asked_rows(
        run.data.train, rows.take(held), bench.tokenizer, job.decoding,
        job.generate.answered_rows if _given(lineup) else ROWS, run.seed,
    )  # fmt: skip
    notes: list[str] = []
    aside = Aside(
        run.folder.path / ASIDE, forgetting.first_parts(voice, general), held, seed=run.seed,
        decoding=asked.decoding,
    )  # fmt: skip
    try:
        count = run.chosen.get("written_rows")
        if count is None:
            count = len(asked.talks) if _given(lineup) else _affordable(voice, asked, lineup)
            run.chosen["written_rows"] = count
            run.keep_plan()  # a kill later on must not leave answers to another number of rows
        if count < len(asked.talks):
            notes.append(_fewer(len(asked.talks), count))
        asked = _some(asked, count)
        aside = replace(
            aside, questions=asked.questions, tools=[one.get("tools") for one in asked.talks]
        )
        base = aside.ask(BEFORE, voice)
    except Unusable as refused:
        notes.append(f"no answers are written: {refused.reason}.")
        asked, aside = _some(asked, 0), replace(aside, questions=(), tools=())
        base = aside.ask(BEFORE, voice)
    losses = base.general[:, 0], base.general[:, 1], base.general[:, 2]
    known = forgetting.known(losses, len(bench.tokenizer))
    if len(known) < forgetting.FEWEST:
        notes.append(forgetting.UNKNOWN)
    for note in notes:
        yield tell("warned", message=note)
    took = perf_counter() - begun
    return Spoken(aside, [*asked.references], known, job.evaluate, took)


def _given(lineup: LineUp) -> bool:
    """Whether the user says how many rows are answered; then it takes what it takes."""
    return lineup.given.get("answered_rows") is not None


def _affordable(voice: Voice, asked: Asked, lineup: LineUp) -> int:
    """How many rows all candidates can answer in the time for it, at the untouched model's pace."""
    most = len(asked.talks)
    if most <= FEWEST:
        return most
    begun = perf_counter()
    voice.answer(asked.questions[:TIMED], asked.decoding, lineup.job.run.seed)
    each = (perf_counter() - begun) / TIMED * (len(lineup.entries) + 1)
    # all of it falls into the folds of the first seed
    limit = min(SECONDS, SHARE * (lineup.budget or float("inf")) / lineup.options.seeds)
    count = min(most, int(limit / each))
    return count if count >= FEWEST else 0


def _fewer(asked: int, count: int) -> str:
    instead = f"{count} of {asked} rows are" if count else "no row is"
    return (
        f"{instead} answered in words by each, for at the untouched model's pace more would take "
        "too long; --answered_rows asks for so many whatever it takes."
    )


def _some(asked: Asked, count: int) -> Asked:
    """So many of the rows, from everywhere in the file."""
    chosen = np.linspace(0, max(0, len(asked.talks) - 1), count).astype(int).tolist()
    return replace(
        asked,
        talks=[asked.talks[k] for k in chosen],
        questions=[asked.questions[k] for k in chosen],
        references=[asked.references[k] for k in chosen],
    )
