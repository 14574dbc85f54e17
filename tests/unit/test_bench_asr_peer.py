"""The peer of streaming recognition hears the same words, by decoding its whole window again and again."""

import pytest

from benchmarks.asr_redecoding import SeamBuffer, measure_redecoding
from models.asr.whisper.hypothesis import HeardWord


def words(text, start=0.0):
    return [HeardWord(word, start + i, start + i + 0.9, 1.0, ()) for i, word in enumerate(text.split())]


def test_what_two_hypotheses_agree_on_is_committed_once():
    buffer = SeamBuffer()
    buffer.insert(words("we begin with"))
    assert buffer.agree() == []
    buffer.insert(words("we begin here and"))
    assert [word.text for word in buffer.agree()] == ["we", "begin"]
    buffer.insert(words("we begin here and now"))
    assert [word.text for word in buffer.agree()] == ["here", "and"]


def test_a_long_window_is_cut_before_a_pause_and_repeated_text_is_dropped():
    buffer = SeamBuffer(longest_s=3.0, pause_s=0.05)
    for _ in range(2):
        buffer.insert(words("a b c d"))
        buffer.agree()
    buffer.trim(4.0)
    assert buffer.start == pytest.approx(2.9)
    buffer.insert(words("d e", start=3.85))
    assert [word.text for word in buffer.rest] == ["e"]


def test_the_toy_is_heard_so_too():
    pytest.importorskip("faster_whisper")
    from benchmarks.asr_toy import toy_stream

    found, decoded = measure_redecoding([toy_stream(seed, 12.0) for seed in range(2)], 0.5)
    assert found.wer < 0.2
    assert 0 < found.mean_s < 2
    assert 1 < decoded < 12
