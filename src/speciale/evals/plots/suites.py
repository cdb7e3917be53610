"""What was solved of a suite: a dot a cell and run with its interval, chance beside it."""

from collections.abc import Sequence

from speciale.evals.kept import ALL, Row
from speciale.evals.plots.drawing import (
    HALF,
    Look,
    draw,
    label,
    legend_above,
    name_rows,
    percent,
    tail,
)
from speciale.svg import GRID, INK, MUTED

Found = Sequence[tuple[Look, list[Row]]]  # of each run the rows without a budget


def solved(name: str, suite: str, found: Found) -> str | None:
    """pass@1 by cell. What was not measured is said in words: a dot at 0 would claim something."""
    rows = [row for _, of_run in found for row in of_run]
    if all(row.pass1 is None for row in rows):
        return None
    cells = sorted(dict.fromkeys(row.cell for row in rows), key=lambda cell: cell == ALL)
    some = {row.cell for row in rows if row.pass1 is not None}
    runs = [(look, of_run) for look, of_run in found if of_run]

    def paint(ax) -> None:
        for place, cell in enumerate(cells):
            if cell not in some:
                _say_missing(ax, place)
        for number, (look, of_run) in enumerate(runs):
            shift = (number - (len(runs) - 1) / 2) * 0.75 / len(runs)
            places = [(cells.index(row.cell) + shift, row) for row in of_run]
            for y, row in places:
                if row.pass1 is None and row.cell in some:
                    _say_missing(ax, y)
                elif row.pass1 is not None and row.interval is not None:
                    ax.plot(row.interval, (y, y), color=look.colour, alpha=0.6, linewidth=1.6)
            known = [(row.pass1, y) for y, row in places if row.pass1 is not None]
            ax.plot(
                [x for x, _ in known], [y for _, y in known], look.mark, color=look.colour,
                markersize=4, label=label(look.label), zorder=3,
            )  # fmt: skip
        chances = {row.cell: row.chance for row in rows if row.chance is not None}
        if chances:
            ax.plot(
                list(chances.values()), list(map(cells.index, chances)), "|", color=INK,
                markersize=11, label="chance",
            )  # fmt: skip
        ax.set_xlim(-0.02, 1.02)
        percent(ax.xaxis)
        ax.set_xlabel("pass@1, 95 % intervals")
        name_rows(ax, ["all cells" if cell == ALL else tail(cell) for cell in cells])
        if cells[-1] == ALL and len(cells) > 1:
            ax.axhline(len(cells) - 1.5, color=GRID, linewidth=0.8)
        legend_above(ax)

    height = 0.95 + max(0.28, 0.1 + 0.11 * len(runs)) * len(cells)
    return draw(name, (HALF[0], height), f"pass@1 of {suite} by cell", paint)


def _say_missing(ax, y: float) -> None:
    style = {"color": MUTED, "fontstyle": "italic", "fontsize": 8}
    ax.annotate("not measured", (1, y), ha="right", va="center", **style)
