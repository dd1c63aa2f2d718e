"""Every case is trained once on every family; the laws look at the result."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from cases import Case
from tiny_models import LABELS, MAX_LENGTH, TARGETS, TINY, Base
from torch import Tensor
from torch.nn.functional import cross_entropy

from fewtune.methods.artefact import About, fingerprint_of
from fewtune.methods.base import Method, Prepared, prepare
from fewtune.models.pooled import PooledModel

STEPS = 6


@dataclass
class Fitted:
    """A case trained on a base, with all that the laws compare.

    Attributes:
        before: every tensor of the model as `prepare` left it, by name.
        gradients: of the first batch after training, None where a tensor got none.
        losses: before and after, without dropout.
        logits: (rows, classes) of the trained model.
    """

    base: Base
    case: Case
    method: Method
    prepared: Prepared
    before: dict[str, Tensor]
    gradients: dict[str, Tensor | None]
    losses: tuple[float, float]
    logits: Tensor

    @property
    def model(self) -> PooledModel:
        """The trained model. Laws leave it as they found it."""
        return self.prepared.model

    @property
    def trained(self) -> set[str]:
        """Names of what was trained."""
        return {name for name, p in self.model.named_parameters() if p.requires_grad}

    @property
    def about(self) -> About:
        """What a run would write beside the weights."""
        pooling = self.model.pooling
        return About(
            task="classify",
            method=self.method.spell(),
            options=self.case.options,
            labels=LABELS,
            max_length=MAX_LENGTH,
            base=str(self.base.folder),
            base_fingerprint=fingerprint_of(self.base.folder),
            pooling={"mode": pooling.mode, "normalize": pooling.normalize},
        )


def fresh(base: Base) -> PooledModel:
    """An untouched copy of a base."""
    return deepcopy(base.model)


def tensors_of(model: PooledModel) -> dict[str, Tensor]:
    """Copies of every parameter and buffer."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in named}


def fit(base: Base, case: Case) -> Fitted:
    """A few steps of AdamW. No weight decay: it moves what got a gradient of zero."""
    torch.manual_seed(0)
    method = case.method
    prepared = prepare(fresh(base), method)
    model, batch = prepared.model, base.batch()
    before = tensors_of(model)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-2, weight_decay=0, foreach=True)
    with torch.no_grad():
        start = cross_entropy(model(**batch), TARGETS).item()
    model.train()
    for _ in range(STEPS):
        optimizer.zero_grad()
        cross_entropy(model(**batch), TARGETS).backward()
        optimizer.step()
    model.eval()
    optimizer.zero_grad()
    logits = model(**batch)
    loss = cross_entropy(logits, TARGETS)
    loss.backward()
    gradients = {name: p.grad for name, p in trained.items()}
    optimizer.zero_grad()
    losses = (start, loss.item())
    return Fitted(base, case, method, prepared, before, gradients, losses, logits.detach())


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads only get in one another's way on matrices of 32 by 32."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Base]:
    """Every family's tiny model."""
    root = tmp_path_factory.mktemp("bases")
    return {family: Base.made(family, root / family) for family in TINY}


@pytest.fixture
def base(bases: dict[str, Base], family: str) -> Base:
    """One family's tiny model."""
    return bases[family]


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for everybody: a folder for each of five thousand checks costs more than they."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture
def artefact(fitted: Fitted, scratch: Path) -> Path:
    """The case's `model/`, written when first asked for."""
    folder = scratch / f"{fitted.base.family}-{fitted.case}".replace(" ", "_")
    if not folder.exists():
        folder.mkdir()
        fitted.method.save(fitted.model, folder, fitted.about)
        fitted.about.write(folder)
    return folder


@pytest.fixture(scope="session")
def done() -> dict[tuple[str, str], Fitted]:
    """What is trained already."""
    return {}


@pytest.fixture
def fitted(base: Base, case: Case, done: dict[tuple[str, str], Fitted]) -> Fitted:
    """The case on the family, trained when first asked for; a refused one is skipped."""
    if reason := case.method.refuses(base.model):
        pytest.skip(f"refused: {reason}")
    key = (base.family, str(case))
    if key not in done:
        done[key] = fit(base, case)
    return done[key]
