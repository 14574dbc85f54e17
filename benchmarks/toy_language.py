"""A toy language pair with a perfect translator, to drive reading-unit policies where the truth is known.

Source words are ``n1`` (noun), ``v2`` (verb) and ``and``, each numbered once, so that a lost or doubled word shows. The
translation of each is itself in capitals; a verb-final target says the verb of a clause last. Of a clause that is not over,
the translator says what it has heard, as if it were over: a verb that was said too early makes later words follow it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.contracts import Translation, TranslationRequest
from pipeline.events import Transcript, Word

MARKS = ".,"
UNSURE = "x"
"""The wrong ending of a word whose next is not known."""


@dataclass(frozen=True, slots=True)
class ToyTranslator:
    """Translates perfectly what it was given.

    ``verb_final``: the verb goes to the end of its clause. ``unsure``: a word gets a wrong ending until the next is known,
    every fifth until three are, unless the sentence is over. ``forces_prefix``: the answer begins with the request's
    prefix, then says what that does not; otherwise the prefix is ignored, as translators without prefixes do.
    """

    verb_final: bool = True
    unsure: bool = False
    forces_prefix: bool = True

    def translate(self, request: TranslationRequest) -> Translation:
        """The translation of one request."""
        words = self.words(request.source)
        prefix = request.prefix if self.forces_prefix else ""
        said = Counter(bare(word) for word in prefix.split())
        rest = []
        for word in words:
            if said[bare(word)] > 0:
                said[bare(word)] -= 1
            else:
                rest.append(word)
        text = " ".join([prefix.strip(), *rest]).strip()
        return Translation(text if text[-1:] in MARKS else text + ".")

    def words(self, source: str) -> list[str]:
        """The translated words of ``source`` in the target's order, without prefix."""
        clauses: list[list[str]] = [[]]
        tokens = source.split()
        for place, token in enumerate(tokens):
            word = token.strip(MARKS).upper()
            if self.unsure and not _sure(token, len(tokens) - 1 - place) and not tokens[-1].endswith("."):
                word += UNSURE
            if token.strip(MARKS) == "and" and clauses[-1]:
                clauses.append([])
            clauses[-1].append(word)
            if token[-1] in MARKS:
                clauses.append([])
        return [word for clause in clauses for word in self._ordered(clause)]

    def _ordered(self, clause: Sequence[str]) -> list[str]:
        return sorted(clause, key=lambda word: word.startswith("V")) if self.verb_final else list(clause)


def _sure(token: str, following: int) -> bool:
    """Tell whether a word's ending is known when ``following`` more words are; a mark tells it as well as one word."""
    number = "".join(filter(str.isdigit, token))
    needed = 3 if number and int(number) % 5 == 0 else 1
    return following + (token[-1] in MARKS) >= needed


def bare(word: str) -> str:
    """A target word without marks and wrong ending."""
    return word.strip(MARKS + UNSURE)


@dataclass(frozen=True, slots=True)
class Speech:
    """Words as they are spoken, and how a recognizer gives them: each committed ``lag_s`` after its end.

    A transcript comes every ``period_s``; words that were spoken but not committed are tentative. ``ended_s`` of silence
    commits what is left and ends the utterance.
    """

    words: tuple[Word, ...]
    lag_s: float = 0.6
    period_s: float = 0.2
    ended_s: float = 0.5

    def transcripts(self) -> list[Transcript]:
        """The recognizer's output, until a second after the last word."""
        given = 0
        pieces = []
        end_s = (self.words[-1].end if self.words else 0.0) + 1.0 + self.lag_s
        for step in range(1, int(end_s / self.period_s) + 2):
            now_s = round(step * self.period_s, 6)
            spoken = [word for word in self.words if word.end <= now_s]
            voiced = any(word.start <= now_s < word.end for word in self.words)
            silence_s = 0.0 if voiced or not spoken else now_s - spoken[-1].end
            ended = silence_s >= self.ended_s
            ready = len(spoken) if ended else sum(word.end + self.lag_s <= now_s for word in self.words)
            ready = max(ready, given)
            committed, tail = self.words[given:ready], tuple(spoken[ready:])
            pieces.append(Transcript(committed, tail, "en", now_s, silence_s, ended))
            given = ready
        return pieces


def talk(seed: int, sentences: int) -> tuple[Word, ...]:
    """Sentences of one to four clauses, spoken with the rhythm of a talk, pauses after some clauses and most sentences."""
    chance = random.Random(seed)
    words: list[Word] = []
    clock_s = 0.0
    for _ in range(sentences):
        clauses = chance.randint(1, 4)
        for clause in range(clauses):
            last = clause == clauses - 1
            for token in _clause(chance, len(words), opened=clause > 0, last=last):
                length_s = chance.uniform(0.15, 0.45)
                words.append(Word(f" {token}", round(clock_s, 3), round(clock_s + length_s, 3), 0.9))
                clock_s += length_s + chance.uniform(0.0, 0.06)
            clock_s += chance.uniform(0.2, 1.0) if last else chance.choice([0.0, 0.0, 0.15, 0.35])
    return tuple(words)


def _clause(chance: random.Random, number: int, opened: bool, last: bool) -> list[str]:
    """A subject, a verb and what follows it, numbered from ``number`` on; joined by "and" or a comma."""
    joined = opened and chance.random() < 0.5
    kinds = ["n", "v", *"n" * chance.randint(1, 6)]
    tokens = [*(["and"] if joined else []), *kinds]
    numbered = [token if token == "and" else f"{token}{number + place}" for place, token in enumerate(tokens)]
    numbered[-1] += "." if last else chance.choice(["", ","])
    return numbered
