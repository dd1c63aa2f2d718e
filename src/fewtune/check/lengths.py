"""Texts beside what a model can read: cut, unknown, far too long."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fewtune.check.finding import Finding, several, share
from fewtune.check.look import Look
from fewtune.data.near import is_chinese
from fewtune.models.named import READ_CHINESE, WRITE_CHINESE

FAR = 8.0  # times the median length
LONG = 400  # characters; shorter texts are no outliers whatever the median
UNKNOWN = 0.05  # share of unknown tokens in a text, from which it is told
TOO_MANY = 0.2  # share of such texts, from which training would go wrong


def truncated(look: Look) -> Iterator[Finding]:
    """Texts with more tokens than the model reads."""
    room = look.source.room(0)
    lengths = np.array([len(ids) for ids in look.tokens])
    rows = [row.origin for (_, row), n in zip(look.rows, lengths, strict=True) if n > room]
    if rows:
        lost = np.clip(lengths - room, 0, None).sum() / lengths.sum()
        yield Finding(
            "truncated-text",
            "warning",
            f"{share(len(rows), len(look.rows))} of the texts have more than the {room:,} tokens "
            f"that the model reads (the longest {lengths.max():,}); {lost:.1%} of all tokens are "
            "cut at the end.",
            "Put what matters first, shorten, or choose a model that reads more (--max_length "
            "raises the limit where the model allows it).",
            tuple(rows),
        )


def unknown(look: Look) -> Iterator[Finding]:
    """Texts of which the tokenizer knows too little."""
    missing = look.tokenizer.unk_token_id
    if missing is None:
        return  # it falls back on bytes, nothing is unknown
    shares = [
        sum(one == missing for one in ids) / max(1, len(ids) - 2) for ids in look.tokens
    ]  # two of them are marks of begin and end
    rows = [row for (_, row), part in zip(look.rows, shares, strict=True) if part > UNKNOWN]
    if not rows:
        return
    bad = len(rows) > TOO_MANY * len(look.rows)
    chinese = sum(is_chinese(row["text"]) for row in rows) * 2 > len(rows)
    name = look.model.model if look.model else ""
    advice = "Choose a model of the texts' language, or clean what is no text."
    if chinese:
        talks = look.shape.written
        such = " or ".join(WRITE_CHINESE if talks else READ_CHINESE[:2])
        advice = f"Choose a model that reads Chinese, such as {such}."
    yield Finding(
        "unknown-tokens",
        "error" if bad else "warning",
        f"{share(len(rows), len(look.rows))} of the texts have more than {UNKNOWN:.0%} tokens "
        f"that {name} does not know" + (", most of them Chinese." if chinese else "."),
        advice,
        tuple(row.origin for row in rows),
    )


def outlier(look: Look) -> Iterator[Finding]:
    """Texts many times longer than the usual one: pasted mails, joined rows."""
    lengths = np.array([len(row["text"]) for _, row in look.rows])
    usual = float(np.median(lengths))
    limit = max(LONG, FAR * usual)
    rows = [row.origin for (_, row), n in zip(look.rows, lengths, strict=True) if n > limit]
    if rows:
        yield Finding(
            "length-outlier",
            "note",
            f"{several(len(rows), 'text is', 'texts are')} longer than {limit:,.0f} characters, "
            f"where half have at most {usual:,.0f}; the longest has {lengths.max():,}.",
            "Look whether rows were joined by mistake, or whole mails were pasted.",
            tuple(rows),
        )
