"""One job of the command line: everything that can be wrong with a wish is found before anything is loaded or written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.audio.devices import choose, list_devices
from pipeline.commands.regions import in_known_languages
from pipeline.commands.translate_options import Wish
from pipeline.errors import DeviceError
from pipeline.glossary.glossary import Glossary, load_glossary
from pipeline.languages import known_code
from pipeline.profiles.backends import Backends
from pipeline.profiles.languages_offered import session_languages
from pipeline.profiles.profile import Profile, require
from pipeline.profiles.selection import selected_profile, speaking
from pipeline.voices.choice import ChosenVoice, check_cloning, chosen_voice, styled
from pipeline.voices.record import SAME
from pipeline.voices.store import VoiceStore


@dataclass(frozen=True, slots=True)
class Job:
    """A wish that can be fulfilled: with what, from which languages, and whether a speaker, or anything, gets speech.

    ``spoken_as`` is what the synthesizer calls the language that is spoken, if any is.
    """

    wish: Wish
    profile: Profile
    backends: Backends
    languages: tuple[str, ...]
    to_speaker: bool
    speaks: bool
    spoken_as: str | None
    voice: ChosenVoice | None
    glossary: Glossary

    @property
    def spoken(self) -> str | None:
        """The target language that is spoken, if any is."""
        return self.wish.spoken if self.speaks else None


def planned(wish: Wish, tell: Callable[[str], None]) -> Job:
    """Everything that can be refused before anything is loaded, opened or written."""
    profile, why = selected_profile(wish.profile, wish.config, wish.assignments)
    if wish.voice_style is not None:
        profile = styled(profile, wish.voice_style)
    tell(why)
    wish, taken = in_known_languages(wish, profile.backends())
    for line in taken:
        tell(line)
    glossary = load_glossary(wish.glossary)
    if wish.mic:
        choose(wish.in_device, "input", list_devices())
    to_speaker, hint = speech_to_speaker(wish, _has_speaker)
    if hint:
        tell(hint)
    speaks = to_speaker or (wish.speech and bool(wish.out or wish.record))
    if wish.voice == SAME:
        check_cloning(profile)
    voice = chosen_voice(wish.voice, profile, VoiceStore()) if wish.voice and wish.voice != SAME else None
    if speaks:
        profile, notice = speaking(profile, wish.spoken)
        if notice:
            tell(notice)
            wish, voice = replace(wish, voice=None), None
    backends = profile.backends()
    require(profile.name, backends.missing(speaks))
    spoken_as = known_code(wish.spoken, backends.spoken()) if speaks else None
    languages = session_languages(backends, wish.languages, wish.targets, spoken_as)
    terms = glossary.softened() if wish.glossary_soft else glossary
    return Job(wish, profile, backends, languages, to_speaker, speaks, spoken_as, voice, terms)


def speech_to_speaker(wish: Wish, has_speaker: Callable[[], bool]) -> tuple[bool, str | None]:
    """Whether the speaker is used, and a hint where a user could expect speech and gets none."""
    if not wish.speech or wish.out or (wish.record and not wish.mic):
        return wish.speech and wish.out_device is not None, None
    if wish.out_device is not None:
        return True, None
    if not wish.realtime:
        return False, "text only: --out FILE.wav writes the speech, --realtime speaks it"
    if not has_speaker():
        return False, "text only, there is no speaker: --out FILE.wav writes the speech"
    return True, None


def _has_speaker() -> bool:
    try:
        choose(None, "output", list_devices())
    except DeviceError:
        return False
    return True
