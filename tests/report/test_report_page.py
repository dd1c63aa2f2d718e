import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest

from fewtune.base.events import Event
from fewtune.record import RunFolder
from fewtune.report import markdown, write_report
from fewtune.report.facts import gather, key_numbers, progress
from fewtune.report.words import fit, width

VOID = {"meta", "br", "line", "rect", "circle", "polyline", "path"}


class Balanced(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text.append(data)


def page_of(folder):
    return write_report(folder).read_text(encoding="utf-8")


def read(html):
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return " ".join(" ".join(parser.text).split())


@pytest.fixture(params=["twelve", "many", "chinese"])
def any_run(request):
    return request.getfixturevalue(request.param)


def test_the_page_is_whole_and_tells_every_part_in_order(any_run):
    text = read(page_of(any_run))
    parts = [
        any_run.name, "Fine-tuning helped", "Result and baselines", "What fine-tuning gained",
        "Training", "What was confused with what", "Class by class", "The most confident mistakes",
        "The rows", "Quarantined rows", "Notes and warnings", "How it was done", "All options",
        "Versions and machine", "To run it again", "fewtune train",
    ]  # fmt: skip
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)


def test_the_page_needs_nothing_from_outside(any_run):
    html = page_of(any_run)
    parser = Balanced()
    parser.feed(html)
    assert not [a for a in parser.attributes if a[0] in {"src", "srcset"}]
    assert all(value.startswith("#") for name, value in parser.attributes if name == "href")
    assert not re.search(r"https?://|@import|url\(", html)


def test_a_large_report_is_small_and_quick(many):
    write_report(many)  # imports are counted elsewhere
    start = time.process_time()
    path = write_report(many)
    assert time.process_time() - start < 2  # of the processor; 0.35 s when it is quiet
    assert path.stat().st_size < 300_000


def test_the_same_folder_gives_the_same_page(twelve):
    assert page_of(twelve) == page_of(twelve)


def test_every_picture_keeps_its_words_inside_its_frame(any_run):
    from fewtune.report.words import width

    html = page_of(any_run)
    pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(pictures) == 6
    for picture in pictures:
        right = float(re.search(r'viewBox="0 0 (\d+)', picture)[1])
        for kind, x, text in re.findall(
            r'<text class="([^"]*)" x="([\d.]+)"[^>]*>([^<]*)<', picture
        ):
            if "cell" in kind or "axisname" in kind:
                continue  # turned
            kind = kind.split()
            size = 15 if {"name", "number"} & set(kind) else 13
            wide, x = width(text, size), float(x)
            start = x - wide if "end" in kind else x - wide / 2 if "middle" in kind else x
            assert start >= -4, (text, start)
            assert start + wide <= right + 4, (text, start + wide, right)


EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\" ' & \x00\x1b[31m\ud800"


def test_markup_of_users_is_shown_and_never_runs(twelve):
    data, scores, plan = twelve.data, twelve.scores, twelve.plan
    data["ledger"]["quarantined"][0].update(origin=EVIL, code=EVIL, reason=EVIL)
    data["files"]["train"]["path"] = data["columns"]["text"] = data["notes"][0] = EVIL
    scores["confusion"]["labels"][0] = scores["per_class"][0]["label"] = scores["verdict"] = EVIL
    scores["warnings"] = [EVIL]
    scores["baselines"][EVIL] = scores["baselines"]["tfidf"]
    plan["command"] = plan["reasons"][0] = plan["model"]["model"] = plan["data"]["path"] = EVIL
    plan["train"][EVIL] = EVIL
    rows = list(twelve.predictions)
    for row in rows[:50]:
        row.update(text=EVIL, prediction=EVIL, origin=EVIL)
    twelve.write_data(data)
    twelve.write_scores(scores)
    twelve.write_plan(plan)
    twelve.write_predictions(rows)
    twelve.append(Event("warned", {"message": EVIL}))
    twelve.append(Event("finished", {}))
    html = page_of(twelve)
    assert html.count("<script") == 1  # ours, which opens the details on paper
    assert "<img" not in html
    assert "alert(1)" in read(html)
    assert not re.search("[\x00-\x08\x0b-\x1f]", html)
    assert "alert(1)" in markdown(twelve)


def test_an_unfinished_run_says_so_and_how_to_go_on(tmp_path):
    folder = RunFolder.create(tmp_path / "half", {"fewtune": "0.1.0", "fingerprint": "aa"})
    text = read(page_of(folder))
    assert "This run is not finished. It ended before anything was done." in text
    assert "starts it anew" in text
    for event in ("started", "read", "saved", "warned"):
        folder.append(Event(event, {"message": "a note"}))
    assert "It ended when its model had been saved." in read(page_of(folder))
    for step in range(1, 41):
        folder.append(Event("step", {"step": step, "steps": 400, "loss": 1 / step}))
    (folder.checkpoints / "step-40").mkdir(parents=True)
    text = read(page_of(folder))
    assert "It reached step 40 of 400." in text
    assert "goes on from its last checkpoint" in text
    assert "training loss" in text
    assert "Result and baselines" not in text


def test_a_run_scored_but_not_finished_is_not_called_a_success(twelve):
    events = twelve.path / "events.jsonl"
    lines = events.read_text(encoding="utf-8").splitlines(keepends=True)
    events.write_text("".join(lines[:-1]), encoding="utf-8")
    text = read(page_of(twelve))
    assert "This run is not finished" in text
    assert "Fine-tuning helped" not in text


@pytest.mark.parametrize(
    "missing",
    ["baselines", "gain", "per_class", "confusion", "warnings", "seconds", "rows", "test", "run"],
)
def test_a_part_without_scores_is_left_out_without_harm(twelve, missing):
    scores = twelve.scores
    for empty in (
        scores.pop(missing) and None,
        [] if isinstance(scores.get(missing), list) else {},
    ):
        twelve.write_scores({**scores, missing: empty})
        assert "Fine-tuning helped" in read(page_of(twelve))


@pytest.mark.parametrize(
    ("low", "high", "p", "tone"),
    [(0.01, 0.09, 0.01, "good"), (0.01, 0.09, 0.06, "open"), (-0.02, 0.05, 0.4, "open"),
     (-0.09, -0.01, 0.01, "bad")],
)  # fmt: skip
def test_the_colour_beside_the_verdict_follows_interval_and_p(twelve, low, high, p, tone):
    scores = twelve.scores
    scores["gain"].update(low=low, high=high, p=p)
    twelve.write_scores(scores)
    assert f'<p class="verdict {tone}">' in page_of(twelve)


def test_numbers_that_are_none_are_dashes(twelve):
    scores = twelve.scores
    scores["test"]["macro_f1"] = {"value": None, "low": None, "high": None}
    scores["test"]["accuracy"] = {"value": 1.0, "low": None, "high": None}
    scores["gain"] = {"over": "tfidf", "value": 0.0, "low": None, "high": None, "p": None}
    scores["per_class"][0].update(precision=None, f1=None)
    twelve.write_scores(scores)
    text = read(page_of(twelve))
    assert "has the same accuracy as" in text
    assert "None" not in re.sub("None: all", "", text)


def test_files_without_rows_are_told_and_not_drawn(twelve):
    twelve.write_predictions([])
    twelve.write_data({"ledger": {"counts": {"read": 0, "kept": 0, "quarantined": 0}}})
    twelve.write_scores({**twelve.scores, "confusion": {"labels": [], "matrix": []}, "rows": {}})
    text = read(page_of(twelve))
    assert "The most confident mistakes" not in text
    assert "Quarantined rows" not in text


def test_a_perfect_run_has_no_mistakes(twelve):
    twelve.write_predictions(
        {**one, "prediction": one["label"]} for one in list(twelve.predictions)
    )
    assert "None: all 201 test rows are right." in read(page_of(twelve))


def test_the_most_confident_mistakes_come_first(twelve):
    text = read(page_of(twelve))
    sure = [
        int(n)
        for n in re.findall(r"(\d+) %", text.split("confident mistakes")[1].split("The rows")[0])
    ]
    assert len(sure) == 20
    assert sure == sorted(sure, reverse=True)


def test_a_long_ledger_is_cut_and_says_where_the_rest_is(twelve):
    data = twelve.data
    one = data["ledger"]["quarantined"][0]
    data["ledger"]["quarantined"] = [{**one, "origin": f"a.csv:{n}"} for n in range(1060)]
    twelve.write_data(data)
    text = read(page_of(twelve))
    assert "a.csv:49" in text
    assert "a.csv:50" not in text
    assert "and 1,010 more in data.json" in text


def test_a_resumed_runs_curve_counts_each_step_once(twelve):
    from fewtune.report.evidence import training_loss
    from fewtune.report.facts import gather

    before = training_loss(gather(twelve))
    twelve.append(Event("step", {"step": 7, "loss": 0.125}))
    twelve.append(Event("step", {"step": 8, "loss": None}))  # it was no number
    after = training_loss(gather(twelve))
    assert [x for x, _ in after] == [x for x, _ in before if x != 8]
    assert dict(after)[7] == 0.125


def test_chinese_texts_carry_their_language(chinese):
    html = page_of(chinese)
    assert '<span dir="auto" lang="zh">机械故障</span>' in html
    assert re.search(r"<text [^>]*lang=\"zh\"[^>]*>机械故障", html)


def test_options_at_their_default_stand_only_in_the_full_list(twelve):
    text = read(page_of(twelve))
    changed = text.split("Options that are not the default")[1].split("Measured and chosen")[0]
    assert "train.learning_rate 0.0005" in changed
    assert "train.weight_decay" not in changed
    assert "train.weight_decay 0.01" in text.split("All options")[1]


def test_less_is_better_is_told_for_losses(twelve):
    scores = {**twelve.scores, "primary": "log_loss"}
    twelve.write_scores(scores)
    text = read(page_of(twelve))
    assert "(less is better)" in text
    assert "less log loss than" in text


def test_writing_a_report_imports_no_picture_library(twelve):
    # Nor torch: the walls of tests/test_rooms.py prove that for every room imported here.
    code = (
        "import sys; from fewtune.report import write_report;"
        "assert 'jinja2' not in sys.modules;"
        "from fewtune.record import RunFolder; write_report(RunFolder.open(sys.argv[1]));"
        "print([m for m in ('matplotlib', 'sklearn', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, twelve.path], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_copied_folder_gives_its_report_elsewhere(twelve, tmp_path):
    there = shutil.copytree(twelve.path, tmp_path / "elsewhere" / "copy")
    assert "copy" in read(page_of(RunFolder.open(there)))


@pytest.mark.parametrize(("trained", "said"), [(17_665, "100 %"), (17, "0.096 %")])
def test_the_trained_share_is_told_in_percent(twelve, trained, said):
    scores = {"trainable_parameters": trained, "total_parameters": 17_665}
    twelve.write_scores(twelve.scores | scores)
    assert f"{trained:,} of 17,665 ({said})" in read(page_of(twelve))


def test_what_a_run_warned_of_is_told_once(twelve):
    note = "two columns could be the text; description was taken."
    twelve.write_data(twelve.data | {"notes": [note, note, "20 % of the rows were held out."]})
    for _ in range(2):
        twelve.append(Event("warned", {"message": note}, 1_773_479_530.0))
    text = read(page_of(twelve))
    assert text.count(note) == 1
    assert text.count("20 % of the rows were held out.") == 1


def test_the_header_names_no_model_where_none_was_used(twelve):
    assert " lora on minilm " in read(page_of(twelve))
    twelve.write_scores({**twelve.scores, "method": "tfidf"})
    text = read(page_of(twelve))
    assert "on minilm" not in text
    assert " tfidf " in text[: text.index("Result and baselines")]


def test_of_several_labels_the_majority_is_no_class(twelve):
    gain = {**twelve.scores["gain"], "over": "majority"}
    twelve.write_scores({**twelve.scores, "task": "multilabel", "gain": gain})
    for text in (write_report(twelve).read_text(encoding="utf-8"), markdown(twelve)):
        assert "the same labels for every row" in text
        assert "most frequent class" not in text


def test_the_gain_in_large_letters_names_every_baseline_in_words(twelve):
    told = []
    for over in ("majority", "tfidf", "probe", "before", "few_shot", "nearest"):
        twelve.write_scores({**twelve.scores, "gain": {**twelve.scores["gain"], "over": over}})
        told += [more for what, _, more in key_numbers(gather(twelve)) if what == "gain"]
    assert told == [
        "over the most frequent class", "over TF-IDF", "over the probe", "over the untouched model",
        "over the untouched model with examples", "over the nearest row's answer",
    ]  # fmt: skip


def test_the_command_that_goes_on_can_be_typed_as_it_stands(tmp_path):
    with RunFolder.create(tmp_path / "m l", {"fewtune": "0.1.0", "fingerprint": "aa"}) as folder:
        assert f"`fewtune resume '{folder.path}'`" in progress(gather(folder))


def test_a_long_label_is_cut_in_no_time():
    begun = time.process_time()
    for text in ("x" * 100_000, "泵" * 100_000):
        cut = fit(text, 10, 120)
        assert cut.endswith("…")
        assert width(cut, 10) <= 120 < width(cut + text[0], 10)
    assert time.process_time() - begun < 2
    assert fit("pump", 10, 120) == "pump"
    assert fit("pump", 10, 3) == "…"


def test_instructions_of_a_prompt_do_not_fill_the_table_of_what_was_chosen(twelve):
    plan = twelve.plan
    plan["chosen"] |= {"instructions": ["Answer with one of the classes. " * 20]}
    twelve.write_plan(plan)
    page = page_of(twelve)
    assert "Measured and chosen" in page
    assert "Answer with one of the classes." not in page
