"""Draw how p is spread over many trials, beside what chance gives.

python -m tests.parity.plot FIGURES.json PICTURE.svg, with the figures that ``make parity ARGS="--seeds 20 --json FIGURES.json"`` writes
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from scipy.stats import beta


def main():
    figures, target = map(Path, sys.argv[1:])
    levels = np.sort([trial["guess"]["auc_by_chance"] for trial in json.loads(figures.read_text("utf-8"))["trials"]])
    count = len(levels)
    rank = np.arange(1, count + 1)
    mpl.rcParams["svg.hashsalt"] = "parity"  # the same figures give the same file
    figure = Figure(figsize=(4.2, 4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    # The k-th smallest of n evenly spread numbers is beta distributed.
    axes.fill_between(
        rank / (count + 1),
        beta.ppf(0.025, rank, count + 1 - rank),
        beta.ppf(0.975, rank, count + 1 - rank),
        color="0.88",
        label="95 % of what chance gives",
    )
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=1)
    axes.plot(rank / (count + 1), levels, "o", markersize=4, label=f"{count} trials")
    axes.set(xlabel="p expected without a signal", ylabel="p found", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left", frameon=False)
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
