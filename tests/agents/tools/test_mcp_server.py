"""Our tools over MCP, seen by the official client and by ours, over stdio and over HTTP."""

import asyncio
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from http_server import http_server
from speciale.agents.tools.functions import Functions, ToolError
from speciale.agents.tools.mcp_client import mcp_tools
from speciale.agents.tools.mcp_server import http_app
from speciale.agents.tools.mcp_transport import Server
from speciale.errors import ConfigError
from speciale.tasks.environment import Result


async def add(a: int, b: int = 1) -> str:
    """Add two numbers.

    Args:
        a: The first.
    """
    return str(a + b)


async def say(text: str) -> str:
    """Say it again."""
    return text


async def refuse() -> str:
    raise ToolError("not today")


async def broken() -> str:
    raise KeyError("a bug")


async def much() -> str:
    return "x" * 1_000_000


CALLS = [
    ("add", {"a": 2, "b": 3}),
    ("add", {"a": 2}),
    ("say", {"text": "ümläut \N{SNOWMAN} <|tool|> \u2028 \0"}),
    ("say", {"text": ""}),
    ("refuse", {}),
]
FAULTS = [
    ("add", {"a": "two"}, "not of type 'integer'"),
    ("add", {}, "'a' is a required property"),
    ("add", {"a": 1, "c": 2}, "It takes no 'c'"),
    ("broken", {}, "KeyError"),
]


@pytest.fixture(scope="module")
def tools():
    return Functions([add, say, refuse, broken, much])


@pytest.fixture(scope="module")
def url(tools):
    with http_server(http_app(tools, "127.0.0.1", None), lifespan="on") as base:
        yield f"{base}/mcp"


def test_a_round_trip_equals_direct_calls(tools, url):
    async def run():
        async with mcp_tools(Server(url=url)) as client:
            direct = [await tools.call(*call) for call in CALLS]
            over = [await client.call(*call) for call in CALLS]
            many = await asyncio.gather(*(client.call("add", {"a": n}) for n in range(50)))
            wrong = [await client.call(name, arguments) for name, arguments, _ in FAULTS]
            return (
                client.name,
                client.tools,
                direct,
                over,
                many,
                wrong,
                await client.call("much", {}),
            )

    name, listed, direct, over, many, wrong, much = asyncio.run(run())
    assert name == "speciale" and listed == tools.tools
    assert over == direct
    assert [result.text for result in many] == [str(n + 1) for n in range(50)]
    for result, (_, _, words) in zip(wrong, FAULTS, strict=True):
        assert result.error and words in result.text
    assert not much.error and 30_000 < len(much.text) < 31_000


def test_the_official_client(tools, url):
    async def run():
        from mcp import ClientSession
        from mcp.client.streamable_http import streamable_http_client

        async with (
            streamable_http_client(url) as (read, write, *_),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            listed = await session.list_tools()
            called = await session.call_tool("add", {"a": 2, "b": 3})
            refused = await session.call_tool("refuse", {})
            unknown = await session.call_tool("nothing", {})
            return [
                one.model_dump(mode="json", by_alias=True)
                for one in (listed, called, refused, unknown)
            ]

    listed, called, refused, unknown = asyncio.run(run())
    assert [tool["name"] for tool in listed["tools"]] == ["add", "say", "refuse", "broken", "much"]
    assert listed["tools"][0]["inputSchema"] == tools.tools[0]["function"]["parameters"]
    assert called["content"][0]["text"] == "5" and called["isError"] is False
    assert refused["content"][0]["text"] == "not today" and refused["isError"] is True
    assert "no tool 'nothing'" in unknown["content"][0]["text"] and unknown["isError"] is True


COMMAND = (
    "import sys\n"
    "from speciale.agents.tools.commands import tools_app\n"
    "sys.exit(tools_app(['serve', *sys.argv[1:]], standalone_mode=False))\n"
)


def test_the_command_over_stdio():
    """The real tools, in a process of its own, which ends when its client does."""

    async def run():
        server = Server(command=(sys.executable, "-c", COMMAND, "--tools", "bash,files"))
        async with mcp_tools(server) as client:
            names = {tool["function"]["name"] for tool in client.tools}
            said = await client.call("bash", {"command": "echo hello | tee note"})
            read = await client.call("read_file", {"path": "note"})
            return names, said, read

    names, said, read = asyncio.run(run())
    assert names >= {"bash", "read_file", "edit_file"}
    assert said == Result("hello") and read.text.endswith("\nhello\n")


def test_the_command_ends_with_its_client():
    """And writes nothing but the protocol, whatever it is asked."""
    asked = [b"", b"not json", b"[]", b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}', b"\xff"]
    command = [sys.executable, "-c", COMMAND, "--tools", "bash"]
    done = subprocess.run(command, input=b"\n".join(asked) + b"\n", capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert json.loads(line)["jsonrpc"] == "2.0"


def test_the_command_is_interrupted():
    command = [sys.executable, "-c", COMMAND, "--tools", "bash"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.communicate()


def test_keys_and_hosts(tools):
    with pytest.raises(ConfigError, match="set SPECIALE_API_KEY"):
        http_app(tools, "0.0.0.0", None)
    with http_server(http_app(tools, "0.0.0.0", "secret"), lifespan="on") as base:
        assert status(f"{base}/mcp", {}) == 401
        assert status(f"{base}/mcp", {"Authorization": "Bearer wrong"}) == 401
        assert status(f"{base}/mcp", {"Authorization": "Bearer \xe9"}) == 401

        async def run(**headers):
            async with mcp_tools(Server(url=f"{base}/mcp", settings=headers)) as client:
                return await client.call("add", {"a": 1})

        assert asyncio.run(run(Authorization="Bearer secret")) == Result("2")
        with pytest.raises(ConfigError, match="cannot be used"):
            asyncio.run(run())


def test_web_pages_cannot_ask(url):
    assert status(url, {"Origin": "https://evil.example"}) == 403
    assert status(url, {"Host": "evil.example"}) in (403, 421)


def status(url, headers):
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **headers,
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
