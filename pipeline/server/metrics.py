"""Figures for Prometheus, and if the process is alive and ready; served on a port of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipeline.contracts import Delivery
from pipeline.events import Busy, Event, Fault, Gap, Lag, ReadingUnit, Skipped
from pipeline.stages.recognize import HANGS

MOST_REASONS = 20  # label values; reasons are texts
LAG_BUCKETS = (0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 30)
LOOP_STEP_S = 0.5


class Metrics:
    """Counters and gauges of one process, and a `Sink` of all its sessions; no label has a session, a key or a language."""

    delivery: Delivery = "view"

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.alive = True
        self.sessions = Gauge("tl_sessions", "Sessions by state", ["state"], registry=registry)
        self.capacity = Gauge("tl_capacity", "Sessions that are admitted at once", registry=registry)
        self.refused = Counter("tl_refused", "Connections refused before the upgrade", ["why"], registry=registry)
        self.ended = Counter("tl_ended", "Connections ended", ["code"], registry=registry)
        self.units = Counter("tl_units", "Reading units", registry=registry)
        self.ear_voice = Histogram(
            "tl_ear_voice_seconds", "From a unit's source words to its speech", buckets=LAG_BUCKETS, registry=registry
        )
        self.busy = Counter("tl_stage_busy_seconds", "Time in calls to models", ["stage"], registry=registry)
        self.skipped = Counter("tl_skipped_units", "Units shown but not spoken", ["reason"], registry=registry)
        self.gaps = Counter("tl_gap_seconds", "Audio that was not recognized", ["reason"], registry=registry)
        self.faults = Counter("tl_faults", "Faults of a session", ["stage"], registry=registry)
        self.unsent = Gauge("tl_unsent_bytes", "Bytes that wait for slow clients", registry=registry)
        self.bus_waiting = Gauge("tl_bus_waiting", "Events that wait for the bus", registry=registry)
        self.bus_dropped = Gauge("tl_bus_dropped", "Events that the bus will not get", registry=registry)
        self.loop_late = Histogram("tl_loop_late_seconds", "How late the event loop runs a timer", registry=registry)
        self._reasons: set[str] = set()

    async def put(self, event: Event) -> None:
        """Count an event of any session."""
        match event:
            case ReadingUnit():
                self.units.inc()
            case Lag():
                self.ear_voice.observe(event.ear_voice_s)
            case Busy():
                self.busy.labels(event.stage).inc(max(0.0, event.seconds))
            case Skipped():
                self.skipped.labels(self._reason(event.reason)).inc(event.last - event.first + 1)
            case Gap():
                self.gaps.labels(self._reason(event.reason)).inc(max(0.0, event.end - event.start))
            case Fault():
                self.faults.labels(self._reason(event.stage)).inc()
                if event.message.startswith(HANGS) and not event.fatal:  # it holds its thread
                    self.alive = False

    async def close(self) -> None:
        """Do nothing: other sessions go on."""

    async def watch_loop(self) -> None:
        """Measure how late the loop is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOP_STEP_S
            await asyncio.sleep(LOOP_STEP_S)
            self.loop_late.observe(max(0.0, loop.time() - due))

    def _reason(self, reason: str) -> str:
        if len(self._reasons) < MOST_REASONS:
            self._reasons.add(reason)
        return reason if reason in self._reasons else "other"


def metrics_app(metrics: Metrics, admits: Callable[[], bool]) -> Starlette:
    """Build the application of the metrics port: ``/live``, ``/ready``, ``/metrics``."""

    async def live(request: Request) -> Response:
        return PlainTextResponse("live\n" if metrics.alive else "a model hangs\n", 200 if metrics.alive else 503)

    async def ready(request: Request) -> Response:
        ready = metrics.alive and admits()
        return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)

    async def figures(request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/live", live), Route("/ready", ready), Route("/metrics", figures)])
