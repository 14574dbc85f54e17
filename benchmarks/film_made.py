"""Films that a benchmark makes, and what can be read from a film again by decoding it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.events import Samples
from pipeline.vision import Pixels

FRAMES_A_S = 25
CHAPTERS_S = 10
SIZE = (180, 320)


def bars(number: int) -> Pixels:
    """The picture ``number`` of moving bars."""
    still = np.tile(np.arange(SIZE[1], dtype=np.uint8), (SIZE[0], 1))
    return np.stack([np.roll(still, number), still, np.roll(still, -number)], axis=2)


def make_film(
    path: Path,
    samples: Samples,
    rate: int,
    *,
    picture: str = "libx264",
    sound: str = "aac",
    stamp: Callable[[int], int] = lambda number: number,
    image: Callable[[int], Pixels] = bars,
    key_frames: int = 50,
) -> None:
    """Make a film, of moving bars if no other ``image`` is given, with chapters, around mono sound [n] (none: silent).

    Frame ``number`` is shown at 1/25 s times its ``stamp``. H.264 has B-frames, and a key frame where a scene
    begins and after ``key_frames``.
    """
    count = max(round(len(samples) / rate * FRAMES_A_S), FRAMES_A_S)
    step = rate // FRAMES_A_S
    options = (
        {"preset": "ultrafast", "bf": "2", "g": str(key_frames), "sc_threshold": "40"}
        if picture == "libx264"
        else {"deadline": "realtime"}
    )
    with av.open(str(path), "w") as film:
        shown: Any = film.add_stream(picture, rate=FRAMES_A_S, options=options)
        shown.height, shown.width = image(0).shape[:2]
        shown.pix_fmt = "yuv420p"
        heard: Any = _sound_stream(film, sound, rate) if len(samples) else None
        film.set_chapters(list(_chapters(count / FRAMES_A_S)))
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(image(number), "rgb24")
            frame.pts, frame.time_base = stamp(number), Fraction(1, FRAMES_A_S)
            film.mux(shown.encode(frame))
            piece = np.ascontiguousarray(samples[None, number * step : (number + 1) * step])
            if piece.size:
                film.mux(heard.encode(sound_frame(piece, number * step, rate)))
        film.mux(shown.encode(None))
        if heard:
            film.mux(heard.encode(None))


def _sound_stream(film: Any, codec: str, rate: int) -> Any:  # noqa: ANN401 - PyAV's types tell streams by literals
    stream = film.add_stream(codec, rate=rate)
    stream.layout, stream.bit_rate = "mono", 64_000
    stream.metadata["language"] = "eng"
    return stream


def sound_frame(samples: Samples, at: int, rate: int) -> av.AudioFrame:
    """A frame of mono sound [1, n] that begins at sample ``at``."""
    frame = av.AudioFrame.from_ndarray(samples, "flt", "mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
    return frame


def _chapters(length_s: float) -> Iterator[dict[str, object]]:
    for number, begin_s in enumerate(range(0, int(length_s), CHAPTERS_S), 1):
        end_ms = round(1000 * min(length_s, begin_s + CHAPTERS_S))
        title = {"title": f"Part {number}"}
        yield {"id": number, "start": 1000 * begin_s, "end": end_ms, "time_base": Fraction(1, 1000), "metadata": title}


def picture_packets(path: Path) -> list[tuple[bytes, bool, float]]:
    """The picture's packets as they are coded: bytes, whether one is a key frame, and seconds since the first."""
    with av.open(str(path)) as film:
        packets = [packet for packet in film.demux(film.streams.video[0]) if packet.size]
        first = min(packet.pts for packet in packets if packet.pts is not None)
        base = packets[0].time_base
        return [(bytes(one), one.is_keyframe, float(((one.pts or 0) - first) * base)) for one in packets]


def track(path: Path, number: int, rate: int) -> Samples:
    """One sound track, mono [n] at ``rate``, from the film's beginning on, where it may be silent for a while."""
    resampler = av.AudioResampler("flt", "mono", rate)
    pieces: list[Samples] = []
    with av.open(str(path)) as film:
        start_s = (film.start_time or 0) / av.time_base
        first_s: float | None = None
        for frame in film.decode(audio=number):
            first_s = frame.time if first_s is None else first_s
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
        pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    silence = np.zeros(max(0, round(((first_s or 0.0) - start_s) * rate)), np.float32)
    return np.concatenate([silence, *pieces])


def described(path: Path) -> dict[str, Any]:
    """The chapters as (seconds, title), the languages of sound and caption tracks, the comment, and captions a track."""
    with av.open(str(path)) as film:
        chapters = [(float(one["start"] * one["time_base"]), one["metadata"].get("title")) for one in film.chapters()]
        captions = [stream for stream in film.streams if stream.type == "subtitle"]
        about = {
            "chapters": chapters,
            "sound": [stream.metadata.get("language") for stream in film.streams.audio],
            "captions": [stream.metadata.get("language") for stream in captions],
            "comment": " ".join(value for key, value in film.metadata.items() if key.lower() == "comment"),
        }
        texts: dict[int, int] = {stream.index: 0 for stream in captions}
        for packet in film.demux(captions) if captions else ():
            texts[packet.stream.index] += bool(packet.size and bytes(packet).strip(b"\0"))
        return about | {"texts": list(texts.values())}


def loudness_lufs(samples: Samples, rate: int) -> float:
    """Integrated loudness by FFmpeg's own meter (EBU R128)."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate))
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    loudness = "-inf"
    for first in range(0, len(samples), rate // 10):
        graph.push(sound_frame(np.ascontiguousarray(samples[None, first : first + rate // 10]), first, rate))
        for metered in _pulled(graph):
            loudness = metered.metadata.get("lavfi.r128.I", loudness)
    return float(loudness)


def _pulled(graph: Any) -> Iterator[Any]:  # noqa: ANN401 - a filter graph gives frames of any kind
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def best_place(track_samples: Samples, template: Samples, rate: int, window_s: Sequence[float]) -> tuple[float, float]:
    """Second at which a template lies best in a track, between two seconds, and the correlation there (-1..1)."""
    first = max(0, round(window_s[0] * rate))
    part = track_samples[first : round(window_s[1] * rate) + len(template)].astype(np.float64)
    if len(part) < len(template) or not template.any():
        return float("nan"), 0.0
    wanted = template.astype(np.float64)
    size = 1 << (len(part) + len(wanted)).bit_length()
    product = np.fft.irfft(np.fft.rfft(part, size) * np.conj(np.fft.rfft(wanted, size)), size)[
        : len(part) - len(wanted) + 1
    ]
    powers = np.concatenate([np.zeros(1), np.cumsum(part**2)])
    power = np.maximum(powers[len(wanted) :] - powers[: -len(wanted)], 1e-6)
    likeness = product / np.sqrt(power * (wanted @ wanted))
    best = int(np.argmax(likeness))
    return (first + best) / rate, float(likeness[best])
