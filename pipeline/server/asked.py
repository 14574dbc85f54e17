"""Wishes of a client, whatever its protocol, and the errors that it is told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pipeline.errors import BadInput, SeveralMistakes, TranslateLiveError
from pipeline.glossary.entries import Entry, Row, checked, refuse
from pipeline.glossary.glossary import Glossary
from pipeline.languages import SameLanguage, known_code
from pipeline.profiles.profile import Profile
from pipeline.request import ResolvedRequest, SessionRequest, SpeakersAsked, resolve
from pipeline.voices.record import SAME
from pipeline.voices.store import VoiceStore, key_store

LONGEST_GLOSSARY = 1000  # entries
LANGUAGE, SOURCE, TARGETS, SPOKEN, VOICE, GLOSSARY, GLOSSARY_URL, HINTS_URL = (
    "session.audio.output.language",
    "session.translate_live.source",
    "session.translate_live.targets",
    "session.translate_live.spoken",
    "session.translate_live.voice",
    "session.translate_live.glossary",
    "session.translate_live.glossary_url",
    "session.translate_live.hints_url",
)
"""Fields that errors name, as OpenAI's protocol and our extension of it call them."""
NOBODYS = VoiceStore(Path(os.devnull))  # holds no voice
UNKNOWN_VOICE = {"unknown_preset", "unknown_voice"}
VOICES = {*UNKNOWN_VOICE, "preset_language", "voice_needs_enrolment", "voice_broken", "same_voice"}
LANGUAGE_CODES = {"language", "spoken_language", "nothing_to_translate", "missing_pair"}


class Rejected(TranslateLiveError):
    """A client event that cannot be carried out; ``param`` names its field and ``event_id`` the event."""

    def __init__(self, code: str, message: str, *, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message, code=code)
        self.param = param
        self.event_id = event_id

    @property
    def kind(self) -> str:
        """The protocol's error type."""
        return "server_error" if self.code in {"stage_failed", "capacity"} else "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Asked:
    """The wishes of one client; `resolved` holds them against a profile."""

    target: str
    further: tuple[str, ...] = ()  # more targets, for captions
    also_spoken: tuple[str, ...] = ()  # those of them that are spoken, too, each as a stream of its own
    silent: tuple[str, ...] = ()  # targets that are not spoken for now; may change without another session
    one_track: bool = False  # all that is spoken is said one after the other
    sources: tuple[str, ...] = ()  # languages that may be spoken; none: any
    speak: bool | None = None  # none: if the target can be spoken
    voice: str = ""
    any_voice: bool = False  # another speaks if there is none of that name
    consent: bool = False  # the speaker's, to a voice learned from them
    glossary: Glossary = field(default_factory=Glossary)
    glossary_url: str = ""  # where it is to be fetched from
    hints: tuple[str, ...] = ()  # words that may be said
    hints_url: str = ""  # where more are to be fetched from
    same_language: SameLanguage = "captions"
    speakers: Literal["off", "auto"] | int = "off"  # told apart, or at most so many
    speaker_names: Mapping[str, str] = field(default_factory=dict)  # by number
    transcription: str | None = None  # the model's name, as the client gave it
    noise_reduction: Mapping[str, object] | None = None  # accepted, without effect
    input_hz: int = 24_000  # of the audio that the client sends
    keep_seen: bool = False  # names in pictures stay as they are
    extensions: bool = False
    start_ms: int = 0  # stream time of the first sample, after a resume
    first_unit: int = 0
    settings: object = None  # the protocol's own, which give the above

    def session(self) -> tuple[object, ...]:
        """Return the wishes that only a new session can fulfil."""
        languages = self.target, self.further, self.also_spoken, self.one_track, self.sources, self.same_language
        speakers = self.speakers, self.speaker_names
        return *languages, *speakers, self.speak, self.voice, self.glossary, self.input_hz, self.keep_seen

    def request(self, spoken: tuple[str, ...]) -> SessionRequest:
        """Return the wishes as an engine takes them, with those targets that are ``spoken``."""
        most = self.speakers if isinstance(self.speakers, int) else None
        return SessionRequest(
            targets=(self.target, *self.further),
            languages=self.sources,
            spoken=spoken or None,
            one_track=self.one_track,
            voice=self.voice or None if spoken else None,
            glossary=self.glossary,
            same_language=self.same_language,
            speakers=None if self.speakers == "off" else SpeakersAsked(most, self.speaker_names),
            self_hearing=True,
        )


@dataclass(frozen=True, slots=True)
class Note:
    """Word to the client that what it sent has no effect here, or another than it says; ``param`` names the field."""

    message: str
    param: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """New wishes, and what of them has no effect."""

    asked: Asked
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Audio:
    """Mono PCM16, little-endian."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A lever of the session."""

    action: Literal["pause", "resume", "mute", "unmute", "skip_to_live"]


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life, which is answered."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of the audio: what was heard is still translated."""


@dataclass(frozen=True, slots=True)
class Image:
    """A frame of what the speaker shows or is seen in, as JPEG; an empty one: nothing is shown any more."""

    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event of the protocol that has no effect here."""

    note: Note


ClientEvent = Change | Audio | ControlRequest | Ping | Finish | Image | Ignored


@dataclass(frozen=True, slots=True)
class Offset:
    """Beginning of a session in the client's own count of time and units."""

    start_ms: int = 0
    first_unit: int = 0
    target: str = ""  # whose text and speech the protocol's own events carry, as the profile calls it
    spoken: bool = False  # if the target is spoken


def glossary_of(rows: Iterable[tuple[str, Sequence[str], str, str]]) -> Glossary:
    """Build a glossary of (source, targets, mode, language) as sent by a client; raises `Rejected`."""
    entries: list[Entry] = []
    problems: list[str] = []
    try:
        for number, (source, targets, mode, language) in enumerate(rows, 1):
            for found in checked("glossary", Row(number, source, {language: targets}, {"mode": mode})):
                if isinstance(found, Entry):
                    entries.append(found)
                else:
                    problems.append(f"entry {number}: {found}")
        refuse(problems)
        return Glossary(entries)
    except BadInput as error:
        raise Rejected("invalid_event", one_line(error), param=GLOSSARY) from error


def with_hints(before: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Add hints to those before; of too many the oldest go."""
    return tuple(dict.fromkeys((*before, *more)))[-LONGEST_GLOSSARY:]


def resolved(asked: Asked, profile: Profile, *, may_clone: bool, key: str = "") -> ResolvedRequest:
    """Hold the wishes against the profile and the client's rights; raises `Rejected`.

    A voice is the client's own, by the id of its ``key``, before one of the server's, whose names are not told: who may not
    speak with a person's voice is answered as if there were none.
    """
    try:
        if asked.voice == SAME:
            _check_same(asked, may_clone=may_clone)
        return _with_less(asked, profile, _store(asked.voice, key) if may_clone else NOBODYS)
    except Rejected:
        raise
    except TranslateLiveError as error:
        if error.code in UNKNOWN_VOICE and not may_clone:
            told = f"there is no preset {asked.voice!r}, and this key may not speak with a person's own voice"
            raise Rejected("invalid_event", told, param=VOICE) from error
        if wrong := _wrong_language(asked, profile):
            raise Rejected("invalid_language", one_line(error), param=wrong) from error
        raise rejection(error) from error


def _wrong_language(asked: Asked, profile: Profile) -> str | None:
    """Name the field of a language that the profile does not know at all; `None` if it knows each."""
    heard = profile.backends.recognizer.languages()
    translated = {target for _, target in profile.backends.translator.pairs()}
    for param, codes, known in (
        (SOURCE, asked.sources, heard),
        (LANGUAGE, [asked.target], translated),
        (TARGETS, asked.further, translated),
    ):
        if any(known_code(code, known) not in known for code in codes):
            return param
    return None


def _with_less(asked: Asked, profile: Profile, store: VoiceStore, silent: tuple[str, ...] = ()) -> ResolvedRequest:
    """Resolve the wishes, without speech or the voice's name where they may be left out; a notice says so."""
    wanted = () if asked.speak is False else (asked.target, *asked.also_spoken)
    try:
        return resolve(asked.request(tuple(one for one in wanted if one not in silent)), profile, store)
    except BadInput as error:
        less = asked
        if error.code == "spoken_language" and asked.speak is None and not silent:
            known = profile.backends.spoken()
            silent = tuple(one for one in wanted if known_code(one, known) not in known) or wanted
            told = f"{', '.join(silent)} {'are' if silent[1:] else 'is'} not spoken here: there is text only"
        elif error.code in UNKNOWN_VOICE and asked.any_voice:
            less, told = replace(asked, voice=""), f"there is no voice {asked.voice!r} here: another speaks"
        elif error.code == "preset_language" and asked.any_voice:
            less, told = replace(asked, voice=""), f"{error.message}: another speaks"
        else:
            raise
    found = _with_less(less, profile, store, silent)
    return replace(found, notices=(*found.notices, told))


def _store(voice: str, key: str) -> VoiceStore:
    """Find the store of a voice: the key's own, or the server's."""
    own, servers = key_store(key), VoiceStore()
    return servers if servers.has(voice) and not (key and own.has(voice)) else own


def _check_same(asked: Asked, *, may_clone: bool) -> None:
    if not may_clone:
        raise Rejected("invalid_event", "this key may not speak with a person's own voice", param=VOICE)
    if not asked.consent:
        told = "the speaker's own voice needs their consent: translate_live.consent"
        raise Rejected("invalid_event", told, param=VOICE)


def rejection(error: TranslateLiveError, param: str | None = "session") -> Rejected:
    """Return the error of a request or model as the client is told it: without advice to the operator.

    ``param`` is the field of a wish for which no nearer one is known.
    """
    if isinstance(error, Rejected):
        return error
    if error.code in LANGUAGE_CODES:
        return Rejected("invalid_language", one_line(error), param=LANGUAGE)
    if error.code == "spoken_target":
        return Rejected("invalid_language", one_line(error), param=SPOKEN)
    if not isinstance(error, BadInput):
        return Rejected("stage_failed", one_line(error))
    return Rejected("invalid_event", one_line(error), param=VOICE if error.code in VOICES else param)


def one_line(error: TranslateLiveError) -> str:
    """Put a message, without its hint, on one line."""
    mistakes = "; ".join(error.mistakes) if isinstance(error, SeveralMistakes) else ""
    return " ".join(f"{error.what}: {mistakes}".split()) if isinstance(error, SeveralMistakes) else error.message


def default_target(profile: Profile) -> str:
    """Choose the target of a client that names none: English if it can be, else Spanish, else the first."""
    targets = sorted({target for _, target in profile.backends.translator.pairs()})
    for target in dict.fromkeys([*(one for one in ("en", "es") if one in targets), *targets]):
        try:
            resolved(Asked(target), profile, may_clone=False)
        except Rejected:
            continue
        return target
    return targets[0] if targets else "en"
