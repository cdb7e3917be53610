"""What the gates of the code agent try: a solution's calls, tests bent to pass, runs compared.

V3.2 report, 3.2.3, code agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speciale.tasks.synthesised.repository.runs import Run
from speciale.tasks.synthesised.repository.task import Repair, Repository
from speciale.tasks.synthesised.repository.tree import Tree
from speciale.tasks.synthesised.world import Call, State


class Calls:
    """A repository's tools in the form that run_solution knows (tasks/synthesised/world.py)."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.tried: list[str] = []

    async def start(self) -> None:
        """It is in its start state."""

    async def make(self, name: str, arguments: Mapping[str, Any]) -> Call:
        result = await self._repository.call(name, arguments)
        if result.error:
            return Call(name, arguments, error=result.text)
        return Call(name, arguments, result.text)

    async def state(self) -> State:
        return State()


def differ(one: Run, other: Run, files: list[str] | None) -> set[str]:
    """Tests that two runs do not agree on, of these files."""
    names = one.results.keys() | other.results.keys()
    if files is not None:
        names = {name for name in names if name.split("::")[0] in files}
    return {name for name in names if one.of(name) != other.of(name)}


def hacked(repair: Repair, tests: list[str]) -> Tree:
    """The start state, with everything about its tests bent to pass."""
    left = dict(repair.start)
    python = repair.bench.language.name == "python"
    for test in tests:
        path = test.split("::")[0]
        name = test.split("::")[-1].split("[")[0]
        if path in left:
            left[path] = f"def {name}():\n    pass\n".encode() if python else b""
    if python:
        left["conftest.py"] = (
            b"import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\n"
            b"def pytest_runtest_makereport(item, call):\n    outcome = yield\n"
            b"    outcome.get_result().outcome = 'passed'\n"
        )
        left["sitecustomize.py"] = b"import os\nos._exit(0)\n"
        left["pytest.py"] = b"raise SystemExit(0)\n"
    else:
        left["package.json"] = b'{"type": "module"}'
    return left
