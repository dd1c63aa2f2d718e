"""What results.jsonl and traced.jsonl say, as the tables of README.md.

python -m benchmarks.memory.table
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
AIM = 0.15  # share of the measured peak


def main() -> None:
    """Print both tables and how many cases reach the aim."""
    found = [one for one in _lines("results.jsonl") if one.get("measured")]
    _print(
        ("case", "measured", "predicted", "predicted / measured", "tensors counted",
         "freed memory kept", "accelerate / measured"),
        map(_measured, found),
    )  # fmt: skip
    ratios = [one["predicted"]["peak"] / one["measured"] for one in found]
    reached = sum(abs(ratio - 1) <= AIM for ratio in ratios)
    print(
        f"\n{reached} of {len(ratios)} cases within {AIM:.0%} (median {median(ratios):.3f}, "
        f"{min(ratios):.3f} to {max(ratios):.3f}).\n"
    )
    _print(
        ("7B, on fake tensors", "counted", "predicted", "predicted / counted", "seconds"),
        map(_traced, _lines("traced.jsonl")),
    )
    for one in _lines("results.jsonl"):
        if one.get("why"):
            print(f"\n{one['case']}: not measured ({one['why']}).")


def _measured(one: dict[str, Any]) -> tuple[str, ...]:
    real, told = one["measured"], one["predicted"]["peak"]
    kept = one.get("measured_kept")
    return (
        one["case"],
        _mib(real),
        _mib(told),
        f"{told / real:.2f}",
        _mib(one["counted"]),
        f"{kept / real:.2f} times" if kept else "",
        f"{one['estimate'] / real:.2f}",
    )


def _traced(one: dict[str, Any]) -> tuple[str, ...]:
    real, told = one["counted"], one["told"]["peak"]
    return one["case"], _mib(real), _mib(told), f"{told / real:.3f}", f"{one['seconds']:.0f}"


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _print(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def _lines(name: str) -> list[dict[str, Any]]:
    path = HERE / name
    return (
        [json.loads(one) for one in path.read_text("utf-8").splitlines()] if path.exists() else []
    )


if __name__ == "__main__":
    main()
