"""Damaged files: rows or a sentence, never a traceback, and the ledger adds up."""

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seen import ROLES

from fewtune.base.errors import FewtuneError
from fewtune.data.options import DataOptions
from fewtune.data.read import read_rows

PAIRS = [("pump, leaks", "a"), ('5" bolt', "b"), ("漏油\n现象", "漏油"), ("é ok", "a")] * 4


def as_csv():
    out = io.StringIO()
    csv.writer(out).writerows([("text", "label"), *PAIRS])
    return out.getvalue().encode("utf-8")


def as_jsonl():
    return "\n".join(json.dumps({"text": t, "label": c}) for t, c in PAIRS).encode()


def as_json():
    return json.dumps([{"text": t, "label": c} for t, c in PAIRS], ensure_ascii=False).encode()


WHOLE = {
    "d.csv": as_csv(),
    "d.tsv": as_csv().replace(b",", b"\t"),
    "d.txt": b"1 good\n0 bad film\n" * 6,
    "d.jsonl": as_jsonl(),
    "d.json": as_json(),
    "g.csv": as_csv().decode().encode("gb18030"),
    "w.csv": as_csv().decode().encode("utf-16"),
}
DAMAGE = st.lists(
    st.tuples(
        st.integers(0, 2_000),
        st.integers(0, 12),
        st.one_of(
            st.binary(max_size=6),
            st.sampled_from([b'"', b"\n", b"\r", b",", b"\x00", b"{", b"]", b"[[", b"\\ud800"]),
        ),
    ),
    max_size=5,
)


@pytest.mark.parametrize("name", sorted(WHOLE))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damage=DAMAGE)
def test_damage_gives_rows_or_a_sentence(tmp_path, name, damage):
    raw = WHOLE[name]
    for at, length, instead in damage:
        at %= len(raw) + 1
        raw = raw[:at] + instead + raw[at + length :]
    path = tmp_path / name
    path.write_bytes(raw)
    try:
        table = read_rows(path, ROLES, DataOptions())
    except FewtuneError:
        return
    table.ledger.check()
    assert table.ledger.kept == len(table.rows) > 0
    for row in table.rows:
        assert row["text"].encode("utf-8")  # can be written back
        assert row["label"].encode("utf-8")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=st.binary(max_size=200), name=st.sampled_from(["x.csv", "x.json", "x.jsonl", "x"]))
def test_any_bytes_give_rows_or_a_sentence(tmp_path, raw, name):
    path = tmp_path / name
    path.write_bytes(raw)
    try:
        read_rows(path, ROLES, DataOptions(text="column 1")).ledger.check()
    except FewtuneError as error:
        str(error).encode("utf-8")  # can be printed
