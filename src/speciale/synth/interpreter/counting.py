"""Problems of counting: change, lattice paths, words, seatings and subsets.

Cells count step by step; the truth here comes from generating functions, inclusion and exclusion,
autocorrelations and residue classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from random import Random

from speciale.synth.interpreter.problem import Problem
from speciale.synth.interpreter.wording import asked, cell

M = 1_000_000_007


# --- change ---------------------------------------------------------------------------------------


def change(rng: Random) -> Iterator[Problem]:
    """Ways to pay; then with few of each coin; then with a number of coins besides."""
    coins = sorted(rng.sample([1, 2, 3, 5, 7, 8, 11, 13, 17, 20, 25, 29, 40, 50], 5))
    if math.gcd(*coins) > 1:
        coins[0] = 1
    amount = rng.randrange(350, 700)
    most = [amount // coin // 2 + rng.randrange(2, 6) for coin in coins]
    names = ", ".join(map(str, coins[:-1])) + f" and {coins[-1]}"
    limits = ", ".join(f"{n} of {coin}" for n, coin in zip(most, coins))
    for level in (1, 2, 3):
        used = most if level > 1 else [amount] * len(coins)
        parity = rng.randrange(2, 5) if level == 3 else 1
        right = _by_series(coins, used, amount, parity)
        tail = f", and the number of coins used must be a multiple of {parity}"
        bound = f" There are only these coins: {limits}" if level > 1 else ""
        text = asked(
            rng,
            [
                f"In how many ways can an amount of {amount} be paid with coins of {names}, where "
                f"the order of the coins does not matter?{bound}{tail if level > 2 else ''}"
                f"{'.' if bound else ''}",
                f"A machine holds coins of the values {names}. Count the multisets of coins that "
                f"add up to exactly {amount}.{bound}{tail if level > 2 else ''}"
                f"{'.' if bound else ''}",
            ],
            {"ways": right},
        )
        yield Problem(text, {"ways": right}, (_change_cell(level, coins, most, amount, parity),),
                      "change")  # fmt: skip
        amount += rng.randrange(20, 90)
        most = [n + 1 for n in most]
        limits = ", ".join(f"{n} of {coin}" for n, coin in zip(most, coins))


def _change_cell(level: int, coins: list[int], most: list[int], amount: int, parity: int) -> str:
    head = f"import json\ncoins, amount = {coins}, {amount}"
    if level == 1:
        return cell(
            head,
            "ways = [1] + [0] * amount",
            "for coin in coins:\n    for total in range(coin, amount + 1):",
            "        ways[total] += ways[total - coin]",
            "print(json.dumps({'ways': ways[amount]}))",
        )
    if level == 2:
        return cell(
            head,
            f"most = {most}",
            "ways = [1] + [0] * amount",
            "for coin, limit in zip(coins, most):\n    new = [0] * (amount + 1)",
            "    for total in range(amount + 1):",
            "        for number in range(min(limit, total // coin) + 1):",
            "            new[total] += ways[total - number * coin]",
            "    ways = new",
            "print(json.dumps({'ways': ways[amount]}))",
        )
    return cell(
        head,
        f"most, parity = {most}, {parity}",
        "ways = [[0] * parity for _ in range(amount + 1)]",
        "ways[0][0] = 1",
        "for coin, limit in zip(coins, most):",
        "    new = [[0] * parity for _ in range(amount + 1)]",
        "    for total in range(amount + 1):",
        "        for number in range(min(limit, total // coin) + 1):",
        "            for rest in range(parity):",
        "                old = ways[total - number * coin][rest]",
        "                new[total][(rest + number) % parity] += old",
        "    ways = new",
        "print(json.dumps({'ways': ways[amount][0]}))",
    )


def _by_series(coins: list[int], most: list[int], amount: int, parity: int) -> int:
    """The coefficient of x**amount in the product of (1 - (y x**c)**(l+1)) / (1 - y x**c), where
    y**parity = 1: big integers hold the polynomials, a power of 2 apart for each coefficient."""
    width, layers = 96, [0] * parity
    whole = (1 << width * (amount + 1)) - 1
    layers[0] = 1
    for coin, limit in zip(coins, most):
        made = [0] * parity
        for number in range(min(limit, amount // coin) + 1):
            for rest, layer in enumerate(layers):
                made[(rest + number) % parity] += layer << (width * coin * number)
        layers = [layer & whole for layer in made]
    return layers[0] >> (width * amount)


# --- lattice paths --------------------------------------------------------------------------------


def paths(rng: Random) -> Iterator[Problem]:
    """From corner to corner around blocked points; then with diagonal steps too."""
    for level in (1, 2, 3):
        wide, high = rng.randrange(14, 22) + 6 * level, rng.randrange(14, 22) + 6 * level
        blocked: set[tuple[int, int]] = set()
        while len(blocked) < 4 + 3 * level:
            x, y = rng.randrange(wide), rng.randrange(high)
            if 2 < x + y < wide + high - 2:
                blocked.add((x, y))
        points = sorted(blocked)
        diagonal = level == 3
        right = _around(wide, high, points, diagonal) % M
        shown = ", ".join(f"({x}, {y})" for x, y in points)
        steps = "(1, 0), (0, 1) and (1, 1)" if diagonal else "(1, 0) and (0, 1)"
        text = asked(
            rng,
            [
                f"A path on the integer lattice goes from (0, 0) to ({wide}, {high}) by steps "
                f"{steps}. How many such paths visit none of the points {shown}? Give the number "
                f"modulo {M}.",
                f"Count the lattice paths from (0, 0) to ({wide}, {high}) whose steps are {steps} "
                f"and which avoid all of {shown}; the count is wanted modulo {M}.",
            ],
            {"paths": right},
        )
        code = cell(
            "import json",
            f"wide, high, m = {wide}, {high}, {M}",
            f"blocked = {{{shown}}}",
            "ways = [[0] * (high + 1) for _ in range(wide + 1)]\nways[0][0] = 1",
            "for x in range(wide + 1):\n    for y in range(high + 1):",
            "        if (x, y) in blocked:\n            ways[x][y] = 0\n            continue",
            "        if x:\n            ways[x][y] += ways[x - 1][y]",
            "        if y:\n            ways[x][y] += ways[x][y - 1]",
            "        if x and y:\n            ways[x][y] += ways[x - 1][y - 1]" if diagonal else "",
            "        ways[x][y] %= m",
            "print(json.dumps({'paths': ways[wide][high]}))",
        )
        yield Problem(text, {"paths": right}, (code,), "lattice paths")


def _around(wide: int, high: int, points: list[tuple[int, int]], diagonal: bool) -> int:
    """Each path by the first blocked point that it visits."""

    def free(x: int, y: int) -> int:
        if x < 0 or y < 0:
            return 0
        if not diagonal:
            return math.comb(x + y, x)
        return sum(math.comb(x, k) * math.comb(y, k) << k for k in range(min(x, y) + 1))

    first: dict[tuple[int, int], int] = {}
    for x, y in [*points, (wide, high)]:
        first[x, y] = free(x, y) - sum(n * free(x - u, y - v) for (u, v), n in first.items())
    return first[wide, high]


# --- words without a pattern ----------------------------------------------------------------------


def words(rng: Random) -> Iterator[Problem]:
    """Words that avoid a pattern; then a longer one, in far longer words."""
    for level, letters in ((1, "AB"), (2, "ABC"), (3, "ABCD")):
        size, length = level + 4, (rng.randrange(60, 100), rng.randrange(400, 900),
                                   rng.randrange(2_000, 5_000))[level - 1]  # fmt: skip
        part = "".join(rng.choice(letters) for _ in range(rng.randrange(2, size)))
        pattern = (part * size)[: size - 1] + rng.choice(letters)
        right = _avoiding(pattern, len(letters), length)
        text = asked(
            rng,
            [
                f"How many words of length {length} over the letters {', '.join(letters)} do not "
                f"contain {pattern} as a block of neighbouring letters? Give the number modulo "
                f"{M}.",
                f"Over the alphabet {{{', '.join(letters)}}}, count the strings of length {length} "
                f"in which {pattern} never occurs as a substring, modulo {M}.",
            ],
            {"words": right},
        )
        code = cell(
            "import json",
            f"pattern, letters, length, m = '{pattern}', '{letters}', {length}, {M}",
            "def after(state, letter):",
            "    seen = pattern[:state] + letter",
            "    while not pattern.startswith(seen):\n        seen = seen[1:]",
            "    return len(seen)",
            "steps = [[after(state, each) for each in letters] for state in range(len(pattern))]",
            "ways = [1] + [0] * (len(pattern) - 1)",
            "for _ in range(length):\n    new = [0] * (len(pattern) + 1)",
            "    for state, number in enumerate(ways):",
            "        for to in steps[state]:\n            new[to] = (new[to] + number) % m",
            "    ways = new[:-1]",
            "print(json.dumps({'words': sum(ways) % m}))",
        )
        yield Problem(text, {"words": right}, (code,), "words without a pattern")


def _avoiding(pattern: str, letters: int, length: int) -> int:
    """Words with the pattern at their end alone, by the pattern's autocorrelation."""
    size = len(pattern)
    overlaps = [at for at in range(1, size) if pattern[at:] == pattern[: size - at]]
    # free[n]: words without it; ends[n]: words in which it comes once, at the end.
    # free[n] * q = free[n + 1] + ends[n + 1], and free[n] = ends[n + size] + the overlaps' ends.
    free, ends = [1], [0] * (length + size + 1)
    for n in range(length):
        ends[n + size] = free[n] - sum(ends[n + size - at] for at in overlaps)
        free.append((free[n] * letters - ends[n + 1]) % M)
    return free[length]


# --- subsets --------------------------------------------------------------------------------------


def subsets(rng: Random) -> Iterator[Problem]:
    """Subsets of 1..n whose sum leaves a remainder; then of a size; then of a size and no two
    neighbours."""
    d, r = rng.randrange(7, 30), rng.randrange(1, 7)
    n = rng.randrange(60, 160)
    for level in (1, 2, 3):
        n += rng.randrange(3, 20)
        size = n // rng.randrange(5, 8)
        right = _subset_sums(n, d, r, size if level > 1 else None, level > 2)
        kinds = [
            f"subsets of {{1, 2, ..., {n}}}",
            f"subsets of {{1, 2, ..., {n}}} with exactly {size} elements",
            f"subsets of {{1, 2, ..., {n}}} that have exactly {size} elements, no two of which are "
            "consecutive numbers,",
        ][level - 1]
        text = asked(
            rng,
            [
                f"How many {kinds} have a sum that leaves the remainder {r} when divided by {d}? "
                f"Give the number modulo {M}.",
                f"Find the number, modulo {M}, of {kinds} for which the sum of the elements is "
                f"congruent to {r} modulo {d}.",
            ],
            {"subsets": right},
        )
        yield Problem(text, {"subsets": right}, (_subset_cell(level, n, d, r, size),), "subsets")


def _subset_cell(level: int, n: int, d: int, r: int, size: int) -> str:
    head = f"import json\nn, d, r, m = {n}, {d}, {r}, {M}"
    if level == 1:
        return cell(
            head,
            "ways = [1] + [0] * (d - 1)",
            "for k in range(1, n + 1):",
            "    ways = [(ways[s] + ways[(s - k) % d]) % m for s in range(d)]",
            "print(json.dumps({'subsets': ways[r]}))",
        )
    gap = level == 3
    return cell(
        head,
        f"size = {size}",
        "empty = [[0] * d for _ in range(size + 1)]",
        "ways = [row[:] for row in empty]\nways[0][0] = 1",
        "before = ways" if gap else "",
        "for k in range(1, n + 1):\n    new = [row[:] for row in ways]",
        "    for c in range(1, size + 1):\n        for s in range(d):",
        f"            more = {'before' if gap else 'ways'}[c - 1][(s - k) % d]",
        "            new[c][s] = (new[c][s] + more) % m",
        "    before, ways = ways, new" if gap else "    ways = new",
        "print(json.dumps({'subsets': ways[size][r]}))",
    )


def _subset_sums(n: int, d: int, r: int, size: int | None, apart: bool) -> int:
    """By residue classes: numbers of one class act alike. With neighbours forbidden, subsets of
    1..n are those of 1..n - size + 1, each with 0 + 1 + ... + (size - 1) added."""
    if size is not None and apart:
        return _subset_sums(n - size + 1, d, (r - size * (size - 1) // 2) % d, size, False)
    classes = [len(range(c or d, n + 1, d)) for c in range(d)]
    layers = {(0, 0): 1}
    for c, number in enumerate(classes):
        made: dict[tuple[int, int], int] = {}
        for (count, total), ways in layers.items():
            for taken in range(number + 1):
                if size is not None and count + taken > size:
                    break
                key = (count + taken if size is not None else 0, (total + c * taken) % d)
                made[key] = (made.get(key, 0) + ways * math.comb(number, taken)) % M
        layers = made
    return layers.get((size or 0, r % d), 0)


# --- seatings -------------------------------------------------------------------------------------


def seatings(rng: Random) -> Iterator[Problem]:
    """Permutations with forbidden places; then with one that must come before another too."""
    for level in (1, 2, 3):
        n = rng.randrange(9, 11) + level
        places = [(guest, chair) for guest in range(1, n + 1) for chair in range(1, n + 1)]
        barred = sorted(rng.sample(places, 5 + 2 * level))
        right = _by_rooks(n, barred)
        shown = "; ".join(f"guest {g} not on chair {c}" for g, c in barred)
        text = asked(
            rng,
            [
                f"{n} guests, numbered from 1 to {n}, sit down on {n} chairs in a row, numbered "
                f"likewise. These rules hold: {shown}. In how many ways can they sit?",
                f"Number {n} chairs and {n} guests from 1. Count the ways to give each guest a "
                f"chair of their own such that all of this holds: {shown}.",
            ],
            {"ways": right},
        )
        code = cell(
            "import json\nfrom functools import lru_cache",
            f"n = {n}",
            f"barred = {{{', '.join(f'({g}, {c})' for g, c in barred)}}}",
            "@lru_cache(maxsize=None)\ndef ways(taken):",
            "    guest = bin(taken).count('1') + 1",
            "    if guest > n:\n        return 1",
            "    free = [c for c in range(1, n + 1)",
            "            if not taken >> c & 1 and (guest, c) not in barred]",
            "    return sum(ways(taken | 1 << c) for c in free)",
            "print(json.dumps({'ways': ways(0)}))",
        )
        yield Problem(text, {"ways": right}, (code,), "seatings")


def _by_rooks(n: int, barred: list[tuple[int, int]]) -> int:
    """Inclusion and exclusion over sets of forbidden places that can be taken together."""
    total = 0
    for size in range(len(barred) + 1):
        sets = sum(
            len({g for g, _ in chosen}) == size == len({c for _, c in chosen})
            for chosen in combinations(barred, size)
        )
        total += (-1) ** size * sets * math.factorial(n - size)
    return total


MAKERS = (change, paths, words, subsets, seatings)
