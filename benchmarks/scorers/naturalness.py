"""How natural the translated speech sounds: UTMOS (Saeki et al. 2022) by ``pip install utmos torchaudio soundfile``.

A relative check only: it was trained on read English, and rewards what sounds like that.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """The mean over all items with speech."""
    try:
        import utmos  # noqa: PLC0415
    except ImportError as error:
        sys.exit(f"{error.name} is missing in this environment: pip install utmos")
    model = utmos.Score()
    items = [item for line in sys.stdin if (item := json.loads(line))["audio"]]
    scores = [float(model.calculate_wav_file(item["audio"])) for item in items]
    print(json.dumps({"utmos": sum(scores) / len(scores) if scores else 0.0, "utmos_items": len(scores)}))


if __name__ == "__main__":
    main()
