import re

import pytest
import yaml
from test_report_page import EVIL, page_of, read
from written_runs import (
    CHINESE,
    ENGLISH,
    ROWS,
    better,
    gain,
    plan_of,
    predictions,
    recalled,
    scores_of,
    unfinished_run,
    written_run,
)  # fmt: skip

from fewtune.base.events import Event
from fewtune.methods.lora import LoRA
from fewtune.pipeline import forgetting
from fewtune.record import RunFolder
from fewtune.report import answers, markdown, model_card, words
from fewtune.report.facts import gather
from fewtune.report.markdown import scores_table

CODE = "def predict(texts):\n    return texts"
ONLY_CLASSES = ("confused", "Class by class", "mistakes", "TF-IDF", "most frequent class")


@pytest.fixture
def english(tmp_path):
    return written_run(tmp_path / "repairs-lora-1")


@pytest.fixture
def chinese_answers(tmp_path):
    return written_run(tmp_path / "维修-lora-1", CHINESE)


def card_of(folder, **scores):
    return model_card(folder.plan, folder.data, {**folder.scores, **scores}, CODE)


def with_scores(folder, **changed):
    folder.write_scores({**folder.scores, **changed})
    return folder


# ---- the page


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE])
def test_the_page_of_a_language_model_tells_every_part_in_order(tmp_path, texts):
    text = read(page_of(written_run(tmp_path / "run", texts)))
    parts = [
        "lora lowers the loss per token.", "4.500 → 1.250", "Result and baselines",
        "ROUGE-L on the test rows", "answers that end by themselves", "What fine-tuning gained",
        "By other metrics", "Before and after", "Where most was gained", "Where least was gained",
        "Drawn at random", "What was forgotten", "What is learned", "The untouched model",
        "Training", "How it was done",
    ]  # fmt: skip
    places = [text.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places)
    assert not [part for part in ONLY_CLASSES if part in text]


def test_a_page_of_classes_has_no_part_about_answers(twelve):
    text = read(page_of(twelve))
    for part in ("Before and after", "forgotten", "is learned", "untouched model", "other metrics"):
        assert part not in text


def test_scores_have_the_units_of_their_metrics(english):
    text = read(page_of(english))
    for shown in ("loss per token ↓ 1.250 1.200 to 1.300", "BLEU 41.3 35.3 to 47.3",
                  "token accuracy 70.0 % 68.0 to 72.0 %", "length ratio 0.50 0.40 to 0.60",
                  "repetition ↓ 15.0 %", "perplexity ↓ 3.49"):  # fmt: skip
        assert shown in text
    assert "the untouched model with 3 examples" in text
    assert "What the metrics mean" in text


def test_a_baseline_that_is_better_by_another_metric_is_told_and_takes_the_green_away(english):
    html = page_of(english)
    assert "By ROUGE-L the nearest training row's answer is better than this model." in (
        read(html).replace("&#39;", "'")
    )
    assert "By ROUGE-L and BLEU" not in html  # within noise
    assert '<p class="verdict open">' in html
    with_scores(english, gains={"rougeL": gain(before=better(0.4), nearest=better(0.1))})
    html = page_of(english)
    assert "is better than this model" not in html
    assert '<p class="verdict good">' in html


def test_rows_that_gained_most_and_least_and_others_are_each_shown_once(english):
    facts = gather(english)
    told = answers.shown(facts)
    (_, most), (_, least), (_, drawn) = told["groups"]
    assert [len(few) for few in (most, least, drawn)] == [4, 4, 4]
    numbers = [[int(one["origin"].split(":")[1]) - 1 for one in few] for few in (most, least)]
    assert max(numbers[0]) < 10
    assert min(numbers[1]) >= 20
    assert len({one["origin"] for few in (most, least, drawn) for one in few}) == 12
    assert told == answers.shown(facts)  # drawn alike each time
    assert (told["closer"], told["farther"]) == ("20", "10")


def test_what_all_questions_begin_with_is_told_once(english):
    told = answers.shown(gather(english))
    assert told["opening"] == ENGLISH[0]
    assert not [one for _, few in told["groups"] for one in few if ENGLISH[0] in one["text"]]


def test_few_answers_fill_the_groups_in_turn(english):
    english.write_predictions(list(predictions(ENGLISH))[:5])
    groups = answers.shown(gather(english))["groups"]
    assert [len(few) for _, few in groups] == [4, 1]
    english.write_predictions(list(predictions(ENGLISH))[:1])
    assert "Of 1 test row 1 came closer" in read(page_of(english))


def test_one_answer_to_many_questions_is_told(english):
    rows = list(predictions(ENGLISH))
    english.write_predictions(
        {**row, "prediction": "replaced gasket" if k < 20 else row["prediction"]}
        for k, row in enumerate(rows)
    )
    text = read(page_of(english))
    assert "One answer stands for many." in text
    assert f"2 different answers to {ROWS} questions; the references are {ROWS} different" in text
    assert "Said most often, 20 times: replaced gasket" in text
    assert "replaced gasket" in markdown(english)
    english.write_predictions({**row, "prediction": row["label"]} for row in rows)
    assert "stands for many" not in page_of(english)


def test_an_answer_that_did_not_end_is_marked(english):
    html = page_of(english)
    assert html.count("cut at the limit of tokens") == 1
    assert "(nothing)" in html  # the untouched model's empty answers


def test_learned_text_is_marked_by_more_than_its_colour(english):
    html = page_of(english)
    assert re.search(r'<mark class="learned"><span[^>]*>replaced the seal of pump 7&lt;/s', html)
    assert re.search(r"mark\.learned\{[^}]*underline", html)
    text = read(html)
    assert "1,500 learned of 6,000 tokens (25.0 %) in 120 training rows" in text
    assert "2 rows are read without their oldest turns" in text
    assert "so the model can learn to stop" in text


def test_rows_that_do_not_end_are_told(tmp_path):
    text = read(page_of(unfinished_run(tmp_path / "run", ends=0.25)))
    assert "Only 25.0 % of the rows end with a token by which an answer ends" in text


def test_an_unfinished_run_shows_what_it_knows(tmp_path):
    folder = unfinished_run(tmp_path / "half")
    text = read(page_of(folder))
    assert "This run is not finished" in text
    assert "1,500 learned" in text
    for part in ("Result and baselines", "Before and after", "forgotten", "untouched model"):
        assert part not in text
    assert "1,500 of 6,000 tokens" in markdown(folder)


def test_a_run_that_is_asked_anew_tells_the_last(english):
    english.append(Event("asked", {"rows": 16, "loss": 2.75, "stops": None, "answers": []}))
    text = read(page_of(english))
    assert "its loss was 2.750 nats a token" in text
    assert "asked" not in text.split("The untouched model")[1].split("Training")[0]


def test_questions_stand_beside_the_untouched_models_answers_where_they_are_known(english):
    told = {"rows": 16, "loss": 2.75, "stops": 1.0, "answers": ["b"], "questions": ["why a?"]}
    english.append(Event("asked", told))
    assert "why a? its answer b" in read(page_of(english))


@pytest.mark.parametrize(
    ("change", "said", "tone"),
    [(0.25, "The model forgets what it knew. The loss rose by 0.250", "bad"),
     (0.05, "Little is forgotten. The loss rose by 0.050", "open"),
     (0.01, "No forgetting is seen beyond noise.", "open"),
     (-0.3, "Nothing is forgotten", "good")],
)  # fmt: skip
def test_forgetting_is_judged_by_its_interval(english, change, said, tone):
    with_scores(english, recall=recalled(change))
    html = page_of(english)
    assert said in read(html)
    assert f'<p class="judged {tone}">' in html


@pytest.mark.parametrize("rise", [0.099, 0.101])
def test_the_page_judges_as_the_run_warns(rise):
    change = {"value": rise, "low": 0.01, "high": 0.2}
    loss = {"value": 2.0, "low": 1.9, "high": 2.1}
    found = {"known": True, "passages": 60, "loss": loss, "before": loss, "change": change}
    scores = {"recall": found, "warnings": []}
    warned = "warned" in [event.name for event in forgetting.told(scores, LoRA())]
    assert warned == ("forgets" in answers.judged(change)) == (rise > answers.NOTABLE)


def test_texts_that_the_model_never_knew_say_nothing_of_forgetting(english):
    with_scores(english, recall={"passages": 3, "known": False, "curve": []})
    text = read(page_of(english))
    assert "finds 3 general texts likelier than guessing does: too few" in text
    assert "The model forgets" not in text
    assert "too few to say what was forgotten" in markdown(english)
    assert "forget" not in card_of(english)


@pytest.mark.parametrize("known", [True, False])
def test_answers_to_general_questions_are_shown_where_they_were_asked(english, known):
    assert "Asked about other things" not in page_of(english)
    one = {"text": "Name a colour.", "before": "Blue.", "prediction": EVIL}
    drift = {"divergence": 0.125, "overlap": 0.25, "answers": [one] * 6, "curve": []}
    with_scores(english, recall={**recalled(0.25), "known": known, **drift})
    html = page_of(english)
    text = read(html)
    assert "diverge from before by 0.125 nats a token" in text
    assert "share 25.0 % with those before" in text
    assert text.count("Name a colour. before Blue. this run") == answers.EACH
    assert html.count("<script") == 1


def test_what_scaling_the_adapter_would_keep_is_told_where_it_was_measured(english):
    assert "With less of what was learned" not in page_of(english)
    curve = [{"scale": 0.5, "loss": 2.0, "general": 3.125}]
    with_scores(english, recall={**recalled(0.25), "known": True, "curve": curve})
    text = read(page_of(english))
    assert "of fewtune's own that the untouched model knew" in text
    assert "0 4.500 3.000 0.5 2.000 3.125 1 1.250 3.250" in text


def test_general_texts_of_the_users_own_are_named(tmp_path):
    folder = written_run(tmp_path / "run")
    folder.write_plan(plan_of("run", general="/home/me/manuals.txt"))
    text = read(page_of(folder))
    assert "120 general texts from manuals.txt, which" in text
    assert "/home/me" not in text.split("What was forgotten")[1].split("What is learned")[0]


@pytest.mark.parametrize("missing", ["gain", "gains", "recall", "rows", "seconds", "baselines"])
def test_a_missing_part_is_left_out_without_harm(english, missing):
    for empty in ({}, None):
        with_scores(english, **{missing: empty})
        assert "lowers the loss" in read(page_of(english))
        assert "lowers the loss" in markdown(english)
        assert CODE in card_of(english)


def test_chinese_texts_carry_their_language_and_short_ones_stay_whole(chinese_answers):
    html = page_of(chinese_answers)
    assert '<span dir="auto" lang="zh">更换3号水泵的密封圈</span>' in html
    told = answers.shown(gather(chinese_answers))
    assert told["opening"] == CHINESE[0]
    best = told["groups"][0][1][0]
    assert (best["now"], best["then"]) == (1.0, 0.0)


def test_long_texts_are_cut_chinese_sooner():
    assert len(answers._short("pump " * 200)) <= answers.LONGEST
    assert len(answers._short("泵" * 900)) == answers.LONGEST // 2
    assert words.shortened("a\n\n b  c\n", 9) == "a\nb c"


def test_markup_of_users_is_shown_and_never_runs(tmp_path):
    evil_piece = [{"text": EVIL, "learned": True}]
    folder = unfinished_run(tmp_path / "run", sample=[evil_piece])
    told = {"rows": 2, "loss": 1.0, "stops": 0.0, "answers": [EVIL], "questions": [EVIL]}
    folder.append(Event("asked", told))
    rows = list(predictions(ENGLISH))
    for row in rows:
        row.update(prediction=EVIL, label=EVIL, before=EVIL, origin=EVIL, text=f"{EVIL}\n{EVIL}")
    folder.write_predictions(rows)
    scores = {**scores_of(), "baselines": {EVIL: scores_of()["test"]}}
    scores["gains"] = {EVIL: {"all": {EVIL: better(-1.0)}}, "bleu": {"all": {EVIL: better(-1.0)}}}
    folder.write_plan(
        plan_of(EVIL, general=EVIL, train_on=EVIL) | {"chosen": {"chat_template": EVIL}}
    )
    folder.write_scores(scores)
    folder.append(Event("finished", {}))
    html = page_of(folder)
    assert html.count("<script") == 1  # ours
    assert "<img" not in html
    assert "alert(1)" in read(html)
    assert not re.search("[\x00-\x08\x0b-\x1f]", html)
    for text in (markdown(folder), card_of(folder)):
        assert not re.search(r"(?<!\\)<(script|img)", text)


# ---- text and card


def test_the_text_report_turns_a_table_of_many_metrics_and_tells_the_answers(english, twelve):
    few = scores_table(gather(english), ["loss", "perplexity"])
    assert few.startswith("|  | loss per token ↓ | perplexity ↓ |")
    text = markdown(english)
    assert "| loss per token ↓ | 1.250 (1.200 to 1.300) | 4.500 (4.400 to 4.600) | – | – |" in text
    for part in ("## Before and after", "## What was forgotten", "## What is learned"):
        assert part in text
        assert part not in markdown(twelve)


def test_the_card_says_what_a_language_model_is_and_how_it_is_asked(english):
    card = card_of(english)
    head = yaml.safe_load(card.split("---")[1])
    assert head["pipeline_tag"] == "text-generation"
    assert "text-generation" in head["tags"]
    assert "text-classification" not in card
    assert "A language model that learned to answer as its 120 training rows do" in card
    assert "It is asked with the chat template “plain”." in card
    assert "30 of them were answered (the likeliest token each time)" in card
    assert "one of its classes" not in card
    assert card.count("```") == 2


def test_the_limits_of_a_language_model_follow_from_its_numbers(english):
    def limits(**scores):
        return card_of(english, **scores).split("## Limits")[1].split("## Use")[0]

    told = limits(recall=recalled(0.05))
    for said in ("By ROUGE-L the nearest training row's answer is better", "33.3 % of 30 answers",
                 "3.3 % of its answers did not end", "15.0 % of the phrases", "0.50 times as long",
                 "Little is forgotten. The loss on general texts rose by 0.050"):  # fmt: skip
        assert said in told
    fine = {"exact_match": {"value": 1.0}, "stops": {"value": 1.0}, "repetition": {"value": 0.01},
            "length_ratio": {"value": 1.1}}  # fmt: skip
    told = limits(test=fine, recall=recalled(-0.1), gains={})
    for said in ("nearest", "did not end", "phrases", "times as long", "forget"):
        assert said not in told


def test_a_copy_elsewhere_gives_the_same_card(english):
    assert card_of(english) == card_of(RunFolder.open(english.path))
