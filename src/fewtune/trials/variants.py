"""One fit of a comparison: a method with its options, on some rows, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np

from fewtune.base.errors import FewtuneError
from fewtune.base.files import write_json
from fewtune.data.row import Row
from fewtune.methods.base import Method
from fewtune.models.batches import Encoded
from fewtune.models.footprint import forget_peak, peak, resident
from fewtune.models.ngrams import NgramModel, fit_ngrams
from fewtune.models.saving import saving
from fewtune.tasks.labelled import Labelled
from fewtune.train.classifier import Classifier
from fewtune.train.options import TrainOptions
from fewtune.trials.folds import Setting, fitted, probe_of
from fewtune.trials.race import Entrant
from fewtune.trials.recipes import Make, still_true


@dataclass(frozen=True)
class Variant:
    """A method with all that its fits are told.

    Attributes:
        name: in tables.
        method: with its options.
        preset: the recipe of training, `default` or `cautious`.
        train: options of the fit.
        task: with the weights of classes that the options ask for.
        make: new rows from a fold's, where it learns such.
        step: the option and the value in which it differs from the base; None for a line of the
            main table.
    """

    name: str
    method: Method
    preset: str
    train: TrainOptions
    task: Labelled
    make: Make | None = None
    step: tuple[str, str] | None = None

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

    def _file(self, name: str) -> Path:
        safe = "".join(one if one.isalnum() or one in "+-._" else "_" for one in name)
        return self.folder / f"{safe}.json"


@dataclass(frozen=True)
class Asked:
    """Rows to be answered: as texts, and as the encoder reads them."""

    texts: list[str]
    tokens: Encoded


class Model(Protocol):
    """What a fit gave."""

    def probabilities(self, asked: Asked) -> np.ndarray:
        """(rows, classes)."""
        ...

    def counts(self) -> tuple[int, int]:
        """Trained and all parameters."""
        ...

    def save(self, folder: Path) -> None:
        """The artefact, into an empty folder."""
        ...


@dataclass(frozen=True)
class Neural:
    """A tuned encoder."""

    candidate: Classifier

    def probabilities(self, asked: Asked) -> np.ndarray:
        """As the candidate answers."""
        return self.candidate.probabilities(asked.tokens)

    def counts(self) -> tuple[int, int]:
        """As the candidate counts."""
        return self.candidate.counts()

    def save(self, folder: Path) -> None:
        """As a run would save it."""
        self.candidate.save(folder)


@dataclass(frozen=True)
class Counted:
    """N-grams with logistic regression."""

    model: NgramModel

    def probabilities(self, asked: Asked) -> np.ndarray:
        """Of the texts."""
        return self.model.probabilities(asked.texts)

    def counts(self) -> tuple[int, int]:
        """All of them are trained."""
        size = int(self.model.weight.size + self.model.bias.size)
        return size, size

    def save(self, folder: Path) -> None:
        """As a run would save it."""
        self.model.save(folder)


@dataclass(frozen=True)
class Desk:
    """Where the variants of one seed are fitted.

    Attributes:
        setting: folds and bench; its method does not matter.
        rows: the training rows.
        seed: of all that is random in a fit.
        costs: what the first fit of a variant took.
    """

    setting: Setting
    rows: Sequence[Row]
    seed: int
    costs: CostsOnDisk

    def entrant(self, variant: Variant) -> Entrant:
        """The variant as a race knows it."""
        return Entrant(variant.name, partial(self.fit, variant), 0.0, not variant.trains)

    def fit(self, variant: Variant, learned: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Logits of held rows after a fit to the others, (held, classes)."""
        examples = self.setting.examples
        asked = Asked(_texts(self.rows, held), examples.rows.take(held))
        return self._answers(variant, learned, asked, [self.rows[k] for k in held])

    def test(self, variant: Variant, rows: Sequence[Row], tokens: Encoded) -> np.ndarray:
        """Logits of test rows after a fit to all training rows, (rows, classes)."""
        every = np.arange(len(self.rows))
        asked = Asked([row["text"] for row in rows], tokens)
        return self._answers(variant, every, asked, rows)

    def _answers(
        self, variant: Variant, learned: np.ndarray, asked: Asked, avoid: Sequence[Row]
    ) -> np.ndarray:
        """What a fit answers; one that diverged or found no memory knows nothing."""
        choice, known = variant.task.choice, self.costs.read(variant.name)
        try:
            before = self._without_a_model(variant) if known is None else 0
            model = self._fitted(variant, learned, avoid)
            taken = max(0, peak() - before)
            found = choice.logits(model.probabilities(asked))
            if known is None:
                self.costs.write(variant.name, self._cost(variant, model, taken))
            return found
        except FewtuneError as error:
            failed = replace(known or Cost(), failed=str(error))
            self.costs.write(variant.name, failed)
            return np.zeros((len(asked.texts), len(variant.task.labels)))

    def _fitted(self, variant: Variant, learned: np.ndarray, avoid: Sequence[Row]) -> Model:
        bench = self.setting.bench
        bench.train, bench.task, bench.seed = variant.train, variant.task, self.seed
        if not variant.method.needs_model:
            return Counted(self._count(variant, learned))
        setting = replace(self.setting, method=variant.method, train=variant.train)
        examples = setting.examples.take(learned)
        if variant.make:
            rows = [self.rows[k] for k in learned]
            made = variant.make(rows, avoid)
            kept = still_true(bench, probe_of(setting, examples), rows, made)
            examples = examples.and_also(bench.examples(kept)) if kept else examples
        return Neural(fitted(setting, examples))

    def _count(self, variant: Variant, learned: np.ndarray) -> NgramModel:
        weights = variant.task.class_weights
        return fit_ngrams(
            _texts(self.rows, learned),
            self.setting.examples.targets[learned],
            len(variant.task.labels),
            variant.method.tfidf_c,  # type: ignore[attr-defined]
            None if weights is None else np.array(weights),
        )

    def _without_a_model(self, variant: Variant) -> int:
        """Bytes of this process beside the base that the fit takes; the peak begins anew."""
        from fewtune.models.device import trim

        bench = self.setting.bench
        base = bench.base
        trim()  # what is free is no use of memory
        if not variant.method.needs_model:  # the base stays where it is
            forget_peak()
            return resident()
        held = {t.untyped_storage().data_ptr(): t for t in (*base.parameters(), *base.buffers())}
        forget_peak()
        if bench.machine.device != "cpu":
            return 0  # on a GPU what is allocated is counted, and that is the model's alone
        return resident() - sum(t.untyped_storage().nbytes() for t in held.values())

    def _cost(self, variant: Variant, model: Model, taken: int) -> Cost:
        trained, total = model.counts()
        folder = self.setting.folder
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as place, saving():
            model.save(Path(place))
            size = sum(one.stat().st_size for one in Path(place).rglob("*") if one.is_file())
        device = self.setting.bench.machine.device
        measured = variant.method.needs_model or device == "cpu"
        return Cost(trained, total, taken if measured else None, size)


def _texts(rows: Sequence[Row], some: np.ndarray) -> list[str]:
    return [rows[k]["text"] for k in some]
