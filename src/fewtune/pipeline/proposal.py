"""What `fewtune plan` says: data, model and machine are looked at, `choose` ranks.

Nothing is trained and no weight is read; a folder with config.json and a tokenizer will do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fewtune.base.amounts import seconds_of
from fewtune.base.errors import UsageError
from fewtune.base.files import at
from fewtune.base.options import build, take
from fewtune.choose.facts import Facts
from fewtune.choose.options import PlanOptions, needs_of
from fewtune.choose.proposal import Proposed, rank, unmet
from fewtune.choose.rules import STRANGE, applying
from fewtune.data.load import Dataset, load
from fewtune.methods.base import options_of
from fewtune.models.named import READ_CHINESE, WRITE_CHINESE
from fewtune.models.options import is_endpoint
from fewtune.models.waiting import wait_as_the_machine_allows
from fewtune.pipeline.facts import Wanted, facts_of, timed
from fewtune.pipeline.job import AUTO, Job, held_out_from, make_job
from fewtune.pipeline.machine import hardware_of
from fewtune.pipeline.memory import with_factor
from fewtune.pipeline.plan import reads, with_task, with_valid_rows
from fewtune.tasks import TASKS
from fewtune.trials.sections import WAYS

if TYPE_CHECKING:
    from fewtune.models.source import Source

#: What to name where a model does not read Chinese.
READERS = f"{', '.join(READ_CHINESE[:-1])} or {READ_CHINESE[-1]}"


@dataclass(frozen=True)
class Proposal:
    """A plan before a run: what it rests on, and the methods by rank.

    Attributes:
        job: as the user gave it, its task named.
        asked: whether the user named the task.
        data: as a run would split it.
        facts: what the ranking rests on.
        methods: the best first.
        notes: what the user should know, a sentence each.
    """

    job: Job
    asked: bool
    data: Dataset
    facts: Facts
    methods: list[Proposed]
    notes: list[str]

    def command(self, one: Proposed) -> str:
        """What to type to train by a proposed method."""
        given = {"model": self.job.model.model, **self.job.given, "method": one.method}
        if not self.job.trials.search:
            given.pop("budget", None)  # of a race, which a named method does not run
        others = {*options_of(WAYS.values())} - {*type(self.facts.methods[one.method]).model_fields}
        given = {name: value for name, value in given.items() if name not in others} | one.options
        job = replace(self.job, given=given)
        return job.command

    def as_json(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        facts = self.facts
        return {
            "data": self.job.path,
            "task": {"name": facts.task, "why": self._why()},
            "rows": {
                **self.data.ledger.counts(),
                **{part: len(self.data.part(part)) for part in ("train", "valid", "test")},
            },
            "size": facts.size,
            "rows_per_class": self._per_class(),
            "tokens": {
                "mean": round(float(facts.lengths.mean()), 1),
                "longest": int(facts.lengths.max()),
                "learned": round(facts.learned, 1) if facts.writes else None,
                "unknown": round(facts.unknown, 4),
            },
            "model": {
                "name": facts.model,
                "family": facts.shape.family,
                "parameters": facts.parameters,
                "blocks": facts.shape.layers,
                "width": facts.shape.width,
            },
            "hardware": {
                name: [*value] if isinstance(value, tuple) else value
                for name, value in asdict(facts.hardware).items()
            },
            "needs": sorted(facts.needs),
            "budget": facts.budget,
            "timing": {"how": facts.timings.how, "note": facts.timings.note}
            if facts.timings
            else None,
            "rules": self._rules(),
            "methods": [
                one.as_json() | {"command": None if one.refused else self.command(one)}
                for one in self.methods
            ],
            "unmet": unmet(facts, self.methods),
            "notes": self.notes,
        }

    def _why(self) -> str:
        """How the task was found."""
        columns = ", ".join(f"{role} is `{name}`" for role, name in self.data.columns.items())
        if self.asked:
            return "as you said."
        kind = TASKS[self.facts.task].holds
        return f"{kind} ({columns})." if columns else f"{kind}."

    def _per_class(self) -> dict[str, Any] | None:
        """Rows of each class, the largest first, and what is told of all of them."""
        every = self.facts.per_class
        if not every:
            return None
        counts = sorted(every.values())
        return {
            "classes": len(counts),
            "least": counts[0],
            "median": float(np.median(counts)),
            "most": counts[-1],
            "each": dict(sorted(every.items(), key=lambda one: (-one[1], one[0]))),
        }

    def _rules(self) -> list[dict[str, Any]]:
        """The rules that applied, with whom they raised and lowered."""
        names = [one.method for one in self.methods if not one.refused]
        return [
            {
                "name": rule.name,
                "kind": rule.kind,
                "says": rule.says(self.facts),
                "source": rule.source,
                "numbers": dict(rule.numbers),
                "raises": [name for name in names if rule.adds(name) > 0],
                "lowers": [name for name in names if rule.adds(name) < 0],
            }
            for rule in applying(self.facts)
        ]


def propose(path: str, given: Mapping[str, Any]) -> Proposal:
    """Look at data, model and machine, and rank the methods.

    Args:
        path: the training file.
        given: options by name, those of `fewtune train` and of PlanOptions.

    Raises:
        UsageError: wrong options; every mistake of a kind at once.
        FewtuneError: no such model, or no method could learn from these rows.
    """
    wait_as_the_machine_allows()  # said before torch is imported
    given = {name: value for name, value in given.items() if value is not None}
    first, wanted = _asked(path, given)
    _refuse_endpoint(first)
    job = with_task(first)
    data = with_valid_rows(load(job.path, reads(job), job.data, job.run.seed), job)
    hardware = with_factor(hardware_of(job.model, wanted.memory))
    facts, source = facts_of(job, data, hardware, wanted)
    facts = timed(facts, source, wanted.again)
    asked = first.task != AUTO
    return Proposal(
        job,
        asked,
        data,
        facts,
        rank(facts),
        [*_notes(facts, source), *_by_race(job, data, facts.needs)],
    )


def _asked(path: str, given: Mapping[str, Any]) -> tuple[Job, Wanted]:
    """The job, and what is wanted besides.

    Raises:
        UsageError: every mistake at once, one a line.
    """
    wrong: list[str] = []

    def tried(read: Callable[..., Any], *words: Any) -> Any:
        try:
            return read(*words)
        except UsageError as error:
            wrong.append(str(error))

    own = take(PlanOptions, given)
    job = tried(make_job, path, {name: v for name, v in given.items() if name not in own})
    built = tried(build, [PlanOptions], own)
    options = cast(PlanOptions, built[0]) if built else PlanOptions()
    wanted = Wanted(
        tried(needs_of, options.need) or frozenset(),
        tried(seconds_of, job.trials.budget) if job and job.trials.budget else None,
        job.model.budget if job else None,
        options.again,
    )
    if wrong:
        raise UsageError("\n".join(wrong))
    return cast(Job, job), wanted


def _refuse_endpoint(job: Job) -> None:
    if is_endpoint(job.model.model):
        raise UsageError(
            "model: what answers behind an address can be asked and not trained, so there is "
            "nothing to weigh; `fewtune train` with it searches a prompt (--method text-prompt)."
        )


def _by_race(job: Job, data: Dataset, needs: Collection[str]) -> list[str]:
    """What a race, which knows no needs, does otherwise than the methods' own commands do."""
    rows = len(data.train) + len(data.test)  # those to validate on are learned by neither
    if needs or rows >= held_out_from(job):
        return []
    return [
        f"without --method a race learns all {rows:,} rows and scores them on folds; a method that "
        f"is named learns {len(data.train):,} and is scored on {len(data.test):,}, as told here."
    ]


def _notes(facts: Facts, source: Source) -> list[str]:
    """What the user should know besides the table."""
    from fewtune.models.source import has_weights

    notes = []
    if facts.unknown > STRANGE:
        chinese = facts.chinese > 0.2
        better = WRITE_CHINESE[0] if facts.writes else READERS
        advice = (
            f"choose one that reads Chinese, such as {better}"
            if chinese
            else "choose a model of the texts' language"
        )
        notes.append(
            f"{facts.unknown:.0%} of the tokens of the training rows are unknown to {facts.model}"
            + (f", and {facts.chinese:.0%} of the rows are Chinese" if chinese else "")
            + f": it cannot read them well; {advice}."
        )
    if not has_weights(source.folder):
        verb = "needs" if at(facts.model).is_dir() else "fetches"
        notes.append(
            f"{facts.model} has no weights here; sizes come from its config.json alone, and "
            f"`fewtune train` {verb} the weights."
        )
    if (factor := facts.hardware.factor) != 1:
        notes.append(
            f"memory is told at {factor:.2f} times the computed peak, as past runs have measured "
            "on this machine."
        )
    return notes
