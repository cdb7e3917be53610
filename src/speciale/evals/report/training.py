"""What the page tells of training: key figures, stages, losses, indexer, experts."""

from speciale.evals.plots import training as plots
from speciale.evals.records import Run, accuracy, mapping, number, objects, run_totals, totals
from speciale.evals.report.pieces import (
    ABSENT,
    absent,
    count,
    dim,
    duration,
    megabytes,
    pair,
    percent,
    table,
    text,
    whole,
)


def key_figures(run: Run) -> str:
    parameters = mapping(run.info.get("parameters"))
    sums = run_totals(run)
    losses = mapping(mapping(run.results.get("attention")).get("loss"))
    dense, sparse = number(losses.get("dense")), number(losses.get("sparse"))
    gap = f"{(sparse / dense - 1) * 100:+.2f} %" if dense and sparse is not None else ABSENT
    problems = objects(run.results.get("problems"))
    solved, untrained = (accuracy(problems, key) for key in ("trained", "untrained"))
    figures = [
        ("Parameters", count(number(parameters.get("total"))),
         f"{count(number(parameters.get('active')))} active a token"),
        ("Tokens trained", count(sums["tokens"]), "all stages"),
        ("Total time", duration(sums["seconds"]), "training"),
        ("Mean MFU", percent(sums["mfu"]), "of the measured peak"),
        ("Peak memory", megabytes(sums["peak_memory_mb"]), "highest of the stages"),
        ("Sparse against dense", gap, "loss; lower is better"),
        ("Problems solved", percent(solved), f"{percent(untrained)} before training"),
    ]  # fmt: skip
    items = (
        f"<div><dt>{name}</dt><dd>{value}<small>{about}</small></dd></div>"
        for name, value, about in figures
    )
    return f'<dl class="figures">{"".join(items)}</dl>\n'


def stages(run: Run) -> str:
    if not run.stages:
        return absent("No stage has written a metrics line yet.")
    threads = number(run.info.get("threads"))
    names = ("Time", "Tokens", "Steps", "Tokens/s", "MFU", "FLOPs", "Peak memory", "CPU core-hours")

    def cells(s: dict[str, float | None]) -> list[str]:
        hours = None if threads is None or s["seconds"] is None else s["seconds"] * threads / 3600
        return [
            duration(s["seconds"]),
            count(s["tokens"]),
            whole(s["steps"]),
            whole(s["tokens_per_second"]),
            percent(s["mfu"]),
            ABSENT if s["flops"] is None else f"{s['flops']:.2e}",
            megabytes(s["peak_memory_mb"]),
            ABSENT if hours is None else f"{hours:.2f}",
        ]

    rows = []
    for stage in run.stages:
        mark = "" if stage.summary else ' <span class="dim">(not ended)</span>'
        rows.append([text(plots.stage_title(stage)) + mark, *cells(totals(stage))])
    several = len(rows) > 1
    if several:
        rows.append(["All stages", *cells(run_totals(run))])
    if threads is None:
        cost = "CPU core-hours need the thread count, which run.json does not hold."
    else:
        cost = f"CPU core-hours: seconds × {threads:g} threads / 3600."
    return table(["Stage", *names], rows, stack=True, total=several) + dim(cost)


def losses(run: Run) -> str:
    wide = plots.loss_curves(run)
    if wide is None:
        return absent("No loss has been recorded yet.")
    narrow = plots.loss_curves(run, plots.HALF)  # the wide one is too small to read on a phone
    caption = "Shaded bands are stages; the indexer warm-up trains on KL alone, so it has no loss."
    return (
        f'<figure><div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def indexer(run: Run) -> str:
    return pair(
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


def experts(run: Run) -> str:
    load = plots.expert_load(run)
    if load is None:
        return absent("No expert load has been recorded yet.")
    return pair(
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
