"""Sources of pictures: the film that is heard, the screen, a camera."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.clock import Clock
from pipeline.errors import BadInput, DeviceError, ModelError
from pipeline.lane import Lane
from pipeline.sources.files import open_local
from pipeline.vision import Frame, Pixels

LIVE_PERIOD_S = 0.5
FILM_PERIOD_S = 1.9  # of a film, whose sound waits for each picture that is read; many code one whole every 2 s
SPARSE_S = 4.0  # between key frames, from which on other pictures are decoded, too
LONGEST_SIDE = 1920
WAYLAND = "Wayland shows no program the screen of others"

Region = tuple[int, int, int, int]
"""Left, top, width and height in pixels of the screen."""


class FilmFrames:
    """A `FrameSource` of a film's pictures: those that are coded whole (key frames), at most one in `FILM_PERIOD_S`.

    Encoders code a picture whole where another scene, such as another slide, begins. Of a film whose key frames are far
    apart others are taken as well, since the next may be long in coming. Raises `BadInput` for a file without
    pictures.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        import av  # noqa: PLC0415

        try:
            with open_local(self._path) as film:
                if not film.streams.video:
                    raise BadInput(f"{path} has no picture to watch", hint="a film")
        except (av.error.FFmpegError, OSError) as error:
            raise BadInput(f"{path} cannot be read: {error}", hint="another file") from error

    async def __aiter__(self) -> AsyncGenerator[Frame, None]:
        with Lane("film frames") as lane:
            async with aclosing(lane.iterate(self._frames())) as frames:
                async for frame in frames:
                    yield frame

    def _frames(self) -> Generator[Frame, None, None]:
        import av  # noqa: PLC0415

        with open_local(self._path) as film:
            start_s = (film.start_time or 0) / av.time_base
            following_s = 0.0
            for frame in _decoded(film, film.streams.video[0]):
                at_s = (frame.time or 0.0) - start_s
                if at_s >= following_s:
                    following_s = at_s + FILM_PERIOD_S
                    yield Frame(_sized(frame), max(0.0, at_s))


def _decoded(film: Any, stream: Any) -> Iterator[Any]:  # noqa: ANN401 - PyAV's types tell streams by literals
    """Decode key frames; where they are further apart than `SPARSE_S`, all frames from there on that others need."""
    context = stream.codec_context
    context.skip_frame = "NONKEY"
    waiting: list[Any] | None = []  # packets since the last key frame; none once more than key frames are decoded
    for packet in film.demux(stream):
        if waiting is not None:
            waiting = [packet] if packet.is_keyframe else [*waiting, packet]
            if _length_s(waiting) > SPARSE_S:
                context.skip_frame = "NONREF"
                context.flush_buffers()
                for earlier in waiting[:-1]:
                    yield from _frames_of(earlier)
                waiting = None
        yield from _frames_of(packet)


def _frames_of(packet: Any) -> list[Any]:  # noqa: ANN401 - PyAV's
    import av  # noqa: PLC0415

    with suppress(av.error.InvalidDataError):  # a damaged picture is not seen
        return list(packet.decode())
    return []


def _length_s(packets: Sequence[Any]) -> float:
    """Measure the time from the first packet to the last."""
    first, last = packets[0].dts, packets[-1].dts
    return 0.0 if first is None or last is None else float((last - first) * packets[0].time_base)


class LiveFrames:
    """A `FrameSource` of what a device shows, ``period_s`` apart; a thread of its own waits for it."""

    def __init__(
        self, open_device: Callable[[], Generator[Pixels, None, None]], clock: Clock, period_s: float = LIVE_PERIOD_S
    ) -> None:
        self._open = open_device
        self._clock = clock
        self._period_s = period_s

    async def __aiter__(self) -> AsyncGenerator[Frame, None]:
        with Lane("pictures") as lane:
            async with aclosing(lane.iterate(self._open())) as pictures:
                async for picture in pictures:
                    began = self._clock.now()
                    yield Frame(picture)
                    await self._clock.sleep_until(began + self._period_s)


def watched(name: str, clock: Clock) -> LiveFrames:
    """Give what is watched by its name: ``screen``, a region ``LEFT,TOP,WIDTHxHEIGHT`` of it, or a camera ``/dev/video0``.

    Raises `BadInput` for another name, and `DeviceError` where the screen cannot be seen.
    """
    if name.startswith("/dev/"):
        return LiveFrames(lambda: _camera(name), clock, period_s=0)
    region = None if name == "screen" else region_of(name)
    check_screen(os.environ)
    return LiveFrames(lambda: _screen(region), clock)


def region_of(text: str) -> Region:
    """Read a region, as ``100,50,1280x720``; raises `BadInput`."""
    try:
        left, top, size = text.split(",")
        width, height = size.lower().split("x")
        region = int(left), int(top), int(width), int(height)
    except ValueError:
        region = (0, 0, 0, 0)
    if min(region) < 0 or min(region[2:]) < 1:
        valid = "valid: film, screen, a region of it as 100,50,1280x720 (left, top, size), or a camera as /dev/video0"
        raise BadInput(f"nothing can be watched by the name {text!r}; {valid}")
    return region


def check_screen(environment: Mapping[str, str]) -> None:
    """Raise `DeviceError` where no screen can be seen, with the reason."""
    if environment.get("WAYLAND_DISPLAY") or environment.get("XDG_SESSION_TYPE") == "wayland":
        hint = "a session on X11, a camera, or the film itself"
        raise DeviceError(f"the screen cannot be watched: {WAYLAND}", hint=hint, code="wayland")
    if os.name == "posix" and os.uname().sysname == "Linux" and not environment.get("DISPLAY"):
        told = "the screen cannot be watched: there is none (DISPLAY is not set)"
        raise DeviceError(told, hint="a desktop, or the film itself", code="screen")


def _screen(region: Region | None) -> Generator[Pixels, None, None]:
    try:
        import mss  # noqa: PLC0415
    except ImportError as error:
        raise ModelError("watching the screen needs mss", hint="pip install 'translate-live[vision]'") from error
    import av  # noqa: PLC0415

    try:
        with mss.MSS() as screen:
            place = place_of(region, screen.monitors) if region else screen.monitors[1]
            while True:
                grabbed = np.asarray(screen.grab(place))
                yield _sized(av.VideoFrame.from_ndarray(np.ascontiguousarray(grabbed), "bgra"))
    except mss.ScreenShotError as error:
        told = f"the screen cannot be watched: {str(error).splitlines()[0]}"
        raise DeviceError(told, hint="a desktop that this program may see, or the film itself", code="screen") from error


def place_of(region: Region, monitors: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Give a region as `mss` takes it; raises `DeviceError` if it is not within all monitors, which are the first."""
    left, top, width, height = region
    whole = monitors[0]
    right, bottom = whole["left"] + whole["width"], whole["top"] + whole["height"]
    if left < whole["left"] or top < whole["top"] or left + width > right or top + height > bottom:
        valid = f"{whole['left']},{whole['top']},{whole['width']}x{whole['height']}"
        told = f"the region {left},{top},{width}x{height} is not within the screen, which is {valid}"
        raise DeviceError(told, hint="a region within it", code="screen")
    return {"left": left, "top": top, "width": width, "height": height}


def _camera(device: str) -> Generator[Pixels, None, None]:
    import av  # noqa: PLC0415

    try:
        with av.open(device, format="v4l2") as camera:
            following_s = 0.0
            for frame in camera.decode(video=0):  # all, or what is seen would be older and older
                if (frame.time or 0.0) >= following_s:
                    following_s = (frame.time or 0.0) + LIVE_PERIOD_S
                    yield _sized(frame)
    except (av.error.FFmpegError, OSError) as error:
        told = f"the camera {device} cannot be watched: {error}"
        raise DeviceError(told, hint="another device", code="camera") from error


def _sized(frame: Any) -> Pixels:  # noqa: ANN401 - PyAV's frames
    """Give a frame's pixels, made smaller where it is large."""
    share = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    width, height = (max(2, round(side * share)) for side in (frame.width, frame.height))
    pixels: Pixels = frame.reformat(width, height, "rgb24").to_ndarray()
    return pixels
