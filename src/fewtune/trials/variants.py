"""One fit of a comparison: a method with its options, on some rows, and what it costs."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np

from fewtune.base.errors import FewtuneError, Interrupted
from fewtune.base.files import write_json
from fewtune.data.row import Row
from fewtune.methods.base import Method
from fewtune.models.footprint import forget_peak, peak, resident
from fewtune.models.ladder import called
from fewtune.models.saving import saving
from fewtune.train.options import TrainOptions
from fewtune.train.workbench import Workbench
from fewtune.trials.recipes import Make
from fewtune.trials.runners import Entrant


@dataclass(frozen=True)
class Variant:
    """A method with all that its fits are told.

    Attributes:
        name: in tables.
        method: with its options.
        train: options of the fit.
        make: new rows from a fold's, where it learns such.
    """

    name: str
    method: Method
    train: TrainOptions
    make: Make | None = None

    @property
    def trains(self) -> bool:
        """Whether steps are taken on a pretrained model."""
        return self.method.needs_model and self.method.needs_steps


@dataclass(frozen=True, slots=True)
class Cost:
    """What one fit of a variant took; None where it could not be measured.

    Attributes:
        trained, total: parameters.
        memory: bytes at the peak of the fit, over those of the process without the model.
        bytes: of the artefact on disk.
        failed: why a fit ended without a model, as a sentence.
    """

    trained: int | None = None
    total: int | None = None
    memory: int | None = None
    bytes: int | None = None
    failed: str | None = None


@dataclass(frozen=True)
class CostsOnDisk:
    """A folder with a small file a variant, so that what was measured once is not again."""

    folder: Path

    def read(self, name: str) -> Cost | None:
        """What was measured; None where nothing was, or the file is half a one."""
        try:
            return Cost(**json.loads(self._file(name).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, name: str, cost: Cost) -> None:
        """Keep what was measured."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self._file(name), asdict(cost))

    def fail(self, name: str, why: str) -> None:
        """Keep that a fit failed, beside what was measured."""
        self.write(name, replace(self.read(name) or Cost(), failed=why))

    def _file(self, name: str) -> Path:
        safe = "".join(one if one.isalnum() or one in "+-._" else "_" for one in name)
        return self.folder / f"{safe}.json"


class Model(Protocol):
    """What a fit gave."""

    def counts(self) -> tuple[int, int]:
        """Trained and all parameters."""
        ...

    def save(self, folder: Path) -> Any:
        """The artefact, into an empty folder."""
        ...


@dataclass(frozen=True)
class Desk(ABC):
    """Where the variants of one seed are fitted. What they learn is its subclasses' matter.

    Attributes:
        bench: the pretrained side.
        seed: of all that is random in a fit.
        costs: what the first fit of a variant took.
        folder: for what a fit writes beside the model.
    """

    bench: Workbench[Any]
    seed: int
    costs: CostsOnDisk
    folder: Path

    @abstractmethod
    def fit(self, variant: Variant, learned: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Answers to held rows after a fit to others."""

    @abstractmethod
    def test(self, variant: Variant) -> np.ndarray:
        """Answers to the test rows after a fit to all training rows."""

    @abstractmethod
    def fitted(self, variant: Variant, learned: np.ndarray, avoid: Sequence[Row]) -> Model:
        """A fit to some rows; new ones that it makes are not like those to avoid."""

    @abstractmethod
    def heard(self, variant: Variant, model: Model, asked: Any) -> np.ndarray:
        """What the model answers to rows."""

    @abstractmethod
    def nothing(self, asked: Any) -> np.ndarray:
        """The answers of what knows nothing."""

    def entrant(self, variant: Variant) -> Entrant:
        """The variant as a race knows it."""
        return Entrant(variant.name, partial(self.fit, variant), 0.0, not variant.trains)

    def answers(
        self, variant: Variant, learned: np.ndarray, asked: Any, avoid: Sequence[Row]
    ) -> np.ndarray:
        """What a fit answers; one that diverged or found no memory knows nothing."""
        known = self.costs.read(variant.name)
        try:
            before = self._without_a_model(variant) if known is None else 0
            with called(variant.name):
                model = self.fitted(variant, learned, avoid)
                taken = max(0, peak() - before)
                found = self.heard(variant, model, asked)
            if known is None:
                self.costs.write(variant.name, self._cost(variant, model, taken))
            return found
        except Interrupted:  # the user's doing, not the variant's
            raise
        except FewtuneError as error:
            self.costs.fail(variant.name, str(error))
            return self.nothing(asked)

    def _without_a_model(self, variant: Variant) -> int:
        """Bytes of this process beside the base that the fit takes; the peak begins anew."""
        from fewtune.models.device import trim

        bench = self.bench
        base = bench.base
        trim()  # what is free is no use of memory
        forget_peak()
        if not variant.method.needs_model:  # the base stays where it is
            return resident()
        if bench.machine.device != "cpu":
            return 0  # on a GPU what is allocated is counted, and that is the model's alone
        held = {t.untyped_storage().data_ptr(): t for t in (*base.parameters(), *base.buffers())}
        return resident() - sum(t.untyped_storage().nbytes() for t in held.values())

    def _cost(self, variant: Variant, model: Model, taken: int) -> Cost:
        trained, total = model.counts()
        self.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.folder) as place, saving():
            model.save(Path(place))
            size = sum(one.stat().st_size for one in Path(place).rglob("*") if one.is_file())
        measured = variant.method.needs_model or self.bench.machine.device == "cpu"
        return Cost(trained, total, taken if measured else None, size)
