"""Gate 8: the pass rate of a reference policy, which must be above 0 and below 1.

The policy is a forgetful solver: it has the solution's plan, but at each call, with probability
0.1, it misreads the result: a third of a list or text is lost, or a number is another one.
"""

from __future__ import annotations

from random import Random
from typing import Any

from speciale.synth.gates.bench import Bench
from speciale.synth.gates.gate import Gate
from speciale.synth.gates.remembered import Remembered
from speciale.synth.gates.values import canonical, leaves, replaced
from speciale.tasks.synthesised.world import Alter, Call

ATTEMPTS = 16
SLIP = 0.1  # a call
POLICY = f"forgetful solver, {SLIP:g} slips a call"


async def gate_pass_rate(bench: Bench, number: str) -> Gate:
    """Broke where the verifier hangs; a solution that fails on what it misread did not pass."""
    passed, world = 0, Remembered(bench.world)
    ruled: dict[tuple[str, str], bool] = {}
    for attempt in range(ATTEMPTS):
        rng = Random(f"{bench.family.about.id}/{number}/{attempt}")
        run = await bench.run(number, alter=forgetful(rng), world=world)
        if run.fault is not None:
            continue
        outcome = (canonical(run.answer), run.state.digest)
        if outcome not in ruled:
            rulings, _ = await bench.rule(number, [run.answer], run.state)
            ruled[outcome] = rulings[-1].accepted
        passed += ruled[outcome]
    evidence = {"policy": POLICY, "attempts": ATTEMPTS, "passed": passed}
    if passed == 0:
        return Gate(
            8, False, evidence, f"None of {ATTEMPTS} attempts passed: it may be unsolvable."
        )
    if passed == ATTEMPTS:
        return Gate(8, False, evidence, "Every attempt passed, whatever was misread: it is solved.")
    return Gate(8, True, evidence)


def forgetful(rng: Random, slip: float = SLIP) -> Alter:
    """The policy's way of seeing results."""

    def alter(_number: int, call: Call) -> Any:
        return misread(call.value, rng) if rng.random() < slip else call.value

    return alter


def misread(value: Any, rng: Random) -> Any:
    """The value with its longest list or text cut by a third, or else one number changed."""
    lists = [(path, each) for path, each in _containers(value) if len(each) > 1]
    if lists:
        path, each = max(lists, key=lambda pair: len(pair[1]))
        lost = max(1, len(each) // 3)
        if isinstance(each, str):
            start = rng.randrange(len(each) - lost + 1)
            return replaced(value, path, each[:start] + each[start + lost :])
        kept = sorted(rng.sample(range(len(each)), len(each) - lost))
        return replaced(value, path, [each[at] for at in kept])
    numbers = [
        (path, leaf)
        for path, leaf in leaves(value)
        if isinstance(leaf, int | float) and not isinstance(leaf, bool)
    ]
    if numbers:
        path, leaf = rng.choice(numbers)
        return replaced(value, path, leaf + rng.choice((-1, 1)) * rng.randint(1, 9))
    return value


def _containers(value: Any, path: tuple = ()) -> list[tuple[tuple, Any]]:
    """Lists, and texts that are longer than a name."""
    if isinstance(value, str):
        return [(path, value)] if len(value) > 200 else []
    found: list[tuple[tuple, Any]] = [(path, value)] if isinstance(value, list) else []
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in pairs:
            found += _containers(each, (*path, key))
    return found
