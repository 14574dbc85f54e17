"""Backends of the three stages; each file imports its heavy library only where it is used."""

import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when huggingface_hub is first imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is: else it sends, and writes under HOME
