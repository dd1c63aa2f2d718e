"""What the peers that learn answers share: the clock on Trainer, LoRA, and the loss after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from job import Memory, Steps, has_bf16, read_rows, tell
from peft import LoraConfig
from transformers import TrainerCallback


class StepClock(TrainerCallback):
    """Marks the end of every step."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps.end()


def counted(collate: Callable[[list], dict], steps: Steps) -> Callable[[list], dict]:
    """A collator that also writes down how many real tokens a batch has."""

    def counting(rows: list[dict]) -> dict:
        batch = collate(rows)
        steps.tokens.append(int(batch["attention_mask"].sum()))
        return batch

    return counting


def lora() -> LoraConfig:
    """Rank 8 on all linear layers, alpha 2r, no dropout: what fewtune's `lora` is by default."""
    return LoraConfig(
        task_type="CAUSAL_LM", r=8, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear"
    )


def numbers(job: dict[str, Any]) -> dict[str, Any]:
    """The arguments that make it the same steps on every side, by TrainingArguments' names."""
    return {
        "output_dir": "checkpoints",
        "learning_rate": job["rate"],
        "per_device_train_batch_size": job["batch"],
        "num_train_epochs": 1,
        "max_steps": job["steps"] or -1,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "lr_scheduler_type": "linear",
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "seed": job["seed"],
    } | ({"bf16": False, "logging_steps": 1} if job["exact"] else {})


def run(trainer: Any, job: dict[str, Any], packages: str) -> None:
    """Train and tell."""
    steps = Steps()
    trainer.data_collator = counted(trainer.data_collator, steps)
    trainer.add_callback(StepClock(steps))
    trainable = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    with Memory() as memory:
        trainer.train()
    logs = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    tell(
        packages,
        **steps.rate(job["warm"]),
        **memory.told(),
        first_loss=logs[0] if job["exact"] else None,  # else they are means of several steps
        held_out_loss=held_out(trainer.model, job),
        trainable_parameters=trainable,
        bf16=bool(trainer.args.bf16),
        machine_has_bf16=has_bf16(),
        threads=torch.get_num_threads(),
    )


@torch.no_grad()
def held_out(model: Any, job: dict[str, Any]) -> float | None:
    """Loss a learned token on the rows held out, in nats, float32, row by row; None without rows.

    By transformers' own forward pass: nothing of the trainer is left in it.
    """
    if not job["held"]:
        return None
    model = model.float().eval()
    total, count = 0.0, 0
    for row in read_rows(job["held"]):
        ids = torch.tensor([row["input_ids"]])
        learned = torch.tensor(row["completion_mask"][1:], dtype=torch.bool)
        logits = model(input_ids=ids).logits[0, :-1][learned]
        targets = ids[0, 1:][learned]
        total += float(torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum"))
        count += len(targets)
    return total / count
