"""Read Binance's messages out of the bytes of a capture, without decoding JSON: ten times as fast.

Only lines of one exact form are taken: no blanks outside of texts, ASCII without escapes, flat objects whose values
are texts, integers below 10^18, true, false, null or lists of ["price","size"] pairs, no field of interest twice, and
all fields of a message present and in range. Fields may come in any order and others may stand among them. At any
other line the scan stops, and scripts/orderbook/venues/binance.py decides with a JSON parser whether it is good; so
this may refuse a good line at the cost of time, but must never take a bad one or read another value.

Functions take the place of the first byte to look at, and return the place after the last one taken, or FAILED. Text
ends with a newline, which is part of no value: that is what keeps them inside.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scripts.lib.kernels import Array, inlined, kernel
from scripts.orderbook.capture.raw import UNITS
from scripts.orderbook.capture.records import DIFF, EXACT, LARGEST, LONGEST_STAMP, NO_TIME, PRICE_DECIMALS
from scripts.orderbook.capture.stream import ASK, BID, NO_CHECKSUM, NO_ID, Batch
from scripts.orderbook.capture.words import digits, end_of_plain, number

FAILED = -1
UNKNOWN, DEPTH, QUOTE, OTHER = range(4)  # kinds of messages
MOST_DIGITS = 18  # such numbers fit into int64
MS = 1_000_000  # nanoseconds
IN_NS, IN_US = UNITS[0][0], UNITS[1][0]  # smallest times that are ns and us
LAST_MS = LARGEST // MS
POWERS = 10 ** np.arange(MOST_DIGITS + 1)

NEWLINE, RETURN, BLANK, MARK, DOT, COLON, COMMA = (ord(mark) for mark in '\n\r ".:,')
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, ZERO, NINE, AT = (ord(mark) for mark in "{}[]09@")
LOWER_A, LOWER_Z, CASE = ord("a"), ord("z"), ord("a") - ord("A")
HEAD = np.frombuffer(b'{"stream":"', np.uint8)
DATA = np.frombuffer(b',"data":', np.uint8)
DEPTH_STREAM, QUOTE_STREAM = np.frombuffer(b"depth", np.uint8), np.frombuffer(b"bookTicker", np.uint8)
DEPTH_EVENT = np.frombuffer(b"depthUpdate", np.uint8)
TRUE, FALSE, NULL = (np.frombuffer(word, np.uint8) for word in (b"true", b"false", b"null"))

# fields of interest: event time, first and final id, previous id, bids, asks, sizes of a quote, event type, symbol
FIELDS = E, U, FINAL, PREVIOUS, BIDS, ASKS, BID_SIZE, ASK_SIZE, EVENT, SYMBOL = range(10)
NO_FIELD = -1
FIELD_OF = np.full(128, NO_FIELD)  # by the letter that is the field's key
for _letter, _field in zip(b"EUubaBAes", (E, U, FINAL, BIDS, ASKS, BID_SIZE, ASK_SIZE, EVENT, SYMBOL), strict=True):
    FIELD_OF[_letter] = _field
PLAIN = np.array([32 <= letter < 127 and chr(letter) not in '"\\' for letter in range(256)])  # itself in JSON texts
PREVIOUS_KEY = np.frombuffer(b"pu", np.uint8)
DEPTH_FIELDS = (1 << E) | (1 << U) | (1 << FINAL) | (1 << BIDS) | (1 << ASKS)
QUOTE_FIELDS = (1 << FINAL) | (1 << BIDS) | (1 << ASKS) | (1 << BID_SIZE) | (1 << ASK_SIZE)


class Scanner(NamedTuple):
    """What the scan must know, and its scratch."""

    symbol: Array  # upper-case ASCII of the instrument; empty: none is chosen yet, and no line is taken
    options: Array  # (2,) flags: messages name the one before (futures); lines of other symbols may be passed over
    values: Array  # (4,) values of E, U, u, pu
    quote: Array  # (4,) bid, its size, ask, its size


def scanner(symbol: str, futures: bool, pass_others: bool) -> Scanner:
    name = symbol.encode() if symbol.isascii() else b""
    options = np.array([futures, pass_others], np.int64)
    return Scanner(np.frombuffer(name, np.uint8), options, np.zeros(4, np.int64), np.zeros(4))


@kernel
def scan(text: Array, start: int, use: Scanner, batch: Batch) -> tuple[int, int]:
    """Read lines into a batch from byte `start` on.

    The batch must have room: a level has at least 9 bytes, a message more.

    Returns:
        place of the first line not taken (or the end of the text), number of lines taken before it.
    """
    at, lines = start, 0
    while at < text.size:
        after = _line(text, at, use, batch)
        if after == FAILED:
            break
        at = after
        lines += 1
    return at, lines


@inlined
def _line(text: Array, at: int, use: Scanner, batch: Batch) -> int:
    at, local_time = _stamp(text, at)
    if at == FAILED or text[at] != OPEN:
        return FAILED
    kind, wrapped = UNKNOWN, _starts(text, at, HEAD)
    if wrapped:
        at, kind = _stream(text, at + HEAD.size, use)
        if at == FAILED or not _starts(text, at, DATA):
            return FAILED
        at += DATA.size
    at, kind, found, levels = _object(
        text, at, kind, use.symbol, use.options, use.values, use.quote, batch.levels, batch.filled[0].levels
    )
    if at == FAILED:
        return FAILED
    if wrapped:
        if text[at] != CLOSE:
            return FAILED
        at += 1
    if text[at] == RETURN:
        at += 1
    if text[at] != NEWLINE or not _keep(kind, found, levels, local_time, use, batch):
        return FAILED
    return at + 1


@inlined
def _stamp(text: Array, at: int) -> tuple[int, int]:
    """The local time and what divides it from the message; there may be none."""
    if text[at] == OPEN:
        return at, NO_TIME
    start = at
    at, value = number(text, at)
    if at - start > LONGEST_STAMP or value < IN_US:  # of so many digits, one that wraps around is negative
        return FAILED, 0
    if value < IN_NS:
        if value > LARGEST // 1_000:
            return FAILED, 0
        value *= 1_000
    if text[at] == COLON:
        at += 1
    return (at + 1, value) if text[at] == BLANK else (FAILED, 0)


@inlined
def _stream(text: Array, at: int, use: Scanner) -> tuple[int, int]:
    """The stream's name `symbol@kind…` and the mark after it: the kind of its messages."""
    start = at
    while text[at] != AT:
        if not PLAIN[text[at]]:
            return FAILED, UNKNOWN
        at += 1
    own = _is_symbol(text, start, at, use.symbol)
    if at == start or not (own or use.options[1]):
        return FAILED, UNKNOWN
    start = at + 1
    end = _text(text, start)
    if end == FAILED:
        return FAILED, UNKNOWN
    at = start
    while text[at] != AT and text[at] != MARK:
        at += 1
    if not own:
        return end, OTHER
    if at - start == DEPTH_STREAM.size and _starts(text, start, DEPTH_STREAM):
        return end, DEPTH
    if at - start == QUOTE_STREAM.size and _starts(text, start, QUOTE_STREAM):
        return end, QUOTE
    return end, OTHER


@inlined
def _is_symbol(text: Array, start: int, end: int, symbol: Array) -> bool:
    if end - start != symbol.size or symbol.size == 0:
        return False
    for i in range(symbol.size):
        letter = text[start + i]
        if LOWER_A <= letter <= LOWER_Z:
            letter -= CASE
        if letter != symbol[i]:
            return False
    return True


@inlined
def _object(
    text: Array, at: int, kind: int, symbol: Array, options: Array, values: Array, quote: Array, levels: Array, end: int
) -> tuple[int, int, int, int]:
    """A flat object.

    Returns:
        place after it, the kind of message (that of the stream, else as its event type tells), bits of the fields
        found with the right type, end of the levels read.
    """
    wrapped, seen, found = kind != UNKNOWN, 0, 0
    if text[at] != OPEN:
        return FAILED, kind, found, end
    while True:
        at, field = _key(text, at + 1, wrapped)
        if at == FAILED:
            return FAILED, kind, found, end
        if field != NO_FIELD:
            if seen & (1 << field):
                return FAILED, kind, found, end
            seen |= 1 << field
        if field == EVENT and not wrapped:
            kind = _event(text, at)
        elif field == SYMBOL and not wrapped:
            if text[at] != MARK:
                return FAILED, kind, found, end
            if _own(text, at, symbol):
                found |= 1 << SYMBOL
        at, good, end = _value(text, at, kind, field, values, quote, levels, end)
        if at == FAILED:
            return FAILED, kind, found, end
        if good:
            found |= 1 << field
        if text[at] == CLOSE:
            break
        if text[at] != COMMA:
            return FAILED, kind, found, end
    if not wrapped and not found & (1 << SYMBOL):
        # of another symbol: passed over, if it names one
        kind = OTHER if options[1] and seen & (1 << SYMBOL) else UNKNOWN
    if seen & (1 << PREVIOUS) and not options[0]:
        kind = OTHER if kind == OTHER else UNKNOWN
    return (FAILED if kind == UNKNOWN else at + 1), kind, found, end


@inlined
def _key(text: Array, at: int, wrapped: bool) -> tuple[int, int]:
    """A key with the colon after it; in a message without stream also those that would make it another message."""
    if text[at] != MARK or not PLAIN[text[at + 1]]:
        return FAILED, NO_FIELD
    if text[at + 2] == MARK:
        return (at + 4, FIELD_OF[text[at + 1]]) if text[at + 3] == COLON else (FAILED, NO_FIELD)
    end = _text(text, at + 2)
    if end == FAILED or text[end] != COLON:
        return FAILED, NO_FIELD
    length = end - at - 2
    if length == 2 and _starts(text, at + 1, PREVIOUS_KEY):
        return end + 1, PREVIOUS
    if not wrapped and length in (4, 6, 12):  # data, stream, lastUpdateId
        return FAILED, NO_FIELD
    return end + 1, NO_FIELD


@inlined
def _event(text: Array, at: int) -> int:
    """Kind of message by its event type; `at` is the value of `e`."""
    if text[at] != MARK:
        return UNKNOWN
    end = _text(text, at + 1)
    if end == FAILED:
        return UNKNOWN
    length = end - at - 2
    if length == DEPTH_EVENT.size and _starts(text, at + 1, DEPTH_EVENT):
        return DEPTH
    return QUOTE if length == QUOTE_STREAM.size and _starts(text, at + 1, QUOTE_STREAM) else OTHER


@inlined
def _own(text: Array, at: int, symbol: Array) -> bool:
    end = _text(text, at + 1)
    return end != FAILED and _is_symbol(text, at + 1, end - 1, symbol)


@inlined
def _value(
    text: Array, at: int, kind: int, field: int, values: Array, quote: Array, levels: Array, end: int
) -> tuple[int, bool, int]:
    """A value; whether it is of the type that a field of interest must have; end of the levels read."""
    first = text[at]
    if first == MARK:
        if kind == QUOTE and BIDS <= field <= ASK_SIZE:
            return _quote_value(text, at, field, quote), True, end
        if kind == UNKNOWN and BIDS <= field <= ASK_SIZE:
            return FAILED, False, end
        return _text(text, at + 1), False, end
    if ZERO <= first <= NINE:
        after, value = _integer(text, at)
        wanted = E <= field <= PREVIOUS
        if wanted:
            values[field] = value
        return after, wanted, end
    if first == OPEN_LIST:
        if kind == UNKNOWN:
            return FAILED, False, end
        after, last = _levels(text, at + 1, BID if field == BIDS else ASK, levels, end)
        if kind == DEPTH and field in (BIDS, ASKS):
            return after, True, last
        return after, False, end
    for word in (TRUE, FALSE, NULL):
        if _starts(text, at, word):
            return at + word.size, False, end
    return FAILED, False, end


@inlined
def _quote_value(text: Array, at: int, field: int, quote: Array) -> int:
    after, value, decimals = _decimal(text, at + 1)
    if after == FAILED:
        return FAILED
    if field in (BIDS, ASKS):
        if not _is_price(value, decimals):
            return FAILED
        quote[0 if field == BIDS else 2] = value / POWERS[decimals]
    else:
        quote[1 if field == BID_SIZE else 3] = value / POWERS[decimals]
    return after


@inlined
def _levels(text: Array, at: int, side: int, levels: Array, end: int) -> tuple[int, int]:
    """The rest of a list of ["price","size"] pairs, written to `levels` from place `end` on; the new end."""
    if text[at] == CLOSE_LIST:
        return at + 1, end
    while True:
        if text[at] != OPEN_LIST or text[at + 1] != MARK:
            return FAILED, end
        at, price, decimals = _decimal(text, at + 2)
        if at == FAILED or text[at] != COMMA or text[at + 1] != MARK or not _is_price(price, decimals):
            return FAILED, end
        entry = levels[end]
        entry.side, entry.price = side, price * POWERS[PRICE_DECIMALS - decimals]
        at, size, decimals = _decimal(text, at + 2)
        if at == FAILED or text[at] != CLOSE_LIST:
            return FAILED, end
        entry.size, entry.digits = size / POWERS[decimals], 0
        end += 1
        at += 2
        if text[at - 1] == CLOSE_LIST:
            return at, end
        if text[at - 1] != COMMA:
            return FAILED, end


@inlined
def _decimal(text: Array, at: int) -> tuple[int, int, int]:
    """The rest of a text such as 58710.20" as (place after it, 5871020, 2); the number has at most 53 bits."""
    start, decimals = at, 0
    at, value = number(text, at)
    whole = at - start
    if text[at] == DOT:
        decimals, part = digits(text, at + 1)
        value = value * POWERS[decimals] + part
        at += 1 + decimals
        if decimals == 0:
            return FAILED, 0, 0
    if text[at] != MARK or whole == 0 or whole + decimals > MOST_DIGITS:
        return FAILED, 0, 0
    while value > EXACT and value % 10 == 0 and decimals > 0:
        value //= 10
        decimals -= 1
    return (at + 1, value, decimals) if value <= EXACT else (FAILED, 0, 0)


@inlined
def _is_price(value: int, decimals: int) -> bool:
    """Whether value / 10^decimals is a scaled price without rounding."""
    return decimals <= PRICE_DECIMALS and value <= LARGEST // 2 // POWERS[PRICE_DECIMALS - decimals]


@inlined
def _integer(text: Array, at: int) -> tuple[int, int]:
    """A JSON integer, not negative."""
    start = at
    at, value = number(text, at)
    length = at - start
    if length > MOST_DIGITS or (length > 1 and text[start] == ZERO):
        return FAILED, 0
    return at, value


@inlined
def _text(text: Array, at: int) -> int:
    """The rest of a text without escapes, and the mark that ends it."""
    at = end_of_plain(text, at)
    return at + 1 if text[at] == MARK else FAILED


@inlined
def _starts(text: Array, at: int, word: Array) -> bool:
    """Whether a word stands here; no word holds a newline, so none reaches beyond the text."""
    for i in range(word.size):  # noqa: SIM110  (numba compiles a loop faster than a generator)
        if text[at + i] != word[i]:
            return False
    return True


@inlined
def _keep(kind: int, found: int, levels: int, local_time: int, use: Scanner, batch: Batch) -> bool:
    """Add the message to the batch; False if a field is missing or out of range."""
    if kind == OTHER:
        return True
    if kind == QUOTE:
        return _keep_quote(found, use, batch)
    return _keep_diff(found, levels, local_time, use, batch)


@inlined
def _keep_quote(found: int, use: Scanner, batch: Batch) -> bool:
    if found & QUOTE_FIELDS != QUOTE_FIELDS:
        return False
    filled = batch.filled[0]
    quote: Any = batch.quotes[filled.quotes]
    quote.update_id = use.values[FINAL]
    quote.bid, quote.bid_size, quote.ask, quote.ask_size = use.quote[0], use.quote[1], use.quote[2], use.quote[3]
    filled.quotes += 1
    return True


@inlined
def _keep_diff(found: int, levels: int, local_time: int, use: Scanner, batch: Batch) -> bool:
    futures = use.options[0]
    wanted = DEPTH_FIELDS | (1 << PREVIOUS) if futures else DEPTH_FIELDS
    if found & wanted != wanted or use.values[U] > use.values[FINAL] or use.values[E] > LAST_MS:
        return False
    filled = batch.filled[0]
    message: Any = batch.messages[filled.messages]
    message.kind = DIFF
    message.event_time = use.values[E] * MS
    message.local_time = message.event_time if local_time == NO_TIME else local_time
    message.first_id, message.final_id = use.values[U], use.values[FINAL]
    message.previous_id = use.values[PREVIOUS] if futures else NO_ID
    message.limit, message.checksum = 0, NO_CHECKSUM
    message.begin, message.end = filled.levels, levels
    filled.messages += 1
    filled.levels = levels
    return True
