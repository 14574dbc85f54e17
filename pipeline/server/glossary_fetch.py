"""A client's glossary and hints from addresses, by the policy of its key, beside the session, and what of it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlencode

from pipeline.contracts import Translator
from pipeline.engine import Engine
from pipeline.errors import BadInput, TranslateLiveError
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary
from pipeline.request import ResolvedRequest
from pipeline.server.access import Key
from pipeline.server.asked import GLOSSARY, GLOSSARY_URL, HINTS_URL, LONGEST_GLOSSARY, Asked, Rejected, one_line
from pipeline.sources.glossary_address import check_address, glossary_from, hints_from, is_allowed, token_of_environment
from pipeline.stages.translate import check_terms

MOST_BYTES = 256 * 1024  # it is parsed beside sessions that run
MOST_S = 15.0
MOST_TOLD = 10  # terms
Found = TypeVar("Found")


def check_addresses(asked: Asked, key: Key, before: Asked | None = None) -> None:
    """Raise `Rejected` for a new address that the client may not name: the server would be asked to fetch it."""
    for param, address, known in (
        (GLOSSARY_URL, asked.glossary_url, before and before.glossary_url),
        (HINTS_URL, asked.hints_url, before and before.hints_url),
    ):
        if not address or address == known:
            continue
        try:
            check_address(address)
        except BadInput as error:
            raise Rejected("invalid_event", error.message, param=param) from error
        if not is_allowed(address, key.glossary_from):
            raise Rejected("not_allowed", "this key may not name that address", param=param)


async def fetched_glossary(named: str, asked: Asked, key: Key, session: str) -> Glossary:
    """Fetch the glossary of a session from where its client (``named``) or its key says; raises `Rejected`."""
    address, token = _place(named, key.glossary, key, session)
    found = await _fetched(
        lambda: glossary_from(
            [address],
            asked.sources,
            (asked.target, *asked.further),
            most_bytes=MOST_BYTES,
            token=token,
            workbooks=False,  # a small one may hold a table as large as memory
        ),
        "glossary_not_fetched",
        GLOSSARY_URL,
    )
    if len(found) > LONGEST_GLOSSARY:
        raise Rejected("glossary_not_fetched", f"it has more than {LONGEST_GLOSSARY} entries", param=GLOSSARY_URL)
    return found


async def fetched_hints(named: str, key: Key, session: str) -> tuple[str, ...]:
    """Fetch words that may be said from where the client (``named``) or its key says; raises `Rejected`."""
    address, token = _place(named, key.hints, key, session)
    fetch = lambda: hints_from([address], most_bytes=MOST_BYTES, token=token)  # noqa: E731
    return await _fetched(fetch, "hints_not_fetched", HINTS_URL)


def _place(named: str, of_key: str, key: Key, session: str) -> tuple[str, str]:
    """Give address and token: the operator's is told session and key, and gets the operator's token; a client's nothing."""
    if named:
        return named, ""
    mark = "&" if "?" in of_key else "?"
    return f"{of_key}{mark}{urlencode({'session': session, 'key': key.id})}", token_of_environment()


async def _fetched(fetch: Callable[[], Found], code: str, param: str) -> Found:
    """Fetch in a thread, for so long; raises `Rejected`."""
    try:
        async with asyncio.timeout(MOST_S):
            return await asyncio.to_thread(fetch)
    except (TranslateLiveError, TimeoutError) as error:
        reason = one_line(error) if isinstance(error, TranslateLiveError) else f"nothing came in {MOST_S:g} s"
        raise Rejected(code, reason, param=param) from error


def with_terms_of_key(own: Glossary, of_key: Glossary) -> Glossary:
    """Add the terms of the key's glossary to the session's own, which go before them; none if the two contradict."""
    known = {_entry(entry) for entry in own.entries}
    added = [entry for entry in of_key.entries if _entry(entry) not in known]
    try:
        return Glossary([*own.entries, *added]) if added else own
    except BadInput:
        return own


class WritableTerms:
    """The terms of a session's glossary that its models can write; those that they cannot are looked for once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._unwritable: set[Entry] = set()

    def of(self, request: ResolvedRequest) -> ResolvedRequest:
        """Return a request without the terms that were found to be unwritable."""
        if not self._unwritable:
            return request
        entries = [entry for entry in request.request.glossary.entries if entry not in self._unwritable]
        return replace(request, request=replace(request.request, glossary=Glossary(entries)))

    async def run(
        self,
        request: ResolvedRequest,
        work: Callable[[ResolvedRequest], Awaitable[Found]],
        tell: Callable[[Rejected], None],
    ) -> Found:
        """Do ``work``, which runs a session; where that refuses terms, tell which, and do it again without them."""
        try:
            return await work(self.of(request))
        except BadInput:  # before anything is heard
            if (left_out := await self.left_out(self.of(request))) is None:
                raise
        tell(left_out)
        return await work(self.of(request))

    async def left_out(self, request: ResolvedRequest) -> Rejected | None:
        """Look for terms that the models cannot be held to; gives the error that names them, if there are any."""
        models, options = await self._engine.prepare(request)
        found = await _refused(request.request.glossary.entries, models.translator, options.pairs())
        if not found:
            return None
        self._unwritable |= found.keys()
        more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
        return Rejected("terms_left_out", f"left out: {'; '.join(list(found.values())[:MOST_TOLD])}{more}", param=GLOSSARY)


async def _refused(
    entries: Sequence[Entry], translator: Translator, pairs: Collection[tuple[str, str]]
) -> dict[Entry, str]:
    """Return the entries that a translator refuses, with its reason, by halves: most are right."""
    try:
        await check_terms(translator, Glossary(entries), pairs)
    except BadInput as error:
        if len(entries) == 1:
            return {entries[0]: error.message}
        middle = len(entries) // 2
        return await _refused(entries[:middle], translator, pairs) | await _refused(entries[middle:], translator, pairs)
    return {}


def _entry(entry: Entry) -> tuple[object, ...]:
    return entry.source.casefold(), entry.language, entry.targets if entry.mode == "ban" else ()
