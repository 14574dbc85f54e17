"""Servers behind HAProxy by the repository's own configuration, which finds them by name: one is killed in mid-talk."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
from benchmarks.serve_client import ServerProcess, Talker, free_port  # noqa: E402

HAPROXY = shutil.which("haproxy")
FILE = Path(__file__).parents[2] / "haproxy.cfg"
HOSTS = ("127.0.0.2", "127.0.0.3")


class Names(asyncio.DatagramProtocol):
    """A name server that knows one name's addresses."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data: bytes, address):
        question = data[12 : data.index(b"\0", 12) + 5]
        kind = struct.unpack("!H", question[-4:-2])[0]
        answers = [b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(host) for host in HOSTS] * (kind == 1)
        head = data[:2] + struct.pack("!HHHHH", 0x8180, 1, len(answers), 0, 0)
        self.transport.sendto(head + question + b"".join(answers), address)


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
async def test_behind_a_proxy_another_server_takes_over_and_no_word_is_lost_or_said_twice(tmp_path):
    dns, names = await asyncio.get_running_loop().create_datagram_endpoint(Names, ("127.0.0.1", 0))
    port, ports = free_port(), (free_port(), free_port())
    text = FILE.read_text()
    for said, here in [
        ("parse-resolv-conf", f"nameserver test 127.0.0.1:{dns.get_extra_info('sockname')[1]}"),
        ("bind :8200", f"bind 127.0.0.1:{port}"),
        ("server:8200", f"server:{ports[0]}"),
        ("port 9464", f"port {ports[1]}"),
    ]:
        assert said in text
        text = text.replace(said, here)
    (tmp_path / "haproxy.cfg").write_text(text)
    proxy = await asyncio.create_subprocess_exec(
        HAPROXY, "-db", "-f", str(tmp_path / "haproxy.cfg"), stderr=subprocess.DEVNULL
    )
    servers = await asyncio.gather(*(ServerProcess.start(2, ports=ports, host=host) for host in HOSTS))
    try:
        await asyncio.gather(*(one.ready() for one in servers))
        killed: list[ServerProcess] = []

        def on_slot(slot: int) -> None:
            if slot == 15 and not killed:
                killed.append(next(one for one in servers if one.has_clients))
                killed[0].send(signal.SIGKILL)

        talker = Talker(lambda: f"ws://127.0.0.1:{port}/v1/realtime/translations?model=scripted")
        await talker.talk(30, on_slot)
        assert len(talker.opened_at) == 2
        assert talker.numbers == list(range(30))
    finally:
        with suppress(ProcessLookupError):
            proxy.kill()
        await proxy.wait()
        dns.close()
        for one in servers:
            await one.end()
