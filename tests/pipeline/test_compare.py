"""`fewtune compare` on a tiny model: the whole registry, presets, one thing at a time, resume."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import dialogues, jsonl, rows, write_csv
from safetensors.torch import load_file

import fewtune
from fewtune.base.errors import FewtuneError, Interrupted, UsageError
from fewtune.cli import main
from fewtune.methods import METHODS
from fewtune.pipeline.lineup import line_up
from fewtune.record.folder import RunFolder
from fewtune.train import candidate, loop
from fewtune.train.loop import run_fit
from fewtune.trials.fits import FitsOnDisk
from fewtune.trials.label_desk import LabelDesk

QUICK = {"attention": "eager", "max_steps": 2, "bootstrap": 100, "folds": 2, "seeds": 1}


@pytest.fixture
def compare(files, tmp_path):
    def call(output="table", data=None, **options):
        given = {"model": files["model"], "output": str(tmp_path / output)} | QUICK | options
        return fewtune.compare(data or files["train"], **given)

    return call


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    """Every method on a test file too. Tests leave it as they found it."""
    folder = tmp_path_factory.mktemp("compared")
    events = []
    told = fewtune.compare(
        files["train"], model=files["model"], test=files["test"], output=str(folder / "table"),
        csv=str(folder / "copy.csv"), markdown=str(folder / "copy.md"), listen=events.append,
        **QUICK,
    )  # fmt: skip
    return told, folder, events


def test_every_method_of_the_registry_is_in_the_table(whole):
    told, _, events = whole
    assert {one["name"] for one in told["methods"]} | {*told["refused"]} == {*METHODS}
    assert len(told["methods"]) == len(METHODS)
    assert sorted(one["rank"] for one in told["methods"]) == [*range(1, len(METHODS) + 1)]
    for one in told["methods"]:
        for block in (one["score"], one["test"]):
            assert 0 <= block["low"] <= block["value"] <= block["high"] <= 1
            assert block["low"] < block["high"]
        assert one["rows"] == 60
        assert one["scene"] == METHODS[one["name"]].scene
        assert one["bytes"] > 1000
        assert one["memory"] >= 0
        assert one["seconds"] > 0
        assert 0 < one["trainable_parameters"] <= one["total_parameters"]
    assert told["methods"][0]["tied"]
    assert told["fronts"]["seconds"]
    trials = [(event["trial"], event["fold"]) for event in events if event.name == "trial"]
    assert len(trials) == len(set(trials)) == 2 * len(METHODS)
    assert events[-1].name == "finished"


def test_a_method_that_trains_all_is_told_from_one_that_trains_little(whole):
    found = {one["name"]: one for one in whole[0]["methods"]}
    assert found["full"]["share"] == 1.0
    assert found["ia3"]["share"] < found["bitfit"]["share"] < 0.2
    assert found["lora"]["bytes"] < found["full"]["bytes"]


def test_the_files_of_the_table_read_back_as_it_is(whole):
    told, folder, _ = whole
    text = (folder / "table" / "comparison.csv").read_text(encoding="utf-8")
    lines = [*csv.DictReader(text.splitlines())]
    assert [one["name"] for one in lines] == [one["name"] for one in told["methods"]]
    for line, one in zip(lines, told["methods"], strict=True):
        assert float(line["score"]) == one["score"]["value"]
        assert float(line["test_high"]) == one["test"]["high"]
        assert (line["tied"] == "True") == one["tied"]
        assert line["memory_is"] == "measured"
    assert (folder / "copy.csv").read_text(encoding="utf-8") == text
    page = (folder / "copy.md").read_text(encoding="utf-8")
    cells = [row.split(" | ") for row in page.splitlines() if row.startswith("| ")][2:]
    assert [row[1] for row in cells] == [one["name"] for one in told["methods"]]
    assert len({len(row) for row in cells}) == 1
    marks = [row[0].removeprefix("| ").endswith("=") for row in cells]
    assert marks == [one["tied"] for one in told["methods"]]
    assert (folder / "table" / "comparison.md").read_text(encoding="utf-8") == page
    assert json.loads((folder / "table" / "comparison.json").read_text("utf-8")) == told


def test_the_page_shows_every_method_and_both_pictures(whole):
    told, folder, _ = whole
    page = (folder / "table" / "report.html").read_text(encoding="utf-8")
    for one in told["methods"]:
        assert page.count(f">{one['name']}<") >= 2
    assert page.count('<svg class="front"') == 2
    assert "src=" not in page
    assert told["verdict"].split("`")[1] == told["methods"][0]["name"]
    before = page
    with pytest.raises(SystemExit) as left:
        main(["report", str(folder / "table")])
    assert not left.value.code
    assert (folder / "table" / "report.html").read_text(encoding="utf-8") == before


@pytest.fixture(scope="module")
def varied(files, tmp_path_factory):
    output = tmp_path_factory.mktemp("varied") / "table"
    given = QUICK | {"max_steps": 6, "learning_rate": 1e-3}
    return fewtune.compare(
        files["train"], model=files["model"], output=str(output), methods="full",
        vary={"learning_rate": [1e-9, 1e-3], "start_head": ["zero"], "augment": ["none", "delete"],
              "preset": ["cautious"]},
        **given,
    )  # fmt: skip


def test_one_thing_at_a_time_has_its_effect_over_the_first_method(varied):
    assert varied["base"] == "full"
    steps = {one["name"]: one for one in varied["steps"]}
    assert [*steps] == [
        "learning_rate=1e-09", "learning_rate=0.001", "start_head=zero", "augment=none",
        "augment=delete", "preset=cautious",
    ]  # fmt: skip
    for one in steps.values():
        effect = one["effect"]
        assert effect["low"] <= effect["value"] <= effect["high"]
        assert one["said"] in ("better", "worse", "within noise")
        assert one["score"]["value"] == pytest.approx(
            varied["methods"][0]["score"]["value"] + effect["value"]
        )
    # what is as the base is answers as the base does, to the last digit
    base = varied["methods"][0]["log_loss"]
    assert steps["augment=none"]["log_loss"] == steps["learning_rate=0.001"]["log_loss"] == base
    # and every other option reaches the fit
    others = {
        steps[name]["log_loss"]
        for name in steps
        if name not in ("augment=none", "learning_rate=0.001")
    }
    assert len(others | {base}) == 5


def test_steps_are_in_the_files_too(varied):
    folder = Path(varied["run"])
    lines = [*csv.DictReader((folder / "comparison.csv").read_text("utf-8").splitlines())]
    assert [one["name"] for one in lines if one["kind"] == "step"] == [
        one["name"] for one in varied["steps"]
    ]
    assert all(one["effect_low"] for one in lines if one["kind"] == "step")
    for name in ("comparison.md", "report.html"):
        text = (folder / name).read_text(encoding="utf-8")
        assert all(one["name"] in text for one in varied["steps"])


def test_a_base_that_its_own_step_beats_is_fitted_to_all_folds(compare):
    told = compare(
        methods="full", vary="learning_rate=1e-2", learning_rate=1e-9, max_steps=20, folds=3,
        start_head="zero", budget="1h",
    )  # fmt: skip
    (base,), (step,) = told["methods"], told["steps"]
    assert step["said"] == "better"
    assert (base["state"], step["state"], base["rank"]) == ("whole", "whole", 1)
    assert base["rows"] == step["rows"] == 60


@pytest.mark.parametrize(
    ("second", "seeds"), [(35.0, 2), (60.0, 1)], ids=["what seed 1 left", "not enough"]
)
def test_who_finished_a_seed_is_ranked_by_it(compare, monkeypatch, second, seeds):
    """Seed 1 takes 20 of 100 s, so that the next has 80; two folds of `full` take 70, or 120."""
    write = FitsOnDisk.write

    def slow(self, name, fold, fitted):
        late = name == "full" and self.folder.name == "seed2"
        write(self, name, fold, fitted)
        object.__setattr__(fitted, "seconds", second if late else 5.0)

    monkeypatch.setattr(FitsOnDisk, "write", slow)
    told = compare(methods="bitfit,full", seeds=2, budget="100s")
    lines = {one["name"]: one for one in told["methods"]}
    assert {one["state"] for one in told["methods"]} == {"whole"}
    assert {one["rank"] for one in told["methods"]} == {1, 2}
    assert (lines["bitfit"]["seeds"], lines["full"]["seeds"]) == (2, seeds)
    late = [one for one in told["notes"] if one.startswith("full: there was time for 1 seed alone")]
    assert len(late) == (seeds == 1)


class Killed(Exception):
    """The process is gone."""


def test_a_comparison_that_was_killed_fits_nothing_twice_and_ends_the_same(compare, tmp_path):
    def listen(event):
        if event.name == "trial" and event["fold"] == 2:
            raise Killed

    given = {"methods": "tfidf,bitfit", "seeds": 2}
    with pytest.raises(Killed):
        compare("one", listen=listen, **given)
    fits = [*(tmp_path / "one" / "fits").rglob("*.safetensors")]
    stamps = {path: path.stat().st_mtime_ns for path in fits}
    assert 2 <= len(stamps) < 8
    with pytest.raises(UsageError, match="goes on with the command that began it: `fewtune comp"):
        fewtune.resume(tmp_path / "one")
    told, alone = compare("one", **given), compare("two", **given)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    for one, other in zip(told["methods"], alone["methods"], strict=True):
        for name in ("name", "rank", "tied", "score", "log_loss", "behind", "bytes"):
            assert one[name] == other[name]
    for name in ("comparison.md", "report.html"):
        page = (tmp_path / "one" / name).read_text(encoding="utf-8")
        for one in told["methods"]:
            assert f" ±{100 * one['score']['spread']:.1f} (" in page


@pytest.mark.parametrize("command", ["compare", "race"])
def test_what_a_killed_fold_measured_is_not_measured_again(files, tmp_path, monkeypatch, command):
    if command == "race":
        pytest.importorskip("optuna", reason="the extra `search` is not installed")
    kernels, fit = iter(["eager", "sdpa"]), run_fit

    def killed(_fit):
        raise Killed

    monkeypatch.setattr(candidate, "choose_attention", lambda *_: next(kernels))
    monkeypatch.setattr(candidate, "run_fit", killed)
    given = QUICK | {"attention": "auto", "model": files["model"], "output": str(tmp_path / "t")}
    ways = {
        "compare": lambda: fewtune.compare(files["train"], methods="bitfit", **given),
        "race": lambda: fewtune.train(
            files["train"], method="bitfit", search=2, budget="20m",
            **{name: one for name, one in given.items() if name != "seeds"},
        ),
    }  # fmt: skip
    with pytest.raises(Killed):
        ways[command]()
    plan = RunFolder.open(tmp_path / "t").plan
    assert plan["chosen"]["attention"] == "eager"
    monkeypatch.setattr(candidate, "run_fit", fit)
    ways[command]()
    assert RunFolder.open(tmp_path / "t").plan["chosen"]["attention"] == "eager"
    assert next(kernels) == "sdpa"


def test_a_finished_comparison_is_not_computed_again(compare, tmp_path):
    told = compare(methods="tfidf")
    heard = []
    assert compare(methods="tfidf", listen=heard.append) == told
    assert not heard
    with pytest.raises(UsageError, match="another run lives here"):
        compare(methods="tfidf,probe")
    assert compare(methods="tfidf", again=True, listen=heard.append)["run"] == told["run"]
    assert heard
    assert RunFolder.open(tmp_path / "table").state == "finished"


def test_a_comparison_killed_before_its_last_word_is_finished_by_the_same_command(
    compare, tmp_path
):
    told = compare(methods="tfidf")
    events = tmp_path / "table" / "events.jsonl"
    *before, last = events.read_text(encoding="utf-8").splitlines(keepends=True)
    assert "finished" in last
    events.write_text("".join(before), encoding="utf-8")
    (tmp_path / "table" / "report.html").unlink()
    fits = {one: one.stat().st_mtime_ns for one in (tmp_path / "table" / "fits").rglob("*.*")}
    assert compare(methods="tfidf")["methods"] == told["methods"]
    assert {one: one.stat().st_mtime_ns for one in fits} == fits
    assert (tmp_path / "table" / "report.html").is_file()
    assert RunFolder.open(tmp_path / "table").state == "finished"


def test_what_is_tested_on_ranks_nobody(compare, files, tmp_path):
    turned = [(text, {"pump": "door"}.get(label, label)) for text, label in rows(30, seed=1)]
    other = write_csv(tmp_path / "turned.csv", turned)
    first = compare("a", methods="tfidf,probe", test=files["test"])
    second = compare("b", methods="tfidf,probe", test=other)
    for one, two in zip(first["methods"], second["methods"], strict=True):
        assert (one["name"], one["score"], one["rank"]) == (two["name"], two["score"], two["rank"])
        assert one["test"] != two["test"]


def test_the_folds_that_were_dealt_are_told_and_who_is_held_out_in_none(compare, tmp_path):
    """All of a class on one machine: that cannot be held out, and five folds are three."""
    chance = np.random.default_rng(0)  # texts that are nearly equal would stand in one fold
    lines = [
        {"text": f"{label} " + " ".join(chance.choice([*"abcdefghijklmnopqrstuvwxyz"], 8)),
         "label": label, "machine": f"m{machine}"}
        for machine in range(4)
        for k, label in enumerate(["pump", "door"] * 10 if machine == 0 else ["door"] * 20)
    ]  # fmt: skip
    told = compare(
        data=jsonl(tmp_path / "grouped.jsonl", lines), methods="tfidf", group="machine", folds=5
    )
    assert (told["folds"], told["scored"], told["methods"][0]["rows"]) == (3, 60, 60)
    assert any("20 rows are held out in no fold and so not scored" in one for one in told["notes"])
    page = (Path(told["run"]) / "comparison.md").read_text(encoding="utf-8")
    assert "80 training rows, 60 of which are held out, on 3 folds, the same for all" in page


def test_presets_stand_beside_one_another(compare):
    told = compare(methods="probe,bitfit", presets="default,cautious")
    assert {one["name"] for one in told["methods"]} == {
        "probe",
        "bitfit, default",
        "bitfit, cautious",
    }
    by = {one["preset"]: one["log_loss"] for one in told["methods"] if one["method"] == "bitfit"}
    assert by["default"] != by["cautious"]


def test_a_fit_that_diverges_is_a_line_and_not_the_end(compare):
    told = compare(methods="probe,full", learning_rate=1e30, max_grad_norm=0)
    lines = {one["name"]: one for one in told["methods"]}
    assert lines["full"]["state"] == "failed"
    assert lines["full"]["rank"] is None
    assert "learning_rate" in lines["full"]["failed"]
    assert lines["probe"]["rank"] == 1


@pytest.mark.parametrize("methods", ["full,probe", "full"])
def test_answers_that_are_no_numbers_are_a_failure_and_not_want_of_time(
    compare, monkeypatch, methods
):
    heard, fits = LabelDesk.heard, []

    def overflowed(self, variant, model, asked):
        fits.append(variant.name)
        found = heard(self, variant, model, asked)
        return found * np.nan if variant.name == "full" else found

    monkeypatch.setattr(LabelDesk, "heard", overflowed)
    told = compare(methods=methods, vary="learning_rate=1e-3", seeds=2)
    assert fits.count("full") == 1
    assert (told["missing"], told["failed"]) == ([], ["full"])
    assert [one["name"] for one in told["methods"]] == methods.split(",")[1:]
    (step,) = told["steps"]
    assert (step["said"], step["effect"], step["seeds"]) == ("nothing to compare with", None, 2)
    text = (Path(told["run"]) / "comparison.md").read_text(encoding="utf-8")
    assert "failed: `full`" in text
    assert "out of time" not in text
    page = (Path(told["run"]) / "report.html").read_text(encoding="utf-8")
    assert "its answers are no numbers" in " ".join(page.split())


def test_without_time_only_what_takes_none_is_fitted(compare):
    told = compare(methods="probe,full", budget="0.001s")
    lines = {one["name"]: one for one in told["methods"]}
    assert "full" in told["missing"] or lines["full"]["state"] != "whole"
    assert lines["probe"]["rank"] == 1
    page = (Path(told["run"]) / "comparison.md").read_text(encoding="utf-8")
    assert "Without a rank, for not all folds were fitted: out of time: `full`." in page


def test_rows_with_several_labels(compare, tmp_path):
    lines = [
        {"text": text, "labels": [label, "all"] if k % 2 else [label]}
        for k, (text, label) in enumerate(rows(40))
    ]
    path = tmp_path / "sets.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    told = compare(data=str(path), methods="tfidf,probe")
    assert (told["task"], told["metric"]) == ("multilabel", "micro_f1")
    for one in told["methods"]:
        assert 0 < one["score"]["low"] < one["score"]["value"] <= one["score"]["high"]


def test_methods_that_teach_to_answer_are_ranked_by_the_loss(compare, speaker, reports, tmp_path):
    asked = jsonl(tmp_path / "asked.jsonl", dialogues(12, start=60))
    told = compare(
        data=reports, model=speaker, methods="lora,ia3,probe", vary="lora_r=2", lora_r=4,
        test=asked, bf16=False, learning_rate=1e-2, max_steps=6,
    )  # fmt: skip
    assert (told["task"], told["metric"]) == ("generate", "loss")
    assert told["refused"] == {"probe": "`probe` chooses among labels and cannot write."}
    assert {one["name"] for one in told["methods"]} == {"before", "lora", "ia3"}
    losses = [one["score"]["value"] for one in told["methods"]]
    assert losses == sorted(losses)
    (before,) = [one for one in told["methods"] if one["name"] == "before"]
    assert (before["seconds"], before["bytes"]) == (None, None)
    assert told["methods"][0]["name"] == "lora"
    for one in told["methods"]:
        for block in (one["score"], one["test"]):
            assert 0 < block["low"] < block["value"] < block["high"]
    assert [one["name"] for one in told["steps"]] == ["lora_r=2"]
    with pytest.raises(UsageError, match="reads and does not write"):
        compare("other", data=reports)
    with pytest.raises(UsageError, match="cannot write"):
        compare("other", data=reports, model=speaker, methods="probe,lora", vary="augment=none")
    with pytest.raises(UsageError, match="class_weights, start_head: for labels, and these rows"):
        compare(
            "other", data=reports, model=speaker, methods="lora",
            vary={"class_weights": ["balanced"], "lora_r": [2], "start_head": ["zero"]},
        )  # fmt: skip
    with pytest.raises(UsageError, match="augment: recipes are compared on rows with labels"):
        compare("other", data=reports, model=speaker, methods="lora", augment="typing")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"methods": "lorra"}, "methods: one of tfidf.*got 'lorra'. Did you mean 'lora'"),
        ({"presets": "careful"}, "presets: one of default, cautious; got 'careful'"),
        ({"methods": "lora", "vary": "lora_rr=4"}, "vary: 'lora_rr'.*Did you mean 'lora_r'"),
        ({"methods": "full", "vary": "lora_r=4"}, "vary: 'lora_r' is no option of.*`full`"),
        ({"methods": "probe", "vary": "learning_rate=1"}, "vary: 'learning_rate' is no option"),
        ({"methods": "full", "vary": "learning_rate=x"}, "vary: learning_rate: a number; got 'x'"),
        (
            {"methods": "tfidf", "vary": "augment=none"},
            "cannot learn made ones.*--methods full",
        ),
        ({"methods": "full", "vary": "augment_copies=2"}, "name recipes, as in --augment typing"),
        ({"methods": "full", "vary": "augment=synonim"}, "augment: .*Did you mean 'synonym'"),
        ({"methods": "full", "vary": "augment=synonym"}, "augment: synonym needs --lexicon"),
        ({"methods": "full", "vary": "lora_r"}, "vary: OPTION=VALUE,VALUE"),
        ({"methods": "full", "lora_r": 4}, "lora_r: no method compared has it"),
        ({"csv": "table.txt"}, "csv: a name ending in .csv"),
        ({"method": "full"}, "method: there is no such option. Did you mean 'methods'"),
        ({"valid": "a.csv"}, "valid: there is no such option"),
        ({"budget": "soon"}, "budget: a time such as"),
        ({"model": "endpoint:http://a#b"}, "model: what answers behind an address is not trained"),
        ({"methods": "full", "augment": "auto"}, "augment: `auto` tries recipes on folds itself"),
    ],
)
def test_what_is_wrong_is_said_before_there_is_a_folder(compare, tmp_path, given, said):
    with pytest.raises(UsageError, match=said):
        compare(**given)
    assert not (tmp_path / "table").exists()


def test_all_mistakes_are_told_at_once(compare):
    with pytest.raises(UsageError) as found:
        compare(methods="lorra,full", seeds=0, vary={"learning_rate": [0]}, csv="a.txt", nonsense=1)
    told = str(found.value)
    for said in ("'lorra'", "seeds:", "vary: learning_rate", "csv:", "nonsense:"):
        assert told.count(said) == 1


def test_the_command_that_is_told_is_the_same_comparison(files):
    given = {
        "model": files["model"], "methods": ["lora", "full"], "vary": {"lora_r": [2, 4]},
        "presets": "default，cautious", "bf16": False, "map": {"text": "text"},
    }  # fmt: skip
    first = line_up(files["train"], given)
    assert first.command.startswith("fewtune compare ")
    assert "--vary lora_r=2,4" in first.command
    assert "--no-bf16" in first.command
    names = [f"{name}, {preset}" for name in ("lora", "full") for preset in ("default", "cautious")]
    assert [one.name for one in first.entries] == [*names, "lora_r=2", "lora_r=4"]
    assert first.entries[4].method.lora_r == 2
    assert first.entries[1].job.train.learning_rate == 1e-5


def test_a_base_that_is_trusted_is_trusted_where_no_method_is_named(files, tmp_path):
    folder = shutil.copytree(files["model"], tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    given = {"model": str(folder), "vary": {"learning_rate": [1e-5]}}
    with pytest.raises(FewtuneError, match="pickle"):
        line_up(files["train"], given)
    assert len(line_up(files["train"], given | {"allow_pickle": True}).entries) == 2


def test_recipes_cost_a_comparison_none_of_its_rows(compare):
    """Its folds learn what recipes make, so no rows are held out for that."""
    plain, made = compare("a", methods="tfidf"), compare("b", methods="probe", augment="typing")
    assert made["rows"] == plain["rows"]


def test_a_recipe_that_made_nothing_for_a_comparison_is_told_once(compare, tmp_path):
    lexicon = tmp_path / "words.txt"
    lexicon.write_text("Wasser,Nass\n", encoding="utf-8")
    told = compare(methods="probe", vary="augment=synonym", lexicon=str(lexicon), seeds=2)
    (note,) = [one for one in told["notes"] if "synonym" in one]
    assert note.startswith("augment=synonym: augment: synonym made no row")
    assert "is it of another language?" in note


def test_what_changes_nothing_of_a_comparison_is_told(compare):
    told = compare(methods="tfidf", learning_rate=1e-3, max_length=16, augment_copies=2)["notes"]
    assert "learning_rate, max_steps: nothing that is compared takes steps of training" in told[0]
    assert (
        told[1]
        == "max_length: what is compared reads the whole of a text; it changes nothing here."
    )
    assert told[2].startswith("augment_copies: no recipe is asked for with --augment; ")
    (alone,) = compare("b", methods="tfidf,probe", max_steps=None, augment="typing")["notes"]
    assert alone.startswith("`tfidf` counts the n-grams of your own rows and cannot learn made")


def test_another_lexicon_is_another_comparison(compare, tmp_path):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("pump,compressor\n", encoding="utf-8")
    given = {"methods": "probe", "augment": "synonym", "lexicon": str(lexicon)}
    compare("a", **given)
    lexicon.write_text("pump,motor\n", encoding="utf-8")
    with pytest.raises(UsageError, match="another"):
        compare("a", **given)


def test_the_terminal_prints_the_table_at_a_hundred_columns(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    words = ["compare", files["train"], "--model", files["model"], "--methods", "tfidf,probe"]
    words += ["--test", files["test"], "--vary", "tfidf_c=1", "--vary", "class_weights=balanced"]
    words += ["--seeds", "1", "--folds", "2", "--output", str(tmp_path / "t")]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert not left.value.code
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines()[:8])) <= 100
    (head,) = [line for line in out.splitlines() if line.startswith("rank method")]
    assert head.split()[:3] == ["rank", "method", "trains"]
    for said in ("tfidf_c=1", "class_weights=balanced", "what each is for", "effect, points"):
        assert said in out
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["steps"]] == ["tfidf_c=1", "class_weights=balanced"]


@pytest.mark.parametrize("pressed_at", [2, 5], ids=["first fold", "second fold"])
def test_a_comparison_that_was_stopped_ends_as_if_it_had_not_been(
    compare, tmp_path, monkeypatch, pressed_at
):
    """A fold is fitted anew; no other goes on from what it had learned."""
    given = {"methods": "lora", "max_steps": 3}
    scores = [one["score"] for one in compare("whole", **given)["methods"]]
    step, steps = loop._step, []

    def pressed(*fit):
        steps.append(fit)
        if len(steps) == pressed_at:
            os.kill(os.getpid(), signal.SIGINT)
        yield from step(*fit)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", pressed)
        with pytest.raises(Interrupted, match=r"`fewtune compare .*` goes on") as told:
            compare("table", again=True, **given)
    assert "--again" not in str(told.value) + RunFolder.open(tmp_path / "table").plan["command"]
    assert len(steps) == pressed_at
    steps.clear()
    monkeypatch.setattr(loop, "_step", lambda *fit: steps.append(fit) or step(*fit))
    assert [one["score"] for one in compare("table", **given)["methods"]] == scores
    assert len(steps) == {2: 6, 5: 3}[pressed_at]
