"""One connection to a server: its address, how it is opened and begun, what its end means, and the audio to send again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from pipeline.errors import BadInput, Refused, TranslateLiveError, message_of
from pipeline.request import SessionRequest
from pipeline.sources.address import parts_of

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

PATH = "/v1/realtime/translations"
OPEN_S, CLOSE_S = 10.0, 0.5
BYTES_PER_MS = 48  # 24 kHz, PCM16


@dataclass(frozen=True, slots=True)
class Remote:
    """A server: its address (``ws``, ``wss``, ``http`` or ``https``), the key, if it asks for one, and a room to join.

    In a room the client is called ``participant``.
    """

    url: str
    key: str = ""
    room: str = ""
    participant: str = ""

    @property
    def address(self) -> str:
        """The WebSocket's address; raises `BadInput` for one that is none."""
        parts = parts_of(self.url)
        scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
        if scheme is None or not parts.hostname:
            raise BadInput(f"{self.url!r} is no address of a server", hint="wss://HOST or ws://127.0.0.1:8200")
        path = parts.path.rstrip("/")
        place = urlencode({"room": self.room, "as": self.participant}) if self.room else ""
        found = path if path.endswith(PATH) else path + PATH
        return f"{scheme}://{parts.netloc}{found}?model=local" + (f"&{place}" if place else "")

    @property
    def name(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


class Lost(Exception):
    """The connection ended before the talk did."""


@asynccontextmanager
async def connected(remote: Remote, token: str, *, again: bool) -> AsyncIterator[ClientConnection]:
    """Open one connection; raises `Lost` where it cannot be had now, and `Refused` where it never can."""
    from websockets.asyncio.client import connect  # noqa: PLC0415 - an extra
    from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException  # noqa: PLC0415

    headers = {"Authorization": f"Bearer {remote.key}"} if remote.key else {}
    address = remote.address + (f"&resume={quote(token)}" if token else "")
    async with AsyncExitStack() as stack:
        opening = connect(
            address,
            additional_headers=headers,
            compression=None,
            max_size=None,
            max_queue=None,
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
        )
        try:
            connection = await stack.enter_async_context(opening)
        except InvalidStatus as error:
            status = error.response.status_code
            if not again or status in {400, 401, 403, 404}:
                raise _refusal(remote.name, status, error.response.body) from error
            raise Lost(f"it answered {status}") from error
        except (WebSocketException, TimeoutError) as error:
            raise Lost(message_of(error)) from error
        try:
            yield connection
        except Exception as error:
            first = first_of(error)
            if isinstance(first, ConnectionClosed):
                raise Lost(message_of(first)) from error
            if first is not error:
                raise first from error
            raise


def _refusal(name: str, status: int, body: bytes | None) -> Refused:
    """Word what the server said before the upgrade."""
    said = ""
    with suppress(ValueError, TypeError, KeyError):
        said = json.loads(body or b"")["error"]["message"]
    hint = "the key of the server" if status == 401 else ""
    return Refused(f"the server {name} refuses ({status}): {said or 'it gives no reason'}", hint=hint)


def first_of(error: BaseException) -> BaseException:
    """Return the first error within groups of them, one that a user can be told before any other."""
    while isinstance(error, BaseExceptionGroup):
        error = min(map(first_of, error.exceptions), key=lambda one: not isinstance(one, TranslateLiveError))
    return error


class Replay:
    """Audio that a server may have to be sent again: all since the last unit that it gave.

    It is mono PCM16 at 24 kHz, by its place in stream time; `next` reads on, `rewind` goes back.
    """

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._base = 0  # place of the first byte that is kept
        self._place = 0  # of what is sent next

    @property
    def unsent_s(self) -> float:
        """Seconds that wait to be sent."""
        return (self._base + len(self._pcm) - self._place) / BYTES_PER_MS / 1000

    @property
    def place_ms(self) -> int:
        """Stream time of what is sent next."""
        return self._place // BYTES_PER_MS

    def add(self, pcm: bytes) -> None:
        """Add what was heard."""
        self._pcm += pcm

    def next(self, most_ms: int) -> bytes:
        """Take the next piece to send."""
        first = self._place - self._base
        piece = bytes(self._pcm[first : first + most_ms * BYTES_PER_MS])
        self._place += len(piece)
        return piece

    def rewind(self, ms: int) -> int:
        """Go back to a stream time, or as near as is kept; gives where that is."""
        end = self._base + len(self._pcm)
        self._place = min(max(ms * BYTES_PER_MS, -(-self._base // BYTES_PER_MS) * BYTES_PER_MS), end // 2 * 2)
        return self.place_ms

    def forget(self, ms: int) -> None:
        """Forget what came before a stream time and is sent."""
        first = min(ms * BYTES_PER_MS, self._place) - self._base
        if first > 0:
            del self._pcm[:first]
            self._base += first

    def drop(self, keep_s: float) -> tuple[float, float] | None:
        """Drop the oldest beyond ``keep_s`` of what is not sent; gives its start and end in seconds."""
        over_ms = int((self.unsent_s - keep_s) * 1000)
        if over_ms <= 0:
            return None
        start = self._place
        self._place += over_ms * BYTES_PER_MS
        self.forget(self.place_ms)
        return start / BYTES_PER_MS / 1000, self._place / BYTES_PER_MS / 1000


def update_of(request: SessionRequest, start_ms: int, first_unit: int) -> str:
    """Write the request as a ``session.update``, from a stream time and unit on."""
    ours = {
        "extensions": True,
        "source": ",".join(request.languages),
        "targets": list(request.targets),
        "speak": bool(request.spoken_targets),
        "spoken": list(request.spoken_targets),
        "one_track": request.one_track,
        "voice": request.voice or "",
        "consent": request.voice == "same",  # the command asked for it
        "same_language": request.same_language,
        **_speakers(request),
        "glossary": [
            {"source": entry.source, "targets": list(entry.targets), "mode": entry.mode, "language": entry.language}
            for entry in request.glossary.entries
        ],
        "hints": list(request.hints.words),
        "keep_seen": request.watching is not None and request.watching.keep,
        "start_ms": start_ms,
        "first_unit": first_unit,
    }
    session = {"audio": {"output": {"language": request.main_target}}, "translate_live": ours}
    return json.dumps({"type": "session.update", "session": session})


def _speakers(request: SessionRequest) -> dict[str, Any]:
    """Return the fields about speakers, where they are to be told apart."""
    if request.speakers is None:
        return {}
    return {"speakers": request.speakers.most or "auto", "speaker_names": dict(request.speakers.names)}
