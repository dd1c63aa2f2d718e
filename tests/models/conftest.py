"""Tiny models on disk."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))

from tiny_models import Base


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads only get in one another's way on matrices of 32 by 32."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Base]:
    """Three families; their folders are not to be changed."""
    root = tmp_path_factory.mktemp("bases")
    return {family: Base.made(family, root / family) for family in ("bert", "gpt2", "llama")}


@pytest.fixture(scope="session")
def bert(bases: dict[str, Base]) -> Base:
    """The one that most tests need."""
    return bases["bert"]
