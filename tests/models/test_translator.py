"""Back-translation with two tiny Marian models that have learned a few sentences."""

import json
from pathlib import Path

import pytest
import sentencepiece
import torch
import transformers

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.models.dice import Dice
from fewtune.models.translator import Translator

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")

ENGLISH = ["the pump leaks oil", "the motor is hot", "the lamp is dark", "a door jams"]
GERMAN = ["die Pumpe leckt", "der Motor ist heiß", "die Lampe ist dunkel", "eine Tür klemmt"]
AGAIN = ["the pump drips oil", "the motor runs hot", "the lamp is out", "a door sticks"]
#: One sentence that the way back may say in two ways, equally often.
EITHER = ("the motor runs hot", "the motor is too hot")


def build(folder: Path, pairs: list[tuple[str, str]]) -> Path:
    """A Marian model that has learned `pairs` by heart, with a sentencepiece tokenizer."""
    folder.mkdir()
    pieces: dict[str, int] = {"</s>": 0, "<unk>": 1}
    for name, texts in (("source", [a for a, _ in pairs]), ("target", [b for _, b in pairs])):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts * 5), model_prefix=str(folder / name), vocab_size=64,
            hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
        (folder / f"{name}.vocab").unlink()
        known = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.spm"))
        for k in range(known.get_piece_size()):
            pieces.setdefault(known.id_to_piece(k), len(pieces))
    pieces["<pad>"] = len(pieces)
    (folder / "vocab.json").write_text(json.dumps(pieces))
    files = [str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")]
    tokenizer = transformers.MarianTokenizer(*files, model_max_length=64)
    tokenizer.save_pretrained(folder)
    model = learned(tokenizer, pairs)
    model.generation_config.num_beams = 4  # as Marian's have it
    model.save_pretrained(folder)
    return folder


def learned(tokenizer, pairs):
    pad = tokenizer.pad_token_id
    torch.manual_seed(0)
    config = transformers.MarianConfig(
        vocab_size=len(tokenizer), d_model=48, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64, dropout=0,
        decoder_ffn_dim=64, max_position_embeddings=64, pad_token_id=pad, eos_token_id=0,
        decoder_start_token_id=pad, forced_eos_token_id=0, attention_dropout=0, init_std=0.1,
    )  # fmt: skip
    model = transformers.MarianMTModel(config)
    given = tokenizer([a for a, _ in pairs], padding=True, return_tensors="pt")
    wanted = tokenizer(text_target=[b for _, b in pairs], padding=True, return_tensors="pt")
    labels = wanted["input_ids"].masked_fill(wanted["attention_mask"] == 0, -100)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        model(**given, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return model.eval()


@pytest.fixture(scope="module")
def spelled(tmp_path_factory) -> str:
    """Two folders; neither is to be changed."""
    root = tmp_path_factory.mktemp("translators")
    back = list(zip(GERMAN, AGAIN, strict=True))
    back += [(GERMAN[1], EITHER[1])]
    there = build(root / "en-de", list(zip(ENGLISH, GERMAN, strict=True)))
    return f"{there},{build(root / 'de-en', back)}"


@pytest.fixture(scope="module")
def translator(spelled) -> Translator:
    return Translator(spelled)


def test_texts_come_back_in_other_words(translator):
    assert translator.there(ENGLISH, False, 0) == dict(zip(ENGLISH, GERMAN, strict=True))
    found = translator(ENGLISH, sample=False, seed=0)
    assert found[0] == AGAIN[0]
    assert found[2:] == AGAIN[2:]
    assert found[1] in EITHER


def test_order_and_company_do_not_change_a_translation(translator):
    together = translator(ENGLISH, sample=False, seed=0)
    assert translator(ENGLISH[::-1], sample=False, seed=5) == together[::-1]
    assert [translator([text], sample=False, seed=0)[0] for text in ENGLISH] == together
    assert translator(ENGLISH[:1] * 3, sample=False, seed=0) == together[:1] * 3


def test_a_seed_draws_the_same_words_and_others_draw_others(translator):
    drawn = {seed: translator(ENGLISH, sample=True, seed=seed) for seed in range(8)}
    assert drawn[3] == translator(ENGLISH, sample=True, seed=3)
    assert {texts[1] for texts in drawn.values()} == set(EITHER)
    assert translator(ENGLISH[1:2], sample=True, seed=3) == drawn[3][1:2], "whatever is beside it"


def test_drawing_leaves_the_caller_s_dice_where_they_are(spelled):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Translator(spelled)(ENGLISH, sample=True, seed=1)
    assert torch.rand(1) == expected


def test_what_is_written_is_bounded_by_what_is_read(spelled, monkeypatch):
    direction = Translator(spelled).there
    model = direction._model
    # every token but the end, over and over
    model.final_logits_bias[0, model.config.eos_token_id] = -1e4
    written = []
    decode = direction._tokenizer.batch_decode
    monkeypatch.setattr(
        direction._tokenizer,
        "batch_decode",
        lambda rows, **options: written.append(rows.shape[1]) or decode(rows, **options),
    )
    source = len(direction._tokenizer(ENGLISH[0])["input_ids"])
    direction([ENGLISH[0]], False, 0)
    assert written == [1 + 2 * source + 16]
    assert 2 * source + 16 < 63


def test_what_no_model_can_read_comes_back_as_it_is(translator):
    texts = ["", "42 !", "the pump " * 40, "the lamp is dark"]
    assert translator(texts, sample=False, seed=0) == [*texts[:3], "the lamp is out"]
    assert translator([], sample=False, seed=0) == []


def test_nothing_is_loaded_before_the_first_call(spelled):
    translator = Translator(spelled)
    assert not {"_model", "_tokenizer"} & vars(translator.there).keys()
    translator(ENGLISH[:1], sample=False, seed=0)
    assert {"_model", "_tokenizer"} <= vars(translator.back).keys()


def test_dice_draw_as_often_as_is_likely_and_never_what_is_excluded():
    chances = torch.tensor([0.6, 0.3, 0.1, 0.0])
    texts = [str(k) for k in range(3000)]
    rows = chances.log().expand(len(texts), -1)
    drawn = Dice(texts, 0)(torch.zeros(0), rows).argmax(-1)
    shares = torch.bincount(drawn, minlength=4) / len(texts)
    assert torch.allclose(shares, chances, atol=0.03)
    assert shares[3] == 0


@pytest.mark.parametrize("spelled", ["", "one", "one,", "a/b,c/d,e/f"])
def test_other_than_two_models_are_refused(spelled):
    with pytest.raises(UsageError, match="translators: give two models"):
        Translator(spelled)


def test_models_that_do_not_translate_are_refused_at_once(spelled, bases, tmp_path):
    good = Path(spelled.partition(",")[0])
    with pytest.raises(FewtuneError, match="of the family 'bert', which does not translate"):
        Translator(f"{good},{bases['bert'].folder}")
    with pytest.raises(FewtuneError, match="there is no folder"):
        Translator(f"{good},{tmp_path / 'nowhere'}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "m2m_100"}, "between many languages"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "brings code of its own"),
    ],
)
def test_configurations_that_cannot_work_are_refused_at_once(spelled, tmp_path, change, said):
    folder = copied(spelled, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(FewtuneError, match=said):
        Translator(f"{folder},{folder}")


def test_pickles_and_damaged_weights_are_refused(spelled, tmp_path):
    folder = copied(spelled, tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(FewtuneError, match="not a whole safetensors file"):
        Translator(f"{folder},{folder}")
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(FewtuneError, match="as pickle"):
        Translator(f"{folder},{folder}")


def copied(spelled: str, folder: Path) -> Path:
    for file in Path(spelled.partition(",")[0]).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder
