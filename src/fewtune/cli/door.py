"""The way into every command: the terminal as asked for, and the options of flags and file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import UsageError
from fewtune.base.files import at

if TYPE_CHECKING:
    from fewtune.cli.screen import Screen


def open_door(
    given: Mapping[str, Any], flags: Sequence[inspect.Parameter] | None = None
) -> tuple[Screen, dict[str, Any]]:
    """The terminal as asked for, and the options: those of the file, then the flags over them.

    Args:
        given: the flags' values.
        flags: those that the file's names are checked against; commands that give none check them
            together with the values, to tell all mistakes at once.

    Raises:
        UsageError: the file cannot be read, or holds other names.
    """
    from fewtune.base.options import unknown_option
    from fewtune.cli.screen import Screen

    given = {name: value for name, value in given.items() if value is not None}
    from_file = _file(given.pop("config", None))
    known = [*from_file] if flags is None else [one.name for one in flags]
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
        found = yaml.safe_load(at(path).read_text(encoding="utf-8")) or {}
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
