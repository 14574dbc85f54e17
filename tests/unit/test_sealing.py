"""Encryption at rest: with a key nothing that was said or learned can be read from the disk, and all of it with the key."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import soundfile

from pipeline.cli import main
from pipeline.errors import BadInput
from pipeline.sinks.sealing import KEY, MAGIC, SealedAudio, sealed, store_key, unsealed, unsealed_audio
from pipeline.voices.store import VoiceStore
from tests.unit.test_cli_translate import config, in_folder, talk, translate  # noqa: F401 - fixtures
from tests.unit.test_voices_store import CLIP, arrays, record

pytest.importorskip("cryptography")


@pytest.fixture
def key(monkeypatch) -> bytes:
    given = bytes(range(32))
    monkeypatch.setenv(KEY, base64.b64encode(given).decode())
    return given


def test_a_voice_is_not_to_be_read_from_the_disk_and_is_the_same_with_the_key(tmp_path, key, monkeypatch):
    store = VoiceStore(tmp_path / "voices")
    stored = store.add(record(), "toy", arrays(0.25), CLIP)
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        data = path.read_bytes()
        assert data.startswith(MAGIC)
        assert not any(word in data for word in (b"consent", b"toy", b"fLaC", np.float32(0.25).tobytes() * 2))
        assert path.stat().st_mode & 0o077 == 0
    assert store.record("anna") == stored
    assert {name: array.tolist() for name, array in store.voice(stored, "toy").arrays.items()} == {
        name: array.tolist() for name, array in arrays(0.25).items()
    }
    clip = store.clip(store.clip_path(stored))
    np.testing.assert_allclose(clip.samples, CLIP.samples, atol=1e-4)
    for other in ("", base64.b64encode(bytes(32)).decode()):
        monkeypatch.setenv(KEY, other)
        with pytest.raises(BadInput, match=f"{files[0].parent}") as error:
            store.record("anna")
        assert error.value.code == "store_key"
    store.remove("anna")


def test_voices_from_before_the_key_can_be_used_and_clips_too(tmp_path, monkeypatch):
    store = VoiceStore(tmp_path / "voices")
    plain = store.add(record(), "toy", arrays(0.5), CLIP)
    monkeypatch.setenv(KEY, base64.b64encode(bytes(32)).decode())
    assert store.record("anna") == plain
    np.testing.assert_allclose(store.clip(store.clip_path(plain)).samples, CLIP.samples, atol=1e-4)


def test_a_recording_is_encrypted_and_unsealed_sample_by_sample(translate, in_folder, key, monkeypatch):  # noqa: F811
    monkeypatch.setenv("TRANSLATE_LIVE_DATA", str(in_folder / "data"))  # a list of its own: all on it is erased
    plain = in_folder / "plain.wav"
    code, _, _ = translate("--record", "rec", "--out", plain)
    assert code == 0
    names = sorted(path.name for path in (in_folder / "rec").iterdir())
    assert names == ["original.wav.sealed", "translated.wav.sealed"]
    for name in names:
        assert b"RIFF" not in (in_folder / "rec" / name).read_bytes()
    assert main(["unseal", "rec/translated.wav.sealed", "--out", "open.wav"]) == 0
    ours, rate = soundfile.read(in_folder / "open.wav", dtype="int16")
    theirs, _ = soundfile.read(plain, dtype="int16")
    np.testing.assert_array_equal(ours, theirs)
    assert "AI-generated" in soundfile.SoundFile(in_folder / "open.wav").comment
    assert main(["unseal", "plain.wav", "--out", "x.wav"]) == 2
    assert main(["unseal", "rec/translated.wav.sealed", "--out", "rec/translated.wav.sealed"]) == 2
    assert main(["erase", "--before", "2999-01-01"]) == 0
    assert not (in_folder / "rec").exists()


def test_what_a_killed_process_left_is_heard_up_to_its_last_whole_piece(tmp_path, key):
    path, out = tmp_path / "a.wav.sealed", tmp_path / "a.wav"
    writer = SealedAudio(path, 16_000, "comment", key)
    for _ in range(3):
        writer.write(np.full(1600, 0.5, np.float32))
    whole = path.read_bytes()
    assert unsealed_audio(path, out) == pytest.approx(0.3)
    path.write_bytes(whole[:-5])
    assert unsealed_audio(path, out) == pytest.approx(0.2)
    writer.close()
    writer.close()


def test_a_changed_moved_or_foreign_piece_is_seen(tmp_path, key):
    path, other, out = tmp_path / "a.sealed", tmp_path / "b.sealed", tmp_path / "a.wav"
    for one in (path, other):
        writer = SealedAudio(one, 16_000, "comment", key)
        writer.write(np.zeros(100, np.float32))
        writer.write(np.ones(100, np.float32))
        writer.close()
    whole, foreign = path.read_bytes(), other.read_bytes()
    piece = 4 + 200 + 16
    last, before = whole[-piece:], whole[-2 * piece : -piece]
    for wrong in (
        whole[:-1] + bytes([whole[-1] ^ 1]),
        whole[: -2 * piece] + last + before,
        whole[:-piece] + foreign[-piece:],
    ):
        path.write_bytes(wrong)
        with pytest.raises(BadInput, match="not the key"):
            unsealed_audio(path, out)


def test_two_files_of_the_same_words_differ(tmp_path, key):
    assert sealed(b"the same words") != sealed(b"the same words")
    path = tmp_path / "x"
    path.write_bytes(sealed(b"the same words"))
    assert unsealed(path) == b"the same words"


@pytest.mark.parametrize("given", ["x", "c2hvcnQ=", "?" * 44])
def test_a_key_that_is_none_is_refused_before_anything_is_written(translate, in_folder, monkeypatch, given):  # noqa: F811
    monkeypatch.setenv(KEY, given)
    with pytest.raises(BadInput, match="is not the base64 of 32 bytes"):
        store_key()
    assert translate("--record", "rec")[0] == 2
    assert not (in_folder / "rec").exists()


def test_without_the_package_nothing_is_written_plain_instead(monkeypatch, key):
    monkeypatch.setattr("pipeline.sinks.sealing.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="needs the package cryptography") as error:
        sealed(b"x")
    assert "translate-live[encryption]" in error.value.hint
