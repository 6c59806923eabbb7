"""Extract the features of book states in one pass."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.lib.progress import Progress
from scripts.orderbook.features.columns import FLOW_LEVELS
from scripts.orderbook.features.settings import FeatureSettings
from scripts.orderbook.features.stream import FeatureStream
from scripts.orderbook.states.columns import KEYS
from scripts.orderbook.states.reader import Batch, StatesReader
from scripts.orderbook.states.table import as_arrow


def main(states: job.InputFile, features: job.OutputFile, settings: FeatureSettings) -> None:
    """Extract the features of book states in one pass.

    Each state gives a row of prices, imbalances, order flow, slopes and rolling statistics that use it and earlier
    states of its segment only. scripts/orderbook/features/columns.py has the formulas, their units and sources.

    Args:
        states: Parquet of parse_book
        features: Parquet with one row a state: event_time, local_time, segment, then the features
        settings: windows of the rolling features
    """
    with StatesReader(states) as reader:
        if not reader.states:
            raise InputError(f"{states}: no state in it")
        if reader.depth < FLOW_LEVELS:
            log.info("%s holds %d levels a side; sums over more levels go over those", states, reader.depth)
        stream = FeatureStream(reader.depth, settings)
        with FeaturesWriter(features, stream.names) as writer, Progress("extract", reader.states, "states") as progress:
            for batch in reader.batches():
                writer.add(batch, stream.add(batch.event_time, batch.segment, batch.levels))
                progress.advance(len(batch.segment))


class FeaturesWriter:
    """Writes a features file, one row group a batch; NaN where a feature is undefined."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self._schema = schema(names)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", write_page_checksum=True)

    def __enter__(self) -> FeaturesWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._writer.close()

    def add(self, batch: Batch, features: np.ndarray) -> None:
        """Append the features (names, n) of a batch of states."""
        columns = [batch.event_time, batch.local_time, batch.segment, *features]
        self._writer.write_batch(pa.record_batch([as_arrow(column) for column in columns], schema=self._schema))


def schema(names: list[str]) -> pa.Schema:
    """Columns of a features file: int64 keys (times ns UTC), then float64 features."""
    keys = [pa.field(name, pa.int64(), nullable=False) for name in KEYS]
    return pa.schema(keys + [pa.field(name, pa.float64()) for name in names])


if __name__ == "__main__":
    job.run(main)
