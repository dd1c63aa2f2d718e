"""Values as files can hold them: no numpy, no paths, no NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def plain(value: Any) -> Any:
    """The same value of strings, numbers, lists and mappings only.

    A number that is none (NaN, infinity) becomes null: strict JSON has no word for it, and a
    diverged loss must not end the run by failing to be written down.

    >>> plain({"loss": float("nan"), "sizes": (1, 2)})
    {'loss': None, 'sizes': [1, 2]}
    """
    if isinstance(value, str):  # half a surrogate pair, from broken input, is no UTF-8
        text = str.__str__(value)  # of an enumeration's member its value
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(part) for key, part in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value))
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "model_dump"):  # options
        return plain(value.model_dump())
    if hasattr(value, "tolist"):  # numpy scalars and arrays, tensors
        return plain(value.tolist())
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written to a run folder: {value!r}")
