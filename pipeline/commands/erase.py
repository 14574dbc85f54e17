"""Erases what was kept of a session, of a time, or of a speaker, and proves it: prints what is gone, and what is not."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.privacy.erasure import Erased, Selection
    from pipeline.privacy.ledger import KeptSession
    from pipeline.voices.store import VoiceStore

EXAMPLES = """
examples:
  translate-live erase --list
      which sessions wrote files here, and which
  translate-live erase --speaker Ana
      voices of Ana, and every file of every session in which she speaks
  translate-live erase --session sess_5f0c --bus redis://127.0.0.1:6379
      the files of one session, and its entries of the event bus
  translate-live erase --before 2026-01-01
      everything that is older
  translate-live erase
      recordings whose --retention-days are over; done at each start, too

exit codes: 0 all of it is gone, 2 there was nothing, 3 something is left.
Files that you copied or moved are not known, see docs/privacy.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = "%(prog)s [--session ID | --before DATE | --speaker NAME] …"
    parser.epilog = EXAMPLES
    what = parser.add_argument_group("what is erased").add_mutually_exclusive_group()
    what.add_argument("--session", metavar="ID", help="all files of one session (see --list)")
    what.add_argument("--before", metavar="DATE", help="all files of sessions that began before, as 2026-01-31")
    what.add_argument(
        "--speaker", metavar="NAME", help="voices of this name, or with this person's consent, and all files they speak in"
    )
    what.add_argument("--list", action="store_true", help="erase nothing: say what is kept")
    parser.add_argument("--bus", metavar="URL", help="erase it on this Redis too: redis://HOST:6379")


def run(arguments: argparse.Namespace) -> int:
    """Erase, and say what is gone; raises `BadInput` if there was nothing and `DeviceError` if something is left."""
    from pipeline.errors import BadInput, DeviceError  # noqa: PLC0415 - help needs none of this
    from pipeline.privacy.audit import Audit  # noqa: PLC0415
    from pipeline.privacy.erasure import Erased, erase, sweep  # noqa: PLC0415
    from pipeline.privacy.ledger import Ledger  # noqa: PLC0415

    ledger, selection = Ledger(), _selection(arguments)
    if arguments.list:
        _list(ledger.sessions())
        return 0
    if arguments.bus and selection is None:
        raise BadInput(
            "--bus does nothing without what is to be erased there", hint="--session ID, --before DATE or --speaker NAME"
        )
    if selection is None:
        done = sweep(ledger)
        _tell(done)
        if not done.gone and not done.left:
            print("no recording is older than it may be")
        return 3 if done.left else 0
    done = Erased()
    if arguments.bus:  # first: the list, which the files' erasure shortens, says which sessions are meant
        _erase_bus(arguments.bus, selection, {kept.session for kept in ledger.sessions() if selection.takes(kept)}, done)
    erase(selection, ledger, all_stores(), Audit(), done)
    _tell(done)
    if not done.gone and not done.left:
        raise BadInput("there is nothing of it here", hint="translate-live erase --list")
    if done.left:
        raise DeviceError(f"{len(done.left)} of it could not be erased", hint="what is said above, then again")
    print(f"erased: {len(done.gone)}; nothing of it is left in what translate-live keeps here")
    return 0


def all_stores() -> list[VoiceStore]:
    """Return the store of this user's voices, and those of a server's keys."""
    from pipeline.voices.store import VoiceStore, key_stores  # noqa: PLC0415

    return [VoiceStore(), *key_stores()]


def _erase_bus(url: str, selection: Selection, sessions: set[str], done: Erased) -> None:
    import asyncio  # noqa: PLC0415

    from pipeline.privacy.erasure import erase_bus  # noqa: PLC0415
    from pipeline.sinks.redis_stream import check_redis  # noqa: PLC0415

    check_redis(url)
    asyncio.run(erase_bus(url, selection, sessions, done))


def _selection(arguments: argparse.Namespace) -> Selection | None:
    from datetime import datetime  # noqa: PLC0415

    from pipeline.errors import BadInput  # noqa: PLC0415
    from pipeline.privacy.erasure import Selection  # noqa: PLC0415

    before = None
    if arguments.before is not None:
        try:
            before = datetime.fromisoformat(arguments.before).astimezone()
        except ValueError as error:
            raise BadInput(f"--before {arguments.before}: expected a date, as 2026-01-31") from error
    for option in ("session", "speaker"):
        if getattr(arguments, option) is not None and not getattr(arguments, option).strip():
            raise BadInput(f"--{option} is empty")
    if not (arguments.session or arguments.speaker or before):
        return None
    return Selection(arguments.session or "", before, arguments.speaker or "")


def _list(sessions: list[KeptSession]) -> None:
    for kept in sessions:
        speakers = f"  speakers: {', '.join(kept.speakers)}" if kept.speakers else ""
        until = f"  recording until {kept.recorded_until}" if kept.recorded_until else ""
        print(f"{kept.session}  {kept.began}{speakers}{until}")
        for file in kept.files:
            print(f"  {file.path}")
    if not sessions:
        print("no session has written a file that is known here")


def _tell(done: Erased) -> None:
    for line in done.gone:
        print(f"gone  {line}")
    for line in done.left:
        print(f"LEFT  {line}")
