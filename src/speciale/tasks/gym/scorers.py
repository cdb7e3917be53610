"""Scores by the library, except where it is wrong: there, what is right is said here.

Without these, reasoning-gym 0.1.25 gives 1.0 to answers that are wrong, or executes them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from speciale.tasks.gym import rush_hour

Entry = dict[str, Any]
Scorer = Callable[[Any, str, Entry], float]

MOST = 1000  # characters of a sum
MOST_ALGEBRA = 20_000  # of a polynomial
NAMES = {
    "acos", "asin", "atan", "cos", "cosh", "cot", "csc", "exp", "ln", "log", "pi", "sec", "sin",
    "sinh", "sqrt", "tan", "tanh",
}  # fmt: skip
POINTS = (0.0531, 0.1127, 0.1719, 0.2333, 0.2917)  # where asin(3*x) and sqrt(x) are real
MOVE = re.compile(r"[1-6]?[LRDUBF]w?2?'?", re.ASCII)


def by_library(source: Any, answer: str, entry: Entry) -> float:
    return source.score_answer(answer, entry)


def only_if(right: Callable[[str, Entry], bool]) -> Scorer:
    """The library's score, but 0.0 instead of 1.0 for what is not `right`."""

    def scorer(source: Any, answer: str, entry: Entry) -> float:
        value = by_library(source, answer, entry)
        return value if value < 1 or right(answer, entry) else 0.0

    return scorer


def exactly(right: Callable[[str, Entry], bool]) -> Scorer:
    """1.0 or 0.0, without the library."""
    return lambda source, answer, entry: float(right(answer, entry))


def guarded(source: Any, answer: str, entry: Entry) -> float:
    """For scorers that give the answer to sympy's `parse_expr`, which evaluates it as Python."""
    return by_library(source, answer, entry) if is_formula(answer) else 0.0


def is_formula(text: str) -> bool:
    """Nothing but numbers, operators, single letters and the usual functions."""
    plain = re.fullmatch(r"[\w+\-*/^()., \t]*", text, re.ASCII) and len(text) <= MOST_ALGEBRA
    words = re.findall(r"[A-Za-z_]\w*", text, re.ASCII)
    attribute = re.search(r"\.\s*[A-Za-z_]", text)
    return bool(plain) and not attribute and all(len(w) == 1 or w in NAMES for w in words)


def value_of(expression: str) -> Fraction:
    """Sums, differences, products and quotients of decimals; anything else is a ValueError."""
    if len(expression) > MOST:
        raise ValueError("too long")

    def value(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int() | float()) if type(node.value) is not bool:
                return Fraction(str(node.value))
            case ast.UnaryOp(op=ast.USub()):
                return -value(node.operand)
            case ast.UnaryOp(op=ast.UAdd()):
                return value(node.operand)
            case ast.BinOp(op=ast.Add()):
                return value(node.left) + value(node.right)
            case ast.BinOp(op=ast.Sub()):
                return value(node.left) - value(node.right)
            case ast.BinOp(op=ast.Mult()):
                return value(node.left) * value(node.right)
            case ast.BinOp(op=ast.Div()):
                return value(node.left) / value(node.right)
        raise ValueError("not a sum")

    return value(ast.parse(expression.strip(), mode="eval").body)


def _makes(target: int, answer: str, numbers: list[int]) -> bool:
    """Whether the answer is an expression of `target` out of these numbers, each used once."""
    used = [int(number) for number in re.findall(r"\d+", answer)]
    plain = re.fullmatch(r"[\d+\-*/() ]+", answer, re.ASCII)
    return bool(plain) and sorted(used) == sorted(numbers) and value_of(answer) == target


def _countdown(answer: str, entry: Entry) -> bool:
    return _makes(entry["metadata"]["target"], answer, entry["metadata"]["numbers"])


def _puzzle24(answer: str, entry: Entry) -> bool:
    return _makes(24, answer, entry["metadata"]["numbers"])


def _same_words(answer: str, entry: Entry) -> bool:
    return answer.lower().split() == entry["answer"].lower().split()


def _same_number(answer: str, entry: Entry) -> bool:
    return Decimal(re.sub(r"[,$£€%\s]", "", answer)) == Decimal(str(entry["answer"]))


def _same_list(answer: str, entry: Entry) -> bool:
    given, right = (
        [float(number) for number in ast.literal_eval(text)] for text in (answer, entry["answer"])
    )
    return given == right


def _rounded_rightly(answer: str, entry: Entry) -> bool:
    """decimal_arithmetic: the library rounds each step, so the exact result rounded once may differ
    from its answer; either is right."""
    given = Decimal(answer)
    if given == Decimal(entry["answer"]):
        return True
    digits, expression = re.search(
        r"(\d+) significant digits.*?\n(.*)= \?", entry["question"], re.DOTALL
    ).groups()  # fmt: skip
    exact = value_of(expression)
    context = Context(prec=int(digits), rounding=ROUND_HALF_UP)
    return given == context.divide(Decimal(exact.numerator), Decimal(exact.denominator))


def _finite(answer: str, entry: Entry) -> bool:
    """complex_arithmetic: the distance to "nan" is no number, which the library takes for 0."""
    return "nan" not in answer.lower()


def _probability(answer: str, entry: Entry) -> bool:
    """coin_flip: the exact fraction, or a decimal rounded rightly to four places or more."""
    rational = entry["metadata"]["rational"]
    exact = Fraction(rational["numerator"], rational["denominator"])
    text = answer.replace(",", "")
    if not re.fullmatch(r"\d*\.\d{4,}", text):
        return Fraction(text) == exact
    unit = Fraction(1, 10 ** len(text.partition(".")[2]))
    return abs(Fraction(text) - exact) <= unit / 2


def _candidate(answer: str, entry: Entry) -> bool:
    """number_format: candidates are 0.001 apart, and the library forgives 0.01."""
    return abs(float(answer.replace(",", "")) - entry["metadata"]["solution"]) < 5e-4


def _pooled(answer: str, entry: Entry) -> bool:
    """pool_matrix: each number rounded rightly to two decimals; the library forgives 1%."""
    metadata = entry["metadata"]
    matrix, size = metadata["matrix"], metadata["pool_size"]
    given = [[Fraction(number) for number in line.split()] for line in answer.splitlines()]
    right = [
        [
            _pool(metadata["pool_type"], [line[j : j + size] for line in matrix[i : i + size]])
            for j in range(0, len(matrix[0]), size)
        ]
        for i in range(0, len(matrix), size)
    ]
    pairs = [pair for lines in zip(given, right, strict=True) for pair in zip(*lines, strict=True)]
    return all(abs(a - b) <= Fraction(1, 200) for a, b in pairs)


def _pool(kind: str, part: list[list[int]]) -> Fraction:
    numbers = [number for line in part for number in line]
    return Fraction(max(numbers)) if kind == "max" else Fraction(sum(numbers), len(numbers))


def _driven_out(answer: str, entry: Entry) -> bool:
    """rush_hour: the library lets a vehicle that is blocked stop where it has to."""
    return rush_hour.solved_by(entry["metadata"]["board_config"], answer)


def grid(source: Any, answer: str, entry: Entry) -> float:
    """For scorers that compare tuples, which JSON does not have."""
    output = tuple(tuple(row) for row in entry["metadata"]["output"])
    return by_library(
        source, answer, {**entry, "metadata": {**entry["metadata"], "output": output}}
    )


def antiderivative(source: Any, answer: str, entry: Entry) -> float:
    """Whether the derivative has the integrand's value at a few points: the library simplifies
    their difference, which for some right answers takes longer than anyone waits."""
    import sympy

    if not is_formula(answer):
        return 0.0
    names = {"C": sympy.Symbol("C")}
    variable = names[entry["metadata"]["variable"]] = sympy.Symbol(entry["metadata"]["variable"])
    given = sympy.diff(sympy.parse_expr(answer, local_dict=names), variable)
    wanted = sympy.parse_expr(entry["metadata"]["integrand"], local_dict=names)
    for point in POINTS:
        a, b = (complex(each.evalf(30, subs={variable: point})) for each in (given, wanted))
        if not abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-9):
            return 0.0
    return 1.0


def sokoban(source: Any, answer: str, entry: Entry) -> float:
    """The library passes over moves that are not possible, so that a long enough walk solves it."""
    rows = entry["metadata"]["gamestr"].replace(" ", "").strip().split("\n")
    game = source._Game(height=len(rows), width=len(rows[0]))
    game.load_puzzle_matrix(np.array([list(row) for row in rows]))
    moves = "".join(answer.split())
    if len(moves) > 10 * MOST or set(moves) - set("UDLR"):
        return 0.0
    possible = all(game.player.update(key=move) for move in moves)
    return float(possible and source._is_solved(game.get_curr_state()))


def cube(source: Any, answer: str, entry: Entry) -> float:
    """rubiks_cube: the library passes over moves of an inner layer ("2F'"), which cubes above size
    3 need, and writes "R999999999" out."""
    from magiccube import Cube

    moves = answer.split()
    if len(answer) > 10 * MOST or not all(MOVE.fullmatch(move) for move in moves):
        return 0.0
    turned = Cube(entry["metadata"]["cube_size"])
    turned.rotate(entry["metadata"]["scramble_moves"])
    turned.rotate(" ".join(moves))
    return 1.0 if turned.is_done() else min(source.partial_score(turned), 0.99)


SCORERS: dict[str, Scorer] = {
    "arc_agi": grid,
    "rearc": grid,
    "rubiks_cube": cube,
    # It compares `bool(answer)`: any text is right.
    "game_of_life_halting": exactly(_same_words),
    # Any four numbers of the range are accepted, results are rounded down, and the text evaluated.
    "puzzle24": exactly(_puzzle24),
    # The text is evaluated.
    "countdown": exactly(_countdown),
    # The first number in the text counts, without its sign.
    "gsm_symbolic": exactly(_same_number),
    # Each number may be off by one.
    "number_sorting": only_if(_same_list),
    # "nan" is right.
    "complex_arithmetic": only_if(_finite),
    # A prefix of the right digits is right, and so is what is nearly right.
    "coin_flip": only_if(_probability),
    # Words after the right ones do not count; for figlet_font, ten right letters are enough.
    "letter_jumble": only_if(_same_words),
    "spell_backward": only_if(_same_words),
    "figlet_font": only_if(_same_words),
    # Impossible moves are taken.
    "rush_hour": only_if(_driven_out),
    "sokoban": sokoban,
    # Tolerances wider than the question allows.
    "decimal_arithmetic": only_if(_rounded_rightly),
    "number_format": only_if(_candidate),
    "pool_matrix": only_if(_pooled),
    # The text is evaluated.
    "intermediate_integration": antiderivative,
    "polynomial_multiplication": guarded,
    "simple_integration": antiderivative,
}
