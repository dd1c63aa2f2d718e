"""The artefact: `model/` of a run, and what its `fewtune.json` tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import FewtuneError
from fewtune.base.files import fingerprint, write_json
from fewtune.models.chat import OWN, set_template
from fewtune.models.load import load_causal, load_pooled, load_tokenizer, loading
from fewtune.models.options import ModelOptions
from fewtune.models.source import find

if TYPE_CHECKING:
    from fewtune.methods.base import Method
    from fewtune.models.source import Source
    from fewtune.models.tunable import Tunable

ABOUT = "fewtune.json"
HEAD = "head.safetensors"
PARTS = "parts.safetensors"
PIECES, PIECE = 64, 256 * 1024  # of a pretrained file of any size: how many are read, and bytes


@dataclass(frozen=True, slots=True)
class About:
    """All that rebuilding needs beside the weights.

    Attributes:
        task: the task's key.
        method: the method as spelled, such as `lora+freeze`.
        options: the method's options.
        labels: class names in the order of the logits; none where the model speaks.
        thresholds: of the labels, where a text may have several; the likeliest is the answer else.
        least: 1 where every text has one of several labels at least.
        positive: of two labels the one that scores are about; empty where there are not two.
        max_length: tokens kept of a text, virtual tokens not counted.
        base: the model option that names the pretrained model, absolute where it is a folder.
        base_fingerprint: of the pretrained files, so that another base is noticed.
        pooling: mode and normalisation, where texts are pooled.
        template: how dialogues are written out, where the model speaks; `own` or a built-in's name.
        stop_ids: tokens that end an answer; `silent`: tokens that are never said.
        allow_pickle: whether the user allowed the base's weights to be a pickle.
        columns: role -> the column of the training file that it was read from; other files are read
            alike.
    """

    task: str
    method: str
    options: dict[str, Any]
    labels: list[str] = field(default_factory=list)
    max_length: int = 0
    base: str = ""
    base_fingerprint: str = ""
    pooling: dict[str, Any] | None = None
    allow_pickle: bool = False
    template: str = ""
    stop_ids: list[int] | None = None
    silent: list[int] | None = None
    thresholds: list[float] | None = None
    least: int = 0
    positive: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    version: int = 1

    @property
    def speaks(self) -> bool:
        """Whether the model writes texts, rather than choosing a label."""
        return bool(self.template)

    @property
    def base_options(self) -> ModelOptions:
        """What finds the base again."""
        return ModelOptions(model=self.base, allow_pickle=self.allow_pickle)

    def write(self, folder: Path) -> None:
        """Write `fewtune.json`."""
        write_json(folder / ABOUT, asdict(self))

    @staticmethod
    def read(folder: Path) -> About:
        """Read `fewtune.json`; a folder without one is no artefact of fewtune."""
        path = folder / ABOUT
        if not path.exists():
            raise FewtuneError(f"{folder} has no {ABOUT}, so it is not a model that fewtune saved.")
        with loading(folder, "model"):
            return About(**json.loads(path.read_text(encoding="utf-8")))


def fingerprint_of(folder: Path) -> str:
    """Identity of a pretrained folder from its configuration and pieces of its weights.

    Reads 16 MiB a file at most, so it is quick for any size: the beginning, where a safetensors
    header holds every tensor's name and shape, the end, and pieces in between, for a model tuned
    further may differ in its last blocks alone. Where there are pickles alone, they are looked at.
    """
    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    return fingerprint(folder / "config.json", *(part for one in weights for part in _pieces(one)))


def fingerprint_of_saved(folder: Path) -> str:
    """Identity of an artefact: all of each of its files, but the card, which tells of it.

    Everything is read, for runs with other seeds may differ in a few biases.
    """
    files = sorted(one for one in folder.iterdir() if one.is_file() and one.name != "README.md")
    return fingerprint(*(part for one in files for part in (one.name, _digest(one))))


def _pieces(path: Path) -> Iterator[bytes]:
    """A file's size, and pieces from its beginning to its end; of a small file there is no gap."""
    size = path.stat().st_size
    yield str(size).encode()
    with open(path, "rb") as file:
        for number in range(PIECES):
            file.seek(max(0, size - PIECE) * number // (PIECES - 1))
            yield file.read(PIECE)


def _digest(path: Path) -> bytes:
    """SHA-256 of a file that may be larger than the memory."""
    with open(path, "rb") as file:
        return file_digest(file, "sha256").digest()


def load_base(about: About) -> Tunable:
    """The untouched base with an empty head of the right size.

    Raises:
        FewtuneError: the base is gone, or is not the one that was trained on.
    """
    options = about.base_options
    try:
        source = find(options)
    except FewtuneError as error:
        raise FewtuneError(f"the base that this model was trained on is gone: {error}") from error
    if fingerprint_of(source.folder) != about.base_fingerprint:
        raise FewtuneError(
            f"The base model at {about.base} is not the one this model was trained on (its files "
            "differ); put the original back, or export a merged model where it is."
        )
    return load_for(about, source, options)


def load_for(about: About, source: Source, options: ModelOptions) -> Tunable:
    """A pretrained folder as the artefact's task wants it: with its own head, or a new one."""
    if about.speaks:
        return load_causal(source, options)
    return load_pooled(source, len(about.labels), options)


def save_tokenizer(about: About, folder: Path) -> None:
    """Copy the base's tokenizer into the artefact, with the template that dialogues need."""
    tokenizer = load_tokenizer(find(about.base_options))
    if about.speaks:
        set_template(tokenizer, None if about.template == OWN else about.template)
    tokenizer.save_pretrained(folder)


def method_of(about: About, registry: dict[str, type[Method]]) -> Method:
    """The method that made an artefact."""
    from fewtune.methods import parse

    return parse(about.method, about.options)
