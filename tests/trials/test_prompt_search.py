"""The search for a prompt, with a model that is a function."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from fewtune.trials.prompt import Example, Prompt, first_prompt, label_in
from fewtune.trials.text_prompt import (
    FEWEST,
    Pool,
    Search,
    Tried,
    in_turn,
    proposed,
    questions_for_instructions,
    ranked,
    ways_of,
)

LABELS = ("cold", "hot")
ROWS = [
    Example(f"{word} {k}", label)
    for k in range(20)
    for word, label in (("fire burns at", "hot"), ("snow falls near", "cold"))
]
GROUPS = [one.answer for one in ROWS]
FOLDS = [np.arange(k, len(ROWS), 5) for k in range(5)]
FIRST = Prompt("plain", labels=LABELS)
PLANTED = "think of the weather"


def truth(prompt: str) -> str:
    question = prompt.rpartition("Text: ")[2]
    return "hot" if question.startswith("fire") else "cold"


class Model:
    """Right under the planted instruction and with many diverse rows; else it says `cold`."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, prompts: Sequence[str]) -> list[str | None]:
        self.asked += prompts
        return [self.answer(prompt) for prompt in prompts]

    def answer(self, prompt: str) -> str | None:
        shown = prompt.count("Label: ")
        right = Random(prompt).random() < (0.2 if shown < 4 else 0.6)
        return truth(prompt) if prompt.startswith(PLANTED) or right else "cold"


def search(model, calls=400, seed=0, grade=None) -> Search:
    def right(said, row):
        return float(said == ROWS[row].answer)

    return Search(Pool(ROWS, GROUPS, FOLDS), in_turn(GROUPS, seed), model, grade or right, calls)


def carried_out(one: Search, instructions=("plain", "be quick", PLANTED, "be slow"), most=8):
    events, steps = [], one.run(instructions, FIRST, ways_of(most, len(ROWS)))
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return stop.value, events


def test_the_planted_prompt_is_found():
    outcome, events = carried_out(search(Model()))
    assert outcome.best.instruction == PLANTED
    assert outcome.line["score"] == 1
    assert outcome.line["better"]
    assert outcome.table[0]["score"] < 0.8
    assert [event.name for event in events][-1] == "tried"
    assert {event["trial"] for event in events[:-1]} == {"demonstrations", "instructions"}


@pytest.mark.parametrize("calls", [10, 37, 120, 10_000])
def test_the_budget_is_kept_and_no_question_is_put_twice(calls):
    model = Model()
    outcome, _ = carried_out(search(model, calls))
    assert len(model.asked) == len(set(model.asked)) == outcome.calls <= calls
    if calls == 10_000:  # the survivors have answered every row, and then there is nothing to ask
        assert outcome.line["rows"] == len(ROWS)


def test_a_budget_too_small_for_all_tries_the_first_and_says_so():
    _, events = carried_out(search(Model(), 5 * FEWEST))
    told = [event["message"] for event in events if event.name == "warned"]
    assert len(told) == 2
    assert "--calls" in told[0]


def test_losers_are_asked_less_than_the_winner():
    outcome, _ = carried_out(search(Model(), 200))
    asked = [line["rows"] for line in outcome.table]
    assert outcome.line["rows"] == max(asked) > 2 * min(asked)


def test_the_same_seed_ends_the_same_also_where_a_cache_answers():
    model, again = Model(), Model()
    outcome, events = carried_out(search(model, 150))
    known = dict(zip(model.asked, model(model.asked), strict=True))
    replayed, told = carried_out(search(lambda prompts: [known[one] for one in prompts], 150))
    other, _ = carried_out(search(again, 150, seed=1))
    assert replayed == outcome
    assert [one.fields for one in told] == [one.fields for one in events]
    assert set(again.asked) != set(known)
    assert other.best.instruction == PLANTED


def test_of_equals_the_cheapest_wins():
    outcome, _ = carried_out(search(lambda prompts: ["hot"] * len(prompts)))
    assert outcome.best == FIRST


def test_no_answer_is_a_wrong_one_and_longer_prompts_that_fail_lose():
    def fails(prompts):
        return [None if one.count("Label: ") else truth(one) for one in prompts]

    outcome, _ = carried_out(search(fails))
    assert outcome.best.how == "none"
    assert outcome.line["score"] == 1


def test_a_row_is_never_shown_to_its_own_fold():
    pool = Pool(ROWS, GROUPS, FOLDS)
    for how in ("nearest", "diverse"):
        for row in range(len(ROWS)):
            fold = next(one for one in FOLDS if row in one)
            shown = pool.shown(row, how, 6)
            assert len(shown) == 6
            assert not {ROWS[k] for k in fold} & {*shown}


def test_demonstrations_are_the_nearest_with_the_nearest_last_or_of_every_class():
    pool = Pool(ROWS, GROUPS, FOLDS)
    near = pool.shown(0, "nearest", 4)
    assert {one.answer for one in near} == {"hot"}
    answers = [one.answer for one in pool.shown(0, "diverse", 4)]
    assert sorted(answers) == ["cold", "cold", "hot", "hot"]


def test_every_beginning_of_the_order_has_the_classes_in_proportion():
    groups = ["rare"] * 10 + ["common"] * 40
    for seed in range(5):
        order = in_turn(groups, seed)
        assert sorted(order) == list(range(50))
        assert 2 <= sum(groups[k] == "rare" for k in order[:15]) <= 4
    assert in_turn(groups, 0) != in_turn(groups, 1)


def test_instructions_are_asked_for_from_different_rows_and_read_from_the_first_line():
    asked = questions_for_instructions(FIRST, ROWS, 3, seed=0)
    assert len(set(asked)) == 3
    assert asked == questions_for_instructions(FIRST, ROWS, 3, seed=0)
    assert all(one.endswith("Instruction:") for one in asked)
    told = ["“Say which.”\n\nI hope it helps", "Instruction: Say which.", None, "指令：按温度分。"]
    assert proposed(told, FIRST) == ["Say which.", "指令：按温度分。"]
    chinese = first_prompt(["冷", "热"], [Example("火", "热")])
    assert proposed(["指令：按温度分。"], chinese) == ["按温度分。"]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("hot", "hot"),
        ("  **Hot.** ", "hot"),
        ("hot\n\nBecause of the cold", "hot"),
        ("The label is “cold”.", "cold"),
        ("hot or cold", None),
        ("hotter", None),
        ("very cold", "very cold"),
        ("It is very cold here", "very cold"),
        ("", None),
        ("neither", None),
        ("ＨＯＴ", "hot"),
        ("属于正面评价。", "正面"),
        ("正面和负面都有", None),
        ("C++", "C++"),
    ],
)
def test_an_answer_names_one_label_or_none(answer, label):
    assert label_in(answer, ["hot", "cold", "very cold", "正面", "负面", "C++"]) == label


def test_labels_that_read_the_same_are_told_apart_only_as_they_are_written():
    assert label_in("A", ["A", "a"]) == "A"
    assert label_in("a", ["A", "a"]) == "a"
    assert label_in("the answer: a", ["A", "a"]) is None


def test_candidates_are_ranked_on_the_rows_that_all_have_answered():
    """The first rows are easy: who has answered those alone is not better for it."""
    long, short = Tried(FIRST), Tried(replace(FIRST, instruction="new"))
    long.grades = [1.0] * 10 + [0.0] * 30
    short.grades = [1.0] * 8 + [0.0] * 2
    assert ranked([short, long]) == [long, short]
    assert ranked([Tried(FIRST), short])[0].prompt == FIRST  # nobody knows anything
