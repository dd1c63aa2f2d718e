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


def pytest_terminal_summary(terminalreporter) -> None:
    """How many checks the battery of laws made; here, for who gathers from several processes."""

    def here(kind: str) -> list:
        reports = terminalreporter.getreports(kind)
        return [r for r in reports if r.nodeid.startswith("tests/laws/")]

    refused = [r for r in here("skipped") if "refused: " in str(r.longrepr)]
    passed = [r for r in here("passed") if r.when == "call"]
    if passed:
        terminalreporter.write_line(
            f"laws: {len(passed)} checks passed, {len(refused)} refused with a reason"
        )
