"""Real MCP servers in processes of their own, which misbehave in every way we could think of."""

import asyncio
import json
import os
import re
import resource
import sys
from pathlib import Path

import pytest

from speciale.agents.tools import mcp_client
from speciale.agents.tools.mcp_client import mcp_tools, result_of
from speciale.agents.tools.mcp_transport import Server, read_server
from speciale.errors import ConfigError
from speciale.tasks.environment import Result

RAW = str(Path(__file__).with_name("raw_mcp_server.py"))


def raw(*words, **settings):
    return Server(command=(sys.executable, RAW, *words), settings=settings)


def using(server, work, call_s=20.0):
    """What `work`, a coroutine function of the tools, returns."""

    async def run():
        async with mcp_tools(server, call_s) as tools:
            return await work(tools)

    return asyncio.run(run())


def results(server, *names, call_s=20.0):
    async def work(tools):
        return [await tools.call(name, {}) for name in names]

    return using(server, work, call_s)


def pid_of(result):
    return int(result.text.split()[-1])


def test_results_become_text():
    said = results(
        raw(), "image", "resources", "structured", "failed", "odd_name_here", "odd_name_here_2",
        "stdout",
    )  # fmt: skip
    image, resources, structured, failed, dots, spaces, logged = said
    assert image == Result(
        "[image image/png of about 1,200 bytes, which cannot be shown here]\na picture"
    )
    assert resources.text.splitlines() == [
        "[resource file:///a: the file]",
        "[resource file:///b]",
        "inside b",
        "[resource file:///c,  of about 3 bytes, which cannot be shown here]",
    ]
    assert structured == Result('{"a": [1, "ä"]}')
    assert failed == Result("no luck", error=True)
    assert (dots.text, spaces.text) == ("dots", "spaces")
    assert logged == Result("logged")


def test_tools_are_openais_over_all_pages():
    async def work(tools):
        return tools.name, [tool["function"] for tool in tools.tools]

    name, functions = using(raw(), work)
    assert name == "raw_server"
    names = [function["name"] for function in functions]
    assert len(names) == 20 and len(set(names)) == 20 and {"good", "deaf"} <= set(names)
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", name) for name in names)
    assert functions[0]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("fault", ["die", "half"])
def test_a_server_that_vanishes_is_started_again(fault):
    first, gone, again = results(raw(), "good", fault, "good")
    assert gone.error and "The server raw_server is gone: it ended with exit code" in gone.text
    assert "secret" not in gone.text
    assert not again.error and pid_of(again) != pid_of(first)


def test_a_server_that_is_killed_between_calls():
    async def work(tools):
        first = await tools.call("good", {})
        os.kill(pid_of(first), 9)
        await asyncio.sleep(0.3)
        return first, await tools.call("good", {})

    first, again = using(raw(), work)
    assert not again.error and pid_of(again) != pid_of(first)


def test_a_call_that_hangs_costs_itself_alone():
    hung, after = results(raw(), "hang", "good", call_s=0.5)
    assert hung == Result("hang did not answer within 0.5 s.", error=True)
    assert not after.error


def test_a_server_that_hears_nothing_more_is_replaced(monkeypatch):
    monkeypatch.setattr(mcp_client, "PING_S", 0.3)
    first, deaf, again = results(raw(), "good", "deaf", "good", call_s=0.5)
    assert deaf.error and "did not answer" in deaf.text
    assert not again.error and pid_of(again) != pid_of(first)


def test_a_result_of_100_mb_is_never_held():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    huge, after = results(raw(), "huge", "good")
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert huge.error and "longer than 16 MB" in huge.text
    assert not after.error
    assert grown_mb < 80, f"{grown_mb:.0f} MB"


def test_a_line_without_an_end(monkeypatch):
    monkeypatch.setattr(mcp_client, "PING_S", 0.3)
    endless, after = results(raw(), "endless", "good", call_s=1.0)
    assert endless.error and not after.error


@pytest.mark.parametrize(
    "name, words",
    [
        ("nonsense", "no valid message"),
        ("wrong_shape", "failed"),
        ("wrong_id", "did not answer"),
        ("rpc_error", "bad arguments, says the server"),
    ],
)
def test_malformed_answers(name, words):
    wrong, after = results(raw(), name, "good", call_s=2.0)
    assert wrong.error and words in wrong.text
    assert not after.error


def test_tools_that_change():
    async def work(tools):
        await tools.call("grow", {})
        for _ in range(100):
            if any(tool["function"]["name"] == "grown" for tool in tools.tools):
                break
            await asyncio.sleep(0.05)
        return await tools.call("grown", {}), await tools.call("never", {})

    grown, never = using(raw(), work)
    assert grown == Result("new")
    assert never == Result("the server has no tool 'never' any more", error=True)


def test_only_what_was_given_reaches_a_server(monkeypatch):
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    (said,) = results(raw(GIVEN="yes"), "environment")
    seen = json.loads(said.text)
    assert seen["GIVEN"] == "yes"
    # What Python's start and its C library may add.
    assert set(seen) <= {"GIVEN", "PATH", "HOME", "USER", "LANG", "TMPDIR", "LC_CTYPE"}


def test_nothing_of_a_server_stays():
    """Not even of one that does not end when its stdin does, after a call that was cut short."""

    async def work(tools):
        pid = pid_of(await tools.call("good", {}))
        call = asyncio.create_task(tools.call("deaf", {}))
        await asyncio.sleep(0.3)
        call.cancel()
        await asyncio.wait([call])
        return pid

    assert not Path(f"/proc/{using(raw(), work)}").exists()


def test_calls_side_by_side():
    async def work(tools):
        return await asyncio.gather(*(tools.call("good", {"n": n}) for n in range(50)))

    said = using(raw(), work)
    assert [f'"n": {n}}}' in result.text for n, result in enumerate(said)] == [True] * 50


def test_many_calls_when_it_is_gone_start_one_server():
    async def work(tools):
        await tools.call("die", {})
        return await asyncio.gather(*(tools.call("good", {}) for _ in range(5)))

    assert len({pid_of(result) for result in using(raw(), work)}) == 1


@pytest.mark.parametrize(
    "server, words",
    [
        (raw("--refuse"), "SETTING is missing: set it"),
        (Server(command=("/bin/true",)), "ended with exit code 0"),
        (Server(command=("/bin/echo", "hello")), "cannot be used"),
        (Server(url="http://127.0.0.1:1/mcp"), "http://127.0.0.1:1/mcp cannot be used"),
    ],
    ids=["its own words", "ends", "no MCP", "no port"],
)
def test_servers_that_cannot_be_used(server, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        results(server)


def test_a_server_that_says_nothing(monkeypatch):
    monkeypatch.setattr(mcp_client, "CONNECT_S", 0.5)
    with pytest.raises(ConfigError, match=r"did not answer within 0\.5 s"):
        results(raw("--silent"))


def test_where_a_server_is():
    variables = {"PATH": os.environ["PATH"], "TOKEN": "abc"}
    server = read_server("KEY=$TOKEN MODE='a b' sh -c 'exec x'", variables)
    assert server.command[0].endswith("/sh") and server.command[1:] == ("-c", "exec x")
    assert server.settings == {"KEY": "abc", "MODE": "a b"}
    assert "abc" not in repr(server)
    server = read_server("Authorization=$TOKEN https://example.org/mcp", variables)
    assert server == Server(url="https://example.org/mcp", settings={"Authorization": "abc"})


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no server is named"),
        ("A=b", "no server is named"),
        ("'open", "cannot be split"),
        ("no-such-program-x", "there is no program 'no-such-program-x'"),
        ("KEY=$NO_SUCH sh", "there is no such variable"),
        ("http://a/mcp more", "a URL stands alone"),
    ],
)
def test_where_no_server_is(text, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_server(text, {"PATH": os.environ["PATH"]})


def test_content_that_is_unknown_or_long():
    said = result_of({"content": [{"type": "hologram"}], "isError": False})
    assert said == Result("[content of an unknown kind, 'hologram']")
    assert result_of({"content": []}) == Result("(no output)")
    assert len(result_of({"content": [{"type": "text", "text": "x" * 10**7}]}).text) < 31_000
