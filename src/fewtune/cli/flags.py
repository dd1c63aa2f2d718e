"""Flags from option models: an option's name, help and default are written once, in its field."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args

from cyclopts import Group, Parameter

if TYPE_CHECKING:  # what no command is named for answers without pydantic, at once
    from pydantic.fields import FieldInfo

    from fewtune.base.options import Options


@dataclass(frozen=True)
class FieldOf:
    """Whose field a flag is, for those who check its value; cyclopts passes over it."""

    options: type[Options]


def parameters(
    models: Mapping[str, Iterable[type[Options]]], otherwise: Mapping[str, str] | None = None
) -> list[inspect.Parameter]:
    """Keyword parameters for every field of the models, grouped under the mapping's keys.

    Values stay text: pydantic checks them, together with those of the file, so that all mistakes
    are told at once and in the same words. A field that several models share is one flag.

    Args:
        otherwise: help by name, where a command takes a field otherwise than its model says.
    """
    own = otherwise or {}
    found: dict[str, inspect.Parameter] = {}
    for place, (title, classes) in enumerate(models.items()):
        group = Group(title, sort_key=place)
        for cls in classes:
            for name, field in cls.model_fields.items():
                if field.description and name not in found:
                    told = own.get(name) or _help(field)
                    found[name] = keyword(name, told, _is_bool(field), group, of=FieldOf(cls))
    return list(found.values())


def keyword(
    name: str,
    help: str,
    is_bool: bool = False,
    group: Group | None = None,
    kind: type = str,
    of: FieldOf | None = None,
) -> inspect.Parameter:
    """One optional flag; None where it is not given."""
    read = bool if is_bool else kind
    group = group or Group("Options", sort_key=-1)  # flags without a group are not in the help
    told = Parameter(name=f"--{name}", help=help, group=group, negative_iterable=())
    annotation = Annotated[read | None, told, of]  # type: ignore[valid-type]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def argument(name: str, help: str, required: bool = True, many: bool = False) -> inspect.Parameter:
    """One positional argument, or any number of them."""
    annotation = Annotated[str, Parameter(help=help)]
    if many:
        return inspect.Parameter(name, inspect.Parameter.VAR_POSITIONAL, annotation=annotation)
    if required:
        return inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY, annotation=annotation)
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_ONLY,
        default=None,
        annotation=Annotated[str | None, Parameter(help=help)],
    )


def with_signature(
    function: Callable[..., Any], parameters: list[inspect.Parameter]
) -> Callable[..., Any]:
    """A function as cyclopts sees it: the given parameters, whatever its own are."""

    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    called.__name__ = function.__name__
    called.__doc__ = function.__doc__
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    return called


def _help(field: FieldInfo) -> str:
    from pydantic_core import PydanticUndefined

    from fewtune.base.options import _choices

    default, choices = field.default, [c for c in _choices(field) if "'" not in c]
    literal = any(isinstance(arg, str) for arg in _literals(field.annotation))
    told = f" [{', '.join(choices)}]" if literal else ""
    if default not in (None, PydanticUndefined, {}, ()):
        shown = {True: "yes", False: "no"}.get(default, default) if _is_bool(field) else default
        told += f" [default: {shown}]"
    # cyclopts reads help as reStructuredText; a star or backtick is meant as itself
    return f"{field.description}{told}".replace("*", "\\*").replace("`", "'")


def _literals(annotation: Any) -> list[Any]:
    inner = get_args(annotation)
    return [c for part in inner for c in _literals(part)] if inner else [annotation]


def _is_bool(field: FieldInfo) -> bool:
    return field.annotation is bool or bool in get_args(field.annotation)
