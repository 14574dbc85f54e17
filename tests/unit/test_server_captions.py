"""Captions as server-sent events: of one's own sessions only, newest first to stay, and nothing that is left behind."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from pipeline.events import Draft, Gap, ReadingUnit, Transcript, Word
from pipeline.server.captions_feed import MOST, WAITING, CaptionsFeed, Reader, captions
from tests.serving import key, serving

WORDS = (Word(" Hello", 0.0, 0.4, 1.0), Word(" there", 0.4, 0.8, 1.0))
UNIT = ReadingUnit(0, WORDS, "Hola", "es", 0.0, 0.8, 1.0, target="es", source_language="en")


def test_a_caption_is_a_unit_a_draft_or_what_was_heard():
    assert list(captions(UNIT)) == [{"language": "es", "text": "Hola", "tail": ""}]
    assert list(captions(Draft("allí", "es"))) == [{"language": "es", "text": "", "tail": "allí"}]
    heard = Transcript(WORDS[:1], WORDS[1:], "en", 0.8, 0.0, ended=False)
    assert list(captions(heard)) == [{"language": "source", "text": " Hello", "tail": "there"}]
    assert list(captions(Gap(0.0, 1.0, "lost"))) == []


def test_a_caption_says_who_speaks_if_that_is_known():
    assert next(captions(replace(UNIT, speaker="Ana")))["speaker"] == "Ana"
    words = (replace(WORDS[0], speaker="Ana"), replace(WORDS[1], speaker="Bob"))
    heard = list(captions(Transcript(words, (), "en", 0.8, 0.0, ended=False)))
    assert [(one["text"], one["speaker"]) for one in heard] == [(" Hello", "Ana"), (" there", "Bob")]


def test_a_slow_reader_misses_the_oldest_captions():
    reader = Reader("local", "")
    for number in range(WAITING + 2):
        reader.put(str(number).encode())
    assert (reader.waiting.qsize(), reader.waiting.get_nowait()) == (WAITING, b"2")


@pytest.fixture
def feeds(monkeypatch) -> list[CaptionsFeed]:
    """The feeds that are made, each by its server."""
    made = []
    monkeypatch.setattr("pipeline.server.app.CaptionsFeed", lambda access: made.append(CaptionsFeed(access)) or made[-1])
    return made


async def test_a_reader_follows_the_sessions_of_its_key_or_one_of_them(feeds):
    keys = [key("studio", "sesame"), key("other", "hush")]
    async with serving(keys=keys) as server, httpx.AsyncClient(base_url=server.http, timeout=10) as client:
        link = await client.post("/captions/links", headers={"Authorization": "Bearer sesame"})
        feed = link.json()["url"].replace(".html", "/feed")
        async with client.stream("GET", feed) as every, client.stream("GET", f"{feed}&session=sess_2") as second:
            every_line, second_line = data_of(every), data_of(second)
            assert await anext(every_line) == await anext(second_line) == "retry: 1000"
            for session, owner in [("sess_0", "other"), ("sess_1", "studio"), ("sess_2", "studio")]:
                await feeds[0].sink(session, owner).put(UNIT)
            seen = [json.loads(await anext(every_line)) for _ in range(2)]
            assert [caption["session"] for caption in seen] == ["sess_1", "sess_2"]
            assert json.loads(await anext(second_line)) == seen[1]
            assert seen[1] == {"session": "sess_2", "language": "es", "text": "Hola", "tail": ""}


async def test_strangers_and_a_crowd_are_refused(feeds):
    async with serving(keys=[key("studio", "sesame")]) as server, httpx.AsyncClient(base_url=server.http) as client:
        for address in ("/captions/feed", "/captions/feed?ticket=cf_guess.0"):
            assert (await client.get(address)).status_code == 401
        assert (await client.post("/captions/links")).status_code == 401
        origin = {"Origin": "https://evil.example", "Authorization": "Bearer sesame"}
        assert (await client.get("/captions/feed", headers=origin)).status_code == 403
        feeds[0]._readers |= {Reader("studio", "") for _ in range(MOST)}
        crowd = await client.get("/captions/feed", headers={"Authorization": "Bearer sesame"})
        assert (crowd.status_code, crowd.headers["retry-after"]) == (503, "10")


async def data_of(answer: httpx.Response):
    async for line in answer.aiter_lines():
        if line and not line.startswith(":"):
            yield line.removeprefix("data: ")
