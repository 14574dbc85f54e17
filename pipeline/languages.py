"""Languages: their codes in one spelling, and their names, as people write them in any way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

from pipeline.errors import BadInput, did_you_mean

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


@lru_cache(maxsize=1 << 12)  # clients of a server name languages as they like
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


_NAMES = {
    "mandarin": "zh", "mandarin chinese": "zh", "putonghua": "zh", "simplified chinese": "zh", "farsi": "fa",
    "castilian": "es", "valencian": "ca", "tagalog": "tl", "moldovan": "ro", "kirghiz": "ky", "uighur": "ug",
    "sinhalese": "si", "haitian": "ht", "panjabi": "pa", "pushto": "ps", "gaelic": "gd", "bokmal": "no", "nynorsk": "nn",
    "norsk": "no", "myanmar": "my", "bahasa": "id", "bahasa indonesia": "id", "bahasa melayu": "ms", "oriya": "or",
}  # fmt: skip
"""Common names that Unicode's CLDR, as Babel has it, lacks."""

_BRACKETED = re.compile(r"(.+?)\s*\((.+)\)")
_SCRIPTS = {"traditional": "Hant", "simplified": "Hans", "latin america": "419"}


def code_of(text: str) -> str:
    """Give our code of a language that is named by a code or a name; raises `BadInput` with the nearest that is one."""
    if code := language_of(text):
        return code
    cleaned = text.strip()
    spoken = spoken_in(cleaned)
    meant = f"did you mean {spoken!r}? " if spoken else did_you_mean(cleaned, language_names().values())
    valid = "valid: codes such as en, es or pt-BR, and names such as Spanish"
    raise BadInput(f"{text!r} is no language; {meant}{valid}", code="unknown_language")


def language_of(text: str) -> str:
    """Give our code of a language that is named by a code or a name; empty if it is none."""
    cleaned = text.strip()
    tag = canonical(cleaned) if _is_tag(cleaned) and is_language(cleaned) else ""
    return _named(cleaned) or tag or _own_names().get(_folded(cleaned), "")


def spoken_in(country: str) -> str:
    """Give the code of the official language that most people of a country speak, named by its code; empty if none."""
    from babel.core import get_global  # noqa: PLC0415  only for a mistake

    spoken = get_global("territory_languages").get(country.strip().upper().replace("UK", "GB"), {})
    official = {code: about for code, about in spoken.items() if about["official_status"] and is_language(code)}
    most = max(official, key=lambda code: float(official[code]["population_percent"]), default="")
    return canonical(most) if most else ""


def _is_tag(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", text) is not None


def _named(text: str) -> str:
    """Give the code for an English name, also with a country or script in brackets; empty if it is none."""
    if code := _english_names().get(_folded(text)):
        return code
    bracketed = _BRACKETED.fullmatch(text)
    language = _named(bracketed[1]) if bracketed else ""
    if not bracketed or not language:
        return ""
    region = _folded(bracketed[2])
    subtag = _SCRIPTS.get(region) or _countries().get(region) or (bracketed[2] if _is_tag(f"xx-{bracketed[2]}") else "")
    return canonical(f"{language}-{subtag}") if subtag else ""


@cache
def _english_names() -> Mapping[str, str]:
    """Map codes by English name, folded: ours before CLDR's, which has names such as Brazilian Portuguese."""
    from babel.core import Locale  # noqa: PLC0415  not for help

    cldr = {_folded(name): canonical(code) for code, name in Locale("en").languages.items() if is_language(code)}
    return cldr | _NAMES | {_folded(name): canonical(code) for code, name in language_names().items()}


@cache
def _countries() -> Mapping[str, str]:
    from babel.core import Locale  # noqa: PLC0415

    return {_folded(name): code for code, name in Locale("en").territories.items() if len(code) == 2}


@cache
def _own_names() -> Mapping[str, str]:
    """Map codes by the name that a language has in itself, folded: español, 中文."""
    from babel.core import Locale, UnknownLocaleError  # noqa: PLC0415

    names: dict[str, str] = {}
    for code in language_names():
        try:
            locale = Locale.parse(code)
        except (UnknownLocaleError, ValueError):
            continue
        if own := locale.languages.get(locale.language):
            names.setdefault(_folded(own), primary(code))
    return names | {_folded("繁體中文"): "zh-Hant", _folded("简体中文"): "zh"}


def _folded(text: str) -> str:
    """Fold case and drop accents, which people leave out."""
    plain = unicodedata.normalize("NFKD", text.strip().casefold())
    return " ".join("".join(character for character in plain if not unicodedata.combining(character)).split())
