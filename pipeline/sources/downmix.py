"""One decoded frame of any sample format and channel layout, as mono float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.events import Samples

if TYPE_CHECKING:
    from av import AudioFrame

# ITU-R BS.775: the center carries the speech of films; the low-frequency channel none. Others, and unnamed ones: 0.5.
WEIGHTS = {"FC": 1.0, "FL": 0.5**0.5, "FR": 0.5**0.5, "LFE": 0.0, "LFE2": 0.0}


def mono(frame: AudioFrame) -> Samples:
    """The weighted mean of the frame's channels, float32 [n]; integers scaled to -1..1."""
    values = frame.to_ndarray()
    channels = frame.layout.nb_channels
    planes = values if frame.format.is_planar else values.reshape(-1, channels).T
    floats = _scaled(planes)
    if channels == 1:
        return np.asarray(floats[0])
    weights: Samples = np.array([WEIGHTS.get(channel.name, 0.5) for channel in frame.layout.channels], np.float32)
    if not weights.any():
        weights[:] = 1
    return np.asarray((weights / weights.sum()) @ floats, np.float32)


def _scaled(values: NDArray[Any]) -> NDArray[np.float32]:
    """Integers of any width to -1..1 in float32; floats as they are."""
    match values.dtype.kind:
        case "u":  # 8-bit PCM, whose middle is 128
            return (values.astype(np.float32) - np.float32(128)) / np.float32(128)
        case "i":
            return (values / -float(np.iinfo(values.dtype).min)).astype(np.float32)
        case _:
            return values.astype(np.float32)
