"""The unmodified openai package of npm against a real server, over TLS as it demands.

It needs Node 22: ``npm i node@22 openai@7.59.0 ws`` in a folder that ``TRANSLATE_LIVE_NPM`` names.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
from benchmarks.serve_client import ServerProcess  # noqa: E402
from benchmarks.spoken_numbers import spoken  # noqa: E402
from tests.system.test_server_faults import certificate  # noqa: E402

FOLDER = os.environ.get("TRANSLATE_LIVE_NPM", "")
NODES = [node for node in Path(FOLDER).glob("node_modules/node*/bin/node") if node.stat().st_size > 10**7] if FOLDER else []
SCRIPT = Path(__file__).with_name("server_npm.mjs")


@pytest.mark.skipif(not NODES, reason="TRANSLATE_LIVE_NPM names no folder with the packages node and openai of npm")
async def test_the_javascript_sdk_opens_a_session_hears_all_of_it_and_ends_it(tmp_path):
    chain, private = certificate(tmp_path)
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{id: studio, sha256: {hashlib.sha256(b'sesame').hexdigest()}}}\n")
    running = await (await ServerProcess.start(4, "--cert", chain, "--key", private, "--keys", keys)).ready()
    try:
        host = running.url.removeprefix("ws://").partition("/")[0].replace("127.0.0.1", "localhost")
        ended = await asyncio.to_thread(
            subprocess.run,
            [str(NODES[0]), str(SCRIPT), host, "sesame"],
            input=spoken(0, 18),
            capture_output=True,
            cwd=FOLDER,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(chain)},
            timeout=100,
            check=False,
        )
    finally:
        await running.end()
    assert ended.returncode == 0, ended.stderr.decode()
    result = json.loads(ended.stdout)
    assert result["text"].split() == [str(number) for number in range(18)]
    assert (result["secret"], result["errors"]) == ("ek_", [])
    assert result["bytes"] > 24_000
    kinds = ("session.created", "session.updated", "session.closed")
    assert [result["kinds"].get(kind) for kind in kinds] == [1, 1, 1]
