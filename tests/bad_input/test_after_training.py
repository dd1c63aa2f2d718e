"""Wrong words and damaged folders after a run: predict, evaluate, resume, report, runs."""

import json
import shutil

import pytest
from desk import ROWS, assert_refused, table

from fewtune.record import RunFolder, list_runs
from fewtune.train import bench

LATER = table([(f"{text} again", label) for text, label in ROWS])

WORDS = {
    "predict nowhere text": (2, ["nowhere: there is no such run folder"]),
    "predict good.csv text": (2, ["good.csv: there is no such run folder"]),
    "predict empty text": (2, ["empty: this is not a run folder", "plan.yaml"]),
    "predict '' text": (2, ["not a run folder"]),
    "predict runs/tfidf ''": (2, ["the text to label is empty"]),
    "predict runs/tfidf '  '": (2, ["the text to label is empty"]),
    "predict runs/tfidf nowhere.csv": (2, ["there is no file nowhere.csv"]),
    "predict runs/tfidf empty": (2, ["empty is a folder and a file was expected"]),
    "predict runs/tfidf blank.csv": (1, ["blank.csv is empty"]),
    "predict runs/tfidf other.csv": (2, ["no column for the role text", "alpha, beta, gamma"]),
    "predict runs/tfidf good.csv --text nothere": (2, ["no column 'nothere'"]),
    "predict runs/tfidf good.csv --output out.txt": (2, ["ending in .csv or .jsonl", "out.txt"]),
    "predict runs/tfidf good.csv --output no/out.csv": (
        2,
        ["no file can be written in the folder no"],
    ),
    "evaluate nowhere good.csv": (2, ["no such run folder"]),
    "evaluate runs/tfidf nowhere.csv": (2, ["there is no file nowhere.csv"]),
    "evaluate runs/tfidf other.csv": (2, ["no column for the role text"]),
    "evaluate runs/tfidf good.csv --positive x": (2, ["positive: one of door, lamp, pump"]),
    "evaluate runs/tfidf good.csv --rank 4": (2, ["--rank"]),
    "evaluate runs/tfidf good.csv --model x": (2, ["model: .* is a model itself"]),
    "resume nowhere": (2, ["no such run folder"]),
    "resume empty": (2, ["not a run folder"]),
    "resume good.csv": (2, ["no such run folder"]),
    "report empty": (2, ["not a run folder"]),
    "runs show": (2, ["runs show: 1 run"]),
    "runs show nowhere": (2, ["no such run folder"]),
    "runs shwo": (2, ["one of list, show, diff, rm", "did you mean 'show'"]),
    "runs diff tfidf": (2, ["runs diff: 2 run"]),
    "runs diff tfidf nowhere": (2, ["no such run folder"]),
    "runs rm ..": (2, ["no such run in runs"]),
    "runs rm /": (2, ["no such run in runs"]),
    "runs rm runs/tfidf": (2, ["did you mean 'tfidf'"]),
    "runs rm tfidf nowhere": (2, ["nowhere: there is no such run"]),
    "trian good.csv": (2, ["did you mean 'train'"]),
    "--nonsense": (2, ["--nonsense", "`fewtune --help`"]),
    "train": (2, ["DATA", "--help"]),
}


@pytest.mark.parametrize("words", WORDS)
def test_wrong_words(words, desk, kept, fewtune):
    (desk / "empty").mkdir()
    (desk / "blank.csv").write_text("\n")
    (desk / "other.csv").write_bytes(table([(*r, "x") for r in ROWS], ("alpha", "beta", "gamma")))
    code, phrases = WORDS[words]
    assert_refused(fewtune(words), code, *phrases)
    assert sorted(run.name for run in list_runs(kept)) == ["lora", "probe", "tfidf"]


def test_rows_that_cannot_be_labelled_are_told(desk, kept, fewtune):
    (desk / "later.csv").write_bytes(LATER + b" ,pump\n")
    said = fewtune("predict runs/tfidf later.csv --output out.csv")
    assert said.code == 0
    assert "1 of 46 rows are set aside (1 empty-text)" in said.told
    assert "later.csv:47" in said.told


def test_labels_that_the_model_does_not_know_are_told(desk, kept, fewtune):
    (desk / "later.csv").write_bytes(table([(t, "strange") for t, _ in ROWS]))
    said = fewtune("evaluate runs/tfidf later.csv --json")
    assert any("'strange' (45)" in note for note in json.loads(said.out)["notes"])
    assert "'strange' (45)" in fewtune("evaluate runs/tfidf later.csv").told


# ---------------------------------------------------------------------------- damaged folders


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edited(**values):
    def edit(path):
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values))

    return edit


DAMAGE = {
    "tfidf/model/fewtune.json": [
        (lambda p: p.unlink(), "not a model that fewtune saved"),
        (cut, "model in runs/tfidf/model cannot be loaded"),
        (edited(nonsense=1), "cannot be loaded"),
        (edited(method="magic"), "fewtune.json is damaged: method: one of"),
    ],
    "tfidf/model/ngrams.json": [(cut, "cannot be loaded")],
    "tfidf/model/ngrams.safetensors": [(cut, "cannot be loaded")],
    "probe/model/model.safetensors": [(cut, "not a whole safetensors file")],
    "probe/model/fewtune.json": [(edited(labels=["a", "b"]), "cannot be loaded")],
    "probe/model/3_Dense/model.safetensors": [(lambda p: p.unlink(), "cannot be loaded")],
    "lora/model/adapter_model.safetensors": [
        (cut, "cannot be loaded"),
        (lambda p: p.unlink(), "lora/model has no adapter_model.safetensors"),
    ],
    "lora/model/tokenizer.json": [(lambda p: p.unlink(), "has no tokenizer")],
    "lora/model/fewtune.json": [
        (edited(base="/nowhere/base"), "trained on is gone: .*/nowhere/base"),
        (edited(base_fingerprint="0"), "is not the one this model was trained on"),
    ],
}
CASES = [(file, k) for file, damages in DAMAGE.items() for k in range(len(damages))]


@pytest.mark.parametrize(("file", "k"), CASES)
def test_a_damaged_model_is_a_sentence(file, k, runs, fewtune):
    damage, phrase = DAMAGE[file][k]
    damage(runs / file)
    run = file.split("/")[0]
    assert_refused(fewtune(f"predict runs/{run} 'the pump leaks'"), 1, phrase)
    assert_refused(fewtune(f"evaluate runs/{run} good.csv"), 1, phrase)


RECORDS = {
    "scores.json": ['{"a":', "[]", '{"verdict": "great", "test": 5}'],
    "plan.yaml": ["a: [1", "just text", "method: 3"],
    "data.json": ["[]", "{"],
}


@pytest.mark.parametrize(("file", "text"), [(f, t) for f, all in RECORDS.items() for t in all])
def test_a_damaged_record_is_a_sentence_and_hides_no_other_run(file, text, runs, fewtune):
    (runs / "tfidf" / file).write_text(text)
    for words in ("report runs/tfidf", "runs show tfidf"):
        assert_refused(fewtune(words), 1, f"runs/tfidf/{file}")
    assert fewtune("predict runs/tfidf 'the pump leaks'").code == 0  # the model is whole
    listed = json.loads(fewtune("runs --json").out)
    states = {run["name"]: run["state"] for run in listed}
    assert states == {
        "lora": "finished", "probe": "finished",
        "tfidf": "finished" if file == "data.json" else "broken",
    }  # fmt: skip


def test_a_run_with_damaged_scores_is_made_whole_by_resume(runs, fewtune):
    (runs / "tfidf" / "scores.json").write_text("{")
    said = fewtune("resume runs/tfidf")
    assert said.code == 0, said
    assert fewtune("runs show tfidf").code == 0


def test_half_a_line_of_events_is_passed_over(runs, fewtune):
    events = runs / "tfidf" / "events.jsonl"
    events.write_bytes(b'\xff\xfe\n{"name": "read", "time": "x"}\n' + events.read_bytes() + b'{"na')
    assert fewtune("report runs/tfidf").code == 0
    assert fewtune("runs show tfidf").code == 0


# ---------------------------------------------------------------------------- resume


@pytest.fixture
def stopped(desk, bases, fewtune, monkeypatch):
    """A run that stopped at a checkpoint, with its own copies of base and data."""
    shutil.copytree(bases / "bert", desk / "bert")
    with monkeypatch.context() as patched:
        patched.setattr(bench, "load_pooled", _stop)
        assert fewtune("train good.csv --model bert --method probe --output runs/r").code == 130
    return desk / "runs" / "r"


def _stop(*_):
    raise KeyboardInterrupt


def test_resume_does_it(stopped, fewtune):
    assert fewtune("resume runs/r").code == 0


def test_a_run_that_is_not_finished_has_no_model_yet(stopped, fewtune):
    for words in ("predict runs/r 'the pump leaks'", "evaluate runs/r good.csv"):
        said = fewtune(words)
        assert_refused(said, 2, "runs/r: this run is not finished", "`fewtune resume runs/r` goes")


def test_a_run_of_a_version_without_some_options_goes_on(stopped, fewtune):
    plan = RunFolder(stopped).plan
    for section, name in (("train", "save_steps"), ("trials", "folds"), ("data", "split")):
        del plan[section][name]
    RunFolder(stopped).write_plan(plan)
    assert fewtune("resume runs/r").code == 0


def test_a_run_of_a_version_with_other_options_is_told_so(stopped, fewtune):
    plan = RunFolder(stopped).plan
    plan["train"] |= {"momentum": 0.9, "seed_of_doubt": 1}
    RunFolder(stopped).write_plan(plan)
    assert_refused(fewtune("resume runs/r"), 2, r"does not have.*\(momentum, seed_of_doubt\)")


def test_a_run_of_a_version_that_told_less_of_its_files_is_told_so(stopped, fewtune):
    plan = RunFolder(stopped).plan
    del plan["inputs"]
    RunFolder(stopped).write_plan(plan)
    assert_refused(fewtune("resume runs/r"), 2, "did not write down what tells this version")


def change_data(desk):
    (desk / "good.csv").write_bytes(table(ROWS[:-1]))


def lose_data(desk):
    (desk / "good.csv").unlink()


def lose_base(desk):
    shutil.rmtree(desk / "bert")


def other_base(desk):
    from safetensors.torch import load_file, save_file

    path = desk / "bert" / "model.safetensors"
    save_file({k: v + 1 for k, v in load_file(path).items()}, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "code", "phrase"),
    [
        (change_data, 1, "good.csv has changed since it was split"),
        (lose_data, 2, "there is no file .*good.csv"),
        (lose_base, 1, "bert"),
        (other_base, 2, "since this run was planned the base model changed"),
    ],
)
def test_resume_refuses_another_job(change, code, phrase, stopped, desk, fewtune):
    change(desk)
    assert_refused(fewtune("resume runs/r"), code, phrase)
    assert [run.state for run in list_runs("runs")] == ["unfinished"]
