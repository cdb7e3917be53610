"""Code of the ladder bundle: its solution and its verifier, as templates.

V3.2 report, 3.2.3: the solution only calls tools and computes. See bundle.py.
"""

from __future__ import annotations

ONCE = '{row["$maker"] for row in picks}'
EACH = '[row["$maker"] for row in picks]'

RULES = '''
def cost(picks, makers):
    """What the picks cost together."""
    paid = $paid
    fees = sum(makers[name]["$fee"] for name in paid)
    return fees + sum($count * row["$rate"] for row in picks)


def score(picks):
    return sum(row["$score"] for row in picks)


def allowed(picks, makers):
    """The rules for the picks together."""
    return (
        $rules
    )
'''

SOLVE = """
def solve(tools):
    options = [load_$key(tools, $group) for $group in $groups]
    makers = load_$makers(tools, [row for rows in options for row in rows])
    options = [
        [row for row in rows if fits(row, makers[row["$maker"]])] for rows in options
    ]
    best, lowest = None, None
    for picks in itertools.product(*options):
        if allowed(picks, makers):
            worth = $worth
            if best is None or worth < lowest:
                best, lowest = picks, worth
    $write
    return {
        "$key": [row["name"] for row in best],
        "total": cost(best, makers),
        $sum_entry
    }
"""

WRITE = """
for row in best:
    tools.$take($person=$who, $id=row["$id"], $quantity=$count)
"""

VERIFY = """
if not has_keys(answer, $keys):
    return "The answer must be an object with the keys of the task."
names = answer["$key"]
if not isinstance(names, list) or len(names) != $size:
    return "There must be $size names."
$key = by_key(before, "$table", "name")
makers = by_key(before, "$maker_table", "name")
picks = []
for name, $group in zip(names, $groups):
    if not isinstance(name, str) or name not in $key:
        return "There is no $noun of that name."
    row = $key[name]
    if row["$group"] != $group or not fits(row, makers[row["$maker"]]):
        return "One does not meet the conditions, or stands in the wrong place."
    picks.append(row)
if not allowed(picks, makers):
    return "Together they break a rule."
if not whole_number(answer["total"]) or answer["total"] != cost(picks, makers):
    return "The total is wrong."
$check_sum
# The best there is, as a full search has shown; no other choice comes to the same.
if $worth != $best:
    return "There is a better choice."
$check_write
"""

CHECK_SUM = """
if not whole_number(answer["sum"]) or answer["sum"] != score(picks):
    return "The sum is wrong."
"""

CHECK_WRITE = """
rows = new_rows(before, after, "$basket", "$basket_id")
if rows is None:
    return "Old rows of $basket were changed."
wanted = sorted(($who, row["$id"], $count) for row in picks)
if sorted((row["$person"], row["$id"], row["$quantity"]) for row in rows) != wanted:
    return "What was $past is not what the task asks for."
"""
