"""Finds words to expect in a folder of documents, by what is being said, while it is being said (BM25 over passages).

pip install bm25s
python examples/glossary_from_rag.py slides/ talk.flac pt            # hints that follow the talk
python examples/glossary_from_rag.py slides/ --about "our Q3 roadmap"   # a glossary, as CSV, to be looked over
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import bm25s

from pipeline import AudioFile, Engine, Event, Hints, LoopClock, Profile, ReadingUnit, SessionRequest, SinkQueue
from pipeline.events import text_of

PASSAGE = 80  # words
BEST = 5  # passages that are looked at
HEARD = 40  # words that are searched with
MOST = 40  # terms at once
NAME = re.compile(
    r"(?<![.!?] )(?<!^)\b(?:[A-Z][\w-]+(?: [A-Z][\w-]+)*|\w*[A-Z]\w*[A-Z]\w*|\w*\d\w*[A-Za-z]\w*)\b", re.MULTILINE
)
"""A word that a recognizer hardly guesses: capitals within a sentence, acronyms, letters with digits."""


class Passages:
    """Pieces of documents, found by words that they share with a text."""

    def __init__(self, folder: Path) -> None:
        texts = (path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.rglob("*")) if path.is_file())
        self._pieces = [piece for text in texts for piece in _pieces(text)]
        if not self._pieces:
            raise SystemExit(f"{folder} holds no text")
        self._index = bm25s.BM25()
        self._index.index(bm25s.tokenize(self._pieces, show_progress=False), show_progress=False)

    def near(self, text: str) -> list[str]:
        """The passages that have most to do with a text, best first; none that shares no word with it."""
        query = bm25s.tokenize(text, show_progress=False)
        places, scores = self._index.retrieve(query, k=min(BEST, len(self._pieces)), show_progress=False)
        return [self._pieces[place] for place, score in zip(places[0], scores[0], strict=True) if score > 0]


def terms(passages: Sequence[str]) -> list[str]:
    """The names and terms of passages, likeliest first."""
    counted = Counter(found[0] for passage in passages for found in NAME.finditer(passage))
    return [term for term, _ in counted.most_common(MOST)]


class Retrieving:
    """A sink that searches the documents with what was said last, and gives the session the words that it finds."""

    def __init__(self, passages: Passages, hints: Hints) -> None:
        self._passages = passages
        self._hints = hints
        self._heard: deque[str] = deque(maxlen=HEARD)

    async def put(self, event: Event) -> None:
        """Search; in a thread, since the session does not wait for it."""
        if isinstance(event, ReadingUnit):
            self._heard.extend(text_of(event.source).split())
            found = await asyncio.to_thread(self._passages.near, " ".join(self._heard))
            if new := [term for term in terms(found) if term not in self._hints.words]:
                self._hints.add(reversed(new), keep=True)  # the likeliest last

    async def close(self) -> None:
        """Do nothing."""


class Lines:
    """A sink that prints each translation."""

    async def put(self, event: Event) -> None:
        """Print a unit."""
        if isinstance(event, ReadingUnit) and event.text.strip():
            print(event.text.strip(), flush=True)

    async def close(self) -> None:
        """Do nothing."""


async def translate(folder: Path, talk: Path, target: str, profile: Profile | str = "cpu") -> Hints:
    """Translate a recording with hints that follow it; gives those it ended with."""
    passages, hints = await asyncio.to_thread(Passages, folder), Hints()
    sinks = [SinkQueue(Retrieving(passages, hints), "view"), SinkQueue(Lines())]
    async with Engine.load(profile, ("recognizer", "translator")) as engine:
        session = await engine.session(SessionRequest(targets=(target,), hints=hints))
        await session.run(AudioFile(talk, realtime=False, clock=LoopClock()), sinks)
    for sink in sinks:
        if sink.error is not None:
            raise sink.error
    return hints


def glossary(folder: Path, about: str) -> str:
    """The terms of what the documents say about something, as a glossary in CSV: to be said as they are written."""
    found = terms(Passages(folder).near(about))
    return "\n".join(["source,target,mode", *(f'"{term}",,keep' for term in found)]) + "\n"


def _pieces(text: str) -> Iterator[str]:
    words = text.split(" ")
    for first in range(0, len(words), PASSAGE):
        yield " ".join(words[first : first + PASSAGE])


if __name__ == "__main__":
    if "--about" in sys.argv:
        print(glossary(Path(sys.argv[1]), sys.argv[-1]), end="")
    else:
        asyncio.run(translate(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
