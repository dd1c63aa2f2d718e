"""The stages of a run that searches a prompt for a model and leaves the model as it is."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from shlex import quote
from time import perf_counter
from typing import cast

from fewtune.base.errors import FewtuneError, Interrupted, UsageError
from fewtune.base.events import Event, tell
from fewtune.data.holdout import folds_of, stratum
from fewtune.data.row import Row
from fewtune.evaluate.overlap import rouge
from fewtune.evaluate.texts import characters, words
from fewtune.models.writer import Writer
from fewtune.pipeline.ending import ended, recorded
from fewtune.pipeline.parted import by_group
from fewtune.pipeline.prompt_job import given_instructions
from fewtune.pipeline.prompt_scores import (
    Said,
    by_characters,
    primary_of,
    scored_labels,
    scored_texts,
    some_of,
    usable,
)
from fewtune.pipeline.run import Run
from fewtune.tasks.classify import Classify
from fewtune.trials.options import TextPrompt
from fewtune.trials.prompt import Example, Prompt, as_json, example_of, first_prompt
from fewtune.trials.prompted import (
    SEED,
    Prompted,
    full_name,
    load,
    save,
    writer_of,
)
from fewtune.trials.text_prompt import (
    SHARE_SHOWN,
    Grade,
    Pool,
    Search,
    in_turn,
    proposed,
    questions_for_instructions,
    ways_of,
)

KEPT_ASIDE = 0.5  # of the calls, at most, for the test rows
PROPOSED = 0.1  # of the other calls, at most, for instructions that the model proposes
SILENT = 8  # questions after which a model that has said nothing is given up


@dataclass(frozen=True)
class Desk:
    """What the stages of one run have in common.

    Attributes:
        rows, examples: training rows, as read and as shown.
        first: labels and language, with the instruction that all others must beat.
        writer: the model.
        search, test: calls for either; `scored` test rows can be asked twice with the latter.
    """

    rows: Sequence[Row]
    examples: Sequence[Example]
    first: Prompt
    writer: Writer
    search: int
    test: Sequence[Row]
    available: int


def text_prompt(run: Run) -> Iterator[Event]:
    """Search, save; then everything that is said about the test rows, which are asked once."""
    try:
        desk = _desk(run)
        begun = perf_counter()
        run.seconds["before_first_step"] = begun - run.begun
        if "prompt" not in run.chosen:
            yield from _searched(run, desk)
        prompt = Prompt(labels=desk.first.labels, **run.chosen["prompt"])
        run.seconds["train"] = perf_counter() - begun
        run.facts["trainable"] = run.facts["total"] = 0
        name = full_name(run.job.model.model)
        groups = [stratum(row) for row in desk.rows]
        positive = run.job.evaluate.positive
        yield from run.save(lambda at: save(at, prompt, desk.examples, groups, name, positive))
        yield from _finish(run, desk)
    except KeyboardInterrupt:
        raise Interrupted("stopped; what was answered is kept.") from None
    except UsageError:
        raise
    except FewtuneError as error:
        kept = f"What was answered is kept: `fewtune resume {quote(str(run.folder.path))}` goes on."
        raise FewtuneError(f"{error} {kept}") from error


def _desk(run: Run) -> Desk:
    """Rows, model and budget."""
    job, method = run.job, cast(TextPrompt, run.method)
    rows = [row for row in run.data.train if usable(row)]
    test = [row for row in run.data.test if usable(row)]
    examples = [example_of(row) for row in rows]
    first = first_prompt(run.data.labels if job.task == Classify.name else (), examples)
    longest = job.decoding.max_new_tokens if job.writes else None
    most = min(len(test), job.generate.answered_rows) if job.writes else len(test)
    scored = min(most, int(KEPT_ASIDE * method.calls) // 2)
    return Desk(
        rows,
        examples,
        first,
        writer_of(job.model.model, method.calls - 2 * scored, longest),  # the rest is for the end
        method.calls - 2 * scored,
        some_of(test, scored, run.seed),
        most,
    )


def _searched(run: Run, desk: Desk) -> Iterator[Event]:
    """Choose the prompt, and write down which: from here on a resume replays it."""
    instructions = yield from _instructions(run, desk)
    groups = [stratum(row) for row in desk.rows]
    count = run.job.trials.folds_of(len(desk.rows))
    pool = Pool(desk.examples, groups, folds_of(desk.rows, count, run.seed))
    shown = {*_shown_to_propose(run, desk)}
    order = [k for k in in_turn(groups, run.seed) if k not in shown]
    metric = Classify.primary if desk.first.labels else primary_of(desk.examples)
    calls = desk.search - run.chosen["proposals"]
    search = Search(pool, order, partial(_asked, desk), _grade(desk), calls, metric)
    most = cast(TextPrompt, run.method).demonstrations
    outcome = yield from search.run(instructions, desk.first, ways_of(most, len(desk.rows)))
    run.tried("prompts", outcome.table, True)
    run.chosen["prompt"] = as_json(outcome.best)
    run.chosen["calls"] = {"search": outcome.calls + run.chosen["proposals"]}
    best, first = outcome.line, outcome.table[0]
    run.reasons.append(
        f"prompt: of {len(outcome.table)} candidates on folds of the training rows, "
        f"`{best['name']}` has the best {metric} ({best[metric]:.3f} on {best['rows']} rows; the "
        f"first has {first[metric]:.3f} on {first['rows']})."
    )
    run.keep_plan()


def _instructions(run: Run, desk: Desk) -> Generator[Event, None, list[str]]:
    """The user's, or the plainest one, and those that the model proposes."""
    told = given_instructions(run.method) or [desk.first.instruction]
    method = cast(TextPrompt, run.method)
    count = min(method.proposals, int(PROPOSED * desk.search))
    if "instructions" not in run.chosen:
        shown = [desk.examples[k] for k in _shown_to_propose(run, desk)]
        asked = questions_for_instructions(desk.first, shown, count, run.seed) if count else []
        found = proposed(_asked(desk, asked), desk.first) if asked else []
        if asked and not found:
            yield tell("warned", message="the model proposes no instruction.")
        run.chosen["instructions"] = list(dict.fromkeys([*told, *found]))
        run.chosen["proposals"] = len(asked)
        run.keep_plan()
    return list(run.chosen["instructions"])


def _shown_to_propose(run: Run, desk: Desk) -> list[int]:
    """Rows that the model sees when it proposes; what was seen is not scored."""
    if not cast(TextPrompt, run.method).proposals:
        return []
    groups = [stratum(row) for row in desk.rows]
    return in_turn(groups, run.seed)[: max(2, int(SHARE_SHOWN * min(len(groups), 100)))]


def _asked(desk: Desk, prompts: Sequence[str]) -> list[str | None]:
    """The model's answers; it must say something to the first few questions.

    Raises:
        FewtuneError: it says nothing, or cannot be asked.
    """
    some = sorted(prompts, key=len)[:SILENT]  # a longer one may be too long for the model
    said = dict(zip(some, desk.writer(some, SEED), strict=True))
    if not any(said.values()):
        raise FewtuneError(
            f"the model's answers to {len(some)} questions are all empty; see that it answers "
            "chat messages, and that it does not spend all its tokens on thinking."
        )
    rest = [one for one in prompts if one not in said]
    said |= zip(rest, desk.writer(rest, SEED) if rest else (), strict=True)
    return [said[one] for one in prompts]


def _grade(desk: Desk) -> Grade:
    """1 for the right label, else 0; of texts the overlap with the reference (ROUGE-L)."""
    if desk.first.labels:
        return lambda said, row: float(said == desk.examples[row].answer)
    cut = characters if by_characters(desk.examples) else words
    return lambda said, row: rouge(said or "", desk.examples[row].answer, cut)[2]


# ---- what is said about the test rows


def _finish(run: Run, desk: Desk) -> Iterator[Event]:
    """Ask the test rows with the saved prompt and with the first one, and write all down."""
    begun = perf_counter()
    if desk.available > len(desk.test):
        yield tell(
            "warned",
            message=f"the budget has calls for {len(desk.test):,} of {desk.available:,} test rows, "
            f"drawn by the seed; --calls {int(2 / KEPT_ASIDE) * desk.available} is enough for all.",
        )
    if note := by_group(desk.test, run.job.data.group):
        yield tell("warned", message=note)
    desk.writer.calls = cast(TextPrompt, run.method).calls  # what the search had to leave
    prompted = load(run.folder.model)
    first = replace(desk.first, instruction=run.chosen["instructions"][0])
    systems = {"test": prompted, "before": replace(prompted, prompt=first, rows=())}
    heard: dict[str, Said] = {}
    for name, one in systems.items():
        asked = perf_counter()
        heard[name] = _said(one, desk)
        system = run.method.spell() if name == "test" else name
        seconds = perf_counter() - asked
        yield tell("answered", system=system, rows=len(desk.test), seconds=seconds)
        if silent := heard[name].unanswered(desk.test):
            yield tell("warned", message=f"{system}: {silent}")
    scored = scored_labels if desk.first.labels else scored_texts
    calls = {"most": desk.writer.calls, **run.chosen["calls"], "sent": desk.writer.spent}
    found = scored(run, desk.rows, desk.test, heard) | {"calls": calls}
    scores = recorded(run, found, answered=len(desk.test))
    run.seconds["evaluate"] = perf_counter() - begun
    yield from ended(run, scores)


def _said(prompted: Prompted, desk: Desk) -> Said:
    """What is said of the test rows."""
    asked = [example_of(row).asked for row in desk.test]
    return Said.of(prompted.answers(asked, desk.writer))
