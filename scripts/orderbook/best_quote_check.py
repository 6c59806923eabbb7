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
from scripts.orderbook.advance import Rows
from scripts.orderbook.stream import QUOTE

WINDOW = 1 << 17  # states or quotes, of 40 bytes


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
        states = self._states.take()
        self._judge(states, _in_order(self._quotes.all()))
        self._forget(states)
        return {"compared": self.compared, "equal": self.equal, "late": self.late}

    def left_over(self) -> Array:
        """Quotes that states of the next part may need; after `finish`."""
        return self._quotes.all()

    def _settle(self) -> None:
        """Judge the states that are older than the window, and forget the quotes that are no longer needed."""
        states, quotes = self._states.take(), self._quotes.all()
        old = np.arange(len(states)) < len(states) - WINDOW
        if len(quotes) > WINDOW:
            old |= states["update_id"] < quotes["update_id"][:-WINDOW].max()
        self._judge(states[old], _in_order(quotes))
        self._states.add(states[~old])
        self._forget(states)

    def _judge(self, states: Array, quotes: Array) -> None:
        """Compare states with quotes, which are in order of their ids."""
        if not len(states):
            return
        self._judged = max(self._judged, int(states["update_id"].max()))
        position = np.searchsorted(quotes["update_id"], states["update_id"], side="right") - 1
        has_quote = (position >= 0) & (states["update_id"] >= self._forgotten)
        found = quotes[position[has_quote]]
        self.compared += len(found)
        self.equal += int((_best(found) == _best(states[has_quote])).all(axis=1).sum())

    def _forget(self, states: Array) -> None:
        """Keep the last quote that is not younger than any state waiting or to come, and the younger ones."""
        waiting = self._states.all()["update_id"]
        quotes = _in_order(self._quotes.take())
        first = int(waiting.min()) if len(waiting) else self._judged
        keep = max(int(np.searchsorted(quotes["update_id"], first, side="right")) - 1, 0)
        excess = len(quotes) - WINDOW * 3 // 2
        if keep < excess:  # the diffs have stopped, the quotes have not
            keep = excess
            self._forgotten = max(self._forgotten, int(quotes["update_id"][keep]))
        self._quotes.add(quotes[keep:])


class Pile:
    """Records in order of arrival."""

    def __init__(self, records: Array | None = None) -> None:
        self._pieces: list[Array] = [] if records is None else [records]
        self.count = 0 if records is None else len(records)

    def add(self, records: Array) -> None:
        if len(records):
            self._pieces.append(records.copy())
            self.count += len(records)

    def all(self) -> Array:
        joined = np.concatenate([np.empty(0, QUOTE), *self._pieces])
        self._pieces = [joined]
        return joined

    def take(self) -> Array:
        """All records; none is left."""
        joined = self.all()
        self._pieces, self.count = [], 0
        return joined


def _in_order(quotes: Array) -> Array:
    """By update id; of several of one id the last that came is the last."""
    ids = quotes["update_id"]
    return quotes if (ids[1:] >= ids[:-1]).all() else quotes[np.argsort(ids, kind="stable")]


def _best(records: Array) -> Array:
    """(records, 4): bid, its size, ask, its size."""
    columns: Array = np.stack([records[name] for name in ("bid", "bid_size", "ask", "ask_size")], axis=1)
    return columns
