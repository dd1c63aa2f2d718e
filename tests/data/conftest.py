"""Helpers of the data room's tests."""

from pathlib import Path

import pytest
from seen import ROLES

from fewtune.data.options import DataOptions
from fewtune.data.read import read_rows

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def read(tmp_path):
    """Write content to a file and read it back as rows."""

    def write_and_read(content, name="data.csv", roles=ROLES, **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return read_rows(path, roles, DataOptions(**options))

    return write_and_read


@pytest.fixture
def shared():
    """The path of a public data set, or a skip."""

    def find(name):
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"the data set {name} is not beside this checkout")
        return path

    return find
