"""The commands: what each takes, and the function behind it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewtune.base.errors import UsageError, one_of
from fewtune.base.options import unknown_option


@dataclass(frozen=True)
class Command:
    """A command's function, one line of help, and its parameters (built when it is called)."""

    run: Callable[..., int | None]
    help: str
    parameters: Callable[[], list[inspect.Parameter]]


def train(data: str, **given: Any) -> int | None:
    """The main job."""
    from fewtune import api

    door, options = _door(given)
    with door:
        run = api.train(data, listen=door.listen, **options)
    door.finish(run)
    return None


def resume(run: str, **given: Any) -> int | None:
    """Go on with a stopped run."""
    from fewtune import api

    door, _ = _door(given, "resume")
    with door:
        found = api.resume(run, listen=door.listen)
    door.finish(found)
    return None


def plan(data: str, **given: Any) -> int | None:
    """Methods with their prices and reasons."""
    from fewtune.cli.planning import plan_file

    door, options = _door(given)
    return plan_file(data, door, options)


def compare(data: str, **given: Any) -> int | None:
    """Methods on the same folds, as a table."""
    from fewtune.cli.comparing import compare_methods

    door, options = _door(given)
    return compare_methods(data, door, options)


def check(data: str | None = None, **given: Any) -> int | None:
    """The linter."""
    from fewtune.cli.checking import check_file

    door, options = _door(given)
    return check_file(data, door, options)


def augment(data: str, **given: Any) -> int | None:
    """New rows from training rows."""
    from fewtune.cli.augmenting import augment_rows

    door, options = _door(given)
    return augment_rows(data, door, options)


def evaluate(run: str, data: str, **given: Any) -> int | None:
    """Score a run's model on another file."""
    from fewtune import api

    door, options = _door(given)
    door.show_evaluation(api.evaluate(run, data, **options))
    return None


def predict(run: str, source: str, **given: Any) -> int | None:
    """Label a text or the rows of a file."""
    from fewtune.cli.predicting import predict_source

    door, options = _door(given, "predict")
    return predict_source(run, source, door, options)


def generate(run: str, prompt: str, **given: Any) -> int | None:
    """One answer of a language model."""
    from fewtune.cli.speaking import generate_text

    door, options = _door(given, "generate")
    return generate_text(run, prompt, door, options)


def chat(run: str, **given: Any) -> int | None:
    """Talk with a language model."""
    from fewtune.cli.speaking import chat_with

    door, options = _door(given, "chat")
    return chat_with(run, door, options)


def label(run: str, source: str, **given: Any) -> int | None:
    """Suggest labels for a person to correct."""
    from fewtune.cli.labelling import label_file

    door, options = _door(given, "label")
    return label_file(run, source, door, options)


def runs(*words: str, **given: Any) -> int | None:
    """List, show, compare or remove runs."""
    from fewtune.cli import runs as verbs

    door, options = _door(given, "runs")
    verb, rest = (words[0], words[1:]) if words else ("list", ())
    if verb not in verbs.VERBS:
        raise UsageError(one_of("runs", verb, verbs.VERBS))
    verbs.run_verb(verb, list(rest), Path(options.get("root") or "runs"), door)
    return None


def report(run: str, **given: Any) -> int | None:
    """Write report.html anew."""
    from fewtune.record.folder import RunFolder
    from fewtune.report.comparison import is_comparison, write_again
    from fewtune.report.page import write_report

    door, _ = _door(given, "report")
    folder = RunFolder.open(run)
    path = write_again(folder) if is_comparison(folder) else write_report(folder)
    door.say({"report": str(path)}, f"{path}")
    return None


def env(**given: Any) -> int | None:
    """Versions and machine."""
    from fewtune.record.environment import environment

    door, _ = _door(given, "env")
    found = environment()
    door.say(found, "\n".join(f"{key}: {_flat(value)}" for key, value in found.items()))
    return None


def config(**given: Any) -> int | None:
    """A commented file with every option of `train`, or their JSON schema."""
    from fewtune.cli.template import schema, template

    door, options = _door(given, "config")
    if options.get("schema") or door.json:
        print(json.dumps(schema(), ensure_ascii=False, indent=1))
    else:
        print(template(), end="")
    return None


# ---- what each takes


def _common() -> list[inspect.Parameter]:
    from fewtune.cli.flags import keyword

    return [
        keyword("config", "YAML file with options; flags win over it"),
        keyword("json", "one JSON object on stdout, everything else on stderr", is_bool=True),
        keyword("quiet", "no progress", is_bool=True),
    ]


def _train_parameters() -> list[inspect.Parameter]:
    from fewtune.cli.flags import argument, keyword, parameters
    from fewtune.pipeline.job import SECTIONS, TASKS, WAYS

    methods = ", ".join(WAYS)
    groups: dict[str, list[Any]] = {f"Options: {name}": [cls] for name, cls in SECTIONS.items()}
    groups |= {f"Method: {name}": [cls] for name, cls in WAYS.items()}
    return [
        argument("data", "csv, tsv, json, jsonl, parquet or xlsx with the training rows"),
        keyword("method", f"auto, one of {methods}, or several joined by + [default: auto]"),
        keyword("task", f"one of {', '.join(TASKS)} [default: by the file's columns]"),
        *_common(),
        *parameters(groups),
    ]


def _plan_parameters() -> list[inspect.Parameter]:
    from fewtune.choose.options import PlanOptions
    from fewtune.cli.flags import argument, keyword, parameters
    from fewtune.data.options import DataOptions
    from fewtune.models.options import ModelOptions
    from fewtune.pipeline.job import TASKS
    from fewtune.record.options import SeedOptions
    from fewtune.tasks.options import GenerateOptions
    from fewtune.train.options import TrainOptions

    groups: dict[str, list[Any]] = {
        "Options: plan": [PlanOptions],
        "Options: data": [DataOptions, SeedOptions],
        "Options: model": [ModelOptions],
        "Options: train": [TrainOptions],
        "Options: generate": [GenerateOptions],
    }
    return [
        argument("data", "csv, tsv, json, jsonl, parquet or xlsx with the training rows"),
        keyword("task", f"one of {', '.join(TASKS)} [default: by the file's columns]"),
        keyword("budget", "what training may take, as 90s, 10m or 2h"),
        keyword("all", "every reason of every method", is_bool=True),
        *_common(),
        *parameters(groups),
    ]


def _compare_parameters() -> list[inspect.Parameter]:
    from fewtune.cli.flags import argument, keyword, parameters
    from fewtune.methods import METHODS
    from fewtune.pipeline.entries import NOT_HERE
    from fewtune.pipeline.job import SECTIONS, TASKS
    from fewtune.trials.options import CompareOptions

    told = CompareOptions.model_fields["vary"].description or ""
    groups: dict[str, list[Any]] = {"Options: compare": [CompareOptions]}
    groups |= {f"Options: {name}": [cls] for name, cls in SECTIONS.items() if name != "decoding"}
    groups |= {f"Method: {name}": [cls] for name, cls in METHODS.items()}
    written_otherwise = {*NOT_HERE, "vary", "budget"}
    return [
        argument("data", "csv, tsv, json, jsonl, parquet or xlsx with the training rows"),
        keyword("vary", told, kind=list[str]),
        keyword(
            "budget", "time for the folds; with one the beaten leave early [default: no limit]"
        ),
        keyword("task", f"one of {', '.join(TASKS)} [default: by the file's columns]"),
        *_common(),
        *(one for one in parameters(groups) if one.name not in written_otherwise),
    ]


def _check_parameters() -> list[inspect.Parameter]:
    from fewtune.check.options import CheckOptions
    from fewtune.cli.flags import argument, keyword, parameters
    from fewtune.data.options import DataOptions

    return [
        argument("data", "a file with training rows", required=False),
        keyword("model", "also ask this model: folder, hub id, or minilm"),
        keyword("fix", "write the rows with the safe fixes to this .csv or .jsonl file"),
        keyword("mask", "with --fix, mask what is private", is_bool=True),
        keyword("explain", "what a rule looks for, and why"),
        keyword("all", "show every row of a finding", is_bool=True),
        *_common(),
        *parameters({"Options: check": [CheckOptions], "Options: data": [DataOptions]}),
    ]


def _augment_parameters() -> list[inspect.Parameter]:
    from fewtune.augment.options import AugmentOptions
    from fewtune.cli.flags import argument, keyword, parameters
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
        *_common(),
        *parameters({"Options: augment": [AugmentOptions], "Options: data": [DataOptions]}),
    ]


def _evaluate_parameters() -> list[inspect.Parameter]:
    from fewtune.cli.flags import argument, parameters
    from fewtune.data.options import DataOptions
    from fewtune.evaluate.options import EvaluateOptions
    from fewtune.models.decoding import DecodingOptions
    from fewtune.tasks.options import ScaleOptions

    return [
        argument("run", "a run folder, or a model/ folder"),
        argument("data", "a file with the same columns as the training file"),
        _other_model(),
        *_common(),
        *parameters(
            {
                "Options: data": [DataOptions],
                "Options: evaluate": [EvaluateOptions],
                "Options: models that write": [DecodingOptions, ScaleOptions],
            }
        ),
    ]


def _predict_parameters() -> list[inspect.Parameter]:
    from fewtune.cli.flags import argument, keyword, parameters
    from fewtune.models.decoding import DecodingOptions

    return [
        argument("run", "a run folder, or a model/ folder"),
        argument("source", "a file with a text column, or the text itself"),
        _other_model(),
        keyword("text", "the column that holds the text"),
        keyword("output", "write to this .csv or .jsonl file instead of the terminal"),
        _seed(),
        *_common(),
        *parameters({"Options: models that write": [DecodingOptions]}),
    ]


def _generate_parameters() -> list[inspect.Parameter]:
    from fewtune.cli.flags import argument, keyword, parameters
    from fewtune.models.decoding import DecodingOptions

    return [
        argument("run", "a run folder, or a model/ folder"),
        argument("prompt", "what is asked"),
        keyword("base", "let the untouched model answer", is_bool=True),
        *_speaking(),
        *_common(),
        *parameters({"Options: decoding": [DecodingOptions]}),
    ]


def _chat_parameters() -> list[inspect.Parameter]:
    from fewtune.cli.flags import argument, parameters
    from fewtune.models.decoding import DecodingOptions

    return [
        argument("run", "a run folder, or a model/ folder"),
        *_speaking(),
        *_common(),
        *parameters({"Options: decoding": [DecodingOptions]}),
    ]


def _other_model() -> inspect.Parameter:
    from fewtune.cli.flags import keyword

    return keyword("model", "of a run with a prompt: put it to this endpoint:URL#NAME or folder")


def _speaking() -> list[inspect.Parameter]:
    from fewtune.cli.flags import keyword

    return [
        _other_model(),
        keyword("system", "what the assistant is told beforehand"),
        _seed(),
    ]


def _seed() -> inspect.Parameter:
    from fewtune.cli.flags import keyword

    return keyword("seed", "of sampled answers [default: 0]")


def _label_parameters() -> list[inspect.Parameter]:
    from fewtune.cli.flags import argument, keyword

    return [
        argument("run", "a run folder, or a model/ folder"),
        argument("source", "a file of rows without labels"),
        keyword("rows", "how many rows to suggest [default: 100]", kind=int),
        keyword("text", "the column that holds the text"),
        keyword("output", "write to this .csv file instead of the terminal"),
        *_common(),
    ]


def _runs_parameters() -> list[inspect.Parameter]:
    from fewtune.cli.flags import argument, keyword

    return [
        argument("words", "list · show RUN · diff RUN RUN · rm RUN...", many=True),
        keyword("root", "the folder that holds the runs [default: runs]"),
        *_common(),
    ]


def _one(name: str, help: str) -> Callable[[], list[inspect.Parameter]]:
    def build() -> list[inspect.Parameter]:
        from fewtune.cli.flags import argument

        return [argument(name, help), *_common()]

    return build


def _config_parameters() -> list[inspect.Parameter]:
    from fewtune.cli.flags import keyword

    return [keyword("schema", "the JSON schema instead", is_bool=True), *_common()]


COMMANDS: dict[str, Command] = {
    "train": Command(
        train, "fine-tune on a file of labelled rows: the main job", _train_parameters
    ),
    "plan": Command(
        plan, "methods that suit data, model and machine, with their prices", _plan_parameters
    ),
    "compare": Command(
        compare, "the measured table of methods on your own rows", _compare_parameters
    ),
    "check": Command(
        check, "lint training data: what is wrong, where, what to do", _check_parameters
    ),
    "augment": Command(
        augment, "make new training rows by recipes, and look at them", _augment_parameters
    ),
    "evaluate": Command(evaluate, "score a run's model on another file", _evaluate_parameters),
    "predict": Command(predict, "label a text, or the rows of a file", _predict_parameters),
    "generate": Command(generate, "one answer of a language model", _generate_parameters),
    "chat": Command(chat, "talk with a language model, tuned and untouched", _chat_parameters),
    "label": Command(
        label, "suggest labels for a person to correct, most useful first", _label_parameters
    ),
    "runs": Command(runs, "list, show, compare or remove runs", _runs_parameters),
    "report": Command(report, "write a run's report.html anew", _one("run", "a run folder")),
    "resume": Command(resume, "go on with a run that was stopped", _one("run", "a run folder")),
    "env": Command(env, "versions and machine", _common),
    "config": Command(config, "a commented file with every option", _config_parameters),
}


# ---- common steps


def _door(given: Mapping[str, Any], command: str | None = None):
    """The terminal as asked for, and the options: those of the file, then the flags over them.

    With `command`, the file's names are checked against its flags; the other commands check them
    together with the values, to tell all mistakes at once.
    """
    from fewtune.cli.screen import Screen

    given = {name: value for name, value in given.items() if value is not None}
    from_file = _file(given.pop("config", None))
    known = {one.name for one in COMMANDS[command].parameters()} if command else {*from_file}
    if wrong := [unknown_option(name, known) for name in from_file if name not in known]:
        raise UsageError("\n".join(wrong))
    options = from_file | given
    for name in ("json", "quiet"):
        if not isinstance(value := options.setdefault(name, False), bool):
            raise UsageError(f"{name}: yes or no; got {value!r}.")
    return Screen(json=options.pop("json"), quiet=options.pop("quiet")), options


def _file(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UsageError(f"config: {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"config: {path} is not UTF-8 text; save it as that.") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise UsageError(f"config: {path} is not valid YAML{line}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"config: {path} must hold `name: value` lines; `fewtune config` shows.")
    return {str(name): value for name, value in found.items()}  # YAML reads `on:` as a truth


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
