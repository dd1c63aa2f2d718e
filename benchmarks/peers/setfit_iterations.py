"""SetFit with num_iterations=20, as its authors' few-shot experiments have it.

In mixed precision where the processor multiplies bfloat16 itself, as fewtune trains there too.
With --kept FOLDER it can be stopped: SetFit offers no way to go on, the Trainer beneath it does.
"""

import os

from job import has_bf16

if has_bf16():  # before the libraries: accelerate asks this once, SetFit has no option for it
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"

from datasets import Dataset
from kept import KeptSeconds
from peer import MODEL, Stopwatch, arguments, read, tell
from setfit import SetFitModel, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

args = arguments(iterations=20, kept="")
texts, labels = read(args.train)
test_texts, test_labels = read(args.test)
model = SetFitModel.from_pretrained(MODEL, labels=sorted(set(labels)), device="cpu")
saving = {"save_strategy": "steps", "save_steps": 100, "output_dir": args.kept}
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        num_iterations=args.iterations,
        report_to="none",
        seed=args.seed,
        **(saving if args.kept else {"save_strategy": "no"}),
    ),
    train_dataset=Dataset.from_dict({"text": texts, "label": labels}),
)
earlier = 0.0
if args.kept:
    os.makedirs(args.kept, exist_ok=True)
    checkpoint = get_last_checkpoint(args.kept)
    seconds = KeptSeconds(checkpoint)
    earlier = seconds.earlier
    trainer.add_callback(seconds)
    begin = trainer.st_trainer.train
    trainer.st_trainer.train = lambda: begin(resume_from_checkpoint=checkpoint)
with Stopwatch() as train:
    trainer.train()
train.seconds += earlier
with Stopwatch() as evaluation:
    # not trainer.evaluate(): it fetches its accuracy from the Hub
    right = [a == b for a, b in zip(model.predict(test_texts), test_labels, strict=True)]
packages = "torch setfit sentence-transformers transformers"
accuracy = sum(right) / len(right)
tell(train, evaluation, accuracy, packages, bf16=has_bf16(), earlier_seconds=earlier)
