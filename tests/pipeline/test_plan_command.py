"""`fewtune plan`: every method with exact counts and no weight read, in the terminal and JSON."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from jobs import dialogues, jsonl, rows, write_csv
from tiny_models import TINY, build, tokenizer_of

import fewtune
from fewtune.base.errors import UsageError
from fewtune.choose.fit import frozen_count
from fewtune.cli import main
from fewtune.data.columns import Role
from fewtune.data.load import load
from fewtune.methods import METHODS, parse
from fewtune.methods.base import prepare
from fewtune.methods.count import count
from fewtune.models.empty import empty
from fewtune.models.load import load_pooled
from fewtune.models.options import ModelOptions
from fewtune.models.source import find
from fewtune.pipeline import machine
from fewtune.pipeline.facts import _data_key
from fewtune.pipeline.job import make_job
from fewtune.pipeline.machine import hardware_of
from fewtune.pipeline.proposal import propose
from fewtune.trials import kept
from fewtune.trials.sections import WAYS

NEURAL = [name for name, method in METHODS.items() if method.needs_model]
SMALL = {"freeze": {"layers": 1}, "prefix": {"num_virtual_tokens": 4}, "lora": {"lora_r": 2}}


@pytest.fixture(scope="module")
def planned(files):
    return fewtune.plan(files["train"], model=files["model"])


@pytest.fixture(scope="module")
def qwen_7b(tmp_path_factory):
    """config.json and a tokenizer, and no weights."""
    import transformers

    folder = tmp_path_factory.mktemp("qwen-7b")
    transformers.Qwen2Config(
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        vocab_size=152064,
        max_position_embeddings=32768,
        tie_word_embeddings=False,
    ).save_pretrained(folder)
    tokenizer_of(TINY["qwen2"]).save_pretrained(folder)
    return str(folder)


def by_name(told):
    return {one["method"]: one for one in told["methods"]}


# ---- counts


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every family's tiny model."""
    root = tmp_path_factory.mktemp("tiny")
    for family in TINY:
        build(TINY[family], root / family)
    return root


@pytest.mark.parametrize("family", TINY)
def test_counts_are_those_of_a_really_prepared_model(family, folders):
    options = ModelOptions(model=str(folders / family))
    source = find(options)
    checked = 0
    for name in NEURAL:
        method = parse(name, SMALL.get(name, {}))
        found = count(partial(empty, source, 3), method)
        model = load_pooled(source, 3, options)
        if reason := method.refuses(model):
            assert found.refusal == reason
            continue
        every = list(prepare(model, method).model.parameters())
        assert found.total == sum(p.numel() for p in every), name
        assert found.trained == sum(p.numel() for p in every if p.requires_grad), name
        checked += 1
    assert checked >= len(NEURAL) - 2


def test_what_freeze_trains_at_other_depths_is_computed_exactly(files):
    facts = propose(files["train"], {"model": files["model"]}).facts
    source = find(ModelOptions(model=files["model"]))
    for depth in (1, 2):
        found = count(partial(empty, source, facts.classes), parse("freeze", {"layers": depth}))
        assert frozen_count(facts, depth).trained == found.trained


# ---- the plan


def test_every_method_is_in_the_plan_with_its_price(planned):
    assert by_name(planned).keys() == WAYS.keys()
    for one in planned["methods"]:
        if one["refused"]:
            assert one["rank"] == 0
            continue
        assert one["trainable_parameters"] > 0
        assert one["seconds"] > 0
        assert one["reasons"]
        assert one["command"].startswith("fewtune train ")
        assert f"--method {one['method']}" in one["command"]
        if one["method"] != "tfidf":
            assert one["memory"]["predicted"] > one["memory"]["weights"] > 0
    assert json.loads(json.dumps(planned)) == planned


def test_the_plan_tells_what_it_rests_on(planned):
    assert planned["task"]["name"] == "classify"
    assert "label is `label`" in planned["task"]["why"]
    assert planned["size"] == "small"
    assert planned["rows"]["train"] == 48
    classes = planned["rows_per_class"]
    assert classes["classes"] == len(classes["each"]) == 3
    assert sum(classes["each"].values()) == 48
    counts = [*classes["each"].values()]
    assert (counts[0], counts[-1]) == (classes["most"], classes["least"])
    assert planned["hardware"]["memory"] > 0
    assert planned["timing"]["how"] == "measured"
    assert planned["rules"]


def test_a_proposed_command_trains(planned, files, tmp_path, capsys):
    words = by_name(planned)["lora"]["command"].split()[1:]
    quick = ["--max_steps", "2", "--bootstrap", "100", "--output", str(tmp_path / "run")]
    quick += ["--test", files["test"], "--attention", "eager", "--quiet"]
    with pytest.raises(SystemExit) as left:
        main([*words, *quick, "--json"])
    assert left.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["trainable_parameters"] == by_name(planned)["lora"]["trainable_parameters"]


def test_the_second_time_nothing_is_measured_and_torch_stays_away(files, planned):
    code = (
        "import sys, fewtune\n"
        f"told = fewtune.plan({files['train']!r}, model={files['model']!r})\n"
        "print(told['methods'][0]['method'], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [planned["methods"][0]["method"], "False"]


def test_what_is_kept_of_other_training_rows_is_not_taken(files):
    """A race holds nothing out of a small file, and a plan does."""
    job = make_job(files["train"], {"task": "classify", "model": files["model"]})
    source = find(job.model, weights=False)
    whole, parted = (
        load(files["train"], (Role("text"), Role("label")), job.data, 0, hold_out_from=least)
        for least in (None, 0)
    )
    assert len(whole.train) > len(parted.train)
    assert _data_key(job, whole, source) != _data_key(job, parted, source)
    again = load(files["train"], (Role("text"), Role("label")), job.data, 0, hold_out_from=0)
    assert _data_key(job, parted, source) == _data_key(job, again, source)


def test_a_cache_that_cannot_be_written_or_read_is_done_without(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("FEWTUNE_CACHE", str(blocked))
    assert kept.kept("kind", ("key",), lambda: 5) == 5
    monkeypatch.delenv("FEWTUNE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept.kept("kind", ("key",), lambda: 6) == 6
    (path,) = (tmp_path / "fewtune" / "kind").iterdir()
    path.write_text('{"value"')
    assert kept.kept("kind", ("key",), lambda: 7) == 7
    assert kept.kept("kind", ("key",), lambda: 8) == 7
    assert kept.kept("kind", ("key",), lambda: 9, again=True) == 9


# ---- models without weights


def test_a_7b_configuration_and_a_tokenizer_will_do(qwen_7b, tmp_path):
    assert not list(Path(qwen_7b).glob("*.safetensors"))
    data = jsonl(tmp_path / "rows.jsonl", dialogues(60))
    told = fewtune.plan(data, model=qwen_7b, device="cuda", memory="24GB")
    found = by_name(told)
    assert told["model"]["parameters"] == 7_615_616_512
    assert found["full"]["trainable_parameters"] == 7_615_616_512
    assert found["lora"]["options"]["lora_r"] == 16
    assert found["lora"]["trainable_parameters"] == 2 * 20_185_088  # rank 8 has half
    assert told["timing"]["how"] == "assumed"
    assert {"tfidf", "probe"} == {name for name, one in found.items() if one["refused"]}
    assert not found["full"]["fits"]
    assert any("no weights here" in note for note in told["notes"])


def test_of_a_hub_id_no_weights_are_fetched(qwen_7b, tmp_path, monkeypatch):
    asked = []

    def download(name, allow_patterns, local_files_only=False):
        asked.extend(allow_patterns)
        return qwen_7b

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    data = jsonl(tmp_path / "rows.jsonl", dialogues(60))
    told = fewtune.plan(data, model="acme/qwen", device="cuda", memory="24GB")
    assert "*.json" in asked
    assert not any(Path("model.safetensors").match(one) for one in asked)
    assert any(note.endswith("`fewtune train` fetches the weights.") for note in told["notes"])


def test_memory_that_is_too_small_names_what_would_fit(qwen_7b, tmp_path):
    data = jsonl(tmp_path / "rows.jsonl", dialogues(60))
    told = by_name(fewtune.plan(data, model=qwen_7b, device="cuda", memory="16GB"))
    said = " ".join(told["lora"]["room"])
    assert "14.9 GiB may be used" in said
    assert "It would fit into 29 GiB" in said
    assert "quantised to 4 bits" in said


def test_memory_is_obeyed_and_the_plan_says_how(files):
    whole = by_name(fewtune.plan(files["train"], model=files["model"]))["full"]
    less = whole["memory"]["predicted"] - 100_000
    found = by_name(fewtune.plan(files["train"], model=files["model"], memory=f"{less}B"))["full"]
    assert found["fits"]
    assert found["memory"]["predicted"] <= less
    rows, times = (
        found["options"][name]
        for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
    )
    assert (rows < 16, rows * times) == (True, 16)
    assert f"--gradient_accumulation_steps {times}" in found["command"]
    assert "in a pass" in found["room"][0]


# ---- needs, mistakes, texts that the model does not read


def test_needs_change_the_ranks_with_a_reason(files, planned):
    told = fewtune.plan(files["train"], model=files["model"], need="switch")
    assert told["methods"][0]["method"] == "prefix" != planned["methods"][0]["method"]
    assert any("tasks switched per request" in one for one in told["methods"][0]["reasons"])
    assert told["needs"] == ["switch"]


def test_options_of_a_named_method_are_weighed_and_stand_in_its_own_command(files, planned):
    given = {"model": files["model"], "method": "lora", "lora_r": 32}
    told = by_name(fewtune.plan(files["train"], **given))
    plain = by_name(planned)["lora"]
    assert told["lora"]["trainable_parameters"] > 2 * plain["trainable_parameters"]
    assert told["lora"]["options"] == {"lora_r": 32}
    assert "--lora_r 32" in told["lora"]["command"]
    assert not any("rank 8" in reason for reason in told["lora"]["reasons"])
    others = [one for name, one in told.items() if name != "lora" and one["command"]]
    assert len(others) >= 8
    assert not any("lora_r" in one["command"] for one in others)


def test_the_memory_told_is_that_of_the_kernel_that_is_asked_for(files):
    def activations(kernel):
        given = {"model": files["model"], "attention": kernel, "device": "cpu"}
        return by_name(fewtune.plan(files["train"], **given))["full"]["memory"]["activations"]

    assert activations("sdpa") < activations("eager")


def test_all_mistakes_are_told_at_once(files):
    with pytest.raises(UsageError) as caught:
        fewtune.plan(
            files["train"], need="modulr", memory="12", budget="soon", task="clasify", speed=1
        )
    said = str(caught.value)
    assert "one of modular, switch, edge, input-only; got 'modulr'. Did you mean 'modular'?" in said
    for start in ("memory: ", "task: ", "speed: "):
        assert any(line.startswith(start) for line in said.splitlines()), start


def test_a_gpu_that_is_not_here_needs_its_memory_told(files, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(UsageError, match="--memory 24GB"):
        fewtune.plan(files["train"], model=files["model"], device="cuda")
    found = hardware_of(ModelOptions(device="cuda"), 10**9)
    assert (found.device, found.here, found.bf16) == ("cuda", False, True)


def test_a_gpu_that_only_pytorch_sees_is_found(monkeypatch, tmp_path):
    driver = tmp_path / "nvidiactl"
    driver.touch()
    monkeypatch.setattr(machine, "gpus", list)  # as where a container hides /proc's
    monkeypatch.setattr(machine, "DRIVERS", (driver,))
    monkeypatch.setattr(machine, "_gpu_memory", lambda: (6 * 10**9, 8 * 10**9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "a card")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **kwargs: False)  # such as a T4
    found = hardware_of(ModelOptions(), None)
    assert (found.device, found.here, found.memory) == ("cuda", True, 6 * 10**9)
    assert not found.bf16
    assert found.gpus == ("a card",)
    assert hardware_of(ModelOptions(device="cpu"), None).device == "cpu"


def test_what_answers_behind_an_address_is_not_planned(files):
    with pytest.raises(UsageError, match="nothing to weigh"):
        fewtune.plan(files["train"], model="endpoint:http://127.0.0.1:1#x")


def test_dialogues_and_an_encoder_do_not_go_together(files, tmp_path):
    data = jsonl(tmp_path / "rows.jsonl", dialogues(60))
    with pytest.raises(UsageError, match="reads and does not write"):
        fewtune.plan(data, model=files["model"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="steps would be timed on the GPU")
def test_chinese_texts_on_an_english_model_are_told(tmp_path):
    pairs = [
        (f"{part}{what}，编号{k}，{how}", what)
        for k in range(8)
        for part, how in (("水泵", "已停机检查"), ("车门", "需要更换零件"))
        for what in ("漏油", "异响", "过热")
    ]
    data = write_csv(tmp_path / "故障.csv", pairs)
    told = fewtune.plan(data, model="minilm", device="cuda", memory="8GB")  # nothing is timed
    assert told["tokens"]["unknown"] > 0.2
    assert told["methods"][0]["method"] == "tfidf"
    (note,) = [note for note in told["notes"] if "are unknown to minilm" in note]
    assert "such as BAAI/bge-small-zh-v1.5, google-bert/bert-base-chinese or sentence-tr" in note
    assert any("unknown" in reason for reason in told["methods"][0]["reasons"])


# ---- the terminal


def shown(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit) as left:
        main(["plan", *words])
    assert left.value.code in (0, None)
    return capsys.readouterr().out


def test_the_table_is_read_at_100_columns(files, planned, capsys, monkeypatch):
    out = shown([files["train"], "--model", files["model"]], capsys, monkeypatch)
    table = [line for line in out.splitlines() if "--" not in line]
    assert max(map(len, table)) <= 100
    for name in WAYS:
        assert name in out
    assert planned["methods"][0]["command"] in out


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU is here")
def test_times_on_a_gpu_that_is_not_here_differ_and_what_runs_without_it_is_not_in_doubt(
    files, capsys, monkeypatch
):
    words = [files["train"], "--model", files["model"], "--device", "cuda", "--memory", "8GB"]
    out = shown(words, capsys, monkeypatch)
    table = {line.split()[1]: line for line in out.splitlines() if line[:2].strip().isdigit()}
    assert "?" not in table.pop("tfidf")
    assert all("?" in line for line in table.values())
    told = by_name(fewtune.plan(files["train"], model=files["model"], device="cuda", memory="8GB"))
    steps = {name: told[name]["time"]["steps"] for name in ("full", "lora", "freeze")}
    assert steps["lora"] > steps["full"] * 0.5
    assert len({*steps.values()}) == 3
    assert min(steps.values()) > 0.01


def test_json_is_one_object_and_nothing_else(files, capsys, monkeypatch):
    out = shown([files["train"], "--model", files["model"], "--json"], capsys, monkeypatch)
    assert json.loads(out)["task"]["name"] == "classify"


def test_all_reasons_are_shown_when_asked_for(files, capsys, monkeypatch):
    words = [files["train"], "--model", files["model"]]
    less, more = (shown([*words, *all], capsys, monkeypatch) for all in ([], ["--all"]))
    assert more.count("fewtune train") > less.count("fewtune train") == 3
    assert "weights " in more


def test_widths_of_chinese_texts_are_counted(tmp_path, files, capsys, monkeypatch):
    from rich.cells import cell_len

    data = write_csv(tmp_path / "故障报告与维修记录汇总表.csv", rows(60))
    out = shown([data, "--model", files["model"], "--need", "edge，switch"], capsys, monkeypatch)
    assert "edge, switch" in out
    assert max(cell_len(line) for line in out.splitlines() if "fewtune train" not in line) <= 100


def test_what_a_need_forbids_or_does_not_fit_is_no_command(files, capsys, monkeypatch):
    words = [files["train"], "--model", files["model"], "--need", "input-only"]
    out = shown(words, capsys, monkeypatch)
    given = [
        line.split("--method ")[1].split()[0] for line in out.splitlines() if "--method " in line
    ]
    assert given
    assert {*given} <= {"prompt", "ptuning", "text-prompt"}
    assert "without --method" not in " ".join(out.split())  # the race knows no needs
    plain = fewtune.plan(files["train"], model=files["model"])
    assert "without --method a race learns all 60 rows" in " ".join(plain["notes"])
    small = shown([*words, "--memory", "1MB"], capsys, monkeypatch)
    assert "fewtune train" not in small
    ranks = fewtune.plan(files["train"], model=files["model"], need="input-only", memory="1MB")
    order = [(one["meets_needs"], one["fits"]) for one in ranks["methods"] if one["rank"]]
    assert order == sorted(order, reverse=True)
    assert order[0] == (True, False)  # n-grams fit, and the input is not what they change
    least = min(
        (one["memory"]["predicted"], one["method"])
        for one in ranks["methods"]
        if one["rank"] and one["meets_needs"]
    )
    assert ranks["unmet"].startswith("nothing meets input-only and fits into ")
    assert f"the least that meets it is `{least[1]}`" in ranks["unmet"]
    assert "nothing meets input-only and fits" in " ".join(small.split())
    assert plain["unmet"] is None
