"""The command `serve` as a process: signals, a killed server, its address, and the examples of docs/server.md."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
from websockets.asyncio.client import connect  # noqa: E402

from benchmarks.serve_client import SCRIPTED, ServerProcess, Talker  # noqa: E402
from benchmarks.spoken_numbers import spoken  # noqa: E402
from pipeline.errors import BadInput, DeviceError  # noqa: E402
from pipeline.server.process import ServerOptions, bind, check_tls, listen  # noqa: E402
from tests.system.test_server_faults import certificate  # noqa: E402

ROOT = Path(__file__).parents[2]


async def test_a_session_loses_no_word_when_its_server_is_told_to_end():
    running = await (await ServerProcess.start(4)).ready()
    try:
        talker = Talker(lambda: running.url)
        await talker.talk(15, lambda slot: running.send(signal.SIGTERM) if slot == 7 and not talker.going_away else None)
        assert talker.numbers == list(range(15))
        assert talker.going_away
        assert await asyncio.wait_for(running.process.wait(), 30) == 0
    finally:
        await running.end()


async def test_no_word_is_lost_or_said_twice_when_a_server_is_killed_and_another_takes_over():
    servers = list(await asyncio.gather(*(ServerProcess.start(4) for _ in range(2))))
    try:
        await asyncio.gather(*(server.ready() for server in servers))
        killed = []

        def on_slot(slot: int) -> None:
            if slot == 15 and not killed:
                killed.append(servers[0])
                servers[0].send(signal.SIGKILL)

        talker = Talker(lambda: servers[len(killed)].url)
        await talker.talk(30, on_slot)
        assert len(talker.opened_at) == 2
        assert talker.numbers == list(range(30))
    finally:
        for server in servers:
            await server.end()


async def test_the_python_example_of_the_documentation_runs(tmp_path):
    example = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "server.md").read_text(), re.DOTALL)[1]
    running = await (await ServerProcess.start(4)).ready()
    try:
        port = running.url.split(":")[2].partition("/")[0]
        file = tmp_path / "example.py"
        file.write_text(example.replace("8200", port))
        words = [sys.executable, str(file)]
        ended = await asyncio.to_thread(
            subprocess.run, words, input=spoken(0, 12), capture_output=True, timeout=100, check=False
        )
        assert ended.stdout.decode().split() == list(map(str, range(12))), ended.stderr.decode()
    finally:
        await running.end()


async def test_tls_and_a_key_and_a_log_that_holds_neither_words_nor_keys_at_any_level(tmp_path):
    chain, private = certificate(tmp_path)
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{id: studio, sha256: {hashlib.sha256(b'sesame').hexdigest()}}}\n")
    with (tmp_path / "log").open("wb") as log:
        running = await ServerProcess.start(4, "--cert", chain, "--key", private, "--keys", keys, "-v", log=log)
        try:
            await running.ready()
            trusted = ssl.create_default_context(cafile=chain)
            url = running.url.replace("ws:", "wss:")
            async with connect(url, ssl=trusted, additional_headers={"Authorization": "Bearer sesame"}) as connection:
                update = {"type": "session.update", "session": {"translate_live": {"extensions": True}}}
                await connection.send(json.dumps(update))
                audio = base64.b64encode(spoken(0, 12)).decode()
                await connection.send(json.dumps({"type": "session.input_audio_buffer.append", "audio": audio}))
                await connection.send('{"type": "session.close"}')
                events = [json.loads(text)["type"] async for text in connection]
            assert "translate_live.unit" in events
            assert events[-1] == "session.closed"
        finally:
            await running.end()
    written = (tmp_path / "log").read_text()
    assert "key=studio" in written
    for secret in ("sesame", "session.update", "translate_live.unit", audio[:40], "rs_", "Bearer"):
        assert secret not in written


def serve(*words: object) -> subprocess.CompletedProcess[str]:
    settings = [word for setting in SCRIPTED for word in ("--set", setting)]
    command = [sys.executable, "-m", "pipeline", "serve", "--profile", "cpu", *settings, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


def test_an_address_that_is_taken_or_open_to_others_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeviceError, match=f"cannot listen on 127.0.0.1 port {port}"):
            bind("127.0.0.1", port)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ended = serve("--port", port, "--metrics-port", port)
    assert (ended.returncode, "cannot listen on 127.0.0.1 port" in ended.stderr) == (3, True), ended.stderr
    first, second = bind("127.0.0.1", port), bind("127.0.0.1", port)  # as of two servers that load their models
    with first, second:
        listen(first)
        with pytest.raises(DeviceError, match=f"cannot listen on 127.0.0.1 port {port}"):
            listen(second)
    ended = serve("--host", "0.0.0.0")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "it needs --keys FILE" in ended.stderr


def test_a_missing_package_is_told_in_one_line():
    code = (
        "import importlib.util as u, sys; find = u.find_spec; "
        "u.find_spec = lambda name, *a: None if name == 'uvicorn' else find(name, *a); "
        "from pipeline.cli import main; sys.exit(main(['serve']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "error: the server needs uvicorn", "try: pip install 'translate-live[serve]'",
    ]  # fmt: skip


def test_tls_is_checked_before_anything_is_loaded(tmp_path):
    chain, private = certificate(tmp_path)
    check_tls(ServerOptions(cert=chain, cert_key=private))
    for options in (
        ServerOptions(cert=chain),
        ServerOptions(cert=private, cert_key=chain),
        ServerOptions(cert=tmp_path / "none", cert_key=private),
    ):
        with pytest.raises(BadInput):
            check_tls(options)
