"""Languages as people name them: by any code, by their English or own name, with a country or script in brackets."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

from pipeline.errors import BadInput, did_you_mean
from pipeline.languages import canonical, is_language, language_names, primary

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
