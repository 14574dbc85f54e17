"""Normalized erasure: how much of what was shown was taken back, per word that stayed (Arivazhagan et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Erasure:
    """Follows captions: committed text that stays, and a draft that is replaced by the next one."""

    drafted: int = 0
    erased: int = 0
    kept: int = 0
    _shown: tuple[str, ...] = ()

    def draft(self, text: str) -> None:
        """A new draft replaces the old one; words after their common beginning were erased."""
        words = tuple(text.split())
        self.erased += len(self._shown) - _common(self._shown, words)
        self.drafted += 1
        self._shown = words

    def commit(self, text: str) -> None:
        """Text that stays takes the place of the draft's beginning; where it differs, the rest of the draft was erased."""
        words = tuple(text.split())
        common = _common(self._shown, words)
        self.kept += len(words)
        if common == len(words):
            self._shown = self._shown[common:]
        else:
            self.erased += len(self._shown) - common
            self._shown = ()

    @property
    def normalized(self) -> float:
        """Erased words per word that stayed; 0 when nothing stayed."""
        return self.erased / self.kept if self.kept else 0.0


def _common(before: tuple[str, ...], after: tuple[str, ...]) -> int:
    for index, (old, new) in enumerate(zip(before, after, strict=False)):
        if old != new:
            return index
    return min(len(before), len(after))
