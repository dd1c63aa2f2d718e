"""Sizes and times as people write them, read (`24GB`, `10m`) and told (`1.5 GiB`, `13 min`)."""

from __future__ import annotations

import re
import unicodedata
from math import ceil

from fewtune.base.errors import UsageError

LEAST_BARE = 10  # a smaller number without a unit is hardly meant as seconds
MOST_DECIMALS = 4  # of a percentage
LEAST = 10**6  # bytes; a smaller size has lost its unit
_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def bytes_of(told: str, option: str = "memory") -> int:
    """Bytes of a size; GB are 10^9 bytes, GiB 2^30.

    >>> bytes_of("24GB"), bytes_of("1.5 GiB"), bytes_of("８００ＭＢ")
    (24000000000, 1610612736, 800000000)

    Raises:
        UsageError: it is no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", _plain(told))
    size = float(found[1]) * _DECIMAL[found[2]] if found else 0
    if not found or (found[3] and not found[2]) or size < LEAST:
        raise UsageError(f"{option}: a size such as 24GB, 24GiB or 800MB; got {told!r}.")
    return int(float(found[1]) * (_BINARY if found[3] else _DECIMAL)[found[2]])


def percent(share: float, decimals: int = 1) -> str:
    """A share in per cent, with as many more decimals as tell it from none and from all.

    >>> percent(0.873), percent(0.9997), percent(0.0002), percent(1.0)
    ('87.3', '99.97', '0.02', '100.0')
    """
    away = min(abs(share), abs(1 - share))
    while away and decimals < MOST_DECIMALS and away < 0.5 * 10 ** -(decimals + 2):
        decimals += 1
    return f"{100 * share:.{decimals}f}"


def seconds_of(told: str, option: str = "budget") -> float:
    """Seconds of a time; a number alone is seconds, unless it is so small that minutes are meant.

    >>> seconds_of("10m"), seconds_of("90"), seconds_of("1.5 h")
    (600.0, 90.0, 5400.0)

    Raises:
        UsageError: it is no time, or its unit is doubtful.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|)", _plain(told))
    if not found or not float(found[1]) or (not found[2] and float(found[1]) < LEAST_BARE):
        raise UsageError(f"{option}: a time such as 90s, 10m or 2h; got {told!r}.")
    return float(found[1]) * _SECONDS[found[2]]


def as_budget(seconds: float) -> str:
    """A length of time as `seconds_of` reads it, in minutes or hours, rounded up.

    >>> as_budget(3), as_budget(700), as_budget(7300)
    ('1m', '12m', '3h')
    """
    minutes = ceil(seconds / 60)
    return f"{minutes}m" if minutes <= 90 else f"{ceil(seconds / 3600)}h"


def told_bytes(count: float) -> str:
    """A size in binary units.

    >>> told_bytes(900), told_bytes(3e7), told_bytes(1.5 * 2**30), told_bytes(2e12)
    ('900 B', '29 MiB', '1.5 GiB', '1,862.6 GiB')
    """
    if count < 2**20:
        return f"{count:.0f} B" if count < 2**10 else f"{count / 2**10:.0f} KiB"
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"


def told_time(seconds: float) -> str:
    """A length of time in one unit, about as exact as a prediction.

    >>> told_time(3.21), told_time(34.4), told_time(100), told_time(754), told_time(7265)
    ('3.2 s', '34 s', '1.7 min', '13 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min" if seconds >= 570 else f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:,.1f} h"


def _plain(told: str) -> str:
    """Full-width digits and letters as plain ones."""
    return unicodedata.normalize("NFKC", str(told)).strip().lower()
