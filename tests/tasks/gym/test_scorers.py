"""Scores of the library as mended: nothing that an answer says is executed, and wrong is wrong.

reasoning-gym is imported in this process: no answer here could do harm, were it executed.
"""

import decimal
import json
import sys

import pytest
from reasoning_gym.factory import DATASETS

from speciale.tasks.gym import library, mends
from speciale.tasks.gym.catalogue import CATALOGUE
from speciale.tasks.gym.references import deliver, unscramble
from speciale.tasks.gym.scorers import value_of

# Each names this to do something: whoever evaluates one runs code that names it.
MARK = "hostile_answer_marks_itself"
HOSTILE = [
    f"__import__('os').getenv('{MARK}')",
    f"[{MARK} for _ in [1]]",
    f"{MARK}",
    f"[[{MARK}()]]",
    f"{MARK} + 1",
    f"(lambda: {MARK})()",
    f"x.{MARK}",
    f"1 if {MARK} else 2",
    f'{{"a": {MARK}}}',
    f"getattr(x, '{MARK}')",
]

running: list[str] = []
executed: list[str] = []


def _hook(event, arguments):
    if (
        running
        and event == "exec"
        and MARK in repr((arguments[0].co_names, arguments[0].co_consts))
    ):
        executed.append(running[-1])


sys.addaudithook(_hook)  # stays until the process ends, and does nothing outside of the test


@pytest.fixture
def watched():
    running.append("")
    executed.clear()
    yield
    running.clear()


def test_the_hook_sees_what_is_evaluated(watched):
    with pytest.raises(NameError):
        eval(MARK)
    assert executed


@pytest.mark.parametrize("family", CATALOGUE)
def test_no_scorer_executes_an_answer(family, watched):
    running.append(family)
    level = min(CATALOGUE[family].levels, 2)  # the first of knight_swap takes seconds
    found = (library.draw_one(family, level, item) for item in range(50))
    entry = next(each["entry"] for each in found if "entry" in each)
    for answer in HOSTILE:
        assert library.score(family, level, entry, answer) < 1.0, answer
    assert executed == []


def test_a_draw_leaves_the_precision_of_decimals_alone():
    before = decimal.getcontext().prec
    for level in range(1, 5):
        library.draw_one("decimal_arithmetic", level, 1)
    assert decimal.getcontext().prec == before


def test_the_library_itself_would_execute_them(watched):
    """The fault is there: without the mends a scorer runs an answer."""
    module = sys.modules["reasoning_gym.algorithmic.string_insertion"]
    entry = library.draw_one("string_insertion", 1, 1)["entry"]
    literals, module.eval = module.eval, eval
    try:
        library.score("string_insertion", 1, entry, HOSTILE[2])
    finally:
        module.eval = literals
    assert executed


def test_the_catalogue_is_what_the_library_has():
    levels = {name: len(library.levels(name)) for name in DATASETS if name != "composite"}
    assert levels == {name: family.levels for name, family in CATALOGUE.items()}
    assert set(mends.BOUNDS) | set(mends.LEFT_OUT) | set(mends.SIZES) <= set(CATALOGUE)


def entry(family, answer="", question="", **metadata):
    return {"question": question, "answer": answer, "metadata": metadata}


DECIMALS = "Solve to a maximum of 3 significant digits, rounding up from the half.\n0.125*10.5 = ?"
FLIPS = {"rational": {"numerator": 3, "denominator": 8}}
THIRD = {"rational": {"numerator": 1, "denominator": 3}}
CASES = [
    ("puzzle24", entry("puzzle24", numbers=[4, 6, 1, 1]), "4*6*1*1", "4*6 + 1 - 1 + 0", "24"),
    ("puzzle24", entry("puzzle24", numbers=[4, 6, 1, 1]), "(4*6)/1/1", "4*6", "4*6*1**1"),
    ("puzzle24", entry("puzzle24", numbers=[1, 1, 9, 5]), None, "(9*5+1)/(1+1)", "5*5-1"),
    ("countdown", entry("", numbers=[3, 5, 7], target=26), "3*7+5", "3*7+5+0", "3+5+7"),
    ("game_of_life_halting", entry("", "True"), "true", "False", "anything"),
    ("gsm_symbolic", entry("", "20"), "$20.00", "20 20", "-20"),
    ("gsm_symbolic", entry("", "1500"), "1,500", "1", "1500 or 2"),
    ("complex_arithmetic", entry("", "3 + 2i", result=[3.0, 2.0]), "3+2i", "nan", "nan+nanj"),
    ("coin_flip", entry("", "0.375", **FLIPS), "3/8", "0.37", "0"),
    ("coin_flip", entry("", "0.3333333333", **THIRD), "0.3333", "0.3334", "0.333"),
    ("number_sorting", entry("", "['1', '2.5']", direction="ascending"),
     '["1", "2.5"]', "['1', '3.4']", "['1.5', '2.5']"),
    ("number_format", entry("", "5.231", solution=5.231), "5.231", "5.23", "5.232"),
    ("pool_matrix", entry("", "1.75 4.0\n7.0 8.0", matrix=[[1, 3, 4], [1, 2, 4], [7, 7, 8]],
     pool_size=2, pool_type="average"), "1.75 4\n7 8", "1.76 4\n7 8", "1.75 4.0"),
    ("rush_hour", entry("", board_config="oooooooooooo" "AAoBoo" "oooBoo" "oooooooooooo"),
     "B-2 A+4", "B-7 A+4", "A+4"),
    ("letter_jumble", entry("", "red sea"), "Red sea", "red sea red", "red"),
    ("spell_backward", entry("", "enoguezyz"), "enoguezyz", "enoguezyz enoguezyz", "zyz"),
    ("figlet_font", entry("", "BLACKBOARDS"), "blackboards", "blackboardz", "blackboardsx"),
    ("decimal_arithmetic", entry("", "1.31", DECIMALS), "1.31", "1.32", "1.3"),
    ("simple_integration", entry("", "x**2 + C", integrand="2*x", variable="x"),
     "x**2 + K", "x**2 + x", "x.diff()"),
    ("intermediate_integration", entry("", "-exp(-x) + C", integrand="exp(-x)", variable="x"),
     "7 - E**(-x)", "exp(-x)", "-exp(-x) + y*x"),
    ("sokoban", entry("", gamestr="+ + + + +\n+ * @ X +\n+ + + + +"), "R", "LR", "RR"),
    ("sokoban", entry("", gamestr="+ + + + +\n+ * @ X +\n+ + + + +"), " R\n", "R7", "r"),
    ("arc_agi", entry("", "1 2\n3 4", output=[[1, 2], [3, 4]]), "1 2\n3 4", "1 2\n3 5", "1 2"),
    ("rubiks_cube", entry("", cube_size=4, scramble_moves="2F Rw"),
     "Rw' 2F'", "2F' Rw'", "R999999"),
]  # fmt: skip


@pytest.mark.parametrize(("family", "item", "right", "wrong", "worse"), CASES)
def test_mended_scores(family, item, right, wrong, worse):
    if right is not None:
        assert library.score(family, 1, item, right) == 1.0
    assert library.score(family, 1, item, wrong) < 1.0
    assert library.score(family, 1, item, worse) < 1.0


def test_sums_are_computed_exactly_and_nothing_else_is():
    assert value_of("(1 + 2) * 0.1") == value_of("3/10")
    for text in ("2**3", "1//2", "abs(1)", "True", "x", "'a'", "[1]", "1 if 1 else 2", "(" * 900):
        with pytest.raises((ValueError, SyntaxError, MemoryError, RecursionError)):
            value_of(text)


def test_references_where_the_library_has_none():
    assert unscramble("U D' 2Rw") == "2Rw' D U'"
    assert deliver({"0.5_0.5": ["box_red"], "0.5_1.5": [], "1.5_1.5": ["target_red"]}) == [
        {"Agent[0.5, 0.5]": "move(box_red, square[1.5, 0.5])"},
        {"Agent[1.5, 0.5]": "move(box_red, square[1.5, 1.5])"},
        {"Agent[1.5, 1.5]": "move(box_red, target_red)"},
    ]


def test_an_item_without_a_right_answer_is_no_task():
    skipped = [library.draw_one("jugs", 2, item) for item in range(12)]
    assert any("is not right" in each.get("skip", "") for each in skipped)
    for each in skipped:
        if "entry" in each:
            assert json.loads(json.dumps(each)) == each
            assert library.score("jugs", 2, each["entry"], each["answer"]) == 1.0
