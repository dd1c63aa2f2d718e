"""From a file of rows to a verdict, on a model so small that a run takes half a second."""

import json
from pathlib import Path

import numpy as np
import pytest
from jobs import QUICK, rows, write_csv
from safetensors.numpy import load_file, save_file

import fewtune
from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.events import EVENTS
from fewtune.pipeline.job import CAUTIOUS
from fewtune.train import candidate as candidate_stage

INTERVAL = {"value", "low", "high"}


def names_of(run) -> list[str]:
    return [event.name for event in run.folder.events]


def weights_of(run) -> dict[str, bytes]:
    """Every weights file of the artefact, by path."""
    return {
        str(path.relative_to(run.folder.model)): path.read_bytes()
        for path in sorted(run.folder.model.rglob("*.safetensors"))
    }


# --- what a run tells and leaves behind ---------------------------------------------------------


def test_the_journey_is_told_in_its_order(finished):
    baselines = ["baseline"] * len(finished.scores["baselines"])
    epoch = ["step"] * 3 + ["validated"]
    assert names_of(finished) == [
        "started", "read", "split", "checked", "planned", *epoch, *epoch,
        "trained", "saved", *baselines, "scored", "finished",
    ]  # fmt: skip
    assert set(names_of(finished)) <= EVENTS.keys()


def test_a_listener_hears_what_is_written_down(train):
    heard = []
    run = train(listen=heard.append, max_steps=2)
    assert [event.name for event in heard] == names_of(run)


def test_a_run_cut_short_is_told_what_the_default_would_have_been(train):
    run = train(max_steps=1)
    (sign,) = [one for one in run.scores["diagnosis"] if one["code"] == "too-few-steps"]
    (planned,) = [one for one in run.folder.events if one.name == "planned"]
    assert sign["message"].startswith("1 step is ")
    assert f"({planned['usual']['steps']:,} steps)" in sign["message"]
    assert sign["do"] == "Leave out --max_steps."


def test_a_rate_of_nothing_is_told_by_the_part_that_did_not_move(train):
    run = train(method="full", learning_rate=1e-12, head_learning_rate=1e-2)
    moved = run.scores["train"]["moved"]
    assert moved["full"]["change"] < 1e-6 < 1e-4 < moved["head"]["change"]
    (sign,) = [one for one in run.scores["diagnosis"] if one["code"] == "frozen"]
    assert "nothing moved of `full`" in sign["message"]


def test_scores_have_the_shape_that_the_design_promises(finished):
    scores = finished.scores
    promised = {
        "run", "task", "method", "primary", "rows", "test", "baselines", "gain", "verdict",
        "seconds", "peak_memory_bytes", "trainable_parameters", "total_parameters",
    }  # fmt: skip
    assert promised <= scores.keys()
    assert scores.keys() - promised == {
        "train", "per_class", "confusion", "warnings", "scored", "scored_on", "memory", "slices",
        "diagnosis",
    }  # fmt: skip
    assert scores["rows"].keys() == {
        "read", "kept", "quarantined", "fixed", "truncated", "train", "valid", "test",
    }  # fmt: skip
    assert {"majority", "tfidf", "probe"} <= scores["baselines"].keys()
    for block in (scores["test"], *scores["baselines"].values()):
        assert {
            "accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "macro_precision",
            "macro_recall", "mcc", "log_loss", "ece",
        } == block.keys()  # fmt: skip
        for one in block.values():
            assert one.keys() == INTERVAL
            assert one["low"] <= one["value"] <= one["high"]
    gain = {"over", *INTERVAL, "p", "detectable"}
    assert scores["gain"].keys() == gain | {"all"}
    assert scores["gain"]["over"] in scores["baselines"]
    assert scores["gain"]["all"].keys() == scores["baselines"].keys()
    assert scores["verdict"].endswith(".")
    assert scores["peak_memory_bytes"] > 2**20
    assert {"before_first_step", "train", "evaluate", "total"} <= scores["seconds"].keys()
    assert 0 < scores["trainable_parameters"] <= scores["total_parameters"]
    assert scores["train"]["tokens"] > 0


def test_every_file_of_a_run_folder_is_there(finished):
    assert {path.name for path in finished.folder.path.iterdir()} - {".lock"} == {
        "plan.yaml", "data.json", "events.jsonl", "scores.json", "predictions.jsonl", "model",
        "report.html", "environment.json",
    }  # fmt: skip
    assert (finished.folder.model / "README.md").read_text(encoding="utf-8").count("def predict")


def test_rows_in_the_ledger_add_up(train, tmp_path):
    found = [*rows(60), ("  ", "pump"), ("a text without a label", "")]
    run = train(data=write_csv(tmp_path / "a.csv", found), valid_share=0.25, max_steps=2)
    counts = run.scores["rows"]
    assert counts["read"] == 62
    assert counts["read"] == counts["kept"] + counts["quarantined"]
    assert counts["kept"] == counts["train"] + counts["valid"] + counts["test"] == 60
    assert (counts["test"], counts["valid"]) == (12, 12)
    kept = run.folder.data["parts"]
    lines = [line for part in kept.values() for found in part.values() for line in found]
    assert len(lines) == len(set(lines)) == 60


def test_the_linter_s_findings_are_told_before_training(train, tmp_path):
    found = [*rows(59), (rows(59)[0][0], "lamp" if rows(59)[0][1] != "lamp" else "pump")]
    run = train(data=write_csv(tmp_path / "a.csv", found), max_steps=1)
    (told,) = [event for event in run.folder.events if event.name == "checked"]
    conflict = next(one for one in told["findings"] if one["code"] == "label-conflict")
    assert conflict["severity"] == "error"
    assert conflict["rows"] == ["a.csv:2", "a.csv:61"]
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    assert "What the linter found" in page
    assert "a.csv:61" in page


def test_long_rows_are_cut_counted_and_told(train, tmp_path):
    data = write_csv(tmp_path / "a.csv", [*rows(59), ("pump " * 300, "pump")])
    test = write_csv(tmp_path / "t.csv", [*rows(9, seed=1), ("lamp " * 300, "lamp")])
    run = train(data=data, test=test, max_steps=2)
    assert run.scores["rows"]["truncated"] == 2
    told = [one for one in run.scores["warnings"] if "longer than the model reads" in one]
    assert [one.split(" are ")[0] for one in told] == [
        "1 training rows (1.7%)",
        "1 test rows (10.0%)",
    ]
    origins = [one["origin"] for one in run.folder.data["ledger"]["truncated"]]
    assert origins == ["a.csv:61", "t.csv:11"]


# --- predictions ----------------------------------------------------------------------------------


def test_predictions_stand_in_the_test_file_s_order_and_are_what_predict_says(finished):
    told = list(finished.folder.predictions)
    assert [(one["text"], one["label"]) for one in told] == rows(30, seed=1)
    assert [one["origin"] for one in told] == [f"test.csv:{line}" for line in range(2, 32)]
    again = fewtune.predict(finished.folder.path, [one["text"] for one in told])
    assert [{k: one[k] for k in ("prediction", "probability")} for one in told] == again


def test_one_text_is_predicted_as_in_a_crowd(finished):
    told = list(finished.folder.predictions)[:5]
    for one in told:
        (alone,) = finished.predict(one["text"])
        assert alone["prediction"] == one["prediction"]
        assert sum(alone["probability"].values()) == pytest.approx(1, abs=1e-5)


def test_predictions_come_from_the_saved_artefact(train):
    """Another head in model/ gives other answers, from a run as from its folder."""
    run = train()
    text = "the pump leaks oil"
    before = run.predict(text)
    head = run.folder.model / "3_Dense" / "model.safetensors"
    tensors = load_file(head)
    tensors["linear.bias"] = np.array([0, 0, 100], dtype=np.float32)
    save_file(tensors, head)
    after = fewtune.load(run.folder.path).predict(text)
    assert after != before
    assert after[0]["prediction"] == run.labels[2]
    assert fewtune.load(run.folder.model).predict(text) == after


def test_a_label_that_training_never_saw_counts_as_an_error(train, tmp_path):
    known = rows(20, seed=2)
    strange = [(f"{text} {k}", "roof") for k, (text, _) in enumerate(known[:5])]
    with_it = train("a", test=write_csv(tmp_path / "t.csv", [*known, *strange]))
    without = train("b", test=write_csv(tmp_path / "u.csv", known))
    right = without.scores["test"]["accuracy"]["value"] * 20
    assert with_it.scores["test"]["accuracy"]["value"] == pytest.approx(right / 25)
    assert with_it.scores["rows"]["test"] == 25
    assert any("no training row has" in told for told in with_it.scores["warnings"])
    assert weights_of(with_it) == weights_of(without)


def test_test_rows_never_touch_training(train, tmp_path):
    one = train("a", test=write_csv(tmp_path / "t.csv", rows(20, seed=2)), valid_share=0.2)
    other = train("b", test=write_csv(tmp_path / "u.csv", rows(25, seed=3)), valid_share=0.2)
    assert weights_of(one) == weights_of(other)
    assert one.folder.plan["fingerprint"] != other.folder.plan["fingerprint"]


# --- the same run, another run --------------------------------------------------------------------


def test_a_finished_run_is_not_computed_twice_unless_asked(train):
    heard = []
    first = train(max_steps=2)
    stamp = (first.folder.path / "scores.json").stat().st_mtime_ns
    again = train(max_steps=2, listen=heard.append)
    assert heard == []
    assert again.scores == first.scores
    assert (first.folder.path / "scores.json").stat().st_mtime_ns == stamp
    before = weights_of(first)
    anew = train(max_steps=2, again=True, listen=heard.append)
    assert heard[-1].name == "finished"
    assert names_of(anew).count("started") == 1
    assert weights_of(anew) == before
    assert anew.folder.plan["reasons"] == first.folder.plan["reasons"]


def test_the_folder_of_another_run_is_refused_and_left_alone(train):
    first = train(max_steps=2)
    with pytest.raises(UsageError, match="another run lives here"):
        train(max_steps=3)
    assert fewtune.load(first.folder.path).scores == first.scores


def test_the_seed_changes_the_run_and_nothing_else_does(train):
    one, same, other = train("a", seed=1), train("b", seed=1), train("c", seed=2)
    assert weights_of(one) == weights_of(same)
    assert weights_of(one) != weights_of(other)


def test_a_run_that_was_left_goes_on_and_keeps_its_reasons(train, tmp_path):
    class Left(Exception):
        """The listener had enough."""

    def leave(event):
        if event.name == "checkpoint" and event["step"] == 4:
            raise Left

    with pytest.raises(Left):
        train("a", save_steps=2, listen=leave)
    folder = fewtune.load(tmp_path / "a").folder
    assert folder.state == "resumable"
    reasons = folder.plan["reasons"]
    heard = []
    run = fewtune.resume(tmp_path / "a", listen=heard.append)
    assert [event["step"] for event in heard if event.name == "step"] == [5, 6]
    assert run.folder.plan["reasons"] == reasons
    assert any("`full`" in reason for reason in reasons)
    assert weights_of(run) == weights_of(train("b", save_steps=2))


def test_resuming_with_other_data_is_refused_and_possible_once_it_is_back(files, tmp_path):
    path = tmp_path / "a.csv"
    old = Path(files["train"]).read_bytes()
    path.write_bytes(old)

    def leave(event):
        if event.name == "checkpoint":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fewtune.train(
            path, model=files["model"], method="full", output=str(tmp_path / "run"), save_steps=1,
            listen=leave, **QUICK,
        )  # fmt: skip
    path.write_bytes(old + b"a new row,pump\n")
    for _ in range(2):  # a refusal lets go of the folder
        with pytest.raises(FewtuneError, match="has changed since it was split"):
            fewtune.resume(tmp_path / "run")
    path.write_bytes(old)
    assert fewtune.resume(tmp_path / "run").folder.state == "finished"


# --- options --------------------------------------------------------------------------------------


def test_a_share_for_validation_is_kept_from_training_and_watched(train):
    plain, watched = train("a"), train("b", valid_share=0.25)
    assert (plain.scores["rows"]["train"], plain.scores["rows"]["valid"]) == (48, 0)
    assert (watched.scores["rows"]["train"], watched.scores["rows"]["valid"]) == (36, 12)
    assert "validated" not in names_of(plain)
    assert "validated" in names_of(watched)


def test_balanced_class_weights_reach_loss_probe_and_ngrams(train, tmp_path):
    uneven = [row for row in rows(120) if row[1] != "door" or "cold" in row[0]]
    path = write_csv(tmp_path / "a.csv", uneven)
    for method in ("full", "probe", "tfidf"):
        none = train(f"{method}-none", path, method=method)
        balanced = train(f"{method}-balanced", path, method=method, class_weights="balanced")
        assert weights_of(none) != weights_of(balanced), method


@pytest.mark.parametrize("method", ["lora+adapter", "lora+freeze", "adapter+prompt", "prefix"])
def test_added_parts_and_hybrids_come_through_the_whole_journey(train, method):
    small = {"lora_r": 2, "reduction_factor": 4, "num_virtual_tokens": 4, "layers": 1}
    own = {"lora": ["lora_r"], "adapter": ["reduction_factor"], "freeze": ["layers"]}
    names = [n for part in method.split("+") for n in own.get(part, ["num_virtual_tokens"])]
    run = train(method=method, **{name: small[name] for name in names})
    told = list(run.folder.predictions)
    again = fewtune.predict(run.folder.path, [one["text"] for one in told])
    assert [one["prediction"] for one in told] == [one["prediction"] for one in again]
    assert run.scores["method"] == method
    assert run.scores["trainable_parameters"] < run.scores["total_parameters"]


def test_frozen_blocks_are_cached_and_validated_all_the_same(train):
    run = train(method="freeze", layers=1, valid_share=0.2)
    assert {"cached", "validated"} <= set(names_of(run))


def test_the_probe_chooses_its_penalty_on_training_rows_and_says_so(train):
    run = train(method="probe")
    assert "step" not in names_of(run)
    assert run.folder.plan["chosen"]["probe_c"] > 0
    assert any("on 5 folds of the training rows" in told for told in run.folder.plan["reasons"])
    assert run.scores["trainable_parameters"] == 3 * 33


def test_tfidf_needs_no_model_and_is_not_its_own_baseline(train):
    run = train(method="tfidf", model="no/such-model", max_steps=None)
    assert run.scores["baselines"].keys() == {"majority"}
    assert names_of(run) == [
        "started", "read", "split", "checked", "saved", "baseline", "scored", "finished",
    ]  # fmt: skip
    told = list(run.folder.predictions)
    assert [one["prediction"] for one in told] == [
        one["prediction"] for one in run.predict([one["text"] for one in told])
    ]


def test_the_cautious_preset_is_obeyed_where_nothing_else_is_said(train, monkeypatch):
    fits = []
    run_fit = candidate_stage.run_fit
    monkeypatch.setattr(candidate_stage, "run_fit", lambda fit: fits.append(fit) or run_fit(fit))
    run = train(method="lora", preset="cautious", max_steps=None, lora_r=4, weight_decay=0.2)
    (fit,) = fits
    given = {"weight_decay": 0.2}
    for name, value in CAUTIOUS.items():
        if hasattr(fit.options, name):
            assert getattr(fit.options, name) == given.get(name, value), name
    method = run.folder.plan["method"]
    assert (method["lora_r"], method["lora_alpha"], method["lora_dropout"]) == (4, 32, 0.1)
    assert fit.rates.parts == {"lora": 1e-5}
    assert fit.validate is not None  # a tenth is kept, for early stopping to watch
    assert run.scores["rows"]["valid"] == 5
    (warning,) = [told for told in run.scores["warnings"] if "learning_rate" in told]
    assert "1e-05 is 100 times below the 0.001" in warning


def test_early_stopping_without_rows_to_watch_is_refused(train):
    with pytest.raises(UsageError, match="need validation rows; give --valid FILE"):
        train(early_stopping_patience=2)


def test_all_mistakes_are_told_at_once(train):
    with pytest.raises(UsageError) as caught:
        train(
            learning_rat=1, lr_scheduler_type="cos", lora_r=3, seed=-1, metric_for_best_model="f1"
        )
    told = str(caught.value).splitlines()
    assert len(told) == 5
    for sentence in (
        "learning_rat: there is no such option. Did you mean 'learning_rate'?",
        "lr_scheduler_type: one of linear, cosine, constant; got 'cos'.",
        "lora_r: `full` has no such option; it belongs to lora.",
        "metric_for_best_model: one of log_loss, accuracy; got 'f1'.",
    ):
        assert any(one.startswith(sentence) for one in told), sentence


@pytest.mark.parametrize("method", ["full", "prompt", "lora"])
def test_recomputed_activations_change_no_weight(train, method):
    plain = train("a", method=method)
    spared = train("b", method=method, gradient_checkpointing=True)
    assert weights_of(plain) == weights_of(spared)


def test_recomputing_is_refused_where_a_prefix_would_be_lost(train):
    with pytest.raises(UsageError, match=r"gradient_checkpointing: a prefix is .* try `ptuning`"):
        train(method="prefix", gradient_checkpointing=True)


# --- the Python face ------------------------------------------------------------------------------


def test_evaluating_the_test_file_gives_the_run_s_own_scores(finished, files):
    found = finished.evaluate(files["test"], bootstrap=100)
    assert found["test"]["accuracy"] == finished.scores["test"]["accuracy"]
    assert found["test"].keys() == finished.scores["test"].keys()
    assert found["rows"]["kept"] == 30
    assert np.array(found["confusion"]["matrix"]).sum() == 30


def test_every_public_name_stays_what_it_is_when_all_rooms_are_open(finished):
    """`train` and `evaluate` are also names of rooms."""
    import fewtune.evaluate.classify
    import fewtune.train.loop

    functions = set(fewtune.__all__) - {"FewtuneError", "UsageError", "Model", "Run"}
    assert all(type(getattr(fewtune, name)).__name__ == "function" for name in functions)


def test_scores_and_predictions_are_plain_json(finished):
    for name in ("scores.json", "data.json", "environment.json"):
        json.loads((finished.folder.path / name).read_text(encoding="utf-8"))
    assert "NaN" not in (finished.folder.path / "scores.json").read_text(encoding="utf-8")


def test_a_word_for_no_label_that_is_learned_as_a_class_is_told(train, tmp_path):
    found = [(text, "N/A" if label == "door" else label) for text, label in rows(60)]
    run = train("a", write_csv(tmp_path / "a.csv", found), method="tfidf")
    (checked,) = [event for event in run.folder.events if event.name == "checked"]
    codes = [one["code"] for one in checked["findings"]]
    assert "empty-label" in codes
    gap = [*rows(60), ("a text without a label", "")]
    quiet = train("b", write_csv(tmp_path / "b.csv", gap), method="tfidf")
    (checked,) = [event for event in quiet.folder.events if event.name == "checked"]
    assert "empty-label" not in [one["code"] for one in checked["findings"]]
