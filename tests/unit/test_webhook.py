"""The webhook: every batch is signed, tried a bounded number of times, and goes where it was told to and nowhere else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from contextlib import asynccontextmanager

import pytest

from pipeline.errors import BadInput, NetworkError
from pipeline.sinks.bus import Publisher, Undeliverable
from pipeline.sinks.webhook import TRIES, Webhook, check_webhook

SECRET = "whsec_" + base64.b64encode(b"24 bytes of a secret key").decode()
RECORDS = [{"event": "x", "number": 0, "text": "añil"}]


class Receiver:
    """An HTTP server that keeps what is posted; answers with each of ``statuses``, then 204."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        whole = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in head[1:] if line}
        self.posts.append((whole, await reader.readexactly(int(headers["content-length"]))))
        status = self.statuses.pop(0) if self.statuses else 204
        writer.write(f"HTTP/1.1 {status} x\r\nlocation: {self.url}/other\r\ncontent-length: 0\r\n\r\n".encode())
        writer.write_eof()
        writer.close()


@asynccontextmanager
async def receiving():
    receiver = Receiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield receiver


async def test_a_batch_is_signed_so_that_a_receiver_can_prove_who_sent_it_and_when():
    async with receiving() as receiver:
        hook = Webhook(f"{receiver.url}/crm?token=t", SECRET, now=lambda: 1_700_000_000.9)
        await hook.send(RECORDS)
        await hook.close()
    ((headers, body),) = receiver.posts
    assert json.loads(body) == {"records": RECORDS}
    signed = f"{headers['webhook-id']}.1700000000.".encode() + body
    mark = base64.b64encode(hmac.new(b"24 bytes of a secret key", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mark}"
    assert headers["webhook-timestamp"] == "1700000000"
    assert "token" not in hook.name


@pytest.mark.parametrize(
    ("status", "kind"), [(500, NetworkError), (429, NetworkError), (400, Undeliverable), (302, Undeliverable)]
)
async def test_only_an_answer_that_may_change_is_asked_for_again_and_no_redirect_is_followed(status, kind):
    async with receiving() as receiver:
        receiver.statuses = [status]
        hook = Webhook(receiver.url, SECRET)
        with pytest.raises(NetworkError) as error:
            await hook.send(RECORDS)
        assert type(error.value) is kind
        await hook.send(RECORDS)
        await hook.close()
    first, second = (headers["webhook-id"] for headers, _ in receiver.posts)
    assert first == second, "a receiver knows a batch again"


async def test_a_receiver_that_is_never_well_gets_a_batch_so_often_and_the_next_after_a_word_on_it(monkeypatch):
    monkeypatch.setattr("pipeline.sinks.bus.LONGEST_RETRY_S", 0.01)
    monkeypatch.setattr("pipeline.sinks.bus.FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(Webhook, "linger_s", 0.0)
    async with receiving() as receiver:
        receiver.statuses = [503] * TRIES
        publisher = Publisher(Webhook(receiver.url, SECRET), str)
        async with publisher.running():
            publisher.publish({"event": "x"})
            async with asyncio.timeout(20):
                while publisher.dropped < 1:  # noqa: ASYNC110 - of a server
                    await asyncio.sleep(0.01)
            publisher.publish({"event": "y"})
    assert len(receiver.posts) == TRIES + 1
    last = json.loads(receiver.posts[-1][1])["records"]
    assert [(record["event"], record["number"]) for record in last] == [("Dropped", 0), ("y", 1)]


async def test_what_comes_within_a_moment_goes_in_one_batch():
    async with receiving() as receiver:
        publisher = Publisher(Webhook(receiver.url, SECRET), str)
        async with publisher.running():
            for _ in range(30):
                publisher.publish({"event": "x"})
                await asyncio.sleep(0)
    assert [len(json.loads(body)["records"]) for _, body in receiver.posts] == [30]


async def test_a_receiver_that_is_not_there_is_told_without_what_was_sent():
    hook = Webhook("http://127.0.0.1:9/x", SECRET)
    with pytest.raises(NetworkError, match="^it cannot be reached$"):
        await hook.send(RECORDS)
    await hook.close()


def test_text_goes_to_no_address_that_others_can_read_and_never_unsigned():
    check_webhook("https://crm.example/hook", SECRET)
    check_webhook("http://127.0.0.1:9000/hook", "a secret of sixteen")
    for url in ("http://crm.example/hook", "ftp://crm.example", "crm.example", "https://"):
        with pytest.raises(BadInput):
            check_webhook(url, SECRET)
    for secret in ("", "short", "whsec_?", "whsec_c2hvcnQ="):
        with pytest.raises(BadInput, match="holds no secret"):
            check_webhook("https://crm.example/hook", secret)
