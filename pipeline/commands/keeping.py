"""Notes of what a session keeps: its files, for erasure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.commands.translate_plan import Plan
from pipeline.contracts import Sink
from pipeline.privacy.erasure import sweep
from pipeline.privacy.ledger import Ledger, LedgerSink, kept_session
from pipeline.sinks.speech_file import recorded_files


def keeping(plan: Plan, session: str) -> Iterator[Sink]:
    """Give the sink that lists the files of a session, if it writes any."""
    options = plan.options
    recorded = recorded_files(options.record, plan.tracks) if options.record else []
    if plan.written or recorded:
        speakers = [name for record in plan.resolved.enrolled for name in (record.name, record.consent.who)]
        kept = kept_session(session, plan.written, recorded, speakers, options.sharing.retention_days)
        yield LedgerSink(Ledger(), kept)


def swept(tell: Callable[[str], None]) -> None:
    """Delete recordings whose time is over, and tell."""
    done = sweep(Ledger())
    for line in done.gone:
        tell(f"retention: deleted {line}")
    for line in done.left:
        tell(f"retention: could not delete {line}")
