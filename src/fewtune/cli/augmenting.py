"""`fewtune augment`: new rows, and a sample in which the changes are coloured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from random import Random
from typing import Any

from fewtune.base.events import Event
from fewtune.cli.screen import Screen

SAMPLE = 10


def augment_rows(data: str, screen: Screen, options: Mapping[str, Any]) -> int:
    """Make the rows, write them where asked, show some."""
    from fewtune import api

    given = dict(options)
    seed = int(given.pop("seed", None) or 0)
    notes: list[str] = []

    def listen(event: Event) -> None:
        notes.append(event["message"])
        screen.note(event["message"])

    with screen.busy("making new rows"):
        rows, dropped, calls = api.augment(data, seed=seed, listen=listen, **given)
    if screen.json:
        told = {"made": len(rows), "dropped": dropped, "calls": calls, "notes": notes}
        screen.say({**told, "written": given.get("write")}, "")
        return 0
    if rows and "image" in rows[0]:
        screen.out.print(_pictures(rows, dropped, given.get("write"), given.get("sheet")))
        return 0
    for row in Random(seed).sample(rows, min(SAMPLE, len(rows))):
        screen.out.print(_shown(row, plain=screen.plain))
    screen.out.print(_summary(len(rows), dropped, calls, given.get("write")))
    return 0


def _shown(row: Mapping[str, Any], plain: bool) -> Any:
    """One new row: what went is red and struck, what came is green; `[-went-]{+came+}` where there
    are no colours."""
    from rich.text import Text

    told = Text.assemble((f"{row['recipe']:8}", "bold"), (f" {row['parent']}  ", "dim"))
    before, after = row["before"], row["text"]
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            told.append(before[a:b])
            continue
        went, came = before[a:b], after[c:d]
        if plain:
            told.append((f"[-{went}-]" if went else "") + (f"{{+{came}+}}" if came else ""))
            continue
        told.append(went, "red strike")
        told.append(came, "bold green")
    return told


def _summary(made: int, dropped: Mapping[str, int], calls: int, written: str | None) -> str:
    said = f"\n{made:,} new rows{_why(dropped)}"
    if calls:
        said += f"; a model was asked for {calls:,} texts, at most --augment_calls"
    return said + (f". Written: {written}" if written else ". --write FILE keeps them.")


def _why(dropped: Mapping[str, int]) -> str:
    told = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())
    return f"; dropped: {told}" if told else ""


def _pictures(
    rows: Sequence[Mapping[str, Any]],
    dropped: Mapping[str, int],
    written: str | None,
    sheet: str | None,
) -> str:
    """How many pictures each recipe made, and where to look at them."""
    made = Counter(row["recipe"] for row in rows)
    each = ", ".join(f"{count:,} {name}" for name, count in made.items())
    said = f"{len(rows):,} new images ({each}){_why(dropped)}."
    if written:
        said += f"\nWritten: {written}, by class, with rows.csv."
    shown = sheet or (str(Path(written) / "sheet.png") if written else "")
    if shown:
        return f"{said}\nLook at {shown}: what each recipe made of some of them."
    return f"{said}\n--write FOLDER keeps them, --sheet FILE.png shows what the recipes do."
