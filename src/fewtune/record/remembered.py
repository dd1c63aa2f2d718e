"""What the fits of past runs took beside what was told, in the user's cache folder.

The run folders are the truth, but they lie wherever `--output` says, and no list names them all.
Each run has a file of its own, so two processes never write the same one; of a kind of fit on a
machine only the newest are kept. Losing the folder loses what was learned and nothing else.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time, time_ns

from fewtune.base.files import cache_folder, fingerprint, write_atomic
from fewtune.record.environment import cpu, gpus

FORMAT = 2  # of a file, and of the memory model whose word is compared; another one starts anew
KEPT = 20  # files of a kind


@dataclass(frozen=True, slots=True)
class Took:
    """The memory of one run's fit.

    Attributes:
        predicted: bytes at the peak, as told beforehand.
        measured: bytes at the peak.
        time: of the run, in seconds since 1970.
    """

    predicted: int
    measured: int
    time: float

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.measured / self.predicted

    def is_of(self, other: Took) -> bool:
        """Whether it is the same fit, whenever each was written down."""
        return (self.predicted, self.measured) == (other.predicted, other.measured)


def remember(predicted: int, measured: int, device: str, limited: bool, run: Path) -> None:
    """Keep what a finished run took; where nothing can be written nothing is kept.

    Args:
        predicted, measured: bytes at the peak.
        device: `cpu` or `cuda`, of this machine.
        limited: whether a budget was given.
        run: its folder, which tells it from others of the same moment.
    """
    folder = _place(device, limited)
    path = folder / f"{time_ns():020d}-{fingerprint(str(run.absolute()))}.json"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(asdict(Took(predicted, measured, time()))))
        for old in sorted(folder.iterdir())[:-KEPT]:  # by name, the oldest first
            old.unlink(missing_ok=True)


def remembered(device: str, limited: bool) -> list[Took]:
    """What past runs on this machine took, in any order; damaged files are passed over."""
    folder = _place(device, limited)
    found = (_read(path) for path in sorted(folder.glob("*.json")))
    return [one for one in found if one is not None]


def _place(device: str, limited: bool) -> Path:
    """The folder of this machine and of this kind of fit; a GPU gives nothing back."""
    who = (gpus(), None) if device == "cuda" else (cpu()["model"], limited)
    return cache_folder() / "memory" / fingerprint(*map(repr, (FORMAT, device, *who)))


def _read(path: Path) -> Took | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        took = Took(int(told["predicted"]), int(told["measured"]), float(told["time"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None  # cut short, another program's, or removed since it was listed
    return took if min(took.predicted, took.measured) > 0 else None
