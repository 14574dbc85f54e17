"""Translations that compete: what each says after the committed prefix, and the last two of everything heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.policies.stability import Unit, common, continuation, stability_units


@dataclass(frozen=True, slots=True)
class Rest:
    """What a translation says after the committed prefix: its text, and the units that end in it."""

    text: str
    units: Sequence[Unit]

    @classmethod
    def of(cls, said: str, translation: str) -> Rest:
        """The rest of a translation; nothing if it does not begin with what was ``said``."""
        text = continuation(said, translation) or ""
        return cls(text, stability_units(text))

    def common(self, other: Rest) -> int:
        """With how many equal units both begin."""
        return common(self.units, other.units)


@dataclass(slots=True)
class Hypotheses:
    """``text`` translates ``source``, the most that was heard; ``before`` translates less than that."""

    source: str = ""
    text: str = ""
    before: str = ""

    def remember(self, source: str, text: str) -> None:
        """A new translation; one of the same source replaces the last."""
        if source != self.source:
            self.before = self.text
        self.source, self.text = source, text
