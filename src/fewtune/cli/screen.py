"""What the terminal shows: progress on stderr, the result on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from fewtune.base.events import Event

if TYPE_CHECKING:
    from fewtune.api import Run

SHOWN = {
    "classify": ("accuracy", "macro_f1", "log_loss"),
    "multilabel": ("micro_f1", "macro_f1", "subset_accuracy"),  # four are wider than 80 letters
    "generate": ("loss", "token_accuracy", "exact_match", "number_match", "rougeL",
                 "rougeL_characters", "chrf", "stops"),
}  # fmt: skip
TRANSPOSED = ("generate",)
#: Metrics that are no share of anything.
NO_SHARE = ("log_loss", "mcc", "ece", "loss", "perplexity", "bleu", "chrf", "length_ratio")
#: What takes a while after an event, shown until the next one.
BUSY = {
    "checked": "reading the model, fitting the probe",
    "planned": "running the frozen blocks",
    "saved": "asking the model and the baselines about the test rows",
    "encoded": "asking the untouched model",
    "answered": "answering the test rows",
}


TRY = {
    "classify": 'predict {} "some text"',
    "multilabel": 'predict {} "some text"',
    "generate": "chat {}",
}
LONGEST = 60  # characters of an answer in a line


class Screen:
    """A listener of events, and the printer of results.

    Attributes:
        json: stdout carries one JSON object and nothing else.
        quiet: stderr carries warnings and errors only.
    """

    def __init__(self, json: bool = False, quiet: bool = False) -> None:
        from rich.console import Console

        self.json = json
        self.quiet = quiet
        # [red] and :fire: in users' labels and file names are meant as they stand
        plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
        self.err = Console(stderr=True, **plain)
        self.out = Console(**plain)
        self._bar: Any = None
        self._busy: Any = None
        self._heard = 0

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()  # an error must not leave the cursor hidden

    @property
    def plain(self) -> bool:
        """Whether stdout shows no colours: a file, a pipe, NO_COLOR."""
        return not self.out.is_terminal or self.out.no_color or self.out.color_system is None

    def note(self, text: str) -> None:
        """Something the user should know, on stderr."""
        self.line("note", text, style="yellow", always=True)

    # ---- while it runs

    def listen(self, event: Event) -> None:
        """Show an event."""
        self._heard += 1
        self._rest()
        if event.name == "warned":
            self.note(event["message"])
        elif not self.quiet:
            show = getattr(self, f"_on_{event.name}", None)
            if show:
                show(event)
            if event.name in BUSY:
                self._wait(BUSY[event.name])

    def line(self, head: str, text: str, style: str = "", always: bool = False) -> None:
        """What is going on, on stderr; with --quiet only what is told `always`."""
        if self.quiet and not always:
            return
        from rich.padding import Padding
        from rich.table import Table

        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=9, style=style or "bold")
        grid.add_column(overflow="fold", style=style)
        grid.add_row(head, text)
        (self._bar.console if self._bar else self.err).print(Padding(grid, (0, 0)), markup=False)

    def _on_read(self, event: Event) -> None:
        said = f"{event['read']:,} rows: {event['kept']:,} kept"
        for name in ("quarantined", "fixed", "truncated"):
            said += f", {event[name]:,} {name}" if event[name] else ""
        self.line("read", said)

    def _on_split(self, event: Event) -> None:
        valid = f", {event['valid']:,} validation" if event["valid"] else ""
        self.line(
            "split",
            f"{event['train']:,} training{'' if event['test'] else ' rows'}{valid}"
            + (f", {event['test']:,} test rows · " if event["test"] else " · ")
            + (f"{event['classes']} classes · " if event["classes"] else "")
            + event["how"],
        )

    def _on_baseline(self, event: Event) -> None:
        self.line("baseline", f"{event['baseline']}: {event['accuracy']:.1%} right")

    def _on_checked(self, event: Event) -> None:
        serious = [one for one in event["findings"] if one["severity"] != "note"]
        for one in serious:
            colour = "red" if one["severity"] == "error" else "yellow"
            where = f" [{one['rows'][0]}]" if one["rows"] else ""
            self.line("check", f"{one['code']}: {one['message']}{where}", style=colour)
        if serious:
            self.line("", "`fewtune check` shows every row and what to do.", style="dim")

    def _on_trial(self, event: Event) -> None:
        if "asked" in event.fields:
            several = f"{event['asked']} prompts, {event['rows']} rows each"
            self.line(
                "trial", f"{event['trial']}, round {event['fold']} of {event['folds']}: {several}"
            )
            return
        if event["fold"] == event["folds"]:
            self.line("trial", f"{event['trial']}: {event['folds']} folds fitted")
        self._wait(f"{event['trial']}: fold {event['fold']} of {event['folds']} done")

    def _on_left(self, event: Event) -> None:
        told = f"{event['trial']} leaves after {event['folds']} folds: behind {event['by']} "
        self.line("race", f"{told}(p = {event['p']:.2g})")

    def _on_tried(self, event: Event) -> None:
        if event["what"] == "methods":
            self._raced(event)
            return
        if event["what"] == "learning curve":
            self.line("curve", event["kept"][0])
            return
        for row in event["table"]:
            said = f"{row['name']}: {_reached(row)}"
            if "gain" in row:
                said += (
                    f"; {row['gain']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}, "
                    f"p = {row['p']:.3f})"
                )
            self.line("", said, style="dim")
        kept = "used" if event["kept"] else "no gain beyond noise, so it is not used"
        if event["what"] == "prompts":  # one of them is always taken
            kept = f"taken is `{event['kept'][0]}`"
        self.line("trial", f"{event['what']}: {kept}")

    def _raced(self, event: Event) -> None:
        """The end of a race: a line a candidate, with how it ended."""
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column("", overflow="fold")
        for head in ("loss", "right", "gain", "a fold"):
            table.add_column(head, justify="right", no_wrap=True)
        table.add_column("")
        for row in event["table"]:
            if row.get("folds"):
                own = row["state"] == "chosen"
                table.add_row(*_raced_cells(row), style="bold" if own else "dim")
        chosen = ", ".join(filter(None, event["kept"]))
        self.line("race", f"{chosen} is chosen" if chosen else "nobody could be compared")
        (self._bar.console if self._bar else self.err).print(table)
        late = [row["name"] for row in event["table"] if not row.get("folds")]
        if late:
            self.line("", f"no time was left for: {', '.join(late)}", style="dim")

    def _on_augmented(self, event: Event) -> None:
        said = f"{event['made']:,} new rows"
        if "calls" in event.fields:
            said += f", {event['calls']:,} texts asked of the model"
        if event["dropped"]:
            why = ", ".join(f"{count:,} {reason}" for reason, count in event["dropped"].items())
            said += f"; dropped: {why}"
        self.line("augment", said)

    def _on_planned(self, event: Event) -> None:
        share = event["trainable"] / max(1, event["total"])
        self.line(
            "plan",
            f"{event['method']}: {event['trainable']:,} of {event['total']:,} parameters train "
            f"({share:.2%}) · {event['device']}, {'bfloat16' if event['bf16'] else 'float32'}"
            + (f", {event['attention']} attention" if "attention" in event.fields else ""),
        )
        for reason in event["reasons"]:
            self.line("", reason, style="dim")

    def _on_encoded(self, event: Event) -> None:
        share = event["learned"] / max(1, event["tokens"])
        self.line(
            "tokens",
            f"{event['rows']:,} rows, {event['tokens']:,} tokens; {event['learned']:,} "
            f"({share:.0%}) are learned · chat template: {event['template']}",
        )
        if event["ends"] < 1:
            told = f"{1 - event['ends']:.0%} of the rows do not end with a token that stops"
            self.line("", f"{told}: there the model does not learn to end.", style="yellow")
        self.line("", "learned is what is green:", style="dim")
        for pieces in event["sample"][:1]:
            self.err.print(_sample(pieces))

    def _on_asked(self, event: Event) -> None:
        said = f"the untouched model's loss on answers is {event['loss']:.3f} nats a token"
        if event["answers"]:
            said += f"; it answers {_short(event['answers'][0])!r}"
        self.line("before", said)

    def _on_answered(self, event: Event) -> None:
        self.line(
            "answered", f"{event['system']}: {event['rows']:,} rows, {event['seconds']:.1f} s"
        )

    def _on_recalled(self, event: Event) -> None:
        change = event["change"]
        self.line(
            "general",
            f"loss on {event['passages']} general texts: {event['before']['value']:.3f} before, "
            f"{event['loss']['value']:.3f} now ({change['low']:+.3f} to {change['high']:+.3f})",
        )

    def _on_cached(self, event: Event) -> None:
        mib = event["bytes"] / 2**20
        self.line("cache", f"{event['blocks']} frozen blocks ran once; {mib:,.0f} MiB kept")

    def _on_step(self, event: Event) -> None:
        if self._bar is None:
            self._bar = self._make_bar(event["steps"])
        self._bar.update(
            self._task,
            completed=event["step"],
            loss=f"loss {event['loss']:.3f}",
            rate=f"{event['rows_per_second']:,.0f} rows/s",
        )

    def _make_bar(self, steps: int) -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        bar = Progress(
            TextColumn("[bold]train    "),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[rate]}"),
            Remaining(),
            console=self.err,
            refresh_per_second=4,
        )
        self._task = bar.add_task("train", total=steps, loss="", rate="")
        bar.start()
        return bar

    def _on_validated(self, event: Event) -> None:
        told = ", ".join(f"{name} {value:.4g}" for name, value in event["scores"].items())
        self.line("valid", f"step {event['step']}: {told}")

    def _on_checkpoint(self, event: Event) -> None:
        self.line("saved", f"checkpoint of step {event['step']}", style="dim")

    def _on_stopped(self, event: Event) -> None:
        self.line("stop", f"after step {event['step']}: {event['reason']}")

    def _on_trained(self, event: Event) -> None:
        self.close()
        self.line("trained", f"{event['steps']} steps in {event['seconds']:.1f} s")

    def close(self) -> None:
        """Take bar and spinner down."""
        self._rest()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _wait(self, doing: str) -> None:
        """A spinner, so that a silent stage does not look like a dead one."""
        self._rest()
        if self._bar is None and self.err.is_terminal:
            self._busy = self.err.status(f"{'':9} {doing} ...", spinner="dots")
            self._busy.start()

    def _rest(self) -> None:
        if self._busy is not None:
            self._busy.stop()
            self._busy = None

    # ---- the result

    def say(self, value: Any, text: str) -> None:
        """A result: as JSON where asked for, else as text."""
        if self.json:
            print(json.dumps(value, ensure_ascii=False))
        else:
            print(text)

    def finish(self, run: Run) -> None:
        """A finished run: scores beside baselines, the verdict, where things are."""
        self.close()
        scores = run.scores
        if not self._heard and not self.json:
            again = "`fewtune train` with --again computes it anew"
            self.line("note", f"{run.folder.path} is finished already; {again}.", always=True)
        if self.json:
            print(json.dumps(scores, ensure_ascii=False))
            return
        self.out.print(self._table(scores))
        self.out.print(scores["verdict"], markup=False, soft_wrap=False)
        self.out.print()
        for sign in scores.get("diagnosis") or ():
            self.out.print(f"{sign['message']} {sign['do']}", style="yellow", markup=False)
            self.out.print()
        if nearest := run.folder.virtual_tokens:
            said = " ".join(one[0]["word"] for one in nearest)
            self.out.print(f"the learned prompt is nearest to the words: {said}", markup=False)
            self.out.print()
        path = run.folder.path
        for what, where in (
            ("report", path / "report.html"),
            ("model", path / "model"),
            ("try it", f"fewtune {TRY[scores['task']].format(quote(str(path)))}"),
        ):
            self.out.print(f"{what:8}{where}", markup=False, soft_wrap=True)

    def _table(self, scores: Mapping[str, Any]) -> Any:
        if scores["task"] in TRANSPOSED:
            return self._by_metric(scores)
        table = self._new_table(scores)
        narrow = self.out.width < 64  # the scores are what wraps then, not the names
        for metric in SHOWN[scores["task"]]:
            table.add_column(
                metric.replace("_", " "), justify="right", no_wrap=not narrow, overflow="fold"
            )
        rows = [one for one in scores["baselines"].items() if one[0] != scores["method"]]
        rows.append((scores["method"], scores["test"]))
        for name, block in rows:
            own = name == scores["method"]
            table.add_row(
                name,
                *(_cell(metric, block.get(metric)) for metric in SHOWN[scores["task"]]),
                style="bold" if own else "",
            )
        return table

    def _by_metric(self, scores: Mapping[str, Any]) -> Any:
        """Metrics down, systems across: there are many, and not every system has all."""
        table = self._new_table(scores)
        for name in scores["baselines"]:
            table.add_column(name, justify="right", overflow="fold")
        table.add_column(scores["method"], justify="right", style="bold", overflow="fold")
        blocks = [*scores["baselines"].values()]
        for metric in SHOWN[scores["task"]]:
            if metric in scores["test"]:
                others = (_value(metric, block.get(metric)) for block in blocks)
                table.add_row(metric, *others, _cell(metric, scores["test"][metric]))
        return table

    def _new_table(self, scores: Mapping[str, Any]) -> Any:
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
        rows = scores["rows"]
        asked = rows.get("answered", rows["test"])
        some = f", {asked:,} answered" if 0 < asked < rows["test"] else ""
        head = f"on {rows['test']:,} test rows{some}"
        if "fold" in scores.get("scored_on", ""):
            head = f"on folds of {rows['train']:,} rows"
        table.add_column(head, no_wrap=self.out.width < 64)
        return table

    def show_evaluation(self, found: Mapping[str, Any]) -> None:
        """The scores of `evaluate`."""
        if self.json:
            print(json.dumps(found, ensure_ascii=False))
            return
        from rich.table import Table

        for note in found["notes"]:
            self.note(note)
        counts = found["rows"]
        print(f"{Path(found['data']).name}: {counts['read']:,} rows, {counts['kept']:,} kept")
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for metric, value in found["test"].items():
            table.add_row(metric, _cell(metric, value))
        self.out.print(table)


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


def _raced_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A candidate of the race: name, log-loss, accuracy, gain with interval, seconds, its end."""
    gain = f"{row['gain']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})" if "gain" in row else ""
    right = f"{row['accuracy']:.1%}" if "accuracy" in row else ""
    seconds = f"{row['seconds']:.1f} s"
    loss = row.get("log_loss", row.get("loss", float("nan")))
    return str(row["name"]), f"{loss:.3f}", right, gain, seconds, str(row["state"])


def _reached(row: Mapping[str, Any]) -> str:
    """What a candidate of a trial reached, by the metrics that its line has."""
    told = [f"log-loss {row['log_loss']:.3f}"] if "log_loss" in row else []
    told += [f"{row['accuracy']:.1%} right"] if "accuracy" in row else []
    told += [f"{name} {row[name]:.3f}" for name in row if name.startswith("rouge")]
    return ", ".join(told)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _cell(metric: str, value: Mapping[str, float] | None) -> str:
    """`71.4 % (62.5-79.0)`; losses and correlations keep their scale."""
    if value is None:
        return "-"
    numbers = value["value"], value["low"], value["high"]
    if metric in NO_SHARE:
        return "{:.3f} ({:.2f}-{:.2f})".format(*numbers)
    return "{:.1f} % ({:.1f}-{:.1f})".format(*(100 * n for n in numbers))


def _value(metric: str, value: Mapping[str, float] | None) -> str:
    """`71.4 %`, without the interval."""
    return _cell(metric, value).partition(" (")[0]


def eprint(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr)
