"""Runs whose race Optuna's proposals join: by the plan, by a named method, after a kill."""

import json

import pytest
from jobs import QUICK, SPOKEN, only, rows

import fewtune
from fewtune.base.errors import UsageError
from fewtune.choose.prior import Belief
from fewtune.cli import main
from fewtune.pipeline import contenders
from fewtune.pipeline import race as racing
from fewtune.trials import search as searching
from fewtune.trials.expected import Prior
from fewtune.trials.runners import Outcome

pytest.importorskip("optuna", reason="the extra `search` is not installed")

NAMES = ("probe", "tfidf", "full")
GIVEN = {"folds": 3, "budget": "20m"}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Three candidates of the plan."""
    only(monkeypatch, NAMES)


def raced(run):
    """What stands in the plan of the race, and its table."""
    chosen = run.folder.plan["chosen"]
    (table,) = [one["table"] for one in chosen["trials"] if one["what"] == "methods"]
    return chosen["race"], table


def timeless(table):
    return [{k: v for k, v in line.items() if k != "seconds"} for line in table]


class Killed(Exception):
    """The process is gone."""


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    """A finished run with three proposals. Tests leave it as they found it."""
    found = contenders.candidates
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            contenders,
            "candidates",
            lambda ranked, **more: [o for o in found(ranked) if o.name in NAMES],
        )
        events = []
        run = fewtune.train(
            files["train"], model=files["model"], output=str(tmp_path_factory.mktemp("s") / "run"),
            method="auto", search=3, listen=events.append, **GIVEN, **QUICK,
        )  # fmt: skip
    return run, events


def test_proposals_stand_in_plan_table_and_report(whole):
    run, events = whole
    told, table = raced(run)
    assert len(told["proposals"]) == 3
    assert [line["proposed"] for line in table if "proposed" in line] == [1, 2, 3]
    proposed = [line["name"] for line in table if "proposed" in line]
    assert [one["name"] for one in told["proposals"]] == proposed
    assert [event["trial"] for event in events if event.name == "proposed"] == proposed
    assert {one["method"] for one in told["proposals"]} <= {"full", "tfidf"}
    assert told["winner"] in {line["name"] for line in table}
    assert {*run.scores["baselines"]} >= {"majority", "tfidf", "probe"}
    assert len(list(run.folder.predictions)) == 60
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    for name in proposed:
        assert name in page
    assert "proposed" in page


@pytest.mark.parametrize("fold", [1, 2])
def test_a_search_that_was_killed_goes_on_and_chooses_the_same(train, whole, tmp_path, fold):
    expected, expected_table = raced(whole[0])
    second = expected["proposals"][1]["name"]

    def listen(event):
        if event.name == "trial" and (event["trial"], event["fold"]) == (second, fold):
            raise Killed

    with pytest.raises(Killed):
        train(method="auto", search=3, listen=listen, **GIVEN)
    kept = {path.name for path in (tmp_path / "run" / "race").iterdir()}
    run = fewtune.resume(tmp_path / "run")
    told, table = raced(run)
    assert len(kept) < len([*(tmp_path / "run" / "race").iterdir()])
    names = ("name", "method", "options", "train", "values")
    mine, theirs = (
        [[one.get(name) for name in names] for one in found["proposals"]]
        for found in (told, expected)
    )
    assert mine == theirs
    assert timeless(table) == timeless(expected_table)
    assert told["winner"] == expected["winner"]
    assert list(run.folder.predictions) == list(whole[0].folder.predictions)


def test_a_named_method_is_searched_in_its_own_space_alone(train, monkeypatch):
    # the first proposal stays and wins, so that the artefact is seen to be its
    monkeypatch.setattr("fewtune.trials.race.LEVEL", 0.0)
    for room in ("race", "choosing"):
        monkeypatch.setattr(
            f"fewtune.trials.{room}.choose", lambda losses, cost, *known: next(iter(known[0]))
        )
    run = train(method="lora", lora_alpha=4.0, search=2, **GIVEN)
    told, table = raced(run)
    assert [line["name"] for line in table][:3] == ["probe", "tfidf", "lora"]
    assert [line["state"] for line in table][3] == "chosen"
    assert {one["method"] for one in told["proposals"]} == {"lora"}
    assert all(one["options"]["lora_alpha"] == 4.0 for one in told["proposals"])
    first = told["proposals"][0]
    assert told["winner"] == first["name"]
    plan = run.folder.plan
    assert plan["method"] == {"name": "lora", **first["options"]}
    assert plan["chosen"]["rates"]["lora"] == first["values"]["learning_rate"]
    assert len(list(run.folder.predictions)) == 60  # folds score the choice
    assert {*run.scores["baselines"]} >= {"majority", "tfidf", "probe"}
    assert fewtune.resume(run.folder.path).scores == run.scores


def test_a_search_of_a_named_method_goes_on_after_its_race(train, tmp_path):
    def listen(event):
        if event.name == "planned":
            raise Killed

    with pytest.raises(Killed):
        train(method="lora", lora_alpha=4.0, search=1, listen=listen, **GIVEN)
    run = fewtune.resume(tmp_path / "run")
    assert run.scores["method"] == "lora"
    assert run.folder.plan["method"]["lora_alpha"] == 4.0


def test_a_named_method_is_seen_to_its_end_whatever_the_budget(train):
    events = []
    run = train(method="lora", search=4, listen=events.append, **GIVEN | {"budget": "0.01s"})
    told, table = raced(run)
    assert told["winner"] == "lora"
    assert [line["folds"] for line in table] == [3, 3, 3]
    assert any("time for 0 of 4" in one.fields.get("message", "") for one in events)


def test_what_the_user_says_is_not_varied(train):
    run = train(method="lora", lora_r=3, dropout=0.1, search=2, **GIVEN)
    told, _ = raced(run)
    for one in told["proposals"]:
        assert {*one["values"]} == {"learning_rate"}
        assert one["options"]["lora_r"] == 3


def test_rows_with_several_labels_are_searched_too(train, tmp_path):
    lines = [
        {"text": text, "labels": [label, "all"] if k % 2 else [label]}
        for k, (text, label) in enumerate(rows(60))
    ]
    path = tmp_path / "sets.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    run = train("sets", data=str(path), method="full", search=1, **GIVEN)
    told, table = raced(run)
    assert run.scores["task"] == "multilabel"
    assert table[-1]["name"] == told["proposals"][0]["name"]


def test_methods_that_teach_answers_are_searched_too(speaker, reports, tmp_path):
    output = tmp_path / "spoken"
    run = fewtune.train(
        reports, model=speaker, output=str(output), method="lora", search=2, **GIVEN, **SPOKEN
    )
    told, table = raced(run)
    assert [line["name"] for line in table][:2] == ["before", "lora"]
    assert [line["proposed"] for line in table[2:]] == [1, 2]
    assert all("wise_ft_alpha" not in one["values"] for one in told["proposals"])
    assert run.scores["method"] == "lora"
    assert fewtune.resume(run.folder.path).scores == run.scores


@pytest.mark.parametrize("method", ["probe", "tfidf"])
def test_what_does_not_train_is_not_searched(train, tmp_path, method):
    with pytest.raises(UsageError, match=f"search: `{method}` has no training to vary"):
        train(method=method, search=3)
    assert not (tmp_path / "run").exists()


def test_without_optuna_nothing_is_begun(train, tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="search: the proposals are Optuna's"):
        train(method="auto", search=3)
    assert not (tmp_path / "run").exists()


def test_a_search_that_has_nothing_left_to_vary_is_refused(train, tmp_path):
    with pytest.raises(UsageError, match="search: every option"):
        train(method="bitfit", learning_rate=1e-3, dropout=0.1, search=3)
    assert not (tmp_path / "run").exists()


def test_more_virtual_tokens_than_the_model_has_room_for_are_not_tried(train):
    run = train(method="prompt", num_virtual_tokens=None, search=1, **GIVEN)  # of 64 positions
    told, _ = raced(run)
    assert {*told["proposals"][0]["values"]} == {"learning_rate", "dropout"}
    assert told["proposals"][0]["options"]["num_virtual_tokens"] == 20


def test_the_terminal_shows_who_was_proposed(files, tmp_path, capsys):
    given = ["--model", files["model"], "--method", "lora", "--search", "1", "--folds", "2"]
    quick = ["--attention", "eager", "--max_steps", "2", "--bootstrap", "100", "--budget", "20m"]
    with pytest.raises(SystemExit) as left:
        main(["train", files["train"], *given, *quick, "--output", str(tmp_path / "run")])
    assert not left.value.code
    said = " ".join(capsys.readouterr().err.split())
    told, _ = raced(fewtune.resume(tmp_path / "run"))
    rate = told["proposals"][0]["values"]["learning_rate"]
    assert f"lora, proposal 1: learning_rate={rate:g}" in said


def test_a_planned_command_keeps_the_search_and_its_budget(files):
    told = fewtune.plan(files["train"], model=files["model"], search=3, budget="5m")
    one = next(one for one in told["methods"] if one["method"] == "lora")
    assert "--search 3" in one["command"]
    assert "--budget 5m" in one["command"]


def test_a_comparison_has_no_search(files, tmp_path):
    with pytest.raises(UsageError, match="search"):
        fewtune.compare(files["train"], model=files["model"], search=3, output=str(tmp_path / "c"))


@pytest.mark.parametrize("prior", [None, Prior("probe", {"full": Belief(0.1, 0.1)}, 48)])
def test_why_a_proposal_that_was_ahead_is_not_chosen_is_said_with_the_numbers(prior):
    state = {"rows": 60, "folds": 5, "seconds": 1.0, "accuracy": 0.8}
    table = [
        {"name": "full", "log_loss": 0.5, "state": "chosen", **state},
        {"name": "full(learning_rate=0.0004)", "log_loss": 0.49, "state": "unproven", **state},
    ]
    proposed = ("full(learning_rate=0.0004)",)
    outcome = Outcome("full", proposed[0], table, {}, {}, {}, 2.0, proposed * 12, prior)
    said = racing._reason(outcome)
    assert said == (
        "`full`: log-loss 0.500, 80.0% right on 5 folds of the training rows; the best of 2 "
        "candidates, `full(learning_rate=0.0004)` (log-loss 0.490, 80.0% right), is ahead by less "
        "than the 2.3 standard errors that chance gives the best of 12 proposals."
    )
