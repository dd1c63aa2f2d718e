"""What a language model is asked once beside its folds: general texts, and questions in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.files import write_json
from fewtune.data.dialogue import Message
from fewtune.methods.voice import Reply, Voice
from fewtune.models.decoding import DecodingOptions

if TYPE_CHECKING:
    from fewtune.models.batches import Marked


@dataclass(frozen=True)
class Said:
    """What one model said.

    Attributes:
        general: of every general text its summed loss, learned tokens, and how many were the
            model's first choice, (texts, 3).
        replies: to the questions.
        seconds: that it took.
    """

    general: np.ndarray
    replies: tuple[Reply, ...]
    seconds: float


@dataclass(frozen=True)
class Aside:
    """The same for every model; kept on disk, so that nobody is asked twice.

    Attributes:
        folder: of what was said, a file a model.
        general: texts that have nothing to do with the task.
        held: positions of the rows of the fold that the questions come from.
        questions: dialogues that wait for an answer; none where nothing is to be written.
        tools: of each dialogue, what the assistant may call.
        decoding: how answers are written.
        seed: of the decoding.
    """

    folder: Path
    general: Marked
    held: np.ndarray
    questions: Sequence[Sequence[Message]] = ()
    tools: Sequence[Any] = ()
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    seed: int = 0

    def ask(self, name: str, voice: Voice) -> Said:
        """What a model says, by what it said before where it did."""
        if (known := self.read(name)) is not None:
            return known
        begun = perf_counter()
        general = np.stack(voice.losses(self.general), axis=1)
        replies: list[Reply] = []
        if self.questions:
            replies = voice.answer(self.questions, self.decoding, self.seed, self.tools)
        said = Said(general, tuple(replies), perf_counter() - begun)
        self.folder.mkdir(parents=True, exist_ok=True)
        told = {"general": general.tolist(), "seconds": said.seconds}
        write_json(self._file(name), told | {"replies": [asdict(one) for one in replies]})
        return said

    def read(self, name: str) -> Said | None:
        """What a model said; None where it was not asked this, or the file is half a one."""
        try:
            told = json.loads(self._file(name).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        replies = tuple(Reply(**one) for one in told["replies"])
        if len(replies) != len(self.questions) or len(told["general"]) != len(self.general):
            return None
        return Said(np.array(told["general"], dtype=np.float64), replies, told["seconds"])

    def seconds(self, name: str) -> float:
        """What asking a model took; 0 where it was not asked."""
        said = self.read(name)
        return said.seconds if said else 0.0

    def _file(self, name: str) -> Path:
        safe = "".join(one if one.isalnum() or one in "+-._" else "_" for one in name)
        return self.folder / f"{safe}.json"
