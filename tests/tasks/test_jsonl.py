"""Tasks of the user's own: every verifier, every field, and every error by file, line and value."""

import asyncio
import json

import pytest

from speciale.errors import DataError
from speciale.tasks import Attempt, load_tasks
from speciale.tasks.rows import export_rows

ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALLS = """
def verify(answer, messages):
    calls = [call for each in messages for call in each.get("tool_calls") or []]
    return (1.0, "") if calls else (0.2, "nothing was called")
"""


def write(folder, *rows):
    path = folder / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("row", "right", "wrong"),
    [
        ({"answer": "Rome"}, "<answer>Rome</answer>", "Milan"),
        ({"answer": 12, "verifier": "number"}, "12.0", "13"),
        ({"answer": "B", "verifier": "choice"}, "(b)", "C"),
        ({"answer": r"\frac12", "verifier": "math"}, r"\boxed{0.5}", "2"),
        ({"answer": {"a": [1]}, "verifier": "json"}, '```json\n{"a": [1]}\n```', '{"a": []}'),
        ({"answer": None, "verifier": "json"}, "null", "0"),
        ({"answer": "[a-c]{2,}", "verifier": "regex"}, "abc", "abd"),
        ({"code": "def verify(a, m):\n return a == 'x'", "verifier": "python"}, "x", "y"),
    ],
)
def test_each_verifier(tmp_path, row, right, wrong):
    (task,) = load_tasks(write(tmp_path, {"prompt": "?", **row}))

    async def verdicts():
        return [await task.verify(answer) for answer in (right, wrong, "", "x" * 1_000_001)]

    good, *bad = asyncio.run(verdicts())
    assert good.score == 1.0 and good.reasons == ()
    assert all(verdict.score == 0 and verdict.reasons for verdict in bad)


def test_every_field_arrives(tmp_path):
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "1+2?"}]
    row = {
        "id": "sum",
        "prompt": messages,
        "verifier": "python",
        "code": CALLS,
        "tools": [ADD],
        "level": 2,
        "metadata": {"from": "me"},
        "files": {"data/in.csv": "a,b\n"},
    }
    path = write(tmp_path, row, {"prompt": "Capital of France?", "answer": "Paris"})
    first, second = load_tasks(path)
    assert (first.id, first.source, first.level) == ("sum", path, 2)
    assert (list(first.prompt), list(first.tools)) == (messages, [ADD])
    assert first.metadata == {"from": "me", "files": {"data/in.csv": "a,b\n"}}
    assert (first.answer, second.answer, second.id, second.level) == (None, "Paris", "2", None)
    assert second.open is None and second.metadata == {}

    async def use():
        async with first.open() as environment:
            result = await environment.call("add", {})
        calls = [{"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]
        called = Attempt("3", [{"role": "assistant", "content": "", "tool_calls": calls}])
        return result, await first.verify(called), await first.verify("3")

    result, good, bad = asyncio.run(use())
    assert not result.error and good.score == 1.0
    assert (bad.score, bad.reasons) == (0.2, ("nothing was called",))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "prompt is {}: field required"),
        ({"prompt": ""}, "prompt is '': there is nothing in it"),
        ({"prompt": []}, r"prompt is \[\]: value should have at least 1 item"),
        (
            {"prompt": [{"role": "robot", "content": "x"}]},
            "prompt.0.role is 'robot': input should be 'sys",
        ),
        ({"prompt": "x", "anwser": "y"}, "anwser is 'y': extra inputs are not permitted"),
        ({"prompt": "x"}, "answer: exact needs a text, not None"),
        ({"prompt": "x", "answer": 3}, "answer: exact needs a text, not 3"),
        ({"prompt": "x", "answer": "y", "verifier": "magic"}, "verifier is 'magic': input should"),
        ({"prompt": "x", "answer": "y", "verifier": "number"}, "answer: it is 'y', not a number"),
        ({"prompt": "x", "answer": "AB", "verifier": "choice"}, "'AB', not one letter"),
        ({"prompt": "x", "answer": "(", "verifier": "regex"}, "'\\(' is no pattern: missing \\)"),
        ({"prompt": "x", "verifier": "json"}, "answer: json needs a value"),
        ({"prompt": "x", "verifier": "python"}, "code: it has to define verify"),
        ({"prompt": "x", "verifier": "python", "code": "def verify("}, "code: it is not Python"),
        ({"prompt": "x", "answer": "y", "code": "1"}, "code: it is for the verifier python"),
        ({"prompt": "x", "answer": "y", "tools": [{"name": "f"}]}, "tools.0.function is"),
        ({"prompt": "x", "answer": "y", "tools": [{"function": {}}]}, "tools.0.function.name is"),
        ({"prompt": "x", "answer": "y", "level": 0}, "level is 0: input should be greater"),
        ({"prompt": "x", "answer": "y", "files": {"../a": ""}}, "stays in it"),
        ({"prompt": "x", "answer": "y", "files": {"/etc/a": ""}}, "relative to /work"),
        (
            {"prompt": "x", "answer": "y", "verifier": "reasoning-gym"},
            "needs a family and an entry",
        ),
        (
            {
                "prompt": "x",
                "answer": "y",
                "verifier": "reasoning-gym",
                "level": 9,
                "metadata": {"family": "gcd", "entry": {}},
            },
            "level: gcd has no level 9",
        ),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, message):
    path = write(tmp_path, {"prompt": "x", "answer": "y"}, row)
    with pytest.raises(DataError, match=f"tasks.jsonl, line 2: .*{message}"):
        load_tasks(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no task: it is empty"),
        (b"[1]\n", "line 1: .*valid dictionary"),
        (b'{"prompt": "x", "answer": "y"}\n\n', "line 2: it is not JSON"),
        (b'{"prompt": "x"', "line 1: it is not JSON: Expecting ',' delimiter"),
        (b'{"prompt": "\xff"}', "line 1: it is not UTF-8"),
        (b"[" * 100_000, "line 1: it is not JSON"),
        (
            b'{"id": "a", "prompt": "x", "answer": "y"}\n' * 2,
            "line 2: the id 'a' is that of line 1",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, message):
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_tasks(str(path))
    with pytest.raises(DataError, match=r"could not read .*nowhere\.jsonl: No such file"):
        load_tasks(str(tmp_path / "nowhere.jsonl"))


def test_order_level_and_split(tmp_path):
    rows = [{"prompt": f"q{n}", "answer": "y", "level": 1 + n % 2} for n in range(200)]
    path = write(tmp_path, *rows)

    def ids(**arguments):
        return [task.id for task in load_tasks(path, **arguments)]

    assert ids() == [str(n) for n in range(1, 201)]
    assert ids(seed=1) == ids(seed=1) != ids(seed=2)
    assert sorted(ids(seed=1)) == sorted(ids())
    assert ids(level=2) == [str(n) for n in range(2, 201, 2)] and ids(level=3) == []
    train, heldout = ids(split="train"), ids(split="heldout")
    assert sorted([*train, *heldout]) == sorted(ids()) and 5 < len(heldout) < 40
    assert ids(count=3, seed=5) == ids(seed=5)[:3]


def test_exported_tasks_of_reasoning_gym_come_back_with_their_scorer(tmp_path):
    drawn = list(load_tasks("reasoning-gym/jugs", count=2))
    path = tmp_path / "jugs.jsonl"
    path.write_text(export_rows(drawn))
    read = list(load_tasks(str(path)))

    async def scores():
        pairs = zip(drawn, read)
        return [((await new.verify(old.answer)).score, (await new.verify("[]")).score)
                for old, new in pairs]  # fmt: skip

    assert [(task.id, task.prompt, task.level) for task in read] == [
        (task.id, task.prompt, task.level) for task in drawn
    ]
    assert all(right == 1.0 and wrong < 1 for right, wrong in asyncio.run(scores()))
    own = write(tmp_path, {"prompt": "x", "answer": "y"})
    with pytest.raises(DataError, match="cannot be written as JSON lines"):
        export_rows(load_tasks(own))
