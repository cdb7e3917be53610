"""Our results and verdicts beside those of BFCL's own executor and checker, which evaluate calls
as Python: done here with calls out of BFCL's answers alone, and with mistakes made of them.
"""

import asyncio
import json
from itertools import count

import pytest
from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_utils
from bfcl_eval.eval_checker.multi_turn_eval.multi_turn_checker import multi_turn_checker
from bfcl_trajectories import attempt, excuse, gold, live, wrong_ones

from speciale.tasks.bfcl import CATEGORIES, bfcl_tasks
from speciale.tasks.bfcl.data import cases

WORLDS = [name for name, category in CATEGORIES.items() if category.kind == "worlds"]
numbers = count()


def spoken(turns):
    """Calls as BFCL takes them from a model."""

    def text(call):
        values = ", ".join(f"{key}={value!r}" for key, value in call["arguments"].items())
        return f"{call['name']}({values})"

    return [[text(call) for call in calls] for calls in turns]


def forget():
    """BFCL keeps each run's instances in the globals of its module."""
    for name in [name for name in vars(multi_turn_utils) if name.endswith("_instance")]:
        delattr(multi_turn_utils, name)


def their_verdict(case, category, turns):
    texts = [[[call] for call in calls] for calls in spoken(turns)]
    model = f"m{next(numbers)}"
    verdict = multi_turn_checker(texts, case["ground_truth"], case, category, model)
    forget()
    return float(verdict["valid"])


def their_results(case, category, turns):
    results = []
    for calls in spoken(turns):
        texts, _ = multi_turn_utils.execute_multi_turn_func_call(
            calls,
            case["initial_config"],
            case["involved_classes"],
            "r",
            case["id"],
            long_context=category == "multi_turn_long_context",
        )
        results += texts
    forget()
    return results


async def compare(category, many):
    rows = {case["id"]: case for case in cases(category)}
    compared = 0
    for task in bfcl_tasks(category, many, seed=5):
        case = rows[task.id]
        async with task.open() as environment:
            done = await live(task, gold(task), environment)
        ours = [message["content"] for message in done.messages if message["role"] == "tool"]
        assert ours == their_results(case, category, gold(task)), task.id
        wrong = list(wrong_ones(task))
        tries = [gold(task), *(one.turns for one in wrong)]
        verdicts = await asyncio.gather(*(task.verify(attempt(task, turns)) for turns in tries))
        for turns, verdict in zip(tries, verdicts):
            theirs = their_verdict(case, category, turns)
            assert verdict.score == theirs, (task.id, json.dumps(turns), verdict)
        assert verdicts[0].score == 1.0, task.id
        for one, verdict in zip(wrong, verdicts[1:]):
            assert not verdict.score or await excuse(task, one), (task.id, one)
        compared += len(tries)
    print(f"\n{category}: {compared} verdicts are BFCL's")


@pytest.mark.parametrize("category", WORLDS)
def test_results_and_verdicts_are_bfcls(category):
    asyncio.run(compare(category, 4))


@pytest.mark.slow
@pytest.mark.parametrize("category", WORLDS)
def test_all_results_and_verdicts_are_bfcls(category):
    asyncio.run(compare(category, None))
