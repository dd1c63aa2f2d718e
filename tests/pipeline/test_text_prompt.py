"""Runs that search a prompt: against a real server in a process of its own, and a local model."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from time import monotonic, sleep

import pytest
from tiny_models import WORDS, build_speaker

import fewtune
from fewtune.base.errors import FewtuneError, UsageError
from fewtune.cli import main
from fewtune.models.calls import AT_ONCE
from fewtune.models.endpoint import Endpoint

sys.path.insert(0, str(Path(__file__).parents[1]))

from serving import GLAD, running

ENGLISH = ("the room was {} and quiet", ["fine", "bright", "lovely"], ["poor", "dull", "awful"])
CHINESE = ("房间{}，下次再说", ["很好", "让人喜欢", "很干净"], ["很差", "很脏", "让人失望"])
FAST = {"bootstrap": 100}
QUICK = FAST | {"calls": 100}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def process():
    with running() as found:
        yield found


@pytest.fixture
def server(process, monkeypatch, tmp_path):
    """The server; every test has a cache of its own, and no key."""
    process.forget()
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fewtune.base.files._sync", lambda path: None)  # a third of the time
    for name in ("FEWTUNE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return process


@pytest.fixture
def at_once(monkeypatch):
    """No pauses between attempts."""
    monkeypatch.setattr("fewtune.models.endpoint.time.sleep", lambda seconds: None)


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return str(path)


def reviews(path, language=ENGLISH, rows=40, seed=0):
    """Texts with their feeling, which the server's model knows of when it is asked well."""
    form, glad, sad = language
    draw, found = random.Random(seed), {}
    for number in count():
        if len(found) == rows:
            break
        label = ("bad", "good")[number % 2]
        filled = form.format(draw.choice(glad if label == "good" else sad))
        found.setdefault(f"{filled} {draw.randrange(10**6)}", label)
    return write(path, found.items())


def questions(path, chinese=False, rows=40):
    """Questions whose last word is the answer."""
    draw, lines = random.Random(0), []
    for k in range(rows):
        word = "".join(draw.choices("水泵电机阀门轴承" if chinese else "abcdefgh", k=4))
        asked = f"第{k}号设备的问题是 {word}" if chinese else f"what fails in machine {k} is {word}"
        lines.append(json.dumps({"instruction": asked, "output": word}, ensure_ascii=False))
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def prompts_of(server):
    return [one["body"]["messages"][-1]["content"] for one in server.asked if one["path"] == CHAT]


def train(server, data, output, **options):
    given = {"model": f"endpoint:{server.url}#tiny", "method": "text-prompt"} | QUICK
    return fewtune.train(data, **given | {"output": str(output)} | options)


def code_of(*words):
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return left.value.code or 0


# ---- the journey


@pytest.mark.parametrize("language", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_a_prompt_is_searched_saved_and_better_than_the_first(server, tmp_path, language):
    events = []
    data = reviews(tmp_path / "train.csv", language)
    test = reviews(tmp_path / "test.csv", language, 24, seed=1)
    run = train(server, data, tmp_path / "run", test=test, listen=events.append)
    scores = run.scores
    asked = prompts_of(server)
    assert len(asked) == len(set(asked)) == scores["calls"]["sent"] <= 100
    # the server's model answers rightly where the prompt is a good one, and with `bad` else
    assert scores["test"]["accuracy"]["value"] == 1
    assert scores["baselines"]["before"]["accuracy"]["value"] == 0.5
    assert set(scores["baselines"]) == {"majority", "tfidf", "before"}
    assert not {"log_loss", "ece"} & scores["test"].keys()
    assert {one["by"] for one in scores["slices"]} >= {"class"}
    assert all(one["value"] == 1 for one in scores["slices"])
    assert scores["diagnosis"] == []
    assert "log_loss" in scores["baselines"]["tfidf"]
    assert scores["gain"]["all"]["before"]["low"] > 0
    assert scores["verdict"].startswith("`text-prompt` is right on 100.0 % of 24 test rows")
    names = [event.name for event in events]
    assert names[:4] == ["started", "read", "split", "checked"]
    assert {"trial", "tried", "saved", "answered", "scored"} <= {*names}
    assert (run.folder.path / "report.html").exists()
    sheet = (run.path / "prompt.md").read_text(encoding="utf-8")
    chosen = run.folder.plan["chosen"]
    assert chosen["prompt"]["instruction"] in sheet
    assert len(chosen["trials"][0]["table"]) >= 5
    assert ("文本：" in sheet) == (language is CHINESE)


@pytest.mark.parametrize("chinese", [False, True], ids=["en", "zh"])
def test_answers_in_words_are_searched_for_too(server, tmp_path, chinese):
    data = questions(tmp_path / "qa.jsonl", chinese)
    scores = train(server, data, tmp_path / "run", answered_rows=8).scores
    assert scores["primary"] == ("rougeL_characters" if chinese else "rougeL")
    assert scores["test"]["exact_match"]["value"] == 1
    assert scores["baselines"]["before"]["exact_match"]["value"] == 0
    assert set(scores["baselines"]) == {"before", "nearest"}
    assert scores["rows"]["answered"] == 8
    assert "stops" not in scores["test"]
    assert scores["verdict"].startswith("`text-prompt` raises ROUGE-L")
    model = fewtune.load(tmp_path / "run")
    (told,) = model.generate("问题出在 阀门" if chinese else "what fails is valve")
    assert told["prediction"] == ("阀门" if chinese else "valve")
    assert model.untouched.model == f"endpoint:{server.url}/v1#tiny"


def test_the_predictions_are_those_of_the_saved_prompt(server, tmp_path, monkeypatch, capsys):
    run = train(server, reviews(tmp_path / "a.csv"), tmp_path / "run")
    lines = list(run.folder.predictions)
    model = fewtune.load(run.path)
    found = model.predict([line["text"] for line in lines])
    assert [one["prediction"] for one in found] == [line["prediction"] for line in lines]
    assert [one["answer"] for one in found] == [line["answer"] for line in lines]
    monkeypatch.chdir(run.path)
    code = (run.path / "README.md").read_text(encoding="utf-8").split("```python\n")[1]
    space: dict = {}
    exec(compile(code.split("```")[0], "card", "exec"), space)
    assert space["predict"]([line["text"] for line in lines]) == [
        one["prediction"] for one in lines
    ]
    capsys.readouterr()
    assert code_of("predict", run.path, "a bright and lovely day", "--quiet") == 0
    assert capsys.readouterr().out == "good\n"
    assert code_of("predict", run.path, tmp_path / "a.csv", "--output", tmp_path / "out.csv") == 0
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert {row["prediction"] for row in rows} == {"good", "bad"}
    with pytest.raises(UsageError, match="no probabilities"):
        fewtune.label(run.path, tmp_path / "a.csv")


def test_a_prompt_can_be_put_to_another_model_and_scored_there(server, tmp_path):
    run = train(server, reviews(tmp_path / "a.csv"), tmp_path / "run")
    other = f"endpoint:{server.url}#other"
    data = reviews(tmp_path / "b.csv", rows=20, seed=2)
    server.forget()
    found = fewtune.evaluate(run, data, model=other)
    assert found["test"]["accuracy"]["value"] == 1
    assert {one["body"]["model"] for one in server.asked} == {"other"}
    assert {"per_class", "confusion"} <= found.keys()
    server.forget()
    assert code_of("evaluate", run.folder.path, data, "--json") == 0
    assert {one["body"]["model"] for one in server.asked} == {"tiny"}


def test_instructions_of_the_user_are_tried_with_those_of_the_model(server, tmp_path):
    told = tmp_path / "instructions.txt"
    told.write_text("Say something.\n\nJudge the\nsentiment.\n\n", encoding="utf-8")
    data = reviews(tmp_path / "a.csv")
    run = train(server, data, tmp_path / "run", instructions=str(told), demonstrations=0)
    chosen = run.folder.plan["chosen"]
    assert chosen["instructions"][:2] == ["Say something.", "Judge the\nsentiment."]
    assert "sentiment" in chosen["prompt"]["instruction"]
    again = train(server, data, tmp_path / "two", instructions=str(told), proposals=0)
    assert len(again.folder.plan["chosen"]["instructions"]) == 2
    told.write_text("Judge the sentiment.\nOr not.", encoding="utf-8")
    with pytest.raises(UsageError, match="another run lives here"):
        train(server, data, tmp_path / "run", instructions=str(told), demonstrations=0)


def test_a_model_behind_an_address_needs_no_method(server, tmp_path):
    assert (
        train(server, reviews(tmp_path / "a.csv"), tmp_path / "run", method="auto").scores["method"]
        == "text-prompt"
    )


# ---- budget, resume, the same again


def test_a_budget_too_small_scores_as_many_rows_as_it_allows(server, tmp_path):
    notes = []
    run = train(
        server, reviews(tmp_path / "a.csv"), tmp_path / "run", calls=20, method="auto",
        test=reviews(tmp_path / "b.csv", rows=30, seed=1),
        listen=lambda event: notes.append(event.fields.get("message", "")),
    )  # fmt: skip
    assert run.scores["method"] == "text-prompt"  # what else could be done with an endpoint
    assert len(prompts_of(server)) <= 20
    assert run.scores["rows"]["answered"] == 5 == len(list(run.folder.predictions))
    assert run.scores["rows"]["test"] == 30
    assert "5 of 30 test rows" in " ".join(notes)
    assert any("5 of 30 test rows" in note for note in run.scores["warnings"])


def test_questions_without_an_answer_leave_the_test_rows_their_calls(server, at_once, tmp_path):
    """What fails is not kept and asked again; the untouched prompt must not go short for it."""
    data, test = reviews(tmp_path / "a.csv"), reviews(tmp_path / "b.csv", rows=20, seed=1)
    notes = []

    def listen(event):
        if event.name == "saved":
            server.then({}, always=True)
        notes.append(event.fields.get("message", ""))

    empty = {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}
    server.then(*[{}] * 8, *[{}, {"body": json.dumps(empty)}] * 400)
    run = train(server, data, tmp_path / "run", test=test, calls=100, listen=listen)
    assert run.scores["rows"]["answered"] == 20
    assert not any("have no answer" in note for note in notes)
    assert run.scores["calls"]["sent"] <= 100


def test_a_killed_run_goes_on_without_asking_again(server, tmp_path):
    data, run = reviews(tmp_path / "a.csv"), tmp_path / "run"
    whole = train(server, data, tmp_path / "whole", calls=200)
    asked = prompts_of(server)
    server.forget()
    os.environ["FEWTUNE_CACHE"] = str(tmp_path / "other")  # the fixture puts it back
    server.then({"sleep": 0.03}, always=True)
    words = ["train", data, "--model", f"endpoint:{server.url}#tiny", "--bootstrap", "100"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fewtune", *words, "--calls", "200", "--output", str(run)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    begun = monotonic()
    while len(server.asked) < len(asked) // 3:
        assert process.poll() is None
        assert monotonic() - begun < 60
        sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len(list((tmp_path / "other" / "answers").glob("*.json")))
    first = prompts_of(server)
    server.forget()
    resumed = fewtune.resume(run)
    more = prompts_of(server)
    assert kept >= len(first) - AT_ONCE  # those on their way when it died
    assert len({*first} & {*more}) <= len(first) - kept
    assert {*first} | {*more} == {*asked}
    assert resumed.folder.plan["chosen"] == whole.folder.plan["chosen"]
    assert list(resumed.folder.predictions) == list(whole.folder.predictions)
    server.forget()
    fewtune.resume(run)
    fewtune.train(data, model=f"endpoint:{server.url}#tiny", output=str(run), calls=200, **FAST)
    assert server.asked == []


def test_a_decided_search_is_replayed_from_the_plan(server, tmp_path):
    from fewtune.pipeline.job import make_job
    from fewtune.pipeline.order import start

    data = reviews(tmp_path / "a.csv")
    given = {"model": f"endpoint:{server.url}#tiny", "output": str(tmp_path / "run")} | QUICK
    folder, events = start(make_job(data, given))
    for event in events:
        if event.name == "saved":
            break
    events.close()
    chosen = folder.plan["chosen"]
    (tmp_path / "cache").rename(tmp_path / "lost")
    server.forget()
    run = fewtune.resume(folder.path)
    assert run.folder.plan["chosen"]["prompt"] == chosen["prompt"]
    assert len(prompts_of(server)) <= 2 * run.scores["rows"]["test"]


# ---- what goes wrong


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"status": 401, "body": {"error": {"message": "no key"}}}, "set FEWTUNE_API_KEY"),
        ({"status": 404, "body": {"error": "no such model"}}, "check the address and the model"),
        ({"status": 429, "headers": {"Retry-After": "0"}}, "wait a while"),
        ({"body": "<html>hello</html>"}, "is not JSON"),
        ({"body": {"choices": []}}, "no chat completion"),
        ({"body": {"choices": [{"message": {"content": ""}}]}}, "are all empty"),
        ({"body": {"choices": [{"message": {"content": "<think>hm"}}]}}, "are all empty"),
        ({"status": 500}, "look at its log"),
    ],
)
def test_a_bad_server_is_told_in_a_sentence_with_the_way_on(
    server, at_once, tmp_path, reply, words
):
    server.then(reply, always=True)
    with pytest.raises(FewtuneError) as told:
        train(server, reviews(tmp_path / "a.csv"), tmp_path / "run")
    assert words in str(told.value)
    assert f"`fewtune resume {tmp_path / 'run'}` goes on" in str(told.value)
    assert "\n" not in str(told.value)
    assert len(server.asked) <= 60


def test_a_run_goes_on_when_the_server_is_well_again(server, at_once, tmp_path):
    data = reviews(tmp_path / "a.csv")
    server.then(*[{}] * 30, {"status": 500}, always=True)
    with pytest.raises(FewtuneError, match="goes on"):
        train(server, data, tmp_path / "run")
    before = prompts_of(server)[:30]
    server.forget()
    assert fewtune.resume(tmp_path / "run").scores["test"]["accuracy"]["value"] == 1
    assert not {*before} & {*prompts_of(server)}


def test_a_server_that_is_gone_or_silent_is_told(server, at_once, tmp_path, monkeypatch):
    data = reviews(tmp_path / "a.csv")
    with pytest.raises(FewtuneError, match=r"does not answer .*refused.*goes on"):
        train(server, data, tmp_path / "run", model="endpoint:http://127.0.0.1:9/v1#m")
    monkeypatch.setattr(Endpoint.__init__, "__defaults__", ("", 0.05, 0.01))
    server.then({"sleep": 1}, always=True)
    with pytest.raises(FewtuneError, match="nothing came for 0"):
        train(server, data, tmp_path / "silent")


def test_single_calls_that_fail_count_as_wrong_and_are_told(server, at_once, tmp_path):
    data, test = reviews(tmp_path / "a.csv"), reviews(tmp_path / "b.csv", rows=20, seed=1)
    notes, output = [], tmp_path / "run"

    def listen(event):
        if event.name == "saved":
            server.then({}, {"status": 400}, {}, {"body": "<html>"}, {})
        notes.append(event.fields.get("message", ""))

    run = train(server, data, output, test=test, listen=listen)
    assert run.scores["test"]["accuracy"]["value"] == 0.9
    assert "2 of 20 questions have no answer" in " ".join(notes)
    assert run.scores["per_class"][-1]["label"] == "(no answer)"
    assert sum(line["prediction"] is None for line in run.folder.predictions) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "endpoint:nowhere"}, "the address of a server is expected"),
        ({"model": "endpoint:http://me:pw@h/v1"}, "holds a name, password or query"),
        ({"model": "minilm"}, "reads and does not write"),
        ({"method": "lora", "calls": None}, "can be asked and not changed"),
        ({"method": "text-promt"}, "Did you mean 'text-prompt'?"),
        ({"method": "lora+text-prompt"}, "cannot be part of"),
        ({"calls": 1}, "greater than or equal to 20; got 1."),
        ({"learning_rate": 0.1}, "learning_rate: `text-prompt` trains nothing"),
        ({"augment": "typing"}, "augment: `text-prompt` trains nothing"),
        ({"temperature": 0.5}, "temperature: `text-prompt` always takes the likeliest answer"),
        ({"instructions": "none.txt"}, "there is no file none.txt"),
        ({"method": "full", "model": "minilm", "calls": 50}, "it belongs to text-prompt"),
    ],
)
def test_an_impossible_job_is_refused_before_anything_is_asked(server, tmp_path, options, words):
    with pytest.raises(FewtuneError) as told:
        train(server, reviews(tmp_path / "a.csv"), tmp_path / "run", **options)
    assert words in str(told.value)
    assert not (tmp_path / "run").exists()
    assert server.asked == []


@pytest.mark.parametrize("task", ["generate", "classify"])
def test_page_and_card_tell_of_a_prompt_and_not_of_a_model(server, tmp_path, task):
    written = questions(tmp_path / "q.jsonl") if task == "generate" else reviews(tmp_path / "a.csv")
    run = train(server, written, tmp_path / "run")
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    card = (run.path / "README.md").read_text(encoding="utf-8")
    assert "<h2>The prompt</h2>" in page
    assert run.folder.plan["chosen"]["prompt"]["instruction"] in page
    assert "As it is sent" in page
    assert "rows asked" in page
    assert "What the prompt gained" in page
    assert "the first prompt" in page
    assert "A prompt: an instruction" in card
    assert "were searched on" in card
    assert "another one, or another version" in card
    for wrong in ("0 classes", "untouched base model", "always answers with one", "The loss is"):
        assert wrong not in card
    for wrong in ("untouched base model", "log-loss over the first line", "fine-tuning gained"):
        assert wrong not in page


def test_what_a_prompt_cannot_take_is_told(server, tmp_path, capsys):
    data = questions(tmp_path / "q.jsonl")
    run = train(server, data, tmp_path / "run")
    path = run.folder.path
    for words, said in (
        (("generate", path, "what is x", "--min_p", "0.1"), "min_p:"),
        (("evaluate", path, data, "--temperature", "1"), "temperature: `text-prompt` always"),
        (("evaluate", path, data, "--adapter_scale", "0.5"), "has learned no weights"),
    ):
        assert code_of(*words) == 2
        assert said in capsys.readouterr().err
    assert code_of("generate", path, "what is x", "--decoding", "balanced") == 0
    server.forget()
    run.evaluate(data, max_new_tokens=7, answered_rows=3)
    asked = [one["body"]["max_tokens"] for one in server.asked if one["path"] == CHAT]
    assert asked == [7] * 3


def test_a_stop_text_ends_an_answer_whatever_the_server_does(server, tmp_path):
    run = train(server, questions(tmp_path / "q.jsonl"), tmp_path / "run")
    whole = run.generate("what fails in machine 3 is abcd")[0]["prediction"]
    server.then(
        {"body": {"choices": [{"message": {"content": "abcd"}, "finish_reason": "length"}]}}
    )
    (cut,) = run.generate("what fails in machine 3 is abcd", stop="c")
    assert whole == "abcd"
    assert (cut["prediction"], cut["stopped"]) == ("ab", True)


def test_a_metric_that_fails_is_tried_before_anything_is_asked(server, tmp_path, monkeypatch):
    (tmp_path / "failing_metric.py").write_text("def half(answer, reference): return 1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(FewtuneError, match="raised ZeroDivisionError"):
        train(
            server, questions(tmp_path / "q.jsonl"), tmp_path / "run", metric="failing_metric.half"
        )
    assert server.asked == []


def test_another_model_is_for_prompts_alone(server, tmp_path):
    run = fewtune.train(
        reviews(tmp_path / "a.csv"), method="tfidf", output=str(tmp_path / "run"), **FAST
    )
    with pytest.raises(UsageError, match="is a model itself"):
        fewtune.load(run.path, f"endpoint:{server.url}").predict("a fine day")


def test_the_key_is_sent_and_written_nowhere(server, tmp_path, monkeypatch):
    monkeypatch.setenv("FEWTUNE_API_KEY", "sk-very-secret")
    train(server, reviews(tmp_path / "a.csv"), tmp_path / "run")
    assert {one["key"] for one in server.asked} == {"Bearer sk-very-secret"}
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert len(files) > 20
    assert not [one for one in files if b"sk-very-secret" in one.read_bytes()]


# ---- a model on this machine


def test_a_local_model_is_asked_the_same_way(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "cache"))
    build_speaker("qwen2", tmp_path / "speaker", max_position_embeddings=1024)
    draw = random.Random(0)
    rows = {" ".join(draw.choices(WORDS, k=4)): ("bad", "good")[k % 2] for k in range(30)}
    run = fewtune.train(
        write(tmp_path / "a.csv", rows.items()), method="text-prompt", calls=20, proposals=1,
        model=str(tmp_path / "speaker"), demonstrations=1, output=str(tmp_path / "run"), **FAST,
    )  # fmt: skip
    assert run.scores["baselines"].keys() == {"majority", "tfidf", "before"}
    lines = list(run.folder.predictions)
    assert run.scores["rows"]["answered"] == len(lines) == 5
    assert fewtune.load(run.path).predict(lines[0]["text"])[0]["answer"] == lines[0]["answer"]


def test_a_question_too_long_for_a_local_model_is_told_and_the_others_are_answered(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "cache"))
    speaker = tmp_path / "speaker"
    build_speaker("qwen2", speaker, max_position_embeddings=128)
    folder = tmp_path / "model"
    folder.mkdir()
    saved_prompt(folder, speaker, labels=())
    asked = [" ".join(WORDS[:3]), " ".join([WORDS[0]] * 300), " ".join(WORDS[2:5])]
    source = tmp_path / "q.jsonl"
    source.write_text("".join(json.dumps({"prompt": one}) + "\n" for one in asked))
    out = tmp_path / "a.jsonl"
    words = ("predict", folder, source, "--max_new_tokens", "4")
    assert code_of(*words, "--output", out) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["prediction"] is None for line in lines] == [False, True, False]
    told = " ".join(capsys.readouterr().err.split())
    assert "1 of 3 rows have no answer; the first, q.jsonl:2: a question of" in told
    assert "more than the 128 positions of" in told
    assert code_of(*words, "--output", out) == 0  # what is told is not asked again
    assert "3 of 3 rows are answered already" in " ".join(capsys.readouterr().err.split())
    found = fewtune.load(folder).generate(asked, max_new_tokens=4)
    assert [one["prediction"] is None for one in found] == [False, True, False]
    assert code_of("generate", folder, asked[1], "--max_new_tokens", "4") == 1
    assert "ask something shorter" in capsys.readouterr().err


def test_a_text_too_long_for_a_local_model_is_told_and_the_others_are_labelled(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "cache"))
    speaker = tmp_path / "speaker"
    build_speaker("qwen2", speaker, max_position_embeddings=256)
    folder = tmp_path / "model"
    folder.mkdir()
    saved_prompt(folder, speaker, labels=("bad", "good"))
    rows = [("pump lamp", "bad"), ("lamp " * 300, "good"), ("pump pump", "good")]
    data = write(tmp_path / "a.csv", rows)
    assert code_of("predict", folder, data, "--output", tmp_path / "out.csv") == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "1 of 3 rows have no answer; the first, a.csv:3: a question of" in told
    assert [("refused" in one) for one in fewtune.load(folder).predict([r[0] for r in rows])] == [
        False, True, False,
    ]  # fmt: skip
    assert code_of("evaluate", folder, data, "--bootstrap", "100") == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "1 of 3 questions have no answer" in told
    assert "a.csv:3: a question of" in told


def saved_prompt(folder, model, labels):
    from fewtune.trials.prompt import Example, Prompt
    from fewtune.trials.prompted import save

    save(folder, Prompt("Say.", labels=labels), [Example("pump", "bad")], ["bad"], str(model))


def test_a_question_that_a_server_refuses_is_told_and_the_others_are_answered(
    server, at_once, tmp_path, capsys
):
    model = f"endpoint:{server.url}#tiny"
    folder = tmp_path / "model"
    folder.mkdir()
    saved_prompt(folder, model, labels=())
    source = tmp_path / "q.jsonl"
    asked = [f"what fails in machine {k} is w{k}" for k in range(6)]
    source.write_text("".join(json.dumps({"prompt": one}) + "\n" for one in asked))
    long = {"status": 400, "body": {"error": {"message": "maximum context length is 4096"}}}
    server.then(long)
    out = tmp_path / "a.jsonl"
    assert code_of("predict", folder, source, "--output", out) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert sum(line["prediction"] is None for line in lines) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "1 of 6 rows have no answer" in told
    assert "maximum context length" in told
    server.then(long, always=True)  # another model's name, for one: nothing is worth keeping
    other = tmp_path / "other.jsonl"
    assert code_of("predict", folder, source, "--output", other) == 1
    assert "6 of 6 rows have no answer" in " ".join(capsys.readouterr().err.split())
    assert not other.exists()
    server.forget()
    assert code_of("predict", folder, source, "--output", other) == 0  # it is asked again
    assert len(prompts_of(server)) == 6


def test_answers_of_a_server_that_goes_away_are_kept(server, at_once, tmp_path, capsys):
    model = f"endpoint:{server.url}#tiny"
    folder = tmp_path / "model"
    folder.mkdir()
    saved_prompt(folder, model, labels=())
    source = tmp_path / "q.jsonl"
    asked = [f"what fails in machine {k} is w{k}" for k in range(12)]
    source.write_text("".join(json.dumps({"prompt": one}) + "\n" for one in asked))
    out = tmp_path / "a.jsonl"
    server.then(*[{}] * 6, {"status": 503}, always=True)
    assert code_of("predict", folder, source, "--output", out) == 1
    assert "503" in capsys.readouterr().err
    kept = len((tmp_path / "a.jsonl.begun").read_text().splitlines())
    assert kept >= 5
    server.forget()
    assert code_of("predict", folder, source, "--output", out) == 0
    assert len(prompts_of(server)) == 12 - kept
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["prediction"] for line in lines] == [
        one["prediction"] for one in fewtune.load(folder).generate(asked)
    ]


def test_the_words_of_the_server_are_in_the_rows():
    for _, glad, sad in (ENGLISH, CHINESE):
        assert all(any(word in one for word in GLAD) for one in glad)
        assert not any(word in one for one in sad for word in GLAD)
