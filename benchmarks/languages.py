"""The languages that each profile speaks: counts by route and license, from what the backends say of themselves.

Nothing is loaded. ``--page FILE`` also writes the tables of docs/languages.md anew. eSpeak NG, whose languages are those of
the program that is installed, counts in figures of its own only.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.atomic import write_text
from models.model_files import piper_voices
from pipeline.errors import BadInput
from pipeline.languages import language_name, primary
from pipeline.profiles.languages_offered import SpokenRow, counted, spoken_table
from pipeline.profiles.profile import Profile, load_profile, profile_names

COLUMNS = CPU, POCKET, GPU, OMNIVOICE = "cpu", "cpu + Pocket", "gpu", "gpu + OmniVoice"
ESPEAK = ":Espeak"
BEGIN, END = "<!-- languages: begin -->", "<!-- languages: end -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the page to write."""
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables into this page, between its marks")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Count, print, and write the page if one is named."""
    found = figures()
    for name, value in found.items():
        print(f"{value:4.0f}  {name}")
    if arguments.page is not None:
        before, begin, rest = arguments.page.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise BadInput(f"{arguments.page} has no {BEGIN} and {END} to write between")
        write_text(arguments.page, f"{before}{BEGIN}\n\n{tables()}\n{END}{after}")
    return found


def figures() -> dict[str, float]:
    """Count spoken languages: without eSpeak and the non-commercial model, with each, and by route and license."""
    profiles = without_espeak()
    rows, with_espeak = spoken_table(profiles), spoken_table(map(load_profile, profile_names()))
    cpu, pocket, gpu, opted = (counted(rows, column) for column in COLUMNS)
    (of_cpu,) = [profile for profile in profiles if profile.name == CPU]
    found: dict[str, float] = {
        "spoken_languages_cpu": len({primary(code) for code in of_cpu.backends.spoken()}),
        "spoken_languages_cpu_translated_into": cpu["spoken"],
        "spoken_cloned_cpu_with_pocket": pocket["cloned"],
        "spoken_languages_gpu": gpu["spoken"],
        "spoken_cloned_gpu": gpu["cloned"],
        "spoken_languages_gpu_with_omnivoice_cc_by_nc": opted["spoken"],
        "spoken_cloned_gpu_with_omnivoice_cc_by_nc": opted["cloned"],
        "spoken_languages_cpu_translated_into_with_espeak": counted(with_espeak, CPU)["spoken"],
        "spoken_languages_gpu_with_espeak": counted(with_espeak, GPU)["spoken"],
        "target_languages_cpu": cpu["targets"],
        "target_languages_gpu": gpu["targets"],
    }
    routes = Counter(
        f"{column}/{speech}"
        for column in COLUMNS
        for speech in {primary(row.code): row.speech[column] for row in rows if row.speech.get(column)}.values()
    )
    return found | dict(sorted(routes.items()))


def without_espeak() -> list[Profile]:
    """Load every profile without eSpeak NG; this loads no model."""
    profiles = map(load_profile, profile_names())
    return [
        replace(one, stages={stage: choice for stage, choice in one.stages.items() if not choice.use.endswith(ESPEAK)})
        for one in profiles
    ]


def tables() -> str:
    """Write the tables of the page: languages that a neural voice speaks, and the voices of Piper."""
    rows = [row for row in spoken_table(without_espeak()) if any(row.speech.values())]
    return "\n".join([*_languages(rows), "", *_voices(), ""])


def _languages(rows: Sequence[SpokenRow]) -> Iterator[str]:
    own = "`cpu` in voices of one's own (Pocket TTS)"
    yield f"| language | profile `cpu` | {own} | profile `gpu` | `gpu` with OmniVoice, opt-in |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        yield f"| {row.name} ({row.code}) | {' | '.join(_cell(row, column) for column in COLUMNS)} |"


def _cell(row: SpokenRow, column: str) -> str:
    if column not in row.speech:
        return "not translated into"
    speech = row.speech[column]
    if speech is None:
        return "eSpeak NG or text"
    voice = "cloned" if speech.facts.cloned else "preset"
    return f"{speech.synthesizer}, {voice}, {'streaming' if speech.facts.streamed else 'by unit'}, {speech.facts.license}"


def _voices() -> Iterator[str]:
    yield "| language | voice of Piper | license of the recordings | trained |"
    yield "| --- | --- | --- | --- |"
    for name, voice in piper_voices().items():
        trained = voice.trained or "the card does not say from what, or was not read"
        yield f"| {language_name(voice.language)} | `{name}` | [{voice.license}]({voice.source}) | {trained} |"
