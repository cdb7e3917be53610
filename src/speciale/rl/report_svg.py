"""Curves as SVG strings to put inline in HTML, drawn by Matplotlib.

It draws with placeholder colours that are replaced by CSS variables (--ink, --c0, ...), so that
one figure serves light and dark pages.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

# Placeholder -> the page's variable. None is pure black, which Matplotlib leaves out of the SVG.
INK, MUTED, GRID = "#010101", "#020202", "#030303"
COLOURS = tuple(f"#0101{index:02x}" for index in range(16, 24))  # of series, --c0 to --c7
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "line"}
_VARIABLES |= {colour: f"c{index}" for index, colour in enumerate(COLOURS)}

HALF = (5.0, 2.9)  # inches
SMALL = (3.3, 1.9)
_POINTS = 400  # of a line: more are replaced by means of equal stretches
_SMOOTH = 25  # a smoothed line is a mean over this part of its points
_LOG_FROM = 30.0  # the ratio of largest to least from which `scale="auto"` is logarithmic
_DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True)
class Line:
    """x and y of equal length; colour and dash are places in the palettes, and wrap. A line
    without a label has no entry in the legend."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    dash: int = 0
    alpha: float = 1.0


@dataclass(frozen=True)
class Axes:
    """scale: "linear", "auto" (logarithmic where the values span much), or a percentage: "share"
    (from 0 to 100), "part" (from 0 up) or "percent" (around the values). smooth: noisy
    lines become faint, under their running mean. points: a mark on each value. stacked: areas on
    top of each other, which share their x."""

    y: str = ""
    scale: str = "linear"
    smooth: bool = False
    points: bool = False
    stacked: bool = False
    size: tuple[float, float] = HALF


def draw(name: str, label: str, lines: Sequence[Line], axes: Axes) -> str | None:
    """The figure, or None without a point to draw. name: keeps its ids apart on the page; label:
    for who cannot see it."""
    lines = [line for line in lines if len(line.x)]
    if not lines:
        return None

    def paint(ax: Any) -> None:
        if axes.stacked:
            x = _thinned(lines[0].x)
            values = [_smoothed(_thinned(line.y)) for line in lines]
            colours = [COLOURS[line.colour % len(COLOURS)] for line in lines]
            names = [_short(line.label) for line in lines]
            ax.stackplot(x, values, colors=colours, labels=names, alpha=0.75, linewidth=0)
        else:
            for line in lines:
                _line(ax, line, axes)
        _scale(ax, lines, axes)
        ax.set_xlabel("step")
        ax.set_ylabel(axes.y)
        _lay_out(ax, axes)

    return _drawn(name, axes.size, label, paint)


def _line(ax: Any, line: Line, axes: Axes) -> None:
    colour = COLOURS[line.colour % len(COLOURS)]
    style = {"color": colour, "linestyle": _DASHES[line.dash % len(_DASHES)]}
    style |= {"label": _short(line.label) if line.label else "_", "alpha": line.alpha}
    x, y = _thinned(line.x), _thinned(line.y)
    if axes.smooth and len(y) >= _SMOOTH:
        ax.plot(x, y, color=colour, alpha=0.25, linewidth=0.8, label="_")
        y = _smoothed(y)
    mark = {"marker": "o", "markersize": 3} if axes.points or len(x) == 1 else {}
    ax.plot(x, y, linewidth=1.4, **style, **mark)


def _scale(ax: Any, lines: Sequence[Line], axes: Axes) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

    values = [value for line in lines for value in line.y]
    positive = [value for value in values if value > 0]
    ax.xaxis.set_major_locator(MaxNLocator(4 if axes.size == SMALL else 6, integer=True))
    if axes.scale in ("share", "part", "percent"):
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        if axes.scale == "share":
            ax.set_ylim(0, 1.03)
        elif axes.scale == "part":
            ax.set_ylim(bottom=0)
    elif (
        axes.scale == "auto"
        and len(positive) > len(values) / 2
        and max(positive) > _LOG_FROM * min(positive)
    ):
        ax.set_yscale("log")
        # The log formatter writes powers in mathtext, which is switched off here.
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_minor_formatter(lambda value, _: "")
    elif values and max(map(abs, values)) >= 10_000:
        ax.yaxis.set_major_formatter(EngFormatter(sep=""))
    if axes.stacked or (axes.scale == "linear" and values and min(values) >= 0):
        ax.set_ylim(bottom=0)


def _lay_out(ax: Any, axes: Axes) -> None:
    """The legend above the curves, and margins that leave room for it and for the labels.

    All figures of a size have the same curves' width; Matplotlib's own layout would draw twice.
    """
    width, height = axes.size
    left, right = (0.6 if axes.size == SMALL else 0.8) / width, 1 - 0.12 / width
    handles, names = ax.get_legend_handles_labels()
    longest = max(map(len, names), default=0)
    columns = max(1, int((width - 0.72) / (0.45 + 0.065 * longest)))
    rows = -(-len(names) // columns)
    ax.figure.subplots_adjust(left, 0.45 / height, right, 1 - (0.08 + 0.18 * rows) / height)
    if names:
        ax.legend(
            handles, names, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns,
            borderaxespad=0.1, borderpad=0.1, labelspacing=0.25, handlelength=1.6,
        )  # fmt: skip


def _thinned(values: Sequence[float]) -> list[float]:
    count = len(values)
    if count <= _POINTS:
        return list(values)
    edges = [round(index * count / _POINTS) for index in range(_POINTS + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]


def _smoothed(values: list[float]) -> list[float]:
    """The running mean over the values around each, fewer at the ends."""
    reach = len(values) // _SMOOTH
    windows = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _short(name: str) -> str:
    """A name cut to what a legend has room for; a leading "_" would leave it out there."""
    name = " ".join(name.split()).lstrip("_") or "–"
    return name if len(name) <= 26 else name[:25] + "…"


def _drawn(name: str, size: tuple[float, float], label: str, paint: Callable[[Any], None]) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    settings = {
        "svg.fonttype": "none",  # real text: it takes the page's font and colour
        "svg.hashsalt": name,  # the same run gives the same bytes
        "text.parse_math": False,  # names come from the run: "$" is a letter there
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": GRID,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": "cycler('color', ['#010101'])",
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": GRID,
        "ytick.color": GRID,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
    }
    out = io.StringIO()
    with rc_context(settings), warnings.catch_warnings():
        # A letter that Matplotlib's font lacks is drawn by the page's.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure = Figure(figsize=size, facecolor="none")
        paint(figure.subplots())
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=nothing)
    return _inline(out.getvalue(), name, label)


def _inline(svg: str, name: str, label: str) -> str:
    """A standalone SVG file made fit for HTML: no XML head, own ids, CSS colours, a label."""
    svg = svg[svg.index("<svg") :].strip()
    # The page sets the font, and the style block would reach beyond the figure.
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;", "", svg)
    svg = re.sub(r'\sid="', f' id="{name}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    for placeholder, variable in _VARIABLES.items():
        svg = svg.replace(placeholder, f"var(--{variable})")
    # In HTML the parser knows both namespaces, and the size comes from the page.
    head, rest = svg.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    view_box = view.group(0) if view else ""
    return f'<svg {view_box} role="img" aria-label="{escape(label)}">{rest}'
