"""The parts of the procedural author: templates, names, the solver, and what makes a ladder rise.

V3.2 report, 3.2.3: hard to solve, easy to verify, and each task harder than the one before.
"""

from __future__ import annotations

import ast
import itertools
import random

import pytest

from speciale.synth.general.draft import Draft, climb, solution, verify
from speciale.synth.general.names import PERSON, Namer, Names
from speciale.synth.general.solver import best_choice, unique_choice
from speciale.synth.general.text import (
    article,
    articles,
    fill,
    laid_out,
    listing,
    number_word,
    tidy,
)
from speciale.synth.general.world import Table, World


def test_a_template_takes_texts_of_several_lines_at_their_place():
    text = fill(
        """
        def f():
            $body
            $nothing
            return "$word ${word}s"
        """,
        body="a = 1\nb = 2\n", nothing="", word="cat",
    )  # fmt: skip
    assert text == 'def f():\n    a = 1\n    b = 2\n    return "cat cats"\n'


def test_a_template_without_a_value_is_an_error():
    with pytest.raises(KeyError):
        fill("$missing = 1")


def test_words_for_people():
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"], "or") == "a, b or c"
    assert article("act") == "an act" and article("hotel") == "a hotel"
    assert articles("A item of a order. A union, a class A or B") == (
        "An item of an order. A union, a class A or B"
    )
    assert [number_word(n) for n in (1, 5, 12)] == ["one", "five", "12"]


def test_conditions_stand_in_the_prompt_each_once_whatever_the_layout():
    clauses = ["that has a pool", "whose price is at most 90 euros", "with a view"]
    layouts = set()
    for seed in range(30):
        text = laid_out(random.Random(seed), "Find it", "hotel", clauses, many=seed % 2 == 0)
        assert all(text.count(clause) == 1 for clause in clauses)
        layouts.add("\n-" in text)
    assert layouts == {True, False}


def test_names_are_never_drawn_twice_and_run_out_with_an_error():
    names = Names(random.Random(1))
    assert len(set(names.many(PERSON, 500))) == 500
    with pytest.raises(ValueError, match="too few names"):
        names.many(Namer(("{kind}",), ("one", "two")), 3)


def _knapsack(costs, scores, budget):
    def build(model, x):
        flat = [
            (cost, score, var)
            for group, (some, others) in enumerate(zip(costs, scores))
            for cost, score, var in zip(some, others, x[group])
        ]
        model.add(sum(cost * var for cost, _, var in flat) <= budget)
        return sum(score * var for _, score, var in flat)

    return build


def _by_hand(costs, scores, budget):
    """The best value and every way to come to it."""
    ways = {}
    for picks in itertools.product(*(range(len(row)) for row in costs)):
        if sum(row[pick] for row, pick in zip(costs, picks)) <= budget:
            ways[picks] = sum(row[pick] for row, pick in zip(scores, picks))
    best = max(ways.values(), default=None)
    return best, [picks for picks, value in ways.items() if value == best]


def test_the_solver_finds_what_a_full_search_finds_and_knows_when_there_are_two():
    rng = random.Random(4)
    seen = {"one": 0, "several": 0, "none": 0}
    for _ in range(25):
        costs = [[rng.randint(1, 9) for _ in range(4)] for _ in range(3)]
        scores = [[rng.randint(1, 12) for _ in range(4)] for _ in range(3)]
        build = _knapsack(costs, scores, rng.choice((2, 9, 13)))
        budget = build.__closure__[0].cell_contents
        value, ways = _by_hand(costs, scores, budget)
        found = unique_choice([4, 4, 4], build)
        anyhow = best_choice([4, 4, 4], build)
        assert (anyhow and anyhow.value) == value
        if len(ways) == 1:
            assert found is not None and found.picks == ways[0] and found.value == value
        else:
            assert found is None
        seen["none" if not ways else "one" if len(ways) == 1 else "several"] += 1
    assert all(seen.values()), seen


def _draft(level: int, *figures: int) -> Draft:
    return Draft("p", level, "prompt", "", "", {}, False, figures)


def _world(*numbers: int) -> World:
    rng = random.Random(0)
    rows = [{"n": number} for number in numbers]
    return World(rng, Names(rng), [Table("t", {"n": "INTEGER"}, rows)])


def test_a_ladder_takes_no_figure_that_a_table_shows():
    drawn = iter([_draft(1, 40), _draft(1, 41)])
    ladder = climb(_world(40, 7), [1], lambda level: next(drawn))
    assert [draft.figures for draft in ladder] == [(41,)]


def test_a_ladder_does_not_go_down_in_digits():
    drawn = iter([_draft(1, 100), _draft(2, 99), _draft(2, 101)])
    ladder = climb(_world(), [1, 2], lambda level: next(drawn))
    assert [draft.figures for draft in ladder] == [(100,), (101,)]


def test_a_level_that_cannot_be_had_is_left_out():
    ladder = climb(_world(), [1, 2, 3], lambda level: None if level == 2 else _draft(level, 50))
    assert [draft.level for draft in ladder] == [1, 3]


def test_the_same_rows_are_the_same_bytes():
    assert _world(1, 2, 3).database() == _world(1, 2, 3).database()
    assert _world(1, 2, 3).database() != _world(1, 2, 4).database()


def test_files_import_what_they_use():
    assert solution("Doc.", "def solve(tools):\n    return 1").count("import") == 0
    assert "import itertools\n" in solution("Doc.", "x = itertools.count()")
    assert "import datetime\n" in verify("Doc.", "x = datetime.date(2024, 1, 2)")
    assert '("a", "b")' in verify("Doc.", "pass", writes=["a", "b"])


def test_long_lines_of_code_are_laid_out_and_stay_the_same_program():
    names = [f"{'name' * 5}{index}" for index in range(5)]
    listed = ", ".join(f'"{name}"' for name in names)
    query = "SELECT " + ", ".join(names) + " FROM somewhere"
    code = (
        f"def f(b):\n    for name in [{listed}]:\n        print(name)\n"
        f'    g(\n        "{query}"\n    )\n'
        f'    h(\n        "{query[:60]}", (b, {"b" * 50}),\n    )\n'
        "    return (\n        b == 1\n    )\n"
    )
    text = tidy(code)
    assert max(map(len, text.split("\n"))) < max(map(len, code.split("\n")))
    assert "    return b == 1\n" in text
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(code))
