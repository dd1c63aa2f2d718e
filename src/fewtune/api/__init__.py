"""Rank 12: the Python face, with the same names and options as the commands."""

from fewtune.api.asking import evaluate, label, load, predict
from fewtune.api.model import Model
from fewtune.api.rows import augment, check
from fewtune.api.run import Listener, Run
from fewtune.api.training import compare, plan, resume, train

__all__ = [
    "Listener",
    "Model",
    "Run",
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
