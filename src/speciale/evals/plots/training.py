"""The figures of training: losses, indexer and experts over tokens, a band a stage."""

from collections.abc import Callable
from typing import Any

from speciale.evals.plots.drawing import ACCENT, BAND, HALF, WIDE, draw, percent, plain
from speciale.evals.records import Run, Stage, matrix, series, tokens_at, totals, vector
from speciale.svg import MUTED

MAX_LAYERS = 16  # rows of the load map; a deeper model shows this many, evenly spread
LOAD_LINES = 10  # the load map is the mean over this many last lines

STAGE_TITLES = {
    "pretrain": "Pre-training",
    "warmup": "Indexer warm-up",
    "sparse": "Sparse training",
    "sft": "Fine-tuning",
}


def stage_title(stage: Stage) -> str:
    return STAGE_TITLES.get(stage.name, stage.name)


def loss_curves(run: Run, size: tuple[float, float] = WIDE) -> str | None:
    """Train, validation and MTP loss (nats a token) over tokens, one band a stage."""
    drawn = {
        "train": [series(stage, stage.train, "loss") for stage in run.stages],
        "MTP (token after next)": [series(stage, stage.train, "mtp_loss") for stage in run.stages],
        "validation": [series(stage, stage.valid, "loss") for stage in run.stages],
    }
    drawn = {label: lines for label, lines in drawn.items() if any(x for x, _ in lines)}
    if not drawn:
        return None
    styles: dict[str, dict[str, Any]] = {
        "train": {"color": ACCENT, "alpha": 0.5, "linewidth": 1.1},
        "MTP (token after next)": {"color": MUTED, "linewidth": 1.0, "linestyle": (0, (3, 2))},
        "validation": {"color": ACCENT, "linewidth": 1.2, "marker": "o", "markersize": 3.5},
    }

    def paint(ax) -> None:
        for label, lines in drawn.items():
            for index, (x, y) in enumerate(lines):
                ax.plot(x, y, label="_" if index else label, zorder=3, **styles[label])
        _token_axis(ax, run.stages, size[0])
        ax.set_ylabel("loss, nats a token")
        ax.legend(loc="lower left" if size[0] > HALF[0] else "best", ncols=3 if size == WIDE else 1)

    return draw(f"loss{'' if size == WIDE else '-narrow'}", size, "Loss over tokens", paint)


def indexer_kl(run: Run) -> str | None:
    """KL divergence from the indexer's distribution to the attention's, over tokens."""
    stages = [stage for stage in run.stages if series(stage, stage.train, "indexer_kl")[0]]
    if not stages:
        return None

    def paint(ax) -> None:
        values: list[float] = []
        for stage in stages:
            x, y = series(stage, stage.train, "indexer_kl")
            ax.plot(x, y, color=ACCENT, linewidth=1.4)
            values += y
        if min(values) > 0 and max(values) > 10 * min(values):
            ax.set_yscale("log")
            # The log formatter writes powers in mathtext, which is switched off here.
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.yaxis.set_minor_formatter(lambda value, _: "")
        else:
            ax.set_ylim(bottom=0)
        _token_axis(ax, stages, HALF[0])
        ax.set_ylabel("KL, nats")

    return draw("kl", HALF, "Indexer KL over tokens", paint)


def indexer_recall(run: Run) -> str | None:
    """Share of the true top-k attention that the indexer finds (0 to 1), a line a layer."""
    stages, lines = _per_layer(run, lambda row: vector(row.get("recall")))
    if not lines:
        return None

    def paint(ax) -> None:
        _layer_lines(ax, lines)
        ax.set_ylim(0, 1)
        percent(ax.yaxis)
        _token_axis(ax, stages, HALF[0])
        ax.set_ylabel("recall of the top k")

    return draw("recall", HALF, "Indexer recall over tokens, a line a layer", paint)


def load_balance(run: Run) -> str | None:
    """The busiest expert's share as a multiple of the uniform share, a line a MoE layer."""

    def worst(row: dict) -> list[float] | None:
        shares = matrix(row.get("expert_load"))
        return [max(layer) * len(layer) for layer in shares] if shares else None

    stages, lines = _per_layer(run, worst)
    if not lines:
        return None

    def paint(ax) -> None:
        _layer_lines(ax, lines)
        ax.axhline(1, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        ax.set_ylim(bottom=0)
        _token_axis(ax, stages, HALF[0])
        ax.set_ylabel("busiest expert / uniform")

    return draw("balance", HALF, "Load of the busiest expert over tokens", paint)


def expert_load(run: Run) -> str | None:
    """Map of the load, a row a MoE layer, a column an expert, mean of the last lines."""
    rows = (row for stage in run.stages for row in stage.train)
    found = [shares for row in rows if (shares := matrix(row.get("expert_load")))]
    if not found:
        return None
    layers, experts = len(found[-1]), len(found[-1][0])
    last = [m for m in found[-LOAD_LINES:] if (len(m), len(m[0])) == (layers, experts)]
    shown = sorted({round(i * (layers - 1) / (MAX_LAYERS - 1)) for i in range(MAX_LAYERS)})

    def paint(ax) -> None:
        from matplotlib.collections import PolyCollection
        from matplotlib.colors import to_rgba

        cells, colors = [], []
        for place, layer in enumerate(shown):
            top, bottom = place + 0.05, place + 0.95
            for expert in range(experts):
                left, right = expert + 0.05, expert + 0.95
                cells.append([(left, top), (right, top), (right, bottom), (left, bottom)])
                share = sum(m[layer][expert] for m in last) / len(last)
                depth = min(1.0, max(0.0, share * experts / 2))  # 1 at twice the uniform share
                colors.append(to_rgba(ACCENT, depth))
        ax.add_collection(PolyCollection(cells, facecolors=colors, linewidths=0))
        ax.set_xlim(0, experts)
        ax.set_ylim(len(shown), 0)
        ax.grid(False)
        ax.set_facecolor(BAND)
        every = max(1, experts // 8)
        ax.set_xticks([e + 0.5 for e in range(0, experts, every)], range(0, experts, every))
        ax.set_yticks([place + 0.5 for place in range(len(shown))], shown)
        ax.set_xlabel("expert")
        ax.set_ylabel("MoE layer")

    return draw("load", HALF, f"Load of {experts} experts in {layers} MoE layers", paint)


Lines = list[tuple[list[float], list[float]]]


def _per_layer(
    run: Run, read: Callable[[dict], list[float] | None]
) -> tuple[list[Stage], list[Lines]]:
    """The stages whose lines `read` gives values for, and per layer its lines, one a stage
    (tokens, values), so that a curve does not bridge a stage without values."""
    stages: list[Stage] = []
    layers: list[Lines] = []
    for stage in run.stages:
        rows = [(tokens_at(stage, row), read(row)) for row in (*stage.train, *stage.valid)]
        rows = sorted((x, values) for x, values in rows if x is not None and values)
        if not rows:
            continue
        stages.append(stage)
        for layer in range(max(len(values) for _, values in rows)):
            if layer == len(layers):
                layers.append([])
            kept = [(x, values[layer]) for x, values in rows if layer < len(values)]
            layers[layer].append(([x for x, _ in kept], [y for _, y in kept]))
    return stages, layers


def _layer_lines(ax, layers: list[Lines]) -> None:
    """One line a layer, from faint (first) to full (last); a long legend keeps three entries."""
    count = len(layers)
    named = range(count) if count <= 6 else (0, count // 2, count - 1)
    for layer, lines in enumerate(layers):
        depth = 0.3 + 0.7 * (layer / (count - 1) if count > 1 else 1)
        for index, (x, y) in enumerate(lines):
            label = f"layer {layer}" if layer in named and not index else "_"
            mark = "o" if len(x) == 1 else None  # which would be no line
            ax.plot(x, y, color=ACCENT, alpha=depth, linewidth=1.3, label=label, marker=mark)
    ax.legend(loc="best", ncols=2 if len(named) > 3 else 1)


def _token_axis(ax, stages: list[Stage], inches: float) -> None:
    """Tokens on x from the first to the last of `stages`, with alternate bands and their names."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    ends = []
    for stage in stages:
        places = [tokens_at(stage, row) for row in (*stage.train[-1:], *stage.valid[-1:])]
        places.append(stage.start + (totals(stage)["tokens"] or 0.0))
        ends.append(max(x for x in places if x is not None))
    low, high = stages[0].start, max(ends)
    for index, (stage, end) in enumerate(zip(stages, ends)):
        if index % 2 == 0:
            ax.axvspan(stage.start, end, color=BAND, linewidth=0, zorder=0)
        # A letter takes about 0.085 inch here; without room even for the short name: none.
        room = inches * 0.85 * (end - stage.start) / ((high - low) or 1)
        names = (
            name
            for name in map(plain, (stage_title(stage), stage.name))
            if len(name) * 0.085 < room
        )
        if (name := next(names, None)) is not None:
            ax.annotate(
                name,
                ((stage.start + end) / 2, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                color=MUTED,
            )
    if high > low:
        ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(MaxNLocator(max(4, round(inches))))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.set_xlabel("tokens")
