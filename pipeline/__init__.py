"""translate-live: three concurrent stages that hear speech and speak its translation.

What a program needs is imported from here, when it is first used: ``from pipeline import Engine, SessionRequest``.
Examples lie in ``examples/``; docs/architecture.md says how the parts fit together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.clock import LoopClock
    from pipeline.contracts import Sink
    from pipeline.engine import Engine
    from pipeline.errors import TranslateLiveError
    from pipeline.events import Event, ReadingUnit
    from pipeline.glossary.glossary import Glossary, load_glossary
    from pipeline.hints import Hints
    from pipeline.profiles.profile import Profile, load_profile
    from pipeline.request import SessionRequest
    from pipeline.sinks.captions import Captions
    from pipeline.sinks.delivery import SinkQueue
    from pipeline.sinks.event_json import encode
    from pipeline.sinks.speech_file import SpeechFile
    from pipeline.sources.files import AudioFile
    from pipeline.sources.push import PushSource

__all__ = [
    "AudioFile",
    "Captions",
    "Engine",
    "Event",
    "Glossary",
    "Hints",
    "LoopClock",
    "Profile",
    "PushSource",
    "ReadingUnit",
    "SessionRequest",
    "Sink",
    "SinkQueue",
    "SpeechFile",
    "TranslateLiveError",
    "encode",
    "load_glossary",
    "load_profile",
]

_HOMES = {
    "clock": ("LoopClock",),
    "contracts": ("Sink",),
    "engine": ("Engine",),
    "errors": ("TranslateLiveError",),
    "events": ("Event", "ReadingUnit"),
    "glossary.glossary": ("Glossary", "load_glossary"),
    "hints": ("Hints",),
    "profiles.profile": ("Profile", "load_profile"),
    "request": ("SessionRequest",),
    "sinks.captions": ("Captions",),
    "sinks.delivery": ("SinkQueue",),
    "sinks.event_json": ("encode",),
    "sinks.speech_file": ("SpeechFile",),
    "sources.files": ("AudioFile",),
    "sources.push": ("PushSource",),
}


def __getattr__(name: str) -> object:
    """Import a public name from its module: `translate-live --help` needs none of them, and stays fast."""
    import importlib  # noqa: PLC0415

    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"pipeline.{module}"), name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
