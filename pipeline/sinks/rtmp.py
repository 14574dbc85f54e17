"""FLV for an RTMP server, which a process of its own sends (`pipeline.sinks.rtmp_relay`)."""

from __future__ import annotations

import contextlib
import io
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipeline.errors import NetworkError
from pipeline.sinks import rtmp_relay
from pipeline.sinks.live_stream import Added, LiveStream
from pipeline.sources.address import parts_of

if TYPE_CHECKING:
    from av.stream import Stream

CONNECT_S, WRITE_S = 10.0, 10.0  # without an answer, or taking nothing: the connection is lost
END_S = 5.0  # in which a server has taken the end
SCHEMES = ("rtmp", "rtmps")


def named(address: str) -> str:
    """Give an address without the key of the stream, which is the end of its path."""
    parts = parts_of(address)
    first, _, key = parts.path.strip("/").partition("/")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{first + '/' if key else ''}…"


class RtmpConnection:
    """A file-like object whose `write` goes to a server that ``address`` names; raises `NetworkError` if it refuses.

    `write` raises `OSError` when the server is gone, or takes nothing for `WRITE_S`, and from then on does nothing.
    """

    def __init__(self, address: str, connect_s: float = CONNECT_S) -> None:
        self._lost = False
        self._relay = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-P", str(Path(rtmp_relay.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours to handle
        )
        assert self._relay.stdin is not None
        self._pipe = self._relay.stdin.fileno()
        os.set_blocking(self._pipe, False)
        try:
            self.write(f"{address}\n".encode())
            answer = self._answer(connect_s)
        except OSError as error:  # it ended before it read the address
            answer = str(error)
        if answer != rtmp_relay.CONNECTED:
            self._lost = True
            self.close()
            reason = answer or f"no answer for {connect_s:g} s"
            hint = "its address and the key of the stream, or start the server"
            raise NetworkError(f"{named(address)} takes no stream: {reason}", hint=hint)

    def write(self, data: bytes) -> int:
        """Hand bytes on."""
        if self._lost:
            return len(data)
        left = memoryview(data)
        try:
            while left:
                if not select.select([], [self._pipe], [], WRITE_S)[1]:
                    raise TimeoutError(f"it took nothing for {WRITE_S:g} s")
                with contextlib.suppress(BlockingIOError):
                    left = left[os.write(self._pipe, left) :]
        except BrokenPipeError:
            self._lost = True
            raise ConnectionError(self._answer(1.0) or "it hung up") from None
        except OSError:
            self._lost = True
            raise
        return len(data)

    def close(self) -> None:
        """End the stream; a server that does not take its end in time is left."""
        assert self._relay.stdin is not None
        assert self._relay.stdout is not None
        with contextlib.suppress(OSError):
            self._relay.stdin.close()
        try:
            self._relay.wait(0 if self._lost else END_S)
        except subprocess.TimeoutExpired:
            self._relay.kill()
            self._relay.wait()
        self._relay.stdout.close()

    def _answer(self, limit_s: float) -> str:
        """Read what the process says; empty if that is nothing in time."""
        assert self._relay.stdout is not None
        if not select.select([self._relay.stdout], [], [], limit_s)[0]:
            return ""
        return os.read(self._relay.stdout.fileno(), 1000).decode(errors="replace").strip()


class FlvStream(LiveStream):
    """FLV, with a picture and one track of speech, on an RTMP connection."""

    def __init__(self, connection: RtmpConnection, added: Added, templates: Mapping[str, Stream]) -> None:
        import av  # noqa: PLC0415

        options = {"max_interleave_delta": "1000000", "flvflags": "no_duration_filesize", "flush_packets": "1"}
        self._connection = connection
        try:
            out = av.open(cast(io.RawIOBase, connection), "w", format="flv", options=options)
            super().__init__(out, Added(added.speech[:1]), templates)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Write the end, and close the connection."""
        try:
            super().close()
        finally:
            self._connection.close()

    def abandon(self) -> None:
        """Let go of the connection."""
        super().abandon()
        self._connection.close()
