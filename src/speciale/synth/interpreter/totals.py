"""Questions about records: totals, joins, shares and order statistics."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from random import Random

from speciale.synth.interpreter.asking import (
    Maker,
    Unclear,
    best,
    lists,
    plain,
    problem,
    quantile,
    rounded,
    sums,
)
from speciale.synth.interpreter.problem import Problem
from speciale.synth.interpreter.records import Records

# --- totals ---------------------------------------------------------------------------------------


def total_of_kind(records: Records, rng: Random) -> Problem:
    theme = records.theme
    kind = rng.choice(records.rows).kind
    month = rng.choice(records.months)
    rows = [row for row in records.rows if row.kind == kind and f"{row.day:%Y-%m}" == month]
    if len(rows) < 3:
        raise Unclear
    answer = {"total": sum(row.amount for row in rows)}
    wordings = [
        f"What is the total {theme.amount} of all {theme.many} of the {theme.kind} {kind} in "
        f"{month}?",
        f"Add up the {theme.amount} of every {theme.one} in {month} whose {theme.kind} is {kind}.",
    ]
    parts = [
        f"found = [row for row in rows if row['kind'] == '{kind}'",
        f"         and row['day'].strftime('%Y-%m') == '{month}']",
        "print(json.dumps({'total': sum(row['amount'] for row in found)}))",
    ]
    return problem(records, rng, wordings, answer, parts, "total of a kind and month")


def largest_region(records: Records, rng: Random) -> Problem:
    theme = records.theme
    kind = rng.choice(records.rows).kind
    region = {site.name: site.region for site in records.sites}
    totals = sums((region[row.site], row.amount) for row in records.rows if row.kind == kind)
    name, total = best(totals)
    answer = {theme.region: name, "total": total}
    wordings = [
        f"Which {theme.region} has the largest total {theme.amount} of {kind}, and how much is it?",
        f"Group the {theme.many} of the {theme.kind} {kind} by {theme.region} and name the one "
        f"with the greatest total {theme.amount}, with that total.",
    ]
    parts = [
        "totals = defaultdict(int)",
        f"for row in rows:\n    if row['kind'] == '{kind}':",
        "        totals[region[row['site']]] += row['amount']",
        "best = max(totals, key=totals.get)",
        f"print(json.dumps({{'{theme.region}': best, 'total': totals[best]}}))",
    ]
    return problem(records, rng, wordings, answer, parts, "largest group after a join")


def largest_share(records: Records, rng: Random) -> Problem:
    theme = records.theme
    region = {site.name: site.region for site in records.sites}
    whole = sums((region[row.site], row.amount) for row in records.rows)
    parts_of = sums(((region[row.site], row.kind), row.amount) for row in records.rows)
    least = rng.randrange(20, 41)
    number = Counter(region[row.site] for row in records.rows)
    shares = {
        key: Fraction(amount, whole[key[0]])
        for key, amount in parts_of.items()
        if number[key[0]] >= least
    }
    (name, kind), share = best(shares)
    answer = {theme.region: name, theme.kind: kind, "percent": rounded(share * 100, 3)}
    wordings = [
        f"For each {theme.region} with at least {least} {theme.many}, work out what share of its "
        f"total {theme.amount} each {theme.kind} has. Which pair of {theme.region} and "
        f"{theme.kind} has the greatest share, in per cent?",
        f"In which {theme.region} does a single {theme.kind} make up the greatest part of the "
        f"total {theme.amount}, which {theme.kind} is it, and how many per cent is that? Leave out "
        f"every {theme.region} with fewer than {least} {theme.many}.",
    ]
    parts = [
        "whole, part, number = defaultdict(int), defaultdict(int), defaultdict(int)",
        "for row in rows:\n    name = region[row['site']]",
        "    whole[name] += row['amount']\n    number[name] += 1",
        "    part[name, row['kind']] += row['amount']",
        "shares = {key: amount / whole[key[0]] for key, amount in part.items()",
        f"          if number[key[0]] >= {least}}}",
        "name, kind = max(shares, key=shares.get)",
        "percent = round(100 * shares[name, kind], 3)",
        f"print(json.dumps({{'{theme.region}': name, '{theme.kind}': kind, 'percent': percent}}))",
    ]
    hint = "Round the percentage to 3 decimals."
    return problem(records, rng, wordings, answer, parts, "largest share", 3, hint)


def largest_rise(records: Records, rng: Random) -> Problem:
    theme = records.theme
    region = {site.name: site.region for site in records.sites}
    months = records.months[1:-1] if len(records.months) > 4 else records.months
    kinds = sorted({row.kind for row in records.rows})
    without = rng.choice(kinds)
    totals = sums(
        ((region[row.site], f"{row.day:%Y-%m}"), row.amount)
        for row in records.rows
        if row.kind != without
    )
    names = sorted({name for name, _ in totals})
    rises = {
        (name, after): totals.get((name, after), 0) - totals.get((name, before), 0)
        for name in names
        for before, after in pairwise(months)
    }
    (name, month), rise = best(rises)
    if rise <= 0:
        raise Unclear
    before = totals.get((name, months[months.index(month) - 1]), 0)
    answer = {theme.region: name, "month": month, "rise": rise, "before": before}
    wordings = [
        f"Leave out the {theme.kind} {without}. By how much did the monthly total "
        f"{theme.amount} of a {theme.region} rise most from one month to the next, among the "
        f"months {months[0]} to {months[-1]}? Name the {theme.region} and the later month, and "
        "give the total of the month before it.",
        f"Add up the {theme.amount} by {theme.region} and month, all but {without}, for the months "
        f"from {months[0]} to {months[-1]}. Find the greatest increase over the month before "
        f"(a month without {theme.many} has 0): its {theme.region}, its month, its size, and "
        "the total before it.",
    ]
    parts = [
        f"months = {months}",
        "totals = defaultdict(int)",
        f"for row in rows:\n    if row['kind'] == '{without}':\n        continue",
        "    totals[region[row['site']], row['day'].strftime('%Y-%m')] += row['amount']",
        "rises = {}",
        "for name in {name for name, _ in totals}:",
        "    for before, after in zip(months, months[1:]):",
        "        gain = totals.get((name, after), 0) - totals.get((name, before), 0)",
        "        rises[name, after] = gain",
        "name, month = max(rises, key=rises.get)",
        "rise = rises[name, month]",
        "before = totals[name, month] - rise",
        f"result = {{'{theme.region}': name, 'month': month, 'rise': rise, 'before': before}}",
        "print(json.dumps(result))",
    ]
    return problem(records, rng, wordings, answer, parts, "largest rise between months")


# --- order statistics -----------------------------------------------------------------------------


def highest_median(records: Records, rng: Random) -> Problem:
    theme = records.theme
    least = rng.randrange(100, 900)
    by_kind = lists((row.kind, row.amount) for row in records.rows if row.amount >= least)
    kind, median = best({kind: quantile(values, Fraction(1, 2))
                          for kind, values in by_kind.items()})  # fmt: skip
    answer = {theme.kind: kind, "median": plain(median)}
    wordings = [
        f"Among the {theme.many} with a {theme.amount} of {least} or more, which {theme.kind} has "
        f"the highest median {theme.amount}, and what is it?",
        f"Drop every {theme.one} whose {theme.amount} is below {least}. Of the rest take the "
        f"median {theme.amount} by {theme.kind}: name the {theme.kind} with the greatest median, "
        "and that median.",
    ]
    parts = [
        "import statistics",
        "values = defaultdict(list)",
        f"for row in rows:\n    if row['amount'] >= {least}:",
        "        values[row['kind']].append(row['amount'])",
        "medians = {kind: statistics.median(each) for kind, each in values.items()}",
        "best = max(medians, key=medians.get)",
        f"print(json.dumps({{'{theme.kind}': best, 'median': medians[best]}}))",
    ]
    return problem(records, rng, wordings, answer, parts, "highest median", 1)


def quantile_of_large(records: Records, rng: Random) -> Problem:
    theme = records.theme
    sizes = sorted(site.size for site in records.sites)
    bound = sizes[len(sizes) // rng.randrange(2, 5)]
    part = Fraction(rng.choice([10, 15, 20, 80, 85, 90, 95]), 100)
    large = {site.name for site in records.sites if site.size >= bound}
    values = [row.amount for row in records.rows if row.site in large]
    if len(values) < 20:
        raise Unclear
    answer = {"count": len(values), "quantile": rounded(quantile(values, part), 2)}
    wordings = [
        f"How many {theme.many} are from a {theme.place} whose {theme.size} is at least {bound}, "
        f"and what is the {float(part):g} quantile of their {theme.amount}?",
        f"Take only the {theme.many} of each {theme.place} with {theme.size} >= {bound}. Give "
        f"their number and the {float(part):g} quantile of the {theme.amount}.",
    ]
    hint = (
        "Between neighbouring values interpolate linearly (of n sorted values v[0], v[1], ... the "
        "quantile q lies at the position q * (n - 1)), and round to 2 decimals."
    )
    parts = [
        f"values = sorted(row['amount'] for row in rows if size[row['site']] >= {bound})",
        f"place = {float(part)} * (len(values) - 1)",
        "below = int(place)",
        "above = min(below + 1, len(values) - 1)",
        "quantile = values[below] + (place - below) * (values[above] - values[below])",
        "count = len(values)",
        "result = {'count': count, 'quantile': round(quantile, 2)}",
        "print(json.dumps(result))",
    ]
    return problem(records, rng, wordings, answer, parts, "quantile after a join", 2, hint)


def outliers(records: Records, rng: Random) -> Problem:
    theme = records.theme
    factor = rng.choice([1, 1.5, 2])
    region = {site.name: site.region for site in records.sites}
    found: dict[str, list[int]] = {}
    for name, values in lists((region[row.site], row.amount) for row in records.rows).items():
        low, high = (quantile(values, Fraction(q, 4)) for q in (1, 3))
        bound = high + Fraction(factor) * (high - low)
        found[name] = [value for value in values if value > bound]
    name, number = best({name: len(values) for name, values in found.items()})
    count = sum(map(len, found.values()))
    answer = {theme.region: name, "most": number, "outliers": count,
              "total": sum(map(sum, found.values()))}  # fmt: skip
    wordings = [
        f"Within each {theme.region} call a {theme.one} an outlier if its {theme.amount} is above "
        f"Q3 + {factor:g} (Q3 - Q1), with the quartiles of that {theme.region}. Which "
        f"{theme.region} has the most outliers, how many are they there, how many in all, and what "
        f"is the total {theme.amount} of all outliers?",
        f"Find outliers by {theme.region}: {theme.many} with a {theme.amount} of more than the "
        f"third quartile plus {factor:g} times the distance between the first and the third. Give "
        f"the {theme.region} with most of them, their number there, the number of all outliers and "
        f"the sum of their {theme.amount}.",
    ]
    hint = (
        "Quartiles are interpolated linearly: of n sorted values the quantile q lies at the "
        "position q * (n - 1), counted from 0."
    )
    parts = [
        "values = defaultdict(list)",
        "for row in rows:\n    values[region[row['site']]].append(row['amount'])",
        "def quantile(numbers, q):\n    numbers = sorted(numbers)",
        "    place = q * (len(numbers) - 1)\n    below = int(place)",
        "    above = min(below + 1, len(numbers) - 1)",
        "    return numbers[below] + (place - below) * (numbers[above] - numbers[below])",
        "found = {}",
        "for name, each in values.items():\n    low, high = quantile(each, 0.25), "
        "quantile(each, 0.75)",
        f"    found[name] = [value for value in each if value > high + {factor} * (high - low)]",
        "name = max(found, key=lambda name: len(found[name]))",
        "result = {" + f"'{theme.region}': name, 'most': len(found[name]),",
        "          'outliers': sum(map(len, found.values())),",
        "          'total': sum(map(sum, found.values()))}",
        "print(json.dumps(result))",
    ]
    return problem(records, rng, wordings, answer, parts, "outliers by group", None, hint)


CHAINS: tuple[tuple[Maker, ...], ...] = (
    (total_of_kind, largest_region, largest_share, largest_rise),
    (highest_median, quantile_of_large, outliers),
)
