"""Tasks of one turn: a question, functions, and the calls that the first answer must hold.

Scored by BFCL's own checker of syntax trees: any of the values allowed for each argument, optional
arguments left out or not, parallel calls in any order, Java and JavaScript literals by their types.
"""

from __future__ import annotations

from speciale.tasks.bfcl.calls import calls_of, first_answer
from speciale.tasks.bfcl.categories import Category
from speciale.tasks.bfcl.data import Json
from speciale.tasks.bfcl.gold import allowed_calls
from speciale.tasks.bfcl.schemas import tool, tool_name
from speciale.tasks.bfcl.servers import Servers
from speciale.tasks.noted import noted
from speciale.tasks.task import Attempt, Task, Verdict

# Cases that no right answer solves: what BFCL expects contradicts its own checker or function.
_UNTYPED = "the answer has numbers or booleans in a list whose elements are all read as text"
_EMPTY = "the answer names arguments without allowing any value"
UNSOLVABLE = {
    "simple_java_36": _UNTYPED,
    "simple_java_65": _UNTYPED,
    "simple_java_64": "the answer gives a text where the checker looks for a list of values",
    "live_simple_106-63-0": _EMPTY,
    "live_simple_112-68-0": _EMPTY,
    "live_multiple_862-181-3": "the answer needs journey_start_time, which the function lacks",
    "live_multiple_964-207-0": "the answer lacks statement, which the function requires",
}


def single_turn_task(case: Json, category: Category, servers: Servers) -> Task:
    """The task of a row of BFCL's."""
    tools = [tool(document, category.language) for document in case["function"]]

    async def verify(attempt: Attempt) -> Verdict:
        fault = await _fault(attempt, case, category, servers)
        return Verdict(1.0) if fault is None else Verdict(0.0, (fault,))

    metadata: Json = {"category": category.name}
    if category.kind == "silence":
        metadata["gold"] = [[]]
    elif case["id"] in UNSOLVABLE:
        metadata["unsolvable"] = UNSOLVABLE[case["id"]]
    elif category.kind == "calls":
        answer = allowed_calls(case["ground_truth"], case["function"], category.language)
        metadata["gold"] = [answer]
    return Task(
        id=case["id"],
        source=f"bfcl/{category.name}",
        prompt=case["question"][0],
        verifier=verify,
        open=noted(tools),  # nobody runs the functions: BFCL ends with the calls
        tools=tools,
        metadata=metadata,
    )


async def _fault(attempt: Attempt, case: Json, category: Category, servers: Servers) -> str | None:
    users = sum(message["role"] == "user" for message in case["question"][0])
    answer = first_answer(attempt.messages, users)
    if answer is None and not attempt.answer.strip():
        return "There is no answer."
    calls = calls_of(answer) if answer else []
    if category.kind == "silence":
        return f"{calls[0]['name']} was called, and nothing should be." if calls else None
    if not calls:
        return "Nothing was called."
    unread = next((call["name"] for call in calls if call["arguments"] is None), None)
    if unread is not None:
        return f"The arguments of {unread!r} are no JSON object."
    if category.kind == "call":
        offered = {tool_name(document["name"]) for document in case["function"]}
        return None if offered & {call["name"] for call in calls} else "No function was called."
    request = {"functions": case["function"], "calls": calls, "possible": case["ground_truth"]}
    return await servers.check(
        {"do": "compare", **request, "language": category.language, "kind": category.name}
    )
