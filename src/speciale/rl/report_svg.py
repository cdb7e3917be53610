"""Curves of a run as SVG strings to put inline in HTML, drawn by Matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from speciale.svg import SMOOTH, drawn, smoothed, thinned

COLOURS = tuple(f"#0101{index:02x}" for index in range(16, 24))  # of series
_VARIABLES = {colour: f"c{index}" for index, colour in enumerate(COLOURS)}

HALF = (5.0, 2.9)  # inches
SMALL = (3.3, 1.9)
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
            x = thinned(lines[0].x)
            values = [smoothed(thinned(line.y)) for line in lines]
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

    return drawn(name, axes.size, label, paint, _VARIABLES)


def _line(ax: Any, line: Line, axes: Axes) -> None:
    colour = COLOURS[line.colour % len(COLOURS)]
    style = {"color": colour, "linestyle": _DASHES[line.dash % len(_DASHES)]}
    style |= {"label": _short(line.label) if line.label else "_", "alpha": line.alpha}
    x, y = thinned(line.x), thinned(line.y)
    if axes.smooth and len(y) >= SMOOTH:
        ax.plot(x, y, color=colour, alpha=0.25, linewidth=0.8, label="_")
        y = smoothed(y)
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


def _short(name: str) -> str:
    """A name cut to what a legend has room for; a leading "_" would leave it out there."""
    name = " ".join(name.split()).lstrip("_") or "–"
    return name if len(name) <= 26 else name[:25] + "…"
