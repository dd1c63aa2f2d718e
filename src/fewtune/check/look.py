"""What rules look at: rows by part, the ledger, and what a model says of them when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.check.options import CheckOptions
from fewtune.data.columns import find_columns
from fewtune.data.dialogue import as_text
from fewtune.data.holdout import labels_of
from fewtune.data.hub import paths_of
from fewtune.data.images import Picture, images_of, picture, same_files
from fewtune.data.ledger import Ledger
from fewtune.data.near import Pair, meaning, near_duplicates, plain
from fewtune.data.options import DataOptions
from fewtune.data.read import Table, opened, read_any
from fewtune.data.row import Row
from fewtune.data.shapes import LABELLED, PLAIN, Shape
from fewtune.data.sheet import Sheet
from fewtune.data.splits import natural
from fewtune.models.options import ModelOptions
from fewtune.tasks.classify import Classify
from fewtune.tasks.generate import LONGEST, Encoding, Generate

if TYPE_CHECKING:
    import numpy as np

    from fewtune.models.source import Source

PARTS = ("train", "valid", "test")


@dataclass
class Look:
    """The rows, and lazily what costs time.

    Attributes:
        parts: `train`, and `valid` and `test` where there are such files.
        ledger: of all files.
        columns: role -> column of the training file.
        notes: what reading decided.
        model: what names the pretrained model; None where no model may be asked.
        group: the column whose values must stay on one side.
        shape: what the training file holds.
        file: the training file as it stands, read when it is asked for; None where rows came from
            elsewhere.
        whole: the training rows as they were read, without `shown`.
    """

    parts: Mapping[str, Sequence[Row]]
    ledger: Ledger
    columns: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    options: CheckOptions = field(default_factory=CheckOptions)
    model: ModelOptions | None = None
    group: str | None = None
    shape: Shape = LABELLED
    file: Callable[[], Sheet] | None = None
    whole: Sequence[Row] = ()

    @property
    def train(self) -> Sequence[Row]:
        """The rows to learn from."""
        return self.parts["train"]

    @cached_property
    def rows(self) -> list[tuple[str, Row]]:
        """Every row with its part, training rows first."""
        return [(part, row) for part in PARTS for row in self.parts.get(part, ())]

    @property
    def noun(self) -> str:
        """What a row is called: a text or an image."""
        return "image" if self.shape.task == "image" else "text"

    @property
    def fixable(self) -> bool:
        """Whether `--fix` can write the file anew; paths of images would point elsewhere."""
        return not self.shape.pictured

    @property
    def mends_labels(self) -> bool:
        """Whether `--fix` can write another label."""
        return self.fixable and "label" in self.columns

    @property
    def mends_texts(self) -> bool:
        """Whether `--fix` writes texts as they were read; those of dialogues stay as they are."""
        return self.fixable and not any("messages" in row.fields for row in self.train)

    @cached_property
    def images(self) -> list[tuple[Row, str]]:
        """Every image with its row."""
        return [(row, path) for _, row in self.rows for path in images_of(row)]

    @cached_property
    def pictures(self) -> dict[str, Picture]:
        """What each image's file says of itself, by its path."""
        return {path: picture(path) for path in dict.fromkeys(path for _, path in self.images)}

    @cached_property
    def content(self) -> list[str]:
        """What every row is about: its text letter by letter, a mark of its image's bytes."""
        marks = same_files(path for _, path in self.images)
        return [" ".join(_content(row, marks)) for _, row in self.rows]

    @cached_property
    def plain(self) -> list[str]:
        """Every row's content without case, width, punctuation."""
        return [*map(plain, self.content)]

    @cached_property
    def meaning(self) -> list[str]:
        """Every row's content without case, width and the punctuation that says nothing."""
        return [*map(meaning, self.content)]

    @cached_property
    def near(self) -> list[Pair]:
        """Nearly equal rows, by their positions in `rows`."""
        return near_duplicates([row["text"] for _, row in self.rows])

    @cached_property
    def labels(self) -> list[str]:
        """The training rows' labels in natural order."""
        return natural({label for row in self.train for label in labels_of(row)})

    @cached_property
    def source(self) -> Source:
        """The pretrained folder."""
        from fewtune.models.source import find

        assert self.model is not None
        return find(self.model)

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        from fewtune.models.load import load_tokenizer

        return load_tokenizer(self.source)

    @cached_property
    def tokens(self) -> list[list[int]]:
        """Token ids of every row, uncut."""
        texts = [row["text"] for _, row in self.rows]
        return self.tokenizer(texts, truncation=False, verbose=False)["input_ids"]

    @property
    def room(self) -> int:
        """Tokens of a dialogue that training keeps."""
        return min(LONGEST, self.source.positions)

    @cached_property
    def encoding(self) -> Encoding | None:
        """Every dialogue as training would have it; None where the model cannot be taught."""
        from copy import deepcopy

        from fewtune.models.chat import set_template

        tokenizer = deepcopy(self.tokenizer)
        try:
            set_template(tokenizer, None)
        except FewtuneError:
            return None  # no end token: training refuses that in a sentence of its own
        return Generate().encode([row for _, row in self.rows], tokenizer, self.room)

    @cached_property
    def features(self) -> np.ndarray:
        """The untouched encoder's features of every row in `rows`, (rows, width)."""
        from fewtune.models.device import find_machine, keep_freed_memory
        from fewtune.models.infer import features
        from fewtune.models.load import load_pooled

        assert self.model is not None
        keep_freed_memory()
        task = Classify(tuple(self.labels))
        texts = [row["text"] for _, row in self.rows]
        encoded = task.encode(texts, self.tokenizer, self.source.room(0))
        base = load_pooled(self.source, max(1, len(self.labels)), self.model)
        return features(base, encoded, find_machine(self.model.device, self.model.bf16))


def look_at(
    path: str, data: DataOptions, options: CheckOptions, model: ModelOptions | None
) -> Look:
    """Read the files.

    Raises:
        UsageError, FewtuneError: a file cannot be read as rows at all.
    """
    files = paths_of(path, data.valid, data.test)
    tables: dict[str, Table] = {}
    for part, file in files.items():
        like = tables["train"].columns if tables else None
        name = None if _names_differ(files) else f"{part}/{file.name}"
        tables[part] = _read(file, data, options, like, name)
    ledger = Ledger()
    for table in tables.values():
        ledger.add(table.ledger)
    notes = [note for table in tables.values() for note in table.notes]
    rows = {part: [*map(shown, table.rows)] for part, table in tables.items()}
    shape = tables["train"].shape
    assert shape is not None
    first = tables["train"]
    own = None if _names_differ(files) else f"train/{files['train'].name}"

    def again() -> Sheet:
        return opened(files["train"], data, own)[1]

    if shape is PLAIN:
        notes.append(_unlabelled(again(), files["train"].name, data))
    return Look(
        rows, ledger, first.columns, notes, options, model, data.group, shape, again, first.rows
    )


def _unlabelled(sheet: Sheet, file: str, data: DataOptions) -> str:
    """A note where no column is called a label, though one might hold labels."""
    try:
        column = find_columns(sheet, file, LABELLED.roles, data)[0]["label"]
    except UsageError:
        return f"{file} has no labels, so nothing that needs them is looked for"
    return (
        f"no column of {file} is called a label, so nothing that needs labels is looked for; "
        f"`fewtune train` would learn {column!r} (--label {quote(column)} looks at it)"
    )


def shown(row: Row) -> Row:
    """The row with all that it says as its text: a pair, a dialogue, the path of an image."""
    if "messages" in row.fields:
        return row.with_fields(text=as_text(row["messages"]))
    if "text" in row.fields and "text_pair" not in row.fields:
        return row
    said = [value for value in row.fields.values() if isinstance(value, str)]
    texts = [row["text"], row["text_pair"]] if "text_pair" in row.fields else said
    return row.with_fields(text=" | ".join(texts))


def _content(row: Row, marks: Mapping[str, str]) -> list[str]:
    own = [] if "image" in row.fields else [row["text"]]  # the text of an image row is its path
    return [*own, *(marks[path] for path in images_of(row))]


def _read(
    path: Path,
    data: DataOptions,
    options: CheckOptions,
    like: Mapping[str, str] | None,
    name: str | None,
) -> Table:
    """Rows of whatever shape, with the columns that only splits and rules look at."""
    more = {"group": data.group, "time": data.time, "source": options.source}
    asked = {role: column for role, column in more.items() if column}
    return read_any(path, data, like=like, name=name, more=asked)


def _names_differ(files: Mapping[str, Path]) -> bool:
    names = [file.name for file in files.values()]
    return len(set(names)) == len(names)
