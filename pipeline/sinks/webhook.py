"""A webhook as the way to an event bus: signed batches by HTTP POST, as the Standard Webhooks specification has them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from pipeline.errors import BadInput, NetworkError
from pipeline.sinks.bus import Undeliverable
from pipeline.sinks.event_json import Record
from pipeline.sources.address import is_here, parts_of, shown
from pipeline.version import version

SECRET = "TRANSLATE_LIVE_WEBHOOK_SECRET"
LEAST_SECRET = 16  # bytes
TRIES = 6
LINGER_S = 1.0
TIMEOUT_S = 2.5
LATER = {408, 425, 429}  # answers after which another try makes sense, besides 5xx


def check_webhook(url: str, secret: str) -> None:
    """Raise `BadInput` for an address that would send text readable by others, without a secret, or without the package."""
    parts = parts_of(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise BadInput(f"{shown(url)} is no address of a webhook; valid: https://HOST/PATH")
    if parts.scheme == "http" and not is_here(parts.hostname):
        raise BadInput(f"{shown(url)} would get what was said in the clear; valid: https://, or http:// to this machine")
    if len(secret_bytes(secret)) < LEAST_SECRET:
        needed = f"at least {LEAST_SECRET} bytes, or whsec_ and base64"
        raise BadInput(
            f"a webhook is signed, and {SECRET} holds no secret; it needs {needed}",
            hint=f"export {SECRET}=whsec_$(openssl rand -base64 24)",
        )
    if find_spec("httpx") is None:
        raise BadInput("a webhook needs the package httpx", hint="pip install 'translate-live[bus]'")


def secret_bytes(secret: str) -> bytes:
    """Return the bytes of a secret: base64 after ``whsec_``, else the text itself; none for what is no base64."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return b""


def signature(secret: bytes, name: str, moment: int, body: bytes) -> str:
    """Return the header ``webhook-signature``: HMAC-SHA256 of id, time and body (Standard Webhooks, ``v1``)."""
    mark = hmac.new(secret, f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mark).decode()}"


class Webhook:
    """A `Transport` that posts ``{"records": [...]}``; any answer of 2xx takes a batch, redirects are not followed.

    A batch is tried `TRIES` times under one ``webhook-id``, so that a receiver knows it again, and then dropped.
    """

    batch = 100
    linger_s = LINGER_S
    tries: int | None = TRIES

    def __init__(self, url: str, secret: str, now: Callable[[], float] = time.time) -> None:
        check_webhook(url, secret)
        import httpx  # noqa: PLC0415 - of an extra

        self.name = shown(url)
        self._url = url
        self._secret = secret_bytes(secret)
        self._now = now
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False)
        self._id, self._last = "", -1  # of the batch that was tried last

    async def reach(self) -> None:
        """Do nothing: an address that takes batches is reached by sending one."""

    async def send(self, records: Sequence[Record]) -> None:
        """Post a batch; raises `NetworkError` where it may be taken later, `Undeliverable` where it never will be."""
        import httpx  # noqa: PLC0415

        if records[-1]["number"] != self._last:
            self._id, self._last = f"msg_{secrets.token_hex(12)}", records[-1]["number"]
        body = json.dumps({"records": list(records)}, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        moment = int(self._now())
        headers = {
            "content-type": "application/json",
            "user-agent": f"translate-live/{version()}",
            "webhook-id": self._id,
            "webhook-timestamp": str(moment),
            "webhook-signature": signature(self._secret, self._id, moment, body),
        }
        try:
            async with self._client.stream("POST", self._url, content=body, headers=headers) as answer:
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = "no answer in time" if isinstance(error, httpx.TimeoutException) else "it cannot be reached"
            raise NetworkError(reason) from None
        if status in LATER or status >= 500:
            raise NetworkError(f"it answered {status}")
        if not 200 <= status < 300:
            raise Undeliverable(f"it answered {status}")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
