"""Languages that a profile hears, translates and speaks, and the check that they are enough for a session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import PurePath

from pipeline.contracts import Routed, TranslatorBackend
from pipeline.errors import BadInput, did_you_mean
from pipeline.language_names import spoken_in
from pipeline.languages import LanguageRow, language_name, language_table, same_language
from pipeline.profiles.backends import Backends

_ANOTHER = "another profile"


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
    rows = language_table(recognizers, translators, synthesizers)
    return tuple(row for row in rows if row.recognized_by or row.translated_from_by or row.captions)


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
