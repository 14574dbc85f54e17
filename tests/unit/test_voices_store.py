"""Voices on disk: private, whole at every moment, gone when removed."""

import asyncio
import errno
import os
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts import Voice
from pipeline.errors import BadInput, DeviceError
from pipeline.events import AudioChunk
from pipeline.profiles.backends import BackendChoice
from pipeline.profiles.profile import Profile
from pipeline.voices.choice import ChosenVoice, known_voices, model_of, voices_learned_before
from pipeline.voices.record import Consent, VoiceRecord, checked_name
from pipeline.voices.store import RECORD, VoiceStore, data_folder

CONSENT = Consent("Anna Smith", "2026-11-21T02:00:00+00:00", "I agree", "0" * 64, "heard")
CLIP = AudioChunk(np.sin(np.arange(72_000) * 0.05).astype(np.float32) * 0.5, 24_000, 0.0)


def record(name="anna", **other):
    return VoiceRecord(name, "en", 8.0, 30.0, "2026-11-21T02:00:00+00:00", CONSENT, **other)


def arrays(value):
    return {"speaker": np.full(8, value, np.float32), "frames": np.full((2, 3), value, np.float32)}


@pytest.fixture
def store(tmp_path) -> VoiceStore:
    return VoiceStore(tmp_path / "voices")


def files_of(store: VoiceStore) -> list[Path]:
    return [path for path in store.folder.rglob("*") if path.is_file()]


def value_of(store: VoiceStore, model="toy") -> float:
    voice = store.voice(store.record("anna"), model)
    assert voice.name == "anna"
    assert voice.arrays["frames"].shape == (2, 3)
    return float(voice.arrays["speaker"][0])


def test_what_is_stored_is_what_is_loaded(store):
    stored = store.add(record(), "toy", arrays(0.25), CLIP)
    assert VoiceStore(store.folder).record("anna") == stored
    assert stored.consent == CONSENT
    assert value_of(store) == 0.25
    samples, rate = soundfile.read(store.clip_path(stored), dtype="float32")
    assert rate == 24_000
    np.testing.assert_allclose(samples, CLIP.samples, atol=1e-4)


def test_only_the_owner_can_read_it_whatever_was_there_before(store):
    (store.folder / "anna").mkdir(parents=True, mode=0o777)
    old = os.umask(0)
    try:
        store.add(record(), "toy", arrays(1), CLIP)
    finally:
        os.umask(old)
    for folder in (store.folder, store.folder / "anna"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files_of(store)} == {0o600}
    assert len(files_of(store)) == 3


def test_the_clip_is_kept_only_on_request(store):
    assert store.clip_path(store.add(record(), "toy", arrays(1))) is None
    assert {path.suffix for path in files_of(store)} == {".json", ".safetensors"}


def test_replacing_leaves_nothing_of_the_old_one(store):
    store.add(record(), "toy", arrays(1), CLIP)
    store.cache(store.record("anna"), "other", arrays(2))
    store.add(record("Anna"), "toy", arrays(3))
    assert store.names() == ["anna"]
    assert store.record("anna").name == "Anna"
    assert list(store.record("ANNA").arrays) == ["toy"]
    assert len(files_of(store)) == 2


def test_each_model_has_its_arrays(store):
    store.add(record(), "small", arrays(1), CLIP)
    both = store.cache(store.record("anna"), "large", arrays(2))
    assert (value_of(store, "small"), value_of(store, "large")) == (1, 2)
    assert store.clip_path(both).is_file()


def test_removing_leaves_nothing(store):
    store.add(record(), "toy", arrays(1), CLIP)
    store.add(record("ben"), "toy", arrays(2))
    store.remove("Anna")
    assert store.names() == ["ben"]
    assert not (store.folder / "anna").exists()
    with pytest.raises(BadInput, match="no enrolled voice 'anna'.*valid: ben"):
        store.remove("anna")


def test_an_unknown_voice_names_the_nearest(store):
    with pytest.raises(BadInput, match="no voice 'anna', none is enrolled; try: to enrol one"):
        store.record("anna")
    store.add(record(), "toy", arrays(1))
    with pytest.raises(BadInput, match="did you mean 'anna'"):
        store.record("ana")


@pytest.mark.parametrize("first", [True, False], ids=["new", "replaced"])
@pytest.mark.parametrize("broken_at", range(1, 10))
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_any_step_leaves_the_old_voice_or_none(store, monkeypatch, first, broken_at, error):
    if not first:
        store.add(record(), "toy", arrays(1), CLIP)
    calls = 0

    def failing(call):
        def wrapped(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == broken_at:
                raise error
            return call(*args, **kwargs)

        return wrapped

    for name in ("mkstemp", "replace", "fsync"):
        place = "tempfile" if name == "mkstemp" else "os"
        monkeypatch.setattr(f"pipeline.sinks.writing.{place}.{name}", failing(getattr(__import__(place), name)))
    done = False
    with suppress(DeviceError, KeyboardInterrupt):
        store.add(record(), "toy", arrays(2), CLIP)
        done = True
    monkeypatch.undo()
    assert store.has("anna") or not done
    if store.has("anna"):
        assert value_of(store) in ({2} if first or done else {1, 2})
        assert store.clip_path(store.record("anna")).is_file()
        assert len(files_of(store)) == 3
    else:
        assert first
        assert files_of(store) == []
        assert list(store.folder.iterdir()) == []


def test_what_a_killed_process_left_is_no_voice_and_goes_with_the_next(store):
    store.add(record(), "toy", arrays(1), CLIP)
    (store.folder / "anna" / RECORD).unlink()
    assert store.names() == []
    assert not store.has("anna")
    store.add(record(), "toy", arrays(2))
    assert len(files_of(store)) == 2


def test_changed_or_missing_files_are_told(store):
    store.add(record(), "toy", arrays(1))
    (array_file,) = (store.folder / "anna").glob("*.safetensors")
    array_file.write_bytes(array_file.read_bytes()[:-1] + b"x")
    with pytest.raises(BadInput, match="is not what was stored; try: to enrol the voice again"):
        value_of(store)
    array_file.unlink()
    with pytest.raises(BadInput, match="cannot be read"):
        value_of(store)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"name": "anna"}', b"[1, 2]"])
def test_a_broken_record_says_how_to_mend_it_and_can_be_removed(store, content):
    store.add(record(), "toy", arrays(1))
    (store.folder / "anna" / RECORD).write_bytes(content)
    with pytest.raises(BadInput, match="broken.*; try: to enrol the voice again"):
        store.record("anna")
    store.remove("anna")
    assert store.names() == []


class ByLanguage:
    """A synthesizer that learns a voice for each language that is loaded."""

    def __init__(self, *languages):
        self.languages, self.enrolled = languages, 0

    async def enrol(self, audio):
        self.enrolled += 1
        learned = {language: np.full(3, self.enrolled, np.float32) for language in self.languages}
        await asyncio.sleep(0)
        return Voice("enrolled", learned)

    def lacks(self, voice, language):
        return language in self.languages and language not in voice.arrays


async def test_a_voice_is_learned_from_its_clip_for_a_language_that_came_later(store):
    chosen = ChosenVoice("anna", "toy", store, store.add(record(), "toy", {"es": np.zeros(3, np.float32)}, CLIP))
    spanish, both = ByLanguage("es"), ByLanguage("es", "fr")
    assert set((await chosen.ready(spanish, "es")).arrays) == set((await chosen.ready(spanish, "fr")).arrays) == {"es"}
    assert spanish.enrolled == 0
    voice = await chosen.ready(both, "fr")
    assert {name: array[0] for name, array in voice.arrays.items()} == {"es": 0, "fr": 1}, "what it spoke stays as it was"
    stored = store.record("anna")
    assert (stored.consent, stored.clip) == (CONSENT, chosen.record.clip)
    assert set((await chosen.ready(both, "fr")).arrays) == set((await chosen.ready(both, "es")).arrays) == {"es", "fr"}
    assert both.enrolled == 1, "it is kept"
    assert {path.name for path in files_of(store)} == {RECORD, stored.clip, stored.arrays["toy"].file}


async def test_sessions_that_learn_a_voice_at_once_lose_nothing_of_each_other(store):
    stored = store.add(record(), "toy", {"es": np.zeros(3, np.float32)}, CLIP)
    chosen = [ChosenVoice("anna", model, store, stored) for model in ("toy", "toy", "other")]
    taught = [ByLanguage("es", "fr"), ByLanguage("es", "de"), ByLanguage("it")]
    await asyncio.gather(*map(ChosenVoice.ready, chosen, taught, ("fr", "de", "it")))
    now = store.record("anna")
    assert set(store.voice(now, "toy").arrays) == {"es", "fr", "de"}
    assert set(store.voice(now, "other").arrays) == {"it"}
    assert len(files_of(store)) == 4


@pytest.mark.parametrize("again", [True, False])
async def test_a_voice_that_is_removed_while_it_is_learned_is_not_kept_nor_mixed_with_the_next_of_its_name(store, again):
    chosen = ChosenVoice("anna", "toy", store, store.add(record(), "other", arrays(1), CLIP))
    synthesizer = ByLanguage("es")
    learning = asyncio.create_task(chosen.ready(synthesizer, "es"))
    await asyncio.sleep(0)
    assert synthesizer.enrolled == 1
    store.remove("anna")
    if again:
        store.add(record(), "other", arrays(2), CLIP)
        assert (await learning).arrays["es"][0] == 2, "learned from the clip that is there now"
        assert set(store.record("anna").arrays) == {"other", "toy"}
    else:
        with pytest.raises(BadInput, match="no voice 'anna'"):
            await learning
        assert not store.has("anna")
    store.add(record(), "other", arrays(3))
    with pytest.raises(BadInput, match="not for toy.*keep its clip"):
        await chosen.ready(synthesizer, "es")


async def test_a_voice_without_its_clip_speaks_what_it_was_learned_for(store):
    chosen = ChosenVoice("anna", "toy", store, store.add(record(), "toy", {"es": np.zeros(3, np.float32)}))
    both = ByLanguage("es", "fr")
    assert set((await chosen.ready(both, "fr")).arrays) == {"es"}
    assert both.enrolled == 0


def test_a_damaged_voice_is_nobodys_and_hides_no_other(store):
    uses = {"recognizer": "Scripted", "translator": "Tagging", "synthesizer": "ScriptedVoice"}
    toy = Profile("toy", "", {stage: BackendChoice(f"tests.scripted_backends:{use}") for stage, use in uses.items()})
    for name in ("anna", "ben", "eve"):
        store.add(record(name), model_of(toy), arrays(1))
    (store.folder / "anna" / RECORD).write_bytes(b"{}")
    (array_file,) = (store.folder / "ben").glob("*.safetensors")
    array_file.write_bytes(b"x")
    assert set(voices_learned_before(toy, store)) == {"eve"}


def test_a_record_cannot_name_files_elsewhere(store, tmp_path):
    (tmp_path / "secret").write_text("secret")
    whole = store.add(record(), "toy", arrays(1))
    import msgspec

    path = store.folder / "anna" / RECORD
    path.write_bytes(msgspec.json.encode(replace(whole, clip="../../secret")))
    with pytest.raises(BadInput, match="another folder"):
        store.record("anna")
    path.write_bytes(msgspec.json.encode(replace(whole, name="ben")))
    with pytest.raises(BadInput, match="another folder"):
        store.record("anna")


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="TRANSLATE_LIVE_DATA"):
        VoiceStore(tmp_path / "file" / "voices").add(record(), "toy", arrays(1))


@pytest.mark.parametrize("name", ["anna", "Anna-2", "王芳", "björn_b", "7th", "a" * 40])
def test_good_names(name):
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../a", "a/b", "a\\b", "a b", "-a", "_a", "a.b", "a\0", "a\n", "a" * 41, "~", "C:", "*"]
)
def test_bad_names_are_no_paths(store, name):
    with pytest.raises(BadInput, match="valid: a letter or digit"):
        checked_name(name)
    assert not store.has(name)
    with pytest.raises(BadInput):
        store.remove(name)


async def test_a_number_names_no_new_voice_and_an_older_one_is_no_known_speaker(store):
    with pytest.raises(BadInput, match="a speaker who is not known"):
        checked_name("7")
    for name in ("7", "anna"):
        store.add(record(name), "toy", arrays(1), CLIP)
    assert set(await known_voices(store)) == {"anna"}
    store.remove("7")
    assert store.names() == ["anna"]


@pytest.mark.parametrize("name", ["same", "Same", "auto", "none"])
def test_names_with_a_meaning_are_taken(name):
    with pytest.raises(BadInput, match="a meaning of its own"):
        checked_name(name)


@given(st.text(max_size=50))
def test_no_name_leaves_the_folder(name):
    store = VoiceStore(Path("/data/voices"))
    try:
        place = store._place(name)
    except BadInput:
        return
    assert place.parent == store.folder
    assert os.path.normpath(place) == str(place)


def test_where_the_data_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("TRANSLATE_LIVE_DATA", str(tmp_path / "own"))
    assert VoiceStore().folder == tmp_path / "own" / "voices"
    monkeypatch.delenv("TRANSLATE_LIVE_DATA")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "translate-live"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert data_folder() == Path.home() / ".local" / "share" / "translate-live"
