"""Drafts for captions: what is not yet said, masked so that it seldom changes (Arivazhagan et al., arXiv 1912.03393)."""

from __future__ import annotations

import math

from pipeline.events import Draft
from pipeline.policies.options import AgreementOptions
from pipeline.policies.stability import common, continuation, stability_units, without_end


class Drafts:
    """Draft of the tentative translation that the captions show.

    It is what the last two hypotheses agree on, and a few units more. Updates are spaced in time, except those that only
    take away what a unit has said.
    """

    def __init__(self, options: AgreementOptions, language: str) -> None:
        self._options = options
        self._language = language
        self._previous = ""
        self._shown = ""
        self._updated_s = -math.inf

    def due(self, now_s: float) -> bool:
        """Tell if a new draft may be shown at ``now_s``."""
        return self._options.drafts and now_s - self._updated_s >= self._options.draft_interval_s

    def update(self, said: str, text: str, now_s: float) -> Draft | None:
        """Mask a new hypothesis ``text`` that begins with what was ``said``."""
        rest = continuation(said, text) or ""
        units = stability_units(rest)
        agreed = common(units, stability_units(continuation(said, self._previous) or ""))
        self._previous = text
        visible = units[: agreed + self._options.draft_ahead]
        self._updated_s = now_s
        return self._show(without_end(rest[: visible[-1].end]) if visible else "")

    def said(self, text: str) -> Draft | None:
        """Take away the ``text`` of a unit that was released: it is no longer tentative."""
        return self._show(continuation(text.strip(), self._shown) or "")

    def clear(self) -> Draft | None:
        """Show nothing more of the sentence, which is over."""
        self._previous = ""
        return self._show("")

    def _show(self, text: str) -> Draft | None:
        if text.strip() == self._shown:
            return None
        self._shown = text.strip()
        return Draft(self._shown, self._language)
