"""What a file holds, found by its columns: labelled texts, pairs, dialogues, images.

A new shape costs an entry in SHAPES. The first that fits is taken, so the narrow ones come first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewtune.base.errors import UsageError
from fewtune.data.columns import Role, asked_columns, columns_asked, find_columns, normal
from fewtune.data.dialogue import from_instruction, from_turns, open_question, open_turns
from fewtune.data.images import IMAGES
from fewtune.data.joined import holds_several, split_labels
from fewtune.data.options import DataOptions
from fewtune.data.sheet import Record, Sheet

LOOKED_AT = 50  # records whose values tell a list from a text
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """A kind of row.

    Attributes:
        name: for people.
        task: what it usually trains: classify, multilabel, generate, retrieve, image, vision-chat.
        roles: what is read, found by the roles' own names for columns.
        fits: whether the columns that were found are this shape's: role -> a value of it.
        joined: what a row becomes of the roles' values; as they stand where not given.
    """

    name: str
    task: str
    roles: tuple[Role, ...]
    fits: Callable[[Fields], bool] = lambda sample: True
    joined: Callable[[Fields], dict[str, Any]] | None = None

    @property
    def written(self) -> bool:
        """Whether a model that writes learns from such rows."""
        return self.task in ("generate", "vision-chat")

    @property
    def pictured(self) -> bool:
        """Whether rows hold images."""
        return self.task in ("image", "vision-chat")


def _dialogue(make: Callable[[Fields], tuple[Any, ...]]) -> Callable[[Fields], dict[str, Any]]:
    def joined(fields: Fields) -> dict[str, Any]:
        return {"messages": make(fields)} | {k: fields[k] for k in KEPT if k in fields}

    return joined


KEPT = ("tools", "images", "group", "time", "source")
_TURNS = ("messages", "conversations", "conversation", "chat", "dialog", "dialogue", "对话")
_SYSTEM = Role("system", required=False, aliases=("system", "系统"))
_TOOLS = Role("tools", required=False, kind="any", aliases=("tools", "functions"))
_ANSWER = ("output", "answer", "response", "completion", "输出", "回答", "答案")
_MANY = ("labels", "tags", "categories", "topics")
_PICTURE = ("image", "images", "imagepath", "file", "filename", "path", "picture", "图片", "图像")


def _messages_role() -> Role:
    return Role("messages", kind="any", aliases=_TURNS)


def _is_turns(key: str) -> Callable[[Fields], bool]:
    """A list of objects that have the key."""

    def fits(sample: Fields) -> bool:
        turns = sample["messages"]
        first = turns[0] if isinstance(turns, list) and turns else None
        return isinstance(first, Mapping) and key in first

    return fits


def _from(question: str, answer: str) -> Callable[[Fields], tuple[Any, ...]]:
    def make(fields: Fields) -> tuple[Any, ...]:
        alpaca = {"instruction": fields[question], "output": fields[answer]}
        return from_instruction({**fields, **alpaca})

    return make


#: What most files hold.
LABELLED = Shape("text/label", "classify", (Role("text"), Role("label")))
SHAPES: tuple[Shape, ...] = (
    Shape(
        "messages with images",
        "vision-chat",
        (_messages_role(), Role("images"), _SYSTEM, _TOOLS),
        _is_turns("role"),
        _dialogue(from_turns),
    ),
    Shape("messages", "generate", (_messages_role(), _SYSTEM, _TOOLS), _is_turns("role"),
          _dialogue(from_turns)),
    Shape("sharegpt", "generate", (_messages_role(), _SYSTEM, _TOOLS), _is_turns("from"),
          _dialogue(from_turns)),
    Shape(
        "alpaca",
        "generate",
        (
            Role("instruction", aliases=("instruction", "指令")),
            Role("input", required=False, aliases=("input", "输入")),
            Role("output", aliases=("output", *_ANSWER)),
            _SYSTEM,
            Role("history", required=False, kind="any", aliases=("history", "历史")),
        ),
        joined=_dialogue(from_instruction),
    ),
    Shape(
        "prompt/completion",
        "generate",
        (Role("prompt", aliases=("prompt", "提示")), Role("completion", aliases=_ANSWER), _SYSTEM),
        joined=_dialogue(_from("prompt", "completion")),
    ),
    Shape(
        "triplet",
        "retrieve",
        (
            Role("anchor", aliases=("anchor", "query", "question")),
            Role("positive", aliases=("positive", "pos")),
            Role("negative", required=False, aliases=("negative", "neg", "hardnegative")),
        ),
    ),
    Shape(
        "qrels",
        "retrieve",
        (
            Role("query_id", aliases=("queryid", "qid")),
            Role("corpus_id", aliases=("corpusid", "docid", "pid", "docno")),
            Role("score", kind="label", aliases=("score", "relevance", "rel")),
        ),
    ),
    Shape(
        "query/response",
        "generate",
        (
            Role("query", aliases=("query", "question", "问题", "查询")),
            Role("response", aliases=("response", "answer", "回答", "答案")),
            _SYSTEM,
        ),
        joined=_dialogue(_from("query", "response")),
    ),
    Shape(
        "text pair",
        "classify",
        (
            Role("text", aliases=("sentence1", "text1", "texta", "premise", "question1", "文本1")),
            Role("text_pair", aliases=("sentence2", "text2", "textb", "hypothesis", "question2",
                                       "textpair", "文本2")),
            Role("label"),
        ),
        lambda sample: sample["text"] != sample["text_pair"],
    ),
    Shape(
        "image/label",
        "image",
        (Role("image", aliases=_PICTURE), Role("label")),
        lambda sample: str(sample["image"]).casefold().endswith(IMAGES),
    ),
    Shape(
        "multi-label",
        "multilabel",
        (Role("text"), Role("labels", aliases=(*_MANY, "label", "标签", "类别"))),
        lambda sample: isinstance(sample["labels"], list),
    ),
    LABELLED,
    Shape("plain text", "generate", (Role("text"),)),
)  # fmt: skip
#: Texts alone, which every file with a text is where nothing narrower fits.
PLAIN = SHAPES[-1]
#: Several labels a row.
TAGGED = next(shape for shape in SHAPES if shape.name == "multi-label")
#: What a dialogue is, however its file writes it.
DIALOGUE = next(shape for shape in SHAPES if shape.name == "messages")

#: What waits for an answer: the same shapes with the answer left out, or not there yet.
PROMPTS: tuple[Shape, ...] = (
    Shape("messages", "generate", (_messages_role(), _SYSTEM, _TOOLS),
          joined=_dialogue(open_turns)),
    Shape(
        "instruction",
        "generate",
        (
            Role("instruction", aliases=("instruction", "指令")),
            Role("input", required=False, aliases=("input", "输入")),
            _SYSTEM,
        ),
        joined=_dialogue(open_question),
    ),
    Shape(
        "prompt",
        "generate",
        (Role("instruction", aliases=("prompt", "query", "question", "text", "提示", "问题",
                                      "文本")), _SYSTEM),
        joined=_dialogue(open_question),
    ),
)  # fmt: skip


def find_shape(
    sheet: Sheet, file: str, options: DataOptions, shapes: Sequence[Shape] = SHAPES
) -> tuple[Shape, list[str]]:
    """What a file holds.

    Args:
        sheet: its content.
        file: its name, for sentences.
        options: columns that the user named; their roles decide where they can.
        shapes: those that it may have.

    Raises:
        UsageError: no shape fits, or a named role belongs to none.
    """
    asked = asked_columns(options)
    for shape in shapes:
        named = columns_asked(options, shape.roles)
        if not named.keys() <= {role.name for role in shape.roles}:
            continue
        sample = _sample(sheet, shape, named)
        if sample is not None and (asked.keys() & {"labels", "messages"} or shape.fits(sample)):
            # beside a text, a column whose name says nothing may hold labels
            tagged = shape is PLAIN and _by_cells(sheet, file, options) is TAGGED
            return TAGGED if tagged else shape, []
    if shapes is SHAPES and (asked or not sheet.named or len(sheet.columns) <= 2):
        # a header is not needed for a text and a label: the columns' values tell them apart
        return _by_cells(sheet, file, options), []
    names = ", ".join(shape.name for shape in shapes)
    raise UsageError(
        f"{file} holds none of the shapes that fewtune reads ({names}); its columns are "
        f"{', '.join(sheet.columns[:20])}: name them, such as --map text=COLUMN,label=COLUMN."
    )


def _sample(sheet: Sheet, shape: Shape, asked: Mapping[str, str]) -> dict[str, Any] | None:
    """A value for every required role, where each has a column of one of its names."""
    free = {normal(column): column for column in sheet.columns if column not in asked.values()}
    found: dict[str, Any] = {}
    for role in shape.roles:
        column = asked.get(role.name) or next(
            (free[name] for name in role.names if name in free), None
        )
        if column is None:
            if role.required:
                return None
            continue
        free = {name: one for name, one in free.items() if one != column}
        found[role.name] = _value(sheet, column, role.reads == "labels")
    return found


def _value(sheet: Sheet, column: str, several: bool) -> Any:
    """The first value of a column; where several labels may be in a cell and are, a list."""
    records = (record for record in sheet.records[:LOOKED_AT] if isinstance(record, Record))
    values: Sequence[Any] = [record.values.get(column) for record in records]
    empty: Any = [] if any(isinstance(value, list) for value in values) else None
    first = next((value for value in values if value not in (None, "", [])), empty)
    if several and isinstance(first, str) and _several(sheet, column):
        return split_labels(first)
    return first


def _by_cells(sheet: Sheet, file: str, options: DataOptions) -> Shape:
    """One label a row or several, where the columns' names say nothing."""
    try:
        column = find_columns(sheet, file, LABELLED.roles, options)[0]["label"]
    except UsageError:
        return LABELLED  # what reads the rows says what is missing
    return TAGGED if _several(sheet, column) else LABELLED


def _several(sheet: Sheet, column: str) -> bool:
    return holds_several(
        record.values.get(column) for record in sheet.records if isinstance(record, Record)
    )
