"""Tasks beyond the window: how many each way of managing the context rescues.

The agent's loop, its ids and the strategies are the real ones (agents/context.py); the model is a
policy that sees nothing but the prompt's text, over three kinds of work that a search agent meets:
a trail (each page names the next), a collection (a number on every page, to be added up) and a
maze (most doors lead to dead ends, and luck alone tells). Trails and collections fill 1.2 to 3
windows; a maze fills up to 3, and fits into one for who takes few wrong turns.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise

from _results import Row, write
from speciale.agents.context import STRATEGIES, fewest_steps
from speciale.agents.loop import Budget, Plan, run_agent
from speciale.agents.scripted import ScriptedSampler, byte_tokenizer
from speciale.agents.trajectory import Trajectory
from speciale.chat import function_tool
from speciale.tasks.docstrings import docstring_questions
from speciale.tasks.environment import Result

WINDOW = 16_384  # tokens, a byte each
PAGE = 1_200  # characters of a page
TASKS = 30  # of each kind
RUNS = 4  # side by side, for fewest steps
TOKENIZER = byte_tokenizer()
BUDGET = Budget(turns=120)


def open_page(name: str) -> str:
    """Opens a page of the library."""
    raise NotImplementedError


class Library:
    """Pages of prose with a last line that counts."""

    tools = (function_tool(open_page),)

    def __init__(self, last_lines: dict[str, str], prose: str) -> None:
        self.last_lines, self.prose = last_lines, prose

    async def call(self, name: str, arguments: dict) -> Result:
        line = self.last_lines.get(arguments["name"], "There is no such page.")
        return Result(f"{arguments['name']}\n{self.prose[: PAGE - len(line)]}\n{line}")


def opens(name: str) -> dict:
    call = {"name": "open_page", "arguments": json.dumps({"name": name})}
    return {
        "role": "assistant",
        "content": "",
        "reasoning_content": f"I look at {name}.",
        "tool_calls": [{"type": "function", "function": call}],
    }


def says(text: str) -> dict:
    return {"role": "assistant", "content": text, "reasoning_content": "I know enough."}


def is_summary(prompt: str) -> bool:
    return "Do not call a tool now" in prompt.rsplit("<｜User｜>", 1)[-1]


# ---- three kinds of task: pages, question, answer, a policy over the prompt's text --------------

Kind = tuple[dict[str, str], str, str, Callable[[random.Random], Callable[[str], dict]]]


def trail(draw: random.Random) -> Kind:
    length = draw.randint(*pages_beyond())
    names = [f"page-{n}" for n in draw.sample(range(10_000, 99_999), length)]
    lines = {a: f"Continue at {b}." for a, b in pairwise(names)}
    lines[names[-1]] = "The answer is cobalt."

    def policy(prompt: str) -> dict:
        if found := re.search(r"The answer is (\w+)", prompt):
            return says(found[1])
        after = re.findall(r"Continue at (page-\d+)", prompt)
        if is_summary(prompt):
            return says(f"Continue at {after[-1]}.")
        return opens(after[-1] if after else names[0])

    return (
        lines,
        f"Follow the trail that begins at {names[0]} to its answer.",
        "cobalt",
        (lambda _: policy),
    )


def collection(draw: random.Random) -> Kind:
    length = draw.randint(*pages_beyond())
    numbers = {f"page-{n}": draw.randint(10, 99) for n in range(length)}
    lines = {name: f"The number of {name} is {number}." for name, number in numbers.items()}

    def policy(prompt: str) -> dict:
        known = dict(re.findall(r"number of (page-\d+) is (\d+)", prompt))
        if is_summary(prompt):
            return says(" ".join(f"The number of {k} is {v}." for k, v in known.items()))
        missing = next((name for name in numbers if name not in known), None)
        return opens(missing) if missing else says(str(sum(map(int, known.values()))))

    question = f"Add up the numbers on page-0 to page-{length - 1}."
    return lines, question, str(sum(numbers.values())), lambda _: policy


def maze(draw: random.Random) -> Kind:
    """Three links a page, one of which leads on; a dead end is two pages deep."""
    depth = 4
    lines = {}
    place = "start"
    for level in range(depth):
        right, *wrong = (f"room-{level}-{n}" for n in draw.sample(range(100, 1000), 3))
        links = [right, *wrong]
        draw.shuffle(links)
        lines[place] = f"Doors: {', '.join(links)}."
        for name in wrong:
            lines[name] = f"Doors: {name}-a, {name}-b, {name}-c."
            lines |= {f"{name}-{letter}": "A dead end." for letter in "abc"}
        place = right
    lines[place] = "The answer is cobalt."

    def policy_of(choose: random.Random) -> Callable[[str], dict]:
        def policy(prompt: str) -> dict:
            if found := re.search(r"The answer is (\w+)", prompt):
                return says(found[1])
            seen = set(re.findall(r"I look at ([\w-]+)\.", prompt))
            seen |= set(re.findall(r"Seen: ([\w-]+)", prompt))
            doors = re.findall(r"Doors: ([^.]+)\.", prompt)
            if is_summary(prompt):
                listed = " ".join(f"Doors: {each}." for each in doors)
                return says(" ".join(f"Seen: {name}." for name in sorted(seen)) + " " + listed)
            for each in reversed(doors):  # the newest page with a door that is not tried
                untried = [name for name in each.split(", ") if name not in seen]
                if untried:
                    return opens(choose.choice(untried))
            return opens("start") if "start" not in seen else says("I found nothing.")

        return policy

    return lines, "Find the answer in the maze; begin at start.", "cobalt", policy_of


def pages_beyond() -> tuple[int, int]:
    """How many pages fill 1.2 to 3 windows."""
    step = PAGE + 400  # with the call and the format around it
    return int(1.2 * WINDOW / step), 3 * WINDOW // step


async def attempt(kind: Kind, strategy: str, seed: int, prose: str) -> bool:
    lines, question, answer, policy_of = kind

    async def run(number: int) -> Trajectory:
        sampler = ScriptedSampler(policy_of(random.Random(f"{seed}/{number}")), TOKENIZER, WINDOW)
        plan = Plan(budget=BUDGET, strategy=STRATEGIES.get(strategy))
        question_ = [{"role": "user", "content": question}]
        return await run_agent(sampler, question_, Library(lines, prose), plan)

    if strategy == "fewest steps":
        done, _ = await fewest_steps(run, RUNS)
    else:
        done = await run(0)
    return done.stop == "answer" and done.answer == answer


def rows() -> Iterator[Row]:
    prose = " ".join(text for _, text in docstring_questions(0, "train"))
    for kind in (trail, collection, maze):
        row: Row = {"tasks": f"{kind.__name__} ({TASKS})"}
        for strategy in ("none", *STRATEGIES, "fewest steps"):
            solved = 0
            for seed in range(TASKS):
                drawn = kind(random.Random(f"{kind.__name__}/{seed}"))
                solved += asyncio.run(attempt(drawn, strategy, seed, prose[seed * 100 :]))
            print(f"{kind.__name__}, {strategy}: {solved} of {TASKS}", file=sys.stderr, flush=True)
            name = f"fewest steps of {RUNS}" if strategy == "fewest steps" else strategy
            row[f"{name} (%)"] = round(100 * solved / TASKS, 1)
        yield row


if __name__ == "__main__":
    write("context_management", list(rows()))
