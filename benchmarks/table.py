"""From the committed results to the table in README.md: medians, ratios, and by how much missed.

python -m benchmarks.table         rewrites the table from the newest results
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from benchmarks.matmul import training_flops

HERE = Path(__file__).parent
README = HERE / "README.md"
BEGIN, END = "<!-- table:begin -->", "<!-- table:end -->"
BUSY = 0.05  # others used more of the machine than this: the run is named below the table


def rewrite() -> None:
    """Put the newest speed and quality results between the README's markers."""
    parts = [
        render(json.loads(newest.read_text(encoding="utf-8")))
        for render, folder in ((speed, "speed"), (quality, "quality"))
        if (newest := max((HERE / folder / "results").glob("*.json"), default=None))
    ]
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    body = "\n\n".join(parts) or "No results yet."
    README.write_text(f"{before}{BEGIN}\n{body}\n{END}{after}", encoding="utf-8")


def speed(result: dict[str, Any]) -> str:
    """The speed benchmark's three tables: targets, ratios to fewtune, and seconds."""
    runs = _by_command(result["runs"])
    targets = [_target(target, runs) for target in result["settings"]["targets"]]
    targets.append(_bf16_share(result, runs))
    parts = [
        f"### Speed, {result['date']}",
        _setting(result),
        _grid(("aimed at", "target", "measured: median (min to max)", "verdict"), targets),
        _grid(
            (
                "command",
                "runs",
                "train + evaluate, s",
                "whole process, s",
                "fit, times as long as fewtune-full",
                "whole, times as long as fewtune-full",
                "peak MiB",
                "accuracy",
            ),
            (_command_row(name, runs) for name in runs),
        ),
        _rates(result),
        *_notes(result["runs"], runs),
    ]
    return "\n\n".join(part for part in parts if part)


def quality(result: dict[str, Any]) -> str:
    """Mean and standard deviation over samples, and the paired difference to fewtune."""
    runs = _by_command(result["runs"])
    rows = []
    for name, own in runs.items():
        accuracy = _present(run.get("accuracy") for run in own)
        rows.append(
            (
                name,
                str(len(accuracy)),
                _mean_sd([100 * value for value in accuracy]),
                _mean_sd([100 * gap for gap in _paired_gaps(runs, name)])
                if name != "fewtune-defaults"
                else "",
                _spread([run["wall_seconds"] for run in own], ".1f"),
            )
        )
    targets = []
    for target in result["settings"]["targets"]:
        values = _present(run.get("accuracy") for run in runs.get(target["of"], []))
        reached = 100 * mean(values) if values else None
        targets.append(
            (
                target["say"],
                f"at least {target['at_least']:.1f}",
                "not measured" if reached is None else f"{reached:.2f}",
                _verdict(reached, target),
            )
        )
    parts = [
        f"### Quality, {result['date']}",
        _setting(result),
        _grid(("aimed at", "target", "measured", "verdict"), targets),
        _grid(
            (
                "command",
                "samples",
                "accuracy, %: mean ± sd",
                "fewtune minus it, points: mean ± sd of pairs",
                "whole process, s: median (min to max)",
            ),
            rows,
        ),
        *_notes(result["runs"], {}),
    ]
    return "\n\n".join(part for part in parts if part)


def save(path: Path, result: dict[str, Any]) -> None:
    """Write one sitting's results; a later sitting of the same day takes the file's place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def choose(known: dict[str, Any], names: list[str] | None) -> dict[str, Any]:
    """The named commands in the settings' order; all of them when none is named."""
    if unknown := sorted(set(names or ()) - set(known)):
        raise SystemExit(f"unknown: {', '.join(unknown)}; settings.yaml has {', '.join(known)}")
    return {name: spec for name, spec in known.items() if not names or name in names}


def progress(record: dict[str, Any]) -> str:
    """One line about one run, for the person who waits."""
    accuracy = record.get("accuracy")
    said = record.get("error") or ("" if accuracy is None else f"accuracy {accuracy:.3f}")
    return (
        f"{record['tag']:8} {record['command']:20} {record['wall_seconds']:8.1f} s "
        f"{record['peak_rss_mib']:7.0f} MiB  {said}"
    )


# Measures: seconds of one run, or None where it did not say them.


def _fit(run: dict[str, Any]) -> float | None:
    both = (run.get("train_seconds"), run.get("eval_seconds"))
    return None if None in both else sum(both)


MEASURES = {
    "fit": _fit,
    "whole": lambda run: None if run.get("error") else run["wall_seconds"],
    "before_first_step": lambda run: run.get("before_first_step_seconds"),
}


def _ratios(runs: dict[str, list[dict]], over: str, of: str, measure: str) -> list[float]:
    """Round by round, how many times longer `over` took than `of`."""
    seconds = MEASURES[measure]
    base = {run["round"]: seconds(run) for run in runs.get(of, ())}
    pairs = ((seconds(run), base.get(run["round"])) for run in runs.get(over, ()))
    return [longer / shorter for longer, shorter in pairs if longer and shorter]


def _target(target: dict[str, Any], runs: dict[str, list[dict]]) -> tuple[str, str, str, str]:
    if over := target.get("over"):
        values = _ratios(runs, over, target["of"], target["measure"])
    else:
        seconds = MEASURES[target["measure"]]
        values = _present(seconds(run) for run in runs.get(target["of"], ()))
    side = "at_least" if "at_least" in target else "at_most"
    return (
        target["say"],
        f"{side.replace('_', ' ')} {target[side]}",
        _spread(values, ".2f"),
        _verdict(median(values) if values else None, target),
    )


def _verdict(reached: float | None, target: dict[str, Any]) -> str:
    """`reached`, or by how much not: in the target's unit and as a share of it."""
    if reached is None:
        return "not measured"
    if "at_least" in target:
        gap, aim = target["at_least"] - reached, target["at_least"]
    else:
        gap, aim = reached - target["at_most"], target["at_most"]
    return "reached" if gap <= 0 else f"**missed by {gap:.2f}** ({gap / aim:.0%} of the target)"


def _command_row(name: str, runs: dict[str, list[dict]]) -> tuple[str, ...]:
    own, reference = runs[name], "fewtune-full"
    fit, whole = (_present(map(MEASURES[measure], own)) for measure in ("fit", "whole"))
    accuracy = _present(run.get("accuracy") for run in own)
    return (
        name,
        str(len(own)),
        _spread(fit, ".1f"),
        _spread(whole, ".1f" if name != "fewtune-help" else ".2f"),
        _spread(_ratios(runs, name, reference, "fit"), ".2f") if fit else "",
        _spread(_ratios(runs, name, reference, "whole"), ".2f"),
        _spread([run["peak_rss_mib"] for run in own], ".0f", only_median=True),
        f"{100 * median(accuracy):.1f} %" if accuracy else "",
    )


def _bf16_share(result: dict[str, Any], runs: dict[str, list[dict]]) -> tuple[str, str, str, str]:
    """The share of the machine's measured bf16 matrix rate that fewtune's training reaches."""
    rates = result["gemm_gflops"]
    shares = [
        training_flops(result["matrix_parameters"], run["tokens"])
        / (run["train_seconds"] * rates["bf16"] * 1e9)
        for run in runs.get("fewtune-full", ())
        if run.get("tokens") and run.get("train_seconds")
    ]
    return (
        "share of the measured bf16 matrix rate that fewtune-full's training reaches, %",
        "told, not aimed at",
        _spread([100 * share for share in shares], ".1f"),
        "",
    )


def _rates(result: dict[str, Any]) -> str:
    rates, parameters = result["gemm_gflops"], result["matrix_parameters"]
    return (
        f"Matrix products: fp32 {rates['fp32']:.0f}, bf16 {rates['bf16']:.0f} GFLOP/s, 2 threads. "
        f"Training counts as 6 operations for each of the {parameters:,} parameters that "
        "multiply and each real token; padding is no work done."
    )


def _notes(flat: list[dict], runs: dict[str, list[dict]]) -> Iterable[str]:
    """What a reader must know beside the numbers: failures, a busy machine, projections."""
    for run in flat:
        if run.get("error"):
            yield f"{run['command']} ({run['tag']}) failed: {run['error']}."
    busy = [run for run in flat if run["others_cpu_share"] > BUSY]
    if busy:
        worst = max(run["others_cpu_share"] for run in busy)
        yield (
            f"**Not a quiet machine:** in {len(busy)} of {len(flat)} runs other processes used "
            f"more than {BUSY:.0%} of it (at most {worst:.0%})."
        )
    for run in runs.get("setfit-undersampled", ()):
        if seconds := run.get("projected_default_train_seconds"):
            yield (
                f"SetFit with all its defaults would take {run['default_steps']:,} steps instead "
                f"of {run['steps']:,}: {seconds / 3600:.1f} hours of training at the measured rate "
                "(projected, not run)."
            )


def _setting(result: dict[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    size = result["settings"]["rows_per_class"]
    return (
        f"BANKING77, {size} rows a class, 3,080 test rows, all-MiniLM-L6-v2. {machine['cpu']} "
        f"(family/model {machine['family_model']}), {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {', '.join(machine['simd'])}. "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + "."
    )


def _paired_gaps(runs: dict[str, list[dict]], name: str) -> list[float]:
    ours = {run["seed"]: run.get("accuracy") for run in runs.get("fewtune-defaults", ())}
    pairs = ((ours.get(run["seed"]), run.get("accuracy")) for run in runs[name])
    return [own - other for own, other in pairs if None not in (own, other)]


def _by_command(flat: list[dict]) -> dict[str, list[dict]]:
    grouped: dict[str, list[dict]] = {}
    for run in flat:
        grouped.setdefault(run["command"], []).append(run)
    return grouped


def _present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _spread(values: list[float], form: str, only_median: bool = False) -> str:
    if not values:
        return "not measured"
    if only_median or len(values) == 1:
        return format(median(values), form)
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _mean_sd(values: list[float]) -> str:
    if not values:
        return "not measured"
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def _grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    rewrite()
