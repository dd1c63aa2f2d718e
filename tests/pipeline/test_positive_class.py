"""Of two classes scores are about one: which, the training rows decide, or the user."""

import pytest
from jobs import rows, write_csv

import fewtune


def of_two(path, faulty, fine, seed=0):
    texts = [text for text, _ in rows(faulty + fine, seed=seed)]
    return write_csv(path, list(zip(texts, ["faulty"] * faulty + ["fine"] * fine, strict=True)))


@pytest.mark.parametrize("method", ["full", "tfidf"])
@pytest.mark.parametrize(("asked", "expected"), [(None, "faulty"), ("fine", "fine")])
def test_another_file_is_scored_by_the_class_of_the_training_rows(
    train, tmp_path, method, asked, expected
):
    """In the file it is the other one that is rarer."""
    run = train(
        data=of_two(tmp_path / "rows.csv", 18, 42), method=method, positive=asked, max_steps=2
    )
    other = of_two(tmp_path / "other.csv", 20, 10, seed=1)
    told = fewtune.evaluate(run, other)
    assert told["positive"] == expected
    (line,) = [one for one in told["per_class"] if one["label"] == expected]
    assert told["test"]["positive_recall"]["value"] == pytest.approx(line["recall"])
    assert fewtune.evaluate(run, other, positive="fine")["positive"] == "fine"
