"""Problems of algebra, all exact: determinants, inverses modulo a prime, coefficients, integrals
and equations in fractions.

Cells eliminate and multiply out; the truth here is by expansion into minors, by construction, by
the multinomial theorem, and by rules of quadrature that are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from random import Random

from speciale.synth.interpreter.problem import Problem
from speciale.synth.interpreter.wording import asked, cell

PRIMES = (7919, 8101, 8501, 8887, 9001, 9103, 9311, 9551, 9721, 9931)
Matrix = list[list[int]]

_ELIMINATE = """
def solve(rows):
    n = len(rows)
    for i in range(n):
        swap = next(k for k in range(i, n) if rows[k][i] != 0)
        rows[i], rows[swap] = rows[swap], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(n):
            if k != i:
                rows[k] = [u - rows[k][i] * v for u, v in zip(rows[k], rows[i])]
    return [row[n:] for row in rows]
"""


def _shown(matrix: Matrix) -> str:
    return "[" + ", ".join(str(row) for row in matrix) + "]"


# --- determinants ---------------------------------------------------------------------------------


def determinants(rng: Random) -> Iterator[Problem]:
    """Of a matrix that is given; then of one by a rule; then of A - xI at a whole number x."""
    for level in (1, 2, 3):
        n = 4 + level
        matrix = [[rng.randrange(-9, 10) for _ in range(n)] for _ in range(n)]
        x = rng.randrange(2, 12) if level == 3 else 0
        shifted = [[v - x * (i == j) for j, v in enumerate(row)] for i, row in enumerate(matrix)]
        if (right := _by_minors(shifted)) == 0:
            return
        what = f"the characteristic polynomial det(A - t I) at t = {x}" if x else "det(A)"
        text = asked(
            rng,
            [
                f"Let A be the matrix with the rows {_shown(matrix)}. What is {what}?",
                f"Compute {what} exactly, where A = {_shown(matrix)} (a list of its rows).",
            ],
            {"value": right},
        )
        code = cell(
            "import json\nfrom fractions import Fraction",
            f"rows = {_shown(matrix)}",
            f"for i in range(len(rows)):\n    rows[i][i] -= {x}" if x else "",
            "rows = [[Fraction(value) for value in row] for row in rows]",
            "result = Fraction(1)",
            "for i in range(len(rows)):",
            "    swap = next((k for k in range(i, len(rows)) if rows[k][i] != 0), None)",
            "    if swap is None:\n        result = Fraction(0)\n        break",
            "    if swap != i:\n        rows[i], rows[swap] = rows[swap], rows[i]",
            "        result = -result",
            "    result *= rows[i][i]",
            "    for k in range(i + 1, len(rows)):",
            "        factor = rows[k][i] / rows[i][i]",
            "        rows[k] = [u - factor * v for u, v in zip(rows[k], rows[i])]",
            "print(json.dumps({'value': int(result)}))",
        )
        yield Problem(text, {"value": right}, (code,), "determinant")


def _by_minors(matrix: Matrix) -> int:
    """Minors of the first rows, over sets of columns: no division."""
    minors = {0: 1}
    for row in matrix:
        made: dict[int, int] = {}
        for columns, value in minors.items():
            for at, entry in enumerate(row):
                if not columns >> at & 1 and entry:
                    sign = -1 if (columns >> at).bit_count() % 2 else 1
                    key = columns | 1 << at
                    made[key] = made.get(key, 0) + sign * entry * value
        minors = made
    return minors.get((1 << len(matrix)) - 1, 0)


# --- inverses modulo a prime ----------------------------------------------------------------------


def inverses(rng: Random) -> Iterator[Problem]:
    """The sum, then the trace and sum, of an inverse. Truth: matrix and inverse were made together
    out of elementary steps."""
    p = rng.choice(PRIMES)
    for level in (1, 2):
        n = 4 + 2 * level
        matrix, inverse = _pair(rng, n, p)
        total = sum(map(sum, inverse)) % p
        right = {"sum": total}
        want = "the sum of all entries of its inverse"
        tail = "print(json.dumps({'sum': sum(map(sum, inverse)) % p}))"
        if level == 2:
            right["trace"] = sum(inverse[i][i] for i in range(n)) % p
            want += ", and the trace of that inverse"
            tail = cell(
                "total = sum(map(sum, inverse)) % p",
                "trace = sum(inverse[i][i] for i in range(n)) % p",
                "print(json.dumps({'sum': total, 'trace': trace}))",
            )
        text = asked(
            rng,
            [
                f"The matrix with the rows {_shown(matrix)} is invertible over the integers modulo "
                f"the prime {p}. Find {want}, each as a number from 0 to {p - 1}.",
                f"Work modulo the prime {p}. A = {_shown(matrix)} (a list of rows). Invert A and "
                f"give {want}, each reduced to 0..{p - 1}.",
            ],
            right,
        )
        code = cell(
            f"import json\np = {p}\nrows = {_shown(matrix)}",
            "n = len(rows)",
            "rows = [row + [int(i == j) for j in range(n)] for i, row in enumerate(rows)]",
            "for i in range(n):",
            "    swap = next(k for k in range(i, n) if rows[k][i] % p)",
            "    rows[i], rows[swap] = rows[swap], rows[i]",
            "    unit = pow(rows[i][i], -1, p)",
            "    rows[i] = [value * unit % p for value in rows[i]]",
            "    for k in range(n):\n        if k != i:\n            factor = rows[k][i]",
            "            rows[k] = [(u - factor * v) % p for u, v in zip(rows[k], rows[i])]",
            "inverse = [row[n:] for row in rows]",
            tail,
        )
        yield Problem(text, right, (code,), "inverse modulo a prime")


def _pair(rng: Random, n: int, p: int) -> tuple[Matrix, Matrix]:
    matrix = [[int(i == j) for j in range(n)] for i in range(n)]
    inverse = [row[:] for row in matrix]
    for _ in range(6 * n):
        i, k = rng.sample(range(n), 2)
        factor = rng.randrange(1, p)
        # Row i gains factor times row k; in the inverse column k loses factor times column i.
        matrix[i] = [(u + factor * v) % p for u, v in zip(matrix[i], matrix[k])]
        for row in inverse:
            row[k] = (row[k] - factor * row[i]) % p
    return matrix, inverse


# --- coefficients ---------------------------------------------------------------------------------


def coefficients(rng: Random) -> Iterator[Problem]:
    """Of a power of a trinomial; then of its product with another power."""
    a, b, c = (rng.choice([-5, -4, -3, -2, 2, 3, 4, 5, 6, 7]) for _ in range(3))
    m = rng.choice((999_983, 999_979, 999_961, 999_959, 999_953))
    for level in (1, 2):
        n = rng.randrange(30, 60) * level
        d, e, k = rng.randrange(2, 9), rng.randrange(15, 40), rng.randrange(n // 2, n)
        factors = f"({a} + {b} x + {c} x^2)^{n}" + (f" (1 + {d} x^3)^{e}" if level == 2 else "")
        right = sum(
            math.comb(e, j) * d**j * _trinomial(a, b, c, n, k - 3 * j)
            for j in range((e if level == 2 else 0) + 1)
        ) % m  # fmt: skip
        text = asked(
            rng,
            [
                f"What is the coefficient of x^{k} in {factors}, modulo {m}?",
                f"Expand {factors}. Which number from 0 to {m - 1} is the coefficient of x^{k} "
                f"congruent to modulo {m}?",
            ],
            {"coefficient": right},
        )
        code = cell(
            f"import json\nm = {m}",
            "def product(one, other):\n    made = [0] * (len(one) + len(other) - 1)",
            "    for i, u in enumerate(one):\n        for j, v in enumerate(other):",
            "            made[i + j] = (made[i + j] + u * v) % m\n    return made",
            "result = [1]",
            f"for _ in range({n}):\n    result = product(result, [{a}, {b}, {c}])",
            f"for _ in range({e}):\n    result = product(result, [1, 0, 0, {d}])"
            if level == 2
            else "",
            f"print(json.dumps({{'coefficient': result[{k}] % m}}))",
        )
        yield Problem(text, {"coefficient": right}, (code,), "coefficient")


def _trinomial(a: int, b: int, c: int, n: int, k: int) -> int:
    """The multinomial theorem: j squares, k - 2 j times x, the rest constants."""
    return sum(
        math.comb(n, j) * math.comb(n - j, k - 2 * j) * c**j * b ** (k - 2 * j) * a ** (n - k + j)
        for j in range(max(0, k - n), k // 2 + 1)
    )


# --- exact integrals ------------------------------------------------------------------------------


def integrals(rng: Random) -> Iterator[Problem]:
    """Of a polynomial between fractions; then of the square of one. Truth by quadrature at as many
    points as make it exact."""
    for level in (1, 2):
        degree = rng.randrange(4, 6) + level
        factors = [rng.randrange(-9, 10) or 1 for _ in range(degree + 1)]
        low = Fraction(rng.randrange(1, 7), rng.randrange(2, 8))
        high = low + Fraction(rng.randrange(3, 12), rng.randrange(2, 8))
        shown = " ".join(f"{f:+d} x^{k}" for k, f in enumerate(factors)).replace(" x^0", "")
        inside = f"({shown})^2" if level == 2 else shown
        squared = [sum(factors[i] * factors[k - i] for i in range(len(factors))
                       if 0 <= k - i < len(factors)) for k in range(2 * degree + 1)]  # fmt: skip
        exact = _quadrature(squared if level == 2 else factors, low, high)
        right = {"numerator": exact.numerator, "denominator": exact.denominator}
        text = asked(
            rng,
            [
                f"Integrate {inside} over x from {low} to {high}. The integral is a fraction: give "
                "it in lowest terms, with a positive denominator.",
                f"What is the exact value of the integral of {inside} dx between x = {low} and "
                f"x = {high}, as a reduced fraction (its denominator positive)?",
            ],
            right,
        )
        code = cell(
            "import json\nfrom fractions import Fraction",
            f"factors = {factors}",
            f"low, high = Fraction('{low}'), Fraction('{high}')",
            "square = [0] * (2 * len(factors) - 1)\nfor i, u in enumerate(factors):\n"
            "    for j, v in enumerate(factors):\n        square[i + j] += u * v\nfactors = square"
            if level == 2
            else "",
            "total = Fraction(0)",
            "for k, factor in enumerate(factors):",
            "    total += Fraction(factor, k + 1) * (high ** (k + 1) - low ** (k + 1))",
            "print(json.dumps({'numerator': total.numerator, 'denominator': total.denominator}))",
        )
        yield Problem(text, right, (code,), "exact integral")


def _quadrature(factors: list[int], low: Fraction, high: Fraction) -> Fraction:
    """Newton and Cotes: weights such that 1, x, x**2, ... up to the degree come out right on the
    points 0, 1, 2, ..., which are then stretched to the interval."""
    n = len(factors)
    rows = [
        [*(Fraction(point) ** k for point in range(n)), Fraction((n - 1) ** (k + 1), k + 1)]
        for k in range(n)
    ]
    for i in range(n):
        swap = next(k for k in range(i, n) if rows[k][i])
        rows[i], rows[swap] = rows[swap], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(n):
            if k != i and rows[k][i]:
                rows[k] = [u - rows[k][i] * v for u, v in zip(rows[k], rows[i])]
    step = (high - low) / (n - 1)
    values = [sum(f * (low + step * at) ** k for k, f in enumerate(factors)) for at in range(n)]
    return step * sum(row[-1] * value for row, value in zip(rows, values))


# --- linear equations -----------------------------------------------------------------------------


def equations(rng: Random) -> Iterator[Problem]:
    """One of the unknowns; then all of them, of more. Truth: they were chosen first."""
    for level in (1, 2):
        n = 3 + level
        chosen = [Fraction(rng.randrange(-400, 401) or 7, rng.randrange(3, 30)) for _ in range(n)]
        while len(str(chosen[-1])) < 5:  # or else it could be guessed
            chosen[-1] = Fraction(rng.randrange(-400, 401), rng.randrange(3, 30))
        while True:
            matrix = [[rng.randrange(-9, 10) for _ in range(n)] for _ in range(n)]
            if _by_minors(matrix):
                break
        sums = [sum(a * x for a, x in zip(row, chosen)) for row in matrix]
        names = [f"x{at}" for at in range(1, n + 1)]
        shown = "; ".join(
            " ".join(f"{a:+d} {name}" for a, name in zip(row, names) if a) + f" = {total}"
            for row, total in zip(matrix, sums)
        )
        wanted = names[-1:] if level == 1 else names
        right = {name: str(chosen[names.index(name)]) for name in wanted}
        text = asked(
            rng,
            [
                f"Solve this system of linear equations: {shown}. Give {' and '.join(wanted)} as a "
                'reduced fraction in a text, such as "-7/3", or as "5" where it is whole.',
                f"These equations have one solution: {shown}. Find {', '.join(wanted)}. Write "
                'each as a text with a fraction in lowest terms ("-7/3"; "5" if it is an integer).',
            ],
            right,
        )
        rows = ", ".join(
            "[" + ", ".join([*map(str, row), f"Fraction('{total}')"]) + "]"
            for row, total in zip(matrix, sums)
        )
        code = cell(
            "import json\nfrom fractions import Fraction",
            _ELIMINATE,
            f"rows = [{rows}]",
            "rows = [[Fraction(value) for value in row] for row in rows]",
            "found = [str(row[0]) for row in solve(rows)]",
            f"names = {names}",
            f"print(json.dumps({{'{wanted[0]}': found[-1]}}))"
            if level == 1
            else "print(json.dumps(dict(zip(names, found))))",
        )
        yield Problem(text, right, (code,), "linear equations")


MAKERS = (determinants, inverses, coefficients, integrals, equations)
