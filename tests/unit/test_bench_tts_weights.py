"""Trained voices measured: with scripted voices and a recognizer that hears what was said, nothing of it is left out."""

import numpy as np
import pytest

from benchmarks import tts_weights
from benchmarks.tts_weights import SENTENCES
from pipeline.errors import BadInput, ModelError
from tests.onnx_voices import kokoro_folder, write_piper


def test_every_figure_comes_of_every_voice(tmp_path, monkeypatch):
    kokoro_folder(tmp_path / "kokoro")
    (tmp_path / "whisper-base").mkdir()
    (tmp_path / "whisper-base" / "model.bin").touch()
    (tmp_path / "piper-own").mkdir()
    write_piper(tmp_path / "piper-own" / "own.onnx", espeak_voice="en")
    short = {language: sentences[:2] for language, sentences in SENTENCES.items()}
    monkeypatch.setattr(tts_weights, "SENTENCES", short)
    said = {language: iter(sentences * 4) for language, sentences in short.items()}
    monkeypatch.setattr(tts_weights, "_whisper", lambda folder: lambda samples, language: next(said[language]))
    saved = []
    figures = tts_weights.measure("kokoro", tmp_path, saved.append)
    assert {figures[f"wer_rerecognized_{language}"] for language in ("en", "es", "pt")} == {0.0}
    assert {"kokoro", "kokoro_whole", "piper", "espeak"} == {
        name.removeprefix("cpu_s_per_audio_s_") for name in figures if name.startswith("cpu_s_per_audio_s_")
    }
    assert all(np.isfinite(value) for value in figures.values())
    assert len(saved) == 3


def test_a_wrong_word_counts_and_what_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="valid: kokoro"):
        tts_weights.measure("joe", tmp_path, print)
    with pytest.raises(ModelError, match=r"kokoro/model.onnx is not there; try: fetch the model files"):
        tts_weights.measure("kokoro", tmp_path, print)
    monkeypatch.setattr(tts_weights, "SENTENCES", {"es": ("hola amigos buenos días",)})
    kokoro = tts_weights.Kokoro(kokoro_folder(tmp_path / "kokoro"))
    figures = tts_weights._system("kokoro", kokoro, "es", lambda samples, language: "Hola, amigos. ¡Buenas días!")
    assert figures == {"wer_rerecognized_es_kokoro": 0.25}
