"""The race between candidates, on losses that are made up."""

from dataclasses import replace

import numpy as np
import pytest
from tracks import FOLDS, HELD, ROWS, Given, Memory, held

from fewtune.base.errors import FewtuneError
from fewtune.models.choice import ONE_OF
from fewtune.trials.choosing import best_of, choose, cross_choices, within
from fewtune.trials.entrants import LabelJudge
from fewtune.trials.fits import FitsOnDisk
from fewtune.trials.race import Race
from fewtune.trials.runners import Entrant, Fitted


def losses(mean, noise=0.3, seed=1):
    """The same hard and easy rows for all, plus the candidate's own chance."""
    hard = np.random.default_rng(0).gamma(2, 0.3, ROWS)
    return hard + mean + noise * np.random.default_rng(seed).normal(size=ROWS)


def race(entrants, budget=1e9, **kept):
    """Name -> (losses, seconds, stays); the race, what was fitted, and its events."""
    asked = []

    def fit(name, found):
        def one(learned, held):
            assert not {*learned} & {*held}
            asked.append((name, len(held)))
            return found[held]

        return one

    runners = [
        Entrant(name, fit(name, found), seconds, stays)
        for name, (found, seconds, stays) in entrants.items()
    ]
    memory = Memory({name: one[1] for name, one in entrants.items()}, **kept)
    one = Race(runners, HELD, ROWS, Given(), memory, budget)
    return one, asked, memory


THREE = {
    "probe": (losses(0.5, seed=1), 1.0, True),
    "bad": (losses(1.5, seed=2), 5.0, False),
    "good": (losses(0.0, seed=3), 20.0, False),
}


def test_the_best_wins_and_the_worst_leaves_after_the_second_fold():
    one, asked, _ = race(THREE)
    outcome, events = held(one)
    assert outcome.winner == outcome.leader == "good"
    assert [name for name, _ in asked].count("bad") == 2
    assert [name for name, _ in asked].count("good") == FOLDS
    (left,) = [event for event in events if event.name == "left"]
    assert (left["trial"], left["by"], left["folds"]) == ("bad", "good", 2)
    states = {line["name"]: line["state"] for line in outcome.table}
    assert states == {"probe": "behind", "bad": "beaten", "good": "chosen"}
    assert outcome.table[2]["gain"] == pytest.approx(0.5, abs=0.1)
    assert outcome.table[2]["better"]


def test_cheap_candidates_run_first_and_baselines_never_leave():
    one, asked, _ = race({"late": (losses(0), 9.0, False), **THREE})
    held(one)
    first = [name for name, _ in asked[:4]]
    assert first == ["probe", "bad", "late", "good"]
    assert [name for name, _ in asked].count("probe") == FOLDS


def test_of_equals_the_cheapest_is_chosen():
    same, near = losses(0, seed=5), 0.1 * np.random.default_rng(9).normal(size=ROWS)
    near += 0.003 - near.mean()
    one, *_ = race({
        "probe": (losses(1.0), 1.0, True),
        "dear": (same, 50.0, False),
        "cheap": (same + near, 5.0, False),
    })  # fmt: skip
    outcome, _ = held(one)
    assert outcome.leader == "dear"
    assert outcome.winner == "cheap"
    assert {line["name"]: line["state"] for line in outcome.table}["dear"] == "tied"


def test_chance_alone_seldom_sends_the_best_away():
    sent = 0
    for seed in range(60):
        entrants = {"probe": (losses(1.0), 1.0, True)}
        entrants |= {f"c{k}": (losses(0, seed=100 * seed + k + 7), 5.0, False) for k in range(5)}
        outcome, _ = held(race(entrants)[0])
        sent += any(line["state"] == "beaten" for line in outcome.table)
    assert sent <= 8  # 5 % of 60 are 3; 8 and more would be one chance in a hundred


def test_the_budget_is_kept_and_the_promising_are_seen_to_the_end():
    one, asked, _ = race(THREE, budget=136)  # five folds of `good` and its refit take 125 s
    outcome, _ = held(one)
    assert one.spent + 20 * 1.25 <= 136
    assert outcome.winner == "good"
    assert [name for name, _ in asked].count("good") == FOLDS
    assert [name for name, _ in asked].count("bad") == 1  # it was least promising after a fold
    small, asked, _ = race(THREE, budget=30)
    outcome, _ = held(small)
    assert outcome.winner == "probe"
    assert {line["name"]: line["state"] for line in outcome.table}["good"] == "out of time"
    assert small.spent <= 30


def test_a_race_without_time_for_all_says_what_would_have_been_enough():
    near = {**THREE, "bad": (losses(0.1, seed=2), 5.0, False)}  # nobody is beaten early
    for budget in (30, 100):
        short, _ = held(race(near, budget=budget)[0])
        assert "out of time" in {line["state"] for line in short.table}
        assert short.enough > budget
        enough, _ = held(race(near, budget=short.enough)[0])
        assert "out of time" not in {line["state"] for line in enough.table}
        assert enough.enough == 0


def test_a_budget_that_nobody_asked_for_lets_the_most_promising_finish():
    one, asked, _ = race(THREE, budget=60)
    one.soft = True
    held(one)  # who stands first promises most, before anybody has run
    assert [name for name, _ in asked].count("bad") == 2  # then the probe has beaten it
    assert [name for name, _ in asked].count("good") == 0
    promising = {"probe": THREE["probe"], "good": THREE["good"], "bad": THREE["bad"]}
    one, asked, _ = race(promising, budget=60)
    one.soft = True
    outcome, _ = held(one)
    assert outcome.winner == "good"
    assert [name for name, _ in asked].count("good") == FOLDS


def test_time_that_a_loser_leaves_is_spent_on_who_had_none():
    """The first to run is beaten after two of five folds: what it leaves is enough for another."""
    first = {"probe": THREE["probe"], "bad": (losses(1.5, seed=2), 30.0, False)}
    one, asked, _ = race({**first, "good": THREE["good"]}, budget=200)
    outcome, events = held(one)
    names = [name for name, _ in asked]
    assert names.count("bad") == 2
    assert names.index("good") > max(k for k, name in enumerate(names) if name == "bad")
    assert outcome.winner == "good"
    assert one.spent + 20 * 1.25 <= 200
    assert [event["trial"] for event in events if event.name == "left"] == ["bad"]


def test_who_has_answered_all_folds_does_not_leave_at_the_last_look():
    one, *_ = race(THREE)
    one.folds = one.board.folds = np.array_split(np.arange(ROWS), 2)
    outcome, events = held(one)
    assert not [event for event in events if event.name == "left"]
    assert {line["name"]: line["state"] for line in outcome.table}["bad"] == "behind"


def test_time_that_is_left_is_not_spent_on_who_could_not_be_seen_to_the_end():
    first = {"probe": THREE["probe"], "bad": (losses(1.5, seed=2), 30.0, False)}
    one, asked, _ = race({**first, "good": (losses(0.0, seed=3), 28.0, False)}, budget=200)
    outcome, _ = held(one)
    assert "good" not in {name for name, _ in asked}
    assert outcome.winner == "probe"
    assert outcome.table[2]["state"] == "out of time"


def test_who_comes_late_is_beaten_like_any_other():
    entrants = {
        "probe": THREE["probe"],
        "bad": (losses(1.5, seed=2), 30.0, False),
        "worse": (losses(2.5, seed=3), 20.0, False),
    }
    one, asked, _ = race(entrants, budget=200)
    outcome, _ = held(one)
    names = [name for name, _ in asked]
    assert (names.count("bad"), names.count("worse")) == (2, 2)
    assert outcome.table[2]["state"] == "beaten"


def test_who_has_not_run_is_expected_at_the_pace_of_those_that_have():
    one, asked, memory = race(THREE, budget=150)
    memory.seconds = {"probe": 2.0, "bad": 10.0, "good": 40.0}  # twice what was told
    held(one)
    assert "good" not in {name for name, _ in asked}
    assert one.spent <= 150


def test_a_race_that_was_killed_fits_nothing_twice_and_ends_the_same():
    whole, _ = held(race(THREE)[0])
    one, asked, memory = race(THREE)
    running = one.run()
    for _ in range(4):
        next(running)
    running.close()
    before = len(asked)
    again, asked, _ = race(THREE, kept=memory.kept)
    outcome, _ = held(again)
    assert before == 4
    assert len(asked) + before == len(memory.kept)
    assert outcome.table == whole.table
    assert outcome.winner == whole.winner


def test_fits_come_back_from_the_disk_and_half_a_file_is_no_fit(tmp_path):
    kept = FitsOnDisk(tmp_path / "race")
    assert kept.read("full(learning_rate=0.0001)", 2) is None
    answers = np.random.default_rng(0).normal(size=(7, 3))
    kept.write("full(learning_rate=0.0001)", 2, Fitted(answers, 1.5))
    found = kept.read("full(learning_rate=0.0001)", 2)
    assert np.array_equal(found.answers, answers)
    assert found.seconds == 1.5
    kept.write("lora", 0, Fitted(np.empty(0), 2.0, "the loss is not a number"))
    assert kept.read("lora", 0).failed == "the loss is not a number"
    assert found.failed == ""
    file = next((tmp_path / "race").glob("full*"))
    file.write_bytes(file.read_bytes()[:40])
    assert kept.read("full(learning_rate=0.0001)", 2) is None


def test_the_choice_for_a_fold_does_not_depend_on_its_rows():
    found = {"a": losses(0.4, seed=1), "b": losses(0.38, seed=2), "c": losses(0.9, seed=3)}
    cost = {"a": 1.0, "b": 2.0, "c": 3.0}
    before = cross_choices(found, cost, HELD)
    for number, rows in enumerate(HELD):
        turned = {name: one.copy() for name, one in found.items()}
        turned["c"][rows] -= 100  # the fold's own rows would make `c` the best of all
        assert cross_choices(turned, cost, HELD)[number] == before[number]
    assert choose(turned, cost) == "c"


def test_a_candidate_that_did_not_answer_a_fold_is_not_chosen_for_any():
    some = losses(-1.0)
    some[HELD[3]] = np.nan
    chosen = cross_choices({"a": losses(0.5), "b": some}, {"a": 1.0, "b": 2.0}, HELD)
    assert chosen == ["a"] * FOLDS


def test_who_left_early_is_not_chosen_for_easy_rows():
    gone = losses(0.2)
    gone[np.argsort(gone)[100:]] = np.nan  # the easy half alone
    found = {"probe": losses(0.2, seed=2), "gone": gone, "best": losses(0.0, seed=3)}
    assert np.nanmean(gone) < found["best"].mean()
    assert best_of(found) == "best"
    assert within(found, "best") == ["best"]


def test_an_overconfident_candidate_is_judged_at_its_own_temperature():
    draw = np.random.default_rng(0)
    targets = draw.integers(0, 3, 300)
    logits = draw.normal(size=(300, 3)) + 2 * np.eye(3)[targets]
    judge, rows = LabelJudge(ONE_OF, targets), np.arange(300)
    calm, loud = judge.losses(logits, rows), judge.losses(10 * logits, rows)
    assert calm.mean() == pytest.approx(loud.mean(), abs=1e-3)
    assert ONE_OF.losses(ONE_OF.probabilities(10 * logits), targets).mean() > 2 * loud.mean()


def test_who_has_not_answered_all_folds_is_not_chosen():
    """Nobody else may win, and yet one fold of five is no comparison."""
    told = {"before": (losses(0.5, seed=1), 1.0, True), "late": (losses(0.0, seed=2), 10.0, False)}
    one, asked, memory = race(told, budget=100)
    one.runners["before"].entrant = replace(one.runners["before"].entrant, wins=False)
    memory.seconds = {"before": 1.0, "late": 50.0}  # five times what was told
    outcome, _ = held(one)
    assert 0 < [name for name, _ in asked].count("late") < FOLDS
    assert (outcome.winner, outcome.losses) == ("", {})
    assert {line["name"]: line["state"] for line in outcome.table}["late"] == "out of time"


def test_a_baseline_that_cannot_win_is_not_called_behind():
    one, *_ = race({"tfidf": (losses(0.2, seed=1), 1.0, True), "lora": (losses(0.8), 5.0, False)})
    one.runners["tfidf"].entrant = replace(one.runners["tfidf"].entrant, wins=False)
    outcome, _ = held(one)
    assert {line["name"]: line["state"] for line in outcome.table} == {
        "tfidf": "beside", "lora": "chosen",
    }  # fmt: skip


def test_answers_that_are_no_numbers_are_a_failure():
    broken = losses(0.1, seed=4)
    broken[HELD[0][0]] = np.nan
    one, *_ = race(THREE | {"broken": (broken, 2.0, False)})
    outcome, _ = held(one)
    states = {line["name"]: line["state"] for line in outcome.table}
    assert (outcome.winner, states["broken"]) == ("good", "failed")


def test_half_of_the_repeats_is_not_all_of_them():
    entrants = {"probe": (losses(1.0), 1.0, True), "dear": (losses(0.0, seed=2), 10.0, False)}
    one, *_, memory = race(entrants, budget=80)
    one.folds = one.board.folds = [*HELD, *np.array_split(np.arange(ROWS), FOLDS)]
    memory.seconds = {"probe": 0.1, "dear": 10.0}
    outcome, _ = held(one)
    assert FOLDS <= len(one.runners["dear"].fitted) < 2 * FOLDS
    assert outcome.winner == "probe"


def test_a_row_has_the_answer_of_one_fit_however_often_the_folds_are_dealt():
    one, *_ = race({"probe": (losses(1.0), 1.0, True)})
    again = np.array_split(np.arange(ROWS), FOLDS)
    one.folds = one.board.folds = [*HELD, *again]
    one.runners["probe"].fitted = {
        k: Fitted(np.full(len(rows), float(k < FOLDS)), 1.0) for k, rows in enumerate(one.folds)
    }
    assert (one.board.answers()["probe"] == 1.0).all()  # of the first repeat
    assert (one.board.losses()["probe"] == 0.5).all()  # the mean of both


@pytest.mark.parametrize("folds", [10, 20])
def test_of_many_folds_the_hopeless_leave_too(folds):
    entrants = {"probe": (losses(0.0), 0.1, True)}
    entrants |= {f"bad{k}": (losses(3.0, seed=k), 1.0, False) for k in range(6)}
    one, *_ = race(entrants)
    one.folds = one.board.folds = np.array_split(np.random.default_rng(0).permutation(ROWS), folds)
    outcome, _ = held(one)
    assert {line["state"] for line in outcome.table[1:]} == {"beaten"}


def test_the_first_may_be_the_one_that_has_no_time():
    told = {"full": (losses(0.0, seed=2), 50.0, False), "probe": (losses(1.0), 2.0, True)}
    outcome, _ = held(race(told, budget=20)[0])
    assert outcome.winner == "probe"
    assert "gain" not in outcome.table[1]


def test_a_candidate_that_cannot_be_fitted_leaves_with_a_sentence():
    one = race(THREE)[0]

    def diverges(learned, rows):
        raise FewtuneError("the loss is not a number at step 1 of 9")

    one.runners["bad"].entrant = replace(one.runners["bad"].entrant, fit=diverges)
    outcome, events = held(one)
    assert outcome.winner == "good"
    assert {line["name"]: line["state"] for line in outcome.table}["bad"] == "failed"
    (warned,) = [event["message"] for event in events if event.name == "warned"]
    assert warned == "bad: the loss is not a number at step 1 of 9"
    assert one.spent > sum(f.seconds for r in one.runners.values() for f in r.fitted.values())
    one = race(THREE)[0]
    one.runners["probe"].entrant = replace(one.runners["probe"].entrant, fit=diverges)
    with pytest.raises(FewtuneError, match="not a number"):
        held(one)  # a baseline, which every run is set beside


def diverging(one, *names):
    """The race, in which some cannot be fitted."""

    def diverges(learned, rows):
        raise FewtuneError(f"memory ran out for {len(learned)} rows")

    for name in names:
        one.runners[name].entrant = replace(one.runners[name].entrant, fit=diverges)
    return one


def test_a_race_that_is_replayed_remembers_who_failed():
    first, _, memory = race(THREE)
    outcome, _ = held(diverging(first, "good"))
    assert outcome.winner == "probe"
    again, asked, _ = race(THREE, kept=memory.kept)  # there would be memory now
    replayed, events = held(again)
    assert replayed.winner == "probe"
    assert asked == []
    assert [e["message"] for e in events if e.name == "warned"] == [
        "good: memory ran out for 160 rows"
    ]
    assert replayed.seconds == outcome.seconds


def test_where_all_that_could_win_fail_the_first_reason_is_told():
    told = {name: told for name, told in THREE.items() if name != "probe"}
    one = diverging(race(told)[0], *told)
    with pytest.raises(FewtuneError, match=r"memory ran out .* --again tries it anew"):
        held(one)


def test_who_failed_beside_one_that_has_no_time_is_no_reason_to_stop():
    told = {"bad": (losses(1.5), 5.0, False), "good": (losses(0.0), 90.0, False)}
    outcome, _ = held(diverging(race(told, budget=40)[0], "bad"))
    assert outcome.winner == ""
    assert [line["state"] for line in outcome.table] == ["failed", "out of time"]


def test_who_is_needed_does_not_leave_for_being_beaten():
    for needed, fits, state in ((False, 2, "beaten"), (True, FOLDS, "behind")):
        one, asked, _ = race(THREE)
        one.runners["bad"].entrant = replace(one.runners["bad"].entrant, needed=needed)
        outcome, _ = held(one)
        assert [name for name, _ in asked].count("bad") == fits
        assert {line["name"]: line["state"] for line in outcome.table}["bad"] == state
    one, *_ = race(THREE, budget=136)  # which is too little for all
    one.runners["bad"].entrant = replace(one.runners["bad"].entrant, needed=True)
    outcome, _ = held(one)
    assert {line["name"]: line["state"] for line in outcome.table}["bad"] == "out of time"


class Writing(Memory):
    """Fits of which the first took longer, for what is asked once."""

    def write(self, name, fold, fitted):
        super().write(name, fold, fitted)
        if fold == 0:
            object.__setattr__(fitted, "seconds", self.seconds[name] + 75.0)


def test_what_is_asked_once_is_not_taken_for_the_time_of_every_fold():
    """Five folds of 20 s and 75 s once, for each of three: 525 s of 600."""
    near = {f"c{k}": (losses(0.0, seed=k), 20.0, False) for k in range(3)}
    one, *_ = race(near, budget=600.0)
    runners = [replace(runner, once=lambda: 75.0) for runner in one.entrants]
    one = replace(one, entrants=runners, refits=False, kept=Writing(one.kept.seconds))
    outcome, _ = held(one)
    assert "out of time" not in {line["state"] for line in outcome.table}
    assert outcome.seconds == pytest.approx(525.0)
    assert outcome.cost == pytest.approx(dict.fromkeys(near, 20.0))


def test_a_race_that_refits_nobody_has_the_whole_budget_for_its_folds():
    two = {"probe": THREE["probe"], "good": THREE["good"]}  # five folds of both take 105 s
    for refits, states in ((True, "out of time"), (False, "chosen")):
        one, _, _ = race(two, budget=106)
        one = replace(one, refits=refits)
        outcome, _ = held(one)
        assert {line["name"]: line["state"] for line in outcome.table}["good"] == states
