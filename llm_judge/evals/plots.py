"""Reliability, risk–coverage and precision–recall curves as SVG that stands inside a page.

The same data give the same bytes: no date, ids made from the name of the plot. Words stay text. Colours are
variables of the page with a fallback, and lines differ in dashes and markers too, so that a plot can be read
in the dark, in print and without telling colours apart. Knows nothing about runs or pages.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Matplotlib writes fixed colours: these stand in and are replaced in the SVG. The fallbacks are Okabe and
# Ito's (2008) colours for all kinds of colour vision, darkened to be read on white.
_INK = "#010203"
_SERIES = {
    "#010211": "var(--plot-1, #00639c)",
    "#010212": "var(--plot-2, #b34700)",
    "#010213": "var(--plot-3, #00704f)",
    "#010214": "var(--plot-4, #9c3d78)",
    "#010215": "var(--plot-5, #6b5d00)",
    "#010216": "var(--plot-6, #4a4a4a)",
}
_DASHES: tuple[Any, ...] = (
    "solid",
    (0, (6, 2)),
    (0, (2, 1.5)),
    (0, (7, 2, 1.5, 2)),
    (0, (4, 1)),
    (0, (1, 1)),
)
_MARKERS = "osD^vX"
_INCHES = (4.4, 4.3)
# The page says which font is used; a style element would act on the whole page.
_OF_THE_PAGE = re.compile(r"<style.*?</style>|<metadata.*?</metadata>|font-family: [^;\"]*; ", re.DOTALL)
_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(url\(#|xlink:href="#)([^)"]+)')


@dataclass(frozen=True, slots=True)
class Curve:
    """A line: its name and its points, (x, y) each 0..1; ``n`` rows lie behind it."""

    name: str
    n: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Bin:
    """A point of a reliability plot: what was said, what was true (0..1), and of how many rows."""

    said: float
    true: float
    count: int


def reliability(name: str, title: str, bins: Sequence[Bin]) -> str:
    """Probability against how often it applies, the size of a point by its rows.

    Args:
        name: of the plot; unique in a page.
        title: what is shown; n is added.
        bins: at least one; the bars are 95 % Wilson score intervals.
    """
    from llm_judge.evals.statistics import share

    total = sum(each.count for each in bins)
    figure, axes = _axes(f"{title}\nn = {total:,}", "mean probability said (0–1)", "share that applies (0–1)")
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=(0, (1, 2)), label="perfect")
    colour = next(iter(_SERIES))
    ends = [share(round(each.true * each.count), each.count) for each in bins]
    spread = [
        [max(0.0, each.true - (end.low or 0.0)) for each, end in zip(bins, ends, strict=True)],
        [max(0.0, (end.high or 0.0) - each.true) for each, end in zip(bins, ends, strict=True)],
    ]
    said, true = [each.said for each in bins], [each.true for each in bins]
    axes.errorbar(said, true, yerr=spread, color=colour, linewidth=1.4, elinewidth=0.9, capsize=2)
    sizes = [12 + 110 * each.count / total for each in bins]
    axes.scatter(said, true, s=sizes, color=colour, zorder=3, label="bins, size by n; 95 % Wilson")
    return _svg(figure, name, f"{title}: reliability, {len(bins)} bins, n = {total:,}")


def risk_coverage(name: str, title: str, curves: Sequence[Curve]) -> str:
    """Share of wrong answers among the most confident, against how many are covered.

    Args:
        name: of the plot; unique in a page.
        title: what is shown; n of the first curve is added.
        curves: at least one, of (coverage, risk).
    """
    figure, axes = _axes(
        f"{title}\nn = {curves[0].n:,}", "coverage: share of items answered (0–1)", "risk: share wrong (0–1)"
    )
    _lines(axes, curves, "default")
    highest = max((y for curve in curves for _, y in curve.points), default=1.0)
    axes.set_ylim(-0.02, min(1.02, max(0.1, highest * 1.05)))
    return _svg(figure, name, f"{title}: risk against coverage, n = {curves[0].n:,}")


def precision_recall(name: str, title: str, curves: Sequence[Curve], prevalence: float) -> str:
    """Precision against recall over all thresholds.

    Args:
        name: of the plot; unique in a page.
        title: what is shown; n of the first curve is added.
        curves: at least one, of (recall, precision).
        prevalence: share of positives, which a judge that knows nothing reaches.
    """
    figure, axes = _axes(f"{title}\nn = {curves[0].n:,}", "recall (0–1)", "precision (0–1)")
    axes.axhline(
        prevalence, color=_INK, linewidth=0.8, linestyle=(0, (1, 2)), label=f"prevalence {prevalence:.2f}"
    )
    _lines(axes, curves, "steps-pre")
    return _svg(figure, name, f"{title}: precision against recall, n = {curves[0].n:,}")


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none")
    axes.set_title(title, color=_INK, fontsize=10, parse_math=False)
    axes.set_xlabel(x, color=_INK, fontsize=9)
    axes.set_ylabel(y, color=_INK, fontsize=9)
    axes.tick_params(color=_INK, labelcolor=_INK, labelsize=8)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(color=_INK, alpha=0.15, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(_INK)
    return figure, axes


def _lines(axes: Axes, curves: Sequence[Curve], steps: Any) -> None:
    """The first curve stands out; a single point is only its marker."""
    for number, curve in enumerate(curves):
        place = number % len(_SERIES)
        x, y = zip(*curve.points, strict=True) if curve.points else ((), ())
        axes.plot(
            x,
            y,
            label=f"{curve.name} (n = {curve.n:,})" if curve.n != curves[0].n else curve.name,
            color=list(_SERIES)[place],
            linestyle=_DASHES[place],
            linewidth=1.8 if number == 0 else 1.2,
            drawstyle=steps,
            marker=_MARKERS[place],
            markersize=4,
            markevery=max(1, len(x) // 6),
            zorder=3 if number == 0 else 2,
        )


def _svg(figure: Figure, name: str, label: str) -> str:
    """Draw a figure and make it fit for a page: own ids, the page's colours, a name for screen readers."""
    from html import escape

    import matplotlib as mpl

    legend = figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_color(_INK)
        text.set_parse_math(False)
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}), warnings.catch_warnings():
        # The page's fonts have the letters that Matplotlib's lacks; here they only measure the text.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawing = out.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = _OF_THE_PAGE.sub("", drawing)
    drawing = _ID.sub(rf'id="{name}-\1"', drawing)
    drawing = _REFERENCE.sub(rf"\1{name}-\2", drawing)
    drawing = drawing.replace(_INK, "currentColor")
    for stand_in, colour in _SERIES.items():
        drawing = drawing.replace(stand_in, colour)
    return drawing.replace("<svg ", f'<svg role="img" aria-label="{escape(label, quote=True)}" ', 1).strip()
