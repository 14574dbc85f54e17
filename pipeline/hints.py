"""Words that may be said, added while a session runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

MOST = 1000  # words; of more, the oldest are dropped


class Hints:
    """Words that may be said, from slides or a calendar; added while a session runs, they reach its recognizer.

    With ``keep`` they are soft terms of the translation too: wanted in it as they are written.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._words: dict[str, bool] = dict.fromkeys(tuple(words)[-MOST:], False)
        self._changed: list[Callable[[], None]] = []

    @property
    def words(self) -> tuple[str, ...]:
        """The words, at most `MOST`, the newest last."""
        return tuple(self._words)

    @property
    def kept(self) -> tuple[str, ...]:
        """The words that a translation should keep."""
        return tuple(word for word, keep in self._words.items() if keep)

    def add(self, words: Iterable[str], *, keep: bool = False) -> None:
        """Add words, or move them to the end; whoever watches is called once."""
        for word in filter(None, map(str.strip, words)):
            self._words[word] = self._words.pop(word, False) or keep
        for word in tuple(self._words)[:-MOST]:
            del self._words[word]
        for changed in self._changed:
            changed()

    @contextmanager
    def watched(self, changed: Callable[[], None]) -> Iterator[None]:
        """Call ``changed`` after each addition, within."""
        self._changed.append(changed)
        try:
            yield
        finally:
            self._changed.remove(changed)
