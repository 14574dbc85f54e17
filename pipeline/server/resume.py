"""Resume tokens: a client whose connection was lost gets back into a full house, in this process or another."""

from __future__ import annotations

from pipeline.server.signing import Signer

VALID_S, RENEWED_S = 120.0, 60.0


def resume_token(signer: Signer, session: str, key: str) -> str:
    """Make the token of a session; the client shows it as ``?resume=`` when it comes back."""
    return signer.sign("rs", {"session": session, "key": key}, VALID_S)[0]


def resumed_session(signer: Signer, token: str, key: str) -> str:
    """The session that a token resumes; empty if it is none, too old or another key's."""
    payload = signer.read("rs", token) if token else None
    return str(payload["session"]) if payload and payload.get("key") == key else ""
