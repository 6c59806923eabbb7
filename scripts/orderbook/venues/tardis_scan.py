"""Read rows of incremental_book_L2 out of the bytes of a CSV, and group them to messages.

Rows look like `deribit,BTC-PERPETUAL,1585699200245000,1585699200355684,true,ask,6421.5,18640`. Only those of one exact
form are taken: eight fields without blanks or quotes, integers below 10^18, numbers whose digits a float64 holds
without rounding. At any other row the scan stops, and scripts/orderbook/venues/tardis.py decides whether it is good; so
this may refuse a good row at the cost of time, but must never take a bad one or read another value.

Functions take the place of the first byte to look at, and return the place after the last one taken, or FAILED. Text
ends with a newline, which is part of no field: that is what keeps them inside.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scripts.lib.kernels import Array, kernel
from scripts.orderbook.capture.records import DIFF, EXACT, LARGEST, PRICE_DECIMALS, REPLACE, RESTART
from scripts.orderbook.capture.stream import ASK, BID, NO_CHECKSUM, Batch

FAILED = -1
NONE_BELOW, NONE_ABOVE = 2**62, -1  # edges of a side without levels: prices are under 2^62
BROKEN = -2  # `previous_id` that no message has
FIELDS = 8  # exchange, symbol, timestamp, local_timestamp, is_snapshot, side, price, amount
MOST_DIGITS = 18  # such numbers fit into int64
US = 1_000  # nanoseconds
LAST_US = LARGEST // US
POWERS = 10 ** np.arange(MOST_DIGITS + 1)
MOST_DECIMALS = 22  # 10^22 is the largest power of ten that a float64 holds: up to here division rounds once
FLOAT_POWERS = np.array([float(10**i) for i in range(MOST_DECIMALS + 1)])

NEWLINE, RETURN, BLANK, DOT, MINUS, COMMA, QUOTE, ZERO, NINE, EXPONENT = (ord(mark) for mark in '\n\r .-,"09e')
DELETE = 127
LOWER_A, LOWER_Z, CASE = ord("a"), ord("z"), ord("a") - ord("A")
TRUE, FALSE = np.frombuffer(b"true", np.uint8), np.frombuffer(b"false", np.uint8)
BID_WORD, ASK_WORD = np.frombuffer(b"bid", np.uint8), np.frombuffer(b"ask", np.uint8)

GROUP = np.dtype(
    [(name, np.int64) for name in (
        "row",         # number of the last row of any instrument, from 1; header lines do not count
        "last",        # number of the instrument's last row
        "before",      # that of the last row of its message before
        "bad",         # number of the last row that could not be read
        "open",        # 1 while rows of a message come in
        "local_time",  # of the message, ns
        "event_time",  # of its last row, ns
        "begin",       # its first level in the batch
        "reset",       # 1 if a snapshot begins in it: the book before is no more
        "shown",       # 1 if rows of a snapshot are in it
        "mixed",       # 1 if changes follow those rows
        "snapshot",    # 1 if the instrument's last row was one of a snapshot
        "lowest_bid",  # scaled, of the snapshot's messages so far; NONE_BELOW if there was none
        "highest_ask", # likewise, or NONE_ABOVE
        "going_back",  # messages whose local time is smaller than that of the one before
    )]
)  # fmt: skip


class Scanner(NamedTuple):
    """What the scan must know, and where it is."""

    prefix: Array  # `exchange,symbol,` as the instrument's rows begin; empty: not known yet, and no row is taken
    symbol: Array  # its symbol alone, in upper case
    options: Array  # (1,) flag: rows of other instruments may be passed over
    group: Array  # one record of GROUP


def scanner(prefix: bytes, symbol: bytes, pass_others: bool, group: Array) -> Scanner:
    options = np.array([pass_others], np.int64)
    return Scanner(np.frombuffer(prefix, np.uint8), np.frombuffer(symbol, np.uint8), options, group)


@kernel
def scan(text: Array, start: int, use: Scanner, batch: Batch) -> int:
    """Read rows into a batch, which must have room for them; the place of the first one not taken, or the end."""
    at = start
    while at < text.size:
        after = _row(text, at, use, batch)
        if after == FAILED:
            break
        at = after
    return at


@kernel
def _row(text: Array, at: int, use: Scanner, batch: Batch) -> int:
    if use.prefix.size == 0:
        return FAILED
    if not _starts(text, at, use.prefix):
        return _other(text, at, use) if use.options[0] else FAILED
    at, event_time = _time(text, at + use.prefix.size)
    if at == FAILED:
        return FAILED
    at, local_time = _time(text, at)
    if at == FAILED:
        return FAILED
    at, snapshot = _choice(text, at, TRUE, FALSE)
    if at == FAILED:
        return FAILED
    at, is_bid = _choice(text, at, BID_WORD, ASK_WORD)
    if at == FAILED:
        return FAILED
    at, price, decimals = _decimal(text, at)
    if at == FAILED or text[at] != COMMA or not _is_price(price, decimals):
        return FAILED
    price = price * POWERS[PRICE_DECIMALS - decimals]
    at, size, decimals = _decimal(text, at + 1)
    if at == FAILED:
        return FAILED
    if text[at] == RETURN:
        at += 1
    if text[at] != NEWLINE:
        return FAILED
    side = BID if is_bid else ASK
    use.group[0].row += 1
    take_row(use.group, batch, event_time, local_time, snapshot, side, price, size / FLOAT_POWERS[decimals])
    return at + 1


@kernel
def _other(text: Array, at: int, use: Scanner) -> int:
    """A row of another instrument, passed over; one of the same name at another exchange is for the parser."""
    first = _name(text, at)
    if first == FAILED:
        return FAILED
    at = _name(text, first)
    if at == FAILED or _is_symbol(text, first, at - 1, use.symbol):
        return FAILED
    at -= 1
    fields = 2
    while text[at] != NEWLINE:
        if text[at] == QUOTE:
            return FAILED
        if text[at] == COMMA:
            fields += 1
        at += 1
    if fields != FIELDS:
        return FAILED
    use.group[0].row += 1
    return at + 1


@kernel
def _name(text: Array, at: int) -> int:
    """A name of visible ASCII letters and the comma after it."""
    start = at
    while BLANK < text[at] < DELETE and text[at] != COMMA:
        at += 1
    return at + 1 if at > start and text[at] == COMMA else FAILED


@kernel
def _is_symbol(text: Array, start: int, end: int, symbol: Array) -> bool:
    if end - start != symbol.size:
        return False
    for i in range(symbol.size):
        letter = text[start + i]
        if LOWER_A <= letter <= LOWER_Z:
            letter -= CASE
        if letter != symbol[i]:
            return False
    return True


@kernel
def take_row(
    group: Array, batch: Batch, event_time: int, local_time: int, snapshot: bool, side: int, price: int, size: float
) -> None:
    """Add a row of the instrument to the message that its local time makes it part of; rows are counted before.

    The first row of a snapshot after one that is none begins the book anew, also in the middle of a message.
    """
    state = group[0]
    if state.open and local_time != state.local_time:
        close_message(group, batch)
    filled = batch.filled[0]
    if not state.open:
        state.open, state.reset, state.shown, state.mixed = 1, 0, 0, 0
        state.begin = filled.levels
    if snapshot and not state.snapshot:
        state.reset, state.mixed = 1, 0
        filled.levels = state.begin
    if snapshot:
        state.shown = 1
    elif state.shown:
        state.mixed = 1
    if local_time < state.local_time:
        state.going_back += 1
    state.last = state.row
    state.snapshot = 1 if snapshot else 0
    state.local_time, state.event_time = local_time, event_time
    level = batch.levels[filled.levels]
    level.side, level.price, level.size, level.digits = side, price, size, 0
    filled.levels += 1


@kernel
def close_message(group: Array, batch: Batch) -> None:
    """The message is complete, if there is one; with a bad row in it or beside it, it continues or begins no book."""
    state, filled = group[0], batch.filled[0]
    if not state.open:
        return
    if state.mixed:
        _settle(batch.levels, state.begin, filled.levels)
    message: Any = batch.messages[filled.messages]
    spoilt = state.bad > state.before
    message.kind = DIFF if spoilt else _kind(state, batch.levels, filled.levels)
    message.event_time, message.local_time = state.event_time, state.local_time
    message.first_id, message.final_id, message.previous_id = state.last, state.last, BROKEN if spoilt else state.before
    message.limit, message.checksum = 0, NO_CHECKSUM
    message.begin, message.end = state.begin, filled.levels
    filled.messages += 1
    state.before, state.open = state.last, 0


@kernel
def _kind(state: Any, levels: Array, end: int) -> int:
    """Kind of the message that ends at a level.

    Of a snapshot after a snapshot, one that tells of levels further out alone goes on with it. Any other shows the book
    anew: so do those feeds of which each message is a snapshot.
    """
    if not state.shown:
        return DIFF
    goes_on = not (state.reset or state.mixed)
    for i in range(state.begin, end):
        inside = levels[i].price >= state.lowest_bid if levels[i].side == BID else levels[i].price <= state.highest_ask
        goes_on = goes_on and not (inside and levels[i].size > 0)
    if not goes_on:
        state.lowest_bid, state.highest_ask = NONE_BELOW, NONE_ABOVE
    for i in range(state.begin, end):
        if levels[i].size > 0 and levels[i].side == BID:
            state.lowest_bid = min(state.lowest_bid, levels[i].price)
        elif levels[i].size > 0:
            state.highest_ask = max(state.highest_ask, levels[i].price)
    return DIFF if goes_on else RESTART if state.reset else REPLACE


@kernel
def _settle(levels: Array, begin: int, end: int) -> None:
    """Let removals that follow a snapshot within its message take effect on the snapshot's own levels.

    Its additions count as levels of the snapshot too, so that one further out than it tells of widens what is known.
    """
    for i in range(begin, end):
        if levels[i].size > 0:
            continue
        for j in range(begin, i):
            if levels[j].side == levels[i].side and levels[j].price == levels[i].price:
                levels[j].size = 0.0


@kernel
def _time(text: Array, at: int) -> tuple[int, int]:
    """A time in us and the comma after it; the time in ns."""
    start, value = at, 0
    while ZERO <= text[at] <= NINE:
        value = value * 10 + (text[at] - ZERO)
        at += 1
    if not 0 < at - start <= MOST_DIGITS or text[at] != COMMA or value > LAST_US:
        return FAILED, 0
    return at + 1, value * US


@kernel
def _choice(text: Array, at: int, yes: Array, no: Array) -> tuple[int, bool]:
    """One of two words and the comma after it."""
    if _starts(text, at, yes) and text[at + yes.size] == COMMA:
        return at + yes.size + 1, True
    if _starts(text, at, no) and text[at + no.size] == COMMA:
        return at + no.size + 1, False
    return FAILED, False


@kernel
def _decimal(text: Array, at: int) -> tuple[int, int, int]:
    """A number such as 58710.20 or 2e-7 as (place after it, 587102, 1); it has at most 53 bits and 22 decimals."""
    start, value = at, 0
    while ZERO <= text[at] <= NINE:
        value = value * 10 + (text[at] - ZERO)
        at += 1
    whole, decimals = at - start, 0
    if text[at] == DOT:
        at += 1
        first = at
        while ZERO <= text[at] <= NINE:
            value = value * 10 + (text[at] - ZERO)
            at += 1
        decimals = at - first
        if decimals == 0:
            return FAILED, 0, 0
    if whole == 0 or whole + decimals > MOST_DIGITS:
        return FAILED, 0, 0
    if text[at] == EXPONENT:
        at, exponent = _exponent(text, at + 1)
        if at == FAILED:
            return FAILED, 0, 0
        decimals += exponent
    while decimals > 0 and value % 10 == 0 and (decimals > PRICE_DECIMALS or value > EXACT):
        value //= 10
        decimals -= 1
    return (at, value, decimals) if value <= EXACT and decimals <= MOST_DECIMALS else (FAILED, 0, 0)


@kernel
def _exponent(text: Array, at: int) -> tuple[int, int]:
    """The rest of an exponent, which is negative and has one digit or two: JavaScript writes 0.0000002 as 2e-7."""
    if text[at] != MINUS or not ZERO <= text[at + 1] <= NINE:
        return FAILED, 0
    value: Any = np.int64(text[at + 1] - ZERO)
    at += 2
    if ZERO <= text[at] <= NINE:
        value = value * 10 + (text[at] - ZERO)
        at += 1
    return at, value


@kernel
def _is_price(value: int, decimals: int) -> bool:
    """Whether value / 10^decimals is a scaled price without rounding."""
    return decimals <= PRICE_DECIMALS and value <= LARGEST // 2 // POWERS[PRICE_DECIMALS - decimals]


@kernel
def _starts(text: Array, at: int, word: Array) -> bool:
    """Whether a word stands here; no word holds a newline, so none reaches beyond the text."""
    for i in range(word.size):  # noqa: SIM110  (numba compiles a loop faster than a generator)
        if text[at + i] != word[i]:
            return False
    return True
