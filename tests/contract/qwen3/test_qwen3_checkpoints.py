"""Refusals of what a checkpoint, a clip or a language does not allow, with what it does; broken files are told by name."""

import json
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.tts_checkpoint import write_checkpoint
from models.tts.espeak import Espeak
from models.tts.qwen3 import Qwen3TTS
from pipeline.contracts import Voice
from pipeline.errors import BadInput, ModelError, Refused
from pipeline.events import AudioChunk
from pipeline.profiles.backends import Backends
from pipeline.profiles.profile import load_profile
from pipeline.request import SessionRequest, resolve
from tests.qwen3_sessions import RATE, clip, heard, load


@pytest.mark.skipif(bool(Espeak().missing()), reason="espeak-ng is not installed")
def test_the_gpu_profile_speaks_what_is_outside_the_ten_with_espeak_and_says_so(monkeypatch):
    monkeypatch.setattr(Backends, "missing", lambda self, synthesizer=None: [])
    monkeypatch.setattr(Backends, "pair_missing", lambda self, source, target: [])
    profile = load_profile("gpu")
    croatian = resolve(SessionRequest(("hr",), ("en",), spoken="hr"), profile)
    assert croatian.notices == ("Qwen3TTS does not speak Croatian (hr): Espeak will, in its own voice",)
    assert isinstance(profile.backends.synthesizers[croatian.speech[0].synthesizer], Espeak)
    japanese = resolve(SessionRequest(("ja",), ("en",), spoken="ja"), profile)
    assert (japanese.speech[0].synthesizer, japanese.notices) == ("synthesizer", ())


async def test_what_cannot_be_spoken_is_refused_when_the_session_opens(backend):
    async with backend.load() as synthesizer:
        with pytest.raises(Refused, match="de, en, es, fr, it, ja, ko, pt, ru, zh"):
            await synthesizer.open(None, "ca").__aenter__()
        with pytest.raises(Refused, match="no preset voice"):
            await synthesizer.open(Voice("ryan"), "en").__aenter__()
        with pytest.raises(Refused, match="enrolled with another model"):
            await synthesizer.open(Voice("me", {"speaker": np.zeros(7, np.float32)}), "en").__aenter__()
    assert backend.languages() == {"de", "en", "es", "fr", "it", "ja", "ko", "pt", "ru", "zh"}


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (clip(0), "0.0 s long"),
        (clip(1.5), "1.5 s long"),
        (clip(120), "120.0 s long"),
        (clip(level=1e-5), "silent"),
        (clip(level=5.0), "too loud"),
        (AudioChunk(np.full(4 * RATE, np.nan, np.float32), RATE, 0), "finite"),
    ],
    ids=["empty", "short", "long", "silent", "clipped", "nan"],
)
async def test_a_clip_one_cannot_learn_a_voice_from_is_refused_with_advice(backend, audio, says):
    audio = replace(audio, samples=np.clip(audio.samples, -1, 1))
    async with backend.load() as synthesizer:
        with pytest.raises(BadInput, match=says):
            await synthesizer.enrol(audio)


@pytest.mark.parametrize(
    ("kind", "size", "presets", "clones", "styled"),
    [
        ("base", "1b7", [], True, False),
        ("custom_voice", "1b7", ["dylan", "ryan"], False, True),
        ("custom_voice", "0b6", ["dylan", "ryan"], False, False),
        ("voice_design", "1b7", [], False, True),
    ],
)
async def test_what_a_checkpoint_can_is_known_before_it_loads(tmp_path, kind, size, presets, clones, styled):  # noqa: PLR0917
    folder = write_checkpoint(tmp_path, kind=kind)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tts_model_size": size}))
    for file in folder.rglob("*.safetensors"):
        file.unlink()  # nothing of them is read
    backend = Qwen3TTS(model=str(folder), device="cpu", style="softly")
    assert backend.presets() == presets
    assert [backend.has_preset(name) for name in ("Ryan", "ryen")] == [bool(presets), False]
    with nullcontext() if clones else pytest.raises(Refused, match="Base"):
        backend.check_cloning()
    with nullcontext() if styled else pytest.raises(Refused, match="takes no style.*CustomVoice"):
        backend.check_style()
    if not styled:
        with pytest.raises(Refused, match="takes no style"):
            await load(folder, style="softly")
    with pytest.raises(Refused, match="ryen.*ryan" if presets else "ryen.*this checkpoint has none"):
        await load(folder, voice="ryen")


async def test_presets_and_styles_belong_to_their_checkpoints(tmp_path):
    custom = write_checkpoint(tmp_path / "custom", kind="custom_voice")
    async with Qwen3TTS(model=str(custom), device="cpu", voice="Dylan", style="softly", sessions=1).load() as synthesizer:
        with pytest.raises(Refused, match="speaker encoder"):
            await synthesizer.enrol(clip())
        async with synthesizer.open(None, "zh") as session:
            assert len(await heard(session, 0, "hello")) > 0
        with pytest.raises(Refused, match=r"did you mean 'ryan'\?"):
            await synthesizer.open(Voice("ryen"), "en").__aenter__()


@pytest.mark.parametrize("shards", [1, 3])
async def test_a_checkpoint_loads_whole_or_in_shards(tmp_path, shards):
    await load(write_checkpoint(tmp_path, shards=shards))


async def test_a_broken_checkpoint_is_told_by_name(tmp_path):
    folder = write_checkpoint(tmp_path, shards=2)
    shard = folder / "model-00002-of-00002.safetensors"
    tensors = load_file(shard)
    name = sorted(tensors)[0]
    save_file({key: value for key, value in tensors.items() if key != name}, shard)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        await load(folder)
    save_file(tensors | {"talker.surplus": torch.zeros(1)}, shard)
    with pytest.raises(ModelError, match="surplus"):
        await load(folder)
    save_file(tensors | {name: torch.zeros(3, 3)}, shard)
    with pytest.raises(ModelError, match=r"has shape \(3, 3\)"):
        await load(folder)
    shard.write_bytes(b"not a tensor")
    with pytest.raises(ModelError, match="damaged"):
        await load(folder)
    shard.unlink()
    with pytest.raises(ModelError, match="shard"):
        await load(folder)


async def test_another_models_checkpoint_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    for change, says in (
        ({"tokenizer_type": "qwen3_tts_tokenizer_25hz"}, "12 Hz"),
        ({"tts_model_type": "singing"}, "singing"),
        ({"talker_config": {**config["talker_config"], "num_code_groups": 32}}, "16 code groups"),
        ({"talker_config": {}}, "code_predictor_config"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=says):
            await load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="JSON"):
        await load(folder)


async def test_what_is_missing_is_said_with_the_fix(tmp_path, folder):
    absent = Qwen3TTS(model=str(tmp_path / "nowhere"))
    assert "nowhere" in absent.missing()[0].what
    with pytest.raises(ModelError, match="not on this machine; try: fetch the model files"):
        await load(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="bfloat16"):
        await load(folder, dtype="float12")


def test_speaking_needs_neither_the_official_package_nor_transformers(folder):
    script = f"""
import asyncio, sys
from models.tts.qwen3 import Qwen3TTS
assert "torch" not in sys.modules
async def main():
    async with Qwen3TTS(model={str(folder)!r}, device="cpu", sessions=1).load(): pass
asyncio.run(main())
heavy = {{"transformers", "qwen_tts", "librosa", "torchaudio", "sox", "onnxruntime", "gradio"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
