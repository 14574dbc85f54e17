"""Many servers: the application under a cluster's lifespan, its arguments on Ray, and the files that start it elsewhere."""

from __future__ import annotations

import asyncio
import math
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serve_cluster import ray_configuration
from pipeline.errors import BadInput
from pipeline.server.metrics import Metrics, metrics_app
from pipeline.server.process import CLOSING_S, SECRET, ServerOptions
from pipeline.server.ray_app import (
    FULL,
    HEADROOM,
    KNOWN,
    SILENT_S,
    HealthChecks,
    Replica,
    replicas_for,
    settings_of,
    wanted,
)
from pipeline.server.service import STOP_S, Limits
from tests.serving import SECRET as SIGNED
from tests.serving import scripted_profile

ROOT = Path(__file__).parents[2]
PRESTOP_S = 5


# ------------------------------------------------------------- the application as a replica


@asynccontextmanager
async def living(replica: Replica):
    """A replica between its start and its end; the messages of its lifespan."""
    asked: asyncio.Queue = asyncio.Queue(2)
    told: asyncio.Queue = asyncio.Queue(2)
    asked.put_nowait({"type": "lifespan.startup"})
    async with asyncio.TaskGroup() as tasks:
        life = tasks.create_task(replica({"type": "lifespan"}, asked.get, told.put))
        yield (await told.get())["type"]
        if not life.done():
            asked.put_nowait({"type": "lifespan.shutdown"})
            assert (await told.get())["type"] == "lifespan.shutdown.complete"


@pytest.mark.looptime(noop_cycles=2)
async def test_a_replica_drains_as_soon_as_its_end_is_known_and_not_before():
    ending = asyncio.Event()
    replica = Replica(scripted_profile, ServerOptions(capacity=3, limits=Limits(drain_s=1)), SIGNED, ending.wait)
    async with living(replica) as told:
        assert told == "lifespan.startup.complete"
        assert replica.service.admission.capacity == 3
        await asyncio.sleep(100)
        assert replica.service.admission.admits
        ending.set()
        await asyncio.sleep(0.1)
        assert not replica.service.admission.admits


async def test_a_replica_that_cannot_load_its_profile_says_so():
    replica = Replica(lambda: scripted_profile("recogniser.use=typo"), ServerOptions(), SIGNED, asyncio.Event().wait)
    async with living(replica) as told:
        assert told == "lifespan.startup.failed"


# ------------------------------------------------------------- on Ray


def test_arguments_are_read_and_settings_have_a_dot():
    want = wanted({"profile": "cpu", "keys": "k.yaml", "capacity": "6", "units.policy": "pauses", "most_replicas": "9"})
    assert (want.profile, want.capacity, want.assignments) == ("cpu", 6, ("units.policy=pauses",))
    assert (want.replicas, want.most_replicas, want.gpus) == (1, 9, 0.0)
    assert wanted({"keys": "k.yaml"}).gpus == 1.0


def test_a_stage_is_a_setting_and_the_benchmark_configures_replicas_that_load():
    (application,) = yaml.safe_load(ray_configuration(2, 6, 8200))["applications"]
    want = wanted({**application["args"], "second_synthesizer": None})
    assert want.capacity == 6
    assert "third_synthesizer" not in want.loaded().stages
    assert want.loaded().stages["recognizer"].use == "benchmarks.spoken_numbers:SpokenNumbers"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "it needs keys=FILE"),
        ({"open": "yes", "capasity": "3"}, "capacity"),
        ({"open": "yes", "capacity": "many"}, "no number"),
        ({"open": "yes", "capacity": "0"}, "1 or more"),
    ],
)
def test_arguments_that_cannot_be_are_told(arguments: dict, told: str):
    with pytest.raises(BadInput, match=told):
        wanted(arguments)


def test_our_refusal_comes_before_rays_queue_and_ray_waits_for_the_drain():
    want = wanted({"open": "yes", "drain": "120", "most_replicas": "4"})
    settings = settings_of(want, capacity=4)
    assert settings["max_ongoing_requests"] == 4 + HEADROOM
    assert settings["graceful_shutdown_timeout_s"] > SILENT_S + 120 + STOP_S
    assert settings["autoscaling_config"]["policy"] == {"policy_function": "pipeline.server.ray_app:replicas_for"}


@dataclass
class Context:
    """The context that Ray gives a policy."""

    aggregated_metrics: dict = field(default_factory=dict)
    current_num_replicas: int = 2


@given(st.lists(st.integers(0, 8), min_size=1, max_size=20), st.integers(1, 8))
def test_there_are_enough_replicas_for_the_sessions_and_one_fewer_would_be_too_full(sessions: list[int], capacity: int):
    sessions = [min(count, capacity) for count in sessions]
    names = [f"r{number}" for number in range(len(sessions))]
    metrics = {"sessions": dict(zip(names, sessions, strict=True)), "capacity": dict.fromkeys(names, capacity)}
    count, _ = replicas_for(Context(metrics))
    assert count >= 1
    assert sum(sessions) <= FULL * capacity * count + 1e-6
    assert count == 1 or sum(sessions) > FULL * capacity * (count - 1) - 1e-6


def test_without_figures_the_number_of_replicas_stays():
    assert replicas_for(Context())[0] == 2


class Confirmed(HealthChecks):
    """Questions whose absence is confirmed from a moment on."""

    def __init__(self, from_s: float) -> None:
        super().__init__()
        self.from_s = from_s

    async def _confirmed(self) -> bool:
        return asyncio.get_running_loop().time() >= self.from_s


@pytest.mark.looptime
async def test_the_end_is_known_by_rays_silence_if_the_controller_confirms_it():
    loop = asyncio.get_running_loop()
    health = Confirmed(from_s=60)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(health.ending())
        await asyncio.sleep(20)  # loading: nobody asks yet
        for _ in range(5):
            health.asked()
            await asyncio.sleep(2)
        assert not waiting.done()
        await waiting
    assert 60 <= loop.time() <= 63


# ------------------------------------------------------------- the files that start it


def seconds(text: str) -> int:
    return int(re.fullmatch(r"(\d+)s", text)[1])


def test_containers_are_given_the_time_to_drain_and_one_secret():
    needed_s = Limits().drain_s + STOP_S + CLOSING_S
    server = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["server"]
    assert seconds(server["stop_grace_period"]) > needed_s
    assert SECRET in server["environment"]
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > PRESTOP_S + needed_s
    (container,) = pod["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(PRESTOP_S)]
    assert SECRET in [one["name"] for one in container["env"]]


def test_probes_ask_where_the_server_answers():
    (container,) = kubernetes("Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    options = ServerOptions()
    assert ports == {"clients": options.port, "figures": options.metrics_port}
    paths = {route.path for route in metrics_app(Metrics(), lambda: True).routes}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[name]["httpGet"]["path"] in paths
        assert container[name]["httpGet"]["port"] == "figures"
    text = (ROOT / "haproxy.cfg").read_text()
    assert f"port {options.metrics_port}" in text
    assert f"server:{options.port}" in text


def test_it_is_scaled_on_figures_that_there_are():
    text = (ROOT / "kubernetes.yaml").read_text()
    names = {metric.name for metric in Metrics().registry.collect()}
    assert {"tl_sessions", "tl_capacity"} <= names
    assert set(re.findall(r"tl_\w+", text)) == {"tl_sessions", "tl_capacity", "tl_load"}
    scaled = kubernetes("HorizontalPodAutoscaler")["spec"]
    assert scaled["scaleTargetRef"]["name"] == kubernetes("Deployment")["metadata"]["name"]
    assert math.isclose(int(scaled["metrics"][0]["pods"]["target"]["averageValue"].rstrip("m")) / 1000, FULL)


def kubernetes(kind: str) -> dict:
    found = [one for one in yaml.safe_load_all((ROOT / "kubernetes.yaml").read_text()) if one["kind"] == kind]
    assert len(found) == 1
    return found[0]


def test_the_documentation_names_every_argument():
    text = (ROOT / "docs" / "scale.md").read_text()
    assert all(f"`{name}" in text for name in KNOWN)


def test_voices_are_kept_on_the_volume_where_the_root_can_only_be_read():
    image = (ROOT / "Dockerfile").read_text()
    (folder,) = re.findall(r"^ENV .*TRANSLATE_LIVE_DATA=(\S+)", image, re.MULTILINE)
    volume = str(Path(folder).parent)
    server = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["server"]
    (container,) = kubernetes("Deployment")["spec"]["template"]["spec"]["containers"]
    assert f"VOLUME {volume}\n" in image
    assert f"models:{volume}" in server["volumes"]
    assert volume in [one["mountPath"] for one in container["volumeMounts"]]
