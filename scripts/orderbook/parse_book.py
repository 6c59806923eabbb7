"""Rebuild the order book from raw captures: one state a depth message, and a report on how far to trust them."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.orderbook.advance import DROP_OLDER, FLAG, RESYNC, Rules
from scripts.orderbook.best_quote_check import BestQuoteCheck
from scripts.orderbook.binance import Adapter
from scripts.orderbook.book import Book
from scripts.orderbook.carry import load_book, resume, save_book
from scripts.orderbook.raw import BadLines, read_blocks
from scripts.orderbook.settings import ParseSettings
from scripts.orderbook.states import StatesWriter
from scripts.orderbook.stream import quotes_of

CROSSED = {"drop_older": DROP_OLDER, "flag": FLAG, "resync": RESYNC}
NS_PER_MS = 1_000_000


def main(
    raw: list[job.InputFile],
    states: job.OutputFile,
    quality: job.OutputFile,
    settings: ParseSettings,
    book_in: job.InputFile | None = None,
    book_out: job.OutputFile | None = None,
) -> None:
    """Rebuild the order book from raw captures.

    A state is written after the snapshot and after every depth message that continues it. A gap in the update ids
    ends the segment; the next snapshot begins a new one.

    Args:
        raw: raw captures of one feed in time order, lines of `<local ns> <json>` or of JSON alone, .gz, .zst or plain;
            a REST snapshot may be a file of its own, before the diffs that follow it
        states: Parquet with one row a state
        quality: JSON with counts of messages, gaps, bad lines and the best-quote check
        settings: venue, symbol, depth, which states are written
        book_in: the book that the part before left (.npz), to go on with
        book_out: the book at the end, for the next part
    """
    bad = BadLines(settings.max_bad_lines)
    every_ns = (settings.every_ms or 0) * NS_PER_MS
    book = Book(settings.depth, Rules(CROSSED[settings.crossed], settings.every_messages, every_ns))
    check, adapter = BestQuoteCheck(), Adapter(settings.venue, settings.symbol, bad)
    if book_in:
        carried = load_book(book_in, settings.venue, settings.symbol)
        resume(book, carried)
        check = BestQuoteCheck(carried.quotes)
        adapter = Adapter(settings.venue, settings.symbol, bad, carried.symbol, carried.last_time)
    with StatesWriter(states, settings.depth) as writer:
        for block in read_blocks(raw, bad):
            batch = adapter.read(block)
            for rows in book.follow(batch):
                writer.write(rows)
                check.add_states(rows)
            check.add_quotes(quotes_of(batch))
        adapter.finish(raw[-1])
    best_quotes = check.finish()
    write_quality(quality, raw, book, bad, best_quotes, carries=book_out is not None)
    if book_out:
        save_book(book_out, book, settings.venue, adapter.symbol, check.left_over())


def write_quality(
    path: Path, raw: list[Path], book: Book, bad: BadLines, best_quotes: dict[str, int], carries: bool
) -> None:
    """Write the report and log it in one line.

    Args:
        carries: whether what waits for a snapshot is handed over to the next part; if not, a stream without a single
            state cannot be used.
    """
    counts = book.finish(carries)
    names = ", ".join(str(file) for file in raw)
    if not counts["states"] and not (carries and counts["messages"]):
        reason = bad.first or ("no snapshot in it" if counts["messages"] else "no depth message in it")
        raise InputError(f"{names}: no book could be rebuilt: {reason}")
    report = {
        **counts,
        "bad_lines": bad.count,
        "first_bad_line": bad.first,
        "checksums": {"verified": 0, "failed": 0},  # Binance sends none
        "best_quote_check": best_quotes,
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    log.info(
        "%d messages, %d states, %d segments, %d gaps, %d bad lines; best quote equal in %d of %d states",
        counts["messages"], counts["states"], counts["segments"], counts["gaps"], bad.count,
        best_quotes["equal"], best_quotes["compared"],
    )  # fmt: skip


if __name__ == "__main__":
    job.run(main)
