"""The real PortAudio on ALSA devices that are files: what a machine without a sound card can prove."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PLAY_AND_LISTEN = """
import asyncio, threading
from itertools import pairwise
import numpy as np
from pipeline.audio.devices import list_devices, refresh
from pipeline.sources.microphone import Microphone
from pipeline.sinks.loudspeaker import Loudspeaker
from pipeline.events import AudioChunk, Gap, SpeechChunk

async def main():
    assert "speaker under test" in [device.name for device in list_devices()]
    speaker, microphone = Loudspeaker("Speaker Under"), Microphone("microphone under")
    await speaker.put(SpeechChunk(0, np.full(24000, 0.5, np.float32), 24000, True))
    chunks = aiter(microphone)
    heard = [await anext(chunks) for _ in range(20)]  # with notices: ALSA's null device gives whatever memory held
    audio = [item for item in heard if isinstance(item, AudioChunk)]
    lost = [item for item in heard if isinstance(item, Gap)]  # a busy machine reads late
    assert all(any(gap.end == later.start for gap in lost) or abs(later.start - chunk.end) < 1e-9
               for chunk, later in pairwise(audio))
    assert len(audio) >= 10
    await chunks.aclose()
    await speaker.close()
    assert threading.active_count() == 1
    refresh(force=False)
    assert list_devices()

asyncio.run(main())
"""


def portaudio_has_alsa():
    try:
        import sounddevice
    except OSError:
        return False
    return any(api["name"] == "ALSA" for api in sounddevice.query_hostapis())


@pytest.mark.skipif(not portaudio_has_alsa(), reason="needs PortAudio with ALSA")
def test_speech_reaches_the_device_and_audio_comes_from_it(tmp_path):
    played = tmp_path / "played.raw"
    (tmp_path / ".asoundrc").write_text(
        f"""pcm.played {{ type file slave.pcm null file "{played}" format raw }}
        pcm."speaker under test" {{ type plug slave.pcm played hint {{ show on description a }} }}
        pcm."microphone under test" {{ type null hint {{ show on description b }} }}"""
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(root)}
    ran = subprocess.run(
        [sys.executable, "-c", PLAY_AND_LISTEN], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    samples = np.fromfile(played, np.float32)
    assert np.count_nonzero(samples > 0.45) == pytest.approx(44100, rel=0.02)
