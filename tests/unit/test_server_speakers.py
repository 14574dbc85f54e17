"""Speakers keep their numbers, names and voices when a session follows another, also after a lost connection."""

from __future__ import annotations

import asyncio
import base64
import gc
from contextlib import asynccontextmanager

import numpy as np
import pytest

from pipeline.server.access import Key
from pipeline.server.admission import VALID_S, Resumed, SpeakerMemories, resumed_session
from pipeline.server.asked import Asked
from pipeline.server.connection import Connection
from pipeline.server.dialects.openai import OpenAI
from tests.serving import make_service
from tests.unit.test_server_connection import Socket, engine_of

pytestmark = pytest.mark.looptime(noop_cycles=2)
LEVELS = "diarizer.use=tests.scripted_speakers:Levels"
KEY = Key("test")


class Room(Socket):
    """A microphone before several people, each with a level of sound of their own."""

    def wish(self, **ours: object) -> None:
        ours = {"extensions": True, "speakers": "auto", **ours}
        self.send("session.update", session={"translate_live": ours})

    async def hear(self, *people: int) -> None:
        for person in people:
            for second in np.repeat([0.1 + 0.05 * person, 0.0], [6, 1]):
                pcm = np.full(24_000, 32768 * second, "<i2").tobytes()
                self.send("session.input_audio_buffer.append", audio=base64.b64encode(pcm).decode())
                await asyncio.sleep(1)

    @property
    def token(self) -> str:
        return self.of("translate_live.resume")[-1]["token"]

    def speakers(self) -> list[str]:
        """List who spoke, by turns."""
        units = [one["speaker"] for one in self.of("translate_live.unit") if one.get("speaker")]
        return [who for place, who in enumerate(units) if place == 0 or units[place - 1] != who]

    def found(self) -> list[str]:
        return [one["speaker"] for one in self.of("translate_live.speaker")]


@asynccontextmanager
async def listening(service, token: str = ""):
    """A client whose connection runs, and resumes what its token says, as the server would."""
    socket, dialect = Room(), OpenAI("local", Asked("es"))
    resumed = resumed_session(service.access.signer, token, KEY.id)
    async with asyncio.TaskGroup() as tasks:
        with service.speakers.held(dialect.id, resumed) as memory:
            serving = tasks.create_task(Connection(socket, dialect, service, KEY, memory=memory).serve())
            socket.wish()
            yield socket
            await serving


async def test_who_comes_back_after_a_loss_has_the_same_people_and_somebody_new_the_next_number():
    async with engine_of(LEVELS) as engine:
        service = make_service(engine)
        async with listening(service) as before:
            await before.hear(0, 1)
            before.vanish()
        assert before.speakers() == before.found() == ["Speaker 1", "Speaker 2"]
        async with listening(service, before.token) as after:
            await after.hear(1, 2, 0)
            after.vanish()
        assert after.speakers() == ["Speaker 2", "Speaker 3", "Speaker 1"]
        assert after.found() == ["Speaker 3"], "the others were told"
        async with listening(service, after.token) as last:
            await last.hear(2)
            last.send("session.close")
        assert last.speakers() == ["Speaker 3"]


async def test_in_another_process_no_number_is_given_to_two_people():
    async with engine_of(LEVELS) as engine:
        async with listening(make_service(engine)) as before:
            await before.hear(0, 1)
            before.vanish()
        async with listening(make_service(engine), before.token) as after:
            await after.hear(1, 0)
            after.send("session.close")
    assert after.speakers() == after.found() == ["Speaker 3", "Speaker 4"]


async def test_a_change_of_wishes_in_mid_talk_keeps_the_numbers_and_another_talk_begins_anew():
    async with engine_of(LEVELS) as engine:
        service = make_service(engine)
        async with listening(service) as socket:
            await socket.hear(0, 1)
            socket.wish(speaker_names={"2": "Bo"})
            await socket.hear(1, 0)
            socket.send("session.close")
        assert socket.speakers() == ["Speaker 1", "Speaker 2", "Bo", "Speaker 1"]
        async with listening(service) as other:
            await other.hear(1)
            other.send("session.close")
        assert other.speakers() == ["Speaker 1"]


async def test_voices_are_forgotten_when_no_token_can_bring_them_back():
    memories = SpeakerMemories()
    with memories.held("sess_1", Resumed()) as memory:
        memory.voices.append("a voice")
        with memories.held("sess_2", Resumed("sess_1", 1)) as resumed:  # the loss was not yet seen here
            assert resumed.voices is memory.voices
    await asyncio.sleep(VALID_S - 1)
    with memories.held("sess_3", Resumed("sess_2", 1)) as resumed:
        assert resumed.voices is memory.voices
    await asyncio.sleep(VALID_S + 1)
    with memories.held("sess_4", Resumed("sess_3", 1)) as late:
        assert (late.voices, late.count) == ([], 1)
    assert set(memories._held) == {"sess_4"}
    await asyncio.sleep(VALID_S + 1)
    assert not memories._held, "also where nobody connects any more"


@pytest.mark.parametrize("people", [(), (0, 1)])
async def test_a_connection_that_is_over_is_not_kept_alive_by_what_is_known_of_its_speakers(people):
    async with engine_of(LEVELS) as engine:
        service = make_service(engine)
        async with listening(service) as socket:
            await socket.hear(*people)
            socket.send("session.close")
        gc.collect()
        kept = [one for one in gc.get_objects() if type(one) is Connection]
    assert not kept
    assert len(service.speakers._held) == bool(people)
