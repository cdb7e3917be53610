"""solution.py and verify.py of a question: straight code, hop by hop, with the steps that it needs.

The steps are those of steps_file.py, so that answerers and solutions walk the same way.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from speciale.synth.search import steps_file
from speciale.synth.search.plan import Condition, Hop, Question
from speciale.synth.search.relations import Relation, Vocabulary


def solution(question: Question, vocabulary: Vocabulary) -> str:
    """The source of solution.py."""
    fields: dict[str, Relation] = {}
    lines: list[str] = []
    last = ""
    for place, hop in enumerate(question.hops):
        name = f"hop_{place + 1}"
        lines += _hop(hop, vocabulary, last, "found", fields)
        lines += [f"{name} = only(found)", f"{name}_text = found[{name}]"]
        last = name
    lines += _answer(question, vocabulary, last, fields)
    body = "\n".join(f"    {line}" if line else "" for line in lines)
    constants = "".join(
        f"{_constant(name)} = {relation.field!r}\n" for name, relation in sorted(fields.items())
    )
    code = f"def solve(tools):\n{body}\n"
    return (
        f'"""Walks the hops of the question through the tools."""\n\nimport re\n\n{constants}\n\n'
        f"{_needed(code)}{code}"
    )


def _hop(
    hop: Hop, vocabulary: Vocabulary, last: str, name: str, fields: dict[str, Relation]
) -> list[str]:
    extra = f" + {' ' + hop.query!r}" if hop.query and hop.how != "find" else ""
    if hop.how == "find":
        lines = [f"{name} = candidates(tools, {hop.query!r})"]
    else:
        fields[hop.relation] = vocabulary.by_name[hop.relation]
        field = _constant(hop.relation)
        if hop.how == "follow":
            lines = [
                f"links = [link for link in values({field}, {last}_text) if link != {last}]",
                f"{name} = named(tools, links)",
            ]
        elif hop.how == "back":
            lines = [
                f"""{name} = candidates(tools, '"' + {last} + '"'{extra})""",
                *_kept(name, f"title != {last} and {last} in values({field}, text)"),
            ]
        else:
            titles = ", True" if vocabulary.by_name[hop.relation].in_title else ""
            lines = [
                f"shared = values({field}, {last}_text)",
                f"{name} = {{}}",
                "for value in shared:",
                f"""    {name} |= candidates(tools, '"' + value + '"'{extra}{titles})""",
                *_kept(name, f"title != {last} and set(shared) & set(values({field}, text))"),
            ]
    for condition in hop.conditions:
        fields[condition.relation] = vocabulary.by_name[condition.relation]
        lines += _kept(name, _test(condition))
    if hop.best:
        relation, which = hop.best
        fields[relation] = vocabulary.by_name[relation]
        lines.append(f"{name} = edge({_constant(relation)}, {name}, {which == 'most'})")
    return lines


def _kept(name: str, test: str) -> list[str]:
    return [f"{name} = {{title: text for title, text in {name}.items() if {test}}}"]


def _test(condition: Condition) -> str:
    field = _constant(condition.relation)
    if condition.op in ("has", "not"):
        word = "in" if condition.op == "has" else "not in"
        return f"{condition.value!r} {word} values({field}, text)"
    if condition.op == "more":
        return f"(number({field}, text) or 0) > {int(condition.value)}"
    return f"(number({field}, text) or {int(condition.value)}) < {int(condition.value)}"


def _answer(
    question: Question, vocabulary: Vocabulary, last: str, fields: dict[str, Relation]
) -> list[str]:
    key = vocabulary.key
    for name in question.asked:
        fields[name] = vocabulary.by_name[name]
    if question.last is None:
        parts = [f'"{key}": {last}']
        for name in question.asked:
            read = "number" if vocabulary.by_name[name].number else "values"
            index = "" if read == "number" else "[0]"
            parts.append(f'"{name}": {read}({_constant(name)}, {last}_text){index}')
        return [f"return {{{', '.join(parts)}}}"]
    lines = _hop(question.last, vocabulary, last, "others", fields)
    if question.ask == "list":
        return [*lines, f'return {{"{key}": {last}, "names": sorted(others)}}']
    if question.ask == "count":
        return [*lines, f'return {{"{key}": {last}, "count": len(others)}}']
    name = question.asked[0]
    return [
        *lines,
        f"total = sum(number({_constant(name)}, text) or 0 for text in others.values())",
        f'return {{"{key}": {last}, "count": len(others), "total_{name}": total}}',
    ]


def _constant(name: str) -> str:
    return name.upper()


@lru_cache(maxsize=1)
def _steps() -> Mapping[str, tuple[str, frozenset[str]]]:
    """Each step's source and the names in it."""
    source = Path(steps_file.__file__).read_text("utf-8")
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            found[node.name] = (ast.get_source_segment(source, node) or "", frozenset(names))
    return found


def _needed(code: str) -> str:
    """The steps that the code calls, and those which they call."""
    steps = _steps()
    wanted = {each.id for each in ast.walk(ast.parse(code)) if isinstance(each, ast.Name)}
    while (grown := wanted.union(*(steps[name][1] for name in wanted & set(steps)))) != wanted:
        wanted = grown
    return "".join(f"{text}\n\n\n" for name, (text, _) in steps.items() if name in wanted)


_VERIFY = '''\
"""Compares with the one right answer; nothing may have changed."""

RIGHT = {right!r}
ALIASES = {aliases!r}  # other forms in which the collection writes a value
FOLDS = {folds!r}  # what may be in upper or lower case


def verify(answer, before, after):
    if not isinstance(answer, dict) or set(answer) != set(RIGHT):
        return "The answer must be an object with " + ", ".join(sorted(RIGHT)) + "."
    for name, right in RIGHT.items():
        if not same(name, answer[name], right):
            return f"The value of {{name}} is not right."
    read = "SELECT number, id, title, text FROM documents ORDER BY number"
    if [tuple(row) for row in before.execute(read)] != [tuple(row) for row in after.execute(read)]:
        return "The collection was changed."
    return True


def same(name, given, right):
    if isinstance(right, list):
        return (
            isinstance(given, list)
            and len(given) == len(right)
            and all(same(name, one, other) for one, other in zip(given, right))
        )
    if isinstance(right, int):
        return isinstance(given, (int, float)) and not isinstance(given, bool) and given == right
    if not isinstance(given, str):
        return False
    return plain(name, given) in [plain(name, form) for form in (right, *ALIASES.get(name, ()))]


def plain(name, text):
    text = " ".join(text.split())
    return text.casefold() if name in FOLDS else text
'''


def verifier(answer: Any, aliases: Mapping[str, list[str]], folds: list[str]) -> str:
    """The source of verify.py."""
    return _VERIFY.format(right=answer, aliases=dict(aliases), folds=folds)
