"""Run by a Python that has verifiers and this package: python in_verifiers.py CASE FOLDER.

Each case prints one JSON value, which test_verifiers.py looks at; speciale's own test environment
cannot hold verifiers, which needs another mcp.
"""

import asyncio
import json
import sys
from pathlib import Path

import verifiers as vf
from verifiers.types import Response, ResponseMessage, ToolCall

from speciale.errors import DataError
from speciale.tasks import Attempt, load_tasks
from speciale.tasks.verifiers.export import export_package

ENVIRONMENTS = '''
import verifiers as vf
from datasets import Dataset

ROWS = [{"question": f"{n}+{n}?", "answer": str(2 * n), "info": {"n": n}} for n in (1, 2, 3)]


def right(completion, answer):
    return 1.0 if answer in completion[-1]["content"] else 0.0


async def short(parser, completion):
    return 1.0 if len(parser.parse_answer(completion)) < 10 else 0.0


def double(n: int) -> int:
    """Twice a number."""
    return 2 * n


class OwnTurns(vf.MultiTurnEnv):
    async def env_response(self, messages, state, **kwargs):
        return [{"role": "user", "content": "again"}]


def compared(completions):
    return [1.0 for _ in completions]


def load_environment(kind="single"):
    rubric = vf.Rubric(funcs=[right, short], weights=[1.0, 0.25])
    rows = Dataset.from_list(ROWS)
    return {
        "single": lambda: vf.SingleTurnEnv(dataset=rows, rubric=rubric, system_prompt="Be short."),
        "tools": lambda: vf.ToolEnv(dataset=rows, rubric=rubric, tools=[double]),
        "turns": lambda: OwnTurns(dataset=rows, rubric=rubric),
        "group": lambda: vf.SingleTurnEnv(dataset=rows, rubric=vf.Rubric(funcs=[compared])),
        "judge": lambda: vf.SingleTurnEnv(dataset=rows, rubric=vf.JudgeRubric()),
        "nothing": lambda: vf.SingleTurnEnv(dataset=rows),
    }[kind]()
'''


class Scripted(vf.Client):
    """A model that answers by a function of the conversation so far."""

    def __init__(self, answer):
        super().__init__(None)
        self.answer = answer

    def setup_client(self, config):
        return None

    async def to_native_tool(self, tool):
        return tool

    async def to_native_prompt(self, messages):
        return messages, {}

    async def get_native_response(self, prompt, model, sampling_args, tools=None, **kwargs):
        text, calls = self.answer(prompt, tools)
        message = ResponseMessage(
            content=text, tool_calls=calls, finish_reason="stop", is_truncated=False
        )
        return Response(id="1", created=0, model=model, message=message)

    async def raise_from_native_response(self, response):
        pass

    async def from_native_response(self, response):
        return response

    async def close(self):
        pass


def rollouts(environment, answer, rows):
    async def run():
        client = Scripted(answer)
        states = [await environment.rollout(dict(row), client, "scripted", {}) for row in rows]
        for state in states:
            await environment.rubric.score_rollout(state)
        return states

    return asyncio.run(run())


def exported(folder, source, **arguments):
    name = export_package(source, folder / "package")
    sys.path.insert(0, str(folder / "package"))
    return vf.load_environment(name, **arguments)


def export_gym(folder):
    environment = exported(folder, "reasoning-gym/gcd", count=3, eval_count=2, level=1)
    rows, held = environment.get_dataset(), environment.get_eval_dataset()
    right = {row["prompt"][-1]["content"]: row["answer"] for row in [*rows, *held]}
    good = rollouts(environment, lambda p, _: (right[p[-1].content], None), [*rows, *held])
    bad = rollouts(environment, lambda p, _: ("<answer>0</answer>", None), rows)
    return {
        "train": len(rows),
        "heldout": len(held),
        "shared": len(
            set(rows["answer"]) and {*map(str, rows["prompt"])} & {*map(str, held["prompt"])}
        ),
        "right": [state["reward"] for state in good],
        "wrong": [state["reward"] for state in bad],
        "reasons": bad[0]["reasons"],
    }


def export_tools(folder):
    code = (
        "def verify(answer, messages):\n"
        "    calls = [c['function'] for m in messages for c in m.get('tool_calls') or []]\n"
        "    return float([c['name'] for c in calls] == ['add'] and answer == '3')\n"
    )
    tool = {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    }
    row = {
        "prompt": "1+2?",
        "verifier": "python",
        "code": code,
        "tools": [{"type": "function", "function": tool}],
    }
    source = folder / "own tasks.jsonl"
    lines = [{**row, "prompt": f"{n}+{3 - n}?"} for n in range(40)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    environment = exported(folder, str(source))

    def caller(name):
        def answer(prompt, tools):
            assert [each.name for each in tools] == ["add"]
            if prompt[-1].role == "tool":
                return "3", None
            return "", [ToolCall(id="c1", name=name, arguments='{"a": 1}')]

        return answer

    rows = environment.get_dataset(n=1)
    good, bad, silent = (
        rollouts(environment, answer, rows)[0]
        for answer in (caller("add"), caller("subtract"), lambda *_: ("3", None))
    )
    return {
        "rewards": [good["reward"], bad["reward"], silent["reward"]],
        "results": [good["completion"][1].content, bad["completion"][1].content],
        "roles": [message.role for message in good["completion"]],
    }


def export_worlds(folder):
    """A task of BFCL over several turns: its gold calls, and the same without the last of them."""
    environment = exported(folder, "bfcl/multi_turn_base", count=1)
    rows = environment.get_dataset()
    (task,) = load_tasks("bfcl/multi_turn_base", count=1)

    def gold(turns):
        left = [list(turn) for turn in turns]

        def answer(prompt, tools):
            turn = sum(message.role == "user" for message in prompt) - 1
            if left[turn]:
                call = left[turn].pop(0)
                arguments = json.dumps(call["arguments"])
                return "", [ToolCall(id="c", name=call["name"], arguments=arguments)]
            return "Done.", None

        return answer

    turns = task.metadata["gold"]
    cut = [list(turn) for turn in turns]
    next(turn for turn in reversed(cut) if turn).pop()
    return [rollouts(environment, gold(each), rows)[0]["reward"] for each in (turns, cut)]


def imports(folder):
    (folder / "made_up.py").write_text(ENVIRONMENTS)
    sys.path.insert(0, str(folder))
    tasks = list(load_tasks("verifiers:made-up"))
    first = tasks[0]

    async def verdicts():
        answers = ["2", "2, I am rather sure", "0", ""]
        return [await first.verify(answer) for answer in answers]

    return {
        "ids": [task.id for task in tasks],
        "prompt": list(first.prompt),
        "answer": first.answer,
        "info": first.metadata["info"],
        "scores": [verdict.score for verdict in asyncio.run(verdicts())],
        "reasons": asyncio.run(verdicts())[2].reasons,
        "shuffled": [task.id for task in load_tasks("verifiers:made-up", seed=3)],
    }


def imports_tools(folder):
    (folder / "tool_env.py").write_text(ENVIRONMENTS.replace('kind="single"', 'kind="tools"'))
    sys.path.insert(0, str(folder))
    task = next(load_tasks("verifiers:tool_env"))

    async def use():
        async with task.open() as world:
            good = await world.call("double", {"n": 4})
            bad = await world.call("double", {"x": 4})
        calls = [{"id": "1", "type": "function", "function": {"name": "double", "arguments": "{}"}}]
        messages = [
            *task.prompt,
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "1", "content": "2"},
            {"role": "assistant", "content": "2"},
        ]
        return good, bad, await task.verify(Attempt("2", messages))

    good, bad, verdict = asyncio.run(use())
    name = task.tools[0]["function"]["name"]
    return [name, good.text, good.error, bad.error, verdict.score]


def refusals(folder):
    sys.path.insert(0, str(folder))
    said = {}
    for kind in ("turns", "group", "judge", "nothing", "missing"):
        text = ENVIRONMENTS.replace('kind="single"', f'kind="{kind}"')
        (folder / f"env_{kind}.py").write_text(text)
        try:
            next(load_tasks(f"verifiers:env-{kind}"))
        except DataError as error:
            said[kind] = str(error)
    try:
        load_tasks("verifiers:env-of-nobody")
    except DataError as error:
        said["unknown"] = str(error)
    return said


if __name__ == "__main__":
    result = globals()[sys.argv[1]](Path(sys.argv[2]))
    print("\n" + json.dumps(result))
