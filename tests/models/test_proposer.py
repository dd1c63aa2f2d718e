"""Other words for words: by a masked head in context, by a table of embeddings without one."""

import math
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.models.load import load_tokenizer
from fewtune.models.masked import Masked
from fewtune.models.neighbours import FLOOR, KEPT, Neighbours
from fewtune.models.proposer import Proposer
from fewtune.models.vocabulary import Place, Vocabulary, script

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
COLOURS = ["red", "blue", "old"]
WORDS = [
    *("the", "pump", "lamp", "leaks", "drips", "oil", "is", "dark", *COLOURS, "Pump", "x"),
    *("##s", "gas", "##ket", "!", "42", "насос", "café", *"水泵漏渗油电机"),
]
TEXTS = [f"the {colour} pump {verb} oil" for colour in COLOURS for verb in ("leaks", "drips")]
TEXTS += [f"the {colour} lamp is dark" for colour in COLOURS]
TEXTS += ["水泵漏油", "水泵渗油", "油泵漏油", "油泵渗油"]


def tokenizer_of(words=WORDS):
    ids = {word: k for k, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad", "unk", "cls", "sep", "mask")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{name}_token": token for name, token in zip(names, SPECIAL, strict=True)},
    )


def config_of(tokenizer):
    return transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=24, hidden_dropout_prob=0,
        attention_probs_dropout_prob=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def masked(tmp_path_factory) -> Path:
    """A BERT with its head that has learned TEXTS by heart, a word or two characters masked."""
    folder = tmp_path_factory.mktemp("masked")
    tokenizer = tokenizer_of()
    torch.manual_seed(0)
    model = transformers.BertForMaskedLM(config_of(tokenizer))
    rows, answers = [], []
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        size = 2 if text[0] == "水" or text[0] == "油" else 1
        for at in range(1, len(ids) - 1, size):
            hidden = [4 if at <= k < at + size else token for k, token in enumerate(ids)]
            rows.append(hidden)
            answers.append([t if h == 4 else -100 for t, h in zip(ids, hidden, strict=True)])
            if size == 2:  # the second character with the first one filled in
                rows.append([*ids[: at + 1], 4, *ids[at + 2 :]])
                answers.append([-100] * (at + 1) + [ids[at + 1]] + [-100] * (len(ids) - at - 2))
    width = max(map(len, rows))
    given = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    wanted = torch.tensor([row + [-100] * (width - len(row)) for row in answers])
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = model(given, attention_mask=(given != 0).long(), labels=wanted).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A BERT without the head, in whose table some words lie at chosen angles to `pump`."""
    folder = tmp_path_factory.mktemp("bare")
    cosines = {"Pumps": 0.9, "pumper": 0.7, "насос": 0.95}
    cosines |= {"motor": FLOOR + 0.02, "turbine": FLOOR + 0.01, "lamp": FLOOR - 0.01}
    others = ["gas", "##ket", "gaslight", "not", "never", "notary", "泵"]
    tokenizer = tokenizer_of(["pump", *cosines, *others])
    torch.manual_seed(0)
    model = transformers.BertModel(config_of(tokenizer))
    table = torch.zeros(len(tokenizer), 32)
    number = tokenizer.convert_tokens_to_ids
    table[number("pump"), 0] = 3
    for k, (word, cosine) in enumerate(cosines.items(), 1):
        table[number(word), 0] = 2 * cosine
        table[number(word), k] = 2 * math.sqrt(1 - cosine**2)
    for word, at in (("gas", 10), ("##ket", 11), ("gaslight", 10), ("not", 12), ("notary", 12)):
        table[number(word), at] = 1
    table[number("never"), 12] = table[number("泵"), 13] = 1
    model.get_input_embeddings().weight.data = table
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def ask(folder, text, at):
    """Words for one place of a text whose pieces are parted by bars."""
    (found,) = Proposer(str(folder))([text.split("|")], [[at]])
    return found[at]


# --- with a head ---------------------------------------------------------------------------------


def test_the_head_proposes_what_stands_there_in_context(masked):
    proposer = Proposer(str(masked))
    texts = ["the| |red| |pump| |leaks| |oil", "the| |old| |lamp| |is| |dark"]
    pump, lamp = proposer([text.split("|") for text in texts], [[2, 6], [2, 4]])
    assert set(pump[2]) == {"blue", "old"}
    assert pump[6] == ("drips",)
    assert set(lamp[2]) == {"red", "blue"}
    assert "lamp" not in lamp[4], "the word itself"


def test_an_empty_piece_is_a_place_without_a_word(masked):
    assert set(ask(masked, "the| || |pump| |leaks| |oil", 2)) == set(COLOURS)


def test_a_chinese_word_is_filled_character_by_character(masked):
    assert ask(masked, "水泵|漏油", 0) == ("油泵",)
    assert set(ask(masked, "|漏油", 0)) == {"水泵", "油泵"}
    assert ask(masked, "水泵|漏油", 1) == (), "渗油 is none that jieba knows"


def test_characters_that_make_no_word_are_left_out(masked, monkeypatch):
    monkeypatch.setattr("fewtune.models.masked._is_known", lambda word: word != "油泵")
    assert ask(masked, "水泵|漏油", 0) == ()


def test_the_head_reads_the_mask_s_row_whatever_is_asked_beside_it(masked):
    texts = [f"the |{colour}| pump leaks oil".split("|") for colour in COLOURS]
    texts += [["the old ", "lamp", " is dark"], ["水泵", "漏油"]]
    together = Proposer(str(masked))(texts, [[1]] * len(texts))
    alone = [Proposer(str(masked))([text], [[1]])[0] for text in texts]
    assert together == alone
    assert together == Proposer(str(masked))(texts, [[1]] * len(texts))


def test_far_longer_texts_than_the_model_has_positions_for_are_asked_around_the_place(masked):
    far = "lamp is dark " * 50
    assert set(ask(masked, f"{far}the |red| pump leaks oil{' ' + far}", 1)) & set(COLOURS)


def test_pieces_without_letters_and_unknown_scripts_have_no_offers(masked):
    (found,) = Proposer(str(masked))([["42", " ", "!", " ", "คน"]], [[0, 2, 4]])
    assert found == {0: (), 2: (), 4: ()}


def test_a_text_that_spells_the_mask_is_only_a_text(masked):
    assert set(ask(masked, "[MASK] the |red| pump leaks oil", 1)) <= {*COLOURS, *WORDS}


# --- without a head ------------------------------------------------------------------------------


def test_without_a_head_near_words_come_by_cosine_down_to_a_floor(bare):
    assert ask(bare, "the| |pump", 2) == ("motor", "turbine")


def test_forms_of_a_word_are_offered_only_where_nothing_else_is_near(bare, monkeypatch):
    monkeypatch.setattr("fewtune.models.neighbours.FLOOR", 0.65)
    assert ask(bare, "the| |pump", 2) == ("Pumps", "pumper")


def test_a_word_s_own_pieces_are_not_offered_for_it(bare):
    # gasket is gas + ##ket: its mean is 0.71 from both, and from gaslight
    assert ask(bare, "gasket", 0) == ("gaslight",)


def test_words_that_only_hold_a_sentence_together_have_no_offers(bare):
    assert {"not", "never"} <= KEPT
    assert ask(bare, "not", 0) == (), "though notary has its very vector here"
    assert ask(bare, "notary", 0) == (), "nor are they offered"
    assert ask(bare, "unheard", 0) == () == ask(bare, "泵", 0)


def test_where_no_word_stands_those_near_its_neighbours_are_offered(bare):
    assert ask(bare, "the| || |pump", 2) == ("motor", "turbine")


def test_which_of_the_two_is_seen_by_the_weights(masked, bare):
    assert isinstance(Proposer(str(masked))._source, Masked)
    assert isinstance(Proposer(str(bare))._source, Neighbours)


def test_minilm_s_neighbours_are_synonyms_and_forms():
    words = ["broken", "quickly", "movie", "good", "gasket", "never", "Paris", "pump", "negative"]
    found = [one[0] for one in Proposer("minilm")([[word] for word in words], [[0]] * len(words))]
    assert "shattered" in found[0]
    assert found[1][:2] == ("rapidly", "swiftly")
    assert "film" in found[2]
    assert "excellent" in found[3]
    assert "bad" not in found[3]
    assert found[4] == found[5] == ()
    assert "paris" not in found[6]
    assert found[7] == ("pumps", "pumping")
    assert "positive" not in found[8], "a cosine of 0.67"


def test_a_head_that_is_not_there_does_not_move_the_caller_s_dice(bare):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Proposer(str(bare))([["pump"]], [[0]])
    assert torch.rand(1) == expected


# --- refusals ------------------------------------------------------------------------------------


def test_nothing_is_read_before_the_first_call():
    proposer = Proposer("/nowhere/at/all")
    with pytest.raises(FewtuneError, match="there is no folder /nowhere/at/all"):
        proposer([["pump"]], [[0]])


def test_a_causal_model_is_refused(bases):
    with pytest.raises(UsageError, match="from left to right"):
        Proposer(str(bases["gpt2"].folder))([["pump"]], [[0]])


def test_weights_that_lack_more_than_the_head_are_refused(masked, tmp_path):
    from safetensors.torch import load_file, save_file

    for file in masked.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(masked / "model.safetensors")
    del tensors["bert.encoder.layer.0.output.dense.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(FewtuneError, match="lack 1 of the model's tensors"):
        Proposer(str(tmp_path))([["pump"]], [[0]])


# --- vocabulary ----------------------------------------------------------------------------------


def test_whole_words_are_neither_marks_nor_pieces_nor_single_letters():
    words = set(Vocabulary(tokenizer_of()).words.values())
    assert words == {*WORDS} - {"x", "##s", "##ket", "!", "42"}


@pytest.mark.parametrize("start", ["▁", "Ġ"])
def test_only_tokens_that_begin_a_word_are_words(start):
    tokens = [f"{start}pump", "ump", f"{start}motor", "泵", "!"]
    words = Vocabulary(tokenizer_of(tokens)).words
    assert list(words.values()) == ["pump", "motor", "泵"]


def test_a_place_offers_each_word_once_and_none_that_is_beside_it():
    place = Place(["Old", " ", "red", " ", "pump"], 2)
    assert place.offer(["RED", "blue", "old", "Blue", "new", "pump"], 5) == ("blue", "new")
    assert place.script() == script("red") == "LATIN"


def test_the_tiny_tokenizer_is_loaded_as_it_was_saved(masked):
    from fewtune.models.options import ModelOptions
    from fewtune.models.source import find

    tokenizer = load_tokenizer(find(ModelOptions(model=str(masked))))
    assert tokenizer.mask_token == "[MASK]"
    assert len(Vocabulary(tokenizer).characters()) == 7
