"""What a plan consists of: the options by section, and every way to adapt a model."""

from __future__ import annotations

from fewtune.augment.options import AugmentOptions
from fewtune.base.options import Options
from fewtune.data.options import DataOptions
from fewtune.evaluate.options import EvaluateOptions
from fewtune.methods import METHODS
from fewtune.methods.base import Method
from fewtune.models.decoding import DecodingOptions
from fewtune.models.options import ModelOptions
from fewtune.record.options import RunOptions
from fewtune.tasks.options import GenerateOptions
from fewtune.train.options import TrainOptions
from fewtune.trials.options import TextPrompt, TrialOptions

#: Which options belong to which section of the plan; the method has its own.
SECTIONS: dict[str, type[Options]] = {
    "data": DataOptions,
    "model": ModelOptions,
    "train": TrainOptions,
    "augment": AugmentOptions,
    "trials": TrialOptions,
    "evaluate": EvaluateOptions,
    "generate": GenerateOptions,
    "decoding": DecodingOptions,
    "run": RunOptions,
}
#: Every way to adapt a model, by name: what tunes it, and what changes the question alone.
WAYS: dict[str, type[Method]] = {**METHODS, TextPrompt.name: TextPrompt}
