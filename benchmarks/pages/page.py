"""One HTML file with everything in it: no scripts, no fonts, no addresses elsewhere, so it opens in ten years."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.metrics.definitions import definition_of
from benchmarks.runs.folder import About
from benchmarks.runs.row import Row
from benchmarks.runs.scoring import Scores

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.2rem;border-bottom:1px solid #e4e7eb}
table{border-collapse:collapse;width:100%;font-size:.87rem}td,th{padding:.25rem .6rem;text-align:left;
vertical-align:top;border-bottom:1px solid #e4e7eb}td.n{text-align:right;font-variant-numeric:tabular-nums}
.muted{color:#7b8794}.warn{background:#fff3cd;padding:.5rem .8rem}img{max-width:100%}audio{width:100%}
pre{white-space:pre-wrap;font-size:.78rem;background:#f5f7fa;padding:.8rem}
"""

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


def render(
    about: About, scores: Scores, pictures: Mapping[str, bytes], samples: Sequence[Sample], others: Mapping[str, Scores]
) -> str:
    """The page of a run, beside the headline figures of other runs."""
    title = f"{about.get('system', 'run')} · {about.get('data', {}).get('name', '')} · {about.get('clock', '')} clock"
    warnings = "".join(f'<p class="warn">{html.escape(flag)}</p>' for flag in scores.flags)
    images = "".join(f"<h2>{html.escape(name)}</h2>{image(data)}" for name, data in pictures.items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style><h1>{html.escape(title)}</h1>{warnings}"
        f"{headlines(scores, others)}{images}<h2>Utterances</h2>{''.join(map(sample, samples))}"
        f"<h2>All figures and what they mean</h2>{table(scores)}"
        f"<h2>What ran</h2><pre>{html.escape(json.dumps(about, indent=2, ensure_ascii=False))}</pre></html>"
    )


def headlines(scores: Scores, others: Mapping[str, Scores]) -> str:
    """The few figures that decide, a column per run."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in others)
    rows = "".join(
        f"<tr><td>{name}</td>{cell(scores, name)}{''.join(cell(other, name) for other in others.values())}</tr>"
        for name in HEADLINES
    )
    return f"<table><tr><th></th><th>this run</th>{head}</tr>{rows}</table>"


def cell(scores: Scores, name: str) -> str:
    """A number, or a dash."""
    figure = scores.figures.get(name)
    return f'<td class="n">{"–" if figure is None or figure.value is None else format(figure.value, ".3f")}</td>'  # noqa: RUF001


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
    texts = "".join(f'<tr><td class="muted">{name}</td><td>{html.escape(text)}</td></tr>' for name, text in lines.items())
    player = f'<audio controls src="data:audio/ogg;base64,{encoded(item.audio)}"></audio>' if item.audio else ""
    picture = image(item.picture) if item.picture else ""
    return f"<h3>{html.escape(item.row.utterance)}</h3><table>{texts}</table>{picture}{player}"


def image(data: bytes) -> str:
    """A PNG inside the page."""
    return f'<img alt="" src="data:image/png;base64,{encoded(data)}">'


def encoded(data: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(data).decode()


def as_ogg(file: Path, longest_s: float = 60.0) -> bytes | None:
    """A recording as Ogg Vorbis, small enough to stand in a page; None when it is not there."""
    import soundfile  # noqa: PLC0415

    if not file.is_file():
        return None
    samples, rate = soundfile.read(file, dtype="float32", stop=None)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples[: round(longest_s * rate)], rate, format="OGG", subtype="VORBIS")
    return buffer.getvalue()
