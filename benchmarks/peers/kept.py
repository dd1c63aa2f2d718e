"""How long a stopped training had taken, kept beside the Trainer's checkpoints."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

NAME = "seconds.txt"


class KeptSeconds(TrainerCallback):
    """Writes into every checkpoint the seconds of this process and of those before it.

    What a process did after its last checkpoint is done again, and so counted once.
    """

    def __init__(self, checkpoint: str | None) -> None:
        self._start = time.perf_counter()
        kept = Path(checkpoint) / NAME if checkpoint else None
        self.earlier = float(kept.read_text(encoding="ascii")) if kept else 0.0

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        spent = self.earlier + time.perf_counter() - self._start
        folder = Path(get_last_checkpoint(args.output_dir))
        (folder / NAME).write_text(f"{spent:.3f}", encoding="ascii")
