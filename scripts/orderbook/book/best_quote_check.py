"""Compare rebuilt books with the venue's independent stream of best quotes (bookTicker).

After the diff that ends at update u, the best bid and ask with their sizes must equal the last best quote of an
id <= u. Either stream may be late: a state is judged only when WINDOW more states, or WINDOW quotes of later ids, have
come, or the stream ends. Memory is bounded whatever the stream's length: judged states are forgotten, and so are quotes
that no state to come can need. A quote that comes later than the judgement of a state of its id is counted as late;
it still counts for the states that wait.
"""

from __future__ import annotations

import numpy as np

from scripts.lib.kernels import Array
from scripts.orderbook.book.advance import Rows
from scripts.orderbook.capture.stream import QUOTE

WINDOW = 1 << 17  # states or quotes, of 40 bytes
WORD = 8  # bytes: records are copied as words, which takes a twentieth of the time of copying them field by field
WORDS = QUOTE.itemsize // WORD


class BestQuoteCheck:
    """Collects states and quotes of both streams, and compares them once they are settled.

    Quotes and states are records of QUOTE: an update id, and the best levels then.
    """

    def __init__(self, quotes: Array | None = None) -> None:
        """Begin with the quotes that a part before left over."""
        self.compared = self.equal = self.late = 0
        self._quotes = Pile(quotes)
        self._states = Pile()
        self._judged = -1  # largest id of a state that was judged: quotes of smaller ids are late
        self._forgotten = -1  # largest id of a quote given up before its time: states of smaller ids are not compared

    def add_quotes(self, quotes: Array) -> None:
        self.late += int((quotes["update_id"] <= self._judged).sum())
        self._quotes.add(quotes)
        if self._quotes.count > 2 * WINDOW:
            self._settle()

    def add_states(self, rows: Rows) -> None:
        """Note the best levels of states; one-sided books have nothing to compare."""
        depth = rows.levels.shape[1] // 4
        best = rows.levels[:, ::depth]
        whole = ~np.isnan(best).any(axis=1)
        states = np.empty(int(whole.sum()), QUOTE)
        states["update_id"] = rows.integers[whole, 2]
        for i, name in enumerate(("bid", "bid_size", "ask", "ask_size")):
            states[name] = best[whole, i]
        self._states.add(states)
        if self._states.count > 2 * WINDOW:
            self._settle()

    def finish(self) -> dict[str, int]:
        """Judge what is left.

        Returns:
            `compared`: states with a best quote of id <= their own; `equal`: those with equal prices and sizes;
            `late`: quotes that came too late to be compared.
        """
        self._quotes.sort()
        self._judge(self._states.all())
        self._states.drop(self._states.count)
        self._forget()
        return {"compared": self.compared, "equal": self.equal, "late": self.late}

    def left_over(self) -> Array:
        """Quotes that states of the next part may need; after `finish`."""
        return self._quotes.all().copy()

    def _settle(self) -> None:
        """Judge the states that are older than the window, and forget the quotes that are no longer needed."""
        states, quotes = self._states.all(), self._quotes.all()
        old = np.arange(len(states)) < len(states) - WINDOW
        if len(quotes) > WINDOW:
            old |= states["update_id"] < quotes["update_id"][:-WINDOW].max()
        self._quotes.sort()
        self._judge(_chosen(states, old))
        waiting = _chosen(states, ~old)
        self._states.drop(self._states.count)
        self._states.add(waiting)
        self._forget()

    def _judge(self, states: Array) -> None:
        """Compare states with the quotes, which must be in order."""
        if not len(states):
            return
        quotes = self._quotes.all()
        self._judged = max(self._judged, int(states["update_id"].max()))
        position = np.searchsorted(quotes["update_id"], states["update_id"], side="right") - 1
        has_quote = (position >= 0) & (states["update_id"] >= self._forgotten)
        found = _best(quotes)[position[has_quote]]
        self.compared += len(found)
        self.equal += int((found == _best(states)[has_quote]).all(axis=1).sum())

    def _forget(self) -> None:
        """Keep the last quote that is not younger than any state waiting or to come, and the younger ones.

        The quotes must be in order.
        """
        waiting, ids = self._states.all()["update_id"], self._quotes.all()["update_id"]
        first = int(waiting.min()) if len(waiting) else self._judged
        keep = max(int(np.searchsorted(ids, first, side="right")) - 1, 0)
        excess = len(ids) - WINDOW * 3 // 2
        if keep < excess:  # the diffs have stopped, the quotes have not
            keep = excess
            self._forgotten = max(self._forgotten, int(ids[keep]))
        self._quotes.drop(keep)


class Pile:
    """Records in order of arrival, in memory that is used again: fresh memory took most of the time of a check."""

    def __init__(self, records: Array | None = None) -> None:
        self.count = 0
        self._words = np.empty(0, np.int64)
        self._is_sorted = True
        if records is not None:
            self.add(records)

    def add(self, records: Array) -> None:
        if not len(records):
            return
        before, self.count = self.count, self.count + len(records)
        if self.count * WORDS > len(self._words):
            larger = np.empty(2 * self.count * WORDS, np.int64)
            larger[: before * WORDS] = self._words[: before * WORDS]
            self._words = larger
        self._words[before * WORDS : self.count * WORDS] = _words(records)
        ids = self.all()["update_id"][max(before - 1, 0) :]
        self._is_sorted = self._is_sorted and bool((ids[1:] >= ids[:-1]).all())

    def all(self) -> Array:
        """The records, where they lie."""
        return self._words[: self.count * WORDS].view(QUOTE)

    def sort(self) -> None:
        """Put them in order of their ids; of several of one id the last that came is the last."""
        if not self._is_sorted:
            self.all()[:] = self.all()[np.argsort(self.all()["update_id"], kind="stable")]
            self._is_sorted = True

    def drop(self, count: int) -> None:
        """Drop the first ones."""
        self.count -= count
        self._words[: self.count * WORDS] = self._words[count * WORDS : (count + self.count) * WORDS]
        self._is_sorted = self._is_sorted or not self.count


def _words(records: Array) -> Array:
    """Records as the words they are made of."""
    return np.ascontiguousarray(records).view(np.int64)


def _chosen(records: Array, which: Array) -> Array:
    """Copies of the records for which `which` is true."""
    return _words(records).reshape(-1, WORDS)[which].view(QUOTE)[:, 0]


def _best(records: Array) -> Array:
    """(records, 4): bid, its size, ask, its size."""
    return _words(records).view(np.float64).reshape(-1, WORDS)[:, 1:]
