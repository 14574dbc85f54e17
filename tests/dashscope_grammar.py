"""Order of DashScope server events: each item and response begins, says its text, and ends."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Sequence

# one letter an event of a response, in the order of the service's reference
LETTERS = {
    "response.created": "c", "response.output_item.added": "i", "response.content_part.added": "p",
    "response.audio_transcript.delta": "t", "response.audio_transcript.text": "t", "response.audio_transcript.done": "T",
    "response.text.delta": "x", "response.text.text": "x", "response.text.done": "X",
    "response.audio.delta": "a", "response.audio.done": "A",
    "response.content_part.done": "P", "response.output_item.done": "I", "response.done": "D",
}  # fmt: skip
SPOKEN, WRITTEN = re.compile(r"cipt*T(a+A)?PID"), re.compile(r"cipx*XPID")
SOURCE = "conversation.item.input_audio_transcription."


def check(events: Sequence[dict], *, nested: bool) -> tuple[list[str], list[str], bytes]:
    """Assert the order of a finished stream; give the texts of its responses, of its source items, and its speech."""
    kinds = [event["type"] for event in events]
    assert kinds[0] == "session.created"
    assert kinds.count("session.finished") == 1
    assert len({event["event_id"] for event in events}) == len(events)
    told, (texts, speech) = source(events, nested=nested), responses(events, nested=nested)
    return texts, told, speech


def responses(events: Sequence[dict], *, nested: bool) -> tuple[list[str], bytes]:
    found: dict[str, list[dict]] = defaultdict(list)
    for event in events:
        if event["type"].startswith("response."):
            found[event.get("response_id") or event["response"]["id"]].append(event)
    texts, speech = [], b""
    for messages in found.values():
        letters = "".join(LETTERS[message["type"]] for message in messages)
        assert SPOKEN.fullmatch(letters) or WRITTEN.fullmatch(letters), letters
        done = next(message for message in messages if message["type"].endswith(("transcript.done", "text.done")))
        text = done.get("transcript", done.get("text"))
        if nested:
            assert (
                "".join(one["delta"] for one in messages if one["type"].endswith(("transcript.delta", "text.delta")))
                == text
            )
        elif pieces := [one for one in messages if one["type"].endswith(("transcript.text", "text.text"))]:
            assert (pieces[-1]["text"], pieces[-1]["stash"]) == (text, "") or not text
        ended = messages[-1]["response"]
        assert ended["status"] in {"completed", "incomplete"}
        (part,) = ended["output"][0]["content"]
        assert part.get("transcript", part.get("text")) == text
        assert len({message["item_id"] for message in messages if "item_id" in message}) == 1
        texts.append(text)
        speech += b"".join(base64.b64decode(one["delta"]) for one in messages if one["type"] == "response.audio.delta")
    return texts, speech


def source(events: Sequence[dict], *, nested: bool) -> list[str]:
    """Assert the order of source items, which do not overlap; give their texts."""
    open_, text, texts, last_ms = "", "", [], 0
    for event in events:
        kind = event["type"]
        if kind == "input_audio_buffer.speech_started":
            assert not open_
            open_, text = event["item_id"], ""
            assert event["audio_start_ms"] >= 0
        elif kind == "input_audio_buffer.speech_stopped":
            assert event["item_id"] == open_
            assert event["audio_end_ms"] >= last_ms
            last_ms, open_ = event["audio_end_ms"], f"{open_} stopped"
        elif kind == f"{SOURCE}completed":
            assert open_ == f"{event['item_id']} stopped"
            assert event["transcript"] == text.strip()
            texts.append(event["transcript"])
            open_ = ""
        elif kind.startswith(SOURCE):
            assert event["item_id"] == open_
            assert kind.removeprefix(SOURCE) == ("delta" if nested else "text")
            text = text + event["delta"] if nested else event["text"]
        if kind == "input_audio_buffer.speech_stopped" and not any(one["type"].startswith(SOURCE) for one in events):
            open_ = ""  # transcription is off
    assert not open_ or open_.endswith(" stopped")
    return texts
