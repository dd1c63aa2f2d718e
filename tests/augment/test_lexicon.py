"""Files of synonyms."""

from pathlib import Path

import pytest

from fewtune.augment.lexicon import read_lexicon
from fewtune.base.errors import FewtuneError, UsageError

CILIN = Path(__file__).resolve().parents[3] / "shared/data/lexicons_zh/cilin_new.txt"


def test_cilin_s_equal_lines_are_synonyms_and_others_are_not(tmp_path):
    path = tmp_path / "cilin.txt"
    path.write_text("A 人\nAa01A01= 泵 水泵\nAa01A02# 油 水\nAa01A03@ 灯\n", encoding="gb18030")
    assert read_lexicon(str(path)) == {"泵": ("水泵",), "水泵": ("泵",)}


def test_two_columns_are_read_with_tab_or_comma(tmp_path):
    path = tmp_path / "words.csv"
    path.write_text("pump,compressor\nhot\twarm\n", encoding="utf-8")
    assert read_lexicon(str(path))["hot"] == ("warm",)


@pytest.mark.parametrize("head", ["word,synonym", "Word\tSynonym 1\tSynonym 2", "词语，同义词"])
def test_a_header_is_no_pair_of_synonyms(tmp_path, head):
    path = tmp_path / "words.csv"
    path.write_text(f"{head}\npump,compressor\n", encoding="utf-8")
    assert set(read_lexicon(str(path))) == {"pump", "compressor"}


def test_wordnet_s_files_are_read(tmp_path):
    line = "00001740 03 n 03 noise 0 dissonance 0 loud_sound 0 001 @ 00001930 n 0000 | a gloss"
    (tmp_path / "data.noun").write_text(f"  1 licence\n{line}\n", encoding="utf-8")
    assert read_lexicon(str(tmp_path)) == {"noise": ("dissonance",), "dissonance": ("noise",)}


def test_the_whole_of_cilin_is_read():
    if not CILIN.exists():
        pytest.skip("the lexicon is not beside this checkout")
    lexicon = read_lexicon(str(CILIN))
    assert len(lexicon) == 45_367
    assert "严重" in lexicon


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "holds no synonyms"), (b"alone\n", "holds no synonyms"), (b"\xff\xff\x00", "neither")],
)
def test_files_without_synonyms_are_refused(tmp_path, content, said):
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(FewtuneError, match=said):
        read_lexicon(str(path))


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="lexicon: there is no file"):
        read_lexicon(str(tmp_path / "nowhere.txt"))
    with pytest.raises(UsageError, match="no WordNet files"):
        read_lexicon(str(tmp_path))
