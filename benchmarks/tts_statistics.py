"""Measure what Kokoro's vocoder normalizes by, over sentences of each preset voice: `models/tts/kokoro_statistics.npz`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tts.kokoro import ESPEAK_VOICES, PRESETS, SYMBOLS
from models.tts.kokoro_graph import DURATIONS, FRAMES, SOURCE, STATISTICS, STYLE
from models.tts.onnx_parts import OnnxFile
from models.tts.onnx_voice import open_graph, outputs_of, program
from models.tts.phonemes import Phonemizer

Measured = list[NDArray[np.floating]]

SENTENCES = {
    "en": (
        "The weather in the north will change before the weekend.",
        "Children learn languages faster than their parents do.",
        "We should talk about the budget and then choose a date for the next session.",
        "Where did you put the keys of the garage?",
        "Most people in the city use the subway every morning.",
        "It was a long journey, but the view from the top was worth it.",
    ),
    "es": (
        "El tiempo en el norte cambiará antes del fin de semana.",
        "Los niños aprenden idiomas más rápido que sus padres.",
        "Deberíamos hablar del presupuesto y luego elegir una fecha para la próxima sesión.",
        "¿Dónde pusiste las llaves del garaje?",
        "La mayoría de la gente de la ciudad usa el metro cada mañana.",
        "Fue un viaje largo, pero la vista desde la cima valió la pena.",
    ),
    "fr": (
        "Le temps dans le nord va changer avant la fin de la semaine.",
        "Les enfants apprennent les langues plus vite que leurs parents.",
        "Nous devrions parler du budget, puis choisir une date pour la prochaine séance.",
        "Où as-tu mis les clés du garage ?",
        "La plupart des habitants de la ville prennent le métro tous les matins.",
        "Le voyage était long, mais la vue du sommet en valait la peine.",
    ),
    "hi": (
        "उत्तर में मौसम सप्ताहांत से पहले बदल जाएगा।",
        "बच्चे अपने माता-पिता से जल्दी भाषाएँ सीखते हैं।",
        "हमें बजट के बारे में बात करनी चाहिए और फिर अगली बैठक की तारीख चुननी चाहिए।",
        "तुमने गैराज की चाबियाँ कहाँ रखीं?",
        "शहर के ज़्यादातर लोग हर सुबह मेट्रो से जाते हैं।",
        "यात्रा लंबी थी, लेकिन ऊपर का दृश्य देखने लायक था।",
    ),
    "it": (
        "Il tempo al nord cambierà prima del fine settimana.",
        "I bambini imparano le lingue più in fretta dei loro genitori.",
        "Dovremmo parlare del bilancio e poi scegliere una data per la prossima seduta.",
        "Dove hai messo le chiavi del garage?",
        "La maggior parte della gente in città usa la metropolitana ogni mattina.",
        "È stato un viaggio lungo, ma la vista dalla cima ne valeva la pena.",
    ),
    "pt": (
        "O tempo no norte vai mudar antes do fim de semana.",
        "As crianças aprendem línguas mais depressa do que os pais.",
        "Devemos falar do orçamento e depois escolher uma data para a próxima sessão.",
        "Onde você colocou as chaves da garagem?",
        "A maioria das pessoas da cidade usa o metrô todas as manhãs.",
        "Foi uma longa viagem, mas a vista do alto valeu a pena.",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m benchmarks tts-statistics``."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with Kokoro's model.onnx and voices")
    parser.add_argument(
        "--out", type=Path, default=STATISTICS, metavar="FILE", help=f"the file to write ({STATISTICS.name})"
    )


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Measure each preset's voice and write the file."""
    file = arguments.folder / "model.onnx"
    parts = OnnxFile(file.read_bytes())
    ends = (FRAMES, SOURCE, STYLE)
    tensors = parts.outputs_of("ReduceMean", set(ends), {"audio"})
    text = open_graph(file, parts.part(parts.inputs, [*ends, DURATIONS]), 1)
    vocoder = open_graph(file, parts.part(ends, tensors), 1)
    stored: dict[str, Any] = {}
    for language, voice in PRESETS.items():
        style = np.fromfile(arguments.folder / "voices" / f"{voice}.bin", "<f4").reshape(-1, 256)
        measured, lengths = [], []
        for phonemes in asyncio.run(_phonemes(language)):
            tokens = [SYMBOLS[symbol] for symbol in phonemes if symbol in SYMBOLS]
            inputs = {
                "tokens": np.array([[0, *tokens, 0]]),
                "style": style[len(tokens) - 1][None],
                "speed": np.ones(1, "f4"),
            }
            given = dict(zip(ends, outputs_of(text, ends, inputs, None), strict=True))
            measured.append([array.ravel() for array in outputs_of(vocoder, tensors, given, None)])
            lengths.append(given[FRAMES].shape[2])
        stored["channels"] = np.array([len(array) for array in measured[0]], np.int32)
        stored[voice] = np.concatenate(pooled(tensors, measured, lengths)).astype(np.float16)
        print(f"{voice}: {sum(lengths) * 0.0125:.1f} s")
    np.savez_compressed(arguments.out, **stored)
    return {"voices": float(len(PRESETS))}


def pooled(tensors: Sequence[str], measured: Sequence[Measured], lengths: Sequence[int]) -> Measured:
    """Means and variances of several sentences as of one; of each normalization the mean comes first."""
    weights = np.array(lengths, np.float64) / sum(lengths)
    averages = [np.tensordot(weights, np.stack(arrays), 1) for arrays in zip(*measured, strict=True)]
    means: dict[str, int] = {}
    for place, tensor in enumerate(tensors):
        first = means.setdefault(tensor.rpartition("/")[0], place)
        if first != place:
            squares = np.tensordot(weights, np.stack([arrays[first] ** 2 for arrays in measured]), 1)
            averages[place] = averages[place] + squares - averages[first] ** 2
    return averages


async def _phonemes(language: str) -> list[str]:
    phonemizer = Phonemizer(program(), ESPEAK_VOICES[language])
    said = [await phonemizer.phonemes(sentence) for sentence in SENTENCES[language]]
    await phonemizer.close()
    return said
