"""The commands' help lists every flag, at once; a failure is told in JSON too."""

import json
import os
import subprocess
import sys

import pytest

from fewtune.cli import COMMANDS, main


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """The program; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")  # no long name is broken
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main sets its own

    def run(*words):
        with pytest.raises(SystemExit) as left:
            main(words)
        said = capsys.readouterr()
        return left.value.code or 0, said.out, " ".join(said.err.split())

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_flag_of_a_command(name, call):
    flags = [one.name for one in COMMANDS[name].parameters() if one.kind == one.KEYWORD_ONLY]
    code, out, _ = call(name, "--help")
    assert code == 0
    assert {"config", "json", "quiet"} <= {*flags}
    assert [flag for flag in flags if f"--{flag} " not in out] == []


def test_the_main_flags_are_in_the_help(call):
    wanted = {
        "check": "fix mask explain all model json config quiet",
        "label": "rows text output",
        "augment": "write seed json",
        "train": "method task",
    }
    for name, flags in wanted.items():
        _, out, _ = call(name, "--help")
        for flag in flags.split():
            assert f"--{flag} " in out, (name, flag)


def test_the_help_of_compare_says_what_compare_does(call):
    out = " ".join(call("compare", "--help")[1].replace("│", " ").split())
    for said in (
        "without it none are held out", "folds of the training rows [default: 5]",
        "rows of the first fold that each answers in words",
    ):  # fmt: skip
        assert said in out
    for wrong in ("20 % is held out", "--learning_curve", "[default: 200]", "3 where other rows"):
        assert wrong not in out


def test_no_default_is_shown_where_there_is_none(call):
    _, out, _ = call("check", "--help")
    assert "()" not in out


def test_help_answers_at_once():
    """In seconds of the processor, which other programs do not take from it."""
    spent = [_seconds_of_help() for _ in range(5)]
    assert min(spent) < 0.5


def test_the_list_of_commands_loads_no_heavy_library():
    words = [sys.executable, "-X", "importtime", "-m", "fewtune", "--help"]
    loaded = subprocess.run(words, check=True, capture_output=True, text=True).stderr
    assert " cyclopts" in loaded
    assert not [name for name in ("pydantic", "numpy", "yaml", "torch") if f" {name}" in loaded]


def _seconds_of_help():
    before = os.times()
    subprocess.run([sys.executable, "-m", "fewtune", "--help"], check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before[2] - before[3]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("check", "none.csv", "--json"), 2),
        (("check", "--json"), 2),
        (("checkk", "--json"), 2),
        (("check", "empty.csv", "--json"), 1),
        (("check", "a.csv", "--nonsense", "1", "--json"), 2),
    ],
)
def test_a_failure_is_one_json_object_on_stdout(words, code, call, tmp_path):
    (tmp_path / "empty.csv").write_text("\n")
    left, out, err = call(*words)
    assert left == code
    error = json.loads(out)["error"]
    assert f"fewtune: {' '.join(error.split())}" == err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--few", "many"), "few: a whole number; got 'many'."),
        (("--few", "2.5"), "few: a whole number; got '2.5'."),
        (("--ratio", "x"), "ratio: a number; got 'x'."),
        (("--ratio", "nan"), "ratio: a finite number; got 'nan'."),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_in_plain_words(words, said, call):
    code, _, err = call("check", "a.csv", *words)
    assert code == 2
    assert err == f"fewtune: {said}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--text", "-1GB"), ["--text: -1GB begins like a flag", "write --text=-1GB"]),
        (("--memory", "-1GB"), ["--memory: a size such as 24GB", "got '-1GB'."]),
        (("--budget", "-1m"), ["--budget: a time such as 90s, 10m or 2h; got '-1m'."]),
        (("--model",), ["--model: a value is expected behind it"]),
        (("--model", "--seed", "1"), ["--model: a value is expected behind it"]),
        (
            ("--modl", "bert", "--sed", "3", "--seed", "1", "--seed=2", "--budget"),
            ["--modl: there is no such option. Did you mean --model?", "--sed: there is no such",
             "--seed: given more than once", "--budget: a value is expected"],
        ),
        (
            ("--frob", "--num_train_epochs", "few", "--lora_r=0", "--epochs", "3"),
            ["--frob: there is no such option", "--num_train_epochs: a number; got 'few'",
             "--epochs: there is no such option. Did you mean --num_train_epochs?"],
        ),
        (("b.csv",), ["b.csv: the command has no place for this"]),
    ],
)  # fmt: skip
def test_all_mistakes_of_a_line_are_told_at_once(words, said, call):
    code, _, err = call("plan", "a.csv", *words)
    assert code == 2
    for one in said:
        assert one in " ".join(err.split())
    assert err.count("`fewtune plan --help` lists every option.") == 1


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("train", ("--seed",), "--seed: a value is expected behind it."),
        ("train", ("--lora_r", "--seed", "1"), "--lora_r: a value is expected behind it."),
        ("train", ("--budget", "-1m"), "--budget: a time such as 90s, 10m or 2h; got '-1m'."),
        ("plan", ("--budget", "-1m"), "--budget: a time such as 90s, 10m or 2h; got '-1m'."),
        ("compare", ("--budget", "-1m"), "--budget: a time such as 90s, 10m or 2h; got '-1m'."),
        ("train", ("--seed", "-x"), "--seed: a whole number; got '-x'."),
        (
            "train",
            ("--text", "-x"),
            "--text: -x begins like a flag; if it is the value, write --text=-x.",
        ),
    ],
)
def test_a_mistake_about_a_value_is_told_once_and_by_its_flag(command, words, said, call):
    code, _, err = call(command, "a.csv", *words)
    assert code == 2
    assert err == f"fewtune: {said} `fewtune {command} --help` lists every option."


def test_a_negative_number_is_a_value(call):
    code, _, err = call("plan", "a.csv", "--seed", "-1", "--learning_rate", "-1e-3")
    assert code == 2
    assert "like a flag" not in err
    assert "learning_rate: input should be greater than 0" in err


def test_an_error_that_nobody_expected_is_one_json_object_too(tmp_path):
    code = (
        "import fewtune.cli.checking as door; from fewtune.cli import main\n"
        "def broken(*given): raise RuntimeError('boom')\n"
        "door.check_file = broken\n"
        "main(['check', 'a.csv', '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "did not expect: RuntimeError: boom" in json.loads(done.stdout)["error"]
    assert "Traceback" not in done.stderr
