"""Run folders as runs of dialogues would leave them: small, made up, and without a model."""

from fewtune.base.events import Event
from fewtune.record import RunFolder

START = 1_773_479_520.0
ENGLISH = ("Write the repair for this fault.", "pump {} leaks", "replaced the seal of pump {}")
CHINESE = ("写出这一故障的处理方法。", "{}号水泵漏水", "更换{}号水泵的密封圈")
ROWS = 30


def score(value, reach):
    return {"value": value, "low": value - reach, "high": value + reach}


def better(value, reach=0.01, p=0.001):
    return {**score(value, reach), "p": p, "detectable": 0.02}


def gain(**over):
    best = min(over, key=lambda name: over[name]["value"])
    return {"over": best, **over[best], "all": over}


def plan_of(name, **generate):
    return {
        "fewtune": "0.1.0", "name": name, "task": "generate", "command": "fewtune train rows.jsonl",
        "data": {"path": "rows.jsonl"},
        "model": {"model": "some/model", "max_length": None}, "method": {"name": "lora"},
        "train": {"learning_rate": 5e-4}, "evaluate": {"metric": None},
        "generate": {"train_on": "answers", "answered_rows": ROWS, "examples": 3, **generate},
        "decoding": {"temperature": 0.0, "max_new_tokens": 64}, "run": {"seed": 0},
        "chosen": {"chat_template": "plain"}, "fingerprint": name,
    }  # fmt: skip


def encoded(ends=1.0, cut=None, sample=None):
    return {
        "rows": 120, "tokens": 6000, "learned": 1500, "cut": cut or {}, "ends": ends,
        "template": "plain", "sample": sample or [],
    }  # fmt: skip


def predictions(texts):
    """The first ten answers are right, ten are half right, ten worse than those before."""
    opening, question, answer = texts
    for k in range(ROWS):
        reference = answer.format(k)
        half = reference[: len(reference) // 2]
        yield {
            "prediction": (reference, half, "?")[k // 10],
            "label": reference,
            "before": "" if k < 20 else half,
            "origin": f"rows.jsonl:{k + 1}",
            "stopped": k != 0,
            "text": f"{opening}\n{question.format(k)}",
        }


def recalled(change):
    return {
        "passages": 120, "loss": score(3.0 + change, 0.2), "before": score(3.0, 0.2),
        "change": score(change, 0.02), "p": 0.001,
    }  # fmt: skip


def scores_of(method="lora", change=0.25):
    answers = {"exact_match": score(0.333, 0.1), "bleu": score(41.26, 6.0),
               "rougeL": score(0.6, 0.1), "stops": score(0.967, 0.02),
               "repetition": score(0.15, 0.05), "length_ratio": score(0.5, 0.1)}  # fmt: skip
    likely = {"loss": score(1.25, 0.05), "perplexity": score(3.49, 0.2),
              "token_accuracy": score(0.7, 0.02)}  # fmt: skip
    before = {**answers, "loss": score(4.5, 0.1), "perplexity": score(90.0, 9.0)}
    return {
        "task": "generate", "method": method, "primary": "loss",
        "rows": {"read": 150, "kept": 150, "quarantined": 0, "train": 120, "test": 30,
                 "answered": ROWS},
        "test": likely | answers,
        "baselines": {"before": before, "few_shot": answers, "nearest": answers},
        "gain": gain(before=better(3.25)),
        "gains": {"rougeL": gain(before=better(0.4), few_shot=better(0.3), nearest=better(-0.2)),
                  "bleu": gain(before=better(4.0), nearest=better(-3.0, reach=5.0, p=0.2))},
        "verdict": f"`{method}` lowers the loss per token.",
        "recall": recalled(change), "seconds": {"total": 60.0, "train": 40.0}, "warnings": [],
    }  # fmt: skip


def unfinished_run(path, **told):
    """One that ended when its rows were tokens."""
    folder = RunFolder.create(path, plan_of(path.name))
    folder.append(Event("started", {"run": path.name}, START))
    folder.append(Event("encoded", encoded(**told), START + 1))
    return folder


def written_run(path, texts=ENGLISH, change=0.25):
    """A finished one."""
    opening, question, answer = texts
    sample = [
        {"text": f"User: {opening}\n{question.format(7)}\n", "learned": False},
        {"text": f"{answer.format(7)}</s>", "learned": True},
    ]
    folder = unfinished_run(path, sample=[sample], cut={"turns": 2})
    asked = {"rows": 16, "loss": 4.4, "stops": 0.5, "answers": ["once upon a time", ""]}
    folder.append(Event("asked", asked, START + 2))
    for step in range(1, 21):
        folder.append(Event("step", {"step": step, "steps": 20, "loss": 4 / step}, START + step))
    folder.write_predictions(predictions(texts))
    scores = scores_of(change=change)
    folder.append(Event("recalled", scores["recall"], START + 50))
    folder.write_scores(scores)
    folder.append(Event("finished", {}, START + 60))
    folder.close()
    return folder
