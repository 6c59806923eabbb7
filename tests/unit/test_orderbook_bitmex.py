"""parse_book on BitMEX captures: tables whose rows are known by an id."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import InputError
from tests.unit.orderbook_markets import (
    SIDES,
    Change,
    Market,
    State,
    Update,
    best,
    best_first,
    check_states,
    difference,
    levels_known,
    mutated,
)
from tests.unit.orderbook_streams import DAY_MS, MS, Parsed, begins, check_carried, parse, try_parse, write_lines

Lines = list[bytes]
NAMES = {"bid": "Buy", "ask": "Sell"}
FORMS = ("without prices and times", "without prices", "with arbitrary ids")  # to 2022, to 2023, since then


class Writer:
    """Writes a market as the venue did in one of its FORMS: the id of a price is a number below a round one, or any."""

    def __init__(self, market: Market, form: str, symbol: str = "XBTUSD", table: str = "orderBookL2") -> None:
        self.form, self.symbol, self.table = form, symbol, table
        self.random = random.Random(market.seed)
        self.ids: dict[tuple[str, str], int] = {}
        self.known: set[tuple[str, str]] = set()
        self.depth = 25 if table.endswith("_25") else 10**9
        self.lines: Lines = []
        self.states: list[State] = []
        self.before: dict[str, dict[Decimal, str]] = {}
        for update in market.updates:
            self.write(update)

    def write(self, update: Update) -> None:
        book = best(update.book, self.depth)
        if not update.number:
            levels = [(side, price, size) for side in SIDES for price, size in best_first(book, side)]
            self.add(update, "partial", levels)
        else:
            by_action: dict[str, list[Change]] = defaultdict(list)
            for change in difference(self.before, book):
                by_action[self.action(change)].append(change)
            for action in ("delete", "update", "insert"):  # a message has one action
                if by_action[action]:
                    self.add(update, action, by_action[action])
        self.before = book

    def action(self, change: Change) -> str:
        side, price, size = change
        return "delete" if size == "0" else "update" if (side, price) in self.known else "insert"

    def add(self, update: Update, action: str, changes: list[Change]) -> None:
        rows = [self.row(update, action, change) for change in changes]
        content: dict[str, Any] = {"table": self.table, "action": action, "data": rows}
        if action == "partial":
            content |= {"keys": ["symbol", "id", "side"], "filter": {"symbol": self.symbol}}
        # each message a little later than the one before, in the order in which they were sent
        local = update.local_ns + len(self.lines)
        self.lines.append(b"%d %s\n" % (local, json.dumps(content).encode()))
        book = self.after(changes)
        event = local if self.form == FORMS[0] else update.event_ms * MS
        self.states.append(State(event, local, len(self.states) + 1, 0, levels_known(book), book))

    def after(self, changes: list[Change]) -> dict[str, dict[Decimal, str]]:
        """The book after one of the messages of an update."""
        book = {side: dict(self.states[-1].book[side]) if self.states else {} for side in SIDES}
        for side, price, size in changes:
            book[side].pop(Decimal(price), None)
            if size != "0":
                book[side][Decimal(price)] = size
        return book

    def row(self, update: Update, action: str, change: Change) -> dict[str, Any]:
        side, price, size = change
        key = side, price
        if action in ("partial", "insert"):
            arbitrary = self.random.randrange(10**9, 10**12)
            self.ids[key] = arbitrary if self.form == FORMS[2] else 8_800_000_000 - round(float(price) * 100)
            self.known.add(key)
        entry: dict[str, Any] = {"symbol": self.symbol, "id": self.ids[key], "side": NAMES[side]}
        if action != "delete":
            entry["size"] = int(size)
        if action in ("partial", "insert") or self.form == FORMS[2]:
            entry["price"] = float(price)
        if self.form != FORMS[0]:
            entry["timestamp"] = time_text(update)
        if action == "delete":
            self.known.discard(key)
        return entry


def time_text(update: Update) -> str:
    seconds, ms = divmod(update.event_ms - DAY_MS, 1_000)
    return f"2024-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}.{ms:03d}Z"


def stream(seed: int, form: str = FORMS[2], messages: int = 50, **names: str) -> Writer:
    market = Market(seed, tick="0.5", lot="100", middle=12_000)
    market.run(messages)
    return Writer(market, form, **names)


def read(folder: Path, lines: Lines, **settings: Any) -> Parsed:
    return parse(write_lines(folder / "raw.gz", lines), venue="bitmex", **{"depth": 4, "max_bad_lines": 0} | settings)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("table", ["orderBookL2", "orderBookL2_25"])
@pytest.mark.parametrize("seed", range(3))
def test_states_are_those_of_the_true_market(tmp_path: Path, form: str, table: str, seed: int) -> None:
    written = stream(seed, form, table=table)
    parsed = read(tmp_path, written.lines)
    check_states(parsed, written.states)
    counts = {name: parsed.quality[name] for name in ("messages", "gaps", "resyncs", "crossed", "unknown_ids")}
    assert counts == {"messages": len(written.lines) - 1, "gaps": 0, "resyncs": 0, "crossed": 0, "unknown_ids": 0}


def test_capture_of_2021_is_read_with_its_other_lines_and_local_times(tmp_path: Path) -> None:
    """As collectors of the cryptofeed family noted it: small prices are numbers such as 8e-7."""
    answers = [
        b"wss://www.bitmex.com/realtime <-> 1618677659.6066282\n",
        b'wss://www.bitmex.com/realtime <- 1618677660.05: {"op":"subscribe","args":["orderBookL2:EOSM21"]}\n',
        b'1618677660.055011: {"info":"Welcome to the BitMEX Realtime API.","limit":{"remaining":39}}\n',
        b'1618677660.173512: {"success":true,"subscribe":"orderBookL2:EOSM21","request":{"op":"subscribe"}}\n',
        b'1618677662.614111: {"table":"quote","action":"partial","data":[{"symbol":"EOSM21","bidSize":1530}]}\n',
        b'1618677662.614112: {"table":"orderBookL2","action":"update","data":[{"symbol":"EOSM21","id":52499998733,'
        b'"side":"Buy","size":7}]}\n',
    ]
    rows = [("Sell", 52499998732, 652, "0.0001268"), ("Buy", 52499998733, 1530, "0.0001267")]
    rows.append(("Buy", 52499999992, 10000, "8e-7"))
    data = ",".join(
        f'{{"symbol":"EOSM21","id":{number},"side":"{side}","size":{size},"price":{price}}}'
        for side, number, size, price in rows
    )
    lines = [
        f'1618677662.748684: {{"table":"orderBookL2","action":"partial","data":[{data}]}}',
        '1618677662.9: {"table":"orderBookL2","action":"delete",'
        '"data":[{"symbol":"EOSM21","id":52499998733,"side":"Buy"}]}',
    ]
    parsed = read(tmp_path, answers + [text.encode() + b"\n" for text in lines])
    assert list(parsed.states["event_time"]) == [1_618_677_662_748_684_000, 1_618_677_662_900_000_000]
    assert list(parsed.states["local_time"]) == list(parsed.states["event_time"])
    assert list(parsed.states["bid_px_00"]) == [0.0001267, 8e-7]
    assert list(parsed.states["bid_sz_00"]) == [1530.0, 10000.0]
    assert list(parsed.states["ask_px_00"]) == [0.0001268, 0.0001268]
    # the update before the partial is a message that has no book to change, and knows no ids
    assert parsed.update_ids == [2, 3]
    assert (parsed.quality["messages"], parsed.quality["without_snapshot"], parsed.quality["unknown_ids"]) == (2, 1, 0)


def test_second_partial_begins_a_segment(tmp_path: Path) -> None:
    written, again = stream(1, messages=20), stream(2, messages=20)
    parsed = read(tmp_path, written.lines + again.lines)
    count = len(written.states)
    states = [State(s.event_time, s.local_time, s.update_id + count, 1, s.known, s.book) for s in again.states]
    check_states(parsed, written.states + states)
    assert (parsed.quality["resyncs"], parsed.quality["unknown_ids"]) == (1, 0)
    assert parsed.quality["time_going_back"] == 1


def test_empty_tables_are_books_without_levels(tmp_path: Path) -> None:
    empty = b'%d {"table":"orderBookL2","action":"partial","filter":{"symbol":"XBTUSD"},"data":[]}\n' % (DAY_MS * MS)
    nothing = b'%d {"table":"orderBookL2","action":"update","data":[]}\n' % (DAY_MS * MS)
    parsed = read(tmp_path, [empty, nothing, *stream(1, messages=4).lines])
    assert parsed.states["known_levels"][0] == 0
    assert parsed.quality["segments"] == 2


@pytest.mark.parametrize("seed", range(3))
def test_chosen_symbol_is_taken_from_a_capture_of_several(tmp_path: Path, seed: int) -> None:
    written, others = stream(seed), stream(seed + 50, symbol="ETHUSD")
    chosen = random.Random(seed)
    mine, theirs, lines = list(written.lines), list(others.lines), []
    while mine or theirs:
        lines.append((mine if mine and (not theirs or chosen.random() < 0.5) else theirs).pop(0))
    check_states(read(tmp_path, lines, symbol="xbtusd"), written.states)
    with pytest.raises(InputError, match=r"raw\.gz: several symbols \(ETHUSD, XBTUSD\): set 'symbol'"):
        read(tmp_path, lines)


def test_two_tables_of_a_symbol_are_never_mixed(tmp_path: Path) -> None:
    whole, top = stream(1), stream(1, table="orderBookL2_25")
    lines = [text for pair in zip(whole.lines, top.lines, strict=False) for text in pair]
    with pytest.raises(InputError, match=r"several tables \(orderBookL2:XBTUSD, orderBookL2_25:XBTUSD\): set 'symbol'"):
        read(tmp_path, lines)
    kept = len(lines) // 2
    check_states(read(tmp_path, lines, symbol="orderBookL2:XBTUSD"), whole.states[:kept])
    check_states(read(tmp_path, lines, symbol="orderBookL2_25:XBTUSD"), top.states[:kept])


# damage


def unknown_after(written: Writer, at: int) -> int:
    """Oracle: mismatches that follow when a message is lost: rows whose id is not there, or there already."""
    known: set[tuple[int, str]] = set()
    mismatches = 0
    for place, text in enumerate(written.lines):
        if place == at:
            continue
        message = json.loads(text.split(b" ", 1)[1])
        for row in message["data"]:
            key = row["id"], row["side"]
            mismatches += message["action"] != "partial" and (key in known) == (message["action"] == "insert")
            if message["action"] == "delete":
                known.discard(key)
            elif "price" in row:  # an id without a price cannot be kept
                known.add(key)
    return mismatches


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(8))
def test_lost_insertions_and_deletions_show_as_unknown_ids(tmp_path: Path, form: str, seed: int) -> None:
    written = stream(seed, form, messages=150)
    places = [i for i, text in enumerate(written.lines) if b'"insert"' in text or b'"delete"' in text]
    at = random.Random(seed).choice(places[:20])
    parsed = read(tmp_path, mutated(written.lines, at, "dropped"))
    assert parsed.quality["unknown_ids"] == unknown_after(written, at)
    assert parsed.quality["gaps"] == 0  # the venue itself has erred in its ids: the book goes on


def test_some_lost_messages_do_show() -> None:
    """Or the test above would be content with nothing."""
    shown = 0
    for seed in range(8):
        written = stream(seed, messages=150)
        first = next(i for i, text in enumerate(written.lines) if b'"insert"' in text)
        shown += unknown_after(written, first) > 0
    assert shown >= 4


def test_update_of_an_unknown_id_counts_and_takes_effect_where_it_names_its_price(tmp_path: Path) -> None:
    lines = stream(3, messages=0).lines
    stray = {"symbol": "XBTUSD", "id": 5, "side": "Buy", "size": 77}
    for entry, best_bid in ((stray, None), (stray | {"price": 5_999.5}, 5_999.5)):
        text = json.dumps({"table": "orderBookL2", "action": "update", "data": [entry]}).encode()
        parsed = read(tmp_path, [*lines, b"%d %s\n" % ((DAY_MS + 5) * MS, text)])
        before, after = parsed.states["bid_px_00"]
        assert after == (best_bid or before)
        assert (parsed.quality["unknown_ids"], parsed.quality["states"]) == (1, 2)


@pytest.mark.parametrize("seed", range(5))
def test_swapped_and_doubled_messages_go_back_in_time(tmp_path: Path, seed: int) -> None:
    written = stream(seed, FORMS[0])
    at = random.Random(seed).randrange(2, len(written.lines) - 12)
    swapped = read(tmp_path, mutated(written.lines, at, "swapped"))
    assert swapped.quality["time_going_back"] == 1
    later = read(tmp_path, [*written.lines[: at + 9], written.lines[at], *written.lines[at + 9 :]])
    assert later.quality["time_going_back"] == 1


ABSURD = [
    ('"id": ', '"id": -'), ('"id": ', '"id": 0.5, "x": '), ('"side": "', '"side": "Up'), ('"size": ', '"size": -'),
    ('"size": ', '"size": 1e400, "x": '), ('"size": ', '"size": "5", "x": '), ('"size": ', '"x": '),
    ('"price": ', '"price": -'), ('"price": ', '"price": 1e300, "x": '), ('"price": ', '"x": '),
    ('"action": "insert"', '"action": "upsert"'), ('"timestamp": "2024', '"timestamp": "MMXXIV'),
    ('"symbol": "XBTUSD"', '"symbol": 5'), ('"data": [', '"data": [5, '), ("{", "garbage "), ("}]}", "}"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), ABSURD)
def test_absurd_field_is_a_bad_line_and_a_loss(tmp_path: Path, old: str, new: str) -> None:
    written = stream(6)
    at = next(i for i, text in enumerate(written.lines) if b'"insert"' in text)
    text = written.lines[at].decode()
    assert old in text
    lines = [*written.lines[:at], text.replace(old, new, 1).encode(), *written.lines[at + 1 :]]
    parsed = read(tmp_path, lines, max_bad_lines=1)
    assert (parsed.quality["bad_lines"], parsed.quality["gaps"]) == (1, 1)
    assert parsed.quality["first_bad_line"].startswith(f"{tmp_path / 'raw.gz'}: line {at + 1}: ")
    check_states(parsed, written.states[:at])


def test_message_without_any_time_is_a_bad_line(tmp_path: Path) -> None:
    bare = stream(1, FORMS[0]).lines[0].split(b" ", 1)[1]
    with pytest.raises(InputError, match=r"raw\.gz: line 1: .*neither the line nor the message bears a time"):
        read(tmp_path, [bare])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_parts_with_the_book_carried_equal_one_stream(tmp_path: Path, form: str, seed: int) -> None:
    written = stream(seed, form)
    check_carried(tmp_path, mutated(written.lines, 7, "dropped"), seed, venue="bitmex", depth=4)


@pytest.mark.parametrize("seed", range(3))
def test_cut_gz_is_told(tmp_path: Path, seed: int) -> None:
    lines = stream(seed).lines
    whole = read(tmp_path, lines)
    path = tmp_path / "raw.gz"
    path.write_bytes(path.read_bytes()[: -random.Random(seed).randrange(10, 600)])
    parsed = try_parse(path, venue="bitmex", depth=4)
    assert isinstance(parsed, Parsed)
    assert "gzip data damaged or cut short" in parsed.quality["first_bad_line"]
    assert begins(parsed, whole)
