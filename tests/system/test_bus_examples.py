"""The readers of the event bus in examples/: each sees every record, in order, whatever the others do."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import signal
import sys
from pathlib import Path

import pytest

from pipeline.events import Gap, ReadingUnit, Word
from pipeline.sinks.bus import BusSink, Publisher
from pipeline.sinks.redis_stream import RedisStream
from tests.resp_server import KINDS
from tests.unit.test_webhook import receiving

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
async def redis(request, tmp_path, monkeypatch):
    server = request.param(tmp_path)
    await server.start()
    yield server
    await server.kill()


async def publish(redis, session: str, count: int, *, text: bool = True) -> None:
    async with Publisher(RedisStream(redis.url), str).running() as publisher:
        sink = BusSink([publisher], session, text=text)
        for number in range(count):
            source = (Word(f" word{number}", number, number + 1, 1.0),)
            await sink.put(ReadingUnit(number, source, f" palabra{number}", "es", number, number + 1, number + 1, "es"))
        await sink.put(Gap(count, count + 1, "paused"))
        await sink.close()


class Example:
    """An example that runs as a process, with its Redis on another port."""

    def __init__(self, redis, name: str, *words: object) -> None:
        code = (
            f"import sys, runpy; sys.path.insert(0, {str(EXAMPLES)!r}); sys.argv = {[name, *map(str, words)]!r}\n"
            f"import bus_reader; bus_reader.records.__defaults__ = ({redis.url!r}, '', 50)\n"
            f"runpy.run_path({str(EXAMPLES / name)!r}, run_name='__main__')"
        )
        self._words = [sys.executable, "-c", code]

    async def __aenter__(self) -> Example:
        self._process = await asyncio.create_subprocess_exec(*self._words, stderr=asyncio.subprocess.PIPE)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        _, said = await asyncio.wait_for(self._process.communicate(), 20)
        assert self._process.returncode == 0, said.decode()


async def until(condition) -> None:
    async with asyncio.timeout(40):
        while not condition():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)


async def test_a_transcript_is_written_for_each_session_and_goes_on_after_a_restart(redis, tmp_path):
    folder, file = tmp_path / "out", tmp_path / "out" / "one.txt"
    await publish(redis, "one", 2)
    async with Example(redis, "bus_transcripts.py", folder):
        await until(lambda: file.exists() and "paused" in file.read_text())
    await publish(redis, "one", 1)
    await publish(redis, "two", 1, text=False)
    async with Example(redis, "bus_transcripts.py", folder):
        await until(lambda: (folder / "two.txt").exists() and "paused" in (folder / "two.txt").read_text())
    expected = "word0\n    es: palabra0\nword1\n    es: palabra1\n(not heard: paused)\n"
    assert file.read_text() == expected + "word0\n    es: palabra0\n(not heard: paused)\n"
    assert (folder / "two.txt").read_text().startswith("(9 characters, es: the text is not published)")


async def test_a_crm_is_told_of_a_session_when_it_ends_and_asked_again_when_it_was_busy(redis):
    await publish(redis, "one", 7)
    async with receiving() as receiver:
        receiver.statuses = [503]
        async with Example(redis, "bus_crm.py", receiver.url):
            await until(lambda: len(receiver.posts) == 2)
    first, second = (json.loads(body) for _, body in receiver.posts)
    assert first == second
    assert (first["session"], first["seconds"], first["units"], first["faults"]) == ("one", 7.0, 7, 0)
    assert first["note"] == "palabra2 palabra3 palabra4 palabra5 palabra6"


async def test_an_archive_proves_that_nothing_in_it_was_changed_left_out_or_put_in(redis, tmp_path, monkeypatch):
    archive = tmp_path / "archive.jsonl"
    await publish(redis, "one", 3)
    async with Example(redis, "bus_compliance.py", archive):
        await until(lambda: archive.exists() and '"end"' in archive.read_text())
    with archive.open("a") as file:
        file.write('{"before": "a line that was cut sh')
    await publish(redis, "two", 1)
    async with Example(redis, "bus_compliance.py", archive):
        await until(lambda: archive.read_text().count('"end"') == 2)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    checked = runpy.run_path(str(EXAMPLES / "bus_compliance.py"))["checked"]
    lines = archive.read_text().splitlines()
    assert checked(archive)[0] == len(lines) == 6 + 4
    assert os.stat(archive).st_mode & 0o777 == 0o600
    for wrong in (
        [*lines[:2], lines[2].replace("palabra1", "palabra9"), *lines[3:]],
        [*lines[:2], *lines[3:]],
        [*lines[:3], lines[2], *lines[3:]],
        lines[1:],
    ):
        archive.write_text("\n".join(wrong) + "\n")
        with pytest.raises(ValueError, match="does not follow"):
            checked(archive)
