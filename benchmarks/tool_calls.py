"""What a call of each tool costs: the first, which starts something, and the median of the next.

One after the other, in a real sandbox; a real MCP server of our own tools on the other end of two
pipes, and of HTTP on this machine.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from _results import Row, write
from speciale.agents.tools.functions import Functions
from speciale.agents.tools.mcp_client import mcp_tools
from speciale.agents.tools.mcp_server import http_app
from speciale.agents.tools.mcp_transport import Server
from speciale.agents.tools.open_tools import open_tools
from speciale.tasks.environment import Environment

CALLS = 200
SERVE = (
    "import asyncio, sys\n"
    "sys.path.insert(0, sys.argv[1])\n"
    "from tool_calls import ECHO\n"
    "from speciale.agents.tools.mcp_server import serve_stdio\n"
    "asyncio.run(serve_stdio(ECHO))\n"
)


async def echo(text: str) -> str:
    return text


ECHO = Functions([echo])


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = place
        docs = Path(__file__).parents[1] / "docs"
        rows = asyncio.run(_ours(docs)) + asyncio.run(_mcp())
    write("tool_calls", rows)


async def _ours(docs: Path) -> list[Row]:
    begun = time.perf_counter()
    async with open_tools(["python", "bash", "files", f"search:{docs}"]) as tools:
        rows: list[Row] = [{"call": "open all", "first [ms]": (time.perf_counter() - begun) * 1e3}]
        for name, arguments in (
            ("python", {"code": "1 + 1"}),
            ("bash", {"command": "echo 2"}),
            ("write_file", {"path": "a", "content": "text\n" * 100}),
            ("read_file", {"path": "a"}),
            ("search", {"query": "how are blocklists made"}),
        ):
            rows.append({"call": name, **await _timed(tools, name, arguments)})
    return rows


async def _mcp() -> list[Row]:
    rows: list[Row] = []
    folder = str(Path(__file__).parent)
    pipes = Server(command=(sys.executable, "-c", SERVE, folder))
    with _http() as url:
        for name, server in (("MCP, pipes", pipes), ("MCP, HTTP", Server(url=url))):
            begun = time.perf_counter()
            async with mcp_tools(server) as tools:
                connected = (time.perf_counter() - begun) * 1e3
                row = await _timed(tools, "echo", {"text": "hello"})
                rows.append({"call": name, **row, "first [ms]": connected})
    return rows


async def _timed(tools: Environment, name: str, arguments: Mapping[str, Any]) -> Row:
    times = []
    for _ in range(CALLS + 1):
        begun = time.perf_counter()
        result = await tools.call(name, arguments)
        times.append((time.perf_counter() - begun) * 1e3)
        assert not result.error, result.text
    first, *rest = times
    rest.sort()
    median, late = rest[len(rest) // 2], rest[len(rest) * 99 // 100]
    return {"first [ms]": first, "p50 [ms]": median, "p99 [ms]": late}


@contextmanager
def _http():
    app = http_app(ECHO, "127.0.0.1", None)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        thread.join(20)


if __name__ == "__main__":
    main()
