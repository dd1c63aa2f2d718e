"""The commands: the function behind each, its line of help, and what it takes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import UsageError, one_of
from fewtune.base.files import at
from fewtune.cli import signatures
from fewtune.cli.door import open_door

if TYPE_CHECKING:
    from fewtune.cli.screen import Screen


@dataclass(frozen=True)
class Command:
    """A command's function, one line of help, and its parameters (built when it is called)."""

    run: Callable[..., int | None]
    help: str
    parameters: Callable[[], list[inspect.Parameter]]


def _door(given: Mapping[str, Any], command: str | None = None) -> tuple[Screen, dict[str, Any]]:
    """The terminal and the options; a named command checks the file's names against its flags."""
    return open_door(given, COMMANDS[command].parameters() if command else None)


def train(data: str, **given: Any) -> int | None:
    """The main job."""
    from fewtune import api
    from fewtune.cli.scores import finish

    door, options = _door(given)
    with door:
        run = api.train(data, listen=door.listen, **options)
    finish(door, run)
    return None


def resume(run: str, **given: Any) -> int | None:
    """Go on with a stopped run."""
    from fewtune import api
    from fewtune.cli.scores import finish

    door, _ = _door(given, "resume")
    with door:
        found = api.resume(run, listen=door.listen)
    finish(door, found)
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
    from fewtune.cli.scores import show_evaluation

    door, options = _door(given)
    with door.busy("answering the rows"):
        told = api.evaluate(run, data, **options)
    show_evaluation(door, told)
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
    from fewtune.record.folder import RUNS

    door, options = _door(given, "runs")
    verb, rest = (words[0], words[1:]) if words else ("list", ())
    if verb not in verbs.VERBS:
        raise UsageError(one_of("runs", verb, verbs.VERBS))
    verbs.run_verb(verb, list(rest), at(options.get("root") or RUNS), door)
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


COMMANDS: dict[str, Command] = {
    "train": Command(train, "fine-tune on a file of labelled rows: the main job", signatures.train),
    "plan": Command(
        plan, "methods that suit data, model and machine, with their prices", signatures.plan
    ),
    "compare": Command(
        compare, "the measured table of methods on your own rows", signatures.compare
    ),
    "check": Command(
        check, "lint training data: what is wrong, where, what to do", signatures.check
    ),
    "augment": Command(
        augment, "make new training rows by recipes, and look at them", signatures.augment
    ),
    "evaluate": Command(evaluate, "score a run's model on another file", signatures.evaluate),
    "predict": Command(predict, "label a text, or the rows of a file", signatures.predict),
    "generate": Command(generate, "one answer of a language model", signatures.generate),
    "chat": Command(chat, "talk with a language model, tuned and untouched", signatures.chat),
    "label": Command(
        label, "suggest labels for a person to correct, most useful first", signatures.label
    ),
    "runs": Command(runs, "list, show, compare or remove runs", signatures.runs),
    "report": Command(report, "write a run's report.html anew", signatures.run),
    "resume": Command(resume, "go on with a run that was stopped", signatures.run),
    "env": Command(env, "versions and machine", signatures.common),
    "config": Command(config, "a commented file with every option", signatures.config),
}


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
