"""Names of languages, and the table that says which backend serves which language for what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from pipeline.errors import BadInput

SameLanguage = Literal["captions", "speak", "mute"]
"""What becomes of speech in a language that is wanted: it is shown as it was said, spoken as well, or neither."""


@cache
def language_names() -> Mapping[str, str]:
    """English names by code: ISO 639-1, and ISO 639-3 where models need it."""
    import yaml  # noqa: PLC0415  a file, not code: read when a name is first asked for

    names: dict[str, str] = yaml.safe_load((files("pipeline") / "language_names.yaml").read_text(encoding="utf-8"))
    return names


def primary(code: str) -> str:
    """The language of a code without region or script: pt of pt-BR."""
    return code.replace("_", "-").partition("-")[0].lower()


def same_language(one: str, other: str) -> bool:
    """Whether two codes name one language, regions and scripts aside; no code (not known yet) is no language."""
    return bool(one) and primary(one) == primary(other)


def is_language(code: str) -> bool:
    """Whether the code's language is known by name."""
    return primary(code) in language_names()


def language_name(code: str) -> str:
    """The English name, with what follows the language in brackets ("Portuguese (BR)"); the code itself if unknown."""
    name = language_names().get(primary(code), code)
    region = code.replace("_", "-").partition("-")[2]
    return f"{name} ({region})" if region and name != code else name


def code_of(text: str) -> str:
    """The code of a language given by code, with or without a region, or by its English name; raises `BadInput`."""
    cleaned = text.strip()
    names = {name.casefold(): code for code, name in language_names().items()}
    if cleaned.casefold() in names:
        return names[cleaned.casefold()]
    if not is_language(cleaned):
        hint = f"{text!r} is no language; valid: codes such as en, es or pt-BR, and names such as Spanish"
        raise BadInput(f"{hint}; try: translate-live languages")
    code, _, region = cleaned.replace("_", "-").partition("-")
    return f"{code.lower()}-{region}" if region else code.lower()


def known_code(code: str, known: Iterable[str]) -> str:
    """A code as it stands in ``known``, case aside, else the language without its region; itself where neither does."""
    spelled = {one.casefold(): one for one in known}
    return spelled.get(code.casefold()) or spelled.get(primary(code)) or code


@dataclass(frozen=True, slots=True)
class LanguageRow:
    """What can be done with one language, and by which backends: nothing where a tuple is empty."""

    code: str
    name: str
    recognized_by: tuple[str, ...] = ()
    translated_from_by: tuple[str, ...] = ()
    translated_to_by: tuple[str, ...] = ()
    spoken_by: tuple[str, ...] = ()

    @property
    def source(self) -> bool:
        """Whether a session can start from it: recognized and translated from."""
        return bool(self.recognized_by and self.translated_from_by)

    @property
    def captions(self) -> bool:
        """Whether it can be shown as a target."""
        return bool(self.translated_to_by)

    @property
    def speech(self) -> bool:
        """Whether it can be spoken as a target."""
        return bool(self.translated_to_by and self.spoken_by)


def language_table(
    recognizers: Mapping[str, Collection[str]],
    translators: Mapping[str, Collection[tuple[str, str]]],
    synthesizers: Mapping[str, Collection[str]],
    languages: Iterable[str] = (),
) -> tuple[LanguageRow, ...]:
    """A row for each language any backend serves, and for each of ``languages`` even if none does, sorted by code.

    The backends come by the names to print, with what their ``languages()`` or ``pairs()`` give.
    """
    sources = {name: {source for source, _ in pairs} for name, pairs in translators.items()}
    targets = {name: {target for _, target in pairs} for name, pairs in translators.items()}
    served = [recognizers, sources, targets, synthesizers]
    codes = set(languages).union(*(codes for backends in served for codes in backends.values()))

    def serving(backends: Mapping[str, Collection[str]], code: str) -> tuple[str, ...]:
        return tuple(name for name, codes in backends.items() if code in codes)

    return tuple(
        LanguageRow(code, language_name(code), *(serving(backends, code) for backends in served)) for code in sorted(codes)
    )
