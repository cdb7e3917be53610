"""`python(code)`: cells of a Jupyter kernel that lives in the sandbox, variables and all.

What crosses the sandbox's wall is code and text, through the pipes of kernel_host.py; the kernel's
own sockets stay inside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from speciale.agents.tools import kernel_host
from speciale.agents.tools.functions import Functions, ToolError
from speciale.sandbox import Limits, Process, SandboxError, Session, limit_named
from speciale.tasks.environment import Environment

CPU_S = 3600  # of all cells together; each is bound by the limit on wall time
LATE_S = 10.0  # beyond its own limits, for the host to answer on a machine under load
MOST_BYTES = 1 << 20  # of an answer, which is JSON with at most kernel_host.MOST characters


@asynccontextmanager
async def python_tools(session: Session, limits: Limits) -> AsyncIterator[Environment]:
    """The tool over a session of the sandbox; the kernel starts with the first call. Of `limits`,
    the wall time is that of a call."""
    kernel = _Kernel(session, limits)

    async def python(code: str) -> str:
        return await kernel.run(code)

    python.__doc__ = f"""Run Python code in a Jupyter notebook's kernel.

    Variables, imports and functions last from call to call. Returns what was printed and the value
    of the last expression. The current folder is /work. A call may take {limits.wall_s:g} seconds;
    there is no network and no input().

    Args:
        code: The code of one cell; magics and `!command` work.
    """
    try:
        yield Functions([python])
    finally:
        await kernel.close()


class _Kernel:
    def __init__(self, session: Session, limits: Limits) -> None:
        self._session, self._seconds = session, limits.wall_s
        self._limits = replace(limits, cpu_s=max(limits.cpu_s, CPU_S))
        self._process: Process | None = None
        self._lock = asyncio.Lock()
        self._warm = False  # a kernel is there, as far as is known
        self._stopped = False  # a call was stopped from outside, and nobody has been told

    async def run(self, code: str) -> str:
        """What the cell wrote; ToolError with it where the cell failed."""
        async with self._lock:
            said = await self._answer(code)
        if said["lost"]:
            said["text"] += "\nAll variables are lost; the next call begins with a fresh Python."
        if self._stopped:
            said["text"] = (
                "Python was restarted, since a call before was stopped: all variables of before "
                f"are lost.\n{said['text']}"
            )
            self._stopped = False
        if said["error"]:
            raise ToolError(said["text"])
        return said["text"] or "(no output)"

    async def _answer(self, code: str) -> dict:
        limit = self._seconds + kernel_host.INTERRUPT_S + kernel_host.LATE_S + LATE_S
        limit += 0 if self._warm else kernel_host.START_S
        self._warm = False
        try:
            async with asyncio.timeout(limit):
                process = self._process or await self._start()
                said = await ask(process, {"code": code, "seconds": self._seconds})
            self._warm = not said["lost"]
            return said
        except TimeoutError:
            await self.close()
            why = f"Python did not answer within {limit:g} s and was stopped."
        except ValueError as error:
            await self.close()
            why = f"Python's answer could not be read ({error})."
        except (asyncio.IncompleteReadError, OSError):
            why = await self._end()
        except SandboxError as error:
            why = f"Python could not be started: {error}"
        except asyncio.CancelledError:
            self._stopped = True
            if self._process is not None:
                self._process.kill()  # the session waits for its end
                self._process = None
            raise
        return {"text": why, "error": True, "lost": True}

    async def _start(self) -> Process:
        # As text, since the sandbox need not see this package's files.
        source = Path(kernel_host.__file__).read_text("utf-8")
        command = ["python3", "-I", "-c", source]
        self._process = await self._session.spawn(command, limits=self._limits)
        return self._process

    async def _end(self) -> str:
        """Why the host is gone."""
        process, self._process = self._process, None
        process.kill()
        report = await process.report()
        said = (await process.stderr.read(2000)).decode(errors="replace").strip()
        await process.close()
        if report["stopped"]:
            limit = limit_named(report["stopped"], self._limits)
            return f"Python was stopped by the limit on {limit}."
        return f"Python ended with exit code {report['exit_code']}. {said}".strip()

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.close()


async def ask(process: Process, request: dict) -> dict:
    """The answer; what comes out of the sandbox is believed no further than its form."""
    await process.send(request)
    said = await process.receive(MOST_BYTES)
    form = {"text": str, "error": bool, "lost": bool}
    if not isinstance(said, dict) or any(type(said.get(key)) is not form[key] for key in form):
        raise ValueError("it has another form")
    return said
