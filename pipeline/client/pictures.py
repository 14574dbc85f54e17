"""Pictures beside the audio that a client sends: JPEGs of what is watched, as far as it has changed."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from pipeline.clock import Clock
from pipeline.contracts import Source
from pipeline.errors import BadInput, message_of
from pipeline.events import Event
from pipeline.stages.see import FAILURES_ALLOWED, PERIOD_S, Beside, ToldOnce, Watching, watch
from pipeline.vision import LARGEST_JPEG, Frame, Pixels, alike, looks, rgb

IMAGE = "image"  # the `event_id` of every picture, by which an error tells that it is about one
QUALITIES = (3, 8, 20)  # of FFmpeg's coder, 2 (best) to 31
WAITING_OF_FILM = 8  # pictures of a film, which is looked at ahead of its sound; of live ones the newest waits


class SentPictures:
    """Pictures of ``watching`` that wait to be sent, at most two a second; what goes wrong is told once.

    `take` gives the next message; after a lost connection `again` gives the last one once more.
    """

    def __init__(self, watching: Watching, clock: Clock, tell: Callable[[Event], None]) -> None:
        self._watching, self._clock = watching, clock
        self._shown: Frame | None = None
        self._came = asyncio.Event()
        self._waiting: deque[str] = deque(maxlen=WAITING_OF_FILM)
        self._last = ""
        self._looked = b""
        self._due = clock.now()
        self._ended = False
        self._failures = 0
        self._tell_once = ToldOnce(tell)

    def take(self) -> str:
        """Give a message to send now; empty if there is none, or the last one is not half a second old."""
        if not self._waiting or self._clock.now() < self._due:
            return ""
        self._due = self._clock.now() + PERIOD_S
        self._last = self._waiting.popleft()
        return self._last

    def again(self) -> str:
        """Give the message that a new connection begins with; empty if there is none."""
        return "" if self._ended else self._last

    def end(self, why: str) -> None:
        """Send no more, as where the server reads no pictures, and tell why."""
        self._ended = True
        self._waiting.clear()
        self._tell_once(why)

    def beside(self, source: Source) -> Source:
        """Give the source with its film watched, if one is."""
        return Beside(source, self, self._watching.film) if self._watching.film is not None else source

    def show(self, picture: Pixels | bytes, at_s: float | None = None) -> None:
        """Show a live picture; the newest is sent. Returns at once."""
        self._shown = Frame(picture, at_s)
        self._came.set()

    async def look(self, frame: Frame, *, first: bool = False) -> None:
        """Put a picture in the queue, unless it looks as the one before."""
        if self._ended:
            return
        try:
            looked, jpeg = await asyncio.to_thread(coded, frame.picture, self._looked)
        except BadInput as error:
            self._tell_once(error.message)
            return
        except Exception as error:  # the border to foreign sources of pictures and to FFmpeg: the talk goes on
            self._failures += 1
            self._tell_once(f"a picture could not be sent: {message_of(error)}")
            if self._failures > FAILURES_ALLOWED:
                self.end("no more pictures are sent")
            return
        self._failures = 0
        if jpeg:
            self._looked = looked
            image = base64.b64encode(jpeg).decode()
            self._waiting.append(json.dumps({"type": "translate_live.image", "event_id": IMAGE, "image": image}))

    async def work(self) -> None:
        """Take live pictures, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._watching.live is not None:
                tasks.create_task(watch(self._watching.live, self, self._tell_once))
            while await self._came.wait():
                self._came.clear()
                began = self._clock.now()
                shown, self._shown = self._shown, None
                if shown is not None:
                    self._waiting.clear()
                    await self.look(shown)
                await self._clock.sleep_until(began + PERIOD_S)


def coded(picture: Pixels | bytes, looked: bytes) -> tuple[bytes, bytes]:
    """Return what a picture is compared by, and its JPEG; none if it looks as the one before. Raises `BadInput`."""
    pixels = _decoded(picture) if isinstance(picture, bytes) else rgb(picture)
    now = looks(pixels)
    return now, b"" if alike(now, looked) else jpeg_of(pixels)


def jpeg_of(pixels: Pixels) -> bytes:
    """Code pixels as a JPEG that a server takes: as good as its size allows, smaller where no quality is enough."""
    import av  # noqa: PLC0415

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
    while True:
        for quality in QUALITIES:
            coder: Any = av.CodecContext.create("mjpeg", "w")
            coder.width, coder.height, coder.pix_fmt = frame.width, frame.height, "yuvj420p"
            coder.time_base, coder.qmin, coder.qmax = Fraction(1, 25), quality, quality
            jpeg = b"".join(bytes(packet) for one in (frame, None) for packet in coder.encode(one))
            if len(jpeg) <= LARGEST_JPEG:
                return jpeg
        frame = frame.reformat(max(2, frame.width // 2), max(2, frame.height // 2))


def _decoded(picture: bytes) -> Pixels:
    import av  # noqa: PLC0415

    try:
        with av.open(io.BytesIO(picture)) as file:
            pixels: Pixels = next(file.decode(video=0)).to_ndarray(format="rgb24")
            return pixels
    except (av.error.FFmpegError, StopIteration, IndexError) as error:
        raise BadInput("this is no whole picture; valid: JPEG, PNG, WEBP", code="image") from error
