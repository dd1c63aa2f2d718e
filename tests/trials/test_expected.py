"""Folds and earlier measurements together."""

import numpy as np
import pytest
from tracks import FOLDS, HELD, ROWS, Given, Memory, held

from fewtune.choose.prior import Belief
from fewtune.trials.choosing import as_good_as_best, choose, cross_choices
from fewtune.trials.expected import SPREAD, Prior
from fewtune.trials.race import Race
from fewtune.trials.runners import Entrant, Fitted

BELIEFS = {"lora": Belief(0.1, 0.05, 0.1), "full": Belief(0.12, 0.05, 0.1)}
COST = {"probe": 1.0, "lora": 5.0, "full": 6.0}


def drawn(gains, rows, seed=0, noise=0.6):
    """Losses of a nat a row for the probe, and by a share less for the others."""
    draw = np.random.default_rng(seed)
    hard = draw.gamma(2, 0.5, rows)
    found = {"probe": hard}
    for name, gain in gains.items():
        found[name] = hard - gain + noise * draw.normal(size=rows)
    return found


def prior(rows, beliefs=BELIEFS):
    return Prior("probe", beliefs, learned=int(0.8 * rows))


def test_before_any_fold_it_is_what_was_believed():
    nothing = dict.fromkeys(("probe", "lora", "full"), np.full(50, np.nan))
    assert prior(50).expected(nothing) == {"probe": 0.0, "lora": 0.1, "full": 0.12}


def test_with_many_rows_it_is_what_the_folds_say():
    found = drawn({"lora": -0.2, "full": 0.3}, 100_000)
    told = prior(100_000).expected(found)
    for name in ("lora", "full"):
        assert told[name] == pytest.approx(1 - found[name].mean() / found["probe"].mean(), abs=0.01)


def test_one_candidate_is_weighed_as_two_normals_are():
    found = drawn({"lora": -0.3}, 30)
    told = prior(30, {"lora": Belief(0.1, 0.3, 0.4)}).expected(found)["lora"]
    gains = (found["probe"] - found["lora"]) / found["probe"].mean()
    noise = (gains.var(ddof=1) + SPREAD**2) / 30 * (1 + 30 / 24)  # folds share their rows
    belief = 0.3**2 + 0.4**2
    assert told == pytest.approx((0.1 * noise + gains.mean() * belief) / (noise + belief))


def test_what_one_method_gains_is_expected_of_its_like_and_not_of_n_grams():
    found = drawn({"lora": 0.1, "full": 0.12, "tfidf": 0.0}, 400)
    beliefs = BELIEFS | {"tfidf": Belief(0.0, 0.3)}
    usual = prior(400, beliefs).expected(found)
    up = prior(400, beliefs).expected(found | {"full": found["full"] - 0.5})
    assert up["lora"] > usual["lora"] + 0.005
    assert up["tfidf"] == pytest.approx(usual["tfidf"], abs=0.005)


def test_rows_that_one_has_not_answered_count_for_nobody():
    found = drawn({"lora": 0.1, "full": 0.1}, 100)
    some = found["full"].copy()
    some[60:] = np.nan
    part = {name: one[:60] for name, one in found.items()}
    known = Prior("probe", BELIEFS, 80)
    assert known.expected(found | {"full": some}) == known.expected(part)


def test_a_baseline_without_a_mistake_is_not_divided_by():
    found = {"probe": np.zeros(20), "lora": np.full(20, 0.1), "full": np.zeros(20)}
    told = prior(20).expected(found)
    assert all(np.isfinite(one) for one in told.values())


def test_that_nobody_is_better_than_chance_is_no_proof_that_all_are_equal():
    """At the temperature of 16 unlucky rows every candidate says one half, and loses alike."""
    alike = {name: np.full(16, np.log(2)) for name in COST}
    assert choose(alike, COST) == "probe"
    assert choose(alike, COST, prior=prior(16)) != "probe"


def test_few_rows_do_not_overrule_what_is_known_and_many_do():
    unlucky = {"lora": -0.1, "full": -0.1}
    few, many = drawn(unlucky, 16, seed=3), drawn(unlucky, 4000, seed=3)
    assert choose(few, COST) == "probe"
    assert choose(few, COST, prior=prior(16)) == "full"
    assert choose(many, COST, prior=prior(4000)) == "probe"


def test_of_those_expected_within_a_hundredth_the_cheapest_is_chosen():
    found = drawn(dict.fromkeys(BELIEFS, 0.0), 40)
    near = prior(40, {"lora": Belief(0.1, 1e-6), "full": Belief(0.109, 1e-6)})
    far = prior(40, {"lora": Belief(0.1, 1e-6), "full": Belief(0.111, 1e-6)})
    assert choose(found, COST, prior=near) == "lora"
    assert as_good_as_best(found, near) == ["full", "lora"]
    assert choose(found, COST, prior=far) == "full"


def test_it_chooses_better_where_the_beliefs_are_true():
    """What is chosen of methods whose gains are drawn as believed, over 400 data sets."""
    draw, ahead = np.random.default_rng(5), []
    for seed in range(400):
        common = draw.normal() * 0.1
        gains = {k: b.mean + common + draw.normal() * b.alone for k, b in BELIEFS.items()}
        found, worth = drawn(gains, 40, seed=seed), {"probe": 0.0} | gains
        ahead.append(worth[choose(found, COST, prior=prior(40))] - worth[choose(found, COST)])
    assert np.mean(ahead) > 3 * np.std(ahead) / 20


def test_the_choice_for_a_fold_does_not_depend_on_its_rows():
    found = drawn({"lora": 0.1, "full": 0.1}, ROWS)
    known = prior(ROWS)
    before = cross_choices(found, COST, HELD, prior=known)
    for number, rows in enumerate(HELD):
        turned = {name: one.copy() for name, one in found.items()}
        turned["probe"][rows] -= 100
        assert cross_choices(turned, COST, HELD, prior=known)[number] == before[number]


def test_a_proposal_is_chosen_as_without_beliefs():
    found = drawn({"lora": 0.1, "full": 0.1}, 2000)
    best = found | {"found": found["full"] - 0.5}
    cost = COST | {"found": 9.0}
    assert choose(best, cost, ["found"], prior(2000)) == "found"
    noise = np.random.default_rng(0).normal(size=2000)
    near = found | {"found": found["full"] - 0.001 + 0.3 * (noise - noise.mean())}
    assert choose(near, cost, ["found"], prior(2000)) != "found"


def raced(found, beliefs, budget=1e9):
    """A race on made-up losses: the outcome, and how many folds each has run."""
    asked = []

    def fit(name):
        def one(learned, rows):
            asked.append(name)
            return found[name][rows]

        return one

    runners = [Entrant(name, fit(name), COST[name], name == "probe") for name in found]
    known = Prior("probe", beliefs, ROWS - len(HELD[0]))
    one = Race(runners, HELD, ROWS, Given(), Memory(COST), budget, prior=known)
    outcome, _ = held(one)
    return outcome, {name: asked.count(name) for name in found}


def test_where_time_is_short_the_one_that_is_believed_in_is_seen_to_the_end():
    found = drawn({"lora": 0.1, "full": 0.1}, ROWS)
    outcome, folds = raced(found, BELIEFS | {"lora": Belief(-0.2, 0.01)}, budget=45)
    assert folds == {"probe": FOLDS, "lora": 0, "full": FOLDS}
    outcome, folds = raced(found, BELIEFS | {"full": Belief(-0.2, 0.01)}, budget=45)
    assert folds == {"probe": FOLDS, "lora": FOLDS, "full": 0}
    assert outcome.winner == "lora"


def test_the_table_tells_what_was_expected_and_the_chosen_is_the_cheapest_of_the_best():
    found = drawn({"lora": 0.1, "full": 0.1}, ROWS)
    outcome, _ = raced(found, BELIEFS)
    told = {line["name"]: line["expected"] for line in outcome.table}
    assert told == Prior("probe", BELIEFS, ROWS - len(HELD[0])).expected(found)
    assert outcome.leader == max(told, key=told.get)
    states = {line["name"]: line["state"] for line in outcome.table}
    assert states[outcome.winner] == "chosen"
    assert states["probe"] == "behind"


def test_who_is_believed_in_is_called_back_first():
    """Both were sent away for want of time; one had a fold, a little worse than the probe's."""
    found = drawn({"lora": 0.1, "full": 0.1}, ROWS)
    found["bad"], found["lora"] = found["probe"] + 2.0, found["probe"] - 0.1
    found["lora"][HELD[0]] = found["probe"][HELD[0]] + 0.02
    found["full"] = found["probe"] - 0.1
    beliefs = {
        "bad": Belief(0.3, 0.01, 0.01), "lora": Belief(0.06, 0.05, 0.05),
        "full": Belief(-0.1, 0.05, 0.05),
    }  # fmt: skip
    names = ("probe", "bad", "full", "lora")
    entrants = [Entrant(name, found[name].__getitem__, 1.0) for name in names]
    known = Prior("probe", beliefs, ROWS - len(HELD[0]))
    one = Race(entrants, HELD, ROWS, Given(), Memory({}), 1e9, prior=known)
    whole = {k: Fitted(found["probe"][rows], 1.0) for k, rows in enumerate(HELD)}
    one.runners["probe"].fitted = whole
    one.runners["lora"].fitted = {0: Fitted(found["lora"][HELD[0]], 1.0)}
    one.runners["lora"].state = one.runners["full"].state = "out of time"
    assert one._in_time_after_all() is one.runners["lora"]


def test_a_proposal_ahead_by_chance_leaves_the_choice_to_its_equals():
    """Whom the folds show to be far behind the proposal is not chosen in its place."""
    noise = np.random.default_rng(0).normal(size=2000)
    noise -= noise.mean()
    base = np.random.default_rng(1).gamma(2, 0.5, 2000)
    found = {"probe": base, "lora": base - 0.05, "full": base - 0.20 + 0.3 * noise}
    found["new"] = found["full"] - 0.001 + 0.3 * noise[::-1]
    believed = {"lora": Belief(0.9, 1e-6, 1e-6), "full": Belief(0.0, 1e-6, 1e-6)}
    cost = {"probe": 1.0, "lora": 5.0, "full": 9.0, "new": 9.0}
    known = Prior("probe", believed, 1600)
    assert choose(found, cost, prior=known) == "lora"
    assert choose(found, cost, ["new"], known) == "full"
