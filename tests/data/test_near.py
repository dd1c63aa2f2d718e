"""Near duplicates: exact, quick, and the same for Chinese."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.data import near
from fewtune.data.near import Pair, groups_of, near_duplicates, plain, shingles


def slow_pairs(texts, threshold):
    """By comparing every pair."""
    sets = [shingles(plain(text)) for text in texts]
    found = []
    for k, own in enumerate(sets):
        for j in range(k):
            union = len(own | sets[j])
            similarity = len(own & sets[j]) / union if union else 0
            if similarity >= threshold and own:
                found.append(Pair(j, k, similarity))
    return sorted(found)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(alphabet="ab c泵油", max_size=12), max_size=12),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
)
def test_every_pair_that_is_alike_is_found_and_no_other(texts, threshold):
    assert near_duplicates(texts, threshold) == slow_pairs(texts, threshold)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the suction side of the pump draws air", "The suction side of the pump draws air!"),
        ("the suction side of the pump draws air", "the suction side of pump draws air"),
        ("水泵启动以后轴承温度升高，并且有异响", "水泵启动以后，轴承温度升高并且有异响。"),
        ("ＡＢＣ－１２３ 故障", "abc-123 故障"),
    ],
)
def test_texts_that_say_the_same_are_alike(one, other):
    assert len(near_duplicates([one, other])) == 1


def test_other_texts_are_not():
    texts = ["pump leaks oil at the seal", "lamp in hall 7 stays dark", "泵漏油", "灯不亮", ""]
    assert near_duplicates(texts) == []


def test_groups_join_what_is_joined_in_between():
    assert groups_of(5, [Pair(0, 1, 1.0), Pair(1, 4, 0.9)]) == [0, 0, 2, 3, 0]


def test_the_work_grows_with_the_rows_and_not_with_their_square(monkeypatch):
    """Of 72 words, so that every row shares rare parts with very many others."""
    compared, shared = [], near._Shared.__call__
    monkeypatch.setattr(near, "CROWD", 20)  # reached by few rows, so that few are enough here
    monkeypatch.setattr(
        near._Shared,
        "__call__",
        lambda self, own, others: compared.extend(others) or shared(self, own, others),
    )
    draw = random.Random(0)
    words = [f"{a}{b}" for a in "bcdfglmnprst" for b in ("ale", "ing", "ock", "urn", "est", "and")]
    texts = [" ".join(draw.choices(words, k=10)) for _ in range(2000)]
    texts[77] = texts[7] + " again"
    counts = []
    for rows in (500, 1000, 2000):
        compared.clear()
        assert (7, 77) in [pair[:2] for pair in near_duplicates(texts[:rows])]
        counts.append(len(compared))
    assert counts[2] < 2.5 * counts[1] < 2.5**2 * counts[0]  # squared they would be 4 and 16
