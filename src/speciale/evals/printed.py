"""What an evaluation found, as tables for a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from speciale.evals.evaluation import Found, against


def table(found: Found) -> Table:
    """A row a cell; shares in percent, behind pass@k its k."""
    shown = Table(title=f"{found.suite}: {found.target}", title_justify="left", box=SIMPLE_HEAD)
    budgets = any(row["budget"] is not None for row in found.rows)
    missing = any(row["not_measured"] for row in found.rows)
    cost = any(row["cost_per_solved"] is not None for row in found.rows)
    shown.add_column("cell", no_wrap=True)
    heads = ["thinking"] * budgets + ["tasks", "pass@1", "95%", "pass@k", "chance"]
    heads += ["tokens", "per solved"] + ["cost"] * cost + ["not measured"] * missing
    for head in heads:
        shown.add_column(head, justify="right", no_wrap=True)
    for row in found.rows:
        low, high = row["interval"] or (None, None)
        several = "" if row["k"] is None else f"{_percent(row['passk'])} ({row['k']})"
        cells = [str(row["budget"])] * budgets + [
            str(row["tasks"]),
            "not measured" if row["pass1"] is None else _percent(row["pass1"]),
            "" if low is None else f"{_percent(low)}-{_percent(high)}",
            several,
            _percent(row["chance"]),
            _count(row["tokens"]),
            _count(row["tokens_per_solved"]),
        ]
        cells += [_money(row["cost_per_solved"])] * cost
        cells += [str(row["not_measured"])] * missing
        shown.add_row(row["cell"], *cells)
    return shown


def difference(first: Found, second: Found) -> Table:
    """The second less the first, with the chance that it is one."""
    title = f"{second.target} less {first.target}, points"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("cell", no_wrap=True)
    for head in ("tasks", "difference", "95%", "p", ""):
        shown.add_column(head, justify="right")
    for row in against(first, second):
        bounds = f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}"
        shown.add_row(
            row["cell"],
            str(row["tasks"]),
            f"{100 * row['difference']:+.1f}",
            bounds,
            f"{row['p']:.3f}",
            "significant" if row["significant"] else "",
        )
    return shown


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
