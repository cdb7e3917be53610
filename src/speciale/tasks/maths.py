"""Mathematics: an answer is right where math-verify finds it equal to the reference.

Numbers, expressions, sets, intervals, equations and matrices, in LaTeX or plain; run in the
sandbox with a time limit, since sympy may work on `9^{9^{9^9}}` for ever.
"""

from __future__ import annotations

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.tasks import answers
from speciale.tasks.task import Attempt, Verdict
from speciale.tasks.worker import ask

SECONDS = 10


async def verify_maths(right: str, attempt: Attempt, sandbox: Sandbox | None = None) -> Verdict:
    """1.0 where the final answer equals `right`. DataError where `right` is no mathematics."""
    answer = answers.final_answer(attempt.answer)
    if not answer:
        return Verdict(0.0, ("The answer is empty.",))
    if len(answer) > answers.MOST:
        return Verdict(0.0, (f"The answer has {len(answer):,} characters: too many to score.",))
    marked = answer != attempt.answer.strip()
    reply = await ask(sandbox, "judge", SECONDS, right=right, answer=answer, marked=marked)
    if reply.trouble == "ValueError: no mathematics":
        raise DataError(
            f"the reference answer {right!r} is no mathematics that math-verify reads: "
            "write it in LaTeX, or use another verifier."
        )
    if reply.trouble:
        return Verdict(0.0, (f"The answer could not be scored: {reply.trouble}.",))
    if reply.value["equal"]:
        return Verdict(1.0)
    if reply.value["read"] is None:
        return Verdict(0.0, (f"There is no mathematics in {answers.shown(answer)}.",))
    read = answers.shown(reply.value["read"])
    return Verdict(0.0, (f"The answer reads as {read}, which does not equal {right!r}.",))
