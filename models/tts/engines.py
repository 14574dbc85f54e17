"""Parts that speech engines share: the check of a clip, refusals and errors, a place of a session, the turning task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.tts.streaming_loop import StreamingLoop
from pipeline.contracts import Voice
from pipeline.errors import BadInput, DeviceError, ModelError, Refused
from pipeline.events import AudioChunk, Samples
from pipeline.lane import Lane

if TYPE_CHECKING:
    import torch

SHORTEST_S, LONGEST_S = 3.0, 15.0
_SILENT_RMS = 10 ** (-45 / 20)
_FULL_SCALE = 0.999
_MOST_CLIPPED = 0.002


def check_clip(audio: AudioChunk, sample_rate: int) -> Samples:
    """Convert a clip to float32 [n] at ``sample_rate``; raises `BadInput` with advice for one that is unfit."""
    samples = np.asarray(audio.samples, dtype=np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise BadInput("the reference clip is not mono audio of finite numbers", hint="record it again")
    if not SHORTEST_S <= audio.duration <= LONGEST_S + 0.5:
        raise BadInput(
            f"the reference clip is {audio.duration:.1f} s long: {SHORTEST_S:.0f} to {LONGEST_S:.0f} s of one person's "
            "speech are needed",
            hint="cut it, or record a longer one",
        )
    if np.sqrt(np.square(samples, dtype=np.float64).mean()) < _SILENT_RMS:
        raise BadInput("the reference clip is silent, or nearly so", hint="check the microphone and speak up")
    if (np.abs(samples) >= _FULL_SCALE).mean() > _MOST_CLIPPED:
        hint = "lower the microphone's level and record it again"
        raise BadInput("the reference clip is clipped (too loud)", hint=hint)
    if audio.sample_rate != sample_rate:
        import soxr

        samples = soxr.resample(samples, audio.sample_rate, sample_rate)
    return np.ascontiguousarray(samples, dtype=np.float32)


@contextmanager
def refusing_when_full(purpose: str) -> Iterator[None]:
    """Turn the allocator's error, raised within or wrapped by the engine, into a `DeviceError` with a hint."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, ModelError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and not isinstance(error.__cause__, torch.OutOfMemoryError):
            raise
        raise DeviceError(
            f"the GPU has no memory left {purpose}; sessions that are open go on",
            hint="close other programs on it, or the setting sessions=1 of this model",
        ) from error


@contextmanager
def fitting(folder: Path, sessions: int, device: torch.device, smaller: str = "") -> Iterator[None]:
    """Turn the allocator's error while a checkpoint loads into a `ModelError`; ``smaller`` is another step to advise."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{folder.name} with {sessions} sessions does not fit the memory of {device}",
            hint=f"close other programs on it, or a lower setting sessions of this model{smaller}",
        ) from error


def cannot_clone(name: str) -> Refused:
    """Make the refusal of a voice that is no preset."""
    hint = "the profile gpu, or cloning_synthesizer.use=models.tts.pocket:Pocket on a CPU, or a preset voice"
    return Refused(f"{name} cannot clone a voice; Pocket TTS and Qwen3-TTS can", hint=hint)


def refuse_language(model: str, language: str, languages: Iterable[str]) -> Refused:
    """Make the error for a language that a model does not speak."""
    return Refused(
        f"{model} does not speak {language!r}; it speaks {', '.join(sorted(languages))}; eSpeak NG speaks more",
        hint="synthesizer.use=models.tts.espeak:Espeak",
    )


def refuse_voice(voice: Voice, model: str) -> Refused:
    """Make the error for a voice that is no preset, since the model has none, or that another model learned."""
    what = "was enrolled with another model" if voice.arrays else f"is no preset: {model} has none"
    return Refused(f"the voice {voice.name!r} {what}", hint="enrol it with this model")


def all_taken() -> DeviceError:
    """Make the error for a session more than there is memory for."""
    return DeviceError(
        "the speech model has memory for no further session", hint="close one, or a larger setting sessions of this model"
    )


@asynccontextmanager
async def lent(
    loop: StreamingLoop[Any, Any], take: Callable[[], int | None], give_back: Callable[[int], None]
) -> AsyncIterator[int]:
    """Lend a session's place in an engine, which ``take`` gives; released even if the caller is cancelled while it gets it.

    Raises `DeviceError` when all are taken, or the GPU's memory is full; sessions that are open go on.
    """
    places: list[int] = []

    def note() -> None:
        if (place := take()) is not None:
            places.append(place)

    try:
        with refusing_when_full("for another session"):
            await loop.call(note)
        if not places:
            raise all_taken()
        yield places[0]
    finally:
        for place in places:
            await loop.free(give_back, place)


@asynccontextmanager
async def turned(
    loop: Coroutine[Any, Any, None], lane: Lane, close: Callable[[], None]
) -> AsyncIterator[asyncio.TaskGroup]:
    """Run an engine's ``loop`` while its user has it, then ``close`` it on its lane; gives the group of its task.

    An error of the user comes out as it is, not in a group. Raises `ModelError` for a device that fails again at the end.
    """
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            turning = tasks.create_task(loop)
            try:
                yield tasks
            except Exception as error:  # a border: raised again below, and not as a group
                failure = error
            finally:
                turning.cancel()
    finally:
        try:
            await lane.free(close)
        except RuntimeError as error:  # a GPU that has failed says so again
            failure = failure or ModelError(f"the device of the speech model has failed: {error}")
    if failure is not None:
        raise failure
