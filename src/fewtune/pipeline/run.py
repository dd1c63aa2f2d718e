"""A run on its way: what its stages hand on to one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.base.events import Event, tell
from fewtune.base.files import replacing
from fewtune.choose.recipe import decide, too_cautious
from fewtune.data.columns import is_made_up
from fewtune.data.holdout import folds_of, labels_of
from fewtune.data.ledger import Entry
from fewtune.data.load import Dataset
from fewtune.methods.base import Method
from fewtune.models.saving import saving
from fewtune.pipeline.job import Job
from fewtune.record.folder import RunFolder
from fewtune.record.trouble import writing
from fewtune.train.recipe import Recipe

if TYPE_CHECKING:
    import numpy as np

    from fewtune.methods.artefact import About
    from fewtune.models.source import Source
    from fewtune.tasks.labelled import Answered


#: What a workbench measures during a fit, also one of a trial that is not through yet.
MEASURED = ("attention", "ladder")


@dataclass
class Run:
    """A run on its way: what is known so far.

    Attributes:
        chosen: what was measured or decided, as it stands in the plan.
        baselines: name -> what it answered to the test rows.
        seconds: by stage, since it was begun or resumed.
        earlier: seconds until it was stopped.
    """

    job: Job
    folder: RunFolder
    data: Dataset
    method: Method
    source: Source | None
    begun: float
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    chosen: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, Answered] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    earlier: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.job.run.seed

    @property
    def folds(self) -> list[np.ndarray]:
        """Held-out positions of the training rows: what all trials of this run are held on."""
        rows, options = self.data.train, self.job.trials
        count = options.folds_of(len(rows), scored=not self.data.test)
        return folds_of(rows, count, self.seed, options.repeats)

    @property
    def answer_width(self) -> int | None:
        """The width of the language model that learns to write; None for a classifier."""
        if not self.job.writes or self.source is None:
            return None
        config = self.source.config
        return int(config.get("hidden_size") or config["n_embd"])

    def decide(self, rows: int, whole: int) -> Recipe:
        """The recipe of the fit to a number of rows, its reasons written down.

        Args:
            whole: how many of them stand in folds; the others are made, or replayed.
        """
        has_valid = watchable_rows(self.data)
        recipe = decide(self.method, self.job.train, rows, has_valid, self.answer_width, whole)
        if self.method.needs_steps:
            # a resumed run brings its reasons along
            self.reasons += [one for one in recipe.reasons if one not in self.reasons]
        return recipe

    def keep_plan(self, **more: Any) -> None:
        """Write down what was chosen so far, and why: a resume replays it.

        Args:
            more: parts of the plan that change with it.
        """
        told = {"chosen": dict(self.chosen), "reasons": list(self.reasons)}
        self.folder.write_plan(self.folder.plan | told | more)

    def keep_measured(self) -> None:
        """Write down what a fit measured, before anything stands on it; the rest has its time."""
        plan = self.folder.plan
        measured = {name: self.chosen[name] for name in MEASURED if name in self.chosen}
        self.folder.write_plan(plan | {"chosen": (plan.get("chosen") or {}) | measured})

    def planned(self, recipe: Recipe) -> Iterator[Event]:
        """Write down what was measured and decided; from here on a resume replays it."""
        if self.method.needs_steps:
            self.chosen |= {"steps": recipe.steps, "rates": {"head": recipe.head, **recipe.parts}}
            self.chosen["average_last"] = recipe.options.average_last
        self.keep_plan()
        usual = {"usual": asdict(recipe.usual)} if self.method.needs_steps else {}
        rows, width = len(self.data.train), self.answer_width
        if warning := too_cautious(self.method, self.job.train, rows, width):
            yield tell("warned", message=warning)
        yield tell(
            "planned",
            method=self.method.spell(),
            trainable=self.facts["trainable"],
            total=self.facts["total"],
            reasons=list(self.reasons),
            **usual,
            **{name: value for name, value in self.chosen.items() if name != "trials"},
        )

    def tried(self, what: str, table: list[dict[str, Any]], kept: bool) -> None:
        """Keep a trial's table in the plan, where a resumed run and the report find it."""
        others = [one for one in self.chosen.get("trials", ()) if one["what"] != what]
        self.chosen["trials"] = [*others, {"what": what, "table": table, "kept": kept}]

    def truncated(self, part: str, rows: Sequence[int]) -> Iterator[Event]:
        """Write down which rows of a part are longer than the model reads."""
        ledger, whole = self.data.ledger, self.data.part(part)
        for at in rows:
            entry = Entry(whole[at].origin, "truncated-text", "longer than the model reads")
            ledger.truncated.append(entry)
        if rows:
            self.folder.write_data(self.data.as_json())
            kind = "training" if part == "train" else part
            yield tell(
                "warned",
                message=f"{len(rows)} {kind} rows ({len(rows) / len(whole):.1%}) are longer than "
                "the model reads and are cut at the end; --max_length sets the limit.",
            )

    def save(self, write: Callable[[Path], About]) -> Iterator[Event]:
        """Write the artefact: all of it or nothing."""
        with writing(self.folder.model), saving(), replacing(self.folder.model) as place:
            place.mkdir()
            named = {k: v for k, v in self.data.columns.items() if not is_made_up(v)}
            about = replace(write(place), columns=named)
            about.write(place)
            self.facts["about"] = about
        yield tell("saved", kind=self.method.spell(), bytes=size_of(self.folder.model))


def watchable_rows(data: Dataset) -> bool:
    """Whether a validation row has labels that can be learned; one that needs none has them."""
    known = set(data.labels)
    return any(known.issuperset(labels_of(row)) for row in data.valid)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
