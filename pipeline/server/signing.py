"""Signed, expiring tokens: client secrets, tickets, cookies and resume tokens need no storage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

import msgspec

LEAST_SECRET = 32  # bytes


class Signer:
    """Maker and reader of tokens ``PREFIX_payload.signature`` (HMAC-SHA256); the payload can be read by anyone."""

    def __init__(self, secret: bytes, now: Callable[[], float] = time.time) -> None:
        if len(secret) < LEAST_SECRET:
            raise ValueError(f"a signing secret has at least {LEAST_SECRET} bytes")
        self._secret = secret
        self.now = now

    def sign(self, prefix: str, payload: dict[str, Any], seconds: float) -> tuple[str, int]:
        """Make a token that is valid for so long; gives it and its expiry in seconds since 1970."""
        expires_at = int(self.now() + seconds)
        body = base64.urlsafe_b64encode(msgspec.json.encode({**payload, "exp": expires_at})).decode().rstrip("=")
        return f"{prefix}_{body}.{self._mark(prefix, body)}", expires_at

    def read(self, prefix: str, token: str) -> dict[str, Any] | None:
        """The payload of a token that is ours and still valid."""
        body, dot, mark = token.removeprefix(f"{prefix}_").rpartition(".")
        good = token.startswith(f"{prefix}_") and dot
        if not good or not hmac.compare_digest(mark.encode(), self._mark(prefix, body).encode()):
            return None
        padded = body + "=" * (-len(body) % 4)
        payload: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=dict[str, Any])
        return payload if payload["exp"] > self.now() else None

    def _mark(self, prefix: str, body: str) -> str:
        return hmac.new(self._secret, f"{prefix}_{body}".encode(), hashlib.sha256).hexdigest()
