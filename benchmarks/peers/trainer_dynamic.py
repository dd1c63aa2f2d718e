"""The usual script with dynamic padding: each random batch is padded to its own longest row."""

import numpy as np
from datasets import load_dataset
from peer import MODEL, Stopwatch, arguments, tell
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

args = arguments(epochs=3)
dataset = load_dataset("csv", data_files={"train": args.train, "test": args.test})
dataset = dataset.class_encode_column("label")
tokenizer = AutoTokenizer.from_pretrained(MODEL)


def tokenize(batch):
    return tokenizer(batch["text"], truncation=True, max_length=128)


dataset = dataset.map(tokenize, batched=True)


def compute_metrics(prediction):
    return {"accuracy": (np.argmax(prediction.predictions, -1) == prediction.label_ids).mean()}


model = AutoModelForSequenceClassification.from_pretrained(
    MODEL, num_labels=dataset["train"].features["label"].num_classes
)
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir="checkpoints",
        learning_rate=2e-5,
        num_train_epochs=args.epochs,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
        weight_decay=0.01,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        seed=args.seed,
    ),
    train_dataset=dataset["train"],
    eval_dataset=dataset["test"],
    data_collator=DataCollatorWithPadding(tokenizer),
    compute_metrics=compute_metrics,
)
with Stopwatch() as train:
    trainer.train()
with Stopwatch() as evaluation:
    scores = trainer.evaluate()
tell(train, evaluation, scores["eval_accuracy"], "torch transformers accelerate datasets")
