"""Options that say where what was said goes besides its listener, and how long it stays: of a translation and a server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.sinks.sharing import Sharing


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
    from pipeline.errors import BadInput, check_range  # noqa: PLC0415 - help needs none of this
    from pipeline.sinks.personal_data import KINDS, PersonalData, read_names  # noqa: PLC0415
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
