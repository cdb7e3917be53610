"""What more effort buys: more attempts at a task (pass@k), more tokens of thinking."""

from collections.abc import Sequence

from speciale.evals.kept import Row
from speciale.evals.plots.drawing import HALF, Look, draw, label, legend_above, percent
from speciale.evals.plots.suites import Found
from speciale.svg import MUTED

Attempts = Sequence[tuple[Look, Row | None, list[Row]]]  # of each run all cells' row, and cells


def pass_at_k(name: str, suite: str, found: Attempts) -> str | None:
    """A bold line a run over all cells; of a single run a faint one a cell too, which shows how far
    cells lie apart where thirty names would not be read."""
    runs = [(look, whole, cells) for look, whole, cells in found if whole and len(whole.passes) > 1]
    if not runs:
        return None

    def paint(ax) -> None:
        for look, whole, cells in runs:
            faint = [row for row in cells if len(row.passes) > 1 and row is not whole]
            for index, row in enumerate(faint if len(runs) == 1 else []):
                ax.plot(
                    range(1, len(row.passes) + 1), row.passes, color=MUTED, alpha=0.55,
                    linewidth=0.9, label="_" if index else "a cell",
                )  # fmt: skip
            ax.plot(
                range(1, len(whole.passes) + 1), whole.passes, color=look.colour,
                marker=look.mark, markersize=4, linewidth=1.8, label=label(look.label), zorder=3,
            )  # fmt: skip
        last = max(len(whole.passes) for _, whole, _ in runs)
        ax.set_xticks(range(1, last + 1, max(1, last // 8)))
        ax.set_ylim(0, 1.03)
        percent(ax.yaxis)
        ax.set_xlabel("k, attempts at a task")
        ax.set_ylabel("pass@k")
        legend_above(ax)

    return draw(name, HALF, f"pass@k of {suite} over k", paint)


def thinking_curve(name: str, suite: str, found: Found) -> str | None:
    """pass@1 over the most tokens of thinking, a line a run. `found`: rows with a budget each."""
    runs = [
        (look, {row.budget: row for row in rows if row.budget is not None})
        for look, rows in found
        if any(row.pass1 is not None for row in rows)
    ]
    if not runs:
        return None
    budgets = sorted({budget for _, rows in runs for budget in rows})

    def paint(ax) -> None:
        for look, rows in runs:
            for budget, row in rows.items():
                if row.interval is not None:
                    at = (budget, budget)
                    ax.plot(at, row.interval, color=look.colour, alpha=0.55, linewidth=1.6)
            x = sorted(rows)  # None of what was not measured leaves a gap in the line
            ax.plot(
                x, [rows[budget].pass1 for budget in x], color=look.colour, marker=look.mark,
                markersize=4.5, linewidth=1.6, label=label(look.label), zorder=3,
            )  # fmt: skip
        chances = [
            row.chance for _, rows in runs for row in rows.values() if row.chance is not None
        ]
        if chances:
            ax.axhline(chances[0], color=MUTED, linewidth=1, linestyle=(0, (3, 2)), label="chance")
        _budget_axis(ax, budgets)
        ax.set_ylim(0, 1.03)
        percent(ax.yaxis)
        ax.set_xlabel("tokens of thinking, at most")
        ax.set_ylabel("pass@1")
        legend_above(ax)

    return draw(name, HALF, f"pass@1 of {suite} over tokens of thinking", paint)


def _budget_axis(ax, budgets: list[int]) -> None:
    """Equal steps for equal factors where the budgets span much; 0 stands at the left end."""
    positive = [budget for budget in budgets if budget]
    if positive and max(positive) > 4 * min(positive):
        # Linear from 0 to the least one: a logarithm has no 0.
        ax.set_xscale("symlog", base=2, linthresh=min(positive), linscale=0.8)
        left = -0.2 * min(positive) if 0 in budgets else 0.85 * min(positive)
        ax.set_xlim(left, 1.15 * max(positive))
    shown = budgets if len(budgets) <= 9 else budgets[:: -(-len(budgets) // 9)]
    ax.set_xticks(shown, [f"{budget:,}" for budget in shown])
    ax.set_xticks([], minor=True)
