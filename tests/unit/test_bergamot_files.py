"""Marian's files: what is written is read, and what is damaged or another kind is told in words."""

import struct

import numpy as np
import pytest

from models.mt.bergamot.backend import Bergamot
from models.mt.bergamot.marian_file import read_marian_file, read_shortlist
from pipeline.commands.advice import next_step
from pipeline.errors import ModelError
from tests.marian_files import MULTIPLIER, SETTINGS, random_tensors, write_marian, write_shortlist


def test_a_model_file_gives_its_numbers_settings_and_rows(tmp_path):
    tensors = random_tensors(30)
    write_marian(tmp_path / "model.bin", tensors)
    file = read_marian_file(tmp_path / "model.bin")
    assert file.settings == SETTINGS
    wide = file.matrix("encoder_l1_ffn_W1")
    np.testing.assert_array_equal(wide.values, tensors["encoder_l1_ffn_W1"])
    np.testing.assert_allclose(wide.real(), tensors["encoder_l1_ffn_W1"] / MULTIPLIER, rtol=1e-6)
    np.testing.assert_allclose(file.matrix("Wemb").real(np.array([3, 7])), tensors["Wemb"][[3, 7]] / MULTIPLIER, rtol=1e-6)
    np.testing.assert_array_equal(file.vector("decoder_l2_ffn_b2"), tensors["decoder_l2_ffn_b2"][0])
    with pytest.raises(ModelError, match="no encoder_l9_ffn_W1"):
        file.matrix("encoder_l9_ffn_W1")


@pytest.mark.parametrize("cut", [0, 10, 100, 3000, 20_000])
def test_a_model_file_that_was_cut_short_is_a_typed_error(tmp_path, cut):
    write_marian(tmp_path / "model.bin", random_tensors(30))
    (tmp_path / "model.bin").write_bytes((tmp_path / "model.bin").read_bytes()[:cut])
    with pytest.raises(ModelError, match="cannot be read as a Marian model"):
        read_marian_file(tmp_path / "model.bin")


def test_other_files_are_refused_in_words(tmp_path):
    (tmp_path / "text").write_text("not a model " * 100)
    with pytest.raises(ModelError, match="cannot be read as a Marian model"):
        read_marian_file(tmp_path / "text")
    with pytest.raises(ModelError, match="no-such-file"):
        read_marian_file(tmp_path / "no-such-file")
    write_marian(tmp_path / "model.bin", {"Wemb": np.zeros((3, 4), np.int8)})
    data = (tmp_path / "model.bin").read_bytes()
    place = data.index(struct.pack("<Q", 0x4101))
    (tmp_path / "avx2.bin").write_bytes(data[:place] + struct.pack("<Q", 0x6101) + data[place + 8 :])
    with pytest.raises(ModelError, match=r"Wemb is of the type 0x6101.*portable"):
        read_marian_file(tmp_path / "avx2.bin")


def test_a_shortlist_gives_what_its_source_needs_filled_up_to_eight(tmp_path):
    lists = [[], [9], [20, 21], [21, 30], *[[]] * 36]
    write_shortlist(tmp_path / "lex.bin", lists, frequent=4)
    shortlist = read_shortlist(tmp_path / "lex.bin", 40)
    assert shortlist.of([2, 3, 2], []).tolist() == [0, 1, 2, 3, 4, 20, 21, 30]  # 4 fills up
    assert shortlist.of([], [39]).tolist() == [0, 1, 2, 3, 4, 5, 6, 39]


@pytest.mark.parametrize("size", [10, 40])
def test_a_damaged_shortlist_or_one_of_another_vocabulary_is_a_typed_error(tmp_path, size):
    write_shortlist(tmp_path / "lex.bin", [[], [9], [20, 21]])
    data = (tmp_path / "lex.bin").read_bytes()
    (tmp_path / "lex.bin").write_bytes(data if size == 10 else data[:60])
    with pytest.raises(ModelError, match="cannot be read as a lexical shortlist"):
        read_shortlist(tmp_path / "lex.bin", size)


def test_a_direction_that_is_not_on_this_machine_names_the_command_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match="from 'en' to 'es'") as raised:
        Bergamot().decoder(("en", "es"))
    assert next_step(raised.value) == "translate-live pull auto --from en --to es"
    assert next_step(raised.value, "cpu") == "translate-live pull cpu --from en --to es"
