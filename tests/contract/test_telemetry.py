"""Nothing is sent: onnxruntime, whoever imports it, opens no socket and writes nothing under HOME."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.onnx_voices import write_kokoro

PROGRAM = """
import sys
def forbid(event, arguments):
    if event in {"socket.__new__", "socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        raise RuntimeError(f"{event} {arguments}")
sys.addaudithook(forbid)
import numpy as np
from pathlib import Path
import models.asr.vad
from models.tts.onnx_voice import open_graph, outputs_of
models.asr.vad.StreamingVad().probabilities(np.zeros(16_000, np.float32))
graph = open_graph(Path(sys.argv[1]), Path(sys.argv[1]).read_bytes(), 1)
style, speed = np.ones((1, 256), np.float32), np.ones(1, np.float32)
outputs_of(graph, None, {"tokens": np.array([[0, 5, 0]]), "style": style, "speed": speed}, None)
"""


@pytest.mark.parametrize("tracer", [[], ["strace", "-f", "-e", "trace=socket,connect,sendto,sendmsg", "-o"]])
def test_onnxruntime_opens_no_socket_and_writes_nothing_at_home(tmp_path, tracer):
    if tracer and not any(Path(folder, "strace").exists() for folder in os.environ["PATH"].split(":")):
        pytest.skip("strace is not installed")
    write_kokoro(tmp_path / "model.onnx")
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY" and not name.startswith("XDG")
    }
    environment |= {"HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    trace = [*tracer, str(tmp_path / "trace")] if tracer else []
    command = [*trace, sys.executable, "-c", PROGRAM, str(tmp_path / "model.onnx")]
    subprocess.run(command, env=environment, check=True, timeout=100)
    assert list(home.rglob("*")) == []
    if tracer:
        calls = [line for line in (tmp_path / "trace").read_text().splitlines() if "(AF_" in line or "sa_family" in line]
        assert [call for call in calls if "AF_UNIX" not in call] == []
