"""Run folders as a run would leave them, with numbers that belong together."""

import random
import shutil
from collections import Counter

import pytest

from fewtune.base.events import Event
from fewtune.record import RunFolder, environment

FAULTS = [
    "bearing worn", "belt slipping", "blocked filter", "coolant leak", "display dark",
    "door will not lock", "fuse blown", "motor overheats", "no supply voltage",
    "oil pressure too low", "pump does not prime", "sensor out of range",
]  # fmt: skip
SENTENCE = """the line stopped at night after a loud noise near the second pump operator found water
on the floor and restarted twice without success pressure fell below two bar alarm 4711 shown"""
WORDS = SENTENCE.split()
CHINESE = [
    "水泵轴承处有异响，停机后重新启动仍然存在。",
    "显示屏无显示，检查保险丝正常。",
    "电机温度过高，十分钟后自动停机。",
]
START = 1_773_479_520.0


def spread(value, rows, key="accuracy"):
    half = 1.96 * (max(value * (1 - value), 0.002) / rows) ** 0.5 if key != "log_loss" else 0.08
    most = 9.0 if key == "log_loss" else 1.0
    return {"value": value, "low": max(0.0, value - half), "high": min(most, value + half)}


def scores_block(accuracy, rows):
    values = {
        "accuracy": accuracy,
        "macro_f1": accuracy - 0.013,
        "balanced_accuracy": accuracy - 0.009,
        "log_loss": 1.35 * (1 - accuracy) + 0.21,
        "ece": 0.031,
    }
    return {key: spread(value, rows, key) for key, value in values.items()}


def predicted(labels, rows, accuracy, sentence, chance):
    """Test rows whose mistakes prefer a class's neighbours, as real ones do."""
    told = []
    for line in range(2, rows + 2):
        truth = chance.randrange(len(labels))
        wrong = (truth + chance.choice([1, 1, 1, 2, len(labels) // 2 or 1])) % len(labels)
        said = truth if chance.random() < accuracy else wrong
        sure = chance.uniform(0.45, 0.99)
        rest = (1 - sure) / (len(labels) - 1)
        told.append({
            "prediction": labels[said],
            "label": labels[truth],
            "origin": f"test.csv:{line}",
            "probability": {one: sure if one == labels[said] else rest for one in labels},
            "text": sentence(truth),
        })  # fmt: skip
    return told


def confusion_of(labels, told):
    seen = Counter((one["label"], one["prediction"]) for one in told)
    return [[seen[truth, said] for said in labels] for truth in labels]


def per_class(labels, matrix):
    rows = []
    for k, label in enumerate(labels):
        hits, truth, said = matrix[k][k], sum(matrix[k]), sum(row[k] for row in matrix)
        precision, recall = hits / said if said else 0.0, hits / truth if truth else 0.0
        both = precision + recall
        f1 = 2 * precision * recall / both if both else 0.0
        rows.append(
            {"label": label, "precision": precision, "recall": recall, "f1": f1, "rows": truth}
        )
    return rows


def plan_of(name, source):
    return {
        "fewtune": "0.1.0",
        "name": name,
        "task": "classify",
        "command": f"fewtune train {source} --model minilm --method lora --learning_rate 0.0005",
        "data": {"path": source, "valid": None, "test": None, "text": "description", "label": None},
        "model": {"model": "minilm", "max_length": 128},
        "method": {"name": "lora", "lora_r": 8, "lora_alpha": 16, "lora_dropout": 0.0},
        "train": {"learning_rate": 5e-4, "weight_decay": 0.01, "lr_scheduler_type": "linear"},
        "evaluate": {"bootstrap": 1000},
        "run": {"seed": 0, "output": None, "preset": None},
        "chosen": {"attention": "sdpa", "precision": "bf16", "device": "cpu", "steps": 400},
        "reasons": [
            "lora: 1,003 rows are enough for it, and it trains 0.7 % of the parameters.",
            "bf16: the processor has avx512_bf16; a step took 41 ms instead of 72 ms.",
        ],
        "fingerprint": "9f2c4e11a0b37d55",
    }


def data_of(labels, source, rows):
    out = [
        {"origin": f"{source}:{17 * n}", "code": "label-conflict" if n % 3 else "empty-label",
         "reason": "the same text has two labels" if n % 3 else "the label is empty"}
        for n in range(1, rows["quarantined"] + 1)
    ]  # fmt: skip
    mended = [
        {"origin": f"{source}:{5 * n}", "code": "format-spaces", "reason": "spaces were removed"}
        for n in range(1, rows["fixed"] + 1)
    ]
    ledger = {"counts": rows, "quarantined": out, "fixed": mended, "truncated": []}
    return {
        "files": {
            "train": {"path": source, "fingerprint": "5d41402abc4b2a76", "rows": rows["read"]}
        },
        "columns": {"text": "description", "label": "category"},
        "labels": labels,
        "ledger": ledger,
        "split": {"test_share": 0.2, "stratified": True, "folds": 5},
        "notes": ["No --test was given, so 20 % of the rows were held out, by class."],
    }


def told_while_training(folder, steps, chance):
    def append(name, time, **fields):
        folder.append(Event(name, fields, START + time))

    append("started", 0, run=folder.name, command="fewtune train")
    append("warned", 1, message="3 labels have fewer than 5 rows: their scores say little.")
    for step in range(1, steps + 1):
        loss = 0.35 + 2.0 * 0.99**step + chance.gauss(0, 0.09)
        append("step", 2 + step / 10, step=step, steps=steps, epoch=step / 40, loss=loss,
               learning_rate=5e-4 * (1 - step / steps))  # fmt: skip
        if step % 40 == 0:
            scores = {"log_loss": 0.42 + 1.8 * 0.985**step, "accuracy": 0.87 - 0.5 * 0.985**step}
            append("validated", 2 + step / 10, step=step, scores=scores)


def comparison(value):
    return {
        "value": value,
        "low": value - 0.035,
        "high": value + 0.037,
        "p": 0.0042 if value > 0.03 else 0.41,
    }


def scores_of(folder, labels, told, rows, accuracy):
    matrix = confusion_of(labels, told)
    baselines = {
        "majority": 0.12,
        "tfidf": accuracy - 0.06,
        "probe": accuracy - 0.095,
        "before": 0.08,
    }
    blocks = {name: scores_block(value, len(told)) for name, value in baselines.items()}
    return {
        "run": folder.name, "task": "classify", "method": "lora", "primary": "accuracy",
        "rows": rows, "test": scores_block(accuracy, len(told)), "baselines": blocks,
        "gain": {
            "over": "tfidf", **comparison(0.06), "detectable": 0.048,
            "all": {name: comparison(accuracy - value) for name, value in baselines.items()},
        },
        "verdict": "Fine-tuning helped: lora is right on 87.1 % of the test rows, 6.0 points more "
                   "than TF-IDF with logistic regression, and chance does not explain it.",
        "seconds": {"total": 133.2, "train": 71.0, "evaluate": 9.4, "before_first_step": 4.1},
        "peak_memory_bytes": 912_680_550, "trainable_parameters": 152_076,
        "total_parameters": 22_865_292, "per_class": per_class(labels, matrix),
        "confusion": {"labels": labels, "matrix": matrix},
        "warnings": ["The validation loss still fell at the last step: more epochs may help."],
    }  # fmt: skip


def make_run(path, labels, *, source="fault_reports.csv", test_rows=201, accuracy=0.87, steps=400,
             sentence=None, finished=True):  # fmt: skip
    chance = random.Random(0)
    sentence = sentence or (lambda _: " ".join(chance.choices(WORDS, k=chance.randint(6, 40))))
    rows = {"read": 817 + test_rows, "kept": 802 + test_rows, "quarantined": 15, "fixed": 41,
            "truncated": 0, "train": 802, "valid": 0, "test": test_rows}  # fmt: skip
    folder = RunFolder.create(path, plan_of(path.name, source))
    folder.write_data(data_of(labels, source, {k: rows[k] for k in list(rows)[:5]}))
    folder.write_environment(environment())
    told_while_training(folder, steps, chance)
    if finished:
        told = predicted(labels, test_rows, accuracy, sentence, chance)
        folder.write_predictions(told)
        folder.write_scores(scores_of(folder, labels, told, rows, accuracy))
        folder.append(Event("finished", {"verdict": "It worked.", "seconds": 133.2}, START + 133))
    folder.close()
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The three runs, made once; a test gets a copy of its own."""
    root = tmp_path_factory.mktemp("runs")
    labels = [f"{FAULTS[n % 12].replace(' ', '_')}_of_unit_{n // 12 + 1}" for n in range(77)]
    return {
        "twelve": make_run(root / "fault_reports-lora-1", FAULTS),
        "many": make_run(root / "many", labels, test_rows=3080, accuracy=0.9, steps=1000),
        "chinese": make_run(
            root / "维修记录-lora-1",
            ["机械故障", "电气故障"],
            source="维修记录.csv",
            test_rows=120,
            sentence=lambda truth: CHINESE[truth] + CHINESE[2],
        ),
    }


def copy(folder, root):
    return RunFolder.open(shutil.copytree(folder.path, root / folder.name))


@pytest.fixture
def twelve(made, tmp_path):
    """A run over 12 classes of fault reports."""
    return copy(made["twelve"], tmp_path)


@pytest.fixture
def many(made, tmp_path):
    """A run over 77 classes and 3,080 test rows."""
    return copy(made["many"], tmp_path)


@pytest.fixture
def chinese(made, tmp_path):
    """A run over two classes of Chinese texts."""
    return copy(made["chinese"], tmp_path)
