"""Encoded sound on standard input, made here and piped in as programs do it."""

import asyncio
import contextlib
import os
import threading

import numpy as np
import pytest

from pipeline.clock import LoopClock
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Fault
from pipeline.sources.standard_input import HEADS, StandardInput, is_encoded
from tests.encoded_sound import FORMS, RATE, SWEEP, encoded
from tests.scripted import SetClock, shut
from tests.unit.test_audio_files import tone


@pytest.fixture
def pipe():
    """A pipe, and what writes into it and then closes it; gives the reading end and the writer."""
    reading, writing = os.pipe()
    threads = []

    def write(data, at_once=5_000, close=True, rest=b"", heard=None):
        def work():
            with contextlib.suppress(BrokenPipeError):
                for begin in range(0, len(data), at_once):
                    os.write(writing, data[begin : begin + at_once])
                if heard:
                    heard.wait()
                os.write(writing, rest)
            if close:
                shut(writing)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return threads[-1]

    yield reading, write
    os.close(reading)
    for thread in threads:
        thread.join()
    os.close(writing)


async def heard(source):
    items = [item async for item in source]
    chunks = [item for item in items if isinstance(item, AudioChunk)]
    assert [chunk.start for chunk in chunks[1:]] == pytest.approx([chunk.end for chunk in chunks[:-1]])
    notices = [item for item in items if not isinstance(item, AudioChunk)]
    return np.concatenate([np.zeros(0, np.float32), *[chunk.samples for chunk in chunks]]), notices


@pytest.mark.parametrize("form", FORMS)
async def test_encoded_sound_is_heard_and_not_its_bytes(pipe, form):
    kind, codec, options = FORMS[form]
    pipe[1](encoded(kind, codec, **options))
    source = StandardInput(clock=LoopClock(), descriptor=pipe[0])
    got, notices = await heard(source)
    assert notices == []
    assert source.sample_rate == RATE
    assert len(got) / RATE == pytest.approx(3.0, abs=0.15)
    middle = got[RATE : 2 * RATE]
    likeness = np.correlate(SWEEP[RATE - 8000 : 2 * RATE + 8000 : 4], middle[::4])
    assert likeness.max() / (np.linalg.norm(middle[::4]) * np.linalg.norm(SWEEP[RATE : 2 * RATE : 4])) > 0.98


@pytest.mark.parametrize("form", ["wav", "mp4 with its index last", "mp3 without a tag"])
async def test_a_file_is_redirected_into_it(tmp_path, form):
    kind, codec, options = FORMS[form]
    (tmp_path / "talk").write_bytes(encoded(kind, codec, **options))
    descriptor = os.open(tmp_path / "talk", os.O_RDONLY)
    try:
        got, _ = await heard(StandardInput(clock=LoopClock(), descriptor=descriptor))
    finally:
        os.close(descriptor)
    assert len(got) / RATE == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize("stated", [0, 1_000, 0xFFFFFFFF])
async def test_the_length_that_a_piped_wav_states_does_not_count(pipe, stated):
    data = bytearray(encoded("wav", "pcm_s16le"))
    at = data.index(b"data")
    data[at + 4 : at + 8] = stated.to_bytes(4, "little")
    pipe[1](data)
    got, _ = await heard(StandardInput(clock=LoopClock(), descriptor=pipe[0]))
    assert len(got) == 3 * RATE


RAW = {
    "tone": tone(2, 16_000),
    "quiet": 0.001 * tone(2, 16_000),
    "noise": np.random.default_rng(2).uniform(-1, 1, 32_000),
    "quiet noise": np.random.default_rng(3).uniform(-1e-4, 1e-4, 32_000),
    "silence": np.zeros(32_000),
    "short": tone(0.05, 16_000),
}


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("rate_hz", [None, 16_000])
async def test_pcm_is_heard_as_it_is_with_or_without_a_rate(pipe, name, rate_hz):
    pcm = (RAW[name] * 32767).astype("<i2")
    pipe[1](pcm.tobytes(), at_once=3_333)
    got, notices = await heard(StandardInput(rate_hz, clock=LoopClock(), descriptor=pipe[0]))
    np.testing.assert_array_equal(got, pcm.astype(np.float32) / 32768)
    assert notices == []


def test_no_noise_is_taken_for_encoded_sound():
    random = np.random.default_rng(4)
    for level in (1, 0.1, 0.01, 0.001, 0.0001):
        for _ in range(10):
            pcm = (32767 * level * random.uniform(-1, 1, HEADS[-1] // 2)).astype("<i2").tobytes()
            assert is_encoded(pcm) is None


@pytest.mark.parametrize("form", ["mp3 without a tag", "adts", "mpegts", "webm", "mp4 in pieces"])
async def test_a_live_pipe_is_heard_while_it_comes(pipe, form):
    kind, codec, options = FORMS[form]
    data = encoded(kind, codec, tracks=[np.concatenate([SWEEP] * 3)], **options)
    most = len(data) * 4 // 5
    begun = threading.Event()
    pipe[1](data[:most], rest=data[most:], heard=begun)
    try:
        async with asyncio.timeout(60):
            chunks = aiter(StandardInput(clock=SetClock(), live=True, descriptor=pipe[0]))
            first = await anext(chunks)
            assert first.start == 0.0
            begun.set()
            *_, last = [chunk async for chunk in chunks]
    finally:
        begun.set()
    assert last.end == pytest.approx(9.0, abs=0.15)


@pytest.mark.parametrize("amount", [100, 30_000])
async def test_a_pipe_that_stalls_cannot_hold_a_cancelled_session(pipe, amount):
    pipe[1](encoded(*FORMS["mpegts"][:2])[:amount], close=False).join()
    before = threading.active_count()
    task = asyncio.ensure_future(heard(StandardInput(clock=LoopClock(), descriptor=pipe[0])))
    while threading.active_count() == before:  # noqa: ASYNC110 - no event tells of a thread's beginning
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert threading.active_count() == before


async def test_of_several_tracks_one_is_chosen_and_named(pipe):
    pipe[1](encoded("matroska", "aac", tracks=[SWEEP, 0.2 * SWEEP]))
    got, [notice] = await heard(StandardInput(clock=LoopClock(), descriptor=pipe[0], track="2"))
    assert isinstance(notice, Fault)
    assert "audio track 2 of 2 is heard" in notice.message
    assert np.abs(got).max() < 0.2


@pytest.mark.parametrize(
    "data", [b"RIFF", b"\x1aE\xdf\xa3" + bytes(9_000), b"\0\0\0\x18ftypmp42" + bytes(12) + b"\0\0\0\x08mdat"]
)
async def test_what_cannot_be_decoded_is_refused(pipe, data):
    pipe[1](data)
    with pytest.raises(BadInput, match="standard input holds no audio that"):
        await heard(StandardInput(clock=LoopClock(), descriptor=pipe[0]))
