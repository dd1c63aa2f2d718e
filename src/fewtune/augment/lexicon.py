"""Words that can stand for one another: WordNet's files, 同义词词林, or any two columns."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.files import at, found

Lexicon = Mapping[str, tuple[str, ...]]
_WORD_COLUMNS = frozenset("word words term 词 词语 单词 原词".split())  # noqa: SIM905
_SYNONYM_COLUMNS = frozenset("synonym synonyms 同义词 近义词".split())  # noqa: SIM905
_CILIN = re.compile(r"^[A-Z][a-z]\d\d[A-Z]\d\d([=#@])\s*(.*)$")


def read_lexicon(path: str) -> Lexicon:
    """Synonyms by word.

    Args:
        path: a file of 同义词词林 (a line is a code ending in `=` and words), of two or more
            columns (a word and its synonyms), or WordNet's `dict` folder.

    Raises:
        UsageError: there is no such file.
        FewtuneError: it holds no synonyms.
    """
    folder = at(path)
    if folder.is_dir():
        return _wordnet(folder)
    text = decoded(found(path, "lexicon").read_bytes(), "lexicon", path)
    if text.lstrip().startswith(("{", "[")):
        raise FewtuneError(
            f"lexicon: {path} is JSON; a file of lines is expected, each a word, a tab or comma, "
            "and its synonyms."
        )
    lines = [line.strip("\ufeff\r\n ") for line in text.splitlines()]
    groups = _cilin(lines) if any(map(_CILIN.match, lines)) else _columns(lines)
    return _by_word(groups, path)


def _cilin(lines: list[str]) -> list[list[str]]:
    """Lines whose code ends in `=`: synonyms. `#` is only related, `@` stands alone."""
    matches = (_CILIN.match(line) for line in lines)
    return [match[2].split() for match in matches if match and match[1] == "="]


def _columns(lines: list[str]) -> list[list[str]]:
    groups = [[word.strip() for word in re.split(r"[\t,;，；]", line)] for line in lines if line]
    return groups[1:] if groups and _names_columns(groups[0]) else groups


def _names_columns(cells: list[str]) -> bool:
    first, *others = (re.sub(r"[\d\W_]", "", cell.casefold()) for cell in cells)
    return first in _WORD_COLUMNS and bool(others) and set(others) <= _SYNONYM_COLUMNS


def _wordnet(folder: Path) -> Lexicon:
    """Synsets of WordNet's data files (wndb(5WN)): single words that share a line."""
    files = sorted(folder.glob("data.*"))
    if not files:
        raise UsageError(
            f"lexicon: {folder} has no WordNet files (data.noun, data.verb, ...); name its `dict` "
            "folder, or a file of synonyms."
        )
    groups = []
    for file in files:
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            parts = line.split(" ")
            if len(parts) > 4 and parts[0].isdigit():
                count = int(parts[3], 16)
                groups.append([parts[4 + 2 * k].split("(")[0] for k in range(count)])
    return _by_word([[one for one in group if "_" not in one] for group in groups], str(folder))


def _by_word(groups: list[list[str]], path: str) -> Lexicon:
    synonyms: dict[str, dict[str, None]] = defaultdict(dict)
    for group in groups:
        for word in filter(None, group):
            synonyms[word].update(dict.fromkeys(one for one in group if one and one != word))
    lexicon = {word: tuple(others) for word, others in synonyms.items() if others}
    if not lexicon:
        raise FewtuneError(
            f"lexicon: {path} holds no synonyms; a line is a word, a tab or comma, and a synonym."
        )
    return lexicon


def decoded(raw: bytes, option: str, path: str) -> str:
    """The text of a file of words that an option names.

    Raises:
        FewtuneError: it is no text.
    """
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise FewtuneError(
        f"{option}: {path} is neither UTF-8 nor GB18030 text, and a file of words was expected; "
        "save it as UTF-8."
    )
