"""sentence-transformers and logistic regression: normalised sentence vectors, a linear classifier.

`--C` is scikit-learn's inverse of the penalty: its default is 1, which is too strong for vectors of
length 1; 30 is near the best on this data.
"""

from peer import MODEL, Stopwatch, arguments, read, tell
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression

args = arguments(C=1.0)
texts, labels = read(args.train)
test_texts, test_labels = read(args.test)
encoder = SentenceTransformer(MODEL, device="cpu")
classifier = LogisticRegression(C=args.C, max_iter=1000)

with Stopwatch() as train:
    classifier.fit(encoder.encode(texts, normalize_embeddings=True), labels)
with Stopwatch() as evaluation:
    accuracy = classifier.score(encoder.encode(test_texts, normalize_embeddings=True), test_labels)
tell(train, evaluation, accuracy, "torch sentence-transformers transformers scikit-learn")
