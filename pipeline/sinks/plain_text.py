"""Events as single lines for people, safe to show: a terminal or a caption file would obey control characters."""

from __future__ import annotations

from unicodedata import category

from pipeline.events import (
    DeviceBack,
    DeviceLost,
    Event,
    Fault,
    Gap,
    LanguageChanged,
    ReadingUnit,
    Seen,
    Skipped,
    SpeakerFound,
)


def legible(text: str) -> str:
    """Put a text in one line, without control characters and half characters (lone surrogates)."""
    if not text.isprintable():
        text = "".join(" " if category(character) in {"Cc", "Cs"} else character for character in text)
    return " ".join(text.split())


def notice_line(event: Event, several: bool = False) -> str | None:
    """Format a notice as one line for people; `None` for events that are none, and for `Lag`, which the status shows.

    Of ``several`` targets the one that it concerns is named.
    """
    match event:
        case Gap():
            return f"not heard: {minutes(event.start)} to {minutes(event.end)}, {legible(event.reason)}"
        case Skipped():
            which = f"unit {event.first}" if event.first == event.last else f"units {event.first} to {event.last}"
            target = f" of {event.target}" if several and event.target else ""
            return f"shown, not spoken: {which}{target}, {legible(event.reason)}"
        case LanguageChanged():
            return f"the speaker now speaks {event.language!r}"
        case SpeakerFound():
            return f"{minutes(event.at)}  {legible(event.speaker)} begins to speak"
        case Seen():
            return f"seen: {legible(', '.join(event.names))}"
        case DeviceLost():
            return f"lost the audio device {legible(event.name)!r}; waiting for it to come back"
        case DeviceBack():
            return f"the audio device {legible(event.name)!r} is back"
        case Fault():
            return f"{event.stage}: {legible(event.message)}"
        case _:
            return None


def is_fatal(event: Event) -> bool:
    """Tell if an event ends the session, whose error says the same."""
    return isinstance(event, Fault) and event.fatal


def unit_line(unit: ReadingUnit, several: bool) -> str:
    """Format a unit's text as one line; empty if there is none.

    It begins with its target language if there are ``several``, and with its speaker if that is known.
    """
    text = legible(unit.text)
    if not text:
        return ""
    return (f"{unit.target}: " if several else "") + by_speaker(unit.speaker, text)


def by_speaker(speaker: str, text: str) -> str:
    """Put the name of its speaker before a text, if there is one."""
    return f"{legible(speaker)}: {text}" if speaker else text


def minutes(seconds: float) -> str:
    """Format stream time as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
