"""Every family of reasoning-gym: it generates, its own answer is right, others are not."""

import asyncio

import pytest

from speciale.tasks.gym.catalogue import CATALOGUE
from speciale.tasks.gym.source import draw, gym_tasks

# Where a puzzle has several right answers, or words around the answer do not count, the near miss
# may be one: benchmarks/reasoning_gym_check.py lists what each accepts.
SEVERAL_RIGHT = ()

PROSE = "I am not sure about this one, sorry; I would have to work on it for longer."


def near_miss(answer):
    """The last digit, or else the last letter, is another one."""
    for place in reversed(range(len(answer))):
        if answer[place].isdigit():
            return answer[:place] + str((int(answer[place]) + 5) % 10) + answer[place + 1 :]
    return answer[:-1] + ("q" if answer[-1] != "q" else "z")


@pytest.mark.parametrize("family", CATALOGUE)
def test_family(family):
    # Level 2: the easiest of sokoban, jugs and knight_swap take longest to draw.
    level = min(CATALOGUE[family].levels, 2)
    task = next(gym_tasks(family, 3, level, None, None))
    assert task.level == level and task.answer and len(task.prompt[0]["content"]) > 40
    assert draw(family, level, task.metadata["item"]).prompt == task.prompt

    async def verdicts():
        answers = [task.answer, PROSE, near_miss(task.answer)]
        return await asyncio.gather(*(task.verify(answer) for answer in answers))

    right, prose, near = asyncio.run(verdicts())
    assert right.score == 1.0
    assert prose.score < 1.0 and prose.reasons
    assert near.score < 1.0 or family in SEVERAL_RIGHT, near_miss(task.answer)
