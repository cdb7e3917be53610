"""What the page tells of `speciale eval`: the run's own evaluations beside those of its RL runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from speciale.evals.history import run_label
from speciale.evals.kept import ALL, Kept, Row, read_kept
from speciale.evals.plots.drawing import MOST_LOOKS, Look, looks
from speciale.evals.plots.effort import pass_at_k, thinking_curve
from speciale.evals.plots.length import by_length, heat_map
from speciale.evals.plots.suites import solved
from speciale.evals.records import Run
from speciale.evals.report.pieces import (
    ABSENT,
    absent,
    beside,
    dim,
    figure,
    pair,
    percent,
    table,
    text,
    whole,
)

_ORDER = ("reasoning", "agent", "longctx", "format", "safety")
_LONG = 8  # rows; a longer table starts folded


@dataclass(frozen=True)
class Asked:
    """A run and what it was asked, by suite: rows of whole answers, and those with budgets."""

    look: Look
    plain: dict[str, Kept]
    budgets: dict[str, Kept]


def read_asked(run: Run, reinforced: list[Path]) -> list[Asked]:
    """The run, if it was evaluated, and its evaluated RL runs; what is damaged or left out is
    noted in the run's notes."""
    found = []
    for place in (run.path, *reinforced):
        label = run.name if place == run.path else run_label(place)
        notes: list[str] = []
        kept = read_kept(place / "evals", notes)
        run.notes += notes if place == run.path else [f"{label}: {note}" for note in notes]
        if kept:
            found.append((label, kept))
    for label, _ in found[MOST_LOOKS:]:
        run.notes.append(f"The evaluations of {label} are left out: {MOST_LOOKS} runs are shown.")
    found = found[:MOST_LOOKS]
    return [
        Asked(look, _by_suite(kept, budgets=False), _by_suite(kept, budgets=True))
        for look, (_, kept) in zip(looks([label for label, _ in found]), found)
    ]


def _by_suite(kept: list[Kept], budgets: bool) -> dict[str, Kept]:
    found: dict[str, Kept] = {}
    for each in kept:
        rows = [row for row in each.rows if (row.budget is not None) is budgets]
        if rows:
            found.setdefault(each.suite, Kept(each.suite, each.settings, rows))
    return found


def _names(suites: Iterable[str]) -> list[str]:
    """Ours in the order of the command's help, then others."""
    names = dict.fromkeys(suites)
    return [*(name for name in _ORDER if name in names), *sorted(set(names) - set(_ORDER))]


def suites(asked: list[Asked]) -> str:
    names = _names(suite for each in asked for suite in each.plain)
    if not names:
        return absent(
            "Not evaluated yet: <code>speciale eval RUN --suite reasoning,agent</code> asks a "
            "finished run and keeps pass@1, its interval and pass@k."
        )
    out = "".join(_suite(number, name, asked) for number, name in enumerate(names))
    left = [name for name in _ORDER if name not in names]
    return out + (dim(f"Not evaluated yet: {', '.join(left)}.") if left else "")


def _suite(number: int, suite: str, asked: list[Asked]) -> str:
    found = [(each.look, each.plain[suite]) for each in asked if suite in each.plain]
    dots = solved(f"solved-{number}", suite, [(look, kept.rows) for look, kept in found])
    curve = pass_at_k(
        f"passk-{number}",
        suite,
        [(look, next(iter(kept.whole), None), kept.cells) for look, kept in found],
    )
    figures = pair(
        (dots, "Share of attempts that solve a task; chance: what guessing solves.",
         "Nothing of this suite could be measured."),
        (curve, "Chance that one of k attempts solves a task, unbiased, mean over tasks.",
         "No curve of pass@k is kept: it takes <code>--samples 2</code> or more; after an older "
         "evaluation the same command again adds it and asks nothing anew."),
    )  # fmt: skip
    tables = "".join(_table(look, kept) for look, kept in found)
    others = [each.look.label for each in asked if suite not in each.plain]
    missing = dim(f"Not asked this suite: {text(', '.join(others))}.") if others else ""
    return f"<h3>{text(suite)}</h3>\n{figures}{tables}{missing}"


def _table(look: Look, kept: Kept) -> str:
    names = ["Cell", "pass@1", "95 %", "pass@k", "Chance", "Tasks", "Not measured"]
    body = table(names, [_cells(row) for row in kept.rows], stack=True)
    given = [f"{key} {text(kept.settings.get(key))}" for key in ("samples", "temperature", "seed")]
    about = f"{text(look.label)}: {', '.join(given)}"
    if len(kept.rows) <= _LONG:
        return dim(about) + body
    return f"<details><summary>{about}; {len(kept.rows)} rows</summary>{body}</details>"


def _cells(row: Row) -> list[str]:
    low, high = row.interval or (None, None)
    several = ABSENT if row.passk is None else f"{percent(row.passk)} ({whole(row.k)})"
    return [
        "all cells" if row.cell == ALL else text(row.cell),
        '<span class="absent">not measured</span>' if row.pass1 is None else percent(row.pass1),
        ABSENT if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f} %",
        several,
        percent(row.chance),
        whole(row.tasks),
        whole(row.not_measured),
    ]


def thinking(asked: list[Asked]) -> str:
    names = _names(suite for each in asked for suite in each.budgets)
    figures = []
    for number, suite in enumerate(names):
        rows = [(each.look, each.budgets[suite].whole) for each in asked if suite in each.budgets]
        if (drawn := thinking_curve(f"thinking-{number}", suite, rows)) is not None:
            figures.append(figure(drawn, text(suite)))
    if not figures:
        return absent(
            "Not measured yet: <code>speciale eval RUN --budgets 8,16,32,64</code> ends the "
            "thinking after so many tokens and lets the answer follow."
        )
    about = "The thinking is ended after so many tokens, and the answer follows. 95 % intervals."
    missing = sum(
        row.pass1 is None for each in asked for kept in each.budgets.values() for row in kept.whole
    )
    if missing:
        about += f" {missing} of the points could not be measured and are left out."
    others = [each.look.label for each in asked if not each.budgets]
    if others:
        about += f" Not asked with budgets: {text(', '.join(others))}."
    return beside(figures, about)


def long_context(asked: list[Asked]) -> str:
    figures = []
    for number, each in enumerate(asked):
        kept = each.plain.get("longctx")
        rows = [] if kept is None else kept.cells
        drawn = heat_map(f"length-{number}", each.look.label, rows)
        if drawn is not None:
            figures.append(figure(drawn, text(each.look.label)))
    if not figures:
        return absent(
            "Not measured yet: <code>speciale eval RUN --suite longctx</code> asks for what is "
            "hidden in long texts, at each length that the model holds."
        )
    about = (
        "pass@1 in per cent: the fuller, the more was solved. Dashed: asked, but not measured. "
        "Blank: not asked, since it would not fit or was not named."
    )
    others = [
        each.look.label
        for each in asked
        if "longctx" not in each.plain or not by_length(each.plain["longctx"].cells)
    ]
    if others:
        about += f" Not asked this suite: {text(', '.join(others))}."
    return beside(figures, about)
