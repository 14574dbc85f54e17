"""One connection to a server: its address, how it is opened, and what its end means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from pipeline.errors import BadInput, Refused, TranslateLiveError, message_of

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

PATH = "/v1/realtime/translations"
OPEN_S, CLOSE_S = 10.0, 0.5


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
        parts = urlsplit(self.url)
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
