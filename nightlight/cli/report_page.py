"""The page of a transparency report: one HTML file that needs nothing else, with its plots inside as SVG."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from importlib import resources
from typing import TYPE_CHECKING, Any

from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightlight.flows.report import TransparencyReport

# Tell apart without colour too (Okabe and Ito): from the most protective tier to the least.
_COLOURS = ("#000000", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00")
_HATCHES = ("", "//", "..", "xx", "--", "\\\\")
_HOUR, _DAY = 3600.0, 86_400.0
_TICKS = (
    *((0.01, "10 ms"), (0.1, "0.1 s"), (1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (_HOUR, "1 h")),
    *((6 * _HOUR, "6 h"), (_DAY, "1 day"), (7 * _DAY, "1 week"), (30 * _DAY, "30 days")),
)


def page(report: TransparencyReport) -> str:
    """Return the page; raises SettingsRefused where what it is drawn with is not installed."""
    try:
        import jinja2
        import matplotlib as mpl
    except ImportError as error:
        message = "the page needs the extra: pip install 'nightlight[report]'; --json does without"
        raise SettingsRefused(message) from error
    mpl.use("svg")
    # Text as text, so that it is read out and found; ids that do not differ from one run to the next.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "nightlight", "font.size": 10})
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "hatch.linewidth": 0.6})
    cells = {(cell.tier, cell.band): cell.decisions for cell in report.cells}
    tiers = [tier for tier in report.tiers if any((tier, band) in cells for band in report.bands)]
    bands = [band for band in report.bands if any((tier, band) in cells for tier in tiers)]
    plots = {"tiers": "", "days": "", "times": _times(report)}
    if cells:
        plots |= {"tiers": _tiers(report, cells, tiers, bands), "days": _days(report)}
    template = (resources.files("nightlight.cli") / "report.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    drawn = {name: _markup(svg) for name, svg in plots.items()}
    text: str = environment.from_string(template).render(
        r=report, last=(report.until - timedelta(days=1)).date(), plots=drawn, tiers=tiers, bands=bands, took=took,
        cell=lambda tier, band: cells.get((tier, band), ""), few=_few, share=_share,
    )  # fmt: skip
    return text


def took(seconds: float | None) -> str:
    """Return a length of time in words."""
    if seconds is None:
        return "too few to say"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.1f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"


def _few(count: int | str | None) -> str:
    return "few" if count is None else f"{count:,}" if isinstance(count, int) else count


def _share(value: float | None) -> str:
    return "too few to say" if value is None else f"{100 * value:.1f} %"


def _markup(svg: str) -> Any:
    """Return what the template does not escape: a drawing of ours."""
    from markupsafe import Markup

    return Markup(svg)  # noqa: S704 - drawn here, of numbers and of the policy's own words


def _drawn(draw: Callable[[Any, Any], None], *, height: float, title: str) -> str:
    """Return a figure with an SVG of what ``draw`` draws; it can be scrolled with keys too."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots()
    draw(figure, axes)
    axes.set_title(title, loc="left", fontsize=11)
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", file.getvalue(), flags=re.DOTALL)
    label = title.replace("&", "and").replace("<", "").replace('"', "")
    svg = text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return f'<figure tabindex="0" aria-label="{label}">{svg}</figure>'


def _tiers(report: TransparencyReport, cells: dict[tuple[str, str], int], tiers: list[str], bands: list[str]) -> str:
    """Shares of the tiers for each band, as bars beside each other."""

    def draw(_figure: Any, axes: Any) -> None:
        for number, band in enumerate(reversed(bands)):
            total, left = sum(cells.get((tier, band), 0) for tier in tiers), 0.0
            for tier in tiers:
                wide = 100 * cells.get((tier, band), 0) / total
                rank = report.tiers.index(tier) % len(_COLOURS)
                style = {"color": _COLOURS[rank], "edgecolor": "white", "hatch": _HATCHES[rank]}
                axes.barh(number, wide, left=left, label=tier if number == 0 else None, **style)
                left += wide
        axes.set_yticks(range(len(bands)), [*reversed(bands)])
        axes.set_xlim(0, 100)
        axes.set_xlabel("% of decisions about the band")
        axes.legend(ncols=len(tiers), loc="lower left", bbox_to_anchor=(0, -0.4), frameon=False)

    return _drawn(draw, height=1.6 + 0.42 * len(bands), title="Tiers given, by age band")


def _days(report: TransparencyReport) -> str:
    """Decisions by day."""

    def draw(figure: Any, axes: Any) -> None:
        axes.bar(list(report.days), list(report.days.values()), width=0.8, color=_COLOURS[1])
        axes.set_xlim(report.since.date(), report.until.date())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_ylim(bottom=0)
        figure.autofmt_xdate()

    return _drawn(draw, height=2.6, title="Decisions a day")


def _times(report: TransparencyReport) -> str:
    """Median, 95th percentile and deadline, on a scale of powers of ten."""
    named = (("erasures", report.erasures), ("takedowns", report.takedowns))
    timed = [(name, durations) for name, durations in named if durations.p50_s is not None]
    if not timed:
        return ""

    def draw(_figure: Any, axes: Any) -> None:
        for number, (_, durations) in enumerate(reversed(timed)):
            low, high = max(1e-3, durations.p50_s or 0), max(1e-3, durations.p95_s or 0)
            axes.plot([low, high], [number, number], color=_COLOURS[1], linewidth=5, solid_capstyle="butt")
            for at, marker, colour, size, label in (
                (low, "o", _COLOURS[1], 9, "median"),
                (high, "s", _COLOURS[4], 9, "95 %"),
                (durations.deadline_s, "|", _COLOURS[5], 26, "deadline"),
            ):
                style = {"color": colour, "markersize": size, "markeredgewidth": 3 if marker == "|" else 1}
                axes.plot(at, number, marker, label=label if number == 0 else None, **style)
        axes.set_xscale("log")
        axes.set_yticks(range(len(timed)), [name for name, _ in reversed(timed)])
        axes.set_ylim(-0.6, len(timed) - 0.4)
        low, high = axes.get_xlim()
        shown = [(at, name) for at, name in _TICKS if low <= at <= high]
        axes.set_xticks([at for at, _ in shown], [name for _, name in shown])
        axes.minorticks_off()
        axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)

    return _drawn(draw, height=1.4 + 0.4 * len(timed), title="How long it took")
