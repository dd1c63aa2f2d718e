"""Names for runs that were given none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.record.folder import RUNS, RunFolder, is_run
from fewtune.record.lock import Held

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


def make_folder(
    output: str | None, name: Callable[[], str], plan: Callable[[str], Mapping[str, Any]]
) -> RunFolder:
    """The folder of a run, as `RunFolder.create` makes it: where it is asked for, else in `runs/`.

    Args:
        output: the folder that is asked for.
        name: a default name that is free as far as can be seen. Another process may take it before
            the folder is held; then the next one is.
        plan: the run's, by its name.

    Raises:
        UsageError, FewtuneError: the folder cannot be this run's.
    """
    if output:
        return RunFolder.create(output, plan(Path(output).name))
    while True:
        tried = name()
        try:
            return RunFolder.create(RUNS / tried, plan(tried))
        except (UsageError, Held):
            if name() == tried:  # nobody else has it
                raise


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
