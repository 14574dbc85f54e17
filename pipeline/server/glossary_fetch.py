"""A client's glossary from an address: by the policy of its key, beside the session, and told when it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlencode

from pipeline.errors import BadInput, TranslateLiveError
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary
from pipeline.server.access import Key
from pipeline.server.asked import GLOSSARY_URL, LONGEST_GLOSSARY, Asked, Rejected, message_of
from pipeline.sources.glossary_address import check_address, glossary_from, is_allowed, token_of_environment

MOST_BYTES = 256 * 1024  # it is parsed beside sessions that run
MOST_S = 15.0


def check_named(address: str, key: Key) -> None:
    """Raise `Rejected` for an address that the client may not name: the server would be asked to fetch it."""
    try:
        check_address(address)
    except BadInput as error:
        raise Rejected("invalid_event", error.message, param=GLOSSARY_URL) from error
    if not is_allowed(address, key.glossary_from):
        raise Rejected("not_allowed", "this key may not name a glossary of that address", param=GLOSSARY_URL)


async def fetched_glossary(asked: Asked, key: Key, session: str) -> Glossary:
    """Fetch the glossary of a session, in a thread; raises `Rejected`.

    The operator's own address is told the session and the key, and gets the operator's token; a client's is told nothing.
    """
    address, token = asked.glossary_url, ""
    if address:
        check_named(address, key)
    else:
        mark = "&" if "?" in key.glossary else "?"
        address, token = f"{key.glossary}{mark}{urlencode({'session': session, 'key': key.id})}", token_of_environment()
    wanted: Callable[[], Glossary] = lambda: glossary_from(  # noqa: E731
        [address],
        asked.sources,
        (asked.target, *asked.further),
        most_bytes=MOST_BYTES,
        token=token,
        workbooks=False,  # a small one may hold a table as large as memory
    )
    try:
        async with asyncio.timeout(MOST_S):
            found = await asyncio.to_thread(wanted)
    except (TranslateLiveError, TimeoutError) as error:
        reason = message_of(error) if isinstance(error, TranslateLiveError) else f"nothing came in {MOST_S:g} s"
        raise Rejected("glossary_not_fetched", reason, param=GLOSSARY_URL) from error
    if len(found) > LONGEST_GLOSSARY:
        raise Rejected("glossary_not_fetched", f"it has more than {LONGEST_GLOSSARY} entries", param=GLOSSARY_URL)
    return found


def with_terms_of_key(own: Glossary, of_key: Glossary) -> Glossary:
    """Add the terms of the key's glossary to the session's own, which go before them; none if the two contradict."""
    known = {_place(entry) for entry in own.entries}
    added = [entry for entry in of_key.entries if _place(entry) not in known]
    try:
        return Glossary([*own.entries, *added]) if added else own
    except BadInput:
        return own


def _place(entry: Entry) -> tuple[object, ...]:
    return entry.source.casefold(), entry.language, entry.targets if entry.mode == "ban" else ()
