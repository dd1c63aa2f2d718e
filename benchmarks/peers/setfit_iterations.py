"""SetFit with num_iterations=20, as its authors' few-shot experiments have it.

In mixed precision where the processor multiplies bfloat16 itself, as fewtune trains there too.
"""

import os

from job import has_bf16

if has_bf16():  # before the libraries: accelerate asks this once, SetFit has no option for it
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"

from datasets import Dataset
from peer import MODEL, Stopwatch, arguments, read, tell
from setfit import SetFitModel, Trainer, TrainingArguments

args = arguments(iterations=20)
texts, labels = read(args.train)
test_texts, test_labels = read(args.test)
model = SetFitModel.from_pretrained(MODEL, labels=sorted(set(labels)), device="cpu")
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        num_iterations=args.iterations, save_strategy="no", report_to="none", seed=args.seed
    ),
    train_dataset=Dataset.from_dict({"text": texts, "label": labels}),
)
with Stopwatch() as train:
    trainer.train()
with Stopwatch() as evaluation:
    # not trainer.evaluate(): it fetches its accuracy from the Hub
    right = [a == b for a, b in zip(model.predict(test_texts), test_labels, strict=True)]
packages = "torch setfit sentence-transformers transformers"
tell(train, evaluation, sum(right) / len(right), packages, bf16=has_bf16())
