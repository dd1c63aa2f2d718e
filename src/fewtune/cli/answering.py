"""`fewtune predict` of a model that writes: answers to a file's prompts, resumable."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import FewtuneError, Interrupted, UsageError
from fewtune.base.files import at, fingerprint, new_file
from fewtune.base.options import take
from fewtune.base.printable import printable
from fewtune.cli.answered import BUNCH, Answered
from fewtune.cli.predicting import refusals
from fewtune.cli.screen import Screen
from fewtune.cli.speaking import spoken
from fewtune.data.dialogue import as_text
from fewtune.data.ledger import Entry, Unusable
from fewtune.models.decoding import DecodingOptions
from fewtune.record.options import SeedOptions

if TYPE_CHECKING:
    from fewtune.api import Model
    from fewtune.data.read import Table
    from fewtune.data.row import Row
    from fewtune.methods.voice import Reply


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

    def answers(
        self, rows: Sequence[Row], bunch: int, known: Collection[int] = ()
    ) -> Iterator[dict[int, dict[str, Any]]]:
        """An object a row, by the rows' numbers, as they come.

        Args:
            bunch: numbers the call: every one draws random numbers of its own.
            known: numbers of rows that are answered already.
        """
        for some in self.model.voice.replies(
            [row["messages"] for row in rows],
            self.decoding,
            self.seed + bunch,
            [row.get("tools") for row in rows],
            known,
        ):
            yield {number: self._line(rows[number], one) for number, one in some.items()}

    def _line(self, row: Row, said: Reply) -> dict[str, Any]:
        told = {"origin": str(row.origin), "text": as_text(row["messages"])}
        return {**told, **said.as_json(), "by": self.by}


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
    from fewtune.models.ladder import news

    asking = Asking.of(model, options)
    output = options.get("output")
    place = None
    if output:
        place = new_file(output, "output", (".jsonl",), (str(model.path), source))
    table = _asked(model, source, options, screen)
    file = Answered(place, table.rows, asking.by) if place else None
    done = file.done() if file else 0
    if done:
        screen.note(f"{output}: {done:,} of {len(table.rows):,} rows are answered already.")
    found, silent = [], []
    for line in _answers(asking, table.rows, done, file, screen):
        if "refused" in line:
            silent.append((line["origin"], line["refused"]))
        if place is None and not screen.json:
            print(printable(json.dumps(line, ensure_ascii=False), sys.stdout), flush=True)
        elif place is None:
            found.append(line)
    for note in news():
        table.notes.append(note)
        screen.note(note)
    if silent:
        table.notes.append(refusals(silent, len(table.rows)))
        screen.note(table.notes[-1])
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
    asking: Asking, rows: Sequence[Row], done: int, file: Answered | None, screen: Screen
) -> Iterator[dict[str, Any]]:
    """An object for every row that is left, in their order, written down as they come.

    Raises:
        FewtuneError: none of the first rows gets an answer: it is not one row that is at fault.
        Interrupted: the user stopped it.
    """
    for start in range(done, len(rows), BUNCH):
        bunch = rows[start : start + BUNCH]
        lines = file.begun(start) if file else {}
        try:
            for some in asking.answers(bunch, start // BUNCH, frozenset(lines)):
                lines |= some
                if file:
                    file.keep(start, some)
        except KeyboardInterrupt:
            told = f" {start + len(lines):,} answers are kept, and the same command goes on."
            raise Interrupted(f"stopped.{told if file else ''}") from None
        found = [lines[at] for at in range(len(bunch))]
        if start == 0 and all("refused" in one for one in found):
            raise FewtuneError(
                refusals([(one["origin"], one["refused"]) for one in found], len(found))
            )
        if file:
            file.close(found)
            screen.line("answered", f"{start + len(found):,} of {len(rows):,} rows")
        yield from found
