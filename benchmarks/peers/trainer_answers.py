"""HF Trainer on a language model: labels masked by hand, DataCollatorForSeq2Seq, PEFT for LoRA."""

import sft
import torch
from datasets import Dataset
from job import read_job, read_rows
from peft import get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)

job = read_job()
tokenizer = AutoTokenizer.from_pretrained(job["model"])
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
if job["method"] == "lora":
    model = get_peft_model(model, sft.lora())


def masked(row):
    """-100 where nothing is learned."""
    pairs = zip(row["input_ids"], row["completion_mask"], strict=True)
    return {
        "input_ids": row["input_ids"],
        "attention_mask": [1] * len(row["input_ids"]),
        "labels": [token if learned else -100 for token, learned in pairs],
    }


trainer = Trainer(
    model=model,
    args=TrainingArguments(**sft.numbers(job)),
    train_dataset=Dataset.from_list([masked(row) for row in read_rows(job["rows"])]),
    data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
)
sft.run(trainer, job, "torch transformers peft accelerate")
