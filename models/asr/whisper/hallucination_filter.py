"""Guards against what Whisper invents: loops, words on silence, words it has already said, the vocabulary itself.

Each looks at words, times and probabilities; none compares text alone, because people do repeat themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import log
from statistics import fmean

from models.asr.whisper.hypothesis import HeardWord

TOKENS_PER_SECOND = 8
SPARE_TOKENS = 8
LOOP_REPEATS = 3
LOOP_TOKENS = 12
STUTTER_REPEATS = 4  # within a word
LONGEST_PHRASE = 8
NO_SPEECH = 0.6
NO_SPEECH_LOG_PROBABILITY = -1.0
SQUEEZED_S = 0.04
SQUEEZED_WORDS = 3
REAL_WORD_S = 0.08
REAL_PROBABILITY = 0.5
ECHO_PROBABILITY = 0.6


def token_budget(unsettled_s: float) -> int:
    """Return the most tokens that speech of this length can be."""
    return int(TOKENS_PER_SECOND * unsettled_s) + SPARE_TOKENS


def loop_begin(before: Sequence[HeardWord], words: Sequence[HeardWord]) -> int | None:
    """Count the ``words`` before a loop that follows ``before``, its first repeat included; None: no loop."""
    if sum(len(word.tokens) for word in (*before, *words)) < LOOP_TOKENS:
        return None
    everything = [*before, *words]
    for length in range(1, LONGEST_PHRASE + 1):
        begin = _repeating_tail(everything, length)
        run = everything[begin:]
        if len(run) >= LOOP_REPEATS * length and sum(len(word.tokens) for word in run) >= LOOP_TOKENS:
            return max(0, begin + length - len(before))
    return None


def stutter_begin(words: Sequence[HeardWord]) -> int | None:
    """Count the ``words`` before one that is itself a loop, as "ill-d-d-d-d-d"; None: there is none."""
    for index, word in enumerate(words):
        tokens = word.tokens
        for length in range(1, len(tokens) // STUTTER_REPEATS + 1):
            same = [tokens[place] == tokens[place + length] for place in range(len(tokens) - length)]
            longest = max((len(list(run)) for equal, run in groupby(same) if equal), default=0)
            if longest >= (STUTTER_REPEATS - 1) * length and longest + length >= LOOP_TOKENS:
                return index
    return None


def _repeating_tail(words: Sequence[HeardWord], length: int) -> int:
    """Find the begin of the tail that repeats its last ``length`` words; below 0 if there are fewer."""
    begin = len(words) - length
    while begin > 0 and words[begin - 1].text == words[begin - 1 + length].text:
        begin -= 1
    return begin


def squeezed_begin(words: Sequence[HeardWord]) -> int:
    """Count the ``words`` before three in a row that have no length: from there on they are invented."""
    run = 0
    for index, word in enumerate(words):
        run = run + 1 if word.end - word.start < SQUEEZED_S else 0
        if run == SQUEEZED_WORDS:
            return index + 1 - run
    return len(words)


def is_real(words: Sequence[HeardWord]) -> bool:
    """Tell if repeated words were said: each lasts as long as a word does, and the model is sure of it."""
    return all(word.end - word.start >= REAL_WORD_S and word.probability >= REAL_PROBABILITY for word in words)


def is_invented(words: Sequence[HeardWord], no_speech: float) -> bool:
    """Tell if the model itself doubts that anybody spoke."""
    if not words or no_speech <= NO_SPEECH:
        return False
    return fmean(log(max(word.probability, 1e-9)) for word in words) < NO_SPEECH_LOG_PROBABILITY


def is_echo(words: Sequence[HeardWord], vocabulary: str) -> bool:
    """Tell if the words are unsure and all from the vocabulary the model was told to expect."""
    if not words or not vocabulary:
        return False
    said = "".join(word.text for word in words).strip(" ,.").lower()
    return said in vocabulary.lower() and fmean(word.probability for word in words) < ECHO_PROBABILITY


def is_said_already(word: HeardWord, committed: Sequence[HeardWord]) -> bool:
    """Tell if the same word was committed at the same time: the decoder lost its place and says it again."""
    return any(word.text == said.text and _overlap(word, said) for said in committed)


def _overlap(word: HeardWord, said: HeardWord) -> bool:
    shared = min(word.end, said.end) - max(word.start, said.start)
    shorter = min(word.end - word.start, said.end - said.start)
    return shared > max(shorter / 2, SQUEEZED_S / 2)
