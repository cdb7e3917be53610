"""Every family of reasoning-gym: it generates, its own answer is right, others are not."""

import asyncio

import pytest

from speciale.tasks.gym.catalogue import CATALOGUE
from speciale.tasks.gym.source import draw, gym_tasks

# The second, since the first of some takes longest to draw; its third is the quickest of this one.
LEVELS = {"knight_swap": 3}

PROSE = "I am not sure about this one, sorry; I would have to work on it for longer."


def near_miss(answer):
    """The first digit, or else the last letter, is another one."""
    for place in range(len(answer)):
        if answer[place].isdigit():
            return answer[:place] + str((int(answer[place]) + 5) % 10) + answer[place + 1 :]
    return answer[:-1] + ("q" if answer[-1] != "q" else "z")


@pytest.mark.parametrize("family", CATALOGUE)
def test_family(family):
    level = LEVELS.get(family, min(CATALOGUE[family].levels, 2))
    task = next(gym_tasks(family, 3, level, None, None))
    assert task.level == level and task.answer and len(task.prompt[0]["content"]) > 40
    # The same after another item, unless that took so long that it was drawn alone.
    drawn = draw(family, level, [5, task.metadata["item"]])
    assert len(drawn) == 1 or drawn[1].prompt == task.prompt

    async def verdicts():
        answers = [task.answer, PROSE, near_miss(task.answer)]
        return await asyncio.gather(*(task.verify(answer) for answer in answers))

    right, prose, near = asyncio.run(verdicts())
    assert right.score == 1.0
    assert prose.score < 1.0 and prose.reasons
    assert near.score < 1.0, near_miss(task.answer)
