"""A pipe: who reads slowly gets everything, and who reads nothing, or goes away, holds nobody up."""

import asyncio
import contextlib
import fcntl
import os

import pytest

from pipeline.errors import DeviceError
from pipeline.sinks.pipe import READER_S, Pipe
from pipeline.sinks.record_file import RecordFile

pytestmark = pytest.mark.looptime

PAGE = 4096


@pytest.fixture
def fifo(tmp_path):
    """A named pipe of one page and its reader."""
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, PAGE)
    yield path, reading
    with contextlib.suppress(OSError):
        os.close(reading)


def now() -> float:
    return asyncio.get_running_loop().time()


async def read(reading: int, size: int, pause_s: float) -> bytes:
    """So many bytes, a page at a time."""
    got = b""
    while len(got) < size:
        with contextlib.suppress(BlockingIOError):
            got += os.read(reading, PAGE)
        await asyncio.sleep(pause_s)
    return got


async def test_a_slow_reader_gets_every_byte_in_order(fifo):
    path, reading = fifo
    data = bytes(range(256)) * 100
    pipe = Pipe(path, os.open(path, os.O_WRONLY))
    async with asyncio.TaskGroup() as group:
        got = group.create_task(read(reading, len(data), READER_S * 0.9))
        await pipe.write(data)
    pipe.close()
    assert got.result() == data
    assert now() > READER_S


async def test_a_reader_that_takes_nothing_is_given_up_and_told_once_and_for_all(fifo):
    path, _ = fifo
    file = RecordFile(path)
    await file.add("x" * PAGE)
    assert now() == 0
    for _ in range(3):
        with pytest.raises(DeviceError, match=rf"pipe\.jsonl any more: .* after {PAGE} bytes is lost; try: ") as failure:
            await file.add("y")
        assert now() == READER_S
    assert failure.value.exit_code == 3
    with pytest.raises(DeviceError, match="takes no more"):
        file.close()
    file.close()


async def test_a_record_that_was_cancelled_half_way_is_the_last_and_told_at_the_end(fifo):
    path, reading = fifo
    file = RecordFile(path)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await file.add("x" * 2 * PAGE)
    assert os.read(reading, 2 * PAGE) == b"x" * PAGE
    with pytest.raises(DeviceError):
        await file.add("y")
    with pytest.raises(DeviceError, match=f"all after {PAGE} bytes is lost"):
        file.close()
    assert now() == 1
    assert os.read(reading, 1) == b""


async def test_a_reader_that_goes_away_is_told_while_it_is_waited_for(fifo):
    path, reading = fifo
    file = RecordFile(path)
    asyncio.get_running_loop().call_later(1, os.close, reading)
    with pytest.raises(DeviceError, match="takes no more"):
        await file.add("x" * 2 * PAGE)
    assert now() < READER_S
    with pytest.raises(DeviceError):
        file.close()
