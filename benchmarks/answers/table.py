"""From the lines of results.jsonl to tables: targets and verdicts, then every case.

python -m benchmarks.answers.table [FILE]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from benchmarks.table import BUSY, _grid, _spread, _verdict

HERE = Path(__file__).parent

Runs = dict[str, dict[str, list[dict[str, Any]]]]  # case -> side -> its runs

#: A case's columns: the head, the measure, how it is written.
TRAINING = (
    ("tokens a second", "tokens_per_second", ".0f"),
    ("peak MiB", "peak_rss_mib", ".0f"),
    ("peak MiB of training alone", "train_peak_mib", ".0f"),
    ("seconds of choosing a kernel", "measuring_seconds", ".1f"),
    ("loss held out", "held_out_loss", ".4f"),
    ("loss of the first batch", "first_loss", ".6f"),
)
SAYING = (
    ("answers a second", "rows_per_second", ".2f"),
    ("tokens said", "tokens", ".0f"),
    ("peak MiB", "peak_rss_mib", ".0f"),
    ("answers as fewtune's", "same_answers", ".1%"),
)


def main() -> None:
    """Print the tables."""
    settings = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results.jsonl"
    if not path.is_file():
        raise SystemExit(f"{path} is not there; run python -m benchmarks.answers.run first")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    print("\n\n".join(tables(records, settings)))


def tables(records: list[dict[str, Any]], settings: dict[str, Any]) -> Iterator[str]:
    """The machine, targets beside what was measured, a table for each case, and what to know."""
    runs = _by_case(records, settings)
    yield _setting(records)
    head = ("aimed at", "case", "target", "measured: median (min to max)", "verdict")
    yield _grid(head, _targets(settings["targets"], runs))
    for name, sides in runs.items():
        yield f"**{name}**"
        yield _case(sides, SAYING if "prompts" in settings["cases"][name] else TRAINING)
    yield from _notes(records)


def ratios(case: dict[str, list[dict]], of: str, over: str, measure: str) -> list[float]:
    """Round by round, the measure of one side over the other's."""
    return [one / other for one, other in _pairs(case, of, over, measure)]


def _pairs(
    case: dict[str, list[dict]], of: str, over: str, measure: str
) -> list[tuple[float, float]]:
    other = {run["key"][2]: run.get(measure) for run in case.get(over, ())}
    pairs = ((run.get(measure), other.get(run["key"][2])) for run in case.get(of, ()))
    return [(a, b) for a, b in pairs if a is not None and b]


def _targets(targets: list[dict[str, Any]], runs: Runs) -> Iterator[tuple[str, ...]]:
    for target in targets:
        for name, case in runs.items():
            sides = (target["of"], target["over"], target["measure"])
            if name.startswith(tuple(target["cases"])) and _pairs(case, *sides):
                yield _target(target, name, case)


def _target(target: dict[str, Any], name: str, case: dict[str, list[dict]]) -> tuple[str, ...]:
    pairs = _pairs(case, target["of"], target["over"], target["measure"])
    values = [abs(a - b) if target.get("apart") else a / b for a, b in pairs]
    side = "at_least" if "at_least" in target else "at_most"
    return (
        target["say"],
        name,
        f"{side.replace('_', ' ')} {target[side]}",
        _spread(values, ".1e" if target.get("apart") else ".2f"),
        _verdict(median(values) if values else None, target),
    )


def _case(sides: dict[str, list[dict]], columns: tuple[tuple[str, str, str], ...]) -> str:
    """A side a line; columns that no side fills are left out."""
    told = [
        one for one in columns if any(_values(own, one[1]) for own in sides.values())
    ]  # the rest of the columns belong to other cases
    first = next(iter(sides))
    rate = told[0][1]
    head = ("side", "runs", *(name for name, _, _ in told), f"{first}, times as fast")
    rows = [
        (
            side,
            str(len(own)),
            *(_cell(own, measure, form) for _, measure, form in told),
            _cell_of(ratios(sides, first, side, rate)) if rate in _RATES else "",
        )
        for side, own in sides.items()
    ]
    return _grid(head, rows)


_RATES = ("tokens_per_second", "rows_per_second")


def _cell(own: list[dict], measure: str, form: str) -> str:
    values = _values(own, measure)
    return _spread(values, form, only_median=measure not in _RATES) if values else ""


def _cell_of(values: list[float]) -> str:
    return _spread(values, ".2f") if values else ""


def _values(own: Iterable[dict], measure: str) -> list[float]:
    return [run[measure] for run in own if run.get(measure) is not None]


def _notes(records: list[dict[str, Any]]) -> Iterator[str]:
    """What a reader must know beside the numbers: failures, a busy machine."""
    for run in records:
        if "error" in run:
            yield f"{' '.join(map(str, run['key']))} failed: {run['error']}."
    measured = [run for run in records if "others_cpu_share" in run]
    busy = [run["others_cpu_share"] for run in measured if run["others_cpu_share"] > BUSY]
    if busy:
        yield (
            f"**Not a quiet machine:** in {len(busy)} of {len(measured)} runs other processes used "
            f"more than {BUSY:.0%} of it (at most {max(busy):.0%})."
        )


def _setting(records: list[dict[str, Any]]) -> str:
    """The newest line's machine, and every version that any line tells."""
    machine = next(run["machine"] for run in reversed(records) if "machine" in run)
    versions: dict[str, str] = {}
    for run in records:
        versions |= run.get("versions", {})
    return (
        f"{machine['cpu']} (family/model {machine['family_model']}), {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {', '.join(machine['simd'])}. "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + "."
    )


def _by_case(records: list[dict[str, Any]], settings: dict[str, Any]) -> Runs:
    """In the settings' order of cases and sides; lines of cases that are no more are left out."""
    found: Runs = {}
    for name, case in settings["cases"].items():
        for side in case["sides"]:
            own = [run for run in records if run["key"][:2] == [name, side]]
            if own:
                found.setdefault(name, {})[side] = own
    return found


if __name__ == "__main__":
    main()
