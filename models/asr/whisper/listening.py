"""The recognizer that sessions share, and one session's ear on it: carries the jobs of a `Stream` to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from models.asr.vad import SpeechDetector, cleaned
from models.asr.whisper.hypothesis import Decoder, Engine
from models.asr.whisper.log_mel import SAMPLE_RATE, LogMel
from models.asr.whisper.options import StreamOptions
from models.asr.whisper.prompt_terms import PromptTerms
from models.asr.whisper.stream import Expectation, Stream
from models.asr.whisper.window import Features
from pipeline.errors import BadInput, Refused, nearest
from pipeline.events import AudioChunk, Notice, Transcript

TOLERANCE_S = 0.02  # sources that compute their times in floating point


@dataclass(frozen=True, slots=True)
class WhisperRecognizer:
    """A loaded model; satisfies `pipeline.contracts.Recognizer`. ``notices`` open every stream."""

    engine: Engine
    batched: Decoder
    options: StreamOptions
    detector: Callable[[], SpeechDetector]
    features: Callable[[], Features]
    notices: tuple[Notice, ...] = ()

    @asynccontextmanager
    async def open(self, languages: Sequence[str], vocabulary: Sequence[str]) -> AsyncIterator[WhisperListening]:
        """Begin a stream; raises `Refused` for a language the model does not know.

        ``vocabulary`` is a hint: as many of its terms as have room are given to the model as context; see `PromptTerms`.
        """
        for language in languages:
            if language not in self.engine.languages:
                raise Refused(
                    f"this Whisper model does not know the language {language!r}: "
                    f"{nearest(language, self.engine.languages)}"
                )
        allowed = tuple(languages) or tuple(sorted(self.engine.languages))
        expected = PromptTerms(vocabulary, self.engine.encode_text)
        stream = Stream(self.options, Expectation(allowed, expected), self.detector, self.features)
        yield WhisperListening(stream, self.batched, (*self.notices, *expected.notices))


def log_mel_features(engine: Engine) -> Callable[[], Features]:
    """Make what computes features for an engine."""
    return lambda: LogMel(engine.n_mels)


class WhisperListening:
    """One stream being recognized; satisfies `pipeline.contracts.Listening`.

    A transcript never reaches beyond the end of an utterance: what follows it in the same chunk is heard in the next call.
    """

    def __init__(self, stream: Stream, engine: Decoder, notices: Sequence[Notice] = ()) -> None:
        self._stream = stream
        self._engine = engine
        self._opening = tuple(notices)
        self._begun = self._finished = False

    async def hear(self, audio: AudioChunk) -> Transcript:
        """Take the next 16 kHz chunk; returns at once unless an update is due.

        Raises `BadInput` for another sample rate, audio that goes back in time, or a stream that was finished. When the
        engine fails, its error is raised and the same update is tried again in the next call: no audio is lost.
        """
        if audio.sample_rate != SAMPLE_RATE:
            raise BadInput(f"the recognizer wants audio at {SAMPLE_RATE} Hz, got {audio.sample_rate} Hz: resample it first")
        if self._finished:
            raise BadInput("the stream was finished: open another one for more audio")
        heard = await self._at(audio.start)
        self._stream.feed(cleaned(audio.samples))
        return _joined([*heard, await self._drain()])

    def expect(self, vocabulary: Sequence[str]) -> None:
        """Expect these words from the next update on, in place of those that were added before."""
        self._stream.expect(vocabulary)

    async def finish(self) -> Transcript:
        """Commit what is left; idempotent."""
        self._finished = True
        return _joined(await self._run_out())

    async def _at(self, start: float) -> list[Transcript]:
        """Close the utterance and go on at ``start`` if audio is missing before it."""
        missing_s = start - self._stream.arrived_s
        if self._begun and missing_s < -TOLERANCE_S:
            raise BadInput(
                f"audio that starts at {start:.3f} s came after {self._stream.arrived_s:.3f} s: send it in order"
            )
        if self._begun and missing_s <= TOLERANCE_S:
            return []
        heard = await self._run_out() if self._begun else []
        self._begun = True
        self._stream.restart(start)
        return heard

    async def _run_out(self) -> list[Transcript]:
        self._stream.finish()
        heard = [await self._drain()]
        while not self._stream.exhausted:
            heard.append(await self._drain())
        return heard

    async def _drain(self) -> Transcript:
        """Do the updates that are due."""
        now = asyncio.get_running_loop().time
        while (job := self._stream.job()) is not None:
            begin_s = now()
            hypothesis = await self._engine.decode(job)
            self._stream.accept(hypothesis, now() - begin_s)
        transcript = self._stream.take()
        opening, self._opening = self._opening, ()
        return replace(transcript, notices=opening + transcript.notices) if opening else transcript


def _joined(heard: Sequence[Transcript]) -> Transcript:
    """Join transcripts that follow each other."""
    newest = heard[-1]
    if len(heard) == 1:
        return newest
    return replace(
        newest,
        committed=tuple(word for transcript in heard for word in transcript.committed),
        notices=tuple(notice for transcript in heard for notice in transcript.notices),
        ended=any(transcript.ended for transcript in heard),
    )
