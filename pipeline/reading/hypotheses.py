"""The last two translations of everything heard."""

from __future__ import annotations

from dataclasses import dataclass


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
