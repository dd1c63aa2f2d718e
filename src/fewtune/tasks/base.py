"""What a task tells of itself, so that no other room asks which one it is."""

from __future__ import annotations

from typing import ClassVar

from fewtune.data.shapes import Shape


class Task:
    """What is learned of rows.

    Attributes:
        name: the key in the registry.
        primary: the metric that decides.
        selection: the score of a row by which folds choose.
        row_independent: False where the loss of a row depends on the others of its batch.
        writes: True where answers are words of the model's own, False where they are labels.
        several: True where a row may have several labels.
        shape: what the rows are to the linter.
        holds: what the rows hold, in a clause.
        shown: the metrics that a terminal has room for.
        hub: what a model hub calls the task.
        usage: the command that asks a saved model, whose place is {}.
        sections: the plan's sections that this task alone has.
    """

    name: ClassVar[str]
    primary: ClassVar[str]
    selection: ClassVar[str] = "log_loss"
    row_independent: ClassVar[bool] = True
    writes: ClassVar[bool] = False
    several: ClassVar[bool] = False
    shape: ClassVar[Shape]
    holds: ClassVar[str]
    shown: ClassVar[tuple[str, ...]]
    hub: ClassVar[str]
    usage: ClassVar[str]
    sections: ClassVar[tuple[str, ...]] = ()
