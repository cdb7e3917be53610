"""Sets of tools from a line: what it opens, what it shares, and what it says about mistakes."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from speciale.agents.tools.open_tools import open_tools
from speciale.errors import ConfigError

RAW = f"{sys.executable} {Path(__file__).with_name('raw_mcp_server.py')}"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def using(spec, *calls):
    """The names of the tools, and the results of calls."""

    async def run():
        async with open_tools(spec) as environment:
            names = [tool["function"]["name"] for tool in environment.tools]
            return names, [await environment.call(name, arguments) for name, arguments in calls]

    return asyncio.run(run())


def folder(tmp_path, name, text):
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "a.txt").write_text(text)
    return tmp_path / name


def test_all_kinds_together(tmp_path):
    """python, bash and files see one /work."""
    docs = folder(tmp_path, "docs", "the needle")
    names, said = using(
        f"python, bash,files ,search:{docs},mcp:{RAW}",
        ("python", {"code": "open('note', 'w').write('one\\n')"}),
        ("bash", {"command": "cat note; echo two >> note"}),
        ("edit_file", {"path": "note", "old": "two", "new": "three"}),
        ("python", {"code": "print(open('note').read())"}),
        ("search", {"query": "needle"}),
        ("good", {}),
    )
    assert {"python", "bash", "read_file", "search", "open", "good"} <= set(names)
    assert said[1].text == "one"
    assert said[3].text.split() == ["one", "three"]
    assert said[4].text.startswith("1. a.txt")
    assert said[5].text.startswith("good ")


def test_the_later_of_two_sets_is_called_after_itself(tmp_path):
    one, two = folder(tmp_path, "one", "first needle"), folder(tmp_path, "my docs", "second needle")
    names, said = using(
        [f"search:{one}", f"search:{two}", f"mcp:{RAW}", f"mcp:env A=b {RAW}"],
        ("search", {"query": "needle"}),
        ("my_docs_search", {"query": "needle"}),
        ("raw_server_good", {}),
    )
    assert {"search", "open", "my_docs_search", "my_docs_open", "good", "raw_server_good"} <= set(
        names
    )
    assert "first needle" in said[0].text and "second needle" in said[1].text
    assert said[2].text.startswith("good")


def test_commas_of_a_command_are_kept():
    names, said = using(f"mcp:{RAW} --list a,b,c", ("good", {}))
    assert "good" in names and not said[0].error


def test_relative_folders_and_home(tmp_path, monkeypatch):
    folder(tmp_path, "docs", "needle")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for spec in ("search:docs", "search:~/docs"):
        assert "a.txt" in using(spec, ("search", {"query": "needle"}))[1][0].text


@pytest.mark.parametrize(
    "spec, words",
    [
        ("", "there are no tools '': give some of python, bash"),
        ([], "no tools are named"),
        ("pyhton", "there are no tools 'pyhton'"),
        ("python,pyhton", "there are no tools 'python,pyhton'"),
        ("bash,bash", "'bash' are there twice"),
        ("search:", "there are no tools 'search:'"),
        ("mcp: ", "there are no tools 'mcp:'"),
        ("search:/nowhere", "search:/nowhere: there is no folder /nowhere"),
        ("mcp:no-such-program-x", "mcp: there is no program 'no-such-program-x'"),
        ("mcp:TOKEN=hush /bin/false", "mcp: the MCP server /bin/false cannot be used"),
    ],
)
def test_mistakes_are_named(spec, words):
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        using(spec)
    assert "hush" not in str(caught.value)


def test_three_servers_of_one_name():
    parts = [f"mcp:{RAW}", *(f"mcp:env A={n} {RAW}" for n in range(3))]
    names, said = using(parts, ("raw_server_3_good", {}))
    good = ["good", "raw_server_good", "raw_server_2_good", "raw_server_3_good"]
    assert [name for name in names if name.endswith("good")] == good
    assert said[0].text.startswith("good")


def test_all_is_closed_when_one_cannot_be_opened():
    before = children()
    with pytest.raises(ConfigError):
        using([f"mcp:{RAW}", "search:/nowhere"])
    assert children() == before


def children():
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == os.getpid():
            found.add(pid)
    return found
