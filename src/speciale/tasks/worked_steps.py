"""Worked steps for the reasoning-gym families: what a student writes before the answer.

Each function reads the metadata of one reasoning-gym entry and does the sum by hand, in the
order in which a model can write it: every number follows from those already on the page.
"""

import ast
import operator
import re
from datetime import date, timedelta
from typing import Any

Metadata = dict[str, Any]
MAX_CHARS = 120  # a context of 512 tokens holds the question, these steps and the answer

OPERATIONS = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
}


def _columns(big: int, small: int, sign: int) -> list[str]:
    """The column sums of big + small (sign 1) or big - small (sign -1), from the units up.

    Wants big >= small >= 0. Stops where only the digits of `big` are left to copy.
    """
    steps, carry = [], 0
    upper, lower = str(big)[::-1], str(small)[::-1]
    for place, digit in enumerate(upper):
        if place >= len(lower) and carry == 0:
            break
        text, total = digit, int(digit) + sign * carry
        if place < len(lower):
            text += ("+" if sign > 0 else "-") + lower[place]
            total += sign * int(lower[place])
        if carry:
            text += "+1" if sign > 0 else "-1"
        carry = int(total >= 10 if sign > 0 else total < 0)
        if sign < 0 and carry:  # borrow ten from the next column
            text, total = text + "+10", total + 10
        steps.append(f"{text}={total}")
    return steps


def _sum_step(total: int, sign: str, term: int) -> tuple[str, int]:
    """One addition or subtraction: ("7+8=15, 4+3+1=8: 47+38=85", 85)."""
    signed = term if sign == "+" else -term
    result = total + signed
    shown = f"{total}{sign}{term}"
    big, small = max(abs(total), term), min(abs(total), term)
    if big < 10:
        return f"{shown}={result}", result
    same = (total < 0) == (signed < 0)
    form = f"{abs(total)}+{term}" if same else f"{big}-{small}"
    if result < 0:
        form = f"-({form})"
    parts = [] if form == shown else [form]
    parts.append(", ".join(_columns(big, small, 1 if same else -1)))
    return ": ".join([*parts, f"{shown}={result}"]), result


def chain_sum(metadata: Metadata) -> str:
    """Column sums with carries and borrows, term by term; totals alone where these are long."""
    first, *rest = metadata["expression"].split()
    total, long, short = int(first), [], []
    for sign, term in zip(rest[::2], rest[1::2]):
        before = total
        step, total = _sum_step(before, sign, int(term))
        long.append(step)
        short.append(f"{before}{sign}{term}={total}")
    steps = "; ".join(long)
    return steps if len(steps) <= MAX_CHARS else "; ".join(short)


def basic_arithmetic(metadata: Metadata) -> str:
    """Innermost operation first: "( 2 + 3 ) * 4" gives "2+3=5, 5*4=20"."""
    steps: list[str] = []

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp):
            sign, apply = OPERATIONS[type(node.op)]
            left, right = value(node.left), value(node.right)
            result = apply(left, right)
            steps.append(f"{left}{sign}{right}={result}")
            return result
        if isinstance(node, ast.UnaryOp):
            inner = value(node.operand)
            if not isinstance(node.operand, ast.Constant):
                steps.append(f"-({inner})={-inner}")
            return -inner
        assert isinstance(node, ast.Constant)
        return node.value

    value(ast.parse(metadata["expression"], mode="eval").body)
    return ", ".join(steps)


def products(metadata: Metadata) -> str:
    """Partial products, then their sum; nothing for one digit times one, which is a fact."""
    left, right = metadata["expression"].split(" * ")
    if len(left) == len(right) == 1:
        return ""
    a, total, partials, sums = int(left), None, [], []
    for power, digit in enumerate(reversed(right)):
        if digit == "0":
            continue
        factor = int(digit) * 10**power
        partials.append(f"{a}*{factor}={a * factor}")
        if total is not None:
            sums.append(f"{total}+{a * factor}={total + a * factor}")
        total = (total or 0) + a * factor
    return ", ".join(partials + sums)


def _euclid(a: int, b: int) -> tuple[str, int]:
    """Euclid's remainders and the greatest common divisor: ("18%12=6, 12%6=0", 6)."""
    big, small, steps = max(a, b), min(a, b), []
    while small:
        steps.append(f"{big}%{small}={big % small}")
        big, small = small, big % small
    return ", ".join(steps), big


def gcd(metadata: Metadata) -> str:
    """Euclid's remainders: the last divisor is the answer."""
    steps, divisor = _euclid(*metadata["numbers"])
    return f"{steps}, gcd {divisor}"


def lcm(metadata: Metadata) -> str:
    """Divide one number by the greatest common divisor, multiply by the other."""
    a, b = metadata["numbers"]
    steps, divisor = _euclid(a, b)
    share = a // divisor
    return f"{steps}, gcd {divisor}: {a}/{divisor}={share}, {share}*{b}={share * b}"


def fraction_simplification(metadata: Metadata) -> str:
    """Divide both by their greatest common divisor."""
    above, below = metadata["numerator"], metadata["denominator"]
    steps, divisor = _euclid(above, below)
    ends = [f"{n}/{divisor}={n // divisor}" for n in (above, below)]
    return f"{steps}, gcd {divisor}: {', '.join(ends)}"


def prime_factorization(metadata: Metadata) -> str:
    """Divide by the smallest prime factor until a prime is left."""
    left, steps = metadata["number"], []
    for factor in metadata["factors"][:-1]:
        steps.append(f"{left}/{factor}={left // factor}")
        left //= factor
    return ", ".join([*steps, f"{left} is prime"])


def simple_equations(metadata: Metadata) -> str:
    """Move the constant over, then divide by the coefficient."""
    name = metadata["variable"]
    left, right = metadata["equation"].replace(" ", "").split("=")
    coefficient = constant = 0
    for term in re.findall(r"[+-]?[^+-]+", left):
        if name in term:
            factor = term.replace(name, "").rstrip("*")
            coefficient += int(factor + "1" if factor in ("", "+", "-") else factor)
        else:
            constant += int(term)
    # The unknown goes to the side where its coefficient is positive.
    start, moved = int(right), constant
    if coefficient < 0:
        coefficient, start, moved = -coefficient, constant, int(right)
    total, steps = start - moved, []
    unknown = name if coefficient == 1 else f"{coefficient}*{name}"
    if moved:
        steps.append(f"{unknown}={start}{-moved:+d}={total}")
    if coefficient > 1:
        steps.append(f"{name}={total}/{coefficient}={total // coefficient}")
    return ", ".join(steps)


def number_sorting(metadata: Metadata) -> str:
    """Pick the smallest (or largest) that is left, again and again: "3 9 5: 3; 9 5: 5; 9"."""
    left = [int(float(number)) for number in metadata["original_numbers"]]
    pick = min if metadata["direction"] == "ascending" else max
    steps = []
    while len(left) > 1:
        chosen = pick(left)
        steps.append(f"{' '.join(map(str, left))}: {chosen}")
        left.remove(chosen)
    return "; ".join([*steps, str(left[0])])


def number_filtering(metadata: Metadata) -> str:
    """Compare each number with the bound and say whether it stays."""
    bound = metadata["filter_value"]
    action, side = metadata["operation"].split("_")
    steps = []
    for number in metadata["original_numbers"]:
        order = (float(number) > float(bound)) - (float(number) < float(bound))
        named = order == (1 if side == "larger" else -1)
        verdict = "in" if named == (action == "keep") else "out"
        steps.append(f"{number}{'<=>'[order + 1]}{bound} {verdict}")
    return ", ".join(steps)


def count_bits(metadata: Metadata) -> str:
    """Halve until nothing is left; an odd number gives a 1: "6:0 3:1 1:1 sum 2"."""
    left, steps = metadata["number"], []
    while left:
        steps.append(f"{left}:{left % 2}")
        left //= 2
    return f"{' '.join(steps)} sum {metadata['solution']}"


def word_sequence_reversal(metadata: Metadata) -> str:
    """Number the words; the answer reads them from the highest number down."""
    return " ".join(f"{place} {word}" for place, word in enumerate(metadata["words"], 1))


def spell_backward(metadata: Metadata) -> str:
    """The letters apart, since a token may hold several: "s u n"."""
    return " ".join(metadata["word"])


def letter_counting(metadata: Metadata) -> str:
    """Count in each word, spelled out where that is short enough, then in all."""
    letter, words = metadata["target_letter"], metadata["span"]
    counts = [word.lower().count(letter) for word in words]
    for spell in ("-".join, str):
        each = ", ".join(f"{spell(word)} {count}" for word, count in zip(words, counts))
        steps = f"{each}, total {sum(counts)}"
        if len(steps) <= MAX_CHARS:
            break
    return steps


def _walk(start: date, days: int) -> str:
    """Whole weeks change nothing: count only the days over: "9%7=2 after Monday: ..."."""
    over, step = abs(days) % 7, 1 if days > 0 else -1
    if over == 0:
        return f"{abs(days)}%7=0: {start:%A}"
    names = [f"{start + timedelta(days=step * count):%A}" for count in range(1, over + 1)]
    side = "after" if days > 0 else "before"
    return f"{abs(days)}%7={over} {side} {start:%A}: {', '.join(names)}"


def calendar_arithmetic(metadata: Metadata) -> str:
    """Leap years by remainders; weekdays by the days over whole weeks."""
    task = metadata["task"]
    if task == "is_leap_year":
        year, steps = metadata["year"], []
        for divisor in (4, 100, 400):  # each rule overrules the one before it
            steps.append(f"{year}%{divisor}={year % divisor}")
            if year % divisor:
                break
        return ", ".join(steps)
    if task == "weekday_offset":
        return _walk(date.fromisoformat(metadata["start_date"]), metadata["offset_days"])
    target = date.fromisoformat(metadata["target_date"])
    months = [
        (date(target.year, m + 1, 1) - date(target.year, m, 1)).days for m in range(1, target.month)
    ]
    days = metadata["delta_days"]
    monday = date(2024, 1, 1)  # any Monday: only the names of the days matter here
    first = next(
        d
        for d in (monday + timedelta(days=n) for n in range(7))
        if f"{d:%A}" == metadata["first_day"]
    )
    return f"{'+'.join(map(str, [*months, target.day]))}-1={days}, {_walk(first, days)}"
