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
