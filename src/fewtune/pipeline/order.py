"""The journey of the data: read, split, plan, baselines, fit, save, evaluate, record.

Everything that happens is told as an event; who listens (terminal, Python, page) changes nothing.
Closing the generator cancels the run, which can then be resumed from its last checkpoint.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import Interrupted, UsageError, one_of
from fewtune.base.events import Event, tell
from fewtune.base.files import fingerprint, replacing
from fewtune.choose.method import default_method
from fewtune.choose.recipe import Recipe, decide, too_cautious
from fewtune.data.load import Dataset, given_back, load
from fewtune.methods import parse
from fewtune.methods.base import Method
from fewtune.models.saving import saving
from fewtune.models.waiting import wait_as_the_machine_allows
from fewtune.pipeline.baselines import neural_baselines, simple_baselines, tuned_probe
from fewtune.pipeline.job import AUTO, Job, job_of_plan
from fewtune.record.environment import environment
from fewtune.record.folder import RunFolder
from fewtune.record.names import default_name
from fewtune.record.trouble import writing
from fewtune.tasks.classify import Classify

if TYPE_CHECKING:
    import numpy as np

    from fewtune.models.load import Source

RUNS = Path("runs")


@dataclass
class Run:
    """A run on its way: what is known so far.

    Attributes:
        chosen: what was measured or decided, as it stands in the plan.
        baselines: name -> probabilities on the test rows, (rows, classes).
        seconds: by stage.
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
    baselines: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.job.run.seed


def start(job: Job) -> tuple[RunFolder, Iterator[Event]]:
    """Make the run folder of a job and give the events that carry it out.

    Nothing is loaded before the first event is asked for. A run that is finished already gives no
    events, unless the job says `again`; one that was begun goes on.

    Raises:
        UsageError, FewtuneError: the job is impossible, or its folder is another run's.
    """
    begun = perf_counter()
    data = load(job.path, Classify.reads, job.data, job.run.seed)
    data = _with_valid_rows(data, job)
    method, source, reasons = _choose(job)
    _refuse_early(job, data, method)
    mark = _fingerprint(job, data, method, source)
    path = Path(job.run.output or RUNS / default_name(job.path, method.spell(), RUNS, mark))
    folder = RunFolder.create(path, _plan(job, path.name, method, reasons, mark))
    if folder.state == "finished" and not job.run.again:
        folder.close()
        return folder, iter(())
    if folder.state != "resumable" or job.run.again:
        folder.start_anew()
    return folder, _told(_run(job, folder, data, method, source, begun))


def resume(path: Path) -> tuple[RunFolder, Iterator[Event]]:
    """Go on with a run: from its checkpoint, or anew where there is none.

    Raises:
        UsageError: it is no run.
        FewtuneError: its data or its base model have changed.
    """
    begun = perf_counter()
    folder = RunFolder.open(path)
    if folder.state == "finished":
        return folder, iter(())
    folder.lock()
    try:
        return folder, _told(_taken_up(folder, begun))
    except BaseException:
        folder.close()
        raise


def _taken_up(folder: RunFolder, begun: float) -> Run:
    plan = folder.plan
    job = job_of_plan(plan)
    method, source, _ = _choose(job)
    if folder.data:
        data = given_back(job.path, Classify.reads, job.data, folder.data)
    else:
        data = _with_valid_rows(load(job.path, Classify.reads, job.data, job.run.seed), job)
    if _fingerprint(job, data, method, source) != plan["fingerprint"]:
        raise UsageError(
            f"{folder.path}: the files or the base model of this run have changed since it was "
            "planned, so it cannot go on as the same run; start a new one."
        )
    if folder.state != "resumable":
        folder.start_anew()
    return _run(job, folder, data, method, source, begun)


def _run(
    job: Job, folder: RunFolder, data: Dataset, method: Method, source: Source | None, begun: float
) -> Run:
    """A run with what its plan says was chosen already, and why."""
    plan = folder.plan
    chosen, reasons = dict(plan.get("chosen") or {}), list(plan.get("reasons") or ())
    return Run(job, folder, data, method, source, begun, reasons, chosen=chosen)


def _told(run: Run) -> Iterator[Event]:
    """The stages in their order; every event is written down before it is handed on."""
    wait_as_the_machine_allows()
    with run.folder:
        try:
            for event in _stages(run):
                if event.name == "warned":
                    run.warnings.append(event["message"])
                run.folder.append(event)
                yield event
        except Interrupted as error:
            how = f"`fewtune resume {shlex.quote(str(run.folder.path))}` goes on."
            raise Interrupted(f"{error} {how}") from error


def _stages(run: Run) -> Iterator[Event]:
    yield tell("started", run=str(run.folder.path), command=run.job.command)
    with writing(run.folder.path):
        run.folder.write_environment(environment())
    yield from _read(run)
    yield from (_neural if run.method.needs_model else _ngrams)(run)
    yield from _score(run)


def _read(run: Run) -> Iterator[Event]:
    data = run.data
    run.folder.write_data(data.as_json())
    yield tell("read", **data.ledger.counts(), files={k: v["path"] for k, v in data.files.items()})
    for note in data.notes:
        yield tell("warned", message=note)
    sizes = {part: len(data.part(part)) for part in ("train", "valid", "test")}
    yield tell("split", **sizes, classes=len(data.labels), how=data.split["how"])


def _task(run: Run) -> Classify:
    from fewtune.tasks.classify import balanced_weights

    task = Classify(run.data.labels, None, run.job.train.label_smoothing_factor)
    if run.job.train.class_weights == "none":
        return task
    weights = balanced_weights(task.targets(run.data.train), len(task.labels))
    return Classify(task.labels, weights, task.label_smoothing)


def _ngrams(run: Run) -> Iterator[Event]:
    """The candidate without a neural model."""
    from fewtune.methods.artefact import About

    task = _task(run)
    begun = perf_counter()
    run.seconds["before_first_step"] = begun - run.begun
    yield from simple_baselines(run, task)
    model = run.facts["ngrams"]
    run.seconds["train"] = perf_counter() - begun
    with writing(run.folder.model), saving(), replacing(run.folder.model) as place:
        place.mkdir()
        model.save(place)
        about = About(task.name, run.method.spell(), run.method.model_dump(), list(task.labels))
        about.write(place)
    run.facts |= {"trainable": model.weight.size + model.bias.size, "about": about}
    run.facts["total"] = run.facts["trainable"]
    yield tell("saved", kind=run.method.spell(), bytes=size_of(run.folder.model))


def _neural(run: Run) -> Iterator[Event]:
    """Plan, baselines, fit and artefact of a neural candidate."""
    from fewtune.pipeline.neural import Neural

    assert run.source is not None
    task, data = _task(run), run.data
    neural = Neural(run.job, run.method, task, run.source, run.chosen)
    yield from simple_baselines(run, task)
    neural.load(data.train)
    yield from _truncated(run, "train", neural.rows.truncated)
    test = neural.encode(data.test)
    yield from _truncated(run, "test", test.truncated)
    probe = tuned_probe(run, neural)
    yield from neural_baselines(run, neural, probe, test)
    starts_at_zero = run.job.train.start_head == "zero" and run.method.needs_steps
    neural.start(None if starts_at_zero else run.method.head_start(probe))
    run.facts["trainable"], run.facts["total"] = neural.counts()
    recipe = _decide(run)
    if run.method.needs_steps:
        neural.measure()
    yield from _planned(run, recipe)
    begun = perf_counter()
    run.seconds["before_first_step"] = begun - run.begun
    if run.method.needs_steps:
        for event in neural.fit(recipe, data.valid, run.folder.checkpoints):
            if event.name == "trained":
                run.facts["tokens"] = event["tokens"]
            yield event
    run.seconds["train"] = perf_counter() - begun
    with writing(run.folder.model), saving(), replacing(run.folder.model) as place:
        place.mkdir()
        run.facts["about"] = neural.save(place)
    yield tell("saved", kind=run.method.spell(), bytes=size_of(run.folder.model))


def _decide(run: Run) -> Recipe:
    recipe = decide(run.method, run.job.train, len(run.data.train), _watchable(run.data))
    if run.method.needs_steps:
        # a resumed run brings its reasons along
        run.reasons += [reason for reason in recipe.reasons if reason not in run.reasons]
    return recipe


def _planned(run: Run, recipe: Recipe) -> Iterator[Event]:
    if run.method.needs_steps:
        run.chosen |= {"steps": recipe.steps, "rates": {"head": recipe.head, **recipe.parts}}
        run.chosen["average_last"] = recipe.options.average_last
    plan = run.folder.plan | {"chosen": dict(run.chosen), "reasons": list(run.reasons)}
    run.folder.write_plan(plan)
    rows = len(run.data.train)
    if warning := too_cautious(run.method, run.job.train, rows):
        yield tell("warned", message=warning)
    yield tell(
        "planned",
        method=run.method.spell(),
        trainable=run.facts["trainable"],
        total=run.facts["total"],
        reasons=list(run.reasons),
        **run.chosen,
    )


def _truncated(run: Run, part: str, rows: Sequence[int]) -> Iterator[Event]:
    from fewtune.data.ledger import Entry

    ledger, whole = run.data.ledger, run.data.part(part)
    for at in rows:
        origin = whole[at].origin
        ledger.truncated.append(Entry(origin, "truncated-text", "longer than the model reads"))
    if rows:
        run.folder.write_data(run.data.as_json())
        share = len(rows) / len(whole)
        kind = "training" if part == "train" else part
        yield tell(
            "warned",
            message=f"{len(rows)} {kind} rows ({share:.1%}) are longer than the model reads and "
            "are cut at the end; --max_length sets the limit.",
        )


def _score(run: Run) -> Iterator[Event]:
    """Everything that is said about the test rows, from the saved and reloaded artefact."""
    from fewtune.pipeline.scoring import finish

    yield from finish(run, _task(run))


def _choose(job: Job) -> tuple[Method, Source | None, list[str]]:
    """The method and the pretrained folder, looked at but not loaded."""
    if job.method == "tfidf":
        return parse(job.method, job.method_options), None, []
    from fewtune.models.load import count_parameters, find

    source = find(job.model)
    if job.method != AUTO:
        method = parse(job.method, job.method_options)
        source.room(method.reserved_tokens)
        return method, source, []
    name, reason = default_method(count_parameters(source) or 0)
    return parse(name, {}), source, [reason]


def _refuse_early(job: Job, data: Dataset, method: Method) -> None:
    """What would be refused later, said before there is a run folder."""
    if method.needs_steps:
        decide(method, job.train, len(data.train), _watchable(data))
    if job.evaluate.positive is not None and job.evaluate.positive not in data.labels:
        raise UsageError(one_of("positive", job.evaluate.positive, data.labels))


def _watchable(data: Dataset) -> bool:
    """Whether a validation row has a label that can be learned."""
    return any(row.get("label") in data.labels for row in data.valid)


def _with_valid_rows(data: Dataset, job: Job) -> Dataset:
    """Keep a share of the training rows for validation, where asked for."""
    from dataclasses import replace

    from fewtune.data.load import same_text, stratum
    from fewtune.data.splits import stratified_holdout

    if data.valid or not job.data.valid_share:
        return data
    train, held = stratified_holdout(
        [stratum(row) for row in data.train],
        job.data.valid_share,
        job.run.seed + 1,
        [same_text(row) for row in data.train],
    )
    how = f"{data.split['how']}; {len(held)} training rows kept for validation"
    return replace(
        data,
        train=tuple(data.train[i] for i in train),
        valid=tuple(data.train[i] for i in held),
        split={**data.split, "how": how},
    )


def _fingerprint(job: Job, data: Dataset, method: Method, source: Source | None) -> str:
    """The same for the same job on the same files: the output folder does not matter."""
    from fewtune.methods.artefact import fingerprint_of

    sections = job.sections()
    for name in ("output", "again"):
        sections["run"].pop(name)
    files = [told["fingerprint"] for told in data.files.values()]
    base = fingerprint_of(source.folder) if source else ""
    return fingerprint(repr(sections), method.spell(), method.model_dump_json(), base, *files)


def _plan(
    job: Job, name: str, method: Method, reasons: Sequence[str], mark: str
) -> Mapping[str, Any]:
    from fewtune import __version__

    sections = job.sections()
    sections["data"] = {"path": job.path, **sections["data"]}
    return {
        "fewtune": __version__,
        "name": name,
        "task": job.task,
        "command": job.command,
        "options": dict(job.given),
        "method": {"name": method.spell(), **_own_options(method)},
        **sections,
        "chosen": {},
        "reasons": list(reasons),
        "fingerprint": mark,
    }


def _own_options(method: Method) -> dict[str, Any]:
    return {k: v for part in method.parts() for k, v in part.model_dump().items()}


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
