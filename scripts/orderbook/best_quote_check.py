"""Compare rebuilt books with the venue's independent stream of best quotes (bookTicker).

After the diff that ends at update u, the best bid and ask with their sizes must equal the last best quote of an
id <= u. Both streams are collected and compared at the end, since either may arrive late.
"""

from __future__ import annotations

from array import array

import numpy as np

from scripts.orderbook.book import Book
from scripts.orderbook.records import Quote


class BestQuoteCheck:
    """Collects quotes and states: 40 bytes each, the only memory of parse_book that grows with the stream."""

    def __init__(self) -> None:
        self._quotes, self._states = array("d"), array("d")
        self._quote_ids, self._state_ids = array("q"), array("q")

    def add_quote(self, quote: Quote) -> None:
        self._quote_ids.append(quote.update_id)
        self._quotes.extend((quote.bid, quote.bid_size, quote.ask, quote.ask_size))

    def add_state(self, book: Book) -> None:
        """Note the best levels of a state; one-sided books have nothing to compare."""
        bid, ask = book.bids.best(), book.asks.best()
        if bid and ask:
            self._state_ids.append(book.update_id)
            self._states.extend((*bid, *ask))

    def result(self) -> dict[str, int]:
        """`compared`: states with a best quote of id <= their own; `equal`: those with equal prices and sizes."""
        quote_ids = np.frombuffer(self._quote_ids, dtype=np.int64)
        order = np.argsort(quote_ids, kind="stable")
        state_ids = np.frombuffer(self._state_ids, dtype=np.int64)
        position = np.searchsorted(quote_ids[order], state_ids, side="right") - 1
        has_quote = position >= 0
        if not has_quote.any():
            return {"compared": 0, "equal": 0}
        quotes = np.frombuffer(self._quotes).reshape(-1, 4)[order][position[has_quote]]
        states = np.frombuffer(self._states).reshape(-1, 4)[has_quote]
        return {"compared": int(has_quote.sum()), "equal": int((quotes == states).all(axis=1).sum())}
