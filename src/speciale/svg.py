"""A Matplotlib figure as an SVG string to put inline in HTML.

It is drawn with placeholder colours that are replaced by CSS variables (--ink, --muted, ...), so
that one figure serves light and dark pages.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

# Placeholder colour -> the CSS variable that the page defines. None is pure black: Matplotlib
# leaves black out of the SVG, which would leave nothing to replace.
INK, MUTED, GRID = "#010101", "#020202", "#030303"
SMOOTH = 25  # a smoothed line is a mean over this part of its points
_POINTS = 400  # of a line: more are replaced by means of equal stretches
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "line"}


def drawn(
    name: str,
    size: tuple[float, float],
    label: str,
    paint: Callable[[Any], None],
    colours: Mapping[str, str],
    layout: str | None = None,
) -> str:
    """Runs `paint` on fresh axes of `size` inches. name: keeps its ids apart on the page; label:
    for who cannot see it; colours: more placeholders and their variables; layout: Matplotlib's."""
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
        figure = Figure(figsize=size, layout=layout, facecolor="none")
        paint(figure.subplots())
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=nothing)
    return _inline(out.getvalue(), name, label, {**_VARIABLES, **colours})


def _inline(svg: str, name: str, label: str, variables: Mapping[str, str]) -> str:
    """A standalone SVG file made fit for HTML: no XML head, own ids, CSS colours, a label."""
    svg = svg[svg.index("<svg") :].strip()
    # The page sets the font, and the style block would reach beyond the figure.
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;", "", svg)
    svg = re.sub(r'\sid="', f' id="{name}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    for placeholder, variable in variables.items():
        svg = svg.replace(placeholder, f"var(--{variable})")
    # In HTML the parser knows both namespaces, and the size comes from the page.
    head, rest = svg.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    view_box = view.group(0) if view else ""
    return f'<svg {view_box} role="img" aria-label="{escape(label)}">{rest}'


def thinned(values: Sequence[float]) -> list[float]:
    """As many values as a line can show."""
    count = len(values)
    if count <= _POINTS:
        return list(values)
    edges = [round(index * count / _POINTS) for index in range(_POINTS + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]


def smoothed(values: Sequence[float]) -> list[float]:
    """The running mean over the values around each, fewer at the ends."""
    reach = len(values) // SMOOTH
    windows = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]
