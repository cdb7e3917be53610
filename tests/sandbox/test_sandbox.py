"""What a command finds in the sandbox, and what comes back from it."""

import asyncio
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciale.errors import ConfigError
from speciale.sandbox import Limits, Sandbox, SandboxError, default_sandbox


def run(sandbox, command, **more):
    return asyncio.run(sandbox.run(command, **more))


# --- one command ----------------------------------------------------------------------------------


def test_streams_and_exit_code(sandbox):
    outcome = run(sandbox, "cat; echo oops >&2; exit 3", stdin=b"in\0put")
    assert (outcome.stdout, outcome.stderr, outcome.exit_code) == (b"in\0put", b"oops\n", 3)
    assert outcome.stopped is None and 0 < outcome.seconds < 30


def test_a_list_is_not_read_by_a_shell(sandbox):
    outcome = run(sandbox, ["printf", "%s|", "$HOME", "a b", "*", "", "é", "'"])
    assert outcome.stdout.decode() == "$HOME|a b|*||é|'|"


@settings(max_examples=20)
@given(
    stdin=st.binary(max_size=200_000),
    words=st.lists(
        st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), max_size=5
    ),
)
def test_any_input_and_any_words_arrive_as_they_are(sandbox, stdin, words):
    script = (
        "import sys; sys.stdout.buffer.write(repr(sys.argv[1:]).encode() + sys.stdin.buffer.read())"
    )
    outcome = run(sandbox, ["python3", "-c", script, *words], stdin=stdin)
    assert outcome.stdout == repr(words).encode() + stdin


@pytest.mark.parametrize(
    "command, code, said",
    [
        (["no-such-program"], 127, "no-such-program: command not found"),
        ("no-such-program", 127, "command not found"),
        (["/etc/passwd"], 126, "/etc/passwd: Permission denied"),
        (["/tmp"], 126, "Permission denied"),
        (["a\0b"], 125, "embedded null"),
        (["echo", "x" * 200_000], 126, "Argument list too long"),
        (["sh", "-c", "kill -9 $$"], 137, ""),
        (["sh", "-c", "kill -SEGV $$"], 139, ""),
    ],
)
def test_commands_that_cannot_be_started_or_die(command, code, said, sandbox):
    outcome = run(sandbox, command)
    assert outcome.exit_code == code and said in outcome.stderr.decode()
    assert outcome.stopped is None


def test_no_command_at_all(sandbox):
    with pytest.raises(ConfigError, match="no command"):
        run(sandbox, [])


def test_files_are_laid_before(sandbox):
    files = {"a.txt": b"one", "deep/er/b.bin": bytes(range(256)), "empty": b""}
    outcome = run(sandbox, "cat a.txt; wc -c < deep/er/b.bin; stat -c %U:%s empty", files=files)
    assert outcome.stdout == b"one256\nnobody:0\n"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "", "a\0b", "x" * 300])
def test_files_that_cannot_be_laid(name, sandbox):
    outcome = run(sandbox, "echo ran", files={name: b"data"})
    assert (outcome.exit_code, outcome.stdout) == (125, b"") and outcome.stderr


def test_a_large_file_arrives(sandbox):
    data = os.urandom(20 << 20)
    outcome = run(sandbox, "cmp big - && echo same", files={"big": data}, stdin=data)
    assert outcome.stdout == b"same\n"


def test_a_file_over_the_limit(sandbox):
    limits = Limits(file_mb=1)
    outcome = run(sandbox, "echo ran", files={"big": bytes(2 << 20)}, limits=limits)
    assert outcome.exit_code == 125 and b"File too large" in outcome.stderr


def test_variables(sandbox, monkeypatch):
    monkeypatch.setenv("HOST_ONLY", "secret")
    outcome = run(sandbox, ["env"], env={"MINE": "a=b c", "LANG": "C"})
    variables = dict(line.split("=", 1) for line in outcome.stdout.decode().splitlines())
    assert variables["MINE"] == "a=b c" and variables["LANG"] == "C"
    assert variables["HOME"] == "/work" and variables["TMPDIR"] == "/tmp"
    assert "HOST_ONLY" not in variables and len(variables) < 16


def test_the_surroundings(sandbox):
    script = """
import getpass, json, os, socket, sys, tempfile
print(json.dumps({
    "cwd": os.getcwd(), "uid": [os.getuid(), os.geteuid(), os.getgid()], "user": getpass.getuser(),
    "host": socket.gethostname(), "pid": os.getpid(), "umask": os.umask(0),
    "tty": sys.stdin.isatty(), "temporary": tempfile.gettempdir(),
    "session": os.getsid(0) == os.getpid(), "home": os.path.expanduser("~"),
}))
"""
    found = json.loads(run(sandbox, ["python3", "-c", script]).stdout)
    assert found == {
        "cwd": "/work", "uid": [65534, 65534, 65534], "user": "nobody", "host": "sandbox", "pid": 2,
        "umask": 0o022, "tty": False, "temporary": "/tmp", "session": True, "home": "/work",
    }  # fmt: skip


def test_python_is_the_one_outside_with_its_packages(sandbox):
    script = """
import ctypes, hashlib, importlib.metadata, sqlite3, ssl, sys
import numpy, speciale, speciale.sandbox
print(sys.version, numpy.__version__, sorted(d.name for d in importlib.metadata.distributions()))
"""
    inside = run(sandbox, ["python3", "-c", script])
    outside = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    ours = outside.stdout.replace("'speciale', ", "")  # out of a checkout it has no metadata inside
    assert inside.stderr == b"" and inside.stdout.decode().replace("'speciale', ", "") == ours


@pytest.mark.parametrize("name", ["python", "python3", f"python3.{sys.version_info.minor}"])
def test_names_of_python(name, sandbox):
    outcome = run(sandbox, f"{name} -c 'import sys; print(sys.prefix)'")
    assert outcome.stdout == b"/python\n"


def test_what_programs_need(sandbox):
    """Terminals, threads, subprocesses, queues between processes, loopback."""
    script = """
import multiprocessing, os, pty, socket, subprocess, threading, concurrent.futures
import numpy
assert numpy.linalg.inv(numpy.eye(50))[0, 0] == 1
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    assert sum(pool.map(int, "1234")) == 10
with multiprocessing.Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
leader, terminal = pty.openpty()
os.write(terminal, b"x")
assert os.read(leader, 1) == b"x"
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).send(b"hello")
assert server.accept()[0].recv(5) == b"hello"
assert socket.gethostbyname("localhost") == "127.0.0.1"
open("/dev/stdout", "w").write("reopened ")
print(subprocess.check_output(["bash", "-c", "ps -e | wc -l"]).decode())
"""
    outcome = run(sandbox, ["python3", "-c", script])
    assert outcome.stderr == b"" and outcome.stdout.startswith(b"reopened ")


def test_a_compiler_and_what_it_made(sandbox):
    source = b'#include <stdio.h>\nint main(void) { puts("compiled"); }\n'
    outcome = run(sandbox, "cc -o it it.c && ./it", files={"it.c": source})
    assert outcome.stdout == b"compiled\n", f"{outcome} (apt-get install gcc)"


# --- sessions -------------------------------------------------------------------------------------


def in_session(sandbox, make, limits=None):
    async def run():
        async with sandbox.session(limits) as session:
            return await make(session)

    return asyncio.run(run())


def test_files_last_and_processes_do_not(sandbox):
    async def work(session):
        await session.run("echo 1 > a; echo 2 > /tmp/b; echo 3 > /dev/shm/c; sleep 1000 & disown")
        return await session.run("cat a /tmp/b /dev/shm/c; pgrep sleep")

    assert in_session(sandbox, work).stdout == b"1\n2\n3\n"


def test_written_and_read(sandbox):
    async def work(session):
        await session.write("deep/er/file", b"a" * 3_000_000)
        await session.run("echo b >> deep/er/file")
        data = await session.read("deep/er/file", most=3_000_002)
        assert await session.read("/tmp/../work/deep/er/file", most=4_000_000) == data
        await session.write("deep/er/file", b"")
        return data, await session.read("deep/er/file")

    data, after = in_session(sandbox, work)
    assert data == b"a" * 3_000_000 + b"b\n" and after == b""


@pytest.mark.parametrize(
    "path, why",
    [
        ("none", "No such file"),
        (".", "Is a directory"),
        ("", "No such file"),
        ("secret", "Permission denied"),
        ("big", "longer than 10 bytes"),
        ("a\0b", "null byte"),
    ],
)
def test_files_that_cannot_be_read(path, why, sandbox):
    async def work(session):
        await session.run("echo x > secret; chmod 0 secret; seq 100 > big")
        with pytest.raises(SandboxError, match=why):
            await session.read(path, most=10)

    in_session(sandbox, work)


def test_a_disk_is_the_session_s(sandbox):
    async def work(session):
        await session.write("half", bytes(5 << 20))
        with pytest.raises(SandboxError, match="No space left"):
            await session.write("more", bytes(5 << 20))
        await session.run("rm half more")
        await session.write("more", bytes(5 << 20))

    in_session(sandbox, work, Limits(disk_mb=8))


def test_a_spawned_server(sandbox):
    script = "import sys\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)\nsys.exit(5)"

    async def work(session):
        spawned = await session.spawn(["python3", "-u", "-c", script], env={"X": "1"})
        answers = []
        for word in (b"one\n", b"two\n"):
            spawned.stdin.write(word)
            await spawned.stdin.drain()
            answers.append(await spawned.stdout.readline())
        beside = await session.run("echo beside")
        spawned.stdin.close()
        return answers, beside.stdout, await spawned.wait(), await spawned.stderr.read()

    assert in_session(sandbox, work) == ([b"eno\n", b"owt\n"], b"beside\n", 5, b"")


def test_a_spawned_server_has_no_wall_limit_but_the_others(sandbox):
    async def work(session):
        slow = await session.spawn("sleep 1.5; echo done")
        busy = await session.spawn(["python3", "-c", "while True: pass"])
        return await slow.stdout.read(), (await busy.report())["stopped"]

    assert in_session(sandbox, work, Limits(wall_s=0.5, cpu_s=0.5)) == (b"done\n", "cpu")


def test_a_long_line_of_a_spawned_server(sandbox):
    async def work(session):
        spawned = await session.spawn("head -c 900000 /dev/zero | tr '\\0' x; echo")
        return len(await spawned.stdout.readline())

    assert in_session(sandbox, work) == 900_001


def test_output_that_nobody_reads_stops_the_command_not_the_host(sandbox):
    async def work(session):
        spawned = await session.spawn("yes")
        await asyncio.sleep(0.5)
        beside = await session.run("echo beside")
        line = await spawned.stdout.readline()
        spawned.kill()
        return beside.stdout, line, await spawned.wait()

    assert in_session(sandbox, work) == (b"beside\n", b"y\n", 137)


def test_many_calls_at_once(sandbox):
    async def work():
        async with sandbox.session() as session:
            calls = [sandbox.run(f"echo {n}") for n in range(20)]
            calls += [session.run(f"echo {n}; touch {n}") for n in range(20, 40)]
            outcomes = await asyncio.gather(*calls)
            return [int(o.stdout) for o in outcomes], (await session.run("ls | wc -l")).stdout

    assert asyncio.run(work()) == (list(range(40)), b"20\n")


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory_mb": 0},
        {"memory_mb": -5},
        {"processes": 1.5},
        {"wall_s": float("nan")},
        {"cpu_s": float("inf")},
        {"disk_mb": True},
        {"output_kb": "1024"},
    ],
)
def test_limits_that_make_no_sense(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ConfigError, match=f"{name} is {value!r}"):
        Limits(**wrong)


def test_the_default_sandbox_is_one_and_outlives_its_loop():
    assert default_sandbox() is default_sandbox()
    for _ in range(2):
        assert run(default_sandbox(), "echo again").stdout == b"again\n"
    default_sandbox().close()
    assert run(default_sandbox(), "echo again").stdout == b"again\n"
    default_sandbox().close()


def test_a_sandbox_is_closed_by_its_block():
    async def work():
        async with Sandbox() as sandbox:
            jail = await sandbox.jail()
            assert jail.alive()
        return jail

    assert not asyncio.run(work()).alive()
