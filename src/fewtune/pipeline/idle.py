"""Options that are given in vain: refused by `evaluate`, told by a run."""

from __future__ import annotations

from collections.abc import Collection

from fewtune.augment.options import AugmentOptions
from fewtune.base.errors import UsageError
from fewtune.methods.base import Method
from fewtune.pipeline.job import AUTO, Job, races

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
NOTHING = "it changes nothing here"


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
        f"no recipe is asked for with --augment; {NOTHING}": (
            () if job.augment.augment else tuple(AugmentOptions.model_fields)
        ),
    }
    found = {
        reason: [name for name in names if job.given.get(name) is not None]
        for reason, names in why.items()
    }
    return [f"{', '.join(given)}: {reason}." for reason, given in found.items() if given]
