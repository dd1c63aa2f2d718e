"""What `--model` may name, and the sentence for what it may not."""

import json
import re
import shutil

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file
from tiny_models import TEXTS

from fewtune.base.errors import FewtuneError
from fewtune.models import named
from fewtune.models.load import load_pooled, load_tokenizer
from fewtune.models.options import ModelOptions
from fewtune.models.pooling import Pooling
from fewtune.models.source import count_parameters, find, is_causal


@pytest.fixture
def folder(bert, tmp_path):
    """A copy of the tiny BERT, to be spoiled."""
    return shutil.copytree(bert.folder, tmp_path / "model")


def set_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), encoding="utf-8")


def refusal(folder, **options):
    with pytest.raises(FewtuneError) as caught:
        find(ModelOptions(model=str(folder), **options))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_folder_that_is_not_there_is_told(tmp_path):
    message = refusal(tmp_path / "missing")
    assert f"there is no folder {tmp_path / 'missing'}" in message
    assert "give a folder, a hub id, or `minilm`" in message


def test_a_file_is_not_a_folder(folder):
    assert "is a file; give the folder that holds it" in refusal(folder / "config.json")


def test_a_folder_without_config_is_no_model(tmp_path):
    assert "has no config.json, so it is not a model folder" in refusal(tmp_path)


def test_an_adapter_s_folder_asks_for_its_base(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "It is an adapter: give its base model." in refusal(tmp_path)


def test_a_broken_config_is_told_with_its_line(folder):
    (folder / "config.json").write_text('{\n"model_type": ')
    assert "is not valid JSON (line 2)" in refusal(folder)


def test_a_folder_without_weights_is_told(folder):
    (folder / "model.safetensors").unlink()
    assert "has a config.json and no weights" in refusal(folder)


def test_pickle_is_refused_unless_it_is_trusted(folder, bert):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    message = refusal(folder)
    assert "pickle (pytorch_model.bin), which can run code" in message
    assert "--allow-pickle" in message
    options = ModelOptions(model=str(folder), allow_pickle=True)
    assert not is_causal(options)  # what is trusted is trusted wherever the model is looked at
    loaded = load_pooled(find(options), 3, options)
    with torch.no_grad():
        features = [m.features(**bert.batch()) for m in (loaded, bert.model)]
    torch.testing.assert_close(*features)


def test_code_of_others_is_refused_and_the_first_qwen_has_a_successor(folder):
    auto_map = {"AutoModel": "modeling_qwen.QWenLMHeadModel"}
    set_config(folder, model_type="qwen", auto_map=auto_map)
    message = refusal(folder)
    assert "brings code of its own, which fewtune does not run" in message
    assert "Qwen2.5-7B needs none" in message
    set_config(folder, model_type="chatglm", auto_map=auto_map)
    assert "Qwen" not in refusal(folder)


def test_an_unknown_family_is_told_with_the_known_ones(folder):
    set_config(folder, model_type="t5")
    message = refusal(folder)
    assert "'t5', which fewtune does not know" in message
    assert "bert" in message
    assert "llama" in message


def test_more_positions_than_the_model_has_are_refused(bert):
    message = refusal(bert.folder, max_length=65)
    assert "has 64 positions" in message
    assert "got 65" in message


def test_the_length_is_what_was_asked_for_else_what_the_encoder_was_trained_with(folder):
    def length(**options):
        return find(ModelOptions(model=str(folder), **options)).max_length

    assert length() == 64
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    assert length() == 32
    assert length(max_length=48) == 48


# --- pooling --------------------------------------------------------------------------------------


def with_pooling(folder, config, *kinds):
    modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    return find(ModelOptions(model=str(folder))).pooling


@pytest.mark.parametrize("mode", ["mean", "cls", "max", "lasttoken"])
def test_pooling_is_read_from_the_new_style_of_config(folder, mode):
    found = with_pooling(folder, {"pooling_mode": mode}, "Transformer", "Pooling", "Normalize")
    assert found == Pooling(mode, normalize=True)


@pytest.mark.parametrize(
    ("key", "mode"),
    [
        ("mean_tokens", "mean"),
        ("cls_token", "cls"),
        ("max_tokens", "max"),
        ("lasttoken", "lasttoken"),
    ],
)
def test_pooling_is_read_from_the_old_style_of_config(folder, key, mode):
    config = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": False}
    config |= {f"pooling_mode_{key}": True}
    assert with_pooling(folder, config, "Transformer", "Pooling") == Pooling(mode)


def test_a_pooling_that_fewtune_lacks_is_refused(folder):
    with pytest.raises(FewtuneError, match="pools by 'weightedmean'"):
        with_pooling(folder, {"pooling_mode": "weightedmean"}, "Transformer", "Pooling")
    with pytest.raises(FewtuneError, match="pools by 'weightedmean_tokens'"):
        with_pooling(folder, {"pooling_mode_weightedmean_tokens": True}, "Transformer", "Pooling")
    both = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    with pytest.raises(FewtuneError, match="pools by 'cls_token\\+mean_tokens'"):
        with_pooling(folder, both, "Transformer", "Pooling")


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("model.safetensors.index.json", "[]"),
        ("model.safetensors.index.json", '{"weight_map": 3}'),
        ("sentence_bert_config.json", "[]"),
        ("modules.json", "{}"),
        ("modules.json", '["Transformer"]'),
    ],
)
def test_json_of_another_form_is_told(folder, name, held):
    (folder / name).write_text(held, encoding="utf-8")
    assert name in refusal(folder)


def test_a_home_that_nobody_has_is_no_folder():
    assert "there is no folder ~nobody-here/x" in refusal("~nobody-here/x")


def test_without_sentence_transformers_files_the_family_decides(bases):
    assert find(ModelOptions(model=str(bases["bert"].folder))).pooling.mode == "mean"
    assert find(ModelOptions(model=str(bases["llama"].folder))).pooling.mode == "lasttoken"


# --- tokenizer, counts ----------------------------------------------------------------------------


def test_a_decoder_without_a_padding_token_borrows_its_end_token(bases):
    source = find(ModelOptions(model=str(bases["gpt2"].folder)))
    saved = json.loads((source.folder / "tokenizer_config.json").read_text("utf-8"))
    assert saved.get("pad_token") is None
    tokenizer = load_tokenizer(source)
    assert tokenizer.pad_token == tokenizer.eos_token
    assert tokenizer.padding_side == "right"
    assert load_pooled(source, 2, ModelOptions()).backbone.config.pad_token_id is not None


def test_borrowed_padding_changes_no_answer(bases):
    base = bases["gpt2"]
    torch.manual_seed(0)
    torch.nn.init.normal_(base.model.head.weight)
    with torch.no_grad():
        crowd = base.model(**base.batch())
        alone = torch.cat([base.model(**base.batch([text])) for text in TEXTS])
    torch.testing.assert_close(crowd, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_parameters_are_counted_from_the_file_s_header(bases, family):
    base = bases[family]
    counted = count_parameters(find(ModelOptions(model=str(base.folder))))
    assert counted == sum(p.numel() for p in base.model.backbone.parameters())


def test_parameters_of_a_folder_without_safetensors_are_unknown(folder):
    source = find(ModelOptions(model=str(folder)))
    (folder / "model.safetensors").unlink()
    assert count_parameters(source) is None


# --- the hub --------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache of the hub's layout, and no network."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # read once, at import
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_a_hub_id_is_found_in_the_local_cache(bert, hub):
    revision = "0123456789abcdef0123456789abcdef01234567"
    place = hub / "models--acme--tiny-bert"
    snapshot = shutil.copytree(bert.folder, place / "snapshots" / revision)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(revision)
    source = find(ModelOptions(model="acme/tiny-bert"))
    assert source.folder == snapshot
    assert load_pooled(source, 2, ModelOptions()).head.out_features == 2


@pytest.fixture
def online(bert, hub, monkeypatch):
    """A hub that has the tiny BERT; gives what was asked of its network, by file patterns.

    As hubs of before 2.0 do, the cache gives a snapshot whether or not it is whole.
    """
    place, asked = hub / "models--acme--tiny-bert" / "snapshots" / "0", []

    def download(name, allow_patterns, local_files_only=False):
        if local_files_only:
            if not place.exists():
                raise LocalEntryNotFoundError("not here")
            return str(place)
        asked.append(allow_patterns)
        place.mkdir(parents=True, exist_ok=True)
        for file in bert.folder.iterdir():
            if any(file.match(one) for one in allow_patterns):
                shutil.copy(file, place)
        return str(place)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return asked


def test_weights_are_fetched_by_who_needs_them_and_not_twice(online):
    options = ModelOptions(model="acme/tiny-bert")
    source = find(options, weights=False)
    assert not [*source.folder.glob("*.safetensors")]
    assert find(options, weights=False) == source
    assert len(online) == 1
    assert load_pooled(find(options), 2, options).head.out_features == 2
    assert find(options) == find(options, weights=False) == source
    assert len(online) == 2


def test_a_snapshot_that_lacks_a_shard_is_completed(online, bert):
    options = ModelOptions(model="acme/tiny-bert")
    folder = find(options).folder
    (folder / "model.safetensors").rename(folder / "model-1-of-2.safetensors")
    index = {"weight_map": {"one": "model-1-of-2.safetensors", "other": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert {one.name for one in find(options).folder.glob("*.safetensors")} == {
        "model-1-of-2.safetensors",
        "model.safetensors",
    }


def test_weights_that_a_plan_left_out_and_no_network_brings_are_told(online, monkeypatch):
    find(ModelOptions(model="acme/tiny-bert"), weights=False)

    def cut_off(name, allow_patterns, local_files_only=False):
        raise LocalEntryNotFoundError("a snapshot that is not whole")

    monkeypatch.setattr("huggingface_hub.snapshot_download", cut_off)
    assert "from the hub, which was not reached" in refusal("acme/tiny-bert")


@pytest.mark.parametrize("name", ["acme/nowhere", "nowhere", "not a name!"])
def test_a_hub_id_that_cannot_be_had_is_one_sentence(hub, name):
    message = refusal(name)
    assert f"{name!r} is no folder here and could not be had from the hub" in message
    assert "give a folder, a hub id, or `minilm`" in message
    assert "Did you mean" not in message


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("minilmm", "minilm"),
        ("MiniLM", "minilm"),
        ("sentence-transformers/all-MiniLM-L6-v2", "minilm"),
        ("bge-small-zh", "BAAI/bge-small-zh-v1.5"),
        ("bert-base-chinese", "google-bert/bert-base-chinese"),
    ],
)
def test_a_name_that_is_nearly_one_is_asked_about(hub, name, near):
    assert f"Did you mean {near}?" in refusal(name)


@pytest.mark.parametrize("name", ["acme/nowhere", "bge-small-zh"])
def test_without_a_network_a_way_to_a_model_is_told(hub, name):
    message = refusal(name)
    assert "could not be had from the hub, which was not reached" in message
    assert "download the model elsewhere and give its folder, or set HF_ENDPOINT" in message
    assert "Error" not in message


def test_what_comes_along_needs_no_network(hub):
    assert "HF_ENDPOINT" not in refusal("minilmm")


def test_models_are_recommended_by_their_full_names_on_the_hub():
    found = [*named.READ_CHINESE, *named.WRITE_CHINESE]
    assert len(found) == 4
    assert all(re.fullmatch(r"[\w-]+/[\w.-]+", one) for one in found)
