"""Words that a session expects to hear and to say: its glossary's, and hints that come while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.contracts import Expecting, Listening
from pipeline.glossary.glossary import Glossary
from pipeline.hints import Hints


class ExpectedWords:
    """The words of one session; hints that are to be kept are added to ``glossary``, a copy of the session's own."""

    def __init__(self, glossary: Glossary, hints: Hints, languages: Sequence[str]) -> None:
        self.glossary = glossary.copy()
        self._hints = hints
        self._terms = [term for one in languages or ("",) for term in glossary.vocabulary(one)]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """List words for the recognizer, likeliest last: source terms of the glossary, then hints."""
        return tuple(dict.fromkeys([*self._terms, *self._hints.words]))

    @contextmanager
    def reaching(self, listening: Listening) -> Iterator[None]:
        """Give hints to a recognizer that takes them, and to the translation, now and as they come, within."""

        def expect() -> None:
            self.glossary.keep(self._hints.kept)
            if self._hints.words and isinstance(listening, Expecting):
                listening.expect(self.vocabulary)

        expect()
        with self._hints.watched(expect):
            yield
