"""Intelligibility of the translated speech: a recognizer's words of it against the text that was spoken.

``pip install faster-whisper jiwer``; the model by SPOKEN_WORDS_MODEL: a Whisper name or folder (small). This tells faults
of the speech from those of the text; an error of the recognizer counts as well, so compare within one recognizer only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

MODEL = os.environ.get("SPOKEN_WORDS_MODEL", "small")
HZ = 16_000


def main() -> None:
    """Word error rate over all items with speech, greedy, without punctuation and case."""
    try:
        import jiwer  # noqa: PLC0415

        transcribe = whisper()
    except ImportError as error:
        sys.exit(f"{error.name} is missing in this environment: pip install faster-whisper jiwer soundfile soxr")
    items = [item for line in sys.stdin if (item := json.loads(line))["audio"] and plain(item["spoken"])]
    heard = [plain(transcribe(item["audio"], item["language"])) for item in items]
    wanted = [plain(item["spoken"]) for item in items]
    print(json.dumps({"speech_wer": jiwer.wer(wanted, heard) if items else None, "speech_items": len(items)}))


def whisper() -> Callable[[str, str], str]:
    """Whisper through faster-whisper, greedy and without a fallback to sampling."""
    import soundfile  # noqa: PLC0415
    import soxr  # noqa: PLC0415
    from faster_whisper import WhisperModel  # noqa: PLC0415

    try:
        model = WhisperModel(MODEL)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"the Whisper model {MODEL} cannot be loaded ({error}): set SPOKEN_WORDS_MODEL to a folder")

    def transcribe(file: str, language: str) -> str:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)  # its reader fits no new PyAV
        audio = soxr.resample(samples.mean(axis=1), rate, HZ)
        segments, _ = model.transcribe(audio, language=language, beam_size=1, temperature=0.0)
        return "".join(segment.text for segment in segments)

    return transcribe


def plain(text: str) -> str:
    """Words alone."""
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text.casefold()).split())


if __name__ == "__main__":
    main()
