"""Files to lint."""

from pathlib import Path

import pytest
from examples import table

import fewtune

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def shared():
    """The path of a public data set, or a skip."""

    def find(name):
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"the data set {name} is not beside this checkout")
        return path

    return find


@pytest.fixture
def lint(tmp_path):
    """Lint rows (pairs of text and label), or the bytes of a file, given by part."""

    def call(train, valid=None, test=None, header=("text", "label"), **options):
        given = {}
        for part, found in (("train", train), ("valid", valid), ("test", test)):
            if found is None:
                continue
            given[part] = tmp_path / f"{part}.csv"
            raw = found if isinstance(found, bytes) else table(found, header)
            given[part].write_bytes(raw)
        path = given.pop("train")
        return fewtune.check(path, **{k: str(v) for k, v in given.items()}, **options)

    return call
