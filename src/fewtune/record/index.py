"""All runs at a glance. The index is a cache: the folders are the truth, and it can be deleted."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fewtune.base.errors import FewtuneError, UsageError, did_you_mean
from fewtune.base.files import fingerprint
from fewtune.record.folder import PLAN, SCORES, RunFolder, is_run
from fewtune.record.lock import Lock
from fewtune.record.trouble import writing

Row = Mapping[str, Any]  # of predictions.jsonl

INDEX = ".index.sqlite"
VERSION = 3  # of the summary's shape; another one empties the index


@dataclass(frozen=True, slots=True)
class Summary:
    """One run in the list. Scores are None before the run is scored.

    `value`, `low` and `high` are the primary metric on the test rows, `before` that of the
    untouched model where the gain is over it, `seconds` the run's length, `time` its start (since
    1970), `rows` the rows kept. `state` is RunFolder's, or ``broken`` where the folder's files
    cannot be read.
    """

    name: str
    folder: str
    task: str | None
    method: str | None
    model: str | None
    primary: str | None
    value: float | None
    low: float | None
    high: float | None
    state: str
    seconds: float | None
    time: float
    rows: int | None
    before: float | None = None


def list_runs(root: Path | str) -> list[Summary]:
    """The runs in a folder, the newest first.

    Finished runs come from the index as long as their plan and scores were not touched; the
    others are looked at each time, for their state changes without these files changing.
    """
    root = Path(root)
    if not root.is_dir():
        return []  # and makes no index in it
    with closing(_open(root)) as index:
        known = {row[0]: row for row in index.execute("SELECT name, stamp, summary FROM runs")}
        rows, summaries = {}, []
        for folder in runs_in(root):
            try:
                stamp = _stamp(folder)
                summary = _remembered(folder, known.get(folder.name), stamp) or _summary(folder)
            except FileNotFoundError:  # removed by another process since it was listed
                continue
            summaries.append(summary)
            if summary.state == "finished":
                rows[folder.name] = (folder.name, stamp, json.dumps(asdict(summary)))
        with suppress(sqlite3.OperationalError), index:  # locked for long: next time, then
            gone = [(name,) for name in known if name not in rows]
            index.executemany("DELETE FROM runs WHERE name = ?", gone)
            new = [row for name, row in rows.items() if row != known.get(name)]
            index.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", new)
    return sorted(summaries, key=lambda one: (-one.time, one.name))


def runs_in(root: Path) -> list[Path]:
    """The run folders in a folder, by name; hidden ones are half deleted."""
    if not root.is_dir():
        return []
    return [one for one in sorted(root.iterdir()) if is_run(one) and one.name[0] != "."]


def remove_run(root: Path | str, name: str) -> None:
    """Delete a run's folder.

    Raises:
        UsageError: there is no run of that name.
        FewtuneError: a process works on it, or it cannot be deleted.
    """
    root = Path(root)
    folder = root / name
    names = [one.name for one in runs_in(root)]
    if name not in names:  # also keeps `..` and `/` out
        raise UsageError(f"{name}: there is no such run in {root}.{did_you_mean(name, names)}")
    with writing(folder):
        if folder.is_symlink():
            folder.unlink()  # the run itself is somebody else's
            return
        lock = Lock(folder / ".lock")
        lock.take()
        # A hidden name first: a deletion cut short leaves no run that looks alive.
        # It is short: the run's own may be as long as a name can be.
        doomed = root / f".{fingerprint(name)}.removed"
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
        lock.give()
        shutil.rmtree(doomed)


# ---- the index


def _open(root: Path) -> sqlite3.Connection:
    """The index, rebuilt where it is broken, in memory where the folder may not be written."""
    file = root / INDEX
    try:
        return _connect(file)
    except sqlite3.OperationalError:  # read-only, or a file system without shared memory
        return _connect(":memory:")
    except sqlite3.DatabaseError:  # the file is not, or no longer, a database
        try:
            for one in (file, file.with_name(INDEX + "-wal"), file.with_name(INDEX + "-shm")):
                one.unlink(missing_ok=True)
            return _connect(file)
        except (OSError, sqlite3.Error):
            return _connect(":memory:")


def _connect(file: Path | str) -> sqlite3.Connection:
    index = sqlite3.connect(file, timeout=10)
    try:
        index.execute("PRAGMA journal_mode = WAL")
        if index.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the index is damaged")
        if index.execute("PRAGMA user_version").fetchone() != (VERSION,):
            index.execute("DROP TABLE IF EXISTS runs")
            index.execute(f"PRAGMA user_version = {VERSION}")
        index.execute("CREATE TABLE IF NOT EXISTS runs (name PRIMARY KEY, stamp, summary)")
        index.commit()
    except BaseException:
        index.close()
        raise
    return index


def _remembered(folder: Path, row: tuple[str, str, str] | None, stamp: str) -> Summary | None:
    """The index's summary, where plan and scores are as they were."""
    if row is None or row[1] != stamp:
        return None
    return Summary(**{**json.loads(row[2]), "name": folder.name, "folder": str(folder)})


def _stamp(folder: Path) -> str:
    """Changes when a run is written again: time and size of its plan and scores."""
    found = [file.stat() for name in (PLAN, SCORES) if (file := folder / name).exists()]
    return " ".join(f"{one.st_mtime_ns}/{one.st_size}" for one in found)


def _summary(folder: Path) -> Summary:
    """A run's line in the list, read from its folder."""
    run = RunFolder(folder)
    time = (run.path / PLAN).stat().st_mtime
    try:
        time = start.time if (start := next(run.events, None)) else time
        plan, scores, state = run.plan, run.scores, run.state
    except FewtuneError:
        plan, scores, state = {}, {}, "broken"  # type: ignore[assignment]
    primary = scores.get("primary")
    score = _part(_part(scores, "test"), primary)
    return Summary(
        name=folder.name,  # of a link its own: `runs show` and `runs rm` know it by that
        folder=str(run.path),
        task=scores.get("task") or plan.get("task"),
        method=scores.get("method") or _part(plan, "method").get("name"),
        model=_base(plan),
        primary=primary,
        value=score.get("value"),
        low=score.get("low"),
        high=score.get("high"),
        state=state,
        seconds=_part(scores, "seconds").get("total"),
        time=time,
        rows=_part(scores, "rows").get("kept"),
        before=_before(scores),
    )


def _before(scores: Mapping[str, Any]) -> float | None:
    """The untouched model's score, where the run was measured against it."""
    if _part(scores, "gain").get("over") != "before":
        return None
    block = _part(_part(scores, "baselines"), "before")
    return _part(block, scores.get("primary")).get("value")


def _part(of: Mapping[str, Any], name: Any) -> Mapping[str, Any]:
    """A mapping within a mapping; empty where there is none: people edit files."""
    found = of.get(name)
    return found if isinstance(found, Mapping) else {}


# ---- two runs side by side


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two runs do not share: an option, or a score."""

    name: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class Paired:
    """Two runs on the same test rows.

    `right_a` and `right_b` are rows with the true class, or with an answer that says what the
    reference says to the letter; `only_a` and `only_b` those that one run alone got right.
    `difference` is b's metric `by` less that of a, with its 95 % interval and p: the accuracy, or
    for answers ROUGE-L, for two good answers are seldom the same letters.
    """

    rows: int
    right_a: int
    right_b: int
    only_a: int
    only_b: int
    difference: float
    low: float
    high: float
    p: float
    by: str = "accuracy"


def _base(plan: Mapping[str, Any]) -> str | None:
    """The pretrained model, where the method has one."""
    from fewtune.methods import METHODS

    method = METHODS.get(str((plan.get("method") or {}).get("name")))
    return None if method and not method.needs_model else (plan.get("model") or {}).get("model")


#: Parts of a plan that say how the run was called and what it cost, not what it was.
APART = {"command", "name", "fingerprint", "reasons", "fewtune", "spent", "inputs", "options"}
NOT_COMPARED = {"run.output"}
#: Chosen on the way, and told with all their numbers in a part of the report: too much for a line.
AT_LENGTH = ("race", "trials", "learning_curve", "instructions")


def diff(a: RunFolder, b: RunFolder, both: Paired | None) -> list[Difference]:
    """What differs: options by their flattened names, then scores, then the paired counts.

    Args:
        a: one run.
        b: the other.
        both: what `paired` found of them.

    `paired.accuracy` (`paired.subset_accuracy` of several labels, `paired.exact_match` of answers)
    and `paired.only_right` are there where both runs predicted the same test rows: the shares that
    are right, and the rows that one run alone got right.
    """
    plans = [flat(_as_called(run.plan)) for run in (a, b)]
    differences = [
        Difference(name, plans[0].get(name), plans[1].get(name))
        for name in dict.fromkeys([*plans[0], *plans[1]])
        if plans[0].get(name) != plans[1].get(name) and name not in NOT_COMPARED
    ]
    tests = [run.scores.get("test") or {} for run in (a, b)]
    for metric in dict.fromkeys([*tests[0], *tests[1]]):
        differences.append(Difference(f"test.{metric}", tests[0].get(metric), tests[1].get(metric)))
    if both:
        share = "exact_match" if both.by == "rougeL" else both.by
        right = both.right_a / both.rows, both.right_b / both.rows
        differences.append(Difference(f"paired.{share}", *right))
        differences.append(Difference("paired.only_right", both.only_a, both.only_b))
    return differences


def _as_called(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan says of what the run was."""
    told = {key: value for key, value in plan.items() if key not in APART}
    chosen = {k: v for k, v in (plan.get("chosen") or {}).items() if k not in AT_LENGTH}
    return told | {"chosen": chosen}


def paired(a: RunFolder, b: RunFolder) -> Paired | None:
    """The two runs row by row, or None where origins, texts or labels of the rows differ."""
    by_row_a, by_row_b = _by_row(a), _by_row(b)
    if not by_row_a or by_row_a.keys() != by_row_b.keys():
        return None
    pairs = [(by_row_a[row], by_row_b[row]) for row in by_row_a]
    right_a, right_b = ([_right(one) for one in rows] for rows in zip(*pairs, strict=True))
    by, compared = _compared(pairs)
    return Paired(
        by=by,
        rows=len(right_a),
        right_a=sum(right_a),
        right_b=sum(right_b),
        only_a=sum(x and not y for x, y in zip(right_a, right_b, strict=True)),
        only_b=sum(y and not x for x, y in zip(right_a, right_b, strict=True)),
        difference=compared["value"],
        low=compared["low"],
        high=compared["high"],
        p=compared["p"],
    )


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dots in the names.

    >>> flat({"train": {"seed": 1, "steps": None}})
    {'train.seed': 1, 'train.steps': None}
    """
    if not isinstance(value, dict):
        return {name: value}
    parts = [flat(part, f"{name}.{key}" if name else key) for key, part in value.items()]
    return {key: part for flattened in parts for key, part in flattened.items()}


def _by_row(run: RunFolder) -> dict[tuple[str, str, str, bool], Row]:
    """The predictions by their row; one answered in words is not the row that got a class."""
    rows: dict[tuple[str, str, str, bool], Row] = {}
    for one in run.predictions:
        if one.get("label") is None:
            return {}
        key = str(one.get("origin")), str(one.get("text")), json.dumps(one["label"]), _wrote(one)
        rows[key] = one
    return rows


def _wrote(row: Row) -> bool:
    """Whether the prediction is a text that was written: only that has an end."""
    return "stopped" in row


def _right(row: Row) -> bool:
    from fewtune.evaluate.texts import exact_match

    if _wrote(row):
        return bool(exact_match(str(row["prediction"]), str(row["label"])))
    return bool(row["prediction"] == row["label"])


def _compared(pairs: Sequence[tuple[Row, Row]]) -> tuple[str, Mapping[str, float]]:
    """What the second run of each pair is better by: the metric, and its comparison."""
    import numpy as np  # a moment, and only here

    from fewtune.evaluate.answers import ratio
    from fewtune.evaluate.paired import compare_right, compare_sums
    from fewtune.evaluate.units import units_of

    units = units_of([one.get("group") for one, _ in pairs])
    if not _wrote(pairs[0][0]):
        right = np.array([[_right(one) for one in pair] for pair in pairs])
        several = isinstance(pairs[0][0]["label"], list)
        by = "subset_accuracy" if several else "accuracy"
        return by, compare_right(right[:, 1], right[:, 0], units)
    shared = [
        [(overlap(str(one["prediction"]), str(one["label"])), 1.0) for one in pair]
        for pair in pairs
    ]
    sums = np.array(shared)  # (rows, 2 runs, 2): what a row adds, and that it counts
    return "rougeL", compare_sums(sums[:, 1], sums[:, 0], ratio, 1.0, behind=len(sums), units=units)


def overlap(answer: str, reference: str) -> float:
    """ROUGE-L of an answer, 0..1: by words, Chinese by characters, so that no dictionary is read.

    >>> overlap("the old pump is hot", "the pump was hot"), overlap("", "x")
    (0.6666666666666666, 0.0)
    """
    from fewtune.evaluate.overlap import common
    from fewtune.evaluate.texts import characters

    ours, theirs = characters(answer), characters(reference)
    longest = common(ours, theirs)
    return 2 * longest / (len(ours) + len(theirs)) if longest else 0.0
