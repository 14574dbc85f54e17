"""The yardstick itself: errors and latency of streams whose score is known."""

import pytest

from benchmarks.asr_folder import normalized
from benchmarks.asr_scoring import Commit, Truth, align, score, summarize


def test_errors_and_latency_of_a_known_stream():
    said = [Truth(" a", 1.0), Truth(" b", 2.0), Truth(" c", 3.0), Truth(" d", 4.0)]
    heard = [Commit(" a", 1.5), Commit(" x", 2.5), Commit(" d", 4.25)]
    found = score(said, heard)
    assert (found.substituted, found.deleted, found.inserted, found.words) == (1, 1, 0, 4)
    assert found.latencies_s == (0.5, 0.25)
    extra = score(said[:1], [Commit(" a", 1.5), Commit(" e", 1.6)])
    assert (extra.substituted, extra.deleted, extra.inserted) == (0, 0, 1)
    total = summarize([found, extra])
    assert total.wer == pytest.approx(3 / 5)
    assert total.mean_s == pytest.approx(1.25 / 3)


def test_an_alignment_covers_both_sides_once_and_in_order():
    pairs = align(list("abcab"), list("xbcb"))
    assert [i for i, _ in pairs if i is not None] == list(range(5))
    assert [j for _, j in pairs if j is not None] == list(range(4))


def test_words_are_compared_without_case_and_punctuation():
    assert normalized("Don't stop — now, Ms. O’Hara!") == ["don't", "stop", "now", "ms", "o’hara"]
