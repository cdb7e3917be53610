"""The processes over which a family is judged: kernels, the solutions' process, the verifiers'.

A solution runs in a process of its own that can open nothing; each of its calls python(code) goes
through the agents' own tool to a Jupyter kernel in another cell of the sandbox, with the files.

A kernel takes a second to start, a reset a few hundredths: one serves all tasks of a family, and
is reset between them. What a task left behind for another would show, since the three kernels of
gate 1 have other hash seeds and take the tasks in another order each.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from speciale.agents.tools.python import python_tools
from speciale.errors import DataError
from speciale.sandbox import Limits, Process, Sandbox, Session, default_sandbox
from speciale.synth.interpreter.cells import cell_findings
from speciale.tasks.environment import Environment
from speciale.tasks.synthesised.family import Family
from speciale.tasks.synthesised.processes import WORK_S, Broke, Roleplayer, roleplayer
from speciale.tasks.synthesised.world import Call, Ruling, Run, State, rule, verifier_files

RUNS = 3  # kernels of gate 1; the first then serves the reference policy as well
CELL_S = 10.0  # the longest that a cell may take
MOST_CELLS = 60  # of a solution
MOST_FILES = 32 << 20  # bytes of a family's files
FILES = "files/"
LIMITS = Limits(memory_mb=1024, cpu_s=3600, disk_mb=256)

# Collecting a kernel's own objects is nine tenths of a reset: they are put aside at its start.
_START = "import gc\ngc.collect()\ngc.freeze()"
_RESET = "from IPython import get_ipython\nget_ipython().reset(new_session=True)"

# What a policy does to a cell: (number of the cell, code) -> code; and to its text.
Alter = Callable[[int, str], str]


def data_files(family: Family) -> dict[str, str]:
    """The family's files by their path below /work. DataError names one that is no text."""
    found = {}
    if sum(map(len, family.files.values())) > MOST_FILES:
        raise DataError(f"its files have more than {MOST_FILES:,} bytes")
    for path, data in family.files.items():
        if path.startswith(FILES):
            try:
                found[path.removeprefix(FILES)] = data.decode()
            except UnicodeDecodeError:
                raise DataError(f"{path} is no text in UTF-8") from None
    return found


class _Seeded:
    """A session whose programs have a hash seed and a time zone, as python_tools needs one."""

    def __init__(self, session: Session, hash_seed: int) -> None:
        self._session = session
        self._env = {"PYTHONHASHSEED": str(hash_seed), "TZ": "UTC"}

    async def spawn(self, command: Any, *, limits: Limits) -> Process:
        return await self._session.spawn(command, limits=limits, env=self._env)


class Kernel:
    """Made by Bench.kernel."""

    def __init__(self, session: Session, tool: Environment, files: dict[str, str]) -> None:
        self.session, self._tool, self._files = session, tool, files
        self._changed: set[str] = set()
        self._used = True  # by a task, or not started

    async def cell(self, code: str) -> Call:
        self._used = True
        result = await self._tool.call("python", {"code": code})
        made = ("python", {"code": code})
        return Call(*made, error=result.text) if result.error else Call(*made, result.text)

    async def fresh(self) -> None:
        """As it was at the start, or as near as a reset comes. Broke where that fails."""
        for path in sorted(self._changed):
            await self.session.write(path, self._files[path].encode())
        self._changed.clear()
        if self._used:
            done = await self.cell(_RESET)
            if done.error is None and done.value == "(no output)":
                self._used = False
            else:
                raise Broke(f"the kernel cannot be reset: {str(done.error or done.value)[:200]}")

    async def start(self) -> None:
        done = await self.cell(_START)
        if done.error is not None:
            raise Broke(f"the kernel does not start: {done.error[-300:]}")

    async def put(self, path: str, text: str) -> None:
        """Another text in a file's place, until the next `fresh`."""
        self._changed.add(path)
        await self.session.write(path, text.encode())


@dataclass
class CellRun(Run):
    """`calls` are its cells; `refused`: why cells were not let run."""

    refused: list[str] = field(default_factory=list)


@dataclass
class Bench:
    """Made by open_bench."""

    family: Family
    files: dict[str, str]  # by path below /work
    sandbox: Sandbox
    _stack: AsyncExitStack
    _kernels: dict[int, tuple[AsyncExitStack, Kernel]] = field(default_factory=dict)
    _players: dict[str, tuple[AsyncExitStack, Roleplayer]] = field(default_factory=dict)

    async def kernel(self, run: int) -> Kernel:
        """The kernel of a run, fresh."""
        if run in self._kernels:
            stack, kernel = self._kernels[run]
            try:
                await kernel.fresh()
                return kernel
            except Broke:
                await stack.aclose()
        stack = AsyncExitStack()
        self._stack.push_async_callback(stack.aclose)
        limits = replace(LIMITS, wall_s=CELL_S)
        session = await stack.enter_async_context(self.sandbox.session(limits=limits))
        for path, text in sorted(self.files.items()):
            await session.write(path, text.encode())
        tool = await stack.enter_async_context(python_tools(_Seeded(session, run), limits))
        kernel = Kernel(session, tool, self.files)
        self._kernels[run] = stack, kernel
        await kernel.start()
        await kernel.fresh()
        return kernel

    async def attempt(
        self,
        number: str,
        run: int,
        write: Alter | None = None,
        read: Alter | None = None,
        files: dict[str, str] | None = None,
    ) -> CellRun:
        """Runs a task's solution in the kernel of `run`. A policy may change what it writes into a
        cell, how it reads what the cell printed, and the files that the cells find."""
        made = CellRun()
        try:
            kernel = await self.kernel(run)
            for path, text in (files or {}).items():
                await kernel.put(path, text)
            solver = await self._player("solution")
            reply = await solver.ask({"path": f"{number}.py"}, WORK_S)
            while "call" in reply:
                if len(made.calls) >= MOST_CELLS:
                    raise solver.gone(f"sent more than {MOST_CELLS} cells")
                answer = await _answer(kernel, made, reply, write, read)
                reply = await solver.ask(answer, WORK_S)
            made.tried = [str(each) for each in reply.get("tried") or ()]
            if "answer" in reply:
                made.answer = reply["answer"]
            else:
                made.fault = str(reply.get("fault"))
        except Broke as error:
            made.fault = str(error)
        return made

    async def rule(self, number: str, answers: list[Any]) -> tuple[list[Ruling], list[str]]:
        """What a task's verifier says of answers, until it accepts one. Broke where it hangs."""
        verifier = await self._player("verifier")
        return await rule(verifier, f"{number}.py", answers, State())

    async def _player(self, role: str) -> Roleplayer:
        if role in self._players:
            stack, player = self._players[role]
            if player.alive:
                return player
            with contextlib.suppress(Exception):
                await stack.aclose()
        stack = AsyncExitStack()
        self._stack.push_async_callback(stack.aclose)
        tasks = self.family.tasks
        files = {f"{number}.py": task.files["solution.py"] for number, task in tasks.items()}
        if role == "verifier":
            files = verifier_files(self.family, tasks)
        player = await stack.enter_async_context(roleplayer(role, files, self.sandbox))
        self._players[role] = stack, player
        return player


async def _answer(
    kernel: Kernel, made: CellRun, asked: dict[str, Any], write: Alter | None, read: Alter | None
) -> dict[str, Any]:
    """What a solution is told of its call."""
    name, arguments = str(asked["call"]), asked.get("arguments")
    right = isinstance(arguments, dict) and set(arguments) == {"code"}
    if name != "python" or not right or not isinstance(arguments["code"], str):
        error = f"there is no tool {name!r}"
        if name == "python":
            error = "python takes one argument, the text 'code'"
        made.calls.append(Call(name, {"code": ""}, error=error))
        return {"error": error}
    code, at = arguments["code"], len(made.calls)
    if against := cell_findings(code):
        made.refused += [f"cell {at + 1}, {each}" for each in against]
        made.calls.append(Call(name, arguments, error="This cell is not let run."))
        return {"error": "This cell is not let run."}
    call = await kernel.cell(write(at, code) if write else code)
    made.calls.append(call)
    if call.error is not None:
        return {"error": call.error}
    return {"value": read(at, str(call.value)) if read else call.value}


@asynccontextmanager
async def open_bench(family: Family, sandbox: Sandbox | None = None) -> AsyncIterator[Bench]:
    """DataError where the family's files are no texts."""
    files = data_files(family)
    async with AsyncExitStack() as stack:
        yield Bench(family, files, sandbox or default_sandbox(), stack)
