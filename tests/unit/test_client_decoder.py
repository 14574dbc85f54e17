"""Decoding of what a server sends: each event once; the audio to replay is found by its place."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.client.connection import BYTES_PER_MS, Remote, Replay
from pipeline.client.decoder import LOST, MessageDecoder
from pipeline.errors import BadInput
from pipeline.events import Lag, ReadingUnit, Skipped, SpeakerFound, SpeechChunk, Transcript, text_of


def unit(number: int, source: str, start_ms: int, end_ms: int, target: str = "es") -> dict:
    fields = {"unit": number, "source": source, "start_ms": start_ms, "end_ms": end_ms, "target": target}
    return {"type": "translate_live.unit", "text": source.upper(), **fields}


def lag(number: int) -> dict:
    return {"type": "translate_live.lag", "unit": number, "ear_voice_ms": 500, "backlog_ms": 0, "rate": 1.0}


def speech(ms: int) -> dict:
    delta = base64.b64encode(bytes(ms * BYTES_PER_MS)).decode()
    return {"type": "session.output_audio.delta", "delta": delta, "sample_rate": 24_000}


def events(decoder: MessageDecoder, *messages: dict) -> list:
    return [event for message in messages for event in decoder.decode(message)]


def test_speech_is_of_the_unit_whose_lag_came_before_and_merged_units_are_one():
    decoder = MessageDecoder(("es",), "es", ("es",))
    units = [unit(0, "a b", 0, 1000), unit(1, "c", 1000, 2000), unit(2, "d", 2000, 3000)]
    given = events(decoder, *units, lag(0), speech(300), speech(300), lag(1), lag(2), speech(200))
    given += decoder.end()
    chunks = [event for event in given if isinstance(event, SpeechChunk)]
    assert [(chunk.unit, chunk.last, round(chunk.start, 3)) for chunk in chunks] == [
        (0, False, 1.5), (0, False, 1.8), (0, True, 2.1), (1, False, 2.5), (1, True, 2.7),
    ]  # fmt: skip
    assert [(event.unit, event.merged_into) for event in given if isinstance(event, Lag)] == [(0, 0), (1, 1), (2, 1)]


def test_words_are_committed_once_over_a_lost_connection_and_unspoken_units_are_told():
    decoder = MessageDecoder(("es",), "es", ("es",))
    heard = {"type": "translate_live.source", "tail": "", "language": "en", "heard_ms": 3000, "ended": False}
    given = events(decoder, {**heard, "text": "a b c"}, unit(0, "a b", 0, 2000))
    tails = [text_of(event.tentative) for event in given if isinstance(event, Transcript)]
    assert tails == ["a b c", "c"]
    lost = list(decoder.lost())
    assert lost == [Skipped(0, 0, LOST, "es")]
    assert (decoder.said_ms, decoder.next_unit) == (2000, 1)
    given += events(decoder, {**heard, "text": "c d"}, unit(1, "c d", 2000, 4000))
    committed = [text_of(event.committed) for event in given if isinstance(event, Transcript)]
    assert " ".join(committed).split() == list("abcd")


def test_a_target_that_was_further_gets_no_unit_twice():
    decoder = MessageDecoder(("es", "pt-BR"), "es", ())
    events(decoder, unit(0, "a", 0, 1000), unit(0, "a", 0, 1000, "pt"), unit(1, "b", 1000, 2000, "pt"))
    assert decoder.said_ms == 1000
    assert list(decoder.lost()) == []
    again = events(decoder, unit(2, "b", 1000, 2000), unit(2, "b", 1000, 2000, "pt"), unit(3, "c", 2000, 3000, "pt"))
    assert [(event.number, event.target) for event in again if isinstance(event, ReadingUnit)] == [(2, "es"), (3, "pt-BR")]


def test_speech_of_two_targets_is_two_tracks_however_their_messages_come():
    decoder = MessageDecoder(("es", "fr"), "es", ("es", "fr"))
    french = {**speech(300), "type": "translate_live.speech", "target": "fr"}
    french_lag = {**lag(0), "target": "fr", "ear_voice_ms": 900}
    given = events(decoder, unit(0, "a", 0, 1000), unit(0, "a", 0, 1000, "fr"), {**lag(0), "target": "es"}, speech(300))
    given += [*events(decoder, french_lag, french, speech(200)), *decoder.end()]
    chunks = [event for event in given if isinstance(event, SpeechChunk)]
    assert [(chunk.target, chunk.last, round(chunk.start, 3)) for chunk in chunks] == [
        ("es", False, 1.5), ("fr", False, 1.9), ("es", False, 1.8), ("es", True, 2.0), ("fr", True, 2.2),
    ]  # fmt: skip
    assert [(event.target, event.start) for event in given if isinstance(event, Lag)] == [("es", 1.5), ("fr", 1.9)]


def test_speech_that_was_said_before_is_not_said_again():
    decoder = MessageDecoder(("es", "fr"), "es", ("es",))
    events(decoder, unit(0, "a", 0, 1000), lag(0), speech(100))
    list(decoder.lost())
    again = events(decoder, unit(1, "a", 0, 1000), lag(1), speech(100), unit(2, "b", 1000, 2000), lag(2), speech(100))
    assert [event.unit for event in again if isinstance(event, SpeechChunk)] == [2]


def test_audio_is_replayed_from_the_very_sample_and_the_oldest_is_dropped():
    replay = Replay()
    pcm = b"".join(number.to_bytes(2, "little") for number in range(24 * 100))
    replay.add(pcm)
    assert replay.next(60) == pcm[: 60 * BYTES_PER_MS]
    replay.forget(20)
    assert replay.rewind(30) == 30
    assert replay.next(1000) == pcm[30 * BYTES_PER_MS :]
    assert replay.rewind(5) == 20  # no more is kept
    assert replay.drop(0.05) == (0.02, 0.05)
    assert replay.rewind(0) == 50
    assert replay.drop(0.05) is None


@pytest.mark.parametrize(
    ("url", "address"),
    [("wss://host", "wss://host"), ("http://127.0.0.1:8200/", "ws://127.0.0.1:8200"), ("https://host/a", "wss://host/a")],
)
def test_a_servers_address_may_be_that_of_its_page(url: str, address: str):
    assert Remote(url).address == f"{address}/v1/realtime/translations?model=local"


@pytest.mark.parametrize("url", ["host:8200", "ftp://host", "wss://"])
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(BadInput, match="no address"):
        _ = Remote(url).address


def test_a_missing_package_is_told_and_no_model_library_is_imported():
    code = (
        "import importlib.util as u, sys; find = u.find_spec; "
        "u.find_spec = lambda name, *a: None if name == 'websockets' else find(name, *a); "
        "from pipeline.cli import main; code = main(['-', '--to', 'es', '--server', 'ws://127.0.0.1:1']); "
        "assert not {'torch', 'ctranslate2', 'transformers', 'onnxruntime'} & set(sys.modules); sys.exit(code)"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, input="", check=False, cwd=root)
    assert ended.returncode == 2, ended.stderr
    assert "try: pip install 'translate-live[serve]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_who_speaks_comes_with_words_and_units():
    decoder = MessageDecoder(("es",), "es", ("es",))
    found = {"type": "translate_live.speaker", "speaker": "Ana", "at_ms": 500}
    given = events(decoder, found, {**unit(0, "a b", 0, 2000), "speaker": "Ana"}, unit(1, "c", 2000, 3000))
    assert [event for event in given if isinstance(event, SpeakerFound)] == [SpeakerFound("Ana", 0.5)]
    assert [event.speaker for event in given if isinstance(event, ReadingUnit)] == ["Ana", ""]
    assert [event.speaker for event in given if isinstance(event, Transcript)] == ["Ana", ""]


def test_in_a_room_others_are_heard_by_name_and_ones_own_units_tell_what_need_not_be_sent_again():
    decoder = MessageDecoder(("en",), "en", ("en",), "Ana")
    own = [{**unit(number, "a b", 1000 * number, 1000 * (number + 1)), "participant": "Ana"} for number in (0, 1)]
    assert not events(decoder, *own, {**lag(0), "participant": "Ana"})
    assert (decoder.said_ms, decoder.next_unit) == (2000, 2)
    late = {**unit(7, "c", 300, 900, "en"), "participant": "Bo"}
    later = {**unit(7, "d", 200, 800, "en"), "participant": "Cy"}
    given = events(decoder, late, later, {**lag(7), "participant": "Cy"}, {**speech(100), "participant": "Cy"})
    given += events(decoder, {**lag(7), "participant": "Bo"}, {**speech(100), "participant": "Bo"})
    units = [(one.number, one.speaker, one.text) for one in given if isinstance(one, ReadingUnit)]
    assert units == [(0, "Bo", "C"), (1, "Cy", "D")]
    assert [one.unit for one in given if isinstance(one, SpeechChunk) and len(one.samples)] == [1, 0]
    skipped = {"type": "translate_live.skipped", "first": 5, "last": 7, "reason": "late", "participant": "Bo"}
    assert events(decoder, skipped) == [Skipped(0, 0, "late", "en")]
    recorded = {"type": "translate_live.recording", "recording": True}
    (on,) = events(decoder, recorded)
    (off,) = events(decoder, {**recorded, "recording": False, "participant": "Ana"})
    assert "records this room" in on.message
    assert "Ana no more" in off.message
    assert (decoder.said_ms, decoder.next_unit) == (2000, 2)
