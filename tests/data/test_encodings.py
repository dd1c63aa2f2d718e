"""Encodings are found out, and undecodable lines cost themselves only."""

import pytest
from seen import codes, labels, texts

from fewtune.base.errors import UsageError

CHINESE = "文本,标签\n发动机漏油，需要更换密封圈,漏油\n刹车异响,异响\n离合器脱档,脱档\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_chinese_is_read_in_its_usual_encodings(read, encoding):
    table = read(CHINESE.encode(encoding))
    assert texts(table)[0] == "发动机漏油，需要更换密封圈"
    assert labels(table) == ["漏油", "异响", "脱档"]
    assert table.ledger.counts()["quarantined"] == 0


def test_gb18030_is_told(read):
    assert "GB18030" in read(CHINESE.encode("gb18030")).notes[0]


TRADITIONAL = """文本,標籤
水泵第1號密封處漏油需要更換,洩漏
馬達過熱並發出異常聲響，停機檢查,過熱
變壓器油溫偏高，風扇沒有轉動,過熱
閥門關不緊，現場積水約兩公分,洩漏
"""


def test_big5_is_read_and_told(read):
    table = read(TRADITIONAL.encode("cp950"))
    assert "Big5" in table.notes[0]
    assert texts(table)[1] == "馬達過熱並發出異常聲響，停機檢查"
    assert labels(table) == ["洩漏", "過熱", "過熱", "洩漏"]


@pytest.mark.parametrize("word", ["Ärzte", "À côté", "señor", "£5 and ½", "Çà et là", "©Åse"])
def test_no_western_word_makes_big5(read, word):
    content = f"text,label\n{word} was here,a\n{word}s were there,b\n"
    assert texts(read(content.encode("cp1252")))[0] == f"{word} was here"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_western_text_is_not_taken_for_chinese(read, encoding):
    content = "text,label\nrancid crème brûlée,0\nnaïve café déjà vu,1\nGerät läuft nicht,0\n"
    assert texts(read(content.encode(encoding)))[0] == "rancid crème brûlée"


def test_english_in_utf16_without_a_mark_is_read(read):
    assert labels(read("text,label\npump,a\nseal,b\n".encode("utf-16-le"))) == ["a", "b"]


def test_one_undecodable_line_of_a_utf8_file_is_set_aside_alone(read):
    good = CHINESE.encode("utf-8")
    table = read(good + "坏行,坏\n".encode("gb18030") + "好行,好\n".encode())
    assert codes(table) == [(5, "format-encoding")]
    assert labels(table)[-1] == "好"
    table = read('{"text": "é", "label": "a"}\n'.encode() * 3 + b'{"text": "\xe9"}\n', "d.jsonl")
    assert codes(table) == [(4, "format-encoding")]


def test_a_named_encoding_is_obeyed(read):
    content = "text,label\nПривет,a\nмир,b\n".encode("cp1251")
    assert texts(read(content, encoding="cp1251")) == ["Привет", "мир"]


def test_an_unknown_encoding_is_a_sentence(read):
    with pytest.raises(UsageError, match="use a name such as utf-8"):
        read("text,label\na,b\n", encoding="utf-9")
    with pytest.raises(UsageError, match="use a name such as utf-8"):
        read("text,label\na,b\n", encoding="base64")
