"""Folders as `speciale eval` and `speciale rl` leave them, with figures that a test can know."""

import json
import math
from pathlib import Path

LENGTHS = (1024, 2048, 4096)
BUDGETS = (0, 8, 32)


def row(cell, pass1, budget=None, samples=4):
    """A row as it is kept; pass1 None: nothing of the cell could be measured."""
    if pass1 is None:
        figures = dict.fromkeys(("pass1", "interval", "k", "passk", "score", "tokens_per_solved"))
        figures |= {"tasks": 0, "samples": 0, "passes": [], "not_measured": 80}
    else:
        passes = [1 - (1 - pass1) ** k for k in range(1, samples + 1)]
        figures = {"tasks": 20, "samples": samples, "pass1": pass1, "passes": passes}
        figures |= {"interval": [max(0, pass1 - 0.1), min(1, pass1 + 0.1)], "not_measured": 0}
        figures |= {"k": samples, "passk": passes[-1], "score": pass1, "tokens_per_solved": 60.0}
    return {"cell": cell, "budget": budget, "chance": 0.05, "cost_per_solved": None} | figures


def keep(run: Path, name: str, suite: str, rows: list) -> Path:
    path = run / "evals" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {"seed": 3, "samples": 4, "temperature": 1.0}
    path.write_text(json.dumps({"suite": suite, "rows": rows, "settings": settings}))
    return path


def keep_all(run: Path, better: float = 0.0) -> None:
    """Every kind of evaluation; `better` is added to what was solved."""
    cells = {"problems/gcd@1": 0.5, "problems/count_bits@1": 0.2, "reasoning-gym/lost@1": None}
    rows = [row(cell, None if p is None else p + better) for cell, p in cells.items()]
    keep(run, "reasoning", "reasoning", [*rows, row("all", 0.35 + better)])
    keep(
        run, "reasoning-budgets", "reasoning",
        [
            row(cell, None if better and budget == 8 else 0.1 + budget / 100 + better, budget)
            for budget in BUDGETS
            for cell in ("problems/gcd@1", "problems/count_bits@1", "all")
        ],
    )  # fmt: skip
    asked = [("needle", 0.9, LENGTHS), ("words", 0.0, LENGTHS[:2])]
    cells = {f"{kind}@{length}": p for kind, p, lengths in asked for length in lengths}
    cells["needle@4096"] = None
    keep(run, "longctx", "longctx", [row(cell, p) for cell, p in cells.items()])


def write_rl(run: Path, name: str, model: Path, steps: int = 60, reference: bool = True) -> Path:
    """An RL run: reward up, answers longer, entropy down; without a reference its KL is 0."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps({"name": name}))
    (run / "recipe.toml").write_text(
        f"name = {json.dumps(name)}\nmodel = {json.dumps(str(model))}\n[domains.mathematics]\n"
    )
    lines = []
    for step in range(steps + 1):
        if step % 20 == 0:
            rows = [
                {"domain": "mathematics", "trained": trained, "split": split, "pass1": pass1}
                for trained, split, pass1 in (
                    (True, "heldout", 0.2 + step / 100),
                    (True, "heldout", 0.4 + step / 100),
                    (False, "heldout", 0.1),
                    (True, "train", 1.0),
                )
            ]
            lines.append({"kind": "eval", "step": step, "rows": rows})
        if step:
            line = {"kind": "step", "step": step, "seconds": 9.0 * step}
            line |= {"reward": {"mean": step / 100}, "length": {"mean": 50.0 + step}}
            line |= {"entropy": math.exp(-step / 30), "kl": step * 1e-5 if reference else 0.0}
            lines.append(line | {"gap": {"mean": 1e-3, "kl": 2e-4}})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


TOKEN_COST = {
    "k": 64,
    "threads": 1,
    "rows": [
        {"position": 2**n, "sparse": 1e-3 + 1e-8 * 2**n, "dense": 1e-3 + 2.5e-7 * 2**n}
        for n in range(7, 13)
    ],
}


def add_token_cost(run: Path, found=TOKEN_COST) -> None:
    path = run / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"token_cost": found}))
