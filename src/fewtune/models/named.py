"""Models that advice names, by what fetches them: a short name, or the full id on the hub."""

from __future__ import annotations

from difflib import get_close_matches

MINILM = "minilm"
CLOSE = 0.8  # likeness; a beginning is as close from two thirds of a name on
#: What read Chinese, the smallest first, and what write it. All bring safetensors.
READ_CHINESE = (
    "BAAI/bge-small-zh-v1.5",
    "google-bert/bert-base-chinese",
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
)
WRITE_CHINESE = ("Qwen/Qwen2.5-0.5B-Instruct",)


def meant(name: str) -> str | None:
    """The model that a name which nothing answers to is likely to mean.

    Of a hub's name without its owner a beginning counts and no other likeness: `bge-small-en` is
    another model than `bge-small-zh`.

    >>> meant("minilmm"), meant("bge-small-zh"), meant("bge-small-en")
    ('minilm', 'BAAI/bge-small-zh-v1.5', None)
    """
    told = name.strip().lower()
    if get_close_matches(told, [MINILM], n=1, cutoff=CLOSE) or told.endswith("all-minilm-l6-v2"):
        return MINILM
    known = {one.partition("/")[2].lower(): one for one in (*READ_CHINESE, *WRITE_CHINESE)}
    begun = [one for one in known if one.startswith(told)]
    close = get_close_matches(told, begun, n=1, cutoff=CLOSE)
    return known[close[0]] if close else None
