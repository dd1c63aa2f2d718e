"""Several labels in one cell: how they are parted, and whether a column's cells are such."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

MARKS = ",;|，；、"
_BETWEEN = re.compile(f"[{MARKS}]")
_SIDE_BY_SIDE = re.compile(r"""(['"])\s+(?=['"])""")
ALONE = 0.5  # share of the parts that also stand in a cell alone, from which they are labels
FEWEST = 3  # cells with several labels; of fewer nothing can be said


def split_labels(value: str) -> list[Any]:
    """Several labels in one cell: a list as JSON or Python write it (pandas' `to_csv` does), else
    `a, b`.

    >>> split_labels('["a, b", "c"]'), split_labels("['a, b', 'c']"), split_labels("泵、阀；灯")
    (['a, b', 'c'], ['a, b', 'c'], ['泵', '阀', '灯'])
    >>> split_labels("['leak' 'noise']")
    ['leak', 'noise']
    """
    if value.strip().startswith("["):
        for read in (json.loads, _python_list):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                if isinstance(found := read(value.strip()), list):
                    return found
    return _BETWEEN.split(value)


def _python_list(text: str) -> Any:
    """What Python or numpy wrote; the latter puts no commas, and strings side by side are one."""
    return ast.literal_eval(_SIDE_BY_SIDE.sub(r"\1, ", text))


def in_one_cell(labels: Sequence[str]) -> str:
    """Labels as `split_labels` parts them again.

    >>> in_one_cell(["a", "b"]), in_one_cell(["a, b"]), in_one_cell([])
    ('a;b', '["a, b"]', '[]')
    """
    parted = any(mark in label for label in labels for mark in (*MARKS, "["))
    return (
        json.dumps(list(labels), ensure_ascii=False) if parted or not labels else ";".join(labels)
    )


def holds_several(cells: Iterable[Any]) -> bool:
    """Whether cells of a column of labels hold several.

    A mark in a cell does not say so: `Sales, EU` beside `Sales, US` are two classes, and a sentence
    has commas. Parts that are labels also stand in other cells alone.

    >>> holds_several(["pump", "valve", "pump; valve", "valve; pump", "pump;lamp", "lamp"])
    True
    >>> holds_several(["Sales, EU", "Sales, US", "Support, EU", "Support, US"])
    False
    """
    texts = [cell.strip() for cell in cells if isinstance(cell, str) and cell.strip()]
    parted = [[str(one).strip() for one in split_labels(text)] for text in texts]
    if sum(text.startswith("[") and text.endswith("]") for text in texts) > len(texts) / 2:
        return True
    several = [parts for parts in parted if len(parts) > 1]
    parts = {part for cell in several for part in cell if part}
    alone = {cell[0] for cell in parted if len(cell) == 1}
    return len(several) >= FEWEST and len(parts & alone) >= ALONE * len(parts)
