"""Pictures of what was measured: attackers on the tiers, and what a face budget is worth."""

from __future__ import annotations

import csv

import matplotlib as mpl

COLOURS = {
    "off the shelf": "#1b6ca8",
    "softened gallery": "#4f9d69",
    "fitted": "#d1495b",
    "several pictures": "#8d5a97",
    "same photograph": "#444444",
}
MARKS = (3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48)


def _pyplot(path):
    mpl.use("svg" if path.suffix == ".svg" else "agg")
    mpl.rcParams["svg.hashsalt"] = "nightlight"
    from matplotlib import pyplot as plt

    return plt


def _saved(figure, path):
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def attackers(path, rows, tiers, claimed):
    """Draw a point and its 95 % interval for each attacker on each tier with a budget; claims are dashed lines."""
    plt = _pyplot(path)
    names = [name for name in dict.fromkeys(row["tier"] for row in rows) if name not in tiers or tiers[name].face_px]
    drawn = {name: [row for row in rows if row["tier"] == name][::-1] for name in names}
    heights = [len(each) for each in drawn.values()]
    figure, axes = plt.subplots(
        len(names), 1, figsize=(9, 1.2 + 0.3 * sum(heights)), sharex=True, squeeze=False, height_ratios=heights,
        layout="constrained",
    )  # fmt: skip
    for axis, (name, each) in zip(axes[:, 0], drawn.items(), strict=True):
        for place, row in enumerate(each):
            # The very photograph is looked for among all: who is found is who comes first.
            found = row["rates"].first if row["attacker"] == "same photograph" else row["rates"].at_1_percent
            colour = COLOURS[row["attacker"]]
            axis.plot([100 * found.low, 100 * found.high], [place, place], color=colour, linewidth=2.5, alpha=0.5)
            axis.plot(100 * found.share, place, marker="o", color=colour)
            axis.annotate(f"{100 * found.share:.0f} %", (100 * found.high + 1.5, place), va="center", fontsize="small")
        for claim, attacker in claimed.items():
            limit = getattr(tiers.get(name), claim, None)
            if limit is not None:
                axis.axvline(100 * limit, color=COLOURS[attacker], linestyle="--", linewidth=1)
        axis.set_yticks(range(len(each)), [f"{row['attacker']}: {row['name']}" for row in each], fontsize="small")
        axis.set_title(name, loc="left", fontsize="medium")
        axis.set(xlim=(0, 108), ylim=(-0.7, len(each) - 0.3))
        axis.grid(axis="x", alpha=0.3)
    axes[-1, 0].set_xlabel(
        "people found again, % (at 1 % false matches; the same photograph: found first). Dashed: claims"
    )
    _saved(figure, path)


def curve(path, evidence, recipes):
    """Draw the share that is found by pixels across the face, of recognisers measured before, and where the tiers stand."""
    plt = _pyplot(path)
    figure, axes = plt.subplots(figsize=(9.5, 4.5), layout="constrained")
    by_kind = {}
    with evidence.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["kind"] in {"png", "webp"}:
                figures = [float(row[name]) for name in ("face_px", "tar_percent", "low", "high")]
                by_kind.setdefault(f"{row['recogniser']}, {row['kind']}", []).append(figures)
    for name, points in by_kind.items():
        widths, shares, low, high = zip(*points, strict=True)
        (line,) = axes.plot(widths, shares, marker=".", label=name)
        axes.fill_between(widths, low, high, alpha=0.15, color=line.get_color())
    for recipe in recipes:
        if recipe.face_px:
            axes.axvline(recipe.face_px, color="grey", linestyle=":")
            axes.annotate(recipe.tier, (recipe.face_px, 101), ha="center", annotation_clip=False)
    axes.set(
        xscale="log",
        xlabel="face budget, pixels across the face",
        ylabel="found again at 1 % false matches, %",
        ylim=(0, 100),
    )
    axes.set_xticks(MARKS, [str(mark) for mark in MARKS])
    axes.minorticks_off()
    axes.legend(title="bands: 95 % intervals", loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small")
    _saved(figure, path)
