"""Diarizers by name: a speaker encoder, and the streaming clustering that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from models import model_files
from models.asr.vad import SAMPLE_RATE, SpeechDetector, StreamingVad, cleaned
from models.diarize.ge2e import Ge2e
from models.diarize.stream import ClusterOptions, Clusters, DiarizationOptions, DiarizingStream, Encoder, Vector
from pipeline.contracts import FetchOptions, Missing, Progress
from pipeline.diarizing import Diarizing, SpeakerMemory, SpeakerTurns
from pipeline.errors import FETCH_MODELS, BadInput
from pipeline.events import AudioChunk, Samples
from pipeline.lane import Lane

CLIP_S = 15.0  # of a known voice that are heard
SHORTEST_CLIP_S = 1.0


@dataclass(frozen=True, slots=True)
class EncoderBackend(ABC):
    """A `pipeline.diarizing.DiarizerBackend` over a speaker encoder; a class for each encoder loads it.

    ``folder`` (empty: where model files are kept) holds ``model``. ``stream`` are the settings of the clustering.
    """

    NAME: ClassVar[str]
    """The encoder in `models.model_files`."""
    NEEDS: ClassVar[Sequence[str]] = ()
    ONE_VOICE_FROM: ClassVar[float]

    folder: str = ""
    model: str = ""
    stream: DiarizationOptions = field(default_factory=DiarizationOptions)

    @property
    def path(self) -> Path:
        """The file of the model."""
        return (Path(self.folder).expanduser() if self.folder else model_files.models_folder() / self.NAME) / self.model

    def missing(self) -> Sequence[Missing]:
        """Name packages and the model if they are not here."""
        if packages := model_files.missing_packages(self.NEEDS):
            return packages
        if not self.folder:
            return model_files.missing(self.NAME)
        there = self.path.is_file()
        return [] if there else [Missing(f"the speaker encoder {self.path}", FETCH_MODELS, fetchable=False)]

    def pull(self, progress: Progress) -> None:
        """Download the model."""
        self.fetch(FetchOptions(), progress)

    def fetch(self, options: FetchOptions, progress: Progress) -> None:
        """Download the model, unless there is a folder of one's own; it serves all languages."""
        from models.fetch import fetch

        if not self.folder:
            fetch(self.NAME, progress, source=options.source)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[OnlineDiarizer]:
        """Load the encoder into a thread of its own; raises `ModelError`."""
        model_files.check_present(self.missing())
        with Lane("speakers") as lane, self.limited():
            encoder = await lane.run(self.encoder)
            yield OnlineDiarizer(lane, encoder, StreamingVad, self.stream, self.ONE_VOICE_FROM)

    @abstractmethod
    def encoder(self) -> Encoder:
        """Load the encoder; blocking. Raises `ModelError`."""

    def limited(self) -> AbstractContextManager[object]:
        """Hold libraries to few threads while the model is loaded."""
        return nullcontext()


@dataclass(frozen=True, slots=True)
class Ge2eDiarizer(EncoderBackend):
    """A diarizer by GE2E in numpy, which takes about 6 % of a core."""

    NAME = "ge2e"
    ONE_VOICE_FROM = 0.72  # `python -m benchmarks one-voice`: 0.3 % of clean pairs of one lie below, 0.5 % of two above

    model: str = "pretrained.pt"

    def encoder(self) -> Ge2e:
        """Load the encoder; blocking. Raises `ModelError`."""
        return Ge2e.load(self.path)

    def limited(self) -> AbstractContextManager[object]:
        """Hold numpy's matrix products to one thread: they are small."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
        return limits


@dataclass(frozen=True, slots=True)
class CamPlusDiarizer(EncoderBackend):
    """A diarizer by CAM++ on torch, on the CPU."""

    NAME = "campplus"
    NEEDS = ("torch",)
    ONE_VOICE_FROM = 0.45  # `one-voice --profile gpu`: clean pairs of one lie above 0.54, of two below 0.37

    model: str = "campplus_cn_en_common.pt"
    stream: DiarizationOptions = field(
        default_factory=lambda: DiarizationOptions(clusters=ClusterOptions(same=0.5, alike=0.45))
    )

    def encoder(self) -> Encoder:
        """Load the encoder; blocking. Raises `ModelError`."""
        from models.diarize.campplus import CamPlus

        return CamPlus.load(self.path)


@dataclass(frozen=True, slots=True)
class OnlineDiarizer:
    """A loaded encoder with its clustering: a `Diarizer` that `FollowsSpeakers` and `ComparesVoices`."""

    lane: Lane
    encoder: Encoder
    detector: Callable[[], SpeechDetector]
    options: DiarizationOptions
    one_voice_from: float

    async def likeness(self, first: AudioChunk, second: AudioChunk) -> float:
        """Compare two clips at 16 kHz by the cosine of their voices; raises `BadInput` for one that is too short."""
        vectors = [await self.lane.run(voice_of, self.encoder, "voice", clip) for clip in (first, second)]
        return float(vectors[0] @ vectors[1])

    def open(self, most: int | None, known: Mapping[str, AudioChunk]) -> AbstractAsyncContextManager[Diarizing]:
        """Begin a stream; raises `BadInput` for a clip of a known voice that is too short or no 16 kHz audio."""
        return self.follow(most, known, SpeakerMemory())

    @asynccontextmanager
    async def follow(
        self, most: int | None, known: Mapping[str, AudioChunk], memory: SpeakerMemory
    ) -> AsyncIterator[Diarizing]:
        """Begin a stream likewise, with the speakers of the ``memory``."""
        vectors = [await self.lane.run(voice_of, self.encoder, name, clip) for name, clip in known.items()]
        options = self.options
        if most is not None:
            options = replace(options, clusters=replace(options.clusters, most=most))
        stream = DiarizingStream(self.encoder, self.detector, options, Clusters(options.clusters, vectors, memory.voices))
        yield OnlineDiarizing(self.lane, stream, tuple(known), memory.given)


class OnlineDiarizing:
    """One stream whose speakers are told apart; satisfies `pipeline.diarizing.Diarizing`."""

    def __init__(self, lane: Lane, stream: DiarizingStream, known: Sequence[str], given: int) -> None:
        self._lane, self._stream, self._known = lane, stream, known
        self._first = given + 1  # of those that are not known

    async def hear(self, audio: AudioChunk) -> SpeakerTurns:
        """Take the next 16 kHz chunk; raises `BadInput` for another sample rate."""
        _check_rate(audio)
        return self._named(await self._lane.run(self._stream.hear, cleaned(audio.samples), audio.start))

    async def finish(self) -> SpeakerTurns:
        """Decide what is left; idempotent."""
        return self._named(await self._lane.run(self._stream.finish))

    def _named(self, turns: SpeakerTurns) -> SpeakerTurns:
        spans = tuple(replace(span, speaker=self._name(int(span.speaker))) for span in turns.spans)
        return replace(turns, spans=spans, guess=self._name(int(turns.guess)) if turns.guess else "")

    def _name(self, number: int) -> str:
        return self._known[number] if number < len(self._known) else str(number - len(self._known) + self._first)


def voice_of(encoder: Encoder, name: str, clip: AudioChunk) -> Vector:
    """Map a clip of one voice to a unit vector, the mean of its windows; raises `BadInput` for one that is too short."""
    _check_rate(clip)
    samples: Samples = cleaned(clip.samples[: round(CLIP_S * SAMPLE_RATE)])
    window = round(1.5 * SAMPLE_RATE)
    if len(samples) < SHORTEST_CLIP_S * SAMPLE_RATE:
        raise BadInput(
            f"the clip of {name!r} is {clip.duration:.1f} s long; {SHORTEST_CLIP_S:g} s are needed to know a voice"
        )
    starts = range(0, max(1, len(samples) - window + 1), window // 2)
    total = np.sum([encoder(samples[start : start + window]) for start in starts], axis=0)
    return np.asarray(total / (np.linalg.norm(total) + 1e-9), np.float32)


def _check_rate(audio: AudioChunk) -> None:
    if audio.sample_rate != SAMPLE_RATE:
        raise BadInput(f"the diarizer wants audio at {SAMPLE_RATE} Hz, got {audio.sample_rate} Hz: resample it first")
