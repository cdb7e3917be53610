"""An Environment served over MCP, so that other agents can use our tools: stdio and HTTP.

Official SDK, low-level server. A call takes the way of the loop's own calls (agents/calls.py):
checked against the schema, bound in time and length, and never an exception.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from speciale import __version__
from speciale.agents.calls import CallLimits, answer_calls
from speciale.agents.tools.mcp_transport import lines
from speciale.errors import ConfigError
from speciale.tasks.environment import Environment

LOCAL = ("127.0.0.1", "localhost", "::1")


def mcp_server(environment: Environment) -> Any:
    """The SDK's server of the environment's tools, to be run over any transport."""
    from mcp import types
    from mcp.server.lowlevel import Server

    async def listed() -> list[Any]:
        return [
            types.Tool.model_validate(
                {
                    "name": function["name"],
                    "description": function.get("description", ""),
                    "inputSchema": function.get("parameters") or {"type": "object"},
                }
            )
            for function in (tool["function"] for tool in environment.tools)
        ]

    async def called(name: str, arguments: dict[str, Any] | None) -> Any:
        function = {"name": name, "arguments": json.dumps(arguments or {})}
        (record,) = await answer_calls(
            environment, environment.tools, [{"id": "1", "function": function}], CallLimits()
        )
        content = [{"type": "text", "text": record.result}]
        return types.CallToolResult.model_validate({"content": content, "isError": record.error})

    if hasattr(Server, "list_tools"):  # SDK 1
        server = Server("speciale", version=__version__)
        server.list_tools()(listed)
        server.call_tool(validate_input=False)(called)
        return server

    async def on_list(context: Any, params: Any) -> Any:
        return types.ListToolsResult(tools=await listed())

    async def on_call(context: Any, params: Any) -> Any:
        return await called(params.name, params.arguments)

    return Server("speciale", version=__version__, on_list_tools=on_list, on_call_tool=on_call)


async def serve_stdio(environment: Environment) -> None:
    """Until stdin ends, or it is interrupted."""
    from mcp.server.stdio import stdio_server

    server = mcp_server(environment)
    async with stdio_server(stdin=await _stdin()) as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def _stdin() -> Any | None:
    """Lines of stdin without a thread, since one that reads would hold up the end of the program
    until there is another line. None, the SDK's way, where stdin is a file or a terminal."""
    if sys.stdin.isatty():  # which would be left in a state that its shell does not expect
        return None
    reader = asyncio.StreamReader()
    try:
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
    except (ValueError, OSError):
        return None
    return (line.decode(errors="replace") async for line in lines(reader))


def http_app(environment: Environment, host: str, key: str | None) -> Any:
    """An ASGI application with MCP's Streamable HTTP at /mcp, for a server on `host`.

    With a key, requests carry it as a bearer token. Without one only this machine may ask, and no
    web page (the Host and Origin headers are looked at): ConfigError for another host.
    """
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    if host not in LOCAL and not key:
        raise ConfigError(
            f"--host {host} lets other machines use the tools: set SPECIALE_API_KEY, which they "
            "must then send as a bearer token"
        )
    hosts = [f"{name}:*" for name in (*LOCAL[:2], "[::1]")]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=host in LOCAL,
        allowed_hosts=hosts,
        allowed_origins=[f"http://{name}" for name in hosts],
    )
    manager = StreamableHTTPSessionManager(mcp_server(environment), security_settings=security)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async with manager.run():
            yield

    class Endpoint:  # a function would be given a request instead of the ASGI call
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if key and not hmac.compare_digest(given, f"Bearer {key}".encode()):
                denied = PlainTextResponse("the bearer token is missing or wrong", 401)
                await denied(scope, receive, send)
            else:
                await manager.handle_request(scope, receive, send)

    return Starlette(routes=[Route("/mcp", Endpoint())], lifespan=lifespan)


async def serve_http(environment: Environment, host: str, port: int, key: str | None) -> None:
    """Until it is interrupted."""
    import uvicorn

    app = http_app(environment, host, key)
    config = uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="on")
    await uvicorn.Server(config).serve()
