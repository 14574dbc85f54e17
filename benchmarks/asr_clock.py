"""Streaming recognition on a virtual clock that counts processor time, so that a busy machine does not spoil the latency.

Audio arrives in blocks of 0.1 s; an update ends when the processor time it took, shared by two cores, has passed: by fewer,
as on a machine that is slower.
Other recognizers are heard on the same clock, each run by the Python of its own environment: the same weights, audio,
blocks and steps. As with ours, the detector of speech costs nothing on it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.asr_material import Recording
from benchmarks.other_python import Peer, run_script
from models.asr.vad import SpeechDetector, StreamingVad, cleaned
from models.asr.whisper.hypothesis import Engine
from models.asr.whisper.listening import log_mel_features
from models.asr.whisper.log_mel import SAMPLE_RATE
from models.asr.whisper.options import StreamOptions
from models.asr.whisper.prompt_terms import PromptTerms
from models.asr.whisper.stream import Expectation, Stream
from pipeline.errors import ModelError
from pipeline.events import Notice, Samples, Word

BLOCK_S = 0.1
CORES = 2.0
PEERS = {"whisperlivekit": Path(__file__).parent / "peers" / "whisper_live_kit.py"}
PEER_LIMIT_S = 3600.0


@dataclass(slots=True)
class HeardStream:
    """One stream: each committed word with the clock at its commit, the notices, and what it cost."""

    seconds: float
    words: list[tuple[Word, float]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    updates: int = 0
    cpu_s: float = 0.0

    @property
    def text(self) -> str:
        """All words."""
        return "".join(word.text for word, _ in self.words)


@dataclass(slots=True)
class VirtualClock:
    """Hears audio with one engine; ``now`` is the clock of the stream at work."""

    engine: Engine
    options: StreamOptions = field(default_factory=StreamOptions)
    detector: type[SpeechDetector] = StreamingVad
    cores: float = CORES

    def hear(self, samples: Samples, languages: Sequence[str] = ("en",), terms: Sequence[str] = ()) -> HeardStream:
        """Hear a recording at real-time pace; what arrives while an update is at work waits for the next."""
        allowed = tuple(languages) or tuple(sorted(self.engine.languages))
        expectation = Expectation(allowed, PromptTerms(terms, self.engine.encode_text))
        stream = Stream(self.options, expectation, self.detector, log_mel_features(self.engine))
        audio, block = cleaned(samples), round(BLOCK_S * SAMPLE_RATE)
        heard, now_s, fed = HeardStream(len(audio) / SAMPLE_RATE), 0.0, 0
        while fed < len(audio):
            now_s = max(now_s, min(fed + block, len(audio)) / SAMPLE_RATE)
            arrived = (
                min(len(audio), int(now_s / BLOCK_S + 1e-6) * block) if now_s * SAMPLE_RATE < len(audio) else len(audio)
            )
            stream.feed(audio[fed:arrived])
            fed = arrived
            now_s = self._drain(stream, heard, now_s)
        stream.finish()
        while True:
            now_s = self._drain(stream, heard, now_s)
            if stream.exhausted:
                return heard

    def _drain(self, stream: Stream, heard: HeardStream, now_s: float) -> float:
        """Do the updates that are due; gives the clock after them."""
        while True:
            begun_s = time.process_time()
            job = stream.job()
            hypothesis = self.engine.decode([job])[0] if job else None
            spent_s = time.process_time() - begun_s
            heard.cpu_s += spent_s
            if hypothesis is None:
                break
            heard.updates += 1
            now_s += spent_s / self.cores
            stream.accept(hypothesis, spent_s / self.cores)
        transcript = stream.take()
        heard.words += [(word, now_s) for word in transcript.committed]
        heard.notices += transcript.notices
        return now_s


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """Weights and clock that a peer shares with ours."""

    model: str
    step_s: float
    language: str = "en"
    threads: int = 1
    block_s: float = BLOCK_S
    cores: float = CORES


def hear_by_peer(peer: Peer, settings: PeerSettings, recording: Recording) -> HeardStream:
    """Let a peer hear a recording; raises `ModelError` with why it cannot."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "recording.npy")
        np.save(file, cleaned(recording.samples))
        task = asdict(settings) | {"recording": str(file)}
        found = run_script(peer.python, peer.script, json.dumps(task), PEER_LIMIT_S)
    try:
        return HeardStream(
            len(recording.samples) / SAMPLE_RATE,
            [(Word(str(text), start, end, 1.0), float(at)) for text, start, end, at in found["words"]],
            updates=int(found["updates"]),
            cpu_s=float(found["cpu_s"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"its words cannot be read ({error!r}): {str(found)[:200]}") from error
