"""The recognizer that needs no download: PocketSphinx with its own US English model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from models.asr.pocketsphinx.utterances import Decoder, Heard, StreamOptions, UtteranceStream
from models.asr.vad import SAMPLE_RATE
from pipeline.contracts import Listening, Missing, Progress, Recognizer
from pipeline.errors import BadInput, ModelError, Refused, check_range
from pipeline.events import AudioChunk, Transcript, Word
from pipeline.lane import Lane

LANGUAGE = "en"
GAP_S = 0.1  # an audio chunk that begins this much away from the end of the last one is not its continuation
TURN_S = 1.0  # the most audio one session decodes before another gets its turn
# Where live cepstral mean normalization starts: the mean over three English recordings that are not the benchmark's. The
# package's own start (40, 3, -1, then zeros) is far off for speech of usual level, and weighs as much as 5 s of speech.
FIRST_MEAN = "53.9,2.3,-13.5,12.6,-9.9,5.6,-4.5,-4.9,-4.7,4.4,5,4.3,-3.4"


@dataclass(frozen=True, slots=True)
class PocketSphinx:
    """Recognizes English; its words have no probabilities (1.0 stands for "unknown").

    ``acoustic_model`` (folder), ``language_model`` and ``dictionary`` (files) default to the package's own. At most
    ``states_per_frame`` states are searched: 3000 halves the work and leaves the words as they are. The settings of
    ``stream`` say how early words are committed.
    """

    acoustic_model: str | None = None
    language_model: str | None = None
    dictionary: str | None = None
    states_per_frame: int = 3000
    stream: StreamOptions = field(default_factory=StreamOptions)

    def __post_init__(self) -> None:
        check_range("states_per_frame", self.states_per_frame, 1)

    def missing(self) -> Sequence[Missing]:
        """The packages or model files that are not there."""
        packages = [name for name in ("pocketsphinx", "faster_whisper", "onnxruntime") if find_spec(name) is None]
        files = [name for name in self._models().values() if not Path(name).exists()]
        return [
            *(Missing(f"the Python package {name}", f"pip install {name.replace('_', '-')}") for name in packages),
            *(Missing(f"the model file {name}", "correct its path in the profile", fetchable=False) for name in files),
        ]

    def languages(self) -> frozenset[str]:
        """English."""
        return frozenset({LANGUAGE})

    def pull(self, progress: Progress) -> None:
        """Nothing to download: the model is in the package."""

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Recognizer]:
        """Load a decoder, so that a broken model is found now; the first session takes it."""
        for lack in self.missing():
            raise ModelError(f"{lack.what} not found; {lack.fix}")
        with Lane("pocketsphinx") as lane:
            recognizer = _Recognizer(self, lane, [await lane.run(self.decoder)])
            try:
                yield recognizer
            finally:
                recognizer.spare.clear()

    def decoder(self) -> Decoder:
        """A new decoder, which takes its time and memory of its own; raises `ModelError`."""
        import pocketsphinx

        try:
            decoder: Decoder = pocketsphinx.Decoder(
                **self._models(),
                **({} if self.acoustic_model else {"cmninit": FIRST_MEAN}),  # another model may have other features
                samprate=SAMPLE_RATE,
                bestpath=False,  # these two would go over the utterance again at its end, when everybody waits
                fwdflat=False,
                maxhmmpf=self.states_per_frame,
                loglevel="FATAL",
            )
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"PocketSphinx could not load its model ({error}); check the paths in the profile") from error
        return decoder

    def _models(self) -> dict[str, str]:
        named = {"hmm": self.acoustic_model, "lm": self.language_model, "dict": self.dictionary}
        return {option: path for option, path in named.items() if path is not None}


@dataclass(frozen=True, slots=True)
class _Recognizer:
    backend: PocketSphinx
    lane: Lane
    spare: list[Decoder]

    @asynccontextmanager
    async def open(self, languages: Sequence[str], vocabulary: Sequence[str]) -> AsyncIterator[Listening]:
        """Begin a stream with a decoder of its own; ``vocabulary`` is ignored: the dictionary is fixed."""
        if languages and LANGUAGE not in languages:
            raise Refused(
                f"PocketSphinx recognizes English (en) only, not {', '.join(languages)}; "
                "the cpu and gpu profiles (Whisper) recognize about 100 languages"
            )
        decoder = self.spare.pop() if self.spare else await self.lane.run(self.backend.decoder)
        yield _Listening(self.lane, await self.lane.run(UtteranceStream, decoder, self.backend.stream))


class _Listening:
    """One stream; what it decodes runs on the lane, at most a second of audio a turn."""

    def __init__(self, lane: Lane, stream: UtteranceStream) -> None:
        self._lane = lane
        self._stream = stream

    async def hear(self, audio: AudioChunk) -> Transcript:
        """Take the next chunk; after a gap in stream time the utterance before it is over."""
        if audio.sample_rate != SAMPLE_RATE or audio.samples.ndim != 1:
            raise BadInput(
                f"PocketSphinx hears mono audio of {SAMPLE_RATE} Hz, not {audio.sample_rate} Hz; resample it first"
            )
        heard = Heard()
        if abs(audio.start - self._stream.expected_s) > GAP_S:
            heard = await self._lane.run(self._stream.jump, audio.start)
        turn = int(TURN_S * SAMPLE_RATE)
        for start in range(0, len(audio.samples), turn):
            heard = _both(heard, await self._lane.run(self._stream.hear, audio.samples[start : start + turn]))
        return self._transcript(heard)

    async def finish(self) -> Transcript:
        """Commit what is left; a second call brings nothing."""
        return self._transcript(await self._lane.run(self._stream.finish))

    def _transcript(self, heard: Heard) -> Transcript:
        make = partial(Transcript, language=LANGUAGE, heard_s=self._stream.heard_s, silence_s=self._stream.silence_s)
        return make(committed=tuple[Word, ...](heard.committed), tentative=heard.tentative, ended=heard.ended)


def _both(first: Heard, second: Heard) -> Heard:
    return Heard(first.committed + second.committed, second.tentative, first.ended or second.ended)
