"""The terminal: progress on stderr, the result on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fewtune.base.events import Event
from fewtune.base.printable import printable
from fewtune.cli.bar import Bar
from fewtune.cli.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console


class Screen:
    """A listener of events, and the printer of results.

    Attributes:
        json: stdout carries one JSON object and nothing else.
        quiet: stderr carries warnings and errors only.
        heard: how many events were told.
    """

    def __init__(self, json: bool = False, quiet: bool = False) -> None:
        from fewtune.cli.console import Console

        self.json = json
        self.quiet = quiet
        # [red] and :fire: in users' labels and file names are meant as they stand
        plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
        self.err = Console(stderr=True, **plain)
        self.out = Console(**plain)
        self.bar = Bar(self.err)
        self.heard = 0
        self._progress = Progress(self)

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()  # an error must not leave the cursor hidden

    @property
    def plain(self) -> bool:
        """Whether stdout shows no colours: a file, a pipe, NO_COLOR."""
        return not self.out.is_terminal or self.out.no_color or self.out.color_system is None

    @property
    def console(self) -> Console:
        """Where lines on stderr go while a bar may be up."""
        return self.bar.console

    def note(self, text: str) -> None:
        """Something the user should know, on stderr."""
        self.line("note", text, style="yellow", always=True)

    # ---- while it runs

    def listen(self, event: Event) -> None:
        """Show an event."""
        self.heard += 1
        self.bar.rest()
        if event.name == "warned":
            self.note(event["message"])
        elif not self.quiet:
            self._progress.show(event)

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
        self.console.print(Padding(grid, (0, 0)), markup=False)

    def wait(self, doing: str) -> None:
        """A spinner, so that a silent stage does not look like a dead one."""
        if not self.quiet:
            self.bar.wait(doing)

    @contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """A spinner for as long as something takes."""
        self.wait(doing)
        try:
            yield
        finally:
            self.bar.rest()

    def close(self) -> None:
        """Take bar and spinner down."""
        self.bar.close()

    # ---- the result

    def say(self, value: Any, text: str) -> None:
        """A result: as JSON where asked for, else as text."""
        if self.json:
            print(json.dumps(value, ensure_ascii=False))
        else:
            print(printable(text, sys.stdout))
