"""Two servers behind HAProxy, as docs/server.md has them: one is killed in mid-talk, one is full."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from contextlib import suppress

import pytest

pytest.importorskip("uvicorn")
from benchmarks.serve_client import ServerProcess, Talker, free_port  # noqa: E402

HAPROXY = shutil.which("haproxy")
CONFIGURATION = """
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout tunnel 4h
  option redispatch
  retries 2
frontend clients
  bind 127.0.0.1:{port}
  default_backend servers
backend servers
  balance leastconn
  option httpchk GET /ready
  default-server inter 500 fall 1 rise 1
"""


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
async def test_behind_a_proxy_the_other_server_takes_over_and_no_word_is_lost_or_said_twice(tmp_path):
    servers = await asyncio.gather(*(ServerProcess.start(2) for _ in range(2)))
    port = free_port()
    lines = [f"  server s{number} 127.0.0.1:{one.port} check port {one.metrics_port}" for number, one in enumerate(servers)]
    file = tmp_path / "haproxy.cfg"
    file.write_text(CONFIGURATION.format(port=port) + "\n".join(lines) + "\n")
    proxy = await asyncio.create_subprocess_exec(HAPROXY, "-db", "-f", str(file), stderr=subprocess.DEVNULL)
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
        for one in servers:
            await one.end()
