"""Names of languages, and the table that says which backend serves which language for what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

SameLanguage = Literal["captions", "speak", "mute"]
"""Treatment of speech in a language that is wanted: it is shown as it was said, spoken as well, or neither."""


@cache
def language_names() -> Mapping[str, str]:
    """Map English names by code: ISO 639-1, and ISO 639-3 where models need it."""
    import yaml  # noqa: PLC0415  a file, not code: read when a name is first asked for

    names: dict[str, str] = yaml.safe_load((files("pipeline") / "language_names.yaml").read_text(encoding="utf-8"))
    return names


_EQUAL = {
    "nb": "no", "fil": "tl", "iw": "he", "in": "id", "jw": "jv", "ji": "yi", "cmn": "zh", "mo": "ro", "nor": "no",
    "pes": "fa", "zsm": "ms", "arb": "ar", "swh": "sw", "nya": "ny",
}  # fmt: skip
"""Codes of one language as people and models write them, and as all of ours do."""

_CHINESE = {"tw": "Hant", "hk": "Hant", "mo": "Hant", "hant": "Hant", "cn": "", "sg": "", "hans": ""}
"""Script by region: no translation model knows zh-TW, but some know zh-Hant."""


@cache
def canonical(code: str) -> str:
    """Spell a code as ours are: ISO 639-1 where there is one, zh-Hant for zh-TW, pt-BR for PT_br."""
    language, *rest = code.strip().replace("_", "-").split("-")
    language = _own(language.lower())
    if language == "zh" and rest and rest[0].lower() in _CHINESE:
        rest = [script] if (script := _CHINESE[rest[0].lower()]) else []
    return "-".join([language, *(_subtag(part) for part in rest)])


def _own(language: str) -> str:
    """Give our code of a language for any ISO 639 code of it; the code itself where it is not known."""
    if language in _EQUAL or len(language) != 3 or language in language_names():
        return _EQUAL.get(language, language)
    from babel.core import get_global  # noqa: PLC0415  not for en and es

    alias = str(get_global("language_aliases").get(language) or language).partition("_")[0]
    return _EQUAL.get(alias, alias)


def _subtag(part: str) -> str:
    return part.title() if len(part) == 4 else part.upper() if len(part) == 2 else part


def primary(code: str) -> str:
    """Give the language of a code without region or script: pt of pt-BR, no of nb."""
    return canonical(code).partition("-")[0]


def same_language(one: str, other: str) -> bool:
    """Return whether two codes name one language, regions and scripts aside; no code (not known yet) is no language."""
    return bool(one) and primary(one) == primary(other)


def is_language(code: str) -> bool:
    """Return whether the code's language is known by name."""
    return primary(code) in language_names()


def language_name(code: str) -> str:
    """Give the English name, with what follows the language in brackets ("Portuguese (BR)"); an unknown code as it is."""
    name = language_names().get(primary(code), code)
    region = code.replace("_", "-").partition("-")[2]
    return f"{name} ({region})" if region and name != code else name


def iso_639_2(code: str) -> str:
    """Give the three letters by which containers name a language; ``und`` where it has none or is not known."""
    from babel.core import get_global  # noqa: PLC0415

    language = primary(code)
    if len(language) != 2:  # noqa: PLR2004
        return language or "und"
    longer = [three for three, two in get_global("language_aliases").items() if two == language and len(three) == 3]  # noqa: PLR2004
    return min(longer, key=lambda three: three in _EQUAL, default="und")


def known_code(code: str, known: Iterable[str]) -> str:
    """Give a code as it stands in ``known``: an equal one, else the language without its region, else itself."""
    spelled: dict[str, str] = {}
    for one in known:
        spelled.setdefault(canonical(one), one)
    full = canonical(code)
    return spelled.get(full) or spelled.get(primary(full)) or code


@dataclass(frozen=True, slots=True)
class LanguageRow:
    """Abilities of backends for one language: nobody has them where a tuple is empty."""

    code: str
    name: str
    recognized_by: tuple[str, ...] = ()
    translated_from_by: tuple[str, ...] = ()
    translated_to_by: tuple[str, ...] = ()
    spoken_by: tuple[str, ...] = ()

    @property
    def source(self) -> bool:
        """True if a session can start from it: recognized and translated from."""
        return bool(self.recognized_by and self.translated_from_by)

    @property
    def captions(self) -> bool:
        """True if it can be shown as a target."""
        return bool(self.translated_to_by)

    @property
    def speech(self) -> bool:
        """True if it can be spoken as a target."""
        return bool(self.translated_to_by and self.spoken_by)


def language_table(
    recognizers: Mapping[str, Collection[str]],
    translators: Mapping[str, Collection[tuple[str, str]]],
    synthesizers: Mapping[str, Collection[str]],
    languages: Iterable[str] = (),
) -> tuple[LanguageRow, ...]:
    """Make a row for each language any backend serves, and for each of ``languages`` even if none does, sorted by code.

    The backends come by the names to print, with what their ``languages()`` or ``pairs()`` give.
    """
    sources = {name: {source for source, _ in pairs} for name, pairs in translators.items()}
    targets = {name: {target for _, target in pairs} for name, pairs in translators.items()}
    served = (recognizers, sources, targets, synthesizers)
    codes = set(languages).union(*(codes for backends in served for codes in backends.values()))
    heard: set[str] = set().union(*recognizers.values())

    def serving(backends: Mapping[str, Collection[str]], code: str) -> tuple[str, ...]:
        return tuple(name for name, known in backends.items() if code in known)

    def row(code: str) -> LanguageRow:
        """Serve a language as a session does: it is heard in any region, and translated from what is heard."""
        source = known_code(code, heard)
        spoken = tuple(name for name, known in synthesizers.items() if known_code(code, known) in known)
        recognized, translated = serving(recognizers, source), serving(sources, source)
        return LanguageRow(code, language_name(code), recognized, translated, serving(targets, code), spoken)

    return tuple(map(row, sorted(codes)))
