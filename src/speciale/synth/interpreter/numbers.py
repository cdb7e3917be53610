"""Problems of number theory: counts under conditions, sums of powers, recurrences, logarithms.

Cells loop or use matrices; the truth here is by another way: digit by digit, by periods, by
polynomials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

from speciale.synth.interpreter.problem import Problem
from speciale.synth.interpreter.wording import asked, cell

BIG = (998_244_353, 1_000_000_007, 1_000_000_009, 999_999_937, 754_974_721, 1_004_535_809)


# --- how many numbers below a bound ---------------------------------------------------------------


def counted(rng: Random) -> Iterator[Problem]:
    """Coprime to m; then of a rest modulo q too; then with a sum of digits divisible by k too."""
    m = rng.choice([6, 10, 14, 15, 21, 22, 26, 30, 33, 35, 42])
    q = rng.choice([p for p in (4, 5, 7, 11, 13) if math.gcd(p, m) == 1])
    r, k, top = rng.randrange(1, q), rng.choice([4, 5, 7]), rng.randrange(200_000, 700_000)
    for level in (1, 2, 3):
        bound = level * top // 2 + rng.randrange(1_000, 90_000)
        tests = [f"math.gcd(n, {m}) == 1", f"n % {q} == {r}", f"digits(n) % {k} == 0"][:level]
        said = [
            f"have no prime factor in common with {m}",
            f"leave the remainder {r} when divided by {q}",
            f"have a sum of decimal digits that {k} divides",
        ][:level]
        code = cell(
            "import json\nimport math",
            "def digits(n):\n    return sum(map(int, str(n)))" if level > 2 else "",
            f"count = 0\nfor n in range(1, {bound + 1}):",
            *(f"    if not {test}:\n        continue" for test in tests),
            "    count += 1\nprint(json.dumps({'count': count}))",
        )
        right = _by_digits(bound, m, (q, r) if level > 1 else (1, 0), k if level > 2 else 1)
        text = asked(
            rng,
            [
                f"How many whole numbers from 1 to {bound} {_listed(said)}?",
                f"Consider the integers n with 1 <= n <= {bound}. Find how many of them "
                f"{_listed(said)}.",
                f"Count the positive integers up to and including {bound} that {_listed(said)}.",
            ],
            {"count": right},
        )
        yield Problem(text, {"count": right}, (code,), "count under conditions")


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _by_digits(bound: int, m: int, rest: tuple[int, int], k: int) -> int:
    """Digit by digit: how many numbers below have a rest modulo m * q and a digit sum modulo k."""
    q, r = rest
    size = m * q
    text = str(bound)
    loose: dict[tuple[int, int], int] = {}
    tight = (0, 0)
    for letter in text:
        digit = int(letter)
        new: dict[tuple[int, int], int] = {}
        for (mod, total), ways in loose.items():
            for d in range(10):
                key = ((mod * 10 + d) % size, (total + d) % k)
                new[key] = new.get(key, 0) + ways
        for d in range(digit):
            key = ((tight[0] * 10 + d) % size, (tight[1] + d) % k)
            new[key] = new.get(key, 0) + 1
        tight = ((tight[0] * 10 + digit) % size, (tight[1] + digit) % k)
        loose = new
    loose[tight] = loose.get(tight, 0) + 1
    good = [
        ways
        for (mod, total), ways in loose.items()
        if math.gcd(mod, m) == 1 and mod % q == r and total == 0
    ]
    # 0 was counted where gcd(0, m) = m = 1 alone, which m never is.
    return sum(good)


# --- sums of powers -------------------------------------------------------------------------------


def power_sums(rng: Random) -> Iterator[Problem]:
    """Of `k**a`, for few and very many k; then of `k**a * b**k`. Truth by the terms' period."""
    p = _some_prime(rng, 4_000, 9_990)
    while not (orders := [d for d in range(15, 90) if (p - 1) % d == 0]):
        p = _some_prime(rng, 4_000, 9_990)
    # A base with a short period, so that the truth need not take as long as the question is big.
    order, b = rng.choice(orders), 1
    while _order(b, p) != order:
        b = pow(rng.randrange(2, p), (p - 1) // order, p)
    a = rng.randrange(3, 7)
    few, many = rng.randrange(100_000, 900_000), rng.randrange(10**13, 10**16)
    head = "import json"
    loop = cell(
        head,
        f"total = 0\nfor k in range(1, {few + 1}):\n    total += pow(k, {a}, {p})",
        f"print(json.dumps({{'residue': total % {p}}}))",
    )
    yield _power_sum(rng, few, a, 1, p, loop, _power_period(few, a, 1, p, p))
    newton = cell(
        head,
        "from fractions import Fraction",
        f"a, n, m = {a}, {many}, {p}",
        "# The sum is a polynomial of degree a + 1 in n: Lagrange through a + 2 points.",
        "points = [0]\nfor k in range(1, a + 2):\n    points.append(points[-1] + k ** a)",
        "total = Fraction(0)",
        "for i, value in enumerate(points):",
        "    term = Fraction(value)",
        "    for j in range(len(points)):",
        "        if j != i:",
        "            term *= Fraction(n - j, i - j)",
        "    total += term",
        "print(json.dumps({'residue': int(total) % m}))",
    )
    yield _power_sum(rng, many, a, 1, p, newton, _power_period(many, a, 1, p, p))
    matrix = cell(
        head,
        "import math",
        f"a, b, n, m = {a}, {b}, {many * 7 + 3}, {p}",
        "def product(x, y):",
        "    columns = list(zip(*y))",
        "    return [[sum(u * v for u, v in zip(row, column)) % m for column in columns]",
        "            for row in x]",
        "# The state: k**j * b**k for j = 0..a, and the sum so far.",
        "size = a + 2",
        "step = [[0] * size for _ in range(size)]",
        "for j in range(a + 1):",
        "    for i in range(j + 1):",
        "        step[j][i] = b * math.comb(j, i) % m",
        "step[a + 1] = step[a][:]",
        "step[a + 1][a + 1] = 1",
        "state = [[1]] + [[0] for _ in range(size - 1)]",
        "while n:",
        "    if n & 1:",
        "        state = product(step, state)",
        "    step = product(step, step)",
        "    n >>= 1",
        "print(json.dumps({'residue': state[a + 1][0]}))",
    )
    n = many * 7 + 3
    yield _power_sum(rng, n, a, b, p, matrix, _power_period(n, a, b, p, p * order))


def _power_sum(rng: Random, n: int, a: int, b: int, m: int, code: str, right: int) -> Problem:
    term = f"k^{a}" if b == 1 else f"k^{a} * {b}^k"
    text = asked(
        rng,
        [
            f"Let S be the sum of {term} over all integers k from 1 to {n}. What remainder does S "
            f"leave when it is divided by {m}?",
            f"Compute the sum of {term} for k = 1, 2, ..., {n}, modulo {m}.",
            f"The terms {term}, with k running from 1 up to {n}, are added up. Give the total "
            f"modulo {m} (between 0 and {m - 1}).",
        ],
        {"residue": right},
    )
    return Problem(text, {"residue": right}, (code,), "sum of powers")


def _power_period(n: int, a: int, b: int, m: int, period: int) -> int:
    """The terms modulo m repeat after `period`: whole periods, and the rest."""
    whole, rest = divmod(n, period)
    total = part = 0
    power = 1
    for k in range(1, period + 1 if whole else rest + 1):
        power = power * b % m
        total += pow(k, a, m) * power
        if k == rest:
            part = total
    return (whole * total + (part if whole else total)) % m


# --- recurrences ----------------------------------------------------------------------------------


def recurrences(rng: Random) -> Iterator[Problem]:
    """A linear recurrence: a term not so far off, one far off, the sum of all up to one far off.
    Truth: x**n modulo the characteristic polynomial."""
    order, m = rng.choice((3, 4)), rng.choice(BIG)
    factors = [rng.randrange(1, 9) for _ in range(order)]
    first = [rng.randrange(1, 20) for _ in range(order)]
    near, far = rng.randrange(20_000, 90_000), rng.randrange(10**14, 10**17)
    farther = far * 3 + rng.randrange(1000)
    setup = f"import json\nfactors = {factors}\nfirst = {first}\nm = {m}"
    loop = cell(
        setup,
        f"terms = first[:]\nfor n in range({order}, {near + 1}):",
        "    new = sum(f * t for f, t in zip(factors, reversed(terms))) % m",
        "    terms = terms[1:] + [new]",
        "print(json.dumps({'term': terms[-1]}))",
    )
    product = (
        "def product(x, y):\n    columns = list(zip(*y))\n"
        "    return [[sum(u * v for u, v in zip(row, column)) % m for column in columns]\n"
        "            for row in x]"
    )
    power = (
        "step, n = matrix, {}\nwhile n:\n    if n & 1:\n        state = product(step, state)\n"
        "    step = product(step, step)\n    n >>= 1"
    )
    jump = cell(
        setup,
        product,
        "size = len(first)",
        "matrix = [[0] * size for _ in range(size)]",
        "for i in range(size - 1):\n    matrix[i][i + 1] = 1",
        "matrix[-1] = factors[::-1]",
        "state = [[value] for value in first]",
        power.format(far),
        "print(json.dumps({'term': state[0][0] % m}))",
    )
    summed = cell(
        setup,
        product,
        "size = len(first) + 1",
        "matrix = [[0] * size for _ in range(size)]",
        "for i in range(size - 2):\n    matrix[i][i + 1] = 1",
        "matrix[-2] = factors[::-1] + [0]",
        "# The last row adds up the terms that have left the window.",
        "matrix[-1][0] = 1\nmatrix[-1][-1] = 1",
        "state = [[value] for value in first] + [[0]]",
        power.format(f"{farther} + 1"),
        "print(json.dumps({'total': state[-1][0] % m}))",
    )
    shown = " + ".join(f"{f} a(n-{at})" for at, f in enumerate(factors, 1))
    start = ", ".join(f"a({at}) = {value}" for at, value in enumerate(first))
    told = f"a(n) = {shown} for n >= {order}"
    for code, key, index in ((loop, "term", near), (jump, "term", far), (summed, "total", farther)):
        if key == "term":
            right = _term(index, factors, first, m)
            wants = [f"What is a({index}) modulo {m}?", f"Find the remainder of a({index}) when "
                     f"divided by {m}."]  # fmt: skip
        else:
            right = _total(index, factors, first, m)
            wants = [
                f"What is a(0) + a(1) + ... + a({index}) modulo {m}?",
                f"Add up all terms from a(0) to a({index}), both included, and give the result "
                f"modulo {m}.",
            ]
        want = rng.choice(wants)
        text = asked(
            rng,
            [
                f"A sequence begins {start} and goes on with {told}. {want}",
                f"Let {told}, where {start}. {want}",
                f"With the starting values {start} a sequence is defined by {told}. {want}",
            ],
            {key: right},
        )
        yield Problem(text, {key: right}, (code,), "recurrence")


def _term(n: int, factors: list[int], first: list[int], m: int) -> int:
    """a(n) by x**n modulo the characteristic polynomial, square by square."""
    order = len(factors)

    def times(one: list[int], other: list[int]) -> list[int]:
        made = [0] * (2 * order - 1)
        for i, u in enumerate(one):
            for j, v in enumerate(other):
                made[i + j] += u * v
        for top in range(2 * order - 2, order - 1, -1):
            for at, factor in enumerate(factors, 1):
                made[top - at] += made[top] * factor
        return [value % m for value in made[:order]]

    power, square = [1] + [0] * (order - 1), [0, 1] + [0] * (order - 2)
    while n:
        if n & 1:
            power = times(power, square)
        square = times(square, square)
        n >>= 1
    return sum(c * value for c, value in zip(power, first)) % m


def _total(n: int, factors: list[int], first: list[int], m: int) -> int:
    """The sums obey a recurrence of one order more: its polynomial times (x - 1)."""
    longer = [1, *(-f for f in factors)]  # of x**k downwards
    by = [u - v for u, v in zip([*longer, 0], [0, *longer])]
    sums, terms = [], first[:]
    for at in range(len(first) + 1):
        if at >= len(terms):
            terms.append(sum(f * t for f, t in zip(factors, reversed(terms))))
        sums.append(sum(terms[: at + 1]))
    return _term(n, [-c for c in by[1:]], sums, m)


# --- discrete logarithms --------------------------------------------------------------------------


def logarithms(rng: Random) -> Iterator[Problem]:
    """The least exponent, by trying; then modulo a larger prime, by small and giant steps.
    Truth: it was chosen, and brought below the order of the base."""
    tries = cell(
        "import json",
        "p, base, target = {}, {}, {}",
        "value, exponent = 1, 0",
        "while value != target:\n    value = value * base % p\n    exponent += 1",
        "print(json.dumps({{'exponent': exponent}}))",
    )
    giant = cell(
        "import json\nimport math",
        "def log(p, base, target):",
        "    width = math.isqrt(p) + 1",
        "    small, value = {{}}, 1",
        "    for exponent in range(width):",
        "        small.setdefault(value, exponent)",
        "        value = value * base % p",
        "    back, value = pow(base, -width, p), target",
        "    for turn in range(width + 1):",
        "        if value in small:",
        "            return turn * width + small[value]",
        "        value = value * back % p",
        "print(json.dumps({{'exponent': log({}, {}, {})}}))",
    )
    for code, size in ((tries, 100_000), (giant, 10**9)):
        p = _some_prime(rng, size, 4 * size)
        base, chosen = rng.randrange(2, 60), rng.randrange(10**9)
        while _order(base, p) < p // 4 or chosen % _order(base, p) < p // 16:
            base, chosen = rng.randrange(2, 60), rng.randrange(10**9)
        right = chosen % _order(base, p)
        target = pow(base, right, p)
        text = asked(
            rng,
            [
                f"What is the smallest non-negative integer x with {base}^x congruent to {target} "
                f"modulo the prime {p}?",
                f"Find the least x >= 0 for which {base}^x leaves the remainder {target} when "
                f"divided by {p}.",
            ],
            {"exponent": right},
        )
        filled = code.format(p, base, target)
        yield Problem(text, {"exponent": right}, (filled,), "discrete logarithm")


def _some_prime(rng: Random, low: int, high: int) -> int:
    while not _prime(n := rng.randrange(low, high)):
        pass
    return n


def _prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


def _order(base: int, p: int) -> int:
    """The least exponent above 0 that gives 1."""
    order, rest, d = p - 1, p - 1, 2
    while rest > 1:
        if d * d > rest:
            d = rest
        while rest % d == 0:
            rest //= d
            if pow(base, order // d, p) == 1:
                order //= d
        d += 1
    return order


MAKERS = (counted, power_sums, recurrences, logarithms)
