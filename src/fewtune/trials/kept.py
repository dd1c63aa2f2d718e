"""What was found out once on this machine, kept in the user's cache folder.

Losing the folder loses time and nothing else: a value that is not there is found out again, and
where nothing can be written nothing is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from time import time
from typing import TypeVar

from fewtune.base.files import cache_folder, fingerprint, write_atomic

Value = TypeVar("Value")


def kept(
    kind: str,
    key: tuple[object, ...],
    find: Callable[[], Value],
    again: bool = False,
    lasts: Callable[[Value], float | None] = lambda value: None,
) -> Value:
    """A value from the cache, else found out and kept.

    Args:
        kind: what it is, a folder's name.
        key: all that it depends on.
        find: finds it out; plain JSON values.
        again: find it out whatever is kept.
        lasts: for how many seconds a value is worth keeping; None for good.
    """
    path = cache_folder() / kind / f"{fingerprint(*map(repr, key))}.json"
    if not again:
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["until"] is None or time() < told["until"]:
                return told["value"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # never found out, or cut short
    value = find()
    until = None if (seconds := lasts(value)) is None else time() + seconds
    told = {"key": [repr(one) for one in key], "until": until, "value": value}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(told))
    except OSError:
        pass
    return value
