"""Text of several speakers as it is shown: who speaks before what they say, where that changes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pipeline.sinks.plain_text import legible


@dataclass(slots=True)
class Turns:
    """The end of a text, by speaker: at most ``characters`` of it."""

    characters: int
    parts: deque[tuple[str, str]] = field(default_factory=deque)  # who, and what

    def add(self, speaker: str, text: str) -> None:
        """Append what a speaker said; the beginning makes room, from a word on."""
        if self.parts and self.parts[-1][0] == speaker:
            text = self.parts.pop()[1] + text
        self.parts.append((speaker, legible(text)))
        while len(self.parts) > 1 and sum(len(part) for _, part in self.parts) > self.characters:
            self.parts.popleft()
        who, said = self.parts[0]
        if len(said) > self.characters:
            self.parts[0] = who, "…" + said[-self.characters :].partition(" ")[2]

    def pieces(self) -> list[tuple[str, str]]:
        """List the turns, each begun with its speaker's name if there is one: (speaker, text)."""
        return [(who, f"{legible(who)}: {said}" if who else said) for who, said in self.parts]

    def __str__(self) -> str:
        return " ".join(said for _, said in self.pieces())
