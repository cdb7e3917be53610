"""DeepSeekMath-V2's rewards as pure functions, and the texts that they are computed from.

arXiv 2511.22570, equations 1 to 6, and the labelling rule of its section 2.3. Scores are 0 (wrong),
0.5 (right but for minor gaps) or 1 (complete and rigorous); so are the scores of analyses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from speciale.rl.rewards.asking import Unreadable

ALPHA, BETA = 0.76, 0.24  # the paper's weights of proof and self-assessment

# The phrases that the paper's format reward looks for; models trained that way write them.
SOLUTION, SELF_EVALUATION = "## Solution", "## Self Evaluation"
EVALUATION = "Here is my evaluation of the solution:"
SCORE = "Based on my evaluation, the final overall score should be:"
ANALYSIS = 'Here is my analysis of the "solution evaluation":'
RATING = 'Based on my analysis, I will rate the "solution evaluation" as:'

_CONFIRMS = 0.5  # from this rating on, some of the defects that an evaluation names are real
_MAJORITY = 0.5
_BOXED = r"\s*\$*\\boxed\{\s*(0|0\.5|1)\s*\}\$*\.?\s*\Z"
_ENDINGS = {phrase: re.compile(re.escape(phrase) + _BOXED) for phrase in (SCORE, RATING)}


@dataclass(frozen=True)
class Assessment:
    """A verifier's evaluation, a meta-verifier's analysis, or a prover's view of its own proof."""

    text: str  # all of it
    score: float


@dataclass(frozen=True)
class ProverAnswer:
    proof: str
    own: Assessment


def read_evaluation(text: str) -> Assessment:
    """A verifier's reply. Unreadable where a phrase is missing, or the reply does not end with the
    score: one that stands elsewhere may be quoted from the proof."""
    return _assessment(text, EVALUATION, SCORE)


def read_analysis(text: str) -> Assessment:
    """A meta-verifier's reply, likewise."""
    return _assessment(text, ANALYSIS, RATING)


def read_answer(text: str) -> ProverAnswer:
    """A prover's answer: its proof under SOLUTION, its assessment under SELF_EVALUATION, each once
    and in this order. Unreadable for anything else."""
    parts = re.split(rf"^({SOLUTION}|{SELF_EVALUATION})[ \t]*$", text.strip(), flags=re.MULTILINE)
    if [parts[0], *parts[1::2]] != ["", SOLUTION, SELF_EVALUATION]:
        raise Unreadable(f"it is not {SOLUTION!r} and then {SELF_EVALUATION!r}, each once")
    proof, own = parts[2].strip(), parts[4].strip()
    if not proof:
        raise Unreadable(f"nothing stands under {SOLUTION!r}")
    return ProverAnswer(proof, read_evaluation(own))


def score_reward(predicted: float, right: float) -> float:
    """R_score, equation 1."""
    return 1 - abs(predicted - right)


def verifier_reward(formatted: bool, predicted: float, label: float, meta: float = 1.0) -> float:
    """R_V of an evaluation, equation 3: R_format R_score R_meta. With `meta` 1 it is equation 2,
    the reward before there is a meta-verifier.

    formatted: read_evaluation reads it. predicted: its score. label: the right one. meta: the
    meta-verifier's rating of it, which keeps a right score with invented defects from paying.
    """
    return float(formatted) * score_reward(predicted, label) * meta


def meta_verifier_reward(formatted: bool, predicted: float, label: float) -> float:
    """Of an analysis: as equation 2, with the rating of an expert as label (section 2.1.2)."""
    return float(formatted) * score_reward(predicted, label)


def honesty_reward(own: float, score: float, meta: float) -> float:
    """R_Z, equation 6: how near a prover's own score is to the verifier's, times the rating of its
    reasons. An admitted gap pays, a false claim of a whole proof does not."""
    return score_reward(own, score) * meta


def prover_reward(
    formatted: bool, score: float, honesty: float, alpha: float = ALPHA, beta: float = BETA
) -> float:
    """Equation 5: R_format (alpha R_Y + beta R_Z). Format is in front of all, not of R_Y alone."""
    return float(formatted) * (alpha * score + beta * honesty)


@dataclass(frozen=True)
class Check:
    """The score of one evaluation, and how meta-verifiers rated it (nobody does where it is 1)."""

    score: float
    ratings: tuple[float, ...] = ()

    @property
    def valid(self) -> bool:
        """Names defects, and most of the ratings say that at least some of them are real."""
        confirmed = sum(rating >= _CONFIRMS for rating in self.ratings)
        return self.score < 1 and confirmed > _MAJORITY * len(self.ratings)


def agreed_score(checks: Sequence[Check], least: int = 1) -> float | None:
    """The score of a proof whose evaluations differ, by the paper's rule (2.3): the lowest, where
    at least `least` evaluations with it are valid; 1 where none of any score is valid; else None,
    and the proof is not used.

    So not the majority: a gap that one reader finds and that holds is a gap.
    """
    valid = [check.score for check in checks if check.valid]
    lowest = min(check.score for check in checks)
    if valid.count(lowest) >= least:
        return lowest
    return None if valid else 1.0


def _assessment(text: str, opening: str, ending: str) -> Assessment:
    text = text.strip()
    if opening not in text:
        raise Unreadable(f"it lacks {opening!r}")
    found = _ENDINGS[ending].search(text)
    if found is None:
        raise Unreadable(
            f"it does not end with {ending!r} and then \\boxed{{0}}, \\boxed{{0.5}} or \\boxed{{1}}"
        )
    return Assessment(text, float(found[1]))
