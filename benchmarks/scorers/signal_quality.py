"""Cleanness of the translated speech: DNSMOS P.835 (Reddy et al. 2022), whose weights are in the package.

``pip install speechmos onnxruntime librosa requests soundfile soxr``. It hears noise and distortion, not accent or prosody.
Each breath is scored by itself, so that pauses between them are not taken for a clean background.
"""

from __future__ import annotations

import json
import sys

HZ = 16_000
SHORTEST = HZ // 2  # samples
NAMES = {"ovrl_mos": "dnsmos_overall", "sig_mos": "dnsmos_speech", "bak_mos": "dnsmos_background"}


def main() -> None:
    """The means over all breaths of all items."""
    try:
        import soundfile  # noqa: PLC0415
        import soxr  # noqa: PLC0415
        from speechmos import dnsmos  # noqa: PLC0415
    except ImportError as error:
        packages = "speechmos onnxruntime librosa requests soundfile soxr"
        sys.exit(f"{error.name} is missing in this environment: pip install {packages}")
    found = []
    for item in map(json.loads, sys.stdin):
        if not item["audio"]:
            continue
        samples, rate = soundfile.read(item["audio"], dtype="float32", always_2d=True)
        for start_s, end_s in item["breaths"]:
            breath = soxr.resample(samples[round(start_s * rate) : round(end_s * rate)].mean(axis=1), rate, HZ)
            if len(breath) >= SHORTEST:
                found.append(dnsmos.run(breath.clip(-1, 1), HZ))
    figures = {ours: sum(one[theirs] for one in found) / len(found) if found else None for theirs, ours in NAMES.items()}
    print(json.dumps(figures | {"dnsmos_breaths": len(found)}, default=float))


if __name__ == "__main__":
    main()
