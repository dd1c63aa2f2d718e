"""The fits of a race on disk: one file each, so that a race that was killed goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fewtune.base.files import replacing
from fewtune.trials.runners import Fitted


@dataclass(frozen=True)
class FitsOnDisk:
    """A folder with a safetensors file a candidate and fold."""

    folder: Path

    def read(self, name: str, fold: int) -> Fitted | None:
        """A fit that was made before; None where there is none, or half of one."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(self._file(name, fold)), framework="np") as file:
                failed = (file.metadata() or {}).get("failed", "")
                answers, seconds = map(file.get_tensor, ("answers", "seconds"))
        except (FileNotFoundError, SafetensorError):
            return None
        return Fitted(answers, float(seconds[0]), failed)

    def write(self, name: str, fold: int, fitted: Fitted) -> None:
        """Keep a fit."""
        from safetensors.numpy import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        answers = np.ascontiguousarray(fitted.answers)
        with replacing(self._file(name, fold)) as place:
            kept = {"answers": answers, "seconds": np.array([fitted.seconds])}
            save_file(kept, str(place), {"failed": fitted.failed})

    def _file(self, name: str, fold: int) -> Path:
        safe = "".join(one if one.isalnum() or one in "+-._" else "_" for one in name)
        return self.folder / f"{safe}.{fold}.safetensors"
