"""Models that recipes ask, without any: the same answers every time."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from fewtune.data.near import is_chinese

OTHERS = {
    "pump": ("blower", "motor"), "hot": ("warm", "warmer"), "noise": ("sound",),
    "dark": ("black", "off"), "display": ("screen",), "启动": ("开动",), "温度": ("热度",),
    "严重": ("厉害", "明显"), "显示屏": ("屏幕",),
}  # fmt: skip
ANY = {False: ("really", "still", "today"), True: ("确实", "仍然", "今天")}
BEGINNINGS = {
    False: ("they say ", "it seems ", "as told, "),
    True: ("据说", "看来", "反映称"),
}


class FakeProposer:
    """Knows a few words, and what may stand anywhere. Counts how often it was asked."""

    calls = 0

    def __call__(
        self, texts: Sequence[Sequence[str]], at: Sequence[Sequence[int]]
    ) -> list[dict[int, tuple[str, ...]]]:
        self.calls += 1
        return [
            {
                k: OTHERS.get(pieces[k], ()) if pieces[k] else ANY[is_chinese("".join(pieces))]
                for k in asked
            }
            for pieces, asked in zip(texts, at, strict=True)
        ]


class FakeTranslator:
    """Puts a few words before a text: always the same ones, or drawn."""

    def __call__(self, texts: Sequence[str], sample: bool, seed: int) -> list[str]:
        return [self._translated(text, seed if sample else None) for text in texts]

    def _translated(self, text: str, seed: int | None) -> str:
        choices = BEGINNINGS[is_chinese(text)]
        return (choices[0] if seed is None else Random(f"{seed} {text}").choice(choices)) + text
