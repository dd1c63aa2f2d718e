"""What each candidate of a comparison writes and forgets: the columns of it, and a sentence."""

from __future__ import annotations

from fewtune.report import words
from fewtune.report.standings import Column, Line

#: Metrics of written answers in tables, where there are any; the others are in the files.
WRITTEN = ("exact_match", "rougeL", "rougeL_characters", "chrf")


def columns(told: Line) -> list[Column]:
    """The table of what each writes and forgets; none where nobody was asked."""
    asked = told.get("aside")
    if not asked:
        return []
    found = [Column("method", lambda one: one["name"], right=False)]
    if asked["passages"]:
        found.append(Column("forgets", lambda one: _forgets(one.get("forgets"))))
    lines = [*told["methods"], *told["steps"]]
    for key in WRITTEN:
        if any(key in (one.get("written") or {}) for one in lines):
            found.append(_of_metric(key))
    return found if len(found) > 1 else []


def lines_of(told: Line) -> list[Line]:
    """Those who were asked, methods and then what was changed."""
    lines = [*told["methods"], *told["steps"]]
    return [one for one in lines if one.get("forgets") or one.get("written")]


def _of_metric(key: str) -> Column:
    name = words.metric_name(key).replace(" by characters", ", chars")
    percent = words.is_share(key)
    return Column(f"{name}, %" if percent else name, lambda one: _short(key, one.get("written")))


def _short(key: str, written: Line | None) -> str:
    """Of few rows, whose intervals are wide: `12 (8-17)`."""
    one = (written or {}).get(key)
    if one is None:
        return words.NONE
    scale = 100 if words.is_share(key) else 1
    value, low, high = (f"{scale * one[end]:.0f}" for end in ("value", "low", "high"))
    return f"{value} ({low}-{high})"


def _forgets(change: Line | None) -> str:
    """How much the loss on general texts rose, nats a token."""
    if change is None:
        return words.NONE
    value, low, high = (_signed(change[end]) for end in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _signed(value: float) -> str:
    """Two decimals and a sign, but for nought.

    >>> _signed(0.123), _signed(-0.5), _signed(-0.001)
    ('+0.12', '−0.50', '0.00')
    """
    text = f"{abs(value):.2f}"
    sign = "" if not float(text) else "+" if value > 0 else "−"
    return sign + text


def said(told: Line) -> str:
    """How the table of what each writes and forgets came about; nothing where there is none."""
    if not columns(told):
        return ""
    asked, parts = told["aside"], []
    if asked["rows"]:
        parts.append(
            f"wrote answers of at most {asked['tokens']:,} tokens to "
            f"{words.several(asked['rows'], 'row')} held out of it"
        )
    if asked["passages"]:
        parts.append(f"read {words.several(asked['passages'], 'general passage')}")
    forgets = (
        " It forgets as much as the loss on these rose, in nats a token."
        if asked["passages"]
        else ""
    )
    took = words.duration(asked["seconds"])
    return f"After its first fold each {' and '.join(parts)}; that took {took} in all.{forgets}"
