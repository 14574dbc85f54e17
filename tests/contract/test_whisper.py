"""The backend end to end on a Whisper that hears: the tone language, through the real engine."""

import numpy as np
import pytest

from benchmarks.asr_toy import MODEL, measure_offline, measure_streaming, toy_backend, toy_options, toy_stream
from benchmarks.random_whisper import build
from models.asr.whisper import FasterWhisper
from models.asr.whisper.options import StreamOptions
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Fault, LanguageChanged

RATE = 16_000


@pytest.fixture(scope="module")
def streams():
    return [toy_stream(seed, 20.0) for seed in range(50, 54)]


async def heard(listening, audio, cuts):
    transcripts, at = [], 0
    while at < len(audio):
        size = next(cuts)
        transcripts.append(await listening.hear(AudioChunk(audio[at : at + size], RATE, at / RATE)))
        at += size
    return [*transcripts, await listening.finish()]


def every(size):
    while True:
        yield size


def committed(transcripts):
    return [word for transcript in transcripts for word in transcript.committed]


def test_streaming_is_nearly_as_good_as_offline_and_soon(streams):
    offline = measure_offline(streams)
    found, window_s = measure_streaming(toy_options(), streams)
    assert found.wer - offline <= 0.03
    assert found.mean_s <= 0.7
    assert found.p95_s <= 1.0
    assert window_s <= 5.0


async def test_the_language_is_detected_among_those_allowed_and_told(streams):
    async with toy_backend(toy_options()).load() as recognizer, recognizer.open(["de", "en"], []) as listening:
        transcripts = await heard(listening, streams[1].audio, every(1600))
    changes = [notice for transcript in transcripts for notice in transcript.notices]
    assert [change.language for change in changes] == ["en"]
    assert all(isinstance(change, LanguageChanged) for change in changes)
    told = next(index for index, transcript in enumerate(transcripts) if transcript.notices)
    assert not committed(transcripts[:told])
    assert transcripts[-1].language == "en"


async def test_a_vocabulary_too_long_for_the_model_breaks_nothing(streams):
    terms = [f"ba{index}" for index in range(500)]
    async with toy_backend(toy_options()).load() as recognizer, recognizer.open(["en"], terms) as listening:
        transcripts = await heard(listening, streams[0].audio[: 5 * RATE], every(1600))
    assert transcripts[-1].heard_s == pytest.approx(5.0)


async def test_silero_takes_neither_silence_nor_noise_nor_tones_for_speech():
    options = toy_options()
    random, time_s = np.random.default_rng(0), np.arange(8 * RATE) / RATE
    sounds = [np.zeros(8 * RATE), 0.1 * random.standard_normal(8 * RATE), 0.2 * np.sin(2 * np.pi * 440 * time_s)]
    async with FasterWhisper(str(MODEL), device="cpu", stream=options).load() as recognizer:
        for sound in sounds:
            async with recognizer.open(["en"], []) as listening:
                assert not committed(await heard(listening, sound.astype(np.float32), every(1600)))


async def test_a_model_without_alignment_heads_says_so_and_waits_for_agreement(tmp_path):
    folder = build(tmp_path, alignment_heads=False)
    async with FasterWhisper(str(folder), device="cpu").load() as recognizer:
        assert recognizer.options.policy == "local_agreement"
        async with recognizer.open(["en"], []) as listening:
            first = await listening.hear(AudioChunk(np.zeros(1600, np.float32), RATE, 0.0))
    assert [type(notice) for notice in first.notices] == [Fault]
    assert "local_agreement" in first.notices[0].message


async def test_settings_that_cannot_work_are_refused_with_what_can():
    with pytest.raises(BadInput, match=r"at most 5"):
        async with FasterWhisper(str(MODEL), device="cpu", stream=StreamOptions(window_s=12.0)).load():
            pass
