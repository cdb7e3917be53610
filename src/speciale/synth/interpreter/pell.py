"""Problems about Pell's equation, x^2 - d y^2 = 1, in whole numbers.

Cells go along the continued fraction of the root of d; the truth tries, then follows recurrences.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

from speciale.synth.interpreter.problem import Problem
from speciale.synth.interpreter.wording import asked, cell

MODULI = (7919, 8101, 8501, 8887, 9001, 9103, 9311, 9551, 9721, 9931)  # primes


def pell(rng: Random) -> Iterator[Problem]:
    """The least solution beyond a bound; then the n-th, modulo a number. The truth tries."""
    while True:
        d = rng.randrange(20, 5_000)
        y = next((y for y in range(1, 20_000) if _square(d * y * y + 1)), 0)
        if not _square(d) and y > 50:
            break
    x, n, m = math.isqrt(d * y * y + 1), rng.randrange(10**6, 10**9), rng.choice(MODULI)
    search = cell(
        f"import json\nimport math\nd = {d}",
        "root = math.isqrt(d)",
        "m, k, a = 0, 1, root",
        "before, now = (1, 0), (a, 1)",
        "while now[0] ** 2 - d * now[1] ** 2 != 1:",
        "    m = k * a - m\n    k = (d - m * m) // k\n    a = (root + m) // k",
        "    before, now = now, (a * now[0] + before[0], a * now[1] + before[1])",
    )
    # Solutions obey x(n + 1) = 2 x x(n) - x(n - 1), and y likewise.
    bound = rng.randrange(10**4, 10**15)
    before, now = (1, 0), (x, y)
    while now[1] <= bound:
        before, now = now, (2 * x * now[0] - before[0], 2 * x * now[1] - before[1])
    text = asked(
        rng,
        [
            f"Find the smallest integers x and y with x^2 - {d} y^2 = 1 and y > {bound}.",
            f"Among the solutions of Pell's equation x^2 - {d} y^2 = 1 in positive integers, which "
            f"is the first one whose y is above {bound}?",
            f"x and y are whole numbers, y is larger than {bound}, and x^2 = {d} y^2 + 1. What are "
            "the least x and y for which that is so?",
        ],
        {"x": now[0], "y": now[1]},
    )
    powers = cell(
        search,
        f"bound = {bound}",
        "x, y = now",
        "while y <= bound:\n    x, y = x * now[0] + d * y * now[1], x * now[1] + y * now[0]",
        "print(json.dumps({'x': x, 'y': y}))",
    )
    yield Problem(text, {"x": now[0], "y": now[1]}, (powers,), "Pell's equation")
    # x(n) = 2 x x(n - 1) - x(n - 2), by doubling: T(2k) = 2 T(k)**2 - 1.
    right = {"x": _chebyshev(x, n, m)}
    # y_n = (x_(n+1) - x x_n) / (d y), since (x + y r)(x_n + y_n r) has x x_n + d y y_n in front.
    right["y"] = (_chebyshev(x, n + 1, m) - x * right["x"]) * pow(d * y, -1, m) % m
    text = asked(
        rng,
        [
            f"The positive solutions of x^2 - {d} y^2 = 1, ordered by size, are (x_1, y_1), "
            f"(x_2, y_2), and so on. What are x_n and y_n modulo {m} for n = {n}?",
            f"List all pairs of positive integers with x^2 - {d} y^2 = 1 by increasing x. Give the "
            f"remainders that x and y of pair number {n} (the smallest is number 1) leave when "
            f"divided by {m}.",
        ],
        right,
    )
    power = cell(
        search,
        f"n, modulus = {n}, {m}",
        "def product(one, other):",
        "    return ((one[0] * other[0] + d * one[1] * other[1]) % modulus,",
        "            (one[0] * other[1] + one[1] * other[0]) % modulus)",
        "result = (1, 0)",
        "while n:\n    if n & 1:\n        result = product(result, now)",
        "    now = product(now, now)\n    n >>= 1",
        "print(json.dumps({'x': result[0], 'y': result[1]}))",
    )
    yield Problem(text, right, (power,), "Pell's equation")


def _square(n: int) -> bool:
    return math.isqrt(n) ** 2 == n


def _chebyshev(x: int, n: int, m: int) -> int:
    """T_n(x) modulo m, by T(2k) = 2 T(k)**2 - 1 and T(2k + 1) = 2 T(k) T(k + 1) - x."""
    low, high = 1, x % m
    for bit in bin(n)[2:]:
        middle = (2 * low * high - x) % m
        if bit == "1":
            low, high = middle, (2 * high * high - 1) % m
        else:
            low, high = (2 * low * low - 1) % m, middle
    return low
