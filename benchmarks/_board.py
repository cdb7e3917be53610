"""Draws every benchmark's history as one page, and says what got slower or worse at the last time.

python benchmarks/_board.py [OUT]        # build/board.html; `make bench` ends with it
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

from _history import Change, Entry, compare, figures, read, told
from _results import RESULTS
from speciale.files import write_atomic

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1d22; --muted: #666b76; --line: #dfe1e6;
  --accent: #2f5fd0; --worse: #b3261e; --better: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --page: #15171b; --ink: #e6e7ea; --muted: #9aa0ac;
  --line: #343841; --accent: #86a8ff; --worse: #ff8a80; --better: #7ddc98; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 0; display: inline; }
.dim { color: var(--muted); font-size: .88rem; margin: .2rem 0; }
.worse { color: var(--worse); } .better { color: var(--better); }
details { border-top: 1px solid var(--line); padding: .7rem 0; } summary { cursor: pointer; }
.table { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; vertical-align: middle; }
th, td { white-space: nowrap; } th:first-child, td:first-child { text-align: left;
  padding-left: 0; white-space: normal; min-width: 9rem; }
thead th { color: var(--muted); font-weight: 500; }
svg { display: block; width: 6rem; height: 1.5rem; }
polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; }
circle { fill: var(--accent); }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
WIDTH, HEIGHT = 96, 24


def page(histories: dict[str, Sequence[Entry]]) -> str:
    """name -> its entries, oldest first."""
    changes = {name: compare(entries) for name, entries in histories.items()}
    every = [change for found in changes.values() for change in found]
    counts = {v: sum(c.verdict == v for c in every) for v in ("worse", "better", "same")}
    # What has got worse comes first.
    order = sorted(histories, key=lambda n: (-sum(c.verdict == "worse" for c in changes[n]), n))
    parts = [_section(name, histories[name], changes[name]) for name in order if histories[name]]
    about = (
        f"{len(histories)} benchmarks; beside their last entry on the same kind of machine "
        f'<span class="worse">{counts["worse"]} figures are worse</span>, <span class="better">'
        f"{counts['better']} better</span>, {counts['same']} as before within noise. Times are "
        "compared by what the machine gave at that moment, where that was measured."
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>speciale: benchmarks</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>Benchmarks</h1>\n<p class="dim">{about}</p>\n{"".join(parts)}</main>\n</body>\n'
        "</html>\n"
    )


def _section(name: str, entries: Sequence[Entry], changes: Sequence[Change]) -> str:
    last = entries[-1]
    worse, better = (sum(c.verdict == v for c in changes) for v in ("worse", "better"))
    words = "first entry on this kind of machine" if not changes else (
        f'<span class="worse">{worse} worse</span>, <span class="better">{better} better</span>'
        if worse or better
        else "as before"
    )  # fmt: skip
    facts = ", ".join(
        escape(str(last.get(key))) for key in ("date", "commit", "machine") if last.get(key)
    )
    known = {(change.row, change.column): change for change in changes}
    rows = [
        _row(key, value, known.get(key), [figures(e).get(key) for e in entries])
        for key, value in figures(last).items()
    ]
    table = (
        '<div class="table"><table><thead><tr><th>what</th><th>figure</th><th>last</th>'
        "<th>before</th><th>change</th><th>noise</th><th>all entries</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        if rows
        else '<p class="dim">No figure of it has a better side.</p>'
    )
    count = f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
    return (
        f"<details{' open' if worse else ''}><summary><h2>{escape(name)}</h2> "
        f'<span class="dim">{words} · {count} · {facts}</span></summary>{table}</details>\n'
    )


def _row(
    key: tuple[str, str], value: float, change: Change | None, values: Sequence[float | None]
) -> str:
    before = spread = moved = "–"
    if change is not None:
        before, spread = f"{change.before:.4g}", f"{100 * change.noise:.0f}%"
        moved = f"{100 * (value / change.before - 1):+.1f}%" if change.before else "from 0"
        moved = f'<span class="{change.verdict}">{moved}</span>'
    cells = (escape(key[1]), f"{value:.4g}", before, moved, spread, _line(values))
    return f"<tr><td>{escape(key[0])}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _line(values: Sequence[float | None]) -> str:
    """The entries from left to right between their least and their most; a gap is left out."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    low, high = (pick(value for _, value in known) for pick in (min, max))
    points = [
        (3 + place * (WIDTH - 6) / (len(values) - 1),
         HEIGHT - 3 - (value - low) / ((high - low) or 1) * (HEIGHT - 6))
        for place, value in known
    ]  # fmt: skip
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    label = f"from {low:.4g} to {high:.4g}"
    x, y = points[-1]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"><polyline '
        f'points="{path}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2.2"/></svg>'
    )


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "build/board.html")
    out.parent.mkdir(parents=True, exist_ok=True)
    histories = {path.stem: read(path) for path in sorted((RESULTS / "history").glob("*.jsonl"))}
    write_atomic(out, page(histories))
    worse = [
        f"{name}: {line}"
        for name, entries in histories.items()
        for line in told(c for c in compare(entries) if c.verdict == "worse").splitlines()
    ]
    print("\n".join(worse) or "Nothing is slower or worse beyond noise.")
    print(f"page: {out.resolve()}")


if __name__ == "__main__":
    main()
