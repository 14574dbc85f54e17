"""The numbers that the benchmark of the server says: heard exactly, however they are cut or resampled."""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest

from benchmarks.serve import _lost
from benchmarks.serve_client import ServerProcess
from benchmarks.serve_heap import in_use_bytes
from benchmarks.serve_room_trained import heard as heard_again
from benchmarks.serve_room_trained import people, words_of
from benchmarks.serve_soak import growth_a_second
from benchmarks.spoken_numbers import HEARD_HZ, SENT_HZ, SLOT_S, SpokenNumbers, spoken
from pipeline.audio.resampling import Resampler
from pipeline.errors import ModelError
from pipeline.events import AudioChunk, Word


async def heard(pcm: bytes, cut: int) -> list[Word]:
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    samples = Resampler(SENT_HZ, HEARD_HZ).process(samples, last=True)
    words: list[Word] = []
    async with SpokenNumbers().open((), ()) as stream:
        for first in range(0, len(samples), cut):
            chunk = AudioChunk(samples[first : first + cut], HEARD_HZ, first / HEARD_HZ)
            words += (await stream.hear(chunk)).committed
    return words


@pytest.mark.parametrize("cut", [160, 1601, 100_000])
async def test_each_number_is_heard_once_where_it_was_said(cut: int):
    words = await heard(spoken(190, 25), cut)
    assert [int(word.text) for word in words] == [number % 200 for number in range(190, 215)]
    assert [word.start for word in words] == pytest.approx([SLOT_S * number for number in range(25)], abs=0.005)


async def test_audio_that_begins_where_a_word_ended_brings_no_rest_of_it():
    words = await heard(spoken(0, 6), 1600)
    start = round(words[2].end * 1000) * SENT_HZ // 1000 * 2
    again = await heard(spoken(0, 6)[start:], 1600)
    assert [int(word.text) for word in again] == [3, 4, 5]


def test_lost_and_doubled_words_are_told_apart():
    assert _lost([0, 1, 2, 0], [0, 1, 2]) == 1
    assert _lost([0, 1, 2], [0, 1, 1, 2]) == 0
    assert _lost([0, 1, 1, 2], [0, 1, 2]) == 1


@pytest.mark.parametrize("leak_mb_an_hour", [0, 1, 20])
def test_growth_is_told_from_what_a_server_takes_while_it_warms_up(leak_mb_an_hour: int):
    moments = np.arange(123, 3700, 123)
    jitter_mb = np.random.default_rng(1).uniform(-0.5, 0.5, len(moments))  # garbage that is not collected yet
    memory = 60 + np.minimum(moments, 600) / 20 + jitter_mb + leak_mb_an_hour * moments / 3600
    found = 3600 * growth_a_second(list(zip(moments.tolist(), memory.tolist(), strict=True)))
    assert found == pytest.approx(leak_mb_an_hour, abs=0.5)


@pytest.mark.looptime
async def test_sessions_that_do_not_end_with_their_clients_are_told_and_not_waited_for(monkeypatch):
    async def sessions(self) -> int:
        return 2

    monkeypatch.setattr(ServerProcess, "sessions", sessions)
    with pytest.raises(ModelError, match="2 sessions of the server still run 30 s after their clients left"):
        await ServerProcess.rested(object.__new__(ServerProcess))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc older than 2.33, or none")
def test_what_is_freed_is_not_in_use_whatever_the_process_keeps_of_it():
    before = in_use_bytes()
    small, large = [str(number).encode() * 20 for number in range(50_000)], bytes(20_000_000)
    size = sum(map(sys.getsizeof, small)) + sys.getsizeof(large)
    held = in_use_bytes() - before
    assert size < held < 1.2 * size
    del small, large
    assert abs(in_use_bytes() - before) < 0.05 * size


def test_what_one_heard_is_held_against_what_they_read_and_what_they_said_themselves():
    ana, bo = people()
    ana.read = ["The train leaves", " every morning."]
    ana.sound = bytearray(48_000)
    figures = heard_again(ana, bo, lambda samples, rate, language: "The TRAIN, mornings and the director")
    assert figures["en_meant_words_heard_share"] == 2 / 6
    assert figures["en_read_words_heard_share"] == 1 / 4  # train; neither leaves, every nor morning
    assert figures["en_own_words_heard"] == 1, "the director is of her own sentence"
    assert not words_of(ana.text) & words_of(bo.text)
