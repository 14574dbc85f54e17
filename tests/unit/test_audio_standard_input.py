import asyncio
import io
import os
import struct
import threading

import numpy as np
import pytest
import soundfile

from pipeline.clock import LoopClock
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Fault, Gap
from pipeline.sources.standard_input import StandardInput
from tests.scripted import SetClock, shut

PCM = np.arange(-4000, 4000, dtype="<i2")


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


async def heard(source, told=None):
    items = [item async for item in source]
    chunks = [item for item in items if isinstance(item, AudioChunk)]
    if told is not None:
        told += [item.message for item in items if isinstance(item, Fault)]
    assert all(chunk.sample_rate == source.sample_rate for chunk in chunks)
    assert [chunk.start for chunk in chunks[1:]] == pytest.approx([chunk.end for chunk in chunks[:-1]])
    return np.concatenate([np.zeros(0, np.float32), *[chunk.samples for chunk in chunks]])


async def test_odd_pieces_join_to_the_samples(pipe):
    reading, writing = pipe
    data = PCM.tobytes()

    def write():
        for begin in range(0, len(data), 333):
            os.write(writing, data[begin : begin + 333])
        shut(writing)

    thread = threading.Thread(target=write)
    thread.start()
    source = StandardInput(16000, clock=LoopClock(), descriptor=reading, chunk_s=0.013)
    np.testing.assert_array_equal(await heard(source), PCM.astype(np.float32) / 32768)
    thread.join()
    assert not source.live


@pytest.mark.parametrize(
    "options",
    [
        {"format": "WAV", "samplerate": 44100},
        {"format": "WAV", "samplerate": 16000, "subtype": "PCM_U8"},
        {"format": "FLAC", "samplerate": 16000},
        {"format": "OGG", "samplerate": 16000},
    ],
)
async def test_a_sound_file_is_decoded_and_not_heard_as_noise(pipe, options):
    reading, writing = pipe
    file = io.BytesIO()
    soundfile.write(file, PCM / 32768, **options)
    os.write(writing, file.getvalue())
    shut(writing)
    source = StandardInput(16000, clock=LoopClock(), descriptor=reading)
    told: list[str] = []
    samples = await heard(source, told)
    rate = options["samplerate"]
    assert source.sample_rate == rate
    said = f"standard input is a sound file of {rate} Hz, and is heard so, not at 16000 Hz"
    assert told == ([] if rate == 16000 else [said])  # noqa: PLR2004
    assert len(samples) > 0.95 * len(PCM)
    np.testing.assert_allclose(samples, PCM[: len(samples)] / 32768, atol=0.02)


async def test_wav_of_the_wanted_pcm_can_be_piped_in(pipe):
    """As ``arecord -f S16_LE -r 16000`` writes it."""
    reading, writing = pipe
    file = io.BytesIO()
    soundfile.write(file, PCM / 32768, 16000, format="WAV")
    os.write(writing, file.getvalue())
    shut(writing)
    samples = await heard(StandardInput(16000, clock=LoopClock(), descriptor=reading))
    np.testing.assert_array_equal(samples, PCM.astype(np.float32) / 32768)


@pytest.mark.parametrize("at_once", [2, 6, 14, 400])
async def test_a_header_may_come_in_parts_and_hold_more_than_the_format(pipe, at_once):
    reading, writing = pipe
    about = b"LIST" + struct.pack("<I", 17) + b"INFOICMTmetadata1\0"
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    header = b"RIFF\xff\xff\xff\xffWAVE" + about + form + b"data\xff\xff\xff\xff"
    os.write(writing, header + PCM.tobytes())
    shut(writing)
    source = StandardInput(16000, clock=LoopClock(), descriptor=reading, chunk_s=at_once / 32000)
    np.testing.assert_array_equal(await heard(source), PCM.astype(np.float32) / 32768)


@pytest.mark.parametrize("begin", [b"RIFF", b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0"])
async def test_a_header_that_ends_before_its_samples_is_refused(pipe, begin):
    os.write(pipe[1], begin)
    shut(pipe[1])
    with pytest.raises(BadInput, match="no audio that"):
        await heard(StandardInput(16000, clock=LoopClock(), descriptor=pipe[0]))


async def test_half_a_sample_at_the_end_is_told(pipe):
    reading, writing = pipe
    os.write(writing, PCM.tobytes()[:7])
    shut(writing)
    chunk, notice = [item async for item in StandardInput(16000, clock=LoopClock(), descriptor=reading)]
    assert len(chunk.samples) == 3
    assert "middle of a sample" in notice.message


async def test_nothing_at_all_ends_at_once(pipe):
    shut(pipe[1])
    with pytest.raises(BadInput, match="closed or empty"):
        await heard(StandardInput(16000, clock=LoopClock(), descriptor=pipe[0]))


async def test_a_file_can_be_redirected_into_it(tmp_path):
    (tmp_path / "pcm").write_bytes(PCM.tobytes())
    descriptor = os.open(tmp_path / "pcm", os.O_RDONLY)
    try:
        assert len(await heard(StandardInput(16000, clock=LoopClock(), descriptor=descriptor))) == len(PCM)
    finally:
        os.close(descriptor)


async def test_a_silent_writer_cannot_hold_a_cancelled_session(pipe):
    before = threading.active_count()
    task = asyncio.ensure_future(heard(StandardInput(16000, clock=LoopClock(), descriptor=pipe[0])))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert threading.active_count() == before


async def test_a_pipe_that_is_faster_than_speech_is_paced_when_live(pipe):
    reading, writing = pipe
    os.write(writing, PCM.tobytes())
    shut(writing)
    clock, chunks = SetClock(100.0), []
    async for chunk in StandardInput(16000, clock=clock, live=True, descriptor=reading):
        assert clock.now() == pytest.approx(100.0 + chunk.end)
        chunks.append(chunk)
    assert sum(len(chunk.samples) for chunk in chunks) == len(PCM)


async def test_a_stall_moves_stream_time_on_when_live_and_a_slow_session_does_not(pipe):
    reading, writing = pipe
    second = bytes(2 * 16000)
    os.write(writing, second)
    clock, items = SetClock(100.0), []
    async for item in StandardInput(16000, clock=clock, live=True, descriptor=reading, chunk_s=0.5):
        items.append(item)
        match len(items):
            case 1:
                clock.moment += 20.0  # spent by the session: the audio waits in the pipe
            case 2:
                asyncio.get_running_loop().call_soon(stalled, clock, writing, second[:16000])
    first, after, gap, late = items
    assert (first.start, after.start) == (0.0, 0.5)
    assert isinstance(gap, Gap)
    assert gap.start == 1.0
    assert gap.end == late.start == pytest.approx(clock.now() - 100.0 - 0.5)


def stalled(clock, writing, data):
    """The writer comes back after 30 s."""
    clock.moment += 30.0
    os.write(writing, data)
    shut(writing)


@pytest.mark.parametrize("rate_hz", [0, -1, 10_000_000])
def test_impossible_rates_are_refused(rate_hz):
    with pytest.raises(BadInput, match="is no sample rate; valid are 4000 to 384000 Hz"):
        StandardInput(rate_hz, clock=LoopClock())


def test_a_terminal_is_refused():
    controller, terminal = os.openpty()
    try:
        with pytest.raises(BadInput, match="terminal"):
            StandardInput(16000, clock=LoopClock(), descriptor=terminal)
    finally:
        os.close(controller)
        os.close(terminal)
