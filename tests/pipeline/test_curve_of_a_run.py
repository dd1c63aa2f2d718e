"""The learning curve of a run: whose it is, that it is written down, and how to leave it out."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from jobs import SPOKEN, dialogues, jsonl, rows, write_csv

import fewtune
from fewtune.data.row import Origin, Row
from fewtune.evaluate.intervals import wilson
from fewtune.methods import parse
from fewtune.pipeline import contenders, curve_ground, curve_price, learning
from fewtune.pipeline.curve_price import CHEAP, affordable, time_for
from fewtune.pipeline.judge import sums_of
from fewtune.tasks.multilabel import Multilabel
from fewtune.train.options import TrainOptions
from fewtune.trials import learning_curve as trials
from fewtune.trials.runners import Fitted
from fewtune.trials.smaller import of_targets

CHINESE = Path(__file__).resolve().parents[3] / "shared" / "data" / "industrial_ner_zh"


@pytest.mark.parametrize(
    ("winner", "cost", "left", "soft", "whose"),
    [
        ("probe", {"probe": 0.5, "full": 9.0}, 60, True, ("probe", 5)),
        ("full", {"probe": 0.5, "full": 3.0}, 60, True, ("full", 5)),  # 23 s: a moment
        ("full", {"probe": 0.5, "full": 3.0}, 5, True, ("probe", 5)),  # the time is nearly spent
        ("full", {"probe": 0.5, "full": 60.0}, 600, True, ("probe", 5)),
        ("full", {"probe": 80.0, "full": 60.0}, 600, True, (None, 0)),
        ("full", {"probe": 0.5, "full": 60.0}, 600, False, ("full", 5)),  # time that was given
        ("full", {"probe": 0.5, "full": 60.0}, 400, False, ("full", 4)),
        ("full", {"probe": 0.5, "full": 60.0}, 260, False, ("probe", 5)),  # less than half
        ("full", {"probe": 0.5, "full": 60.0}, 1, False, (None, 0)),  # and not passed
        ("full", {"probe": 0.5, "full": 60.0}, -9, False, (None, 0)),
        ("", {"probe": 0.5}, 60, True, (None, 0)),
    ],
)
def test_the_winners_curve_is_told_where_there_is_time_else_the_probes(
    winner, cost, left, soft, whose
):
    assert CHEAP == 30
    most = time_for(left, cost.get(winner, 0.0), soft)
    prices = {name: curve_price.price(fit, trials.SHARES) for name, fit in cost.items()}
    assert affordable(winner, prices, most, 5) == whose


@pytest.mark.parametrize(
    ("method", "options", "rows", "width", "parts"),
    [
        ("probe", {}, 80, None, [0.25, 0.5, 0.75]),
        ("full", {}, 80, None, [1, 1, 1]),  # 30 steps at the least
        ("full", {}, 800, None, [0.25, 0.5, 0.75]),
        ("full", {"num_train_epochs": 2}, 80, None, [0.4, 0.6, 0.8]),
        ("lora", {"max_steps": 9}, 800, None, [1, 1, 1]),
        ("lora", {}, 800, 576, [0.5, 0.71, 0.87]),  # passes over answers grow as rows^-0.5
    ],
)
def test_a_fit_to_fewer_rows_costs_the_steps_that_it_takes(method, options, rows, width, parts):
    """The plan has the steps of the final fit after the curve, so they are no measure of it."""
    job = SimpleNamespace(train=TrainOptions(**options))
    run = SimpleNamespace(job=job, method=parse(method, {}), answer_width=width, chosen={})
    targets = np.arange(rows * 5 // 4) % 4
    folds = [np.arange(k, len(targets), 5) for k in range(5)]
    ground = curve_ground.Ground(
        [], method, None, folds, len(targets), of_targets(targets, 0), "accuracy", None, rows
    )
    assert curve_price.step_shares(run, ground) == pytest.approx(parts, abs=0.04)
    assert curve_price.price(4.0, [0.25, 0.5, 0.75]) == 6.0
    assert curve_price.price(4.0, [1, 1, 1], whole=True) == 16.0


@pytest.fixture
def auto(train, monkeypatch):
    found = contenders.candidates
    names = ("probe", "tfidf")
    monkeypatch.setattr(
        contenders,
        "candidates",
        lambda ranked, **more: [one for one in found(ranked) if one.name in names],
    )
    given = {"method": "auto", "folds": 3, "budget": "20m", "learning_curve": True}
    return lambda output, **options: train(output, **(given | options))


def test_a_race_ends_with_a_curve_in_plan_and_report(auto):
    heard = []
    run = auto("with", listen=heard.append)
    curve = drawn(run, "share that is right")
    assert curve["method"] == run.scores["method"]
    assert [one["rows"] for one in curve["points"]] == pytest.approx([10, 20, 30, 40], abs=3)
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    assert "What more rows would bring" in page
    tried = [one["what"] for one in heard if one.name == "tried"]
    assert tried == ["methods", "learning curve"]
    named = {one["trial"] for one in heard if one.name == "trial"}
    assert f"learning curve of {run.scores['method']}" in named


@pytest.mark.parametrize("method", ["tfidf", "probe", "full"])
def test_a_named_method_has_a_curve_too_and_a_resumed_run_the_same(
    train, method, files, monkeypatch
):
    monkeypatch.setattr(learning, "time_alone", lambda run, folds: (0.1, 100.0))
    run = train("named", method=method, learning_curve=True, test=files["test"])
    curve = drawn(run, "share that is right")
    assert curve["method"] in (method, curve_price.INSTEAD)
    assert curve["points"][-1]["rows"] == pytest.approx(48, abs=3)
    plain = train("plain", method=method, test=files["test"])
    assert plain.scores["test"] == run.scores["test"]
    plan = run.folder.plan
    (run.folder.path / "scores.json").unlink()
    whose = {"of": curve["method"], "folds": 5}  # what stands there while its fits are made
    run.folder.write_plan(plan | {"chosen": plan["chosen"] | {"learning_curve": whose}})
    _forget_the_end(run.folder.path / "events.jsonl")
    again = fewtune.resume(run.folder.path)
    assert again.scores["learning_curve"]["points"] == curve["points"]


def _forget_the_end(events):
    lines = events.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [one for one in lines if json.loads(one)["name"] not in ("scored", "finished", "tried")]
    events.write_text("".join(kept), encoding="utf-8")


def test_rows_that_cannot_be_held_out_leave_a_named_method_without_a_curve(train, tmp_path):
    made = []
    for name, count, seed in (("train", 60, 0), ("held", 30, 1)):
        lines = [f"{text},{label},{label}" for text, label in rows(count, seed)]  # groups: classes
        made.append(tmp_path / f"{name}.csv")
        made[-1].write_text("\n".join(["text,label,machine", *lines]), encoding="utf-8")
    data, held = map(str, made)
    given = {"data": data, "test": held, "group": "machine", "method": "tfidf"}
    assert "learning_curve" not in train("whole", **given, learning_curve=True).scores


def test_with_groups_the_dots_are_as_uncertain_as_other_groups_are(train, tmp_path):
    other = {"pump": "lamp", "lamp": "door", "door": "pump"}
    lines = ["text,label,machine"]
    for k, (text, label) in enumerate(rows(144)):  # of every third machine all labels are wrong
        lines.append(f"{text},{label if k % 12 % 3 else other[label]},{k % 12}")
    data = tmp_path / "machines.csv"
    data.write_text("\n".join(lines), encoding="utf-8")
    given = {"data": str(data), "method": "tfidf", "group": "machine", "learning_curve": True}
    last = train("groups", test=str(data), **given).scores["learning_curve"]["points"][-1]
    low, high = wilson(last["value"], 144)
    assert last["high"] - last["low"] > 1.5 * (high - low)


def test_a_named_method_that_takes_long_has_the_probes_curve_or_says_so(train, monkeypatch, files):
    given = {"learning_curve": True, "test": files["test"]}
    monkeypatch.setattr(learning, "time_alone", lambda run, folds: (1000.0, 900.0))
    curve = train("probes", **given).scores["learning_curve"]
    assert curve["method"] == "probe"
    assert curve["said"].endswith("That of `full` would have taken too long.")
    monkeypatch.setattr(learning, "time_alone", lambda run, folds: (1000.0, 0.0))
    curve = train("none", **given).scores["learning_curve"]
    assert (curve["points"], curve["said"]) == ([], learning._TOO_DEAR)


def test_a_stand_in_that_fails_stands_in_for_nobody(train, monkeypatch, files):
    failed = Fitted(np.empty(0), 0.01, "it broke.")
    monkeypatch.setattr(trials, "fit_once", lambda *given: failed)
    monkeypatch.setattr(learning, "time_alone", lambda run, folds: (1000.0, 900.0))
    run = train("broken", learning_curve=True, test=files["test"])
    assert run.scores["learning_curve"]["said"] == learning._TOO_DEAR


@pytest.mark.parametrize(("method", "learned"), [("auto", 30), ("tfidf", 24)])
def test_too_few_rows_have_no_curve_and_that_is_said(auto, method, learned, tmp_path):
    data = write_csv(tmp_path / "few.csv", rows(45))
    budget = "20m" if method == "auto" else None
    curve = auto("few", method=method, budget=budget, data=data).scores["learning_curve"]
    assert (curve["points"], curve["said"]) == ([], curve_ground.TOO_FEW.format(learned, 40))


def test_classes_of_two_rows_have_no_curve_and_that_is_said(train, files, tmp_path):
    found = [(f"pump {k} leaks at seal {k % 60}", f"fault {k % 60}") for k in range(120)]
    data = write_csv(tmp_path / "pairs.csv", found)
    given = {"method": "tfidf", "data": data, "test": data, "folds": 2, "learning_curve": True}
    curve = train("pairs", **given).scores["learning_curve"]
    assert (curve["points"], curve["said"]) == ([], curve_ground.TOO_ALIKE)


def test_without_the_option_there_is_none_and_the_scores_are_the_same(auto):
    run = auto("without", learning_curve=False)
    assert "learning_curve" not in run.folder.plan["chosen"]
    assert not (run.folder.path / "learning_curve").exists()
    other = auto("with")
    assert other.scores["test"] == run.scores["test"]
    assert other.scores["method"] == run.scores["method"]


# ---- other tasks


def drawn(run, legend):
    """The curve as plan, scores and page have it."""
    curve = run.folder.plan["chosen"]["learning_curve"]
    assert run.scores["learning_curve"] == curve
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    assert 'aria-label="learning curve"' in page
    assert f"{legend} by training rows" in page
    assert all(one["low"] <= one["value"] <= one["high"] for one in curve["points"])
    return curve


def few_lines(path, count, to):
    """The first rows of a file of real data."""
    if not path.is_file():
        pytest.skip(f"{path} is not beside the repository")
    lines = path.read_text(encoding="utf-8").splitlines()[:count]
    to.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(to)


def test_several_chinese_labels_have_a_curve_of_f1(auto, tmp_path):
    data = few_lines(CHINESE / "multilabel" / "train.jsonl", 90, tmp_path / "sets.jsonl")
    curve = drawn(auto("sets", data=data), "micro F1")
    assert curve["metric"] == "micro_f1"
    assert [one["rows"] for one in curve["points"]] == pytest.approx([15, 30, 45, 60], abs=3)
    assert all(0.2 < one["value"] < 1 for one in curve["points"])
    assert "micro F1" in curve["said"]


@pytest.mark.parametrize("folds", [1, 5])
def test_thresholds_of_a_curve_gain_nothing_that_new_rows_do_not_show(folds):
    """Chosen on the 120 rows that they answer, they score 3.5 points more than on new ones."""
    task, draw, told, new = Multilabel(tuple("abcdefghijkl")), np.random.default_rng(0), [], []
    for _ in range(20):
        truth = (draw.random((2120, 12)) < 0.15).astype(float)
        found = 1 / (1 + np.exp(-draw.normal(1.5 * truth - 1.5, 1)))
        judge = SimpleNamespace(targets=truth, probabilities=lambda answers, held: answers)
        rows = [Row(Origin("a", k), {}) for k in range(120)]
        scored = curve_ground._labels(task, judge, "class", rows)
        parts = [np.arange(k, 120, folds) for k in range(folds)]
        sums = scored(found[np.concatenate(parts)], parts)
        told.append(sums.function(sums.rows.sum(axis=0)[None])[0])
        decided = task.decided_on(found[:120], truth[:120], "class")
        sums = sums_of(task, truth[120:], decided.answered(found[120:]))
        new.append(sums.function(sums.rows.sum(axis=0)[None])[0])
    assert np.mean(told) < np.mean(new) + 0.01


@pytest.fixture
def auto_answers(speaker, tmp_path, monkeypatch):
    """A run that chooses between two methods of a language model on four folds."""

    def candidates(ranked, **more):
        by_name = {one.method: one for one in ranked}
        return [replace(by_name[name], options={}) for name in ("lora", "ia3")]

    monkeypatch.setattr(contenders, "candidates", candidates)

    def call(data, output="spoken", **options):
        given = {"model": speaker, "output": str(tmp_path / output), "folds": 4, "budget": "20m"}
        return fewtune.train(data, **(SPOKEN | given | {"learning_curve": True} | options))

    return call


def test_answers_have_a_curve_of_their_loss_and_a_resumed_run_the_same(auto_answers, tmp_path):
    heard = []
    data = jsonl(tmp_path / "asked.jsonl", dialogues(80))
    run = auto_answers(data, listen=heard.append)
    curve = drawn(run, "loss in nats a token")
    assert curve["metric"] == "loss"
    assert curve["method"] == run.scores["method"]
    assert [one["rows"] for one in curve["points"]] == pytest.approx([12, 24, 36, 48], abs=1)
    (race,) = [one["table"] for one in heard if one.fields.get("what") == "methods"]
    at_the_end = next(one["loss"] for one in race if one["name"] == curve["method"])
    assert curve["points"][-1]["value"] == pytest.approx(at_the_end, abs=1e-6)
    fits = sorted(one.name for one in (run.folder.path / "learning_curve").iterdir())
    assert len(fits) == 4 * 3
    assert fewtune.resume(run.folder.path).scores == run.scores


def test_a_named_method_that_teaches_answers_has_a_curve_where_its_fits_are_a_moment(
    auto_answers, tmp_path, monkeypatch
):
    data = jsonl(tmp_path / "asked.jsonl", dialogues(80))
    monkeypatch.setattr(learning, "time_alone", lambda run, folds: (0.1, 100.0))
    curve = drawn(auto_answers(data, method="lora", budget=None), "loss in nats a token")
    assert (curve["metric"], curve["method"]) == ("loss", "lora")
    assert curve["points"][-1]["rows"] == pytest.approx(48, abs=1)
    monkeypatch.setattr(learning, "time_alone", lambda run, folds: (60.0, 30.0))
    dear = auto_answers(data, "dear", method="lora", budget=None).scores["learning_curve"]
    assert (dear["points"], dear["said"]) == ([], learning._TOO_DEAR)


def test_chinese_answers_that_take_long_have_a_curve_of_one_fold(
    auto_answers, tmp_path, monkeypatch
):
    monkeypatch.setattr(curve_price, "time_for", lambda left, fit, soft: 3.5 * fit)
    data = few_lines(CHINESE / "sft" / "train.jsonl", 80, tmp_path / "answers.jsonl")
    model = CHINESE.parents[1] / "models" / "zh-poem-750k"
    run = auto_answers(data, model=str(model), max_steps=2, max_length=96, answered_rows=2)
    curve = drawn(run, "loss in nats a token")
    assert curve["said"].endswith("It was measured on 1 of 4 folds; all would have taken too long.")
    assert curve["points"][-1]["rows"] == pytest.approx(48, abs=1)


def test_rows_that_are_replayed_or_made_stand_in_no_fold_and_in_no_curve(auto_answers, tmp_path):
    heard = []
    data = jsonl(tmp_path / "asked.jsonl", dialogues(80))
    again = jsonl(tmp_path / "again.jsonl", dialogues(20, start=200))
    made = {"augment": "typing", "augment_copies": 1, "replay": again}
    run = auto_answers(data, listen=heard.append, **made)
    more = {one.name: one["made"] for one in heard if one.name == "augmented"}
    assert more["augmented"] > 20  # else the test shows nothing
    (race,) = [one["table"] for one in heard if one.fields.get("what") == "methods"]
    assert max(one["rows"] for one in race) == run.scores["rows"]["train"]
    assert run.scores["learning_curve"]["points"][-1]["rows"] == pytest.approx(48, abs=1)


def test_a_fit_to_few_rows_that_breaks_ends_in_a_sentence(auto, monkeypatch):
    found = trials.measured

    def measured(*given):
        heard = yield from found(*given)
        heard.answers[0][3] = np.nan
        return heard

    monkeypatch.setattr(trials, "measured", measured)
    run = auto("broken")
    curve = run.scores["learning_curve"]
    assert curve["points"] == []
    assert (
        f"`{run.scores['method']}` on fewer rows answered with what is no number" in curve["said"]
    )


def test_repeated_folds_and_the_only_row_of_a_class_leave_a_curve_of_one_repeat(auto, tmp_path):
    found = [*rows(60), ("a pump with a word of its own", "alone")]
    run = auto("repeated", data=write_csv(tmp_path / "rows.csv", found), repeats=2)
    curve = drawn(run, "share that is right")
    assert [one["rows"] for one in curve["points"]] == pytest.approx([11, 21, 31, 41], abs=3)
    fits = list((run.folder.path / "learning_curve").iterdir())
    assert len(fits) == 3 * 3


def test_a_fit_to_few_rows_that_fails_leaves_the_run_its_model(auto, monkeypatch):
    found = trials.fit

    def fit(entrant, learned, held, must=False):
        if must:
            return found(entrant, learned, held, must)
        return Fitted(np.empty(0), 0.0, "memory ran out.")

    monkeypatch.setattr(trials, "fit", fit)
    run = auto("failed")
    assert run.scores["learning_curve"]["points"] == []
    assert "on fewer rows failed: memory ran out." in run.scores["learning_curve"]["said"]
    assert run.predict("pump")
