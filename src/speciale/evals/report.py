"""report.html of a run folder: one page that needs no script, no network and no other file.
A run in progress or killed gets the same page: each part shows what is there, or says that it is
not there yet. All text of a run is escaped, and a policy in the page forbids scripts.
"""

import json
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from speciale.evals import plots
from speciale.evals.records import (
    Run,
    accuracy,
    mapping,
    number,
    objects,
    read_run,
    run_totals,
    totals,
)
from speciale.files import write_atomic

LONG_REASONING = 1200  # characters; longer thinking starts folded
ABSENT = "–"

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1d22; --muted: #666b76; --line: #dfe1e6;
  --band: #f4f5f7; --accent: #2f5fd0; --tint: #e9effc; }
@media (prefers-color-scheme: dark) { :root { --page: #15171b; --ink: #e6e7ea; --muted: #9aa0ac;
  --line: #343841; --band: #1d2026; --accent: #86a8ff; --tint: #222c47; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 3rem 1.5rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 3.5rem 0 .4rem; padding-top: 1.2rem;
  border-top: 1px solid var(--line); }
p { margin: .4rem 0; max-width: 44rem; }
.dim, figcaption, .absent { color: var(--muted); font-size: .9rem; } .absent { font-style: italic; }
.notes { margin: 1.5rem 0 0; padding: .8rem 1rem; border-left: 3px solid var(--accent);
  background: var(--band); font-size: .9rem; }
.notes ul { margin: .3rem 0 0; padding-left: 1.2rem; }
.figures { display: grid; gap: 1.1rem 1.5rem; margin: 2rem 0 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 12.5rem), 1fr)); }
.figures dt { color: var(--muted); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.5rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.figures small { display: block; color: var(--muted); font-size: .8rem; }
.pair { display: grid; gap: 2rem 2.5rem; align-items: start; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); }
figure { margin: 1rem 0 0; min-width: 0; } .pair figure { margin: 0; }
figure svg { display: block; width: 100%; height: auto; } figcaption { margin-top: .3rem; }
.narrow { display: none !important; }
.table { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; overflow-wrap: break-word; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .4rem 0 .4rem .6rem; border-bottom: 1px solid var(--line); }
thead th { color: var(--muted); font-weight: 500; }
tbody th { font-weight: 500; overflow-wrap: anywhere; }
td:not(.left) { white-space: nowrap; } .left { text-align: left; }
tr > :first-child { padding-left: 0; } tr.total > * { border-bottom: 0; font-weight: 600; }
.sample { margin: 1.8rem 0; display: flex; flex-direction: column; gap: .5rem; }
.sample > * { max-width: 85%; padding: .6rem .9rem; border-radius: .9rem; white-space: pre-wrap; }
.prompt { align-self: flex-end; background: var(--tint); border-bottom-right-radius: .2rem; }
.answer { align-self: flex-start; background: var(--band); border-bottom-left-radius: .2rem; }
.sample .thinking { align-self: flex-start; color: var(--muted); font-size: .85rem;
  padding: 0 0 0 .9rem; border-left: 2px solid var(--line); border-radius: 0; }
.sample .about { align-self: flex-start; padding: 0 .9rem; color: var(--muted); font-size: .8rem; }
summary { cursor: pointer; color: var(--muted); }
pre { white-space: pre-wrap; background: var(--band); padding: .8rem 1rem; border-radius: .4rem;
  font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; }
.facts dt { color: var(--muted); } .facts dd { margin: 0; }
@media (max-width: 42rem) {
  main { padding: 2rem 1rem 4rem; }
  .figures { grid-template-columns: 1fr 1fr; }
  .wide { display: none !important; }
  .narrow { display: block !important; }
  .stack thead { display: none; } table { font-size: .8rem; }
  .stack tr { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.5rem; padding: .7rem 0;
    border-bottom: 1px solid var(--line); }
  .stack th { grid-column: 1 / -1; }
  .stack :is(th, td) { display: flex; justify-content: space-between; padding: 0; border: 0; }
  .stack td::before { content: attr(data-label); color: var(--muted); font-weight: 400; }
  .sample > * { max-width: 95%; }
}
"""

# Should an escape ever be missed, the browser still runs and fetches nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"


def write_report(run: Path) -> Path:
    """Write `report.html` into the run folder `run` and return its path.

    Works on a run in progress. Raises CheckpointError if there is no such folder.
    """
    page = _page(read_run(run))
    target = Path(run) / "report.html"
    # A model can write half of a surrogate pair, which UTF-8 has no bytes for.
    write_atomic(target, page.encode("utf-8", errors="replace"))
    return target


def _page(run: Run) -> str:
    parts = [
        _head(run),
        _key_figures(run),
        _section("Stages", _stages(run)),
        _section("Loss", _losses(run)),
        _section("Indexer", _indexer(run)),
        _section("Experts", _experts(run)),
        _section("Sparse against dense attention", _attention(run)),
        _section("Problems", _problems(run)),
        _section("Samples", _samples(run)),
        _section("How to repeat it", _provenance(run)),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{_text(run.name)}: run report</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def _head(run: Run) -> str:
    started = number(run.info.get("started"))
    when = ""
    if started is not None and 0 <= started < 1e11:
        when = f", started {datetime.fromtimestamp(started, UTC):%d %B %Y, %H:%M} UTC"
    out = f'<h1>{_text(run.name)}</h1>\n<p class="dim">Run report{when}</p>\n'
    if run.notes:
        items = "".join(f"<li>{_text(note)}</li>" for note in run.notes)
        out += f'<div class="notes">This page is not complete:<ul>{items}</ul></div>\n'
    return out


def _key_figures(run: Run) -> str:
    parameters = mapping(run.info.get("parameters"))
    whole = run_totals(run)
    losses = mapping(mapping(run.results.get("attention")).get("loss"))
    dense, sparse = number(losses.get("dense")), number(losses.get("sparse"))
    gap = f"{(sparse / dense - 1) * 100:+.2f} %" if dense and sparse is not None else ABSENT
    problems = objects(run.results.get("problems"))
    solved, untrained = (accuracy(problems, key) for key in ("trained", "untrained"))
    figures = [
        ("Parameters", _count(number(parameters.get("total"))),
         f"{_count(number(parameters.get('active')))} active a token"),
        ("Tokens trained", _count(whole["tokens"]), "all stages"),
        ("Total time", _duration(whole["seconds"]), "training"),
        ("Mean MFU", _percent(whole["mfu"]), "of the measured peak"),
        ("Peak memory", _megabytes(whole["peak_memory_mb"]), "highest of the stages"),
        ("Sparse against dense", gap, "loss; lower is better"),
        ("Problems solved", _percent(solved), f"{_percent(untrained)} before training"),
    ]  # fmt: skip
    items = (
        f"<div><dt>{name}</dt><dd>{value}<small>{about}</small></dd></div>"
        for name, value, about in figures
    )
    return f'<dl class="figures">{"".join(items)}</dl>\n'


def _stages(run: Run) -> str:
    if not run.stages:
        return _absent("No stage has written a metrics line yet.")
    threads = number(run.info.get("threads"))
    names = ("Time", "Tokens", "Steps", "Tokens/s", "MFU", "FLOPs", "Peak memory", "CPU core-hours")

    def cells(s: dict[str, float | None]) -> list[str]:
        hours = None if threads is None or s["seconds"] is None else s["seconds"] * threads / 3600
        return [
            _duration(s["seconds"]),
            _count(s["tokens"]),
            _whole(s["steps"]),
            _whole(s["tokens_per_second"]),
            _percent(s["mfu"]),
            ABSENT if s["flops"] is None else f"{s['flops']:.2e}",
            _megabytes(s["peak_memory_mb"]),
            ABSENT if hours is None else f"{hours:.2f}",
        ]

    rows = []
    for stage in run.stages:
        mark = "" if stage.summary else ' <span class="dim">(not ended)</span>'
        rows.append([_text(plots.stage_title(stage)) + mark, *cells(totals(stage))])
    several = len(rows) > 1
    if several:
        rows.append(["All stages", *cells(run_totals(run))])
    if threads is None:
        cost = "CPU core-hours need the thread count, which run.json does not hold."
    else:
        cost = f"CPU core-hours: seconds × {threads:g} threads / 3600."
    return _table(["Stage", *names], rows, stack=True, total=several) + _dim(cost)


def _losses(run: Run) -> str:
    wide = plots.loss_curves(run)
    if wide is None:
        return _absent("No loss has been recorded yet.")
    narrow = plots.loss_curves(run, plots.HALF)  # the wide one is too small to read on a phone
    caption = "Shaded bands are stages; the indexer warm-up trains on KL alone, so it has no loss."
    return (
        f'<figure><div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _indexer(run: Run) -> str:
    return _pair(
        (
            plots.indexer_kl(run),
            "KL from the attention's distribution to the indexer's: the indexer's loss.",
            "No indexer KL yet: the warm-up and sparse stages record it.",
        ),
        (
            plots.indexer_recall(run),
            "Share of the true top-k attention that the indexer finds, by layer.",
            "No indexer recall yet: the warm-up and sparse stages record it.",
        ),
    )


def _experts(run: Run) -> str:
    load = plots.expert_load(run)
    if load is None:
        return _absent("No expert load has been recorded yet.")
    return _pair(
        (
            load,
            f"Mean over the last {plots.LOAD_LINES} recorded lines. Blank: idle; half tone: the "
            "uniform share; full: twice the uniform share or more.",
            "",
        ),
        (
            plots.load_balance(run),
            "Busiest expert's share over the uniform share (dashed), by layer.",
            "The expert load has no token counts yet.",
        ),
    )


def _attention(run: Run) -> str:
    attention = mapping(run.results.get("attention"))
    bars = plots.attention_bars(attention)
    if bars is None:
        return _absent("Not compared yet: results.json holds no attention losses.")
    k, context, tokens = (number(attention.get(key)) for key in ("k", "context", "tokens"))
    text = (
        f"The same weights read {_whole(tokens)} validation tokens in windows of "
        f"{_whole(context)} tokens. Dense attention sees all earlier tokens; sparse attention the "
        f"{_whole(k)} that the indexer picks; the sliding window the {_whole(k)} latest."
    )
    return f'<div class="pair"><figure>{bars}</figure><div>{_dim(text)}</div></div>'


def _problems(run: Run) -> str:
    problems = objects(run.results.get("problems"))
    bars = plots.accuracy_bars(problems)
    if bars is None:
        return _absent("Not measured yet: results.json holds no problems.")
    rows = [
        [
            *(_text(row.get(key)) for key in ("family", "level", "mode")),
            _whole(number(row.get("n"))),
            *(_percent(number(row.get(key))) for key in ("trained", "untrained", "constant")),
        ]
        for row in problems
    ]
    table = _table(
        ["Family", "Level", "Mode", "n", "Trained", "Untrained", "Constant"], rows, left=3
    )
    note = _dim("Constant: what always giving the family's most frequent answer would score.")
    return f'<div class="pair"><figure>{bars}</figure><div>{table}{note}</div></div>'


def _samples(run: Run) -> str:
    samples = objects(run.results.get("samples"))
    if not samples:
        return _absent("No samples yet: results.json holds none.")
    return "".join(map(_sample, samples))


def _sample(sample: dict) -> str:
    out = [f'<div class="prompt">{_text(sample.get("prompt"))}</div>']
    if reasoning := sample.get("reasoning"):
        size = len(str(reasoning))
        start = "" if size > LONG_REASONING else " open"
        out.append(
            f'<details class="thinking"{start}><summary>Thinking, {size:,} characters</summary>'
            f"{_text(reasoning)}</details>"
        )
    content = sample.get("content")
    answer = _text(content) if content else '<span class="absent">no answer</span>'
    out.append(f'<div class="answer">{answer}</div>')
    about = [_text(sample["mode"]) + " mode"] if sample.get("mode") else []
    if sample.get("expected") is not None:
        about.append(f"expected answer: {_text(sample['expected'])}")
    out.append(f'<div class="about">{", ".join(about)}</div>' if about else "")
    return f'<div class="sample">{"".join(out)}</div>\n'


def _provenance(run: Run) -> str:
    info = run.info
    peak = number(info.get("peak_gflops"))
    facts = {
        "Seed": info.get("seed"),
        "speciale": info.get("version"),
        "Python": info.get("python"),
        "PyTorch": info.get("torch"),
        "Machine": info.get("machine"),
        "Measured peak": None if peak is None else f"{peak:,.1f} GFLOP/s",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in facts.items())
    command = info.get("command")
    out = f"<pre>{_text(command)}</pre>" if command else _absent("The command is not recorded.")
    out += f'<dl class="facts">{rows}</dl>'
    if config := mapping(info.get("config")):
        text = _text(json.dumps(config, indent=2, ensure_ascii=False))
        out += f"<details><summary>Model configuration</summary><pre>{text}</pre></details>"
    if run.recipe is None:
        return out + _absent("recipe.toml is not there yet.")
    recipe = f"<pre>{_text(run.recipe)}</pre>"
    return f"{out}<details><summary>Resolved recipe</summary>{recipe}</details>"


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>\n"


def _pair(*figures: tuple[str | None, str, str]) -> str:
    """Figures side by side, each (svg or None, caption, what to say when it is None)."""
    if not any(svg for svg, _, _ in figures):
        return "".join(_absent(missing) for _, _, missing in figures)
    items = (
        f"<figure>{svg}<figcaption>{caption}</figcaption></figure>" if svg else _absent(missing)
        for svg, caption, missing in figures
    )
    return f'<div class="pair">{"".join(items)}</div>'


def _table(
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
    table = f"<table{kind}><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"
    return f'<div class="table">{table}</div>'


def _text(value: Any) -> str:
    return ABSENT if value is None else escape(str(value))


def _absent(sentence: str) -> str:
    return f'<p class="absent">{sentence}</p>'


def _dim(sentence: str) -> str:
    return f'<p class="dim">{sentence}</p>'


def _count(value: float | None) -> str:
    if value is None:
        return ABSENT
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def _whole(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return ABSENT if value is None else f"{value * 100:.1f} %"


def _megabytes(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.0f} MB"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ABSENT
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
