"""Calls side by side: all are made, few at once, and none runs ahead of who deals with answers."""

from time import sleep

import pytest

from fewtune.models.calls import AT_ONCE, side_by_side


def test_no_more_calls_are_made_than_answers_are_dealt_with():
    made = []
    for dealt, _ in enumerate(side_by_side(made.append, range(40))):
        sleep(0.005)  # the disk is slower than the server
        assert len(made) <= dealt + AT_ONCE
    assert sorted(made) == list(range(40))


def test_what_a_call_raises_ends_them_all():
    def call(number):
        if number == 5:
            raise ValueError(number)
        return number

    with pytest.raises(ValueError, match="5"):
        list(side_by_side(call, range(100)))


def test_who_stops_listening_stops_the_calls():
    made = []
    answers = side_by_side(made.append, range(100))
    next(answers)
    answers.close()
    assert len(made) <= AT_ONCE
