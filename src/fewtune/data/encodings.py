"""From bytes to text: the encoding is found out, and undecodable places are marked, not lost."""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

from fewtune.base.errors import UsageError
from fewtune.data.sheet import Source

#: Stands where bytes could not be decoded. A lone surrogate: no encoding can produce it.
MARK = "\udcff"

_BOMS = [  # UTF-32 first: its little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_SPOKEN = {
    "gb18030": "GB18030",
    "cp950": "Big5",
    "cp1252": "latin-1 (Windows)",
    "latin-1": "latin-1",
}
_HIGH = re.compile(rb"[\x80-\xff]")
# Punctuation, level 1 and level 2 of GB 2312: nearly all of written Chinese. In latin-1 text a
# high byte rarely stands beside another, so its pairs fall outside.
# Big5: the second byte of a pair may be an ASCII letter, as behind an umlaut; but Chinese is
# written in words of several.
_BIG5 = re.compile(rb"(?:[\x81-\xfe][\x40-\x7e\xa1-\xfe])+")
_CHINESE = re.compile(rb"[\xa1-\xa3\xb0-\xf7][\xa1-\xfe]")


@dataclass(frozen=True)
class Text:
    """A decoded file. `damaged` is True where MARK stands somewhere in `text`."""

    text: str
    encoding: str
    damaged: bool = False
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        r"""Physical lines with their ends; only \n, \r and \r\n end one (splitlines has more)."""
        return list(io.StringIO(self.text, newline=""))


def decode(source: Source) -> Text:
    """Decode a file: the named encoding, else BOM, UTF-16 by its zero bytes, UTF-8, GB18030,
    Big5, latin-1.

    Raises:
        UsageError: `source.encoding` is no encoding that Python knows.
    """
    encoding = source.encoding or _guess(source.raw)
    try:
        if codecs.lookup(encoding).name == "utf-8" and source.raw.startswith(codecs.BOM_UTF8):
            encoding = "utf-8-sig"
        text = source.raw.decode(encoding, errors="fewtune-mark")
    except (LookupError, ValueError) as error:
        raise UsageError(
            f"encoding: {source.encoding!r} cannot decode {source.name} ({error}); "
            "use a name such as utf-8, gb18030, utf-16 or latin-1, or leave it out."
        ) from None
    notes = []
    if source.encoding is None and encoding in _SPOKEN:
        notes.append(
            f"{source.name} is not UTF-8; it is read as {_SPOKEN[encoding]} "
            "(--encoding names another)"
        )
    return Text(text, encoding, MARK in text, notes)


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return MARK, error.end


codecs.register_error("fewtune-mark", _mark)


def is_foreign(path: Path) -> bool:
    """Whether a file that is there is text in another encoding than plain UTF-8."""
    return path.is_file() and _guess(path.read_bytes()) != "utf-8"


def _guess(raw: bytes) -> str:
    for bom, encoding in _BOMS:
        if raw.startswith(bom):
            return encoding
    wide = _utf16_without_bom(raw)
    if wide:
        return wide
    try:
        raw.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        return "utf-8" if _mostly_utf8(raw) else _by_letters(raw)


def _utf16_without_bom(raw: bytes) -> str | None:
    """UTF-16 shows by zero bytes at one parity only: those of line ends, digits, Latin letters."""
    head = raw[: min(len(raw), 1 << 16) & ~1]
    even, odd = head[::2].count(0), head[1::2].count(0)
    # Half of a percent of the characters: Chinese prose has a line end or digit that often. The
    # other parity is not quite without zeros: those of 开 (5F 00), 需 (97 00) and their like.
    if max(even, odd) * 200 < max(len(head), 400) / 2 or min(even, odd) * 3 > max(even, odd):
        return None
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return None
    return encoding if "\n" in text or "\r" in text else None


def _mostly_utf8(raw: bytes) -> bool:
    """Whether more of the lines with high bytes are valid UTF-8 than are not."""
    good = bad = 0
    for line in raw.split(b"\n"):
        if not line.isascii():
            try:
                line.decode("utf-8")
                good += 1
            except UnicodeDecodeError:
                bad += 1
    return good > bad


def _is_big5(raw: bytes) -> bool:
    """Whether it decodes as Big5, and to words of its punctuation and 5,401 common characters."""
    try:
        raw.decode("cp950")
    except UnicodeDecodeError:
        return False
    words = _BIG5.findall(raw)
    common = sum(0xA1 <= lead <= 0xC6 for word in words if len(word) > 2 for lead in word[::2])
    return 2 * common >= 0.7 * sum(map(len, words))


def _by_letters(raw: bytes) -> str:
    """GB18030, Big5 or latin-1, by which pairs of bytes there are."""
    high = len(_HIGH.findall(raw))
    chinese = 2 * len(_CHINESE.findall(raw))
    if chinese >= 0.7 * high:
        return "gb18030"
    if _is_big5(raw):
        return "cp950"
    try:
        raw.decode("cp1252")  # latin-1 plus the curly quotes that Windows programs write
        return "cp1252"
    except UnicodeDecodeError:
        return "latin-1"
