"""Redis for tests: the real server where it is installed, and a scripted one with enough of its protocol."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.serve_bus import RedisServer
from benchmarks.serve_client import free_port

Entry = tuple[str, list[str]]


class ScriptedRedis:
    """Streams in memory over RESP2; ``mode`` is ``ok``, ``full`` (no memory) or ``hang`` (answers nothing)."""

    def __init__(self, folder: Path | None = None) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.mode = "ok"
        self.streams: dict[str, list[Entry]] = {}
        self._groups: dict[tuple[str, str], dict] = {}
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._last_id = 0

    async def start(self) -> ScriptedRedis:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def kill(self) -> None:
        """End at once; what was taken is kept, as by an append-only file."""
        assert self._server
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def fill(self) -> None:
        self.mode = "full"

    async def hang(self) -> None:
        self.mode = "hang"

    async def mend(self) -> None:
        self.mode = "ok"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        queued: list[list[str]] | None = None
        refused = False
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                words = await _command(reader)
                while self.mode == "hang":  # noqa: ASYNC110 - a fault
                    await asyncio.sleep(0.02)
                name = words[0].upper()
                if name == "MULTI":
                    queued, refused, answer = [], False, "+OK"
                elif name == "EXEC":
                    commands, queued = queued or [], None
                    if refused:
                        answer = Exception("EXECABORT Transaction discarded because of previous errors.")
                    else:
                        answer = [self._do(command) for command in commands]
                elif queued is not None:
                    if self.mode == "full" and name == "XADD":
                        refused, answer = True, Exception("OOM command not allowed when used memory > 'maxmemory'.")
                    else:
                        queued.append(words)
                        answer = "+QUEUED"
                else:
                    answer = self._do(words)
                if answer is None:  # as a read that blocks
                    await asyncio.sleep(0.05)
                writer.write(_encoded(answer))
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def _do(self, words: list[str]) -> object:
        name, *rest = words
        method = getattr(self, f"_{name.lower()}", None)
        if method is None:
            return "+OK" if name.upper() in {"CLIENT", "SELECT", "PING"} else Exception(f"ERR unknown command '{name}'")
        return method(*rest)

    def _xadd(self, stream: str, *rest: str) -> str:
        words = list(rest[rest.index("*") + 1 :])
        self._last_id = max(self._last_id + 1, int(time.time() * 1000) * 1000)
        key = f"{self._last_id // 1000}-{self._last_id % 1000}"
        self.streams.setdefault(stream, []).append((key, words))
        del self.streams[stream][: -int(rest[2])]
        return key

    def _xtrim(self, stream: str, *rest: str) -> int:
        least, before = int(rest[-1].partition("-")[0]), self.streams.get(stream, [])
        self.streams[stream] = [entry for entry in before if int(entry[0].partition("-")[0]) >= least]
        return len(before) - len(self.streams[stream])

    def _xlen(self, stream: str) -> int:
        return len(self.streams.get(stream, []))

    def _xrange(self, stream: str, first: str, last: str, *rest: str) -> list:
        after = first.removeprefix("(") if first.startswith("(") else ""
        found = [[key, words] for key, words in self.streams.get(stream, []) if not after or _order(key) > _order(after)]
        return found[: int(rest[1])] if rest else found

    def _xdel(self, stream: str, *keys: str) -> int:
        before = self.streams.get(stream, [])
        self.streams[stream] = [entry for entry in before if entry[0] not in keys]
        return len(before) - len(self.streams[stream])

    def _xgroup(self, action: str, stream: str, group: str, *_: str) -> object:
        if (stream, group) in self._groups:
            return Exception("BUSYGROUP Consumer Group name already exists")
        self._groups[stream, group] = {"last": "0-0", "pending": {}}
        return "+OK"

    def _xreadgroup(self, _: str, group: str, consumer: str, *rest: str) -> object:
        stream, state = rest[-2], self._groups[rest[-2], group]
        count = int(rest[rest.index("COUNT") + 1])
        new = [entry for entry in self.streams.get(stream, []) if _order(entry[0]) > _order(state["last"])][:count]
        for key, _words in new:
            state["last"] = key
            state["pending"][key] = consumer
        return [[stream, [[key, words] for key, words in new]]] if new else None

    def _xautoclaim(self, stream: str, group: str, consumer: str, *rest: str) -> object:
        pending = self._groups[stream, group]["pending"]
        entries = dict(self.streams.get(stream, []))
        return ["0-0", [[key, entries[key]] for key in pending if key in entries], []]

    def _xack(self, stream: str, group: str, *keys: str) -> int:
        pending = self._groups[stream, group]["pending"]
        return sum(pending.pop(key, None) is not None for key in keys)


class RealRedis(RedisServer):
    """The real server, which can be made to fail without being killed."""

    async def fill(self) -> None:
        await self._say("CONFIG SET maxmemory 1", "CONFIG SET maxmemory-policy noeviction")

    async def hang(self) -> None:
        """Answer nothing for 2 s."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"DEBUG SLEEP 2\r\n")
        await writer.drain()
        while await self.answers():  # until it sleeps
            pass

    async def mend(self) -> None:
        await self._say("CONFIG SET maxmemory 0")

    async def _say(self, *lines: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for line in lines:
            writer.write(f"{line}\r\n".encode())
            assert (await reader.readline()).startswith(b"+OK")
        writer.close()


KINDS = [ScriptedRedis, *([RealRedis] if shutil.which("redis-server") else [])]
"""The scripted server always, the real one where it is installed."""


def _order(key: str) -> tuple[int, ...]:
    return tuple(map(int, key.split("-")))


async def _command(reader: asyncio.StreamReader) -> list[str]:
    count = int((await reader.readuntil(b"\r\n"))[1:])
    words = []
    for _ in range(count):
        length = int((await reader.readuntil(b"\r\n"))[1:])
        words.append((await reader.readexactly(length + 2))[:-2].decode(errors="surrogateescape"))
    return words


def _encoded(value: object) -> bytes:
    match value:
        case None:
            return b"*-1\r\n"
        case Exception():
            return f"-{value}\r\n".encode()
        case int():
            return f":{value}\r\n".encode()
        case list():
            return b"".join([f"*{len(value)}\r\n".encode(), *map(_encoded, value)])
        case str() if value.startswith("+"):
            return f"{value}\r\n".encode()
        case _:
            data = str(value).encode(errors="surrogateescape")
            return f"${len(data)}\r\n".encode() + data + b"\r\n"
