"""fewtune: fine-tune a pretrained model on few labelled examples, with evidence that it worked.

import fewtune
run = fewtune.train("examples/fault_reports.csv", method="probe")
print(run.verdict)
print(run.predict(["pump DE brg hot, vib 9 mm/s"]))
"""

# The rooms that are named like a verb come first: a package binds its name when it is first
# imported, and would otherwise take `fewtune.train` from the function in the middle of a program.
from fewtune import augment as _augment_room  # noqa: F401
from fewtune import check as _check_room  # noqa: F401
from fewtune import evaluate as _evaluate_room  # noqa: F401
from fewtune import train as _train_room  # noqa: F401
from fewtune.api import (
    Model,
    Run,
    augment,
    check,
    compare,
    evaluate,
    label,
    load,
    plan,
    predict,
    resume,
    train,
)
from fewtune.base.errors import FewtuneError, UsageError

__version__ = "0.1.0"
__all__ = [
    "FewtuneError",
    "Model",
    "Run",
    "UsageError",
    "augment",
    "check",
    "compare",
    "evaluate",
    "label",
    "load",
    "plan",
    "predict",
    "resume",
    "train",
]
