"""A run and its model, from Python."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.api.model import Model
from fewtune.base.errors import UsageError
from fewtune.base.events import Event

if TYPE_CHECKING:
    from fewtune.record.folder import RunFolder

Listener = Callable[[Event], None]


class Run(Model):
    """A run: its folder, its scores, its model.

    Attributes:
        folder: the run folder, from which everything else is read.
    """

    def __init__(self, folder: RunFolder, model: str | None = None) -> None:
        super().__init__(folder.model, model)
        self.folder = folder

    def __repr__(self) -> str:
        return f"Run({str(self.folder.path)!r}, {self.folder.state})"

    @property
    def artefact(self) -> Path:
        """The folder of its model.

        Raises:
            UsageError: the run has none yet.
        """
        from fewtune.methods.artefact import ABOUT

        if not (self.path / ABOUT).exists() and self.folder.state != "finished":
            raise UsageError(
                f"{self.folder.path}: this run is not finished, so it has no model yet; `fewtune "
                f"resume {shlex.quote(str(self.folder.path))}` goes on."
            )
        return self.path

    @property
    def scores(self) -> dict[str, Any]:
        """What `fewtune train --json` prints."""
        return self.folder.scores

    @property
    def verdict(self) -> str:
        """Whether it worked, in one sentence."""
        return self.scores.get("verdict", "")

    def report(self) -> Path:
        """Write report.html anew from the folder and give its path."""
        from fewtune.report.page import write_report

        return write_report(self.folder)

    def evaluate(self, data: str | Path, **options: Any) -> dict[str, Any]:
        """Score the model on other rows; see `fewtune.evaluate`."""
        from fewtune.api.asking import evaluate

        return evaluate(self, data, **options)


def heard(folder: RunFolder, events: Iterator[Event], listen: Listener | None) -> Run:
    """The run, when its last event was told.

    Raises:
        UsageError: it did not finish.
    """
    for event in events:
        if listen:
            listen(event)
    if folder.state != "finished":
        raise UsageError(f"{folder.path}: the run did not finish; `fewtune resume` goes on.")
    return Run(folder)
