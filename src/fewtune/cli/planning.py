"""`fewtune plan`: the methods as a table, and why they stand as they do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fewtune.base.amounts import told_bytes, told_time
from fewtune.cli.screen import Screen
from fewtune.cli.told_room import told_room

BEST = 3  # commands shown, unless --all
RACE = (
    "without --method folds of the rows choose among these; --search 12 lets Optuna propose twelve "
    "candidates more, and with --method NAME other options of that method."
)
MANNERS = {"measured": "", "computed": "~", "assumed": "?"}


def plan_file(path: str, screen: Screen, options: Mapping[str, Any]) -> int | None:
    """Print the plan for a file."""
    from fewtune import api

    given = dict(options)
    every = bool(given.pop("all", False))
    with screen.busy("counting tokens and parameters, timing a few steps"):
        told = api.plan(path, **given)
    if screen.json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        Printed(screen, told, every).all()
    return None


class Printed:
    """A plan on the terminal."""

    def __init__(self, screen: Screen, told: Mapping[str, Any], every: bool) -> None:
        self.screen = screen
        self.out = screen.out
        self.told = told
        self.every = every
        self.usable = [one for one in told["methods"] if not one["refused"]]

    def all(self) -> None:
        """What it rests on, the table, the reasons, the commands."""
        self._case()
        self.out.print()
        self.out.print(self._table())
        self.out.print()
        self._timing()
        self._room()
        self._why()
        self._refused()
        self._commands()

    def _case(self) -> None:
        told = self.told
        self._line("task", f"{told['task']['name']}: {told['task']['why']}")
        self._line("rows", _rows(told))
        self._line("tokens", _tokens(told["tokens"]))
        model = told["model"]
        self._line(
            "model",
            f"{model['name']}: {model['family']}, {model['parameters']:,} parameters, "
            f"{model['blocks']} blocks of width {model['width']:,}",
        )
        self._line("machine", _machine(told["hardware"]))
        if told["needs"] or told["budget"]:
            budget = [f"at most {told_time(told['budget'])}"] if told["budget"] else []
            self._line("wanted", ", ".join([*told["needs"], *budget]))
        for note in told["notes"]:
            self._line("note", note, style="yellow")

    def _table(self) -> Any:
        from rich.table import Table

        table = Table(box=None, padding=(0, 1, 0, 0))
        right = ("", "trains", "of all", "memory", "time", "rate", "passes")
        heads = (
            "",
            "method",
            "trains",
            "of all",
            "memory",
            "time",
            "fits",
            "rate",
            "passes",
            "with",
        )
        for head in heads:
            table.add_column(head, justify="right" if head in right else "left", no_wrap=True)
        table.columns[-1].no_wrap = False
        for one in self.usable:
            style = "dim" if not _recommended(one) else "bold" if one["rank"] == 1 else ""
            table.add_row(*self._row(one), style=style)
        return table

    def _row(self, one: Mapping[str, Any]) -> list[str]:
        share = one["share"]
        memory = one["memory"] and told_bytes(one["memory"]["predicted"])
        trained = one["trainable_parameters"]
        timing = self.told["timing"] if memory else None  # n-grams run on any processor
        manner = MANNERS[timing["how"]] if timing else ""
        return [
            str(one["rank"]),
            one["method"],
            "-" if trained is None else f"{trained:,}",
            "-" if share is None else f"{share:.2%}",
            memory or "-",
            "-" if one["seconds"] is None else f"{manner}{told_time(one['seconds'])}",
            "yes" if one["fits"] else "no",
            *_pace(one),
            _with(one),
        ]

    def _timing(self) -> None:
        if self.told["timing"]:
            self._line("time", self.told["timing"]["note"], style="dim")

    def _room(self) -> None:
        """What was changed to fit, or what would make it fit."""
        for line in told_room(self.usable, self.told["hardware"]["memory"]):
            self._line("memory", line, style="yellow")

    def _why(self) -> None:
        for rule in self.told["rules"]:
            self._line("why", f"{rule['says']} [{rule['source']}].")
            for way, methods in (("up", rule["raises"]), ("down", rule["lowers"])):
                if methods:
                    told = ", ".join(_with_number(name, rule["numbers"]) for name in methods)
                    self._line("", f"{way}: {told}", style="dim")
        for one in self.usable if self.every else ():
            self.out.print()
            self._line(one["method"], f"memory {_parts(one)}" if one["memory"] else "")
            for reason in one["reasons"]:
                self._line("", reason, style="dim")

    def _refused(self) -> None:
        for one in self.told["methods"]:
            if one["refused"]:
                self._line("not here", f"{one['method']}: {one['refused']}", style="dim")

    def _commands(self) -> None:
        self.out.print()
        if self.told["unmet"]:
            self._line("nothing", self.told["unmet"], style="yellow")
        best = [one for one in self.usable if _recommended(one)]
        for one in best[: None if self.every else BEST]:
            self.out.print(one["command"], soft_wrap=True)
        self.out.print()
        if not any(rule["kind"] == "need" for rule in self.told["rules"]):  # a race knows of none
            self._line("race", RACE, style="dim")

    def _line(self, head: str, text: str, style: str = "") -> None:
        from rich.table import Table

        grid = Table.grid(padding=(0, 1))
        grid.add_column(min_width=9, style=style or "bold", no_wrap=True)
        grid.add_column(overflow="fold", style=style)
        grid.add_row(head, text)
        self.out.print(grid)


def _recommended(one: Mapping[str, Any]) -> bool:
    return bool(one["fits"] and one["meets_needs"])


def _rows(told: Mapping[str, Any]) -> str:
    rows, classes = told["rows"], told["rows_per_class"]
    said = f"{rows['train']:,} to learn from ({told['size']} data)"
    said += f", {rows['valid']:,} to watch" if rows["valid"] else ""
    said += f", {rows['test']:,} to test on" if rows["test"] else ""
    if classes:
        least, most = classes["least"], classes["most"]
        each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        said += f"; {classes['classes']:,} classes of {each} rows"
    return said


def _tokens(tokens: Mapping[str, Any]) -> str:
    said = f"{tokens['mean']:,.0f} a row, {tokens['longest']:,} the longest"
    said += f", {tokens['learned']:,.0f} learned" if tokens["learned"] else ""
    return said + (f"; {tokens['unknown']:.1%} unknown" if tokens["unknown"] else "")


def _machine(found: Mapping[str, Any]) -> str:
    cores = "1 core" if found["cores"] == 1 else f"{found['cores']} cores"
    units = f" with {', '.join(found['units'])}" if found["units"] else ""
    cards = ", ".join(found["gpus"]) or "no GPU"
    memory = f"{told_bytes(found['ram'])} of memory ({told_bytes(found['free'])} free)"
    precision = "bfloat16" if found["bf16"] else "float32"
    limit = "as told" if found["told"] else "what is free"
    if found["factor"] != 1:
        limit += f"; memory times {found['factor']:.2f}, by past runs"
    room = f"{told_bytes(found['memory'])} ({limit})"
    told = f"{cores}{units}, {memory}, {cards}"
    return f"{told}; planned for {found['device']}, {precision}, {room}"


def _pace(one: Mapping[str, Any]) -> tuple[str, str]:
    """Learning rate and passes of a fit."""
    decided = one["decided"]
    if not decided:
        return "", ""
    rates = "/".join(
        f"{rate:.1e}".replace("e-0", "e-") for rate in decided["learning_rate"].values()
    )
    return rates.replace(".0e", "e"), f"{round(decided['num_train_epochs'], 1):g}"


def _with(one: Mapping[str, Any]) -> str:
    """The options that differ from the defaults."""
    short = {
        "per_device_train_batch_size": "batch",
        "gradient_accumulation_steps": "accumulate",
        "gradient_checkpointing": "checkpointing",
        "num_virtual_tokens": "virtual tokens",
        "cache_trunk": "cache",
    }
    shown = one["options"] if one["fits"] else {}
    return ", ".join(_setting(short.get(name, name), value) for name, value in shown.items())


def _setting(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {value}"


def _with_number(method: str, numbers: Mapping[str, str]) -> str:
    return f"{method} ({numbers[method]})" if method in numbers else method


def _parts(one: Mapping[str, Any]) -> str:
    names = ("weights", "gradients", "optimiser", "activations", "logits", "cache", "kept")
    memory = one["memory"]
    return ", ".join(
        f"{name} {told_bytes(memory[name])}" for name in names if memory.get(name, 0) >= 2**20
    )
