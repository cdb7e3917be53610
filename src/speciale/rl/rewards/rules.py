"""Rewards by rule: outcome, length, format, language. No model is asked.

V3.2 report, section 3.1: rule-based outcome, length penalty and language consistency (the last as
in DeepSeek-R1, arXiv 2501.12948, 2.3.2). Mathematics needs no rule of its own: the verifier of such
a task is math-verify (tasks/maths.py), and its verdict is the outcome.
"""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer

from speciale.agents.trajectory import Trajectory
from speciale.chat import THINK_OPEN, ChatFormatError, parse
from speciale.chat.ids import mark_id
from speciale.errors import ConfigError, DataError
from speciale.rl.rewards.component import question_of, text_of
from speciale.rl.rewards.scripts import share_in, wanted_scripts
from speciale.tasks.task import Task


class Outcome:
    """The score of the task's verifier, 0 to 1."""

    name = "outcome"

    async def value(self, task: Task, trajectory: Trajectory) -> float:
        """DataError where there is no score, or one that no verdict has."""
        score = trajectory.score
        if score is None:
            raise DataError(f"the attempt at {task.source}#{task.id} has no score: verify it first")
        if not 0 <= score <= 1:
            raise DataError(
                f"the verifier of {task.source}#{task.id} gave {score}: mend it, scores go from "
                "0 to 1"
            )
        return float(score)


class Length:
    """Minus sampled tokens / limit, at least -1, for attempts that solved the task; else 0.

    A group's advantages are differences: were failures charged too, a short failure would rank
    above a long one and a group without a success would teach to give up early. So length only
    ranks right answers among each other. Speciale weighs it far less, and thinks longer.
    """

    name = "length"

    def __init__(self, limit: int) -> None:
        """limit: sampled tokens, all steps together, at which the penalty is whole."""
        if limit < 1:
            raise ConfigError(f"length_limit is {limit}: give the tokens of a long answer")
        self.limit = limit

    async def value(self, task: Task, trajectory: Trajectory) -> float:
        if trajectory.score != 1:
            return 0.0
        return -min(1.0, trajectory.sampled_tokens / self.limit)


class Format:
    """1 where all that the model wrote could be read and it came to an answer; else 0.

    That is: each message has a call or an answer behind its thinking, no call was lost, and the
    last message ended by itself. With a tokenizer the sampled ids are read again, strictly, which
    also finds what lenient reading mended: calls inside the thinking, stray marks, a lost call
    beside a good one, a missing end mark.
    """

    name = "format"

    def __init__(self, tokenizer: Tokenizer | None = None) -> None:
        self._tokenizer = tokenizer

    async def value(self, task: Task, trajectory: Trajectory) -> float:
        steps = trajectory.steps
        if trajectory.stop != "answer" or not steps or steps[-1].finish != "stop":
            return 0.0
        # Thinking that was never closed took all of the message with it.
        if not all(_says_something(step.message) for step in steps):
            return 0.0
        # A message without calls ends a turn, unless its calls could not be read: then the loop
        # asks for them again, and there are more such messages than turns.
        ended = sum(not step.message.get("tool_calls") for step in steps)
        if ended != len(task.turns) + 1:
            return 0.0
        return float(self._tokenizer is None or self._reads_strictly(trajectory))

    def _reads_strictly(self, trajectory: Trajectory) -> bool:
        assert self._tokenizer is not None
        think_open = mark_id(self._tokenizer, THINK_OPEN)
        for number, step in enumerate(trajectory.steps):
            if not step.ids:  # only the server has them
                continue
            thinking = trajectory.prompt(number)[-1:] == [think_open]
            text = self._tokenizer.decode(step.ids, skip_special_tokens=False)
            try:
                parse(text, "thinking" if thinking else "chat")
            except ChatFormatError:
                return False
        return True


class Language:
    """The share of the letters of thinking and answers that are in the script of the question.

    R1 counts words in the target language; letters by script need no language model. Code, LaTeX,
    <...> tags and single letters (variables) do not count; without letters it is 1.
    """

    name = "language"

    async def value(self, task: Task, trajectory: Trajectory) -> float:
        wanted = wanted_scripts(question_of(task))
        if not wanted:  # "12 + 30 =" asks for no language
            return 1.0
        said = "\n\n".join(
            text_of(step.message.get(key))
            for step in trajectory.steps
            for key in ("reasoning_content", "content")
        )
        return share_in(said, wanted)


def _says_something(message: dict[str, Any]) -> bool:
    return bool(message.get("tool_calls")) or bool(text_of(message.get("content")).strip())
