"""Kraken, OKX and Bitget: captures of a known market, whole and damaged in every way."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.lib.errors import InputError
from tests.unit.orderbook_streams import DAY_MS, MS, Parsed, parse, same_states, try_parse, write_lines
from tests.unit.venue_feeds import (
    NUMBER,
    VENUES,
    Bitget,
    KrakenFirst,
    KrakenSecond,
    Message,
    Okx,
    Style,
    line,
    lines_of,
    stamp,
    text_of,
    top_10,
    top_25,
    write_feed,
)

DEPTH = 30
COUNT = 80
NAMES = list(VENUES)


def read(path: Path, venue: str, **settings: Any) -> Parsed:
    return parse(path, venue=venue, depth=DEPTH, **settings)


def is_state(parsed: Parsed, row: int, message: Message, depth: int = DEPTH) -> bool:
    """Whether a state shows the venue's own numbers, and nothing where the venue has no level."""
    for side, texts in (("bid", message.bids), ("ask", message.asks)):
        for i in range(depth):
            found = parsed.states[f"{side}_px_{i:02d}"][row], parsed.states[f"{side}_sz_{i:02d}"][row]
            if i < len(texts) and found != (float(texts[i][0]), float(texts[i][1])):
                return False
            if i >= len(texts) and not np.isnan(found).all():
                return False
    return True


def false_states(parsed: Parsed, messages: list[Message], depth: int) -> list[int]:
    """Rows that differ from the venue's book after the message of that local time."""
    numbers = [(int(time) - stamp(0)) // (stamp(1) - stamp(0)) for time in parsed.states["local_time"]]
    return [row for row, number in enumerate(numbers) if not is_state(parsed, row, messages[number], depth)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(6))
def test_each_message_gives_the_venues_book(tmp_path: Path, name: str, seed: int) -> None:
    venue = VENUES[name]()
    messages = venue.messages(seed, COUNT)
    parsed = read(write_feed(tmp_path / "raw.gz", messages), venue.name, max_bad_lines=0)
    assert parsed.update_ids == [message.update_id for message in messages]
    assert false_states(parsed, messages, DEPTH) == []
    checksums = {"kraken v1": COUNT - 1, "kraken v1, depth 10": COUNT - 1, "okx without checksums": 0}.get(name, COUNT)
    assert parsed.quality["checksums"] == {"verified": checksums, "failed": 0, "unverifiable": 0}
    zeros = ("gaps", "resyncs", "crossed", "duplicates", "bad_lines", "time_going_back", "without_snapshot")
    assert {key: parsed.quality[key] for key in zeros} == dict.fromkeys(zeros, 0)
    assert (parsed.quality["messages"], parsed.quality["states"], parsed.quality["segments"]) == (COUNT - 1, COUNT, 1)
    entries = sum(levels_in(message.content) for message in messages[1:])
    assert parsed.quality["updates"] == entries
    if not name.startswith("bitget"):  # tells of all levels that it keeps in step
        known = [min(len(message.bids), len(message.asks)) for message in messages]
        assert list(parsed.states["known_levels"]) == known


def levels_in(content: Any) -> int:
    """Level entries of a message, counted from its JSON."""
    if isinstance(content, list):
        return sum(len(side) for payload in content[1:-2] for key, side in payload.items() if key != "c")
    return sum(len(data["bids"]) + len(data["asks"]) for data in content["data"])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "kraken v1, depth 10"])  # some change no level
def test_times_are_the_venues(tmp_path: Path, name: str) -> None:
    venue = VENUES[name]()
    parsed = read(write_feed(tmp_path / "raw", venue.messages(1, 20)), venue.name)
    unit = 1_000 * MS if venue.name == "kraken" else MS
    first = DAY_MS * MS + (123_456_000 if venue.name == "kraken" else 0)
    assert list(parsed.states["event_time"]) == [first + number * unit for number in range(20)]
    assert list(parsed.states["local_time"]) == [stamp(number) for number in range(20)]


# forms of a capture


STAMPS = {
    "us": lambda time: b"%d " % (time // 1_000),
    "ms, colon": lambda time: b"%d: " % (time // MS),
    "decimal seconds": lambda time: b"%d.%06d: " % (time // 10**9, time % 10**9 // 1_000),
    "nine decimals": lambda time: b"%d.%09d " % (time // 10**9, time % 10**9),
}


@pytest.mark.parametrize("form", STAMPS)
@pytest.mark.parametrize("name", ["kraken v1", "kraken v2", "okx"])
def test_local_times_of_any_unit_are_exact(tmp_path: Path, name: str, form: str) -> None:
    venue = VENUES[name]()
    messages = venue.messages(3, 20)
    lines = [STAMPS[form](stamp(i)) + text_of(message.content).encode() for i, message in enumerate(messages)]
    header = [b"configuration: {'x': 1}", b"", b"wss://venue <-> 1.5", b'wss://venue <- 1.5: {"op": "subscribe"}']
    parsed = read(write_lines(tmp_path / "raw", [text + b"\n" for text in header + lines]), venue.name)
    assert list(parsed.states["local_time"]) == [stamp(number) for number in range(20)]
    assert parsed.quality["bad_lines"] == 0


def test_lines_of_json_alone_take_the_time_of_the_event(tmp_path: Path) -> None:
    for name in NAMES:
        venue = VENUES[name]()
        lines = [text_of(message.content).encode() + b"\n" for message in venue.messages(3, 20)]
        parsed = read(write_lines(tmp_path / "raw", lines), venue.name, max_bad_lines=0)
        assert list(parsed.states["local_time"]) == list(parsed.states["event_time"]), name
        assert parsed.quality["states"] == 20


OTHERS: dict[str, list[Any]] = {
    "kraken": [
        {"event": "heartbeat"}, {"connectionID": 1, "event": "systemStatus", "status": "online", "version": "1.9"},
        {"channelID": 5, "channelName": "book-25", "event": "subscriptionStatus", "pair": "XBT/USD",
         "status": "subscribed", "subscription": {"depth": 25, "name": "book"}},
        [5, [["5541.2", "0.1", "1534614057.3", "s", "l", ""]], "trade", "XBT/USD"],
        [5, ["5698.4", "5700.0", "1542057299.5", "1.0", "0.9"], "spread", "XBT/USD"],
        {"channel": "heartbeat"}, {"channel": "status", "type": "update", "data": [{"system": "online"}]},
        {"channel": "trade", "type": "update", "data": [{"symbol": "BTC/USD", "price": 1.0, "qty": 2.0}]},
        {"method": "subscribe", "result": {"channel": "ticker", "symbol": "BTC/USD"}, "success": True},
        {"method": "pong", "req_id": 1},
    ],
    "okx": [
        {"event": "subscribe", "arg": {"channel": "books", "instId": "BTC-USDT"}, "connId": "a"},
        {"event": "error", "code": "60012", "msg": "x"},
        {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [{"px": "1", "sz": "2"}]},
        {"arg": {"channel": "bbo-tbt", "instId": "BTC-USDT"}, "data": [{"asks": [], "bids": [], "seqId": 9}]},
    ],
    "bitget": [
        {"event": "subscribe", "arg": {"instType": "SPOT", "channel": "books", "instId": "BTCUSDT"}},
        {"action": "snapshot", "arg": {"instType": "SPOT", "channel": "books5", "instId": "BTCUSDT"},
         "data": [{"asks": [["1", "2"]], "bids": [], "checksum": 0, "seq": 1, "ts": "5"}]},
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_other_messages_are_passed_over(tmp_path: Path, name: str) -> None:
    venue = VENUES[name]()
    messages = venue.messages(4, 30)
    lines = lines_of(messages)
    for at, other in enumerate(OTHERS[venue.name]):
        lines.insert(3 * at, line(other, 0))
    lines.insert(7, b"%d pong\n" % stamp(0))
    parsed = read(write_lines(tmp_path / "raw", lines), venue.name, max_bad_lines=0)
    assert parsed.update_ids == [message.update_id for message in messages]
    assert (parsed.quality["gaps"], parsed.quality["checksums"]["failed"]) == (0, 0)


@pytest.mark.parametrize("name", NAMES)
def test_one_instrument_is_taken_out_of_several(tmp_path: Path, name: str) -> None:
    one, two, three = VENUES[name](), VENUES[name](), VENUES[name]()
    two.symbol, three.symbol = f"{one.symbol[:-1]}X", f"{one.symbol[:-1]}Y"
    feeds = [venue.messages(seed, 30) for seed, venue in enumerate((one, two, three))]
    lines = [line(messages[i].content, i) for i in range(30) for messages in feeds]
    path = write_lines(tmp_path / "raw", lines)
    for venue, messages in zip((one, two), feeds, strict=False):
        parsed = read(path, venue.name, symbol=venue.symbol.lower(), max_bad_lines=0)
        assert parsed.update_ids == [message.update_id for message in messages]
        assert false_states(parsed, messages, DEPTH) == []
    with pytest.raises(InputError, match=r"several symbols \((.*X, .*Y|.*)\): set 'symbol'") as error:
        read(path, one.name)
    assert all(venue.symbol in str(error.value) for venue in (one, two, three))
    with pytest.raises(
        InputError, match=f"no depth message of ETH, only of {one.symbol}, {two.symbol}, {three.symbol}"
    ):
        read(path, one.name, symbol="eth")


def test_wrong_channel_is_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw", [line(OTHERS["bitget"][1], 0)])
    with pytest.raises(InputError, match="no message of the channels books, only of books5"):
        read(path, "bitget")


def test_two_channels_of_one_instrument_are_not_mixed(tmp_path: Path) -> None:
    whole, short = Okx("okx", Style(1, 0), 400, symbol="BTC"), Okx("okx", Style(1, 0), 50, symbol="BTC")
    feeds = [venue.messages(5, 30) for venue in (whole, short)]
    path = write_lines(tmp_path / "raw", [line(messages[i].content, i) for i in range(30) for messages in feeds])
    assert read(path, "okx").update_ids == [message.update_id for message in feeds[0]]
    first = [KrakenFirst("kraken", Style(1, 8), depth, symbol="XBT/USD") for depth in (25, 10)]
    feeds = [venue.messages(5, 30) for venue in first]
    path = write_lines(tmp_path / "raw", [line(messages[i].content, i) for i in range(30) for messages in feeds])
    assert false_states(read(path, "kraken"), feeds[0], DEPTH) == []


# what the venues' rules say


def test_levels_that_come_into_the_depth_again_do_not_make_the_time_older(tmp_path: Path) -> None:
    venue = KrakenFirst("kraken", Style(1, 8), 10, symbol="XBT/USD")
    messages = venue.messages(6, 40)
    for message in messages[2::2]:
        for payload in message.content[1:-2]:
            for entry in [*payload.get("a", []), *payload.get("b", [])]:
                entry[2:] = ["1600000000.000001", "r"]
    parsed = read(write_feed(tmp_path / "raw", messages), "kraken")
    assert parsed.quality["time_going_back"] == 0
    odd = [number - (number > 0 and number % 2 == 0) for number in range(40)]  # others tell no time of their own
    assert list(parsed.states["event_time"]) == [(DAY_MS * MS + number * 10**9 + 123_456_000) for number in odd]
    assert parsed.quality["checksums"]["failed"] == 0


def test_zeros_that_a_collector_lost_are_put_back(tmp_path: Path) -> None:
    """Numbers of v2 written anew without the zeros at their ends; the venue's channel instrument may tell them."""
    for told in (False, True):
        venue = KrakenSecond("kraken", Style(2, 8), 10, symbol="BTC/USD")
        messages = venue.messages(7, 40)
        for message in messages:
            for side in ("bids", "asks"):
                for level in message.content["data"][0][side]:
                    level.update({key: float(level[key][1:]) for key in ("price", "qty")})
        pairs = [{"symbol": "ETH/USD", "price_precision": 1, "qty_precision": 2}]
        pairs.append({"symbol": "BTC/USD", "price_precision": 2, "qty_precision": 8})
        instruments = {"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": pairs}}
        lines = [line(instruments, 0)] if told else []
        parsed = read(write_lines(tmp_path / "raw", lines + lines_of(messages)), "kraken", max_bad_lines=0)
        assert parsed.quality["checksums"] == {"verified": 40, "failed": 0, "unverifiable": 0}


def test_subscribed_depth_is_that_of_the_answer(tmp_path: Path) -> None:
    """A book shorter than the depth must not be cut at the next smaller depth that could be subscribed."""
    venue = KrakenSecond("kraken", Style(1, 8), 100, levels=10, symbol="BTC/USD")
    answer = {"method": "subscribe", "success": True, "result": {"channel": "book", "depth": 100, "symbol": "BTC/USD"}}
    feeds = (venue.messages(seed, 60) for seed in range(100))
    messages = next(feed for feed in feeds if max(len(message.bids) for message in feed) > 10)
    path = write_lines(tmp_path / "raw", [line(answer, 0), *lines_of(messages)])
    assert false_states(read(path, "kraken"), messages, DEPTH) == []


def test_signs_of_life_and_ids_that_begin_again_are_no_gap(tmp_path: Path) -> None:
    venue = Okx("okx", Style(2, 4), 400, symbol="BTC-USDT")
    messages = venue.messages(9, 40)
    last = messages[20].update_id
    sign = json.loads(json.dumps(messages[20].content)) | {"action": "update"}
    sign["data"][0] |= {"asks": [], "bids": [], "prevSeqId": last, "seqId": last, "ts": str(DAY_MS + 20)}
    lines = [*lines_of(messages[:21]), line(sign, 20)]
    shift = last - 7  # the next message follows `last`, and ids go on from a small one
    for number, message in enumerate(messages[21:], 21):
        data = message.content["data"][0]
        data["seqId"] -= shift
        data["prevSeqId"] -= 0 if number == 21 else shift
        lines.append(line(message.content, number))
    parsed = read(write_lines(tmp_path / "raw", lines), "okx", max_bad_lines=0)
    ids = [message.update_id for message in messages]
    assert parsed.update_ids == [*ids[:21], last, *(update_id - shift for update_id in ids[21:])]
    assert (parsed.quality["gaps"], parsed.quality["duplicates"]) == (0, 0)
    lost = read(write_lines(tmp_path / "lost", lines[:22] + lines[23:]), "okx")  # the message with the smaller id
    assert (lost.quality["gaps"], lost.quality["states"]) == (1, 22)


def test_capture_that_begins_amid_the_stream_waits_for_a_snapshot(tmp_path: Path) -> None:
    for name in NAMES:
        venue = VENUES[name]()
        venue.restart_after = 30
        messages = venue.messages(10, 50)
        path = write_lines(tmp_path / "raw", lines_of(messages)[10:])
        parsed = read(path, venue.name)
        assert parsed.quality["states"] == 20, name
        assert parsed.quality["without_snapshot"] == 20
        assert false_states(parsed, messages, DEPTH) == []
        with pytest.raises(InputError, match="no snapshot in it"):
            read(write_lines(tmp_path / "none", lines_of(messages)[1:30]), venue.name)


def test_new_subscription_begins_a_segment(tmp_path: Path) -> None:
    for name in NAMES:
        venue = VENUES[name]()
        venue.restart_after = 30
        messages = venue.messages(11, 50)
        parsed = read(write_feed(tmp_path / "raw", messages), venue.name)
        assert list(parsed.states["segment"]) == [0] * 30 + [1] * 20, name
        assert (parsed.quality["segments"], parsed.quality["resyncs"], parsed.quality["gaps"]) == (2, 1, 0)
        assert false_states(parsed, messages, DEPTH) == []


# damage


def damaged(name: str, seed: int) -> tuple[Any, list[Message], list[bytes], int]:
    """A venue, its messages with a new subscription in the middle, their lines, and the place of the damage."""
    venue = VENUES[name]()
    venue.restart_after = 40
    messages = venue.messages(seed, 60)
    return venue, messages, lines_of(messages), random.Random(seed).randrange(5, 36)


def seen_levels(name: str) -> int:
    """Levels of which the venue's checks can tell: those under the checksum, or all where ids are chained."""
    return DEPTH if name.startswith("okx") else 25 if name.startswith("bitget") else 10


def told(parsed: Parsed) -> int:
    return int(parsed.quality["gaps"]) + int(parsed.quality["checksums"]["failed"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(12))
def test_lost_message_is_told_before_a_false_state_is_written(tmp_path: Path, name: str, seed: int) -> None:
    venue, messages, lines, at = damaged(name, seed)
    parsed = read(write_lines(tmp_path / "raw", lines[:at] + lines[at + 1 :]), venue.name, max_bad_lines=0)
    assert false_states(parsed, messages, seen_levels(name)) == []
    assert told(parsed) == 1 or not differs(messages[at - 1], messages[at + 1], changed_in(messages[at + 1]))
    assert parsed.quality["segments"] == 2
    if name.startswith("okx"):
        assert (parsed.quality["gaps"], parsed.quality["states"]) == (1, at + 20)


def changed_in(message: Message) -> set[str]:
    """Prices that a message tells of."""
    content = message.content
    if isinstance(content, list):
        return {entry[0] for payload in content[1:-2] for key, side in payload.items() if key != "c" for entry in side}
    found = [entry for data in content["data"] for side in ("bids", "asks") for entry in data[side]]
    return {entry["price"][1:] if isinstance(entry, dict) else entry[0] for entry in found}


def differs(before: Message, after: Message, told_later: set[str]) -> bool:
    """Whether the best ten levels differ at prices that the later message does not tell of."""
    for old, new in ((before.bids, after.bids), (before.asks, after.asks)):
        if {level for level in old[:10] if level[0] not in told_later} - set(new):
            return True
        if {level for level in new[:10] if level[0] not in told_later} - set(old):
            return True
    return False


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(12))
def test_doubled_message_does_no_harm(tmp_path: Path, name: str, seed: int) -> None:
    venue, messages, lines, at = damaged(name, seed)
    parsed = read(write_lines(tmp_path / "raw", lines[: at + 1] + lines[at:]), venue.name, max_bad_lines=0)
    assert false_states(parsed, messages, DEPTH) == []
    assert told(parsed) == 0
    has_ids = name.startswith("okx") or name == "bitget v2"
    assert parsed.quality["duplicates"] == (1 if has_ids else 0)
    assert parsed.quality["states"] == (60 if has_ids else 61)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(6))
def test_old_message_that_comes_again_does_no_harm(tmp_path: Path, name: str, seed: int) -> None:
    venue, messages, lines, at = damaged(name, seed)
    again = [*lines[: at + 4], lines[at], *lines[at + 4 :]]
    parsed = read(write_lines(tmp_path / "raw", again), venue.name, max_bad_lines=0)
    if name.startswith("okx") or name == "bitget v2":
        assert (parsed.quality["duplicates"], parsed.quality["states"], told(parsed)) == (1, 60, 0)
        assert false_states(parsed, messages, DEPTH) == []
    else:  # without ids it is taken for a new one, which the checksum refutes where it changes the best levels
        assert parsed.quality["duplicates"] == 0
        true = [row for row, number in enumerate(parsed.update_ids) if number != at + 5]
        kept = Parsed({}, {key: column[true] for key, column in parsed.states.items()})
        assert false_states(kept, messages, seen_levels(name)) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(12))
def test_swapped_messages_are_told(tmp_path: Path, name: str, seed: int) -> None:
    venue, messages, lines, at = damaged(name, seed)
    swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
    parsed = read(write_lines(tmp_path / "raw", swapped), venue.name, max_bad_lines=0)
    assert false_states(parsed, messages, seen_levels(name)) == []
    assert told(parsed) == 1 or not differs(messages[at - 1], messages[at + 1], changed_in(messages[at + 1]))


ABSURD: list[Any] = ["-1", "nan", "inf", "1e400", "", "x", "0.1.2", "--5", None, True, [], {}]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [0, 1])
def test_absurd_number_is_a_bad_line_and_a_lost_message(tmp_path: Path, name: str, place: int) -> None:
    for seed, value in enumerate(ABSURD):
        venue, messages, lines, at = damaged(name, seed)
        content = json.loads(lines[at].split(b" ", 1)[1])
        if venue.name == "kraken" and isinstance(content, list):
            side = next(iter(content[1].values()))
        else:
            data = content["data"][0]
            side = data["bids"] or data["asks"]
        key = ("price", "qty")[place] if isinstance(side[0], dict) else place
        side[0][key] = value
        path = write_lines(tmp_path / "raw", [*lines[:at], line(content, at), *lines[at + 1 :]])
        parsed = read(path, venue.name)
        assert parsed.quality["bad_lines"] == 1, value
        assert parsed.quality["first_bad_line"].startswith(f"{path}: line {at + 1}: not a {venue.name} message"), value
        assert false_states(parsed, messages, seen_levels(name)) == []
        if name.startswith("okx"):
            assert parsed.quality["gaps"] == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(6))
def test_wrong_number_is_told_by_the_checksum(tmp_path: Path, name: str, seed: int) -> None:
    """A size that reads well but is not the venue's; where checksums are no longer sent nothing can tell it."""
    venue, messages, lines, at = damaged(name, seed)
    best = messages[at].bids[0]
    content = json.loads(json.dumps(messages[at].content))
    entry: Any = [best[0], best[1][:-1] + ("1" if best[1][-1] != "1" else "2")]
    if isinstance(content, list):
        content[-3].setdefault("b", []).append([*entry, "1704067200.5"])
    elif venue.name == "kraken":
        content["data"][0]["bids"].append({"price": NUMBER + entry[0], "qty": NUMBER + entry[1]})
    else:
        content["data"][0]["bids"].append(entry)
    path = write_lines(tmp_path / "raw", [*lines[:at], line(content, at), *lines[at + 1 :]])
    parsed = read(path, venue.name)
    failed = parsed.quality["checksums"]["failed"]
    assert failed == (0 if name == "okx without checksums" else 1)
    if failed:
        assert parsed.quality["states"] == at + 20
        assert (parsed.quality["segments"], parsed.quality["gaps"]) == (2, 0)
        assert false_states(parsed, messages, DEPTH) == []


@pytest.mark.parametrize("name", NAMES)
def test_of_a_cut_gz_all_before_the_cut_is_read(tmp_path: Path, name: str) -> None:
    venue, messages, lines, _ = damaged(name, 1)
    packed = gzip.compress(b"".join(lines), mtime=0)
    (tmp_path / "raw.gz").write_bytes(packed[: len(packed) * 2 // 3])
    parsed = read(tmp_path / "raw.gz", venue.name)
    assert (parsed.quality["bad_lines"], told(parsed)) == (1, 0)
    assert "gzip data damaged or cut short" in parsed.quality["first_bad_line"]
    assert 5 < parsed.quality["states"] < 60
    assert false_states(parsed, messages, DEPTH) == []


@pytest.mark.parametrize("seed", range(40))
def test_any_bytes_in_any_place_are_survived(tmp_path: Path, seed: int) -> None:
    name = NAMES[seed % len(NAMES)]
    venue, _, lines, _ = damaged(name, seed)
    chosen, content = random.Random(seed), bytearray(b"".join(lines))
    for _ in range(chosen.choice([1, 10, 300])):
        content[chosen.randrange(len(content))] = chosen.randrange(256)
    path = write_lines(tmp_path / "raw", [bytes(content)])
    parsed = try_parse(path, venue=venue.name, symbol=venue.symbol)
    if isinstance(parsed, str):
        assert str(path) in parsed
        assert "\n" not in parsed
        return
    assert parsed.quality["states"] == len(parsed.update_ids) > 0


# unnumbered messages without checksum


def test_unreadable_line_is_a_lost_message_where_nothing_else_would_tell(tmp_path: Path) -> None:
    venue = Bitget("bitget", Style(2, 4), 400, symbol="BTCUSDT", restart_after=20)
    messages = venue.messages(12, 30)
    for message in messages:
        message.content["data"][0]["checksum"] = 0
    lines = lines_of(messages)
    parsed = read(write_lines(tmp_path / "raw", [*lines[:10], b"junk\n", *lines[10:]]), "bitget")
    assert (parsed.quality["gaps"], parsed.quality["states"], parsed.quality["segments"]) == (1, 20, 2)
    assert false_states(parsed, messages, DEPTH) == []


# the book carried on


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_parts_with_the_book_carried_equal_one_stream(tmp_path: Path, name: str, seed: int) -> None:
    venue, _, lines, at = damaged(name, seed)
    lines = lines[:at] + lines[at + 1 :] if seed % 2 else lines
    whole = read(write_lines(tmp_path / "whole", lines), venue.name)
    cuts = [0, *sorted(random.Random(seed).sample(range(1, len(lines)), 3)), len(lines)]
    parts: list[Parsed] = []
    for i in range(4):
        path = write_lines(tmp_path / f"part{i}", lines[cuts[i] : cuts[i + 1]])
        before = tmp_path / f"{i}.npz" if i else None
        parts.append(read(path, venue.name, book_in=before, book_out=tmp_path / f"{i + 1}.npz"))
    states = {key: np.concatenate([part.states[key] for part in parts]) for key in whole.states}
    assert same_states(Parsed({}, states), whole)
    for key in ("messages", "updates", "states", "gaps", "resyncs", "duplicates", "bad_lines"):
        assert sum(part.quality[key] for part in parts) == whole.quality[key], key
    for key in ("verified", "failed", "unverifiable"):
        assert sum(part.quality["checksums"][key] for part in parts) == whole.quality["checksums"][key]


def test_feeds_write_the_digits_that_count() -> None:
    assert text_of([NUMBER + "0.10"]) == "[0.10]"
    assert top_10([("0.10", "1")], []) != top_10([("0.1", "1")], [])
    assert top_25([("0.10", "1")], []) != top_25([("0.1", "1")], [])
