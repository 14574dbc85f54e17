"""CoVoST 2 (Wang et al. 2020) over Common Voice: ``covost_v2.SRC_TGT.SPLIT.tsv`` beside ``clips``.

Columns path, sentence, translation, client_id; tabs, no quoting, a backslash escapes. Clips are MP3 at 48 kHz, or the same
names as WAV.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.corpora.audio import check_audio, check_text
from benchmarks.corpora.tables import TableRow, read_table, require
from benchmarks.corpora.utterance import DataSet, Issues, Sentence, Utterance, checked, sha256_of
from pipeline.errors import BadInput

COLUMNS = ("path", "sentence", "translation", "client_id")


def load_covost(root: Path, source: str, target: str, split: str = "test") -> DataSet:
    """The clips of a split; languages by CoVoST's codes (zh-CN, sv-SE)."""
    name = f"covost_v2.{source}_{target}.{split}.tsv"
    tables = sorted(path for folder in (root, root / source) for path in folder.glob(name))
    if not tables:
        raise BadInput(
            f"{root} has no {name}; make it with CoVoST's get_covost_splits.py from covost_v2.{source}_{target}.tsv"
        )
    issues = Issues()
    rows = read_table(tables[0], None, issues, escapes=True)
    require(tables[0], rows, COLUMNS)
    clips = next((path for path in (root / source / "clips", root / "clips", root) if path.is_dir()), root)
    seen: set[str] = set()
    utterances = []
    for row in rows:
        if row["path"] in seen:
            issues.drop("file named twice", row["path"])
        elif utterance := _utterance(row, clips, (source, target), issues):
            utterances.append(utterance)
        seen.add(row["path"])
    hashes = {name: sha256_of(tables[0])}
    return checked(DataSet(f"covost2 {split}", "CC0", "translation", tuple(utterances), tuple(issues.found), hashes))


def _utterance(row: TableRow, clips: Path, languages: tuple[str, str], issues: Issues) -> Utterance | None:
    where = row["path"]
    transcript = check_text(row["sentence"], "transcript", where, issues)
    reference = check_text(row["translation"], "translation", where, issues)
    audio = next((path for path in (clips / where, (clips / where).with_suffix(".wav")) if path.is_file()), clips / where)
    duration_s = check_audio(audio, where, issues)
    if transcript is None or reference is None or duration_s is None:
        return None
    name = Path(where).stem
    return Utterance(
        name=name,
        document=name,
        audio=str(audio),
        duration_s=duration_s,
        source_language=languages[0].partition("-")[0],
        target_language=languages[1].partition("-")[0],
        sentences=(Sentence(0.0, duration_s, transcript, reference),),
        speaker=row["client_id"],
    )
