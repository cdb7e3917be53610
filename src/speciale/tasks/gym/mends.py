"""What reasoning-gym 0.1.25 needs in order to draw the same items everywhere and to execute nothing
that a model wrote. Each entry is a finding of benchmarks/reasoning_gym_check.py.
"""

from __future__ import annotations

import ast
import importlib
from typing import Any

ITEMS = 2**31  # an item is any number below it

# Data sets that make a list as long as their size, or are one.
SIZES = {"acre": 1000, "gsm_symbolic": 2**16, "list_functions": 2**16, "word_ladder": 20000}

# Curricula that lead out of what the family's own configuration allows.
BOUNDS: dict[str, dict[str, tuple[int, int]]] = {
    "caesar_cipher": {"max_rotation": (1, 25)},
    "knight_swap": {"min_nodes": (6, 12), "max_nodes": (6, 12)},
    "modulo_grid": {"max_target": (1, 21)},
    "rubiks_cube": {"cube_size": (2, 6)},
    "survo": {"max_empty": (1, 9)},
}

# Levels of the curricula without meaning (number_format: all candidates are the same number), or
# whose items take more than ten seconds each to draw.
LEFT_OUT = {"jugs": (3, 4), "number_format": (4,), "sokoban": (1,), "zebra_puzzles": (6,)}

# Items that execute code of the data set, which may change this process for the next.
ALONE = ("codeio",)

# Scored with sympy.
ALGEBRA = ("intermediate_integration", "polynomial_multiplication", "simple_integration")

# `eval(answer)` in the scorer, for lists that a model may write in Python's form.
EVALUATING = (
    "algorithmic.binary_matrix",
    "algorithmic.spiral_matrix",
    "algorithmic.string_insertion",
    "games.n_queens",
)


def disarm() -> None:
    """Changes the library in this process: literals are read instead of evaluated."""
    for name in EVALUATING:
        module: Any = importlib.import_module(f"reasoning_gym.{name}")
        module.eval = ast.literal_eval
