"""VoxCPM2 behind its contract: units in one voice, streamed and closed at any moment; broken checkpoints told by name."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.voxcpm_checkpoint import write_checkpoint
from models.tts import checkpoint
from models.tts.voxcpm import VoxCPM, synthesizer
from pipeline.contracts import Voice
from pipeline.errors import BadInput, DeviceError, ModelError, Refused
from pipeline.events import AudioChunk, ReadingUnit
from pipeline.voices.choice import check_same_voice
from tests.scripted import pieces

RATE, PATCH = 48_000, 7680


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """One thread, which is fast for models this small; speech that does not end by itself is short."""
    monkeypatch.setattr(synthesizer, "MOST_PATCHES", 9)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def backend(folder):
    return VoxCPM(model=str(folder), device="cpu", sessions=2, steps=2)


def clip(seconds=4.0, level=0.05, rate=16_000):
    return AudioChunk((np.random.default_rng(1).standard_normal(round(seconds * rate)) * level).astype(np.float32), rate, 0)


async def chunks(session, number, *texts):
    unit = ReadingUnit(number, (), "".join(texts), "en", 0.0, 1.0, 1.0)
    return [chunk async for chunk in session.say(unit, pieces(*texts))]


async def heard(session, number, *texts):
    return np.concatenate([chunk.samples for chunk in await chunks(session, number, *texts)])


async def test_speech_comes_patch_by_patch_at_48_khz(backend):
    async with backend.load() as loaded, loaded.open(None, "en") as session:
        spoken = await chunks(session, 0, "hello world")
    assert len(spoken) >= 4
    assert {chunk.sample_rate for chunk in spoken} == {RATE}
    assert max(len(chunk.samples) for chunk in spoken[:-2]) <= 2 * PATCH
    assert [chunk.last for chunk in spoken] == [False] * (len(spoken) - 1) + [True]


async def test_what_came_before_an_error_in_the_text_is_spoken_first(backend):
    async def broken():
        yield "hello world"
        raise ModelError("the translator died")

    async with backend.load() as loaded, loaded.open(None, "en") as session:
        speech = session.say(ReadingUnit(0, (), "", "en", 0.0, 1.0, 1.0), broken())
        assert not (await anext(speech)).last
        with pytest.raises(ModelError, match="translator died"):
            async for _ in speech:
                pass
        assert len(await heard(session, 1, "again"))


async def test_a_learned_voice_is_spoken_in_and_live_speakers_can_be_learned(backend):
    check_same_voice(backend)
    async with backend.load() as loaded:
        voice = await loaded.enrol(clip(4, rate=RATE))
        assert {name: (array.dtype, array.shape) for name, array in voice.arrays.items()} == {
            "reference": (np.dtype(np.float32), (25, 32))
        }
        async with loaded.open(voice, "nb") as session:
            mine = await heard(session, 0, "hello world")
            assert session._voice.kept is None
        async with loaded.open(None, "no") as session:
            other = await heard(session, 0, "hello world")
    assert len(mine)
    assert len(mine) != len(other) or not np.allclose(mine, other)


@pytest.mark.parametrize(("audio", "says"), [(clip(1.5), "1.5 s"), (clip(40), "40.0 s"), (clip(level=1e-5), "silent")])
async def test_a_clip_one_cannot_learn_from_is_refused_with_advice(backend, audio, says):
    async with backend.load() as loaded:
        with pytest.raises(BadInput, match=says):
            await loaded.enrol(audio)


async def test_a_voice_that_is_made_up_is_continued(backend, monkeypatch):
    monkeypatch.setattr(synthesizer, "_LEAST_KEPT", 4)
    async with backend.load() as loaded, loaded.open(None, "en") as session:
        number = 0
        while session._voice.kept is None:
            assert number < 20, "no unit of random weights ended by itself"
            await heard(session, number, "hello world")
            number += 1
        kept = session._voice.kept
        assert kept.text == "hello world "
        assert len(await heard(session, number, "and more"))
        assert session._voice.kept is kept


async def test_voices_of_other_models_and_other_languages_are_refused(backend):
    async with backend.load() as loaded:
        for voice, language, says in (
            (Voice("ryan"), "en", "no preset"),
            (Voice("me", {"reference": np.zeros((3, 7), np.float32)}), "en", "another model"),
            (None, "uk", "does not speak 'uk'"),
        ):
            with pytest.raises(Refused, match=says):
                await loaded.open(voice, language).__aenter__()


async def test_more_sessions_than_memory_are_refused_and_the_others_go_on(backend):
    async with backend.load() as loaded, loaded.open(None, "en") as first:
        async with loaded.open(None, "en"):
            with pytest.raises(DeviceError, match="no further session"):
                await loaded.open(None, "en").__aenter__()
            assert len(await heard(first, 0, "hello world"))
        async with loaded.open(None, "en") as third:
            assert len(await heard(third, 0, "hello world"))


async def test_a_full_gpu_is_told_and_the_session_goes_on(backend, monkeypatch):
    async with backend.load() as loaded, loaded.open(None, "en") as session:
        model = type(loaded._loop.engine.model)
        for method in ("begin", "step"):
            with monkeypatch.context() as patch:
                patch.setattr(model, method, _full)
                with pytest.raises(DeviceError, match="no memory left"):
                    await heard(session, 0, "hello world")
            assert len(await heard(session, 1, "hello world"))


def _full(*_):
    raise torch.OutOfMemoryError("CUDA out of memory")


async def test_a_gpu_that_is_too_small_is_told_when_it_loads_and_no_file_is_blamed(backend, monkeypatch):
    for place in ("models.tts.voxcpm.loading.allocate_rows", "torch.load"):
        with monkeypatch.context() as memory:
            memory.setattr(place, lambda *_, **__: _full())
            with pytest.raises(ModelError, match="2 sessions does not fit.*; try: .*lower setting sessions"):
                async with backend.load():
                    pass


async def test_silence_instead_of_speech_is_tried_again_and_told(backend, monkeypatch):
    async with backend.load() as loaded, loaded.open(None, "en") as session:
        monkeypatch.setattr(type(loaded._loop.engine.decoder), "decode", lambda *given: torch.zeros(len(given[2]), PATCH))
        with pytest.raises(ModelError, match="no speech came of 'hello' in 2 attempts"):
            await heard(session, 0, "hello")


async def load(folder, **settings):
    async with VoxCPM(**{"model": str(folder), "device": "cpu", "sessions": 1, "steps": 2} | settings).load():
        pass


async def test_another_release_is_told(tmp_path):
    folder = write_checkpoint(tmp_path)
    path = folder / "config.json"
    whole = path.read_text()
    config = json.loads(whole)
    model, vae = config["lm_config"], config["audio_vae_config"]
    for broken, says in (
        ({"architecture": "voxcpm"}, "architecture is 'voxcpm'.*not VoxCPM-0.5B or 1.5"),
        ({"architecture": None}, "architecture is None"),
        ({"lm_config": model | {"use_mup": True}}, "use_mup is not supported"),
        ({"lm_config": model | {"vocab_size": 50}}, "no marks of speech"),
        ({"lm_config": model | {"vocab_size": 200}}, "tokens, the model 200: it is another model's"),
        ({"lm_config": model | {"rope_scaling": {"type": "yarn"}}}, "type 'yarn' is not supported"),
        ({"lm_config": model | {"kv_channels": 12}}, "8 factors for heads of"),
        ({"feat_dim": 16}, "feat_dim is 16, the audio VAE beside it makes 8"),
        ({"audio_vae_config": vae | {"depthwise": False}}, "only depthwise layers"),
        ({"dit_config": {}}, "no 'hidden_dim'"),
    ):
        path.write_text(json.dumps(config | broken))
        with pytest.raises(ModelError, match=says):
            await load(folder)
    path.write_text(whole)
    await load(folder)


async def test_a_missing_or_damaged_file_is_told_by_name(tmp_path):
    folder = write_checkpoint(tmp_path)
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}  # not the file
    saved = torch.load(folder / "audiovae.pth")["state_dict"]
    for name in ("tokenizer.json", "audiovae.pth", "model.safetensors"):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(b"{")
        with pytest.raises(ModelError, match=rf"{name} (cannot be read|is damaged)"):
            await load(folder)
        path.unlink()
        with pytest.raises(ModelError, match=name):
            await load(folder)
        path.write_bytes(whole)
    save_file(tensors | {"surplus": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="surplus"):
        await load(folder)
    save_file(
        {name: tensor for name, tensor in tensors.items() if name != "stop_head.weight"}, folder / "model.safetensors"
    )
    with pytest.raises(ModelError, match=r"stop_head\.weight"):
        await load(folder)
    save_file(tensors, folder / "model.safetensors")
    torch.save({name: one for name, one in saved.items() if name != "decoder.model.9.bias"}, folder / "audiovae.pth")
    with pytest.raises(ModelError, match=r"decoder\.model\.9\.bias"):
        await load(folder)
    save_file(saved, folder / "audiovae.safetensors")  # is preferred
    await load(folder)


def test_the_checkpoint_is_fetched_where_it_is_not_there(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    fetched = []
    monkeypatch.setattr(checkpoint, "fetch_snapshot", lambda model, *_: fetched.append(model))
    VoxCPM().pull(lambda *_: None)
    VoxCPM(model=str(folder)).pull(lambda *_: None)
    assert fetched == ["openbmb/VoxCPM2"]
    assert [lack.what for lack in VoxCPM().missing()] == ["the model openbmb/VoxCPM2"]
    assert VoxCPM(model=str(folder)).missing() == []


def test_its_gpu_memory_is_reckoned_from_its_files_or_its_published_geometry(folder, tmp_path, monkeypatch):
    reckoned = VoxCPM(model=str(folder), device="cuda", dtype="bfloat16", sessions=3).gpu_memory()
    weights = next(size for what, size in reckoned.items() if what.startswith("weights"))
    files = [(folder / name).stat().st_size for name in ("model.safetensors", "audiovae.pth")]
    assert weights == pytest.approx(sum(files), rel=0.05)
    assert VoxCPM(model=str(folder), device="cpu").gpu_memory() == {}
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    published = sum(VoxCPM(device="cuda", sessions=4).gpu_memory().values())
    assert published == pytest.approx(5.05e9, rel=0.01)
    assert VoxCPM(model="someone/else", device="cuda").gpu_memory() == {"an unknown size for else": 0}


async def test_settings_are_held_to_what_is_valid(folder):
    with pytest.raises(BadInput, match="steps must be 2 to 64"):
        await load(folder, steps=1)
    with pytest.raises(BadInput, match="sessions at least 1"):
        await load(folder, sessions=0)
    with pytest.raises(BadInput, match="at most 200 letters"):
        await load(folder, style="calm " * 50)
    await load(folder, style="a calm elderly woman")


def test_the_runtime_needs_no_library_of_the_package(folder):
    code = (
        "import asyncio, sys\nfrom models.tts.voxcpm import VoxCPM\n"
        "async def main():\n"
        f"    async with VoxCPM(model={str(folder)!r}, device='cpu', steps=2).load(): pass\n"
        "asyncio.run(main())\n"
        "assert not {'transformers', 'torchaudio', 'librosa', 'voxcpm', 'einops', 'pydantic'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
