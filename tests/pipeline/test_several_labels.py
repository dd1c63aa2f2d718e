"""Runs on rows with several labels, on a tiny model."""

import csv
import io
import json
import random
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from jobs import QUICK
from tiny_models import ROWS, WORDS

import fewtune
from fewtune.base.errors import FewtuneError, UsageError
from fewtune.data.row import Origin, Row
from fewtune.models.choice import AnyOf
from fewtune.pipeline import extra, thresholds
from fewtune.pipeline.job import make_job
from fewtune.pipeline.plan import with_task
from fewtune.record.folder import RunFolder
from fewtune.tasks.multilabel import Multilabel
from fewtune.trials import recipes, self_training
from fewtune.trials.folds import Trial

INTERVAL = {"value", "low", "high"}
LABELS = ("door", "lamp", "pump")


def several(count: int = 60, seed: int = 0) -> list[dict]:
    """Texts of one or two complaints, with the labels of both."""
    chance = random.Random(seed)
    made: dict[str, dict] = {}
    while len(made) < count:
        some = chance.sample(ROWS, chance.choice([1, 1, 2]))
        text = " ".join([*(text for text, _ in some), *chance.choices(WORDS, k=3)])
        made.setdefault(text, {"text": text, "labels": sorted({label for _, label in some})})
    return list(made.values())


def write_jsonl(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def sets(files, tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("sets")
    return {
        "model": files["model"],
        "train": write_jsonl(root / "train.jsonl", several()),
        "test": write_jsonl(root / "test.jsonl", several(30, seed=1)),
    }


@pytest.fixture(scope="module")
def fit(sets, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")

    def call(output: str, data: str | None = None, **options):
        given = {"model": sets["model"], "test": sets["test"], "output": str(root / output)}
        return fewtune.train(
            data or sets["train"], **(given | {"method": "full"} | QUICK | options)
        )

    return call


@pytest.fixture(scope="module")
def trained(fit) -> fewtune.Run:
    """A finished run. Tests leave it as they found it."""
    return fit("trained")


@pytest.mark.parametrize(
    ("labels", "watchable"), [((), True), (("a",), True), (("a", "new"), False), (("new",), False)]
)
def test_a_row_can_be_watched_where_its_labels_can_be_learned(labels, watchable):
    from fewtune.data.row import Origin
    from fewtune.pipeline.run import watchable_rows

    row = Row(Origin("a", 1), {"text": "pump", "labels": labels})
    assert watchable_rows(SimpleNamespace(labels=("a", "b"), valid=(row,))) is watchable
    assert not watchable_rows(SimpleNamespace(labels=("a", "b"), valid=()))


def names_of(run) -> list[str]:
    return [event.name for event in run.folder.events]


# --- the journey ---------------------------------------------------------------------------------


def test_lists_of_labels_are_learned_without_being_asked(trained):
    assert trained.folder.plan["task"] == trained.scores["task"] == "multilabel"
    assert trained.scores["primary"] == "micro_f1"
    steps = ["step"] * 6
    assert names_of(trained) == [
        "started", "read", "split", "checked", *["trial"] * thresholds.FOLDS, "planned", *steps,
        "trained", "saved", *["baseline"] * 3, "scored", "finished",
    ]  # fmt: skip


def test_scores_have_their_intervals_baselines_and_classes(trained):
    scores = trained.scores
    for block in (scores["test"], *scores["baselines"].values()):
        assert block.keys() == {
            "micro_f1", "macro_f1", "samples_f1", "subset_accuracy", "hamming_loss",
            "micro_precision", "micro_recall", "macro_precision", "macro_recall", "log_loss",
            "mean_average_precision",
        }  # fmt: skip
        for one in block.values():
            assert one.keys() == INTERVAL
            assert one["low"] <= one["value"] <= one["high"]
    assert scores["baselines"].keys() == {"majority", "tfidf", "probe"}
    assert scores["gain"]["all"].keys() == {"majority", "tfidf", "probe"}
    assert [one["label"] for one in scores["per_class"]] == list(LABELS)
    assert "confusion" not in scores
    assert "micro F1" in scores["verdict"]


def test_predictions_are_lists_and_those_of_the_saved_model(trained):
    told = list(trained.folder.predictions)
    assert [(one["text"], one["label"]) for one in told] == [
        (row["text"], row["labels"]) for row in several(30, seed=1)
    ]
    again = fewtune.predict(trained.folder.path, [one["text"] for one in told])
    assert [{k: one[k] for k in ("prediction", "probability")} for one in told] == again
    limits = json.loads((trained.folder.model / "fewtune.json").read_text())["thresholds"]
    for one in told:
        sure = [k for k, t in zip(LABELS, limits, strict=True) if one["probability"][k] >= t]
        assert one["prediction"] == (sure or [max(LABELS, key=one["probability"].__getitem__)])


def test_a_file_is_scored_as_the_test_rows_were(trained, sets):
    found = fewtune.evaluate(trained, sets["test"], bootstrap=100)
    assert found["test"] == trained.scores["test"]
    assert found["per_class"] == trained.scores["per_class"]
    with pytest.raises(UsageError, match="several labels"):
        fewtune.evaluate(trained, sets["test"], positive="pump")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("full", {}),
        ("lora", {"lora_r": 2}),
        ("adapter+bitfit", {"reduction_factor": 4}),
        ("probe", {}),
        ("tfidf", {}),
    ],
)
def test_the_card_s_code_gives_the_same_labels(fit, method, more, monkeypatch):
    more |= {"label_smoothing_factor": 0.1} if method == "lora" else {}
    run = fit(f"card {method}", method=method, thresholds="class", **more)
    card = (run.folder.model / "README.md").read_text(encoding="utf-8")
    code = card[card.index("```python") + len("```python") : card.rindex("```")]
    monkeypatch.chdir(run.folder.model)
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    texts = [row["text"] for row in several(30, seed=1)] + ["zeppelin"]
    assert names["predict"](texts) == [one["prediction"] for one in run.predict(texts)]


def test_thresholds_are_chosen_without_the_test_rows_and_replayed(fit, sets, tmp_path):
    one = fit("same", max_steps=3)
    other = fit("others", max_steps=3, test=write_jsonl(tmp_path / "t.jsonl", several(25, seed=4)))
    kept = [run.folder.plan["chosen"]["thresholds"] for run in (one, other)]
    assert kept[0] == kept[1]
    assert kept[0].keys() == {"full", "probe"}
    before = one.folder.plan["chosen"]["thresholds"]
    (one.folder.path / "scores.json").unlink()
    again = fit("same", max_steps=3)
    assert "trial" not in names_of(again)
    assert again.folder.plan["chosen"]["thresholds"] == before


def test_a_run_that_was_stopped_goes_on_at_its_step_with_its_thresholds(fit, tmp_path):
    given = {"method": "lora", "lora_r": 2, "lora_dropout": 0.1, "max_steps": 8, "save_steps": 2}
    given |= {"per_device_train_batch_size": 8, "thresholds": "class"}

    class Stop(Exception):
        pass

    def listen(event):
        if event.name == "step" and event["step"] == 5:
            raise Stop

    whole = fit("whole", **given)
    with pytest.raises(Stop):
        fit(str(tmp_path / "stopped"), **given, listen=listen)
    chosen = json.dumps(RunFolder.open(tmp_path / "stopped").plan["chosen"]["thresholds"])
    run = fewtune.resume(tmp_path / "stopped")
    assert [*run.folder.predictions] == [*whole.folder.predictions]
    now = run.folder.plan["chosen"]["thresholds"]
    assert json.dumps({name: now[name] for name in json.loads(chosen)}) == chosen
    steps = [event["step"] for event in run.folder.events if event.name == "step"]
    assert steps == [1, 2, 3, 4, 5, 5, 6, 7, 8]
    trials = [event for event in run.folder.events if event.name == "trial"]
    assert len(trials) == thresholds.FOLDS, "chosen once"


def test_half_needs_no_folds(fit):
    run = fit("half", thresholds="half", max_steps=2)
    assert "trial" not in names_of(run)
    assert set(run.folder.plan["chosen"]["thresholds"]["full"]) == {0.5}


def test_rows_without_a_label_may_be_answered_with_none(fit, tmp_path):
    bare = [{"text": f"new and cold {k} day", "labels": []} for k in range(30)]
    run = fit("bare", write_jsonl(tmp_path / "a.jsonl", [*several(40), *bare]), thresholds="half")
    assert run.scores["rows"]["train"] == 70
    assert any(one["prediction"] == [] for one in run.predict(["new and cold day", "zeppelin"]))


def test_validation_rows_are_watched_and_unknown_labels_are_errors(fit, tmp_path):
    rows = several(20, seed=3)
    strange = [{**row, "labels": [*row["labels"], "roof"]} for row in rows[:5]]
    test = write_jsonl(tmp_path / "t.jsonl", [*rows[5:], *strange])
    run = fit("valid", valid_share=0.2, test=test, class_weights="balanced")
    watched = [event for event in run.folder.events if event.name == "validated"]
    assert watched[0]["scores"].keys() == {"log_loss", "accuracy", "micro_f1"}
    assert run.scores["per_class"][-1]["rows"] == 5
    assert any("no training row has" in told for told in run.scores["warnings"])


@pytest.mark.parametrize(
    ("head", "cell", "options"),
    [("text,labels", "pump;door", {"task": "multilabel"}),
     ("text,what", "pump;door", {"task": "multilabel", "label": "what"})],
)  # fmt: skip
def test_cells_of_several_labels_are_read_where_asked(tmp_path, head, cell, options):
    path = tmp_path / "a.csv"
    lines = [f"{text} {k},{cell if k % 3 else 'lamp'}" for k, (text, _) in enumerate(ROWS * 3)]
    path.write_text("\n".join([head, *lines]), encoding="utf-8")
    run = fewtune.train(str(path), method="tfidf", output=str(tmp_path / "run"), **options)
    assert run.labels == ["door", "lamp", "pump"]
    found = run.evaluate(str(path), **({"label": "what"} if "label" in options else {}))
    assert found["rows"]["kept"] == 36
    assert with_task(make_job(str(path), options)).task == "multilabel"


def test_the_terminal_and_files_show_all_labels(trained, tmp_path, capsys):
    from fewtune.cli import main

    text = several(1, seed=9)[0]["text"]
    (said,) = trained.predict(text)
    with pytest.raises(SystemExit) as left:
        main(["predict", str(trained.folder.path), text])
    assert left.value.code == 0
    assert capsys.readouterr().out.splitlines()[0] == "; ".join(said["prediction"])
    source = write_jsonl(tmp_path / "new.jsonl", several(5, seed=9))
    with pytest.raises(SystemExit):
        main(["predict", str(trained.folder.path), source, "--output", str(tmp_path / "o.csv")])
    lines = list(csv.DictReader(io.StringIO((tmp_path / "o.csv").read_text(encoding="utf-8"))))
    assert lines[0]["prediction"].split(";") == said["prediction"]
    page = (trained.folder.path / "report.html").read_text(encoding="utf-8")
    assert "micro F1" in page
    assert "Class by class" in page
    assert "What was confused with what" not in page


def test_the_report_s_training_loss_is_that_of_one_decision(trained):
    from fewtune.report.evidence import training_loss
    from fewtune.report.facts import gather

    shown = training_loss(gather(trained.folder))
    steps = [event["loss"] for event in trained.folder.events if event.name == "step"]
    assert [y for _, y in shown] == pytest.approx([loss / len(LABELS) for loss in steps])


# --- bad input -----------------------------------------------------------------------------------


def test_unknown_labels_make_no_row_right(fit, tmp_path):
    rows = [{**row, "labels": ["roof"]} for row in several(12, seed=3)]
    run = fit("roof", test=write_jsonl(tmp_path / "t.jsonl", rows), method="tfidf")
    told = [event["accuracy"] for event in run.folder.events if event.name == "baseline"]
    assert told == [0.0]
    assert run.scores["test"]["subset_accuracy"]["value"] == 0
    assert any(
        "no test row has a label that training rows have" in w for w in run.scores["warnings"]
    )


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([{"labels": []}] * 30, {}, "no class and two or more are needed"),
        ([{"labels": ["pump"]}] * 30, {}, "one class"),
        ([{"labels": ["pump", "pump"]}] * 30, {}, "one class"),
        ([{"labels": ["pump", "door"]}] * 30, {}, "the same 2 labels ('door', 'pump')"),
        ([{"labels": [f"case {k}"]} for k in range(30)], {}, "has a single row"),
        (several(9), {}, "needs at least 10"),
        (several(30), {"positive": "pump"}, "these rows have several labels"),
        (several(30), {"thresholds": "clas"}, "Did you mean 'class'"),
        (several(30), {"label": "labls"}, "Did you mean 'labels'"),
    ],
)
def test_what_cannot_be_learned_is_said_before_there_is_a_folder(
    fit, tmp_path, rows, options, said
):
    texts = [row["text"] for row in several(30)]
    data = [{"text": text, "labels": row["labels"]} for text, row in zip(texts, rows, strict=False)]
    output = str(tmp_path / "run")
    with pytest.raises((UsageError, FewtuneError), match=re.escape(said)):
        fit(output, write_jsonl(tmp_path / "a.jsonl", data), method="tfidf", test=None, **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["tfidf", "probe"])
def test_labels_of_one_row_each_cannot_be_tried_on_folds(fit, sets, tmp_path, method):
    rows = [{**row, "labels": [f"case {k}"]} for k, row in enumerate(several(30))]
    with pytest.raises(FewtuneError, match="none of the 30 training rows can be held out"):
        fit(f"each {method}", write_jsonl(tmp_path / "a.jsonl", rows), method=method)


def test_two_rows_of_a_label_are_enough_for_folds(fit, tmp_path):
    rows = [{**row, "labels": ["pump"] * (k < 2) + ["door"] * (1 < k < 4)}
            for k, row in enumerate(several(30))]  # fmt: skip
    run = fit("few", write_jsonl(tmp_path / "a.jsonl", rows), max_steps=2)
    assert run.labels == ["door", "pump"]
    assert all(0 < one < 1 for one in run.folder.plan["chosen"]["thresholds"]["full"])


# --- unlabelled rows -----------------------------------------------------------------------------


def test_suggestions_train_once_they_are_right(trained, tmp_path):
    from fewtune.cli import main

    source = write_jsonl(tmp_path / "new.jsonl", [{"text": r["text"]} for r in several(30, seed=5)])
    found = fewtune.label(trained, source, rows=10)
    assert len({one["text"] for one in found}) == 10
    for one, said in zip(found, trained.predict([one["text"] for one in found]), strict=True):
        assert one["labels"] == said["prediction"]
        assert one["second"] not in one["labels"]
        assert 0 < one["confidence"] <= 1
    out = tmp_path / "out.csv"
    with pytest.raises(SystemExit) as left:
        main(["label", str(trained.folder.path), source, "--output", str(out)])
    assert left.value.code == 0
    again = fewtune.train(str(out), task="multilabel", method="tfidf", output=str(tmp_path / "run"))
    assert again.scores["rows"]["read"] == 30


def test_a_suggestion_of_no_label_is_read_again_as_none(fit, tmp_path):
    from fewtune.cli.labelling import as_csv

    bare = [{"text": f"new and cold {k} day", "labels": []} for k in range(30)]
    data = write_jsonl(tmp_path / "a.jsonl", [*several(30), *bare])
    run = fit("none", data, method="tfidf", thresholds="half")
    new = write_jsonl(tmp_path / "new.jsonl", [*bare, *several(10, seed=5)])
    found = fewtune.label(run, new, rows=40)
    none = sum(one["labels"] == [] for one in found)
    assert none > 10
    (tmp_path / "out.csv").write_text(as_csv(found), encoding="utf-8")
    again = fit("again", str(tmp_path / "out.csv"), method="tfidf", task="multilabel")
    assert again.scores["rows"]["kept"] == len(found) + 30, "with the test rows"
    learned = again.folder.data["labels"]
    assert set(learned) <= set(LABELS)


def test_self_training_learns_sets_of_labels(fit, tmp_path, monkeypatch):
    compared = self_training.compared

    def praised(trials, taken):  # as if folds had shown a gain, which 60 rows cannot
        return [line | {"better": k > 0} for k, line in enumerate(compared(trials, taken))]

    more = [{"text": row["text"]} for row in several(40, seed=2)]
    given = {
        "unlabelled": write_jsonl(tmp_path / "more.jsonl", more),
        "folds": 2,
        "max_steps": 2,
        "self_training_confidence": 0.5,
    }
    plain = fit("self plain", **given)
    (trial,) = plain.folder.plan["chosen"]["trials"]
    assert trial["what"] == "self-training"
    assert not trial["kept"]
    told = [one for one in plain.folder.plan["reasons"] if one.startswith(thresholds.FROM)]
    assert len(told) == 1
    assert told[0].endswith("2 folds of the training rows.")
    fitted = [event["trial"] for event in plain.folder.events if event.name == "trial"]
    assert set(fitted) == {line["name"] for line in trial["table"]}, "thresholds need no others"
    monkeypatch.setattr(self_training, "compared", praised)
    run = fit("self", **given)
    learned = list(run.folder.learned)
    assert 0 < len(learned) == run.folder.plan["chosen"]["learned"]
    for one in learned:
        assert set(one["labels"]) <= set(LABELS)
        assert one["labels"]
        assert 0.5 <= one["confidence"] <= 1
    monkeypatch.setattr(self_training, "self_train", None)  # a call of it would fail
    (run.folder.path / "scores.json").unlink()
    again = fit("self", **given)
    assert list(again.folder.learned) == learned


def balanced(answers, targets, share=1.0, agree=None, least=0):
    task = Multilabel(("a", "b"), least=least)
    agree = np.ones(len(answers), dtype=bool) if agree is None else np.array(agree)
    return self_training._balanced(
        task, np.array(answers), agree, np.array(targets), confidence=0.8, share=share
    )


def test_a_common_label_does_not_come_along_with_all_others():
    answers = [[0.9, 0.95], [0.9, 0.9], [0.9, 0.1], [0.95, 0.1], [0.1, 0.3]]
    targets = [[1, 0], [1, 0], [1, 1], [0, 0], [0, 0]]
    taken = balanced(answers, targets)
    # one row of `b`, the surest; of `a` three in all
    assert taken.rows.tolist() == [0, 2, 3]
    assert taken.targets.tolist() == [[1, 1], [1, 0], [1, 0]]
    assert taken.confidence == pytest.approx([0.9, 0.9, 0.9])


def test_rows_without_a_label_are_taken_in_proportion_where_there_are_such():
    answers = [[0.05, 0.05], [0.1, 0.1], [0.02, 0.02], [0.9, 0.1]]
    half = [[1, 0], [0, 0], [0, 1], [0, 0]]
    taken = balanced(answers, half)
    assert taken.rows.tolist() == [0, 2, 3]  # two of four, the surest, and the one with a label
    assert taken.targets.tolist() == [[0, 0], [0, 0], [1, 0]]
    assert balanced(answers, [[1, 0], [1, 1]], least=1).rows.tolist() == [3]


def test_the_share_that_is_taken_grows_and_who_disagrees_is_left_out():
    answers = [[0.9, 0.1], [0.95, 0.1], [0.99, 0.01], [0.1, 0.9]]
    targets = [[1, 0], [1, 0], [0, 1]]
    assert balanced(answers, targets, share=1 / 3).rows.tolist() == [2, 3]
    assert balanced(answers, targets).rows.tolist() == [0, 1, 2, 3]
    assert balanced(answers, targets, agree=[True, True, False, True]).rows.tolist() == [0, 1, 3]


def out_of_fold(answers, targets, others):
    folds = (np.arange(0, len(answers), 2), np.arange(1, len(answers), 2))
    given = tuple(answers[held] for held in folds)
    return Trial("t", given, folds, targets, others, AnyOf())


def test_sets_of_labels_are_taken_at_the_calibrated_confidence():
    """Answers that are too sure by far lose it, as they did on rows with known labels."""
    chance = np.random.default_rng(0)
    shares = chance.random((400, 2))
    targets = (chance.random((400, 2)) < shares).astype(np.float32)
    choice = AnyOf()
    loud = choice.probabilities(4 * choice.logits(shares))
    trial = out_of_fold(loud, targets, (np.array([[0.9, 0.05]]),) * 2)
    quiet = self_training._calibrated(trial.others[0], trial, trial.held)
    wanted = choice.probabilities(choice.logits(trial.others[0]) / 4)
    np.testing.assert_allclose(quiet, wanted, atol=0.06)
    assert quiet[0, 0] < 0.8, "not sure enough any more"


def test_the_models_of_all_folds_must_answer_the_same_set():
    chance = np.random.default_rng(0)
    shares = np.where(chance.random((60, 2)) < 0.5, 0.02, 0.98)
    targets = (shares > 0.5).astype(np.float32)
    first = np.array([[0.97, 0.03], [0.97, 0.97], [0.03, 0.97]])
    second = np.array([[0.97, 0.03], [0.97, 0.03], [0.03, 0.97]])  # one label less of the second
    trial = out_of_fold(shares, targets, (first, second))
    examples = SimpleNamespace(targets=targets)
    setting = SimpleNamespace(bench=SimpleNamespace(task=Multilabel(("a", "b"))), examples=examples)
    taken = self_training._for_all(setting, trial, confidence=0.8, share=1.0)
    assert taken.rows.tolist() == [0, 2]
    assert taken.targets.tolist() == [[1, 0], [0, 1]]


# --- augmentation --------------------------------------------------------------------------------


def test_auto_is_judged_by_the_log_loss_of_sets(fit, monkeypatch):
    monkeypatch.setattr(extra, "candidates", lambda given: extra.parse("delete,case"))
    run = fit("auto", augment="auto", folds=2, max_steps=2)
    (trial,) = run.folder.plan["chosen"]["trials"]
    assert trial["what"] == "augmentation"
    names = [line["name"] for line in trial["table"]]
    assert names == ["without augmentation", "delete", "case"]
    # of binary answers that know nothing it is ln 2 = 0.693, of three classes ln 3
    assert all(0.3 < line["log_loss"] < 0.75 for line in trial["table"])
    kept = {line["name"] for line in trial["table"] if line["better"]}
    assert {one["recipe"] for one in run.folder.learned} == kept
    if len(kept) < 2:  # the thresholds are those of the trial
        fitted = {event["trial"] for event in run.folder.events if event.name == "trial"}
        assert fitted == set(names)


def test_new_rows_keep_the_labels_of_their_parents(fit):
    run = fit("made", augment="delete,typing", max_steps=2)
    own = {k: row["labels"] for k, row in enumerate(several(), 1)}
    learned = list(run.folder.learned)
    assert len(learned) > 40
    assert all(one["labels"] == own[one["origin"]["line"]] for one in learned)


def test_a_new_row_is_dropped_where_the_probe_newly_contradicts_one_of_its_labels():
    """The probe is wrong of some parents too, and that is no reason."""
    parents = [Row(Origin("a", k), {"text": str(k), "labels": ("a",)}) for k in range(5)]
    made = [Row(one.origin, {"text": "new", "labels": ("a",)}, "delete") for one in parents]
    before = [[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]]
    after = [[1, 0], [0, 0], [0, 1], [1, 1], [0, 1]]
    task = Multilabel(("a", "b"))
    bench = SimpleNamespace(task=task, examples=lambda rows: SimpleNamespace(features=None))
    shares = np.array([*before, *after], dtype=float)
    probe = SimpleNamespace(probabilities=lambda features: shares)
    kept = recipes.still_true(bench, probe, parents, made)
    # right as before; `a` is lost; as wrong as before; `a` is found, `b` as wrong; `b` is new
    assert [row.origin.line for row in kept] == [0, 2, 3]
