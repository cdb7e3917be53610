"""A right answer for each item: the library's own, or where it has none (`answer` is None) one out
of the item's metadata or from a small solver.
"""

from __future__ import annotations

import json
from typing import Any

from speciale.tasks.gym import rush_hour

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
            return rush_hour.solve(metadata["board_config"])
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
