"""From a record to a row: its values as text, labels or paths, and what was mended on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

from fewtune.base.errors import FewtuneError, shortened
from fewtune.data.columns import Role
from fewtune.data.images import image_path, image_paths
from fewtune.data.joined import split_labels
from fewtune.data.ledger import Entry, Ledger, Unusable
from fewtune.data.options import DataOptions
from fewtune.data.row import Origin, Row
from fewtune.data.sheet import Broken, Record

_BLANK = "\ufeff\u200b\u2060"  # invisible, and no white space to str.strip
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")
_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0")


@dataclass
class Cleaner:
    """Turns records into rows and keeps the ledger.

    `home` is where paths start from, `told` what happened to the row at hand, `several` are cells
    that hold several labels.
    """

    roles: Sequence[Role]
    columns: Mapping[str, str]
    options: DataOptions
    home: Path
    joined: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    ledger: Ledger = field(default_factory=Ledger)
    told: list[tuple[list[Entry], str, str]] = field(default_factory=list)
    whole_floats: int = 0
    several: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        read = {
            "text": self._text, "label": self._label, "labels": self._labels,
            "path": self._path, "paths": self._paths, "any": _as_is,
        }  # fmt: skip
        self._plan = [
            (role, self.columns[role.name], read[role.reads])
            for role in self.roles
            if role.name in self.columns
        ]

    def take(self, record: Record | Broken) -> Row | None:
        """The record's row, or None where it is set aside."""
        self.ledger.read += 1
        origin = record.origin
        if isinstance(record, Broken):
            self._set_aside(origin, *self._why(record))
            return None
        fields: dict[str, Any] = {}
        try:
            for role, column, read in self._plan:
                value = read(record.values.get(column), role)
                if value not in (None, ""):
                    fields[role.name] = value
                elif role.required:
                    raise Unusable(*_empty(role, column))
            if self.joined:
                fields = self._with_paths(self.joined(fields))
        except Unusable as unusable:
            self._set_aside(origin, unusable.code, unusable.reason)
            return None
        if record.mended:
            self.told.append((self.ledger.fixed, "format-quotes", record.mended))
        if self.told:
            for entries, code, reason in self.told:
                entries.append(Entry(origin, code, reason))
            self.told.clear()
        return Row(origin, fields)

    def notes(self, file: str) -> list[str]:
        """What happened to many rows alike."""
        notes = []
        if self.whole_floats:
            notes.append(
                f"{file}: labels such as '3.0' are read as '3' ({self.whole_floats:,} rows)"
            )
        if self.several:
            notes.append(
                f"{file}: {len(self.several):,} rows have several labels, such as "
                f"{shortened(self.several[0])}"
            )
        return notes

    def _why(self, broken: Broken) -> tuple[str, str]:
        """Code and reason; a row that ends before a required role is one without that role."""
        had = broken.values
        if had is not None:
            for role, column, _ in self._plan:
                if role.required and not had.get(column):
                    code, reason = _empty(role, column)
                    return code, f"{reason}: {broken.reason}"
        return broken.code, broken.reason

    def _set_aside(self, origin: Origin, code: str, reason: str) -> None:
        self.told.clear()
        if self.options.strict:
            raise FewtuneError(
                f"{origin}: {reason} [{code}]; mend the row, or leave out --strict to have such "
                "rows set aside."
            )
        self.ledger.quarantined.append(Entry(origin, code, reason))

    def _text(self, value: Any, role: Role) -> str:
        text = value if type(value) is str else _plain(value, role)
        text = self._without_control(text.strip(), role)
        limit = self.options.max_characters
        if len(text) > limit:
            told = f"{role.name} has {len(text):,} characters and is cut at {limit:,}"
            self.told.append((self.ledger.truncated, f"truncated-{role.name}", told))
            text = text[:limit].rstrip()
        return text

    def _label(self, value: Any, role: Role) -> str:
        raw = value if type(value) is str else _plain(value, role)
        label = raw.strip().strip(_BLANK).strip()
        if label and len(label) != len(raw):
            told = f"{role.name} {raw[:80]!r} is read as {label[:80]!r}"
            self.told.append((self.ledger.fixed, "format-spaces", told))
        label = self._without_control(label, role)
        whole = _WHOLE_FLOAT.fullmatch(label)
        if whole:
            self.whole_floats += 1
            label = whole[1]
        return label

    def _labels(self, value: Any, role: Role) -> tuple[str, ...] | None:
        if isinstance(value, str) and value.strip():
            cell, value = value.strip(), split_labels(value)
            if len(value) > 1:
                self.several.append(cell)
        if not isinstance(value, list | tuple):
            value = None if _plain(value, role) == "" else [value]
        if value is None:
            return None
        labels = (self._label(one, role) for one in value)
        return tuple(dict.fromkeys(label for label in labels if label))

    def _path(self, value: Any, role: Role) -> str:
        return "" if value is None or value != value else image_path(value, self.home)

    def _paths(self, value: Any, role: Role) -> tuple[str, ...]:
        return image_paths(value, self.home)

    def _with_paths(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Turns may hold images too."""
        turns = fields["messages"]
        if not any(turn.images for turn in turns):
            return fields
        found = (replace(turn, images=image_paths(turn.images, self.home)) for turn in turns)
        return {**fields, "messages": tuple(found)}

    def _without_control(self, text: str, role: Role) -> str:
        clean = without_control(text)
        if clean is not text:
            told = f"control characters in {role.name} are left out"
            self.told.append((self.ledger.fixed, "format-control", told))
        return clean


def without_control(text: str) -> str:
    """A text without control characters; the same object where it has none."""
    return _CONTROL.sub(_instead, text).strip() if _CONTROL.search(text) else text


def _instead(match: re.Match[str]) -> str:
    return " " if match[0] in "\x0b\x0c\x85" else ""  # these three end a line or a page


def _plain(value: Any, role: Role) -> str:
    """A single value as text: 3.0 is "3", True is "true", nothing is ""."""
    if value is None or value != value:  # not a number: pandas' way to say nothing
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, dict | list | tuple | set | bytes):
        kind = "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
        raise Unusable("format-type", f"{role.name} is {kind} where a single value is expected")
    return str(value)


def _as_is(value: Any, role: Role) -> Any:
    return value.strip() if isinstance(value, str) else value


#: A role's kind -> the code of a row without it; a code is a rule's, so that it can be looked up.
_EMPTY = {
    "text": "empty-text", "label": "empty-label", "labels": "empty-label", "path": "empty-image",
    "paths": "empty-image", "any": "empty-turn",
}  # fmt: skip


def _empty(role: Role, column: str) -> tuple[str, str]:
    said = f"{role.name} (column {column!r}) is empty"
    if role.reads == "labels":
        said += "; a row that has no label says []"
    return _EMPTY[role.reads], said
