"""The process: its sockets, its two HTTP servers, and its end by SIGTERM without a word lost."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from pipeline.contracts import Sink
from pipeline.engine import Engine
from pipeline.errors import BadInput, DeviceError, TranslateLiveError
from pipeline.privacy.erasure import sweep, sweep_bus
from pipeline.privacy.ledger import Ledger
from pipeline.profiles.profile import Profile
from pipeline.server import LOG
from pipeline.server.access import LEAST_SECRET, Access, Key, Signer
from pipeline.server.admission import Admission
from pipeline.server.app import application
from pipeline.server.asked import default_target
from pipeline.server.memory import give_back_at_rest, spared_from_collection
from pipeline.server.metrics import Metrics, metrics_app
from pipeline.server.room_recording import RoomRecorder
from pipeline.server.rooms import Seat
from pipeline.server.service import Limits, Service
from pipeline.sinks.bus import BusSink, Publisher
from pipeline.sinks.sharing import Sharing

SECRET = "TRANSLATE_LIVE_SECRET"
MAX_MESSAGE = 2**20
SEND_BUFFER = 64 * 2**10  # the kernel doubles it: 2 s of speech, else it would hide a client that does not read
DEAD_S = 30  # a peer that acknowledges nothing for so long is gone
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": DEAD_S * 1000}
CLOSING_S = 5
SWEPT_S = 3600.0


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Addresses, keys and limits of a server."""

    host: str = "127.0.0.1"
    port: int = 8200
    metrics_port: int = 9464  # 0: none
    capacity: int | None = None  # the profile's
    keys: tuple[Key, ...] = ()
    origins: tuple[str, ...] = ()
    cert: Path | None = None
    cert_key: Path | None = None
    forwarded_allow_ips: str = "127.0.0.1"
    limits: Limits = field(default_factory=Limits)
    sharing: Sharing = field(default_factory=Sharing)
    record: Path | None = None  # where rooms are recorded


async def serve(profile: Profile, options: ServerOptions, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, and then until the sessions have ended; a second signal ends them.

    Raises `TranslateLiveError` for an address, certificate or model that cannot be used.
    """
    check_tls(options)
    signer, metrics = Signer(secret_of_environment(tell)), Metrics()
    services: list[Service] = []  # the one, once its models are loaded
    probed = bind(options.host, options.metrics_port) if options.metrics_port else None
    if probed:
        listen(probed)
    listening = bind(options.host, options.port)
    failure: TranslateLiveError | None = None
    async with asyncio.TaskGroup() as tasks:
        probe = Probes(config_of(metrics_app(metrics, lambda: any(one.admission.admits for one in services))))
        if probed:
            tasks.create_task(probe.serve(sockets=[probed]))
        watching = tasks.create_task(metrics.watch_loop())
        tell("loading models")
        try:
            async with Engine.load(profile) as engine:
                services.append(service_of(engine, options, signer, metrics))
                with spared_from_collection():
                    await _serve(services[0], options, listening, tell)
        except TranslateLiveError as error:  # a task group would wrap it
            failure = error
        watching.cancel()
        probe.should_exit = True
    if failure is not None:
        raise failure


def service_of(engine: Engine, options: ServerOptions, signer: Signer, metrics: Metrics) -> Service:
    """Build what the connections of a process share."""
    capacity = engine.profile.capacity if options.capacity is None else options.capacity
    access = Access(options.keys, signer, options.origins)
    recording = RoomRecorder(options.record, options.sharing) if options.record else None
    target, admission = default_target(engine.profile), Admission(capacity)
    return Service(engine, access, admission, target, options.limits, metrics, recording=recording)


async def _serve(service: Service, options: ServerOptions, listening: socket.socket, tell: Callable[[str], None]) -> None:
    listen(listening)
    drain = asyncio.Event()
    server = Server(config_of(application(service), options), drain)
    async with AsyncExitStack() as opened, asyncio.TaskGroup() as tasks:
        publish(service, await options.sharing.publishers(opened, LOG.warning), options.sharing)
        draining = tasks.create_task(_drained(service, server, drain))
        sweeping = tasks.create_task(_swept(options))
        resting = tasks.create_task(give_back_at_rest(service.admission))
        tell(_greeting(options, listening, service.admission.capacity))
        await server.serve(sockets=[listening])
        draining.cancel()
        sweeping.cancel()
        resting.cancel()


def publish(service: Service, publishers: Sequence[Publisher], sharing: Sharing) -> None:
    """Put the events of all sessions on the bus, with text where the key's policy allows it."""
    if not publishers:
        return

    def sink(session: str, key: str, seat: Seat | None) -> Sink:
        text = service.access.key(key).text_to_bus
        room, participant = map(sharing.personal.redacted_name, (seat.room.name, seat.name) if seat else ("", ""))
        return sharing.redacting(BusSink(publishers, session, key=key, room=room, participant=participant, text=text))

    service.sinks.append(sink)
    service.metrics.bus_waiting.set_function(lambda: sum(one.waiting for one in publishers))
    service.metrics.bus_dropped.set_function(lambda: sum(one.dropped for one in publishers))


def bind(host: str, port: int) -> socket.socket:
    """Take an address, without listening yet; raises `DeviceError`."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, socket.SOCK_STREAM)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():  # accepted sockets inherit them; not every system has all
            if (option := getattr(socket, name, None)) is not None:
                taken.setsockopt(socket.IPPROTO_TCP, option, value)
        taken.bind(address)
    except OSError as error:
        raise DeviceError(f"cannot listen on {host} port {port}: {error.strerror}", hint="another port") from error
    return taken


def listen(taken: socket.socket) -> None:
    """Listen at an address; raises `DeviceError` where another that took it likewise was first."""
    try:
        taken.listen()
    except OSError as error:
        host, port = taken.getsockname()[:2]
        raise DeviceError(f"cannot listen on {host} port {port}: {error.strerror}", hint="another port") from error


def check_tls(options: ServerOptions) -> None:
    """Raise `BadInput` unless certificate and key are given together, can be read and belong together."""
    if options.cert is None and options.cert_key is None:
        return
    if options.cert is None or options.cert_key is None:
        raise BadInput("TLS needs both a certificate and its key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options.cert, options.cert_key)
    except OSError as error:  # SSLError is one
        raise BadInput(f"cannot use the certificate {options.cert}: {error.strerror or error}") from error


class SocketProtocol(WebSocketsSansIOProtocol):
    """A connection whose handshake is answered also where it cannot be read, as one that is too long."""

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:  # uvicorn would leave the client waiting
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()


class Server(uvicorn.Server):
    """A server that drains at the first signal and ends at the second."""

    def __init__(self, config: uvicorn.Config, drain: asyncio.Event) -> None:
        super().__init__(config)
        self._drain = drain
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self._drain.is_set():
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._drain.set)


class Probes(uvicorn.Server):
    """The server of the metrics port, which leaves signals to the other."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Take none."""
        return nullcontext()


async def _drained(service: Service, server: uvicorn.Server, drain: asyncio.Event) -> None:
    await drain.wait()
    await service.drain()
    server.should_exit = True


async def _swept(options: ServerOptions) -> None:
    """Delete what was kept and whose time is over, now and each hour: recordings, and a key's entries of the bus."""
    days = {key.id: key.retention_days for key in options.keys if key.retention_days is not None}
    while True:
        try:
            done = await asyncio.to_thread(sweep, Ledger())
            if done.gone or done.left:  # without their names, which are those of rooms
                LOG.info("retention erased=%d left=%d", len(done.gone), len(done.left))
            if days and options.sharing.bus:
                await sweep_bus(options.sharing.bus, days)
        except Exception as error:  # the border to disk and bus: again in an hour
            LOG.warning("retention failed: %s", type(error).__name__)
        await asyncio.sleep(SWEPT_S)


def config_of(app: ASGIApp, options: ServerOptions | None = None) -> uvicorn.Config:
    """Return the settings of an HTTP server; one that is probed only takes the defaults."""
    logging.getLogger("uvicorn.error").addFilter(_no_false_alarm)
    options = options or ServerOptions()
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        ws=SocketProtocol,
        ws_max_size=MAX_MESSAGE,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        ssl_certfile=options.cert,
        ssl_keyfile=options.cert_key,
        forwarded_allow_ips=options.forwarded_allow_ips,
        timeout_graceful_shutdown=CLOSING_S,
    )


def _no_false_alarm(record: logging.LogRecord) -> bool:
    """Drop what uvicorn says of every connection that was refused before the upgrade."""
    return "without completing handshake" not in record.getMessage()


def secret_of_environment(tell: Callable[[str], None]) -> bytes:
    """Read the secret that signs what clients bring back, or make one; raises `BadInput` for one that is too short."""
    given = os.environ.get(SECRET, "").encode()
    if given and len(given) < LEAST_SECRET:
        raise BadInput(f"{SECRET} has {len(given)} bytes; it needs at least {LEAST_SECRET}")
    if not given:
        tell(f"{SECRET} is not set: client secrets and resumes end with this process")
    return given or secrets.token_bytes(LEAST_SECRET)


def _greeting(options: ServerOptions, listening: socket.socket, capacity: int) -> str:
    host, port = listening.getsockname()[:2]
    scheme = "https" if options.cert else "http"
    shown = f"[{host}]" if ":" in host else host
    who = "keys" if options.keys else "this machine only"
    return f"listening on {scheme}://{shown}:{port} sessions={capacity} for {who}"
