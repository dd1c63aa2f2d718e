"""PEFT LoRA in the usual Trainer, dynamic padding: BERT's default modules, r 16, 1e-3, 3 epochs."""

import numpy as np
from datasets import load_dataset
from peer import MODEL, Stopwatch, arguments, tell
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

args = arguments()
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
model = get_peft_model(
    model, LoraConfig(task_type="SEQ_CLS", r=16, lora_alpha=16, lora_dropout=0.1)
)
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir="checkpoints",
        learning_rate=1e-3,
        num_train_epochs=3,
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
tell(train, evaluation, scores["eval_accuracy"], "torch transformers accelerate datasets peft")
