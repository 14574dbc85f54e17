"""Backends of the three stages; each file imports its heavy library only where it is used."""

import os

os.environ.setdefault(
    "ORT_DISABLE_TELEMETRY", "1"
)  # onnxruntime reads it as it is imported; it would write to HOME and send
