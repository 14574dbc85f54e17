"""Tries every part of a profile on this machine, and knows the fix for what fails."""

from __future__ import annotations

import asyncio
import logging
import platform
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution, version
from time import monotonic

import numpy as np

from pipeline.audio.devices import Direction, choose, list_devices
from pipeline.audio.resampling import resampled
from pipeline.contracts import (
    KnowsLighter,
    Missing,
    Recognizer,
    Synthesizer,
    SynthesizerBackend,
    TranslationRequest,
    Translator,
)
from pipeline.engine import Engine
from pipeline.errors import DeviceError, TranslateLiveError
from pipeline.events import ReadingUnit, Samples
from pipeline.lane import usable_cores
from pipeline.languages import known_code
from pipeline.policies.pace import SLOW
from pipeline.profiles.gpu import NoGpu, gigabytes, gpus, need_of
from pipeline.profiles.profile import Profile, fix_for, load_profile
from pipeline.speech_facts import TakesMemory, VoicesByLanguage
from pipeline.stages.recognize import RECOGNIZER_HZ
from pipeline.stages.speak import whole
from pipeline.voices.consent import recognized, tokens

FOR_GPU = "gpu"  # the profile that needs one
PATIENCE_S = 120.0  # loading a large model from a slow disk
SENTENCE = "Hello. How are you today?"
HELLO = "hello"
QUIET = 1e-3  # speech is louder


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, if it is well, what was found, with a table of ``rows``, and the fix if it is not.

    What is not ``needed`` may be missing: a microphone on a server.
    """

    what: str
    well: bool
    detail: str
    fix: str = ""
    needed: bool = True
    rows: tuple[str, ...] = ()


class Unwell(Exception):
    """A backend runs but does not do its work."""


def machine() -> Iterator[Finding]:
    """Look at Python, packages, audio devices and accelerator."""
    yield Finding("Python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield _packages()
    yield Finding("processor", True, f"{usable_cores()} cores")
    yield from _devices()
    yield _accelerator()


def better(lacking: Iterable[tuple[str, Sequence[Missing]]]) -> Iterator[Finding]:
    """List what each better profile than the one that is tried lacks, and what brings it, if that can be fetched."""
    for name, missing in lacking:
        fix = fix_for(missing, name) if all(item.fetchable for item in missing) else ""
        detail, rows = _lacks(f"{name} is better, and lacks ", f"{name} is better, and can run here", missing)
        yield Finding("profile", not missing, detail, fix, False, rows)


def _lacks(before: str, well: str, missing: Sequence[Missing]) -> tuple[str, tuple[str, ...]]:
    """Tell that nothing is missing, one lack in the line, or several in a line each."""
    names = tuple(dict.fromkeys(item.what for item in missing))
    if not names:
        return well, ()
    return (before + names[0], ()) if len(names) == 1 else (before.rstrip(), names)


def stages(profile: Profile, target: str | None) -> Sequence[Finding]:
    """Run every backend of a profile: speak, hear what was spoken, translate hello, if not said into what is here."""
    return asyncio.run(_stages(profile, target))


async def _stages(profile: Profile, target: str | None) -> list[Finding]:
    backends = profile.backends
    pairs = backends.translator.pairs()
    if target is None:
        able = sorted(to for source, to in backends.pairs_here() or pairs if source == "en" != to)
        target = "es" if "es" in able or not able else able[0]
    target = known_code(target, {known for _, known in pairs})
    speech: Samples = np.zeros(RECOGNIZER_HZ, np.float32)
    said = ""

    async def speak(engine: Engine) -> str:
        nonlocal speech, said
        known = backends.synthesizer.languages()
        english = "en" in known and not backends.voice_missing("synthesizer", "en")
        spoken = "en" if english else known_code(target, known)
        speech, detail = await _spoken(await engine.model("synthesizer"), spoken)
        said = SENTENCE if spoken == "en" else ""  # read by a voice of another language it may be heard as anything
        return detail

    async def hear(engine: Engine) -> str:
        return await _heard(await engine.model("recognizer"), speech, said)

    async def translate(engine: Engine) -> str:
        return await _translated(await engine.model("translator"), target)

    findings = []
    for what, missing, work in (
        ("speak", backends.synthesizer.missing(), speak),
        ("recognize", backends.recognizer.missing(), hear),
        ("translate", backends.translator.missing(), translate),
    ):
        findings.append(await _tried(profile, what, missing, work))
    if findings[1].well and not speech.any():
        findings[1] = replace(
            findings[1], well=False, needed=False, detail="it runs, but there was no speech for it to hear"
        )
    others = list(backends.synthesizers.items())[1:]
    return [*findings, *(_others(profile, one, cloning=stage == "cloning_synthesizer") for stage, one in others)]


def _others(profile: Profile, synthesizer: SynthesizerBackend, *, cloning: bool) -> Finding:
    """Look if the languages, or the voices of users, that the first voice lacks can be spoken; few sessions need them."""
    name, missing = type(synthesizer).__name__, synthesizer.missing()
    what = f"{'voices of your own' if cloning else 'other languages'} by {name}"
    well = what
    if not missing and isinstance(synthesizer, VoicesByLanguage):
        here = sorted(language for language in synthesizer.languages() if not synthesizer.missing_for(language))
        well += f"; voices are here for {', '.join(here) or 'none'} of its {len(synthesizer.languages())}"
    detail, rows = _lacks(f"{what}, missing: ", well, missing)
    return Finding("speak", not missing, detail, fix_for(missing, profile.name), False, rows)


def memory(profile: Profile) -> Finding:
    """Tell what memory each voice model that is here takes once it is used; those of other languages only then."""
    found = [one.memory() for one in profile.backends.synthesizers.values() if isinstance(one, TakesMemory)]
    sizes = {what: size for part in found for what, size in part.items()}  # a model may be of two stages
    rows = tuple(f"{gigabytes(size)}  {what}" for what, size in sizes.items())
    detail = "of each voice model that is here, once it spoke" if rows else "no voice model is here"
    return Finding("memory", True, detail, needed=False, rows=rows)


async def _tried(
    profile: Profile, what: str, missing: Sequence[Missing], work: Callable[[Engine], Awaitable[str]]
) -> Finding:
    """Load a model, use it once, free it; the border where any error becomes a finding."""
    if missing:
        detail, rows = _lacks("missing: ", "", missing)
        return Finding(what, False, detail, fix_for(missing, profile.name), rows=rows)
    began = monotonic()
    try:
        async with asyncio.timeout(PATIENCE_S), Engine.load(profile, ()) as engine:
            detail = await work(engine)
    except TimeoutError:
        return Finding(what, False, f"no result in {PATIENCE_S:.0f} s", "a smaller profile")
    except (TranslateLiveError, Unwell) as error:
        message, hint = (error.message, error.hint) if isinstance(error, TranslateLiveError) else (f"{error}", "")
        return Finding(what, False, message, hint or "another profile, or another backend for this stage")
    except Exception as error:  # a broken library says anything
        logging.getLogger(__name__).debug("%s failed", what, exc_info=True)
        return Finding(what, False, f"{type(error).__name__}: {error}", "run again with -v, and report what it prints")
    return Finding(what, True, f"{detail} ({monotonic() - began:.1f} s with loading)")


async def _spoken(synthesizer: Synthesizer, language: str) -> tuple[Samples, str]:
    """Return speech at the recognizer's rate, and what it is."""
    unit = ReadingUnit(0, (), SENTENCE, language, 0.0, 0.0, 0.0)
    pieces, rate = [], RECOGNIZER_HZ
    async with synthesizer.open(None, language) as speaking, aclosing(speaking.say(unit, whole(SENTENCE))) as chunks:
        began = monotonic()
        async for chunk in chunks:
            pieces.append(chunk.samples)
            rate = chunk.sample_rate
        took_s = monotonic() - began
    samples = np.concatenate([np.zeros(0, np.float32), *pieces])
    if not len(samples) or np.abs(samples).max() < QUIET:
        raise Unwell("the speech it made is silent")
    factor = took_s * rate / len(samples)
    detail = f"{len(samples) / rate:.1f} s of speech in {language!r} at {rate} Hz"
    detail += f", a second of it computed in {factor:.2f} s"
    if factor > SLOW and isinstance(speaking, KnowsLighter) and speaking.lighter:
        detail += f"; {speaking.lighter} takes less"
    return resampled(samples, rate, RECOGNIZER_HZ), detail


async def _heard(recognizer: Recognizer, speech: Samples, said: str) -> str:
    """Give what is recognized of the speech, with the silence after it that ends an utterance.

    Raises `Unwell` for speech in which no word is heard, or fewer than half of those that were ``said``.
    """
    heard = await recognized(recognizer, np.concatenate([speech, np.zeros(RECOGNIZER_HZ, np.float32)]), ())
    if not heard and speech.any():
        raise Unwell("it heard no word in speech")
    words, expected = tokens(heard), tokens(said)
    if 2 * sum(word in words for word in expected) < len(expected):
        raise Unwell(f"it heard {heard!r} where {said!r} was said")
    return f"heard {heard!r}"


async def _translated(translator: Translator, target: str) -> str:
    translation = await translator.translate(TranslationRequest(HELLO, "en", target))
    if not translation.text.strip():
        raise Unwell(f"it translates {HELLO!r} to nothing")
    return f"{HELLO!r} is {translation.text.strip()!r} in {target!r}"


def _packages() -> Finding:
    """Check that what our own distribution requires is installed; no module is imported."""
    try:
        required = distribution("translate-live").requires or []
    except PackageNotFoundError:
        return Finding("packages", True, "run from a checkout: not checked", needed=False)
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required if "extra ==" not in line]
    missing = [name for name in names if not _installed(name)]
    if missing:
        return Finding("packages", False, f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return Finding("packages", True, f"{len(names)} installed, translate-live {version('translate-live')}")


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _devices() -> Iterator[Finding]:
    directions: tuple[tuple[str, Direction], ...] = (("microphone", "input"), ("speaker", "output"))
    for what, direction in directions:
        try:
            found = choose(None, direction, list_devices())
        except DeviceError as error:
            yield Finding(what, False, error.message, error.hint, needed=False)
        else:
            yield Finding(what, True, f"{found.name}, {found.sample_rate} Hz", needed=False)


def _accelerator() -> Finding:
    try:
        found = [f"{gpu.name}, {gigabytes(gpu.total)}, driver {gpu.driver}" for gpu in gpus()]
    except NoGpu as error:
        return Finding("GPU", False, f"{error}", error.fix, needed=False)
    return Finding("GPU", bool(found), "; ".join(found) or "none", needed=False)


def gpu_memory(profile: Profile) -> Finding:
    """Compare what the profile needs of a GPU with what is free; of one that needs none, tell what ``gpu`` would need."""
    try:
        return _gpu_memory(profile)
    except TranslateLiveError as error:  # a model's files are damaged: the other checks go on
        return Finding("GPU memory", False, f"{error}", needed=False)


def _gpu_memory(profile: Profile) -> Finding:
    need = need_of(profile.backends)
    other = "" if need.total else f"profile {profile.name} needs none; "
    if other:
        profile = load_profile(FOR_GPU)
        need = need_of(profile.backends)
    detail = f"{other}profile {profile.name} needs about {need}"
    try:
        free = max((gpu.free for gpu in gpus()), default=0)
    except NoGpu as error:  # the line about the GPU says so
        return Finding("GPU memory", bool(other), detail, error.fix, needed=False, rows=need.rows())
    fix = "close other programs on the GPU, or try synthesizer.model=Qwen/Qwen3-TTS-12Hz-0.6B-Base"
    detail += f"; {gigabytes(free)} are free"
    return Finding("GPU memory", free >= need.total, detail, fix, needed=False, rows=need.rows())
