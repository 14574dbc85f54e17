"""Redaction: personal data is found by its form and checksum, wherever it is cut, and nothing else is touched."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.events import (
    AudioChunk,
    DeviceBack,
    DeviceLost,
    Draft,
    Fault,
    Lag,
    ReadingUnit,
    Seen,
    SpeakerFound,
    Transcript,
    Word,
    text_of,
)
from pipeline.sinks.event_log import EventLog, read_events
from pipeline.sinks.personal_data import KINDS, PersonalData, read_names
from pipeline.sinks.sharing import HELD_S, MOST_HELD, Redacting
from tests.scripted import Keep, SetClock

ALL = PersonalData(names=("Ana García", "Müller", "John Smith", "田中", "김민수"))
FOUND = [
    ("write to john.smith+x@mail.example.com today", "write to [email] today"),
    ("it is ana at example dot com, please", "it is [email], please"),
    ("es ana arroba ejemplo punto es", "es [email]"),
    (" at example dot com, that is it", " [email], that is it"),  # its beginning went out with an earlier caption
    ("call +34 612 345 678 now", "call [phone] now"),
    ("call 212-555-0123.", "call [phone]."),
    ("call (212) 555-0123 or 0171 2345678", "call [phone] or [phone]"),
    ("my number is 612345678, yes", "my number is [phone], yes"),
    ("card 4111 1111 1111 1111, expires", "card [card], expires"),
    ("card 4111111111111111 123", "card [card] 123"),
    ("the card 5500-0000-0000-0004!", "the card [card]!"),
    ("IBAN ES9121000418450200051332 is mine", "IBAN [iban] is mine"),
    ("DE89 3704 0044 0532 0130 00 I said", "[iban] I said"),
    ("GB82 WEST 1234 5698 7654 32", "[iban]"),
    ("from 10.0.0.1 to 2001:db8::1", "from [ip] to [ip]"),
    ("我的电话是13812345678。", "我的电话是[phone]。"),
    ("卡号是4111111111111111吧", "卡号是[card]吧"),
    ("IPは192.168.1.20です", "IPは[ip]です"),
    ("번호는 010-1234-5678입니다", "번호는 [phone]입니다"),
    ("เบอร์0812345678ครับ", "เบอร์[phone]ครับ"),
    ("口座はDE89370400440532013000です", "口座は[iban]です"),
    ("田中さん와 김민수입니다", "[name]さん와 [name]입니다"),
    ("I am ana  garcia, and JOHN SMITH's here, Muller too", "I am [name], and [name]'s here, [name] too"),
]
KEPT = [
    "in 2024 we sold 1,000,000 units, 12.5 % more than in 2023",
    "between 2019 2020 and 1999-2004",
    "on 2026-11-29 at 10:30, and on 29.11.2026",
    "1 000 000 euros, 12 345 678 people, 1.234.567 too",
    "chapter 3, verse 16, page 1234567",
    "Anabel García met Smith and Johnson",
    "version 3.11.2 of the year 42",
    "감명식 씨",
    "at home, at 5, look at the dot",
    "",
]


@pytest.mark.parametrize(("text", "redacted"), FOUND)
def test_what_is_found(text, redacted):
    assert ALL.redacted(text) == redacted
    assert ALL.redacted(redacted) == redacted


@pytest.mark.parametrize(
    "named", ["Jean-Luc", "jean_luc", "tea-jean-luc_0171-2345678", "for_jean_luc", "Ana-O-Neil", "ana_o-neil"]
)
def test_a_name_with_a_hyphen_is_found_in_names_whose_words_are_parted_otherwise(named: str) -> None:
    redacted = PersonalData(names=("Jean-Luc", "Ana O-Neil")).redacted_name(named).lower()
    assert "[name]" in redacted
    assert not any(part in redacted for part in ("jean", "luc", "ana", "neil", "0171"))


def test_a_name_with_a_hyphen_is_found_where_it_is_heard_as_two_words() -> None:
    assert PersonalData(names=("Jean-Luc",)).redacted("Jean Luc and jean-luc, no Jean") == "[name] and [name], no Jean"


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_it_is_kept(text):
    assert ALL.redacted(text) == text


def test_a_card_or_account_with_a_digit_wrong_is_none():
    only = PersonalData(frozenset({"card", "iban"}))
    for text in ("4111 1111 1111 1112", "ES9121000418450200051333", "0000 0000 0000 0000"):
        assert only.redacted(text) == text
    assert PersonalData(frozenset({"email"})).redacted("4111 1111 1111 1111 a@b.c") == "4111 1111 1111 1111 [email]"
    assert not PersonalData(frozenset())


@given(st.text(max_size=200))
def test_any_text_is_survived_and_marks_are_stable(text):
    once = ALL.redacted(text)
    assert all(0 <= start < end <= len(text) for start, end, _ in ALL.found(text))
    assert ALL.found(text) or once == text


def test_names_are_read_from_a_file_and_a_wrong_kind_is_named(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("# patients\nAna  García\n\nJohn Smith\nJohn Smith\n")
    assert read_names(file) == ("Ana García", "John Smith")
    file.write_text("\n# none\n")
    with pytest.raises(BadInput, match="holds 0 names"):
        read_names(file)
    with pytest.raises(BadInput, match="cannot read"):
        read_names(tmp_path / "none")
    with pytest.raises(BadInput, match="did you mean 'phone'"):
        PersonalData(frozenset({"fone"}))


def word(text: str, at: float = 0.0) -> Word:
    return Word(f" {text}", at, at + 0.3, 1.0)


def unit(number: int, words: list[str], text: str) -> ReadingUnit:
    return ReadingUnit(number, tuple(map(word, words)), text, "es", number, number + 1, number + 1, "es", speaker="A")


SECRETS = ["+34 612 345 678", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "Ana García", "x@y.es", "10.0.0.1"]
CALM = ["hello", "the", "number", "is", "7", "thanks", "and", "then,"]


@settings(max_examples=150, deadline=None)
@given(st.data())
async def test_however_a_talk_is_cut_no_secret_comes_out_and_nothing_else_is_lost(data):
    said = data.draw(st.lists(st.sampled_from([*SECRETS, *CALM * 2]), min_size=1, max_size=12))
    said = [one for place, one in enumerate(said) if place == 0 or {said[place - 1], one} & {"hello", "thanks"}]
    words = " ".join(said).split()
    kept = Keep()
    sink = Redacting(kept, ALL, SetClock())
    at = number = 0
    while at < len(words):
        count = data.draw(st.integers(1, 4))
        piece = words[at : at + count]
        await sink.put(Transcript(tuple(map(word, piece)), (word("612"),), "en", at, 0.0, data.draw(st.booleans())))
        await sink.put(unit(number, piece, " " + " ".join(piece)))
        await sink.put(Lag(number, at, 1.0, 0.0, 1.0, number))
        await sink.put(Draft("612 345 678", "es"))
        at, number = at + count, number + 1
    await sink.close()
    units = [event for event in kept.events if isinstance(event, ReadingUnit)]
    heard = [event for event in kept.events if isinstance(event, Transcript)]
    expected = ALL.redacted(" ".join(words)).split()
    assert "".join(one.text for one in units).split() == expected
    assert text_of([word for one in units for word in one.source]).split() == expected
    assert text_of([word for one in heard for word in one.committed]).split() == expected
    assert [one.number for one in units] == list(range(number))
    assert not any(one.tentative for one in heard)
    assert len(kept.events) == 3 * number


@pytest.mark.parametrize(
    "event",
    [SpeakerFound("Ana García", 1.0), DeviceLost("Ana García's"), DeviceBack("Ana García's"), Seen(("Ana García",), 1.0)],
)
async def test_a_name_is_left_out_wherever_an_event_has_one(event):
    kept = Keep()
    sink = Redacting(kept, ALL, SetClock())
    await sink.put(event)
    await sink.close()
    assert "García" not in str(kept.events)
    assert "[name]" in str(kept.events)


async def test_a_number_that_goes_on_is_held_back_where_words_are_not_spaced_too():
    kept = Keep()
    sink = Redacting(kept, ALL, SetClock())
    await sink.put(Transcript((Word("电话是1381", 0, 1, 1.0),), (), "zh", 1.0, 0.0, False))
    await sink.put(Transcript((Word("2345678。", 1, 2, 1.0),), (), "zh", 2.0, 0.0, True))
    await sink.close()
    assert "".join(text_of(one.committed) for one in kept.events) == "电话是[phone]。"


async def test_what_may_go_on_is_held_for_a_while_only():
    kept, clock = Keep(), SetClock()
    sink = Redacting(kept, ALL, clock)
    await sink.put(unit(0, ["hello"], "hola"))
    assert len(kept.events) == 1
    await sink.put(unit(1, ["call", "612"], " llama al 612"))
    clock.moment = HELD_S
    await sink.put(Lag(1, 0, 0, 0, 1, 1))
    assert len(kept.events) == 1
    clock.moment = HELD_S + 0.1
    await sink.put(Lag(1, 0, 0, 0, 1, 1))
    assert len(kept.events) == 4
    await sink.put(unit(2, ["call", "612"], " llama al 612"))
    for _ in range(MOST_HELD):
        await sink.put(Fault("x", "mail to a@b.es", fatal=False))
    assert len(kept.events) == 4 + 1 + MOST_HELD
    assert kept.events[-1] == Fault("x", "mail to [email]", fatal=False)


async def test_a_log_that_is_redacted_has_every_event_at_the_time_at_which_it_came(tmp_path):
    import numpy as np

    clock = SetClock(10.0)
    log = EventLog(tmp_path / "log", {}, clock, lambda moment: 10.0 + moment)
    sink = Redacting(log, ALL, clock)
    await sink.put(AudioChunk(np.zeros(160, np.float32), 16_000, 0.0))
    for moment, event in (
        (11.0, unit(0, ["612"], " 612")),
        (12.0, unit(1, ["345", "678"], " 345 678")),
        (13.0, unit(2, ["so"], " si")),
    ):
        clock.moment = moment
        await sink.put(event)
    await sink.close()
    _, first, second, third = read_events(tmp_path / "log")
    assert [one["at_ns"] for one in (first, second, third)] == [11 * 10**9, 12 * 10**9, 13 * 10**9]
    assert "345" not in json.dumps([first, second, third])
    assert (first["text"], second["text"], third["text"]) == (" [phone]", "", " si")


def test_all_kinds_have_a_finder():
    assert PersonalData(frozenset(KINDS)).found("x") == []
