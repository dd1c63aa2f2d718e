"""Optuna's proposals in a race: on landscapes that are made up, and over the methods' spaces."""

import numpy as np
import pytest
from tracks import FOLDS, HELD, ROWS, Given, Memory, held

from fewtune.base.errors import FewtuneError, Interrupted, UsageError
from fewtune.methods import METHODS, parse
from fewtune.methods.space import Span
from fewtune.trials import search as searching
from fewtune.trials.choosing import choose, cross_choices, errors_of
from fewtune.trials.entrants import Contender
from fewtune.trials.race import Race
from fewtune.trials.runners import Entrant, Seen
from fewtune.trials.search import Field, Point, Search, propose

optuna = pytest.importorskip("optuna", reason="the extra `search` is not installed")

SPACES = {
    "full": METHODS["full"]().space(300, None, 6),
    "lora": METHODS["lora"]().space(300, None, 6),
}
BASES = {"full": {"learning_rate": 2e-4, "dropout": 0.0, "wise_ft_alpha": 0.5},
         "lora": {"learning_rate": 1e-3, "dropout": 0.0, "lora_r": 8}}  # fmt: skip


def valley(one):
    """Lora is better with a rate four times the default, and rank does not matter."""
    rate = one.values["learning_rate"]
    if one.method.name == "full":
        return 1.0 + 0.2 * np.log(rate / 2e-4) ** 2
    return 0.9 + 0.4 * np.log(rate / 3.5e-3) ** 2


def searched(count=12, loss=valley, seed=0, budget=1e9, memory=None, made=(), noise=0.3, keep=None):
    """A race of the probe, `full` and `lora` with a search; what it fitted, in order."""
    asked = []

    def entrant(one):
        def fit(learned, held):
            asked.append(one.name)
            own = np.random.default_rng([seed, *one.name.encode()]).normal(size=ROWS)
            mean = loss(one) if one.values else 3.0
            hard = np.random.default_rng(seed).gamma(2, 0.3, ROWS)
            return (hard + mean + noise * own)[held]

        return Entrant(one.name, fit, 1.0, stays=not one.values)

    known = [Contender("probe", parse("probe", {}))]
    known += [Contender(name, parse(name, {}), values=BASES[name]) for name in SPACES]
    fields = {one.name: Field(one, SPACES[one.name], one.values) for one in known if one.values}
    search = Search(fields, count, seed, entrant, known, list(made), keep or (lambda one: None))
    memory = memory or Memory()
    one = Race([*map(entrant, known)], HELD, ROWS, Given(), memory, budget, proposals=search)
    return one, search, asked


# ---- the spaces


@pytest.mark.parametrize("name", METHODS)
def test_every_corner_of_a_methods_space_is_a_value_that_the_method_takes(name):
    own = METHODS[name].model_fields
    for width in (None, 896):
        space = METHODS[name]().space(300, width, 4)
        for option, span in space.items():
            assert span.low < span.high
            for value in (span.low, span.high):
                if option in own:
                    parse(name, {option: value})
        if METHODS[name].needs_steps:
            usual = METHODS[name].rate if width is None else None
            assert usual is None or space["learning_rate"].holds(usual)
            assert space["learning_rate"].log
            assert {"dropout"} < {*space} or name in ("bitfit", "ia3")


def test_the_methods_that_are_searched_are_all_that_train():
    found = {name for name in METHODS if "learning_rate" in METHODS[name]().space(300, None, 6)}
    assert found == {name for name, method in METHODS.items() if method.needs_steps}
    assert len(found) == 9
    assert METHODS["probe"]().space(300, None, 6) == {}
    assert [*METHODS["tfidf"]().space(300, None, 6)] == ["tfidf_c"]


def test_no_more_blocks_are_tried_than_there_are_and_one_at_least_where_no_head_is_new():
    freeze = METHODS["freeze"]()
    assert freeze.space(300, None, 4)["layers"] == Span(0, 4)
    assert freeze.space(300, 896, 24)["layers"] == Span(1, 6)
    assert freeze.usual("layers", None) == 2
    assert freeze.usual("layers", 896) == 2


def test_a_hybrid_is_searched_over_the_options_of_its_parts():
    both = parse("lora+adapter", {"lora_r": 4})
    space = both.space(300, None, 6)
    assert {"learning_rate", "dropout", "lora_r", "reduction_factor"} == {*space}
    assert both.usual("lora_r", None) == 4
    found = Field(Contender("lora+adapter", both), space, {"lora_r": 4}).candidate(
        {"learning_rate": 2e-3, "dropout": 0.0, "lora_r": 16, "reduction_factor": 8}
    )
    assert found.method == parse("lora+adapter", {"lora_r": 16, "reduction_factor": 8})
    assert found.train == {"learning_rate": 2e-3}
    assert found.name == "lora+adapter(learning_rate=0.002,lora_r=16,reduction_factor=8)"


# ---- the proposals


def points(count, best=3e-3):
    """Candidates of lora by rate; every third left after two folds."""
    draw = np.random.default_rng(1)
    found = []
    for k in range(count):
        rate = float(f"{SPACES['lora']['learning_rate'].low * 16 ** draw.random():.2g}")
        values = BASES["lora"] | {"learning_rate": rate}
        loss = 1 + abs(np.log(rate / best))
        found.append(Point("lora", values, Seen((loss,) * (5 if k % 3 else 2), bool(k % 3))))
    return found


def test_a_proposal_is_a_function_of_seed_number_and_what_was_seen():
    seen = points(9)
    first = propose(SPACES, seen, 7, 9)
    assert first == propose(SPACES, list(seen), 7, 9)
    others = [propose(SPACES, seen, 7, k) for k in range(10, 16)]
    assert len({str(one) for one in [first, *others]}) > 3
    method, values = first
    assert values.keys() == SPACES[method].keys()
    assert all(span.holds(values[name]) for name, span in SPACES[method].items())
    assert float(f"{values['learning_rate']:.2g}") == values["learning_rate"]


def test_proposals_gather_where_the_losses_are_low():
    spaces = {"lora": SPACES["lora"]}
    for best, side in ((3e-3, 1), (3.5e-4, -1)):
        found = [propose(spaces, points(24, best), 0, k)[1]["learning_rate"] for k in range(20)]
        assert side * np.median(np.log(np.array(found) / 1e-3)) > 0.3


def test_who_left_is_told_to_optuna_as_pruned_with_the_loss_after_each_fold():
    left = searching._told(SPACES, Point("lora", BASES["lora"], Seen((1.5, 1.25), False)))
    assert left.state.name == "PRUNED"
    assert left.intermediate_values == {1: 1.5, 2: 1.25}
    whole = searching._told(SPACES, Point("lora", BASES["lora"], Seen((1.5, 1.25), True)))
    assert (whole.state.name, whole.value) == ("COMPLETE", 1.25)
    assert whole.params == {"method": "lora", "lora.learning_rate": 1e-3, "lora.dropout": 0.0,
                            "lora.lora_r": 8}  # fmt: skip


def test_a_space_that_is_used_up_gives_no_more():
    spaces = {"lora": {"lora_r": Span(2, 3)}}
    known = {("lora", (("lora_r", 2),)), ("lora", (("lora_r", 3),))}
    assert propose(spaces, [], 0, 0, known) is None
    assert propose(spaces, [], 0, 0, {("lora", (("lora_r", 2),))}) == ("lora", {"lora_r": 3})


def test_without_optuna_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(searching, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "fewtune\[search\]"'):
        searching.refuse_missing()


# ---- in the race


def test_a_better_rate_than_the_default_is_found_and_chosen():
    race, _, asked = searched()
    outcome, events = held(race)
    assert outcome.winner.startswith("lora(learning_rate=0.00")
    lines = {line["name"]: line for line in outcome.table}
    assert lines[outcome.winner]["state"] == "chosen"
    assert lines[outcome.winner]["log_loss"] < lines["lora"]["log_loss"] - 0.3
    assert [line["proposed"] for line in outcome.table if "proposed" in line] == [*range(1, 13)]
    told = [event for event in events if event.name == "proposed"]
    assert [(one["number"], one["of"]) for one in told] == [(k, 12) for k in range(1, 13)]
    assert {*outcome.proposed} == {one["trial"] for one in told}
    first = asked.index(told[0]["trial"])
    assert {*asked[:first]} == {"probe", "full", "lora"}  # the plan's candidates come first


def test_a_bad_proposal_leaves_early():
    race, _, asked = searched(count=12)
    outcome, _ = held(race)
    beaten = [one for one in outcome.table if "proposed" in one and one["state"] == "beaten"]
    assert beaten
    assert min(one["folds"] for one in beaten) == 2
    assert all(asked.count(one["name"]) == one["folds"] for one in beaten)


@pytest.mark.parametrize("events", [9, 16, 24, 31])
def test_a_race_that_was_killed_in_a_search_proposes_the_same_again(events):
    whole, found, _ = searched(count=6)
    outcome, _ = held(whole)
    memory, made = Memory(), []
    killed, _, before = searched(count=6, memory=memory, keep=made.append)
    running = killed.run()
    for _ in range(events):
        next(running)
    running.close()
    written = [Contender.of_json(one.as_json()) for one in made]
    for recorded in (written, []):  # what was written down, and what the seed alone gives
        again, search, after = searched(count=6, memory=Memory(kept={**memory.kept}), made=recorded)
        ended, _ = held(again)
        assert search.made == found.made
        assert ended.table == outcome.table
        assert ended.winner == outcome.winner
        assert len(before) + len(after) == sum(line["folds"] for line in outcome.table)
        for name, answers in outcome.answers.items():
            assert np.array_equal(ended.answers[name], answers, equal_nan=True)


def test_of_candidates_that_are_all_alike_a_proposal_is_seldom_chosen():
    """A proposal that is ahead by chance alone: 16 % of the races at most, whatever the number."""
    for count in (4, 16):
        chosen = 0
        for seed in range(200):
            draw = np.random.default_rng([count, seed])
            names = ["planned", *(f"p{k}" for k in range(count))]
            losses = {name: draw.normal(size=100) for name in names}
            winner = choose(losses, dict.fromkeys(names, 1.0), names[1:])
            chosen += winner != "planned"
        # one error alone would choose a proposal in most of them
        assert chosen / 200 < 0.22


def test_the_more_proposals_the_further_ahead_one_must_be():
    draw = np.random.default_rng(3)
    apart = draw.normal(size=400)
    apart += 0.1 - apart.mean()  # two standard errors
    base = draw.normal(size=400)
    losses = {"planned": base + apart, "best": base}
    cost = {"planned": 1.0, "best": 1.0}
    assert choose(losses, cost) in ("planned", "best")
    assert choose(losses, cost, ["best"]) == "best"
    many = {f"p{k}": base + 5 for k in range(40)}
    cost |= dict.fromkeys(many, 1.0)
    assert errors_of(41, 400) > 2.0 > errors_of(1, 400)
    assert choose(losses | many, cost, ["best", *many]) == "planned"


def test_the_time_rules_over_the_number():
    race, *_ = searched(count=50, budget=40.0)
    outcome, events = held(race)
    assert race.spent + race._refit <= 40
    assert 0 < len(outcome.proposed) < 50
    (warned,) = [event["message"] for event in events if event.name == "warned"]
    assert f"time for {len(outcome.proposed)} of 50 proposals" in warned
    assert outcome.winner


def test_a_time_that_nobody_asked_for_does_not_cut_the_search():
    race, *_ = searched(count=5, budget=6.0)
    race.soft = True
    outcome, events = held(race)
    assert len(outcome.proposed) == 5
    assert not [event for event in events if event.name == "warned"]


def test_the_plans_candidates_leave_time_for_proposals():
    budget = 3 * FOLDS + 2  # all three on all folds and a refit, and no more
    alone, *_ = searched(count=0, budget=budget)
    alone.patient = True
    held(alone)
    assert [len(one.fitted) for one in alone.runners.values()] == [FOLDS] * 3
    shared, *_ = searched(count=8, budget=budget)
    shared.patient = True
    outcome, _ = held(shared)
    ran = {name: len(one.fitted) for name, one in shared.runners.items()}
    assert len(outcome.proposed) == 1
    assert (ran["probe"], ran["full"], ran["lora"]) == (FOLDS, FOLDS, 0)
    assert shared.runners["lora"].state == "out of time"
    assert shared.spent <= budget


def test_a_proposal_whose_loss_is_no_number_fails_and_the_race_goes_on():
    def breaks(one):
        if one.values["learning_rate"] > 1.5e-3:
            raise FewtuneError("the loss is not a number at step 3.")
        return valley(one)

    race, *_ = searched(loss=breaks)
    outcome, events = held(race)
    failed = [line for line in outcome.table if line["state"] == "failed"]
    assert failed
    assert all(line["folds"] == 0 for line in failed)
    assert any("not a number" in one.fields.get("message", "") for one in events)
    assert outcome.winner not in {line["name"] for line in failed}


def test_who_stops_a_search_stops_the_race():
    def stopped(one):
        if one.name not in SPACES:
            raise Interrupted("stopped")
        return valley(one)

    with pytest.raises(Interrupted):
        held(searched(loss=stopped)[0])


def test_folds_score_a_search_honestly_though_it_has_seen_all_losses():
    """Each row is easiest at a point of its own, which is what a search could overfit."""
    apart = np.array([score_of_a_search(seed) for seed in range(60)])
    mean, error = apart.mean(axis=0), apart.std(axis=0) / len(apart) ** 0.5
    folds, whole = mean / error
    assert abs(folds) < 2
    assert whole < -2  # the winner's own mean flatters, and this simulation can see it


def score_of_a_search(seed, rows=60, options=3):
    """By how much scores are above the true loss: by folds, and the winner's own on all rows."""
    draw = np.random.default_rng(seed)
    best, own = draw.random(options), 0.5 * draw.normal(size=(rows, options))
    space = {f"option{k}": Span(0.0, 1.0) for k in range(options)}

    def losses(at):
        return 0.5 * ((at - best - own) ** 2).sum(axis=1) + 0.2 * draw.normal(size=rows)

    def truth(at):
        return 0.5 * (((at - best) ** 2).sum() + options * 0.25)

    at = {"plan": np.full(options, 0.5)}
    found = {"plan": losses(at["plan"])}
    for number in range(12):
        points = [
            Point("any", dict(zip(space, at[name], strict=True)), Seen((one.mean(),), True))
            for name, one in found.items()
        ]
        _, values = propose({"any": space}, points, seed, number)
        at[f"p{number}"] = np.array([*values.values()])
        found[f"p{number}"] = losses(at[f"p{number}"])
    cost, proposed = dict.fromkeys(found, 1.0), [*found][1:]
    winner = choose(found, cost, proposed)
    folds = np.array_split(draw.permutation(rows), FOLDS)
    by = cross_choices(found, cost, folds, proposed)
    scored = np.concatenate([found[name][held] for name, held in zip(by, folds, strict=True)])
    return (
        scored.mean() - np.mean([truth(at[name]) for name in by]),
        found[winner].mean() - truth(at[winner]),
    )
