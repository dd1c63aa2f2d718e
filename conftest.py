"""What holds for every test.

It stands here and not in tests/, where the search for doctests would take it for the conftest.py of
the folder that was collected before it.
"""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What is timed in tests is neither read from the user's cache nor left there."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FEWTUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
