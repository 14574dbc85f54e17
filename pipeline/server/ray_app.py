"""The server on Ray Serve, a replica a GPU: ``serve run pipeline.server.ray_app:app profile=gpu keys=/path/keys.yaml``.

Ray starts, places, restarts and scales replicas, and its proxies spread connections over them. What is refused, who may
connect and when a replica has drained stays with the application; `docs/scale.md` says what differs from plain processes.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.engine import Engine
from pipeline.errors import BadInput, TranslateLiveError, check_range, nearest
from pipeline.profiles.backends import STAGES
from pipeline.profiles.profile import Profile, load_profile
from pipeline.server import LOG
from pipeline.server.access import Signer, load_keys
from pipeline.server.app import application
from pipeline.server.memory import give_back_at_rest, spared_from_collection
from pipeline.server.metrics import Metrics
from pipeline.server.process import ServerOptions, secret_of_environment, service_of
from pipeline.server.service import STOP_S, Limits, Service

HEADROOM = 16  # requests above the sessions: a handshake that is refused, the page, a list of languages
WAITING = 64  # requests that Ray holds if even that is taken; beyond, it says 503 itself
FULL = 0.7  # of its places taken, a replica is to be helped by another
HEALTH_S = 2.0  # between Ray's questions; a replica that is to end is not asked any more
SILENT_S = 3 * HEALTH_S
KNOWN = ("profile", "config", "keys", "open", "capacity", "drain", "replicas", "most_replicas", "gpus", "cpus")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Arguments of the application."""

    profile: str = "gpu"
    config: str = ""
    assignments: tuple[str, ...] = ()  # stages, and names with a dot, are settings of the profile
    keys: str = ""
    open: bool = False  # for anybody who reaches it
    capacity: int | None = None
    drain_s: float = 120.0
    replicas: int = 1
    most_replicas: int = 1  # more than replicas: Ray scales between them
    gpus: float = 0.0
    cpus: float = 1.0

    def loaded(self) -> Profile:
        """Load the profile."""
        return load_profile(self.profile, Path(self.config) if self.config else None, self.assignments)


def wanted(arguments: Mapping[str, Any]) -> Wanted:
    """Read the arguments of ``serve run`` or of a configuration file; raises `BadInput`."""
    settings = {
        name: "null" if value is None else value for name, value in arguments.items() if "." in name or name in STAGES
    }
    given = {name: str(value) for name, value in arguments.items() if name not in settings}
    for name in given:
        if name not in KNOWN:
            raise BadInput(f"unknown argument {name!r}; {nearest(name, KNOWN)}; or a setting, as units.policy")
    numbers = {name: _number(name, given[name]) for name in KNOWN[4:] if name in given}
    is_open = given.get("open", "no") in {"yes", "true", "True", "1"}
    if not given.get("keys") and not is_open:
        told = "others can reach a server on Ray: it needs keys=FILE, or open=yes on a machine that only you reach"
        raise BadInput(told)
    profile, replicas = given.get("profile", "gpu"), int(numbers.get("replicas", 1))
    return Wanted(
        profile=profile,
        config=given.get("config", ""),
        assignments=tuple(f"{name}={value}" for name, value in settings.items()),
        keys=given.get("keys", ""),
        open=is_open,
        capacity=int(numbers["capacity"]) if "capacity" in numbers else None,
        drain_s=numbers.get("drain", 120.0),
        replicas=replicas,
        most_replicas=max(replicas, int(numbers.get("most_replicas", replicas))),
        gpus=numbers.get("gpus", 1.0 if profile == "gpu" else 0.0),
        cpus=numbers.get("cpus", 1.0),
    )


def app(arguments: Mapping[str, str]) -> Any:  # noqa: ANN401 - Ray's application
    """Build the application for ``serve run`` and ``serve deploy``."""
    from ray import serve  # noqa: PLC0415

    want = wanted(arguments)
    capacity = want.capacity or want.loaded().capacity
    keys = tuple(load_keys(Path(want.keys))) if want.keys else ()
    options = ServerOptions(capacity=capacity, keys=keys, limits=Limits(drain_s=want.drain_s))
    secret = secret_of_environment(lambda line: None)
    health = HealthChecks()

    def replica() -> Replica:
        return Replica(want.loaded, options, secret, health.ending)

    @serve.ingress(replica)
    class TranslateLive:
        """A replica, as far as Ray asks it."""

        app: Replica

        async def check_health(self) -> None:
            """Raise if a model hangs, so that Ray starts another replica."""
            health.asked()
            if self.app.service and not self.app.service.metrics.alive:
                raise RuntimeError("a model hangs")

        async def record_autoscaling_stats(self) -> dict[str, float]:
            """Count the sessions that run, and the places."""
            active = self.app.service.admission.active if self.app.service else 0
            return {"sessions": float(active), "capacity": float(capacity)}

    return serve.deployment(TranslateLive, **settings_of(want, capacity)).bind()


def settings_of(want: Wanted, capacity: int) -> dict[str, Any]:
    """Return the deployment's settings: our refusal comes before Ray's queue, and Ray waits until sessions have drained."""
    number: dict[str, Any] = {"num_replicas": want.replicas}
    if want.most_replicas > want.replicas:
        limits = {"min_replicas": want.replicas, "max_replicas": want.most_replicas}
        policy = {"policy_function": f"{__name__}:{replicas_for.__name__}"}
        number = {"autoscaling_config": {**limits, "policy": policy, "upscale_delay_s": 5.0, "downscale_delay_s": 300.0}}
    return {
        **number,
        "name": "TranslateLive",
        "max_ongoing_requests": capacity + HEADROOM,
        "max_queued_requests": WAITING,
        "ray_actor_options": {"num_gpus": want.gpus, "num_cpus": want.cpus},
        "health_check_period_s": HEALTH_S,
        "graceful_shutdown_wait_loop_s": 1.0,
        "graceful_shutdown_timeout_s": SILENT_S + want.drain_s + STOP_S + 10.0,
    }


def replicas_for(context: Any) -> tuple[int, dict[str, Any]]:  # noqa: ANN401 - Ray's AutoscalingContext
    """Reckon the number of replicas for the sessions that run, each filled to `FULL`; bounds and delays are Ray's."""
    metrics = context.aggregated_metrics or {}
    sessions = sum((metrics.get("sessions") or {}).values())
    places = list((metrics.get("capacity") or {}).values())
    if not places:
        return context.current_num_replicas, {}
    return max(1, math.ceil(sessions / (FULL * sum(places) / len(places)) - 1e-9)), {}


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise BadInput(f"{name}={text} is no number") from None
    check_range(name, number, 0 if name in {"drain", "gpus", "cpus"} else 1)
    return number


class Replica:
    """An ASGI application that loads its models at its start, and drains as soon as ``ending`` returns."""

    def __init__(
        self, profile: Callable[[], Profile], options: ServerOptions, secret: bytes, ending: Callable[[], Awaitable[None]]
    ) -> None:
        self._profile = profile
        self._options = options
        self._signer = Signer(secret)
        self._ending = ending
        self._app: ASGIApp | None = None
        self.service: Service | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, or live from the start to the end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            assert self._app is not None, "the lifespan's start comes first"
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        started = False
        try:
            async with AsyncExitStack() as opened:
                engine = await opened.enter_async_context(Engine.load(self._profile()))
                opened.enter_context(spared_from_collection())
                metrics = Metrics()
                self.service = service_of(engine, self._options, self._signer, metrics)
                self._app = application(self.service)
                async with asyncio.TaskGroup() as tasks:
                    watching = tasks.create_task(metrics.watch_loop())
                    draining = tasks.create_task(self._drain(self.service))
                    resting = tasks.create_task(give_back_at_rest(self.service.admission))
                    started = True
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                    watching.cancel()
                    draining.cancel()
                    resting.cancel()
        except TranslateLiveError as error:
            if started:
                raise
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _drain(self, service: Service) -> None:
        """Wait for the end to come; then let sessions end before it does."""
        await self._ending()
        await service.drain()


class HealthChecks:
    """Ray's questions to this replica, whose absence says that it is to end: Ray has no hook for that.

    The controller confirms it, so that a controller that is away is not taken for the end.
    """

    def __init__(self) -> None:
        self._last = math.inf  # on the loop's clock, once it was asked
        self._told = False

    def asked(self) -> None:
        """Note a question."""
        self._last = asyncio.get_running_loop().time()

    async def ending(self) -> None:
        """Return once Ray is about to end this replica."""
        while True:
            await asyncio.sleep(HEALTH_S)
            if asyncio.get_running_loop().time() - self._last > SILENT_S and await self._confirmed():
                return

    async def _confirmed(self) -> bool:
        import ray  # noqa: PLC0415
        from ray import serve  # noqa: PLC0415
        from ray.exceptions import RayError  # noqa: PLC0415

        context = serve.get_replica_context()
        try:
            controller = ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
            details = await controller.get_serve_instance_details.remote()
        except (RayError, ValueError, AttributeError) as error:
            if not self._told:
                LOG.warning("Ray's controller does not answer: %s", type(error).__name__)
            self._told = True
            return False
        deployments = details.get("applications", {}).get(context.app_name, {}).get("deployments", {})
        replicas = deployments.get(context.deployment, {}).get("replicas", [])
        states = {str(replica["replica_id"]): str(replica["state"]) for replica in replicas}
        return states.get(context.replica_tag, "STOPPING").endswith("STOPPING")
