"""The author of starter environments: an item of work becomes a family, the same bytes every time.

V3.2 report, 3.2.3, at the size of a laptop: two or three tools, two to four calls that depend on
each other, prompts of a line, answers of a word or a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import speciale
from speciale.synth.general.draft import WHOLE, solution, verify
from speciale.synth.general.names import Names
from speciale.synth.general.text import articles
from speciale.synth.general.world import World
from speciale.synth.starter.changes import CHANGES
from speciale.synth.starter.lookups import LOOKUPS
from speciale.synth.starter.pattern import HELPERS, Pattern, Question
from speciale.synth.starter.searches import SEARCHES
from speciale.synth.starter.sums import SUMS
from speciale.synth.work import Rejected
from speciale.tasks.problem import split_of
from speciale.tasks.synthesised.family import About, Family, TaskAbout, TaskFiles

Item = dict[str, Any]
PATTERNS: dict[str, Pattern] = {
    pattern.name: pattern for pattern in (*LOOKUPS, *SUMS, *SEARCHES, *CHANGES)
}
# Ways to an answer that nobody trains on. Of each other pattern the last domain is held out: known
# tools over things that no question of this pattern in training is about.
UNSEEN_PATTERNS = ("hops", "tally", "convert")
OF_LEVEL, LEAST_TASKS, LONGEST = 6, 12, 120  # tasks, tasks, characters of a prompt


def items(patterns: Sequence[str], seed: int) -> Iterator[Item]:
    """Work without end: each pattern in turn, and of a pattern each domain in turn."""
    index = 0
    while True:
        for pattern in patterns:
            domains = list(PATTERNS[pattern].domains)
            domain = domains[index // len(patterns) % len(domains)]
            yield {
                "author": "starter", "key": f"starter-{pattern}-{domain}-{seed}-{index:06d}",
                "category": pattern, "domain": domain, "seed": seed, "index": index,
            }  # fmt: skip
            index += 1


def unseen(pattern: str, domain: str) -> str:
    """What about an environment is never trained on: its "pattern", its "words", or ""."""
    if pattern in UNSEEN_PATTERNS:
        return "pattern"
    return "words" if domain == list(PATTERNS[pattern].domains)[-1] else ""


def make(item: Item) -> Family:
    """The family of an item. Rejected where its world gives too few tasks."""
    pattern = PATTERNS[item["category"]]
    rng = Random(f"starter {item['category']} {item['domain']} {item['seed']} {item['index']}")
    world = World(rng, Names(rng))
    questions = _drawn(pattern.build(world, pattern.domains[item["domain"]]))
    if len(questions) < LEAST_TASKS:
        raise Rejected(f"only {len(questions)} questions of {pattern.name} were clear")
    rng.shuffle(questions)
    held_out = unseen(pattern.name, item["domain"])
    return Family(
        About(
            id=item["key"],
            kind="general",
            category=f"starter-{pattern.name}",
            seed=item["seed"],
            generator="procedural",
            speciale=speciale.__version__,
            about=pattern.about,
            source=f"made by combining words, index {item['index']}",
        ),
        {
            "schema.sql": world.schema().encode(),
            "data.sqlite": world.database(),
            "tools.py": world.toolbox(item["domain"]).encode(),
        },
        {f"{at:03d}": _task(each, pattern, held_out) for at, each in enumerate(questions)},
    )


def _drawn(questions: Iterator[Question]) -> list[Question]:
    """The first few of each level, no prompt twice and none too long."""
    found: dict[str, Question] = {}
    for each in questions:
        prompt = articles(each.whole_prompt)
        of_level = sum(other.level == each.level for other in found.values())
        if len(prompt) <= LONGEST and of_level < OF_LEVEL:
            found.setdefault(prompt, each)
    return list(found.values())


def _task(question: Question, pattern: Pattern, held_out: str) -> TaskFiles:
    prompt = articles(question.whole_prompt)
    about = TaskAbout(
        prompt=prompt,
        level=question.level,
        answer_schema=WHOLE,
        pattern=pattern.name,
        metadata={
            "changes": bool(question.writes),
            "split": "heldout" if held_out else split_of("synth", prompt),
            "unseen": held_out,
            "thoughts": list(question.thoughts),
            "results": "plain",  # of calls: words, whole numbers, lists of them
        },
    )
    solve = "def solve(tools):\n" + _indented(question.solve)
    helpers = [text for name, text in HELPERS.items() if f"{name}(" in question.check]
    check = verify(pattern.about, question.check, *helpers, writes=question.writes)
    return TaskFiles(
        about,
        {
            "solution.py": solution("By calls and sums alone.", solve).encode(),
            "verify.py": check.encode(),
        },
    )


def _indented(code: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in code.strip("\n").splitlines())
