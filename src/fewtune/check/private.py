"""What should not be learned by heart: addresses, numbers, keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fewtune.check.finding import Finding, several, share
from fewtune.check.look import Look

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
_CHECK = "10X98765432"
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # ！ to ～, a letter each
#: Where a telephone number may begin: in no number or part number, but `Tel138...` is one.
_BEGIN = r"(?:(?<![A-Za-z0-9])(?<!\d[.-])|(?<=tel)|(?<=phone)|(?<=mobile))"
#: Letters and two digits or more without a break, as no words of a name have them.
_MIXED = r"(?=\d*[A-Za-z])(?=[A-Za-z]*\d[A-Za-z]*\d)[A-Za-z0-9]{16}"
_AREA = r"0(?:10|2\d|[3-9]\d\d)"  # of China
#: Country codes (ITU-T E.164).
_COUNTRY = (
    r"(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|2[1-689]\d|3[578]\d|42\d|5[09]\d|6[7-9]\d|8[0578]\d|9[679]\d)"
)


@dataclass(frozen=True)
class Secret:
    """A kind of private text: where to look, and whether what looks like it is one."""

    code: str
    what: str
    pattern: re.Pattern[str]
    is_one: Callable[[str], bool] = lambda _: True
    severity: str = "warning"

    def found(self, text: str) -> list[str]:
        """What of this kind a text holds."""
        return [text[start:end] for start, end in self._places(text)]

    def masked(self, text: str) -> str:
        """The text with every one replaced by its kind in brackets."""
        mark = f"[{self.what.upper().replace(' ', '_')}]"
        for start, end in reversed(self._places(text)):
            text = text[:start] + mark + text[end:]
        return text

    def _places(self, text: str) -> list[tuple[int, int]]:
        """Where they begin and end; full-width digits and marks are read as half-width ones."""
        hits = self.pattern.finditer(text.translate(_HALF_WIDTH))
        return [hit.span() for hit in hits if self.is_one(hit[0])]


def luhn(digits: str) -> bool:
    """The check digit of bank cards (ISO/IEC 7812-1).

    >>> luhn("4539 1488 0343 6467"), luhn("4539 1488 0343 6468")
    (True, False)
    """
    numbers = [int(one) for one in re.sub(r"\D", "", digits)][::-1]
    doubled = (sum(divmod(2 * one, 10)) for one in numbers[1::2])
    return len(set(numbers)) > 1 and (sum(numbers[::2]) + sum(doubled)) % 10 == 0


def chinese_identity(number: str) -> bool:
    """The check character of a Chinese identity number (GB 11643-1999).

    >>> chinese_identity("11010519491231002X"), chinese_identity("110105194912310021")
    (True, False)
    """
    total = sum(int(one) * weight for one, weight in zip(number, _WEIGHTS, strict=False))
    return _CHECK[total % 11] == number[-1].upper()


SECRETS = (
    Secret(
        "private-key",
        "key",
        re.compile(
            r"AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{50,}"
            rf"|(?<![A-Za-z0-9])sk-(?=(?:[A-Za-z0-9]*[_-])*{_MIXED})[A-Za-z0-9_-]{{20,}}"
            r"|xox[abprs]-[\w-]{10,}|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,}|LTAI[A-Za-z0-9]{16,}"
            r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
        ),
        severity="error",
    ),
    Secret(
        "private-email",
        "e-mail",
        re.compile(
            r"(?<![A-Za-z0-9_.+-])[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}"
            r"@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
        ),
    ),
    Secret(
        "private-id-cn",
        "identity number",
        re.compile(r"(?<!\d)[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dXx](?!\d)"),
        chinese_identity,
    ),
    Secret(
        "private-card",
        "card number",
        re.compile(r"(?<![\d.-])[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{3,7}(?![\d-])"),
        luhn,
    ),
    Secret(
        "private-phone",
        "telephone",
        re.compile(
            rf"{_BEGIN}(?:(?:\+|00)?86[ -]?)?1[3-9]\d(?:[ -]?\d{{4}}){{2}}(?!-?\d)"
            rf"|{_BEGIN}(?:\({_AREA}\)[ -]?|{_AREA}[ -])\d{{7,8}}(?:-\d{{1,6}})?(?!-?\d)"
            r"|(?<![\d.-])(?:\+?1[ -])?\(?[2-9]\d{2}\)?[ -][2-9]\d{2}-\d{4}(?![\d-])"
            rf"|\+{_COUNTRY}[ -]\d{{2,4}}(?:[ -]\d{{2,4}}){{2,4}}(?![\d-])",
            re.IGNORECASE,
        ),
    ),
)  # fmt: skip


def rule_of(secret: Secret) -> Callable[[Look], Iterator[Finding]]:
    """The rule that finds one kind."""

    def rule(look: Look) -> Iterator[Finding]:
        hits = [(row, found) for _, row in look.rows if (found := secret.found(row["text"]))]
        if hits:
            count = sum(len(found) for _, found in hits)
            yield Finding(
                secret.code,
                secret.severity,  # type: ignore[arg-type]
                f"{share(len(hits), len(look.rows))} of the texts hold "
                f"{several(count, secret.what)}, which a model can learn by heart and repeat.",
                "Mask them: --fix OUT --mask." if look.fixable else "Mask them.",
                tuple(row.origin for row, _ in hits),
            )

    return rule


def mask(text: str) -> str:
    """A text without anything private.

    >>> mask("call 13812345678 or mail li@example.com")
    'call [TELEPHONE] or mail [E-MAIL]'
    """
    for secret in SECRETS:
        text = secret.masked(text)
    return text
