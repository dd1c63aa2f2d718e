"""Models are told apart by their files, wherever the files differ."""

import pytest

from fewtune.methods.artefact import fingerprint_of, fingerprint_of_saved

MIB = 2**20


def write(folder, name, changed=None, size=MIB):
    """A file of zeros, with other bytes in some places."""
    folder.mkdir(exist_ok=True)
    raw = bytearray(size)
    for place in changed or ():
        raw[place] = 1
    (folder / name).write_bytes(raw)
    return folder


@pytest.mark.parametrize("place", [0, MIB // 2, MIB - 1])
def test_saved_models_that_differ_in_one_byte_are_two(tmp_path, place):
    one, two = write(tmp_path / "a", "x.bin"), write(tmp_path / "b", "x.bin", [place])
    assert fingerprint_of_saved(one) != fingerprint_of_saved(two)
    (one / "README.md").write_text("a card")
    assert fingerprint_of_saved(one) == fingerprint_of_saved(write(tmp_path / "c", "x.bin"))


@pytest.mark.parametrize("block", range(0, 40, 3))
def test_a_base_of_which_one_block_was_tuned_is_another(tmp_path, block):
    tuned = range(block * MIB, (block + 1) * MIB, 1024)
    found = []
    for name, changed in (("a", ()), ("b", tuned)):
        folder = write(tmp_path / name, "model.safetensors", changed, size=40 * MIB)
        (folder / "config.json").write_text("{}")
        found.append(fingerprint_of(folder))
    assert found[0] != found[1]


def test_of_a_small_base_every_byte_counts(tmp_path):
    found = set()
    for place in range(0, MIB, 99_991):
        folder = write(tmp_path / str(place), "model.safetensors", [place])
        (folder / "config.json").write_text("{}")
        found.add(fingerprint_of(folder))
    assert len(found) == 11
