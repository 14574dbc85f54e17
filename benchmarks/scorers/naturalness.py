"""Naturalness of the translated speech: UTMOS (Saeki et al. 2022), ``pip install utmos-pytorch soundfile soxr``.

A relative check only: it was trained on read English, and rewards what sounds like that. The weights by UTMOS_CHECKPOINT, a
file, or downloaded. Each breath is scored by itself, so that pauses between them are not taken for speech.
"""

from __future__ import annotations

import json
import os
import sys

HZ = 16_000
SHORTEST = HZ // 2  # samples; below, the model has too little to hear
CHECKPOINT = os.environ.get("UTMOS_CHECKPOINT")


def main() -> None:
    """The mean over all breaths of all items."""
    try:
        import soundfile  # noqa: PLC0415
        import soxr  # noqa: PLC0415
        import torch  # noqa: PLC0415
        from utmos_pytorch import UTMOSScoreTorch  # noqa: PLC0415
    except ImportError as error:
        sys.exit(f"{error.name} is missing in this environment: pip install utmos-pytorch soundfile soxr")
    try:
        model = UTMOSScoreTorch(CHECKPOINT, "cpu")
    except (OSError, RuntimeError) as error:
        sys.exit(f"the weights of UTMOS cannot be loaded ({type(error).__name__}): set UTMOS_CHECKPOINT to a file")
    scores = []
    for item in map(json.loads, sys.stdin):
        if not item["audio"]:
            continue
        samples, rate = soundfile.read(item["audio"], dtype="float32", always_2d=True)
        for start_s, end_s in item["breaths"]:
            breath = soxr.resample(samples[round(start_s * rate) : round(end_s * rate)].mean(axis=1), rate, HZ)
            if len(breath) >= SHORTEST:
                scores.append(float(model.score(torch.from_numpy(breath))))
    print(json.dumps({"utmos": sum(scores) / len(scores) if scores else None, "utmos_breaths": len(scores)}))


if __name__ == "__main__":
    main()
