"""report.html of a run folder: one page that needs no script, no network and no other file.
A run in progress or killed gets the same page: each part shows what is there, or says that it is
not there yet. All text of a run is escaped, and a policy in the page forbids scripts.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from speciale.evals.history import rl_runs
from speciale.evals.records import Run, mapping, number, read_run
from speciale.evals.report import evaluation, results, training
from speciale.evals.report.pieces import absent, section, text
from speciale.evals.report.reinforcement import reinforcement
from speciale.evals.report.style import STYLE
from speciale.files import write_atomic

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
    reinforced = rl_runs(run.path)
    asked = evaluation.read_asked(run, reinforced)  # first, since it adds to the run's notes
    parts = [
        _head(run),
        training.key_figures(run),
        section("Stages", training.stages(run)),
        section("Loss", training.losses(run)),
        section("Indexer", training.indexer(run)),
        section("Experts", training.experts(run)),
        section("Sparse against dense attention", results.attention(run)),
        section("Token cost against position", results.token_cost(run)),
        section("Problems", results.problems(run)),
        section("Evaluation", evaluation.suites(asked)),
        section("Accuracy against thinking tokens", evaluation.thinking(asked)),
        section("Long context", evaluation.long_context(asked)),
        section("Reinforcement learning", reinforcement(reinforced)),
        section("Samples", results.samples(run)),
        section("How to repeat it", _provenance(run)),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{text(run.name)}: run report</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def _head(run: Run) -> str:
    started = number(run.info.get("started"))
    when = ""
    if started is not None and 0 <= started < 1e11:
        when = f", started {datetime.fromtimestamp(started, UTC):%d %B %Y, %H:%M} UTC"
    out = f'<h1>{text(run.name)}</h1>\n<p class="dim">Run report{when}</p>\n'
    if run.notes:
        items = "".join(f"<li>{text(note)}</li>" for note in run.notes)
        out += f'<div class="notes">This page is not complete:<ul>{items}</ul></div>\n'
    return out


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
    rows = "".join(f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in facts.items())
    command = info.get("command")
    out = f"<pre>{text(command)}</pre>" if command else absent("The command is not recorded.")
    out += f'<dl class="facts">{rows}</dl>'
    if config := mapping(info.get("config")):
        shown = text(json.dumps(config, indent=2, ensure_ascii=False))
        out += f"<details><summary>Model configuration</summary><pre>{shown}</pre></details>"
    if run.recipe is None:
        return out + absent("recipe.toml is not there yet.")
    recipe = f"<pre>{text(run.recipe)}</pre>"
    return f"{out}<details><summary>Resolved recipe</summary>{recipe}</details>"
