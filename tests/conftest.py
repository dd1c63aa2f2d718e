"""What holds for every test."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What is timed in tests is neither read from the user's cache nor left there."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FEWTUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
