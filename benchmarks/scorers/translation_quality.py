"""Quality of the translation: COMET (Rei et al. 2022); the model by COMET_MODEL, a name or a .ckpt file.

``pip install unbabel-comet 'setuptools<81' 'sentencepiece<0.2.1'``: what its pinned packages need and do not ask for.
"""

from __future__ import annotations

import json
import os
import sys

PACKAGES = "unbabel-comet 'setuptools<81' 'sentencepiece<0.2.1'"
MODEL = os.environ.get("COMET_MODEL", "Unbabel/wmt22-comet-da")


def main() -> None:
    """The mean over all items; an empty hypothesis scores 0 and stays in the mean."""
    try:
        from comet import download_model, load_from_checkpoint  # noqa: PLC0415
    except ImportError as error:
        sys.exit(f"unbabel-comet is missing in this environment ({error}): pip install {PACKAGES}")
    items = [json.loads(line) for line in sys.stdin]
    told = [item for item in items if item["hypothesis"].strip()]
    try:
        model = load_from_checkpoint(MODEL if os.path.isfile(MODEL) else download_model(MODEL))
    except (OSError, KeyError) as error:
        sys.exit(f"the model {MODEL} cannot be had ({type(error).__name__}): set COMET_MODEL to a checkpoint's .ckpt file")
    data = [{"src": item["source"], "mt": item["hypothesis"], "ref": item["reference"]} for item in told]
    scores = model.predict(data, batch_size=8, gpus=int(os.environ.get("COMET_GPUS", "0"))).scores if data else []
    print(json.dumps({"comet": sum(scores) / len(items) if items else None, "comet_empty": len(items) - len(told)}))


if __name__ == "__main__":
    main()
