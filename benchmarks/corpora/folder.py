"""A plain folder of recordings with ``transcripts.tsv``: file, language, transcript, and a translation_XX per target."""

from __future__ import annotations

from pathlib import Path

from benchmarks.corpora.audio import check_audio, check_text
from benchmarks.corpora.tables import TableRow, read_table, require
from benchmarks.corpora.utterance import DataSet, Issues, Sentence, Utterance, checked, sha256_of
from pipeline.errors import BadInput

TABLE = "transcripts.tsv"


def load_folder(folder: Path, source: str, target: str) -> DataSet:
    """The recordings of ``source`` that have a translation into ``target``; raises `BadInput` if there are none."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder; give one with audio files and {TABLE}")
    issues = Issues()
    table = folder / TABLE
    rows = read_table(table, None, issues)
    require(table, rows, ("file", "language", "transcript", f"translation_{target}"))
    seen: set[str] = set()
    utterances = []
    for row in rows:
        if row["file"] in seen:
            issues.drop("file named twice", row["file"])
        elif row["language"] != source:
            issues.drop(f"language is {row['language']}, not {source}", row["file"])
        elif utterance := _utterance(folder, row, target, issues):
            utterances.append(utterance)
        seen.add(row["file"])
    hashes = {TABLE: sha256_of(table)}
    return checked(DataSet(folder.name, "see its README", "translation", tuple(utterances), tuple(issues.found), hashes))


def _utterance(folder: Path, row: TableRow, target: str, issues: Issues) -> Utterance | None:
    where = row["file"]
    transcript = check_text(row["transcript"], "transcript", where, issues)
    reference = check_text(row[f"translation_{target}"], "translation", where, issues)
    duration_s = check_audio(folder / where, where, issues)
    if transcript is None or reference is None or duration_s is None:
        return None
    name = Path(where).stem
    sentence = Sentence(0.0, duration_s, transcript, reference)
    return Utterance(name, name, str(folder / where), duration_s, row["language"], target, (sentence,))
