"""Statistics of a sample of features: moments, quantiles, autocorrelation."""

from __future__ import annotations

import numpy as np

from scripts.orderbook.features.columns import unit
from scripts.orderbook.features.sample import FeatureSample

QUANTILES = {
    "min": 0.0, "q01": 0.01, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "q99": 0.99, "max": 1.0,
}  # fmt: skip


def feature_statistics(sample: FeatureSample, lags: list[int]) -> list[dict[str, object]]:
    """One row a feature: states of the feed and of the sample, share of undefined values, mean, standard deviation
    (n − 1), quantiles (linear between values), autocorrelation at the lags. NaN where too few values are there."""
    rows = []
    for name, values in sample.values.items():
        defined = values[np.isfinite(values)]
        row: dict[str, object] = {"feature": name, "unit": unit(name), "states": sample.states, "sampled": sample.size}
        row["nan_share"] = 1 - len(defined) / sample.size
        row["mean"] = defined.mean() if len(defined) else np.nan
        row["std"] = defined.std(ddof=1) if len(defined) > 1 else np.nan
        levels = np.quantile(defined, list(QUANTILES.values())) if len(defined) else np.full(len(QUANTILES), np.nan)
        row |= dict(zip(QUANTILES, levels, strict=True))
        row |= {f"acf_{lag}": autocorrelation_of(values, sample.stretch, lag)[0] for lag in lags}
        rows.append(row)
    return rows


def autocorrelation_of(values: np.ndarray, stretch: np.ndarray, lag: int) -> tuple[float, int]:
    """Correlation of a feature with itself `lag` states earlier, over the pairs inside a stretch with both defined.

    Returns:
        the correlation, NaN with fewer than three pairs or a constant feature; the number of pairs.
    """
    later, earlier = values[lag:], values[:-lag]
    used = (stretch[lag:] == stretch[:-lag]) & np.isfinite(later) & np.isfinite(earlier)
    later, earlier = later[used], earlier[used]
    if len(later) < 3 or np.ptp(later) == 0 or np.ptp(earlier) == 0:
        return np.nan, len(later)
    later, earlier = later - later.mean(), earlier - earlier.mean()
    return float((later @ earlier) / np.sqrt((later @ later) * (earlier @ earlier))), len(later)
