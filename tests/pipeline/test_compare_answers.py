"""What compared methods write and forget: asked once each, scored with intervals, told anywhere."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jobs import dialogues, jsonl

import fewtune
from fewtune.base.errors import UsageError
from fewtune.cli import main
from fewtune.methods.voice import Reply
from fewtune.pipeline import forgetting, spoken
from fewtune.pipeline.compare import start_comparison
from fewtune.pipeline.hearing import Asked
from fewtune.record.folder import RunFolder
from fewtune.trials.aside import Aside
from fewtune.trials.options import CompareOptions

GIVEN = {
    "methods": "lora,ia3", "vary": "lora_r=2", "lora_r": 4, "bf16": False, "learning_rate": 1e-2,
    "max_steps": 6, "attention": "eager", "bootstrap": 100, "folds": 2, "seeds": 1,
    "per_device_train_batch_size": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def general(tmp_path_factory):
    """Texts in words of the tiny tokenizer."""
    texts = [{"text": one["instruction"]} for one in dialogues(24)]
    return jsonl(tmp_path_factory.mktemp("general") / "general.jsonl", texts)


@pytest.fixture(scope="module")
def told(speaker, reports, general, tmp_path_factory):
    """A comparison. Tests leave it as they found it."""
    output = tmp_path_factory.mktemp("compared") / "table"
    with pytest.MonkeyPatch.context() as patched:  # a random model knows no text
        patched.setattr(forgetting, "known", lambda losses, _words: [*range(len(losses[0]))])
        return fewtune.compare(
            reports, model=speaker, output=str(output), answered_rows=7, general=general, **GIVEN
        )


def lines(told):
    return {one["name"]: one for one in (*told["methods"], *told["steps"])}


def test_every_candidate_writes_answers_to_the_same_rows_with_intervals(told):
    assert told["aside"]["rows"] == 7
    assert lines(told).keys() == {"before", "lora", "ia3", "lora_r=2"}
    for one in lines(told).values():
        assert {"exact_match", "rougeL", "chrf"} <= one["written"].keys()
        for block in one["written"].values():
            assert 0 <= block["low"] <= block["value"] <= block["high"]
            assert block["low"] < block["high"]


def test_the_rise_of_the_loss_on_general_texts_is_told_of_all_but_the_untouched(told):
    found = lines(told)
    assert found["before"]["forgets"] is None
    assert told["aside"]["passages"] >= 10
    for name in ("lora", "ia3", "lora_r=2"):
        change = found[name]["forgets"]
        assert change["low"] < change["value"] < change["high"]
        assert 0 <= change["p"] <= 1
    # what trains more moves further
    assert abs(found["lora"]["forgets"]["value"]) > abs(found["ia3"]["forgets"]["value"])


def test_the_rows_that_are_answered_were_not_learned(told):
    folder = Path(told["run"]) / "aside"
    assert {one.stem for one in folder.iterdir()} == {"before", "lora", "ia3", "lora_r_2"}
    kept = json.loads((folder / "lora.json").read_text(encoding="utf-8"))
    assert len(kept["replies"]) == 7
    assert len(kept["general"]) == 24


def test_seconds_of_a_fold_are_those_of_fit_and_answers_alone(told):
    folder = Path(told["run"])
    for name in ("lora", "ia3"):
        kept = json.loads((folder / "aside" / f"{name}.json").read_text(encoding="utf-8"))
        from fewtune.trials.fits import FitsOnDisk

        fits = FitsOnDisk(folder / "fits" / "seed1")
        whole = np.mean([fits.read(name, fold).seconds for fold in range(2)])
        expected = whole - kept["seconds"] / 2
        assert lines(told)[name]["seconds"] == pytest.approx(expected, abs=1e-3)


def test_files_and_page_tell_it(told):
    folder = Path(told["run"])
    table = [*csv.DictReader((folder / "comparison.csv").read_text("utf-8").splitlines())]
    for one in table:
        own = lines(told)[one["name"]]
        assert float(one["chrf_low"]) == own["written"]["chrf"]["low"]
        change = own["forgets"]
        assert one["forgets"] == ("" if change is None else str(change["value"]))
    page = (folder / "report.html").read_text(encoding="utf-8")
    text = (folder / "comparison.md").read_text(encoding="utf-8")
    for said in ("What each writes and forgets", "to 7 rows held out of it", "forgets", "chrF"):
        assert said in page
        assert said in text


def test_the_terminal_tells_it_in_eighty_columns(told, speaker, reports, general, monkeypatch,
                                                 capsys):  # fmt: skip
    monkeypatch.setenv("COLUMNS", "80")
    words = [f"--{name}={value}" for name, value in GIVEN.items() if name != "bf16"]
    words += ["--no-bf16", "--answered_rows=7", f"--general={general}", f"--output={told['run']}"]
    with pytest.raises(SystemExit) as left:
        main(["compare", reports, "--model", speaker, *words])
    assert not left.value.code
    out = capsys.readouterr().out
    (head,) = [one for one in out.splitlines() if "exact match, %" in one]
    assert {"method", "forgets", "chrF"} <= {*head.split()}
    start = out.splitlines().index(head)
    for name, row in zip(lines(told), out.splitlines()[start + 1 :], strict=False):
        assert row.startswith(name)
        assert len(row) <= 80


def test_a_comparison_that_was_killed_asks_nobody_twice(told, speaker, reports, general, tmp_path,
                                                        monkeypatch):  # fmt: skip
    copy = tmp_path / "table"
    shutil.copytree(told["run"], copy)
    (copy / "comparison.json").unlink()

    def never(*_given, **_more):
        raise AssertionError("asked again")

    monkeypatch.setattr("fewtune.methods.voice.Voice.answer", never)
    monkeypatch.setattr(forgetting, "known", lambda losses, _words: [*range(len(losses[0]))])
    again = fewtune.compare(
        reports, model=speaker, output=str(copy), answered_rows=7, general=general, **GIVEN
    )
    assert lines(again)["lora"]["written"] == lines(told)["lora"]["written"]
    assert lines(again)["lora"]["forgets"] == lines(told)["lora"]["forgets"]


def test_how_many_rows_are_answered_is_written_down_before_anybody_is_asked(
    speaker, reports, general, tmp_path, monkeypatch
):
    def killed(*_given):
        raise RuntimeError("killed")

    monkeypatch.setattr(Aside, "ask", killed)
    with pytest.raises(RuntimeError, match="killed"):
        fewtune.compare(
            reports, model=speaker, output=str(tmp_path / "t"), answered_rows=7, general=general,
            **GIVEN,
        )  # fmt: skip
    assert RunFolder.open(tmp_path / "t").plan["chosen"]["written_rows"] == 7


def test_another_general_text_is_another_comparison_and_none_is_refused_early(
    speaker, reports, tmp_path
):
    general = tmp_path / "general.jsonl"
    given = {"model": speaker, "output": str(tmp_path / "t"), "general": str(general)} | GIVEN
    with pytest.raises(UsageError, match=r"general: there is no file .*general\.jsonl"):
        fewtune.compare(reports, **given)
    assert not (tmp_path / "t").exists()
    for text in ("one", "another"):
        jsonl(general, [{"text": text}])
        folder, _ = start_comparison(reports, given | {"output": str(tmp_path / text)})
        folder.close()
    marks = {RunFolder.open(tmp_path / one).plan["fingerprint"] for one in ("one", "another")}
    assert len(marks) == 2


def test_rows_that_are_cut_or_refused_are_told_and_no_row_of_a_test_counts_that_is_not_asked(
    speaker, tmp_path
):
    def turns(question, answer, **more):
        said = {"role": "assistant", "content": answer, **more}
        return {"messages": [{"role": "user", "content": question}, said]}

    odd = [turns("pump " * 90, "pump is pump"), turns("is the pump hot", "no", weight=0)]
    paths = [
        jsonl(
            tmp_path / f"{name}.jsonl",
            [*(turns(one["instruction"], one["output"]) for one in dialogues(12, start)), *odd],
        )
        for name, start in (("learned", 0), ("asked", 40))
    ]
    told = fewtune.compare(
        paths[0], model=speaker, output=str(tmp_path / "t"), test=paths[1], max_length=80,
        **GIVEN | {"methods": "ia3", "vary": {}, "lora_r": None},
    )  # fmt: skip
    notes = "\n".join(told["notes"])
    counts = RunFolder.open(tmp_path / "t").data["ledger"]["counts"]
    for part in ("train", "test"):
        assert f"1 of 14 {part} rows are set aside; the first, " in notes
        assert f"1 of 14 {part} rows are longer than the model reads here; of each, " in notes
    assert (counts["quarantined"], counts["truncated"]) == (2, 2)
    assert told["rows"]["test"] == 13
    assert "13 test rows" in (tmp_path / "t" / "comparison.md").read_text(encoding="utf-8")


def test_answers_to_another_number_of_rows_are_asked_for_anew(tmp_path):
    class Echo:
        """A voice that says what it hears."""

        def losses(self, rows):
            return np.ones((3, len(rows)))

        def answer(self, questions, decoding, seed, tools):
            return [Reply(one, 1, True) for one in questions]

    four = Aside(tmp_path, ["general"], np.arange(9), questions=["a", "b", "c", "d"])
    four.ask("before", Echo())
    two = replace(four, questions=["a", "d"])
    assert two.read("before") is None
    assert [one.text for one in two.ask("before", Echo()).replies] == ["a", "d"]
    assert [one.text for one in two.read("before").replies] == ["a", "d"]


class Slow:
    """A voice that takes its time, by a clock of its own."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def answer(self, questions, decoding, seed):
        self.clock[0] += self.seconds * len(questions)


@pytest.mark.parametrize(
    ("seconds", "budget", "seeds", "count"),
    [
        (0.1, None, 3, 32), (10.0, None, 1, 10), (20.0, None, 1, 5), (30.0, None, 1, 0),
        (1.0, 300.0, 1, 20), (1.0, 300.0, 3, 6),
    ],
)  # fmt: skip
def test_writing_is_bounded_by_the_untouched_models_pace(
    monkeypatch, seconds, budget, seeds, count
):
    clock = [0.0]
    monkeypatch.setattr(spoken, "perf_counter", lambda: clock[0])

    class LineUp:
        entries = ("lora", "ia3")
        job = type("job", (), {"run": type("run", (), {"seed": 0})})

    LineUp.budget, LineUp.options = budget, CompareOptions(seeds=seeds)
    asked = Asked(None, [None] * 32, [None] * 32, [""] * 32)
    assert spoken._affordable(Slow(clock, seconds), asked, LineUp) == count


def test_what_is_left_out_is_said(speaker, reports, tmp_path, monkeypatch):
    monkeypatch.setattr(spoken, "SECONDS", 1e-9)
    found = fewtune.compare(
        reports, model=speaker, output=str(tmp_path / "t"), **GIVEN | {"methods": "ia3", "vary": {},
                                                                       "lora_r": None}
    )  # fmt: skip
    assert found["aside"]["rows"] == 0
    assert found["methods"][0]["written"] == {}
    assert any("no row is answered in words" in note for note in found["notes"])
    text = (Path(found["run"]) / "comparison.md").read_text(encoding="utf-8")
    assert "wrote answers" not in text


def test_general_texts_that_cannot_be_read_are_refused_before_there_is_a_folder(
    speaker, reports, tmp_path
):
    numbers = jsonl(tmp_path / "numbers.jsonl", [{"id": k, "weight": k} for k in range(3)])
    output = tmp_path / "none"
    with pytest.raises(UsageError, match="text"):
        fewtune.compare(reports, model=speaker, output=str(output), general=numbers, **GIVEN)
    assert not output.exists()
