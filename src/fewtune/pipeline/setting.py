"""What every trial of a run has in common: its rows, its folds, and whether answers are cooled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewtune.pipeline.run import Run

if TYPE_CHECKING:
    import numpy as np

    from fewtune.train.bench import Bench, Examples
    from fewtune.trials.folds import Setting

FITS = "race"  # in the plan what a race decided, in the run folder its fits


def setting_of(
    run: Run, bench: Bench, examples: Examples, folds: list[np.ndarray] | None = None
) -> Setting:
    """What a trial of the run's method is held on; on the run's folds if no others are given."""
    from fewtune.trials.folds import Setting

    return Setting(
        bench,
        run.method,
        examples,
        run.folds if folds is None else folds,
        run.chosen["probe_c"],
        run.chosen["probe_temperature"],
        run.folder.trials,
        calibrated=calibrates(run),
    )


def calibrates(run: Run) -> bool:
    """Whether the final fit is divided by a temperature, as a race's winner that trains is."""
    return run.method.needs_steps and "temperature" in run.chosen.get(FITS, {})
