"""fewtune's own artefact: trained tensors by name, for what no library can hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fewtune.methods.artefact import PARTS, About, load_base, save_tokenizer
from fewtune.methods.naming import what

if TYPE_CHECKING:
    from fewtune.methods.base import Method
    from fewtune.models.tunable import Tunable

CODE = '''import fewtune  # {method} is held by no other library

model = fewtune.load(".")


def predict(texts):
    """{what}"""
    return [row["prediction"] for row in model.predict(list(texts))]
'''


SPOKEN = '''import fewtune  # {method} is held by no other library

model = fewtune.load(".")


def predict(texts):
    """The answer to each prompt: a text, or a list of messages."""
    return [row["prediction"] for row in model.predict(list(texts))]
'''


def save_parts(model: Tunable, folder: Path, about: About) -> None:
    """One safetensors file with everything trained, and the tokenizer."""
    from fewtune.models.weights import save_tensors, trained_tensors

    save_tensors(trained_tensors(model), folder / PARTS)
    save_tokenizer(about, folder)


def load_parts(method: Method, folder: Path, about: About) -> Tunable:
    """Base, attach, load."""
    from fewtune.methods.base import prepare
    from fewtune.models.weights import load_trained

    model = prepare(load_base(about), method).model
    load_trained(model, folder / PARTS)
    return model.eval()


def parts_code(about: About) -> str:
    """The model card's Python."""
    return (SPOKEN if about.speaks else CODE).format(method=about.method, what=what(about))
