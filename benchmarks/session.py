"""The whole pipeline of a profile on real speech: latency, accuracy, speed, memory, and an hour of scripted session."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.corpora.audio import CORPUS_HZ, read_audio, speech_bounds_s, write_audio
from benchmarks.corpora.folder import load_folder
from benchmarks.corpora.talk import join
from benchmarks.corpora.utterance import Issues, Utterance
from benchmarks.fed_whole import Transcribe, whole_decoder
from benchmarks.long_session import hour_figures
from benchmarks.memory import Memory
from benchmarks.metrics import speech_latency
from benchmarks.metrics.quality import text_score, word_error_rate
from benchmarks.prosody import prosody_figures
from benchmarks.runs.row import Clock, Row, physics
from benchmarks.systems.in_process import Outcome, SourceAudio, interpret, named
from pipeline.clock import LoopClock
from pipeline.contracts import Sink, TranslationRequest
from pipeline.engine import Engine
from pipeline.errors import ModelError
from pipeline.events import Samples
from pipeline.profiles.profile import Profile, load_profile, require, what_is_missing
from pipeline.request import SessionRequest
from pipeline.session import Session
from pipeline.sinks.event_log import EventLog, read_events
from pipeline.sinks.summary import Summary, summarize


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to measure, on what."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="recordings and transcripts.tsv (file, language, …)")
    parser.add_argument("--profile", default="cpu", help="the profile to measure (cpu)")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a setting of the profile")
    parser.add_argument("--from", dest="source", default="en", metavar="XX", help="spoken language (en)")
    parser.add_argument("--to", dest="target", default="pt", metavar="XX", help="target language (pt)")
    parser.add_argument("--fast", action="store_true", help="only as fast as possible: no latencies at real-time pace")
    parser.add_argument("--no-hour", action="store_true", help="leave out the hour of scripted session")
    parser.add_argument("--prosody", action="store_true", help="only how speech follows the speaker's rate and pauses")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep event logs and the speech of every recording here")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Each recording and all joined: as fast as possible for speed, at real-time pace for latency."""
    profile = load_profile(arguments.profile, None, arguments.set)
    require(profile.name, what_is_missing(profile))
    dataset = load_folder(arguments.folder, arguments.source, arguments.target)
    for kind, count in Issues(list(dataset.issues)).counts().items():
        print(f"data: {count} x {kind}")
    if arguments.prosody:
        figures = prosody_figures(profile, dataset.utterances)
        _print(figures)
        return figures
    with tempfile.TemporaryDirectory() as folder:
        keep = arguments.keep or Path(folder)
        figures = asyncio.run(_measure(profile, dataset.utterances, keep, real_time=not arguments.fast))
    figures["cold_start_s"] = cold_start_s(arguments.profile, arguments.set, arguments.source, arguments.target)
    if not arguments.no_hour:
        figures |= hour_figures()
    _print(figures)
    return figures


async def _measure(profile: Profile, utterances: Sequence[Utterance], keep: Path, real_time: bool) -> dict[str, float]:
    with Memory() as memory:
        async with Engine.load(profile) as engine:
            bench = SessionBench(engine, keep)
            talk, audio = join(utterances, "talk")
            fast = [await bench.interpret(utterance, "cu") for utterance in utterances]
            fast_talk = await bench.interpret(talk, "cu", audio)
            paced = [await bench.interpret(utterance, "real") for utterance in utterances] if real_time else []
            paced += [await bench.interpret(talk, "real", audio)] if real_time else []
            whole = await bench.translate_whole(utterances, [row for row, _ in fast])
    figures = {**_speed(fast), **_accuracy(utterances, fast), **_accuracy([talk], [fast_talk], "talk_")}
    figures |= whole | {"chrf_below_whole": whole["chrf_recognized_whole"] - figures["chrf"]}
    if transcribe := whole_decoder(profile.backends.recognizer):
        recordings = [read_audio(Path(utterance.audio)) for utterance in utterances]
        figures |= _against_whole(transcribe, utterances, recordings, figures["wer"])
        figures |= _against_whole(transcribe, [talk], [(audio, CORPUS_HZ)], figures["talk_wer"], "talk_")
    if paced:
        spoken_talk = speech_latency.figures([paced[-1][0]])
        figures |= _latency([row for row, _ in paced]) | {"talk_" + name: value for name, value in spoken_talk.items()}
        summaries = [summary for _, summary in paced]
        figures["units_skipped"] = float(sum(summary.units_skipped for summary in summaries))
        figures["words_unspoken"] = float(sum(summary.words_unspoken for summary in summaries))
    return figures | _checks([*fast, fast_talk, *paced]) | {"peak_memory_mb": memory.peak_mb}


class SessionBench:
    """Runs utterances through one engine, each in a session of its own."""

    def __init__(self, engine: Engine, keep: Path) -> None:
        self._engine = engine
        self._keep = keep

    async def interpret(self, utterance: Utterance, clock: Clock, audio: Samples | None = None) -> tuple[Row, Summary]:
        """The row of an utterance, whose ``audio`` is read or given as samples [n] at 16 kHz, and what its log says."""
        samples, rate = read_audio(Path(utterance.audio)) if audio is None else (audio, CORPUS_HZ)
        target = utterance.target_language
        models, options = await self._engine.prepare(SessionRequest((target,), (utterance.source_language,), spoken=target))
        log = self._keep / f"{utterance.name}.{clock}.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        about = {"profile": self._engine.profile.name, "source": utterance.source_language, "target": target}

        def event_log(session: Session) -> Sequence[Sink]:
            return [EventLog(log, about, LoopClock(), session.clock_time)]

        heard = SourceAudio(samples, rate, *speech_bounds_s(samples, rate))
        outcome: Outcome = await interpret(models, options, heard, clock, event_log)
        outcome = named(outcome, utterance.name, utterance.document)
        if len(outcome.speech):
            write_audio(self._keep / f"{utterance.name}.{clock}.wav", outcome.speech, outcome.speech_hz)
        row = replace(outcome.row, audio=f"{utterance.name}.{clock}.wav")
        return row, summarize(read_events(log))

    async def translate_whole(self, utterances: Sequence[Utterance], rows: Sequence[Row]) -> dict[str, float]:
        """Return the chrF of the same translator fed whole recordings: as they were said, and as they were recognized."""
        source, target = utterances[0].source_language, utterances[0].target_language
        models, _ = await self._engine.prepare(SessionRequest((target,), (source,), spoken=target))
        references = [utterance.reference for utterance in utterances]

        async def chrf(texts: Sequence[str]) -> float:
            asked = [TranslationRequest(text.strip(), source, target) for text in texts]
            return text_score(references, [(await models.translator.translate(one)).text for one in asked], target).chrf

        return {
            "chrf_fed_whole": await chrf([utterance.transcript for utterance in utterances]),
            "chrf_recognized_whole": await chrf([row.transcript for row in rows]),
        }


def cold_start_s(profile: str, assignments: Sequence[str], source: str, target: str, runs: int = 3) -> float:
    """Median seconds from starting a new process until its session could hear: imports, models, the pair warm."""
    settings = (profile, list(assignments), source, target)
    code = (
        "import asyncio, sys\n"
        "from pipeline.engine import Engine\n"
        "from pipeline.profiles.profile import load_profile\n"
        "from pipeline.request import SessionRequest\n"
        f"profile, assignments, source, target = {settings!r}\n"
        "async def start():\n"
        "    async with Engine.load(load_profile(profile, None, assignments)) as engine:\n"
        "        await engine.session(SessionRequest((target,), (source,), spoken=target))\n"
        "        print('ready', flush=True)\n"
        "asyncio.run(start())\n"
    )
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            ready = process.stdout.readline()
            taken.append(time.perf_counter() - began)
        if ready != "ready\n":
            raise ModelError("a new process could not start a session")
    return median(taken)


def _speed(runs: Sequence[tuple[Row, Summary]]) -> dict[str, float]:
    """Wall time per second of audio, all stages together, as fast as possible; and the models' share of it."""
    rows = [row for row, _ in runs]
    rtf = sum(row.wall_s for row in rows) / sum(row.source_s for row in rows)
    return {"rtf": rtf, **speech_latency.busy_figures(rows)}


def _accuracy(utterances: Sequence[Utterance], runs: Sequence[tuple[Row, Summary]], prefix: str = "") -> dict[str, float]:
    """Word error rate of what was recognized, BLEU and chrF of what was said; pooled over recordings, a session each."""
    rows = [row for row, _ in runs]
    score = text_score(
        [utterance.reference for utterance in utterances],
        [row.hypothesis for row in rows],
        utterances[0].target_language,
    )
    if not prefix:
        print(f"BLEU {score.bleu_signature}, chrF {score.chrf_signature}")
    transcripts = [utterance.transcript for utterance in utterances]
    wer = word_error_rate(transcripts, [row.transcript for row in rows], utterances[0].source_language)
    return {f"{prefix}wer": wer, f"{prefix}bleu": score.bleu, f"{prefix}chrf": score.chrf}


def _against_whole(
    transcribe: Transcribe,
    utterances: Sequence[Utterance],
    recordings: Sequence[tuple[Samples, int]],
    wer: float,
    prefix: str = "",
) -> dict[str, float]:
    """Word error rate of the same weights fed each recording whole, and how much worse streaming is."""
    language = utterances[0].source_language
    heard = [transcribe(samples, rate, language) for samples, rate in recordings]
    whole = word_error_rate([utterance.transcript for utterance in utterances], heard, language)
    return {f"{prefix}wer_fed_whole": whole, f"{prefix}wer_above_whole": wer - whole}


def _latency(rows: Sequence[Row]) -> dict[str, float]:
    """Latency at real-time pace, and how punctual the feeder was."""
    late_ms = max(row.feeder_late_p99_ms for row in rows)
    if late_ms > 10:
        print(f"warning: frames were up to {late_ms:.0f} ms late (p99): this machine was too busy to measure latency")
    return {**speech_latency.figures(rows), "feeder_late_p99_ms": late_ms}


def _checks(runs: Sequence[tuple[Row, Summary]]) -> dict[str, float]:
    """Count what must be zero: words that units lost or doubled, and what physics forbids."""
    faults = [fault for row, _ in runs for fault in physics(row)]
    for fault in faults:
        print(f"impossible: {fault}")
    for row, _ in runs:
        for notice in row.notices:
            print(f"{row.utterance} ({row.clock}): {notice}")
    return {
        "words_lost": float(sum(summary.words_lost for _, summary in runs)),
        "words_doubled": float(sum(summary.words_doubled for _, summary in runs)),
        "impossible_stamps": float(len(faults)),
    }


def _print(figures: Mapping[str, float]) -> None:
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:10.3f}")
