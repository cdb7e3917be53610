"""What the page tells of the RL that began from the run's model."""

from pathlib import Path

from speciale.evals.history import run_label
from speciale.evals.plots.reinforcement import curves
from speciale.evals.report.pieces import absent, dim, duration, text
from speciale.evals.rl_records import read_rl


def reinforcement(runs: list[Path]) -> str:
    if not runs:
        return absent(
            "No RL from this model is there yet: <code>speciale rl RECIPE --set model=RUN</code>."
        )
    return "".join(_run(number, run) for number, run in enumerate(runs))


def _run(number: int, run: Path) -> str:
    head = f"<h3>{text(run_label(run))}</h3>\n"
    records = read_rl(run)
    figures = curves(f"rl-{number}", records)
    drawn = [(title, svg) for title, svg in figures if svg is not None]
    if not drawn:
        return head + absent("No step has been recorded yet.")
    steps = len(records.steps)
    about = f"{steps:,} step{'' if steps == 1 else 's'} recorded in {duration(records.seconds)}."
    missing = [title for title, svg in figures if svg is None]
    if missing:
        about += f" Not recorded: {', '.join(missing)}."
    about += " Faint: every step; full: a running mean. More is in the RL run's own report.html."
    items = "".join(f"<figure><h4>{title}</h4>{svg}</figure>\n" for title, svg in drawn)
    return f'{head}{dim(about)}<div class="trio">{items}</div>'
