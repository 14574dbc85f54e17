"""The yardstick itself: errors and latency of streams whose score is known."""

import numpy as np
import pytest

from benchmarks import asr_material, asr_weights
from benchmarks.asr_clock import CORES, HeardStream, VirtualClock
from benchmarks.asr_scoring import Commit, Truth, align, score, summarize
from benchmarks.asr_weights import normalized
from benchmarks.scripted_speech import Manner, ScriptedEngine, ScriptedVoice, render, write_script
from pipeline.events import Gap, Word


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


def test_words_are_compared_without_case_punctuation_and_abbreviations():
    said = ["don't", "stop", "now", "mister", "o'hara", "i", "am", "sure"]
    assert normalized("Don't stop — now, Mr. O’Hara! I’m sure.") == said


def heard(*texts, notices=()):
    return HeardStream(10.0, [(Word(f" {text}", 0.0, 0.1, 0.9), 1.0) for text in texts], list(notices))


def test_words_are_lost_silently_in_runs_that_no_gap_covers():
    whole = asr_weights.Whole(tuple("abcdefgh"), tuple(float(second) for second in range(1, 9)))
    assert asr_weights.lost(whole, heard("a", "b", "f", "g", "h")) == 3
    assert asr_weights.lost(whole, heard("a", "b", "e", "f", "g", "h")) == 0, "two words are errors of hearing"
    assert asr_weights.lost(whole, heard("a", "b", "x", "y", "z", "f", "g", "h")) == 0, "other words are no loss"
    assert asr_weights.lost(whole, heard("a", "b", "f", "g", "h", notices=[Gap(2.8, 5.2, "unrecognized")])) == 0
    assert asr_weights.lost(whole, heard("a", "b", "c", "d")) == 4


def test_talks_have_all_the_words_asked_for_and_each_case_of_hard_speech_keeps_its_level_or_length():
    random = np.random.default_rng(0)
    recordings = [
        asr_material.Recording(str(n), 0.1 * random.standard_normal(16_000).astype(np.float32), "one two") for n in range(3)
    ]
    talks = asr_material.talks(recordings, 13)
    assert [len(talk.transcript.split()) for talk in talks] == [6, 6, 6]
    assert not np.array_equal(talks[0].samples[:40_000], talks[1].samples[:40_000])
    hard = asr_material.stressed(recordings[0])
    assert 20 * np.log10(np.std(hard["quiet_63_db"].samples)) == pytest.approx(-63.0, abs=0.1)
    assert len(hard["fast"].samples) == pytest.approx(16_000 / 1.3, abs=2)
    assert np.var(hard["noise_0_db"].samples) == pytest.approx(2 * np.var(recordings[0].samples), rel=0.1)


@pytest.mark.parametrize(("cost_s", "cores"), [(0.0, CORES), (0.8, CORES), (0.8, 1.0)])
def test_the_clock_of_a_commit_counts_the_processor_time_of_updates(monkeypatch, cost_s, cores):
    """Each look at the processor's clock takes half an update's cost."""
    looks = iter(range(10**6))
    monkeypatch.setattr("benchmarks.asr_clock.time.process_time", lambda: cost_s * next(looks))
    script = write_script(1, 20, Manner(pauses=0.0))
    audio = render(script, script[-1].end + 1.0)
    engine = ScriptedEngine(script)
    monkeypatch.setattr(engine, "n_mels", 80, raising=False)
    found = VirtualClock(engine, detector=ScriptedVoice, cores=cores).hear(audio)
    assert found.text == "".join(word.text for word in script)
    late = [at - word.end for word, at in found.words]
    assert min(late) >= cost_s / cores
    assert found.cpu_s >= cost_s * found.updates
    assert max(late) <= (2.5 if cores == CORES else 3.0)  # it would be 5.2 if it asked for more updates than can be done
