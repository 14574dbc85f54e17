"""The scripted models as backends that a profile can name: ``use: tests.scripted_backends:Scripted``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar

from models.vision.worker import decoded
from pipeline.contracts import FetchOptions, Missing, Term, Translation, TranslationRequest
from pipeline.errors import BadInput, ModelError, NetworkError
from pipeline.vision import Page, Pixels
from tests.scripted import Faults, Models


@dataclass(frozen=True, slots=True)
class Scripted:
    """Any stage: hears en, translates en to es and ca, speaks es. Lacks, breaks or hangs as a profile says."""

    lacks: str = ""
    word_s: float = 0.4
    breaks_at: tuple[str, int] | None = None
    hangs_at: tuple[str, int] | None = None

    def missing(self) -> list[Missing]:
        return [Missing(self.lacks, f"apt-get install {self.lacks}")] if self.lacks else []

    def languages(self) -> frozenset[str]:
        return frozenset({"en"})

    def pairs(self) -> frozenset[tuple[str, str]]:
        return frozenset({("en", "es"), ("en", "ca")})

    def pull(self, progress: Callable[[str, float], None]) -> None:
        for step in range(11):
            progress("model.bin", step / 10)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Models]:
        raise_at = {self.breaks_at[0]: {self.breaks_at[1]}} if self.breaks_at else {}
        hang_at = {self.hangs_at[0]: {self.hangs_at[1]}} if self.hangs_at else {}
        faults = Faults(raise_at=raise_at, hang_at=hang_at)
        await faults.call("load")
        yield Models(self.word_s, hear_s=0.001, translate_s=0.001, chunk_s=0.001, faults=faults)


@dataclass(frozen=True, slots=True)
class ScriptedVoice:
    """A synthesizer that speaks Spanish."""

    lacks: str = ""

    def missing(self) -> list[Missing]:
        return [Missing(self.lacks, f"apt-get install {self.lacks}")] if self.lacks else []

    def languages(self) -> frozenset[str]:
        return frozenset({"es"})

    def pull(self, progress: Callable[[str, float], None]) -> None:
        progress("voice", 1.0)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Models]:
        yield Models(chunk_s=0.001)


@dataclass(frozen=True, slots=True)
class FetchedVoice(ScriptedVoice):
    """A synthesizer whose files come for languages and from sources; ``unreachable`` is a source that fails."""

    unreachable: str = ""

    def fetch(self, options: FetchOptions, progress: Callable[[str, float], None]) -> None:
        if options.source == self.unreachable != "":
            raise NetworkError("no such host", hint="another source", code="not_fetched")
        progress(f"{options.spoken} to {options.targets} from {options.source or 'anywhere'}", 1.0)


@dataclass(frozen=True, slots=True)
class OtherVoice(ScriptedVoice):
    """A synthesizer that speaks German and Spanish, for what `ScriptedVoice` cannot."""

    def languages(self) -> frozenset[str]:
        return frozenset({"de", "es"})


@dataclass(frozen=True, slots=True)
class Tagging:
    """A translator from English that writes the target before each word, terms in brackets and wishes in parentheses.

    It fails at the session's first words into ``breaks_for``, and cannot write a snowman.
    """

    breaks_for: str = ""
    regions: tuple[str, ...] = ()

    def missing(self) -> list[Missing]:
        return []

    def pairs(self) -> frozenset[tuple[str, str]]:
        return frozenset(("en", target) for target in ("es", "ca", "de", *self.regions))

    def pull(self, progress: Callable[[str, float], None]) -> None:
        progress("words", 1.0)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Tagging]:
        yield self

    async def check(self, terms: Iterable[Term], source: str, target: str) -> None:
        for term in terms:
            if "☃" in term.targets:
                raise BadInput("the scripted model cannot write '☃'", hint="another target")

    async def translate(self, request: TranslationRequest) -> Translation:
        if request.target_language == self.breaks_for and "word0" in request.source.split():
            raise RuntimeError("it broke")
        text = request.source
        for term in request.terms:
            mark = f"({term.targets[0]})" if term.mode == "soft" else f"[{term.targets[0]}]"
            text = re.sub(rf"\b{term.source}\b", mark, text)
        words = [word if word[0] in "[(" else f"{request.target_language}-{word}" for word in text.split()]
        text = " ".join(words)
        return Translation(text if text.startswith(request.prefix) else f"{request.prefix} {text}")


@dataclass(frozen=True, slots=True)
class Slides:
    """A reader that finds one name, and keeps what it was shown; it cannot read a picture that ends in zeros."""

    lacks: str = ""
    loads_s: float = 0.0
    broken: bool = False
    shown: ClassVar[list[bytes]] = []

    def missing(self) -> list[Missing]:
        return [Missing(self.lacks, f"apt-get install {self.lacks}")] if self.lacks else []

    def pull(self, progress: Callable[[str, float], None]) -> None:
        progress("reader", 1.0)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Slides]:
        await asyncio.sleep(self.loads_s)
        if self.broken:
            raise ModelError("the process has died")
        yield self

    async def read(self, picture: Pixels | bytes, looked: bytes, languages: Sequence[str]) -> Page:
        assert isinstance(picture, bytes)
        self.shown.append(picture)
        if picture.endswith(bytes(9)):
            raise BadInput("that is no picture")
        return Page((), ("Emma",), picture)


@dataclass(frozen=True, slots=True)
class Colors:
    """A reader that names the size and the color of a picture."""

    def missing(self) -> list[Missing]:
        return []

    def pull(self, progress: Callable[[str, float], None]) -> None:
        progress("reader", 1.0)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Colors]:
        yield self

    async def read(self, picture: Pixels | bytes, looked: bytes, languages: Sequence[str]) -> Page:
        pixels = decoded(picture) if isinstance(picture, bytes) else picture
        color = ("red", "green", "blue")[int(pixels.mean((0, 1)).argmax())]
        return Page((), (f"{pixels.shape[1]}x{pixels.shape[0]} {color}",), b"")
