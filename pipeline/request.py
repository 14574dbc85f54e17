"""Requests of one listener, checked by one function for the command line, a server and the harness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.errors import BadInput
from pipeline.glossary.glossary import Glossary
from pipeline.hints import Hints
from pipeline.languages import SameLanguage, canonical, known_code, language_name
from pipeline.policies.pace import PaceOptions
from pipeline.policies.unit_policy import UnitSettings
from pipeline.profiles.languages_offered import session_languages
from pipeline.profiles.profile import Profile, require
from pipeline.voices.choice import ChosenVoice, check_cloning, chosen_voice
from pipeline.voices.record import SAME
from pipeline.voices.store import VoiceStore


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """One listener's wishes; what is not given is the profile's."""

    targets: tuple[str, ...]  # languages to translate into
    languages: tuple[str, ...] = ()  # that may be spoken; none: any
    spoken: str | None = None  # the target that is spoken, if any is
    voice: str | None = None  # an enrolled voice, a preset, or "same": the speaker's own
    glossary: Glossary = field(default_factory=Glossary)
    same_language: SameLanguage = "captions"  # what becomes of speech that is in a target language already
    units: UnitSettings | None = None
    pace: PaceOptions | None = None
    hints: Hints = field(default_factory=Hints)


@dataclass(frozen=True, slots=True)
class ResolvedRequest:
    """A request that a profile can fulfil, in codes that its backends know."""

    request: SessionRequest
    synthesizer: str | None = None  # the stage that speaks, if any does
    spoken_as: str | None = None  # the spoken language, as that stage calls it
    voice: ChosenVoice | None = None  # an enrolled voice or a preset
    targets_by_name: Mapping[str, str] = field(default_factory=dict)  # each target as it was asked for, and as it is known
    notices: tuple[str, ...] = ()  # what is not quite as it was asked for, a line each


def resolve(request: SessionRequest, profile: Profile) -> ResolvedRequest:
    """Hold a request against what a profile can do on this machine; nothing is loaded, opened or written.

    Raises `BadInput` or `Refused` for what the profile cannot do, and `ModelError` for what this machine lacks.
    """
    if not request.targets:
        raise BadInput("there is no target language", code="no_target")
    if request.spoken and request.spoken not in request.targets:
        message = f"{request.spoken!r} is to be spoken and is none of the targets; valid: {', '.join(request.targets)}"
        raise BadInput(message, code="spoken_language")
    backends = profile.backends
    translated = {target for _, target in backends.translator.pairs()}
    sources = {code: known_code(code, backends.recognizer.languages()) for code in request.languages}
    targets = {code: known_code(code, translated) for code in request.targets}
    notices = [
        f"{code} is taken as {base}: this profile knows {language_name(base)} only"
        for code, base in (sources | targets).items()
        if canonical(code) != canonical(base)
    ]
    spoken = targets[request.spoken] if request.spoken else None
    spoken_as = known_code(spoken, backends.spoken()) if spoken else None
    languages = session_languages(backends, tuple(dict.fromkeys(sources.values())), tuple(targets.values()), spoken_as)
    if request.voice == SAME:
        check_cloning(backends.synthesizer)
    voice = chosen_voice(request.voice, profile, VoiceStore()) if request.voice not in {None, SAME} else None
    synthesizer = (backends.synthesizer_for(spoken) or "synthesizer") if spoken else None
    if spoken and synthesizer == "fallback_synthesizer":
        request, voice = replace(request, voice=None), None
        own, other = type(backends.synthesizer).__name__, type(backends.synthesizers[synthesizer]).__name__
        notices.append(f"{own} does not speak {language_name(spoken)} ({spoken}): {other} will, in its own voice")
    require(profile.name, backends.missing(synthesizer))
    known = replace(request, languages=languages, targets=tuple(dict.fromkeys(targets.values())), spoken=spoken)
    return ResolvedRequest(known, synthesizer, spoken_as, voice, targets, tuple(notices))
