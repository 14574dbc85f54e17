"""Trained voices: what Whisper base understands of them, and what they cost in seconds of one core's time."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import jiwer
import numpy as np
import soxr

from benchmarks.scorers.spoken_words import plain
from models.model_files import models_folder
from models.tts.espeak import Espeak
from models.tts.kokoro import Kokoro
from models.tts.piper import Piper
from pipeline.contracts import Speaking, SynthesizerBackend
from pipeline.errors import FETCH_MODELS, BadInput, ModelError
from pipeline.events import ReadingUnit, Samples
from pipeline.stages.speak import whole

HZ = 16_000  # which Whisper hears
UNIT_WORDS = 4
"""Words of a reading unit, over which the time to first sound is measured."""

SENTENCES = {
    "en": (
        "The bakery on the corner opens before sunrise.",
        "I left my umbrella on the bus again.",
        "Would you like some soup before the main course?",
        "The children built a castle out of wet sand.",
        "Our flight was delayed because of the heavy snow.",
        "She speaks so softly that I can hardly hear her.",
        "Please sign the form and send it back to our office.",
        "The museum is closed on Mondays, but the park is always open.",
        "He repaired the old clock that belonged to his grandfather.",
        "We need fresh tomatoes, some garlic and a little olive oil.",
        "The teacher asked the class to read the next chapter at home.",
        "There is a small lake behind the hills where we used to swim.",
        "My brother wants to become a nurse and work in the countryside.",
        "Turn off the lights when you leave the room.",
        "The concert was so good that nobody wanted to go home.",
        "If you are tired, let us take a short break.",
        "The company will publish its results at the end of the month.",
        "Many birds fly south when the days become shorter.",
        "I would rather walk than wait for the next train.",
        "Thanks for your help, I could not have done it alone.",
    ),
    "es": (
        "La panadería de la esquina abre antes del amanecer.",
        "Otra vez dejé mi paraguas en el autobús.",
        "¿Quiere un poco de sopa antes del plato principal?",
        "Los niños hicieron un castillo con arena mojada.",
        "Nuestro vuelo se retrasó por la fuerte nevada.",
        "Ella habla tan bajo que apenas puedo oírla.",
        "Por favor, firme el formulario y envíelo a nuestra oficina.",
        "El museo cierra los lunes, pero el parque está siempre abierto.",
        "Él arregló el viejo reloj que era de su abuelo.",
        "Necesitamos tomates frescos, un poco de ajo y aceite de oliva.",
        "La profesora pidió a la clase que leyera el próximo capítulo en casa.",
        "Hay un pequeño lago detrás de las colinas donde solíamos nadar.",
        "Mi hermano quiere ser enfermero y trabajar en el campo.",
        "Apaga las luces cuando salgas de la habitación.",
        "El concierto fue tan bueno que nadie quería irse a casa.",
        "Si estás cansado, hagamos una pausa corta.",
        "La empresa publicará sus resultados a fin de mes.",
        "Muchos pájaros vuelan al sur cuando los días se acortan.",
        "Prefiero caminar que esperar el próximo tren.",
        "Gracias por tu ayuda, no habría podido hacerlo solo.",
    ),
    "pt": (
        "A padaria da esquina abre antes do nascer do sol.",
        "Esqueci de novo o meu guarda-chuva no ônibus.",
        "Você quer um pouco de sopa antes do prato principal?",
        "As crianças fizeram um castelo com areia molhada.",
        "O nosso voo atrasou por causa da neve.",
        "Ela fala tão baixo que mal consigo ouvir.",
        "Por favor, assine o formulário e envie para o nosso escritório.",
        "O museu fecha às segundas, mas o parque está sempre aberto.",
        "Ele consertou o velho relógio que era do seu avô.",
        "Precisamos de tomates frescos, um pouco de alho e azeite.",
        "A professora pediu que a turma lesse o próximo capítulo em casa.",
        "Há um pequeno lago atrás das montanhas onde costumávamos nadar.",
        "Meu irmão quer ser enfermeiro e trabalhar no interior.",
        "Apague as luzes quando sair do quarto.",
        "O concerto foi tão bom que ninguém queria ir para casa.",
        "Se você está cansado, vamos fazer uma pequena pausa.",
        "A empresa vai publicar os resultados no fim do mês.",
        "Muitos pássaros voam para o sul quando os dias ficam mais curtos.",
        "Prefiro caminhar a esperar o próximo trem.",
        "Obrigado pela ajuda, eu não teria conseguido sozinho.",
    ),
}
"""Everyday sentences to speak and to recognize again, written for this; without numbers, which are written in many ways."""

Transcribe = Callable[[Samples, str], str]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text as it was spoken: samples [n], and the CPU-seconds of this process up to the first sound and to the end."""

    text: str
    samples: Samples
    sample_rate: int
    first_sound_cpu_s: float
    cpu_s: float


def measure(names: str, folder: Path | None, save: Callable[[Mapping[str, float]], None]) -> Mapping[str, float]:
    """Kokoro in three languages, then Piper and eSpeak in English where they are here; gives the figures."""
    if names != "kokoro":
        raise BadInput(f"no trained voices {names!r}; valid: kokoro")
    weights = folder or models_folder()
    for needed in ("kokoro/model.onnx", "whisper-base/model.bin"):
        if not (weights / needed).is_file():
            raise ModelError(f"{weights / needed} is not there", hint=FETCH_MODELS)
    transcribe = _whisper(weights / "whisper-base")
    kokoro = Kokoro(str(weights / "kokoro"), threads=1)
    figures: dict[str, float] = {}
    for language in SENTENCES:
        figures |= _system("kokoro", kokoro, language, transcribe)
        save(figures)
    figures |= {name.removesuffix("_kokoro"): value for name, value in figures.items() if name.endswith("_kokoro")}
    with patch("models.tts.kokoro.statistics_of", return_value=None):  # its vocoder then needs the whole piece
        figures |= _system("kokoro_whole", kokoro, "en", transcribe)
    for file in sorted(weights.glob("piper-*/*.onnx"))[:1]:
        figures |= _system("piper", Piper(str(file), threads=1), "en", transcribe)
    return figures | _system("espeak", Espeak(), "en", transcribe)


def _system(name: str, backend: SynthesizerBackend, language: str, transcribe: Transcribe) -> dict[str, float]:
    """Figures of one voice: word error rate, cost a second of audio, and cost up to the first sound of a unit."""
    sentences = SENTENCES[language]
    before = _children_cpu_s()
    spoken = asyncio.run(speak_texts(backend, language, sentences))
    cpu_s = sum(one.cpu_s for one in spoken) + _children_cpu_s() - before
    cost = cpu_s / sum(len(one.samples) / one.sample_rate for one in spoken)
    wanted = [plain(one.text) for one in spoken]
    heard = [plain(transcribe(soxr.resample(one.samples, one.sample_rate, HZ), language)) for one in spoken]
    for want, got in zip(wanted, heard, strict=True):
        if want != got:
            print(f"    said {want}\n   heard {got}")
    figures = {f"wer_rerecognized_{language}_{name}": jiwer.wer(wanted, heard)}
    if language == "en":
        figures[f"cpu_s_per_audio_s_{name}"] = cost
        words = [sentence.split() for sentence in sentences]
        units = [" ".join(part[at : at + UNIT_WORDS]) for part in words for at in range(0, UNIT_WORDS + 1, UNIT_WORDS)]
        first = [one.first_sound_cpu_s for one in asyncio.run(speak_texts(backend, language, units))]
        if name != "espeak":  # which computes in a process of its own
            figures[f"first_audio_cpu_s_p50_{name}"] = statistics.median(first)
            figures[f"first_audio_cpu_s_max_{name}"] = max(first)
    print(name, language, {key: round(value, 3) for key, value in figures.items()}, flush=True)
    return figures


async def speak_texts(backend: SynthesizerBackend, language: str, texts: Sequence[str]) -> list[Spoken]:
    """Speak texts in the language's own voice, one after the other, and tell what each cost."""
    async with backend.load() as synthesizer, synthesizer.open(None, language) as speaking:
        return [await say(speaking, language, text) for text in texts]


async def say(speaking: Speaking, language: str, text: str) -> Spoken:
    """Speak a text as one unit, and tell what it cost."""
    begun, first, samples, rate = time.process_time(), 0.0, [np.zeros(0, np.float32)], 1
    async with aclosing(speaking.say(ReadingUnit(1, (), text, language, 0.0, 0.0, 0.0), whole(text))) as speech:
        async for chunk in speech:
            if len(chunk.samples) and not first:
                first = time.process_time() - begun
            samples.append(chunk.samples)
            rate = chunk.sample_rate
    return Spoken(text, np.concatenate(samples), rate, first, time.process_time() - begun)


def _children_cpu_s() -> float:
    """CPU-seconds of processes that this one started and that ended: eSpeak's."""
    used = os.times()
    return used.children_user + used.children_system


def _whisper(folder: Path) -> Transcribe:
    from faster_whisper import WhisperModel  # noqa: PLC0415

    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def transcribe(samples: Samples, language: str) -> str:
        padded = np.pad(samples, HZ // 10)
        segments, _ = model.transcribe(
            padded, language=language, beam_size=1, temperature=0.0, condition_on_previous_text=False
        )
        return "".join(segment.text for segment in segments)

    return transcribe
