"""A short recording as samples, read from any file that FFmpeg can decode."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.audio.resampling import Resampler
from pipeline.clock import LoopClock
from pipeline.errors import BadInput
from pipeline.events import Fault, Samples
from pipeline.sources.files import AudioFile

LONGEST_S = 60.0
"""A longer recording is no clip: nobody knows which part of it is meant, and who else speaks in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A file that was read."""

    path: Path
    samples: Samples  # mono, around zero: the offset of a cheap sound card is not heard, but would be taken for noise
    sample_rate: int  # the file's own
    faults: tuple[str, ...]  # of the file


async def read_recording(path: Path) -> Recording:
    """Read a file of at most `LONGEST_S`; raises `BadInput` for a longer one and for what is no audio."""
    file = AudioFile(path, realtime=False, clock=LoopClock())
    _refuse_long(path, file.duration_s or 0.0)
    pieces = [np.zeros(0, np.float32)]
    async with aclosing(aiter(file)) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            pieces.append(chunk.samples)
            _refuse_long(path, chunk.end)
    faults = tuple(notice.message.removeprefix(f"{path}: ") for notice in file.notices if isinstance(notice, Fault))
    samples = np.concatenate(pieces)
    return Recording(path, samples - samples.mean() if len(samples) else samples, file.sample_rate, faults)


def resampled(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Resample the whole of ``samples`` float32 [n]."""
    return Resampler(from_hz, to_hz).process(samples, last=True)


def _refuse_long(path: Path, seconds: float) -> None:
    if seconds > LONGEST_S:
        raise BadInput(
            f"{path} is longer than {LONGEST_S:.0f} s; a clip of one person with 3 to 15 s of speech is wanted",
            hint=f"ffmpeg -ss 10 -t 12 -i {path} clip.wav",
        )
