"""Rush hour boards of 6 by 6: a shortest solution, breadth first, and whether moves are one.

A board is its rows; "o" is free, "x" a wall, any other letter a vehicle, "A" the one that has to
reach the right edge. Moves ("A+1 K-2": right or down, left or up) name the vehicles as the question
does, which letters them anew in their order.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

SIDE = 6
MOST_MOVES = 1000

State = tuple[int, ...]  # the first cell of each vehicle


class Board(NamedTuple):
    start: State
    strides: tuple[int, ...]  # 1 along a row, SIDE along a column
    lengths: tuple[int, ...]
    walls: frozenset[int]


def solve(board: str) -> str:
    """ValueError where there is no solution."""
    parts = _parts(board)
    reached: dict[State, tuple[State, str] | None] = {parts.start: None}
    queue = deque([parts.start])
    while queue:
        state = queue.popleft()
        if _out(parts, state):
            moves = []
            while step := reached[state]:
                state, move = step
                moves.append(move)
            return " ".join(reversed(moves))
        taken = _taken(parts, state)
        for number in range(len(state)):
            for way in (1, -1):
                for steps, moved in enumerate(_slide(parts, state, taken, number, way), 1):
                    if moved not in reached:
                        reached[moved] = (state, f"{chr(65 + number)}{way * steps:+d}")
                        queue.append(moved)
    raise ValueError(f"the board {board!r} has no solution")


def solved_by(board: str, moves: str) -> bool:
    """Whether these moves, each of them possible, drive "A" out."""
    parts = _parts(board)
    state = parts.start
    for move in moves.split()[: MOST_MOVES + 1]:
        found = re.fullmatch(r"([A-Z])([+-])([1-4])", move)
        number = ord(found[1]) - 65 if found else len(state)
        if found is None or number >= len(state):
            return False
        way = 1 if found[2] == "+" else -1
        slides = _slide(parts, state, _taken(parts, state), number, way)
        if int(found[3]) > len(slides):
            return False
        state = slides[int(found[3]) - 1]
    return len(moves.split()) <= MOST_MOVES and _out(parts, state)


def _parts(board: str) -> Board:
    cells: dict[str, list[int]] = {}
    for cell, mark in enumerate(board):
        if mark != "o":
            cells.setdefault(mark, []).append(cell)
    walls = frozenset(cells.pop("x", []))
    places = [cells[name] for name in sorted(cells)]  # "A" is the first
    return Board(
        tuple(each[0] for each in places),
        tuple(each[1] - each[0] for each in places),
        tuple(len(each) for each in places),
        walls,
    )


def _out(board: Board, state: State) -> bool:
    return state[0] % SIDE + board.lengths[0] == SIDE


def _taken(board: Board, state: State) -> set[int]:
    taken = set(board.walls)
    for place, stride, length in zip(state, board.strides, board.lengths):
        taken.update(range(place, place + stride * length, stride))
    return taken


def _slide(board: Board, state: State, taken: set[int], number: int, way: int) -> list[State]:
    """The states after one step of a vehicle, two steps and so on, as far as it can."""
    place, stride, length = state[number], board.strides[number], board.lengths[number]
    slides: list[State] = []
    while True:
        steps = way * (len(slides) + 1)
        cell = place + stride * (steps + (length - 1 if way > 0 else 0))
        in_line = stride == SIDE or cell // SIDE == place // SIDE
        if not 0 <= cell < SIDE * SIDE or not in_line or cell in taken:
            return slides
        slides.append((*state[:number], place + stride * steps, *state[number + 1 :]))
