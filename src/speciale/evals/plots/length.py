"""What length does: what is still found in a long context, what a token costs far behind others."""

from speciale.evals.kept import Row
from speciale.evals.plots.drawing import ACCENT, BAND, HALF, draw, legend_above, tail
from speciale.svg import INK, MUTED

_FULLEST = 0.5  # of a solved cell's colour: the figures in it stay readable in light and dark


def by_length(rows: list[Row]) -> dict[tuple[str, int], Row]:
    """The rows whose cell is KIND@TOKENS, by kind and length."""
    found = {}
    for row in rows:
        kind, _, tokens = row.cell.rpartition("@")
        if kind and tokens.isascii() and tokens.isdigit() and 0 < len(tokens) < 10:
            found[kind, int(tokens)] = row
    return found


def heat_map(name: str, title: str, rows: list[Row]) -> str | None:
    """A row a task, a column a length; a dashed frame where nothing could be measured, nothing at
    all where nothing was asked."""
    found = by_length(rows)
    if not found:
        return None
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    lengths = sorted({length for _, length in found})

    many = len(lengths) > 5  # then a cell has room for a number alone

    def paint(ax) -> None:
        from matplotlib.patches import Rectangle

        for (kind, length), row in found.items():
            x, y = lengths.index(length), kinds.index(kind)
            box = {"xy": (x + 0.04, y + 0.06), "width": 0.92, "height": 0.88}
            if row.pass1 is None:
                ax.add_patch(
                    Rectangle(**box, fill=False, edgecolor=MUTED, linestyle=(0, (3, 2)), lw=0.8)
                )
                told, colour = "–" if many else "not\nmeasured", MUTED
            else:
                ax.add_patch(Rectangle(**box, facecolor=BAND, linewidth=0))
                depth = _FULLEST * row.pass1
                ax.add_patch(Rectangle(**box, facecolor=ACCENT, alpha=depth, linewidth=0))
                told, colour = f"{100 * row.pass1:.0f}" + " %" * (not many), INK
            ax.annotate(
                told, (x + 0.5, y + 0.5), ha="center", va="center", color=colour,
                fontsize=9 if row.pass1 is not None else 7.5,
            )  # fmt: skip
        ax.set_xlim(0, len(lengths))
        ax.set_ylim(len(kinds), 0)
        ax.grid(False)
        ax.set_xticks([x + 0.5 for x in range(len(lengths))], map(_tokens, lengths))
        ax.set_yticks([y + 0.5 for y in range(len(kinds))], map(tail, kinds))
        ax.tick_params(axis="y", labelcolor=INK, length=0)
        ax.tick_params(axis="x", length=0)
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.set_xlabel("tokens of the prompt")

    size = (HALF[0], 0.65 + 0.42 * len(kinds))
    return draw(name, size, f"{title}: accuracy by task and length", paint)


def token_cost(rows: list[tuple[float, float, float]]) -> str | None:
    """Milliseconds of a decoded token over its position; rows: position, seconds with sparse and
    with dense attention."""
    if not rows:
        return None
    rows = sorted(rows)

    def paint(ax) -> None:
        x = [position for position, *_ in rows]
        for place, what, colour, mark in ((2, "dense", MUTED, "o"), (1, "sparse", ACCENT, "s")):
            y = [1e3 * row[place] for row in rows]
            ax.plot(x, y, color=colour, marker=mark, markersize=4, linewidth=1.6, label=what)
        ax.set_xscale("log", base=2)
        shown = x if len(x) <= 8 else x[:: -(-len(x) // 8)]
        ax.set_xticks(shown, map(_tokens, shown))
        ax.set_xticks([], minor=True)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("position of the token")
        ax.set_ylabel("milliseconds a token")
        legend_above(ax)

    return draw("token-cost", HALF, "Milliseconds a token over its position", paint)


def _tokens(length: float) -> str:
    """1,024 as 1K."""
    whole = round(length)
    return f"{whole // 1024}K" if whole and whole % 1024 == 0 else f"{whole:,}"
