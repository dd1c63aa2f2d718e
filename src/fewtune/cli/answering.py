"""`fewtune predict` of a model that writes: answers to a file's prompts, resumable."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import FewtuneError, Interrupted, UsageError
from fewtune.base.files import at, fingerprint, new_file
from fewtune.base.options import take
from fewtune.cli.screen import Screen
from fewtune.cli.speaking import spoken
from fewtune.data.dialogue import as_text
from fewtune.data.ledger import Entry, Unusable
from fewtune.models.decoding import DecodingOptions
from fewtune.record.options import SeedOptions
from fewtune.record.trouble import writing

if TYPE_CHECKING:
    from fewtune.api import Model
    from fewtune.data.read import Table
    from fewtune.data.row import Row

BEGINS = b'{"origin": "'  # every line of the output
AT_ONCE = 64  # rows answered before they are written down


@dataclass(frozen=True)
class Asking:
    """A model, and how it is to answer.

    Attributes:
        by: the same for answers that may stand in one file: of one model, written in one way.
    """

    model: Model
    decoding: DecodingOptions
    seed: int
    by: str

    @classmethod
    def of(cls, model: Model, options: Mapping[str, Any]) -> Asking:
        """As the user asks for it.

        Raises:
            UsageError: wrong options of decoding.
        """
        from fewtune.methods.artefact import fingerprint_of_saved

        given = take(DecodingOptions, options) | take(SeedOptions, options)
        decoding, seed = spoken(given)
        how = f"{decoding.model_dump_json()} {seed} {model.model}"
        by = fingerprint(fingerprint_of_saved(model.path), how)
        return cls(model, decoding, seed, by)

    def answers(self, rows: Sequence[Row], bunch: int) -> list[dict[str, Any]]:
        """An object a row. `bunch` numbers the call: every one draws random numbers of its own."""
        found = self.model.voice.answer(
            [row["messages"] for row in rows],
            self.decoding,
            self.seed + bunch,
            [row.get("tools") for row in rows],
        )
        return [
            {
                "origin": str(row.origin),
                "text": as_text(row["messages"]),
                "prediction": one.text,
                "stopped": one.stopped,
                "tokens": one.tokens,
                "by": self.by,
            }
            for row, one in zip(rows, found, strict=True)
        ]


def answer_text(model: Model, prompt: str, screen: Screen, options: Mapping[str, Any]) -> int:
    """Answer one prompt.

    Raises:
        UsageError: wrong options, or those of a file's rows.
    """
    if told := [name for name in ("text", "output") if name in options]:
        raise UsageError(
            f"{', '.join(told)}: for the rows of a file; there is one text. Leave it out."
        )
    asking = Asking.of(model, options)
    found = model.generate(prompt, seed=asking.seed, **asking.decoding.model_dump())[0]
    screen.say(found, found["prediction"])
    return 0


def answer_file(model: Model, source: str, screen: Screen, options: Mapping[str, Any]) -> int:
    """Answer every row; what an earlier, broken-off call has written stays and is not asked again.

    Raises:
        UsageError: the output is no .jsonl, or holds answers to other rows or of another model.
        FewtuneError: no row can be asked.
        Interrupted: the user stopped it; what is written stays.
    """
    asking = Asking.of(model, options)
    output = options.get("output")
    place = None
    if output:
        place = new_file(output, "output", (".jsonl",), (str(model.path), source))
    table = _asked(model, source, options, screen)
    done = _done(place, table.rows, asking.by) if place else 0
    if done:
        screen.note(f"{output}: {done:,} of {len(table.rows):,} rows are answered already.")
    found = []
    for line in _answers(asking, table.rows, done, place, screen):
        if place is None and not screen.json:
            print(json.dumps(line, ensure_ascii=False), flush=True)
        elif place is None:
            found.append(line)
    if place:
        counts = table.ledger.counts()
        told = {"output": output, "rows": len(table.rows), "read": counts, "notes": table.notes}
        screen.say(told, f"{len(table.rows):,} rows: {output}")
    elif screen.json:
        screen.say(found, "")
    return 0


def _asked(model: Model, source: str, options: Mapping[str, Any], screen: Screen) -> Table:
    """The rows that can be asked; those that the model's chat template refuses are set aside."""
    from fewtune.data.options import DataOptions
    from fewtune.data.read import read_any
    from fewtune.data.shapes import PROMPTS

    column = options.get("text")
    named = {"instruction": str(column)} if column else {}
    table = read_any(at(source), DataOptions(map=named), shapes=PROMPTS)
    kept = []
    for row in table.rows:
        try:
            model.voice.look_at(row["messages"], row.get("tools"))
            kept.append(row)
        except Unusable as refused:
            entry = Entry(row.origin, refused.code, refused.reason)
            table.ledger.quarantined.append(entry)
            table.ledger.kept -= 1
    if len(kept) < len(table.rows):
        first = table.ledger.quarantined[-(len(table.rows) - len(kept))]
        note = (
            f"{len(table.rows) - len(kept):,} rows are set aside, for the model cannot be asked "
            f"them; the first, {first.origin}: {first.reason}."
        )
        if not kept:
            raise FewtuneError(f"{source}: {note}")
        table.notes.append(note)
        table.rows[:] = kept
    for note in table.notes:
        screen.note(note)
    return table


def _answers(
    asking: Asking, rows: Sequence[Row], done: int, place: Path | None, screen: Screen
) -> Iterator[dict[str, Any]]:
    """An object for every row that is left, written down in bunches as they come."""
    for start in range(done, len(rows), AT_ONCE):
        try:
            found = asking.answers(rows[start : start + AT_ONCE], start // AT_ONCE)
        except KeyboardInterrupt:
            kept = f" {start:,} rows are in {place}, and the same command goes on." if place else ""
            raise Interrupted(f"stopped.{kept}") from None
        if place:
            text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found)
            with writing(place), open(place, "a", encoding="utf-8") as file:
                file.write(text)
            screen.line("answered", f"{start + len(found):,} of {len(rows):,} rows")
        yield from found


def _done(place: Path, rows: Sequence[Row], by: str) -> int:
    """How many rows the file answers already, in whole bunches; the rest of it is taken off.

    A bunch that was broken off is answered anew: whatever dice were thrown, they fall alike.

    Raises:
        UsageError: the file is something else; it is left as it is.
    """
    if not place.exists():
        return 0
    whole, _, half = place.read_bytes().rpartition(b"\n")
    lines = [_object(line) for line in whole.split(b"\n")] if whole else []
    told = [(one.get("origin"), one.get("text")) for one in lines]
    wanted = [(str(row.origin), as_text(row["messages"])) for row in rows]
    ours = half.startswith(BEGINS) or BEGINS.startswith(half)  # killed in the middle of a line
    if told != wanted[: len(told)] or not ours:
        raise UsageError(
            f"output: {place} is there and does not answer these rows from the first on; choose "
            "another name, or remove it."
        )
    if any(one.get("by") != by for one in lines):
        raise UsageError(
            f"output: {place} holds answers of another model, or written with other options; "
            "choose another name, or remove it."
        )
    kept = len(lines) if len(lines) == len(rows) else len(lines) - len(lines) % AT_ONCE
    with writing(place):
        place.write_bytes(b"".join(line + b"\n" for line in whole.split(b"\n")[:kept]))
    return kept


def _object(line: bytes) -> dict[str, Any]:
    """A line's object; an empty one for what is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
