"""A gate's verdict on a task, with its evidence, and gates.json, which holds them.

Eight gates (docs/synthesis.md): each says what it looked at, so that a reader can judge the judge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from speciale.tasks.synthesised.processes import Broke

GATES = {
    1: "runs",  # in the sandbox, within limits, with the same result three times
    2: "tools only",  # the solution calls tools and computes, nothing else
    3: "accepts",  # the verifier accepts the solution
    4: "rejects",  # nothing, wrong types, other tasks' answers, near misses
    5: "no shortcut",  # neither the prompt nor a single call gives the answer
    6: "difficulty",  # measured, and it rises
    7: "new",  # no near-duplicate in the store
    8: "pass rate",  # of a reference policy: above 0 and below 1
}


@dataclass(frozen=True)
class Gate:
    """`reason`: a sentence where it did not pass. `evidence`: JSON."""

    number: int
    passed: bool
    evidence: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None

    @property
    def name(self) -> str:
        return GATES[self.number]


@dataclass(frozen=True)
class Judged:
    """What the gates said of one task. The gates after one that did not pass may be missing."""

    digest: str  # of the task and environment that were judged
    gates: tuple[Gate, ...]

    @property
    def accepted(self) -> bool:
        return {gate.number for gate in self.gates if gate.passed} == set(GATES)

    @property
    def refusal(self) -> Gate | None:
        """The first gate that did not pass."""
        return next((gate for gate in self.gates if not gate.passed), None)


async def one_by_one(steps: Iterable[Callable[[], Awaitable[Gate]]]) -> list[Gate]:
    """The verdicts up to the first that does not pass. A process that breaks is gate 1's."""
    passed: list[Gate] = []
    for step in steps:
        try:
            passed.append(await step())
        except Broke as error:
            held = [gate for gate in passed if gate.number != 1]
            return [*held, Gate(1, False, {}, f"It broke while it was judged: {error}.")]
        if not passed[-1].passed:
            break
    return passed


def gates_json(judged: dict[str, Judged]) -> dict[str, Any]:
    """gates.json of a family, by the number of each task."""
    return {
        "format": 1,
        "tasks": {
            number: {
                "accepted": one.accepted,
                "digest": one.digest,
                "gates": [
                    {
                        "number": gate.number, "name": gate.name, "passed": gate.passed,
                        **({"reason": gate.reason} if gate.reason else {}),
                        "evidence": gate.evidence,
                    }
                    for gate in one.gates
                ],
            }
            for number, one in sorted(judged.items())
        },
    }  # fmt: skip
