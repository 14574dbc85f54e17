"""Pocket TTS on a small checkpoint of random weights in the package's format: its samples, its voices, its faults."""

from __future__ import annotations

import logging
import re
import shutil
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from models.tts.pocket import Pocket
from models.tts.pocket.files import CONFIGS, FETCHED, GATED, NATIVE, PUBLIC, VOICES, voice_file
from models.tts.pocket.model import LanguageModel, load_model
from pipeline.contracts import Voice
from pipeline.errors import BadInput, ModelError, Refused
from pipeline.events import AudioChunk, ReadingUnit, Samples, SpeechChunk
from pipeline.voices.record import Consent, VoiceRecord
from pipeline.voices.store import VoiceStore
from tests.contract.backends import POCKET_MISSING
from tests.scripted import pieces

if find_spec("pocket_tts") is None:
    pytest.skip(POCKET_MISSING, allow_module_level=True)

HZ = 24_000
TEXT = "hola, amigos"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    from benchmarks.pocket_checkpoint import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("pocket"))


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    """The checkpoint, to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture(scope="module")
def model(folder) -> LanguageModel:
    return loaded(folder)


def loaded(folder: Path) -> LanguageModel:
    (files,) = Pocket(folder=str(folder))._found().values()
    return load_model("es", files, int8=False)


def clip(seconds: float = 4.0, level: float = 0.1, seed: int = 1) -> AudioChunk:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * HZ))
    return AudioChunk((noise * level).astype(np.float32), HZ, 0.0)


async def say(speaking, text: str) -> Samples:
    unit = ReadingUnit(1, (), text, "es", 0.0, 1.0, 1.0)
    return np.concatenate([chunk.samples async for chunk in speaking.say(unit, pieces(text))])


@asynccontextmanager
async def opened(folder: Path, voice: Voice | None = None):
    async with Pocket(folder=str(folder)).load() as synthesizer, synthesizer.open(voice, "es") as speaking:
        yield speaking


def all_of(model: LanguageModel, state, text: str, seed: int = 7) -> Samples:
    chunks: list[Samples] = []
    model.speak(state, text, seed, threading.Event(), chunks.append)
    assert len(chunks) > 5
    return np.concatenate(chunks)


def test_the_chunks_joined_are_what_the_package_makes_of_the_same_seed(folder, model):
    import torch
    from pocket_tts import TTSModel

    settings = dict(model.files.config)
    config = folder / "whole.yaml"
    config.write_text(yaml.safe_dump(settings))
    package = TTSModel.load_model(config=config)
    state = package.get_state_for_audio_prompt(folder / "es" / "voices" / "ana.safetensors")
    torch.manual_seed(7)
    whole = package.generate_audio(state, "Hola, amigos. La casa.").numpy()
    ours = all_of(model, model.preset(folder / "es" / "voices" / "ana.safetensors"), "Hola, amigos. La casa.")
    np.testing.assert_allclose(ours, whole, atol=1e-6)


def test_a_learned_voice_is_what_the_package_makes_of_the_clip(model):
    import torch

    speech = clip().samples
    theirs = model.tts.get_state_for_audio_prompt(torch.from_numpy(speech)[None])
    ours = model.cloned(model.learn(speech))
    assert ours.keys() == theirs.keys()
    for name, state in theirs.items():
        for key, value in state.items():
            torch.testing.assert_close(ours[name][key], value, equal_nan=True)


def test_units_leave_the_voice_as_it_was_and_the_random_numbers_of_others_alone(model):
    import torch

    state = model.cloned(model.learn(clip().samples))
    before = {name: {key: value.clone() for key, value in one.items()} for name, one in state.items()}
    drawn = torch.random.get_rng_state()
    first = all_of(model, state, TEXT)
    all_of(model, state, "la casa grande", seed=8)
    np.testing.assert_array_equal(all_of(model, state, TEXT), first)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    for name, one in before.items():
        for key, value in one.items():
            torch.testing.assert_close(state[name][key], value, equal_nan=True)


def test_a_unit_that_is_stopped_computes_no_further_frame(model, monkeypatch):
    state, stop, frames = model.cloned(model.learn(clip().samples)), threading.Event(), []
    step = model.tts._run_flow_lm_and_increment_step

    def counted(**given):
        if given.get("backbone_input_latents") is not None:
            frames.append(1)
            if len(frames) > 3:
                stop.wait(30)
        return step(**given)

    monkeypatch.setattr(type(model.tts), "_run_flow_lm_and_increment_step", lambda _, **given: counted(**given))
    heard: list[Samples] = []
    model.speak(state, "a" * 40, 1, stop, lambda samples: (heard.append(samples), stop.set()))
    assert heard
    assert len(frames) <= 4


async def test_a_voice_is_learned_stored_and_spoken_with(folder, tmp_path):
    async with Pocket(folder=str(folder)).load() as synthesizer:
        voice = await synthesizer.enrol(clip())
        other = await synthesizer.enrol(clip(seed=2))
        consent = Consent("me", "2026-01-01T00:00:00Z", "yes", "0" * 64, "heard")
        record = VoiceRecord("me", "es", 4.0, 30.0, "2026-01-01T00:00:00Z", consent)
        store = VoiceStore(tmp_path)
        kept = store.voice(store.add(record, "pocket", voice.arrays), "pocket")
        said = {}
        for name, one in {"voice": voice, "kept": kept, "other": other, "preset": Voice("ana"), "none": None}.items():
            async with synthesizer.open(one, "es") as speaking:
                said[name] = await say(speaking, TEXT)
        assert synthesizer.lacks(Voice("me", {"fr-0": other.arrays[next(iter(other.arrays))]}), "es-MX")
        assert not any(synthesizer.lacks(kept, language) for language in ("es", "fr")), "French is not loaded"
    np.testing.assert_array_equal(said["kept"], said["voice"])
    np.testing.assert_array_equal(said["none"], said["preset"])
    for a, b in (("voice", "other"), ("voice", "preset")):
        assert not np.array_equal(said[a], said[b])
    assert all(array.dtype == np.float32 and array.nbytes < 20_000 for array in voice.arrays.values())


@pytest.mark.parametrize(
    ("audio", "why"),
    [
        (clip(2.0), "2.0 s long"),
        (clip(16.0), "16.0 s long"),
        (clip(level=1e-4), "silent"),
        (clip(level=9.0), "clipped"),
        (replace(clip(), samples=np.full(4 * HZ, np.nan, np.float32)), "finite"),
    ],
)
async def test_a_clip_that_is_unfit_is_told_why(folder, audio, why):
    async with Pocket(folder=str(folder)).load() as synthesizer:
        with pytest.raises(BadInput, match=why):
            await synthesizer.enrol(audio)
        assert (await synthesizer.enrol(clip())).arrays


async def test_a_voice_of_another_model_is_refused_and_the_session_can_begin_in_another(folder, model):
    key, latents = model.voice_key, model.learn(clip().samples)
    broken = latents.copy()
    broken[0, 0] = np.nan
    async with Pocket(folder=str(folder)).load() as synthesizer:
        for arrays in (
            {"speaker": latents},
            {"es-00000000": latents},
            {key: latents[:, :-1]},
            {key: broken},
            {key: latents[:0]},
        ):
            with pytest.raises(Refused, match="another model") as caught:
                async with synthesizer.open(Voice("me", arrays), "es"):
                    pass
            assert "enrol it again" in caught.value.hint
        with pytest.raises(BadInput, match="did you mean 'ana'"):
            async with synthesizer.open(Voice("anna"), "es"):
                pass
        async with synthesizer.open(Voice("me", {key: latents}), "es-MX") as speaking:
            assert len(await say(speaking, TEXT))


def test_another_encoder_gives_its_voices_another_name(folder, model, tmp_path):
    from benchmarks.pocket_checkpoint import write_checkpoint

    assert loaded(folder).voice_key == model.voice_key
    assert loaded(write_checkpoint(tmp_path, seed=1)).voice_key != model.voice_key


async def test_weights_that_cannot_clone_say_so_before_and_after_loading(copy):
    config = copy / "es" / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    settings |= {"weights_path": f"hf://{GATED}/x@{'0' * 40}", "weights_path_without_voice_cloning": "model.safetensors"}
    config.write_text(yaml.safe_dump(settings))
    backend = Pocket(folder=str(copy))
    with pytest.raises(Refused, match="cannot clone a voice"):
        backend.check_cloning()
    async with backend.load() as synthesizer:
        with pytest.raises(Refused, match="cannot clone a voice"):
            await synthesizer.enrol(clip())
        async with synthesizer.open(None, "es") as speaking:
            assert len(await say(speaking, TEXT))


async def test_the_error_of_a_text_comes_when_what_was_there_has_been_said(folder):
    async def failing():
        yield TEXT
        raise NotADirectoryError

    heard: list[SpeechChunk] = []

    async def listen(speaking) -> None:
        async for chunk in speaking.say(ReadingUnit(1, (), TEXT, "es", 0.0, 1.0, 1.0), failing()):
            heard.append(chunk)

    async with opened(folder) as speaking:
        with pytest.raises(NotADirectoryError):
            await listen(speaking)
        assert sum(len(chunk.samples) for chunk in heard)
        assert not any(chunk.last for chunk in heard)
        assert len(await say(speaking, TEXT))


async def test_a_model_that_fails_in_a_unit_is_an_error_and_the_next_unit_speaks(folder, monkeypatch):
    from pocket_tts.models.mimi import MimiModel

    async with opened(folder) as speaking:
        with monkeypatch.context() as patch:
            patch.setattr(MimiModel, "decode_from_latent", lambda *_: 1 / 0)
            with pytest.raises(ModelError, match="speech synthesis failed: division by zero"):
                await say(speaking, TEXT)
            patch.setattr(MimiModel, "decode_from_latent", silence)
            with pytest.raises(ModelError, match="no speech came of 'hola, amigos' in 2 attempts"):
                await say(speaking, TEXT)
        assert len(await say(speaking, TEXT))


def silence(mimi, latent, state):
    import torch

    return torch.zeros(1, 1, mimi.frame_size * latent.shape[1])


@pytest.mark.parametrize("fault", ["cut off", "another shape", "another vocabulary", "no configuration", "unknown setting"])
async def test_files_that_do_not_fit_are_told_at_loading(copy, fault):
    place = copy / "es"
    config = place / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    if fault == "cut off":
        (place / "model.safetensors").write_bytes((place / "model.safetensors").read_bytes()[:-100])
    elif fault == "another shape":
        settings["flow_lm"]["transformer"]["d_model"] = 128
    elif fault == "another vocabulary":
        settings["flow_lm"]["lookup_table"]["n_bins"] = 299
    elif fault == "no configuration":
        settings.pop("mimi")
    else:
        settings["colour"] = "blue"
    config.write_text(yaml.safe_dump(settings))
    with pytest.raises(ModelError, match="files of Pocket TTS for 'es' do not fit"):
        async with Pocket(folder=str(copy)).load():
            pass


async def test_a_voice_file_that_does_not_fit_is_told(folder, copy, tmp_path):
    from safetensors.numpy import load_file, save_file

    voices = copy / "es" / "voices"
    state = load_file(voices / "ana.safetensors")
    save_file(
        {name: np.repeat(a, 2, -1) if name.endswith("cache") else a for name, a in state.items()},
        voices / "wide.safetensors",
    )
    save_file({"talker/vector": np.zeros(3, np.float32)}, voices / "other.safetensors")
    (voices / "damaged.safetensors").write_bytes(b"none")
    async with Pocket(folder=str(copy)).load() as synthesizer:
        for name, why in (("wide", "another model"), ("other", "another model"), ("damaged", "no voice")):
            with pytest.raises(ModelError, match=why):
                async with synthesizer.open(Voice(name), "es"):
                    pass


async def test_nothing_is_sent_and_the_process_is_left_as_it_was(folder, monkeypatch):
    import torch

    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("a socket"))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        async with opened(folder) as speaking:
            assert new_thread(torch.get_num_threads) == 1
            assert len(await say(speaking, TEXT))
        assert new_thread(torch.get_num_threads) == 2
    finally:
        torch.set_num_threads(before)
    assert logging.getLogger().handlers == []


def new_thread(call: Callable[[], int]) -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


async def test_in_8_bits_it_speaks_too(folder):
    async with Pocket(folder=str(folder), int8=True).load() as synthesizer:
        voice = await synthesizer.enrol(clip())
        async with synthesizer.open(voice, "es") as speaking:
            assert len(await say(speaking, TEXT))


def test_our_table_is_that_of_the_package():
    from pocket_tts.utils.config import CONFIGS_DIR
    from pocket_tts.utils.utils import _ORIGINS_OF_PREDEFINED_VOICES as ORIGINS
    from pocket_tts.utils.utils import get_predefined_voice

    assert ORIGINS.keys() - VOICES.keys() == {"cosette", "jean", "juergen", "rafael"}
    assert {*VOICES, *FETCHED, *NATIVE.values()} <= ORIGINS.keys()
    for language, config in CONFIGS.items():
        assert (CONFIGS_DIR / f"{config}.yaml").is_file()
        there = voice_file(language, "alba")
        assert f"hf://{there.repository}/{there.path}@{there.revision}" == get_predefined_voice(config, "alba")
        settings = yaml.safe_load((CONFIGS_DIR / f"{config}.yaml").read_text())
        tokenizer = settings["flow_lm"]["lookup_table"]["tokenizer_path"]
        for reference, repository in (
            (settings["weights_path"], GATED),
            (settings["weights_path_without_voice_cloning"], PUBLIC),
            (tokenizer, PUBLIC),
        ):
            assert re.fullmatch(rf"hf://{repository}/\S+@[0-9a-f]{{40}}", reference)


def test_the_benchmark_speaks_to_the_limit_of_frames_and_leaves_no_figure_out(monkeypatch, capsys):
    from benchmarks import tts_pocket

    monkeypatch.setattr(tts_pocket, "find", lambda *_: None)
    saved = []
    figures = tts_pocket.measure(SimpleNamespace(geometry=["tiny"], rounds=1, save=saved.append))
    assert figures["speech_s_tiny"] == figures["speech_s_tiny_int8"] > 5
    assert all(value > 0 for value in figures.values())
    assert len(saved) == 2
    assert "of processors a second of speech" in capsys.readouterr().out
    with pytest.raises(BadInput, match="there are tiny, real"):
        tts_pocket.measure(SimpleNamespace(geometry=["0.6b"], rounds=1, save=saved.append))
