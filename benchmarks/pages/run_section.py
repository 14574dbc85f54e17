"""A run's part of the page: what decides, its pictures, utterances to look at and listen to, and every figure."""

from __future__ import annotations

import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.metrics.definitions import definition_of
from benchmarks.pages.page import encoded, figure, folded, image, number
from benchmarks.runs.folder import About
from benchmarks.runs.row import Row
from benchmarks.runs.scoring import Scores

LONGEST_TEXT = 700  # characters

HEADLINES = (
    "ear_voice_span_p50_s",
    "ear_voice_span_p90_s",
    "first_audio_s",
    "end_lag_s",
    "drift_s_per_minute",
    "units_skipped_share",
    "wer",
    "bleu",
    "chrf",
    "compute_rtf",
    "silence_ratio",
    "peak_memory_mb",
    "memory_growth_mb_per_minute",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """An utterance to look at and listen to."""

    row: Row
    transcript: str
    reference: str
    audio: bytes | None
    picture: bytes | None


@dataclass(frozen=True, slots=True)
class RunPart:
    """A run to show: its name, what ran, its figures, its pictures by title, and utterances."""

    name: str
    about: About
    scores: Scores
    pictures: Mapping[str, bytes]
    samples: Sequence[Sample]

    @property
    def title(self) -> str:
        """Name what ran on what, by which clock."""
        data = self.about.get("data", {}).get("name", "")
        return " · ".join(
            part for part in (self.about.get("system", "run"), data, f"{self.about.get('clock', '')} clock") if part
        )


def section(part: RunPart) -> str:
    """The run, without its headline figures."""
    warnings = "".join(f'<p class="warn">{html.escape(flag)}</p>' for flag in part.scores.flags)
    skipped = "".join(
        f'<p class="warn">scorer {html.escape(name)} was skipped: {html.escape(why)}</p>'
        for name, why in part.scores.skipped_scorers.items()
    )
    images = "".join(figure(name, data) for name, data in part.pictures.items())
    about = json.dumps(part.about, indent=2, ensure_ascii=False)
    return (
        f'<h2>{html.escape(part.name)}</h2><p class="muted">{html.escape(part.title)}</p>{warnings}{skipped}{images}'
        f"<h3>Utterances</h3>{''.join(map(sample, part.samples))}"
        f"{folded('All figures and what they mean', table(part.scores))}"
        f"{folded('What ran', f'<pre>{html.escape(about)}</pre>')}"
    )


def headlines(runs: Mapping[str, Scores]) -> str:
    """The few figures that decide, a column per run."""
    head = "".join(f'<th class="n">{html.escape(name)}</th>' for name in runs)
    rows = "".join(
        f"<tr><td>{name}</td>{''.join(cell(scores, name) for scores in runs.values())}"
        f'<td class="muted">{html.escape(definition_of(name).text)}</td></tr>'
        for name in HEADLINES
    )
    return f"<table><tr><th></th>{head}<th></th></tr>{rows}</table>"


def cell(scores: Scores, name: str) -> str:
    """A number, or a dash."""
    return f'<td class="n">{number(scores.value(name))}</td>'


def table(scores: Scores) -> str:
    """Every figure with its definition."""
    rows = "".join(
        f'<tr><td>{html.escape(name)}</td>{cell(scores, name)}<td class="muted">{html.escape(figure.definition)}</td>'
        f'<td class="muted">{html.escape(definition_of(name).text)}</td></tr>'
        for name, figure in scores.figures.items()
    )
    signatures = "".join(f'<p class="muted">{name}: {html.escape(text)}</p>' for name, text in scores.signatures.items())
    return f"<table>{rows}</table>{signatures}"


def sample(item: Sample) -> str:
    """An utterance: source, recognized, translation, reference, its timeline and its speech."""
    lines = {
        "said": item.transcript,
        "recognized": item.row.transcript,
        "translation": item.row.hypothesis or f"({item.row.error or 'nothing'})",
        "reference": item.reference,
    }
    texts = "".join(
        f'<tr><td class="muted">{name}</td><td>{html.escape(_beginning(text))}</td></tr>' for name, text in lines.items()
    )
    player = f'<audio controls src="data:audio/ogg;base64,{encoded(item.audio)}"></audio>' if item.audio else ""
    picture = image(item.picture) if item.picture else ""
    return f"<h3>{html.escape(item.row.utterance)}</h3><table>{texts}</table>{picture}{player}"


def _beginning(text: str) -> str:
    """A text, of a whole talk only the beginning."""
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT].rpartition(' ')[0] or text[:LONGEST_TEXT]} … ({len(text.split())} words in all)"


def as_ogg(file: Path, longest_s: float = 60.0) -> bytes | None:
    """A recording as Ogg Vorbis, small enough to stand in a page; None when it is not there."""
    import soundfile  # noqa: PLC0415

    if not file.is_file():
        return None
    samples, rate = soundfile.read(file, dtype="float32", stop=None)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples[: round(longest_s * rate)], rate, format="OGG", subtype="VORBIS")
    return buffer.getvalue()
