"""Personal data in a text: e-mail, phone, payment card, IBAN and IP addresses by their form, names by a list (pure)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import BadInput, nearest
from pipeline.scripts import IDEOGRAPHS, RUNNING_ON

KINDS = ("email", "iban", "card", "ip", "phone")
"""Kinds that are found by their form, surest first; ``name`` is what a list holds."""
MOST_NAMES = 10_000

_E = (
    rf"[^\W{IDEOGRAPHS}{RUNNING_ON}\uac00-\ud7a3]"  # a letter or digit that a number may not touch: of a script with spaces
)
_ALONE, _END = rf"(?<!{_E})", rf"(?!{_E})"
_AT, _DOT = "at|arroba|chez", "dot|punto|ponto|point|punkt"  # as people say an address
_BEFORE_AT = rf"[\w.+-]+(?:\s?@\s?|\s+(?:{_AT})\s+)|(?:^|(?<=^\s))(?:@\s?|(?:{_AT})\s+)"  # or gone in an earlier text
_EMAIL = re.compile(rf"(?:{_BEFORE_AT})[\w-]+(?:(?:\.|\s+(?:{_DOT})\s+)[\w-]+)+", re.IGNORECASE)
_IBAN = re.compile(rf"{_ALONE}([A-Z]{{2}})[ -]?\d[ -]?\d(?:[ -]?[A-Z0-9]){{11,30}}")
_DIGITS = re.compile(rf"{_ALONE}(?<!\.)\d(?:[ .-]?\d){{12,}}{_END}")
_IP4 = re.compile(rf"{_ALONE}(?<!\.)(?:\d{{1,3}}\.){{3}}\d{{1,3}}{_END}(?!\.\d)")
_IP6 = re.compile(rf"{_ALONE}(?<!:)[0-9A-Fa-f]{{0,4}}(?::[0-9A-Fa-f]{{0,4}}){{2,7}}{_END}(?!:)")
_PHONE = re.compile(rf"{_ALONE}(?<![.,])\+?\(?\d(?:(?:[ ./-]|\s?[()]\s?|\s-\s)?\d){{6,14}}{_END}(?![.,]\d)")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|(?:(?:19|20)\d\d[ /-]?)+")
_PARTING = str.maketrans("-_", "  ")
_AMOUNT = re.compile(r"[1-9]\d?(?: \d{3})+|\d{1,3}(?:\.\d{3})+")
_IBAN_REGISTRY = (  # country and length
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 "
    "FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 "
    "LU20 LV21 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 "
    "SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
)
_IBAN_LENGTHS = {country: int(length) for country, length in re.findall(r"([A-Z]{2})(\d\d)", _IBAN_REGISTRY)}
_OPEN = re.compile(
    rf"(?:[(+]|{_ALONE}[(+]?(?:\d[\d./()-]*|[A-Z]{{2}}\d[\dA-Z]*|[A-Z]{{2}}))\s*$|{_ALONE}(?:{_AT}|{_DOT}|@)(?:\s+[\w-]+)?\s*$",
    re.IGNORECASE,
)
"""The end of a text that what follows may complete: digits, two letters, or an address that is being said."""


class Found(NamedTuple):
    """A piece of personal data: its first character, the one after its last, and its kind."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Choice of what is to be found: some of `KINDS`, and names, in which ``-`` and ``_`` may also be spaces."""

    kinds: frozenset[str] = frozenset(KINDS)
    names: tuple[str, ...] = ()
    _pattern: re.Pattern[str] | None = field(default=None, init=False, compare=False, repr=False)
    _begun: frozenset[tuple[str, ...]] = field(default=frozenset(), init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if unknown := sorted(self.kinds - set(KINDS)):
            raise BadInput(f"there is no personal data {unknown[0]!r}; {nearest(unknown[0], KINDS)}")
        spelled = {*self.names, *(name.translate(_PARTING) for name in self.names)}
        if names := {tuple(folded(name).split()) for name in spelled if name.strip()}:
            spelt = sorted((r"\s+".join(map(re.escape, name)) for name in names), key=len, reverse=True)
            object.__setattr__(self, "_pattern", re.compile(rf"{_ALONE}(?:{'|'.join(spelt)}){_END}"))
            begun = frozenset(name[:count] for name in names for count in range(1, len(name)))
            object.__setattr__(self, "_begun", begun)

    def __bool__(self) -> bool:
        return bool(self.kinds or self.names)

    def found(self, text: str) -> list[Found]:
        """Find all of it, in order and without overlap; of two that overlap the surer, then the earlier."""
        taken: list[Found] = []
        for one in self._candidates(text):
            if all(one.end <= other.start or one.start >= other.end for other in taken):
                taken.append(one)
        return sorted(taken)

    def redacted(self, text: str, mark: str = "[{}]") -> str:
        """Copy the text with ``mark``, which may name the kind, in place of each."""
        for start, end, kind in reversed(self.found(text)):
            text = text[:start] + mark.format(kind) + text[end:]
        return text

    def redacted_name(self, name: str) -> str:
        """Copy a name, as of a room, with marks in place of each; its words may be parted by ``-`` and ``_``."""
        name = self.redacted(name)
        for start, end, kind in reversed(self.found(name.translate(_PARTING))):
            name = f"{name[:start]}[{kind}]{name[end:]}"
        return name

    def is_open(self, text: str) -> bool:
        """Tell if what follows the text may make its end personal data."""
        if self.kinds and _OPEN.search(text[-80:]):
            return True
        said = folded(text[-200:]).split() if self._begun else []
        return any(tuple(said[-count:]) in self._begun for count in range(1, len(said) + 1))

    def _candidates(self, text: str) -> Iterator[Found]:
        finders = {"email": _emails, "iban": _ibans, "card": _cards, "ip": _addresses, "phone": _phones}
        for kind in KINDS:
            if kind in self.kinds:
                yield from (Found(*span, kind) for span in finders[kind](text))
        if self._pattern is not None:
            yield from (Found(*match.span(), "name") for match in self._pattern.finditer(folded(text)))


NOTHING = PersonalData(frozenset())


def folded(text: str) -> str:
    """Fold case and accents, character by character, so that places stay."""
    return "".join(_base(character).lower()[:1] or character for character in text)


def _base(character: str) -> str:
    """Take the accents of a letter; the letters of which a Korean syllable is made are none."""
    base, *marks = list(unicodedata.normalize("NFD", character))
    return base if all(map(unicodedata.combining, marks)) else character


def read_names(file: Path) -> tuple[str, ...]:
    """Read names, one a line; raises `BadInput`."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise BadInput(f"cannot read the names {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    names = tuple(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")))
    if not names or len(names) > MOST_NAMES:
        raise BadInput(f"{file} holds {len(names)} names; valid: 1 to {MOST_NAMES:,}, one a line")
    return names


Spans = Iterable[tuple[int, int]]


def _emails(text: str) -> Spans:
    return (match.span() for match in _EMAIL.finditer(text))


def _ibans(text: str) -> Spans:
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(match[1])
        places = [place for place in range(*match.span()) if text[place].isalnum()]
        if length and len(places) >= length:
            code = "".join(text[place] for place in places[:length])
            if int("".join(str(int(one, 36)) for one in code[4:] + code[:4])) % 97 == 1:  # ISO 7064
                yield match.start(), places[length - 1] + 1


def _cards(text: str) -> Spans:
    """Find runs of 13 to 19 digits, of whole groups, whose checksum (Luhn, ISO/IEC 7812) is right."""
    for run in _DIGITS.finditer(text):
        groups = [(run.start() + group.start(), run.start() + group.end()) for group in re.finditer(r"\d+", run[0])]
        for first in range(len(groups)):
            for last in range(len(groups) - 1, first - 1, -1):
                start, end = groups[first][0], groups[last][1]
                digits = [int(one) for one in text[start:end] if one.isdigit()]
                if 13 <= len(digits) <= 19 and _luhn(digits):
                    yield start, end


def _luhn(digits: list[int]) -> bool:
    doubled = (sum(divmod(2 * digit, 10)) if place % 2 else digit for place, digit in enumerate(reversed(digits)))
    return sum(doubled) % 10 == 0 and any(digits)


def _addresses(text: str) -> Spans:
    for pattern in (_IP4, _IP6):
        for match in pattern.finditer(text):
            try:
                ip_address(match[0])
            except ValueError:
                continue
            yield match.span()


def _phones(text: str) -> Spans:
    """Find seven to fifteen digits that are written as phone numbers are, and no date or amount."""
    for match in _PHONE.finditer(text):
        said = match[0]
        groups = re.findall(r"\d+", said)
        marked = said[0] in "+(0"
        grouped = len(groups) > 1 and not _AMOUNT.fullmatch(said) and max(map(len, groups)) <= 7
        solid = len(groups) == 1 and 9 <= len(said) <= 12
        if not _DATE.fullmatch(said.strip()) and (marked or grouped or solid):
            yield match.span()


def without(pieces: list[str], found: Iterable[Found]) -> list[str]:
    """Cut what was found in the joined ``pieces`` out of each; the piece in which it begins gets its mark."""
    ends = [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    cut = list(pieces)
    for start, end, kind in sorted(found, reverse=True):
        for place, (first, last) in reversed(list(enumerate(pairwise(ends)))):
            here, there = max(start, first), min(end, last)
            if here < there:
                mark = f"[{kind}]" if here == start else ""
                cut[place] = cut[place][: here - first] + mark + cut[place][there - first :]
    return cut
