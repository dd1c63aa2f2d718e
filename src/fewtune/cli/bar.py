"""What moves in the terminal: the bar of a fit, and the spinner of a stage that is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fewtune.base.events import Event

if TYPE_CHECKING:
    from rich.console import Console


class Bar:
    """One bar and one spinner; while the bar is up there is no spinner."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Any = None
        self._busy: Any = None

    @property
    def console(self) -> Console:
        """Where lines are printed, above the bar if it is up."""
        return self._bar.console if self._bar else self._console

    def step(self, event: Event) -> None:
        """Show a step of training."""
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
            console=self._console,
            refresh_per_second=4,
        )
        self._task = bar.add_task("train", total=steps, loss="", rate="")
        bar.start()
        return bar

    def close(self) -> None:
        """Take bar and spinner down."""
        self.rest()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def wait(self, doing: str) -> None:
        """A spinner, so that a silent stage does not look like a dead one."""
        self.rest()
        if self._bar is None and self._console.is_terminal:
            self._busy = self._console.status(f"{'':9} {doing} ...", spinner="dots")
            self._busy.start()

    def rest(self) -> None:
        """Take the spinner down."""
        if self._busy is not None:
            self._busy.stop()
            self._busy = None
