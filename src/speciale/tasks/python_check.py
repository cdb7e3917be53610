"""A verifier of the user's own: `verify(answer, messages) -> float | (float, reason)`.

Each verdict is a program of its own in a fresh cell of the sandbox, with the code and the attempt
as files: neither a model's answer nor the code can reach another verdict.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from speciale.sandbox import Limits, Sandbox, default_sandbox, limit_named
from speciale.tasks.environment import Message
from speciale.tasks.task import Verdict

LIMITS = Limits(wall_s=30)

# The code may print: only what goes to the first standard output, kept here, is the result.
RUN = """
import json, os, traceback
result = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
with open("attempt.json") as file:
    attempt = json.load(file)
try:
    from check import verify
    given = verify(attempt["answer"], attempt["messages"])
except Exception as error:
    given = [0.0, f"verify raised {type(error).__name__}: {error}"]
json.dump(given, result)
"""


async def verify_by_code(
    code: str, answer: str, messages: Sequence[Message], sandbox: Sandbox | None = None
) -> Verdict:
    """Runs `code`, which defines `verify`, on the final answer and the whole conversation."""
    files = {
        "run.py": RUN.encode(),
        "check.py": code.encode(),
        "attempt.json": json.dumps({"answer": answer, "messages": list(messages)}).encode(),
    }
    outcome = await (sandbox or default_sandbox()).run(
        ["python3", "run.py"], files=files, limits=LIMITS
    )
    if outcome.stopped:
        limit = limit_named(outcome.stopped, LIMITS)
        return Verdict(0.0, (f"verify was stopped by its limit on {limit}.",))
    try:
        return _verdict(json.loads(outcome.stdout))
    except (ValueError, RecursionError):
        last = outcome.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        return Verdict(0.0, (f"verify gave no result: {last[0][:300]}.",))


def _verdict(given: Any) -> Verdict:
    score, reason = given if isinstance(given, list) and len(given) == 2 else (given, None)
    if isinstance(score, bool):
        score = float(score)
    if not isinstance(score, int | float) or not 0 <= score <= 1:
        return Verdict(0.0, (f"verify returned {score!r:.100}, not a number from 0 to 1.",))
    if score == 1:
        return Verdict(1.0)
    return Verdict(float(score), (str(reason or f"verify gave {score}."),))
