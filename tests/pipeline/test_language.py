"""A model that does not read the language of the rows."""

import numpy as np
import pytest
from jobs import write_csv

from fewtune.pipeline.language import foreign, unknown_share


class Tokenizer:
    """Of ten tokens, the first unknown."""

    unk_token_id, eos_token_id = 0, 9


@pytest.mark.parametrize(
    ("ids", "eos", "share"),
    [([[0, 1, 2], [0]], 9, 0.5), ([[1, 2]], 9, 0.0), ([[0, 1]], 0, 0.0)],
)
def test_a_token_that_stands_for_padding_is_known(ids, eos, share):
    tokenizer = Tokenizer()
    tokenizer.eos_token_id = eos
    assert unknown_share([*map(np.array, ids)], tokenizer) == share


@pytest.mark.parametrize(
    ("texts", "advice"),
    [
        (["水泵漏油", "皮带跑偏"], "BAAI/bge-small-zh-v1.5"),
        (["насос течёт", "лампа темна"], "one that reads their language"),
    ],
)
def test_the_advice_is_a_model_that_reads_them(texts, advice):
    ids = [np.array([1, 0, 0, 2]) for _ in texts]
    (event,) = foreign("minilm", [{"text": one} for one in texts], ids, Tokenizer())
    assert event["message"].startswith("minilm does not know 50% of the tokens")
    assert advice in event["message"]
    assert not [*foreign("minilm", [{"text": "x"}], [np.arange(1, 9)], Tokenizer())]


def test_training_and_its_report_tell_it(train, tmp_path):
    rows = [(f"{k} 号水泵漏油厂房", "ab"[k % 2]) for k in range(40)]
    data, heard = write_csv(tmp_path / "zh.csv", rows), []
    train("foreign", data=data, method="probe", listen=heard.append)
    told = [event["message"] for event in heard if event.name == "warned"]
    assert any("tokens of the training rows" in one for one in told)
    page = (tmp_path / "foreign" / "report.html").read_text(encoding="utf-8")
    assert "tokens of the training rows" in page
