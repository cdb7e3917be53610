"""The table of an anatomy: what each variant scores beside the one that has the stage."""

from __future__ import annotations

from rich.table import Table

_SUITES = {"reasoning": "problems", "agent": "tools"}


def markdown(rows: list[dict]) -> str:
    """For a README; the same columns as on the screen."""
    heads, lines = _cells(rows)
    table = [heads, ["---"] * len(heads), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in table)


def screen(rows: list[dict]) -> Table:
    heads, lines = _cells(rows)
    table = Table(title="What each stage bought")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place in (0, 1, len(heads) - 1) else "right")
    for line in lines:
        table.add_row(*line)
    return table


def _cells(rows: list[dict]) -> tuple[list[str], list[list[str]]]:
    suites = [suite for suite in _SUITES if any(suite in row for row in rows)]
    heads = ["variant", "beside", "text loss", "indexer recall"]
    for suite in suites:
        heads += [_SUITES[suite], "change"]
    heads.append("the claim")
    lines = []
    for row in rows:
        recall = row["recall"]
        stopped = "; RL ended early, with nothing to learn from" if row.get("RL stopped") else ""
        line = [row["variant"] + stopped, row["beside"] or "", f"{row['loss']:.3f}"]
        line.append("–" if recall is None else f"{100 * recall:.0f}%")
        for suite in suites:
            line += [_share(row.get(suite)), _change(row.get(f"{suite} change"))]
        lines.append([*line, row["claim"]])
    return heads, lines


def _share(row: dict | None) -> str:
    if row is None or row["pass1"] is None:
        return "not measured"
    low, high = row["interval"]
    return f"{100 * row['pass1']:.1f}% ({100 * low:.0f} to {100 * high:.0f})"


def _change(change: dict | None) -> str:
    """In points; a star where chance would hardly make so much (p < 0.05)."""
    if change is None:
        return ""
    star = "*" if change["significant"] else ""
    return f"{100 * change['difference']:+.1f}{star}"
