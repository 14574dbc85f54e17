"""Admittance of connections: keys as hashes, signed tokens that need no storage, and the Origin of browsers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml
from starlette.requests import HTTPConnection

from pipeline.errors import BadInput, check_range, nearest
from pipeline.server.asked import Rejected
from pipeline.sinks.sharing import LONGEST_DAYS, SHORTEST_DAYS
from pipeline.sources.glossary_address import check_address, check_prefix

COOKIE = "translate_live"
COOKIE_S, TICKET_S, INVITATION_S = 12 * 3600, 600, 24 * 3600
SUBPROTOCOL, KEY_SUBPROTOCOL = "realtime", "openai-insecure-api-key."
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
LEAST_SECRET = 32  # bytes
STATUS_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 426: {"Upgrade": "websocket", "Connection": "Upgrade"}}


class Refusal(Rejected):
    """A request that is answered with an HTTP status, before any upgrade."""

    def __init__(self, status: int, code: str, message: str, *, param: str | None = None, retry_after_s: int = 0) -> None:
        super().__init__(code, message, param=param)
        self.status = status
        self.headers = {**STATUS_HEADERS.get(status, {}), **({"Retry-After": str(retry_after_s)} if retry_after_s else {})}

    @property
    def kind(self) -> str:
        """The protocol's error type."""
        return "server_error" if self.status >= 500 else super().kind


@dataclass(frozen=True, slots=True)
class Key:
    """A client that is known, and what it may do; of its key the server has the SHA-256 only."""

    id: str
    sha256: str = ""
    max_sessions: int | None = None
    may_clone: bool = False  # speak with a person's own voice
    consented: bool = False  # its speakers have agreed to that, so no session need say so
    glossary: str = ""  # an address that the glossary of each session and recording comes from
    hints: str = ""  # an address that words which may be said come from
    glossary_from: tuple[str, ...] = ()  # folders of sites that its client may name a glossary or hints of
    retention_days: float | None = None  # of what is kept of its sessions; where there is a rule for all, the shorter holds
    text_to_bus: bool = False  # what is said in its sessions goes on the event bus, not only its times and lengths


@dataclass(frozen=True, slots=True)
class Grant:
    """Rights of a connection: its key, and with the session that its client secret names."""

    key: Key
    session: dict[str, Any] = field(default_factory=dict)
    once: tuple[str, int] | None = None  # id and expiry of a secret that serves one session


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
        """Read the payload of a token; none unless it is ours and still valid."""
        body, dot, mark = token.removeprefix(f"{prefix}_").rpartition(".")
        good = token.startswith(f"{prefix}_") and dot
        if not good or not hmac.compare_digest(mark.encode(), self._mark(prefix, body).encode()):
            return None
        padded = body + "=" * (-len(body) % 4)
        payload: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=dict[str, Any])
        return payload if payload["exp"] > self.now() else None

    def _mark(self, prefix: str, body: str) -> str:
        return hmac.new(self._secret, f"{prefix}_{body}".encode(), hashlib.sha256).hexdigest()


class Access:
    """Checks of a connection; without keys the server is for this machine only, and all on it are ``local``."""

    def __init__(self, keys: Sequence[Key], signer: Signer, origins: Sequence[str] = ()) -> None:
        self._keys = {key.id: key for key in keys} or {"local": Key("local", may_clone=True, text_to_bus=True)}
        self.open = not keys
        self.signer = signer
        self.origins = tuple(origins)
        self._used: dict[str, int] = {}  # expiry of single-use tokens by id

    def check_origin(self, connection: HTTPConnection) -> None:
        """Raise `Refusal` for a page of another site; SDKs send no Origin.

        Without keys the host must be a name of this machine, too, or a page could reach it under a name of its own.
        """
        host, origin = connection.headers.get("host", ""), connection.headers.get("origin", "")
        try:
            name, place = urlsplit(f"//{host}").hostname or "", urlsplit(origin).netloc
        except ValueError:  # as of an IPv6 address without its end
            raise Refusal(403, "origin_not_allowed", "the host or origin is no address") from None
        if origin in self.origins:
            return
        if (self.open and name not in LOOPBACK) or (origin and place != host):
            raise Refusal(403, "origin_not_allowed", f"{origin or host} may not connect")

    def identify(self, connection: HTTPConnection, *, secrets_too: bool = False) -> Grant:
        """Find who connects, by key or cookie, or where it is for a session by client secret; raises `Refusal`.

        A secret opens nothing else: it would become lasting access to the key that made it.
        """
        self.check_origin(connection)
        token = _token(connection)
        if secrets_too and token.startswith("ek_") and (grant := self._secret(token)):
            return grant
        if token and (key := self._key(token)):
            return Grant(key)
        payload = self.signer.read("ck", connection.cookies.get(COOKIE, ""))
        if payload and payload.get("key") in self._keys:
            return Grant(self._keys[payload["key"]])
        if self.open and not token.startswith("ek_"):
            return Grant(self._keys["local"])
        if connection.query_params.get("invite"):
            raise Refusal(401, "invalid_api_key", "the invitation is not of this room, or has expired: ask for another")
        raise Refusal(401, "invalid_api_key", "a key of this server is needed: Authorization: Bearer KEY")

    def key(self, name: str) -> Key:
        """Return the key with this id."""
        return self._keys[name]

    def client_secret(self, grant: Grant, session: dict[str, Any], seconds: int, *, single_use: bool) -> tuple[str, int]:
        """Make a secret for sessions with this configuration; gives it and its expiry."""
        payload = {"key": grant.key.id, "session": session, "once": single_use, "jti": secrets.token_hex(8)}
        return self.signer.sign("ek", payload, seconds)

    def ticket(self, grant: Grant) -> tuple[str, int]:
        """Make a one-time ticket for a browser, which gets a cookie for it; gives it and its expiry."""
        return self.signer.sign("tk", {"key": grant.key.id, "jti": secrets.token_hex(8)}, TICKET_S)

    def invitation(self, grant: Grant, room: str) -> tuple[str, int | None]:
        """Make a token that opens this room of the key to guests, and its expiry; none is needed without keys."""
        if self.open:
            return "", None
        return self.signer.sign("rm", {"key": grant.key.id, "room": room}, INVITATION_S)

    def invited(self, connection: HTTPConnection, room: str) -> Grant | None:
        """Return the rights of a guest whose invitation to the room is valid: a place of the host's key, no more."""
        payload = self.signer.read("rm", connection.query_params.get("invite", ""))
        if not payload or payload["room"] != room or payload["key"] not in self._keys:
            return None
        self.check_origin(connection)
        return Grant(replace(self._keys[payload["key"]], may_clone=False, consented=False, glossary_from=()))

    def cookie(self, ticket: str) -> str | None:
        """Take a ticket, once, and give the cookie for it."""
        payload = self.signer.read("tk", ticket)
        if not payload or payload["key"] not in self._keys or not self._first_use(payload):
            return None
        return self.signer.sign("ck", {"key": payload["key"]}, COOKIE_S)[0]

    def _key(self, token: str) -> Key | None:
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = [key for key in self._keys.values() if hmac.compare_digest(key.sha256.lower(), digest)]
        return found[0] if found else None

    def _secret(self, token: str) -> Grant | None:
        payload = self.signer.read("ek", token)
        if not payload or payload["key"] not in self._keys or (payload["once"] and payload["jti"] in self._used):
            return None
        once = (payload["jti"], payload["exp"]) if payload["once"] else None
        return Grant(self._keys[payload["key"]], payload["session"], once)

    def spend(self, grant: Grant) -> None:
        """Use up a secret that serves one session; called once the session has its place."""
        if grant.once is not None:
            self._first_use({"jti": grant.once[0], "exp": grant.once[1]})

    def _first_use(self, payload: dict[str, Any]) -> bool:
        now = self.signer.now()
        self._used = {used: expires for used, expires in self._used.items() if expires > now}
        first = payload["jti"] not in self._used
        self._used[payload["jti"]] = payload["exp"]
        return first


def subprotocol(connection: HTTPConnection) -> str | None:
    """Return the subprotocol to answer with; never the one that holds a key."""
    return SUBPROTOCOL if SUBPROTOCOL in _subprotocols(connection) else None


def _token(connection: HTTPConnection) -> str:
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    offered = (one.removeprefix(KEY_SUBPROTOCOL) for one in _subprotocols(connection) if one.startswith(KEY_SUBPROTOCOL))
    return next(offered, "")


def _subprotocols(connection: HTTPConnection) -> list[str]:
    return [one.strip() for one in connection.headers.get("sec-websocket-protocol", "").split(",")]


def load_keys(file: Path) -> list[Key]:
    """Read the keys of a YAML file, a list of `Key`; raises `BadInput`."""
    try:
        rows = yaml.safe_load(file.read_text(encoding="utf-8"))
        keys = msgspec.convert(rows, list[Key])
        known = [field.name for field in fields(Key)]
        if unknown := [name for row in rows for name in row if name not in known]:
            raise BadInput(f"{file}: unknown setting {unknown[0]!r} of a key; {nearest(str(unknown[0]), known)}")
    except OSError as error:
        raise BadInput(f"cannot read the keys {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadInput(f"{file} is no list of keys with id and sha256: {error}") from error
    for key in keys:
        for prefix in key.glossary_from:
            check_prefix(prefix)
        for address in filter(None, (key.glossary, key.hints)):
            check_address(address)
        if key.retention_days is not None:
            check_range(f"{file}: retention_days of {key.id!r}", key.retention_days, SHORTEST_DAYS, LONGEST_DAYS)
    digests = [key.sha256.lower() for key in keys]
    if not keys or len({key.id for key in keys}) < len(keys) or len(set(digests)) < len(keys):
        raise BadInput(f"{file} needs at least one key, each with an id and a sha256 of its own")
    if wrong := [key.id for key in keys if len(key.sha256) != 64 or set(key.sha256.lower()) - set("0123456789abcdef")]:
        raise BadInput(f"{file}: the sha256 of the key {wrong[0]!r} is not 64 hexadecimal digits")
    return keys
