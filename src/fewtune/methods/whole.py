"""Methods that change the model's own weights: the artefact is a whole model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fewtune.methods.artefact import About, save_tokenizer
from fewtune.methods.base import Method
from fewtune.methods.naming import label_lines, named, what
from fewtune.methods.spoken import speaking_code

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable

CODE = '''from sentence_transformers import SentenceTransformer

{labels}
model = SentenceTransformer(".", device="cpu")


def predict(texts):
    """{what}"""
    logits = model.encode(list(texts), convert_to_tensor=True)  # (rows, classes)
    return {named}
'''


class WholeModel(Method):
    """Base of `full`, `freeze`, `bitfit`, `probe`: saved as a whole model.

    A classifier is a sentence-transformers folder, a language model a Hugging Face one.
    """

    merges: ClassVar[bool] = True
    saves_base: ClassVar[bool] = True

    def save(self, model: Tunable, folder: Path, about: About) -> None:
        """Write a folder that sentence-transformers, or transformers, load."""
        save_whole_model(model, folder, about)

    def load(self, folder: Path, about: About) -> Tunable:
        """Read it back, without sentence-transformers."""
        return load_whole_model(folder, about)

    def code(self, about: About) -> str:
        """The few lines that plain libraries need."""
        return whole_code(about)


def whole_code(about: About) -> str:
    """sentence-transformers, or transformers for what speaks."""
    if about.speaks:
        return speaking_code(about)
    named_rows = named(about, "logits.argmax(dim=1).tolist()", "logits.sigmoid().tolist()")
    return CODE.format(labels=label_lines(about), what=what(about), named=named_rows)


def save_whole_model(model: Tunable, folder: Path, about: About) -> None:
    """A plain model with its tokenizer."""
    model.save_plain(folder, about.max_length)
    save_tokenizer(about, folder)


def load_whole_model(folder: Path, about: About) -> Tunable:
    """The plain model that `save_whole_model` wrote."""
    from fewtune.methods.artefact import load_for
    from fewtune.models.options import ModelOptions
    from fewtune.models.source import find

    options = ModelOptions(model=str(folder.resolve()))
    model = load_for(about, find(options), options)
    model.load_new_head(folder)
    return model
