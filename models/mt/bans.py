"""What must not be said: recognizing it as it is written, and the tokens that would write it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.mt.letters import is_letter
from models.mt.terms import Form
from models.mt.vocabulary import Vocabulary

_DETOURS = (",", ";", ":", "-", "、", "，", "·")


class Bans:
    """Banned forms over one vocabulary."""

    def __init__(self, forms: Sequence[Form], vocabulary: Vocabulary) -> None:
        self._forms = tuple(forms)
        self._vocabulary = vocabulary
        self._within: list[int] | None = None
        self.detour = self._find_detour()

    def __bool__(self) -> bool:
        return bool(self._forms)

    def _find_detour(self) -> str:
        """A sign that interrupts every banned form, so that a term can always be said after it."""
        if not self._forms:
            return ""
        letters = set("".join(form.text for form in self._forms))
        return next((sign for sign in _DETOURS if sign not in letters and self._vocabulary.fewest(sign.encode()) == 1), "")

    def says(self, node: str, glued: bool) -> bool | None:
        """Nothing if a banned form ends the text for sure; otherwise whether one does unless a letter follows."""
        open_ban = False
        for form in self._forms:
            start = len(node) - len(form.text)
            if node.endswith(form.text) and not (form.left and (is_letter(node[start - 1]) if start else glued)):
                if not form.right:
                    return None
                open_ban = True
        return open_ban

    def suspects(self, node: str, partial: bytes, open_ban: bool) -> Iterator[int]:
        """Tokens that may complete a banned form after a text that ends with ``node`` and ``partial``."""
        if not self._forms:
            return
        if open_ban:
            yield from range(len(self._vocabulary))
            return
        if self._within is None:
            whole = [form.text.encode() for form in self._forms]
            self._within = [t for t, text in enumerate(self._vocabulary.written) if any(form in text for form in whole)]
        yield from self._within
        for form in self._forms:
            for end in range(len(form.text)):
                rest = form.text[end:].encode()
                if node.endswith(form.text[:end]) and rest.startswith(partial) and (end or partial):
                    yield from self._vocabulary.continuing(rest[len(partial) :])
