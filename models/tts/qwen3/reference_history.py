"""Speech of a session so far, as the reference whose voice and manner the model continues.

The model cloned from speech of another language keeps its accent; its own speech in the target language does not. A rolling
context alone drifts, so the first good unit stays as an anchor beside the newest, and now and then everything is renewed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from models.tts.qwen3.prompt import Codes, Reference

_ANCHOR_FRAMES = 50  # 4 s
_RECENT_FRAMES = 75  # 6 s
_WITHOUT_SPACES = frozenset({"zh", "ja"})


@dataclass(frozen=True, slots=True, eq=False)
class SpokenUnit:
    """Spoken utterance: its text and the frames drawn for it [frames, 16]."""

    text: str
    codes: Codes


@dataclass(slots=True)
class ReferenceHistory:
    """Speech of one session in one language."""

    language: str
    renew_after_frames: int
    _anchor: SpokenUnit | None = None
    _recent: list[SpokenUnit] = field(default_factory=list)
    _frames: int = 0

    def add(self, said: SpokenUnit) -> None:
        """Append an utterance that ended well."""
        if not said.codes.size:
            return
        self._frames += len(said.codes)
        if self._frames >= self.renew_after_frames:
            self.forget()
            return
        if self._anchor is None and len(said.codes) <= _ANCHOR_FRAMES:
            self._anchor = said
            return
        self._recent.append(said)
        while sum(len(one.codes) for one in self._recent) > _RECENT_FRAMES:
            del self._recent[0]

    def forget(self) -> None:
        """Clear all: the next utterance comes from the voice alone and becomes the anchor."""
        self._anchor, self._frames = None, 0
        self._recent.clear()

    def reference(self, encode: Callable[[str], list[int]]) -> Reference | None:
        """Join the anchor and the newest speech, oldest first; None if there is none yet."""
        said = [*([self._anchor] if self._anchor else []), *self._recent]
        if not said:
            return None
        space = "" if self.language in _WITHOUT_SPACES else " "
        text = encode(space.join(one.text for one in said))
        return Reference(tuple(text), np.concatenate([one.codes for one in said]))
