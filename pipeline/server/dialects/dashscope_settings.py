"""Settings of a DashScope session: what an update changes, what it comes to as wishes, and how it is told back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import UNSET, UnsetType

from pipeline.languages import SameLanguage
from pipeline.server.asked import Asked, Note, Rejected, glossary_of
from pipeline.server.dialects.dashscope_events import Frequency, SessionFields, Skips
from pipeline.voices.record import SAME

DEFAULT_VOICE = "default"
NO_TURNS = "speech is found by the recognizer here, without settings"
AS_IT_IS = "images are looked at as they are, the newest of each half second"
NO_TEXT_BIAS = "a text has no effect here; give terms as translation.corpus.phrases"
AS_ONCE = "the voice is learned from the first seconds of speech and once more from longer speech, then kept"
ALWAYS_ON = "the source is always transcribed in this generation"
TEXT_OR_BOTH = "text is not skipped without its speech: speech in the target language is shown and spoken"


@dataclass(frozen=True, slots=True)
class Settings:
    """A session's settings as the client has set them so far."""

    spoken: bool = True
    language: str = ""  # the target; none: the server's
    source: str = ""  # any
    transcribed: bool = True
    phrases: Mapping[str, str | list[str]] = field(default_factory=dict)
    skips: Skips = field(default_factory=Skips)
    voice: str = ""
    cloned: bool = False
    frequency: Frequency = "once"
    consent: bool = False
    input_type: str = "pcm16"
    output_type: str = "pcm24"
    input_hz: int = 16_000
    output_hz: int = 24_000

    def changed(self, given: SessionFields) -> Settings:
        """Copy with what an update changes; raises `Rejected`."""
        settings = self._with_media(given)
        translation = given.translation
        skips = given.same_language_skip_options
        if translation is not UNSET:
            settings = replace(settings, language=translation.language or settings.language)
            if translation.corpus is not UNSET:
                settings = replace(settings, phrases=translation.corpus.phrases if translation.corpus else {})
            skips = skips if translation.same_language_skip_options is UNSET else translation.same_language_skip_options
        if skips is not UNSET:
            settings = replace(settings, skips=skips or Skips())
        if (heard := given.input_audio_transcription) is not UNSET:
            settings = replace(settings, transcribed=bool(heard and heard.model))
            settings = replace(settings, source=heard.language or "" if heard else "")
        if given.enable_voice_clone is not UNSET:
            settings = replace(settings, cloned=bool(given.enable_voice_clone))
        if given.voice_clone_options is not UNSET:
            options = given.voice_clone_options
            settings = replace(settings, frequency=options.frequency if options else "once")
        if given.translate_live.consent is not UNSET:
            settings = replace(settings, consent=given.translate_live.consent)
        return settings

    def _with_media(self, given: SessionFields) -> Settings:
        """Copy with the modalities, the voice and the formats of an update."""
        modalities = _last(given.modalities, given.output_modalities)
        if modalities is not UNSET and "text" not in modalities:
            told = f"{modalities} cannot be; valid: ['text'], ['text', 'audio']"
            raise Rejected("invalid_event", told, param="session.modalities")
        heard, said = given.audio.input.format, given.audio.output.format
        voice = _last(given.voice, given.audio.output.voice)
        changes = {
            "spoken": UNSET if modalities is UNSET else "audio" in modalities,
            "voice": voice or "" if voice is not UNSET else UNSET,
            "input_type": _last(given.input_audio_format, heard.type if heard else UNSET),
            "output_type": _last(given.output_audio_format, said.type if said else UNSET),
            "input_hz": _last(given.sample_rate, heard.sample_rate if heard else UNSET),
            "output_hz": said.sample_rate if said else UNSET,
        }
        kept: dict[str, Any] = {name: value for name, value in changes.items() if value is not UNSET}
        return replace(self, **kept)

    def asked(self, before: Asked) -> Asked:
        """Return the settings as wishes; raises `Rejected` for phrases that cannot be used."""
        known = before.settings.phrases if isinstance(before.settings, Settings) else {}
        rows = ((term, [said] if isinstance(said, str) else said, "hard", "") for term, said in self.phrases.items())
        named = "" if self.voice == DEFAULT_VOICE else self.voice
        return replace(
            before,
            target=self.language or before.target,
            sources=(self.source,) if self.source else (),
            speak=None if self.spoken else False,
            voice=SAME if self.cloned and self.frequency != "never" else named,
            any_voice=not self.cloned,
            consent=before.consent or self.consent,
            glossary=before.glossary if self.phrases == known else glossary_of(rows),
            same_language=self.same_language,
            input_hz=self.input_hz,
            settings=self,
        )

    @property
    def same_language(self) -> SameLanguage:
        """The rule for speech in the target language."""
        if not self.skips.skip_audio:
            return "speak"
        return "mute" if self.skips.skip_text else "captions"

    def described(self, target: str, *, nested: bool) -> dict[str, Any]:
        """Describe the session as its object without the id, ``nested`` as of generation 3.8."""
        voice, modalities = self.voice or DEFAULT_VOICE, ["text", "audio"] if self.spoken else ["text"]
        heard = {"type": self.input_type, "sample_rate": self.input_hz}
        said = {"type": self.output_type, "sample_rate": self.output_hz}
        clone = {"enable_voice_clone": self.cloned, "voice_clone_options": {"frequency": self.frequency}}
        translation = {"language": target, **({"corpus": {"phrases": self.phrases}} if self.phrases else {})}
        shared = {"translation": translation, **(clone if self.cloned else {})}
        if nested:
            audio = {"input": {"format": heard, "turn_detection": None}, "output": {"voice": voice, "format": said}}
            return {"output_modalities": modalities, "audio": audio, **shared}
        return {
            "modalities": modalities,
            "voice": voice,
            "input_audio_format": self.input_type,
            "output_audio_format": self.output_type,
            "sample_rate": self.input_hz,
            "input_audio_transcription": {"language": self.source or None} if self.transcribed else None,
            "turn_detection": None,
            **shared,
        }


def notes(given: SessionFields, names: Mapping[str, object], *, nested: bool) -> Iterator[Note]:
    """Note each field of an update, by these names, that has no effect here, or another than it says."""
    if given.turn_detection is not UNSET or given.audio.input.turn_detection is not UNSET:
        yield Note(NO_TURNS, "session.turn_detection")
    if given.video is not UNSET:
        yield Note(AS_IT_IS, "session.video")
    heard = given.input_audio_transcription
    if heard is None and nested:
        yield Note(ALWAYS_ON, "session.input_audio_transcription")
    if heard and heard.corpus is not None:
        yield Note(NO_TEXT_BIAS, "session.input_audio_transcription.corpus")
    if given.voice_clone_options and given.voice_clone_options.frequency == "always":
        yield Note(AS_ONCE, "session.voice_clone_options.frequency")
    translation = given.translation
    nested_skips = translation.same_language_skip_options if translation is not UNSET else UNSET
    skips = nested_skips or given.same_language_skip_options
    if skips and skips.skip_text and not skips.skip_audio:
        yield Note(TEXT_OR_BOTH, "session.same_language_skip_options")
    for name in sorted(names.keys() - set(SessionFields.__struct_fields__))[:10]:
        yield Note("no such setting here", f"session.{name[:80]}")


def _last(first: Any, second: Any) -> Any:  # noqa: ANN401 - of any field's type
    """Return the later spelling of a field, if it is given."""
    return first if isinstance(second, UnsetType) else second
