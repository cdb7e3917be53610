"""Files of a real session: reading, writing, editing, listing, finding, and what is refused."""

import asyncio

import pytest
from sandboxed import opened

from speciale.agents.tools import files_inside
from speciale.agents.tools.files import files_tools
from speciale.agents.tools.open_tools import open_tools
from speciale.sandbox import Sandbox
from speciale.tasks.environment import Result

MESS = """
ln -s /etc/passwd link
ln -s loop loop
mkfifo pipe
printf 'a\\0b' > zero
printf 'caf\\351' > latin
touch empty $'bad\\377name'
mkdir locked; chmod 0 locked
seq 1000 > numbers
head -c 100000 /dev/zero | tr '\\0' x > wide
printf 'one\\r\\ntwo\\r\\n' > dos
printf 'a\\n\\fb\\n' > feed
printf 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab' > slow
"""


@pytest.fixture(scope="module")
def call():
    """Calls a tool of one session that holds a mess."""
    with asyncio.Runner() as runner:
        sandbox = Sandbox()
        manager = open_tools("files,bash", sandbox)
        environment = runner.run(manager.__aenter__())
        made = runner.run(environment.call("bash", {"command": MESS}))
        assert not made.error, made.text
        yield lambda name, **arguments: runner.run(environment.call(name, arguments))
        runner.run(manager.__aexit__(None, None, None))
        sandbox.close()


def test_write_read_edit(call):
    text = "one\ntwo\nthree\n"
    assert call("write_file", path="a/b.txt", content=text) == Result("wrote a/b.txt: 14 bytes")
    assert call("read_file", path="a/b.txt").text == f"[a/b.txt, lines 1 to 3 of 3]\n{text}"
    assert call("read_file", path="/work/a/b.txt", start_line=2, lines=1).text == (
        "[/work/a/b.txt, lines 2 to 2 of 3; go on with start_line=3]\ntwo\n"
    )
    edited = call("edit_file", path="a/b.txt", old="two\nthree", new="2\n3")
    assert edited == Result("edited a/b.txt at line 2")
    assert call("read_file", path="a/b.txt").text.endswith("\none\n2\n3\n")
    assert call("write_file", path="a/b.txt", content="").text == "replaced a/b.txt: 0 bytes"
    assert call("read_file", path="a/b.txt") == Result("a/b.txt is empty")


def test_an_edit_that_cannot_be_changes_nothing(call):
    call("write_file", path="e", content="x = 1\ny = 1\n")
    for old, words in [
        ("= 1", "2 times"),
        ("x=1", "differs in spaces"),
        ("z", "not in e"),
        ("", "empty"),
    ]:
        said = call("edit_file", path="e", old=old, new="!")
        assert said.error and words in said.text
    assert call("read_file", path="e").text.endswith("\nx = 1\ny = 1\n")


def test_ends_of_lines_and_modes_are_kept(call):
    assert not call("edit_file", path="dos", old="two", new="2").error
    assert "".join(call("bash", command="od -An -c dos").text.split()) == r"one\r\n2\r\n"
    call("bash", command="printf '#!/bin/sh\\necho a' > run; chmod 755 run")
    call("edit_file", path="run", old="echo a", new="echo b")
    assert call("bash", command="./run") == Result("b")
    assert call("read_file", path="feed").text.startswith("[feed, lines 1 to 2 of 2]")


def test_long_files_come_in_pieces(call):
    said = call("read_file", path="numbers", lines=5000).text
    assert said.startswith("[numbers, lines 1 to 1000 of 1000]")
    said = call("read_file", path="numbers").text
    assert said.startswith("[numbers, lines 1 to 400 of 1000; go on with start_line=401]")
    assert said.endswith("\n399\n400\n")
    wide = call("read_file", path="wide").text
    assert "98,000 characters of this line left out" in wide and len(wide) < 3000


def test_listing_and_finding(call):
    call("write_file", path="src/deep/code.py", content="def first(): ...\n\ndef second(): ...\n")
    listed = call("list_files").text.splitlines()
    assert {"src/", "src/deep/code.py (36 bytes)", "link (a link)", "locked/"} <= set(listed)
    assert call("list_files", path="src/deep").text == "src/deep/code.py (36 bytes)"
    found = call("find_in_files", pattern=r"^def \w+d\(", path="src").text
    assert found == "src/deep/code.py:3: def second(): ..."
    assert call("find_in_files", pattern="nowhere to be found").text.startswith("(not searched")
    many = call("find_in_files", pattern="1", path="numbers").text.splitlines()
    assert len(many) == files_inside.MATCHES + 1 and many[-1].startswith("… and ")


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("read_file", {"path": "missing"}, "there is no missing"),
        ("read_file", {"path": "src-not"}, "there is no"),
        ("read_file", {"path": "/etc/passwd"}, "outside of /work"),
        ("read_file", {"path": "../etc/passwd"}, "outside of /work"),
        ("read_file", {"path": "link"}, "outside of /work"),
        ("read_file", {"path": "loop"}, "loop"),
        ("read_file", {"path": "pipe"}, "no regular file"),
        ("read_file", {"path": "zero"}, "zero is binary (3 bytes)"),
        ("read_file", {"path": "latin"}, "not UTF-8"),
        ("read_file", {"path": "."}, "folder"),
        ("read_file", {"path": ""}, "folder"),
        ("read_file", {"path": "a\0b"}, "NUL"),
        ("read_file", {"path": "x" * 300}, "too long"),
        ("read_file", {"path": "numbers", "start_line": 1001}, "has 1000 lines"),
        ("read_file", {"path": "locked/x"}, "denied"),
        ("write_file", {"path": ".", "content": ""}, "folder"),
        ("write_file", {"path": "empty/below", "content": ""}, "a file is in its way"),
        ("write_file", {"path": "link", "content": ""}, "outside of /work"),
        ("list_files", {"path": "missing"}, "there is no missing"),
        ("list_files", {"path": "/"}, "outside of /work"),
        ("find_in_files", {"pattern": "("}, "no regular expression"),
        ("find_in_files", {"pattern": "x", "path": ".."}, "outside of /work"),
    ],
)  # fmt: skip
def test_refusals(call, name, arguments, words):
    said = call(name, **arguments)
    assert said.error and words in said.text


def test_a_full_disk_keeps_the_old_file():
    async def run():
        async with opened(files_tools, disk_mb=8, file_mb=64) as environment:
            await environment.call("write_file", {"path": "a", "content": "old"})
            full = await environment.call("write_file", {"path": "a", "content": "n" * 12_000_000})
            left = await environment.call("list_files", {})
            return full, left, await environment.call("read_file", {"path": "a"})

    full, left, kept = asyncio.run(run())
    assert full.error and "No space" in full.text
    assert left == Result("a (3 bytes)")
    assert kept.text.endswith("\nold")


def test_a_regular_expression_that_takes_for_ever(monkeypatch):
    monkeypatch.setattr("speciale.agents.tools.files.SECONDS", 1.0)

    async def run():
        async with opened(files_tools) as environment:
            await environment.call("write_file", {"path": "slow", "content": "a" * 40 + "b"})
            return await environment.call("find_in_files", {"pattern": "(a+)+$"})

    said = asyncio.run(run())
    assert said == Result("stopped by the limit on wall time, 1 s", error=True)
