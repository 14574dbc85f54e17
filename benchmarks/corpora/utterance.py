"""Utterances, and the faults of the data: the product of every loader."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from benchmarks.atomic import write_text
from pipeline.errors import BadInput
from pipeline.languages import language_names


@dataclass(frozen=True, slots=True)
class Sentence:
    """A reference sentence and where in the recording it is said, in seconds."""

    offset_s: float
    duration_s: float
    transcript: str
    reference: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording to interpret, whole: a sentence of FLEURS, or a talk with many reference sentences.

    ``name`` is unique in its set, ``document`` groups what belongs together when resampling; ``word_ends_s`` are known
    ends of the source words, if any; ``terms`` are (source, target) pairs that must be said.
    """

    name: str
    document: str
    audio: str
    duration_s: float
    source_language: str
    target_language: str
    sentences: tuple[Sentence, ...]
    word_ends_s: tuple[float, ...] = ()
    speaker: str = ""
    terms: tuple[tuple[str, str], ...] = ()

    @property
    def transcript(self) -> str:
        """All that is said."""
        return " ".join(sentence.transcript for sentence in self.sentences)

    @property
    def reference(self) -> str:
        """Its whole translation."""
        return " ".join(sentence.reference for sentence in self.sentences)


@dataclass(frozen=True, slots=True)
class Issue:
    """Something wrong with the data: its kind, where, and whether the utterance was dropped for it."""

    kind: str
    where: str
    dropped: bool


@dataclass(slots=True)
class Issues:
    """Collects what is wrong, so that a loader drops nothing without saying so."""

    found: list[Issue] = field(default_factory=list)

    def drop(self, kind: str, where: str) -> None:
        """The utterance cannot be used."""
        self.found.append(Issue(kind, where, dropped=True))

    def note(self, kind: str, where: str) -> None:
        """The utterance is used all the same."""
        self.found.append(Issue(kind, where, dropped=False))

    def counts(self) -> dict[str, int]:
        """Count the issues of each kind."""
        return dict(sorted(Counter(issue.kind for issue in self.found).items()))


@dataclass(frozen=True, slots=True)
class DataSet:
    """A loaded set: its utterances in order, its issues, and the SHA-256 of the tables it was read from."""

    name: str
    license: str
    reference_field: str
    utterances: tuple[Utterance, ...]
    issues: tuple[Issue, ...]
    sha256: dict[str, str]

    @property
    def names_sha256(self) -> str:
        """One hash over the names of the utterances, in order: which items a figure is about."""
        return hashlib.sha256("\n".join(item.name for item in self.utterances).encode()).hexdigest()


def checked(dataset: DataSet) -> DataSet:
    """The set, with its unknown language codes noted; raises `BadInput` if nothing in it can be used, and says why."""
    if not dataset.utterances:
        why = ", ".join(f"{count} x {kind}" for kind, count in Issues(list(dataset.issues)).counts().items())
        raise BadInput(f"nothing in {dataset.name} can be used: {why or 'its table has no rows'}. `data check` lists all")
    codes = {code for item in dataset.utterances for code in (item.source_language, item.target_language)}
    others = sorted(code for code in codes if code.lower().partition("-")[0] not in language_names())
    unknown = [Issue("unknown language", code, dropped=False) for code in others]
    return replace(dataset, issues=(*dataset.issues, *unknown))


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_manifest(file: Path, utterances: Iterable[Utterance]) -> None:
    """One line of JSON per utterance."""
    write_text(file, "".join(msgspec.json.encode(utterance).decode() + "\n" for utterance in utterances))


def read_manifest(file: Path) -> Sequence[Utterance]:
    """Read what `write_manifest` wrote; raises `BadInput`."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
        return [msgspec.json.decode(line, type=Utterance) for line in lines if line]
    except (OSError, msgspec.DecodeError) as error:
        raise BadInput(f"cannot read the manifest {file}: {error}. Give a folder that `benchmarks run` wrote") from error
