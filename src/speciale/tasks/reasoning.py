"""Endless verifiable problems out of reasoning-gym, and the score of an answer to one.

A problem is item `seed` of a reasoning-gym data set (arXiv:2505.24760) whose items depend on
nothing else, so the entry that the library's scorer wants is drawn again, not stored.
"""

from collections.abc import Iterator, Mapping
from random import Random

from speciale.errors import DataError
from speciale.tasks.families import Family, dataset, find_family
from speciale.tasks.problem import Problem, check_split, split_of
from speciale.tasks.worked_steps import MAX_CHARS

# One draw in ten is held out: without any in 1000 draws, there is none to be found.
MAX_DRAWS = 1000


def problems(families: Mapping[str, int], seed: int, split: str) -> Iterator[Problem]:
    """Endless problems, one of each family in turn, each family at its level.

    `families` maps names of FAMILIES to levels; `split` is "train" or "heldout". The same
    arguments give the same problems. Held-out problems come without repeats until a family
    has no new ones, and then again from its first.
    Raises DataError for an unknown family, level or split, and (while drawing) for a family
    with no question in the split.
    """
    check_split(split)
    if not families:
        raise DataError("No problem family is named; give at least one, such as {'chain_sum': 1}.")
    streams = [
        _draw(find_family(name, level), level, seed, split) for name, level in families.items()
    ]
    return _round_robin(streams)


def _round_robin(streams: list[Iterator[Problem]]) -> Iterator[Problem]:
    while True:
        for stream in streams:
            yield next(stream)


def _draw(family: Family, level: int, seed: int, split: str) -> Iterator[Problem]:
    rng = Random(f"{seed}/{family.name}/{level}")
    distinct = split == "heldout"
    seen: dict[str, Problem] = {}
    misses = 0
    while misses < MAX_DRAWS:
        item = rng.getrandbits(48)
        entry = dataset(family.name, level)[item]
        question, answer = family.restate(entry)
        if question in seen or split_of(family.name, question) != split:
            misses += 1
            continue
        misses = 0
        steps = family.steps(entry["metadata"])
        thinking = steps if len(steps) <= MAX_CHARS else ""
        problem = Problem(family.name, level, question, answer, thinking, item)
        if distinct:
            seen[question] = problem
        yield problem
    if not seen:
        raise DataError(
            f"Family {family.name} at level {level} has no question in the split {split!r} "
            f"({MAX_DRAWS} draws); choose a higher level or leave it out."
        )
    while True:
        yield from seen.values()


def score(problem: Problem, answer: str) -> float:
    """How good an answer is, 0.0 to 1.0, by reasoning-gym's scorer for the family.

    1.0 means correct. Some scorers give part of the credit for a near miss or for an answer
    with words around it; that of number_sorting lets each number be off by one.
    White space around the answer counts for nothing.
    It runs in this process: none of the scorers of these 15 families executes the answer or takes
    long over any (tests/tasks/test_reasoning.py); those that do are scored in the sandbox (gym/).
    Raises DataError for a problem that this version of reasoning-gym does not draw.
    """
    family = find_family(problem.family, problem.level)
    source = dataset(problem.family, problem.level)
    entry = source[problem.seed]
    if family.restate(entry)[0] != problem.question:
        raise DataError(
            f"The problem {problem.question!r} is not draw {problem.seed} of {problem.family} at "
            f"level {problem.level}; draw it again with the installed reasoning-gym."
        )
    try:
        value = float(source.score_answer(answer.strip(), entry))
    except Exception:  # some scorers parse the answer and fail on text that a model may write
        return 0.0
    return min(max(value, 0.0), 1.0)
