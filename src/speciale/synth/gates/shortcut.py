"""Gate 5: neither the prompt nor a single call gives the answer.

A single-call policy knows the prompt and the tools' schemas: it makes one call with arguments out
of them and reads the answer off the result, by its keys, its first or last row, a count or a sum.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from speciale.synth.gates.bench import Bench
from speciale.synth.gates.gate import Gate
from speciale.synth.gates.values import canonical, leaves, text_of
from speciale.tasks.arguments import argument_faults
from speciale.tasks.synthesised.world import Call, Run, State

MOST_CALLS = 60  # that the policy may choose from
MOST_OF_TOOL, MOST_TRIED = 12, 1000  # calls of one tool; of those, fitting or not
_WORDS = re.compile(r"\"([^\"\n]{1,80})\"|'([^'\n]{2,80})'|“([^”\n]{1,80})”")
_NAMES = re.compile(r"\b[A-Z][\w&’'-]*(?: (?:of|de|the|and|&) (?=[A-Z])| [A-Z][\w&’'-]*)*")
_IDS = re.compile(r"\b[\w./-]*\d[\w./:-]*\b")
_NUMBERS = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")


async def gate_no_shortcut(bench: Bench, number: str, run: Run) -> Gate:
    """Broke where the verifier or a tool hangs."""
    family, task = bench.family, bench.family.tasks[number]
    prompt = task.about.prompt
    told = [text_of(leaf) for _, leaf in leaves(run.answer) if not isinstance(leaf, bool | None)]
    inside = [text for text in told if holds(prompt, text)]
    evidence: dict[str, Any] = {"answer_parts": len(told), "in_prompt": len(inside)}
    if told and len(inside) == len(told) and not run.state.changed:
        return Gate(5, False, evidence, "The answer is in the prompt.")
    if not told and not run.state.changed:
        return Gate(5, False, evidence, "The answer says only yes or no: it can be guessed.")
    world = await bench.world()
    calls = single_calls(prompt, world.tools, run.calls)
    tried = read = 0
    await world.start()
    for name, arguments in calls:
        call = await world.make(name, arguments)
        tried += 1
        if call.error is not None:
            continue
        state = State()
        if call.wrote:
            state = await world.state()
            await world.start()
        elif run.state.changed:
            continue  # a call that only reads leaves a writing task undone
        if family.about.kind == "search":
            if told and all(holds(_text(call), text) for text in told):
                why = f"One call shows the answer: {_named(call)}."
                return Gate(5, False, {**evidence, "calls": tried}, why)
            continue
        answers = list(read_off(call.value, run.answer))
        read += len(answers)
        if answers:
            rulings, _ = await bench.rule(number, answers, state)
            if rulings[-1].accepted:
                why = f"One call gives the answer: {_named(call)}."
                return Gate(5, False, {**evidence, "calls": tried, "answers": read}, why)
    return Gate(5, True, {**evidence, "calls": tried, "answers": read})


def single_calls(
    prompt: str, tools: Sequence[Mapping[str, Any]], known: Sequence[Call] = ()
) -> list[tuple[str, dict[str, Any]]]:
    """Calls with arguments out of the prompt and the schemas, the likeliest first. `known`: calls
    of a solution; those that need no more than the prompt are the best that a policy could find."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    words = prompt_words(prompt)
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    for call in known:
        enums = _enums(schemas.get(call.name, {}))
        scalars = [leaf for _, leaf in leaves(dict(call.arguments)) if not isinstance(leaf, bool)]
        if all(text_of(leaf) in enums or holds(prompt, text_of(leaf)) for leaf in scalars):
            found[f"{call.name}{canonical(call.arguments)}"] = (call.name, dict(call.arguments))
    guessed = [list(_of_tool(tool, words)) for tool in tools]
    for each in itertools.chain.from_iterable(itertools.zip_longest(*guessed)):
        if each is not None:
            found.setdefault(f"{each[0]}{canonical(each[1])}", each)
    return list(found.values())[:MOST_CALLS]


def prompt_words(prompt: str) -> dict[str, list[Any]]:
    """What the prompt has to offer as arguments, by JSON's types."""
    quoted = [next(filter(None, groups)) for groups in _WORDS.findall(prompt)]
    sentences = [part.strip() for part in _SENTENCES.split(prompt) if part.strip()]
    names = _NAMES.findall(prompt)
    texts = [*quoted, *names, *_IDS.findall(prompt), *sentences[:4], prompt[:500]]
    numbers = [json.loads(each.lstrip("0") or "0") if "." not in each and not each.startswith("-")
               else float(each) for each in _NUMBERS.findall(prompt)]  # fmt: skip
    return {
        "string": list(dict.fromkeys(texts)),
        "integer": list(dict.fromkeys([n for n in numbers if n == int(n)] + [1])),
        "number": list(dict.fromkeys(numbers)),
        "boolean": [True, False],
    }


def _of_tool(tool: Mapping[str, Any], words: Mapping[str, list[Any]]) -> Iterator[tuple[str, dict]]:
    name, schema = tool["function"]["name"], tool["function"]["parameters"]
    required, properties = schema.get("required", []), schema.get("properties", {})
    offers = {key: choices(properties[key], words) for key in properties}
    count = 0
    products = itertools.product(*(offers[key] for key in required))
    for values in itertools.islice(products, MOST_TRIED):
        arguments = dict(zip(required, values))
        if argument_faults(tool, arguments):
            continue
        yield name, arguments
        count += 1
        if count >= MOST_OF_TOOL:
            return
    optional = [key for key in properties if key not in required]
    base = next(iter(itertools.product(*(offers[key] for key in required))), ())
    for key in optional:
        for value in offers[key][:3]:
            arguments = {**dict(zip(required, base)), key: value}
            if not argument_faults(tool, arguments) and count < MOST_OF_TOOL:
                count += 1
                yield name, arguments


def choices(schema: Mapping[str, Any], words: Mapping[str, list[Any]]) -> list[Any]:
    """What a schema lets one give: of an enum all, else what the prompt has of that type."""
    if "enum" in schema:
        return list(schema["enum"])
    if "const" in schema:
        return [schema["const"]]
    if "anyOf" in schema:
        return [each for one in schema["anyOf"] for each in choices(one, words)][:16]
    if schema.get("type") == "array":
        return [[each] for each in choices(schema.get("items") or {}, words)[:6]]
    return words.get(str(schema.get("type")), [])[:16]


def _enums(schema: Mapping[str, Any]) -> set[str]:
    found = {text_of(each) for each in _walk(schema)}
    return found | {"1"}


def _walk(schema: Any) -> Iterator[Any]:
    if isinstance(schema, Mapping):
        yield from schema.get("enum", ())
        for key in ("const", "default"):
            if key in schema and not isinstance(schema[key], list | dict):
                yield schema[key]
        for each in schema.values():
            yield from _walk(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _walk(each)


def read_off(value: Any, right: Any) -> Iterator[Any]:
    """Answers of the right one's shape that can be read off a result without more thought. Of the
    right answer only its keys are used."""
    rows = _rows(value)
    sources = [value, *([rows[0], rows[-1]] if rows else [])]
    if isinstance(right, dict):
        for source in sources:
            if isinstance(source, dict):
                yield _filled(right, source, rows)
        return
    if isinstance(right, list):
        yield value
        for key in sorted({key for row in rows for key in row}):
            yield [row.get(key) for row in rows]
        return
    for source in sources:
        if isinstance(source, dict):
            yield from (each for each in source.values() if not isinstance(each, dict | list))
        elif not isinstance(source, list):
            yield source
    yield from _figures(rows)


def _filled(right: Mapping[str, Any], source: Mapping[str, Any], rows: list[dict]) -> dict:
    """The right keys with a source's values: of the same key, or the next one of that type."""
    figures, spare = list(_figures(rows)), list(source.values())
    made = {}
    for key, wanted in right.items():
        if key in source:
            made[key] = source[key]
            continue
        alike = [each for each in spare if type(each) is type(wanted)]
        if not alike and isinstance(wanted, int | float):
            alike = figures
        made[key] = alike[0] if alike else None
    return made


def _rows(value: Any) -> list[dict]:
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        value = lists[0] if len(lists) == 1 else []
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _figures(rows: list[dict]) -> Iterator[Any]:
    """A count, and each column's sum, least and most."""
    if not rows:
        return
    yield len(rows)
    for key in rows[0]:
        column = [row.get(key) for row in rows]
        if all(isinstance(each, int | float) and not isinstance(each, bool) for each in column):
            yield from (round(sum(column), 2), min(column), max(column))


def holds(text: str, part: str) -> bool:
    """Whether a text has a part as words of its own."""
    pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, part.split())) + r"(?!\w)"
    return bool(part.strip()) and re.search(pattern, text, re.IGNORECASE) is not None


def _text(call: Call) -> str:
    return " ".join(text_of(leaf) for _, leaf in leaves(call.value))


def _named(call: Call) -> str:
    return f"{call.name}({canonical(call.arguments)[1:-1]:.200})"
