"""The event bus over TLS: a real Redis with a certificate of a self-made authority, trusted by name only."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.serve_client import free_port
from pipeline.errors import NetworkError
from pipeline.privacy.erasure import Erased, Selection, erase_bus
from pipeline.sinks.bus import BusSink, Publisher
from pipeline.sinks.redis_stream import RedisStream
from tests.unit.test_bus import UNIT, entries

pytestmark = pytest.mark.skipif(
    not (shutil.which("redis-server") and shutil.which("openssl")), reason="redis-server and openssl are not both installed"
)


def openssl(folder: Path, *options: str) -> None:
    subprocess.run(["openssl", *options], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path, name: str) -> None:
    """Make an authority, ``ca.pem``, and a certificate of it for a server of this name."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2")
    openssl(folder, "req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
    (folder / "names").write_text(f"subjectAltName={name}\n")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2"]
    openssl(folder, "x509", "-req", "-in", "server.csr", "-out", "server.pem", *signed)


class TlsRedis:
    """``redis-server`` that speaks TLS only; its address trusts ``ca``."""

    def __init__(self, folder: Path, ca: Path) -> None:
        self.port = free_port()
        self.url = f"rediss://127.0.0.1:{self.port}?ssl_ca_certs={ca}"
        self._folder = folder

    async def __aenter__(self) -> TlsRedis:
        files = {"cert": "server.pem", "key": "server.key", "ca-cert": "ca.pem"}
        options = [word for name, file in files.items() for word in (f"--tls-{name}-file", str(self._folder / file))]
        options += ["--tls-port", str(self.port), "--port", "0", "--tls-auth-clients", "no", "--bind", "127.0.0.1"]
        self._process = await asyncio.create_subprocess_exec(
            "redis-server", *options, "--save", "", "--dir", str(self._folder), stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(20):
                while line := await self._process.stdout.readline():
                    if b"Ready to accept connections" in line:
                        return self
        except TimeoutError:
            pass
        await self.__aexit__()
        pytest.skip("this redis-server speaks no TLS")

    async def __aexit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@pytest.fixture
def folder(tmp_path) -> Path:
    certificates(tmp_path, "IP:127.0.0.1")
    return tmp_path


async def test_events_go_over_tls_and_are_erased_there(folder):
    async with TlsRedis(folder, folder / "ca.pem") as redis:
        async with Publisher(RedisStream(redis.url), str).running() as publisher:
            sink = BusSink([publisher], "sess_1", text=True)
            await sink.put(UNIT)
            await sink.close()
        assert [record["event"] for record in await entries(redis)] == ["session", "ReadingUnit", "end"]
        done = Erased()
        await erase_bus(redis.url, Selection(before=datetime.now(UTC) + timedelta(days=1)), [], done)
        assert done.gone == ["3 entries of the bus"]
        assert await entries(redis) == []


@pytest.mark.parametrize("wrong", ["authority", "name", "plain"])
async def test_nothing_is_sent_to_a_server_that_is_not_who_it_should_be(folder, wrong):
    trusted = folder / "ca.pem"
    if wrong == "authority":
        trusted = folder / "other" / "ca.pem"
        trusted.parent.mkdir()
        certificates(trusted.parent, "IP:127.0.0.1")
    elif wrong == "name":
        certificates(folder, "DNS:redis.example")
    async with TlsRedis(folder, folder / "ca.pem") as redis:
        redis.url = redis.url.replace(str(folder / "ca.pem"), str(trusted))
        stream = RedisStream(redis.url.replace("rediss:", "redis:").partition("?")[0] if wrong == "plain" else redis.url)
        with pytest.raises(NetworkError) as error:
            await stream.send([{"event": "secret words", "number": 0}])
        await stream.close()
        reason = "it cannot be reached" if wrong == "plain" else "its certificate is not trusted, or is another's"
        assert str(error.value) == reason
        redis.url = redis.url.replace(str(trusted), str(folder / "ca.pem"))
        if wrong != "name":
            assert await entries(redis) == []
