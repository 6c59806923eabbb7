"""What all venues' adapters have in common: captures of one feed in, batches of the normalised stream out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import orjson

from scripts.lib.errors import InputError
from scripts.lib.kernels import Array
from scripts.orderbook.capture.digits import NONE
from scripts.orderbook.capture.raw import BadLines, Block, decode, read_blocks
from scripts.orderbook.capture.records import LARGEST, Diff, Quote, Snapshot
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.capture.stream import Batch, batch_of

Record = Snapshot | Diff | Quote
ABSURD = (LookupError, TypeError, ValueError, AttributeError, OverflowError)  # what reading a faulty message raises


class Adapter(ABC):
    """Turns the captures of one feed into batches of one symbol.

    A venue's class says how `batches` are made of its files; one of JSON lines derives from JsonLines.
    """

    checksum: ClassVar[int] = NONE
    """Over what the venue's checksums are taken: a rule of scripts/orderbook/capture/digits.py."""
    ids_restart: ClassVar[bool] = False
    """Whether the venue's ids may begin again from a smaller one."""

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        """Begin a stream.

        Args:
            venue: whose formats hold.
            symbol: the instrument to take, in any case of letters; None: the only one.
            bad: where bad lines are counted.
        """
        self.venue, self.bad = venue, bad
        self.symbol = symbol.upper() if symbol else None

    @abstractmethod
    def batches(self, raw: list[Path]) -> Iterator[Batch]:
        """The messages of captures in order, in arrays that may be used again for the next batch.

        Raises:
            InputError: one line naming file and line or row.
        """

    def state(self) -> dict[str, Array]:
        """What the next part must know to go on, beside the symbol: arrays by name."""
        return {}

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        """Go on where the part before ended, whose only symbol and state are given.

        Raises:
            KeyError, ValueError, TypeError: the state is not one of this class.
        """
        self.symbol = self.symbol or symbol

    def explain(self) -> str | None:
        """Why there is no depth message, if the adapter knows better than that."""
        return None

    def report(self) -> dict[str, Any]:
        """Entries that this venue adds to the quality report; after the last batch."""
        return {}


class JsonLines(Adapter):
    """A venue whose captures are lines of JSON, see scripts/orderbook/capture/raw.py; its class reads a message."""

    numbered: ClassVar[bool] = True
    """Whether the venue's ids show that a message is missing. Where they do not and no checksum tells either, a line
    that cannot be read counts as a message lost."""

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        super().__init__(venue, symbol, bad)
        self._chosen = symbol is not None
        self._met: dict[str, None] = {}  # symbols with depth messages, in order
        self._number = 0  # of the last message of the symbol
        self._bad_before = 0  # bad lines, those of damaged files included
        self._place = ""

    @staticmethod
    def loads(text: bytes) -> Any:
        """Decode the JSON of a line.

        Raises:
            ValueError: it is none.
        """
        return orjson.loads(text)

    @abstractmethod
    def records(self, local_time: int, message: Any) -> Iterable[Record]:
        """What a decoded line tells of the symbol: nothing, or records in order. Symbols are tried by `wants`.

        Args:
            local_time: ns, or NO_TIME where the collector noted none.
            message: the JSON value.

        Raises:
            LookupError, TypeError, ValueError, AttributeError, OverflowError: the message is faulty; the text says how.
        """

    def batches(self, raw: list[Path]) -> Iterator[Batch]:
        for block in read_blocks(raw, self.bad):
            yield self.read(block)
            self._refuse_several(block.path)
        self._note_losses()

    def read(self, block: Block) -> Batch:
        """The messages of a block."""
        self._note_losses()
        found: list[Record] = []
        for number, line in enumerate(block.text.split(b"\n")[:-1], block.first):
            if line and line != b"\r":
                found += self._read_line(block.path, number, line)
        return batch_of(found)

    def wants(self, symbol: Any) -> bool:
        """Whether depth messages of an instrument are to be read; it is noted that there is one.

        Raises:
            ValueError: it is no symbol.
        """
        if type(symbol) is not str or not symbol.isascii() or not symbol.isprintable() or not symbol:
            raise ValueError(f"{symbol!r:.40} is no symbol")
        symbol = symbol.upper()
        if symbol not in self._met:
            self._met[symbol] = None
        if self.symbol is None:
            self.symbol = symbol
        return bool(symbol == self.symbol)

    def next_number(self) -> int:
        """The number of a message of the symbol, from 1: its id where the venue has none."""
        self._number += 1
        return self._number

    def state(self) -> dict[str, Array]:
        return {"number": np.array(self._number)}

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        super().resume(symbol, state)
        self._number = int(state["number"])

    def explain(self) -> str | None:
        if self._met and self.symbol not in self._met:
            return f"no depth message of {self.symbol}, only of {', '.join(self._met)}"
        return None

    def _read_line(self, path: Path, number: int, line: bytes) -> list[Record]:
        decoded = decode(line, self.loads)
        if decoded is None:
            return []
        if isinstance(decoded, str):
            self.bad.add(path, number, decoded)
        else:
            try:
                return list(self.records(*decoded))
            except ABSURD as error:
                self.bad.add(path, number, f"not a {self.venue} message ({type(error).__name__}: {error})")
        self._note_losses()
        return []

    def _note_losses(self) -> None:
        """Bad lines, those of damaged files included, may have been messages."""
        if self.bad.count > self._bad_before:
            self.lose()
        self._bad_before = self.bad.count

    def lose(self) -> None:
        """A message may be lost: where nothing would show it, leave out an id."""
        self._number += not self.numbered and self.checksum == NONE

    def _refuse_several(self, path: Path) -> None:
        others = [symbol for symbol in self._met if symbol != self.symbol]
        if others and not self._chosen:
            raise InputError(
                f"{path}: several symbols ({', '.join(sorted([*others, str(self.symbol)]))}): set 'symbol'"
            )


def integer(value: Any) -> int:
    """An id or a time; what is no int64 would fail far from its line.

    Raises:
        ValueError: it is none.
    """
    if type(value) is not int or not 0 <= value <= LARGEST:  # True is an int too
        raise ValueError(f"{value!r:.40} is no id or time")
    return value
