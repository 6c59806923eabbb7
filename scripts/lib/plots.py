"""House style of the plots: static SVG whose bytes depend on the data alone."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

BID, ASK, NEUTRAL = "#1b6ca8", "#c4472b", "#444444"

matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text: it can be searched and selected
        "svg.hashsalt": "tidemill",  # element ids from the content, not from random numbers
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,  # the grid lies behind bars and maps
        "grid.color": "#dddddd",
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "lines.linewidth": 1.0,
    }
)


def save_svg(figure: Figure, path: Path, title: str) -> None:
    """Write a figure without date or version; `title` is what a screen reader says and a search finds."""
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    plt.close(figure)
