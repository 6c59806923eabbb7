"""parse_book on Coinbase captures: level2 of Advanced Trade, numbered, and of Exchange, which bears no numbers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import InputError
from scripts.orderbook.venues.times import rfc3339
from tests.unit.orderbook_markets import (
    SIDES,
    Change,
    Market,
    State,
    Update,
    best_first,
    check_states,
    levels_known,
    mutated,
)
from tests.unit.orderbook_streams import Parsed, begins, check_carried, parse, try_parse, write_lines

Lines = list[bytes]
NAMES = {"bid": "bid", "ask": "offer"}
EXCHANGE_NAMES = {"bid": "buy", "ask": "sell"}


def time_text(update: Update) -> str:
    """The update's event time, with nanoseconds that no float holds."""
    seconds, ms = divmod(update.event_ms, 1_000)
    assert seconds // 86_400 * 86_400 == 1_704_067_200
    minutes, second = divmod(seconds % 86_400, 60)
    return f"2024-01-01T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{ms:03d}123456Z"


def event_time(update: Update) -> int:
    return update.event_ms * 1_000_000 + 123_456


def state(update: Update, update_id: int, segment: int = 0) -> State:
    return State(event_time(update), update.local_ns, update_id, segment, levels_known(update.book), update.book)


def line(content: Any, update: Update) -> bytes:
    return b"%d %s\n" % (update.local_ns, json.dumps(content).encode())


def levels(update: Update) -> list[Change]:
    return [(side, price, size) for side in SIDES for price, size in best_first(update.book, side)]


def read(folder: Path, lines: Lines, **settings: Any) -> Parsed:
    return parse(write_lines(folder / "raw.gz", lines), venue="coinbase", **{"depth": 4, "max_bad_lines": 0} | settings)


# Advanced Trade


def advanced(update: Update, kind: str, number: int, product: str = "BTC-USD") -> bytes:
    told = levels(update) if kind == "snapshot" else update.changes
    updates = [
        {"side": NAMES[side], "event_time": time_text(update), "price_level": price, "new_quantity": size}
        for side, price, size in told
    ]
    events = [{"type": kind, "product_id": product, "updates": updates}]
    return line(channel("l2_data", update, number, events), update)


def channel(name: str, update: Update, number: int, events: Any) -> dict[str, Any]:
    envelope = {"channel": name, "client_id": "", "timestamp": time_text(update), "sequence_num": number}
    return envelope | {"events": events}


def heartbeat(update: Update, number: int) -> bytes:
    events = [{"current_time": "2024-01-01 00:00:00 +0000 UTC m=+4.5", "heartbeat_counter": number}]
    return line(channel("heartbeats", update, number, events), update)


def advanced_stream(seed: int, messages: int = 60, first: int = 0) -> tuple[Lines, list[State], list[int]]:
    """Lines of a connection with heartbeats in between, its states, and the places of the updates."""
    market = Market(seed)
    market.run(messages)
    lines: Lines = []
    states: list[State] = []
    places: list[int] = []
    for update in market.updates:
        if market.random.random() < 0.3 and update.number:
            lines.append(heartbeat(update, first + len(lines)))
        number = first + len(lines)
        states.append(state(update, number))
        places.append(len(lines))
        lines.append(advanced(update, "update" if update.number else "snapshot", number))
    return lines, states, places[1:]


@pytest.mark.parametrize("seed", range(6))
def test_states_are_those_of_the_true_market(tmp_path: Path, seed: int) -> None:
    lines, states, _ = advanced_stream(seed)
    parsed = read(tmp_path, lines)
    check_states(parsed, states)
    counts = {name: parsed.quality[name] for name in ("messages", "gaps", "resyncs", "duplicates", "crossed")}
    assert counts == {"messages": 60, "gaps": 0, "resyncs": 0, "duplicates": 0, "crossed": 0}


def test_documented_example_is_read_as_documented(tmp_path: Path) -> None:
    """The messages of the documentation of the level2 channel; a snapshot's levels bear no times of their own."""
    updates = [
        {"side": "bid", "event_time": "1970-01-01T00:00:00Z", "price_level": "21921.73", "new_quantity": "0.06317902"},
        {"side": "bid", "event_time": "1970-01-01T00:00:00Z", "price_level": "21921.3", "new_quantity": "0.02"},
        {"side": "offer", "event_time": "1970-01-01T00:00:00Z", "price_level": "21922.5", "new_quantity": "1"},
    ]
    removal = {"side": "bid", "event_time": "2023-02-09T20:32:51Z", "price_level": "21921.73", "new_quantity": "0"}
    envelope = {"channel": "l2_data", "client_id": "", "timestamp": "2023-02-09T20:32:50.714964855Z"}
    first = envelope | {
        "sequence_num": 0, "events": [{"type": "snapshot", "product_id": "BTC-USD", "updates": updates}]
    }  # fmt: skip
    second = envelope | {"timestamp": "2023-02-09T20:32:51Z", "sequence_num": 1}
    second |= {"events": [{"type": "update", "product_id": "BTC-USD", "updates": [removal]}]}
    parsed = read(tmp_path, [json.dumps(one).encode() + b"\n" for one in (first, second)])
    assert list(parsed.states["event_time"]) == [1_675_974_770_714_964_855, 1_675_974_771_000_000_000]
    assert list(parsed.states["local_time"]) == list(parsed.states["event_time"])
    assert list(parsed.states["bid_px_00"]) == [21921.73, 21921.3]
    assert list(parsed.states["bid_sz_00"]) == [0.06317902, 0.02]
    assert list(parsed.states["known_levels"]) == [1, 1]
    assert parsed.update_ids == [0, 1]


def test_several_events_of_a_message_are_one_message(tmp_path: Path) -> None:
    market = Market(1)
    market.run(1)
    start, update = market.updates
    first, second = (json.loads(text.split(b" ", 1)[1]) for text in (
        advanced(start, "snapshot", 0), advanced(update, "update", 0)))  # fmt: skip
    other = {"type": "update", "product_id": "ETH-USD", "updates": [
        {"side": "bid", "event_time": "x", "price_level": "1e9", "new_quantity": "5"}]}  # fmt: skip
    events = [*first["events"], other, *second["events"]]
    parsed = read(tmp_path, [line(channel("l2_data", start, 7, events), start)], symbol="BTC-USD")
    check_states(parsed, [state(Update(0, [], update.book), 7)])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("damage", ["dropped", "doubled", "swapped"])
def test_lost_doubled_and_swapped_messages_are_told(tmp_path: Path, seed: int, damage: str) -> None:
    """Also heartbeats: nobody can know that it was not an update that was lost."""
    lines, states, _ = advanced_stream(seed)
    at = random.Random(seed).randrange(2, len(lines) - 3)
    parsed = read(tmp_path, mutated(lines, at, damage))
    if damage == "doubled":
        check_states(parsed, states)
        assert parsed.quality["duplicates"] == (b"l2_data" in lines[at])
        assert parsed.quality["gaps"] == 0
    else:
        check_states(parsed, [one for one in states if one.update_id < at])
        assert parsed.quality["gaps"] == 1


@pytest.mark.parametrize("seed", range(4))
def test_new_connection_begins_a_segment_at_its_snapshot(tmp_path: Path, seed: int) -> None:
    market = Market(seed)
    market.run(40)
    cut = 20
    lines = [advanced(one, "update" if one.number else "snapshot", one.number) for one in market.updates[:cut]]
    lines += [
        advanced(one, "snapshot" if one.number == cut else "update", one.number - cut) for one in market.updates[cut:]
    ]
    states = [state(one, one.number) for one in market.updates[:cut]]
    states += [state(one, one.number - cut, 1) for one in market.updates[cut:]]
    parsed = read(tmp_path, lines)
    check_states(parsed, states)
    assert (parsed.quality["segments"], parsed.quality["gaps"], parsed.quality["duplicates"]) == (2, 0, 0)
    unseen = read(tmp_path, [*lines[:cut], *lines[cut + 1 :]])  # its snapshot was lost: small numbers are no duplicates
    check_states(unseen, states[:cut])
    assert (unseen.quality["segments"], unseen.quality["gaps"], unseen.quality["duplicates"]) == (1, 1, 0)


def test_doubled_snapshot_does_not_bring_the_old_book_back(tmp_path: Path) -> None:
    lines, states, _ = advanced_stream(2)
    parsed = read(tmp_path, [*lines[:30], lines[0], *lines[30:]])
    check_states(parsed, states)
    assert (parsed.quality["duplicates"], parsed.quality["segments"]) == (1, 1)


def test_chosen_product_is_taken_from_a_connection_of_several(tmp_path: Path) -> None:
    market, other = Market(3), Market(4)
    market.run(30)
    other.run(30)
    lines: Lines = []
    states: list[State] = []
    for mine, theirs in zip(market.updates, other.updates, strict=True):
        kind = "update" if mine.number else "snapshot"
        lines.append(advanced(theirs, kind, len(lines), "ETH-USD"))
        states.append(state(mine, len(lines)))
        lines.append(advanced(mine, kind, len(lines)))
    check_states(read(tmp_path, lines, symbol="btc-usd"), states)
    with pytest.raises(InputError, match=r"raw\.gz: several symbols \(BTC-USD, ETH-USD\): set 'symbol'"):
        read(tmp_path, lines)


ABSURD = [
    ('"sequence_num": ', '"sequence_num": -'), ('"sequence_num": ', '"sequence_num": 0.5, "x": '),
    ('"timestamp": "2024', '"timestamp": "yesterday'), ('"timestamp": "2024-01-01', '"timestamp": "2024-02-31'),
    ('"type": "update"', '"type": "change"'), ('"product_id": "BTC-USD"', '"product_id": 5'),
    ('"updates": [', '"updates": [{"side": "bid", "price_level": "-1", "new_quantity": "1"}, '),
    ('"updates": [', '"updates": [{"side": "bid", "price_level": "1", "new_quantity": "-1"}, '),
    ('"updates": [', '"updates": [{"side": "bid", "price_level": "1", "new_quantity": "inf"}, '),
    ('"updates": [', '"updates": [{"side": "up", "price_level": "1", "new_quantity": "1"}, '),
    ('"updates": [', '"updates": [{"side": "bid", "price_level": 1, "new_quantity": 1}, '),
    ('"updates": [', '"updates": [{}, '), ("{", "garbage "),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), ABSURD)
def test_absurd_field_is_a_bad_line_and_a_gap(tmp_path: Path, old: str, new: str) -> None:
    lines, states, places = advanced_stream(5)
    at = places[20]
    text = lines[at].decode()
    assert old in text
    parsed = read(tmp_path, [*lines[:at], text.replace(old, new, 1).encode(), *lines[at + 1 :]], max_bad_lines=1)
    assert (parsed.quality["bad_lines"], parsed.quality["gaps"]) == (1, 1)
    assert parsed.quality["first_bad_line"].startswith(f"{tmp_path / 'raw.gz'}: line {at + 1}: ")
    check_states(parsed, states[:21])


@pytest.mark.parametrize("seed", range(6))
def test_parts_with_the_book_carried_equal_one_stream(tmp_path: Path, seed: int) -> None:
    lines, _, places = advanced_stream(seed)
    lines = mutated(lines, places[seed], "dropped") + advanced_stream(seed + 9, 20)[0] if seed % 2 else lines
    check_carried(tmp_path, lines, seed, venue="coinbase", depth=4)


# Exchange


def exchange_stream(seed: int, messages: int = 60, timed: bool = True) -> tuple[Lines, list[State]]:
    market = Market(seed)
    market.run(messages)
    start = market.updates[0]
    sides = {f"{side}s": [list(level) for level in best_first(start.book, side)] for side in SIDES}
    time = {"time": time_text(start)} if timed else {}
    lines = [line({"type": "snapshot", "product_id": "BTC-USD"} | sides | time, start)]
    for update in market.updates[1:]:
        changes = [[EXCHANGE_NAMES[side], price, size] for side, price, size in update.changes]
        content = {"type": "l2update", "product_id": "BTC-USD", "changes": changes, "time": time_text(update)}
        lines.append(line(content, update))
    return lines, [state(update, update.number + 1) for update in market.updates]


@pytest.mark.parametrize("seed", range(4))
def test_exchange_states_are_those_of_the_true_market(tmp_path: Path, seed: int) -> None:
    lines, states = exchange_stream(seed)
    others = [{"type": "subscriptions", "channels": []}, {"type": "heartbeat", "product_id": "BTC-USD", "sequence": 90}]
    extra = [b"%d %s\n" % (states[0].local_time, json.dumps(one).encode()) for one in others]
    parsed = read(tmp_path, [extra[0], *lines[:9], extra[1], *lines[9:]])
    check_states(parsed, states)
    assert (parsed.quality["messages"], parsed.quality["gaps"], parsed.quality["segments"]) == (60, 0, 1)


def test_snapshot_without_a_time_takes_the_collectors_or_the_next_ones(tmp_path: Path) -> None:
    lines, states = exchange_stream(1, timed=False)
    parsed = read(tmp_path, lines)
    assert parsed.states["event_time"][0] == parsed.states["local_time"][0] == states[0].local_time
    bare = [text.split(b" ", 1)[1] for text in lines]
    parsed = read(tmp_path, bare)
    assert list(parsed.states["event_time"][:3]) == [states[i].event_time for i in (1, 1, 2)]
    assert list(parsed.states["local_time"]) == list(parsed.states["event_time"])
    with pytest.raises(InputError, match=r"raw\.gz: line 1: the snapshot bears no time, and no message follows"):
        read(tmp_path, bare[:1])


def test_second_snapshot_of_the_exchange_begins_a_segment(tmp_path: Path) -> None:
    lines, _ = exchange_stream(2, 30)
    again = lines[0].replace(b"2024-01-01T00:00:00", b"2024-01-01T00:09:00")
    parsed = read(tmp_path, [*lines, again])
    assert list(parsed.states["segment"]) == [0] * 31 + [1]
    assert parsed.states["bid_px_00"][-1] == parsed.states["bid_px_00"][0]
    assert parsed.quality["resyncs"] == 1


def test_what_the_exchange_bears_no_number_for_is_told_where_it_can_be(tmp_path: Path) -> None:
    """Swapped and doubled messages go back in time; of a lost one nothing shows. An unreadable line is a loss."""
    lines, states = exchange_stream(3)
    assert read(tmp_path, mutated(lines, 20, "swapped")).quality["time_going_back"] == 1
    assert read(tmp_path, [*lines[:25], lines[20], *lines[25:]]).quality["time_going_back"] == 1
    lost = read(tmp_path, mutated(lines, 20, "dropped"))
    assert (lost.quality["gaps"], lost.quality["states"]) == (0, 60)
    garbage = read(tmp_path, [*lines[:20], lines[20][:40] + b"\n", *lines[21:]], max_bad_lines=1)
    assert (garbage.quality["gaps"], garbage.quality["bad_lines"]) == (1, 1)
    check_states(garbage, states[:20])


@pytest.mark.parametrize("seed", range(4))
def test_exchange_parts_with_the_book_carried_equal_one_stream(tmp_path: Path, seed: int) -> None:
    check_carried(tmp_path, exchange_stream(seed)[0], seed, venue="coinbase", depth=4)


@pytest.mark.parametrize("seed", range(4))
def test_cut_gz_is_told(tmp_path: Path, seed: int) -> None:
    lines, *_ = advanced_stream(seed)
    whole = read(tmp_path, lines)
    path = tmp_path / "raw.gz"
    path.write_bytes(path.read_bytes()[: -random.Random(seed).randrange(10, 1_000)])
    parsed = try_parse(path, venue="coinbase", depth=4)
    assert isinstance(parsed, Parsed)
    assert "gzip data damaged or cut short" in parsed.quality["first_bad_line"]
    assert begins(parsed, whole)


# times


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2023-02-09T20:32:50.714964855Z", 1_675_974_770_714_964_855),
        ("2021-04-17T16:41:00.660Z", 1_618_677_660_660_000_000),
        ("2016-02-29T23:59:59.999999999Z", 1_456_790_399_999_999_999),
        ("2262-04-11T23:47:16.854775807Z", 2**63 - 1),
        ("2023-02-09T21:32:50.5+01:00", 1_675_974_770_500_000_000),
    ],
)
def test_times_are_exact_to_the_nanosecond(text: str, time: int) -> None:
    assert rfc3339(text) == time


@pytest.mark.parametrize(
    "text",
    ["", "2023-02-09", "2023-02-09T20:32:50", "2023-02-09T20:32:50.Z", "2023-13-09T20:32:50Z",
     "2023-02-30T20:32:50Z", "2023-02-09T20:32:50.1234567890Z", "1969-12-31T23:59:59Z", "2023-02-09T20:32:50+1",
     "9999-01-01T00:00:00Z", "٢٠٢٣-02-09T20:32:50Z"],
)  # fmt: skip
def test_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|month|day"):
        rfc3339(text)
