"""Consent to a copy of a voice: said aloud in a recording, recognized where the profile can, and recorded with its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.contracts import Recognizer
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Samples, Word, text_of
from pipeline.languages import language_name
from pipeline.voices.quality import FINDER_HZ
from pipeline.voices.record import Consent
from pipeline.voices.recording import resampled
from pipeline.voices.reference_clip import Heard
from pipeline.voices.sentences import consent_sentence
from pipeline.voices.statement import AGREEMENT, agreement, agrees, names

SHORTEST_S = 1.5  # of speech: no statement is shorter


@dataclass(frozen=True, slots=True)
class Statement:
    """What the speaker is to say: ``who`` speaks, in which language, and the text; ``own`` if the user gave it."""

    who: str
    language: str
    text: str
    own: bool


def statement_for(name: str, language: str, who: str, own_text: str | None) -> Statement:
    """The statement for a voice: our sentence in the speaker's language, or the user's own text.

    Raises `BadInput` for a text that names neither translate-live nor the voice, and where there is no text to say.
    """
    if own_text is not None:
        if not names(own_text, name):
            raise BadInput(f"--consent-text must name translate-live and {name!r}, as: {consent_sentence('en', name)}")
        return Statement(who, language, own_text, own=True)
    sentence = consent_sentence(language, name)
    if sentence is None:
        raise BadInput(
            f"there is no statement in {language_name(language)} yet; "
            f"try: --consent-text with what the speaker says, naming translate-live and {name}"
        )
    return Statement(who, language, sentence, own=False)


def missing_consent(statement: Statement) -> BadInput:
    """The error for an enrolment without consent: what to record."""
    return BadInput(f"a voice is copied only with its owner's consent; try: {how_to(statement)}")


def how_to(statement: Statement) -> str:
    """How to give consent."""
    return f'--consent FILE, in which they say: "{statement.text}"'


async def given_consent(statement: Statement, found: Heard, recognizer: Recognizer | None) -> Consent:
    """The record of a consent; raises `BadInput` where the recording is no statement.

    Without a ``recognizer`` for the language the user must have confirmed the text (``own``).
    """
    path = found.recording.path
    if found.speech_s < SHORTEST_S:
        raise BadInput(f"{path} holds {found.speech_s:.1f} s of speech, which is no consent; try: {how_to(statement)}")
    if recognizer is not None:
        samples = resampled(found.recording.samples, found.recording.sample_rate, FINDER_HZ)
        _refuse_other(path, statement, await recognized(recognizer, samples, statement))
    elif not statement.own:
        raise BadInput(
            f"this profile does not hear {language_name(statement.language)}, so the consent cannot be checked; "
            f'confirm what is said in {path}; try: --consent-text "{statement.text}"'
        )
    return Consent(
        who=statement.who,
        when=utc_now(),
        statement=statement.text,
        sha256=sha256_of(path),
        checked="confirmed" if recognizer is None else "heard",
    )


async def recognized(recognizer: Recognizer, samples: Samples, statement: Statement) -> str:
    """What a recognizer hears in a 16 kHz recording."""
    words: list[Word] = []
    half_second = FINDER_HZ // 2
    async with recognizer.open([statement.language], ["translate-live"]) as listening:
        for start in range(0, len(samples), half_second):
            chunk = AudioChunk(samples[start : start + half_second], FINDER_HZ, start / FINDER_HZ)
            words += (await listening.hear(chunk)).committed
        words += (await listening.finish()).committed
    return text_of(words)


def _refuse_other(path: Path, statement: Statement, said: str) -> None:
    if agrees(statement.text, said):
        return
    raise BadInput(
        f'{path} is no consent: "{said}" was heard, {agreement(statement.text, said):.0%} of the statement and '
        f"{AGREEMENT:.0%} are needed; record it again, slowly and clearly; try: {how_to(statement)}"
    )


def utc_now() -> str:
    """This moment, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sha256_of(path: Path) -> str:
    """The hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
