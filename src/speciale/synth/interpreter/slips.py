"""Gate 8 for this kind: the pass rate of a hasty programmer, which must be above 0 and below 1.

He has the solution's plan, but at each cell, one time in three, something slips: a number in his
code is off by one or a comparison too strict, a data file is read without a third of its rows, or
what the cell printed is misread. An attempt in which nothing slips is the solution's own run, which
gates 1 and 3 have seen three times: it counts as passed and is not made again.
"""

from __future__ import annotations

import ast
import re
from random import Random

from speciale.synth.gates.gate import Gate
from speciale.synth.gates.reference import misread
from speciale.synth.interpreter.kernels import Bench

ATTEMPTS = 16
SLIP = 1 / 3  # a cell
POLICY = f"hasty programmer, {SLIP:.2f} slips a cell"
_NUMBER = re.compile(r"\d+")
_FLIPS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}


async def gate_pass_rate(bench: Bench, number: str, cells: list[str]) -> Gate:
    """`cells`: those of the solution's run. Broke where the verifier hangs."""
    passed = slipped = 0
    for attempt in range(ATTEMPTS):
        rng = Random(f"{bench.family.about.id}/{number}/{attempt}")
        slips = [at for at in range(len(cells)) if rng.random() < SLIP]
        if not slips:
            passed += 1
            continue
        slipped += 1
        passed += await _hasty(bench, number, cells, set(slips), rng)
    evidence = {"policy": POLICY, "attempts": ATTEMPTS, "slipped": slipped, "passed": passed}
    if passed == 0:
        why = f"None of {ATTEMPTS} attempts passed: it may be unsolvable."
        return Gate(8, False, evidence, why)
    if passed == ATTEMPTS:
        return Gate(8, False, evidence, "Every attempt passed, whatever slipped: it is solved.")
    return Gate(8, True, evidence)


async def _hasty(bench: Bench, number: str, cells: list[str], slips: set[int], rng: Random) -> bool:
    """One attempt with slips at these cells: whether the verifier accepts what came of it."""
    files: dict[str, str] = {}
    wrong_code: dict[int, int] = {}  # the seed of each slip
    wrong_text: dict[int, int] = {}
    for at in sorted(slips):
        named = [path for path in sorted(bench.files) if path in cells[at]]
        kind = rng.choice(["code", "text", *["rows"] * bool(named)])
        if kind == "rows":
            path = rng.choice(named)
            files[path] = fewer_rows(bench.files[path], rng)
        else:
            (wrong_code if kind == "code" else wrong_text)[at] = rng.getrandbits(32)
    run = await bench.attempt(
        number,
        0,
        lambda at, code: off_by_one(code, Random(wrong_code[at])) if at in wrong_code else code,
        lambda at, text: misread_text(text, Random(wrong_text[at])) if at in wrong_text else text,
        files,
    )
    if run.fault is not None:
        return False
    rulings, _ = await bench.rule(number, [run.answer])
    return rulings[-1].accepted


def off_by_one(code: str, rng: Random) -> str:
    """A cell with one number changed by one, or one comparison made strict or lax. Not in a loop
    that might then never end: that would be noticed."""
    tree = ast.parse(code)
    loops = {inner for node in ast.walk(tree) if isinstance(node, ast.While)
             for inner in ast.walk(node)}  # fmt: skip
    places = [
        node
        for node in ast.walk(tree)
        if node not in loops
        and (
            (isinstance(node, ast.Constant) and type(node.value) in (int, float))
            or (isinstance(node, ast.Compare) and type(node.ops[0]) in _FLIPS)
        )
    ]
    if not places:
        return code
    node = rng.choice(places)
    if isinstance(node, ast.Compare):
        node.ops[0] = _FLIPS[type(node.ops[0])]()
    else:
        node.value += rng.choice((-1, 1))
    return ast.unparse(ast.fix_missing_locations(tree))


def misread_text(text: str, rng: Random) -> str:
    """A long text loses a third; of a short one a digit is another one."""
    if len(text) > 200:
        return misread(text, rng)
    places = [at for at, letter in enumerate(text) if letter.isdigit()]
    if not places:
        return text[: len(text) * 2 // 3]
    at = rng.choice(places)
    return text[:at] + rng.choice([d for d in "0123456789" if d != text[at]]) + text[at + 1 :]


def fewer_rows(text: str, rng: Random) -> str:
    """A data file without a third of its rows; its first line, which names the columns, stays."""
    head, *rows = text.splitlines(keepends=True)
    kept = sorted(rng.sample(range(len(rows)), len(rows) - max(1, len(rows) // 3)))
    return head + "".join(rows[at] for at in kept)
