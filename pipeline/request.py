"""Requests of one listener, checked by one function for the command line, a server and the harness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal

from pipeline.audio.multichannel import ChannelLevels
from pipeline.diarizing import SpeakerMemory
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, Refused
from pipeline.glossary.glossary import Glossary
from pipeline.hints import Hints
from pipeline.languages import SameLanguage, canonical, known_code, language_name, same_language
from pipeline.policies.pace import PaceOptions
from pipeline.policies.unit_policy import UnitSettings
from pipeline.profiles.languages_offered import session_languages
from pipeline.profiles.profile import Profile, fix_for, listed, require
from pipeline.sinks.personal_data import NOTHING, PersonalData
from pipeline.stages.see import Watching
from pipeline.stages.speakers import SpeakerOptions
from pipeline.voices.choice import (
    ChosenVoice,
    check_same_voice,
    chosen_voice,
    cloner,
    enrolled_for,
    known_voices,
    learns,
    other_presets,
    several_voices,
)
from pipeline.voices.record import SAME, VoiceRecord
from pipeline.voices.store import VoiceStore


@dataclass(frozen=True, slots=True)
class SpeakersAsked:
    """A listener's wishes: at most so many speakers (none: as many as there are), ``names`` by number from "1".

    ``enrolled``: those whose voices are enrolled with their clip are called by name. ``consenting``, by name, have agreed
    that their voices are learned (none: everybody has).
    """

    most: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    enrolled: bool = False
    consenting: frozenset[str] | None = None
    channels: ChannelLevels | None = None  # of the source, where each speaker has one: no model tells them apart
    memory: SpeakerMemory = field(default_factory=SpeakerMemory, compare=False)  # of sessions that this one goes on for

    async def options(self, store: VoiceStore) -> SpeakerOptions:
        """Return the options of a session, with the clips of known voices."""
        known = await known_voices(store) if self.enrolled else {}
        return SpeakerOptions(self.most, self.names, known, self.memory)


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """One listener's wishes; what is not given is the profile's."""

    targets: tuple[str, ...]  # languages to translate into
    languages: tuple[str, ...] = ()  # that may be spoken; none: any
    spoken: str | tuple[str, ...] | None = None  # the target that is spoken, or several, each a track of its own
    one_track: bool = False  # several are said one after the other, as to a table at which they are all heard
    voice: str | None = None  # an enrolled voice, a preset, or "same": the speaker's own
    glossary: Glossary = field(default_factory=Glossary)
    same_language: SameLanguage = "captions"  # what becomes of speech that is in a target language already
    self_hearing: bool = False  # the source may hear what is spoken, which is then not translated again
    units: UnitSettings | None = None
    pace: PaceOptions | None = None
    hints: Hints = field(default_factory=Hints)
    silenced: PersonalData = NOTHING  # what is not spoken, within a unit
    speakers: SpeakersAsked | None = None  # how speakers are told apart, if they are
    watching: Watching | None = None  # what is seen beside, if anything is

    @property
    def spoken_targets(self) -> tuple[str, ...]:
        """The targets that are spoken, the first one first."""
        return (self.spoken,) if isinstance(self.spoken, str) else tuple(self.spoken or ())

    @property
    def main_target(self) -> str:
        """The first that is spoken, else the first."""
        return next(iter((*self.spoken_targets, *self.targets)))


@dataclass(frozen=True, slots=True)
class ResolvedSpeech:
    """A target that can be spoken."""

    target: str
    synthesizer: str  # the stage that speaks
    spoken_as: str  # the language, as that stage calls it
    voice: ChosenVoice | None = None  # an enrolled voice or a preset
    same_voice: bool = False  # the speaker's own
    presets: tuple[str, ...] = ()  # one for each of several speakers


@dataclass(frozen=True, slots=True)
class ResolvedRequest:
    """A request that a profile can fulfil, in codes that its backends know."""

    request: SessionRequest
    speech: tuple[ResolvedSpeech, ...] = ()
    targets_by_name: Mapping[str, str] = field(default_factory=dict)  # each target as it was asked for, and as it is known
    notices: tuple[str, ...] = ()  # what is not quite as it was asked for, a line each

    @property
    def enrolled(self) -> tuple[VoiceRecord, ...]:
        """The enrolled voices that speak, each once."""
        records = [one.voice.record for one in self.speech if one.voice is not None and one.voice.record is not None]
        return tuple({record.name: record for record in records}.values())


def resolve(request: SessionRequest, profile: Profile, voices: VoiceStore | None = None) -> ResolvedRequest:
    """Hold a request against what a profile can do on this machine; nothing is loaded, opened or written.

    Enrolled voices are those of ``voices`` (none: the user's).

    Raises `BadInput` or `Refused` for what the profile cannot do, and `ModelError` for what this machine lacks.
    """
    if not request.targets:
        raise BadInput("there is no target language", code="no_target")
    if unknown := [target for target in request.spoken_targets if target not in request.targets]:
        message = f"{unknown[0]!r} is to be spoken and is none of the targets; valid: {', '.join(request.targets)}"
        raise BadInput(message, code="spoken_target")
    backends = profile.backends
    translated = {target for _, target in backends.translator.pairs()}
    sources = {code: known_code(code, backends.recognizer.languages()) for code in request.languages}
    targets = {code: known_code(code, translated) for code in request.targets}
    notices = [
        f"{code} is taken as {base}: this profile knows {language_name(base)} only"
        for code, base in (sources | targets).items()
        if canonical(code) != canonical(base)
    ]
    spoken = tuple(dict.fromkeys(targets[target] for target in request.spoken_targets))
    spoken_as = {target: known_code(target, backends.spoken()) for target in spoken}
    languages = session_languages(
        backends, tuple(dict.fromkeys(sources.values())), tuple(targets.values()), tuple(spoken_as.values())
    )
    speech = _speech(request, profile, spoken_as, notices, voices or VoiceStore())
    for stage in dict.fromkeys(one.synthesizer for one in speech) or [None]:
        require(profile.name, backends.missing(stage))
    _require_pairs(profile, languages, targets.values())
    for one in speech:
        if one.voice is None:
            require(profile.name, backends.voice_missing(one.synthesizer, one.spoken_as))
    if request.speakers is not None and request.speakers.channels is None:
        _require_stage(profile, "diarizer", "tell speakers apart", "models.diarize.backend:Ge2eDiarizer")
    if request.watching is not None:
        _require_stage(profile, "reader", "read pictures", "models.vision.rapid_ocr:RapidOcr")
    known = replace(
        request,
        languages=languages,
        targets=tuple(dict.fromkeys(targets.values())),
        spoken=spoken if len(spoken) > 1 else next(iter(spoken), None),
        voice=request.voice if not speech or any(one.voice or one.same_voice for one in speech) else None,
    )
    return ResolvedRequest(known, speech, targets, tuple(notices))


def _require_pairs(profile: Profile, sources: Sequence[str], targets: Iterable[str]) -> None:
    """Raise `ModelError` if a pair of languages that may have to be translated has no model on this machine.

    Where the language is to be detected, each target must at least be one of a pair that has: it may be what is spoken.
    """
    if not sources:
        here = {language for pair in profile.backends.pairs_here() for language in pair}
        for target in targets:
            if target not in here:
                fetch = f"{FETCH_MODELS} of the profile {profile.name} for the language {target}"
                what = f"no model on this machine translates to {target!r}"
                raise ModelError(what, hint=fetch, code="missing_pair")
    for source, target in product(sources, targets):
        if not same_language(source, target) and (lacks := profile.backends.pair_missing(source, target)):
            what = f"to translate from {source!r} to {target!r} there is need of {listed(lacks)}"
            raise ModelError(what, hint=fix_for(lacks, profile.name), code="missing_pair")


def _require_stage(profile: Profile, stage: Literal["diarizer", "reader"], cannot: str, use: str) -> None:
    """Raise `Refused` if the profile does not name a stage that is asked for, `ModelError` if it is not on this machine."""
    backend = profile.backends.diarizer if stage == "diarizer" else profile.backends.reader
    if backend is None:
        hint = f"the profile cpu, or a setting {stage}.use={use}"
        raise Refused(f"the profile {profile.name} cannot {cannot}: it names no {stage}", hint=hint)
    require(profile.name, backend.missing())


def _speech(
    request: SessionRequest, profile: Profile, spoken_as: Mapping[str, str], notices: list[str], voices: VoiceStore
) -> tuple[ResolvedSpeech, ...]:
    """Choose who speaks each target, and note where that is not as it was asked for."""
    asked, backends = request.voice, profile.backends
    if asked == SAME:
        check_same_voice(learner := backends.synthesizers[cloner(profile, live=True)])
        if learner is backends.cloning_synthesizer and learner.missing():
            for target in spoken_as:
                require(profile.name, backends.lacks("cloning_synthesizer", target))
    named = asked if asked != SAME else None
    others = {} if named is None else other_presets(named, profile, spoken_as, voices)
    voice = chosen_voice(named, profile, voices, spoken_as) if named is not None and not others else None
    speech = []
    for target, called in spoken_as.items():
        if target in others:
            speech.append(ResolvedSpeech(target, others[target][0], called, others[target][1]))
            continue
        one = _spoken_by(profile, target, called, voice, same=asked == SAME)
        notices += [_not_in(asked, one, profile)] if asked and others else _departures(profile, one, asked, voice)
        if request.speakers is not None and voice is None:
            one = replace(one, presets=several_voices(backends.synthesizers[one.synthesizer], called))
        speech.append(one)
    return tuple(speech)


def _spoken_by(profile: Profile, target: str, called: str, voice: ChosenVoice | None, *, same: bool) -> ResolvedSpeech:
    """Choose who speaks a target: the first that has the voice that is asked for, else the first that can."""
    backends = profile.backends
    able = backends.speaking(target)
    first = "synthesizer" in able and cloner(profile, live=same) == "synthesizer"
    if voice is not None and (first or ("synthesizer" in able and voice.record is None)):
        return ResolvedSpeech(target, "synthesizer", called, voice)
    for stage in (stage for stage in able if not backends.lacks(stage, target)):
        if same and ((first and stage == "synthesizer") or learns(backends.synthesizers[stage], live=True)):
            return ResolvedSpeech(target, stage, called, None, same_voice=True)
        if voice is not None and (learned := enrolled_for(stage, voice, profile)):
            return ResolvedSpeech(target, stage, called, learned)
    return ResolvedSpeech(target, backends.synthesizer_for(target) or "synthesizer", called)


def _departures(profile: Profile, one: ResolvedSpeech, asked: str | None, voice: ChosenVoice | None) -> list[str]:
    """Word where a target is not spoken by the profile's first synthesizer, or not in the voice that was ``asked`` for."""
    as_asked = one.voice is not None or one.same_voice
    if one.synthesizer == "synthesizer":
        return [_not_in(asked, one, profile)] if asked and not as_asked else []
    if as_asked and "synthesizer" in profile.backends.speaking(one.target):
        return []
    told = [_instead(profile, one.target, one.synthesizer, cloned=as_asked)]
    synthesizer = profile.backends.synthesizers[one.synthesizer]
    if voice is not None and voice.record is not None and not as_asked and learns(synthesizer):
        told.append(f"{type(synthesizer).__name__} has not learned the voice {voice.name!r}: enrol it again")
    return told


def _not_in(voice: str, one: ResolvedSpeech, profile: Profile) -> str:
    """Word that a voice is not that of a target's speech, and what brings it, if a model for the language does."""
    backends, stage = profile.backends, cloner(profile)
    who, language = type(backends.synthesizers[one.synthesizer]).__name__, f"{language_name(one.target)} ({one.target})"
    whose = "the speaker's own voice" if voice == SAME else f"the voice {voice!r}"
    told = f"{whose} does not speak {language}: {who} will, in its own voice"
    lacks = backends.lacks(stage, one.target) if stage in backends.speaking(one.target) else []
    return f"{told}; to have it: {fix_for(lacks, profile.name)}" if lacks and stage != one.synthesizer else told


def _instead(profile: Profile, target: str, stage: str, *, cloned: bool) -> str:
    """Word that another synthesizer than the profile's first speaks a target, and which better one lacks its voice here."""
    backends = profile.backends
    own, other = type(backends.synthesizer).__name__, type(backends.synthesizers[stage]).__name__
    how = "too" if cloned else "in its own voice"
    better = next(iter(backends.speaking(target)), stage)
    lacks = backends.lacks(better, target)
    fix = fix_for(lacks, profile.name)
    wrong = next((one for one in lacks if not one.fetchable), None)
    if better == "synthesizer" and wrong:
        said = f"{other} will speak {language_name(target)} ({target}), {how}"
        return f"not found: {wrong.what.rstrip(',')}; {said}; expected: {wrong.fix}"
    if better == "synthesizer":
        model = f"{own}'s model for {language_name(target)} ({target})"
        return f"{model} is not on this machine: {other} will speak it, {how}; to bring that model: {fix}"
    said = f"{own} does not speak {language_name(target)} ({target}): {other} will, {how}"
    if better == stage or cloned:
        return said
    return f"{said}, for that of {type(backends.synthesizers[better]).__name__} is not on this machine: {fix}"
