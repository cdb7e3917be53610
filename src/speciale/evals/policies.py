"""Targets that are no model: `oracle` knows the answers, `random` guesses (suites/suite.py)."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from speciale.agents.scripted import ScriptedSampler
from speciale.evals.attempts import Question
from speciale.evals.suites.suite import Said, Suite
from speciale.evals.target import Target, side_by_side

NAMES = ("oracle", "random")


def scripted(name: str, suite: Suite, seed: int) -> Target:
    """The target of that name."""

    def answers(question: Question, turn: int) -> Iterator[Said]:
        if name == "oracle":
            return suite.oracle(question)
        return suite.guess(question, Random(f"{seed}/{question.cell}/{question.task.id}/{turn}"))

    turns: dict[str, int] = {}

    def model(question: Question) -> ScriptedSampler:
        turn = turns[question.task.id] = turns.get(question.task.id, -1) + 1
        said = answers(question, turn)

        def policy(_prompt: str) -> dict[str, Any]:
            return _message(next(said), question.thinking)

        return ScriptedSampler(policy, window=1 << 20)

    return Target(
        name=name,
        digest=f"{name}-{seed}",
        model=model,
        window=1 << 20,
        count=lambda text: -(-len(text) // 3),
        run=side_by_side,
        scripted=True,
    )


def _message(said: Said, thinking: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": said} if isinstance(said, str) else dict(said)
    if thinking:
        message.setdefault("reasoning_content", "It is known.")
    return message
