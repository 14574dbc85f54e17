"""The summary: all its figures from the event log alone."""

import json
import math
from dataclasses import replace

from pipeline.events import Busy, Fault, Lag, Skipped
from pipeline.sinks.figures import percentile
from pipeline.sinks.summary import Summary, is_whole, summarize, table
from tests.unit.test_event_log import ABOUT, audio, transcript, unit, words, written


def rows(summary: Summary) -> dict[str, str]:
    """The lines of its table, whose values stand under each other."""
    lines = table(summary).splitlines()
    column = max(len(line.split("  ")[0]) for line in lines) + 2
    assert all(line[column - 1] == " " != line[column] for line in lines)
    return {line[:column].strip(): line[column:] for line in lines}


async def test_the_summary_of_a_known_session(tmp_path):
    first, second = words("one", "two", "three", start=1.0), words("four", "five", start=4.0)
    records = await written(
        tmp_path / "log",
        [
            (100.0, audio(0, 0.5)),
            (100.5, Busy("recognize", 0.5)),
            (102.0, transcript(first, 3.0)),
            (102.0, unit(0, first)),
            (103.0, Lag(0, 3.5, 1.0, 0.0, 1.0, 0)),
            (105.0, Busy("recognize", 1.5)),
            (105.0, transcript(second, 10.0)),
            (105.0, unit(1, second)),
            (105.0, unit(2, first[:1])),
            (106.0, Lag(1, 8.0, 3.0, 1.0, 1.2, 1)),
            (106.0, Skipped(2, 2, "late")),
            (110.0, Fault("speak", "x", fatal=False)),
        ],
    )
    summary = summarize(records)
    assert summary == Summary(
        audio_s=10.0,
        words=5,
        units=3,
        median_unit_words=2,
        words_lost=0,
        words_doubled=1,
        words_unspoken=1,
        units_spoken=2,
        units_skipped=1,
        first_audio_s=2.5,
        ear_voice_span_p50_s=1.0,
        ear_voice_span_p90_s=3.0,
        lag_p95_s=3.0,
        lag_end_s=3.0,
        highest_rate=1.2,
        rtf=1.0,
        stage_rtf={"recognize": 0.2},
        faults=1,
    )
    assert summary.figures()["rtf_recognize"] == 0.2
    assert rows(summary) == {
        "words heard": "5 in 10.0 s of audio",
        "units": "3, median 2 words",
        "spoken": "2, skipped 1",
        "first audio": "2.50 s after the first word began",
        "ear-voice span": "p50 1.00 s, p90 3.00 s",
        "lag": "p95 3.00 s, at the end 3.00 s",
        "fastest speech": "1.20 times its own rate",
        "real-time factor, recognize": "0.200",
        "words doubled": "1",
        "words not spoken": "1",
        "faults": "1",
    }


async def test_a_word_that_no_unit_covers_is_lost(tmp_path):
    said = words("one", "two")
    heard = [(100.0, audio(0, 0.5)), (101.0, transcript(said, 1.0)), (101.0, unit(0, said[:1]))]
    assert summarize(await written(tmp_path / "log", heard)).words_lost == 1


async def test_the_last_words_of_a_session_that_still_runs_are_not_lost(tmp_path):
    first, second = words("one", "two"), words("three", "four", start=1.0)
    heard = [
        (100.0, audio(0, 0.5)),
        (101.0, transcript(first, 1.0)),
        (101.0, unit(0, first[1:])),
        (102.0, transcript(second, 2.0, ended=False)),
    ]
    summary = summarize(await written(tmp_path / "log", heard))
    assert (summary.words, summary.words_lost, summary.words_waiting) == (4, 1, 2)
    assert rows(summary)["words not translated yet"] == "2"
    begun = summarize(await written(tmp_path / "begun", [*heard[:1], (101.0, transcript(first, 1.0, ended=False))]))
    assert (begun.words_lost, begun.words_waiting) == (0, 2)


async def test_of_several_targets_the_first_is_counted_unless_another_is_spoken_and_the_worst_is_told(tmp_path):
    said = words("one", "two", "three")
    every = replace(unit(0, said), target="es", language="en")  # shown in its own words
    some = [replace(unit(number, said[:1]), target="ca") for number in (0, 1)]
    heard = [(100.0, audio(0, 0.5)), (101.0, transcript(said, 1.0)), *((102.0, one) for one in (every, *some))]
    heard.append((103.0, Lag(0, 2.0, 0.5, 0.0, 1.0, 0)))
    for spoken, units in ((None, 2), ("ca", 2), ("es", 1)):
        about = ABOUT | {"to": ["ca", "es"], "spoken": spoken}
        summary = summarize(await written(tmp_path / "log", heard, about=about))
        assert (summary.units, summary.words_lost, summary.words_doubled) == (units, 2, 1)
        assert summary.lag_end_s == 0.5


async def test_what_was_said_in_the_target_language_already_is_not_unspoken(tmp_path):
    said, own = words("one", "two"), words("tres", "cuatro", start=3.0)
    units = [unit(0, said), replace(unit(1, own), source_language="es", target="es")]
    heard = [(100.0, audio(0, 0.5)), (101.0, transcript((*said, *own), 5.0)), *((102.0, one) for one in units)]
    heard.append((103.0, Lag(0, 2.0, 0.5, 0.0, 1.0, 0)))
    assert summarize(await written(tmp_path / "log", heard)).words_unspoken == 0


async def test_an_event_that_lacks_what_a_summary_reads_is_not_whole(tmp_path):
    said = words("one", "two")
    events = [
        transcript(said, 2.0),
        unit(0, said),
        Lag(0, 2.0, 0.5, 0.0, 1.0, 0),
        Skipped(0, 1, "late"),
        Busy("speak", 0.1),
    ]
    records = await written(tmp_path / "log", [(100.0, audio(0, 0.5)), *((101.0, event) for event in events)])
    assert all(map(is_whole, records))
    for place, record in enumerate(records):
        changed = [{name: value for name, value in record.items() if name != key} for key in record if key != "event"]
        for key in {"committed", "source"} & record.keys():
            first, *rest = record[key]
            changed += [record | {key: [*rest, word]} for word in ("one", {"text": "one"}, {"start_ns": first["start_ns"]})]
        for one in changed:
            assert not is_whole(one) or summarize([*records[:place], one, *records[place + 1 :]])


async def test_the_summary_of_silence(tmp_path):
    summary = summarize(await written(tmp_path / "log", []))
    assert (summary.words, summary.units, math.isnan(summary.first_audio_s)) == (0, 0, True)
    assert {name: value for name, value in rows(summary).items() if value[:1] in "-0"} == {
        "words heard": "0 in 0.0 s of audio",
        "units": "0",
        "spoken": "0, skipped 0",
        "first audio": "-",
        "fastest speech": "-",
    }
    assert summarize([]).audio_s == 0.0


def test_percentiles_are_values_that_occurred():
    assert [percentile([3, 1, 2], percent) for percent in (1, 50, 90, 100)] == [1, 2, 3, 3]
    assert json.dumps(percentile([0.1], 50)) == "0.1"
