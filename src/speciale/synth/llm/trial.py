"""A task tried out as the gates will try it; runs inside the sandbox, where the model works.

`python3 try.py 000` runs a solution over a fresh copy of the database and asks the verifier about
its answer and about wrong ones (V3.2 report, 3.2.3: mended until the verifier accepts).
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from typing import Any

from speciale.tasks.synthesised import inside

# What the workshop lays into the sandbox as try.py.
SCRIPT = b"from speciale.synth.llm.trial import main\n\nmain()\n"
SHOWN, CLIP = 40, 300


class Tools:
    """What a solution sees; each call is printed."""

    Error = inside.ToolError

    def __init__(self, database: sqlite3.Connection, functions: dict[str, Any]) -> None:
        self._database, self._functions, self._calls = database, functions, 0

    def __getattr__(self, name: str) -> Any:
        function = self._functions.get(name)
        if name.startswith("_") or not callable(function):
            raise AttributeError(f"there is no tool {name!r}")

        def call(**arguments: Any) -> Any:
            self._calls += 1
            try:
                value = inside.called(self._database, function, arguments)
            except ValueError as error:
                self._say(name, arguments, f"Error: {error}")
                raise inside.ToolError(str(error)) from None
            self._say(name, arguments, json.dumps(value, ensure_ascii=False))
            return value

        return call

    def _say(self, name: str, arguments: dict[str, Any], said: str) -> None:
        if self._calls <= SHOWN:
            given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            print(f"{self._calls:3}. {name}({given})\n     -> {said[:CLIP]}")


def near_misses(answer: Any) -> list[Any]:
    """Some of what gate 4 tries: nothing, other types, the answer with one part changed."""
    wrong: list[Any] = [None, "", {}, [], 0, True, "yes", [answer], {"answer": answer}]
    if isinstance(answer, dict):
        for key, value in answer.items():
            wrong.append({k: v for k, v in answer.items() if k != key})
            wrong += [{**answer, key: other} for other in (*changed(value), [value], None)]
    else:
        wrong += changed(answer)
    return [each for each in wrong if json.dumps(each) != json.dumps(answer)]


def changed(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value - 1, str(value)]
    if isinstance(value, list):
        return [value[:-1], value[::-1], [*value, *value[:1]]]
    return [f"{value} x", f"{value} or another"]


def main() -> None:
    """Prints the calls, the answer and the verdicts. The folder is /work."""
    if len(sys.argv) != 2:
        sys.exit("usage: python3 try.py 000")
    folder = os.path.join("tasks", sys.argv[1])
    database = inside.load()
    before = inside.opened(None)
    functions = inside.run(inside.load_code("tools.py"))
    database.set_authorizer(inside.authorised)
    changes = database.total_changes
    tools = Tools(database, functions)
    solve = inside.run(inside.load_code(os.path.join(folder, "solution.py")))["solve"]
    answer = inside.plain(solve(tools))
    print(f"\ncalls: {tools._calls}\nanswer: {json.dumps(answer, ensure_ascii=False)}")
    state = inside.state_of(database, changes)
    print(f"the database was {'changed' if state['changed'] else 'left as it was'}")
    after = inside.opened(state["database"])
    verify = inside.run(inside.load_code(os.path.join(folder, "verify.py")))["verify"]
    ruled = inside.ruled(verify, answer, before, after)
    print(f"verify(answer): {'accepted' if ruled['accepted'] else 'REFUSED: ' + ruled['reason']}")
    for wrong in near_misses(answer):
        if inside.ruled(verify, wrong, before, after)["accepted"]:
            print(f"TOO LENIENT: it also accepts {json.dumps(wrong, ensure_ascii=False)}")
    if state["changed"] and inside.ruled(verify, answer, before, before)["accepted"]:
        print("TOO LENIENT: it also accepts the answer over an unchanged database")


if __name__ == "__main__":
    main()
