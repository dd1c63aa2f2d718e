"""TRL's SFTTrainer on rows of tokens, loss on the completions only.

Without an option its defaults: gradient checkpointing on, bf16 autocast, batches of random rows.
`--best` is what suits a CPU: no checkpointing, rows of like length together, and bf16 only where
the processor has it. `--bf16-base` also holds the model itself in bfloat16, as many do for LoRA.
Padding-free batches and packing ask for FlashAttention, which no CPU has.
"""

import sft
from datasets import Dataset
from job import has_bf16, read_job, read_rows
from trl import SFTConfig, SFTTrainer

job = read_job()
best = "--best" in job["options"] or "--bf16-base" in job["options"]
chosen = sft.numbers(job)
if best:
    chosen |= {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"}
    chosen.setdefault("bf16", has_bf16())
if "--bf16-base" in job["options"]:
    chosen["model_init_kwargs"] = {"dtype": "bfloat16"}

trainer = SFTTrainer(
    model=job["model"],
    args=SFTConfig(completion_only_loss=True, **chosen),
    train_dataset=Dataset.from_list(read_rows(job["rows"])),
    peft_config=sft.lora() if job["method"] == "lora" else None,
)
sft.run(trainer, job, "torch transformers trl peft accelerate")
