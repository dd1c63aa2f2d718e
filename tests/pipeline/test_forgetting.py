"""What a language model forgot: measured against what can be computed by hand."""

import json

import numpy as np
import pytest
import torch
from tiny_models import WORDS

import fewtune
from fewtune.data.row import Origin, Row
from fewtune.methods import parse
from fewtune.methods.lora import LoRA
from fewtune.pipeline import forgetting

TEXTS = [" ".join(WORDS[(k + 5 * j) % len(WORDS)] for j in range(12)) for k in range(20)]
GENERAL = [Row(Origin("general", k), {"text": text}) for k, text in enumerate(TEXTS)]


@pytest.fixture
def lora(taught):
    return parse("lora", {"lora_r": 2})


def test_divergence_is_that_of_all_logits(taught, lora):
    voice, base = taught.voice, taught.untouched
    found = forgetting.drifted(voice, base, lora, GENERAL, 0)
    total, count = 0.0, 0
    for row in voice.encode(GENERAL).rows.ids:
        ids = torch.from_numpy(row)[None]
        with torch.no_grad():
            logs = [
                one.model.head(one.model.features(ids, torch.ones_like(ids)))[0, :-1].log_softmax(1)
                for one in (base, voice)
            ]
        total += float((logs[0].exp() * (logs[0] - logs[1])).sum())
        count += len(row) - 1
    assert found["divergence"] == pytest.approx(total / count, rel=0.02)
    assert found["divergence"] > 0
    assert 0 <= found["overlap"] <= 1


def test_a_model_beside_itself_has_not_moved(taught, lora):
    base = taught.untouched
    found = forgetting.drifted(base, fewtune.load(taught.path).untouched, lora, GENERAL, 0)
    assert found["divergence"] == pytest.approx(0, abs=1e-4)
    assert found["overlap"] == 1


def test_switching_gives_what_two_models_give(taught, lora):
    voice = fewtune.load(taught.path).voice
    lora.switch(voice.model, False)
    switched = forgetting.drifted(voice, voice, lora, GENERAL, 0)
    two = forgetting.drifted(taught.voice, taught.untouched, lora, GENERAL, 0)
    assert switched["divergence"] == pytest.approx(two["divergence"], rel=0.02)
    assert switched["answers"] == two["answers"]


def test_the_curve_goes_from_the_base_to_the_model(taught, lora):
    voice, base = taught.voice, taught.untouched
    rows = voice.encode([Row(Origin("a", 1), {"text": "pump leaks oil"})]).rows
    before = voice.losses(rows)[0]
    curve = forgetting.curve(voice, lora, rows, GENERAL)
    assert [one["scale"] for one in curve] == list(forgetting.SCALES)
    assert voice.losses(rows)[0] == pytest.approx(before)
    general = [one["general"] for one in curve]
    ends = [
        loss.sum() / count.sum()
        for loss, count, _ in (forgetting.general_losses(one, GENERAL) for one in (base, voice))
    ]
    assert min(ends) - 0.5 < min(general)
    assert max(general) < max(ends) + 0.5


def losses(values):
    return np.array(values), np.ones(len(values)), np.zeros(len(values))


def test_texts_that_were_never_known_are_not_forgotten():
    known = forgetting.known(losses([1.0, 9.0, 2.0]), vocabulary=100)
    assert known == [0, 2]
    assert forgetting.recalled(losses([1.0] * 3), losses([1.0] * 3), known, 0) == {
        "passages": 2, "known": False,
    }  # fmt: skip


def test_a_planted_rise_is_found_and_told():
    draw = np.random.Generator(np.random.PCG64(0))
    before = 2 + 0.1 * draw.normal(size=40)
    now = before + 0.5 + 0.1 * draw.normal(size=40)
    found = forgetting.recalled(losses(now), losses(before), range(40), 0)
    assert found["change"]["low"] < 0.5 < found["change"]["high"]
    assert found["change"]["value"] == pytest.approx(0.5, abs=0.06)
    scores = {"recall": found, "warnings": []}
    told = [event.name for event in forgetting.told(scores, LoRA())]
    assert told == ["recalled", "warned"]
    assert "forget" in scores["warnings"][0]
    assert "in place of" not in scores["warnings"][0]
    [*forgetting.told(scores, parse("full+lora", {}))]
    assert "`lora` in place of `full`" in scores["warnings"][1]


def test_no_rise_is_no_alarm():
    draw = np.random.Generator(np.random.PCG64(0))
    before = 2 + 0.1 * draw.normal(size=40)
    found = forgetting.recalled(losses(before + 0.01), losses(before), range(40), 0)
    scores = {"recall": found, "warnings": []}
    assert [event.name for event in forgetting.told(scores, LoRA())] == ["recalled"]


# --- replay --------------------------------------------------------------------------------------


def test_replayed_rows_are_learned_along(teach, tmp_path):
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    run = teach(replay=str(texts), replay_share=0.2)
    (told,) = [event for event in run.folder.events if event.name == "encoded"]
    plain = 48  # of 60 rows, a fifth is held out
    assert told["rows"] == pytest.approx(plain / 0.8, abs=1)
    assert any("learned along" in warning for warning in run.scores["warnings"])


def test_what_is_replayed_cannot_measure_what_is_forgotten(teach, tmp_path):
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "\n".join(TEXTS) + "\n")
    with pytest.raises(fewtune.UsageError, match="another file"):
        teach(replay=str(texts), general=str(texts))
    with pytest.raises(fewtune.UsageError, match="replay"):
        teach(replay=str(tmp_path / "nothing.csv"))
