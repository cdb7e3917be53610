"""Code of the ladder route: its solution and its verifier, as templates.

V3.2 report, 3.2.3: the solution only calls tools and computes. See route.py.
"""

from __future__ import annotations

SHARED = '''
def fits(leg, operator):
    """Whether the task allows this $leg."""
    return (
        $tests_lines
    )


def minutes(time):
    """09:00 as 540."""
    return 60 * int(time[:2]) + int(time[3:])
'''

WAYS = '''
def load(tools, origins, depth):
    """The $legs from some $stops, from those they lead to, and so on, by origin."""
    found, reached = {}, list(origins)
    for _ in range(depth):
        for stop in reached:
            if stop not in found:
                found[stop] = load_from(tools, stop)
        reached = sorted({leg["destination"] for legs in found.values() for leg in legs})
    return found


def ways(found, origin, target, start, most):
    """Every way from an origin to a target, leaving at `start` minutes or later."""
    for leg in found.get(origin, []):
        if minutes(leg["departs"]) >= start:
            if leg["destination"] == target:
                yield [leg]
            elif most > 1:
                again = minutes(leg["arrives"]) + $change
                for rest in ways(found, leg["destination"], target, again, most - 1):
                    yield [leg, *rest]
'''

SOLVE = """
def solve(tools):
    $search
    best, least = None, None
    for way in found_ways:
        total = sum(leg["$price"] for leg in way)
        worth = $worth
        if best is None or worth < least:
            best, least = way, worth
    $write
    return {
        "$leg_key": [leg["$leg_id"] for leg in best],
        "total": sum(leg["$price"] for leg in best),
    }
"""

NO_OPERATORS = """
operators = None
found = {
    stop: [leg for leg in legs if fits(leg, operators)] for stop, legs in found.items()
}
"""

OPERATORS = """
operators = load_operators(tools, [leg for legs in found.values() for leg in legs])
found = {
    stop: [leg for leg in legs if fits(leg, operators[leg["$operator"]])]
    for stop, legs in found.items()
}
"""

THERE = """
found = load(tools, [$source], $most)
$operators
found_ways = ways(found, $source, $target, minutes("$start"), $most)
"""

AND_BACK = """
found = load(tools, [$source, $target], $most)
$operators
found_ways = []
for way in ways(found, $source, $target, minutes("$start"), $most):
    start = minutes(way[-1]["arrives"]) + $stay
    for back in ways(found, $target, $source, start, $most):
        found_ways.append(way + back)
"""

WRITE = """
for leg in best:
    tools.$book($leg_id=leg["$leg_id"], $traveller=$who)
"""

CHECK_WAY = '''
def wrong(way, origin, target, start, operators):
    """What is wrong with a way, or None."""
    if not 1 <= len(way) <= $most:
        return "There are too many $legs, or none."
    at, ready = origin, start
    for leg in way:
        if not fits(leg, operators[leg["$operator"]]):
            return "A $leg is not allowed."
        if leg["origin"] != at or minutes(leg["departs"]) < ready:
            return "A $leg does not connect."
        at, ready = leg["destination"], minutes(leg["arrives"]) + $change
    if at != target:
        return "It leads somewhere else."
    return None
'''

ONE_WAY = """
fault = wrong(way, $source, $target, minutes("$start"), operators)
"""

BOTH_WAYS = """
ends = [at for at, leg in enumerate(way) if leg["destination"] == $target]
there = ends[0] + 1 if ends else len(way)
fault = wrong(way[:there], $source, $target, minutes("$start"), operators)
if fault is None:
    again = minutes(way[there - 1]["arrives"]) + $stay
    fault = wrong(way[there:], $target, $source, again, operators)
"""

VERIFY = """
if not has_keys(answer, ["$leg_key", "total"]) or not isinstance(answer["$leg_key"], list):
    return "The answer must be an object with a list of $legs and a total."
legs = by_key(before, "$leg_table", "$leg_id")
operators = by_key(before, "$operator_table", "name")
if not all(isinstance(key, str) and key in legs for key in answer["$leg_key"]):
    return "There is no such $leg."
way = [legs[key] for key in answer["$leg_key"]]
$split
if fault is not None:
    return fault
total = sum(leg["$price"] for leg in way)
if not whole_number(answer["total"]) or answer["total"] != total:
    return "The total is wrong."
# The best there is, as a full search has shown; no other way comes to the same.
if $worth != $best:
    return "There is a better way."
$check_write
"""

CHECK_WRITE = """
rows = new_rows(before, after, "$booking_table", "$booking_id")
if rows is None:
    return "An old $booking was changed."
wanted = sorted((key, $who) for key in answer["$leg_key"])
if sorted((row["$leg_id"], row["$traveller"]) for row in rows) != wanted:
    return "What is $past is not the way of the answer."
"""
