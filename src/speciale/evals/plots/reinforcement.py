"""The curves of an RL run over its steps, small and side by side."""

from speciale.evals.plots.drawing import ACCENT, SMALL, draw, legend_above, percent
from speciale.evals.rl_records import Curve, RlRecords
from speciale.svg import MUTED, SMOOTH, smoothed, thinned


def curves(name: str, records: RlRecords) -> list[tuple[str, str | None]]:
    """(title, figure, or None of what was not recorded). name: keeps ids of runs apart."""
    kl = records.curve("kl")
    if not any(kl[1]):
        kl = [], []  # a run without a reference writes zeros
    return [
        ("Reward", _curve(f"{name}-reward", "Reward over steps", records.curve("reward", "mean"))),
        ("pass@1 on held-out tasks", _pass1(f"{name}-pass1", records)),
        ("Sampled tokens of an attempt",
         _curve(f"{name}-length", "Length over steps", records.curve("length", "mean"), "tokens")),
        ("Entropy",
         _curve(f"{name}-entropy", "Entropy over steps", records.curve("entropy"), "nats")),
        ("KL from the reference",
         _curve(f"{name}-kl", "KL from the reference over steps", kl, "nats a token")),
        ("KL of sampler and trainer",
         _curve(f"{name}-gap", "KL of sampler and trainer over steps", records.curve("gap", "kl"),
                "nats a token")),
    ]  # fmt: skip


def _curve(name: str, label: str, curve: Curve, unit: str = "") -> str | None:
    """Every step faint, the running mean in full."""
    if not curve[0]:
        return None
    x, y = map(thinned, curve)

    def paint(ax) -> None:
        noisy = len(y) >= SMOOTH
        if noisy:
            ax.plot(x, y, color=ACCENT, alpha=0.3, linewidth=0.8)
        mark = "o" if len(x) == 1 else None
        ax.plot(x, smoothed(y) if noisy else y, color=ACCENT, linewidth=1.4, marker=mark)
        if min(y) >= 0:
            ax.set_ylim(bottom=0)
        if max(map(abs, y)) < 0.01:
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}" if value else "0")
        _step_axis(ax)
        ax.set_ylabel(unit)

    return draw(name, SMALL, label, paint)


def _pass1(name: str, records: RlRecords) -> str | None:
    """Of environments trained on and of others."""
    trained, others = records.pass1(True), records.pass1(False)
    lines = [("trained on", trained, ACCENT, "o"), ("never trained on", others, MUTED, "s")]
    lines = [line for line in lines if line[1][0]]
    if not lines:
        return None

    def paint(ax) -> None:
        for label, (x, y), colour, mark in lines:
            ax.plot(x, y, color=colour, marker=mark, markersize=3.5, linewidth=1.4, label=label)
        ax.set_ylim(0, 1.03)
        percent(ax.yaxis)
        _step_axis(ax)
        legend_above(ax)

    return draw(name, SMALL, "pass@1 on held-out tasks over steps", paint)


def _step_axis(ax) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.set_xlabel("step")
