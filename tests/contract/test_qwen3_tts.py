"""Qwen3-TTS behind the synthesizer contract: sessions that neither disturb nor outlive each other, and errors that help."""

import asyncio
import json
import subprocess
import sys
from contextlib import aclosing, nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.tts_checkpoint import write_checkpoint
from models.tts.qwen3 import Qwen3TTS, speaking
from models.tts.qwen3.conductor import LOOKAHEAD_FRAMES
from pipeline.contracts import Voice
from pipeline.errors import BadInput, DeviceError, ModelError, Refused
from pipeline.events import AudioChunk, ReadingUnit

torch.set_num_threads(1)
RATE, FRAME = 24_000, 1920
FRAMES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Random weights do not know when to stop."""
    monkeypatch.setattr(speaking, "MOST_FRAMES", FRAMES)


@pytest.fixture
def backend(folder):
    return Qwen3TTS(model=str(folder), device="cpu", sessions=2)


def unit(number=0, text="hello world"):
    return ReadingUnit(number, (), text, "en", 0.0, 1.0, 1.0)


async def pieces(*texts):
    for text in texts:
        yield text


async def heard(session, number, *texts):
    chunks = [chunk async for chunk in session.say(unit(number), pieces(*texts))]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {(chunk.unit, chunk.sample_rate) for chunk in chunks} == {(number, RATE)}
    return np.concatenate([chunk.samples for chunk in chunks])


def clip(seconds=4.0, level=0.1, rate=RATE):
    return AudioChunk((np.random.default_rng(1).standard_normal(round(seconds * rate)) * level).astype(np.float32), rate, 0)


async def test_a_clone_speaks_units_whole_and_in_pieces(backend):
    assert backend.missing() == []
    async with backend.load() as synthesizer:
        voice = await synthesizer.enrol(clip(rate=16_000))
        async with synthesizer.open(voice, "en") as session:
            for number, texts in enumerate((["hello", " world, ", "and more"], ["hello world"], ["so it is."])):
                samples = await heard(session, number, *texts)
                assert 0.5 < len(samples) / RATE < FRAMES * FRAME / RATE + 0.5
                assert np.abs(samples).max() <= 1
                assert np.isfinite(samples).all()


async def test_sessions_at_once_sound_as_if_alone(backend):
    async with backend.load() as synthesizer:

        async def speak(language, *texts):
            async with synthesizer.open(None, language) as session:
                return [await heard(session, number, text) for number, text in enumerate(texts)]

        scripts = (("en", "hello world", "one more"), ("fr", "bonjour", "encore"))
        alone = [await speak(*script) for script in scripts]
        together = await asyncio.gather(*(speak(*script) for script in scripts))
    for one, same in zip(alone, together, strict=True):
        for expected, samples in zip(one, same, strict=True):
            np.testing.assert_allclose(samples, expected, atol=1e-4)


async def test_pieces_are_joined_as_they_come(backend, monkeypatch):
    fed = []
    inner = speaking.StreamedSpeech._listen

    def listened(self, utterance, said, edges):
        fed.append((utterance, said))
        return inner(self, utterance, said, edges)

    monkeypatch.setattr(speaking.StreamedSpeech, "_listen", listened)
    monkeypatch.setattr(speaking, "MOST_FRAMES", 40)

    async def slow(*texts):
        for text in texts:
            yield text
            await asyncio.sleep(0)

    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        chunks = [chunk async for chunk in session.say(unit(), slow("hello ", "wor", "ld, ", "my " * 100, "end"))]
        assert sum(len(chunk.samples) for chunk in chunks) > 0
        spoken = " ".join("".join(said).strip() for _, said in fed)
        assert spoken.split() == ["hello", "world,", *["my"] * 100, "end"]
        first, said = fed[0]
        assert (first.in_pieces, first.watch.tokens) == (True, session._length("".join(said)))


async def test_a_session_that_ends_stops_what_still_speaks(backend):
    async with backend.load() as synthesizer:
        async with synthesizer.open(None, "en") as session:
            speech = session.say(unit(), pieces("hello world"))
            await anext(speech)
        assert synthesizer._conductor.engine._active == []
        await speech.aclose()


async def test_nothing_to_pronounce_is_nothing_to_hear(backend):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        for texts in ([], [""], ["...", " ?!"], ["🙂"]):
            assert len(await heard(session, 0, *texts)) == 0


async def test_long_text_is_spoken_in_several_utterances(backend, monkeypatch):
    begun = []
    monkeypatch.setattr(speaking.StreamedSpeech, "_whole_prompt", counted(speaking.StreamedSpeech._whole_prompt, begun))
    monkeypatch.setattr(speaking, "MOST_FRAMES", 2)
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        text = "hello world, this is a sentence. " * 30
        await heard(session, 0, text)
        assert max(len(ids) for ids in begun) <= 60
        assert sum(len(ids) for ids in begun) >= session._length(text.strip()) - 2 * len(begun)


def counted(inner, calls):
    def call(self, ids):
        calls.append(ids)
        return inner(self, ids)

    return call


async def test_cancel_stops_at_once_and_the_next_unit_is_as_new(backend):
    async with backend.load() as synthesizer:
        async with synthesizer.open(None, "en") as session:
            expected = await heard(session, 0, "one more")
        async with synthesizer.open(None, "en") as session:
            for taken in (1, 2):
                async with aclosing(session.say(unit(1), pieces("hello world"))) as speech:
                    for _ in range(taken):
                        await anext(speech)
                engine = synthesizer._conductor.engine
                assert (engine.busy, engine._active, len(engine._free_rows)) == (False, [], 2)
            np.testing.assert_allclose(await heard(session, 2, "one more"), expected, atol=1e-5)


async def test_a_task_that_is_cancelled_mid_unit_frees_everything(backend):
    async with backend.load() as synthesizer:
        async with synthesizer.open(None, "en") as session:
            began = asyncio.Event()

            async def listen():
                async with aclosing(session.say(unit(), pieces("hello world"))) as speech:
                    async for _ in speech:
                        began.set()
                        await asyncio.Event().wait()

            listening = asyncio.ensure_future(listen())
            await began.wait()
            listening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listening
        assert len(synthesizer._conductor.engine._free_rows) == 2
        assert len(synthesizer._conductor.engine._free_streams) == 2


async def quiet(synthesizer):
    """Wait until the engine has nothing more to do: the conductor then waits to be wanted."""
    conductor = synthesizer._conductor
    while conductor._wanted.is_set():
        await conductor._lane.run(int)


async def test_a_slow_listener_holds_the_speech_back(backend, monkeypatch):
    monkeypatch.setattr(speaking, "MOST_FRAMES", 200)
    monkeypatch.setattr("models.tts.qwen3.guards.repeats", lambda _codes: False)
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        speech = session.say(unit(), pieces("hello world " * 5))
        await anext(speech)
        await quiet(synthesizer)
        assert 16 <= len(synthesizer._conductor.engine._active[0].codes) <= LOOKAHEAD_FRAMES
        await speech.aclose()


async def test_text_that_fails_raises_after_what_came_before_it_was_spoken(backend):
    async def broken():
        yield "hello world, this "
        raise OSError("line cut")

    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        speech = session.say(unit(), broken())
        samples = len((await anext(speech)).samples)
        with pytest.raises(OSError, match="line cut"):
            samples += sum([len(chunk.samples) async for chunk in speech])
        assert samples > 0
        assert len(await heard(session, 1, "hello")) > 0


async def test_mute_speech_is_tried_once_more_and_then_told(backend, monkeypatch):
    seeds = []
    monkeypatch.setattr(speaking.Edges, "begun", property(lambda _self: False, lambda _self, _value: None), raising=False)
    inner = speaking.StreamedSpeech._utterance

    def counted_seeds(self, prompt, ids, attempt, text_ended=True):
        seeds.append(attempt)
        return inner(self, prompt, ids, attempt, text_ended)

    monkeypatch.setattr(speaking.StreamedSpeech, "_utterance", counted_seeds)
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        with pytest.raises(ModelError, match="no speech came of 'hello'"):
            await heard(session, 0, "hello")
    assert seeds == [0, 1]


async def test_an_engine_that_fails_fails_the_unit_and_not_the_next(backend, monkeypatch):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        engine = synthesizer._conductor.engine
        with monkeypatch.context() as broken:
            broken.setattr(engine, "turn", lambda: 1 / 0)
            with pytest.raises(ModelError, match="division"):
                await heard(session, 0, "hello")
        assert len(await heard(session, 1, "hello")) > 0


async def test_later_units_continue_the_sessions_own_speech(backend, monkeypatch):
    references = []
    inner = speaking.continued

    def kept(tokens, opening, ids, reference):
        references.append(reference)
        return inner(tokens, opening, ids, reference)

    monkeypatch.setattr(speaking, "continued", kept)
    monkeypatch.setattr("models.tts.qwen3.guards.Ending.clean", property(lambda _self: True))
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        for number, text in enumerate(("hello", "world.", "hello world")):
            await heard(session, number, text)
        encode = session._text.encode
    assert [reference.text for reference in references] == [tuple(encode("hello")), tuple(encode("hello world."))]
    assert references[1].codes.shape[0] > references[0].codes.shape[0] > 0


async def test_more_sessions_than_memory_are_refused_and_those_that_run_go_on(backend):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        async with synthesizer.open(None, "de"):
            with pytest.raises(DeviceError, match="sessions"):
                await synthesizer.open(None, "it").__aenter__()
        assert len(await heard(session, 0, "hello")) > 0


OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 20.00 MiB"


def full(*_):
    raise torch.OutOfMemoryError(OUT_OF_MEMORY)


async def test_a_gpu_without_memory_refuses_new_sessions_and_keeps_those_that_run(backend, monkeypatch):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        expected = await heard(session, 0, "hello")
        async with synthesizer.open(None, "en") as alone:
            np.testing.assert_allclose(await heard(alone, 0, "hello"), expected, atol=1e-4)
        speech = session.say(unit(1), pieces("hello world"))
        first = await anext(speech)
        with monkeypatch.context() as memory:
            memory.setattr("models.tts.qwen3.synthesizer._encode", full)
            memory.setattr(synthesizer._conductor.engine, "open_stream", full)
            with pytest.raises(DeviceError, match="no memory left to learn a voice.*go on; try: close other programs"):
                await synthesizer.enrol(clip())
            with pytest.raises(DeviceError, match="no memory left for another session"):
                await synthesizer.open(None, "de").__aenter__()
            rest = [chunk async for chunk in speech]
        assert len(first.samples) > 0
        assert rest[-1].last
        async with synthesizer.open(None, "de") as later:
            assert len(await heard(later, 0, "hello")) > 0


async def test_a_unit_for_which_there_is_no_memory_is_told_and_the_next_one_is_spoken(backend, monkeypatch):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        engine = synthesizer._conductor.engine
        with monkeypatch.context() as memory:
            memory.setattr(type(engine.model), "begin", full)
            with pytest.raises(DeviceError, match="no memory left to speak this.*sessions=1"):
                await heard(session, 0, "hello")
        assert len(engine._free_rows) == 2
        assert len(await heard(session, 1, "hello")) > 0


async def test_ten_thousand_characters_are_spoken_to_their_end(backend, monkeypatch):
    spoken = []
    inner = speaking.StreamedSpeech._speak_whole

    def listened(self, text):
        spoken.append(text)
        return inner(self, text)

    monkeypatch.setattr(speaking.StreamedSpeech, "_speak_whole", listened)
    monkeypatch.setattr(speaking, "MOST_FRAMES", 2)
    text = "hello world hello world hello world hello world. " * 204
    assert len(text) > 9_990
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        assert len(await heard(session, 0, text)) > 0
    assert " ".join(spoken).split() == text.split()


SCRIPTS = [
    "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "你好，世界。", "hello 🙂 world", "h\u0301e\u0323llo", "a\ud800b",
    "\0hi\x1b[2J",
]  # fmt: skip


@pytest.mark.parametrize("text", SCRIPTS)
async def test_any_script_is_spoken_in_any_language(backend, text):
    async with backend.load() as synthesizer, synthesizer.open(None, "fr") as session:
        assert len(await heard(session, 0, text)) > 0
        assert len(await heard(session, 1, *text)) > 0


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


async def load(folder, **settings):
    async with Qwen3TTS(model=str(folder), device="cpu", sessions=1, **settings).load():
        pass


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
    with pytest.raises(ModelError, match="pull"):
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
