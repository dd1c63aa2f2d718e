"""Augmentation in a run: made from training rows, told, tried on folds where asked."""

import sys
from pathlib import Path

import pytest

from fewtune.base.errors import UsageError
from fewtune.data.row import Origin, Row
from fewtune.models.ladder import begin, news
from fewtune.pipeline import extra
from fewtune.pipeline.job import make_job
from fewtune.pipeline.made import Maker

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny_models import build_speaker

from serving import running


@pytest.fixture(scope="module")
def process():
    with running() as found:
        yield found


@pytest.fixture
def server(process, tmp_path, monkeypatch):
    """A server that writes paraphrases; what it answered to other tests is not kept."""
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "cache"))
    process.forget()
    return process


def warned(run) -> list[str]:
    return [event["message"] for event in run.folder.events if event.name == "warned"]


def augmented(run):
    (told,) = [event for event in run.folder.events if event.name == "augmented"]
    return told


def test_new_rows_name_their_parents_and_are_learned(train):
    run = train(augment="delete,typing", max_steps=2)
    learned = list(run.folder.learned)
    assert {one["recipe"] for one in learned} == {"delete", "typing"}
    lines = {line for one in run.folder.data["parts"]["train"].values() for line in one}
    assert {one["origin"]["line"] for one in learned} <= lines, "of training rows only"
    assert augmented(run)["made"] == len(learned) > 20
    assert "calls" not in augmented(run).fields, "no model was asked"
    assert run.scores["rows"]["train"] == 48, "rows that were read, not made"


def test_the_same_command_makes_the_same_rows(train):
    first, second = (train(output=name, augment="swap", max_steps=1) for name in "ab")
    assert list(first.folder.learned) == list(second.folder.learned)


def test_auto_tries_every_recipe_on_folds_and_says_which_it_keeps(train):
    run = train(augment="auto", folds=2, max_steps=1)
    (trial,) = run.folder.plan["chosen"]["trials"]
    names = [line["name"] for line in trial["table"]]
    assert names == ["without augmentation", "delete", "swap", "typing", "aeda", "spaces", "case"]
    kept = [line["name"] for line in trial["table"] if line["better"]]
    assert {one["recipe"] for one in run.folder.learned} == set(kept)
    assert "Tried on folds" in (run.folder.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"augment": "delet"}, "Did you mean 'delete'"),
        ({"augment": "synonym"}, "needs --lexicon"),
        ({"augment": "drop_turns"}, "these rows are texts"),
        ({"augment": "delete", "method": "tfidf"}, "no pretrained model"),
        ({"augment": "delete", "protect": "nowhere.txt"}, "protect: there is no file"),
    ],
)
def test_what_cannot_be_made_is_said_before_there_is_a_folder(train, tmp_path, options, said):
    with pytest.raises(UsageError, match=said):
        train(**options)
    assert not (tmp_path / "run").exists()


# --- recipes that make nothing -------------------------------------------------------------------


def test_a_recipe_that_makes_nothing_is_told_with_the_reason(train, tmp_path):
    lexicon = tmp_path / "words.txt"
    lexicon.write_text("Wasser,Nass\n", encoding="utf-8")
    run = train(augment="synonym,delete", lexicon=str(lexicon), max_steps=1)
    (idle,) = [told for told in warned(run) if told.startswith("augment: synonym made no row")]
    assert "is it of another language?" in idle
    assert idle in run.scores["warnings"]
    assert {one["recipe"] for one in run.folder.learned} == {"delete"}


def test_auto_does_not_fit_folds_for_a_recipe_that_made_no_row(train, tmp_path, monkeypatch):
    monkeypatch.setattr(extra, "candidates", lambda given: extra.parse("synonym,delete"))
    lexicon = tmp_path / "words.txt"
    lexicon.write_text("Wasser,Nass\n", encoding="utf-8")
    run = train(augment="auto", lexicon=str(lexicon), folds=2, max_steps=1)
    (trial,) = run.folder.plan["chosen"]["trials"]
    names = [line["name"] for line in trial["table"]]
    assert names == ["without augmentation", "delete"]
    fitted = {event["trial"] for event in run.folder.events if event.name == "trial"}
    assert fitted == set(names)
    assert sum(told.startswith("augment: synonym made no row") for told in warned(run)) == 1


# --- a model that writes -------------------------------------------------------------------------


def test_paraphrases_of_a_server_are_learned_and_counted(train, server):
    given = {"augment": "paraphrase", "augment_endpoint": f"{server.url}#tiny-writer"}
    run = train(**given, max_steps=1)
    learned = list(run.folder.learned)
    known = {line for lines in run.folder.data["parts"]["train"].values() for line in lines}
    assert {one["recipe"] for one in learned} == {"paraphrase"}
    assert {one["origin"]["line"] for one in learned} <= known
    asked = {one["body"]["messages"][0]["content"] for one in server.asked}
    told = augmented(run)
    assert told["calls"] == len(asked) == run.scores["rows"]["train"] == 48
    assert told["made"] == len(learned) == 48 - sum(told["dropped"].values())
    assert len(learned) > 20
    assert not any("augment" in one for one in warned(run))
    tests = {one["text"] for one in run.folder.predictions}
    assert not any(text in prompt for text in tests for prompt in asked), "test rows are not sent"


def test_a_spent_budget_is_told(train, server):
    given = {"augment": "paraphrase", "augment_endpoint": f"{server.url}#tiny-writer"}
    run = train(**given, augment_calls=10, max_steps=1)
    assert len(server.asked) == augmented(run)["calls"] == 10
    assert 0 < len(list(run.folder.learned)) <= 10
    (told,) = [one for one in warned(run) if one.startswith("augment: ")]
    assert "asked for 10 texts, which is all that --augment_calls allows" in told


def test_every_fit_of_a_comparison_has_all_the_calls(server):
    given = {"augment": "paraphrase", "augment_endpoint": f"{server.url}#tiny-writer"}
    job = make_job("reports.csv", given | {"augment_calls": 8, "method": "full"})
    texts = [(f"the pump in hall {k} is hot and loud", "pump") for k in range(30)]
    rows = [
        Row(Origin("reports.csv", line), {"text": text, "label": label})
        for line, (text, label) in enumerate(texts, start=2)
    ]
    make = Maker(job, rows, [])
    begin(None, "cpu")
    made = [make(some, []) for some in (rows[:10], rows[10:20], rows[20:])]
    assert all(made)
    assert len(server.asked) == 24
    (told,) = news()
    assert "which is all that --augment_calls allows" in told


def test_auto_tries_what_a_writer_makes_and_asks_about_each_row_once(train, server, monkeypatch):
    only = ("paraphrase", "invent")
    monkeypatch.setattr(
        extra, "candidates", lambda given: extra.parse(",".join(only)) if "writer" in given else ()
    )
    given = {"augment": "auto", "augment_endpoint": f"{server.url}#tiny-writer"}
    run = train(**given, augment_calls=1000, folds=2, max_steps=1)
    (trial,) = run.folder.plan["chosen"]["trials"]
    others = trial["table"][1:]
    assert [line["name"] for line in others] == [*only]
    assert all(line["rows"] > 5 for line in others)
    texts = [one["body"]["messages"][0]["content"] for one in server.asked]
    paraphrases = [one for one in texts if one.startswith("Say this text in other words")]
    # each fold's rows are the other's: the answers of the first are not asked for again
    assert len(paraphrases) == len(set(paraphrases)) == 48
    assert augmented(run)["calls"] == len(texts)
    server.forget()
    (run.folder.path / "scores.json").unlink()
    assert train(**given, augment_calls=1000, folds=2, max_steps=1).verdict
    assert server.asked == [], "a run that goes on replays what it learned"


def test_a_small_model_of_this_machine_writes_too(train, server, tmp_path):
    """A random one: what it says is no paraphrase, and every reason to drop it is told."""
    build_speaker("qwen2", tmp_path / "writer", max_position_embeddings=512)
    run = train(
        augment="paraphrase", augment_model=str(tmp_path / "writer"), augment_calls=6, max_steps=1
    )
    told = augmented(run)
    assert told["calls"] == 6
    assert told["made"] == len(list(run.folder.learned))
    assert told["made"] + sum(told["dropped"].values()) == 48
    assert any("all that --augment_calls allows" in one for one in warned(run))


def test_a_recipe_whose_fit_fails_is_left_out_and_told(train, monkeypatch):
    from fewtune.base.errors import FewtuneError
    from fewtune.trials import recipes

    usual = recipes.on_folds

    def failing(setting, name, *more):
        if name == "delete":
            raise FewtuneError("the loss is no number.")
        return (yield from usual(setting, name, *more))

    monkeypatch.setattr(recipes, "on_folds", failing)
    run = train(augment="auto", folds=2, max_steps=1)
    assert any("delete is left out, for a fit failed" in one for one in warned(run))
    (table,) = [one["table"] for one in run.folder.plan["chosen"]["trials"]]
    names = [line["name"] for line in table]
    assert "delete" not in names
    assert "swap" in names
