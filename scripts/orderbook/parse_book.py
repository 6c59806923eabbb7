"""Rebuild the order book from raw captures: one state a depth message, and a report on how far to trust them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.orderbook.best_quote_check import BestQuoteCheck
from scripts.orderbook.binance import normalise
from scripts.orderbook.book import Book
from scripts.orderbook.raw import BadLines, read_lines
from scripts.orderbook.records import Quote
from scripts.orderbook.settings import ParseSettings
from scripts.orderbook.states import StatesWriter


def main(raw: list[job.InputFile], states: job.OutputFile, quality: job.OutputFile, settings: ParseSettings) -> None:
    """Rebuild the order book from raw captures.

    A state is written after the snapshot and after every depth message that continues it. A gap in the update ids
    ends the segment; the next snapshot begins a new one.

    Args:
        raw: raw captures of one feed in time order, `<local ns> <json>` lines, .gz or plain
        states: Parquet with one row a state
        quality: JSON with counts of messages, gaps, bad lines and the best-quote check
        settings: venue, symbol and depth
    """
    bad = BadLines(settings.max_bad_lines)
    book, check = Book(), BestQuoteCheck()
    with StatesWriter(states, settings.depth) as writer:
        for record in normalise(read_lines(raw, bad), settings.venue, settings.symbol, bad):
            if isinstance(record, Quote):
                check.add_quote(record)
                continue
            for _ in book.follow(record):
                writer.add(book)
                check.add_state(book)
    write_quality(quality, raw, book, bad, check)


def write_quality(path: Path, raw: list[Path], book: Book, bad: BadLines, check: BestQuoteCheck) -> None:
    """Write the report and log it in one line; a stream without a single state cannot be used."""
    counts = book.finish()
    names = ", ".join(str(file) for file in raw)
    if not counts.states:
        reason = bad.first or ("no snapshot in it" if counts.messages else "no depth message in it")
        raise InputError(f"{names}: no book could be rebuilt: {reason}")
    report = {
        **asdict(counts),
        "bad_lines": bad.count,
        "first_bad_line": bad.first,
        "checksums": {"verified": 0, "failed": 0},  # Binance sends none
        "best_quote_check": check.result(),
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    log.info(
        "%d messages, %d states, %d segments, %d gaps, %d bad lines; best quote equal in %d of %d states",
        counts.messages, counts.states, counts.segments, counts.gaps, bad.count,
        report["best_quote_check"]["equal"], report["best_quote_check"]["compared"],
    )  # fmt: skip


if __name__ == "__main__":
    job.run(main)
