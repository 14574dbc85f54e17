"""The request of a session as the message that begins it on a server."""

from __future__ import annotations

import json
from typing import Any

from pipeline.request import SessionRequest


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
