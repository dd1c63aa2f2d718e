"""One answer beside its reference: words, sameness, repetition, numbers, overlap, own metrics."""

import random
import sys
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.evaluate.named import resolve_metric, resolve_metrics
from fewtune.evaluate.numbers import last_number, number_match
from fewtune.evaluate.overlap import bleu, chrf, common, mostly_chinese, rouge
from fewtune.evaluate.texts import characters, exact_match, repetition, words

ENGLISH = [
    (
        "The pump's bearing is hot; replace it.",
        "The bearing of the pump is hot: replace the bearing",
    ),
    ("Check the 3.5 V supply!", "check the 3.5 V supply"),
    ("nothing in common", "entirely other words"),
    ("", "Tighten the seal."),
    ("a a a a b", "a b a b"),
]
CHINESE = [("更换泵的轴承，然后检查油温。", "请更换轴承并检查油温。"), ("电机过热", "电机温度过高")]
ANY_TEXT = st.text(st.characters(), max_size=60)  # lone surrogates among them


# ---- words


def test_words_are_those_of_rouge_score_in_english():
    from rouge_score.tokenize import tokenize

    for pair in ENGLISH:
        for text in pair:
            assert words(text) == tokenize(text, None)


def test_chinese_is_cut_into_words_and_into_characters():
    assert words("更换轴承P0301，检查油温") == ["更换", "轴承", "p0301", "检查", "油温"]
    assert characters("更换轴承P0301，油温") == ["更", "换", "轴", "承", "p0301", "油", "温"]
    assert words("Ｐump Ａ１") == ["pump", "a1"]


# ---- the same


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Yes.", "yes"),
        ("  replace\tthe\n bearing ", "Replace the bearing!"),
        ("**Ｏｋ**", "ok"),
        ("“更换 轴承。”", "更换轴承"),
        ("(-5)", "-5"),
        ("", "  "),
    ],
)
def test_texts_that_a_reader_takes_for_the_same_are(answer, reference):
    assert exact_match(answer, reference) == exact_match(reference, answer) == 1


@pytest.mark.parametrize(
    ("answer", "reference"),
    [("-5", "5"), ("30 %", "30"), ("re place", "replace"), ("?", "!"), ("", "yes"), ("a.b", "ab")],
)
def test_texts_that_mean_something_else_are_not(answer, reference):
    assert exact_match(answer, reference) == exact_match(reference, answer) == 0


# ---- repetition


def test_repetition_counts_sequences_of_four_that_were_there_before():
    assert repetition("a b c d a b c d") == pytest.approx(1 / 5)  # abcd bcda cdab dabc abcd
    assert repetition("one two three four five six") == 0
    assert repetition("检查轴承检查轴承") == pytest.approx(1 / 5)
    assert repetition("!" * 104) == pytest.approx(100 / 101)
    assert repetition("") == repetition("a a a") == 0


# ---- numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 + 4 = 7", 7),
        ("He pays 12.\n#### 1,234.50 dollars, not 9", Fraction(2469, 2)),
        ("it is -3.", -3),
        ("x−３", 3),
        ("答案是－３．５", Fraction(-7, 2)),
        ("共３，０００元", 3000),
        ("三个选项：1,2,3", 3),
        ("3/4 of it", Fraction(3, 4)),
        ("1 1/2", Fraction(3, 2)),
        ("-1½", Fraction(-3, 2)),
        (r"\boxed{\frac{3}{4}}", Fraction(3, 4)),
        ("-$.50", Fraction(-1, 2)),
        ("wait...5", 5),
        ("6 m² of P0301", 6),
        ("2e3", 2000),
        ("5/0 is none, 8 is", 8),
        ("42 ####", 42),
    ],
)
def test_the_number_a_text_comes_to(text, value):
    found = last_number(text)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize("text", ["", "none", "P0301", "v1.2", "9" * 5000, "####", "²"])
def test_a_text_without_a_number_comes_to_none(text):
    assert last_number(text) is None


def test_numbers_match_by_value_and_percent_either_way():
    assert number_match("so 1,200.0", "#### 1200") == 1
    assert number_match("75%", "75") == number_match("75 percent", "0.75") == 1
    assert number_match("0.75", "百分之75") == 1
    assert number_match("75%", "0.75%") == number_match("75", "0.75") == 0
    assert number_match("no idea", "5") == 0
    assert number_match("5", "no idea") is None


# ---- overlap


def test_rouge_by_hand():
    # 2 of 4 and of 3 words; 1 of 3 and of 2 pairs; "the pump" is the longest they share
    assert rouge("the pump is hot", "the pump failed") == pytest.approx([4 / 7, 2 / 5, 4 / 7])
    assert rouge("", "yes") == rouge("", "") == [0, 0, 0]


def test_rouge_is_that_of_rouge_score_in_english():
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    dice = random.Random(0)
    made = [
        [" ".join(dice.choices("abcdef", k=dice.randrange(30))) for _ in "12"] for _ in "1" * 40
    ]
    for answer, reference in [*ENGLISH, *made]:
        theirs = scorer.score(reference, answer)
        assert rouge(answer, reference) == pytest.approx([theirs[k].fmeasure for k in theirs])


def test_chinese_has_rouge_by_words_and_by_characters():
    for answer, reference in CHINESE:
        assert rouge(answer, reference)[0] > 0
        assert all(value > 0 for value in rouge(answer, reference, characters))
    assert rouge("电机过热", "电机温度过高", characters)[0] == pytest.approx(2 * 3 / 10)


@pytest.mark.parametrize("pairs", [ENGLISH, CHINESE, ENGLISH[:1]])
def test_bleu_and_chrf_are_those_of_sacrebleu(pairs):
    import sacrebleu

    answers, references = zip(*pairs, strict=True)
    tokenize = "zh" if pairs is CHINESE else "13a"
    theirs = sacrebleu.corpus_bleu(answers, [references], tokenize=tokenize).score
    ours = bleu(answers, references)
    assert ours.function(ours.rows.sum(axis=0)[None])[0] == pytest.approx(theirs, abs=1e-9)
    assert theirs > 1
    theirs = sacrebleu.corpus_chrf(answers, [references]).score
    ours = chrf(answers, references)
    assert ours.function(ours.rows.sum(axis=0)[None])[0] == pytest.approx(theirs, abs=1e-9)


def test_short_references_are_chinese_where_most_letters_are():
    assert mostly_chinese(["是", "否\n", "也 许"])
    assert not mostly_chinese(["yes", "是"])
    assert not mostly_chinese([""])


# ---- metrics of one's own


@pytest.fixture
def _own(tmp_path, monkeypatch):
    (tmp_path / "own_metrics.py").write_text(
        "LIMIT = 3\n"
        "def length(answer, reference): return len(answer) - len(reference)\n"
        "def alone(answer): return 1.0\n"
        "def text(answer, reference): return 'good'\n"
        "def endless(answer, reference): return float('inf')\n"
    )
    (tmp_path / "own_broken.py").write_text("def (:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_metrics", None)


@pytest.mark.usefixtures("_own")
def test_a_metric_of_ones_own_is_found_by_its_dotted_name():
    assert resolve_metric("own_metrics.length")("four", "one") == 1.0
    found = resolve_metrics("own_metrics.length, fewtune.evaluate.texts.exact_match")
    assert [*found] == ["own_metrics.length", "fewtune.evaluate.texts.exact_match"]
    assert resolve_metrics(None) == {}


@pytest.mark.usefixtures("_own")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("length", "package.module.function"),
        ("..own.length", "package.module.function"),
        ("no_such_module.length", "PYTHONPATH"),
        ("own_broken.length", "cannot be imported"),
        ("own_metrics.lenght", "Did you mean 'length'"),
        ("own_metrics.LIMIT", "is a int"),
        ("own_metrics.alone", "takes (answer)"),
    ],
)
def test_a_wrong_name_of_a_metric_is_told_in_a_sentence(name, words):
    with pytest.raises(UsageError) as told:
        resolve_metric(name)
    assert words in str(told.value)
    assert name.rpartition(".")[2] in str(told.value) or name in str(told.value)


@pytest.mark.usefixtures("_own")
@pytest.mark.parametrize("name", ["own_metrics.text", "own_metrics.endless"])
def test_a_metric_that_gives_no_number_is_told_in_a_sentence(name):
    with pytest.raises(FewtuneError, match=rf"{name} gave .* finite number"):
        resolve_metric(name)("a", "b")


# ---- any text


@settings(max_examples=150, deadline=None)
@given(ANY_TEXT, ANY_TEXT)
def test_any_text_has_scores_between_their_ends(answer, reference):
    assert exact_match(answer, answer) == 1
    assert exact_match(answer, reference) == exact_match(reference, answer)
    assert 0 <= repetition(answer) < 1
    assert number_match(answer, reference) in (None, 0.0, 1.0)
    for cut in (words, characters):
        assert all(0 <= value <= 1 for value in rouge(answer, reference, cut))
        if len(cut(answer)) > 1:
            assert rouge(answer, answer, cut) == pytest.approx([1, 1, 1])
    for corpus in (bleu([answer], [reference]), chrf([answer], [reference])):
        assert 0 <= corpus.function(corpus.rows)[0] <= 100 + 1e-9


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_the_longest_common_subsequence_is_that_of_the_table(first, second):
    from rouge_score.rouge_scorer import _lcs_table

    assert common(first, second) == _lcs_table(first, second)[-1][-1]


@settings(max_examples=100, deadline=None)
@given(st.fractions(max_denominator=10**4).filter(lambda one: abs(one) < 10**9), st.booleans())
def test_numbers_are_read_as_they_are_written(value, chinese):
    text = f"答案是{value}。" if chinese else f"the answer is {value}."
    found = last_number(text)
    assert found is not None
    assert found.value == value
    whole = int(value)
    assert number_match(f"it is {whole:,}", f"#### {whole}") == 1
