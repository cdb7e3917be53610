"""Two policies that cannot think, as a floor under the tasks: what they solve is not hard.

Both know the prompt, the tools' schemas and the shape of the answer. One makes a single call and
reads an answer off it; the other makes as many random calls as the solution does, with arguments
out of the prompt and of what it has seen, and answers with values that it has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from speciale.synth.gates.bench import Bench
from speciale.synth.gates.shortcut import choices, prompt_words, read_off, single_calls
from speciale.synth.gates.values import Seen, leaves, replaced
from speciale.tasks.synthesised.world import Call, State


async def single_call(bench: Bench, number: str, right: Any, rng: Random) -> bool:
    """One attempt; `right` gives the answer's shape. Broke where generated code hangs."""
    world = await bench.world()
    await world.start()
    calls = single_calls(bench.family.tasks[number].about.prompt, world.tools)
    if not calls:
        return False
    call = await world.make(*rng.choice(calls))
    answers = list(read_off(call.value, right))
    if not answers:
        return False
    return await _accepts(bench, number, rng.choice(answers), await world.state())


async def random_calls(bench: Bench, number: str, right: Any, most: int, rng: Random) -> bool:
    """One attempt with `most` calls, likewise."""
    world = await bench.world()
    await world.start()
    words = prompt_words(bench.family.tasks[number].about.prompt)
    made: list[Call] = []
    for _ in range(most):
        tool = rng.choice(world.tools)["function"]
        arguments = _arguments(tool["parameters"], words, Seen(made), rng)
        if arguments is not None:
            made.append(await world.make(tool["name"], arguments))
    answer, seen = right, Seen(made)
    for path, leaf in leaves(right):
        answer = replaced(answer, path, _guess(leaf, path, seen, rng))
    return await _accepts(bench, number, answer, await world.state())


def _arguments(
    schema: Mapping[str, Any], words: Mapping[str, list[Any]], seen: Seen, rng: Random
) -> dict[str, Any] | None:
    """None where there is nothing to give for a required one."""
    required = schema.get("required", ())
    arguments = {}
    for key, one in schema.get("properties", {}).items():
        if key not in required and rng.random() < 0.5:
            continue
        # A number or name that a tool showed under this key, or under "id" for hotel_id.
        places = (key, key.rsplit("_", 1)[-1])
        known = [each for place in places for each in seen.places.get(place, {}).values()]
        found = choices(one, words)
        if known and (not found or rng.random() < 0.7):
            found = known
        if not found:
            if key in required:
                return None
            continue
        arguments[key] = rng.choice(found)
    return arguments


def _guess(leaf: Any, path: tuple[str | int, ...], seen: Seen, rng: Random) -> Any:
    """A value of the leaf's type, of the same key if it was seen."""
    if isinstance(leaf, bool):
        return rng.choice((True, False))
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    pools = [seen.places.get(key, {}), *seen.places.values()]
    for pool in (pools[0], {n: v for each in pools[1:] for n, v in each.items()}):
        alike = [each for each in pool.values() if isinstance(each, str) == isinstance(leaf, str)]
        if alike:
            return rng.choice(alike)
    return "" if isinstance(leaf, str) else 0


async def _accepts(bench: Bench, number: str, answer: Any, state: State) -> bool:
    rulings, _ = await bench.rule(number, [answer], state)
    return rulings[-1].accepted
