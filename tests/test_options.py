"""Every option is obeyed somewhere: its name is read outside of the class that declares it."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import fewtune
from fewtune.base.options import Options
from fewtune.methods import METHODS

ROOT = Path(fewtune.__file__).parent
DECLARES = re.compile(r"^    \w+: .*", re.MULTILINE)
TEXT = "\n".join(DECLARES.sub("", one.read_text("utf-8")) for one in ROOT.rglob("*.py"))


def declared():
    for file in sorted(ROOT.rglob("options.py")):
        parts = file.relative_to(ROOT.parent).with_suffix("").parts
        for cls in vars(import_module(".".join(parts))).values():
            if isinstance(cls, type) and issubclass(cls, Options):
                yield from ((cls, name) for name in cls.model_fields)
    for method in METHODS.values():
        yield from ((method, name) for name in method.model_fields)


@pytest.mark.parametrize("name", sorted({name for _, name in declared()}))
def test_an_option_is_read(name):
    assert re.search(rf"\.{name}\b|[\"']{name}[\"']", TEXT), name
