"""`fewtune check`: findings as a good linter prints them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import UsageError
from fewtune.cli.screen import Screen
from fewtune.data.holdout import labels_of

if TYPE_CHECKING:
    from fewtune.check.finding import Finding
    from fewtune.check.run import Checked

COLOURS = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}
SHOWN = 5  # rows of a finding, unless --all
CHANGES = 20  # of --fix, unless --all


def check_file(path: str | None, screen: Screen, options: Mapping[str, Any]) -> int:
    """Print what is found; 1 where training on it would go wrong."""
    from fewtune import api

    given = dict(options)
    explain, every = given.pop("explain", None), given.pop("all", False)
    if explain:
        return explain_rule(explain, screen)
    if not path:
        raise UsageError("check: a file to look at, or --explain CODE, is missing.")
    with screen.busy("looking at the rows"):
        done = api.check(path, **given)
    if screen.json:
        print(json.dumps(done.as_json(), ensure_ascii=False))
    else:
        Printed(screen, done, every).all()
    return 1 if any(one.severity == "error" for one in done.findings) else 0


def explain_rule(code: str, screen: Screen) -> int:
    """What a rule looks for, and why."""
    from fewtune.check.run import rule_named

    rule = rule_named(code)
    told = {
        "code": rule.code,
        "severity": rule.severity,
        "title": rule.title,
        "why": rule.why,
        "needs": rule.needs,
    }
    needs = "" if rule.needs == "rows" else "\n\nLooks only with --model."
    screen.say(told, f"{rule.code} ({rule.severity}): {rule.title}\n\n{rule.why}{needs}")
    return 0


class Printed:
    """The findings on the terminal."""

    def __init__(self, screen: Screen, done: Checked, every: bool) -> None:
        self.out = screen.out
        self.screen = screen
        self.done = done
        self.most = 10**9 if every else SHOWN
        self.most_changes = 10**9 if every else 1 + CHANGES

    def all(self) -> None:
        """Notes of the reading, findings by severity, one line at the end."""
        self.screen.line("read", self._shape())
        for note in self.done.notes:
            self.screen.note(note)
        for one in self.done.findings:
            self._finding(one)
        self._summary()

    def _finding(self, one: Finding) -> None:
        from rich.padding import Padding
        from rich.text import Text

        head = Text(one.code, style=COLOURS[one.severity])
        self.out.print(Text.assemble(head, "  ", one.message))
        told: set[Any] = set()
        for row in (row for row in one.rows[: self.most] if row not in told):
            self.out.print(Padding(self._row(row), (0, 0, 0, 4)), soft_wrap=False)
            if other := one.beside.get(row):
                told.add(other)
                self.out.print(Padding(self._row(other, 6), (0, 0, 0, 6)), soft_wrap=False)
        if len(one.rows) > self.most:
            more = len(one.rows) - self.most
            self.out.print(Padding(Text(f"... and {more:,} more (--all)", "dim"), (0, 0, 0, 4)))
        self.out.print(Padding(Text(f"-> {one.do}", style="italic"), (0, 0, 0, 4)))
        self.out.print()

    def _row(self, origin: Any, indent: int = 4) -> Any:
        from rich.text import Text

        row = self.done.row(origin)
        told = Text()
        told.append(str(origin), style="bold")
        if row is not None:
            if labels := ", ".join(labels_of(row)):
                told.append(f"  {labels}", style="magenta")
            told.append(f"  {' '.join(row['text'].split())}")
        told.truncate(max(40, self.out.width - indent), overflow="ellipsis")
        return told

    def _summary(self) -> None:
        counts = self.done.rows
        said = f"{counts['read']:,} rows read, {counts['kept']:,} kept"
        for name in ("quarantined", "fixed", "truncated"):
            said += f", {counts[name]:,} {name}" if counts[name] else ""
        self.out.print(f"{said}. {_found(self.done.findings)}")
        if self.done.left_out:
            rules = ", ".join(self.done.left_out)
            self.out.print(f"Not looked for without a model (--model minilm): {rules}.")
        for written in self.done.written[: self.most_changes]:
            self.out.print(written)
        if (more := len(self.done.written) - self.most_changes) > 0:
            self.out.print(f"... and {more:,} more changes (--all)")

    def _shape(self) -> str:
        """How the file was read."""
        columns = ", ".join(f"{role}={column}" for role, column in self.done.columns.items())
        return f"{self.done.rows['read']:,} rows of {self.done.shape}: {columns}"


def _found(findings: Sequence[Finding]) -> str:
    if not findings:
        return "Nothing found."
    counts: Counter[str] = Counter(one.severity for one in findings)
    told = [
        f"{counts[kind]} {kind}{'s' if counts[kind] > 1 else ''}"
        for kind in COLOURS
        if counts[kind]
    ]
    return f"Found {', '.join(told)}."
