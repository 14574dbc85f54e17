"""Advice on whether a clip and a consent may be of one speaker: a warning, never a refusal, and no verification.

How alike two voices are was measured on recordings made on one day with one microphone (``benchmarks one-voice``); noise
makes one voice two. Another day, relatives and copies of a voice were not measured, so nothing is decided by it.
"""

from __future__ import annotations

from pipeline.diarizing import ComparesVoices, DiarizerBackend
from pipeline.errors import TranslateLiveError
from pipeline.voices.quality import FINDER_HZ
from pipeline.voices.reference_clip import POOR_SNR_DB, SHORTEST_S, AnalysedRecording, only_speech

YOURS = "that clip and consent are of the same speaker is for you to answer"


async def compared(clip: AnalysedRecording, consent: AnalysedRecording, backend: DiarizerBackend | None) -> str:
    """Say how alike the voices of a clip and a consent are, or why that was not looked at."""
    if backend is None or backend.missing():
        lacks = "the profile names no diarizer" if backend is None else f"{backend.missing()[0].what} is not here"
        return f"not compared: the voices of clip and consent ({lacks}); {YOURS}"
    if min(clip.speech_s, consent.speech_s) < SHORTEST_S:
        return f"not compared: the voices of clip and consent (less than {SHORTEST_S:.0f} s of speech); {YOURS}"
    if min(clip.snr_db, consent.snr_db) < POOR_SNR_DB:
        return f"not compared: the voices of clip and consent (less than {POOR_SNR_DB:.0f} dB above the noise); {YOURS}"
    try:
        async with backend.load() as diarizer:
            if not isinstance(diarizer, ComparesVoices):
                return f"not compared: the voices of clip and consent; {YOURS}"
            likeness = await diarizer.likeness(only_speech(clip, FINDER_HZ), only_speech(consent, FINDER_HZ))
    except TranslateLiveError as error:
        return f"not compared: the voices of clip and consent ({error.message}); {YOURS}"
    if likeness < diarizer.one_voice_from:
        usual = f"of one person {diarizer.one_voice_from:.2f} and more"
        return f"clip and consent may be of two people (likeness {likeness:.2f}, {usual}); {YOURS}"
    return f"the voices of clip and consent are alike ({likeness:.2f}), which proves nothing; {YOURS}"
