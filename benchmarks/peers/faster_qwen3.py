"""faster-qwen3-tts (github.com/andimarafioti/faster-qwen3-tts): Qwen3-TTS as two CUDA graphs, one utterance at a time.

Written for its version 0.5.4: ``pip install faster-qwen3-tts==0.5.4 transformers==5.15.1``; with transformers 5.17 its own
fork of qwen-tts does not load. Everything is given that favours it: greedy also in the predictor, whose graph otherwise
samples; its default chunks of 12 frames for the time per frame, which decode least twice; chunks of one frame for the first
audio. The first round records its graphs and does not count.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator
from contextlib import closing
from importlib import import_module, metadata
from types import ModuleType
from typing import Any

PACKAGE = "faster-qwen3-tts"
CHUNK, FIRST_CHUNK = 12, 1
SAMPLES_PER_FRAME = 1920
INSTALL = f"pip install {PACKAGE}==0.5.4 transformers==5.15.1"


def main() -> None:
    """Read the task, speak, write the times."""
    task = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, sys.stderr  # the package prints
    torch, package = _import()
    if not torch.cuda.is_available():
        sys.exit(f"{PACKAGE} needs a CUDA GPU: this machine has none that torch can use")
    model = package.FasterQwen3TTS.from_pretrained(task["checkpoint"], device="cuda", dtype=torch.bfloat16)
    model.predictor_graph.do_sample = False
    speaker = torch.ones(model.model.model.config.talker_config.hidden_size)
    found = measure(model, speaker, task["text"], task["frames"], task["rounds"])
    about = {"version": metadata.version(PACKAGE), "device": torch.cuda.get_device_name()}
    print(json.dumps(found | about), file=output)


def measure(model: Any, speaker: Any, text: str, frames: int, rounds: int) -> dict[str, Any]:  # noqa: ANN401
    """Seconds to the first audio and per frame of each round, and the codes [frames, 16] of the last."""
    windows = note_codes(model)
    firsts: list[float] = []
    per_frame: list[float] = []
    counts: list[int] = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        with closing(speak(model, speaker, text, frames, FIRST_CHUNK)) as speech:
            next(speech)
            firsts.append(time.perf_counter() - begin)
        windows.clear()
        begin = time.perf_counter()
        spoken = [(len(samples), count) for samples, count in speak(model, speaker, text, frames, CHUNK)]
        per_frame.append((time.perf_counter() - begin) / frames)
        counts = [count for _, count in spoken]
        samples = sum(length for length, _ in spoken)
        if samples != frames * SAMPLES_PER_FRAME:
            sys.exit(f"{PACKAGE} gave {samples} samples for {frames} frames of {SAMPLES_PER_FRAME}")
    codes = [row for window, count in zip(windows, counts, strict=True) for row in window[-count:].tolist()]
    return {"first_audio_s": firsts[1:], "per_frame_s": per_frame[1:], "codes": codes}


def note_codes(model: Any) -> list[Any]:  # noqa: ANN401
    """A list that will hold what the codec is given: codes [frames, 16], those of its left context first."""
    decode, windows = model.speech_tokenizer.decode, list[Any]()

    def noting(given: dict[str, Any]) -> Any:  # noqa: ANN401
        windows.append(given["audio_codes"][0])
        return decode(given)

    model.speech_tokenizer.decode = noting
    return windows


def speak(model: Any, speaker: Any, text: str, frames: int, chunk: int) -> Generator[tuple[Any, int], None, None]:  # noqa: ANN401
    """Samples of ``frames`` frames, ``chunk`` at a time, and how many frames they are."""
    pieces = model.generate_voice_clone_streaming(
        text=text,
        language="English",
        voice_clone_prompt={"ref_spk_embedding": [speaker]},
        max_new_tokens=frames,
        min_new_tokens=frames,
        do_sample=False,
        chunk_size=chunk,
    )
    with closing(pieces):
        for samples, _, timing in pieces:
            yield samples, timing["chunk_steps"]


def _import() -> tuple[Any, Any]:
    """torch and the package, without qwen-tts's 25 Hz codec, the only part that needs torchaudio and sox."""
    name = "qwen_tts.core.tokenizer_25hz.modeling_qwen3_tts_tokenizer_v1"
    stub = ModuleType(name)
    stub.Qwen3TTSTokenizerV1Model = type("Qwen3TTSTokenizerV1Model", (), {})  # type: ignore[attr-defined]
    sys.modules[name] = stub
    try:
        torch, package = import_module("torch"), import_module("faster_qwen3_tts")
        metadata.version(PACKAGE)
        import_module("qwen_tts")
    except ImportError as error:
        sys.exit(f"{error.name or PACKAGE} is missing in this environment: {INSTALL}")
    return torch, package


if __name__ == "__main__":
    main()
