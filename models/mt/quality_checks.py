"""Checks of a translation by its two texts alone.

Translation models fail in known ways: they stop early, repeat themselves, copy the source, answer it like a chat partner,
drift into another script, and lose numbers. Each check is cheap and says nothing about quality.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from pipeline.scripts import is_letter

LONGEST_RATIO, SHORTEST_RATIO = 3.5, 0.2  # of weights; see `_weight`
SLACK = 12  # weight that short texts may differ by
BROKEN = "\N{REPLACEMENT CHARACTER}"
_CHAT = re.compile(
    r"^\W*(sure\b|certainly[,!]|of course[,!]|here (is|'s) (the|your|a) translation|the translation (is|of)|translation:|"
    r"as an ai\b|i'?m sorry, (but )?i (can'?t|cannot|am unable)|i (can'?t|cannot) (assist|help|translate)|"
    r"how can i (help|assist))",
    re.IGNORECASE,
)
_SCRIPTS = {
    "ar": "ARABIC", "fa": "ARABIC", "ur": "ARABIC", "ps": "ARABIC", "ug": "ARABIC", "he": "HEBREW", "yi": "HEBREW",
    "ru": "CYRILLIC", "uk": "CYRILLIC", "bg": "CYRILLIC", "be": "CYRILLIC", "mk": "CYRILLIC", "kk": "CYRILLIC",
    "el": "GREEK", "hi": "DEVANAGARI", "mr": "DEVANAGARI", "ne": "DEVANAGARI", "bn": "BENGALI", "ta": "TAMIL",
    "te": "TELUGU", "kn": "KANNADA", "ml": "MALAYALAM", "gu": "GUJARATI", "pa": "GURMUKHI", "si": "SINHALA",
    "th": "THAI", "lo": "LAO", "km": "KHMER", "my": "MYANMAR", "bo": "TIBETAN", "ka": "GEORGIAN", "hy": "ARMENIAN",
    "am": "ETHIOPIC", "ko": "HANGUL", "zh": "CJK", "yue": "CJK", "ja": "CJK HIRAGANA KATAKANA",
}  # fmt: skip

_NUMBER = re.compile(r"\d(?:[.,٬٫' \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}]?\d)*")

_LATIN = "en es fr de it pt nl sv da no nb fi et lv lt pl cs sk sl hr hu ro tr vi id ms tl ca eu gl is mt cy ga sq af sw"


def problems(source: str, target: str, source_language: str, target_language: str) -> tuple[str, ...]:
    """Tell in words what is wrong with ``target`` as a translation of ``source``; nothing if it may pass."""
    return tuple(_problems(source, target, source_language, target_language))


def numbers(text: str) -> Counter[str]:
    """Return the numbers written in digits, without their separators (one between two digits), in any script's digits."""
    digits = (re.sub(r"\D", "", found) for found in _NUMBER.findall(text))
    return Counter("".join(str(unicodedata.digit(digit)) for digit in number) for number in digits)


def lost_numbers(source: str, target: str) -> tuple[str, ...]:
    """Return the numbers of the source that the target does not write; those below 13 may have become words."""
    missing = numbers(source) - numbers(target)
    joined = "".join(str(unicodedata.digit(letter)) for letter in target if letter.isdigit())
    return tuple(number for number in missing if int(number) > 12 and number not in joined)


def _problems(source: str, target: str, source_language: str, target_language: str) -> Iterator[str]:
    if not target.strip():
        if any(is_word(letter) for letter in source):
            yield "it is empty"
        return
    if BROKEN in target and BROKEN not in source:
        yield "it has broken characters"
    if "\n" in target.strip():
        yield "it has several lines"
    given, got = _weight(source), _weight(target)
    if got > LONGEST_RATIO * given + SLACK:
        yield "it is far longer than its source"
    if got < SHORTEST_RATIO * given - SLACK / 4:
        yield "it is far shorter than its source"
    if (loop := _loop(target)) and not _loop(source):
        yield f"it repeats {loop!r}"
    if source_language != target_language and _copied(source, target):
        yield "it copies its source"
    if _CHAT.match(target) and not _CHAT.match(source):
        yield "it answers its source"
    if _foreign(target, target_language):
        yield f"it is not in the script of {target_language!r}"
    if lost := lost_numbers(source, target):
        yield f"it lost the numbers {', '.join(lost)}"


def is_word(letter: str) -> bool:
    """Return whether a character is a letter or digit of any script."""
    return unicodedata.category(letter)[0] in "LMN"


def _weight(text: str) -> float:
    """Return the length in letters of an alphabet; one of a script without spaces says about three letters' worth."""
    return sum(3.0 if not is_letter(letter) else 1.0 for letter in text if is_word(letter))


def _loop(text: str) -> str | None:
    """Return a phrase that is said four times in a row (a word of few letters: six times)."""
    words = text.casefold().split()
    if len(words) < 4:
        found = re.search(r"(.{2,20}?)\1{4,}", text)
        return found[1] if found else None
    for size in range(1, 9):
        same = 0  # words in a row that equal the one ``size`` before
        for place in range(size, len(words)):
            same = same + 1 if words[place] == words[place - size] else 0
            phrase = " ".join(words[place - size + 1 : place + 1])
            if same >= size * ((4 if len(phrase) > 3 else 6) - 1):
                return phrase
    return None


def _copied(source: str, target: str) -> bool:
    """Return whether the target is the source again; names and numbers of one to three words may be."""
    said, given = (re.findall(r"\w+", text.casefold()) for text in (target, source))
    if len(set(given)) <= 3 and len(source) < 24:
        return False
    same = sum((Counter(said) & Counter(given)).values())
    return same >= 0.9 * max(len(said), len(given))


def _foreign(text: str, language: str) -> bool:
    """Return whether less than a third of the letters are of the language's script.

    For languages in Latin: whether more than two thirds are of another script that is known.
    """
    letters = [letter for letter in text if unicodedata.category(letter)[0] == "L"]
    if len(letters) < 8:
        return False
    script = _SCRIPTS.get(language.split("-", maxsplit=1)[0])
    wanted = script.split() if script else None
    names = [unicodedata.name(letter, "").split()[0] for letter in letters]
    if wanted is None:
        known = {name for scripts in _SCRIPTS.values() for name in scripts.split()}
        return language in _LATIN.split() and sum(name in known for name in names) > 2 / 3 * len(names)
    return sum(name in wanted for name in names) < len(names) / 3
