"""Likeness of the translated speech to the speaker's: cosine of ECAPA embeddings (Desplanques et al. 2020).

``pip install speechbrain torch==2.11.0 torchaudio==2.11.0 soundfile requests``, torch and torchaudio of one version. The
model by ECAPA_MODEL, a name or a folder. Scores of other encoders cannot be compared with these, nor may the encoder be the
one that the synthesizer was trained with.
"""

from __future__ import annotations

import json
import os
import sys

PACKAGES = "speechbrain torch==2.11.0 torchaudio==2.11.0 soundfile requests"
MODEL = os.environ.get("ECAPA_MODEL", "speechbrain/spkrec-ecapa-voxceleb")


def main() -> None:
    """The mean cosine over all items with speech."""
    try:
        import soundfile  # noqa: PLC0415
        import torch  # noqa: PLC0415
        import torchaudio  # noqa: PLC0415
        from speechbrain.inference.speaker import EncoderClassifier  # noqa: PLC0415
    except (ImportError, OSError) as error:  # a torchaudio of another version than torch is an OSError
        sys.exit(f"speechbrain is missing in this environment ({error}): pip install {PACKAGES}")
    try:
        encoder = EncoderClassifier.from_hparams(MODEL)
    except (OSError, ValueError) as error:
        sys.exit(f"the encoder {MODEL} cannot be had ({type(error).__name__}): set ECAPA_MODEL to a folder")

    def embedding(file: str) -> object:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        mono = torch.from_numpy(samples.mean(axis=1))[None]
        return encoder.encode_batch(torchaudio.functional.resample(mono, rate, 16_000)).flatten()

    items = [item for line in sys.stdin if (item := json.loads(line))["audio"]]
    scores = [
        float(torch.nn.functional.cosine_similarity(embedding(item["source_audio"]), embedding(item["audio"]), dim=0))
        for item in items
    ]
    print(json.dumps({"speaker_similarity": sum(scores) / len(scores) if scores else None, "speaker_items": len(scores)}))


if __name__ == "__main__":
    main()
