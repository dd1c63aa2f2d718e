"""The trials by method and setting, each against the probe of the same fold.

    python -m benchmarks.defaults.summary

Points of accuracy and log-loss gained over the probe, a column a data set (mean over folds), and
the mean over data sets; the setting with the lowest log-loss of a method is marked.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

Setting = tuple[str, float, float]  # method, rate, passes


def main() -> None:
    """Print one Markdown table."""
    lines = Path("benchmarks/defaults/trials.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[Setting, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for line in map(json.loads, lines):
        name, _, method, rate, passes = line["key"]
        found[method, rate, passes][name].append(line)
    names = sorted({name for by_name in found.values() for name in by_name})
    best = _best(found)
    print("| method | rate | passes | " + " | ".join(names) + " | mean |")
    print("|" + " --- |" * (len(names) + 4))
    for setting in sorted(found):
        method, rate, passes = setting
        cells = [_cell(found[setting].get(name, [])) for name in names]
        mark = " **best**" if best[method] == setting else ""
        mean = _cell([line for each in found[setting].values() for line in each])
        print(f"| {method} | {rate:g} | {passes:g} | {' | '.join(cells)} | {mean}{mark} |")


def _best(found: dict[Setting, dict[str, list[dict]]]) -> dict[str, Setting]:
    """By the mean gain in log-loss over data sets, among settings tried on as many of them."""
    best: dict[str, tuple[int, float, Setting]] = {}
    for setting, by_name in found.items():
        gain = sum(_gain(lines)[1] for lines in by_name.values()) / len(by_name)
        best[setting[0]] = max(
            best.get(setting[0], (0, 0.0, setting)), (len(by_name), gain, setting)
        )
    return {method: setting for method, (_, _, setting) in best.items()}


def _gain(lines: list[dict]) -> tuple[float, float]:
    points = [100 * (line["accuracy"] - line["probe_accuracy"]) for line in lines]
    nats = [line["probe_log_loss"] - line["log_loss"] for line in lines]
    return sum(points) / len(lines), sum(nats) / len(lines)


def _cell(lines: list[dict]) -> str:
    if not lines:
        return ""
    points, nats = _gain(lines)
    return f"{points:+.1f} / {nats:+.3f} ({len(lines)})"


if __name__ == "__main__":
    main()
