"""Names for runs that were given none."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

from fewtune.base.errors import FewtuneError
from fewtune.record.folder import RunFolder, is_run

LONGEST = 120  # bytes of the data's part; a file name may have 255, and a Chinese character has 3


def default_name(
    data: Path | str, method: str, root: Path | str, fingerprint: str | None = None
) -> str:
    """A name such as ``fault_reports-lora-1``, free in `root`.

    Args:
        data: The data file; its stem opens the name.
        method: The method's name, or ``auto`` while it is not chosen.
        root: The folder that holds the runs; it need not be there.
        fingerprint: The plan's. A run that has it already keeps its name, so that the same
            command twice is the same run, and not a second one.
    """
    start = f"{slug(Path(data).stem)}-{slug(method)}"
    for number in count(1):
        name = f"{start}-{number}"
        folder = Path(root) / name
        if not folder.exists() or (fingerprint and _fingerprint(folder) == fingerprint):
            return name
    raise AssertionError("count() does not end")


def slug(text: str) -> str:
    """Letters (of any script), digits, ``. + _``; anything else becomes ``_``.

    >>> slug("fault reports (2024)")
    'fault_reports_2024'
    >>> slug("../..")
    'data'
    """
    kept = re.sub(r"[^\w.+]+", "_", text).strip("_.")
    return kept.encode("utf-8")[:LONGEST].decode("utf-8", "ignore") or "data"


def _fingerprint(folder: Path) -> str | None:
    if not is_run(folder):
        return None
    try:
        return RunFolder(folder).plan.get("fingerprint")
    except FewtuneError:
        return None
