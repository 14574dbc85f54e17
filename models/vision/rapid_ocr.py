"""RapidOCR (PP-OCRv6, Apache-2.0) in a process of its own, so that reading a picture never holds up what is heard."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.contracts import Missing
from pipeline.errors import BadInput, ModelError
from pipeline.vision import Page, Pixels

PACKAGES = ("rapidocr", "wordfreq", "cv2", "PIL")
EXTRA = "pip install 'translate-live[vision]'"
START_S, READ_S = 120.0, 30.0  # a process that takes longer has hung
LINE_BYTES = 1 << 20
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class RapidOcr:
    """The backend: ``threads`` of the CPU read, at lower priority; its models come with the package."""

    threads: int = 1

    def missing(self) -> list[Missing]:
        """List packages that are not installed."""
        lacking = [name for name in PACKAGES if find_spec(name) is None]
        return [Missing(f"what reads pictures ({', '.join(lacking)})", EXTRA, fetchable=False)] if lacking else []

    def pull(self, progress: Callable[[str, float], None]) -> None:
        """Do nothing: the models are in the package."""

    @asynccontextmanager
    async def load(self) -> AsyncIterator[OcrProcess]:
        """Start the process; it is killed at the end."""
        command = [sys.executable, "-m", "models.vision.worker", str(self.threads)]
        reader = OcrProcess(command)
        try:
            await reader.start()
            yield reader
        finally:
            await reader.stop()


class OcrProcess:
    """A `TextReader` whose work is done by a process, one picture at a time; it is started anew where it died or hung.

    Requests are numbered, so that the page of a caller who has left is not taken for the next one's.
    """

    def __init__(self, command: Sequence[str], limit_s: float = READ_S) -> None:
        self._command = command
        self._limit_s = limit_s
        self._asked = 0
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Start the process and wait until its model is loaded; raises `ModelError`."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE_BYTES,
            cwd=ROOT,
        )
        self._asked = 0
        await self._reply(START_S)

    async def read(self, picture: Pixels | bytes, looked: bytes, languages: Sequence[str]) -> Page:
        """Read a picture, when those before it have been read."""
        if not isinstance(picture, bytes) and not picture.size:
            raise BadInput("a picture without pixels", code="image")
        async with self._turn:
            return await self._ask(picture, looked, languages)

    async def stop(self) -> None:
        """Kill the process."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, picture: Pixels | bytes, looked: bytes, languages: Sequence[str]) -> Page:
        if self._process is None:
            await self.start()
        data = picture if isinstance(picture, bytes) else picture.tobytes()
        shape = None if isinstance(picture, bytes) else picture.shape
        self._asked += 1
        request = {
            "number": self._asked,
            "shape": shape,
            "size": len(data),
            "looked": base64.b64encode(looked).decode(),
            "languages": [*languages, "en"],
        }
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # the reply tells
            self._process.stdin.writelines([json.dumps(request).encode() + b"\n", data])
            await self._process.stdin.drain()
        page = await self._reply(self._limit_s)
        if "refused" in page:
            raise BadInput(page["refused"], code="image")
        if "failed" in page:
            raise ModelError(f"the picture could not be read: {page['failed']}")
        lines, names = page["lines"], page["names"]
        now = base64.b64decode(page["looks"])
        return Page(None, None, now) if lines is None else Page(tuple(lines), tuple(names), now)

    async def _reply(self, limit_s: float) -> dict[str, Any]:
        """Wait for the reply to the last request; a process that gives none is killed. Raises `ModelError`."""
        assert self._process is not None
        assert self._process.stdout is not None
        reply: dict[str, Any] = {}
        try:
            async with asyncio.timeout(limit_s):
                while reply.get("number") != self._asked:
                    reply = json.loads(await self._process.stdout.readline())
        except TimeoutError:
            await self.stop()
            raise ModelError(f"reading a picture took more than {limit_s:g} s") from None
        except ValueError:  # nothing, or no JSON
            await self.stop()
            raise ModelError("the process that reads pictures has died", hint=EXTRA) from None
        return reply
