"""Questions about records in time: windows, regression, gaps, running totals and goals."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

from speciale.synth.interpreter.asking import (
    Maker,
    Unclear,
    best,
    by_site,
    line,
    problem,
    rounded,
    sums,
)
from speciale.synth.interpreter.measures import WEEKDAYS
from speciale.synth.interpreter.problem import Problem
from speciale.synth.interpreter.records import Records

# --- windows and regression -----------------------------------------------------------------------


def busiest_weekday(records: Records, rng: Random) -> Problem:
    theme = records.theme
    site = rng.choice(records.rows).site
    totals = sums(
        (WEEKDAYS[row.day.weekday()], row.amount) for row in records.rows if row.site != site
    )
    name, total = best(totals)
    answer = {"weekday": name, "total": total}
    wordings = [
        f"Without the {theme.place} {site}: on which day of the week (in English) is the total "
        f"{theme.amount} largest, over the whole time, and what is that total?",
        f"Sum the {theme.amount} by day of the week, for every {theme.place} but {site}. Give the "
        "weekday (its English name) with the greatest sum, and the sum.",
    ]
    parts = [
        "totals = defaultdict(int)",
        f"for row in rows:\n    if row['site'] != '{site}':",
        "        totals[row['day'].strftime('%A')] += row['amount']",
        "best = max(totals, key=totals.get)",
        "print(json.dumps({'weekday': best, 'total': totals[best]}))",
    ]
    return problem(records, rng, wordings, answer, parts, "largest weekday")


def best_window(records: Records, rng: Random) -> Problem:
    theme = records.theme
    width = rng.choice([5, 7, 10, 14, 21])
    kinds = sorted({row.kind for row in records.rows})
    kind = rng.choice(kinds)
    days = sums((row.day, row.amount) for row in records.rows if row.kind == kind)
    first, last = min(days), max(days)
    if (last - first).days < 2 * width:
        raise Unclear
    windows = {}
    day = first
    while day + timedelta(width - 1) <= last:
        windows[day] = sum(days.get(day + timedelta(at), 0) for at in range(width))
        day += timedelta(1)
    start, total = best(windows)
    answer = {"from": str(start), "total": total}
    wordings = [
        f"In which {width} consecutive days was the total {theme.amount} of {kind} largest? Give "
        f"the first of these days and the total; look only at spans of days between the first and "
        f"the last day with {kind}.",
        f"Slide a window of {width} days over the days from the first to the last {theme.one} of "
        f"the {theme.kind} {kind}. Where does the window with the greatest total {theme.amount} "
        "begin, and what is in it?",
    ]
    parts = [
        "days = defaultdict(int)",
        f"for row in rows:\n    if row['kind'] == '{kind}':",
        "        days[row['day']] += row['amount']",
        "day, last = min(days), max(days)",
        "windows = {}",
        f"while day + timedelta({width - 1}) <= last:",
        f"    span = [day + timedelta(at) for at in range({width})]",
        "    windows[day] = sum(days.get(each, 0) for each in span)",
        "    day += timedelta(1)",
        "best = max(windows, key=windows.get)",
        "print(json.dumps({'from': str(best), 'total': windows[best]}))",
    ]
    return problem(records, rng, wordings, answer, parts, "best window of days")


def trend(records: Records, rng: Random) -> Problem:
    theme = records.theme
    region = {site.name: site.region for site in records.sites}
    name = rng.choice(sorted(set(region.values())))
    days = sums((row.day, row.amount) for row in records.rows if region[row.site] == name)
    if len(days) < 20:
        raise Unclear
    first = min(days)
    length = (max(days) - first).days + 1
    points = [(Fraction(at), Fraction(days.get(first + timedelta(at), 0))) for at in range(length)]
    slope, start = line(points)
    answer = {"days": length, "slope": rounded(slope, 4), "intercept": rounded(start, 4)}
    wordings = [
        f"Fit a straight line by least squares to the daily total {theme.amount} of the "
        f"{theme.region} {name}: y over the number of the day, 0 for its first day with a "
        f"{theme.one}, up to its last such day; days between without any count as 0. How many days "
        "are that, and what are slope and intercept?",
        f"How does the daily total {theme.amount} in {name} ({theme.region}) develop? Number the "
        f"days from 0, from the first to the last day with a {theme.one} there, fill the days "
        "without any with 0, and do a linear regression of the total on the number. Give the "
        "number of days, the slope and the intercept.",
    ]
    parts = [
        "days = defaultdict(int)",
        f"for row in rows:\n    if region[row['site']] == '{name}':",
        "        days[row['day']] += row['amount']",
        "first, last = min(days), max(days)",
        "number = (last - first).days + 1",
        "x = list(range(number))",
        "y = [days.get(first + timedelta(at), 0) for at in x]",
        "middle_x, middle_y = sum(x) / number, sum(y) / number",
        "above = sum((u - middle_x) * (v - middle_y) for u, v in zip(x, y))",
        "slope = above / sum((u - middle_x) ** 2 for u in x)",
        "intercept = middle_y - slope * middle_x",
        "result = {'days': number, 'slope': round(slope, 4), 'intercept': round(intercept, 4)}",
        "print(json.dumps(result))",
    ]
    hint = "Round slope and intercept to 4 decimals."
    return problem(records, rng, wordings, answer, parts, "regression over days", 4, hint)


def correlation(records: Records, rng: Random) -> Problem:
    theme = records.theme
    weeks = rng.randrange(4, 9)
    first = min(row.day for row in records.rows)
    start = max(row.day for row in records.rows) - timedelta(7 * weeks - 1)
    if start <= first:
        raise Unclear
    totals = sums((row.site, row.amount) for row in records.rows if row.day >= start)
    points = [(Fraction(s.size), Fraction(totals.get(s.name, 0))) for s in records.sites]
    slope, intercept = line(points)
    squared = slope * line([(y, x) for x, y in points])[0]
    r = math.copysign(math.sqrt(squared), slope)
    off = {s.name: y - (slope * x + intercept) for s, (x, y) in zip(records.sites, points)}
    name, _ = best({key: abs(value) for key, value in off.items()})
    answer = {"r": rounded(r, 4), "slope": rounded(slope, 4), "intercept": rounded(intercept, 4),
              theme.place: name}  # fmt: skip
    wordings = [
        f"Look at the last {weeks} weeks of the data ({7 * weeks} days, up to the last day on "
        f"which there is a {theme.one}). What is Pearson's correlation between the {theme.size} of "
        f"a {theme.place} and its total {theme.amount} in that time (0 where it has none), what is "
        f"the slope and the intercept of the regression of the total on {theme.size}, and which "
        f"{theme.place} is farthest from that line, in the vertical direction?",
        f"Over every {theme.place}, regress the total {theme.amount} of the last {7 * weeks} days "
        f"(the last day with a {theme.one} included) on {theme.size}; a {theme.place} without "
        f"{theme.many} has the total 0. Give Pearson's r, the slope, the intercept, and "
        f"the {theme.place} with the largest residual in absolute value.",
    ]
    parts = [
        f"start = max(row['day'] for row in rows) - timedelta({7 * weeks - 1})",
        "totals = defaultdict(int)",
        "for row in rows:\n    if row['day'] >= start:",
        "        totals[row['site']] += row['amount']",
        "names = sorted(size)",
        "x, y = [size[name] for name in names], [totals.get(name, 0) for name in names]",
        "middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)",
        "above = sum((u - middle_x) * (v - middle_y) for u, v in zip(x, y))",
        "spread_x = sum((u - middle_x) ** 2 for u in x)",
        "spread_y = sum((v - middle_y) ** 2 for v in y)",
        "r, slope = above / (spread_x * spread_y) ** 0.5, above / spread_x",
        "intercept = middle_y - slope * middle_x",
        "off = {name: abs(v - middle_y - slope * (u - middle_x))",
        "       for name, u, v in zip(names, x, y)}",
        "result = {'r': round(r, 4), 'slope': round(slope, 4), 'intercept': round(intercept, 4),",
        f"          '{theme.place}': max(off, key=off.get)}}",
        "print(json.dumps(result))",
    ]
    hint = "Round r, slope and intercept to 4 decimals."
    return problem(records, rng, wordings, answer, parts, "correlation and residual", 4, hint)


# --- sequences ------------------------------------------------------------------------------------


def longest_gap(records: Records, rng: Random) -> Problem:
    theme = records.theme
    kind = rng.choice(records.rows).kind
    gaps: dict[tuple[str, str], int] = {}
    for site, rows in by_site(row for row in records.rows if row.kind == kind).items():
        for before, after in pairwise(rows):
            gaps[site, str(before.day)] = max(
                gaps.get((site, str(before.day)), 0), (after.day - before.day).days
            )
    (site, day), length = best(gaps)
    answer = {theme.place: site, "after": day, "days": length}
    wordings = [
        f"Which {theme.place} went longest without a {theme.one} of the {theme.kind} {kind} "
        f"between two such {theme.many}? Give the {theme.place}, the day of the {theme.one} before "
        "the gap and how many days later the next one was.",
        f"Take the {theme.many} of {kind} for each {theme.place} in order of time. Where is the "
        "greatest distance in days between one and the next: at which "
        f"{theme.place}, after which day, and how long is it?",
    ]
    parts = [
        "days = defaultdict(list)",
        f"for row in rows:\n    if row['kind'] == '{kind}':",
        "        days[row['site']].append(row['day'])",
        "gaps = {}",
        "for site, each in days.items():",
        "    for before, after in zip(each, each[1:]):",
        "        gaps[site, before] = max(gaps.get((site, before), 0), (after - before).days)",
        "site, day = max(gaps, key=gaps.get)",
        "days = gaps[site, day]",
        f"print(json.dumps({{'{theme.place}': site, 'after': str(day), 'days': days}}))",
    ]
    return problem(records, rng, wordings, answer, parts, "longest gap")


def reached(records: Records, rng: Random) -> Problem:
    theme = records.theme
    totals = sums((row.site, row.amount) for row in records.rows)
    bound = sorted(totals.values())[len(totals) // 2] // 100 * 100
    days: dict[str, Any] = {}
    for site, rows in by_site(records.rows).items():
        running = 0
        for row in rows:
            running += row.amount
            if running >= bound:
                days[site] = row.day
                break
    first = sorted(days.items(), key=lambda pair: pair[1])
    if len(first) < 2 or first[0][1] == first[1][1]:
        raise Unclear
    behind = first[0][1]
    rest = sum(r.amount for r in records.rows if r.site == first[1][0] and r.day <= behind)
    answer = {theme.place: first[0][0], "day": str(behind), "number": len(days), "second": rest}
    wordings = [
        f"For each {theme.place} the {theme.amount} adds up from day to day. Which {theme.place} "
        f"was the first to reach {bound} in all, on which day, how many reached it by the end of "
        "the data, and what had the one that was second to reach it added up to by the end of "
        "that first day?",
        f"Follow the running total of the {theme.amount} of each {theme.place}. Give the first "
        f"{theme.place} whose running total is {bound} or more, the day on which that happened, "
        f"the number of those that ever get there (as 'number'), and the running total, at the end "
        f"of that day, of the one that got there second.",
    ]
    parts = [
        "running, day_of_goal = defaultdict(int), {}",
        "for row in rows:\n    site = row['site']",
        "    running[site] += row['amount']",
        f"    if running[site] >= {bound} and site not in day_of_goal:",
        "        day_of_goal[site] = row['day']",
        "order = sorted(day_of_goal, key=day_of_goal.get)",
        "first, second = order[:2]",
        "day = day_of_goal[first]",
        "behind = sum(row['amount'] for row in rows",
        "             if row['site'] == second and row['day'] <= day)",
        f"result = {{'{theme.place}': first, 'day': str(day), 'number': len(order),",
        "          'second': behind}",
        "print(json.dumps(result))",
    ]
    return problem(records, rng, wordings, answer, parts, "first to reach a running total")


def missed(records: Records, rng: Random) -> Problem:
    records = records.whole or records  # goals are of whole months
    theme = records.theme
    region = {site.name: site.region for site in records.sites}
    totals = sums(((region[row.site], f"{row.day:%Y-%m}"), row.amount) for row in records.rows)
    percent = rng.randrange(85, 112)
    short: dict[str, list[int]] = defaultdict(list)
    for key, goal in records.goals.items():
        if totals.get(key, 0) * 100 < goal * percent:
            short[key[0]].append(goal - totals.get(key, 0))
    name, lack = best({name: sum(values) for name, values in short.items()})
    months = sum(map(len, short.values()))
    goal = sum(goal for key, goal in records.goals.items() if key[0] == name)
    answer = {theme.region: name, "months": len(short[name]), "lack": lack, "goal": goal,
              "all_months": months}  # fmt: skip
    wordings = [
        f"Call a month missed where a {theme.region} has a total {theme.amount} below {percent}% "
        f"of its goal. What a {theme.region} lacks in such a month is the goal minus the total "
        f"(it may be negative). Which {theme.region} lacks most over its missed months, how many "
        "months has it missed, how much does it lack, what are its goals of all months together, "
        "and how many months were missed by all together?",
        f"Compare each month's total {theme.amount} by {theme.region} with the goal. Months below "
        f"{percent}% of the goal are missed, and goal minus total is then lacking, also where that "
        f"is below 0. For the {theme.region} for which most is lacking in all give the number of "
        "missed months, the sum that is lacking and the sum of all its goals; and give the number "
        f"of missed months of every {theme.region} taken together.",
    ]
    parts = [
        "totals = defaultdict(int)",
        "for row in rows:",
        "    totals[region[row['site']], row['day'].strftime('%Y-%m')] += row['amount']",
        "short = defaultdict(list)",
        "for key, goal in goals.items():",
        "    total = totals.get(key, 0)",
        f"    if total * 100 < goal * {percent}:",
        "        short[key[0]].append(goal - total)",
        "name = max(short, key=lambda name: sum(short[name]))",
        "lack = sum(short[name])",
        "goal = sum(goal for key, goal in goals.items() if key[0] == name)",
        "months = len(short[name])",
        "all_months = sum(map(len, short.values()))",
        f"result = {{'{theme.region}': name, 'months': months, 'lack': lack, 'goal': goal,",
        "          'all_months': all_months}",
        "print(json.dumps(result))",
    ]
    return problem(records, rng, wordings, answer, parts, "goals missed")


CHAINS: tuple[tuple[Maker, ...], ...] = (
    (busiest_weekday, best_window, trend, correlation),
    (longest_gap, reached, missed),
)
