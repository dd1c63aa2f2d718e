"""What is believed of the methods before a race."""

from plans import BERT_BASE, QWEN, facts

from fewtune.choose.prior import ENCODER, UNTRIED, believed
from fewtune.methods import METHODS


def test_beliefs_are_of_small_encoders_that_read_the_texts():
    assert believed("full", facts()) == ENCODER["full"]
    assert believed("full", facts(unknown=0.3)) is None
    assert believed("full", facts(BERT_BASE)) is None
    assert believed("lora", facts(QWEN, task="classify")) is None


def test_another_rate_promises_less_and_is_less_certain():
    for name, usual in ENCODER.items():
        other = believed(name, facts(), usual=False)
        assert other.mean < usual.mean
        assert other.alone >= max(usual.alone, 0.05)
    assert believed("full", facts(unknown=0.3), usual=False) is None


def test_a_hybrid_is_as_good_as_its_better_part():
    assert believed("prompt+bitfit", facts()) == ENCODER["bitfit"]
    assert believed("something+else", facts()) == UNTRIED


def test_beliefs_are_told_over_the_probe_and_there_is_one_of_every_other_method():
    assert {*ENCODER} == {*METHODS} - {"probe"}
    assert all(one.alone > 0 for one in ENCODER.values())
