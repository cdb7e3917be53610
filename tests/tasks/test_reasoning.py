"""Problems out of reasoning-gym: right steps, right answers, two disjoint endless splits."""

import re
import subprocess
import sys
from itertools import islice, pairwise

import pytest

from speciale.errors import DataError
from speciale.tasks import FAMILIES, Family, Problem, problems, score, split_of, worked_steps
from speciale.tasks.families import dataset

EVERY = [(name, level) for name in FAMILIES for level in (1, 2, 3)]
EQUATION = re.compile(r"([-+*/%()\d]+)=(-?\d+)")


def some(name, level, count, split="train", seed=5):
    return list(islice(problems({name: level}, seed, split), count))


def conclusion(problem: Problem) -> str | None:
    """The answer that the steps lead to, read from the steps alone; None where there are none."""
    steps = problem.thinking
    if not steps:
        return None
    match problem.family:
        case "fraction_simplification":
            return "/".join(re.findall(r"/\d+=(\d+)", steps))
        case "prime_factorization":
            divisors = re.findall(r"/(\d+)=", steps)
            return " × ".join([*divisors, re.search(r"(\d+) is prime$", steps)[1]])
        case "number_sorting":
            return f"[{', '.join(part.split(': ')[-1] for part in steps.split('; '))}]"
        case "number_filtering":
            return str(
                [
                    part[:-3].split("<")[0].split(">")[0].split("=")[0]
                    for part in steps.split(", ")
                    if part.endswith(" in")
                ]
            )
        case "word_sequence_reversal":
            return ", ".join(reversed(steps.split()[1::2]))
        case "spell_backward":
            return "".join(reversed(steps.split()))
        case "calendar_arithmetic" if "=" in steps and ":" not in steps:
            remainders = {int(d): int(r) for d, r in re.findall(r"%(\d+)=(\d+)", steps)}
            leap = remainders[4] == 0 and (remainders[100] != 0 or remainders[400] == 0)
            return "Yes" if leap else "No"
        case "calendar_arithmetic":
            return steps.split()[-1]
        case _:
            return re.findall(r"(?<!\d)-?\d+", steps)[-1]


@pytest.mark.parametrize(("name", "level"), EVERY)
def test_the_steps_lead_to_the_answer_and_the_answer_scores_one(name, level):
    for problem in some(name, level, 150):
        assert score(problem, problem.answer) == 1.0, problem
        assert conclusion(problem) in (None, problem.answer), problem
        for left, right in EQUATION.findall(problem.thinking):
            assert eval(left) == int(right), problem
        assert len(problem.thinking) <= worked_steps.MAX_CHARS
        assert len(problem.question) <= 135


@pytest.mark.parametrize("name", [n for n in FAMILIES if n != "products"])
def test_nearly_every_problem_has_steps(name):
    for level in (1, 2, 3):
        drawn = some(name, level, 100)
        assert sum(bool(problem.thinking) for problem in drawn) >= 90


def test_column_sums_are_the_digits_of_the_total():
    for problem in some("chain_sum", 2, 300):
        for step in problem.thinking.split("; "):
            *columns, total = step.split(": ")
            if not columns:
                continue
            digits = total.split("=")[1].lstrip("-")[::-1].ljust(4, "0")
            results = [part.split("=")[1] for part in columns[-1].split(", ")]
            assert [result[-1] for result in results] == list(digits[: len(results)]), problem


def test_hard_sums_by_hand():
    steps = worked_steps.chain_sum
    assert steps({"expression": "47 + 38"}) == "7+8=15, 4+3+1=8: 47+38=85"
    assert steps({"expression": "103 - 7"}) == "3-7+10=6, 0-1+10=9, 1-1=0: 103-7=96"
    assert steps({"expression": "38 - 47"}) == "-(47-38): 7-8+10=9, 4-3-1=0: 38-47=-9"
    assert steps({"expression": "1 - 5 + 20"}) == "1-5=-4; 20-4: 0-4+10=6, 2-1=1: -4+20=16"
    assert worked_steps.products({"expression": "407 * 203"}) == (
        "407*3=1221, 407*200=81400, 1221+81400=82621"
    )
    equation = {"variable": "x", "equation": "4 - 3*x = -26"}
    assert worked_steps.simple_equations(equation) == "3*x=4+26=30, x=30/3=10"
    equation = {"variable": "x", "equation": "-x - 5 = -7"}
    assert worked_steps.simple_equations(equation) == "x=-5+7=2"


def test_euclid_halving_and_counting_go_step_by_step():
    for problem in some("gcd", 3, 100):
        rows = re.findall(r"(\d+)%(\d+)=(\d+)", problem.thinking)
        for (_, divisor, rest), (big, small, _) in pairwise(rows):
            assert (divisor, rest) == (big, small)
        assert rows[-1][2] == "0" and rows[-1][1] == problem.answer
    for problem in some("count_bits", 3, 100):
        number = int(re.search(r"number (\d+)", problem.question)[1])
        bits = re.findall(r":(\d)", problem.thinking)
        assert "".join(reversed(bits)) == f"{number:b}"
    for problem in some("letter_counting", 2, 100):
        letter = re.search(r'letter "(.)"', problem.question)[1]
        for part in problem.thinking.split(", ")[:-1]:
            word, count = part.split(" ")
            assert word.lower().count(letter) == int(count)


def test_filtering_compares_rightly():
    for problem in some("number_filtering", 3, 200):
        for part in problem.thinking.split(", "):
            number, sign, bound = re.match(r"(\d+)([<=>])(\d+)", part).groups()
            assert eval(f"{number} {sign.replace('=', '==')} {bound}")


def test_the_splits_are_disjoint_and_about_nine_to_one():
    for name, level in (("chain_sum", 1), ("products", 1), ("number_sorting", 2)):
        train = {p.question for p in some(name, level, 600, "train", seed=1)}
        heldout = {p.question for p in some(name, level, 60, "heldout", seed=2)}
        assert not train & heldout
        assert {split_of(name, question) for question in heldout} == {"heldout"}
    share = sum(split_of("x", str(n)) == "heldout" for n in range(5000)) / 5000
    assert 0.08 < share < 0.12


def test_the_split_of_a_question_never_changes():
    assert [n for n in range(100) if split_of("gcd", f"q{n}") == "heldout"] == [42, 90, 96, 99]


def test_same_seed_same_problems_and_families_take_turns():
    levels = {"gcd": 1, "spell_backward": 2, "chain_sum": 1}
    first = list(islice(problems(levels, 7, "train"), 30))
    assert first == list(islice(problems(levels, 7, "train"), 30))
    assert first != list(islice(problems(levels, 8, "train"), 30))
    assert [problem.family for problem in first[:6]] == [*levels, *levels]
    alone = list(islice(problems({"gcd": 1}, 7, "train"), 10))
    assert alone == first[::3]


def test_heldout_problems_are_distinct_and_then_come_round_again():
    large = some("chain_sum", 3, 200, "heldout")
    assert len({problem.question for problem in large}) == 200
    small = some("products", 1, 60, "heldout")
    distinct = len({problem.question for problem in small})
    assert 1 < distinct < 30
    assert len({problem.question for problem in small[:distinct]}) == distinct
    assert small[distinct : 2 * distinct] == small[:distinct]


def test_a_family_with_nothing_in_a_split_says_so(monkeypatch):
    only = Family("count_bits", ({"min_n": 5, "max_n": 5},), worked_steps.count_bits)
    monkeypatch.setitem(FAMILIES, "count_bits", only)
    dataset.cache_clear()
    try:
        question = next(problems({"count_bits": 1}, 0, "train")).question
        assert split_of("count_bits", question) == "train"
        with pytest.raises(DataError, match="count_bits at level 1 has no question in the split"):
            next(problems({"count_bits": 1}, 0, "heldout"))
    finally:
        dataset.cache_clear()


def test_wrong_answers_and_rubbish():
    for name in FAMILIES:
        problem = some(name, 1, 1)[0]
        assert score(problem, f"  {problem.answer}\n") == 1.0
        for rubbish in ("", "   ", "no idea", "[", "1/0", "×", "NaN", "[[1], 2]", "\x00"):
            assert 0.0 <= score(problem, rubbish) < 1.0, (name, rubbish)


EVALUATED: list[str] = []
MARK = "an_answer_that_marks_itself"


def _note_evaluation(event, arguments):
    if event == "exec" and MARK in repr((arguments[0].co_names, arguments[0].co_consts)):
        EVALUATED.append(event)


sys.addaudithook(_note_evaluation)


def test_these_scorers_may_run_here_since_they_execute_nothing_and_end():
    """`score` runs in this process on what a model wrote; all other families are in the sandbox."""
    hostile = [
        f"__import__('os').getenv('{MARK}')",
        f"[[{MARK}()]]",
        f"{MARK} + 1",
        "9**9**9**9",
        "1e999999999",
        "1e999999999/1e999999999",
        "9" * 1_000_000,
        "[" * 100_000,
        "1 × " * 100_000 + "1",
        "1,000" * 100_000,
        "a " * 500_000,
        "\ud800",
    ]
    for name, level in EVERY:
        problem = some(name, level, 1)[0]
        for answer in hostile:
            assert 0.0 <= score(problem, answer) < 1.0, (name, answer[:40])
    assert EVALUATED == []
    with pytest.raises(NameError):
        eval(MARK)
    assert EVALUATED  # the hook sees one


def test_a_problem_of_another_draw_is_refused():
    first, second = some("gcd", 1, 2)
    mixed = Problem("gcd", 1, first.question, first.answer, "", second.seed)
    with pytest.raises(DataError, match="is not draw"):
        score(mixed, first.answer)


@pytest.mark.parametrize(
    ("families", "split", "message"),
    [
        ({"sums": 1}, "train", "no problem family 'sums'; choose from chain_sum, "),
        ({"gcd": 4}, "train", "gcd has no level 4; choose from 1 to 3"),
        ({"gcd": 0}, "train", "gcd has no level 0"),
        ({"gcd": 1}, "test", "no split 'test'; choose one of train, heldout"),
        ({}, "train", "No problem family is named"),
    ],
)
def test_bad_requests_fail_at_once(families, split, message):
    with pytest.raises(DataError, match=message):
        problems(families, 0, split)


def test_importing_tasks_brings_in_neither_torch_nor_reasoning_gym():
    code = "import speciale.tasks, sys; print({'torch', 'reasoning_gym'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
