"""SetFit with its defaults but one: pairs are undersampled.

The default, oversampling, gives each of the 292,600 negative pairs of 77 classes x 10 rows a
positive one: 36,575 steps, hours on a CPU. `undersampling` is SetFit's own way out: as many
negative as positive pairs. The line also tells how many steps the default would have taken and how
many seconds that is at the measured rate, so that nobody has to wait for it.
"""

from math import ceil

from datasets import Dataset
from peer import MODEL, Stopwatch, arguments, read, tell
from setfit import SetFitModel, Trainer, TrainingArguments
from setfit.sampler import ContrastiveDataset


def steps(sampling: str, batch: int = 16) -> int:
    """Optimiser steps of one epoch over the contrastive pairs."""
    pairs = ContrastiveDataset(texts, labels, multilabel=False, sampling_strategy=sampling)
    return ceil(len(pairs) / batch)


args = arguments(max_steps=-1)  # a few steps suffice to see that it runs
texts, labels = read(args.train)
test_texts, test_labels = read(args.test)
done = args.max_steps if args.max_steps > 0 else steps("undersampling")
model = SetFitModel.from_pretrained(MODEL, labels=sorted(set(labels)), device="cpu")
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        sampling_strategy="undersampling",
        max_steps=args.max_steps,
        save_strategy="no",
        report_to="none",
        seed=args.seed,
    ),
    train_dataset=Dataset.from_dict({"text": texts, "label": labels}),
)
with Stopwatch() as train:
    trainer.train()
with Stopwatch() as evaluation:
    # not trainer.evaluate(): it fetches its accuracy from the Hub
    right = [a == b for a, b in zip(model.predict(test_texts), test_labels, strict=True)]
by_default = steps("oversampling")
tell(
    train,
    evaluation,
    sum(right) / len(right),
    "torch setfit sentence-transformers transformers",
    steps=done,
    default_steps=by_default,
    projected_default_train_seconds=round(train.seconds / done * by_default),
)
