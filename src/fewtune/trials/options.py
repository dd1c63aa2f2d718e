"""What the user says about trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import field_validator

from fewtune.base.amounts import seconds_of
from fewtune.base.errors import UsageError
from fewtune.base.options import Options, option
from fewtune.methods.base import Method

if TYPE_CHECKING:
    from fewtune.methods.artefact import About

FOLDS = 5  # usual number of them
#: Where rows are many and no score comes from the folds. Every row has an answer all the same, a
#: candidate costs two fits to all rows instead of four, and is seen with two thirds of the rows.
FEWER, MANY = 3, 1000
LEAST_CALLS = 20  # to a model; with fewer, prompts cannot be compared and then tested
#: Of a prompt's card.
CODE = '''import fewtune

model = fewtune.load(".")  # the prompt; the model that it is for is asked where it stands


def predict(texts):
    """What the model answers to each text; None where it gave no answer that counts."""
    return [one["prediction"] for one in model.predict(list(texts))]
'''


class TrialOptions(Options):
    """What is tried on folds of the training rows."""

    folds: int | None = option(
        None,
        f"folds of the training rows in a trial; by default {FOLDS}, and of {MANY:,} rows and more "
        f"{FEWER} where other rows are tested on",
        ge=2,
        le=20,
    )
    repeats: int = option(1, "how many times the folds are dealt anew and tried", ge=1, le=20)
    budget: str | None = option(
        None,
        "time for the race of --method auto, as 90s, 10m or 1h; by default what fifty "
        "passes of full take here, at least a minute, and what --search takes on top",
    )
    search: int = option(
        0,
        "candidates that Optuna proposes to the race, from the methods' own search spaces; with "
        "--method NAME from that method's alone (needs fewtune[search])",
        ge=0,
        le=200,
    )
    thresholds: Literal["common", "class", "half"] = option(
        "common",
        "of several labels a row: one threshold for all, one for each, or 0.5; chosen on folds",
    )
    learning_curve: bool = option(
        True, "after race or fit, cheap fits to fewer rows that tell what more would bring"
    )
    unlabelled: str | None = option(
        None, "file with rows without labels, for self-training; used only if folds show a gain"
    )
    self_training_rounds: int = option(3, "most rounds of self-training", ge=1, le=10)
    self_training_confidence: float | None = option(
        None,
        "least calibrated probability of a row that is taken; without it that from which on nine "
        "of ten held-out answers are right",
        gt=0,
        lt=1,
    )

    def folds_of(self, rows: int, scored: bool = True) -> int:
        """How many folds some training rows have; `scored` says whether scores come from them."""
        return self.folds or (FOLDS if scored or rows < MANY else FEWER)

    @field_validator("budget")
    @classmethod
    def _is_a_time(cls, told: str | None) -> str | None:
        try:
            return told if told is None or seconds_of(told) else None
        except UsageError as error:
            raise ValueError(str(error).removeprefix("budget: ")) from None


class CompareOptions(Options):
    """What is compared, how often, and where the table goes."""

    methods: tuple[str, ...] | None = option(
        None, "methods with commas between; by default all that the model takes"
    )
    seeds: int = option(
        3, "how often all is repeated, with folds dealt anew and another seed", ge=1, le=20
    )
    presets: tuple[str, ...] | None = option(
        None, "recipes of training: default, cautious or both; by default our measured one"
    )
    vary: dict[str, tuple[str, ...]] = option(
        {},
        "OPTION=VALUE,VALUE changes one thing at a time, from the first method on; may be given "
        "several times (of recipes `none` is without, and + joins two)",
    )
    csv: str | None = option(None, "write the table to this .csv file too")
    markdown: str | None = option(None, "write the table to this .md file too")

    @field_validator("methods", "presets", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """Take `a,b` as written on the command line, `a，b` too."""
        if not isinstance(value, str):
            return value
        return _parts(value) or (value,)

    @field_validator("vary", mode="before")
    @classmethod
    def _steps(cls, value: object) -> object:
        """Take `a=1,2`, a list of these, or a mapping as YAML has it."""
        if isinstance(value, Mapping):
            return {name: _values(one) for name, one in value.items()}
        found: dict[str, tuple[str, ...]] = {}
        for told in value if isinstance(value, list | tuple) else [value]:
            name, _, values = str(told).partition("=")
            if not name.strip() or not _parts(values):
                raise ValueError(f"OPTION=VALUE,VALUE such as lora_r=4,16; got {told!r}.")
            found[name.strip()] = (*found.get(name.strip(), ()), *_parts(values))
        return found


def _parts(told: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in told.replace("，", ",").split(",") if part.strip())


def _values(told: Any) -> tuple[str, ...]:
    """The values of an option as they are spelled; YAML has numbers, yes and no among them."""
    if isinstance(told, str):
        return _parts(told)
    return tuple(
        "none" if one is None else str(one) for one in (told if _is_list(told) else [told])
    )


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


class TextPrompt(Method):
    """Instruction and demonstrations for a model that is left as it is."""

    name: ClassVar[str] = "text-prompt"
    scene: ClassVar[str] = "a model behind an address: its prompt is searched, nothing is trained"
    tunes: ClassVar[bool] = False
    needs_steps: ClassVar[bool] = False

    calls: int = option(
        500, "most questions put to the model, those about the test rows among them", ge=LEAST_CALLS
    )
    instructions: str | None = option(
        None, "file of instructions to try, one a line or with empty lines between"
    )
    demonstrations: int = option(8, "most training rows shown before a question", ge=0, le=64)
    proposals: int = option(4, "instructions that the model proposes itself", ge=0, le=50)

    def code(self, about: About) -> str:
        """fewtune asks the model as it did in the search."""
        return CODE
