"""What all figures of the page share: colours, sizes, names of rows, percentages.

A figure is an SVG string to put inline in HTML, or None without its data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from speciale.svg import INK, MUTED, drawn

ACCENT, BAND, SECOND, THIRD = "#040404", "#050505", "#060606", "#070707"
_VARIABLES = {ACCENT: "accent", BAND: "band", SECOND: "second", THIRD: "third"}

HALF = (5.0, 3.1)  # inches, as every size here: two figures a row, or one on a phone
WIDE = (10.4, 3.4)
SMALL = (3.3, 2.1)  # three a row

_ROOM = 28  # characters of a row's name


@dataclass(frozen=True)
class Look:
    """How a run is drawn, alike in every figure: by colour, and by mark where colours fail."""

    label: str
    colour: str = ACCENT
    mark: str = "o"


MOST_LOOKS = 4


def looks(labels: Sequence[str]) -> list[Look]:
    """One for each of at most MOST_LOOKS runs; what others began from stands back."""
    if len(labels) == 1:
        return [Look(labels[0])]
    return [
        Look(label, colour, mark)
        for label, colour, mark in zip(labels, (MUTED, ACCENT, SECOND, THIRD), "osD^")
    ]


def name_rows(ax, names: list[str]) -> None:
    """Names the rows of a horizontal bar chart, the first on top."""
    ax.set_yticks(range(len(names)), map(short, names))
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", labelcolor=INK)
    ax.grid(False, axis="y")


def plain(name: Any) -> str:
    """A name on one line. Matplotlib fails at half of a surrogate pair, which JSON can hold."""
    return " ".join(str(name).encode("utf-8", errors="replace").decode().split())


def short(name: Any) -> str:
    """A name cut to the length that leaves the bars room."""
    name = plain(name)
    return name if len(name) <= _ROOM else name[: _ROOM - 1] + "…"


def tail(cell: str) -> str:
    """A cell's name, which its end tells apart from others: SOURCE/FAMILY@LEVEL."""
    cell = plain(cell)
    return cell if len(cell) <= _ROOM else "…" + cell[1 - _ROOM :]


def percent(axis) -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def legend_above(ax) -> None:
    """The legend over the whole figure, in as many columns as its width holds."""
    handles, names = ax.get_legend_handles_labels()
    width = ax.figure.get_size_inches()[0]
    columns = int(width / (0.5 + 0.07 * max(map(len, names))))  # inches: the mark, and a letter
    ax.figure.legend(
        handles, names, loc="outside upper left", ncols=max(1, columns), borderaxespad=0.1,
        borderpad=0.1, handlelength=1.6, columnspacing=1.2,
    )  # fmt: skip


def label(name: str) -> str:
    """A name in a legend, where a leading "_" would leave it out."""
    return short(name).lstrip("_") or "–"


def draw(name: str, size: tuple[float, float], label: str, paint: Callable[[Any], None]) -> str:
    return drawn(name, size, label, paint, _VARIABLES, layout="constrained")
