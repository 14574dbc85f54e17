"""The backend a profile names: any faster-whisper model, recognized as a stream, many of which are decoded in one batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Literal

from models.asr.vad import Loudness, SpeechDetector, StreamingVad
from models.asr.whisper.hypothesis import Engine, Hypothesis, Job, batch_key
from models.asr.whisper.language import LANGUAGES, SINCE_LARGE_V3
from models.asr.whisper.listening import WhisperRecognizer, log_mel_features
from models.asr.whisper.loading import Placement, load_engine, warm_up
from models.asr.whisper.model_files import download, find, has_alignment_heads, lacking
from models.asr.whisper.options import WHISPER_S, StreamOptions
from models.model_files import on_gpu, table
from pipeline.contracts import FetchOptions, Missing, Progress
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, check_range
from pipeline.events import Fault, Notice
from pipeline.lane import Lane

PACKAGES = ("faster_whisper", "ctranslate2", "onnxruntime", "tokenizers")
GROWTH_STEPS = 2  # updates by which a window can outgrow its limit before it is trimmed
NO_HEADS = (
    "the Whisper model names no alignment heads, so its word times are rough: "
    "words are committed when two hypotheses agree (local_agreement)"
)

_MILLIONS = {
    "tiny": 39, "base": 74, "small": 244, "medium": 769, "large-v1": 1550, "large-v2": 1550, "large-v3": 1550,
    "large": 1550, "large-v3-turbo": 809, "turbo": 809,
}  # fmt: skip
"""Parameters by name (README of openai/whisper); models of English alone are as large."""


@dataclass(frozen=True, slots=True)
class FasterWhisper:
    """Whisper on CTranslate2.

    ``model``: a faster-whisper name (``small``, ``large-v3-turbo``), a repository or a folder. ``compute_type`` auto: int8
    on a CPU, float16 on a GPU. ``threads`` 0: as many as cores, at most 4. ``encoder_window_s`` is the most that the
    encoder hears at once (0: the 30 s of its training); on a CPU it computes what was heard and a second more, of 10 s at
    least. ``beam_size`` above 1: a search with timestamps, which is slower, but for ``stream.greedy_languages``.
    ``batch`` streams are decoded at once. ``cache``: where models are kept, if not where the model hub keeps them.
    ``voice``: the speech detector; ``floor_db`` (dB below full scale): what is louder is never too quiet for it, and what
    is quieter only where it does not rise above the noise.
    """

    model: str = "small"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    device_index: int = 0
    compute_type: str = "auto"
    threads: int = 0
    beam_size: int = 1
    batch: int = 8
    encoder_window_s: float = 0.0
    cache: str = ""
    voice: Literal["silero", "loudness"] = "silero"
    floor_db: float = -60.0
    stream: StreamOptions = field(default_factory=StreamOptions)

    def __post_init__(self) -> None:
        check_range("device_index", self.device_index, 0)
        check_range("threads", self.threads, 0)
        check_range("beam_size", self.beam_size, 1)
        check_range("batch", self.batch, 1)
        check_range("floor_db", self.floor_db, -120, 0)
        check_range("encoder_window_s", self.encoder_window_s, 0, WHISPER_S)

    def missing(self) -> Sequence[Missing]:
        """List the packages, the GPU where one is asked for, and the model files that are not here."""
        absent = [
            Missing(f"the Python package {name}", "pip install faster-whisper") for name in PACKAGES if not find_spec(name)
        ]
        if absent:
            return absent
        if self.device == "cuda" and not _gpus():
            absent.append(Missing("a CUDA GPU", "a profile that needs none, such as the profile cpu", fetchable=False))
        folder = find(self.model, self.cache)
        if folder is None:
            absent.append(Missing(f"the Whisper model {self.model}", FETCH_MODELS))
        elif lacking(folder):
            what = f"{', '.join(lacking(folder))} in {folder}"
            absent.append(Missing(what, "copy the whole model there", fetchable=False))
        return absent

    def languages(self) -> frozenset[str]:
        """Return the languages the model was trained on, as far as its name tells."""
        if self.model.endswith(".en"):
            return frozenset({"en"})
        return LANGUAGES | (SINCE_LARGE_V3 if "large-v3" in self.model or "turbo" in self.model else frozenset())

    def gpu_memory(self) -> Mapping[str, int]:
        """Estimate the bytes of the GPU that it will take, by what takes them; none on a CPU."""
        return _gpu_memory(self.model, find(self.model, self.cache), self.compute_type) if on_gpu(self.device) else {}

    def pull(self, progress: Progress) -> None:
        """Download the model."""
        self.fetch(FetchOptions(), progress)

    def fetch(self, options: FetchOptions, progress: Progress) -> None:
        """Download the model, from any source where its files are in the table of model files, else from the hub."""
        from models.fetch import fetch

        if not self.cache and (name := f"whisper-{self.model}") in table():
            fetch(name, progress, source=options.source)
        elif options.source in {"", "hub"}:
            download(self.model, self.cache, progress)
        else:
            raise ModelError(f"{options.source} has no Whisper model {self.model}, which the hub has", code="not_fetched")

    @asynccontextmanager
    async def load(self) -> AsyncIterator[WhisperRecognizer]:
        """Load on a thread of its own, warm up, share among sessions; never uses the network."""
        folder = find(self.model, self.cache)
        if folder is None:
            raise ModelError(f"the Whisper model {self.model} is not on this machine", hint=FETCH_MODELS)
        with Lane("whisper") as lane:
            engine = await lane.run(self._load_engine, folder)
            options, notices = self._fitting(engine, folder)
            batched = BatchedEngine(engine, lane, self.batch)
            yield WhisperRecognizer(engine, batched, options, self._detector, log_mel_features(engine), notices)

    def _detector(self) -> SpeechDetector:
        return StreamingVad(self.floor_db) if self.voice == "silero" else Loudness()

    def _load_engine(self, folder: Path) -> Engine:
        placement = Placement(self.device, self.device_index, self.compute_type, self.threads)
        engine = load_engine(folder, placement, self.encoder_window_s, self.beam_size)
        warm_up(engine)
        return engine

    def _fitting(self, engine: Engine, folder: Path) -> tuple[StreamOptions, tuple[Notice, ...]]:
        """Return the options for this model; raises `BadInput` when its window is too short for them."""
        options = self.stream if self.beam_size > 1 else replace(self.stream, greedy_languages=())  # all fit in one batch
        most_s = engine.window_s - GROWTH_STEPS * options.step_s
        if options.window_s > most_s:
            raise BadInput(f"stream.window_s {options.window_s:g} is more than this model can hear: at most {most_s:g}")
        if has_alignment_heads(folder) or options.policy == "local_agreement":
            return options, ()
        return replace(options, policy="local_agreement"), (Fault("recognize", NO_HEADS, fatal=False),)


def _gpus() -> int:
    import ctranslate2

    return int(ctranslate2.get_cuda_device_count())


def _gpu_memory(model: str, folder: Path | None, compute_type: str) -> Mapping[str, int]:
    """Estimate the bytes of the weights, with where the figure comes from; 0 where neither file nor name tell."""
    name = Path(model).name
    if folder is not None and (folder / "model.bin").is_file():
        return {f"weights of Whisper {name}, from its file": (folder / "model.bin").stat().st_size}
    number_bytes = 1 if "int8" in compute_type else 4 if compute_type == "float32" else 2
    parameters = _MILLIONS.get(name.removesuffix(".en"), 0) * 1_000_000
    if not parameters:
        return {f"an unknown size for Whisper {name}": 0}
    return {f"weights of Whisper {name}, from its published size": parameters * number_bytes}


@dataclass(slots=True, eq=False)
class _Ticket:
    job: Job
    hypothesis: Hypothesis | None = None


class BatchedEngine:
    """Engine for many streams, on the lane that owns the real one.

    Every caller takes its own turn on the lane. In its turn it decodes its job together with those that wait and fit, up to
    ``batch`` at once; whoever was served that way finds its turn already done.
    """

    def __init__(self, engine: Engine, lane: Lane, batch: int) -> None:
        self._engine = engine
        self._lane = lane
        self._batch = batch
        self._waiting: list[_Ticket] = []  # at most one a stream
        self._lock = Lock()

    async def decode(self, job: Job) -> Hypothesis:
        """Decode one job; raises what the engine raises for it alone."""
        ticket = _Ticket(job)
        with self._lock:
            self._waiting.append(ticket)
        try:
            return await self._lane.run(self._serve, ticket)
        finally:
            with self._lock:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)

    def _serve(self, ticket: _Ticket) -> Hypothesis:
        if ticket.hypothesis is None:
            tickets = self._take(ticket)
            for served, hypothesis in zip(tickets, self._decode(tickets), strict=True):
                served.hypothesis = hypothesis
        if ticket.hypothesis is None:  # the batch failed without saying for whom: alone, so that the error is its own
            ticket.hypothesis = self._engine.decode([ticket.job])[0]
        return ticket.hypothesis

    def _take(self, ticket: _Ticket) -> list[_Ticket]:
        """Return the caller's ticket and those that fit with it, in order of arrival."""
        with self._lock:
            fitting = [other for other in self._waiting if batch_key(other.job) == batch_key(ticket.job)]
            taken = [ticket, *[other for other in fitting if other is not ticket][: self._batch - 1]]
            self._waiting = [other for other in self._waiting if other not in taken]
        return taken

    def _decode(self, tickets: Sequence[_Ticket]) -> Sequence[Hypothesis | None]:
        try:
            return self._engine.decode([ticket.job for ticket in tickets])
        except Exception:
            if len(tickets) == 1:
                raise
            return [None] * len(tickets)
