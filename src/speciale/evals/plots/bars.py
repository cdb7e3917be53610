"""Bars of what a finished run's results hold: forms of attention, problems solved."""

from speciale.evals.plots.drawing import ACCENT, HALF, draw, name_rows, percent, short
from speciale.evals.records import mapping, number
from speciale.svg import INK, MUTED


def attention_bars(attention: dict) -> str | None:
    """Validation loss with dense, sparse and sliding-window attention in the same model."""
    losses = mapping(attention.get("loss"))
    names = {"dense": "dense", "sparse": "sparse (DSA)", "window": "sliding window"}
    bars = [(names[key], value) for key in names if (value := number(losses.get(key))) is not None]
    if not bars:
        return None
    dense = number(losses.get("dense"))

    def paint(ax) -> None:
        for place, (name, value) in enumerate(bars):
            chosen = name == names["sparse"]
            ax.barh(place, value, height=0.6, color=ACCENT if chosen else MUTED, alpha=0.85)
            change = f"  ({(value / dense - 1) * 100:+.2f} %)" if dense and name != "dense" else ""
            ax.annotate(
                f"{value:.3f}{change}",
                (value, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=INK,
            )
        ax.set_xlim(0, max(value for _, value in bars) * 1.35 or 1)
        name_rows(ax, [name for name, _ in bars])
        ax.set_xlabel("validation loss, nats a token")

    return draw("attention", (HALF[0], 2.0), "Loss by kind of attention", paint)


def accuracy_bars(problems: list[dict]) -> str | None:
    """Share of problems solved, trained against untrained, by family, level and mode."""
    rows = [row for row in problems if number(row.get("trained")) is not None]
    if not rows:
        return None

    def paint(ax) -> None:
        sides = (("trained", ACCENT, -0.2), ("untrained", MUTED, 0.2))
        for key, color, shift in sides:
            shares = [number(row.get(key)) for row in rows]
            known = [(i + shift, share) for i, share in enumerate(shares) if share is not None]
            if not known:
                continue
            places, widths = zip(*known)
            ax.barh(places, widths, height=0.36, color=color, alpha=0.85, label=key)
        ax.set_xlim(0, 1)
        percent(ax.xaxis)
        name_rows(ax, [f"{row.get('family')} {row.get('level', '')}" for row in rows])
        for place, row in enumerate(rows):
            ax.annotate(
                short(row.get("mode", "")),
                (1, place),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=MUTED,
            )
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1)

    size = (HALF[0], 0.9 + 0.4 * len(rows))
    return draw("accuracy", size, "Problems solved, trained against untrained", paint)
