"""New rows for the fits of a comparison, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fewtune.augment.apply import augment, refuse_kind
from fewtune.augment.context import context_of
from fewtune.data.row import Row
from fewtune.models.ladder import unheard
from fewtune.pipeline.extra import recipes_of, told
from fewtune.pipeline.job import Job


class Maker:
    """Makes rows by a job's recipes; a model that writes has all its calls for each fit.

    With one budget for all of them the first folds would learn what it wrote and the others
    nothing. What a recipe could not do is told once: later folds hardly differ.
    """

    def __init__(self, job: Job, rows: Sequence[Row], held: Sequence[Row]) -> None:
        """See that the recipes are there and take these rows.

        Args:
            job: with the recipes.
            rows: the training rows.
            held: test rows, which no row that is made may be like.
        """
        self.job, self.held, self.recipes = job, held, recipes_of(job)
        refuse_kind(rows, self.recipes)
        self.context, self.was_idle = context_of(job.augment, self.recipes), False

    def __call__(self, rows: Sequence[Row], avoid: Sequence[Row]) -> Sequence[Row]:
        """New rows from those that a fit learns, none like those to avoid."""
        context, copies = self.context, self.job.augment.augment_copies
        if context.writer:
            context = replace(context, writer=context.writer.anew())
        avoid = [*avoid, *self.held]
        made = augment(rows, self.recipes, context, self.job.run.seed, copies, avoid)
        unheard(told(replace(made, idle=()) if self.was_idle else made, context))
        self.was_idle |= bool(made.idle)
        return made.rows
