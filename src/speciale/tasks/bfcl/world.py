"""BFCL's executable classes and its checkers, run inside the sandbox: a script on its own.

It imports them once and forks for each case, so that a case costs milliseconds and whatever it does
to the classes or to this process ends with it. Calls come as a name and JSON: where BFCL evaluates
the model's text as Python, nothing is evaluated here.

Requests and replies are JSON behind four bytes of length, one at a time, on stdin and stdout.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

MODEL = "speciale"  # the name under which BFCL's checker looks up how function names are written


def load() -> None:
    """Imports all that cases need."""
    # BFCL's table of models imports the client of every vendor; its checker asks it one thing.
    table = types.ModuleType("bfcl_eval.constants.model_config")
    table.MODEL_CONFIG_MAPPING = {MODEL: types.SimpleNamespace(underscore_to_dot=True)}
    sys.modules[table.__name__] = table
    importlib.import_module("bfcl_eval.eval_checker.ast_eval.ast_checker")
    importlib.import_module("bfcl_eval.eval_checker.multi_turn_eval.multi_turn_checker")
    backends = importlib.import_module("bfcl_eval.constants.executable_backend_config")
    for name, module in backends.CLASS_FILE_PATH_MAPPING.items():
        if not name.startswith(("Memory", "WebSearch")):
            importlib.import_module(module)


class World:
    """The instances of a case's classes, in its start state."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        from bfcl_eval.constants import executable_backend_config as backends

        self.instances, self._methods = {}, {}
        for name in case["classes"]:
            module = importlib.import_module(backends.CLASS_FILE_PATH_MAPPING[name])
            instance = self.instances[name] = getattr(module, name)()
            if name not in backends.STATELESS_CLASSES:
                # Through JSON, for a copy: the classes keep and change what they are given.
                config = json.loads(json.dumps(case["config"].get(name, {})))
                instance._load_scenario(config, long_context=case["long_context"])
            for method, function in inspect.getmembers(instance, predicate=inspect.ismethod):
                if not method.startswith("_"):
                    self._methods[method] = function

    def call(self, call: Mapping[str, Any]) -> str:
        """What BFCL tells the model that a call gave."""
        name = call["name"]
        try:
            if name not in self._methods:
                raise NameError(f"name {name!r} is not defined")
            result = self._methods[name](**call["arguments"])
            if isinstance(result, dict):
                try:
                    return json.dumps(result)
                except Exception:
                    return str(result)
            return str(result)
        except Exception as error:
            return f"Error during execution: {error}"


def replay(case: Mapping[str, Any], turns: Sequence, gold: Sequence) -> str | None:
    """What is wrong with the calls of `turns`, by BFCL's rules, given those of the ground truth.

    After each turn that needs calls, all instances must be in the same state, and the results of
    the true calls must be among those of the calls made so far, in any order.
    """
    from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_checker as checker

    model, truth = World(case), World(case)
    results: list[str] = []
    for number, (made, wanted) in enumerate(zip(turns, gold, strict=True), 1):
        results += [model.call(call) for call in made]
        true_results = [truth.call(call) for call in wanted]
        if not wanted:
            continue
        if not made:
            return f"In turn {number} no call was made."
        for name, instance in truth.instances.items():
            verdict = checker.state_checker({name: model.instances[name]}, {name: instance})
            if not verdict["valid"]:
                changed = ", ".join(verdict["details"]["differences"])
                return f"After turn {number} {name} is in another state: {changed}."
        verdict = checker.response_checker(results, true_results, number)
        if not verdict["valid"]:
            missing = verdict["details"]["missing_items"][0]
            name = wanted[true_results.index(missing)]["name"]
            return f"Up to turn {number} no call gave the result of {name}, {missing[:200]!r}."
    return None


def compare(
    functions: Sequence, calls: Sequence, possible: Any, language: str, kind: str
) -> str | None:
    """What is wrong with the calls of one answer, by BFCL's rules for syntax trees."""
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker

    made = [{call["name"]: call["arguments"]} for call in calls]
    verdict = ast_checker(functions, made, possible, Language(language), kind, MODEL)
    return None if verdict["valid"] else _words(verdict["error"])


def _words(error: Any) -> str:
    """The first sentences of BFCL's nested errors."""
    if isinstance(error, str):
        return error
    if isinstance(error, Mapping):
        return _words([value.get("sub_error", "") for value in error.values()])
    return " ".join(_words(one) for one in error)[:500]


# --- the process ----------------------------------------------------------------------------------


def receive() -> dict[str, Any] | None:
    """The next request; None where the other side is gone."""
    head = _read(4)
    body = _read(int.from_bytes(head, "big")) if head else b""
    return json.loads(body) if body else None


def _read(count: int) -> bytes:
    """Past Python's buffers: what is not read yet must be there for the other process."""
    parts = []
    while count and (part := os.read(0, count)):
        parts.append(part)
        count -= len(part)
    return b"" if count else b"".join(parts)


def send(out: int, reply: Mapping[str, Any]) -> None:
    body = json.dumps(reply).encode()
    rest = memoryview(len(body).to_bytes(4, "big") + body)
    while rest:
        rest = rest[os.write(out, rest) :]


def serve(out: int, request: dict[str, Any]) -> None:
    """One case, in a process of its own."""
    do = request.pop("do")
    if do == "compare":
        send(out, {"fault": _guarded(compare, **request)})
    elif do == "replay":
        send(out, {"fault": _guarded(replay, **request)})
    else:
        world = World(request["case"])
        send(out, {"open": True})
        while (call := receive()) is not None and "name" in call:
            send(out, {"text": world.call(call)})
        send(out, {"open": False})


def _guarded(check: Any, **arguments: Any) -> str | None:
    try:
        return check(**arguments)
    except Exception as error:
        return f"BFCL's checker failed on the calls: {type(error).__name__}: {error}"[:500]


def main() -> None:
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # BFCL prints here and there
    try:
        load()
    except ImportError as error:
        send(out, {"missing": str(error)})
        return
    os.dup2(1, 2)  # nobody reads it from here on
    send(out, {"ready": True})
    while (request := receive()) is not None:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                serve(out, request)
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        if ended:
            send(out, {"died": os.waitstatus_to_exitcode(ended)})


if __name__ == "__main__":
    main()
