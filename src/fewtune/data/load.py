"""A data set for one job: its parts, how they were split, and whether the job is possible."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewtune.base.errors import FewtuneError, UsageError, shortened
from fewtune.base.files import at, fingerprint, found
from fewtune.data.columns import Role, listed
from fewtune.data.holdout import held_out, labels_of, same_text, why_none
from fewtune.data.hub import paths_of
from fewtune.data.ledger import Ledger
from fewtune.data.options import DataOptions
from fewtune.data.read import Table, read_any, read_rows, refuse_missing
from fewtune.data.row import Origin, Row
from fewtune.data.splits import natural

FEWEST_ROWS = 10  # fewer rows than this make no training set, whatever the method
MOST_TOLD = 10  # classes a note names one by one
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Dataset:
    """Everything a run knows about its data.

    Attributes:
        train, valid, test: the rows of each part, in their file's order; `valid` may be empty.
        ledger: what became of every record of every file.
        columns: role -> column of the training file.
        notes: what the user should know, a sentence each.
        labels: distinct training labels in natural order; empty where the task reads none.
        files: part -> `path`, `fingerprint` and kept `rows` of each file that was read.
        split: how the parts came about: `how` (a sentence), and `share` and `seed` if held out.
    """

    train: tuple[Row, ...]
    valid: tuple[Row, ...]
    test: tuple[Row, ...]
    ledger: Ledger
    columns: Mapping[str, str]
    notes: tuple[str, ...]
    labels: tuple[str, ...]
    files: Mapping[str, Mapping[str, Any]]
    split: Mapping[str, Any]

    def part(self, name: str) -> tuple[Row, ...]:
        """The rows of `train`, `valid` or `test`."""
        if name not in PARTS:
            raise KeyError(name)
        rows: tuple[Row, ...] = getattr(self, name)
        return rows

    def as_json(self) -> dict[str, Any]:
        """All but the rows themselves, for `data.json`; `parts` gives the split back."""
        return {
            "files": {part: dict(told) for part, told in self.files.items()},
            "columns": dict(self.columns),
            "labels": list(self.labels),
            "split": dict(self.split),
            "parts": {part: _lines(self.part(part)) for part in PARTS},
            "notes": list(self.notes),
            "ledger": self.ledger.as_json(),
        }


def load(
    path: str | Path,
    roles: Sequence[Role] | None,
    options: DataOptions,
    seed: int = 0,
    *,
    hold_out_from: int | None = 0,
) -> Dataset:
    """Read and split a data set.

    Args:
        path: the file with the training rows.
        roles: what the task reads; None takes rows of whatever shape the file has.
        options: files, columns, format, and the share to hold out where no test file is given.
        seed: of the split.
        hold_out_from: without a test file, hold rows out where there are at least so many, else
            leave `test` empty (folds take its place); None never holds any out.

    Returns:
        The data set; rows of equal or nearly equal text, or of one group, are on one side of a
        split made here.

    Raises:
        UsageError: a file or column is not there.
        FewtuneError: a file cannot be read, or no method could learn from these rows.
    """
    if options.split:
        return _split_again(path, roles, options)
    if roles is not None:
        roles, options = with_columns(roles, options)
    given = paths_of(path, options.valid, options.test)
    tables = _read(given, roles, options)
    _refuse_hopeless(tables["train"], roles, given["train"].name)
    parts = {part: tuple(table.rows) for part, table in tables.items()}
    split: dict[str, Any] = {"how": f"test rows are those of {given.get('test')}"}
    enough = hold_out_from is not None and len(parts["train"]) >= hold_out_from
    if "test" not in parts and enough:
        parts["train"], parts["test"], split = held_out(parts["train"], options, seed)
        _refuse_untested(parts, options.test_share, given["train"].name)
    elif "test" not in parts:
        split = {"how": "no rows are held out"}
    ledger = Ledger()
    for table in tables.values():
        ledger.add(table.ledger)
    ledger.check()
    files = _files(given, tables)
    train, valid, test = (parts.get(part, ()) for part in PARTS)
    labels = tuple(natural({label for row in train for label in labels_of(row)}))
    notes = [note for table in tables.values() for note in table.notes]
    notes += [
        *_same_files(files),
        *_groupless(tables["train"].rows, options.group),
        *_single_rows(tables["train"].rows),
        *unknown_labels(labels, parts),
    ]
    columns = tables["train"].columns
    return Dataset(
        train, valid, test, ledger, columns, tuple(dict.fromkeys(notes)), labels, files, split
    )


def given_back(
    path: str | Path, roles: Sequence[Role] | None, options: DataOptions, told: Mapping[str, Any]
) -> Dataset:
    """The data set that `told` (a `Dataset.as_json`) describes, from the files as they are now.

    Raises:
        FewtuneError: a file is not what it was.
    """
    beside = {part: told["files"].get(part, {}).get("path") for part in ("valid", "test")}
    options = options.model_copy(update={"split": None, **beside})
    whole = load(path, roles, options, hold_out_from=None)
    for part, file in told["files"].items():
        now = whole.files.get(part, {}).get("fingerprint")
        if now != file["fingerprint"]:
            raise FewtuneError(
                f"{file['path']} has changed since it was split (its fingerprint was "
                f"{file['fingerprint']} and is {now}); bring the old file back, or start a new run."
            )
    rows = {row.origin: row for part in PARTS for row in whole.part(part)}
    named = {origin.file for origin in rows}
    if strange := sorted({file for part in PARTS for file in told["parts"][part]} - named):
        raise FewtuneError(
            f"the split names rows of {strange[0]}, and the files are now called "
            f"{', '.join(sorted(named))}; give the file its old name back."
        )
    return _parted(whole, rows, told)


def _parted(whole: Dataset, rows: Mapping[Origin, Row], told: Mapping[str, Any]) -> Dataset:
    """The rows of a file that was read again, in the parts that were written down.

    Raises:
        FewtuneError: a row of theirs cannot be used any more.
    """
    kept = {
        part: [Origin(file, line) for file, lines in told["parts"][part].items() for line in lines]
        for part in PARTS
    }
    if gone := [origin for part in PARTS for origin in kept[part] if origin not in rows]:
        then, now = (listed([*one.values()]) for one in (told["columns"], whole.columns))
        raise FewtuneError(
            f"of the split's rows {len(gone):,} cannot be used as the file is read now (the first "
            f"is {gone[0]}); it was split by the columns {then}, and now {now} are read: give the "
            "old ones, or leave out --split."
        )
    train, valid, test = parts = [tuple(rows[origin] for origin in kept[part]) for part in PARTS]
    if dict(whole.columns) == told["columns"]:
        labels, notes = told["labels"], told["notes"]
    else:  # the same rows, for another target
        labels = natural({label for row in train for label in labels_of(row)})
        named = dict(zip(PARTS, parts, strict=True))
        notes = dict.fromkeys([*whole.notes, *unknown_labels(labels, named)])
    return Dataset(
        train, valid, test, whole.ledger, whole.columns, tuple(notes), tuple(labels),
        told["files"], told["split"],
    )  # fmt: skip


def _split_again(path: str | Path, roles: Sequence[Role] | None, options: DataOptions) -> Dataset:
    """The split that another run wrote down, on the same files.

    Raises:
        UsageError: it is no run's `data.json`, or options ask for a split of their own.
        FewtuneError: a file is not what it was.
    """
    asked = [name for name in ("valid", "test", "valid_share", "time") if getattr(options, name)]
    if asked:
        raise UsageError(
            f"split: {options.split} says which rows train and which are tested; leave out "
            f"{', '.join(asked)}."
        )
    named = at(options.split or "")
    file = found(named / "data.json" if named.is_dir() else named, "split")
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"split: {file} is not JSON; give a run, or its data.json.") from error
    if not isinstance(told, dict) or not {"files", "parts", "split", "labels"} <= told.keys():
        raise UsageError(f"split: {file} holds no split; give a run, or its data.json.")
    data = given_back(path, roles, options, told)
    return replace(data, split={**data.split, "how": f"{data.split['how']} (as in {file})"})


def beside(options: DataOptions) -> dict[str, str]:
    """The columns that only splits and parts look at, by role."""
    asked = {"group": options.group, "time": options.time}
    return {role: column for role, column in asked.items() if column}


def with_columns(roles: Sequence[Role], options: DataOptions) -> tuple[list[Role], DataOptions]:
    """Also read the columns that only splits look at."""
    more = beside(options)
    extra = [Role(name, required=False, kind="any", aliases=(name,)) for name in more]
    known = {role.name for role in roles}
    roles = [*roles, *(role for role in extra if role.name not in known)]
    return roles, options.model_copy(update={"map": {**options.map, **more}})


# ---------------------------------------------------------------------------- steps


def _read(
    given: Mapping[str, Path], roles: Sequence[Role] | None, options: DataOptions
) -> dict[str, Table]:
    refuse_missing(given.values())
    tables: dict[str, Table] = {}
    more = beside(options)
    scored = "test" if "test" in given else "train"  # the others need no column of `slice`
    for part, name in _names(given).items():
        like = tables["train"].columns if tables else None
        own = options if part == scored else options.model_copy(update={"slice": ()})
        if roles is None:
            tables[part] = read_any(given[part], own, like=like, name=name, more=more)
        else:
            tables[part] = read_rows(given[part], roles, own, like=like, name=name)
    return tables


def _names(given: Mapping[str, Path]) -> dict[str, str]:
    """How origins name each file: as short as tells them apart (`a/data.csv`, `b/data.csv`)."""
    full = {part: path.resolve() for part, path in given.items()}
    short = {part: path.name for part, path in given.items()}
    middle = {part: f"{path.parent.name}/{path.name}" for part, path in full.items()}
    for names in (short, middle):
        if len(set(names.values())) == len(set(full.values())):
            return names
    return {part: str(path) for part, path in full.items()}


def _files(given: Mapping[str, Path], tables: Mapping[str, Table]) -> dict[str, dict[str, Any]]:
    return {
        part: {
            "path": str(path),
            "fingerprint": fingerprint(path),
            "rows": len(tables[part].rows),
        }
        for part, path in given.items()
    }


def _lines(rows: Sequence[Row]) -> dict[str, list[int]]:
    lines: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        lines[row.origin.file].append(row.origin.line)
    return dict(lines)


# ---------------------------------------------------------------------------- verdicts


def _refuse_hopeless(table: Table, roles: Sequence[Role] | None, file: str) -> None:
    rows = table.rows
    if len(rows) < FEWEST_ROWS:
        aside = Counter(entry.code for entry in table.ledger.quarantined)
        why = ", ".join(f"{count:,} {code}" for code, count in aside.most_common())
        raise FewtuneError(
            f"{file} has {len(rows)} usable rows of {table.ledger.read} read"
            + (f" (set aside: {why})" if why else "")
            + f"; training needs at least {FEWEST_ROWS}, and 100 or more to learn something."
        )
    if len({same_text(row) for row in rows}) == 1:
        raise FewtuneError(
            f"all {len(rows):,} usable rows of {file} have the same text, so there is nothing to "
            f"tell them apart by; is {', '.join(table.columns.values())} the right choice of "
            "columns (--text, --label)?"
        )
    if any(role.required and role.reads in ("label", "labels") for role in roles or ()):
        classes = sorted({label for row in rows for label in labels_of(row)})
        if len(classes) < 2:
            only = f"one class ({shortened(classes[0])})" if classes else "no class"
            raise FewtuneError(
                f"the {len(rows):,} usable rows of {file} have {only} and two or more are needed; "
                "is the label in another column (--label)?"
            )
        if len(classes) == len(rows) and all("label" in row.fields for row in rows):
            raise FewtuneError(
                f"each of the {len(rows):,} usable rows of {file} has a label of its own "
                f"({shortened(classes[0])}, ...), so there are no classes to learn; is the label "
                "in another column (--label)?"
            )
        if len({frozenset(labels_of(row)) for row in rows}) == 1:
            raise FewtuneError(
                f"all {len(rows):,} usable rows of {file} have the same {len(classes)} labels "
                f"({', '.join(map(shortened, classes[:MOST_TOLD]))}), so there is nothing to tell "
                "them apart by; add rows that have only some of them."
            )


def _refuse_untested(parts: Mapping[str, Sequence[Row]], share: float, file: str) -> None:
    """Without a single row to test on nothing could be said about the model."""
    if parts["test"]:
        return
    rows = parts["train"]
    if round(share * len(rows)) == 0:
        raise FewtuneError(
            f"test_share: {share:g} of the {len(rows):,} usable rows of {file} is not one row to "
            "test on; give a larger share, or --test FILE."
        )
    raise FewtuneError(
        f"no row of {file} can be held out to test on: {why_none(rows)} Else add rows, or give "
        "--test FILE."
    )


def _same_files(files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    train = files["train"]["fingerprint"]
    return [
        f"the {part} file {told['path']} is the training file (or a copy): its scores say nothing "
        "about new rows"
        for part, told in files.items()
        if part != "train" and told["fingerprint"] == train
    ]


def _groupless(train: Sequence[Row], group: str | None) -> list[str]:
    """A note where the group column says nothing of some rows."""
    without = [row for row in train if group and row.get("group") in (None, "")]
    if not without:
        return []
    return [
        f"group: {group} says nothing of {len(without):,} of {len(train):,} rows (the first, "
        f"{without[0].origin}); each counts as a group of its own, so that rows that belong "
        "together may stand on both sides of a split"
    ]


def _single_rows(train: Sequence[Row]) -> list[str]:
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in train:
        for label in labels_of(row):
            by_label[label].append(row)
    single = [label for label in natural(by_label) if len(by_label[label]) == 1]
    notes = [
        f"balance-single: class {shortened(label)} has one row ({by_label[label][0].origin}); it "
        "trains and cannot be tested; add rows, or merge the class with another"
        for label in single[:MOST_TOLD]
    ]
    if len(single) > MOST_TOLD:
        notes.append(f"balance-single: {len(single) - MOST_TOLD} more classes have one row")
    return notes


def unknown_labels(labels: Sequence[str], parts: Mapping[str, Sequence[Row]]) -> list[str]:
    """A note where `valid` or `test` rows have labels that are not among the training labels."""
    known = set(labels)
    notes = []
    for part in ("valid", "test"):
        rows = parts.get(part, ())
        strange = Counter(label for row in rows for label in labels_of(row) if label not in known)
        if known and strange:
            named = ", ".join(
                f"{shortened(name)} ({strange[name]:,})" for name in natural(strange)[:MOST_TOLD]
            )
            notes.append(
                f"{sum(strange.values()):,} {part} rows have labels that no training row has: "
                f"{named}; they stay and count as errors (log_loss is told without them)"
            )
        if known and rows and not any(known.intersection(labels_of(row)) for row in rows):
            notes.append(
                f"no {part} row has a label that training rows have, so precision, recall and F1 "
                f"are 0 there whatever is answered; is this the right file (--{part})?"
            )
    return notes
