"""Runs whose method is left to the race: choice, folds as test rows, resume, honesty."""

import json
import os
import signal
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from jobs import SPOKEN, rows, write_csv

import fewtune
from fewtune.base.errors import FewtuneError, Interrupted, UsageError
from fewtune.methods.predictor import load_predictor
from fewtune.models.ngrams import NgramModel, fit_ngrams
from fewtune.pipeline import contenders, folded
from fewtune.pipeline import race as racing
from fewtune.pipeline.setting import FITS
from fewtune.record.folder import RunFolder
from fewtune.tasks.multilabel import Multilabel
from fewtune.train import loop

NAMES = ("probe", "tfidf", "full")


def few_of(names=(), rank=()):
    """Only these of the plan's candidates; or these, in this order, whatever the plan says."""
    found = contenders.candidates

    def candidates(ranked, **options):
        if rank:
            by_name = {one.method: one for one in ranked}
            return [replace(by_name[name], options={}) for name in rank]
        return [one for one in found(ranked, **options) if one.name in names]

    return candidates


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Three candidates, and a budget that they keep."""
    monkeypatch.setattr(contenders, "candidates", few_of(NAMES))


def always(monkeypatch, winner):
    """Nobody leaves, and this one wins."""
    monkeypatch.setattr("fewtune.trials.race.LEVEL", 0.0)
    for room in ("race", "choosing"):
        monkeypatch.setattr(f"fewtune.trials.{room}.choose", lambda losses, cost, *known: winner)


@pytest.fixture
def auto(train):
    def call(output="run", **options):
        return train(output, method="auto", folds=3, budget="20m", **options)

    return call


@pytest.fixture(scope="module")
def raced(files, tmp_path_factory):
    """A finished run without test rows. Tests leave it as they found it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(contenders, "candidates", few_of(NAMES))
        events = []
        run = fewtune.train(
            files["train"], model=files["model"], output=str(tmp_path_factory.mktemp("r") / "run"),
            folds=3, budget="20m", attention="eager", max_steps=6, bootstrap=100,
            listen=events.append,
        )  # fmt: skip
    return run, events


def test_every_row_is_a_test_row_of_one_fold_and_the_model_learns_them_all(raced, files):
    run, events = raced
    lines = list(run.folder.predictions)
    data = run.folder.data
    assert len(lines) == 60 == run.scores["rows"]["train"]
    assert run.scores["rows"]["test"] == 0
    assert {line["fold"] for line in lines} == {1, 2, 3}
    assert {line["by"] for line in lines} <= {*NAMES}
    assert "60 training rows, each held out in one of 3 folds" in run.scores["verdict"]
    assert set(run.scores["baselines"]) >= {"majority", "tfidf", "probe"}
    assert data["split"]["how"] == "no rows are held out"
    right = np.mean([line["prediction"] == line["label"] for line in lines])
    assert run.scores["test"]["accuracy"]["value"] == pytest.approx(right)
    names = [event.name for event in events]
    assert names.index("racing") < names.index("trial")
    assert names.index("tried") < names.index("saved") < names.index("scored")
    assert names[-1] == "finished"


@pytest.mark.parametrize("repeats", [1, 2])
def test_the_only_row_of_a_class_is_learned_and_not_scored_and_told(
    auto, tmp_path, monkeypatch, repeats
):
    monkeypatch.setattr(contenders, "candidates", few_of(("probe", "tfidf")))
    data = write_csv(tmp_path / "a.csv", [*rows(30), ("the fan hums alone", "fan")])
    told = []
    run = auto(data=data, listen=told.append, repeats=repeats)
    lines = list(run.folder.predictions)
    assert len(lines) == 30
    assert {line["label"] for line in lines} == {"pump", "door", "lamp"}
    assert {line["fold"] for line in lines} == {1, 2, 3}
    notes = [event["message"] for event in told if event.name == "warned"]
    assert any("1 row is held out in no fold" in one and "a.csv:32" in one for one in notes)
    assert "fan" in run.predict("the fan hums alone")[0]["probability"]
    assert "30 training rows, each held out in one of 3 folds" in run.verdict


def test_the_plan_says_who_ran_who_won_and_why(raced):
    run, _ = raced
    plan = run.folder.plan
    chosen = plan["chosen"]["race"]
    assert plan["asked"] == "auto"
    assert plan["method"]["name"] == run.scores["method"]
    assert [one["name"] for one in chosen["contenders"]][:2] == ["probe", "tfidf"]
    assert chosen["winner"] in NAMES
    (table,) = [one["table"] for one in plan["chosen"]["trials"] if one["what"] == "methods"]
    assert {line["name"] for line in table} == {*NAMES}
    assert sum(line["state"] == "chosen" for line in table) == 1
    assert any(chosen["winner"] in reason for reason in plan["reasons"])
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    for name in NAMES:
        assert name in page
    assert "training rows, each held out in one of 3 folds" in page


def test_no_plan_names_a_winner_without_its_method(auto, monkeypatch):
    written, write = [], RunFolder.write_plan

    def keep(folder, plan):
        written.append(deepcopy(plan))
        write(folder, plan)

    monkeypatch.setattr(RunFolder, "write_plan", keep)
    run = auto("watched", max_steps=6)
    won = [one for one in written if "winner" in one["chosen"].get(FITS, {})]
    assert won
    assert {one["method"]["name"] for one in won} == {run.folder.plan["method"]["name"]}


def test_rows_that_differ_only_in_what_is_tested_choose_the_same(auto, files, tmp_path):
    other = [(text, {"pump": "door"}.get(label, label)) for text, label in rows(30, seed=9)]
    first = auto("a", test=files["test"])
    second = auto("b", test=write_csv(tmp_path / "other.csv", other))
    plans = [one.folder.plan["chosen"] for one in (first, second)]
    for chosen in plans:
        for line in chosen["trials"][0]["table"]:
            line.pop("seconds")
        chosen["race"].pop("seconds")
        for one in chosen["race"]["contenders"]:
            one.pop("seconds")
    assert plans[0] == plans[1]
    weights = [
        {w.name: w.read_bytes() for w in one.path.glob("*.safetensors")} for one in (first, second)
    ]
    assert weights[0]
    assert weights[0] == weights[1]
    assert first.scores["test"] != second.scores["test"]
    assert first.scores["rows"]["test"] == 30


class Killed(Exception):
    """The process is gone."""


def test_a_race_that_was_killed_goes_on_and_ends_the_same(auto, raced, tmp_path):
    def listen(event):
        if event.name == "trial" and event["fold"] == 2 and event["trial"] == "full":
            raise Killed

    with pytest.raises(Killed):
        auto(listen=listen)
    fits = sorted(path.name for path in (tmp_path / "run" / "race").iterdir())
    stamps = {name: (tmp_path / "run" / "race" / name).stat().st_mtime_ns for name in fits}
    assert "full.1.safetensors" in fits
    assert "full.2.safetensors" not in fits
    run = fewtune.resume(tmp_path / "run")
    for name, stamp in stamps.items():
        assert (tmp_path / "run" / "race" / name).stat().st_mtime_ns == stamp
    whole, _ = raced
    assert run.scores["method"] == whole.scores["method"]
    assert list(run.folder.predictions) == list(whole.folder.predictions)
    assert fewtune.resume(tmp_path / "run").scores == run.scores


@pytest.mark.parametrize("winner", NAMES)
def test_whoever_wins_is_saved_as_it_was_trained(auto, monkeypatch, winner):
    always(monkeypatch, winner)
    run = auto()
    assert run.scores["method"] == winner
    lines = list(run.folder.predictions)
    assert {line["by"] for line in lines} == {winner}
    assert run.predict(lines[0]["text"])[0]["prediction"] in run.labels
    if winner != "full":
        others = {**run.scores["baselines"]}
        assert run.scores["test"]["accuracy"] == others[winner]["accuracy"]


def test_a_damaged_artefact_is_not_handed_over(auto, monkeypatch):
    always(monkeypatch, "full")

    def shaken(path, *args):
        found = load_predictor(path, *args)
        answers = found.probabilities
        found.probabilities = lambda texts: np.roll(answers(texts), 1, axis=1)
        return found

    monkeypatch.setattr("fewtune.pipeline.folded.load_predictor", shaken)
    with pytest.raises(FewtuneError, match="must not be used"):
        auto()


def test_the_temperature_of_the_folds_is_in_the_saved_head(auto, monkeypatch):
    always(monkeypatch, "full")
    one = auto("one")
    found = one.folder.plan["chosen"]["race"]["temperature"]
    monkeypatch.setattr(racing.Raced, "temperature", lambda self, name: 2 * found)
    two = auto("two")
    texts = [line["text"] for line in one.folder.predictions][:5]
    shares = [[[*p["probability"].values()] for p in run.predict(texts)] for run in (one, two)]
    apart = [found - found.mean(1, keepdims=True) for found in np.log(shares)]
    assert apart[0] == pytest.approx(2 * apart[1], rel=2e-2, abs=2e-2)


def test_a_named_method_a_test_share_or_a_time_holds_rows_out(auto, train):
    assert auto("a", test_share=0.3).scores["rows"]["test"] == 18
    assert train("b", method="full").scores["rows"]["test"] == 12
    # the fits of the race do not learn what recipes make, so they cannot score the fit that does
    assert auto("c", augment="typing").scores["rows"]["test"] == 12


def test_a_race_of_rows_with_several_labels(train, tmp_path):
    lines = [
        {"text": text, "labels": [label, "all"] if k % 2 else [label]}
        for k, (text, label) in enumerate(rows(60))
    ]
    path = tmp_path / "sets.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    run = train("sets", data=str(path), method="auto", folds=3, budget="20m")
    assert run.scores["task"] == "multilabel"
    assert len(list(run.folder.predictions)) == 60
    assert run.scores["test"]["micro_f1"]["value"] > 0.3


def test_who_knows_only_how_common_labels_are_answers_the_common_ones(train, tmp_path):
    lines = [
        {"text": text, "labels": [] if k % 5 == 0 else [label]}
        for k, (text, label) in enumerate(rows(60))
    ]
    path = tmp_path / "sets.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    wanted = {"method": "auto", "folds": 3, "budget": "20m", "thresholds": "half"}
    run = train("sets", data=str(path), **wanted)
    assert run.scores["baselines"]["majority"]["micro_f1"]["value"] > 0  # no label is on half


def test_one_fold_is_too_few_to_score_a_choice(auto, tmp_path):
    """The rows of one machine hold the only ones of a class, so they can only be learned."""
    texts = list(dict(rows(55)))
    kinds = [("pump", 1)] * 20 + [("belt", 1)] * 20 + [("pump", 2)] * 15
    path = tmp_path / "groups.csv"
    lines = [f"{text},{label},{group}" for text, (label, group) in zip(texts, kinds, strict=True)]
    path.write_text("\n".join(["text,label,machine", *lines]), encoding="utf-8")
    with pytest.raises(FewtuneError, match="only 15 can be held out, all in one fold"):
        auto("one", data=str(path), group="machine")


def test_a_race_that_is_asked_for_again_is_held_anew(auto, tmp_path):
    first = auto()
    kept = sorted((first.folder.path / "race").rglob("*.safetensors"))
    assert kept
    kept[0].write_bytes(b"what another version of this program answered")
    (first.folder.path / "race" / "beside.txt").write_text("x")
    second = auto(again=True)
    assert second.scores["test"] == first.scores["test"]
    assert not (second.folder.path / "race" / "beside.txt").exists()


def test_labels_of_a_fold_are_answered_by_thresholds_that_have_not_seen_it():
    draw = np.random.default_rng(0)
    targets = (draw.random((60, 3)) < 0.4).astype(np.float32)
    shares = (0.35 * targets + 0.5 * draw.random((60, 3))).clip(0, 1)
    held = [*np.array_split(draw.permutation(60), 3)]

    def chosen(targets):
        raced = SimpleNamespace(
            task=Multilabel(("a", "b", "c")),
            targets=targets,
            first_folds=held,
            scored=np.arange(60),
        )
        return folded._answered(raced, [shares] * 3, "class")

    found, others = chosen(targets), targets.copy()
    others[held[0]] = 1 - others[held[0]]
    turned = chosen(others)
    assert (found.probabilities == shares).all()
    assert (turned.chosen[held[0]] == found.chosen[held[0]]).all()
    assert (turned.chosen[held[1]] != found.chosen[held[1]]).any()


def test_a_budget_that_is_no_time_is_refused(train, tmp_path):
    with pytest.raises(UsageError, match="budget: a time such as"):
        train(method="auto", budget="soon")
    assert not (tmp_path / "run").exists()


# ---- answers


@pytest.fixture
def teach_by_race(speaker, reports, tmp_path, monkeypatch):
    """A run that chooses between two methods of a language model."""
    names = ("lora", "bitfit")
    monkeypatch.setattr(contenders, "candidates", few_of(rank=names))

    def call(output="spoken", **options):
        given = {"model": speaker, "output": str(tmp_path / output), "folds": 2, "budget": "20m"}
        return fewtune.train(reports, **(given | SPOKEN | options))

    return call


def test_methods_that_teach_answers_race_too(teach_by_race):
    events = []
    run = teach_by_race(listen=events.append)
    (tried,) = [event for event in events if event.name == "tried"]
    assert [line["name"] for line in tried["table"]] == ["before", "lora", "bitfit"]
    assert run.scores["method"] in ("lora", "bitfit")
    assert run.folder.plan["chosen"]["race"]["winner"] == run.scores["method"]
    assert all(line["loss"] > 0 for line in tried["table"])
    assert tried["table"][0]["state"] == "beside"
    assert run.scores["rows"]["test"] > 0  # answers are written to rows held out
    again = fewtune.resume(run.folder.path)
    assert again.scores == run.scores


def test_an_answer_race_that_nobody_can_finish_takes_the_plans_first(teach_by_race):
    events = []
    run = teach_by_race(budget="0.01s", listen=events.append)
    assert run.scores["method"] == "lora"
    assert any("no race was held" in one.fields.get("message", "") for one in events)


def test_what_is_known_of_the_defaults_counts_and_is_told(auto):
    run = auto(max_steps=None)
    race = run.folder.plan["chosen"]["race"]
    assert {*race["beliefs"]} == {"tfidf", "full"}
    (table,) = (
        one["table"] for one in run.folder.plan["chosen"]["trials"] if one["what"] == "methods"
    )
    whole = [one["name"] for one in table if one["state"] != "beaten"]
    assert [one["name"] for one in table if "expected" in one] == whole
    why = next(one for one in run.folder.plan["reasons"] if one.startswith(f"`{race['winner']}`: "))
    assert "by these folds and what other data sets have shown" in why
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    assert '<th class="n">expected</th>' in page


@pytest.mark.parametrize("given", [{"learning_rate": 1e-3}, {"num_train_epochs": 2}])
def test_of_rates_that_the_user_gave_nothing_is_known(auto, given):
    run = auto(**({"max_steps": None} | given))
    assert "beliefs" not in run.folder.plan["chosen"]["race"]
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    assert "within one standard error of the best the cheapest is chosen" in page


def test_folds_train_as_the_candidate_does_and_not_as_the_user_would(auto, monkeypatch):
    from fewtune.train import candidate

    def candidates(ranked, **options):
        own = {"full": {"dropout": 0.2, "gradient_checkpointing": True}, "probe": {}}
        return [replace(one, options=own[one.method]) for one in ranked if one.method in own]

    rates, twice = [], []
    dropout, again = candidate.set_dropout, candidate.recompute_activations
    monkeypatch.setattr(contenders, "candidates", candidates)
    monkeypatch.setattr(
        candidate, "set_dropout", lambda model, p: (rates.append(p), dropout(model, p))
    )
    monkeypatch.setattr(
        candidate, "recompute_activations", lambda model: (twice.append(1), again(model))
    )
    auto(learning_curve=False)
    assert rates.count(0.2) >= 3
    assert len(twice) == rates.count(0.2)


def test_a_race_that_was_stopped_in_a_fold_ends_as_if_it_had_not_been(auto, raced, monkeypatch):
    """No other fold goes on from what the stopped one had learned."""
    step, steps = loop._step, []

    def pressed(*fit):
        steps.append(fit)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        yield from step(*fit)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", pressed)
        with pytest.raises(Interrupted):
            auto("stopped")
    assert len(steps) == 3
    losses = [
        {line["name"]: line["log_loss"] for line in trial["table"]}
        for run in (raced[0], auto("stopped"))
        for trial in run.folder.plan["chosen"]["trials"]
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("several", [False, True])
def test_n_grams_that_win_answer_as_sure_as_they_were_scored(train, monkeypatch, tmp_path, several):
    """Thresholds are chosen on calibrated answers, so the artefact must give such ones."""
    always(monkeypatch, "tfidf")
    lines = [{"text": text, "label": [name] if several else name} for text, name in rows(60)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    given = {"method": "auto", "folds": 3, "budget": "20m", "learning_curve": False}
    run = train("run", data=str(path), **given)
    assert run.scores["method"] == "tfidf"
    kept = run.folder.plan["chosen"]["race"]["temperature"]
    model = NgramModel.load(run.folder.model, one_of=not several)
    plain = fit_ngrams(*_all_rows(lines, several))
    asked = [one["text"] for one in lines[:9]]
    np.testing.assert_allclose(model.probabilities(asked), plain.at(kept).probabilities(asked))
    assert abs(np.log(kept)) > 0.1  # else the test shows nothing


def _all_rows(lines, several):
    names = sorted({str(one["label"]) for one in lines})
    targets = np.array([names.index(str(one["label"])) for one in lines])
    texts = [one["text"] for one in lines]
    return texts, np.eye(len(names))[targets] if several else targets, len(names)


def test_a_race_of_answers_that_leaves_nothing_to_learn_is_refused():
    with pytest.raises(FewtuneError, match=r"all rows with an answer to learn \(4\) stand in one"):
        racing.refuse_whole_fold([np.arange(4)], 4)
    racing.refuse_whole_fold([np.arange(2), np.arange(2, 4)], 4)
