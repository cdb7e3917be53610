"""Nothing that the engine does to go fast changes an answer, and no page is ever lost.

1,000 random requests (mixed lengths, shared prefixes, chunks, preemption, cancellation, drafts),
each answer against one plain forward pass: greedy ids equal, log-probs within 1e-4. Then a million
random steps of the scheduler over simulated pages, whose contents and counts are checked at every
step.

    python benchmarks/engine_exactness.py     # about 3 minutes
"""

import sys
from pathlib import Path

from _results import write

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from engine.exactness import check
from engine.schedule_simulation import simulate
from model.configs import random_model, tiny_config

if __name__ == "__main__":
    model = random_model(tiny_config(index_topk=20))
    rows = []
    for name, speculate in (("no drafts", False), ("drafts", True)):
        counts = check(model, 1000, seed=4, speculate=speculate)
        rows.append({"what": f"1,000 requests, {name}", **counts})
    counts = simulate(1_000_000, seed=1)
    rows.append({"what": "1,000,000 scheduler steps", **counts})
    write("engine_exactness", rows)
