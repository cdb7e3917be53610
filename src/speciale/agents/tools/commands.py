"""`speciale tools`: the tools by themselves, for other agents over MCP."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated

import typer

tools_app = typer.Typer(
    help="The agent's tools by themselves.", no_args_is_help=True, rich_markup_mode=None
)

ToolsOption = Annotated[
    str,
    typer.Option("--tools", help="Of python, bash, files, search:DIR, mcp:COMMAND_OR_URL."),
]


@tools_app.command("list")
def list_tools(tools: ToolsOption = "python,bash,files") -> None:
    """Print the tools as a model is told of them: JSON, OpenAI's form.

    \b
    Examples:
      speciale tools list --tools search:docs/
      speciale tools list --tools "mcp:npx -y @modelcontextprotocol/server-everything"
    """
    import json

    from speciale.agents.tools.open_tools import open_tools

    async def show() -> None:
        async with open_tools(tools) as environment:
            print(json.dumps(list(environment.tools), indent=2, ensure_ascii=False))

    asyncio.run(show())


@tools_app.command("serve")
def serve_tools(
    tools: ToolsOption = "python,bash,files",
    http: Annotated[
        int | None, typer.Option("--http", help="Port of MCP over HTTP; stdio unless given.")
    ] = None,
    host: Annotated[str, typer.Option(help="With --http: where to listen.")] = "127.0.0.1",
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Run code without any sandbox, if there is none.")
    ] = False,
) -> None:
    """Serve tools over the Model Context Protocol, on stdin and stdout or over HTTP.

    All who ask share one sandbox session: start one server for each agent. With SPECIALE_API_KEY
    set, requests over HTTP must carry it as a bearer token; it is needed for any --host but this
    machine.

    \b
    Examples:
      speciale tools serve --tools python,bash,files       # as an MCP client's command
      speciale tools serve --tools search:docs/ --http 8001   # http://127.0.0.1:8001/mcp
    """
    from speciale.agents.tools.mcp_server import serve_http, serve_stdio
    from speciale.agents.tools.open_tools import open_tools
    from speciale.sandbox import Sandbox

    async def serve() -> None:
        sandbox = Sandbox(unsafe=unsafe)
        try:
            await serve_in(sandbox)
        finally:
            sandbox.close()

    async def serve_in(sandbox: Sandbox) -> None:
        async with open_tools(tools, sandbox) as environment:
            if http is None:
                await serve_stdio(environment)
                return
            key = os.environ.get("SPECIALE_API_KEY")
            print(f"MCP at http://{host}:{http}/mcp", file=sys.stderr)
            await serve_http(environment, host, http, key)

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
