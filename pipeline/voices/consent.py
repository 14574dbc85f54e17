"""Consent to a copy of a voice: said aloud in a recording, recognized where the profile can, and recorded with its hash."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files
from pathlib import Path

from pipeline.audio.resampling import resampled
from pipeline.contracts import Recognizer
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Samples, Word, text_of
from pipeline.languages import language_name
from pipeline.scripts import IDEOGRAPHS
from pipeline.voices.quality import FINDER_HZ
from pipeline.voices.record import Consent
from pipeline.voices.reference_clip import AnalysedRecording

SHORTEST_S = 1.5  # of speech: no statement is shorter
ALIKE = 0.5  # letters in common of a name and what was heard in its place: Ana and Anna, not Bert
AGREEMENT = 0.9  # the share of words that must be heard, in order, of the longer of both
PRODUCT = "translate live"

_PRODUCT_SPELLINGS = re.compile(r"translate\W*live")
_SINGLY = f"{IDEOGRAPHS}가-힯"  # Hangul too: recognizers put its spaces where they like
_TOKEN = re.compile(rf"[{_SINGLY}]|[^\W_{_SINGLY}]+")
# fmt: off
_NEGATIONS = frozenset({
    "not", "never", "don", "dont", "disagree", "refuse", "nicht", "kein", "keine", "nie", "niemals", "pas", "jamais", "non",
    "mai", "no", "nunca", "jamas", "nao", "не", "нет", "никогда", "不", "没", "沒", "ん", "ぬ", "않", "안",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Statement:
    """The text that the speaker must say to consent."""

    who: str  # the speaker
    language: str
    text: str
    own: bool  # given by the user, not our sentence
    name: str  # of the voice, which the text holds


def statement_for(name: str, language: str, who: str, own_text: str | None) -> Statement:
    """Choose the statement for a voice: our sentence in the speaker's language, or the user's own text.

    Raises `BadInput` for a text that names neither translate-live nor the voice, and where there is no text to say.
    """
    if own_text is not None:
        if not names(own_text, name):
            raise BadInput(f"a consent must name translate-live and {name!r}, as: {consent_sentence('en', name)}")
        return Statement(who, language, own_text, own=True, name=name)
    sentence = consent_sentence(language, name)
    if sentence is None:
        raise BadInput(
            f"there is no statement in {language_name(language)} yet",
            hint=f"a text of consent with what the speaker says, naming translate-live and {name}",
        )
    return Statement(who, language, sentence, own=False, name=name)


def missing_consent(statement: Statement) -> BadInput:
    """Make the error for an enrolment without consent, with what to record."""
    return BadInput("a voice is copied only with its owner's consent", hint=how_to(statement), code="consent")


def how_to(statement: Statement) -> str:
    """Word the hint that says what to record."""
    return f'a recording of consent, in which they say: "{statement.text}"'


async def given_consent(statement: Statement, found: AnalysedRecording, recognizer: Recognizer | None) -> Consent:
    """Make the record of a consent; raises `BadInput` where the recording is no statement.

    Without a ``recognizer`` for the language the user must have confirmed the text (``own``).
    """
    path = found.recording.path
    if found.speech_s < SHORTEST_S:
        raise BadInput(f"{path} holds {found.speech_s:.1f} s of speech, which is no consent", hint=how_to(statement))
    if recognizer is not None:
        samples = resampled(found.recording.samples, found.recording.sample_rate, FINDER_HZ)
        _refuse_other(path, statement, await recognized(recognizer, samples, [statement.language], ["translate-live"]))
    elif not statement.own:
        raise BadInput(
            f"this profile does not hear {language_name(statement.language)}, so the consent cannot be checked; "
            f"confirm what is said in {path}",
            hint=f'a text of consent "{statement.text}"',
        )
    return Consent(
        who=statement.who,
        when=utc_now(),
        statement=statement.text,
        sha256=sha256_of(path),
        checked="confirmed" if recognizer is None else "heard",
    )


async def recognized(
    recognizer: Recognizer, samples: Samples, languages: Sequence[str], expected: Sequence[str] = ()
) -> str:
    """Recognize the text of a 16 kHz recording in these languages (none: any), in which ``expected`` words may be."""
    words: list[Word] = []
    half_second = FINDER_HZ // 2
    async with recognizer.open(languages, expected) as listening:
        for start in range(0, len(samples), half_second):
            chunk = AudioChunk(samples[start : start + half_second], FINDER_HZ, start / FINDER_HZ)
            words += (await listening.hear(chunk)).committed
        words += (await listening.finish()).committed
    return text_of(words)


def _refuse_other(path: Path, statement: Statement, said: str) -> None:
    if agrees(statement.text, said) and not names_heard(statement, said):
        raise BadInput(
            f'{path} is no consent to the voice {statement.name!r}: "{said}" was heard, without that name; '
            "record it again, slowly and clearly",
            hint=how_to(statement),
        )
    if agrees(statement.text, said):
        return
    raise BadInput(
        f'{path} is no consent: "{said}" was heard, {agreement(statement.text, said):.0%} of the statement and '
        f"{AGREEMENT:.0%} are needed; record it again, slowly and clearly",
        hint=how_to(statement),
    )


def utc_now() -> str:
    """Give this moment, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sha256_of(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tokens(text: str) -> list[str]:
    """Split a text into words without case and accents, or characters where words are not spaced; our name spelt once."""
    plain = "".join(
        character for character in unicodedata.normalize("NFKD", text) if unicodedata.category(character) != "Mn"
    )
    plain = unicodedata.normalize("NFC", plain).casefold()
    return _TOKEN.findall(_PRODUCT_SPELLINGS.sub(f" {PRODUCT} ", plain))


def agreement(statement: str, heard: str) -> float:
    """Reckon how much of the statement alone was said, 0..1: words in common, in order, of the longer of both."""
    wanted, said = tokens(statement), tokens(heard)
    common = [0] * (len(said) + 1)
    for token in wanted:  # longest common subsequence
        diagonal = 0
        for place, other in enumerate(said, 1):
            above = common[place]
            common[place] = diagonal + 1 if token == other else max(above, common[place - 1])
            diagonal = above
    return common[-1] / max(len(wanted), len(said), 1)


def agrees(statement: str, heard: str) -> bool:
    """Tell if the statement was said: enough of its words, and no denial that it does not contain."""
    denied = (set(tokens(heard)) - set(tokens(statement))) & _NEGATIONS
    return agreement(statement, heard) >= AGREEMENT and not denied


def names_heard(statement: Statement, said: str) -> bool:
    """Tell if the voice's name, or something like it, was said in its place: recognizers spell names as they like."""
    wanted, heard, name = tokens(statement.text), tokens(said), tokens(statement.name)
    places = [place for place in range(len(wanted)) if wanted[place : place + len(name)] == name]
    if not places:
        return True
    first, last = places[-1], places[-1] + len(name)
    meant, instead = "", ""
    for kind, begin, end, from_, to in SequenceMatcher(None, wanted, heard, autojunk=False).get_opcodes():
        if begin < last and end > first and kind == "equal":
            meant += "".join(wanted[max(begin, first) : min(end, last)])
            instead += "".join(heard[from_ + max(0, first - begin) : to - max(0, end - last)])
        elif begin < last and end > first:
            meant, instead = meant + "".join(wanted[begin:end]), instead + "".join(heard[from_:to])
    return SequenceMatcher(None, meant, instead, autojunk=False).ratio() >= ALIKE


def names(statement: str, name: str) -> bool:
    """Tell if a statement names translate-live and the voice."""
    said = f" {' '.join(tokens(statement))} "
    return f" {PRODUCT} " in said and f" {' '.join(tokens(name))} " in said


def consent_sentence(language: str, name: str) -> str | None:
    """Give the statement to be read aloud, which names translate-live and the voice; none in a language we do not write."""
    sentence = _sentences().get(language, {}).get("consent")
    return sentence.format(name=name) if sentence else None


def preview_sentence(language: str) -> str | None:
    """Give a sentence that shows how a voice sounds."""
    return _sentences().get(language, {}).get("preview")


@cache
def _sentences() -> Mapping[str, Mapping[str, str]]:
    import yaml  # noqa: PLC0415  a file, not code: read when a sentence is first asked for

    text = (files("pipeline.voices") / "sentences.yaml").read_text(encoding="utf-8")
    sentences: dict[str, dict[str, str]] = yaml.safe_load(text)
    return sentences
