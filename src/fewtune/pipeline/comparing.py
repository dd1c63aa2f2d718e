"""A comparison on its way: every variant on the folds of every seed, then the table."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.base.files import write_json
from fewtune.base.race_state import RaceState
from fewtune.data.load import Dataset
from fewtune.pipeline.desks import answer_room, label_room
from fewtune.pipeline.entries import Entry
from fewtune.pipeline.folded import unscored
from fewtune.pipeline.idle import idle_in_all
from fewtune.pipeline.lineup import LineUp
from fewtune.pipeline.made import Maker
from fewtune.pipeline.parted import by_group
from fewtune.pipeline.run import Run
from fewtune.record.environment import environment
from fewtune.record.folder import RunFolder
from fewtune.record.plain import plain
from fewtune.record.trouble import writing
from fewtune.report.comparison import COMPARISON, write_pages
from fewtune.report.standings import verdict

if TYPE_CHECKING:
    from fewtune.models.source import Source
    from fewtune.trials.comparison import Answers
    from fewtune.trials.recipes import Make
    from fewtune.trials.runners import Outcome, Runner
    from fewtune.trials.variants import Cost, Desk, Variant

FITS, COSTS = "fits", "costs"
ASIDE = "aside"  # what models were asked beside their folds
TEST = 0  # the "fold" under which a fit to all training rows is kept


@dataclass
class Progress:
    """A variant on its way through the seeds.

    Attributes:
        folds, test: answers of each seed, as `Answers` has them.
        seconds: of a fold of each seed.
        state: `whole` as long as its seeds are.
        runs: whether the next seed has it.
    """

    folds: list[np.ndarray] = field(default_factory=list)
    test: list[np.ndarray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    state: RaceState = RaceState.WHOLE
    runs: bool = True

    def add(self, runner: Runner, outcome: Outcome) -> str:
        """Another seed; a sentence where there was no time for it after whole ones, which rank."""
        name, state = runner.entrant.name, runner.state
        self.runs = state not in (RaceState.BEATEN, RaceState.LATE, RaceState.FAILED)
        late = state == RaceState.LATE and bool(self.folds)
        if name in outcome.answers:
            self.seconds.append(outcome.cost[name])
            if not late:
                self.folds.append(outcome.answers[name])
        if not (self.runs or late):
            self.state = state
        return _too_late(len(self.folds)) if late else ""


@dataclass
class Comparing:
    """A comparison on its way."""

    lineup: LineUp
    data: Dataset
    source: Source
    folder: RunFolder
    out: dict[str, str]
    begun: float

    def events(self) -> Iterator[Event]:
        """Read, fit, tell."""
        data = self.data
        yield tell("started", run=str(self.folder.path), command=self.lineup.command)
        with writing(self.folder.path):
            self.folder.write_environment(environment())
        self.folder.write_data(data.as_json())
        counts = data.ledger.counts()
        yield tell("read", **counts, files={k: v["path"] for k, v in data.files.items()})
        sizes = {part: len(data.part(part)) for part in ("train", "valid", "test")}
        yield tell("split", **sizes, classes=len(data.labels), how=data.split["how"])
        refused = [f"{name}: {why}" for name, why in self.out.items()]
        grouped = by_group(data.train, self.lineup.job.data.group)
        idle = idle_in_all(self.lineup.given, [one.job for one in self.lineup.entries])
        for note in (*data.notes, *refused, *idle, *([grouped] if grouped else [])):
            yield tell("warned", message=note)
        found = yield from self._fits()
        told = self._result(found)
        with writing(self.folder.path):
            write_json(self.folder.path / COMPARISON, plain(told))
            write_pages(self.folder.path, plain(told))
        self.folder.write_scores(_scores(told, str(self.folder.path)))
        yield tell("finished", verdict=told["verdict"], seconds=told["seconds"]["total"])

    # ---- fits

    def _fits(self) -> Generator[Event, None, dict[str, Answers]]:
        """Every variant on the folds of every seed, then on all training rows."""
        from fewtune.trials.variants import CostsOnDisk

        job, first = self.lineup.job, self.lineup.entries[0]
        run = Run(
            job, self.folder, self.data, first.method, self.source, self.begun,
            chosen=dict(self.folder.plan.get("chosen") or {}),
        )  # fmt: skip
        begun = perf_counter()
        self._costs = CostsOnDisk(self.folder.path / COSTS)
        room = answer_room if job.writes else label_room
        self.room = yield from room(run, self.lineup, self._costs)
        self.shared = perf_counter() - begun
        if self.room.spoken:
            self.shared -= self.room.spoken.took
        self.folder.write_plan(self.folder.plan | {"chosen": plain(dict(run.chosen))})
        self.chosen = run.chosen
        return (yield from self._seeds(self._variants()))

    def _seeds(self, variants: list[Variant]) -> Generator[Event, None, dict[str, Answers]]:
        """Seed after seed, each with an equal share of the time that is left."""
        from fewtune.trials.comparison import Answers

        found = {one.name: Progress() for one in variants}
        budget, seeds, spent = self.lineup.budget or float("inf"), self.lineup.options.seeds, 0.0
        self.dealt: list[list[np.ndarray]] = []
        for k in range(seeds):
            running = [one for one in variants if found[one.name].runs]
            if not running:
                break
            desk, folds = self.room.desk(self.lineup.job.run.seed + k)
            self.dealt.append(folds)
            share = max(0.0, budget - spent) / (seeds - k)
            spent += yield from self._race(desk, folds, running, found, k, share)
            for one in running:
                if self.room.tests and found[one.name].runs:
                    found[one.name].test.append((yield from self._test(desk, one, k)))
        if not self.lineup.job.writes and (note := unscored(self.data.train, self._held)):
            yield tell("warned", message=note)
        return {
            name: Answers(name, one.folds, one.test, float(np.mean(one.seconds or 0)), one.state)
            for name, one in found.items()
        }

    def _race(
        self,
        desk: Desk,
        folds: list[np.ndarray],
        running: list[Variant],
        found: dict[str, Progress],
        k: int,
        share: float,
    ) -> Generator[Event, None, float]:
        """The folds of a seed, and the seconds they took; without a budget nobody is sent away."""
        from fewtune.trials.fits import FitsOnDisk
        from fewtune.trials.race import Race

        race = Race(
            [replace(desk.entrant(one), needed=one.name in self._measured) for one in running],
            folds,
            self.room.rows,
            self.room.judge,
            FitsOnDisk(self._fits_of(k)),
            share,
            patient=self.lineup.budget is None,
            refits=False,
        )
        outcome = yield from _of_seed(race.run(), k, self.lineup.options.seeds)
        for name, runner in race.runners.items():
            if note := found[name].add(runner, outcome):
                yield tell("warned", message=f"{name}: {note}")
            if runner.failure:
                self._costs.fail(name, runner.failure.failed)
        return outcome.seconds

    @property
    def _measured(self) -> set[str]:
        """The base and its steps: an effect is a number of both on all folds, or of nothing."""
        steps = {one.name for one in self.lineup.entries if one.step}
        return {self.lineup.entries[0].name, *steps} if steps else set()

    @property
    def _held(self) -> np.ndarray:
        """Positions that a fold of any seed holds out."""
        return np.unique(np.concatenate([one for folds in self.dealt for one in folds]))

    def _fits_of(self, k: int) -> Path:
        return self.folder.path / FITS / f"seed{k + 1}"

    def _test(self, desk: Desk, one: Variant, k: int) -> Generator[Event, None, np.ndarray]:
        """A fit to all training rows, and its answers to the test rows."""
        from fewtune.trials.fits import FitsOnDisk
        from fewtune.trials.runners import Fitted

        kept, begun = FitsOnDisk(self._fits_of(k) / "test"), perf_counter()
        found = kept.read(one.name, TEST)
        if found is None:
            answers = desk.test(one)
            found = Fitted(answers, perf_counter() - begun)
            kept.write(one.name, TEST, found)
        rows = len(found.answers)
        yield tell("answered", system=one.name, rows=rows, seconds=found.seconds)
        return found.answers

    def _variants(self) -> list[Variant]:
        from fewtune.trials.variants import Variant

        return [
            Variant(one.name, one.method, one.job.train, self._maker(one))
            for one in self.lineup.entries
        ]

    def _maker(self, one: Entry) -> Make | None:
        """What makes new rows by an entry's recipes."""
        if not one.job.augment.augment or not one.method.needs_model:
            return None
        return Maker(one.job, self.data.train, self.data.test)

    # ---- the table

    def _result(self, found: dict[str, Answers]) -> dict[str, Any]:
        """comparison.json."""
        from fewtune.trials.comparison import effects, front, ranked

        data, job, truth = self.data, self.lineup.job, self.room.truth
        sign = 1.0 if truth.measure.higher_is_better else -1.0
        entries = {one.name: one for one in self.lineup.entries}
        costs = {name: cost for name in entries if (cost := self._costs.read(name))}
        spoken = self.room.spoken
        for name, cost in costs.items():
            if cost.failed:
                found[name] = replace(found[name], state=RaceState.FAILED)
        table = [name for name, one in entries.items() if one.step is None]
        untouched = [self.room.before()] if self.room.before else []
        lines = ranked([*untouched, *(found[name] for name in table)], truth)
        steps = [found[name] for name, one in entries.items() if one.step and found[name].folds]
        changed = effects(found[table[0]], steps, truth) if steps else []
        for line in (*lines, *changed):
            line |= _about(entries.get(line["name"]), costs.get(line["name"]))
            line |= spoken.line(line["name"]) if spoken else {}
        total = perf_counter() - self.begun
        told = {
            "run": str(self.folder.path),
            "data": job.path,
            "model": job.model.model,
            "task": job.task,
            "metric": self.room.metric,
            "rows": {"train": len(data.train), "test": self.room.tests},
            "classes": len(data.labels),
            "folds": len(self.dealt[0]),  # fewer than asked for, where few rows can be held out
            "scored": None if job.writes else len(self._held),
            "seeds": self.lineup.options.seeds,
            "device": self.chosen["device"],
            "base": table[0] if changed else None,
            "methods": lines,
            "steps": changed,
            "aside": spoken.told(entries) if spoken else None,
            "fronts": {cost: front(lines, cost, sign) for cost in ("seconds", "memory")},
            "refused": self.out,
            "missing": _without_folds(found, RaceState.LATE),
            "failed": _without_folds(found, RaceState.FAILED),
            "notes": self._notes(),
            "command": self.lineup.command,
            "seconds": {"shared": round(self.shared, 3), "total": round(total, 3)},
        }
        return told | {"verdict": verdict(told)}

    def _notes(self) -> list[str]:
        """All that was warned of, also before the comparison was stopped; each once."""
        warned = (event["message"] for event in self.folder.events if event.name == "warned")
        return [*dict.fromkeys(warned)]


def _without_folds(found: Mapping[str, Answers], state: RaceState) -> list[str]:
    """Who has no line, for it answered nothing at all, and is in that state."""
    return [name for name, one in found.items() if not one.folds and one.state == state]


def _of_seed(
    events: Generator[Event, None, Outcome], k: int, seeds: int
) -> Generator[Event, None, Outcome]:
    """The events of a race, with the seed where there are several; the table is ours."""
    told = f", seed {k + 1} of {seeds}" if seeds > 1 else ""
    while True:
        try:
            event = next(events)
        except StopIteration as done:
            return cast("Outcome", done.value)
        if event.name == "trial":
            yield tell("trial", **{**event.fields, "trial": f"{event['trial']}{told}"})
        elif event.name != "tried":
            yield event


def _too_late(seeds: int) -> str:
    whole = f"{seeds} seeds" if seeds > 1 else "1 seed"
    return f"there was time for {whole} alone, by which it is ranked; --budget gives more."


#: Of the model that nothing was taught.
UNTOUCHED = {
    "method": None, "preset": None, "step": None, "scene": "the untouched model, to see the gain",
    "trainable_parameters": 0, "total_parameters": None, "share": None, "memory": None,
    "bytes": None, "failed": None, "seconds": None,
}  # fmt: skip


def _about(entry: Entry | None, cost: Cost | None) -> dict[str, Any]:
    """What of a line does not come from its answers."""
    if entry is None:
        return dict(UNTOUCHED)
    trained = cost.trained if cost else None
    total = cost.total if cost else None
    return {
        "method": entry.method.spell(),
        "preset": entry.preset,
        "step": list(entry.step) if entry.step else None,
        "scene": entry.method.scene,
        "trainable_parameters": trained,
        "total_parameters": total,
        "share": trained / total if trained is not None and total else None,
        "memory": cost.memory if cost else None,
        "bytes": cost.bytes if cost else None,
        "failed": cost.failed if cost else None,
    }


def _scores(told: dict[str, Any], run: str) -> dict[str, Any]:
    """For the list of runs: the best line, where there is one."""
    best = told["methods"][:1]
    return {
        "run": run,
        "task": told["task"],
        "method": "compare",
        "primary": told["metric"],
        "rows": {"kept": told["rows"]["train"], **told["rows"]},
        "test": {told["metric"]: best[0]["score"]} if best else {},
        "baselines": {},
        "gain": {},
        "verdict": told["verdict"],
        "seconds": told["seconds"],
    }
