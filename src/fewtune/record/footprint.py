"""What past runs of this machine took beside what was told beforehand: its own factor."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from fewtune.base.errors import FewtuneError
from fewtune.record.environment import cpu, gpus
from fewtune.record.folder import RunFolder
from fewtune.record.index import list_runs
from fewtune.record.remembered import Took, remember, remembered

LAST = 20  # runs that the factor is learned from
SMALLEST = 50_000_000  # bytes predicted; below, imports and buffers decide what is measured
LEAST, MOST = 0.5, 3.0  # a factor outside these is a mistake and not a machine


@dataclass(frozen=True, slots=True)
class Footprint:
    """The memory of one fit.

    Attributes:
        predicted: bytes by what they are for, their peak in the `fit`, and with loading `peak`.
        measured: bytes at the fit's peak, over what the process holds beside the model.
        device: `cpu` (resident bytes) or `cuda` (allocated ones).
        limited: whether a budget was given; then freed memory is given back at once.
        rung: of the ladder, where memory ran out; None where it did not.
    """

    predicted: dict[str, int]
    measured: int
    device: str
    limited: bool = False
    rung: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in the scores."""
        return asdict(self)


def factor(root: Path | str, device: str, limited: bool = False, last: int = LAST) -> float | None:
    """Measured over predicted memory: the median of the last runs on this machine.

    They are those in a folder, and those that the user's cache remembers wherever they lie.

    Args:
        root: the folder of runs.
        device: `cpu` or `cuda`.
        limited: whether for a run with a budget: it holds no freed memory.
        last: so many of the newest that say it.

    Returns:
        None where no run has said it yet.
    """
    found = _of_runs(root, device, limited, last)
    found += [
        one for one in remembered(device, limited) if not any(map(one.is_of, found))
    ]  # a run in the folder is remembered too
    found.sort(key=lambda one: -one.time)
    ratios = [one.ratio for one in found[:last]]
    return min(MOST, max(LEAST, median(ratios))) if ratios else None


def keep(told: dict[str, Any], run: Path) -> None:
    """Have the user's cache remember what a run took, if it says something of this machine.

    Args:
        told: the run's footprint, as its scores have it.
        run: its folder.
    """
    if peaks := _peaks(told):
        remember(*peaks, told["device"], told.get("limited", False), run)


def _of_runs(root: Path | str, device: str, limited: bool, last: int) -> list[Took]:
    """What the newest finished runs in a folder took."""
    found: list[Took] = []
    for run in list_runs(root):
        if run.state != "finished" or len(found) == last:
            continue
        if peaks := _on_this_machine(RunFolder(run.folder), device, limited):
            found.append(Took(*peaks, run.time))
    return found


def _on_this_machine(folder: RunFolder, device: str, limited: bool) -> tuple[int, int] | None:
    """Peaks of one run; None where it says nothing about such a fit on this machine."""
    try:
        told, environment = folder.scores.get("memory"), folder.environment
    except FewtuneError:
        return None
    if not isinstance(told, dict) or told.get("device") != device:
        return None
    same = told.get("limited", False) == limited or device == "cuda"
    return _peaks(told) if same and _is_here(environment, device) else None


def _peaks(told: dict[str, Any]) -> tuple[int, int] | None:
    """Bytes predicted and measured; None where the one or the other is no word on the machine."""
    predicted = (told.get("predicted") or {}).get("fit") or 0  # the model is loaded before
    measured = told.get("measured") or 0
    if told.get("rung") or predicted < SMALLEST or not measured:
        return None
    return predicted, measured


def _is_here(environment: dict[str, Any], device: str) -> bool:
    """Whether a run's environment is this machine's, as far as memory goes."""
    if device == "cuda":
        return bool(environment.get("gpus") == gpus())
    return bool((environment.get("cpu") or {}).get("model") == cpu()["model"])
