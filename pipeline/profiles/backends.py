"""The stages of a profile, and backends by name: ``module:Class`` becomes a checked, cheap backend object."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from pipeline.contracts import (
    Backend,
    Missing,
    ModelsByPair,
    RecognizerBackend,
    Routed,
    SynthesizerBackend,
    TranslatorBackend,
)
from pipeline.diarizing import DiarizerBackend
from pipeline.errors import FETCH_MODELS, BadInput, nearest
from pipeline.languages import known_code, primary
from pipeline.speech_facts import VoicesByLanguage
from pipeline.version import check_packages
from pipeline.vision import TextReaderBackend

Options = TypeVar("Options")

_WORDS: dict[object, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """A class that a profile uses for a stage (``module:Class``), and its settings."""

    use: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Backends:
    """The table of a profile's stages: a key of the profile and its contract a field; those with a default may be left out.

    Making them loads no model. A language is spoken by the first that can of ``synthesizer``, ``second_synthesizer``,
    ``third_synthesizer``, ``cloning_synthesizer`` and ``fallback_synthesizer`` that is here, with a voice for it; in an
    enrolled voice, or the speaker's own, by the first of them that learns voices. ``diarizer`` tells speakers apart and
    ``reader`` reads text in pictures, where that is asked for.
    """

    recognizer: RecognizerBackend
    translator: TranslatorBackend
    synthesizer: SynthesizerBackend
    fallback_synthesizer: SynthesizerBackend | None = None
    second_synthesizer: SynthesizerBackend | None = None
    third_synthesizer: SynthesizerBackend | None = None
    cloning_synthesizer: SynthesizerBackend | None = None
    diarizer: DiarizerBackend | None = None
    reader: TextReaderBackend | None = None

    def items(self) -> Iterator[tuple[str, Backend[object]]]:
        """Yield each stage's key and backend, without those that the profile leaves out."""
        for item in fields(self):
            if (found := getattr(self, item.name)) is not None:
                yield item.name, found

    @property
    def synthesizers(self) -> dict[str, SynthesizerBackend]:
        """The synthesizers that there are by their keys, in the order in which they are chosen."""
        found = {name: cast(SynthesizerBackend | None, getattr(self, name)) for name in SYNTHESIZERS}
        return {name: one for name, one in found.items() if one is not None}

    def missing(self, synthesizer: str | None = "synthesizer") -> list[Missing]:
        """List what this machine lacks for a session that speaks with ``synthesizer`` (none: text only)."""
        used = {"recognizer", "translator", synthesizer}
        return [lack for name, found in self.items() if name in used for lack in found.missing()]

    def pair_missing(self, source: str, target: str) -> list[Missing]:
        """List what the translator lacks for a pair of languages only."""
        if not isinstance(self.translator, ModelsByPair):
            return []
        fetch = f"{FETCH_MODELS} from the language {source} for the language {target}"
        lacks = self.translator.missing_between(source, target)
        return [replace(one, fix=one.fix.replace(FETCH_MODELS, fetch)) for one in lacks]

    def pairs_here(self) -> frozenset[tuple[str, str]]:
        """Return the pairs of languages whose models are on this machine; looks at many files."""
        here, served = set[tuple[str, str]](), set[tuple[str, str]]()
        for tier in self.translator.tiers() if isinstance(self.translator, Routed) else [self.translator]:
            own = tier.pairs() - served
            served |= own
            if not tier.missing():
                here |= {pair for pair in own if not (isinstance(tier, ModelsByPair) and tier.missing_between(*pair))}
        return frozenset(here)

    def speaking(self, language: str) -> list[str]:
        """Name the stages that speak a language, in a region or not, in the order in which they are chosen."""
        known = {name: found.languages() for name, found in self.synthesizers.items()}
        return [name for name, codes in known.items() if known_code(language, codes) in codes]

    def synthesizer_for(self, language: str) -> str | None:
        """Name the stage that is to speak a language: the first that can here, else the first, or `None`."""
        able = self.speaking(language)
        return next((name for name in able if not self.lacks(name, language)), next(iter(able), None))

    def lacks(self, synthesizer: str, language: str) -> Sequence[Missing]:
        """List that for whose lack another speaks a language: of all but the first stage the whole model, else a voice."""
        whole = [] if synthesizer == "synthesizer" else self.synthesizers[synthesizer].missing()
        fetch = f"{FETCH_MODELS} for the language {primary(language)}"
        named = (replace(item, fix=fetch) if item.fix == FETCH_MODELS else item for item in whole)
        return list(named) or self.voice_missing(synthesizer, language)

    def voice_missing(self, synthesizer: str, language: str) -> Sequence[Missing]:
        """List the files that a synthesizer lacks for a language only."""
        found = self.synthesizers[synthesizer]
        if not isinstance(found, VoicesByLanguage):
            return []
        return found.missing_for(known_code(language, found.languages()))

    def spoken(self) -> frozenset[str]:
        """Unite the languages that the synthesizers speak."""
        return frozenset().union(*(found.languages() for found in self.synthesizers.values()))


SYNTHESIZERS = ("synthesizer", "second_synthesizer", "third_synthesizer", "cloning_synthesizer", "fallback_synthesizer")
STAGES = {item.name: item.default is MISSING for item in fields(Backends)}
"""The stages of a profile, and whether each must be there."""


def backends_of(choices: Mapping[str, BackendChoice]) -> Backends:
    """Make the backends of a profile's stages; raises `BadInput` for an unknown class or setting."""
    return Backends(**{name: cast(Any, backend(choice)) for name, choice in choices.items()})


def backend(choice: BackendChoice) -> object:
    """Return the backend object for a choice; raises `BadInput` for an unknown class or setting."""
    module_name, _, class_name = choice.use.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ModuleNotFoundError, TypeError, ValueError) as error:  # of names such as ".x:Y" and ":Y", too
        check_packages()
        raise BadInput(f"no backend {choice.use!r}: {error}; a backend is named 'module:Class'") from error
    kind = getattr(module, class_name, None)
    if not isinstance(kind, type) or not is_dataclass(kind):
        classes = [name for name, value in vars(module).items() if isinstance(value, type) and hasattr(value, "load")]
        raise BadInput(f"{module_name} has no backend {class_name!r}: {nearest(class_name, classes)}")
    return options_from(choice.settings, kind, choice.use)


def options_from(settings: object, kind: type[Options], where: str, section: str = "") -> Options:
    """Turn ``settings`` into the dataclass ``kind``, which stands in ``section`` (empty, or with a dot at its end).

    A key or a value that cannot be, at any depth, raises `BadInput` with ``where`` it stands and what it can be.
    """
    if not isinstance(settings, Mapping):
        raise BadInput(f"{where}: expected settings as 'key: value', got {settings!r}")
    types = get_type_hints(kind)
    names = [item.name for item in fields(cast(Any, kind))]
    for key, value in settings.items():
        if key not in names:
            raise BadInput(f"{where}: unknown setting {section + str(key)!r}; {nearest(str(key), names)}")
        if is_dataclass(types[key]) and isinstance(value, Mapping):
            options_from(value, cast(type, types[key]), where, f"{section}{key}.")
        else:
            _check_value(value, types[key], f"{where}: {section}{key}")
    try:
        return msgspec.convert(settings, kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"{where}: {error}") from error
    except BadInput as error:  # out of range, which the dataclass itself tells
        raise BadInput(f"{where}: {section}{error}") from error


def _check_value(value: object, kind: object, name: str) -> None:
    """Raise `BadInput` that says what a setting can be if it cannot be this value."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"{name} cannot be {value!r}; {_valid(value, kind)}") from error


def _valid(value: object, kind: object) -> str:
    if get_origin(kind) is Literal:
        return nearest(str(value), map(str, get_args(kind)))
    return f"valid: {_words(kind)}"


def _words(kind: object) -> str:
    """Name the values of a type as a configuration does."""
    parts = [_words(part) for part in get_args(kind) if part is not ...]
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) in {Union, UnionType}:
        return " or ".join(parts)
    if get_origin(kind) in {tuple, list, Sequence}:
        return f"a list [{', '.join(parts)}{', …' if ... in get_args(kind) or len(parts) == 1 else ''}]"
    return _WORDS.get(kind, "settings as 'key: value'")
