"""Options: each is written once, as a field; flags, files, forms and docs derive from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from fewtune.base.errors import UsageError, did_you_mean


class Options(BaseModel):
    """A stage's options: frozen, and unknown names are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False
    )


def option(default: Any, help: str, **limits: Any) -> Any:
    """A field with its one description. `limits` are pydantic's (ge, le, gt, lt, ...)."""
    return Field(default, description=help, **limits)


def take(cls: type[Options], given: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a flat mapping that belongs to `cls`."""
    return {name: value for name, value in given.items() if name in cls.model_fields}


def build(models: Iterable[type[Options]], given: Mapping[str, Any]) -> list[Options]:
    """Fill several option models from one flat mapping.

    Raises:
        UsageError: with every mistake at once, one a line: unknown names and wrong values.
    """
    models = list(models)
    known = dict.fromkeys(name for cls in models for name in cls.model_fields)
    wrong = [unknown_option(name, known) for name in given if name not in known]
    built: list[Options] = []
    for cls in models:
        try:
            built.append(cls(**take(cls, given)))
        except ValidationError as error:
            wrong += sentences(error, cls)
    if wrong:
        raise UsageError("\n".join(dict.fromkeys(wrong)))
    return built


def mistakes_in(cls: type[Options], given: Mapping[str, Any]) -> list[str]:
    """A sentence for every wrong value."""
    try:
        cls(**given)
    except ValidationError as error:
        return sentences(error, cls)
    return []


def unknown_option(name: str, known: Iterable[str]) -> str:
    """The sentence for a name that no option has."""
    return f"{name}: there is no such option.{did_you_mean(name, known)}"


def sentences(error: ValidationError, cls: type[BaseModel]) -> list[str]:
    """Pydantic's findings in our words: name, what is possible, what arrived."""
    return [_sentence(one, cls) for one in error.errors()]


def _sentence(one: Any, cls: type[BaseModel]) -> str:
    name = str(one["loc"][0]) if one["loc"] else cls.__name__
    got = one["input"]
    if one["type"] == "extra_forbidden":
        return unknown_option(name, cls.model_fields)
    if one["type"] == "literal_error":
        choices = _choices(cls.model_fields[name])
        return f"{name}: one of {', '.join(choices)}; got {got!r}.{did_you_mean(str(got), choices)}"
    if one["type"] == "value_error":
        return f"{name}: {one['ctx']['error']}"
    if one["type"] in _KINDS:
        return f"{name}: {_KINDS[one['type']]}; got {got!r}."
    return f"{name}: {one['msg'][0].lower()}{one['msg'][1:]}; got {got!r}."


#: Pydantic's names for values of the wrong kind -> what is expected.
_KINDS = {
    "int_parsing": "a whole number", "int_parsing_size": "a smaller whole number",
    "int_type": "a whole number", "int_from_float": "a whole number",
    "float_parsing": "a number", "float_type": "a number", "finite_number": "a finite number",
    "bool_parsing": "yes or no", "bool_type": "yes or no", "string_type": "a text",
}  # fmt: skip


def _choices(field: FieldInfo) -> list[str]:
    return [str(c) for c in _flat(field.annotation) if c is not type(None)]


def _flat(annotation: Any) -> list[Any]:
    inner = get_args(annotation)
    return [c for part in inner for c in _flat(part)] if inner else [annotation]
