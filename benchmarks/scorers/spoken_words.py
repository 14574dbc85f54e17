"""Whether the translated speech can be understood: Whisper's words of it against the text that was to be spoken.

``pip install faster-whisper jiwer``; the model by WHISPER_MODEL. This tells faults of the speech from those of the text.
"""

from __future__ import annotations

import json
import os
import sys

MODEL = os.environ.get("WHISPER_MODEL", "small")


def main() -> None:
    """Word error rate over all items with speech, greedy, without punctuation and case."""
    try:
        import jiwer  # noqa: PLC0415
        from faster_whisper import WhisperModel  # noqa: PLC0415
    except ImportError as error:
        sys.exit(f"{error.name} is missing in this environment: pip install faster-whisper jiwer")
    items = [item for line in sys.stdin if (item := json.loads(line))["audio"] and item["hypothesis"].strip()]
    try:
        model = WhisperModel(MODEL)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"the Whisper model {MODEL} cannot be loaded ({error}): set WHISPER_MODEL to a local folder")
    heard = []
    for item in items:
        segments, _ = model.transcribe(item["audio"], language=item["language"], beam_size=1, temperature=0.0)
        heard.append(plain("".join(segment.text for segment in segments)))
    wanted = [plain(item["hypothesis"]) for item in items]
    print(json.dumps({"speech_wer": jiwer.wer(wanted, heard) if items else 0.0, "speech_items": len(items)}))


def plain(text: str) -> str:
    """Words alone."""
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text.casefold()).split())


if __name__ == "__main__":
    main()
