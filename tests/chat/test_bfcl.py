"""Thousands of real function documents and calls, through the format and back (BFCL v4, from the
PyPI package bfcl-eval, Apache-2.0; read as data). `pytest -s` prints the counts.

web_search, memory and format_sensitivity have no gold calls: their answers are words.
"""

import ast
import importlib.util
import json
from functools import cache
from pathlib import Path

import pytest

from speciale.chat import THINK_CLOSE, THINK_OPEN, encode, parse


@cache
def folder() -> Path:
    package = importlib.util.find_spec("bfcl_eval")  # finds it without importing it
    assert package, "the tests read the data of bfcl-eval: run `make setup`"
    return Path(package.submodule_search_locations[0]) / "data"


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def question_files() -> list[Path]:
    return [path for path in sorted(folder().glob("BFCL_v4_*.json")) if "sensitiv" not in path.name]


def gold_calls(answer) -> list[list[dict]]:
    """The calls of one gold answer, once for each choice that it leaves open."""
    if isinstance(answer, list) and answer and all(isinstance(step, list) for step in answer):
        return [[_from_python(call) for call in step] for step in answer if step]  # multi_turn
    if not (isinstance(answer, list) and all(isinstance(call, dict) for call in answer)):
        return []
    options = [next(iter(call.items())) for call in answer]
    choices = max((len(v) for _, values in options for v in values.values()), default=1)
    return [
        [{"name": name, "arguments": _chosen(values, n)} for name, values in options]
        for n in range(choices)
    ]


def _chosen(values: dict, n: int) -> dict:
    """The n-th allowed value of each parameter, or its last; "" means that it may be left out."""
    chosen = {
        key: allowed[min(n, len(allowed) - 1)] if allowed else [] for key, allowed in values.items()
    }
    return {key: value for key, value in chosen.items() if value != ""}


def _from_python(source: str) -> dict:
    call = ast.parse(source, mode="eval").body
    arguments = {f"arg{n}": ast.literal_eval(value) for n, value in enumerate(call.args)}
    arguments |= {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    return {"name": ast.unparse(call.func), "arguments": json.loads(json.dumps(arguments))}


def test_every_function_document_goes_through_the_tools_section():
    documents = [row.get("function", []) for path in question_files() for row in rows(path)]
    documents += [rows(path) for path in sorted((folder() / "multi_turn_func_doc").glob("*.json"))]
    count = 0
    for functions in filter(None, documents):
        tools = [{"type": "function", "function": function} for function in functions]
        text = encode([{"role": "system", "content": "s", "tools": tools}], "chat")
        section = text.split("<functions>\n")[1].removesuffix("\n</functions>\n")
        assert [json.loads(line) for line in section.split("\n")] == functions
        assert section == "\n".join(json.dumps(f, ensure_ascii=False) for f in functions)
        count += len(functions)
    print(f"\n{count} function documents in {len(list(filter(None, documents)))} prompts")
    assert count == 8_888


MODES = [pytest.param("thinking", marks=pytest.mark.slow), "chat"]


@pytest.mark.parametrize("thinking_mode", MODES)
def test_every_gold_call_comes_back(thinking_mode):
    count = 0
    for path in sorted((folder() / "possible_answer").glob("*.json")):
        for row in rows(path):
            for calls in gold_calls(row["ground_truth"]):
                _round_trip(calls, thinking_mode)
                count += len(calls)
    print(f"\n{count} gold calls, {thinking_mode}: all came back equal")
    assert count == 10_748


def _round_trip(calls: list[dict], thinking_mode: str) -> None:
    said = {
        "role": "assistant",
        "content": "",
        "reasoning_content": "r",
        "tool_calls": [
            {"function": {"name": c["name"], "arguments": json.dumps(c["arguments"])}}
            for c in calls
        ],
    }
    text = encode([{"role": "user", "content": "q"}, said], thinking_mode)
    completion = text.split(THINK_OPEN if thinking_mode == "thinking" else THINK_CLOSE, 1)[1]
    for mode in ("strict", "lenient"):
        came_back = parse(completion, thinking_mode, mode)["tool_calls"]
        # As text: `==` would take 1, 1.0 and True for the same.
        assert [c["function"] for c in came_back] == [
            {"name": c["name"], "arguments": json.dumps(c["arguments"], ensure_ascii=False)}
            for c in calls
        ]
