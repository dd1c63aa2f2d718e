"""What makes a job impossible ends it: a sentence, an exit code, nothing that looks finished."""

import json
import os
import pickle
import shutil
import sys

import pytest
import torch
from desk import ROWS, assert_nothing_looks_finished, assert_refused, lines, table
from safetensors.torch import load_file, save_file

GOOD = table(ROWS)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\nstream\n\x00\x01\xff\nendstream\n%%EOF\n"

#: The training file's name and bytes (None: not there), the exit code, words of the sentence.
FILES = {
    "not there": ("god.csv", None, 2, ["there is no file god.csv", "did you mean 'good.csv'"]),
    "empty": ("d.csv", b"", 1, ["d.csv is empty", "rows were expected"]),
    "blank": ("d.csv", b"\n \n\n", 1, ["d.csv is empty"]),
    "a header alone": ("d.csv", b"text,label\n", 1, ["header and no rows"]),
    "bytes": ("d.csv", bytes(range(256)) * 20, 1, ["d.csv is not text", "csv, tsv"]),
    "a PDF": ("d.csv", PDF, 1, ["d.csv is a PDF", "csv or jsonl"]),
    "an archive": ("d.csv", b"PK\x03\x04" + bytes(300), 1, ["read as Excel", ".xlsx or .csv"]),
    "no table": ("d.json", b"42", 1, ["one JSON number", "list of objects"]),
    "two rows": ("d.csv", table(ROWS[:2]), 1, ["2 usable rows", "at least 10"]),
    "nine rows": ("d.csv", table(ROWS[:9]), 1, ["9 usable rows", "at least 10"]),
    "one class": ("d.csv", table([(t, "a") for t, _ in ROWS]), 1, ["one class", "--label"]),
    "one text": ("d.csv", table([("a", c) for _, c in ROWS]), 1, ["the same text", "--text"]),
    "identical rows": ("d.csv", table([ROWS[0]] * 20), 1, ["the same text"]),
    "as many classes as rows": ("d.csv", table([(t, f"c{k}") for k, (t, _) in enumerate(ROWS)]), 1,
                                ["each of the 45 usable rows", "a label of its own", "--label"]),
    "nothing but broken rows": ("d.csv", b"text,label\n" + b"a,\n" * 20, 1,
                                ["none of its 20 rows", "empty-label"]),
    "no label": ("d.jsonl", lines(ROWS).replace(b'"label"', b'"n": 1, "what"'), 2,
                 ["no column for the role label", "text, n, what", "--label COLUMN"]),
}  # fmt: skip

#: Words after `train good.csv --method tfidf`, the exit code, words of the sentence.
WORDS = {
    "--text nothere": (2, ["no column 'nothere'", "text, label"]),
    "--text label --label label": (2, ["both be read from the column 'label'", "one column for"]),
    "--map text": (2, ["map: ", "role=column", "got 'text'"]),
    "--map foo=text": (2, ["map: one of text, label", "Write text=foo."]),
    "--test nothere.csv": (2, ["there is no file nothere.csv"]),
    "--test .": (2, ["is a folder and a file was expected", "good.csv"]),
    "--test empty.csv": (1, ["empty.csv is empty"]),
    "--test other.csv": (2, ["other.csv has no column for the role text", "alpha, beta, gamma"]),
    "--valid nothere.csv": (2, ["there is no file nothere.csv"]),
    "--test_share 1.5": (2, ["test_share: .*less than 1", "1.5"]),
    "--test_share nan": (2, ["test_share: ", "nan"]),
    "--test_share abc": (2, ["test_share: ", "abc"]),
    "--test_share 0.0001": (1, ["test_share: 0.0001 of the 45", "larger share", "--test FILE"]),
    "--tfidf_c inf": (2, ["tfidf_c: .*finite", "inf"]),
    "--seed 99999999999999999999": (2, ["seed: ", "99999999999999999999"]),
    "--seed -1": (2, ["seed: ", "-1"]),
    "--positive nobody": (2, ["positive: one of door, lamp, pump", "nobody"]),
    "--bootstrap 0": (2, ["bootstrap: "]),
    "--device tpu": (2, ["device: one of auto, cpu, cuda", "tpu"]),
    "--encoding klingon": (2, ["encoding: 'klingon'", "utf-8"]),
    "--format doc": (2, ["format: one of csv", "doc"]),
    "--format parquet": (1, ["cannot be read as parquet", "csv or jsonl"]),
    "--task sing": (2, ["task: one of auto, classify", "sing"]),
    "--lora_r 8": (2, ["lora_r: `tfidf` has no such option", "lora"]),
    "--lerning_rate 3": (2, ["--lerning_rate", "did you mean --learning_rate"]),
    "other.csv": (2, ["other.csv: the command has no place for this", "--help"]),
    "--config nothere.yaml": (2, ["config: nothere.yaml cannot be read"]),
    "--config .": (2, ["config: . cannot be read"]),
    "--config good.csv": (2, ["config: good.csv must hold `name: value`"]),
    "--output good.csv": (2, ["good.csv: this is a file", "another --output"]),
    "--output good.csv/run": (1, ["good.csv/run: .*a file stands in its way", "--output"]),
    "--output .": (2, ["files that are not a run's", "good.csv", "another --output"]),
}

METHODS = {
    "lorra": ["method: one of tfidf", "did you mean 'lora'"],
    "''": ["method: one of tfidf"],
    "+": ["got ''", "stands twice"],
    "lora+lora": ["stands twice in 'lora.lora'"],
    "probe+lora": ["`probe` trains nothing"],
    "full --lora_r 4": ["lora_r: `full` has no such option", "lora"],
    "lora --lora_r 0 --learning_rate 0 --lr_scheduler_type cos": [
        "lora_r: .*got '0'", "learning_rate: .*got '0'", "did you mean 'cosine'",
    ],
    "full --learning_rate inf": ["learning_rate: .*finite"],
    "full --early_stopping_patience 2": ["need validation rows", "--valid FILE"],
    "full --early_stopping_patience 2 --valid strange.csv": ["need validation rows"],
    "probe --max_length 65": ["max_length: the model has 64 positions", "got 65"],
    "probe --max_length 3": ["max_length: ", "got '3'"],
    "prompt --num_virtual_tokens 61": ["bert has 64 positions", "give 60 or fewer"],
    "prefix --num_virtual_tokens 1000": ["bert has 64 positions", "give 60 or fewer"],
}  # fmt: skip

CONFIGS = {
    "a: [1, 2\nb: }": ["not valid YAML at line 2"],
    "- a\n- b": ["must hold `name: value`"],
    "hello": ["must hold `name: value`"],
    "learning_rate: fast\nseed: -3\nmodel: 5": [
        "learning_rate: .*'fast'",
        "seed: .*-3",
        "model: .*5",
    ],
    "learing_rate: 3\nmetod: lora": ["did you mean 'learning_rate'", "did you mean 'method'"],
    "quiet: 'no'": ["quiet: yes or no; got 'no'"],
    "json: 3": ["json: yes or no; got 3"],
    "map: 5": ["map: role=column", "got 5"],
    "a: !!python/object/apply:os.system ['touch hacked']": ["not valid YAML"],
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_cannot_be_learned_from(what, desk, fewtune):
    name, raw, code, phrases = FILES[what]
    if raw is not None:
        (desk / name).write_bytes(raw)
    assert_refused(fewtune(f"train {name} --method tfidf"), code, *phrases)
    assert not (desk / "runs").exists()


@pytest.mark.parametrize("words", WORDS)
def test_wrong_words(words, desk, fewtune):
    code, phrases = WORDS[words]
    (desk / "empty.csv").write_bytes(b"")
    (desk / "other.csv").write_bytes(
        table([(*row, "x") for row in ROWS], ("alpha", "beta", "gamma"))
    )
    assert_refused(fewtune(f"train good.csv --method tfidf {words}"), code, *phrases)
    assert not (desk / "runs").exists()


@pytest.mark.parametrize("method", METHODS)
def test_wrong_methods(method, desk, bert, fewtune):
    (desk / "strange.csv").write_bytes(table([(t, "strange") for t, _ in ROWS]))
    assert_refused(fewtune(f"train good.csv --model bert --method {method}"), 2, *METHODS[method])
    assert not (desk / "runs").exists()


def test_a_wrong_method_and_missing_files_are_told_in_one_turn(desk, fewtune):
    said = fewtune("train nothere.csv --method fulll --valid gone.csv --test goood.csv")
    files = ("nothere.csv", "gone.csv", r"goood.csv. Did you mean 'good.csv'\?")
    told = [f"there is no file {one}" for one in files]
    assert_refused(said, 2, "method: one of .* Did you mean 'full'", *told)


@pytest.mark.parametrize("config", CONFIGS)
def test_wrong_config_files(config, desk, fewtune):
    (desk / "c.yaml").write_text(config)
    assert_refused(fewtune("train good.csv --config c.yaml"), 2, *CONFIGS[config])
    assert not (desk / "hacked").exists()
    assert not (desk / "runs").exists()


def test_a_config_file_in_another_encoding(desk, fewtune):
    (desk / "c.yaml").write_bytes("text: caf\xe9".encode("latin-1"))
    assert_refused(fewtune("train good.csv --config c.yaml"), 2, "not UTF-8")


# ---------------------------------------------------------------------------- models


def forget(*patterns):
    def damage(folder):
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.unlink()

    return damage


def write(name, content):
    def damage(folder):
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(raw)

    return damage


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def config(**values):
    def damage(folder):
        told = json.loads((folder / "config.json").read_text()) | values
        (folder / "config.json").write_text(json.dumps(told))

    return damage


def tensors(change):
    def damage(folder):
        path = folder / "model.safetensors"
        save_file(change(load_file(path)), path, metadata={"format": "pt"})

    return damage


def adapter_only(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")


def strange_pooling(folder):
    write("modules.json", "[]")(folder)
    write("1_Pooling/config.json", '{"pooling_mode": "weightedmean"}')(folder)


MODELS = {
    "no weights": (forget("*.safetensors"), ["no weights", "model.safetensors"]),
    "config alone": (forget("*.safetensors", "token*"), ["no weights"]),
    "pickled weights": (pickled, ["as pickle", "pytorch_model.bin", "--allow-pickle"]),
    "weights cut short": (cut, ["not a whole safetensors file", "copy it again"]),
    "empty weights": (write("model.safetensors", b""), ["not a whole safetensors file"]),
    "a pointer for weights": (write("model.safetensors", "version https://git-lfs"),
                              ["not a whole safetensors file"]),
    "a shard missing": (
        write("model.safetensors.index.json", '{"weight_map": {"a": "b.safetensors"}}'),
        ["lacks b.safetensors"]),
    "tensors missing": (tensors(lambda all: {k: v for k, v in all.items() if "layer.1" not in k}),
                        ["lack 16 of the model's tensors", "random"]),
    "tensors of another size": (config(intermediate_size=48), ["other sizes than its config.json"]),
    "weights that are no numbers": (tensors(
        lambda all: {k: v * float("nan") for k, v in all.items()}),
                                    ["what is no number", "damaged"]),
    "no tokenizer": (forget("token*"), ["has no tokenizer"]),
    "half a tokenizer": (write("tokenizer.json", '{"a":'), ["tokenizer in bert cannot be loaded"]),
    "half a config": (write("config.json", '{"model_type":'), ["config.json is not valid JSON"]),
    "a list for a config": (write("config.json", "[1]"), ["holds no object"]),
    "a config in latin-1": (write("config.json", b'{"model_type": "b\xff"}'), ["not UTF-8"]),
    "an unknown family": (config(model_type="rwkv"), ["family 'rwkv'", "bert, roberta"]),
    "code of its own": (config(model_type="qwen", auto_map={"AutoModel": "m.M"}),
                        ["code of its own", "Qwen2.5"]),
    "half a modules.json": (write("modules.json", "{"), ["modules.json is not valid JSON"]),
    "no pooling": (write("modules.json", "[]"), ["1_Pooling/config.json cannot be read"]),
    "an unknown pooling": (strange_pooling, ["pools by 'weightedmean'"]),
    "an adapter": (adapter_only, ["no config.json", "give its base model"]),
}  # fmt: skip


@pytest.mark.parametrize("what", MODELS)
def test_a_model_that_cannot_be_used(what, desk, bert, fewtune):
    damage, phrases = MODELS[what]
    damage(bert)
    said = fewtune("train good.csv --model bert --method probe --output runs/r")
    assert_refused(said, 1, *phrases)
    assert_nothing_looks_finished(desk / "runs")


@pytest.mark.parametrize(
    ("model", "code", "phrase"),
    [
        ("./nowhere", 1, "no folder ./nowhere"),
        ("good.csv", 1, "is a file"),
        ("runs", 1, "no config.json"),
        ("no/such-model", 1, "could not be had from the hub"),
        ("'bad name!!'", 1, "could not be had from the hub"),
        ("''", 2, "got nothing"),
    ],
)
def test_a_model_that_is_not_there(model, code, phrase, desk, fewtune):
    (desk / "runs").mkdir()
    said = fewtune(f"train good.csv --method probe --model {model}")
    assert_refused(said, code, phrase)
    assert list((desk / "runs").iterdir()) == []


def test_pickled_weights_are_loaded_where_that_is_allowed(desk, bert, fewtune):
    pickled(bert)
    said = fewtune(
        "train good.csv --model bert --method lora --max_steps 1 --allow-pickle --output r"
    )
    assert said.code == 0, said
    assert fewtune("predict r 'the pump leaks'").code == 0


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_a_pickle_that_runs_code_runs_none_even_if_pickles_are_allowed(desk, bert, fewtune):
    forget("*.safetensors")(bert)
    (bert / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Evil()}, protocol=2))
    for words in ("", "--allow-pickle"):
        said = fewtune(f"train good.csv --model bert --method probe --output r {words}")
        assert_refused(said, 1, "pickle")
    assert not (desk / "hacked").exists()


@pytest.mark.parametrize("words", ["lora+ia3", "ia3+lora"])
def test_hybrids_may_be_named_in_any_order(words, bert, fewtune):
    said = fewtune(f"train good.csv --model bert --method {words} --max_steps 1 --output r")
    assert said.code == 0, said


def test_virtual_tokens_leave_the_text_the_room_that_is_left(desk, bert, fewtune):
    (desk / "long.csv").write_bytes(table([(f"{t} " * 30, c) for t, c in ROWS]))
    for method, virtual in (("prompt", 60), ("prefix", 40)):
        said = fewtune(
            f"train long.csv --model bert --method {method} --num_virtual_tokens {virtual} "
            f"--max_steps 1 --output {method}"
        )
        assert said.code == 0, said
        about = json.loads((desk / method / "model" / "fewtune.json").read_text())
        assert about["max_length"] == 64 - virtual


def test_a_loss_that_is_not_a_number_says_step_and_checkpoint(desk, bert, fewtune):
    words = (
        "train good.csv --model bert --method full --learning_rate 1e30 --max_steps 9 --output r"
    )
    said = fewtune(words)
    assert_refused(said, 1, "not a number at step 2 of 9", "no checkpoint yet", r"below 1e\+30")
    assert_nothing_looks_finished(desk)
    said = fewtune(f"{words}2 --save_steps 1")
    assert_refused(said, 1, "not a number at step 2 of 9", "step-000001")
    assert_nothing_looks_finished(desk)


# ---------------------------------------------------------------------------- folders


def snapshot(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_an_output_folder_of_another_run(desk, fewtune):
    (desk / "d.csv").write_bytes(table(ROWS[:30]))
    assert fewtune("train good.csv --method tfidf --output 'of mine/r 1'").code == 0
    before = snapshot(desk)
    said = fewtune("train d.csv --method tfidf --output 'of mine/r 1'")
    assert_refused(said, 2, "another run lives here", "another --output", "runs rm 'r 1' --root")
    assert snapshot(desk) == before
    remedy = said.error.split("`")[1].removeprefix("fewtune ")
    assert fewtune(remedy).code == 0
    assert fewtune("train d.csv --method tfidf --output 'of mine/r 1'").code == 0


def test_a_run_that_another_process_works_on(desk, fewtune):
    from fewtune.record import RunFolder

    assert fewtune("train good.csv --method tfidf --output runs/r").code == 0
    with RunFolder.open("runs/r").lock():
        for words in ("train good.csv --method tfidf --output runs/r", "runs rm r"):
            said = fewtune(words)
            assert_refused(said, 1, "another process", str(os.getpid()))
    assert fewtune("runs rm r").code == 0


def test_a_home_that_no_shell_has_put_in(desk, fewtune, monkeypatch):
    monkeypatch.setenv("HOME", str(desk / "home"))
    (desk / "home").mkdir()
    shutil.copy(desk / "good.csv", desk / "home")
    assert fewtune("train '~/good.csv' --method tfidf --output '~/r'").code == 0
    assert (desk / "home" / "r" / "report.html").exists()
    assert fewtune("predict '~/r' '~/good.csv' --output '~/out.csv'").code == 0
    assert (desk / "home" / "out.csv").exists()
    assert not (desk / "~").exists()


def test_names_with_blanks_and_of_other_scripts(desk, fewtune):
    (desk / "故障 报告.csv").write_bytes(table(ROWS))
    said = fewtune("train '故障 报告.csv' --method tfidf")
    assert said.code == 0
    remedy = next(line for line in said.out.splitlines() if line.startswith("try it"))
    assert fewtune(remedy.partition("fewtune ")[2]).code == 0
    said = fewtune("train '故障 报告.csv' --method tfidf --output 'my runs/中文 名'")
    remedy = next(line for line in said.out.splitlines() if line.startswith("try it"))
    assert fewtune(remedy.partition("fewtune ")[2]).code == 0


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(desk, fewtune):
    (desk / "locked").mkdir(mode=0o500)
    assert_refused(
        fewtune("train good.csv --method tfidf --output locked/r"), 1, "may not be written"
    )
