"""The proof reward: a verifier scores a proof, a meta-verifier checks reasons, honesty pays.

DeepSeekMath-V2 (arXiv 2511.22570), section 2.2: alpha x the proof's score + beta x an honest
self-assessment, and nothing without the format. The formulas are in proof_scores.py.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from speciale.agents.trajectory import Trajectory
from speciale.errors import DataError
from speciale.rl.rewards.asking import Unreadable, ask, judgement, together
from speciale.rl.rewards.component import Detailed, close_if_open, question_of
from speciale.rl.rewards.grader import Grader
from speciale.rl.rewards.proof_scores import (
    ALPHA,
    ANALYSIS,
    BETA,
    EVALUATION,
    RATING,
    SCORE,
    SELF_EVALUATION,
    SOLUTION,
    Assessment,
    Check,
    agreed_score,
    honesty_reward,
    prover_reward,
    read_analysis,
    read_answer,
    read_evaluation,
    score_reward,
)
from speciale.tasks.task import Task

log = logging.getLogger(__name__)

SCALE = """\
1: the solution is complete and rigorous; each step is right and shown.
0.5: the idea carries, but details are missing or there are minor errors.
0: it does not solve the problem, has a fatal error, or leaves out what matters.
A result from elsewhere counts only with a proof of it; without one the score is below 1."""

# For prompts of proof tasks: what `read_answer` reads, and what pays.
HOW_TO_PROVE = f"""\
Solve the problem with a full proof, then judge your proof as a strict reader would. Scores:
{SCALE}
Saying where your proof is weak costs you nothing; calling a flawed proof whole does. Answer in \
this form:

{SOLUTION}
(the proof)

{SELF_EVALUATION}
{EVALUATION}
(the steps that decide, why each is right or wrong)

{SCORE}
\\boxed{{...}} (0, 0.5 or 1)"""

_VERIFY = f"""\
You are a strict reader of mathematical proofs. Go through the solution of a problem step by step, \
name each error and gap with its consequence, and score it:
{SCALE}
Reply in this form, with nothing after the score:

{EVALUATION}
...

{SCORE}
\\boxed{{...}} (0, 0.5 or 1)"""

_META = f"""\
You check an evaluation of a mathematical solution. Whether the solution is right is not your \
question, only whether the defects that the evaluation names are there in the solution, are \
described as they are, and bear out its score, which goes by:
{SCALE}
What the evaluation praises or overlooks is out of your scope: one that names no defect has none \
to be wrong about. Rate it:
0: none of the defects that it names is real.
0.5: some are real and some are not; or all are, but it misstates the solution or its score does \
not follow from them.
1: every defect that it names is real, and its score follows.
Reply in this form, with nothing after the rating:

{ANALYSIS}
...

{RATING}
\\boxed{{...}} (0, 0.5 or 1)"""


class Proof:
    """0 to 1 with the paper's weights; `details` has each part.

    The problem is `task.metadata["problem"]`, else all that the user said. An answer that is not in
    the form of HOW_TO_PROVE has 0, and nobody is asked.
    """

    name = "proof"

    def __init__(
        self,
        grader: Grader,
        *,
        verifications: int = 1,
        meta_verifications: int = 1,
        confirmations: int = 1,
        alpha: float = ALPHA,
        beta: float = BETA,
    ) -> None:
        """verifications: evaluations of each proof (n in the paper). meta_verifications: ratings of
        each that names defects, where evaluations differ, and of the self-assessment (m).
        confirmations: valid evaluations that the lowest score needs then (k)."""
        self._grader = grader
        self._verifications, self._metas = verifications, meta_verifications
        self._confirmations, self._alpha, self._beta = confirmations, alpha, beta

    async def value(self, task: Task, trajectory: Trajectory) -> float:
        """DataError where verifiers differ and no score is borne out, and where a reply cannot be
        read, the second one neither."""
        try:
            answer = read_answer(trajectory.answer)
        except Unreadable as error:
            log.debug("%s#%s: no proof in the form asked for: %s", task.source, task.id, error)
            return Detailed(0.0, {"format": 0.0})
        problem = task.metadata.get("problem") or question_of(task)
        evaluations = await together(
            [self._evaluation(problem, answer.proof) for _ in range(self._verifications)]
        )
        scores = [each.score for each in evaluations]
        score = scores[0]
        if len(set(scores)) > 1:
            score = await self._settled(problem, answer.proof, evaluations)
        near, meta = score_reward(answer.own.score, score), 0.0
        # A score as far off as can be pays nothing, whatever its reasons are.
        if near and self._beta:
            meta = await self._rating(problem, answer.proof, answer.own)
        honesty = honesty_reward(answer.own.score, score, meta)
        details = {
            "format": 1.0,
            "score": score,
            "self_score": answer.own.score,
            "meta": meta,
            "honesty": honesty,
            "disagreement": max(scores) - min(scores),
        }
        log.debug("%s#%s: %s of %s", task.source, task.id, details, [e.text for e in evaluations])
        return Detailed(prover_reward(True, score, honesty, self._alpha, self._beta), details)

    async def close(self) -> None:
        await close_if_open(self._grader)

    async def _evaluation(self, problem: str, proof: str) -> Assessment:
        data = {"problem": problem, "solution": proof}
        return await ask(
            self._grader, judgement(_VERIFY, "Evaluate this solution.", data), read_evaluation
        )

    async def _ratings(self, problem: str, proof: str, evaluation: Assessment) -> tuple[float, ...]:
        data = {"problem": problem, "solution": proof, "evaluation": evaluation.text}
        messages = judgement(_META, "Rate this evaluation of a solution.", data)
        analyses = await together(
            [ask(self._grader, messages, read_analysis) for _ in range(self._metas)]
        )
        return tuple(each.score for each in analyses)

    async def _rating(self, problem: str, proof: str, evaluation: Assessment) -> float:
        """The mean rating."""
        return sum(await self._ratings(problem, proof, evaluation)) / self._metas

    async def _settled(self, problem: str, proof: str, evaluations: Sequence[Assessment]) -> float:
        """The score by `agreed_score`, which only asks about evaluations that name defects."""
        ratings = await together(
            [
                self._ratings(problem, proof, each) if each.score < 1 else _nothing()
                for each in evaluations
            ]
        )
        checks = [Check(each.score, rated) for each, rated in zip(evaluations, ratings)]
        score = agreed_score(checks, self._confirmations)
        if score is None:
            found = ", ".join(f"{check.score:g}" for check in checks)
            raise DataError(
                f"the verifier disagrees with itself (scores {found}), and not enough of its "
                "lowest ones hold: raise verifications, or use a better verifier"
            )
        return score


async def _nothing() -> tuple[float, ...]:
    return ()
