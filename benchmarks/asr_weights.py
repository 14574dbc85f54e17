"""Trained weights: streaming recognition beside the same weights fed whole with beam 5, on easy and on hard speech."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import asr_material
from benchmarks.asr_clock import CORES, PEERS, HeardStream, PeerSettings, VirtualClock, hear_by_peer
from benchmarks.asr_material import Recording, joined
from benchmarks.asr_scoring import align
from benchmarks.metrics.statistics import percentile
from benchmarks.other_python import Peer, parse_peer
from models.asr.whisper import FasterWhisper
from models.asr.whisper.loading import Placement, load_engine, warm_up
from models.asr.whisper.log_mel import SAMPLE_RATE
from models.asr.whisper.model_files import find
from models.model_files import models_folder
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, check_range, nearest
from pipeline.events import Gap, LanguageChanged

LEAST_WORDS = 600
PARTS = ("talks", "other", "stress", "terms", "language")
LOST_RUN = 3
"""Words in a row that the whole recording gives and the stream does not, to count as lost."""
TERMS = (
    "Dashwood", "Barton Park", "Norland", "Willoughby", "Colonel Brandon", "Edward Ferrars", "Marianne", "Elinor",
    "Sir John Middleton", "Mrs. Jennings", "Devonshire", "Lucy Steele", "Delaford", "Cleveland", "Berkeley Street",
    "Robert Ferrars", "Miss Grey", "Palmer", "Whitwell", "Combe Magna",
)  # fmt: skip
WRITTEN = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint", "i'm": "i am"}


@dataclass(frozen=True, slots=True)
class Whole:
    """The words of a recording that was fed whole, and when each ended."""

    words: tuple[str, ...]
    ends_s: tuple[float, ...]


def normalized(text: str) -> list[str]:
    """Words in lower case without punctuation, titles and "I'm" written out."""
    words = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower().replace("’", "'"))
    return [part for word in words for part in WRITTEN.get(word, word).split()]


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words substituted, deleted and inserted."""
    return sum(i is None or j is None or said[i] != heard[j] for i, j in align(said, heard))


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """The figures of each model; those of the first also without its name before them."""
    names, parts = arguments.weights.split(","), arguments.parts.split(",")
    check_range("cores", arguments.cores, 0.1)
    for part in parts:
        if part not in PARTS:
            raise BadInput(f"no part {part!r}: {nearest(part, PARTS)}")
    peers = tuple(parse_peer(text, PEERS) for text in arguments.peer)
    folders = [_folder(name, arguments.weights_folder) for name in names]
    about = {name: getattr(arguments, name) for name in ("speech", "words", "each", "cores")}
    figures: dict[str, float] = {}
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        tasks = {
            pool.submit(_do, _Task(part, folder, peers=peers, **about)): name
            for name, folder in zip(names, folders, strict=True)
            for part in parts
        }
        for task in as_completed(tasks):
            figures |= {f"{tasks[task]}_{key}": value for key, value in task.result().items()}
            figures |= {} if tasks[task] != names[0] else task.result()
            arguments.save(figures)
    return figures


def _folder(name: str, folder: Path | None) -> Path:
    given = folder or models_folder()
    found = next((path for path in (given / f"whisper-{name}", given / name) if path.is_dir()), None) or find(name)
    if found is None:
        raise ModelError(f"no Whisper weights {name!r} in {given} nor among the downloaded models", hint=FETCH_MODELS)
    return found


@dataclass(frozen=True, slots=True)
class _Task:
    """One part of the measurement with one model, which a process of its own can do."""

    part: str
    folder: Path
    speech: Path | None
    words: int
    each: int
    peers: Sequence[Peer] = ()
    cores: float = CORES


def _do(task: _Task) -> Mapping[str, float]:
    engine = load_engine(task.folder, Placement("cpu", threads=1), 0.0, FasterWhisper().beam_size)
    warm_up(engine)
    clock, whole = VirtualClock(engine, cores=task.cores), _whole_decoder(task.folder)
    recordings = asr_material.transcribed([asr_material.SPEECH, *([task.speech] if task.speech else [])])
    match task.part:
        case "talks":
            return _talks(task, clock, whole, asr_material.talks(recordings, task.words))
        case "terms":
            return _terms(clock, asr_material.talks(recordings, task.words))
        case "other":
            folder = task.speech / "librispeech-other" if task.speech else None
            return _hard(clock, whole, asr_material.untranscribed(folder, task.each) if folder else [])
        case "stress":
            return _stress(clock, whole, joined(recordings[:3]))
    return _language_change(clock, recordings[0]) if len(engine.languages) > 1 else {}


def _whole_decoder(folder: Path) -> Callable[[Recording], Whole]:
    import faster_whisper  # noqa: PLC0415  (loads slowly)

    model: Any = faster_whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def decode(recording: Recording) -> Whole:
        segments, _ = model.transcribe(recording.samples, language="en", beam_size=5, word_timestamps=True)
        spoken = [(text, word.end) for segment in segments for word in segment.words for text in normalized(word.word)]
        return Whole(tuple(text for text, _ in spoken), tuple(float(end) for _, end in spoken))

    return decode


def _latencies(whole: Whole, heard: HeardStream) -> list[float]:
    """Clock from the end of a word, as the whole recording tells it, to its commit; of the words that are equal."""
    commits = [(text, at) for word, at in heard.words for text in normalized(word.text)]
    pairs = align(whole.words, [text for text, _ in commits])
    return [
        commits[j][1] - whole.ends_s[i]
        for i, j in pairs
        if i is not None and j is not None and whole.words[i] == commits[j][0]
    ]


def _talks(
    task: _Task, clock: VirtualClock, whole: Callable[[Recording], Whole], talks: Sequence[Recording]
) -> dict[str, float]:
    """The talks heard by turns: fed whole, by ours, and by each peer; one that cannot is named with its reason."""
    settings = PeerSettings(str(task.folder), clock.options.step_s, cores=task.cores)
    hearers: dict[str, Callable[[Recording], HeardStream]] = {"": lambda talk: clock.hear(talk.samples)}
    hearers |= {f"{peer.figure}_": partial(hear_by_peer, peer, settings) for peer in task.peers}
    heard: dict[str, list[HeardStream]] = {name: [] for name in hearers}
    offline: list[Whole] = []
    for talk in talks:
        offline.append(whole(talk))
        for name in list(heard):
            try:
                heard[name].append(hearers[name](talk))
            except ModelError as error:
                if not name:
                    raise
                print(f"  {name.rstrip('_')} was not measured: {error}", flush=True)
                del heard[name]
    references = [normalized(talk.transcript) for talk in talks]
    said = sum(map(len, references))
    wer_offline = sum(errors(words, one.words) for words, one in zip(references, offline, strict=True)) / said
    print(f"  {said} words; fed whole: {wer_offline:.3f} wrong", flush=True)
    figures = {"words": float(said), "wer_offline": wer_offline}
    for name, streams in heard.items():
        found = _score(references, offline, streams)
        figures |= {f"{name}{key}": value for key, value in found.items()}
        line = ", ".join(f"{key} {value:.3f}" for key, value in found.items())
        print(f"  {name.rstrip('_') or 'ours'}: {line}", flush=True)
    return figures | {"wer_above_offline": figures["wer_streaming"] - wer_offline}


def _score(references: Sequence[Sequence[str]], offline: Sequence[Whole], heard: Sequence[HeardStream]) -> dict[str, float]:
    """Errors, commit latency and cost of what one recognizer made of the talks."""
    wrong = sum(errors(said, normalized(one.text)) for said, one in zip(references, heard, strict=True))
    latencies = [late for known, one in zip(offline, heard, strict=True) for late in _latencies(known, one)]
    return {
        "wer_streaming": wrong / sum(map(len, references)),
        "fragments": float(sum(not word.text.startswith(" ") for one in heard for word, _ in one.words)),
        "commit_aware_p50_s": percentile(latencies, 50),
        "commit_aware_p95_s": percentile(latencies, 95),
        "cpu_s_per_audio_s": sum(one.cpu_s for one in heard) / sum(one.seconds for one in heard),
    }


def _terms(clock: VirtualClock, talks: Sequence[Recording]) -> dict[str, float]:
    """The same talks with a glossary."""
    said = wrong = 0
    for talk in talks:
        reference, heard = normalized(talk.transcript), clock.hear(talk.samples, terms=TERMS)
        said, wrong = said + len(reference), wrong + errors(reference, normalized(heard.text))
        print(f"  {said} words with {len(TERMS)} terms: {wrong} wrong", flush=True)
    return {"wer_with_20_terms": wrong / said}


def _hard(clock: VirtualClock, whole: Callable[[Recording], Whole], hard: Iterable[Recording]) -> dict[str, float]:
    """Speech without transcript: words that differ from those of the whole recording."""
    differing = words = 0
    cpu_s = seconds = 0.0
    latencies: list[float] = []
    for recording in hard:
        offline, heard = whole(recording), clock.hear(recording.samples)
        differing += errors(offline.words, normalized(heard.text))
        words += len(offline.words)
        latencies += _latencies(offline, heard)
        cpu_s, seconds = cpu_s + heard.cpu_s, seconds + heard.seconds
        print(f"  other: {differing} of {words} words differ ({recording.name})", flush=True)
    if not words:
        return {}
    return {
        "differs_from_whole_other": differing / words,
        "words_other": float(words),
        "commit_aware_p50_s_other": percentile(latencies, 50),
        "commit_aware_p95_s_other": percentile(latencies, 95),
        "cpu_s_per_audio_s_other": cpu_s / seconds,
    }


def _stress(clock: VirtualClock, whole: Callable[[Recording], Whole], speech: Recording) -> dict[str, float]:
    """Hard ways to hear the same speech: errors of both, and words that the stream lost without a notice."""
    figures: dict[str, float] = {}
    silently = 0
    reference = normalized(speech.transcript)
    for name, recording in asr_material.stressed(speech).items():
        offline, heard = whole(recording), clock.hear(recording.samples)
        wrong, wrong_offline = errors(reference, normalized(heard.text)), errors(reference, offline.words)
        lost_here = lost(offline, heard)
        silently += lost_here
        figures |= {
            f"stress_{name}_wer": wrong / len(reference),
            f"stress_{name}_wer_offline": wrong_offline / len(reference),
        }
        kinds = sorted({type(notice).__name__ for notice in heard.notices})
        print(f"  {name}: {wrong} of {len(reference)} wrong, {wrong_offline} whole, {lost_here} lost, {kinds}", flush=True)
    return figures | {"words_lost_silently": float(silently)}


def lost(offline: Whole, heard: HeardStream) -> int:
    """Words that the whole recording gives, of runs the stream has nothing for, outside its gaps."""
    gaps = [notice for notice in heard.notices if isinstance(notice, Gap)]
    pairs = align(offline.words, normalized(heard.text))
    count, run = 0, 0
    for i, j in [*pairs, (None, 0)]:
        covered = i is not None and any(gap.start - 0.5 <= offline.ends_s[i] <= gap.end + 0.5 for gap in gaps)
        if i is not None and j is None and not covered:
            run += 1
            continue
        count += run if run >= LOST_RUN else 0
        run = 0
    return count


def _language_change(clock: VirtualClock, english: Recording) -> Mapping[str, float]:
    """English, a pause of 2 s and German by eSpeak NG: 1 if the change was told before the sentence was over."""
    german = asr_material.german()
    if german is None:
        return {}
    talk = joined([english, Recording("german", german)], (0.5, 2.0, 0.5))
    heard = clock.hear(talk.samples, languages=())
    changes = [notice for notice in heard.notices if isinstance(notice, LanguageChanged)]
    print(f"  language change: {[change.language for change in changes]} {heard.text[-80:]!r}", flush=True)
    begun_s = len(english.samples) / SAMPLE_RATE
    return {"language_change_told": float(any(one.language == "de" and one.at > begun_s for one in changes))}
