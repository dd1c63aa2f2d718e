"""Options that are given in vain: refused by `evaluate`, told by a run and a comparison."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fewtune.augment.options import AugmentOptions
from fewtune.base.errors import UsageError
from fewtune.methods.base import Method
from fewtune.pipeline.job import AUTO, Job, method_of, races

#: Of a run alone: what is scored is the whole file.
SPLITS = ("valid", "test", "split", "time", "test_share", "valid_share")


def refuse_idle(given: Collection[str], writes: bool) -> None:
    """Say which options have nothing to do.

    Args:
        given: names of the user's options.
        writes: whether answers in words are scored.

    Raises:
        UsageError: all of them, one a line.
    """
    wrong = []
    if found := [name for name in SPLITS if name in given]:
        wrong.append(f"{', '.join(found)}: every row of the file is scored; leave it out.")
    if writes and "positive" in given:
        wrong.append("positive: names one of two classes, and these answers are words.")
    if not writes and "metric" in given:
        wrong.append("metric: for generated texts only; classification has its own metrics.")
    if wrong:
        raise UsageError("\n".join(wrong))


#: Of a loop of steps, and of what it keeps and watches.
STEPS = (
    "learning_rate", "num_train_epochs", "max_steps", "warmup_ratio", "lr_scheduler_type",
    "weight_decay", "max_grad_norm", "gradient_accumulation_steps", "early_stopping_patience",
    "metric_for_best_model", "load_best_model_at_end", "eval_steps", "average_last",
    "wise_ft_alpha", "head_learning_rate", "adam_beta1", "adam_beta2", "adam_epsilon",
    "start_head", "save_steps", "gradient_checkpointing",
)  # fmt: skip
#: Of what chooses among labels: its loss and its head.
OF_LABELS = ("class_weights", "label_smoothing_factor", "start_head", "head_learning_rate")
NOTHING = "it changes nothing here"
ANSWERS = f"these rows have answers and no labels; {NOTHING}"
NO_RECIPE = f"no recipe is asked for with --augment; {NOTHING}"


def in_vain(job: Job, method: Method) -> list[str]:
    """Notes on options that change nothing of this run.

    Args:
        method: that was named; of a race that chooses one nobody knows yet what it will use.
    """
    named = job.method != AUTO and method.tunes
    why = {
        f"`{method.spell()}` takes no steps of training; {NOTHING}": (
            STEPS if named and not method.needs_steps else ()
        ),
        f"`{method.spell()}` watches no rows while it learns, so those set aside are neither "
        "learned nor tested; leave it out": (
            ("valid", "valid_share") if named and not method.needs_steps else ()
        ),
        f"`{method.spell()}` reads the whole of a text; {NOTHING}": (
            ("max_length",) if named and not method.needs_model else ()
        ),
        f"no race is held where a method is named and nothing is searched; {NOTHING}": (
            () if races(job) else ("budget",)
        ),
        f"there are no rows of --unlabelled; {NOTHING}": (
            () if job.trials.unlabelled else ("self_training_rounds", "self_training_confidence")
        ),
        NO_RECIPE: () if job.augment.augment else tuple(AugmentOptions.model_fields),
        ANSWERS: OF_LABELS if job.writes else (),
    }
    return _notes(job.given, why)


def idle_in_all(given: Mapping[str, Any], jobs: Sequence[Job]) -> list[str]:
    """The same of a comparison: what changes nothing of any line, and whose line is without made
    rows.

    Args:
        given: the user's options.
        jobs: of methods that are named.
    """
    methods = [method_of(job) for job in jobs]
    why = {
        f"nothing that is compared takes steps of training; {NOTHING}": (
            () if any(one.needs_steps for one in methods) else STEPS
        ),
        f"what is compared reads the whole of a text; {NOTHING}": (
            () if any(one.needs_model for one in methods) else ("max_length",)
        ),
        NO_RECIPE: (
            () if any(job.augment.augment for job in jobs) else tuple(AugmentOptions.model_fields)
        ),
        ANSWERS: OF_LABELS if any(job.writes for job in jobs) else (),
    }
    without = {
        f"`{method.spell()}` counts the n-grams of your own rows and cannot learn made ones, so "
        "its line is without them."
        for job, method in zip(jobs, methods, strict=True)
        if job.augment.augment and not method.needs_model
    }
    return [*_notes(given, why), *sorted(without)]


def _notes(given: Mapping[str, Any], why: Mapping[str, Collection[str]]) -> list[str]:
    """A sentence for every reason with the options that were given and fall under it."""
    found = {
        reason: [name for name in names if given.get(name) is not None]
        for reason, names in why.items()
    }
    return [f"{', '.join(idle)}: {reason}." for reason, idle in found.items() if idle]
