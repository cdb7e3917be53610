"""report.html of an RL run: one page without other files, of a run in progress too.

All text of a run is escaped, or put in as text by the page's one script; a policy in the page
(W3C, CSP 3, Trusted Types) lets no other script run and nothing be fetched.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Any

from speciale.files import write_atomic
from speciale.rl import report_figures
from speciale.rl.report_figures import Figure
from speciale.rl.report_records import TASKS, Records, Row, read_records, read_samples

ABSENT = "–"


def write_report(folder: Path) -> Path:
    """Writes `report.html` into the folder of an RL run and returns its path.

    DataError where metrics.jsonl or samples.jsonl is missing, or no step is recorded yet.
    """
    folder = Path(folder)
    page = _page(read_records(folder), read_samples(folder))
    target = folder / "report.html"
    # A name may hold half of a surrogate pair, which UTF-8 has no bytes for.
    write_atomic(target, page.encode("utf-8", errors="replace"))
    return target


def _page(records: Records, samples: list[dict[str, Any]]) -> str:
    parts = {
        "Held-out tasks": _held_out(records),
        "Environments trained on": _environments(records, trained=True),
        "Environments never trained on": _environments(records, trained=False),
        "Reward": _grid(report_figures.reward(records)),
        "Length": _grid(report_figures.lengths(records)),
        "Stability": _grid(report_figures.stability(records)),
        "Speed": _grid(report_figures.speed(records)),
        "Samples": _samples(samples),
    }
    names = {title: title.lower().replace(" ", "-") for title in parts}
    links = "".join(f'<a href="#{id}">{title}</a>' for title, id in names.items())
    body = "".join(
        f'<section id="{names[title]}">\n<h2>{title}</h2>\n{part}\n</section>\n'
        for title, part in parts.items()
    )
    style, script = _own("report.css"), _own("report.js") if samples else ""
    name = escape(records.name)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">\n'
        f"<title>{name}: RL report</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{name}</h1>\n<p class="dim">Report of an RL run</p>\n'
        f'<nav class="parts" aria-label="Parts">{links}</nav>\n'
        f"{_key_figures(records)}{body}</main>\n"
        + (f"<script>{script}</script>\n" if script else "")
        + "</body>\n</html>\n"
    )


def _policy(style: str, script: str) -> str:
    """The page's own style and script, by their hashes; Matplotlib's SVG has style attributes."""
    return "; ".join((
        "default-src 'none'",
        f"script-src {_hash(script)}" if script else "script-src 'none'",
        f"style-src-elem {_hash(style)}",
        "style-src-attr 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ))  # fmt: skip


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _own(name: str) -> str:
    return (files("speciale.rl") / "page" / name).read_text("utf-8")


def _key_figures(records: Records) -> str:
    reward, gap = records.series("reward/mean")[1], records.series("gap/mean")[1]
    sampled = records.series("rate/sampled")[1]
    figures = [
        ("Steps", f"{max(records.steps, default=0):,}", _duration(records.seconds)),
        ("pass@1, trained on", *_change(records, trained=True)),
        ("pass@1, never trained on", *_change(records, trained=False)),
        ("Reward", _ends(reward), "first and last steps"),
        ("Gap of sampler and trainer", f"{fmean(gap):.1e}" if gap else ABSENT, "nats, mean"),
        ("Sampled", f"{fmean(sampled):,.0f} tok/s" if sampled else ABSENT, "mean over steps"),
    ]
    items = (
        f"<div><dt>{name}</dt><dd>{value}<small>{about}</small></dd></div>"
        for name, value, about in figures
    )
    return f'<dl class="figures">{"".join(items)}</dl>\n'


def _change(records: Records, trained: bool) -> tuple[str, str]:
    """pass@1 of the first and last evaluation, over the rows that both have."""
    pairs = [
        (first, last)
        for first, last in _compared(records)
        if last.held_out and last.trained is trained
    ]
    firsts = [first.number("pass1") for first, _ in pairs]
    lasts = [last.number("pass1") for _, last in pairs]
    if not pairs or None in firsts or None in lasts:
        return ABSENT, "not measured yet"
    first, last = fmean(firsts), fmean(lasts)  # type: ignore[type-var]
    return f"{_percent(first)} → {_percent(last)}", f"{(last - first) * 100:+.1f} points"


def _compared(records: Records) -> list[tuple[Row, Row]]:
    """What the first evaluation of each environment and level found, and the run's last one."""
    first: dict[tuple[str, ...], Row] = {}
    for row in records.rows:
        first.setdefault(row.key, row)
    end = records.rows[-1].step if records.rows else None
    return [(first[row.key], row) for row in records.rows if row.step == end]


def _held_out(records: Records) -> str:
    figures = report_figures.held_out(records)
    if not figures:
        return _absent("No evaluation has been recorded yet.")
    steps = sorted({row.step for row in records.rows})
    note = f"Means over a domain's environments. First: step {steps[0]}; last: step {steps[-1]}."
    return f'<p class="dim">{note}</p>{_grid(figures, "pair")}{_table(records)}'


def _table(records: Records) -> str:
    names = ("Domain", "Environment", "Level", "Tasks", "Trained on", "n", "k", "pass@1 first",
             "last", "change", "pass@k first", "last", "tokens first", "last")  # fmt: skip
    sides = [' class="left"' if place in (0, 1, 3, 4) else "" for place in range(len(names))]
    head = "".join(f'<th scope="col"{side}>{name}</th>' for side, name in zip(sides, names))
    body = ""
    for first, last in sorted(
        _compared(records), key=lambda pair: (not pair[1].trained, pair[1].key)
    ):
        cells = [
            last.domain, last.source, last.level or "all",
            last.figures.get("split", ABSENT), "yes" if last.trained else "no",
            _whole(last.number("n")), _whole(last.number("k")),
            *map(_percent, (first.number("pass1"), last.number("pass1"))), "",
            *map(_percent, (first.number("passk"), last.number("passk"))),
            *map(_whole, (first.number("tokens"), last.number("tokens"))),
        ]  # fmt: skip
        shown = [f"<td{side}>{escape(str(cell))}</td>" for side, cell in zip(sides, cells)]
        shown[9] = _points(first.number("pass1"), last.number("pass1"))
        body += f"<tr>{''.join(shown)}</tr>\n"
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="First and last evaluation">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>"
    )


def _points(first: float | None, last: float | None) -> str:
    if first is None or last is None:
        return f"<td>{ABSENT}</td>"
    change = round((last - first) * 100, 1)
    kind = "up" if change > 0 else "down" if change < 0 else ""
    return f'<td class="{kind}">{change:+.1f}</td>'


def _environments(records: Records, trained: bool) -> str:
    figures, left_out = report_figures.environments(records, trained)
    if not figures:
        return _absent("None has been evaluated yet.")
    note = "Held-out tasks. Solid: pass@1; dotted: pass@k; fainter: the higher levels."
    if left_out:
        note += f" {left_out} more are in metrics.jsonl alone."
    return f'<p class="dim">{note}</p>{_grid(figures, "small")}'


def _grid(figures: Sequence[Figure], kind: str = "") -> str:
    """kind: "" for three in a row, "pair", or "small"."""
    if not figures:
        return _absent("Nothing of it has been recorded yet.")
    tag = "h4" if kind == "small" else "h3"
    items = "".join(
        f"<figure><{tag}>{escape(figure.title)}</{tag}>{figure.svg}"
        + (f"<figcaption>{escape(figure.note)}</figcaption>" if figure.note else "")
        + "</figure>\n"
        for figure in figures
    )
    return f'<div class="grid {kind}">{items}</div>'


def _samples(samples: list[dict[str, Any]]) -> str:
    if not samples:
        return _absent("No task has samples of two evaluations yet.")
    # ASCII alone, and no "<": nothing in it can end the element, whatever a model wrote.
    data = json.dumps(samples).replace("<", "\\u003c")
    note = f"The same task at each evaluation, side by side; {TASKS} tasks at most."
    return (
        f'<p class="dim">{note}</p>\n<div class="viewer" id="viewer">'
        "<noscript>The samples need JavaScript.</noscript></div>\n"
        f'<script type="application/json" id="samples-data">{data}</script>'
    )


def _absent(sentence: str) -> str:
    return f'<p class="absent">{sentence}</p>'


def _ends(values: list[float]) -> str:
    """Means of the first and the last tenth."""
    if not values:
        return ABSENT
    part = max(1, len(values) // 10)
    return f"{fmean(values[:part]):.3f} → {fmean(values[-part:]):.3f}"


def _percent(value: float | None) -> str:
    return ABSENT if value is None else f"{value * 100:.1f}\N{NO-BREAK SPACE}%"


def _whole(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.0f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
