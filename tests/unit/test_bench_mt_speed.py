"""The speed of translation: how runs become a figure."""

from benchmarks import mt_speed


def test_two_runs_count_by_their_middle_and_not_by_the_faster(monkeypatch):
    timed = iter([([[7]], [100.0, 300.0]), ([[7]], [500.0, 300.0])])
    for name in ("loaded_model", "random_model"):
        monkeypatch.setattr(mt_speed, name, lambda *_: None)
    monkeypatch.setattr(mt_speed, "search_units", lambda *_: [[7]])
    monkeypatch.setattr(mt_speed, "_generate", lambda *_: [[7]])
    monkeypatch.setattr(mt_speed, "_timed", lambda *_: next(timed))
    monkeypatch.setattr(mt_speed.torch, "set_num_threads", lambda _: None)
    figures = mt_speed.speed_figures("tiny", "cpu", [1], repeats=3)
    names = ("ms", "generate_ms", "to_generate_ratio", "equal_ratio", "runs")
    assert [figures[f"unit_tiny_batch1_{name}"] for name in names] == [200.0, 400.0, 0.5, 1.0, 2]
