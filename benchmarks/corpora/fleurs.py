"""FLEURS (Conneau et al. 2022) as Google hands it out: ``data/LANG/SPLIT.tsv`` and ``data/LANG/audio/SPLIT/FILE.wav``.

Sentences are parallel by id. Ids repeat (up to three readings), and not every id stands in both languages, so utterances
are named by their file. The reference is the target's ``raw_transcription`` (cased, with punctuation).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.corpora.audio import check_audio, check_text
from benchmarks.corpora.tables import TableRow, read_table
from benchmarks.corpora.utterance import DataSet, Issues, Sentence, Utterance, checked, sha256_of
from pipeline.errors import BadInput

COLUMNS = ("id", "file_name", "raw_transcription", "transcription", "chars", "num_samples", "gender")
SPLITS = ("train", "dev", "test")
REFERENCE = "raw_transcription"


def load_fleurs(root: Path, source: str, target: str, split: str = "test") -> DataSet:
    """The readings of a source language whose sentence has a translation; languages by FLEURS's codes (en_us)."""
    base = root / "data" if (root / "data").is_dir() else root
    for code in (source, target):
        if not (base / code).is_dir():
            held = sorted(path.name for path in base.glob("*_*") if path.is_dir())
            raise BadInput(f"{base} has no language {code!r}; it has: {', '.join(held) or 'none'}")
    issues = Issues()
    tables = {code: base / code / f"{split}.tsv" for code in (source, target)}
    rows = {code: read_table(table, COLUMNS, issues) for code, table in tables.items()}
    references = _references(rows[target], issues)
    ends = _word_ends(base / source / f"{split}.word_ends.json")
    seen: set[str] = set()
    utterances = []
    for row in rows[source]:
        if row["file_name"] in seen:
            issues.drop("file named twice", row["file_name"])
            continue
        seen.add(row["file_name"])
        audio = base / source / "audio" / split / row["file_name"]
        if sentence := _sentence(row, audio, references, issues):
            utterances.append(_utterance(row, audio, (source, target), sentence, ends.get(row["file_name"], ())))
    for other in _other_splits(base / source, split):
        for name in sorted(seen & {row["file_name"] for row in read_table(other, COLUMNS, Issues())}):
            issues.note(f"recording is also in split {other.stem}", name)
    for document, count in Counter(utterance.document for utterance in utterances).items():
        if count > 1:
            issues.note("sentence read more than once", document)
    hashes = {f"{code}/{split}.tsv": sha256_of(table) for code, table in tables.items()}
    return checked(DataSet(f"fleurs {split}", "CC BY 4.0", REFERENCE, tuple(utterances), tuple(issues.found), hashes))


def _other_splits(folder: Path, split: str) -> list[Path]:
    """The tables of the other splits that lie there."""
    return [table for table in sorted(folder.glob("*.tsv")) if table.stem != split and table.stem in SPLITS]


def language_of(code: str) -> str:
    """The ISO 639 code of a FLEURS code: en_us is en, cmn_hans_cn zh."""
    first = code.partition("_")[0]
    return {"cmn": "zh", "fil": "tl", "nb": "no"}.get(first, first)


def _references(rows: list[TableRow], issues: Issues) -> dict[str, str]:
    """The translation of each sentence id; the first in order where readings differ."""
    texts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if text := check_text(row[REFERENCE], "reference", f"id {row['id']}", issues):
            texts[row["id"]].add(text)
    for sentence, found in texts.items():
        if len(found) > 1:
            issues.note("reference differs between readings", f"id {sentence}")
    return {sentence: min(found) for sentence, found in texts.items()}


def _sentence(row: TableRow, audio: Path, references: dict[str, str], issues: Issues) -> Sentence | None:
    """The sentence of a reading, checked; None when it must be dropped."""
    where = row["file_name"]
    if row["id"] not in references:
        issues.drop("no translation of its id", where)
        return None
    if not row["num_samples"].isdecimal():
        issues.note("num_samples is no number", where)
    transcript = check_text(row[REFERENCE], "transcript", where, issues)
    stated = int(row["num_samples"]) if row["num_samples"].isdecimal() else None
    duration_s = check_audio(audio, where, issues, stated)
    if transcript is None or duration_s is None:
        return None
    return Sentence(0.0, duration_s, transcript, references[row["id"]])


def _utterance(
    row: TableRow, audio: Path, languages: tuple[str, str], sentence: Sentence, ends: Sequence[float]
) -> Utterance:
    return Utterance(
        name=f"{row['id']}_{audio.stem}",
        document=row["id"],
        audio=str(audio),
        duration_s=sentence.duration_s,
        source_language=language_of(languages[0]),
        target_language=language_of(languages[1]),
        sentences=(sentence,),
        word_ends_s=tuple(ends),
        speaker=row["gender"],
    )


def _word_ends(file: Path) -> dict[str, list[float]]:
    """Known ends of the words of each file, which sets made by `data synth` have."""
    if not file.is_file():
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, list[float]])
    except msgspec.DecodeError as error:
        raise BadInput(f"{file} is broken: {error}. Make the set again with `data synth`") from error
