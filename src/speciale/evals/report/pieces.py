"""Pieces of the page: sections, tables, figures side by side, numbers as people read them."""

from html import escape
from typing import Any

ABSENT = "–"


def section(title: str, body: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>\n"


def figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def beside(figures: list[str], about: str) -> str:
    """Figures, and a sentence in the place that would follow them."""
    return f'<div class="pair">{"".join(figures)}<div>{dim(about)}</div></div>'


def pair(*figures: tuple[str | None, str, str]) -> str:
    """Figures side by side, each (svg or None, caption, what to say when it is None)."""
    if not any(svg for svg, _, _ in figures):
        return "".join(absent(missing) for _, _, missing in figures)
    items = (figure(svg, caption) if svg else absent(missing) for svg, caption, missing in figures)
    return f'<div class="pair">{"".join(items)}</div>'


def table(
    names: list[str], rows: list[list[str]], left: int = 1, stack: bool = False, total: bool = False
) -> str:
    """A table of ready HTML cells; the first `left` columns are text. `stack`: on a phone each
    row becomes a block. `total`: the last row is a sum."""
    sides = [' class="left"' if i < left else "" for i in range(len(names))]
    head = "".join(f"<th{side}>{name}</th>" for side, name in zip(sides, names))
    body = ""
    for index, row in enumerate(rows):
        cells = "".join(
            f'<td{side} data-label="{name}"><span>{cell}</span></td>'
            for side, name, cell in list(zip(sides, names, row))[1:]
        )
        mark = ' class="total"' if total and index == len(rows) - 1 else ""
        body += f'<tr{mark}><th class="left" scope="row">{row[0]}</th>{cells}</tr>\n'
    kind = ' class="stack"' if stack else ""
    made = f"<table{kind}><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"
    return f'<div class="table">{made}</div>'


def text(value: Any) -> str:
    return ABSENT if value is None else escape(str(value))


def absent(sentence: str) -> str:
    return f'<p class="absent">{sentence}</p>'


def dim(sentence: str) -> str:
    return f'<p class="dim">{sentence}</p>'


def count(value: float | None) -> str:
    if value is None:
        return ABSENT
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def whole(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    return ABSENT if value is None else f"{value * 100:.1f} %"


def megabytes(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.0f} MB"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ABSENT
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
