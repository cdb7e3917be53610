"""All gates but the seventh, on every task of a family: `judge` (docs/synthesis.md).

First every solution is run, since other gates compare tasks; then each task is looked at alone. A
gate that does not pass ends a task's way. Evidence holds no times: the same family is judged alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.synth.gates.bench import RUNS, Bench, open_bench
from speciale.synth.gates.difficulty import gate_difficulty
from speciale.synth.gates.gate import Gate, Judged, one_by_one
from speciale.synth.gates.misses import gate_rejects
from speciale.synth.gates.reference import gate_pass_rate
from speciale.synth.gates.shortcut import gate_no_shortcut
from speciale.synth.gates.static import NOT_TOOLS, findings
from speciale.synth.gates.values import canonical
from speciale.tasks.synthesised.family import Family
from speciale.tasks.synthesised.processes import Broke
from speciale.tasks.synthesised.signatures import tools_of
from speciale.tasks.synthesised.world import TOOLS, Run

SHOWN_CALLS, SHOWN_CHARACTERS = 60, 240  # of a trace in the evidence
MOST_ANSWER = 20_000  # characters; an agent has to write it


async def judge(family: Family, sandbox: Sandbox | None = None) -> dict[str, Judged]:
    """What gates 1 to 6 and 8 say of each task. Nothing that generated code does raises here;
    SandboxError is for a sandbox that cannot be had."""
    if family.about.kind == "code":
        from speciale.synth.code.gates import judge_code

        gates = {number: await judge_code(family, number, sandbox) for number in family.tasks}
        return {
            number: Judged(family.digest(number), tuple(each)) for number, each in gates.items()
        }
    if family.about.kind == "interpreter":
        from speciale.synth.interpreter.gates import judge_interpreter

        gates = await judge_interpreter(family, sandbox)
        return {
            number: Judged(family.digest(number), tuple(each)) for number, each in gates.items()
        }
    async with open_bench(family, sandbox) as bench:
        return await _judge(bench)


async def _judge(bench: Bench) -> dict[str, Judged]:
    family = bench.family
    gates: dict[str, list[Gate]] = {}
    runs: dict[str, Run] = {}
    for number in family.tasks:
        gates[number], run = await _first_three(bench, number)
        if run is not None:
            runs[number] = run
    for number in runs:
        gates[number] += await _others(bench, number, runs)
    return {number: Judged(family.digest(number), tuple(each)) for number, each in gates.items()}


async def _first_three(bench: Bench, number: str) -> tuple[list[Gate], Run | None]:
    """Gates 1 to 3, and the solution's run if all of them pass."""
    gate = static_gate(bench.family, number)
    if gate is not None:
        return [gate], None
    runs: list[Run] = []
    for run in range(len(RUNS)):
        try:
            runs.append(await bench.run(number, run))
        except (Broke, DataError) as error:
            return [Gate(1, False, {}, f"The environment does not open: {error}.")], None
    first, gate = _same_runs(runs)
    if gate is not None:
        return [gate], None
    passed = [first]
    tried = sorted({each for run in runs for each in run.tried})
    if tried:
        why = "; ".join(tried)[:500]
        evidence = {"found": [], "tried": tried}
        return [
            *passed,
            Gate(2, False, evidence, f"The solution does more than calling tools: {why}."),
        ], None
    tools = sorted({call.name for call in runs[0].calls})
    passed.append(Gate(2, True, {"found": [], "tried": [], "tools": tools}))
    try:
        rulings, tried = await bench.rule(number, [runs[0].answer], runs[0].state)
        if tried:
            why = f"The verifier tried what it must not: {tried[0]}."
            return [Gate(1, False, {"tried": tried}, why)], None
        if not rulings[0].accepted:
            why = f"The verifier refuses the solution: {rulings[0].reason}."
            return [*passed, Gate(3, False, {"answer": runs[0].answer}, why)], None
    except Broke as error:
        return [Gate(1, False, {}, f"The verifier broke: {error}.")], None
    evidence = {"answer": runs[0].answer, "changed": runs[0].state.changed}
    return [*passed, Gate(3, True, evidence)], runs[0]


def static_gate(family: Family, number: str) -> Gate | None:
    """Gate 1 or 2 where the code of a task is not let run."""
    task = family.tasks[number]
    try:
        tools_of(family.files.get(TOOLS, b"").decode())
        checked = {
            "tools.py": findings(family.files[TOOLS].decode(), database=True),
            "verify.py": findings(task.verify, database=True, needs="verify"),
            "solution.py": findings(task.solution, database=False, needs="solve"),
        }
    except (DataError, UnicodeDecodeError) as error:
        return Gate(1, False, {}, f"{error}.")
    against_two = [each for each in checked["solution.py"] if each.kind in NOT_TOOLS]
    checked["solution.py"] = [each for each in checked["solution.py"] if each.kind not in NOT_TOOLS]
    against_one = [f"{name}, {each}" for name, found in checked.items() for each in found]
    if against_one:
        evidence = {"found": against_one[:20]}
        return Gate(1, False, evidence, f"It cannot be let run: {'; '.join(against_one[:3])}.")
    if against_two:
        # It is not run at all: what it wants to do is known.
        evidence = {"found": [str(each) for each in against_two]}
        why = f"The solution does more than calling tools: {against_two[0]}."
        return Gate(2, False, evidence, why)
    return None


def _same_runs(runs: list[Run]) -> tuple[Gate, Gate | None]:
    """Gate 1 as it passed, or as it did not."""
    first = runs[0]
    evidence = {"runs": len(runs), "calls": len(first.calls), "trace": trace(first)}
    for run in runs:
        if run.fault is not None:
            gate = Gate(1, False, evidence, f"It does not run: {run.fault}.")
            return gate, gate
        bug = next((call for call in run.calls if call.bug), None)
        if bug is not None:
            why = f"The tool {bug.name} failed: {bug.error}."
            gate = Gate(1, False, evidence, why)
            return gate, gate
    if len(text := canonical(first.answer)) > MOST_ANSWER:
        why = f"The answer has {len(text):,} characters; {MOST_ANSWER:,} at most."
        gate = Gate(1, False, evidence, why)
        return gate, gate
    looks: dict[str, Callable[[Run], Any]] = {
        "answer": lambda run: run.answer,
        "calls": lambda run: [[c.name, dict(c.arguments), c.value, c.error] for c in run.calls],
        "state": lambda run: run.state.digest,
    }
    for what, look in looks.items():
        if len({canonical(look(run)) for run in runs}) > 1:
            why = f"Three runs, under other clocks and hash seeds, differ in their {what}."
            gate = Gate(1, False, {**evidence, "differs": what}, why)
            return gate, gate
    return Gate(1, True, evidence), None


async def _others(bench: Bench, number: str, runs: dict[str, Run]) -> list[Gate]:
    steps = (
        lambda: gate_rejects(bench, number, runs),
        lambda: gate_no_shortcut(bench, number, runs[number]),
        lambda: _difficulty(bench, number, runs),
        lambda: gate_pass_rate(bench, number),
    )
    return await one_by_one(steps)


async def _difficulty(bench: Bench, number: str, runs: dict[str, Run]) -> Gate:
    return gate_difficulty(bench.family, number, runs)


def trace(run: Run) -> list[dict[str, Any]]:
    """The calls of a run for readers, clipped."""
    return [
        {
            "name": call.name,
            "arguments": _arguments(call.arguments),
            "result": _clip(
                canonical(call.value) if call.error is None else f"Error: {call.error}"
            ),
        }
        for call in run.calls[:SHOWN_CALLS]
    ]


def _arguments(arguments: Mapping[str, Any]) -> Any:
    text = canonical(dict(arguments))
    return dict(arguments) if len(text) <= SHOWN_CHARACTERS else _clip(text)


def _clip(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
