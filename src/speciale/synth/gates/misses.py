"""Gate 4: what a verifier must refuse. Nothing, wrong types, other tasks' answers, near misses made
by changing one part of the right answer, and right answers over a database in the wrong state."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from speciale.synth.gates.bench import Bench
from speciale.synth.gates.gate import Gate
from speciale.synth.gates.values import Seen, canonical, leaves, replaced
from speciale.tasks.synthesised.world import Call, Run, State, replay

MOST_NEAR = 48  # near misses of one answer
MOST_LEFT_OUT = 6  # calls that are left out in turn
NOTHING: tuple[Any, ...] = (None, "", {}, [], 0, False, True, "yes", "I do not know.")


async def gate_rejects(bench: Bench, number: str, runs: Mapping[str, Run]) -> Gate:
    """`runs` are those of all the family's solutions, this one's among them. Broke where the
    verifier hangs."""
    run = runs[number]
    right = canonical(run.answer)
    classes = {
        "nothing": list(NOTHING),
        "wrong types": list(wrong_types(run.answer)),
        "other tasks": [each.answer for other, each in sorted(runs.items()) if other != number],
        "near misses": list(near_misses(run.answer, Seen(run.calls))),
    }
    wrong = [
        (name, answer)
        for name, answers in classes.items()
        for answer in answers
        if canonical(answer) != right
    ]
    counts = dict(Counter(name for name, _ in wrong))
    rulings, _ = await bench.rule(number, [answer for _, answer in wrong], run.state)
    if rulings[-1].accepted:
        name, answer = wrong[len(rulings) - 1]
        return _refused(name, counts, f"it accepts {canonical(answer)[:200]} ({name})")
    async for what, state in wrong_states(bench, number, runs):
        counts[what] = counts.get(what, 0) + 1
        rulings, _ = await bench.rule(number, [run.answer], state)
        if rulings[-1].accepted:
            return _refused(what, counts, f"it accepts the right answer with {what}")
    return Gate(4, True, {"refused": counts})


def _refused(name: str, counts: dict[str, int], why: str) -> Gate:
    return Gate(
        4, False, {"refused": counts, "accepted": name}, f"The verifier is too lenient: {why}."
    )


def wrong_types(answer: Any) -> Iterator[Any]:
    """The right answer in a form that was not asked for."""
    yield [answer]
    yield {"answer": answer}
    if not isinstance(answer, str):
        yield canonical(answer)
    for path, leaf in list(leaves(answer))[:8]:
        if not path:
            continue
        if isinstance(leaf, bool):
            yield replaced(answer, path, str(leaf))
        elif isinstance(leaf, int | float):
            yield replaced(answer, path, canonical(leaf))
        yield replaced(answer, path, [leaf])
        yield replaced(answer, path, None)


def near_misses(answer: Any, seen: Seen) -> Iterator[Any]:
    """Answers with one part changed; at most MOST_NEAR, spread over the parts."""
    made = [list(_near_leaf(leaf, seen, answer, path)) for path, leaf in leaves(answer)]
    made += [list(_near_list(each, answer, path)) for path, each in _lists(answer)]
    made += [list(_near_object(each, answer, path)) for path, each in _objects(answer)]
    given = 0
    for turn in range(max(map(len, made), default=0)):
        for variants in made:
            if turn < len(variants) and given < MOST_NEAR:
                given += 1
                yield variants[turn]


def _near_leaf(leaf: Any, seen: Seen, answer: Any, path: tuple) -> Iterator[Any]:
    if isinstance(leaf, bool):
        new: list[Any] = [not leaf]
    elif isinstance(leaf, int | float):
        others = [each for each in seen.alike(leaf) if each != leaf and not isinstance(each, str)]
        new = [leaf + 1, leaf - 1, *others[:2], leaf * 2 + 1]
    elif isinstance(leaf, str):
        others = [each for each in seen.alike(leaf) if isinstance(each, str) and each != leaf]
        new = [*others[:2], f"{leaf} x"]
        if others:
            new.append(f"{leaf} or {others[0]}")
        if len(leaf) > 3:
            new.append(leaf[:-1])
    else:
        new = [0]
    for each in new:
        yield replaced(answer, path, each)


def _near_list(each: list, answer: Any, path: tuple) -> Iterator[Any]:
    if not each:
        yield replaced(answer, path, ["x"])
        return
    yield replaced(answer, path, each[:-1])
    yield replaced(answer, path, [*each, each[0]])
    yield replaced(answer, path, each[1:])
    if len(each) > 1 and each[0] != each[1]:
        yield replaced(answer, path, [each[1], each[0], *each[2:]])


def _near_object(each: dict, answer: Any, path: tuple) -> Iterator[Any]:
    for key in each:
        yield replaced(answer, path, {k: v for k, v in each.items() if k != key})


def _lists(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, list]]:
    if isinstance(value, list):
        yield path, value
    for key, each in _children(value):
        yield from _lists(each, (*path, key))


def _objects(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, dict]]:
    if isinstance(value, dict):
        yield path, value
    for key, each in _children(value):
        yield from _objects(each, (*path, key))


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


async def wrong_states(
    bench: Bench, number: str, runs: Mapping[str, Run]
) -> AsyncIterator[tuple[str, State]]:
    """States in which the right answer is wrong: (what is wrong, state)."""
    run = runs[number]
    world = await bench.world()
    writes = [at for at, call in enumerate(run.calls) if call.wrote]
    if run.state.changed:
        yield "nothing written", State()
        for at in _spread(writes, MOST_LEFT_OUT) if len(writes) > 1 else ():
            calls = [call for place, call in enumerate(run.calls) if place != at]
            state = await replay(world, _pairs(calls))
            if state.digest != run.state.digest:
                yield "one write left out", state
        for at in _spread(writes, MOST_LEFT_OUT):
            other = _elsewhere(run.calls[at], Seen(run.calls))
            if other is not None:
                calls = [other if place == at else call for place, call in enumerate(run.calls)]
                state = await replay(world, _pairs(calls))
                if state.digest != run.state.digest:
                    yield "one write changed", state
    foreign = next(
        (
            call
            for other, each in sorted(runs.items())
            if other != number
            for call in each.calls
            if call.wrote and not any(_same(call, own) for own in run.calls)
        ),
        None,
    )
    if foreign is not None:
        state = await replay(world, _pairs([*run.calls, foreign]))
        if state.digest != run.state.digest:
            yield "a write too many", state


def _elsewhere(call: Call, seen: Seen) -> Call | None:
    """The call with one argument that is another value of the same place."""
    for path, leaf in leaves(dict(call.arguments)):
        others = [each for each in seen.alike(leaf) if each != leaf and type(each) is type(leaf)]
        if others:
            other = replaced(dict(call.arguments), path, others[0])
            return Call(call.name, other, wrote=True)
    return None


def _spread(places: list[int], most: int) -> list[int]:
    step = max(1, -(-len(places) // most))
    return places[::step]


def _pairs(calls: list[Call]) -> list[tuple[str, Mapping[str, Any]]]:
    """Those that leave a trace, or may do so in another state."""
    return [(call.name, call.arguments) for call in calls if call.wrote or call.error]


def _same(one: Call, other: Call) -> bool:
    return one.name == other.name and canonical(one.arguments) == canonical(other.arguments)
