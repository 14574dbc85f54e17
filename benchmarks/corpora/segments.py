"""Talks with a segment list, as MuST-C, ACL 60/60 and MCIF are handed out.

``SPLIT.yaml`` lists ``{duration, offset, wav, …}``; to each entry belongs a line of ``SPLIT.SRC`` and of ``SPLIT.TGT``. The
talks lie anywhere below. Each talk is one utterance with many reference sentences.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import msgspec
import yaml

from benchmarks.corpora.audio import check_audio, check_text
from benchmarks.corpora.utterance import DataSet, Issues, Sentence, Utterance, checked, sha256_of
from pipeline.errors import BadInput

LONGEST_TALK_S = 4 * 3600.0


class Segment(msgspec.Struct, frozen=True):
    """An entry of the segment list; other keys are of no concern."""

    wav: str
    offset: float
    duration: float
    speaker_id: str = ""


def load_segments(root: Path, source: str, target: str, split: str) -> DataSet:
    """The talks of a split; raises `BadInput` when the list and the texts do not have the same number of lines."""
    files = {name: _find(root, f"{split}.{name}") for name in ("yaml", source, target)}
    segments = _segments(files["yaml"])
    texts = {code: _lines(files[code]) for code in (source, target)}
    for code, lines in texts.items():
        if len(lines) != len(segments):
            raise BadInput(f"{files[code]} has {len(lines)} lines for {len(segments)} segments of {files['yaml'].name}")
    issues = Issues()
    talks: dict[str, list[Sentence]] = defaultdict(list)
    for number, (segment, said, wanted) in enumerate(zip(segments, texts[source], texts[target], strict=True), 1):
        where = f"{files['yaml'].name} segment {number}"
        transcript = check_text(said, "transcript", where, issues)
        reference = check_text(wanted, "translation", where, issues)
        if transcript is not None and reference is not None:
            talks[segment.wav].append(Sentence(segment.offset, segment.duration, transcript, reference))
    utterances = [
        talk for wav, sentences in talks.items() if (talk := _talk(root, wav, sentences, (source, target), issues))
    ]
    hashes = {file.name: sha256_of(file) for file in files.values()}
    return checked(DataSet(split, "see its source", "translation", tuple(utterances), tuple(issues.found), hashes))


def _talk(root: Path, wav: str, sentences: list[Sentence], languages: tuple[str, str], issues: Issues) -> Utterance | None:
    audio = next((path for path in sorted(root.rglob(Path(wav).name)) if path.is_file()), root / "wav" / wav)
    duration_s = check_audio(audio, wav, issues, longest_s=LONGEST_TALK_S)
    if duration_s is None:
        return None
    ordered = tuple(sorted(sentences, key=lambda sentence: sentence.offset_s))
    if list(ordered) != sentences:
        issues.note("segments out of order", wav)
    if ordered[-1].offset_s + ordered[-1].duration_s > duration_s + 0.5:
        issues.note("segments end after the audio", wav)
    name = Path(wav).stem
    return Utterance(name, name, str(audio), duration_s, *languages, ordered)


def _segments(file: Path) -> list[Segment]:
    try:
        return msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), list[Segment], strict=False)
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadInput(f"{file} is no list of segments with wav, offset and duration: {error}") from error


def _find(root: Path, name: str) -> Path:
    found = sorted(root.rglob(name))
    if not found:
        raise BadInput(f"{root} holds no {name}; expected the split's segment list and one text file per language")
    return found[0]


def _lines(file: Path) -> list[str]:
    text = file.read_bytes().decode("utf-8", errors="strict").removesuffix("\n")
    return [line.removesuffix("\r") for line in text.split("\n")]
