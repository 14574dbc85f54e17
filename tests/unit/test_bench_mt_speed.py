"""The speed of translation: how runs become a figure."""

from benchmarks import mt_speed


def test_systems_take_turns_and_two_runs_count_by_their_middle_and_not_by_the_faster(monkeypatch):
    clock, turns = [0.0], []

    def taking(name, *lengths_s):
        lengths = iter([0.0, *lengths_s])  # the first is the warm-up

        def system(*_):
            turns.append(name)
            clock[0] += next(lengths)
            return [[7]]

        return system

    for name in ("loaded_model", "random_model"):
        monkeypatch.setattr(mt_speed, name, lambda *_: None)
    monkeypatch.setattr(mt_speed, "search_units", taking("ours", 0.1, 0.3))
    monkeypatch.setattr(mt_speed, "_generate", taking("theirs", 48.0, 16.0))
    monkeypatch.setattr(mt_speed.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(mt_speed.torch, "set_num_threads", lambda _: None)
    _, figures = mt_speed.speed_figures("tiny", "cpu", [1], repeats=3)
    names = ("ms", "generate_ms", "to_generate_ratio", "equal_ratio", "runs")
    assert [round(figures[f"unit_tiny_batch1_{name}"], 6) for name in names] == [200.0, 32000.0, 0.00625, 1.0, 2]
    assert turns == ["ours", "theirs"] * 3, "the second turn used the budget up"
