"""COMET of the translation (Rei et al. 2022): ``pip install unbabel-comet``; the model by COMET_MODEL."""

from __future__ import annotations

import json
import os
import sys

MODEL = os.environ.get("COMET_MODEL", "Unbabel/wmt22-comet-da")


def main() -> None:
    """The mean over all items; an empty hypothesis scores 0 and stays in the mean."""
    try:
        from comet import download_model, load_from_checkpoint  # noqa: PLC0415
    except ImportError as error:
        sys.exit(f"unbabel-comet is missing in this environment ({error}): pip install unbabel-comet")
    items = [json.loads(line) for line in sys.stdin]
    told = [item for item in items if item["hypothesis"].strip()]
    model = load_from_checkpoint(download_model(MODEL))
    data = [{"src": item["source"], "mt": item["hypothesis"], "ref": item["reference"]} for item in told]
    scores = model.predict(data, batch_size=8, gpus=int(os.environ.get("COMET_GPUS", "0"))).scores if data else []
    print(json.dumps({"comet": sum(scores) / len(items) if items else 0.0, "comet_empty": len(items) - len(told)}))


if __name__ == "__main__":
    main()
