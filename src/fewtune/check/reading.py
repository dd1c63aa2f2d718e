"""What reading found: rows that were set aside, mended or cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fewtune.check.finding import Finding, Severity, share, some
from fewtune.check.look import Look
from fewtune.data.holdout import labels_of
from fewtune.data.ledger import Entry
from fewtune.data.splits import natural

#: What to do about rows that were set aside, by code.
MEND = {
    "format-encoding": "save the file as UTF-8, or name its --encoding",
    "format-ragged": "put quotes round cells that hold the delimiter or a line break",
    "format-quotes": "close the quotes, and double those inside a cell",
    "format-header": "leave the repeated header out, it came from joining files",
    "format-json": "write one whole JSON object a line, or one list of objects",
    "format-type": "give one value where a text or a label is expected, and a list of turns as "
    "messages",
    "empty-text": "write the text, or delete the row",
    "empty-label": "label the rows; `fewtune label` suggests labels",
    "empty-turn": "write what the assistant says, or leave the dialogue out",
    "format-role": "rename the roles to system, user, assistant and tool",
    "format-turns": "bring the turns into order: a system message first, then user and assistant "
    "by turns, an answer at the end",
}


def told(code: str) -> Callable[[Look], Iterator[Finding]]:
    """The rule that tells of the rows set aside, or mended and kept, with `code`."""

    def rule(look: Look) -> Iterator[Finding]:
        ledger = look.ledger
        aside = [entry for entry in ledger.quarantined if entry.code == code]
        mended = [entry for entry in ledger.fixed if entry.code == code]
        if aside:
            what = f"{share(len(aside), ledger.read)} of the rows are set aside"
            yield _finding(code, "warning", aside, what, f"{MEND[code].capitalize()}.")
        if mended:
            what = f"{share(len(mended), ledger.read)} of the rows were mended and are kept"
            do = "Nothing; --fix writes them so." if look.mends_texts else "Nothing."
            yield _finding(code, "note", mended, what, do)

    return rule


#: What programs and people write where there is no label.
NO_LABEL = frozenset(
    ["nan", "none", "null", "nil", "n/a", "na", "-", "--", "?", "无", "空", "未标注", "缺失"]
) | {"#n/a", "#ref!", "#value!", "#name?", "#div/0!", "#null!", "#num!"}  # of spreadsheets
#: Words for nothing that are one of two classes where the other one is a label too.
ONE_OF_TWO = {"无": "有", "-": "+", "--": "+"}


def no_label(look: Look) -> Iterator[Finding]:
    """Rows without a label: set aside, or with a word for nothing as their class."""
    yield from told("empty-label")(look)
    every = {label for _, row in look.rows for label in labels_of(row)}
    empty = {label for label in every if label.casefold() in NO_LABEL}
    words = natural({label for label in empty if ONE_OF_TWO.get(label) not in every})
    rows = [row.origin for _, row in look.rows if not set(words).isdisjoint(labels_of(row))]
    if rows:
        yield Finding(
            "empty-label",
            "warning",
            f"{share(len(rows), len(look.rows))} of the rows have the label {some(words, 5)}, "
            "which mostly means that there is none, and is learned as a class.",
            "Leave such cells empty (the rows are then set aside), or name the class in a word.",
            tuple(rows),
        )


def cut(look: Look) -> Iterator[Finding]:
    """Texts longer than --max_characters."""
    if entries := look.ledger.truncated:
        what = f"{share(len(entries), look.ledger.kept)} of the texts are cut"
        do = "Shorten them, or raise --max_characters where the model reads so much."
        yield _finding("truncated-characters", "warning", entries, what, do)


def _finding(
    code: str, severity: Severity, entries: Sequence[Entry], what: str, do: str
) -> Finding:
    rows = tuple(dict.fromkeys(entry.origin for entry in entries))
    return Finding(code, severity, f"{what}; the first: {entries[0].reason}.", do, rows)
