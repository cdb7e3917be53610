"""Gates 1 to 6 and 8 for families of the kind "interpreter" (docs/synthesis.md).

A solution sends cells to a Jupyter kernel: three kernels with other hash seeds must print the same.
Clocks cannot be shifted in a kernel: that no cell asks for the time is held by its syntax tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.synth.gates.gate import Gate, one_by_one
from speciale.synth.gates.misses import NOTHING, near_misses, wrong_types
from speciale.synth.gates.static import NOT_TOOLS, findings
from speciale.synth.gates.values import Seen, canonical, leaves, replaced, text_of
from speciale.synth.interpreter import guesses, measures, slips
from speciale.synth.interpreter.kernels import RUNS, Bench, CellRun, open_bench
from speciale.synth.interpreter.tables import read_tables
from speciale.tasks.synthesised.family import Family
from speciale.tasks.synthesised.processes import Broke
from speciale.tasks.synthesised.world import Call

MOST_ANSWER = 20_000  # characters
SHOWN_CHARACTERS = 2_000  # of a cell in the evidence, and of what it printed


async def judge_interpreter(
    family: Family, sandbox: Sandbox | None = None
) -> dict[str, list[Gate]]:
    """What gates 1 to 6 and 8 say of each task, up to the first that does not pass. Nothing that
    generated code does raises here; SandboxError is for a sandbox that cannot be had."""
    gates: dict[str, list[Gate]] = {}
    for number in family.tasks:
        gate = static_gate(family, number)
        gates[number] = [] if gate is None else [gate]
    left = [number for number in family.tasks if not gates[number]]
    try:
        async with open_bench(family, sandbox) as bench:
            await _judge(bench, left, gates)
    except DataError as error:
        for number in left:
            gates[number] = [Gate(1, False, {}, f"The environment does not open: {error}.")]
    return gates


async def _judge(bench: Bench, left: list[str], gates: dict[str, list[Gate]]) -> None:
    runs: dict[str, list[CellRun]] = {number: [] for number in left}
    for run in range(RUNS):
        for number in in_order(left, run):
            # A run that cannot pass is not made again: a cell that never ends takes its time.
            if len(runs[number]) == run and not (run and _broken(runs[number][-1])):
                runs[number].append(await bench.attempt(number, run))
    whole: dict[str, CellRun] = {}
    for number in left:
        gates[number] = await _first_three(bench, number, runs[number])
        if all(gate.passed for gate in gates[number]):
            whole[number] = runs[number][0]
    for number in whole:
        gates[number] += await _others(bench, number, whole)


def in_order(numbers: list[str], run: int) -> list[str]:
    """The order in which a kernel takes the tasks: forwards, backwards, from the middle on."""
    middle = len(numbers) // 2
    return [numbers, numbers[::-1], numbers[middle:] + numbers[:middle]][run % 3]


def static_gate(family: Family, number: str) -> Gate | None:
    """Gate 1 or 2 where a task's files cannot be let run; cells are looked at as they are sent."""
    task = family.tasks[number]
    try:
        solution = findings(task.solution, database=False, needs="solve")
        verifier = findings(task.verify, database=False, needs="verify")
    except DataError as error:
        return Gate(1, False, {}, f"{error}.")
    against = [f"solution.py, {each}" for each in solution if each.kind not in NOT_TOOLS]
    against += [f"verify.py, {each}" for each in verifier]
    if against:
        evidence = {"found": against[:20]}
        return Gate(1, False, evidence, f"It cannot be let run: {'; '.join(against[:3])}.")
    if solution:
        evidence = {"found": [str(each) for each in solution][:20]}
        why = f"The solution does more than calling tools: {solution[0]}."
        return Gate(2, False, evidence, why)
    return None


def _broken(run: CellRun) -> bool:
    return bool(run.fault or run.refused or any(call.error for call in run.calls))


async def _first_three(bench: Bench, number: str, runs: list[CellRun]) -> list[Gate]:
    first = _same_runs(runs)
    if not first.passed:
        return [first]
    run = runs[0]
    tried = sorted({each for run in runs for each in run.tried})
    if tried:
        why = f"The solution does more than calling tools: {'; '.join(tried)[:500]}."
        return [first, Gate(2, False, {"tried": tried}, why)]
    silent = [text_of(leaf) for _, leaf in leaves(run.answer) if not printed(leaf, run.calls)]
    evidence: dict[str, Any] = {"tried": [], "printed": not silent, "tools": ["python"]}
    if silent or not run.calls:
        what = f"{silent[0]:.60} was printed by no cell" if silent else "there is no cell"
        why = f"The answer is not from the kernel: {what}."
        return [first, Gate(2, False, evidence, why)]
    passed = [first, Gate(2, True, evidence)]
    try:
        for each in runs:
            rulings, tried = await bench.rule(number, [each.answer])
            if tried:
                why = f"The verifier tried what it must not: {tried[0]}."
                return [Gate(1, False, {"tried": tried}, why)]
            if not rulings[0].accepted:
                why = f"The verifier refuses the solution: {str(rulings[0].reason).rstrip('.')}."
                return [*passed, Gate(3, False, {"answer": each.answer}, why)]
    except Broke as error:
        return [Gate(1, False, {}, f"The verifier broke: {error}.")]
    return [*passed, Gate(3, True, {"answer": run.answer})]


def _same_runs(runs: list[CellRun]) -> Gate:
    """Gate 1."""
    first = runs[0]
    evidence = {"runs": len(runs), "calls": len(first.calls), "trace": trace(first)}
    for run in runs:
        if run.refused:
            why = f"It cannot be let run: {'; '.join(run.refused[:3])}."
            return Gate(1, False, {**evidence, "found": run.refused[:20]}, why)
        failed = next((call for call in run.calls if call.error is not None), None)
        if failed is not None:
            said = (failed.error or "").strip().splitlines() or [""]
            return Gate(1, False, evidence, f"A cell failed: {said[-1][:300].rstrip('.')}.")
        if run.fault is not None:
            return Gate(1, False, evidence, f"It does not run: {run.fault}.")
    if len(text := canonical(first.answer)) > MOST_ANSWER:
        why = f"The answer has {len(text):,} characters; {MOST_ANSWER:,} at most."
        return Gate(1, False, evidence, why)
    for what in ("answer", "calls"):
        looks = {canonical(_look(run, what)) for run in runs}
        if len(looks) > 1:
            why = f"Three kernels, with other hash seeds and tasks before, differ in their {what}."
            return Gate(1, False, {**evidence, "differs": what}, why)
    return Gate(1, True, evidence)


def _look(run: CellRun, what: str) -> Any:
    if what == "answer":
        return run.answer
    return [[dict(call.arguments), call.value] for call in run.calls]


def printed(leaf: Any, calls: list[Call]) -> bool:
    """Whether a part of the answer stands in what a cell printed, as Python or JSON writes it."""
    forms = {text_of(leaf), repr(leaf), canonical(leaf), canonical(leaf).strip('"')}
    if isinstance(leaf, int | float) and not isinstance(leaf, bool):
        forms |= {repr(float(leaf)) if abs(leaf) < 1e15 else repr(leaf), str(leaf)}
    return any(form in str(call.value) for call in calls for form in forms if form) or leaf == ""


def trace(run: CellRun) -> list[dict[str, Any]]:
    """The cells of a run for readers, clipped."""
    return [
        {
            "name": "python",
            "arguments": {"code": _clip(str(call.arguments["code"]))},
            "result": _clip(str(call.value if call.error is None else f"Error: {call.error}")),
        }
        for call in run.calls
    ]


def _clip(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


async def _others(bench: Bench, number: str, runs: dict[str, CellRun]) -> list[Gate]:
    run = runs[number]
    steps = (
        lambda: _gate_rejects(bench, number, runs),
        lambda: guesses.gate_no_shortcut(bench, number, run.answer),
        lambda: _gate_difficulty(bench, number, runs),
        lambda: slips.gate_pass_rate(bench, number, cells_of(run)),
    )
    return await one_by_one(steps)


def cells_of(run: CellRun) -> list[str]:
    return [str(call.arguments["code"]) for call in run.calls]


async def _gate_rejects(bench: Bench, number: str, runs: dict[str, CellRun]) -> Gate:
    answer = runs[number].answer
    tables = read_tables(bench.files)
    seen = Seen([Call("files", {}, table.rows) for table in tables])
    classes = {
        "nothing": list(NOTHING),
        "wrong types": list(wrong_types(answer)),
        "other tasks": [each.answer for other, each in sorted(runs.items()) if other != number],
        "near misses": [*near_misses(answer, seen), *near_figures(answer)],
    }
    counts: dict[str, int] = {}
    for name, answers in classes.items():
        answers = [each for each in answers if canonical(each) != canonical(answer)]
        counts[name] = len(answers)
        if not answers:
            continue
        rulings, _ = await bench.rule(number, answers)
        if rulings[-1].accepted:
            wrong = canonical(answers[len(rulings) - 1])[:200]
            why = f"The verifier is too lenient: it accepts {wrong} ({name})."
            return Gate(4, False, {"refused": counts, "accepted": name}, why)
    return Gate(4, True, {"refused": counts})


def near_figures(answer: Any) -> Iterator[Any]:
    """The answer with one figure off by a few units of its last decimal, or by half a per cent."""
    for path, leaf in leaves(answer):
        if isinstance(leaf, float):
            decimals = min(12, len(repr(leaf).partition(".")[2]))
            for units in (2, -2, 5):
                yield replaced(answer, path, round(leaf + units * 10**-decimals, decimals + 1))
            yield replaced(answer, path, leaf * 1.005 + 10**-decimals)
        elif isinstance(leaf, int) and not isinstance(leaf, bool):
            yield replaced(answer, path, leaf + 0.5)
            yield replaced(answer, path, -leaf or 1)


async def _gate_difficulty(bench: Bench, number: str, runs: dict[str, CellRun]) -> Gate:
    tasks = bench.family.tasks
    about = tasks[number].about

    def measured(which: str) -> dict[str, Any]:
        run = runs[which]
        return measures.difficulty(tasks[which].about, cells_of(run), run.answer, bench.files)

    easier = about.harder_than
    if easier is None or easier not in tasks:
        return measures.gate_difficulty(about, measured(number), None, None)
    base = measured(easier) if easier in runs else None
    return measures.gate_difficulty(about, measured(number), tasks[easier].about, base)
