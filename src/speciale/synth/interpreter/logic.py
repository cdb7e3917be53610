"""Puzzles of reasoning-gym that want a program, put so that a checker needs no more than equality.

Puzzles and right answers are the library's, drawn in the sandbox; a puzzle with a second solution
is left out. Grids are told row by row as texts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from random import Random
from typing import Any

from speciale.errors import DataError
from speciale.synth.interpreter import solvers
from speciale.synth.interpreter.problem import Problem
from speciale.synth.interpreter.wording import asked, cell

MOST_CHARACTERS = 4_000  # of a prompt
TRIES = 4  # items of a level
LEAST_NUMBERS = 5  # of a survo puzzle: the orders of four are soon tried
MOST_WORDS, MOST_CELLS = 6, 49  # of a cryptarithm and of kakurasu: the search grows quickly
LEAST_FIGURE = 12  # of an answer that is one number
SOURCE = "reasoning-gym 0.1.25"

# A puzzle's metadata and the library's answer -> wordings, the right answer, and what the cell does
# with the solver; None where the puzzle is not clear.
Told = tuple[list[str], dict[str, Any], list[str]]
Writer = Callable[[dict[str, Any], str], Told | None]


def _alone(solutions: Iterator[Any]) -> bool:
    return len(list(islice(solutions, 2))) == 1


def _rows(grid: list[list[Any]]) -> list[str]:
    return ["".join(map(str, row)) for row in grid]


def _filled(puzzle: list[list[int]], solution: list[list[int]]) -> str:
    return "".join(
        str(right)
        for row, line in zip(puzzle, solution)
        for given, right in zip(row, line)
        if not given
    )


_FILLED = (
    "filled = ''.join(str(right) for line, row in zip(rows, grid)\n"
    "                 for given, right in zip(line, row) if not {given})"
)


def _sudoku(about: dict[str, Any], answer: str) -> Told | None:
    rows = _rows(about["puzzle"])
    if not _alone(solvers.sudoku(rows)):
        return None
    right = {"filled": _filled(about["puzzle"], about["solution"])}
    shown = ", ".join(rows)
    return (
        [
            f"Solve the sudoku with the rows {shown} (0 is an empty cell). Give the "
            "digits of the empty cells in reading order, row by row, as one text.",
            f"A sudoku, row by row from the top, with 0 for what is empty: {shown}. Fill it in and "
            "write down the digits that you filled in, from left to right and from top to bottom, "
            "as one text.",
        ],
        right,
        [
            f"rows = {rows}",
            "grid = next(sudoku(rows))",
            _FILLED.format(given="int(given)"),
            "print(json.dumps({'filled': filled}))",
        ],
    )


def _futoshiki(about: dict[str, Any], answer: str) -> Told | None:
    rows = _rows(about["puzzle"])
    less = [
        ((a, b), (c, d)) if sign == "<" else ((c, d), (a, b))
        for a, b, c, d, sign in about["constraints"]
    ]
    if not less or not _alone(solvers.futoshiki(rows, less)):
        return None
    size = len(rows)
    said = "; ".join(f"r{a + 1}c{b + 1} < r{c + 1}c{d + 1}" for (a, b), (c, d) in less)
    shown = ", ".join(rows)
    return (
        [
            f"Fill the {size} by {size} grid with the rows {shown} (0 is empty) with the numbers "
            f"from 1 to {size}, each once in every row and column, such that {said} (r1c2 is row "
            "1, column 2). Give the numbers of the empty cells in reading order as one text.",
            f"Futoshiki of size {size}: the rows are {shown}, a 0 is to be filled in, "
            f"and these inequalities hold: {said}, where r is the row and c the column, both from "
            f"1. No row or column has a number from 1 to {size} twice. Write the numbers that you "
            "fill in, row by row, as one text.",
        ],
        {"filled": _filled(about["puzzle"], about["solution"])},
        [
            f"rows = {rows}",
            f"less = {less}",
            "grid = next(futoshiki(rows, less))",
            _FILLED.format(given="int(given)"),
            "print(json.dumps({'filled': filled}))",
        ],
    )


def _kakurasu(about: dict[str, Any], answer: str) -> Told | None:
    row_sums, column_sums = about["row_sums"], about["col_sums"]
    if len(row_sums) * len(column_sums) > MOST_CELLS:
        return None
    if not _alone(solvers.kakurasu(row_sums, column_sums)):
        return None
    high, wide = len(row_sums), len(column_sums)
    return (
        [
            f"Fill a grid of {high} rows and {wide} columns with 0 and 1. A 1 in column j counts j "
            f"for its row, a 1 in row i counts i for its column. The rows must come to {row_sums}, "
            f"the columns to {column_sums}. Give the grid as a list of rows, each a text such as "
            '"0101".',
            f"Kakurasu: {high} x {wide} cells are marked (1) or not (0). Marked cells of a row add "
            f"up their column numbers, counted from 1, to {row_sums} from the first row on; marked "
            f"cells of a column add up their row numbers to {column_sums}. Which cells are marked? "
            'Write each row as a text of 0s and 1s ("0101").',
        ],
        {"rows": _rows(about["solution"])},
        [
            f"grid = next(kakurasu({row_sums}, {column_sums}))",
            "print(json.dumps({'rows': [''.join(map(str, row)) for row in grid]}))",
        ],
    )


def _survo(about: dict[str, Any], answer: str) -> Told | None:
    puzzle, numbers = about["puzzle"], about["candidate_numbers"]
    if len(numbers) < LEAST_NUMBERS or max(numbers) > 9:
        return None
    if not _alone(solvers.survo(puzzle, numbers)):
        return None
    inner = [row[:-1] for row in puzzle[:-1]]
    shown = "; ".join(
        f"{' '.join(str(each) if each else '_' for each in row[:-1])} (sum {row[-1]})"
        for row in puzzle[:-1]
    )
    columns = ", ".join(map(str, puzzle[-1][:-1]))
    return (
        [
            f"Place the numbers {numbers}, each once, into the gaps (_) of this square so that "
            f"rows and columns have their sums: {shown}; the columns have the sums {columns}. Give "
            "the numbers in the order of the gaps, row by row, as one text of digits.",
            f"In a survo puzzle the rows are {shown}, and the columns add up to {columns}. Use "
            f"every one of {numbers} once to fill the gaps. Write what goes into the gaps, in "
            "reading order, as one text of digits.",
        ],
        {"filled": _filled(inner, about["solution"])},
        [
            f"rows = {puzzle}",
            f"grid = next(survo(rows, {numbers}))",
            _FILLED.format(given="given"),
            "print(json.dumps({'filled': filled}))",
        ],
    )  # fmt: skip


def _cryptarithm(about: dict[str, Any], answer: str) -> Told | None:
    words, total = about["words_letters"], about["result_letters"]
    if len(words) > MOST_WORDS or not _alone(solvers.cryptarithm(words, total)):
        return None
    pairs = sorted(pair.split("=") for pair in answer.split(","))
    letters = "".join(letter for letter, _ in pairs)
    sum_of = " + ".join(words)
    return (
        [
            f"In {sum_of} = {total} each letter stands for a digit of its own, and no number "
            f"begins with 0. Which digits do the letters {letters} stand for? Give them in this "
            "order as one text.",
            f"Solve the cryptarithm {sum_of} = {total}: different letters are different digits, no "
            f"word starts with the digit 0. Write the digits of {letters}, in that order, as one "
            "text.",
        ],
        {"digits": "".join(digit for _, digit in pairs)},
        [
            f"words, total = {words}, '{total}'",
            "value = next(cryptarithm(words, total))",
            "print(json.dumps({'digits': ''.join(str(value[each]) for each in sorted(value))}))",
        ],
    )


def _largest_island(about: dict[str, Any], answer: str) -> Told | None:
    if int(answer) < LEAST_FIGURE:
        return None
    rows = _rows(about["grid"])
    shown = ", ".join(rows)
    return (
        [
            f"On a map 1 is land and 0 is water: {shown} (row by row). Land cells belong together "
            "where they share a side. How many cells has the largest piece of land?",
            f"The rows of a grid are {shown}. What is the size of its largest group of 1s that "
            "hang together horizontally and vertically?",
        ],
        {"cells": int(answer)},
        [f"rows = {rows}", "print(json.dumps({'cells': largest_island(rows)}))"],
    )


def _binary_matrix(about: dict[str, Any], answer: str) -> Told | None:
    rows = _rows(about["matrix"])
    far = [int(each) for each in answer.split()]
    shown = ", ".join(rows)
    top = max(far)
    return (
        [
            f"For each cell of the grid with the rows {shown} take the taxicab distance to the "
            "nearest 0 (a 0 has distance 0). Give the sum of all distances, the largest one, and "
            "how many cells have the largest one.",
            f"Rows of a grid: {shown}. How far is each cell from its nearest 0, in steps up, down, "
            "left and right? Report the total of these distances over all cells, their maximum and "
            "the number of cells at that maximum.",
        ],
        {"total": sum(far), "largest": top, "cells": far.count(top)},
        [
            f"far = list(distances({rows}).values())",
            "top = max(far)",
            "result = {'total': sum(far), 'largest': top, 'cells': far.count(top)}",
            "print(json.dumps(result))",
        ],
    )


def _maze(about: dict[str, Any], answer: str) -> Told | None:
    if int(answer) < LEAST_FIGURE:
        return None
    signs = {about["start"]: "S", about["goal"]: "G", about["wall"]: "1", about["path"]: "0"}
    rows = ["".join(signs[each] for each in row) for row in about["grid"]]
    shown = ", ".join(rows)
    return (
        [
            f"A maze, row by row, with 1 for walls, 0 for passages, S for the start and G for the "
            f"goal: {shown}. How many steps up, down, left or right does the shortest way from S "
            "to G have?",
            f"The rows of a labyrinth are {shown}. You can stand on everything but a 1, and move "
            "to a neighbour that shares a side. What is the least number of moves from S to G?",
        ],
        {"steps": int(answer)},
        [f"rows = {rows}", "print(json.dumps({'steps': maze(rows)}))"],
    )


def _dice(about: dict[str, Any], answer: str) -> Told | None:
    puzzle = about["puzzle"]
    dice = [int(each.partition("d")[2]) for each in puzzle["dice_str"].split(",")]
    if any(not each.strip().startswith("1d") for each in puzzle["dice_str"].split(",")):
        return None
    exact = Fraction(answer)
    sides = ", ".join(map(str, dice[:-1])) + f" and {dice[-1]}"
    return (
        [
            f"You throw {len(dice)} fair dice with {sides} sides, numbered from 1. What is the "
            f"probability that they show {puzzle['target']} or more in all? Give it as a fraction "
            "in lowest terms.",
            f"Fair dice with {sides} faces (1 to their number of faces) are rolled together. With "
            f"which probability is their sum at least {puzzle['target']}? The answer is a reduced "
            "fraction.",
        ],
        {"numerator": exact.numerator, "denominator": exact.denominator},
        [
            "from fractions import Fraction",
            f"chance = Fraction(*at_least({dice}, {puzzle['target']}))",
            "result = {'numerator': chance.numerator, 'denominator': chance.denominator}",
            "print(json.dumps(result))",
        ],
    )


# By the library's name: the writer, the solver, and the levels to draw from.
FAMILIES: dict[str, tuple[Writer, Callable, tuple[int, ...]]] = {
    "binary_matrix": (_binary_matrix, solvers.distances, (1, 2, 2)),
    "cryptarithm": (_cryptarithm, solvers.cryptarithm, (1, 1, 2)),
    "dice": (_dice, solvers.at_least, (1, 2, 3, 4)),
    "futoshiki": (_futoshiki, solvers.futoshiki, (1, 2, 3)),
    "kakurasu": (_kakurasu, solvers.kakurasu, (1, 2, 3, 3)),
    "largest_island": (_largest_island, solvers.largest_island, (2, 3, 3)),
    "maze": (_maze, solvers.maze, (2, 2, 3)),
    "sudoku": (_sudoku, solvers.sudoku, (1, 2, 3, 4)),
    "survo": (_survo, solvers.survo, (2, 4, 4)),
}


def chain(family: str, rng: Random) -> list[Problem]:
    """A puzzle of each level that has a clear one, the smallest first."""
    from speciale.tasks.gym.source import draw  # the library itself is not needed to import this

    write, solver, levels = FAMILIES[family]
    found = []
    for level in levels:
        for item in (rng.getrandbits(31) for _ in range(TRIES)):
            try:
                (task,) = draw(family, level, [item])
            except DataError:
                continue
            told = task and write(task.metadata["entry"]["metadata"], task.answer)
            if not told:
                continue
            wordings, right, steps = told
            code = cell("import json", inspect.getsource(solver), *steps)
            text = asked(rng, wordings, right)
            if len(text) <= MOST_CHARACTERS:
                about = {"source": SOURCE, "item": f"{family}/{level}/{item}"}
                found.append(Problem(text, right, (code,), family.replace("_", " "), None, about))
                break
    return sorted(found, key=_size)


def _size(problem: Problem) -> tuple[float, int]:
    own = problem.difficulty({})
    return own["space_log10"], own["characters"]
