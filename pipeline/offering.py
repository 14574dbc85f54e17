"""Which languages a profile hears, translates and speaks, and whether that is enough for a session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from pipeline.errors import BadInput
from pipeline.registry import Backends


@runtime_checkable
class Extendable(Protocol):
    """A translator backend whose languages are packages of the system."""

    def how_to_add(self, source: str, target: str) -> str:
        """The command that may bring a pair."""
        ...


def targets_of(backends: Backends, sources: Iterable[str]) -> list[str]:
    """The languages into which every one of the sources (if any) can be translated, sorted."""
    pairs = backends.translator.pairs()
    wanted = set(sources)
    return sorted(
        target for target in {target for _, target in pairs} if wanted <= {source for source, to in pairs if to == target}
    )


def session_languages(
    backends: Backends, wanted: Sequence[str], targets: Sequence[str], spoken: str | None
) -> tuple[str, ...]:
    """The source languages for a session: those wanted, or the only one there is, or none (detect any).

    Raises `BadInput` that lists what is there for a language that cannot be heard, translated or spoken.
    """
    heard = backends.recognizer.languages()
    for language in wanted:
        if language not in heard:
            raise BadInput(f"this profile does not hear {language!r}; it hears {_list(heard)}; try: another --profile")
    sources = tuple(wanted) or (tuple(heard) if len(heard) == 1 else ())
    for target in targets:
        _check_target(backends, sources, target)
    if spoken is not None and spoken not in backends.spoken():
        known = _list(backends.spoken())
        raise BadInput(f"this profile does not speak {spoken!r}; it speaks {known}; try: --no-speech, or --speak another")
    return sources


def _check_target(backends: Backends, sources: Sequence[str], target: str) -> None:
    if target in sources:
        raise BadInput(f"the speaker already speaks {target!r}; try: another language with --to")
    possible = targets_of(backends, sources)
    if target not in possible:
        from_them = f" from {_list(sources)}" if sources else ""
        step = _how_to_add(backends, sources, target)
        raise BadInput(
            f"this profile does not translate{from_them} to {target!r}; it translates to {_list(possible)}{step}"
        )


def _how_to_add(backends: Backends, sources: Sequence[str], target: str) -> str:
    if isinstance(backends.translator, Extendable) and sources:
        return f"; try: {backends.translator.how_to_add(sources[0], target)}"
    return "; try: another --profile"


def _list(languages: Iterable[str]) -> str:
    return ", ".join(sorted(languages)) or "nothing"
