"""Which column plays which role: by the user's word, by its name, by its values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from statistics import mean
from typing import Any, Literal

from fewtune.base.errors import UsageError, did_you_mean, one_of
from fewtune.data.options import DataOptions
from fewtune.data.sheet import Record, Sheet

#: Names that a role's column goes by, the likeliest first. Compared without case, blanks, _ and -.
ALIASES: dict[str, tuple[str, ...]] = {
    "text": (
        "text", "sentence", "content", "review", "comment", "message", "utterance", "description",
        "problem", "question", "query", "report", "title", "headline", "tweet", "document", "body",
        "input", "summary", "remark", "note", "complaint", "symptom", "discrepancy",
        "文本", "内容", "句子", "正文", "评论", "评价", "描述", "问题", "故障描述", "故障现象",
        "现象", "报告", "标题", "题目", "摘要", "备注",
        "內容", "評論", "評價", "問題", "故障現象", "現象", "報告", "標題",
    ),
    "label": (
        "label", "category", "class", "intent", "target", "sentiment", "fault", "faultcode",
        "emotion", "topic", "tag", "type", "y", "polarity", "rating", "stars",
        "标签", "类别", "分类", "类型", "意图", "情感", "故障",
        "故障类型", "故障类别", "主题", "等级",
        "標籤", "類別", "分類", "類型", "意圖", "故障類型", "等級",
    ),
    "labels": (
        "labels", "label", "tags", "categories", "classes", "topics", "标签", "类别", "分类",
    ),
    "messages": ("messages", "conversations", "conversation", "chat", "dialog", "dialogue", "对话"),
    "instruction": ("instruction", "prompt", "question", "query", "task", "指令", "问题", "提示"),
    "input": ("input", "context", "problem", "text", "输入", "上下文"),
    "output": (
        "output", "answer", "response", "completion", "target", "action", "remedy", "solution",
        "输出", "回答", "答案", "处理措施", "解决方案",
    ),
    "query": ("query", "question", "anchor", "sentence1", "problem", "text", "问题", "查询"),
    "positive": (
        "positive", "answer", "document", "passage", "sentence2", "remedy", "答案", "文档",
    ),
    "image": (
        "image", "images", "image_path", "path", "filename", "file_name", "file", "picture",
        "图片", "图像",
    ),
}  # fmt: skip

Kind = Literal["text", "label", "labels", "path", "paths", "any"]
_KINDS: dict[str, Kind] = {
    "label": "label", "labels": "labels", "messages": "any", "image": "path", "images": "paths",
}  # fmt: skip

UNSEEN = ("path", "paths", "any")  # kinds that values do not tell


@dataclass(frozen=True)
class Role:
    """Something a task reads from every row.

    Attributes:
        name: the key in `Row.fields`.
        required: rows without it are set aside, and so is a file without such a column.
        kind: how its values are cleaned: `text` (str), `label` (str), `labels` (tuple of
            str), `path` (str, opens from anywhere), `paths` (tuple of such) or `any` (as it stands
            in the file); by name where not given.
        aliases: column names to look for, the likeliest first; by name where not given.
    """

    name: str
    required: bool = True
    kind: Kind | None = None
    aliases: tuple[str, ...] = ()

    @property
    def reads(self) -> Kind:
        """The kind, decided."""
        return self.kind or _KINDS.get(self.name, "text")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names to look for, normalised, the likeliest first."""
        given = self.aliases or ALIASES.get(self.name, ())
        return tuple(dict.fromkeys(map(normal, (self.name, *given))))


def is_made_up(name: str) -> bool:
    """Whether a column's name is the one that a file without a header gives to its place."""
    return re.fullmatch(r"column \d+", name) is not None


def normal(name: str) -> str:
    """A column's name without case, blanks, underscores and hyphens.

    >>> normal(" Fault_Code ")
    'faultcode'
    """
    return "".join(name.casefold().split()).replace("_", "").replace("-", "").strip("\ufeff")


_KNOWN = {normal(alias) for names in ALIASES.values() for alias in names}


def is_known_name(cell: str) -> bool:
    """Whether a cell is what a column is often called."""
    return normal(cell) in _KNOWN


def unique_names(names: Iterable[str]) -> list[str]:
    """Column names stripped, the empty ones numbered, the second "TYPE" called "TYPE (2)".

    >>> unique_names(["a", "", "a "])
    ['a', 'column 2', 'a (2)']
    """
    done: dict[str, None] = {}
    for k, raw in enumerate(names, start=1):
        name = bare = raw.strip().strip("\ufeff") or f"column {k}"
        again = 2
        while name in done:
            name, again = f"{bare} ({again})", again + 1
        done[name] = None
    return list(done)


def asked_columns(options: DataOptions) -> dict[str, str]:
    """Role -> column as the user wrote them; `--text` and `--label` win over `--map`."""
    plain = {"text": options.text, "label": options.label}
    return {**options.map, **{role: column for role, column in plain.items() if column}}


def columns_asked(options: DataOptions, roles: Sequence[Role]) -> dict[str, str]:
    """As `asked_columns`; where rows may have several labels, `--label` names their column."""
    asked, names = asked_columns(options), {role.name for role in roles}
    if "labels" in names and "label" not in names and "label" in asked:
        asked.setdefault("labels", asked.pop("label"))
    return asked


def find_columns(
    sheet: Sheet,
    file: str,
    roles: Sequence[Role],
    options: DataOptions,
    like: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], list[str]]:
    """Decide which column plays which role.

    Args:
        sheet: the file's content.
        file: its name, for sentences.
        roles: what the task reads.
        options: the user's `text`, `label` and `map`.
        like: columns chosen for another file of the same data set; taken where they exist.

    Returns:
        Role -> column, without the optional roles that no column plays; and notes.

    Raises:
        UsageError: a named column is not there, or none was found for a required role.
    """
    asked = columns_asked(options, roles)
    for unknown in asked.keys() - {r.name for r in roles} - ALIASES.keys():
        turned = any(asked[unknown] == role.name for role in roles)
        hint = f" Write {asked[unknown]}={unknown}." if turned else ""
        raise UsageError(one_of("map", unknown, [r.name for r in roles]) + hint)
    chosen = _all_asked(sheet, file, {r.name: asked[r.name] for r in roles if r.name in asked})
    _refuse_one_for_two(file, chosen)
    for name, column in (like or {}).items():
        if column in sheet.columns and name in {r.name for r in roles}:
            chosen.setdefault(name, column)
    notes: list[str] = []
    for role in sorted(roles, key=lambda r: not r.required):  # the required ones choose first
        if role.name not in chosen:
            _by_name(sheet, role, chosen, notes)
    _by_values(sheet, file, roles, chosen, notes)
    for role in roles:
        if role.required and role.name not in chosen:
            raise UsageError(_taken(file, role, chosen) or _missing(sheet, file, role))
    found = {r.name: chosen[r.name] for r in roles if r.name in chosen}
    notes += [
        f"{file} has a second column {column!r}, called '{column} (2)' here; {role} is read from "
        "the first"
        for role, column in found.items()
        if f"{column} (2)" in sheet.columns
    ]
    return found, notes


def _refuse_one_for_two(file: str, asked: Mapping[str, str]) -> None:
    for column in asked.values():
        if len(both := [role for role, name in asked.items() if name == column]) > 1:
            raise UsageError(
                f"{' and '.join(both)} would both be read from the column {column!r} of {file}; "
                "name one column for each."
            )


def _all_asked(sheet: Sheet, file: str, asked: Mapping[str, str]) -> dict[str, str]:
    """Every column that the user named.

    Raises:
        UsageError: some are not there; a sentence each.
    """
    found, wrong = {}, []
    for role, column in asked.items():
        try:
            found[role] = _asked(sheet, file, role, column)
        except UsageError as error:
            wrong.append(str(error))
    if wrong:
        raise UsageError("\n".join(wrong))
    return found


def _asked(sheet: Sheet, file: str, role: str, column: str) -> str:
    """The column the user named: exactly, or but for case and blanks, or by its number."""
    if column in sheet.columns:
        return column
    close = [c for c in sheet.columns if normal(c) == normal(column)]
    if not sheet.named and column.isdecimal():
        close = [c for c in sheet.columns if c == f"column {int(column)}"]
    if close:
        return close[0]
    raise UsageError(
        f"{file} has no column {column!r} for the role {role}; its columns are "
        f"{listed(sheet.columns)}.{did_you_mean(column, sheet.columns)}"
    )


def _by_name(sheet: Sheet, role: Role, chosen: dict[str, str], notes: list[str]) -> None:
    free = [c for c in sheet.columns if c not in chosen.values()]
    found = [c for name in role.names for c in free if normal(c) == name]
    if found:
        chosen[role.name] = found[0]
    if len(found) > 1 and found[0] != role.name:  # a column of the role's own name is no guess
        notes.append(
            f"{role.name} is read from column {found[0]!r}; {listed(found[1:])} could also be it "
            f"(choose with {_flag(role.name)})"
        )


def _by_values(
    sheet: Sheet, file: str, roles: Sequence[Role], chosen: dict[str, str], notes: list[str]
) -> None:
    """Without a header, or with no column to spare, the values tell text from label."""
    open_roles = [r for r in roles if r.name not in chosen and r.reads not in UNSEEN]
    free = [c for c in sheet.columns if c not in chosen.values()]
    if not open_roles or not free or (sheet.named and len(sheet.columns) > len(roles)):
        return
    texts = [r for r in open_roles if r.reads == "text"]
    labels = [r for r in open_roles if r.reads in ("label", "labels")]
    if sheet.named:  # an id is no system message
        texts, labels = ([r for r in roles if r.required] for roles in (texts, labels))
    if len(texts) > 1:
        return
    shapes = {c: _shape(sheet, c) for c in free}
    if texts:
        longest = max(free, key=lambda c: shapes[c].length)
        _take(texts[0], longest, file, chosen, notes, "the longest values")
        free.remove(longest)
    free = [c for c in free if shapes[c].is_label]
    if labels and free:
        fewest = min(free, key=lambda c: (shapes[c].variety, shapes[c].length))
        _take(labels[0], fewest, file, chosen, notes, "the fewest distinct values")


def _take(
    role: Role, column: str, file: str, chosen: dict[str, str], notes: list[str], why: str
) -> None:
    chosen[role.name] = column
    notes.append(
        f"{role.name} is read from {column!r} of {file}, the column with {why} "
        f"(choose with {_flag(role.name)})"
    )


@dataclass(frozen=True)
class _Shape:
    """A column's values in numbers: mean length in characters, share of distinct ones."""

    length: float
    variety: float
    rows: int

    @property
    def is_label(self) -> bool:
        return self.rows > 0 and self.length <= 60 and (self.variety < 0.9 or self.rows < 10)


def _shape(sheet: Sheet, column: str) -> _Shape:
    records = [r for r in sheet.records[:2000] if isinstance(r, Record)]
    values = [str(v) for v in (r.values.get(column) for r in records) if v not in (None, "")]
    if not values:
        return _Shape(0.0, 1.0, 0)
    return _Shape(mean(map(len, values)), len(set(values)) / len(values), len(values))


def _taken(file: str, role: Role, chosen: Mapping[str, str]) -> str | None:
    """The sentence for a role whose column another role has."""
    for other, column in chosen.items():
        if normal(column) in role.names:
            return (
                f"the column {column!r} of {file} is taken by {other} ({_flag(other)}), and "
                f"{role.name} has no other: name one with {_flag(role.name)}, or leave out the "
                "other."
            )
    return None


def _missing(sheet: Sheet, file: str, role: Role) -> str:
    spelled = {normal(c): c for c in sheet.columns}
    hints = (get_close_matches(name, spelled, n=1, cutoff=0.75) for name in role.names)
    close = next((spelled[hint[0]] for hint in hints if hint), None)
    if len(sheet.columns) == 1 and not close:
        return (
            f"{file} has a single column, {sheet.columns[0]!r}, and none for the role {role.name}; "
            "add one to the file, or give another file."
        )
    return (
        f"{file} has no column for the role {role.name}; its columns are "
        f"{listed(sheet.columns)}: name one with {_flag(role.name)}."
        + (f" Did you mean {close!r}?" if close else "")
    )


def _flag(role: str) -> str:
    own = ("text", "label", "source", "group", "time")
    return f"--{role} COLUMN" if role in own else f"--map {role}=COLUMN"


def listed(columns: Sequence[Any], limit: int = 20) -> str:
    """Columns in a sentence, the first of many."""
    told = ", ".join(str(c) for c in columns[:limit])
    return told + (f" and {len(columns) - limit} more" if len(columns) > limit else "")
