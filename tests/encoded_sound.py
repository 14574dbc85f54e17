"""Sound in the containers and codecs that people have, made by PyAV."""

import io
from fractions import Fraction

import av
import numpy as np

RATE = 48_000
SWEEP = (0.5 * np.sin(2 * np.pi * np.cumsum(np.linspace(200, 900, 3 * RATE)) / RATE)).astype(np.float32)


def encoded(kind, codec, tracks=(SWEEP,), bit_rate=128_000, layout="mono", **options):
    """Encode tracks into a container, as bytes."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind, options=options) as container:
        packets = []
        for samples in tracks:
            stream = container.add_stream(codec, rate=RATE, layout=layout)
            stream.bit_rate = bit_rate
            planes = np.stack([samples] * stream.layout.nb_channels)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
            packets += [*stream.encode(frame), *stream.encode(None)]
        for packet in sorted(packets, key=lambda one: float(one.dts * one.time_base)):
            container.mux(packet)
    return file.getvalue()


FORMS = {
    "mp3 without a tag": ("mp3", "libmp3lame", {"bit_rate": 320_000, "id3v2_version": "0", "write_xing": "0"}),
    "mp3 of speech": ("mp3", "libmp3lame", {"bit_rate": 32_000, "id3v2_version": "0", "write_xing": "0"}),
    "mp3 with a tag": ("mp3", "libmp3lame", {}),
    "mp2": ("mp2", "mp2", {}),
    "adts": ("adts", "aac", {}),
    "latm": ("latm", "aac", {}),
    "ac3": ("ac3", "ac3", {"bit_rate": 640_000, "layout": "5.1"}),
    "eac3": ("eac3", "eac3", {"bit_rate": 384_000, "layout": "5.1"}),
    "mpegts": ("mpegts", "aac", {}),
    "mpeg": ("mpeg", "mp2", {}),
    "avi": ("avi", "libmp3lame", {}),
    "flv": ("flv", "aac", {}),
    "webm": ("webm", "libopus", {}),
    "matroska": ("matroska", "aac", {}),
    "ogg": ("ogg", "libopus", {}),
    "flac": ("flac", "flac", {}),
    "wav": ("wav", "pcm_s24le", {"layout": "stereo"}),
    "w64": ("w64", "pcm_s16le", {}),
    "aiff": ("aiff", "pcm_s16be", {}),
    "au": ("au", "pcm_s16be", {}),
    "caf": ("caf", "pcm_s16le", {}),
    "mp4 in pieces": ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    "mp4 with its index first": ("mp4", "aac", {"moov_size": "20000"}),
    "mp4 with its index last": ("mp4", "aac", {}),
}
