"""A metric of one's own, by its dotted name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from math import isfinite
from numbers import Real
from typing import Any

from fewtune.base.errors import FewtuneError, UsageError, did_you_mean

TextMetric = Callable[[str, str], float]


def resolve_metrics(names: str | None) -> dict[str, TextMetric]:
    """The functions of `--metric`, by their dotted names, with commas between; {} without.

    Raises:
        UsageError: as `resolve_metric`.
    """
    told = [name.strip() for name in (names or "").split(",")]
    return {name: resolve_metric(name) for name in told if name}


def try_out(metrics: Mapping[str, TextMetric], reference: str) -> None:
    """Call metrics once, before there is much to lose: on a right answer, and on an empty one.

    Raises:
        FewtuneError: one gives no finite number.
    """
    for metric in metrics.values():
        for answer in (reference, ""):
            metric(answer, reference)


def resolve_metric(name: str) -> TextMetric:
    """A function of (answer, reference) that gives a number, more being better.

    Its module is imported, which runs it; nothing is imported that was not named.

    Args:
        name: `package.module.function`.

    Returns:
        The function, which refuses what is not a finite number.

    Raises:
        UsageError: there is no such module or function, or it takes other arguments.

    >>> resolve_metric("fewtune.evaluate.texts.exact_match")("yes", "Yes.")
    1.0
    """
    module, _, last = name.rpartition(".")
    if not module or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"metric: a dotted name such as package.module.function; got {name!r}.")
    found = _imported(module, name)
    if not hasattr(found, last):
        raise UsageError(
            f"metric: {module} has no function {last!r}; got {name!r}."
            + did_you_mean(last, vars(found))
        )
    function = getattr(found, last)
    _refuse(function, name)
    return _checked(function, name)


def _imported(module: str, name: str) -> Any:
    try:
        return import_module(module)
    except (ImportError, SyntaxError) as error:
        raise UsageError(
            f"metric: the module {module!r} of {name!r} cannot be imported ({error}); install it, "
            "or put its folder into PYTHONPATH."
        ) from error


def _refuse(function: Any, name: str) -> None:
    if not callable(function):
        raise UsageError(
            f"metric: {name} is a {type(function).__name__}; a function of (answer, reference) "
            "was expected."
        )
    try:
        taken = inspect.signature(function)
    except ValueError:  # some functions written in C do not tell; the first call will
        return
    try:
        taken.bind("answer", "reference")
    except TypeError as error:
        raise UsageError(
            f"metric: {name} takes {taken}; a function of (answer, reference) was expected."
        ) from error


def _checked(function: Callable[[str, str], Any], name: str) -> TextMetric:
    def metric(answer: str, reference: str) -> float:
        try:
            value = function(answer, reference)
        except Exception as error:  # the user's own code may raise whatever it likes
            raise FewtuneError(
                f"The metric {name} raised {type(error).__name__} ({error}) for the answer "
                f"{answer[:40]!r}; it must give a finite number for every answer."
            ) from error
        if not isinstance(value, Real) or not isfinite(value):
            raise FewtuneError(
                f"The metric {name} gave {value!r} for the answer {answer[:40]!r}; it must give a "
                "finite number for every answer."
            )
        return float(value)

    return metric
