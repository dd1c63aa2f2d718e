"""Single broken rows are set aside, mended or cut, counted and told, and the run goes on."""

import json

import pytest
from desk import ROWS, assert_refused, lines, table

CHINESE = [(f"漏油：{text}", label) for text, label in ROWS]
GOOD, LINES = table(ROWS), lines(ROWS)
LONG = "pump " * 200_000  # a million characters

#: What follows good rows; how the ledger counts it; its code; whether --strict stops at it.
BROKEN = {
    "undecodable bytes": ("d.csv", table(CHINESE) + b"a \xff\xfe b,pump\n", "quarantined",
                          "format-encoding", True),
    "a field too many": ("d.csv", GOOD + b"a,b,pump\n", "quarantined", "format-ragged", True),
    "a field too few": ("d.csv", GOOD + b"only a text\n", "quarantined", "empty-label", True),
    "no text": ("d.csv", GOOD + b" ,pump\n", "quarantined", "empty-text", True),
    "no label": ("d.csv", GOOD + b"a text, \n", "quarantined", "empty-label", True),
    "the header again": ("d.csv", GOOD + b"text,label\n", "quarantined", "format-header", True),
    "an open quote": ("d.csv", GOOD + b'"a text,pump\n', "fixed", "format-quotes", False),
    "no JSON": ("d.jsonl", LINES + b'{"text": "a", \n', "quarantined", "format-json", True),
    "a list for an object": ("d.jsonl", LINES + b"[1, 2]\n", "quarantined", "format-", True),
    "an object for a text": ("d.jsonl", LINES + b'{"text": {"a": 1}, "label": "pump"}\n',
                             "quarantined", "format-type", True),
    "a zero byte": ("d.csv", GOOD + b"a \x00 text,pump\n", "fixed", "format-control", False),
    "half a surrogate pair": ("d.jsonl", LINES + lines([("a \ud800 text", "pump")]), "fixed",
                              "format-control", False),
    "a label with blanks": ("d.csv", GOOD + b"a text, pump \n", "fixed", "format-spaces", False),
    "a megabyte of text": ("d.csv", GOOD + f"{LONG},pump\n".encode(), "truncated",
                           "truncated-text", False),
    "a megabyte without a blank": ("d.csv", GOOD + b"x" * 1_000_000 + b",pump\n", "truncated",
                                   "truncated-text", False),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_row_is_counted_told_and_costs_no_other(what, desk, fewtune):
    name, raw, kind, code, _ = BROKEN[what]
    (desk / name).write_bytes(raw)
    said = fewtune(f"train {name} --method tfidf --output run --json")
    assert said.code == 0, said
    counts = json.loads(said.out)["rows"]
    others = {other for other in ("quarantined", "fixed", "truncated") if other != kind}
    assert counts[kind] == 1, counts
    assert not any(counts[other] for other in others), counts
    assert counts["read"] == len(ROWS) + 1 == counts["kept"] + counts["quarantined"]
    (entry,) = json.loads((desk / "run" / "data.json").read_text("utf-8"))["ledger"][kind]
    assert entry["code"].startswith(code), entry
    assert entry["origin"] == f"{name}:{raw[: -len(raw.splitlines()[-1]) - 1].count(10) + 1}"
    assert f"1 {kind}" in said.told
    if kind != "fixed":
        assert entry["origin"] in said.told
        assert entry["reason"] in said.told


@pytest.mark.parametrize("what", [what for what in BROKEN if BROKEN[what][-1]])
def test_strict_stops_at_the_broken_row_and_names_it(what, desk, fewtune):
    name, raw, _, code, _ = BROKEN[what]
    (desk / name).write_bytes(raw)
    said = fewtune(f"train {name} --method tfidf --output run --strict")
    assert_refused(said, 1, rf"{name}:\d+: ", rf"\[{code}", "leave out --strict")
    assert not (desk / "run").exists()


def test_a_class_with_one_row_trains_and_is_named(desk, fewtune):
    (desk / "d.csv").write_bytes(table([*ROWS, ("a lonely row", "lonely")]))
    said = fewtune("train d.csv --method tfidf --output run --json")
    assert "balance-single: class 'lonely' has one row (d.csv:47)" in said.told
    scores = json.loads(said.out)
    assert len(scores["confusion"]["labels"]) == 4
    told = json.loads((desk / "run" / "data.json").read_text("utf-8"))
    assert 47 in told["parts"]["train"]["d.csv"]


def test_two_columns_of_one_name_are_told(desk, fewtune):
    (desk / "d.csv").write_bytes(table([(t, "x", c) for t, c in ROWS], ("text", "text", "label")))
    said = fewtune("train d.csv --method tfidf --output run")
    assert said.code == 0
    assert "d.csv has a second column 'text', called 'text (2)' here; text is read" in said.told


LABELS = ["[red]", "<script>alert(1)</script>", "a\nb [/bold]", ":fire:",
          "漏油🔥", "\u202eمرحبا", "x" * 2000, "=1+1", "{{7*7}}"]  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
def test_labels_are_never_markup(label, desk, fewtune):
    rows = [(f"{label} {text}", label if c == "pump" else c) for text, c in ROWS]
    (desk / "d.csv").write_bytes(table(rows))
    name = f"runs/{label[:9]}"
    assert fewtune(["train", "d.csv", "--method", "tfidf", "--output", name]).code == 0
    run = next((desk / "runs").rglob("scores.json")).parent
    assert label in json.loads((run / "scores.json").read_text("utf-8"))["confusion"]["labels"]
    assert "<script>alert" not in (run / "report.html").read_text("utf-8")
    said = fewtune(["predict", str(run), f"{label} the pump leaks oil", "--json"])
    assert json.loads(said.out)[0]["prediction"] == label
    shown = fewtune(["predict", str(run), f"{label} the pump leaks oil"]).out
    assert " ".join(label.split())[:20] in shown
    assert len(shown.splitlines()) == 3
    assert fewtune("runs").code == 0
