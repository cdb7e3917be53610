"""What the page tells of a finished run's results.json: attention, problems, samples."""

from speciale.evals.plots import bars as plots
from speciale.evals.plots.length import token_cost as token_cost_curve
from speciale.evals.records import Run, mapping, number, objects
from speciale.evals.report.pieces import absent, beside, dim, figure, percent, table, text, whole

LONG_REASONING = 1200  # characters; longer thinking starts folded


def attention(run: Run) -> str:
    found = mapping(run.results.get("attention"))
    bars = plots.attention_bars(found)
    if bars is None:
        return absent("Not compared yet: results.json holds no attention losses.")
    k, context, tokens = (number(found.get(key)) for key in ("k", "context", "tokens"))
    about = (
        f"The same weights read {whole(tokens)} validation tokens in windows of "
        f"{whole(context)} tokens. Dense attention sees all earlier tokens; sparse attention the "
        f"{whole(k)} that the indexer picks; the sliding window the {whole(k)} latest."
    )
    return beside([f"<figure>{bars}</figure>"], about)


def token_cost(run: Run) -> str:
    found = mapping(run.results.get("token_cost"))
    rows = []
    for row in objects(found.get("rows")):
        figures = [number(row.get(key)) for key in ("position", "sparse", "dense")]
        position, sparse, dense = (each if each and each > 0 else None for each in figures)
        if position is not None and sparse is not None and dense is not None:
            rows.append((position, sparse, dense))
    curve = token_cost_curve(rows)
    if curve is None:
        return absent("Not measured yet: results.json holds no token costs.")
    position, sparse, dense = max(rows)
    k, threads = number(found.get("k")), number(found.get("threads"))
    about = (
        f"One token decoded by the whole engine on {_threads(threads)}; medians of "
        f"alternating rounds. Sparse: attention to the {whole(k)} tokens that the indexer "
        f"picks; dense: the same weights, attention to all. At position {whole(position)} dense "
        f"takes {dense / sparse:.2f} times as long."
    )
    return beside([figure(curve, "Lower is better.")], about)


def _threads(count: float | None) -> str:
    return "one thread" if count == 1 else f"{whole(count)} threads"


def problems(run: Run) -> str:
    found = objects(run.results.get("problems"))
    bars = plots.accuracy_bars(found)
    if bars is None:
        return absent("Not measured yet: results.json holds no problems.")
    rows = [
        [
            *(text(row.get(key)) for key in ("family", "level", "mode")),
            whole(number(row.get("n"))),
            *(percent(number(row.get(key))) for key in ("trained", "untrained", "constant")),
        ]
        for row in found
    ]
    shown = table(
        ["Family", "Level", "Mode", "n", "Trained", "Untrained", "Constant"], rows, left=3
    )
    note = dim("Constant: what always giving the family's most frequent answer would score.")
    return f'<div class="pair"><figure>{bars}</figure><div>{shown}{note}</div></div>'


def samples(run: Run) -> str:
    found = objects(run.results.get("samples"))
    if not found:
        return absent("No samples yet: results.json holds none.")
    return "".join(map(_sample, found))


def _sample(sample: dict) -> str:
    out = [f'<div class="prompt">{text(sample.get("prompt"))}</div>']
    if reasoning := sample.get("reasoning"):
        size = len(str(reasoning))
        start = "" if size > LONG_REASONING else " open"
        out.append(
            f'<details class="thinking"{start}><summary>Thinking, {size:,} characters</summary>'
            f"{text(reasoning)}</details>"
        )
    content = sample.get("content")
    answer = text(content) if content else '<span class="absent">no answer</span>'
    out.append(f'<div class="answer">{answer}</div>')
    about = [text(sample["mode"]) + " mode"] if sample.get("mode") else []
    if sample.get("expected") is not None:
        about.append(f"expected answer: {text(sample['expected'])}")
    out.append(f'<div class="about">{", ".join(about)}</div>' if about else "")
    return f'<div class="sample">{"".join(out)}</div>\n'
