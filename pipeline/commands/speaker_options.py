"""Options about who speaks."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipeline.errors import BadInput, nearest
from pipeline.voices.record import SAME

if TYPE_CHECKING:
    from pipeline.request import SpeakersAsked

LONGEST_NAME = 60


def add_speaker_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    speakers = parser.add_argument_group("speakers")
    speakers.add_argument(
        "--speakers",
        default="off",
        metavar="off|auto|N",
        help="tell speakers apart, as many as there are (auto) or at most N: captions, transcripts and events say who "
        "speaks, and no unit is of two; enrolled voices are called by their names (off)",
    )
    speakers.add_argument(
        "--channels",
        choices=["mix", "speakers"],
        default="mix",
        help="speakers: each channel of FILE is a speaker, as in calls and podcasts; no model is needed (mix)",
    )
    speakers.add_argument(
        "--names", metavar='"1=NAME,…"', help="what speakers are called, by the order in which they are first heard"
    )
    speakers.add_argument(
        "--consent",
        metavar="NAME[,NAME]",
        help='who has agreed that --voice same learns their voices, as "Ana,Speaker 2"; others get presets, and enrolled '
        "speakers their enrolled voices (--speaker-consents: everybody has)",
    )


def speakers_of(arguments: argparse.Namespace) -> SpeakersAsked | None:
    """Read the options; raises `BadInput` for what is no number, or names for speakers who are not told apart."""
    from pipeline.audio.multichannel import ChannelLevels  # noqa: PLC0415 - not for help
    from pipeline.request import SpeakersAsked  # noqa: PLC0415

    asked = arguments.speakers.strip().lower()
    if arguments.channels == "speakers":
        _check_channels(arguments)
        return SpeakersAsked(names=names_of(arguments.names or ""), consenting=_agreed(arguments), channels=ChannelLevels())
    if asked == "off":
        if arguments.names is not None:
            raise BadInput("--names does nothing without --speakers", hint="--speakers auto --names, or neither")
        return None
    most = None
    if asked != "auto":
        if not asked.isdecimal() or not 1 <= int(asked) <= 100:
            raise BadInput(f"--speakers {arguments.speakers}; {nearest(asked, ['off', 'auto'])}, or a number from 1 to 100")
        most = int(asked)
    return SpeakersAsked(most, names_of(arguments.names or ""), enrolled=True, consenting=_agreed(arguments))


def check_consent(arguments: argparse.Namespace) -> None:
    """Refuse a copy of a voice without consent; that of an enrolled voice was given when it was enrolled.

    Raises `BadInput` where nobody can have agreed, or for consent to nothing.
    """
    apart = arguments.speakers.strip().lower() != "off" or arguments.channels == "speakers"
    if arguments.voice == SAME and not arguments.speaker_consents and (arguments.server or not apart):
        raise BadInput(
            "--voice same copies the voice of whoever is heard, which needs their consent",
            hint="--voice same --speaker-consents, when everybody who speaks has agreed",
        )
    if arguments.speaker_consents and arguments.voice != SAME:
        raise BadInput("--speaker-consents belongs to --voice same; an enrolled voice has its own", hint="without it")
    if arguments.consent is None:
        return
    if arguments.voice != SAME or not apart:
        hint = "--voice same --speakers auto --consent NAME, or neither"
        raise BadInput("--consent belongs to --voice same where speakers are told apart", hint=hint)
    if arguments.speaker_consents:
        raise BadInput("--speaker-consents is the consent of all, --consent of some", hint="one or the other")


def _agreed(arguments: argparse.Namespace) -> frozenset[str] | None:
    """Name those who agreed that their voices are learned; none: everybody."""
    named = frozenset(filter(None, map(str.strip, (arguments.consent or "").split(","))))
    return None if arguments.speaker_consents else named


def _check_channels(arguments: argparse.Namespace) -> None:
    """Refuse what has no channels that could be told apart."""
    if arguments.speakers.strip().lower() != "off":
        raise BadInput("--channels speakers says who speaks, and --speakers would guess it", hint="one or the other")
    if arguments.mic or len(arguments.files) != 1 or arguments.files[0] == "-" or "://" in arguments.files[0]:
        raise BadInput(
            "--channels speakers is for one file whose speakers have a channel each", hint="FILE --channels speakers"
        )


def names_of(text: str) -> dict[str, str]:
    """Read ``1=Ana,2=Bob``; raises `BadInput` for anything else, and for a name that two have."""
    names: dict[str, str] = {}
    for part in filter(str.strip, text.split(",")):
        number, equals, name = (piece.strip() for piece in part.partition("="))
        if not equals or not number.isdecimal() or int(number) < 1 or not name or not name.isprintable():
            raise BadInput(f'--names {part.strip()!r} names nobody; valid: a number, = and a name, as in "1=Ana,2=Bob"')
        if len(name) > LONGEST_NAME:
            raise BadInput(f"--names: {name[:20]!r}… has {len(name)} letters; valid: at most {LONGEST_NAME}")
        if name in names.values() or str(int(number)) in names:
            raise BadInput(f"--names: {part.strip()!r} is said twice", hint="a number and a name of its own for each")
        names[str(int(number))] = name
    return names
