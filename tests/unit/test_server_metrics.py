"""The metrics port: what is counted, bounded labels, and when a process is neither ready nor alive."""

from __future__ import annotations

import pytest

from pipeline.events import Busy, Fault, Gap, Lag, ReadingUnit, Skipped
from pipeline.server.metrics import MOST_REASONS, Metrics, metrics_app
from pipeline.stages.recognize import HANGS

httpx = pytest.importorskip("httpx")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def answer(metrics: Metrics, path: str, admits: bool = True) -> tuple[int, str]:
    transport = httpx.ASGITransport(metrics_app(metrics, lambda: admits))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        found = await client.get(path)
    return found.status_code, found.text


async def test_events_of_all_sessions_are_counted():
    metrics = Metrics()
    for sink in (metrics, metrics):
        for event in (
            ReadingUnit(0, (), "Hola", "es", 0.0, 0.5, 1.0, "es"), Lag(0, 1.0, 2.5, 0.0, 1.0, 0), Busy("translate", 0.25),
            Skipped(2, 4, "too late"), Gap(1.0, 3.0, "paused"), Fault("translate", "once", fatal=False),
        ):  # fmt: skip
            await sink.put(event)
    assert value(metrics, "tl_units_total") == 2
    assert value(metrics, "tl_ear_voice_seconds_sum") == 5
    assert value(metrics, "tl_stage_busy_seconds_total", stage="translate") == 0.5
    assert value(metrics, "tl_skipped_units_total", reason="too late") == 6
    assert value(metrics, "tl_gap_seconds_total", reason="paused") == 4
    status, text = await answer(metrics, "/metrics")
    assert status == 200
    assert "tl_units_total 2.0" in text
    assert "Hola" not in text


async def test_reasons_make_no_more_labels_than_a_few():
    metrics = Metrics()
    for number in range(3 * MOST_REASONS):
        await metrics.put(Gap(0.0, 1.0, f"reason {number}"))
    assert value(metrics, "tl_gap_seconds_total", reason="other") == 2 * MOST_REASONS


async def test_a_process_whose_model_hangs_for_good_is_not_alive():
    metrics = Metrics()
    assert await answer(metrics, "/live") == (200, "live\n")
    assert (await answer(metrics, "/ready"))[0] == 200
    assert (await answer(metrics, "/ready", admits=False))[0] == 503
    await metrics.put(Fault("translate", "it broke", fatal=False))
    assert metrics.alive
    await metrics.put(Fault("translate", f"{HANGS} and cannot be interrupted", fatal=False))
    assert (await answer(metrics, "/live"))[0] == 503
    assert (await answer(metrics, "/ready"))[0] == 503
