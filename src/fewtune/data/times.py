"""Points in time as files write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any

_CHINESE = re.compile(r"(\d{4})年(\d{1,2})月(?:(\d{1,2})日?)?")
_CHINESE_CLOCK = re.compile(r"(\d{1,2})[时点](?:(\d{1,2})分?)?(?:(\d{1,2})秒)?")
_ONE_DIGIT = re.compile(r"\b(\d)(?=:)|(?<=:)(\d)\b")  # of a clock: 9:05
_DAY = re.compile(r"(\d{4})(\d\d)(\d\d)(?:\.0)?")
_LOOSE = re.compile(r"^(\d{4})[./-](\d{1,2})[./-](\d{1,2})(?:[T ](.*))?$")


def moments(values: Sequence[Any]) -> list[float | None]:
    """Times of one column that can be compared: all numbers as they stand, else all dates as
    seconds since 1970; None where a value is not what the others are.

    >>> moments(["20240401", "7"]), moments(["20240401", "7", "2024-03-31"])
    ([20240401.0, 7.0], [1711929600.0, None, 1711843200.0])
    """
    numbers = [*map(number, values)]
    return numbers if None not in numbers else [*map(date, values)]


def number(value: Any) -> float | None:
    """A number as it stands; None where it is none, or has no place in an order.

    >>> number("7"), number("nan"), number("2024-03-07")
    (7.0, None, None)
    """
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if isfinite(found) else None


def date(value: Any) -> float | None:
    """A date as seconds since 1970; None where it is none.

    Dates begin with the year (ISO 8601, 2024/3/7, 2024年3月7日, 20240307): what 03/04/2024 means
    depends on the country.

    >>> date("2024/3/7") == date("2024-03-07") == date("2024年3月7日") == date(20240307)
    True
    >>> date("2024/3/7 9:05") == date("2024-03-07T09:05") == date("2024年3月7日9时5分")
    True
    >>> date("03/04/2024") is None
    True
    """
    if isinstance(value, datetime):
        return _seconds(value)
    text = unicodedata.normalize("NFKC", str(value))
    text = _CHINESE.sub(lambda found: f"{found[1]}-{found[2]}-{found[3] or 1} ", text)
    text = _CHINESE_CLOCK.sub(lambda found: ":".join(one or "0" for one in found.groups()), text)
    text = text.strip()
    if found := _DAY.fullmatch(text):
        text = "-".join(found.groups())
    if found := _LOOSE.match(text):
        clock = _ONE_DIGIT.sub(lambda digit: f"0{digit[0]}", (found[4] or "").strip())
        day = f"{found[1]}-{int(found[2]):02}-{int(found[3]):02}"
        text = f"{day}T{clock}" if clock else day
    try:
        return _seconds(datetime.fromisoformat(text))
    except ValueError:
        return None


def _seconds(when: datetime) -> float:
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
