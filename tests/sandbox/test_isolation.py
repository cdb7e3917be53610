"""Cells beside each other: none sees, reaches or keeps anything of another's."""

import asyncio

import pytest

from speciale.sandbox import SandboxError

FIND = """
import os, sys
word = sys.argv[1]
for top in ("/work", "/tmp", "/dev/shm", "/run", "/var"):
    for folder, _, names in os.walk(top):
        if any(word in name for name in names):
            print("found", folder)
"""


def together(make):
    """Runs `make(one, other)` with two sessions that are open at the same time."""

    def run(sandbox):
        async def both():
            async with sandbox.session() as one, sandbox.session() as other:
                return await make(one, other)

        return asyncio.run(both())

    return run


@pytest.mark.parametrize("place", ["/work", "/tmp", "/dev/shm"])
def test_files_of_another_session(place, sandbox):
    async def look(one, other):
        await one.run(f"echo secret > {place}/word-4711; chmod 777 {place}/word-4711")
        seen = await one.run(["python3", "-c", FIND, "word-4711"])
        return seen, await other.run(["python3", "-c", FIND, "word-4711"])

    own, others = together(look)(sandbox)
    assert own.stdout == f"found {place}\n".encode()
    assert (others.stdout, others.stderr) == (b"", b"")


def test_files_of_a_call_are_gone(sandbox):
    async def look():
        await sandbox.run("echo secret | tee /work/word-4711 /tmp/word-4711 > /dev/shm/word-4711")
        return await sandbox.run(["python3", "-c", FIND, "word-4711"])

    assert asyncio.run(look()).stdout == b""


def test_processes_of_another_session(sandbox):
    async def look(one, other):
        spawned = await one.spawn(["sleep", "123456"])
        seen = await other.run("ps -e -o args; kill -9 -1; echo no")
        alive = await one.run("echo still")
        spawned.kill()
        return seen, alive, await spawned.wait()

    seen, alive, code = together(look)(sandbox)
    assert b"123456" not in seen.stdout and alive.stdout == b"still\n" and code == 137


SERVE = """
import socket
tcp = socket.create_server(("127.0.0.1", 4711))
local = socket.socket(socket.AF_UNIX)
local.bind("\\0word-4711")
local.listen()
print("listening", flush=True)
while True:
    tcp.accept()[0].sendall(b"tcp")
    local.accept()[0].sendall(b"local")
"""
CONNECT = """
import socket
for family, address in ((socket.AF_INET, ("127.0.0.1", 4711)), (socket.AF_UNIX, "\\0word-4711")):
    try:
        with socket.socket(family) as made:
            made.connect(address)
            print(made.recv(10).decode())
    except OSError as error:
        print("held", error.errno)
"""


def test_servers_of_another_session(sandbox):
    """What one session serves its own commands reach, another's and the host do not."""

    async def serve(one, other):
        spawned = await one.spawn(["python3", "-c", SERVE])
        assert await spawned.stdout.readline() == b"listening\n"
        own = await one.run(["python3", "-c", CONNECT])
        others = await other.run(["python3", "-c", CONNECT])
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", 4711)
        return own, others

    own, others = together(serve)(sandbox)
    assert own.stdout == b"tcp\nlocal\n"
    assert others.stdout == b"held 111\nheld 111\n"


def test_links_left_in_the_way_of_the_host(sandbox, host):
    """A session's files are written and read with its own rights: a link leads nowhere else."""

    async def follow():
        async with sandbox.session() as session:
            await session.run(
                f"ln -s {host.file} read; ln -s {host.file} write; ln -s / root;"
                "ln -s /proc/1 init; ln -s /etc/passwd users; mkfifo pipe;"
                "ln -s /dev/zero endless; ln -s . round"
            )
            trouble = {}
            for path in (
                "read",
                f"root{host.file}",
                "init/environ",
                "endless",
                "pipe/x",
                "/etc/shadow",
            ):
                with pytest.raises(SandboxError) as caught:
                    await session.read(path)
                trouble[path] = str(caught.value)
            for path in (
                "write",
                f"root{host.file}",
                "users",
                "/usr/bin/env",
                "../etc/x",
                "round",
                "pipe",
            ):
                with pytest.raises(SandboxError):
                    await session.write(path, b"changed")
            users = await session.read("users")
            nothing = await session.read("pipe")
            return trouble, users, nothing

    trouble, users, nothing = asyncio.run(follow())
    host.unharmed()
    assert "longer than 1000000 bytes" in trouble["endless"]
    assert "No such file" in trouble["read"] and "No such file" in trouble["init/environ"]
    assert users.startswith(b"root:x:0") and users.count(b"\n") == 2
    assert nothing == b""
