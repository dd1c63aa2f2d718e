"""What the events of a run look like in the terminal, a line or two each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fewtune.base.amounts import told_time
from fewtune.base.events import Event
from fewtune.base.race_state import RaceState
from fewtune.report import words

if TYPE_CHECKING:
    from fewtune.cli.screen import Screen

#: What takes a while after an event, shown until the next one.
BUSY = {
    "checked": "reading the model, fitting the probe",
    "racing": "fitting the first fold of each candidate",
    "planned": "running the frozen blocks",
    "saved": "measuring what it is worth",
    "tried": "going on with what was found",
    "encoded": "asking the untouched model",
    "answered": "answering the test rows",
}
LONGEST = 60  # characters of an answer in a line


class Progress:
    """Shows events on a screen; of those it has no method for, nothing is shown."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen

    def show(self, event: Event) -> None:
        """Lines of an event, and what takes a while after it."""
        if show := getattr(self, f"_on_{event.name}", None):
            show(event)
        if event.name in BUSY:
            self.screen.wait(BUSY[event.name])

    def _on_read(self, event: Event) -> None:
        said = f"{event['read']:,} rows: {event['kept']:,} kept"
        for name in ("quarantined", "fixed", "truncated"):
            said += f", {event[name]:,} {name}" if event[name] else ""
        self.screen.line("read", said)

    def _on_split(self, event: Event) -> None:
        valid = f", {event['valid']:,} validation" if event["valid"] else ""
        self.screen.line(
            "split",
            f"{event['train']:,} training{'' if event['test'] else ' rows'}{valid}"
            + (f", {event['test']:,} test rows · " if event["test"] else " · ")
            + (f"{event['classes']} classes · " if event["classes"] else "")
            + event["how"],
        )

    def _on_baseline(self, event: Event) -> None:
        self.screen.line("baseline", f"{event['baseline']}: {event['accuracy']:.1%} right")

    def _on_checked(self, event: Event) -> None:
        serious = [one for one in event["findings"] if one["severity"] != "note"]
        for one in serious:
            colour = "red" if one["severity"] == "error" else "yellow"
            where = f" [{one['rows'][0]}]" if one["rows"] else ""
            self.screen.line("check", f"{one['code']}: {one['message']}{where}", style=colour)
        if serious:
            self.screen.line("", "`fewtune check` shows every row and what to do.", style="dim")

    def _on_racing(self, event: Event) -> None:
        named = ", ".join(event["trials"])
        about = "about " if event["soft"] else ""
        self.screen.line(
            "race",
            f"{len(event['trials'])} candidates on {event['folds']} folds, in {about}"
            f"{told_time(event['budget'])} (--budget): {named}",
        )

    def _on_trial(self, event: Event) -> None:
        if "asked" in event.fields:
            several = f"{event['asked']} prompts, {event['rows']} rows each"
            self.screen.line(
                "trial", f"{event['trial']}, round {event['fold']} of {event['folds']}: {several}"
            )
            return
        if event["fold"] == event["folds"]:
            self.screen.line("trial", f"{event['trial']}: {event['folds']} folds fitted")
        self.screen.wait(f"{event['trial']}: fold {event['fold']} of {event['folds']} done")

    def _on_proposed(self, event: Event) -> None:
        self.screen.wait(f"{event['trial']}: proposal {event['number']} of {event['of']}")

    def _on_left(self, event: Event) -> None:
        told = f"{event['trial']} leaves after {event['folds']} folds: behind {event['by']} "
        self.screen.line("race", f"{told}(p = {event['p']:.2g})")

    def _on_tried(self, event: Event) -> None:
        if event["what"] == "methods":
            self._raced(event)
            return
        if event["what"] == "learning curve":
            self.screen.line("curve", event["kept"][0])
            return
        for row in event["table"]:
            said = f"{row['name']}: {_reached(row)}"
            if "gain" in row:
                said += (
                    f"; {row['gain']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}, "
                    f"p = {row['p']:.3f})"
                )
            self.screen.line("", said, style="dim")
        kept = "used" if event["kept"] else "no gain beyond noise, so it is not used"
        if event["what"] == "prompts":  # one of them is always taken
            kept = f"taken is `{event['kept'][0]}`"
        self.screen.line("trial", f"{event['what']}: {kept}")

    def _raced(self, event: Event) -> None:
        """The end of a race: a line a candidate, with how it ended."""
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column("", overflow="fold")
        hoped = any("expected" in row for row in event["table"])
        in_words = any("token_accuracy" in row for row in event["table"])
        right = "tokens right" if in_words else "right"
        for head in ("loss", right, "gain", *(["expected"] if hoped else []), "a fold"):
            table.add_column(head, justify="right", no_wrap=True)
        table.add_column("")
        for row in event["table"]:
            if row.get("folds"):
                own = row["state"] == RaceState.CHOSEN
                table.add_row(*_raced_cells(row, hoped), style="bold" if own else "dim")
        chosen = ", ".join(filter(None, event["kept"]))
        self.screen.line("race", f"{chosen} is chosen" if chosen else "nobody could be compared")
        self.screen.console.print(table)
        for row in event["table"]:
            if row.get("proposed"):
                told = str(row["name"]).partition("(")[2].removesuffix(")").replace(",", ", ")
                self.screen.line("", f"{_called(row)}: {told or 'as usual'}", style="dim")
        late = [
            row["name"]
            for row in event["table"]
            if row["state"] == RaceState.LATE and not row.get("folds")
        ]
        if late:
            enough = words.enough(event.fields.get("enough"))
            self.screen.line("", f"no time was left for: {', '.join(late)}{enough}", style="dim")

    def _on_augmented(self, event: Event) -> None:
        said = f"{event['made']:,} new rows"
        if "calls" in event.fields:
            said += f", {event['calls']:,} texts asked of the model"
        if event["dropped"]:
            why = ", ".join(f"{count:,} {reason}" for reason, count in event["dropped"].items())
            said += f"; dropped: {why}"
        self.screen.line("augment", said)

    def _on_planned(self, event: Event) -> None:
        share = event["trainable"] / max(1, event["total"])
        self.screen.line(
            "plan",
            f"{event['method']}: {event['trainable']:,} of {event['total']:,} parameters train "
            f"({share:.2%}) · {event['device']}, {'bfloat16' if event['bf16'] else 'float32'}"
            + (f", {event['attention']} attention" if "attention" in event.fields else ""),
        )
        for reason in event["reasons"]:
            self.screen.line("", reason, style="dim")

    def _on_encoded(self, event: Event) -> None:
        share = event["learned"] / max(1, event["tokens"])
        self.screen.line(
            "tokens",
            f"{event['rows']:,} rows, {event['tokens']:,} tokens; {event['learned']:,} "
            f"({share:.0%}) are learned · chat template: {event['template']}",
        )
        if event["ends"] < 1:
            told = f"{1 - event['ends']:.0%} of the rows do not end with a token that stops"
            self.screen.line("", f"{told}: there the model does not learn to end.", style="yellow")
        self.screen.line("", "learned is what is green:", style="dim")
        for pieces in event["sample"][:1]:
            self.screen.err.print(_sample(pieces))

    def _on_asked(self, event: Event) -> None:
        said = f"the untouched model's loss on answers is {event['loss']:.3f} nats a token"
        if event["answers"]:
            said += f"; it answers {_short(event['answers'][0])!r}"
        self.screen.line("before", said)

    def _on_answered(self, event: Event) -> None:
        self.screen.line(
            "answered", f"{event['system']}: {event['rows']:,} rows, {event['seconds']:.1f} s"
        )

    def _on_recalled(self, event: Event) -> None:
        change = event["change"]
        self.screen.line(
            "general",
            f"loss on {event['passages']} general texts: {event['before']['value']:.3f} before, "
            f"{event['loss']['value']:.3f} now ({change['low']:+.3f} to {change['high']:+.3f})",
        )

    def _on_cached(self, event: Event) -> None:
        mib = event["bytes"] / 2**20
        self.screen.line("cache", f"{event['blocks']} frozen blocks ran once; {mib:,.0f} MiB kept")

    def _on_validated(self, event: Event) -> None:
        told = ", ".join(f"{name} {value:.4g}" for name, value in event["scores"].items())
        self.screen.line("valid", f"step {event['step']}: {told}")

    def _on_checkpoint(self, event: Event) -> None:
        self.screen.line("saved", f"checkpoint of step {event['step']}", style="dim")

    def _on_stopped(self, event: Event) -> None:
        self.screen.line("stop", f"after step {event['step']}: {event['reason']}")

    def _on_step(self, event: Event) -> None:
        self.screen.bar.step(event)

    def _on_trained(self, event: Event) -> None:
        self.screen.close()
        self.screen.line("trained", f"{event['steps']} steps in {event['seconds']:.1f} s")


def _sample(pieces: list[dict[str, Any]]) -> Any:
    """A row of the training data; what is learned is green, and between arrows without colour."""
    from rich.text import Text

    text = Text()
    for piece in pieces:
        if piece["learned"]:
            text.append(f"»{piece['text']}«", "green")
        else:
            text.append(piece["text"], "dim")
    return text


def _raced_cells(row: Mapping[str, Any], hoped: bool) -> tuple[str, ...]:
    """A candidate of the race: name, loss, share that is right, gain with interval, if wanted
    what is expected of it, seconds, its end.
    """
    gain = f"{row['gain']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})" if "gain" in row else ""
    hits = row.get("accuracy", row.get("token_accuracy"))
    right = "" if hits is None else f"{hits:.1%}"
    seconds = f"{row['seconds']:.1f} s"
    loss = row.get("log_loss", row.get("loss", float("nan")))
    expected = [f"{row['expected']:+.0%}" if row.get("expected") else ""] if hoped else []
    return _called(row), f"{loss:.3f}", right, gain, *expected, seconds, str(row["state"])


def _called(row: Mapping[str, Any]) -> str:
    """A candidate's name; of a proposal, whose options would fill the column, its number."""
    if not row.get("proposed"):
        return str(row["name"])
    return f"{str(row['name']).partition('(')[0]}, proposal {row['proposed']}"


def _reached(row: Mapping[str, Any]) -> str:
    """What a candidate of a trial reached, by the metrics that its line has."""
    told = [f"log-loss {row['log_loss']:.3f}"] if "log_loss" in row else []
    told += [f"{row['accuracy']:.1%} right"] if "accuracy" in row else []
    told += [f"{name} {row[name]:.3f}" for name in row if name.startswith("rouge")]
    return ", ".join(told)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
