"""What each command takes; built when the command is called, so that the others cost nothing."""

from __future__ import annotations

import inspect
from typing import Any


def _rows() -> str:
    """What a file of training rows may be."""
    from fewtune.data.formats import FORMATS

    *most, last = FORMATS
    return f"{', '.join(most)} or {last} with the training rows"


def common() -> list[inspect.Parameter]:
    """Of every command."""
    from fewtune.cli.flags import keyword

    return [
        keyword("config", "YAML file with options; flags win over it"),
        keyword("json", "one JSON object on stdout, everything else on stderr", is_bool=True),
        keyword("quiet", "no progress", is_bool=True),
    ]


def _task() -> inspect.Parameter:
    """What is learned, in the commands that can learn."""
    from fewtune.cli.flags import keyword
    from fewtune.tasks import TASKS

    return keyword("task", f"one of {', '.join(TASKS)} [default: by the file's columns]")


def train() -> list[inspect.Parameter]:
    """Of `fewtune train`."""
    from fewtune.cli.flags import argument, keyword, parameters
    from fewtune.trials.sections import SECTIONS, WAYS

    methods = ", ".join(WAYS)
    groups: dict[str, list[Any]] = {f"Options: {name}": [cls] for name, cls in SECTIONS.items()}
    groups |= {f"Method: {name}": [cls] for name, cls in WAYS.items()}
    return [
        argument("data", _rows()),
        keyword("method", f"auto, one of {methods}, or several joined by + [default: auto]"),
        _task(),
        *common(),
        *parameters(groups),
    ]


def _unscored(groups: dict[str, list[Any]]) -> list[inspect.Parameter]:
    """Those of commands that score nothing, and so have no use for the parts of scores."""
    from fewtune.cli.flags import parameters

    return [one for one in parameters(groups) if one.name != "slice"]


def plan() -> list[inspect.Parameter]:
    """Of `fewtune plan`."""
    from fewtune.choose.options import PlanOptions
    from fewtune.cli.flags import FieldOf, argument, keyword
    from fewtune.data.options import DataOptions
    from fewtune.models.options import ModelOptions
    from fewtune.record.options import SeedOptions
    from fewtune.tasks.options import GenerateOptions
    from fewtune.train.options import TrainOptions
    from fewtune.trials.options import TrialOptions

    groups: dict[str, list[Any]] = {
        "Options: plan": [PlanOptions],
        "Options: data": [DataOptions, SeedOptions],
        "Options: model": [ModelOptions],
        "Options: train": [TrainOptions],
        "Options: generate": [GenerateOptions],
    }
    return [
        argument("data", _rows()),
        _task(),
        keyword("budget", "what training may take, as 90s, 10m or 2h", of=FieldOf(TrialOptions)),
        keyword("all", "every reason of every method", is_bool=True),
        *common(),
        *_unscored(groups),
    ]


def compare() -> list[inspect.Parameter]:
    """Of `fewtune compare`."""
    from fewtune.cli.flags import FieldOf, argument, keyword, parameters
    from fewtune.methods import METHODS
    from fewtune.pipeline.entries import NOT_HERE
    from fewtune.trials.options import CompareOptions, TrialOptions
    from fewtune.trials.sections import SECTIONS

    told = CompareOptions.model_fields["vary"].description or ""
    groups: dict[str, list[Any]] = {"Options: compare": [CompareOptions]}
    groups |= {f"Options: {name}": [cls] for name, cls in SECTIONS.items() if name != "decoding"}
    groups |= {f"Method: {name}": [cls] for name, cls in METHODS.items()}
    written_otherwise = {*NOT_HERE, "vary", "budget"}
    return [
        argument("data", _rows()),
        keyword("vary", told, kind=list[str]),
        keyword(
            "budget",
            "time for the folds; with one the beaten leave early [default: no limit]",
            of=FieldOf(TrialOptions),
        ),
        _task(),
        *common(),
        *(one for one in parameters(groups, _compared()) if one.name not in written_otherwise),
    ]


def _compared() -> dict[str, str]:
    """What options of `train` mean where methods are compared."""
    from fewtune.pipeline.entries import ROWS
    from fewtune.trials.options import FOLDS

    return {
        "test": "file with rows to test on too, which choose nothing; without it none are held out",
        "test_share": "hold out this share of the rows instead; with --time it is 0.2",
        "augment": "recipes with commas between, or a YAML list",
        "folds": f"folds of the training rows [default: {FOLDS}]",
        "answered_rows": "most rows of the first fold that each answers in words, whatever it "
        f"takes [default: {ROWS}, fewer where the model is slow]",
    }


def check() -> list[inspect.Parameter]:
    """Of `fewtune check`."""
    from fewtune.check.options import CheckOptions
    from fewtune.cli.flags import argument, keyword
    from fewtune.data.options import DataOptions

    return [
        argument("data", "a file with training rows", required=False),
        keyword("model", "also ask this model: folder, hub id, or minilm"),
        keyword(
            "allow_pickle",
            "load its weights also where they are a pickle (they can run code)",
            is_bool=True,
        ),
        keyword("fix", "write the rows with the safe fixes to this .csv or .jsonl file"),
        keyword("mask", "with --fix, mask what is private", is_bool=True),
        keyword("explain", "what a rule looks for, and why"),
        keyword("all", "show every row of a finding", is_bool=True),
        *common(),
        *_unscored({"Options: check": [CheckOptions], "Options: data": [DataOptions]}),
    ]


def augment() -> list[inspect.Parameter]:
    """Of `fewtune augment`."""
    from fewtune.augment.options import AugmentOptions
    from fewtune.cli.flags import argument, keyword
    from fewtune.data.options import DataOptions

    return [
        argument("data", "a file with training rows, or a folder of images by class"),
        keyword(
            "write",
            "write the new rows to this .csv or .jsonl file; new images, with a sheet "
            "that shows them, to this new folder",
        ),
        keyword("sheet", "show what recipes do to images in this .png file"),
        keyword("seed", "every random choice derives from it [default: 0]", kind=int),
        *common(),
        *_unscored({"Options: augment": [AugmentOptions], "Options: data": [DataOptions]}),
    ]


def evaluate() -> list[inspect.Parameter]:
    """Of `fewtune evaluate`."""
    from fewtune.cli.flags import argument, parameters
    from fewtune.data.options import DataOptions
    from fewtune.evaluate.options import EvaluateOptions
    from fewtune.models.decoding import DecodingOptions
    from fewtune.pipeline.idle import SPLITS
    from fewtune.tasks.options import ScaleOptions

    groups: dict[str, list[Any]] = {
        "Options: data": [DataOptions],
        "Options: evaluate": [EvaluateOptions],
        "Options: models that write": [DecodingOptions, ScaleOptions],
    }
    return [
        argument("run", "a run folder, or a model/ folder"),
        argument("data", "a file with the same columns as the training file"),
        _other_model(),
        *common(),
        *(one for one in parameters(groups) if one.name not in SPLITS),
    ]


def predict() -> list[inspect.Parameter]:
    """Of `fewtune predict`."""
    from fewtune.cli.flags import argument, keyword, parameters
    from fewtune.models.decoding import DecodingOptions

    return [
        argument("run", "a run folder, or a model/ folder"),
        argument("source", "a file with a text column, or the text itself"),
        _other_model(),
        keyword("text", "the column that holds the text"),
        keyword("output", "write to this .csv or .jsonl file instead of the terminal"),
        _seed(),
        *common(),
        *parameters({"Options: models that write": [DecodingOptions]}),
    ]


def generate() -> list[inspect.Parameter]:
    """Of `fewtune generate`."""
    from fewtune.cli.flags import argument, keyword, parameters
    from fewtune.models.decoding import DecodingOptions

    return [
        argument("run", "a run folder, or a model/ folder"),
        argument("prompt", "what is asked"),
        keyword("base", "let the untouched model answer", is_bool=True),
        *_speaking(),
        *common(),
        *parameters({"Options: decoding": [DecodingOptions]}),
    ]


def chat() -> list[inspect.Parameter]:
    """Of `fewtune chat`."""
    from fewtune.cli.flags import argument, parameters
    from fewtune.models.decoding import DecodingOptions

    return [
        argument("run", "a run folder, or a model/ folder"),
        *_speaking(),
        *common(),
        *parameters({"Options: decoding": [DecodingOptions]}),
    ]


def _other_model() -> inspect.Parameter:
    from fewtune.cli.flags import keyword

    return keyword("model", "of a run with a prompt: put it to this endpoint:URL#NAME or folder")


def _speaking() -> list[inspect.Parameter]:
    """Of commands that talk with a model."""
    from fewtune.cli.flags import keyword

    return [
        _other_model(),
        keyword("system", "what the assistant is told beforehand"),
        _seed(),
    ]


def _seed() -> inspect.Parameter:
    from fewtune.cli.flags import keyword

    return keyword("seed", "of sampled answers [default: 0]")


def label() -> list[inspect.Parameter]:
    """Of `fewtune label`."""
    from fewtune.cli.flags import argument, keyword

    return [
        argument("run", "a run folder, or a model/ folder"),
        argument("source", "a file of rows without labels"),
        keyword("rows", "how many rows to suggest [default: 100]", kind=int),
        keyword("text", "the column that holds the text"),
        keyword("output", "write to this .csv file instead of the terminal"),
        *common(),
    ]


def runs() -> list[inspect.Parameter]:
    """Of `fewtune runs`."""
    from fewtune.cli.flags import argument, keyword

    return [
        argument("words", "list · show RUN · diff RUN RUN · rm RUN...", many=True),
        keyword("root", "the folder that holds the runs [default: runs]"),
        *common(),
    ]


def run() -> list[inspect.Parameter]:
    """Of commands that take a run folder and nothing else."""
    from fewtune.cli.flags import argument

    return [argument("run", "a run folder"), *common()]


def config() -> list[inspect.Parameter]:
    """Of `fewtune config`."""
    from fewtune.cli.flags import keyword

    return [keyword("schema", "the JSON schema instead", is_bool=True), *common()]
