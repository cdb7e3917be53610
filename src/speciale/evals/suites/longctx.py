"""Long context in RULER's manner (Hsieh et al. 2024, arXiv:2404.06654, section 3), generated.

Needle: one number among filler text; multi-needle: several among others that were not asked for;
variables: a chain of assignments to be followed; words: the most frequent of a long list. The score
is the share of what was asked for that the answer holds (RULER's recall); 1 means solved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import comb
from random import Random

from speciale.errors import ConfigError
from speciale.evals.attempts import Question
from speciale.evals.suites.suite import Choice, Said, Suite, split_cell, taken, told
from speciale.tasks.task import Attempt, Task, Verdict

KINDS = ("needle", "multi-needle", "variables", "words")
LENGTHS = (1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072)  # tokens of the prompt
ANSWER = 128  # tokens that the answer may take
CHAIN, NEEDLES, DISTRACTORS, FREQUENT = 4, 4, 8, 3

_FILLER = (
    "The grass is green.", "The sky is blue.", "The sun is yellow.", "Here we go.",
    "There and back again.",
)  # fmt: skip
_NOUNS = (
    "anchor", "basket", "candle", "desert", "engine", "forest", "garden", "hammer", "island",
    "jacket", "kettle", "ladder", "magnet", "needle", "orange", "pencil", "quarry", "ribbon",
    "saddle", "tunnel", "umbrella", "valley", "window", "yellow", "zipper", "bridge", "copper",
    "dragon", "feather", "glacier", "harbour", "insect", "jungle", "kitchen", "lantern", "meadow",
)  # fmt: skip
Count = Callable[[str], int]  # tokens of a text


@dataclass(frozen=True)
class Posed:
    """lines: that have to stand in the haystack, in this order; ask: the question behind it."""

    lines: list[str]
    ask: str
    answers: list[str]
    numbers: list[str]  # every number that a guesser could name


def tasks(kind: str, tokens: int, count: Count, seed: int) -> Iterator[Task]:
    """Endless tasks of one kind whose prompts have about `tokens` tokens by `count`, never more."""
    number = 0
    while True:
        rng = Random(f"{kind}/{tokens}/{seed}/{number}")
        room = tokens - 64  # of the chat format's own
        text, posed = (
            _words(rng, room, count) if kind == "words" else _hidden(kind, rng, room, count)
        )
        yield _task(f"{kind}-{tokens}-{seed}-{number}", text, posed, kind, tokens)
        number += 1


def _task(name: str, text: str, posed: Posed, kind: str, tokens: int) -> Task:
    async def verify(attempt: Attempt) -> Verdict:
        found = set(re.findall(r"\w+", attempt.answer))
        missing = [answer for answer in posed.answers if answer not in found]
        share = 1 - len(missing) / len(posed.answers)
        return Verdict(share, (f"The answer lacks {', '.join(missing)}.",) if missing else ())

    return Task(
        id=name,
        source=f"longctx/{kind}",
        prompt=[{"role": "user", "content": text}],
        verifier=verify,
        answer=" ".join(posed.answers),
        metadata={"tokens": tokens, "choices": posed.numbers},
    )


def _hidden(kind: str, rng: Random, room: int, count: Count) -> tuple[str, Posed]:
    """Lines among filler sentences."""
    posed = {"needle": _needle, "multi-needle": _needles, "variables": _variables}[kind](rng)
    head = "Some lines hide in the text below. Remember them; there is a question at the end.\n"
    return _filled(rng, room, count, head, posed), posed


def _filled(rng: Random, room: int, count: Count, head: str, posed: Posed) -> str:
    """As much filler as fits, the lines at places drawn anew."""
    fixed = count(head + "\n".join(posed.lines) + "\n\n" + posed.ask) + 2 * len(posed.lines)
    block = " ".join(_FILLER)
    each = max(1, count(block + "\n") - count("\n"))
    blocks = max(0, (room - fixed) // each)

    def text(blocks: int) -> str:
        places = sorted(rng_places.randrange(blocks + 1) for _ in posed.lines)
        out: list[str] = []
        at = 0
        for place, line in zip(places, posed.lines):
            out += [block] * (place - at) + [line]
            at = place
        out += [block] * (blocks - at)
        return head + "\n".join(out) + "\n\n" + posed.ask

    state = rng.getrandbits(64)
    while True:
        rng_places = Random(state)
        whole = text(blocks)
        over = count(whole) - room
        if over <= 0 or not blocks:
            return whole
        blocks = max(0, blocks - max(1, over // each))


def _keys(rng: Random, size: int) -> list[str]:
    """Names that no two needles share."""
    pairs = [f"{first}-{second}" for first in _NOUNS for second in _NOUNS if first != second]
    return rng.sample(pairs, size)


def _numbers(rng: Random, size: int) -> list[str]:
    return [str(number) for number in rng.sample(range(1_000_000, 10_000_000), size)]


def _line(key: str, value: str) -> str:
    return f"One of the special magic numbers for {key} is: {value}."


def _needle(rng: Random) -> Posed:
    [key], [value] = _keys(rng, 1), _numbers(rng, 1)
    ask = (
        f"What is the special magic number for {key} mentioned in the text? Answer with the number."
    )
    others = _numbers(rng, 9)  # what a guesser takes it from: there is no other in the text
    return Posed([_line(key, value)], ask, [value], [value, *(o for o in others if o != value)])


def _needles(rng: Random) -> Posed:
    """Several numbers of one key among those of others."""
    key, *others = _keys(rng, 1 + DISTRACTORS)
    values = _numbers(rng, NEEDLES + DISTRACTORS)
    lines = [_line(key, value) for value in values[:NEEDLES]]
    lines += [_line(other, value) for other, value in zip(others, values[NEEDLES:])]
    rng.shuffle(lines)
    ask = (
        f"What are all the special magic numbers for {key} mentioned in the text? Answer with the "
        f"{NEEDLES} numbers."
    )
    return Posed(lines, ask, values[:NEEDLES], values)


def _variables(rng: Random) -> Posed:
    """Two chains of assignments; one is asked for."""
    values = _numbers(rng, 2)
    names = [f"X{number}" for number in rng.sample(range(10, 100), 2 * (CHAIN + 1))]
    chains = [names[: CHAIN + 1], names[CHAIN + 1 :]]
    lines: list[str] = []
    left = []
    for chain, value in zip(chains, values):
        steps = [f"VAR {chain[0]} = {value}"]
        steps += [f"VAR {new} = VAR {old}" for old, new in pairwise(chain)]
        left.append(steps)
    while any(left):  # mixed, each chain in its own order
        lines.append(rng.choice([steps for steps in left if steps]).pop(0))
    ask = (
        f"Which variables have the value {values[0]}, at first hand or by assignment? Answer with "
        f"their {CHAIN + 1} names."
    )
    return Posed(lines, ask, chains[0], names)


def _words(rng: Random, room: int, count: Count) -> tuple[str, Posed]:
    """The most frequent words of a list that has no other order (RULER's common words)."""
    chosen = rng.sample(_NOUNS, FREQUENT)
    rest = [noun for noun in _NOUNS if noun not in chosen]
    head = "Below is a list of words. Remember the ones that appear most often.\n"
    ask = f"Which {FREQUENT} words appear most often in the list above? Answer with the words."
    cycle = chosen * 5 + rest  # each frequent word five times as often as any other
    each = max(1, count(" ".join(cycle) + " "))
    cycles = max(1, (room - count(head + ask) - 4) // each)
    while True:
        words = cycle * cycles
        Random(rng.getrandbits(64)).shuffle(words)
        text = head + " ".join(words) + "\n\n" + ask
        if count(text) <= room or cycles == 1:
            return text, Posed([], ask, chosen, list(_NOUNS))
        cycles -= 1


def questions(choice: Choice) -> list[Question]:
    """Cells are KIND@TOKENS; by default all kinds at every length that the target can hold."""
    cells = choice.cells or [
        f"{kind}@{tokens}"
        for tokens in LENGTHS
        if tokens + ANSWER <= choice.window
        for kind in KINDS
    ]
    found: list[Question] = []
    for cell in cells:
        kind, tokens = split_cell(cell)
        if kind not in KINDS or tokens is None:
            raise ConfigError(
                f"the suite longctx has no cell {cell!r}: give KIND@TOKENS, such as needle@4096, "
                f"with a kind of {', '.join(KINDS)}"
            )
        if tokens + ANSWER > choice.window:
            raise ConfigError(
                f"{cell} and its answer do not fit into the target's {choice.window} tokens: leave "
                "it out of --cells"
            )
        found += taken(
            cell, tasks(kind, tokens, choice.count, choice.seed), choice.tasks,
            thinking=False, max_tokens=ANSWER,
        )  # fmt: skip
    if not found:
        raise ConfigError(
            f"the target holds {choice.window} tokens, the shortest of these tasks {LENGTHS[0]}: "
            "name shorter ones with --cells needle@512"
        )
    return found


def guess(question: Question, rng: Random) -> Iterator[Said]:
    """As many as are asked for of all that could be named."""
    wanted = len((question.task.answer or "").split())
    yield " ".join(rng.sample(question.task.metadata["choices"], wanted))


def chance(question: Question) -> float:
    wanted = len((question.task.answer or "").split())
    return 1 / comb(len(question.task.metadata["choices"]), wanted)


SUITE = Suite(
    "longctx", "needles, variables and frequent words at 1K to 128K", questions, told, guess, chance
)
