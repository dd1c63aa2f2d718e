"""SetFit with num_iterations=20, as its authors' few-shot experiments have it."""

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
tell(train, evaluation, sum(right) / len(right), "torch setfit sentence-transformers transformers")
