"""Rebuild the order book from raw captures: one state a depth message, and a report on how far to trust them."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.orderbook.book.advance import DROP_OLDER, FLAG, RESYNC, Rules
from scripts.orderbook.book.best_quote_check import BestQuoteCheck
from scripts.orderbook.book.book import Book
from scripts.orderbook.book.carry import load_book, resume, save_book
from scripts.orderbook.book.settings import ParseSettings
from scripts.orderbook.capture.raw import BadLines
from scripts.orderbook.capture.stream import quotes_of
from scripts.orderbook.states.table import StatesWriter
from scripts.orderbook.venues.adapter import Adapter
from scripts.orderbook.venues.factory import make_adapter

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

    A state is written after the snapshot and after every depth message that continues it. A gap in the venue's ids
    or a checksum that fails ends the segment; the next snapshot begins a new one.

    Args:
        raw: raw captures of one feed in time order, .gz, .zst, .zip or plain; mostly lines of `<local time> <json>`
            or of JSON alone. A REST snapshot may be a file of its own, before the diffs that follow it
        states: Parquet with one row a state
        quality: JSON with counts of messages, gaps, bad lines, checksums and the best-quote check
        settings: venue, symbol, depth, which states are written
        book_in: the book that the part before left (.npz), to go on with
        book_out: the book at the end, for the next part
    """
    bad = BadLines(settings.max_bad_lines)
    adapter = make_adapter(settings.venue, settings.symbol, bad)
    book, check = Book(settings.depth, rules_of(settings, adapter)), BestQuoteCheck()
    if book_in:
        carried = load_book(book_in, settings.venue, settings.symbol)
        resume(book, adapter, carried)
        check = BestQuoteCheck(carried.quotes)
    with StatesWriter(states, settings.depth) as writer:
        for batch in adapter.batches(raw):
            for rows in book.follow(batch):
                writer.write(rows)
                check.add_states(rows)
            check.add_quotes(quotes_of(batch))
    write_quality(quality, raw, book, adapter, check.finish(), carries=book_out is not None)
    if book_out:
        save_book(book_out, book, adapter, check.left_over())


def rules_of(settings: ParseSettings, adapter: Adapter) -> Rules:
    """What the book does, by the settings and by the venue's ways."""
    every_ns = (settings.every_ms or 0) * NS_PER_MS
    crossed, every_messages = CROSSED[settings.crossed], settings.every_messages
    return Rules(crossed, every_messages, every_ns, adapter.checksum, adapter.ids_restart)


def write_quality(
    path: Path, raw: list[Path], book: Book, adapter: Adapter, best_quotes: dict[str, int], carries: bool
) -> None:
    """Write the report and log it in one line.

    Args:
        carries: whether what waits for a snapshot is handed over to the next part; if not, a stream without a single
            state cannot be used.
    """
    counts, bad = book.finish(carries), adapter.bad
    checksums = {name: counts.pop(name) for name in ("verified", "failed", "unverifiable")}
    names = ", ".join(str(file) for file in raw)
    if not counts["states"] and not (carries and counts["messages"]):
        missing = "no snapshot in it" if counts["messages"] else "no depth message in it"
        if checksums["failed"]:
            missing = "no snapshot in it whose checksum holds"
        reason = bad.first or adapter.explain() or missing
        raise InputError(f"{names}: no book could be rebuilt: {reason}")
    report = {
        **counts,
        "bad_lines": bad.count,
        "first_bad_line": bad.first,
        "checksums": checksums,
        "best_quote_check": best_quotes,
        **adapter.report(),
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    log.info(
        "%d messages, %d states, %d segments, %d gaps, %d bad lines; %d checksums verified, %d failed; "
        "best quote equal in %d of %d states",
        counts["messages"], counts["states"], counts["segments"], counts["gaps"], bad.count,
        checksums["verified"], checksums["failed"], best_quotes["equal"], best_quotes["compared"],
    )  # fmt: skip


if __name__ == "__main__":
    job.run(main)
