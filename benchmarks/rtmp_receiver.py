"""A server of RTMP in a process of its own, by PyAV: it takes one stream, keeps it as Matroska, and notes when it came."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PROGRAM = """
import json, sys, time, av
address, path, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
taken, came = 0, []
options = {"listen": "1", "analyzeduration": "500000"}
with av.open(address, options=options) as stream, av.open(path, "w", format="matroska") as kept:
    kept.metadata.update(stream.metadata)
    copied = {one.index: kept.add_stream_from_template(one, opaque=True) for one in stream.streams}
    try:
        for packet in stream.demux():
            if packet.size and taken < most:
                if packet.stream.type == "video":
                    came.append((float(packet.pts * packet.time_base), time.monotonic()))
                packet.stream = copied[packet.stream.index]
                kept.mux(packet)
                taken += 1
            if taken == most:
                break
    except OSError:
        pass
with open(path + ".json", "w") as file:
    json.dump(came, file)
"""


class RtmpServer:
    """A server that takes ``most`` packets and hangs up; what it took is at ``path`` once `wait` is over."""

    def __init__(self, path: Path, most: int = 10**9) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.path = path
        self.address = f"rtmp://127.0.0.1:{port}/live/key"
        words = [sys.executable, "-c", _PROGRAM, self.address, str(path), str(most)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        self.process.stdout.readline()
        while not _listens(port):
            assert self.process.poll() is None

    def wait(self) -> None:
        """Wait for the end of the stream."""
        self.process.wait(timeout=60)

    @property
    def came(self) -> list[tuple[float, float]]:
        """Each packet of the picture: its timestamp, and when it came by the system's monotonic clock, in seconds."""
        return [(at_s, moment) for at_s, moment in json.loads(Path(f"{self.path}.json").read_text())]


def _listens(port: int) -> bool:
    """Tell if a port is listened at, without connecting: the server takes one connection only."""
    wanted = f":{port:04X} 00000000:0000 0A"
    return any(wanted in line for line in Path("/proc/net/tcp").read_text().splitlines())


@contextmanager
def rtmp_server(path: Path, most: int = 10**9) -> Iterator[RtmpServer]:
    """Run a server."""
    server = RtmpServer(path, most)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        if server.process.stdout is not None:
            server.process.stdout.close()
