"""Methods that change the model's own weights: the artefact is a whole model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fewtune.methods.artefact import About, save_tokenizer
from fewtune.methods.base import Method
from fewtune.methods.spoken import speaking_code

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable

CODE = '''from sentence_transformers import SentenceTransformer

LABELS = {labels!r}
model = SentenceTransformer(".", device="cpu")


def predict(texts):
    """The label of each text."""
    logits = model.encode(list(texts), convert_to_tensor=True)  # (rows, classes)
    return [LABELS[i] for i in logits.argmax(dim=1).tolist()]
'''


class WholeModel(Method):
    """Base of `full`, `freeze`, `bitfit`, `probe`: saved as a whole model.

    A classifier is a sentence-transformers folder, a language model a Hugging Face one.
    """

    merges: ClassVar[bool] = True

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
    return speaking_code(about) if about.speaks else CODE.format(labels=about.labels)


def save_whole_model(model: Tunable, folder: Path, about: About) -> None:
    """A plain model with its tokenizer."""
    model.save_plain(folder, about.max_length)
    save_tokenizer(about, folder)


def load_whole_model(folder: Path, about: About) -> Tunable:
    """The plain model that `save_whole_model` wrote."""
    from fewtune.methods.artefact import load_for
    from fewtune.models.load import find
    from fewtune.models.options import ModelOptions

    options = ModelOptions(model=str(folder.resolve()))
    model = load_for(about, find(options), options)
    model.load_new_head(folder)
    return model
