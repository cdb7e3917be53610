"""A right answer for each item: the library's own, or where it has none (`answer` is None) one out
of the item's metadata or from a small solver.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

Entry = dict[str, Any]


def reference(family: str, entry: Entry) -> str:
    if entry["answer"] is not None:
        return str(entry["answer"])
    metadata = entry["metadata"]
    match family:
        case "boxnet":
            return json.dumps(deliver(metadata["initial_state"]))
        case "graph_color":
            return json.dumps(metadata["possible_answer"])
        case "propositional_logic":
            return metadata["example_answer"]
        case "rubiks_cube":
            return unscramble(metadata["scramble_moves"])
        case "rush_hour":
            return drive_out(metadata["board_config"])
    raise ValueError(f"{family} has no answer of its own, and none is known here")


def deliver(state: dict[str, list[str]]) -> list[dict[str, str]]:
    """A plan for boxnet: one box after another goes to a target of its colour, along its column and
    then its row."""
    targets = [(place, item[7:]) for place in state for item in state[place] if item[:4] == "targ"]
    plan: list[dict[str, str]] = []
    for place in state:
        for box in (item for item in state[place] if item.startswith("box_")):
            goal, colour = next(each for each in targets if each[1] == box[4:])
            targets.remove((goal, colour))
            here, there = ([float(part) for part in each.split("_")] for each in (place, goal))
            for axis in (0, 1):
                while here[axis] != there[axis]:
                    agent = f"Agent[{here[0]}, {here[1]}]"
                    here[axis] += 1 if there[axis] > here[axis] else -1
                    plan.append({agent: f"move({box}, square[{here[0]}, {here[1]}])"})
            plan.append({f"Agent[{here[0]}, {here[1]}]": f"move({box}, target_{colour})"})
    return plan


def unscramble(moves: str) -> str:
    """The moves of a cube undone: the last one first, each the other way round."""
    undone = (move[:-1] if move.endswith("'") else move + "'" for move in reversed(moves.split()))
    return " ".join(undone)


SIDE = 6  # of a rush hour board


def drive_out(board: str) -> str:
    """A shortest solution of a rush hour board, breadth first: "A+1 K-2 ...".

    `board` is its rows; "o" is free, "x" a wall, any other letter a vehicle, "A" the one that has
    to reach the right edge. Moves name the vehicles as the question does, which letters them anew.
    """
    cells: dict[str, list[int]] = {}
    for cell, mark in enumerate(board):
        if mark != "o":
            cells.setdefault(mark, []).append(cell)
    walls = frozenset(cells.pop("x", []))
    names = sorted(cells)
    strides = [cells[name][1] - cells[name][0] for name in names]
    lengths = [len(cells[name]) for name in names]
    start = tuple(cells[name][0] for name in names)
    reached: dict[tuple[int, ...], tuple[tuple[int, ...], str] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        if (state[0] % SIDE) + lengths[0] == SIDE:  # "A" sorts first
            return " ".join(_moves(reached, state))
        taken = set(walls)
        for place, stride, length in zip(state, strides, lengths):
            taken.update(range(place, place + stride * length, stride))
        for number, (place, stride, length) in enumerate(zip(state, strides, lengths)):
            for way in (1, -1):
                steps = 0
                while True:
                    steps += way
                    cell = place + stride * (steps + (length - 1 if way > 0 else 0))
                    same_row = stride == SIDE or cell // SIDE == place // SIDE
                    if not 0 <= cell < SIDE * SIDE or not same_row or cell in taken:
                        break
                    moved = (*state[:number], place + stride * steps, *state[number + 1 :])
                    if moved not in reached:
                        reached[moved] = (state, f"{chr(65 + number)}{steps:+d}")
                        queue.append(moved)
    raise ValueError(f"the board {board!r} has no solution")


def _moves(reached: dict[Any, Any], state: Any) -> list[str]:
    moves = []
    while step := reached[state]:
        state, move = step
        moves.append(move)
    return moves[::-1]
