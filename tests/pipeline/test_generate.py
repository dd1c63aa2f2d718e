"""Runs that teach a language model: from dialogues to answers, scores and an artefact."""

import json

import pytest
from jobs import SPOKEN, dialogues, jsonl
from tiny_models import WORDS, build_speaker

import fewtune
from fewtune.cli import main
from fewtune.pipeline.job import make_job
from fewtune.pipeline.order import start


def code_of(*words):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return left.value.code or 0


def test_the_task_is_told_by_the_columns(taught):
    assert taught.folder.plan["task"] == "generate"
    assert taught.scores["task"] == "generate"


def test_scores_stand_beside_the_untouched_model_and_looking_up(taught):
    scores = taught.scores
    assert set(scores["baselines"]) == {"before", "few_shot", "nearest"}
    assert scores["test"]["loss"]["value"] < scores["baselines"]["before"]["loss"]["value"]
    assert scores["gain"]["over"] == "before"
    assert "loss" not in scores["baselines"]["nearest"]
    assert scores["rows"]["answered"] == 6
    assert {"exact_match", "rougeL", "stops", "repetition"} <= scores["test"].keys()
    assert scores["verdict"].startswith("`lora`")


def test_predictions_are_those_of_the_saved_model(taught):
    lines = list(taught.folder.predictions)
    assert len(lines) == 6
    again = taught.generate([line["text"] for line in lines], max_new_tokens=8)
    assert [one["prediction"] for one in again] == [line["prediction"] for line in lines]
    before = taught.untouched.answer
    assert callable(before)


def test_the_cards_code_answers_like_fewtune(taught, monkeypatch):
    card = (taught.path / "README.md").read_text()
    code = next(part for part in card.split("```python\n")[1:] if "def predict" in part)
    monkeypatch.chdir(taught.path)
    space: dict = {}
    exec(compile(code.split("```")[0].replace("max_new_tokens=256", "max_new_tokens=8"), "card",
                 "exec"), space)  # fmt: skip
    prompts = [line["text"] for line in taught.folder.predictions]
    ours = [one["prediction"] for one in taught.generate(prompts, max_new_tokens=8)]
    assert space["predict"](prompts) == ours


def test_what_is_learned_is_told_and_shown(taught):
    (told,) = [event for event in taught.folder.events if event.name == "encoded"]
    assert told["ends"] == 1
    assert 0 < told["learned"] < told["tokens"]
    learned = [piece["text"] for piece in told["sample"][0] if piece["learned"]]
    assert len(learned) == 1
    assert " is " in learned[0]


def test_a_stopped_run_goes_on_bit_for_bit(teach, speaker, reports, tmp_path):
    whole = teach("whole", save_steps=2, lora_dropout=0.1)
    given = {"model": speaker, "method": "lora", "lora_r": 2, "learning_rate": 1e-2} | SPOKEN
    given |= {"save_steps": 2, "lora_dropout": 0.1, "output": str(tmp_path / "stopped")}
    folder, events = start(make_job(reports, given))
    for event in events:
        if event.name == "step" and event["step"] == 5:
            break
    events.close()
    assert folder.state == "resumable"
    again = fewtune.resume(folder.path)
    first, second = (run.path / "adapter_model.safetensors" for run in (whole, again))
    assert first.read_bytes() == second.read_bytes()
    assert again.scores["test"]["loss"] == whole.scores["test"]["loss"]


def test_a_run_that_is_stopped_while_answering_says_how_it_goes_on(
    teach, taught, tmp_path, monkeypatch
):
    from fewtune.base.errors import Interrupted
    from fewtune.pipeline import answering

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(answering, "few_shot", stopped)
        with pytest.raises(Interrupted, match=r"is kept\. `fewtune resume .*run` goes on"):
            teach()
    again = fewtune.resume(tmp_path / "run")
    assert again.scores["test"] == taught.scores["test"]


@pytest.mark.parametrize("method", ["full", "adapter", "prompt"])
def test_other_methods_go_the_same_way(teach, method):
    given = {"lora_r": None, "method": method}
    given |= {"adapter": {"reduction_factor": 4}, "prompt": {"num_virtual_tokens": 4}}.get(
        method, {}
    )
    run = teach(**given)
    assert run.scores["method"] == method
    assert len(run.generate(["pump leaks"], max_new_tokens=4)) == 1


def test_an_adapter_can_be_used_in_part(taught, reports):
    whole, none = (
        fewtune.evaluate(taught, reports, answered_rows=2, adapter_scale=by) for by in (1.0, 0.0)
    )
    base = taught.untouched
    rows = base.encode(fewtune.data.read.read_any(reports, fewtune.data.options.DataOptions()).rows)
    loss, count, _ = base.losses(rows.rows)
    assert none["test"]["loss"]["value"] == pytest.approx(loss.sum() / count.sum(), rel=1e-3)
    assert whole["test"]["loss"]["value"] < none["test"]["loss"]["value"]


def test_texts_of_ones_own_measure_forgetting(teach, tmp_path):
    texts = tmp_path / "general.csv"
    own = [" ".join(WORDS[(k + 5 * j) % len(WORDS)] for j in range(12)) for k in range(20)]
    texts.write_text("text\n" + "\n".join(own) + "\n")
    recall = teach(general=str(texts), max_steps=40).scores["recall"]
    assert recall["passages"] <= 20
    if recall["known"]:
        change = recall["loss"]["value"] - recall["before"]["value"]
        assert recall["change"]["value"] == pytest.approx(change)


# --- rows that cannot be learned -----------------------------------------------------------------


def test_rows_without_a_learned_token_are_set_aside_with_a_reason(teach, tmp_path):
    rows = [
        {"messages": [{"role": "user", "content": row["instruction"]},
                      {"role": "assistant", "content": row["output"], "weight": int(k > 4)}]}
        for k, row in enumerate(dialogues(50))
    ]  # fmt: skip
    run = teach(data=jsonl(tmp_path / "weights.jsonl", rows))
    ledger = run.folder.data["ledger"]
    codes = [entry["code"] for entry in ledger["quarantined"]]
    assert codes.count("template-untrained") >= 4
    counts = run.scores["rows"]
    assert counts["read"] == counts["kept"] + counts["quarantined"] == 50


def test_long_rows_keep_their_answer(teach, tmp_path):
    rows = dialogues(50)
    rows[3]["instruction"] = " ".join(WORDS * 40)
    rows[5]["output"] = " ".join(WORDS * 40)
    run = teach(data=jsonl(tmp_path / "long.jsonl", rows), max_length=64)
    codes = {entry["code"] for entry in run.folder.data["ledger"]["truncated"]}
    assert codes == {"truncated-prompt", "truncated-answer"}


def test_a_dialogue_without_an_answer_is_set_aside_while_reading(teach, tmp_path):
    rows = [{"messages": [{"role": "user", "content": "hot?"}]}]
    rows += [
        {"messages": [{"role": "user", "content": row["instruction"]},
                      {"role": "assistant", "content": row["output"]}]}
        for row in dialogues(40)
    ]  # fmt: skip
    run = teach(data=jsonl(tmp_path / "chat.jsonl", rows))
    assert [e["code"] for e in run.folder.data["ledger"]["quarantined"]] == ["format-turns"]


# --- what cannot be done, in a sentence ----------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "minilm"}, "reads and does not write"),
        ({"method": "tfidf", "lora_r": None, "learning_rate": None}, "cannot write"),
        ({"method": "probe", "lora_r": None, "learning_rate": None}, "cannot write"),
        ({"augment": "auto"}, "classification only"),
        ({"metric": "nowhere.at_all"}, "nowhere"),
        ({"chat_template": "llama"}, "plain, chatml, bare"),
        ({"decoding": "wild"}, "precise, balanced, creative"),
        ({"max_length": 10_000}, "positions"),
    ],
)
def test_impossible_jobs_are_refused_before_there_is_a_folder(teach, tmp_path, options, said):
    with pytest.raises(fewtune.UsageError, match=said):
        teach(**options)
    assert not (tmp_path / "run").exists()


def test_a_metric_of_ones_own_is_for_texts_only(tmp_path):
    data = tmp_path / "labels.csv"
    data.write_text("text,label\n" + "".join(f"pump {k},a\nlamp {k},b\n" for k in range(20)))
    with pytest.raises(fewtune.UsageError, match="metric"):
        fewtune.train(str(data), method="tfidf", metric="builtins.len")


def test_a_tokenizer_without_an_end_is_refused(teach, speaker, tmp_path):
    import shutil

    folder = tmp_path / "endless"
    shutil.copytree(speaker, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["eos_token"] = None
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(fewtune.FewtuneError, match="no end token"):
        teach(model=str(folder))


def test_a_template_that_refuses_every_row_says_so(teach, speaker, tmp_path):
    import shutil

    folder = tmp_path / "strict"
    shutil.copytree(speaker, folder)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('only tools here') }}")
    with pytest.raises(fewtune.FewtuneError, match="only tools here"):
        teach(model=str(folder))


def test_a_template_for_one_turn_costs_a_baseline_and_no_run(teach, speaker, tmp_path):
    import shutil

    folder = tmp_path / "short"
    shutil.copytree(speaker, folder)
    (folder / "chat_template.jinja").write_text(
        "{% if messages | length > 2 or messages[0].content.isascii() and 'is' not in "
        "messages[0].content %}{{ raise_exception('one turn, and it asks') }}{% endif %}"
        "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    )
    rows = [
        {"instruction": f"what is {row['instruction']}", "output": row["output"]}
        for row in dialogues(40)
    ]
    scores = teach(model=str(folder), data=jsonl(tmp_path / "what.jsonl", rows)).scores
    assert set(scores["baselines"]) == {"before", "nearest"}
    assert any("one turn, and it asks" in one for one in scores["warnings"])


def test_texts_alone_could_be_either_and_are_asked_about(teach, tmp_path):
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "\n".join(row["instruction"] for row in dialogues(20)) + "\n")
    with pytest.raises(fewtune.UsageError, match=r"a single column.*--task generate"):
        teach(data=str(texts))


def test_dialogues_with_images_are_refused_by_name(teach, tmp_path):
    turns = [{"role": "user", "content": "<image>what?"}, {"role": "assistant", "content": "oil"}]
    seen = jsonl(tmp_path / "seen.jsonl", [{"messages": turns, "images": ["a.png"]}] * 20)
    with pytest.raises(fewtune.UsageError, match="does not learn from images"):
        teach(data=seen)


def test_letters_that_the_model_has_no_token_for_are_told(tmp_path, teach):
    folder = tmp_path / "by-words"
    build_speaker("llama", folder, max_position_embeddings=256)
    rows = [{"instruction": f"pump {k}", "output": f"泵{k}"} for k in range(40)]
    path = tmp_path / "zh.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    warned = teach(data=str(path), model=str(folder)).scores["warnings"]
    assert any("of the learned tokens are `<unk>`" in one for one in warned)


def test_evaluate_says_what_a_file_cannot_answer(taught, tmp_path, capsys):
    questions = jsonl(tmp_path / "q.jsonl", [{"prompt": "pump?"}])
    texts = jsonl(tmp_path / "t.jsonl", [{"text": "pump leaks oil"}] * 3)
    assert code_of("evaluate", taught.folder.path, questions) == 2
    assert "holds none of the shapes" in capsys.readouterr().err
    assert code_of("evaluate", taught.folder.path, texts) == 0
    assert "no row asks anything" in " ".join(capsys.readouterr().err.split())


def test_a_flag_given_twice_is_told(taught, capsys):
    assert code_of("generate", taught.folder.path, "pump", "--stop", "a", "--stop", "b") == 2
    assert "--stop: given more than once" in capsys.readouterr().err


def test_files_for_the_end_are_read_at_the_beginning(teach, reports, tmp_path):
    questions = jsonl(tmp_path / "q.jsonl", [{"prompt": "pump?"}])
    with pytest.raises(fewtune.FewtuneError, match="text"):
        teach(general=reports)
    with pytest.raises(fewtune.UsageError, match=r"q\.jsonl holds none of the shapes"):
        teach(replay=questions)
    assert not (tmp_path / "run").exists()


def test_a_metric_that_fails_is_tried_at_the_beginning(teach, tmp_path, monkeypatch):
    (tmp_path / "own_metric.py").write_text(
        "def ratio(answer, reference):\n    return len(reference) / len(answer)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(fewtune.FewtuneError, match=r"own_metric\.ratio raised ZeroDivisionError"):
        teach(metric="own_metric.ratio")
    assert not (tmp_path / "run").exists()


def test_replacing_a_models_own_template_is_told(teach, speaker, tmp_path):
    import shutil

    folder = tmp_path / "instruct"
    shutil.copytree(speaker, folder)
    own = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(own)
    warned = teach(model=str(folder), chat_template="plain").scores["warnings"]
    assert any("`plain` replaces" in one for one in warned)
    warned = teach("own", model=str(folder)).scores["warnings"]
    assert not any("replaces" in one for one in warned)


def test_plain_texts_are_gone_on_from(teach, tmp_path):
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "\n".join(row["instruction"] for row in dialogues(50)) + "\n")
    run = teach(data=str(texts), task="generate")
    assert run.scores["rows"]["answered"] == 0
    assert run.scores["test"].keys() == {"loss", "perplexity", "token_accuracy"}
    assert run.scores["gain"]["over"] == "before"


def test_plain_texts_can_be_watched(teach, tmp_path):
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "\n".join(row["instruction"] for row in dialogues(50)) + "\n")
    run = teach(data=str(texts), task="generate", valid_share=0.2, early_stopping_patience=2)
    watched = [event for event in run.folder.events if event.name == "validated"]
    assert watched
    assert all(event["scores"]["log_loss"] > 0 for event in watched)


def test_the_baseline_with_examples_is_told_of_the_tools_too():
    from types import SimpleNamespace

    from fewtune.data.dialogue import Message
    from fewtune.data.row import Origin, Row
    from fewtune.pipeline import hearing

    def row(k, **more):
        turns = (Message("user", f"pump {k} leaks"), Message("assistant", "oil"))
        return Row(Origin("a", k), {"messages": turns, **more})

    gauge = [{"name": "gauge"}]
    talks = [row(0, tools=gauge), row(1)]
    seen = []
    voice = SimpleNamespace(answer=lambda *given: seen.append(given) or [])
    asked = hearing.Asked(None, talks, [one["messages"][:1] for one in talks], ["oil", "oil"])
    hearing.few_shot(voice, [row(2), row(3)], asked, 1, 0)
    ((questions, _, _, tools),) = seen
    assert [len(question) for question in questions] == [3, 3]
    assert tools == [gauge, None]


def test_damaged_weights_are_noticed_before_training(teach, speaker, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "broken"
    shutil.copytree(speaker, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = torch.full_like(tensors["model.norm.weight"], torch.nan)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(fewtune.FewtuneError, match="no number"):
        teach(model=str(folder))


def test_a_learned_prompt_is_read_back_in_words(speaker, reports, tmp_path, capsys):
    output = tmp_path / "run"
    flags = (
        [f"--no-{name}"] if value is False else [f"--{name}", str(value)]
        for name, value in SPOKEN.items()
    )
    quick = [word for words in flags for word in words]
    words = ("train", reports, "--model", speaker, "--method", "prompt", "--output", output)
    assert code_of(*words, "--num_virtual_tokens", "4", *quick) == 0
    nearest = fewtune.load(output).folder.virtual_tokens
    assert len(nearest) == 4
    said = " ".join(one[0]["word"] for one in nearest)
    told = capsys.readouterr().out
    assert f"nearest to the words: {said}" in " ".join(told.split())
    assert "on 12 test rows, 6 answered" in told
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "The learned prompt, read back" in page
    assert "4 learned vectors stand before each text" in page


# --- at the terminal -----------------------------------------------------------------------------


def test_generate_prints_an_answer(taught, capsys):
    assert code_of("generate", taught.folder.path, "pump leaks", "--max_new_tokens", "5") == 0
    streamed = capsys.readouterr().out.strip()
    words = ("generate", taught.folder.path, "pump leaks", "--max_new_tokens", "5", "--json")
    assert code_of(*words) == 0
    assert json.loads(capsys.readouterr().out)["prediction"] == streamed


def test_chat_answers_line_by_line_and_takes_commands(taught, capsys, monkeypatch):
    lines = iter(["pump leaks", "/both", "door jams", "/set temperature 9", "/nonsense", "/quit"])
    monkeypatch.setattr("builtins.input", lambda _="": next(lines))
    assert code_of("chat", taught.folder.path, "--max_new_tokens", "4") == 0
    out = capsys.readouterr().out
    assert "[base]" in out
    assert "[tuned]" in out
    assert "less than or equal to 5" in out
    assert "no /nonsense" in out


def test_a_chat_is_one_json_object(taught, capsys, monkeypatch):
    lines = iter(["pump leaks", "/base", "door jams", "/new", "/quit"])
    monkeypatch.setattr("builtins.input", lambda _="": next(lines))
    assert code_of("chat", taught.folder.path, "--max_new_tokens", "4", "--json") == 0
    told = json.loads(capsys.readouterr().out)["answers"]
    assert [(one["speaker"], one["prompt"]) for one in told] == [
        ("tuned", "pump leaks"), ("base", "door jams")
    ]  # fmt: skip


def test_ctrl_c_ends_an_answer_and_not_the_conversation(taught, capsys, monkeypatch):
    from fewtune.methods.voice import Voice

    def stopped(*_):
        yield "pum"
        raise KeyboardInterrupt

    lines = iter(["pump leaks", "/quit"])
    monkeypatch.setattr("builtins.input", lambda _="": next(lines))
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda _: True})())
    monkeypatch.setattr(Voice, "stream", stopped)
    assert code_of("chat", taught.folder.path) == 0
    assert "pum\nstopped; /quit leaves." in capsys.readouterr().out


def test_a_preset_that_is_set_while_chatting_counts():
    from fewtune.cli.speaking import Chat
    from fewtune.models.decoding import DecodingOptions

    chat = Chat(None, DecodingOptions())
    assert list(chat.hear("/set decoding balanced")) == ["decoding is balanced now.\n"]
    assert (chat.decoding.temperature, chat.decoding.top_k, chat.decoding.top_p) == (0.7, 50, 0.9)
    assert list(chat.hear("/set temperature 0.2")) == ["temperature is 0.2 now.\n"]
    assert (chat.decoding.temperature, chat.decoding.top_k) == (0.2, 50)
    assert "top_k is 50" in next(chat.hear("/set"))
    assert list(chat.hear("/set temperature 0.0")) == ["temperature is 0.0 now.\n"]
    assert "at temperature 0 the likeliest token" in next(chat.hear("/set top_k 7"))
    assert (chat.decoding.top_k, chat.decoding.top_p) == (None, None)
    assert "temperature: a number" in next(chat.hear("/set temperature warm"))


@pytest.mark.parametrize("name", ["top_k", "top_p", "min_p"])
def test_what_would_change_nothing_at_temperature_0_is_told(taught, capsys, name):
    words = ("generate", taught.folder.path, "pump?", "--max_new_tokens", "2", f"--{name}", "1")
    for more in ((), ("--temperature", "0"), ("--decoding", "precise")):
        assert code_of(*words, *more) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"fewtune: {name}: at temperature 0 the likeliest token is taken")
    assert code_of(*words, "--temperature", "0.5") == 0


def test_a_preset_without_its_temperature_is_no_mistake():
    from fewtune.base.options import build
    from fewtune.models.decoding import DecodingOptions

    (cold,) = build([DecodingOptions], {"decoding": "balanced", "temperature": "0"})
    assert (cold.temperature, cold.top_k) == (0, 50)
    assert DecodingOptions(**cold.model_dump()) == cold  # as a run's plan gives it back


def test_an_answer_that_was_stopped_is_as_if_never_asked(taught):
    from fewtune.cli.speaking import Chat
    from fewtune.models.decoding import DecodingOptions

    chat = Chat(taught, DecodingOptions(max_new_tokens=4))
    answer = chat.hear("pump leaks")
    next(answer)
    answer.close()
    assert not chat.said
    list(chat.hear("door jams"))
    assert next(turn.content for turn in chat.said["tuned"]) == "door jams"


def test_a_classifier_does_not_chat(finished, capsys):
    assert code_of("chat", finished.folder.path) == 2
    assert "chooses among labels" in capsys.readouterr().err


def test_a_writer_has_no_labels(taught, reports, capsys):
    assert code_of("label", taught.folder.path, reports) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_predict_answers_a_files_rows_and_goes_on_where_it_stopped(
    taught, reports, tmp_path, monkeypatch
):
    in_bunches(monkeypatch)
    out = tmp_path / "answers.jsonl"
    words = ("predict", taught.folder.path, reports, "--output", out, "--max_new_tokens", "6")
    words += ("--temperature", "1", "--seed", "3")
    assert code_of(*words) == 0
    lines = out.read_text().splitlines()
    assert len(lines) == 60
    known = {"origin", "text", "prediction", "stopped", "tokens", "by"}
    assert json.loads(lines[0]).keys() == known
    assert max(json.loads(line)["tokens"] for line in lines) == 6
    for letters in (30, 3):  # killed in the middle of a line
        out.write_text("\n".join(lines[:25]) + "\n" + lines[25][:letters])
        assert code_of(*words) == 0
        assert out.read_text().splitlines() == lines  # the dice fall as they fell


@pytest.mark.parametrize("how", [KeyboardInterrupt, RuntimeError], ids=["ctrl-c", "killed"])
def test_a_stopped_predict_keeps_every_batch_and_goes_on_as_if_it_had_not(
    taught, reports, tmp_path, monkeypatch, capsys, how
):
    from fewtune.cli import answering

    in_bunches(monkeypatch)
    out, whole = tmp_path / "answers.jsonl", tmp_path / "whole.jsonl"
    words = ("predict", taught.folder.path, reports, "--max_new_tokens", "6", "--temperature", "1")
    assert code_of(*words, "--output", whole) == 0
    answers, batches = answering.Asking.answers, []

    def watched(self, rows, bunch, known=()):
        for some in answers(self, rows, bunch, known):
            batches.append(len(some))
            yield some
            if len(batches) == 7:  # in the middle of the fourth bunch of two batches
                raise how

    monkeypatch.setattr(answering.Asking, "answers", watched)
    if how is KeyboardInterrupt:
        assert code_of(*words, "--output", out) == 130
        assert "56 answers are kept" in capsys.readouterr().err
    else:
        with pytest.raises(RuntimeError):
            code_of(*words, "--output", out)
    assert len(out.read_text().splitlines()) == 48
    beside = tmp_path / "answers.jsonl.begun"
    assert len(beside.read_text().splitlines()) == 8
    with open(beside, "a") as file:
        file.write('{"row": 56, "line": {"or')  # killed in the middle of a line
    assert code_of(*words, "--output", out) == 0
    assert batches == [8] * 7 + [4]  # nothing was asked twice
    assert out.read_bytes() == whole.read_bytes()
    assert not beside.exists()


def in_bunches(monkeypatch, rows=16, batch=8):
    """Small bunches of small batches."""
    for module in ("answering", "answered"):
        monkeypatch.setattr(f"fewtune.cli.{module}.BUNCH", rows)
    monkeypatch.setattr("fewtune.models.speaking.ROWS", batch)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ('{"origin": "other.csv:2"}\n', "does not answer these rows"),
        ("one line that somebody wrote", "does not answer these rows"),
        ('{"origin": "q.jsonl:1", "text": "lamp?", "by": ""}\n', "does not answer these rows"),
        ('{"origin": "q.jsonl:1", "text": "pump?", "by": "another"}\n', "of another model"),
    ],
)
def test_a_file_with_something_else_is_not_written_over(taught, tmp_path, capsys, there, said):
    asked = jsonl(tmp_path / "q.jsonl", [{"prompt": "pump?"}])
    out = tmp_path / "answers.jsonl"
    out.write_text(there)
    assert code_of("predict", taught.folder.path, asked, "--output", out) == 2
    assert said in capsys.readouterr().err
    assert out.read_text() == there


def test_answers_written_otherwise_are_not_taken_for_these(taught, tmp_path, capsys):
    asked = jsonl(tmp_path / "q.jsonl", [{"prompt": "pump?"}])
    words = ("predict", taught.folder.path, asked, "--output", tmp_path / "a.jsonl")
    assert code_of(*words, "--max_new_tokens", "2") == 0
    assert code_of(*words, "--max_new_tokens", "2") == 0
    assert "1 of 1 rows are answered already" in " ".join(capsys.readouterr().err.split())
    assert code_of(*words, "--max_new_tokens", "3") == 2
    assert "other options" in capsys.readouterr().err


def test_predict_prints_one_json_value(taught, tmp_path, capsys):
    asked = jsonl(tmp_path / "q.jsonl", [{"prompt": "pump?"}, {"prompt": "lamp?"}])
    words = ("predict", taught.folder.path, asked, "--max_new_tokens", "2", "--json")
    assert code_of(*words) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["text"], second["text"]) == ("pump?", "lamp?")


def test_predict_sets_rows_aside_that_ask_nothing_or_that_the_template_refuses(
    taught, speaker, teach, tmp_path, capsys
):
    import shutil

    folder = tmp_path / "strict"
    shutil.copytree(speaker, folder)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here') }}"
        "{% endif %}{{ m.content }}{{ eos_token }}{% endfor %}"
    )
    run = teach(model=str(folder))
    asked = jsonl(
        tmp_path / "q.jsonl",
        [
            {"messages": [{"role": "user", "content": "pump?"}]},
            {"messages": [{"role": "user", "content": " "}]},
            {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]},
        ],
    )
    out = tmp_path / "a.jsonl"
    words = ("predict", run.folder.path, asked, "--output", out, "--max_new_tokens", "2", "--json")
    assert code_of(*words) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["read"] == {
        "read": 3, "kept": 1, "quarantined": 2, "fixed": 0, "truncated": 0
    }  # fmt: skip
    assert "q.jsonl:2" in told.err
    assert "no system here" in told.err
    assert len(out.read_text().splitlines()) == 1
    words = ("generate", run.folder.path, "pump?", "--system", "x")
    assert code_of(*words) == 2
    assert "no system here" in capsys.readouterr().err


def test_predict_reads_the_column_that_is_named(taught, tmp_path, capsys):
    asked = jsonl(tmp_path / "q.jsonl", [{"colour": "red", "said": "pump?"}])
    words = ("predict", taught.folder.path, asked, "--max_new_tokens", "2", "--json")
    assert code_of(*words, "--text", "said") == 0
    assert json.loads(capsys.readouterr().out)[0]["text"] == "pump?"


def test_options_of_writing_are_not_for_a_classifier(finished, capsys):
    assert code_of("predict", finished.folder.path, "pump", "--max_new_tokens", "3") == 2
    assert "chooses among labels" in capsys.readouterr().err


def test_a_seed_that_is_none_is_a_sentence(taught, capsys):
    for command in ("generate", "predict"):
        assert code_of(command, taught.folder.path, "pump", "--seed", "9" * 20) == 2
        assert capsys.readouterr().err.startswith("fewtune: seed:")


def test_test_rows_of_another_kind_are_refused(teach, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("text,label\npump leaks,oil\nlamp dark,light\n")
    with pytest.raises(fewtune.UsageError, match=r"test: .* questions with answers"):
        teach(test=str(other))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "turns"),
    [
        ('{"prompt": "pump leaks"}', 1),
        ('{"instruction": "name it", "input": "pump leaks"}', 1),
        ('{"messages": [{"role": "user", "content": "hot?"}]}', 1),
        ('{"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "hot?"},'
         ' {"role": "assistant", "content": "yes"}]}', 2),
        ('{"question": "pump leaks", "answer": "oil"}', 1),
        ("text\npump leaks", 1),
    ],
)  # fmt: skip
def test_prompts_are_read_however_they_stand(tmp_path, content, turns):
    from fewtune.data.options import DataOptions
    from fewtune.data.read import read_any
    from fewtune.data.shapes import PROMPTS

    path = tmp_path / ("p.jsonl" if content.startswith("{") else "p.csv")
    path.write_text(content + "\n")
    (row,) = read_any(path, DataOptions(), shapes=PROMPTS).rows
    assert len(row["messages"]) == turns
    assert row["messages"][-1].role == "user"


def test_rows_made_of_dialogues_are_kept_and_not_made_again(teach, monkeypatch):
    run = teach(augment="typing", max_steps=2)
    learned = list(run.folder.learned)
    assert len(learned) == run.folder.plan["chosen"]["learned"] > 0
    assert {turn["role"] for turn in learned[0]["messages"]} >= {"user", "assistant"}
    before = run.scores["test"]
    (run.folder.path / "scores.json").unlink()  # as if it had been stopped before the end
    monkeypatch.setattr("fewtune.pipeline.generate.augment", None)
    again = fewtune.resume(run.folder.path)
    assert again.scores["test"] == before
    assert list(again.folder.learned) == learned
