"""One case in this process: peak resident memory of a fit, then the same fit's live tensors.

    python -m benchmarks.memory.case '{"model": "minilm", "method": "lora"}' [kept]

Freed memory is given back, as under `--memory`; with `kept` it is kept, as without, and nothing is
counted. Prints one JSON object.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from benchmarks.memory.counter import LiveBytes
from benchmarks.memory.made import Case, attached, cached_tokens, fit_of, load, rows_of, tiny

from fewtune.choose.memory import predict
from fewtune.models.device import give_freed_memory_back, keep_freed_memory
from fewtune.train.loop import run_fit

HERE = Path(__file__).parent


def case_of(told: dict[str, Any]) -> Case:
    """The case that a line of settings names."""
    settings = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
    model = settings["models"][told["model"]]
    rest = {key: value for key, value in told.items() if key not in ("model", "method")}
    return Case(
        name=told["model"],
        method=told["method"],
        options=settings["methods"].get(told["method"], {}),
        **{"bf16": True, **model, **rest},
    )


def measure(case: Case, kept: bool) -> dict[str, Any]:
    """Peak resident bytes over those right before loading, and the counter's."""
    (keep_freed_memory if kept else give_freed_memory_back)()
    _fit(tiny(case))  # imports, thread pools and the kernels' own buffers
    gc.collect()
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    step = _fit(case)
    measured = _resident("VmHWM") - before
    if kept:
        return {"measured_kept": measured}
    with LiveBytes() as counter:
        _fit(case, counter)
    return {
        "measured": measured,
        "counted": counter.peak,
        "process": before,
        "predicted": predict(case.shape, step).as_json(),
    }


def _fit(case: Case, counter: LiveBytes | None = None) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(case)
        model = load(case)
        if counter is not None:
            counter.add_model(model)
        prepared = attached(case, model)
        if counter is not None:
            counter.add_model(prepared.model)
        fit = fit_of(case, prepared, rows, Path(folder))
        step = case.step(prepared.model, cached_tokens(case, fit.work))
        if counter is not None:
            counter.peak = counter.now
        for _ in run_fit(fit):
            pass
    return step


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    chosen = case_of(json.loads(sys.argv[1]))
    print(json.dumps({"case": chosen.key, **measure(chosen, "kept" in sys.argv[2:])}))
