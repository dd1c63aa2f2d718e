"""Points in time as files write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

_CHINESE = re.compile(r"(\d{4})年(\d{1,2})月(?:(\d{1,2})日?)?")
_LOOSE = re.compile(r"^(\d{4})[./-](\d{1,2})[./-](\d{1,2})(?:[T ](.*))?$")


def moment(value: Any) -> float | None:
    """A number as it stands, a date as seconds since 1970; None where it is neither.

    Dates begin with the year (ISO 8601, 2024/3/7, 2024年3月7日): what 03/04/2024 means depends on
    the country.

    >>> moment("7"), moment("2024/3/7") == moment("2024-03-07") == moment("2024年3月7日")
    (7.0, True)
    >>> moment("03/04/2024") is None
    True
    """
    if isinstance(value, datetime):
        return _seconds(value)
    text = str(value).strip()
    try:
        return float(text)
    except ValueError:
        pass
    text = _CHINESE.sub(lambda found: f"{found[1]}-{found[2]}-{found[3] or 1}", text)
    if found := _LOOSE.match(text):
        text = f"{found[1]}-{int(found[2]):02}-{int(found[3]):02}" + (
            f"T{found[4].strip()}" if found[4] else ""
        )
    try:
        return _seconds(datetime.fromisoformat(text))
    except ValueError:
        return None


def _seconds(when: datetime) -> float:
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
