"""The peers of streaming recognition: the whole window decoded again and again, and another package on our clock."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import asr_weights
from benchmarks.asr_clock import PEERS, HeardStream, PeerSettings, hear_by_peer
from benchmarks.asr_material import Recording
from benchmarks.asr_redecoding import SeamBuffer, measure_redecoding
from benchmarks.other_python import Peer
from benchmarks.peers import whisper_live_kit
from benchmarks.stages.peers import comparisons
from models.asr.whisper.hypothesis import HeardWord
from pipeline.errors import ModelError
from pipeline.events import Word

SETTINGS = PeerSettings("folder", 0.4)
TALK = Recording("talk", np.zeros(16000, np.float32), "one two three")


@pytest.fixture
def answering(tmp_path):
    """A peer whose script does what a given program says."""

    def make(program):
        script = tmp_path / "peer.py"
        script.write_text(f"import json, sys\ntask = json.load(sys.stdin)\n{program}")
        return Peer("whisperlivekit", sys.executable, script)

    return make


class Online:
    """A recognizer that takes two seconds of processor time and commits a word with every decoding."""

    def __init__(self, monkeypatch):
        self.cpu_s, self.did = 0.0, []
        monkeypatch.setattr(whisper_live_kit.time, "process_time", lambda: self.cpu_s)

    def insert_audio_chunk(self, samples):
        self.did.append(len(samples) / 16000)

    def end_silence(self, seconds, last_end):
        self.did.append(("silence", seconds, last_end))

    def process_iter(self):
        self.cpu_s += 2
        self.did.append("decode")
        return [SimpleNamespace(text=" word", start=0.0, end=5.0)], 0.0

    start_silence = process_iter

    def finish(self):
        return [SimpleNamespace(text=" rest", start=5.0, end=6.0)], 0.0


def speech(*seconds):
    return [(float(at), "speech", np.zeros(1600)) for at in seconds]


def test_what_arrives_during_a_decoding_waits_for_the_next(monkeypatch):
    online = Online(monkeypatch)
    found = whisper_live_kit.hear(online, speech(0.1, 0.2, 0.3, 0.4, 0.5, 1.1), step_s=0.4, cores=2)
    assert online.did == [0.1] * 4 + ["decode"] + [0.1] * 2 + ["decode"]
    assert [at for *_, at in found["words"]] == [1.4, 2.4, 2.4], "two cores share two seconds; the rest comes at the end"
    assert found["updates"] == 2
    assert found["cpu_s"] == 4


def test_a_pause_is_decoded_and_the_silence_told(monkeypatch):
    online = Online(monkeypatch)
    queue = [(0.1, "resume", 0.05), *speech(0.1), (0.2, "pause", None), (1.0, "resume", 0.8), *speech(1.0)]
    found = whisper_live_kit.hear(online, queue, step_s=0.4, cores=2)
    assert online.did == [("silence", 0.05, 0), 0.1, "decode", "decode", ("silence", 0.8, 5.0), 0.1, "decode"]
    assert [at for *_, at in found["words"]] == [1.2, 2.2, 3.2, 3.2]


def test_silence_reaches_nobody_and_events_count_within_their_block():
    told = iter([[], [{"start": 1500}], [], [{"end": 5000}], [{"start": 7000}, {"end": 7900}], []])
    queue = whisper_live_kit.queued(lambda _: next(told), np.arange(9000), 1600)
    kinds = [(at, kind, (value[0], value[-1]) if kind == "speech" else value) for at, kind, value in queue]
    assert kinds == [
        (0.2, "resume", 0.1),  # the onset lies in the block before: nothing of that is left to give
        (0.2, "speech", (1600, 3199)),
        (0.3, "speech", (3200, 4799)),
        (0.4, "speech", (4800, 4999)),
        (0.4, "pause", None),
        (0.5, "resume", 0.125),
        (0.5, "speech", (7000, 7899)),
        (0.5, "pause", None),
    ]


def test_the_script_needs_nothing_of_ours_and_says_what_is_missing():
    script = PEERS["whisperlivekit"]
    done = subprocess.run([sys.executable, "-S", "-E", script], input="{}", capture_output=True, text=True, check=False)
    assert "pip install whisperlivekit" in done.stderr.strip().splitlines()[-1]
    assert script.stem != whisper_live_kit.PACKAGE


def test_a_peer_gets_weights_and_sound_and_gives_words(answering):
    program = """
import numpy
assert numpy.load(task["recording"]).shape == (16000,)
print(json.dumps({"words": [[task["model"], 0, 1, 1.5]], "updates": 1, "cpu_s": task["step_s"]}))
"""
    heard = hear_by_peer(answering(program), SETTINGS, TALK)
    assert heard == HeardStream(1.0, [(Word("folder", 0, 1, 1.0), 1.5)], updates=1, cpu_s=0.4)


@pytest.mark.parametrize(("program", "reason"), [("sys.exit('not here')", "not here"), ("print('{}')", "cannot be read")])
def test_a_peer_that_fails_says_why(answering, program, reason):
    with pytest.raises(ModelError, match=reason):
        hear_by_peer(answering(program), SETTINGS, TALK)


class Clock:
    """Ours: it hears the second word wrong."""

    options = SimpleNamespace(step_s=0.4)

    def hear(self, samples):
        words = [(Word(text, 0, 1, 1.0), 2.0 + at) for at, text in enumerate([" one", " too", " three"])]
        return HeardStream(len(samples) / 16000, words, cpu_s=0.5)


def talks(peers):
    task = asr_weights._Task("talks", SETTINGS.model, None, 1, 1, peers)
    whole = asr_weights.Whole(("one", "two", "three"), (1.0, 2.0, 3.0))
    return asr_weights._talks(task, Clock(), lambda _: whole, [TALK, TALK])


def test_a_peers_figures_stand_beside_ours(answering):
    words = "[[' one', 0, 1, 4], [' two', 1, 2, 5], [' three', 2, 3, 6]]"
    figures = talks([answering(f"print(json.dumps({{'words': {words}, 'updates': 3, 'cpu_s': 2}}))")])
    assert figures["wer_streaming"] == figures["wer_above_offline"] == pytest.approx(1 / 3)
    assert figures["whisperlivekit_wer_streaming"] == 0
    found = {one.what: (one.ours, one.theirs) for one in comparisons("asr", figures) if one.peer == "WhisperLiveKit"}
    assert found["CPU a second of audio"] == (0.5, 2)
    assert found["commit after a word's end, CPU time counted, p50"] == (1, 3)
    assert len(found) == 4


def test_our_figures_stand_when_a_peer_fails(answering, capsys):
    figures = talks([answering("sys.exit('not here')")])
    assert figures["words"] == 6
    assert not [name for name in figures if name.startswith("whisperlivekit")]
    assert capsys.readouterr().out.count("whisperlivekit was not measured: not here") == 1


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
