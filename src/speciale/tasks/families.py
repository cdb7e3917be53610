"""The problem families: which reasoning-gym data sets, at which three levels of difficulty.

reasoning-gym (arXiv:2505.24760) draws each problem from a seeded generator and scores answers
by program; level 1 here is what a model of 3M parameters learns in minutes on a CPU.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from speciale.errors import DataError
from speciale.tasks import worked_steps

Entry = dict[str, Any]


def _as_is(entry: Entry) -> tuple[str, str]:
    return entry["question"], entry["answer"]


def _short_sorting(entry: Entry) -> tuple[str, str]:
    """Whole numbers and a plain list, without the 300 characters on how to quote numbers."""
    metadata = entry["metadata"]
    numbers, ordered = (
        ", ".join(str(int(float(number))) for number in metadata[key])
        for key in ("original_numbers", "sorted_numbers")
    )
    question = f"Sort these numbers in {metadata['direction']} order: {numbers}. Answer as a list."
    return question, f"[{ordered}]"


def _last_line(entry: Entry) -> tuple[str, str]:
    """The line that asks; the list in it shows the form of the answer."""
    return entry["question"].strip().splitlines()[-1], entry["answer"]


def _short_calendar(entry: Entry) -> tuple[str, str]:
    """A question about a weekday without its second sentence, which says to name a weekday."""
    question = entry["question"]
    if entry["metadata"]["task"] != "is_leap_year":
        question = re.split(r"(?<=[?.]) ", question)[0]
    return question, entry["answer"]


@dataclass(frozen=True)
class Family:
    """One reasoning-gym data set: `levels[0]` is its configuration at level 1, and so on.

    `steps` writes the worked steps from an entry's metadata; `restate` gives the question and
    answer to show, for data sets whose own wording is too long for a small context.
    """

    name: str
    levels: tuple[dict[str, Any], ...]
    steps: Callable[[dict[str, Any]], str]
    restate: Callable[[Entry], tuple[str, str]] = _as_is


def _ranges(**bounds: tuple[int, int]) -> dict[str, int]:
    """min_x and max_x of each x, the way reasoning-gym names its ranges."""
    named = {}
    for name, (low, high) in bounds.items():
        named |= {f"min_{name}": low, f"max_{name}": high}
    return named


_ALL = [
    Family(
        "chain_sum",
        (
            _ranges(terms=(2, 2), digits=(1, 2)),
            _ranges(terms=(2, 3), digits=(1, 3)),
            _ranges(terms=(3, 4), digits=(2, 3)),
        ),
        worked_steps.chain_sum,
    ),
    # Without parentheses reasoning-gym evaluates from left to right, against the usual
    # precedence, so they stay allowed; division is left out because it rounds down.
    Family(
        "basic_arithmetic",
        (
            {**_ranges(terms=(2, 2), digits=(1, 1)), "operators": ("+", "-")},
            {**_ranges(terms=(2, 3), digits=(1, 1)), "operators": ("+", "-", "*")},
            {**_ranges(terms=(3, 4), digits=(1, 2)), "operators": ("+", "-", "*")},
        ),
        worked_steps.basic_arithmetic,
    ),
    Family(
        "products",
        (
            _ranges(terms=(2, 2), digits=(1, 1)),
            _ranges(terms=(2, 2), digits=(1, 2)),
            _ranges(terms=(2, 2), digits=(2, 3)),
        ),
        worked_steps.products,
    ),
    Family(
        "gcd",
        tuple(_ranges(numbers=(2, 2), value=(1, top)) for top in (20, 100, 500)),
        worked_steps.gcd,
    ),
    Family(
        "lcm",
        tuple(_ranges(numbers=(2, 2), value=(1, top)) for top in (20, 50, 100)),
        worked_steps.lcm,
    ),
    Family(
        "fraction_simplification",
        tuple(
            {**_ranges(value=(1, top), factor=(2, factor)), "styles": ("plain",)}
            for top, factor in ((12, 8), (20, 10), (50, 20))
        ),
        worked_steps.fraction_simplification,
    ),
    Family(
        "prime_factorization",
        tuple(_ranges(value=(2, top)) for top in (200, 500, 1500)),
        worked_steps.prime_factorization,
    ),
    # The weight of "*" is 0: naming it gives the unknown a coefficient, no more.
    Family(
        "simple_equations",
        (
            {
                **_ranges(terms=(2, 2), value=(1, 20)),
                "operators": ("+", "-"),
                "operators_weights": [0.5, 0.5],
            },
            {**_ranges(terms=(2, 2), value=(1, 10)), "operators_weights": [0.5, 0.5, 0.0]},
            {**_ranges(terms=(2, 3), value=(1, 40)), "operators_weights": [0.5, 0.5, 0.0]},
        ),
        worked_steps.simple_equations,
    ),
    Family(
        "number_sorting",
        tuple(
            {**_ranges(numbers=count, decimals=(0, 0)), "min_value": low, "max_value": 99.0}
            for count, low in (((3, 3), 0.0), ((3, 5), 0.0), ((4, 6), -99.0))
        ),
        worked_steps.number_sorting,
        _short_sorting,
    ),
    # From 0 up: below it, reasoning-gym would tell "-0" from "0".
    Family(
        "number_filtering",
        tuple(
            {**_ranges(numbers=count, decimals=(0, 0)), "min_value": 0.0, "max_value": top}
            for count, top in (((3, 3), 20.0), ((3, 4), 99.0), ((4, 6), 500.0))
        ),
        worked_steps.number_filtering,
    ),
    Family(
        "count_bits",
        tuple(_ranges(n=(1, top)) for top in (255, 1023, 4095)),
        worked_steps.count_bits,
    ),
    Family(
        "word_sequence_reversal",
        tuple(_ranges(words=count) for count in ((2, 3), (4, 5), (6, 8))),
        worked_steps.word_sequence_reversal,
        _last_line,
    ),
    Family(
        "spell_backward",
        tuple(_ranges(word_len=length) for length in ((3, 4), (5, 6), (7, 10))),
        worked_steps.spell_backward,
    ),
    Family(
        "letter_counting",
        tuple(_ranges(words=count) for count in ((1, 2), (3, 4), (5, 8))),
        worked_steps.letter_counting,
    ),
    # 58 days from January 1 end on February 28: the question does not say whether the year
    # is a leap year, and up to there it makes no difference.
    Family(
        "calendar_arithmetic",
        (
            {"tasks": ["is_leap_year"], "leap_year_range": 400},
            {"tasks": ["weekday_offset"], "offset_upper_bound": 30},
            {"tasks": ["weekday_of_date_from_first_date"], "offset_upper_bound": 58},
        ),
        worked_steps.calendar_arithmetic,
        _short_calendar,
    ),
]

FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}


def find_family(name: str, level: int) -> Family:
    """The family of this name. Raises DataError where the name or the level is unknown."""
    if name not in FAMILIES:
        raise DataError(f"There is no problem family {name!r}; choose from {', '.join(FAMILIES)}.")
    family = FAMILIES[name]
    if level not in range(1, len(family.levels) + 1):
        raise DataError(
            f"Family {name} has no level {level!r}; choose from 1 to {len(family.levels)}."
        )
    return family


@lru_cache(maxsize=64)
def dataset(name: str, level: int) -> Any:
    """The reasoning-gym data set of a family at a level; item i is drawn with seed i.

    Its items are drawn on demand and any i >= 0 works, so one data set serves every seed.
    """
    import reasoning_gym  # about a second: only those who draw or score problems pay for it

    config = find_family(name, level).levels[level - 1]
    return reasoning_gym.create_dataset(name, seed=0, size=1, **config)
