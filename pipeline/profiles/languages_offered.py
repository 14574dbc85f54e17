"""Languages that profiles hear, translate and speak: tables of who does it and how, and the check that a session needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from pipeline.contracts import Routed, SynthesizerBackend, TranslatorBackend
from pipeline.errors import BadInput, did_you_mean
from pipeline.languages import known_code, language_name, primary, same_language, spoken_in
from pipeline.profiles.backends import BackendChoice, Backends, backend
from pipeline.profiles.profile import Profile
from pipeline.speech_facts import DescribesSpeech, SpeechFacts

_ANOTHER = "another profile"


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


def backend_name(backend: object) -> str:
    """Name a backend as people know it: its class, and its model where it has one."""
    return f"{type(backend).__name__} {_model(backend)}".strip()


def _model(backend: object) -> str:
    name = PurePath(getattr(backend, "model", "")).name
    return "" if name.endswith(".onnx") else name  # a file in a folder that the backend's name tells already


def languages_offered(profiles: Iterable[Backends]) -> tuple[LanguageRow, ...]:
    """List the backends of these profiles that serve each language; what can only be spoken is left out."""
    recognizers: defaultdict[str, set[str]] = defaultdict(set)
    translators: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    synthesizers: defaultdict[str, set[str]] = defaultdict(set)
    for backends in profiles:
        recognizers[backend_name(backends.recognizer)] |= backends.recognizer.languages()
        for name, translator in _translators(backends.translator):
            translators[name] |= translator.pairs()
        for synthesizer in backends.synthesizers.values():
            synthesizers[backend_name(synthesizer)] |= synthesizer.languages()
    return language_table(recognizers, translators, synthesizers)


def languages_here(backends: Backends) -> tuple[list[str], list[str], list[str]]:
    """List the languages that can be heard, shown as a target and spoken with the models on this machine."""
    pairs, rows = backends.pairs_here(), languages_offered([backends])
    sources, targets = {source for source, _ in pairs}, {target for _, target in pairs}
    heard = [row.code for row in rows if row.source and known_code(row.code, sources) in sources]
    shown = [row.code for row in rows if row.code in targets]
    return heard, shown, [code for code in shown if _spoken_here(backends, code)]


def _spoken_here(backends: Backends, code: str) -> bool:
    stage = backends.synthesizer_for(code)
    return stage is not None and not backends.synthesizers[stage].missing() and not backends.voice_missing(stage, code)


def language_table(
    recognizers: Mapping[str, Collection[str]],
    translators: Mapping[str, Collection[tuple[str, str]]],
    synthesizers: Mapping[str, Collection[str]],
) -> tuple[LanguageRow, ...]:
    """Make a row for each language that is recognized, translated from or into, sorted by code.

    The backends come by the names to print, with what their ``languages()`` or ``pairs()`` give.
    """
    sources = {name: {source for source, _ in pairs} for name, pairs in translators.items()}
    targets = {name: {target for _, target in pairs} for name, pairs in translators.items()}
    codes = set[str]().union(*recognizers.values(), *sources.values(), *targets.values())
    heard = set[str]().union(*recognizers.values())

    def serving(backends: Mapping[str, Collection[str]], code: str) -> tuple[str, ...]:
        return tuple(name for name, known in backends.items() if code in known)

    def row(code: str) -> LanguageRow:
        """Serve a language as a session does: it is heard in any region, and translated from what is heard."""
        source = known_code(code, heard)
        spoken = tuple(name for name, known in synthesizers.items() if known_code(code, known) in known)
        recognized, translated = serving(recognizers, source), serving(sources, source)
        return LanguageRow(code, language_name(code), recognized, translated, serving(targets, code), spoken)

    return tuple(map(row, sorted(codes)))


def _translators(translator: TranslatorBackend) -> Iterator[tuple[str, TranslatorBackend]]:
    """Yield the backend by its name, or those it chooses from by the names of their models."""
    if not isinstance(translator, Routed):
        yield backend_name(translator), translator
        return
    for tier in translator.tiers():
        yield _model(tier) or backend_name(tier), tier


def targets_of(backends: Backends, sources: Iterable[str]) -> list[str]:
    """Return the languages into which every one of the sources (if any) can be translated, sorted."""
    sources_of: defaultdict[str, set[str]] = defaultdict(set)
    for source, target in backends.translator.pairs():
        sources_of[target].add(source)
    wanted = set(sources)
    return sorted(target for target, known in sources_of.items() if wanted <= known)


def session_languages(
    backends: Backends, wanted: Sequence[str], targets: Sequence[str], spoken: Sequence[str]
) -> tuple[str, ...]:
    """Return the source languages for a session: those wanted, or the only one there is, or none (detect any).

    Raises `BadInput` that lists what is there for a language that cannot be heard, translated or spoken.
    """
    heard = backends.recognizer.languages()
    for language in wanted:
        if language not in heard:
            raise BadInput(
                f"this profile does not hear {language!r}; {_meant(language, heard)}it hears {_list(heard)}",
                hint=_ANOTHER,
                code="language",
            )
    sources = tuple(wanted) or (tuple(heard) if len(heard) == 1 else ())
    _check_something_to_translate(sources, targets)
    for target in targets:
        _check_target(backends, sources, target)
    if silent := [target for target in spoken if target not in backends.spoken()]:
        known = _list(backends.spoken())
        raise BadInput(
            f"this profile does not speak {silent[0]!r}; {did_you_mean(silent[0], backends.spoken())}it speaks {known}",
            hint="text only, or another spoken language",
            code="spoken_language",
        )
    return sources


def _check_something_to_translate(sources: Sequence[str], targets: Sequence[str]) -> None:
    """Raise `BadInput` if all that may be spoken is in a target language, which passes through."""
    if sources and all(same_language(source, target) for source in sources for target in targets):
        raise BadInput(
            f"the speaker already speaks {targets[0]!r}", hint="another target language", code="nothing_to_translate"
        )


def _check_target(backends: Backends, spoken: Sequence[str], target: str) -> None:
    sources = [source for source in spoken if not same_language(source, target)]
    if spoken and not sources:
        return
    possible = targets_of(backends, sources)
    if target not in possible:
        from_them = f" from {_list(sources)}" if sources else ""
        raise BadInput(
            f"this profile does not translate{from_them} to {target!r}; {_meant(target, possible)}"
            f"it translates to {_list(possible)}",
            hint=_ANOTHER,
            code="language",
        )


def _meant(code: str, known: Collection[str]) -> str:
    """Ask for the language of a country whose code was taken for a language's: br is Breton, Brazil speaks pt."""
    spoken = spoken_in(code)
    return f"{code} is {language_name(code)}, did you mean {spoken!r}? " if spoken in known and spoken != code else ""


def _list(languages: Iterable[str]) -> str:
    return ", ".join(sorted(languages)) or "nothing"


OPT_IN: Mapping[str, Mapping[str, BackendChoice]] = {
    "cpu": {
        "synthesizer": BackendChoice("models.tts.pocket:Pocket"),
        "second_synthesizer": BackendChoice("models.tts.kokoro:Kokoro"),
    },
    "gpu": {"third_synthesizer": BackendChoice("models.tts.omnivoice:OmniVoice")},
}
"""Stages of what is not for everybody: Pocket TTS takes two cores more, OmniVoice a use that its license allows."""

UNKNOWN = SpeechFacts("")


@dataclass(frozen=True, slots=True)
class TargetSpeech:
    """A language as one profile speaks it: the synthesizer that does, and the facts of its speech."""

    synthesizer: str
    facts: SpeechFacts

    def __str__(self) -> str:
        voice = "cloned" if self.facts.cloned else "preset"
        delivery = "streaming" if self.facts.streamed else "by unit"
        return f"{self.synthesizer}: {voice}, {delivery}, {self.facts.license or 'license unknown'}"

    def described(self) -> dict[str, str]:
        """Describe it for programs."""
        return {
            "synthesizer": self.synthesizer,
            "voice": "cloned" if self.facts.cloned else "preset",
            "preset": self.facts.voice,
            "delivery": "streaming" if self.facts.streamed else "by unit",
            "license": self.facts.license,
        }


@dataclass(frozen=True, slots=True)
class SpokenRow:
    """A target language: its speech by the name of the column, `None` where it is translated and not spoken there.

    A column is a profile, or an opt-in synthesizer of one (``gpu + OmniVoice``); a language that it does not translate into
    is not in ``speech``.
    """

    code: str
    name: str
    speech: Mapping[str, TargetSpeech | None]

    def described(self) -> dict[str, object]:
        """Describe it for programs."""
        spoken = {column: one and one.described() for column, one in self.speech.items()}
        return {"code": self.code, "name": self.name, "spoken": spoken}


def spoken_table(profiles: Iterable[Profile]) -> list[SpokenRow]:
    """Make a row for each target language of these profiles, and a column for each profile and its opt-in synthesizer."""
    columns: dict[str, tuple[frozenset[str], list[SynthesizerBackend]]] = {}
    for profile in profiles:
        backends = profile.backends
        targets = frozenset(target for _, target in backends.translator.pairs())
        columns[profile.name] = targets, list(backends.synthesizers.values())
        if profile.name in OPT_IN:
            extra: dict[str, Any] = {stage: backend(choice) for stage, choice in OPT_IN[profile.name].items()}
            if any(type(getattr(backends, stage)) is not type(one) for stage, one in extra.items()):  # else a config set it
                added = type(next(iter(extra.values()))).__name__
                columns[f"{profile.name} + {added}"] = targets, list(replace(backends, **extra).synthesizers.values())
    codes = sorted(frozenset[str]().union(*(targets for targets, _ in columns.values())))
    return [
        SpokenRow(
            code,
            language_name(code),
            {name: speech_of(code, chain) for name, (targets, chain) in columns.items() if code in targets},
        )
        for code in codes
    ]


def speech_of(code: str, synthesizers: Sequence[SynthesizerBackend]) -> TargetSpeech | None:
    """Return the speech of a language by the first synthesizer that speaks it, in a region or not."""
    for one in synthesizers:
        known = one.languages()
        if (called := known_code(code, known)) in known:
            facts = one.describe(called) if isinstance(one, DescribesSpeech) else UNKNOWN
            return TargetSpeech(type(one).__name__, facts)
    return None


def counted(rows: Iterable[SpokenRow], column: str) -> dict[str, int]:
    """Count the target languages of a column, those it speaks, and of these those in a cloned voice; scripts count once."""
    found: dict[str, dict[str, TargetSpeech | None]] = {"targets": {}, "spoken": {}, "cloned": {}}
    for row in rows:
        if column not in row.speech:
            continue
        speech, code = row.speech[column], primary(row.code)
        found["targets"][code] = speech
        if speech is not None:
            found["spoken"][code] = speech
            if speech.facts.cloned:
                found["cloned"][code] = speech
    return {name: len(codes) for name, codes in found.items()}


def columns_of(rows: Sequence[SpokenRow]) -> list[str]:
    """Name the columns of a table, in order."""
    return list(dict.fromkeys(name for row in rows for name in row.speech))
