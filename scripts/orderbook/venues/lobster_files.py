"""Names of LOBSTER's files: AAPL_2012-06-21_34200000_57600000_message_10.csv and the book file beside it."""

from __future__ import annotations

import os
import re
from datetime import date
from typing import NamedTuple

MESSAGE_FILE = re.compile(r"(?P<ticker>[^_]+)_(?P<date>\d{4}-\d\d-\d\d)_.*message_(?P<levels>\d+)\.csv(\.gz|\.zst)?")


class Named(NamedTuple):
    """What the name of a message file tells."""

    ticker: str
    day: date
    levels: int


def read_name(path: str) -> Named:
    """Ticker, day and levels a side of a message file.

    Raises:
        ValueError: it is not named so.
    """
    match = MESSAGE_FILE.fullmatch(os.path.basename(path))
    if not match or int(match["levels"]) < 1:
        raise ValueError("not named TICKER_YYYY-MM-DD_START_END_message_LEVELS.csv")
    return Named(match["ticker"].upper(), date.fromisoformat(match["date"]), int(match["levels"]))


def book_file(message_file: str) -> str:
    """Path of the book file that belongs to a message file: …_message_10.csv -> …_orderbook_10.csv."""
    folder, name = os.path.split(message_file)
    head, _, tail = name.rpartition("message_")
    return os.path.join(folder, f"{head}orderbook_{tail}")
