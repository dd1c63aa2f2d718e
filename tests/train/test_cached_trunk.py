"""Training above a cached trunk is training, in families whose blocks give tuples too."""

from pathlib import Path

import pytest
from fits import losses, make_fit, told
from tiny_models import Base


@pytest.mark.parametrize("family", ["mpnet", "distilbert", "qwen2"])
def test_a_cached_trunk_changes_nothing(family: str, tmp_path: Path) -> None:
    base = Base.made(family, tmp_path / family)
    cached = make_fit(base, tmp_path / "a", "freeze", steps=5, cache_trunk=True)
    whole = make_fit(base, tmp_path / "b", "freeze", steps=5, cache_trunk=False)
    assert cached.work.cached_bytes > 0 == whole.work.cached_bytes
    found, expected = losses(told(cached)), losses(told(whole))
    assert found == pytest.approx(expected, rel=1e-4)
    assert found[0] != pytest.approx(found[-1], rel=1e-2)  # it learns


@pytest.mark.parametrize("family", ["bert", "gpt2", "distilbert"])
def test_a_cached_trunk_changes_nothing_with_dropout_either(family: str, tmp_path: Path) -> None:
    """Below the lowest trained block nothing is dropped, the embeddings no more than the blocks."""
    base = Base.made(family, tmp_path / family)
    how = {"steps": 3, "dropout": 0.3}
    cached = make_fit(base, tmp_path / "a", "freeze", cache_trunk=True, **how)
    whole = make_fit(base, tmp_path / "b", "freeze", cache_trunk=False, **how)
    quiet = make_fit(base, tmp_path / "c", "freeze", steps=3)
    assert cached.work.cached_bytes > 0 == whole.work.cached_bytes
    found = losses(told(cached))
    assert found == pytest.approx(losses(told(whole)), rel=1e-4)
    assert found != pytest.approx(losses(told(quiet)), rel=1e-2)  # above it something is
