"""Options about a network: addresses, a room of a server, events for other programs, and what is left out of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import BadInput, check_range

if TYPE_CHECKING:
    from pipeline.sinks.sharing import Sharing


def is_address(name: str) -> bool:
    """Tell if a name is an address on a network, fetched only if that is allowed: one with a scheme, and no file."""
    return "://" in name and not Path(name).exists()


def file_or_address(name: str) -> Path | str:
    """Give the place of a glossary: an address stays as it is."""
    return name if is_address(name) else Path(name)


def glossary_addresses(arguments: argparse.Namespace) -> list[str]:
    """List the glossaries and hints that are to be fetched."""
    return [place for place in (*arguments.glossary, *arguments.hints) if isinstance(place, str)]


def addresses_named(arguments: argparse.Namespace) -> list[str]:
    """List the addresses that options name: of what is fetched, and of a broadcast."""
    return [*glossary_addresses(arguments), *([arguments.out] if isinstance(arguments.out, str) else [])]


def room_of(arguments: argparse.Namespace) -> tuple[str, str]:
    """Return the room and the participant's name in it, empty where there is none; raises `BadInput` for half of it."""
    if arguments.room is not None and not (arguments.server and arguments.mic):
        hint = "--mic --server URL --room NAME --as YOUR_NAME"
        raise BadInput("--room is a conversation on a server, with a microphone", hint=hint)
    if (arguments.room is None) != (arguments.name is None):
        raise BadInput("a room needs both --room and --as", hint="--room NAME --as YOUR_NAME")
    if arguments.room is not None and not (arguments.room.strip() and arguments.name.strip()):
        raise BadInput("--room and --as need a name each", hint="--room NAME --as YOUR_NAME")
    return arguments.room or "", arguments.name or ""


def add_sharing_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    sharing = parser.add_argument_group("events for other programs (docs/bus.md)")
    sharing.add_argument(
        "--bus",
        metavar="URL",
        help="publish events on a Redis stream: redis://HOST:6379, or rediss:// for TLS (?ssl_ca_certs=FILE: an authority "
        "of your own); naming it is asking for it",
    )
    sharing.add_argument(
        "--webhook",
        metavar="URL",
        help="post events to https://…, signed with $TRANSLATE_LIVE_WEBHOOK_SECRET; naming it is asking for it",
    )
    sharing.add_argument(
        "--retention-days", type=float, metavar="N", help="delete what was published, or recorded, after so many days"
    )


def add_redaction_arguments(parser: argparse.ArgumentParser, *, speech: bool) -> None:
    """Declare what is left out of exports and bus; ``speech``: also of what is spoken."""
    left_out = parser.add_argument_group("personal data, left out of text, events and bus (docs/privacy.md)")
    left_out.add_argument(
        "--redact",
        nargs="?",
        const="all",
        metavar="KIND[,KIND]",
        help="email, phone, card, iban and ip, or some of them; listeners still hear, and see, what was said",
    )
    left_out.add_argument("--redact-names", type=Path, metavar="FILE", help="names to leave out too, one a line")
    if speech:
        left_out.add_argument("--redact-speech", action="store_true", help="do not speak them either")


def sharing_of(arguments: argparse.Namespace) -> Sharing:
    """Return the options, checked; raises `BadInput`."""
    from pipeline.sinks.personal_data import KINDS, PersonalData, read_names  # noqa: PLC0415 - help needs none of this
    from pipeline.sinks.sharing import LONGEST_DAYS, SHORTEST_DAYS, Sharing  # noqa: PLC0415

    if arguments.retention_days is not None:
        check_range("--retention-days", arguments.retention_days, SHORTEST_DAYS, LONGEST_DAYS)
        if not arguments.bus and not getattr(arguments, "record", None):
            raise BadInput(
                "--retention-days does nothing without what is kept", hint="with --bus URL or --record DIR, or without it"
            )
    given = [kind.strip() for kind in (arguments.redact or "").split(",") if kind.strip()]
    names = read_names(arguments.redact_names) if arguments.redact_names else ()
    personal = PersonalData(frozenset(KINDS if given == ["all"] else given), names)
    silenced = getattr(arguments, "redact_speech", False)
    if silenced and not personal:
        raise BadInput("--redact-speech does nothing without --redact", hint="--redact --redact-speech, or neither")
    sharing = Sharing(arguments.bus, arguments.webhook, arguments.retention_days, personal, silenced)
    sharing.check()
    return sharing
